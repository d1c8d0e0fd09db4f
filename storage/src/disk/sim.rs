//! A disk in memory that fails on request, the same way every time for the same seed.
//!
//! It keeps two states: what the kernel has (what a process that is killed leaves) and what is on
//! the medium (what a power loss leaves). `sync` and `sync_dir` move the one into the other.
//! Operations that change anything are counted; a [`Fault`] names the operation it befalls. After
//! [`Fault::Crash`] every operation fails until [`SimDisk::after_kill`] or
//! [`SimDisk::after_power_loss`] makes the disk that the next start finds.
//!
//! A crash test runs a workload once to learn how many operations it has, then once for each of
//! them with a crash there: see `tests/crash.rs`.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, ReadFile, WriteFile};

/// What goes wrong, at the n-th changing operation (counted from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies there. A write may have left any prefix.
    Crash(u64),
    /// A write stops half-way with an error; later ones succeed.
    ShortWrite(u64),
    /// A sync fails; later ones succeed.
    SyncError(u64),
    /// From that operation on the medium is full, until [`SimDisk::heal`].
    Full(u64),
    /// From that operation on the file system is read-only, until [`SimDisk::heal`].
    ReadOnly(u64),
}

/// A disk in memory.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What the kernel has.
    names: BTreeMap<PathBuf, FileId>,
    /// What the medium has.
    durable_names: BTreeMap<PathBuf, FileId>,
    /// Changes of names since their folder was synced, in order.
    pending_names: Vec<(PathBuf, Option<FileId>)>,
    files: HashMap<FileId, FileState>,
    next_file: u64,
    operations: u64,
    faults: Vec<Fault>,
    crashed: bool,
    locked: Vec<PathBuf>,
    random: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FileId(u64);

#[derive(Clone, Debug, Default)]
struct FileState {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

enum Allowed {
    Whole,
    Prefix(io::Error),
}

impl SimDisk {
    /// An empty disk; `seed` decides what half-done writes leave.
    pub fn new(seed: u64) -> Self {
        let disk = Self::default();
        disk.state.lock().random = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
        disk
    }

    /// Adds a fault.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// Takes all faults away: room returns, the medium works.
    pub fn heal(&self) {
        self.state.lock().faults.clear();
    }

    /// How many changing operations there were.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Whether the crash has happened.
    pub fn has_crashed(&self) -> bool {
        self.state.lock().crashed
    }

    /// The disk after the process was killed: everything the kernel took is there.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let state = self.state.lock();
        let files = state
            .files
            .iter()
            .map(|(id, file)| {
                let file = FileState {
                    bytes: file.bytes.clone(),
                    durable: file.durable.clone(),
                };
                (*id, file)
            })
            .collect();
        Self {
            state: Arc::new(Mutex::new(State {
                names: state.names.clone(),
                durable_names: state.durable_names.clone(),
                pending_names: state.pending_names.clone(),
                files,
                next_file: state.next_file,
                random: state.random,
                ..State::default()
            })),
        }
    }

    /// The disk after the power went: what was synced is there, of the rest any prefix.
    #[must_use]
    pub fn after_power_loss(&self) -> Self {
        let mut state = self.state.lock();
        let pending = state.pending_names.len() as u64;
        let kept = state.below(pending + 1) as usize;
        let mut names = state.durable_names.clone();
        for (path, file) in state.pending_names.clone().into_iter().take(kept) {
            apply_name(&mut names, path, file);
        }
        let mut files = HashMap::new();
        let mut ids: Vec<FileId> = state.files.keys().copied().collect();
        ids.sort_by_key(|id| id.0);
        for id in ids {
            let Some(file) = state.files.get(&id).cloned() else {
                continue;
            };
            let bytes = if file.bytes.starts_with(&file.durable) {
                let unsynced = (file.bytes.len() - file.durable.len()) as u64;
                let kept = file.durable.len() + state.below(unsynced + 1) as usize;
                file.bytes.iter().take(kept).copied().collect()
            } else {
                file.durable.clone()
            };
            let durable = bytes.clone();
            files.insert(id, FileState { bytes, durable });
        }
        Self {
            state: Arc::new(Mutex::new(State {
                durable_names: names.clone(),
                names,
                files,
                next_file: state.next_file,
                random: state.random,
                ..State::default()
            })),
        }
    }

    /// Flips one bit of a file, in the kernel and on the medium. `false` where there is none.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> bool {
        let mut state = self.state.lock();
        let Some(id) = state.names.get(path).copied() else {
            return false;
        };
        let Some(file) = state.files.get_mut(&id) else {
            return false;
        };
        let (at, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        if let Some(byte) = file.durable.get_mut(at) {
            *byte ^= mask;
        }
        match file.bytes.get_mut(at) {
            Some(byte) => {
                *byte ^= mask;
                true
            }
            None => false,
        }
    }

    /// Every file with its length in bytes.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state.lock();
        state
            .names
            .iter()
            .map(|(path, id)| {
                let length = state.files.get(id).map_or(0, |file| file.bytes.len());
                (path.clone(), length as u64)
            })
            .collect()
    }
}

