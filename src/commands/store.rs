//! The metrics store of a data folder that no server has open.

use std::any::Any;
use std::sync::Arc;

use anyhow::anyhow;
use storage::clock::SystemClock;
use storage::disk::real::RealDisk;
use tsdb::Tsdb;

use crate::cli::RunArgs;
use crate::cli::moving::PlaceArgs;
use crate::config::Config;
use crate::stores::{lock_data, open_metrics};

/// A store that this process alone has.
pub(super) struct ClosedStore {
    pub(super) tsdb: Tsdb,
    pub(super) config: Config,
    _lock: Box<dyn Any + Send + Sync>,
}

/// Opens the store that the command line names. `otherwise` says what to do where a server has it.
pub(super) fn open(place: &PlaceArgs, otherwise: &str) -> anyhow::Result<ClosedStore> {
    let config = Config::load(&RunArgs {
        config: place.config.clone(),
        data: place.data.clone(),
        ..RunArgs::default()
    })?;
    let lock = lock_data(&config.data)
        .map_err(|error| anyhow!("{error:#}; {otherwise} --url http://{}", config.http))?;
    let tsdb = open_metrics(&config, Arc::new(RealDisk), Arc::new(SystemClock))?.0;
    Ok(ClosedStore {
        tsdb,
        config,
        _lock: lock,
    })
}
