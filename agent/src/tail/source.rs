//! Where a log comes from, and so its labels and its format.
//!
//! The labels are those promtail's users know. A container's log: `namespace`, `pod`, `container`,
//! `stream` (stdout or stderr), `node_name`, `filename`, and `job` as NAMESPACE/CONTAINER. A plain
//! file: `filename`, and `job` as configured.

use std::path::Path;

use model::labels::Labels;

use super::decoder::{Format, Stream};
use crate::cgroup::names::split_pod;

/// A log's labels and format.
#[derive(Clone, Debug)]
pub struct Source {
    /// How its lines are framed.
    pub format: Format,
    /// The labels, without the stream.
    only: Labels,
    stdout: Labels,
    stderr: Labels,
}

/// What all sources of a node share.
#[derive(Clone, Debug)]
pub struct Origin {
    /// `node_name`.
    pub node_name: String,
    /// `job` of plain files.
    pub job: String,
}

impl Origin {
    /// A container's log: `…/NAMESPACE_POD_UID/CONTAINER/N.log`. Nothing where the path is none.
    pub fn container(&self, path: &Path) -> Option<Source> {
        let folder = path.parent()?;
        let container = folder.file_name()?.to_str()?;
        let (namespace, pod, _) = split_pod(folder.parent()?.file_name()?.to_str()?)?;
        let labels = Labels::from_pairs([
            ("job", format!("{namespace}/{container}").as_str()),
            ("namespace", namespace),
            ("pod", pod),
            ("container", container),
            ("node_name", &self.node_name),
            ("filename", &path.to_string_lossy()),
        ]);
        Some(Source::new(Format::Container, labels))
    }

    /// A plain file, or one of docker's, which its name tells.
    pub fn plain(&self, path: &Path) -> Source {
        let filename = path.to_string_lossy();
        let format = if filename.ends_with("-json.log") {
            Format::Docker
        } else {
            Format::Plain
        };
        let labels = Labels::from_pairs([("job", self.job.as_str()), ("filename", &filename)]);
        Source::new(format, labels)
    }
}

impl Source {
    fn new(format: Format, only: Labels) -> Self {
        let with = |stream: &str| {
            let mut builder = only.to_builder();
            builder.set("stream", stream);
            builder.build()
        };
        Self {
            format,
            stdout: with("stdout"),
            stderr: with("stderr"),
            only,
        }
    }

    /// The labels of one of the log's streams.
    pub fn labels(&self, stream: Stream) -> &Labels {
        match stream {
            Stream::Only => &self.only,
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_from_the_path() {
        let origin = Origin {
            node_name: "n1".to_owned(),
            job: "varlogs".to_owned(),
        };
        let source = origin
            .container(Path::new("/var/log/pods/ns_web-0_u-i-d/app/3.log"))
            .expect("a container's log");
        assert_eq!(
            source.labels(Stream::Stderr).to_string(),
            r#"{container="app", filename="/var/log/pods/ns_web-0_u-i-d/app/3.log", job="ns/app", namespace="ns", node_name="n1", pod="web-0", stream="stderr"}"#
        );
        assert!(
            origin
                .container(Path::new("/var/log/pods/other/app/3.log"))
                .is_none()
        );
        let source = origin.plain(Path::new("/var/log/a.log"));
        assert_eq!(
            source.labels(Stream::Only).to_string(),
            r#"{filename="/var/log/a.log", job="varlogs"}"#
        );
        assert_eq!(
            origin.plain(Path::new("/x/y-json.log")).format,
            Format::Docker
        );
    }
}