impl State {
    /// The next random number below `bound` (xorshift: reproducible, not secure).
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound.max(1)
    }

    fn alive(&self) -> io::Result<()> {
        if self.crashed {
            return Err(io::Error::other("simulated crash"));
        }
        Ok(())
    }

    /// Counts a changing operation and says whether it may happen.
    fn operation(&mut self, is_sync: bool, takes_room: bool) -> io::Result<Allowed> {
        self.alive()?;
        let number = self.operations;
        self.operations += 1;
        for fault in self.faults.clone() {
            match fault {
                Fault::Crash(at) if at == number => {
                    self.crashed = true;
                    return Ok(Allowed::Prefix(io::Error::other("simulated crash")));
                }
                Fault::ShortWrite(at) if at == number && takes_room => {
                    let error = io::Error::other("simulated short write");
                    return Ok(Allowed::Prefix(error));
                }
                Fault::SyncError(at) if at == number && is_sync => {
                    return Err(io::Error::other("simulated fsync error"));
                }
                Fault::Full(from) if from <= number && takes_room => {
                    return Ok(Allowed::Prefix(io::ErrorKind::StorageFull.into()));
                }
                Fault::ReadOnly(from) if from <= number => {
                    return Err(io::ErrorKind::ReadOnlyFilesystem.into());
                }
                _ => {}
            }
        }
        Ok(Allowed::Whole)
    }

    /// An operation that either happens or does not.
    fn atomic(&mut self, is_sync: bool, takes_room: bool) -> io::Result<()> {
        match self.operation(is_sync, takes_room)? {
            Allowed::Whole => Ok(()),
            Allowed::Prefix(error) => Err(error),
        }
    }

    fn set_name(&mut self, path: PathBuf, file: Option<FileId>) {
        apply_name(&mut self.names, path.clone(), file);
        self.pending_names.push((path, file));
    }

    fn file(&mut self, id: FileId) -> &mut FileState {
        self.files.entry(id).or_default()
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, FileId>, path: PathBuf, file: Option<FileId>) {
    match file {
        Some(file) => names.insert(path, file),
        None => names.remove(&path),
    };
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("{}: no such file", path.display()),
    )
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn WriteFile>> {
        let mut state = self.state.lock();
        state.atomic(false, true)?;
        let id = FileId(state.next_file);
        state.next_file += 1;
        state.files.insert(id, FileState::default());
        state.set_name(path.to_owned(), Some(id));
        Ok(Arc::new(self.handle(id)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let state = self.state.lock();
        state.alive()?;
        let id = *state.names.get(path).ok_or_else(|| not_found(path))?;
        Ok(Arc::new(self.handle(id)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.atomic(false, false)?;
        let id = *state.names.get(from).ok_or_else(|| not_found(from))?;
        // The new name first: a power loss may leave the file under both names, never under none.
        apply_name(&mut state.names, from.to_owned(), None);
        state.set_name(to.to_owned(), Some(id));
        state.pending_names.push((from.to_owned(), None));
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.atomic(false, true)?;
        let id = *state.names.get(from).ok_or_else(|| not_found(from))?;
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.set_name(to.to_owned(), Some(id));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.atomic(false, false)?;
        if !state.names.contains_key(path) {
            return Err(not_found(path));
        }
        state.set_name(path.to_owned(), None);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        state.alive()?;
        let mut names: Vec<String> = state
            .names
            .keys()
            .filter(|path| path.parent() == Some(dir))
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        self.state.lock().alive()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.atomic(true, false)?;
        let pending = std::mem::take(&mut state.pending_names);
        for (path, file) in pending {
            if path.parent() == Some(dir) {
                apply_name(&mut state.durable_names, path, file);
            } else {
                state.pending_names.push((path, file));
            }
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut state = self.state.lock();
        state.alive()?;
        if state.locked.iter().any(|locked| locked == path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locked.push(path.to_owned());
        Ok(Box::new(SimLock {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }
}

impl SimDisk {
    fn handle(&self, id: FileId) -> SimFile {
        SimFile {
            disk: self.clone(),
            id,
        }
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state.lock();
        state.locked.retain(|locked| *locked != self.path);
    }
}

struct SimFile {
    disk: SimDisk,
    id: FileId,
}

impl WriteFile for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        match state.operation(false, true)? {
            Allowed::Whole => {
                state.file(self.id).bytes.extend_from_slice(bytes);
                Ok(())
            }
            Allowed::Prefix(error) => {
                let kept = state.below(bytes.len() as u64 + 1) as usize;
                let prefix = bytes.iter().take(kept);
                state.file(self.id).bytes.extend(prefix);
                Err(error)
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.atomic(true, false)?;
        let file = state.file(self.id);
        file.durable = file.bytes.clone();
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.atomic(false, false)?;
        state.file(self.id).bytes.truncate(length as usize);
        Ok(())
    }
}

impl ReadFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state.lock();
        state.alive()?;
        Ok(state.file(self.id).bytes.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.alive()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.saturating_add(buffer.len());
        let bytes = state.file(self.id).bytes.get(start..end);
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
