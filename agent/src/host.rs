//! The machine's own files below injected roots: small texts of the kernel, read whole.
//!
//! A file that is not there is ordinary: kernels and hierarchies differ. One that may not be read
//! is said once and then treated as absent.

use std::collections::HashSet;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::io::Errno;

use crate::config::Roots;

/// The longest file that is read; the kernel's are far shorter.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The most paths that are said and remembered.
const SAID_MAX: usize = 1024;

/// Reads the kernel's files.
#[derive(Debug)]
pub struct HostFiles {
    /// Where they are.
    pub roots: Roots,
    unreadable: Mutex<HashSet<PathBuf>>,
}

impl HostFiles {
    /// The files below these roots.
    pub fn new(roots: Roots) -> Self {
        Self {
            roots,
            unreadable: Mutex::default(),
        }
    }

    /// A file below proc, or nothing.
    pub fn proc(&self, path: &str) -> Option<String> {
        self.read(&self.roots.proc.join(path))
    }

    /// A file below sys, or nothing.
    pub fn sys(&self, path: &str) -> Option<String> {
        self.read(&self.roots.sys.join(path))
    }

    /// A file, or nothing.
    pub fn read(&self, path: &Path) -> Option<String> {
        match read_text(path) {
            Ok(text) => Some(text),
            Err(error) => {
                self.say_once(path, &error);
                None
            }
        }
    }

    /// The names in a folder, sorted; none where it cannot be read.
    pub fn names(&self, folder: &Path) -> Vec<String> {
        names_in(folder).unwrap_or_else(|error| {
            self.say_once(folder, &error);
            Vec::new()
        })
    }

    /// Says that a path cannot be read, unless it was said or the path is simply not there.
    pub fn say_once(&self, path: &Path, error: &io::Error) {
        if is_absence(error) {
            return;
        }
        let mut unreadable = self.unreadable.lock();
        if unreadable.len() < SAID_MAX && unreadable.insert(path.to_owned()) {
            tracing::warn!(path = %path.display(), %error, "cannot be read and is left out");
        }
    }
}

/// The names in a folder, sorted.
pub(crate) fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = std::fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Whether an error says that there is nothing: no such file, a controller that is off, a group or
/// process that went away between opening and reading.
fn is_absence(error: &io::Error) -> bool {
    let gone = [Errno::NODEV, Errno::SRCH].map(Errno::raw_os_error);
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::Unsupported
    ) || error
        .raw_os_error()
        .is_some_and(|code| gone.contains(&code))
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
