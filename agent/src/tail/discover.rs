//! Which logs there are, and which files in a folder are generations of one.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::source::{Origin, Source};
use crate::config::AgentConfig;
use crate::host::{HostFiles, names_in};

/// Looks for logs.
#[derive(Debug)]
pub struct Discovery {
    /// Lists folders, and says once what may not be listed.
    host: HostFiles,
    pods: Option<PathBuf>,
    /// Where the kubelet links each container's log by another name.
    containers: PathBuf,
    globs: Vec<glob::Pattern>,
    origin: Origin,
}

/// Folders as they were when they were first asked for in one round of looking.
#[derive(Debug, Default)]
pub struct Folders(HashMap<PathBuf, Vec<String>>);

impl Discovery {
    /// Looks where the configuration says.
    pub fn new(config: &AgentConfig) -> Self {
        Self {
            host: HostFiles::new(config.roots.clone()),
            pods: config.tail.pods.then(|| config.roots.var_log.join("pods")),
            containers: config.roots.var_log.join("containers"),
            // The configuration was validated: a pattern that is none cannot be here.
            globs: config
                .tail
                .globs
                .iter()
                .filter_map(|pattern| glob::Pattern::new(pattern).ok())
                .collect(),
            origin: Origin {
                node_name: config.node_name.clone(),
                job: config.tail.job.clone(),
            },
        }
    }

    /// The logs there are now, by path.
    pub fn find(&self) -> BTreeMap<PathBuf, Source> {
        let mut found = BTreeMap::new();
        if let Some(pods) = &self.pods {
            for pod in self.folders(pods) {
                for container in self.folders(&pod) {
                    for name in self.host.names(&container) {
                        let path = container.join(name);
                        if has_extension(&path, "log")
                            && let Some(source) = self.origin.container(&path)
                        {
                            found.insert(path, source);
                        }
                    }
                }
            }
        }
        for pattern in &self.globs {
            let Ok(paths) = glob::glob(pattern.as_str()) else {
                continue;
            };
            for path in paths {
                match path {
                    Ok(path) if self.is_container_log(&path) => {}
                    Ok(path) if path.is_file() => {
                        let source = self.origin.plain(&path);
                        found.entry(path).or_insert(source);
                    }
                    Ok(_) => {}
                    Err(error) => self.host.say_once(error.path(), error.error()),
                }
            }
        }
        let generations: Vec<PathBuf> = found
            .keys()
            .filter(|path| is_generation_of_another(path, &found))
            .cloned()
            .collect();
        for path in generations {
            found.remove(&path);
        }
        found
    }

    /// The source of a path that a checkpoint names, where the configuration still covers it.
    pub fn source_of(&self, path: &Path) -> Option<Source> {
        if let Some(pods) = &self.pods
            && path.starts_with(pods)
        {
            return self.origin.container(path);
        }
        let covered = self.globs.iter().any(|pattern| pattern.matches_path(path));
        (covered && !self.is_container_log(path)).then(|| self.origin.plain(path))
    }

    /// The folders in a folder, sorted.
    fn folders(&self, folder: &Path) -> Vec<PathBuf> {
        let names = self.host.names(folder).into_iter();
        let paths = names.map(|name| folder.join(name));
        paths.filter(|path| path.is_dir()).collect()
    }

    /// Whether a path that a pattern found is a container's log that is read under its Pod's name: a
    /// pattern as wide as `/var/log/*/*.log` finds the kubelet's links to them too.
    fn is_container_log(&self, path: &Path) -> bool {
        let Some(pods) = &self.pods else {
            return false;
        };
        let is_below = |path: &Path| path.starts_with(&self.containers) || path.starts_with(pods);
        let links_below = || {
            let target = std::fs::canonicalize(path);
            let pods = std::fs::canonicalize(pods);
            target.is_ok_and(|target| pods.is_ok_and(|pods| target.starts_with(pods)))
        };
        is_below(path) || links_below()
    }
}

impl Folders {
    /// The files beside `path` that may be rotated generations of it: `NAME.1`, `NAME.2.gz`,
    /// `NAME-20261121`, `NAME.20261121-120000`. What is being compressed has no final name yet.
    pub fn siblings(&mut self, path: &Path) -> Vec<PathBuf> {
        let (Some(folder), Some(base)) = (
            path.parent(),
            path.file_name().and_then(|name| name.to_str()),
        ) else {
            return Vec::new();
        };
        self.0
            .entry(folder.to_owned())
            .or_insert_with(|| names_in(folder).unwrap_or_default())
            .iter()
            .filter(|name| {
                name.strip_prefix(base)
                    .is_some_and(|rest| rest.starts_with(['.', '-']))
                    && !has_extension(Path::new(name), "tmp")
            })
            .map(|name| folder.join(name))
            .collect()
    }
}

/// Whether a pattern as wide as `app*` found both a log and a rotated generation of it: that one is
/// read as a generation, not as a log.
fn is_generation_of_another(path: &Path, found: &BTreeMap<PathBuf, Source>) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    name.match_indices(['.', '-'])
        .filter_map(|(at, _)| name.get(..at))
        .any(|base| !base.is_empty() && found.contains_key(&path.with_file_name(base)))
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}
