//! Snapshots of a data folder: both stores as they are, in a folder of the same shape.
//!
//! `DATA/snapshots/NAME` holds `metrics/` and `logs/`; started with `--data DATA/snapshots/NAME`, or copied
//! elsewhere first, the program serves what was stored when the snapshot was made. It has its name only once it is
//! whole. Parts are hard links, so a snapshot takes no room until merges replace what it holds; nothing
//! removes it but who made it.

use std::path::{Path, PathBuf};

use tsdb::api::admin::Snapshots;

use crate::wiring::Stores;

/// Makes snapshots below a data folder.
pub(crate) struct DataSnapshots {
    dir: PathBuf,
    stores: Stores,
}

impl DataSnapshots {
    /// Of the stores of a data folder.
    pub(crate) fn new(data: &Path, stores: Stores) -> Self {
        Self {
            dir: data.join("snapshots"),
            stores,
        }
    }
}

impl Snapshots for DataSnapshots {
    fn make(&self, name: &str) -> Result<(), String> {
        let partial = self.dir.join(format!("{name}.partial"));
        let made = self.stores.tsdb.store().snapshot(&partial.join("metrics"));
        made.map_err(|error| error.to_string())?;
        let made = self.stores.logs.snapshot_to(&partial.join("logs"));
        made.map_err(|error| error.to_string())?;
        let path = self.dir.join(name);
        std::fs::rename(&partial, &path)
            .and_then(|()| std::fs::File::open(&self.dir)?.sync_all())
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}
