//! Objects from files: YAML or JSON, several documents a file, Lists of objects.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::yaml;

/// An object, and where it is from.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// `FILE`, or `FILE#N` for the N-th document of one that holds several.
    pub place: String,
    /// The object.
    pub object: Value,
}

/// Why a file gives no objects.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is neither YAML nor JSON.
    #[error("{place} is no YAML: {problem}")]
    Parse {
        /// The file, and which document of it.
        place: String,
        /// What the parser says.
        problem: String,
    },
}

impl Document {
    /// `apiVersion`'s group, and the kind.
    pub fn group_and_kind(&self) -> (&str, &str) {
        let text = |key| {
            self.object
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        (crate::review::group_of(text("apiVersion")), text("kind"))
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        self.object
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// The objects of a text; empty documents are passed over.
pub fn parse(place: &str, text: &str) -> Result<Vec<Document>, DocumentError> {
    let mut objects = Vec::new();
    for (i, document) in yaml::documents(text).enumerate() {
        let object = document.map_err(|error| DocumentError::Parse {
            place: format!("{place}#{}", i + 1),
            problem: error.to_string(),
        })?;
        match object {
            Value::Null => {}
            Value::Object(mut list)
                if list.get("kind").and_then(Value::as_str) == Some("List")
                    && list.get("items").is_some_and(Value::is_array) =>
            {
                if let Some(Value::Array(items)) = list.remove("items") {
                    objects.extend(items.into_iter().map(|item| (i + 1, item)));
                }
            }
            object => objects.push((i + 1, object)),
        }
    }
    let several = objects.len() > 1;
    Ok(objects
        .into_iter()
        .map(|(i, object)| Document {
            place: if several {
                format!("{place}#{i}")
            } else {
                place.to_string()
            },
            object,
        })
        .collect())
}

/// The objects of a file.
pub fn read(path: &Path) -> Result<Vec<Document>, DocumentError> {
    let text = fs::read_to_string(path).map_err(|source| DocumentError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    parse(&path.display().to_string(), &text)
}

/// The YAML and JSON files below a folder, in the order of their paths.
pub fn files(directory: &Path) -> Result<Vec<PathBuf>, DocumentError> {
    let mut found = Vec::new();
    collect(directory, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), DocumentError> {
    let failed = |source| DocumentError::Read {
        path: directory.to_path_buf(),
        source,
    };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // A mounted ConfigMap keeps its former contents in folders that begin with two dots.
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(".."));
        if hidden {
            continue;
        }
        if path.is_dir() {
            collect(&path, found)?;
        } else if is_document(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a file's name says that it holds objects.
pub fn is_document(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}
