//! Files with a key in them: readable by nobody else, and never half written.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::CertificateError;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Its owner.
    Owner,
    /// Everybody: it holds no secret.
    Everybody,
}

/// Writes a file whole, or not at all: a neighbour takes the text, is made durable, and then
/// takes the name.
pub(super) fn write(path: &Path, text: &str, readers: Readers) -> Result<(), CertificateError> {
    let attempt = || {
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let neighbour = path.with_extension("new");
        // The mode is given to a file that is made, not to one that is there.
        match fs::remove_file(&neighbour) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mode = match readers {
            Readers::Owner => 0o600,
            Readers::Everybody => 0o644,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&neighbour)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&neighbour, path)?;
        File::open(directory)?.sync_all()
    };
    attempt().map_err(|source| CertificateError::Write {
        path: path.to_path_buf(),
        source,
    })
}
