//! From files to modules, and what can be wrong with them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::embedded;
use crate::data::Allowed;
use crate::gatekeeper::PoliciesError;
use crate::gatekeeper::documents::{self, Document, DocumentError};
use crate::rego::Refusal;

/// A Rego module and the path its errors name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Where it is from.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// Why policies did not load; those in force stay in force.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A folder or file of the bundle cannot be read.
    #[error("cannot read policies from {}: {source}", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder holds no policies.
    #[error("no *.rego files below {}: give a folder of policies, or none to use the embedded ones", .0.display())]
    Empty(PathBuf),
    /// A module is no Rego, or asks what it may not.
    #[error("{place}: {problem}")]
    Parse {
        /// File, line and column.
        place: String,
        /// What the parser says.
        problem: String,
    },
    /// The modules do not fit together.
    #[error("policies do not compile: {0}; every bundle must hold that rule")]
    Compile(String),
    /// Gatekeeper's policies cannot be read.
    #[error(transparent)]
    Documents(#[from] DocumentError),
    /// Gatekeeper's policies are refused.
    #[error(transparent)]
    Constraints(#[from] PoliciesError),
    /// The bundle gives no usable answer.
    #[error("policies do not answer for a trial pod: {problem}")]
    Trial {
        /// What went wrong.
        problem: String,
    },
}

impl LoadError {
    pub(super) fn parse(path: &str, error: &impl ToString) -> Self {
        let text = error.to_string();
        let (place, problem) =
            split_place(&text).unwrap_or_else(|| (path.to_string(), text.replace('\n', " ")));
        LoadError::Parse { place, problem }
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        LoadError::Parse {
            place: format!("{}:{}", refusal.name, refusal.line),
            problem: refusal.problem,
        }
    }

    pub(super) fn compile(entry_point: &str, error: &impl ToString) -> Self {
        let text = error.to_string();
        match split_place(&text) {
            Some((place, problem)) => LoadError::Parse { place, problem },
            None => LoadError::Compile(format!("{entry_point}: {text}")),
        }
    }
}

/// Regorus writes ` --> FILE:LINE:COLUMN`, the line of source with a caret below it, and
/// `error: WHAT`.
fn split_place(text: &str) -> Option<(String, String)> {
    let place = text.split("--> ").nth(1)?.lines().next()?.trim();
    let problem = text
        .lines()
        .find_map(|line| line.split_once("error: "))
        .map(|(_, problem)| problem.trim())?;
    Some((place.to_string(), problem.to_string()))
}

/// All that a bundle is made from, as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sources {
    pub(crate) modules: Vec<Module>,
    pub(crate) documents: Vec<Document>,
    pub(crate) allowed: Allowed,
}

impl Sources {
    /// Reads a folder of Rego, without which the embedded policies hold, and one of Gatekeeper's
    /// policies. Objects of other kinds in it are passed over.
    pub(crate) fn read(rego: Option<&Path>, gatekeeper: Option<&Path>) -> Result<Self, LoadError> {
        let modules = match rego {
            Some(folder) => directory(folder)?,
            None => embedded::modules(),
        };
        let mut found = Vec::new();
        for file in gatekeeper
            .map(documents::files)
            .transpose()?
            .unwrap_or_default()
        {
            found.extend(documents::read(&file)?);
        }
        Ok(Sources {
            modules,
            documents: found,
            allowed: Allowed::default(),
        })
    }

    /// The Rego and the documents of files, and of folders with all below them; those that are neither are passed
    /// over in folders.
    pub(crate) fn of_files(files: &[PathBuf]) -> Result<Self, LoadError> {
        let mut sources = Sources {
            modules: Vec::new(),
            documents: Vec::new(),
            allowed: Allowed::ALL,
        };
        for path in files {
            if path.is_dir() {
                let mut modules = Vec::new();
                collect(path, &mut modules)?;
                modules.sort();
                for module in modules {
                    sources.modules.push(read(module)?);
                }
                for file in documents::files(path)? {
                    sources.documents.extend(documents::read(&file)?);
                }
            } else if path
                .extension()
                .is_some_and(|extension| extension == "rego")
            {
                sources.modules.push(read(path.clone())?);
            } else {
                sources.documents.extend(documents::read(path)?);
            }
        }
        Ok(sources)
    }

    /// With what there is of `others` in the place of what is missing here.
    pub(crate) fn or(mut self, others: Sources) -> Self {
        if self.modules.is_empty() {
            self.modules = others.modules;
        }
        if self.documents.is_empty() {
            self.documents = others.documents;
        }
        self
    }

    /// Whether there is Rego among them.
    pub(crate) fn has_modules(&self) -> bool {
        !self.modules.is_empty()
    }

    /// Whether there are documents among them.
    pub(crate) fn has_documents(&self) -> bool {
        !self.documents.is_empty()
    }

    /// With these of the builtins that ask the data.
    pub(crate) fn allowing(mut self, allowed: Allowed) -> Self {
        self.allowed = allowed;
        self
    }
}

/// The modules of a folder, in the order of their paths.
pub(crate) fn directory(directory: &Path) -> Result<Vec<Module>, LoadError> {
    let mut paths = Vec::new();
    collect(directory, &mut paths)?;
    paths.sort();
    if paths.is_empty() {
        return Err(LoadError::Empty(directory.to_path_buf()));
    }
    paths.into_iter().map(read).collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    let failed = |source| LoadError::Read {
        path: directory.to_path_buf(),
        source,
    };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A mounted ConfigMap keeps its former contents in folders that begin with two dots.
        if name.starts_with("..") {
            continue;
        }
        if path.is_dir() {
            collect(&path, paths)?;
        } else if name.ends_with(".rego") && !name.ends_with("_test.rego") {
            paths.push(path);
        }
    }
    Ok(())
}

fn read(path: PathBuf) -> Result<Module, LoadError> {
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Module {
            path: path.display().to_string(),
            text,
        }),
        Err(source) => Err(LoadError::Read { path, source }),
    }
}
