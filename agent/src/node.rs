//! What the kernel says of the machine, under node_exporter's names: `node_*`.
//!
//! Each module reads one corner of proc or sys and writes its families; the parsers are pure, and
//! what a kernel does not offer is left out. A counter is exposed as the kernel counts it, only its
//! unit is brought to seconds and bytes.
//!
//! - [`cpu`]: time by mode, load, scheduler totals, pressure.
//! - [`memory`]: meminfo and vmstat.
//! - [`disk`]: block devices, from diskstats.
//! - [`filesystem`]: sizes of mounted filesystems.
//! - [`netdev`]: the interfaces of the host.
//! - [`system`]: time, name, file handles, connection tracking.

pub mod cpu;
pub mod disk;
pub mod filesystem;
pub mod memory;
pub mod netdev;
pub mod system;
#[cfg(test)]
mod tests;

use crate::clock::Clock;
use crate::config::Roots;
use crate::expose::Exposition;
use crate::host::HostFiles;

/// Reads the machine.
#[derive(Debug)]
pub struct NodeCollector {
    host: HostFiles,
    clock: Clock,
}

impl NodeCollector {
    /// A collector below these roots.
    pub fn new(roots: Roots) -> Self {
        Self::at(roots, Clock::system())
    }

    /// A collector by a clock of the caller's.
    pub fn at(roots: Roots, clock: Clock) -> Self {
        Self {
            host: HostFiles::new(roots),
            clock,
        }
    }

    /// The figures of now, as an exposition. Blocks on files.
    pub fn expose(&self) -> Result<String, String> {
        let mut body = Exposition::default();
        cpu::write(&self.host, &mut body);
        memory::write(&self.host, &mut body);
        disk::write(&self.host, &mut body);
        filesystem::write(&self.host, &mut body);
        netdev::write(&self.host, &mut body);
        system::write(&self.host, self.clock.now(), &mut body);
        Ok(body.into_text())
    }
}
