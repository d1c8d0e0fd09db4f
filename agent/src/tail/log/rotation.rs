//! Which file becomes which generation: the file under the path, and those beside it.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::{Log, Shared};
use crate::tail::batch::GenerationNumber;
use crate::tail::discover::Folders;
use crate::tail::generation::{Generation, modified_nanos};
use crate::tail::identity::{
    FileId, PREFIX_BYTES_MAX, Prefix, compressed_content_bytes, first_bytes, first_bytes_compressed,
};

/// The most compressed files whose length is remembered between two looks.
const LENGTHS_MAX: usize = 1024;

/// A file beside the path that is no generation by its inode.
struct Candidate {
    path: PathBuf,
    id: FileId,
    metadata: Metadata,
    compressed: bool,
    /// The first bytes of its content.
    first: Vec<u8>,
    /// The length of its content; modulo 2^32 where it is compressed.
    content_bytes: u64,
}

impl Log {
    /// Opens the file that is now under the path: a generation the checkpoint knew, or a new one.
    pub(super) fn open_active(&mut self, id: FileId, shared: &mut Shared<'_>) {
        let path = self.path.clone();
        let first = match File::open(&path).and_then(|file| first_bytes(&file, PREFIX_BYTES_MAX)) {
            Ok(first) => first,
            Err(error) => return shared.say_unreadable(&path, &error),
        };
        shared.unreadable.remove(&path);
        if let Some(number) = self.reopen(&path, id, &first, shared) {
            self.active = Some(number);
            return;
        }
        let number = shared.number();
        let mut generation = Generation::new(number, self.source.format, 0, shared.line_bytes_max);
        match generation.attach(&path, id) {
            Ok(()) => {
                if !self.generations.is_empty() {
                    shared.metrics.rotations.inc();
                }
                self.generations.push(generation);
                self.active = Some(number);
            }
            Err(error) => shared.say_unreadable(&path, &error),
        }
    }

    /// Finds a generation by its inode, and that the inode still holds its bytes; opens it unless it
    /// is read to the end. A generation whose inode holds other bytes loses it.
    fn reopen(
        &mut self,
        path: &Path,
        id: FileId,
        first: &[u8],
        shared: &mut Shared<'_>,
    ) -> Option<GenerationNumber> {
        let generation = self.generations.iter_mut().find(|g| g.id == id)?;
        if generation.is_open() {
            return Some(generation.number);
        }
        let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
        if !generation.prefix.begins(first) || length < generation.position() {
            generation.detach(shared.now);
            return None;
        }
        match generation.attach(path, id) {
            Ok(()) => Some(generation.number),
            Err(error) => {
                shared.say_unreadable(path, &error);
                None
            }
        }
    }

    /// Looks through the files beside the path for generations and for copies of them.
    pub fn adopt(&mut self, folders: &mut Folders, shared: &mut Shared<'_>) {
        let mut unknown = Vec::new();
        let mut siblings = folders.siblings(&self.path);
        // Docker rotates where the link in the pod's folder points to.
        if fs::read_link(&self.path).is_ok()
            && let Ok(target) = fs::canonicalize(&self.path)
        {
            siblings.extend(folders.siblings(&target));
        }
        for path in siblings {
            match self.known(&path, shared) {
                Ok(None) => {}
                Ok(Some(candidate)) => unknown.push(candidate),
                Err(error) => shared.say_unreadable(&path, &error),
            }
        }
        unknown.sort_by_key(|candidate| modified_nanos(&candidate.metadata));
        for candidate in unknown {
            self.adopt_one(&candidate, shared);
        }
    }

    /// Nothing where a file is a generation by its inode, is none of ours, or cannot be judged yet.
    fn known(&mut self, path: &Path, shared: &Shared<'_>) -> io::Result<Option<Candidate>> {
        let metadata = fs::metadata(path)?;
        let id = FileId::of(&metadata);
        let same = self.generations.iter().position(|g| g.id == id);
        let settled = same
            .and_then(|at| self.generations.get_mut(at))
            .is_some_and(|g| is_settled(g, &metadata, shared));
        let old = modified_nanos(&metadata) < shared.since;
        let nothing_missing = || self.generations.iter().all(|g| g.is_open() || g.finished);
        let foreign = !metadata.is_file() || (same.is_none() && old && nothing_missing());
        if settled || foreign {
            return Ok(None);
        }
        let Some(candidate) = self.peek(path, metadata)? else {
            return Ok(None);
        };
        let Some(generation) = same.and_then(|at| self.generations.get_mut(at)) else {
            return Ok(Some(candidate));
        };
        if !generation.prefix.begins(&candidate.first) {
            // The inode came back under another file; of an empty one nothing can be said.
            generation.id = FileId::default();
            return Ok(Some(candidate));
        }
        generation.see(&candidate.metadata);
        let read = candidate.compressed || candidate.content_bytes <= generation.position();
        if generation.finished && read {
            generation.idle_since = Some(shared.now);
            return Ok(None);
        }
        Ok(Some(candidate))
    }

    /// Reads what identifies a file; nothing where a compressed file may still be written.
    fn peek(&mut self, path: &Path, metadata: Metadata) -> io::Result<Option<Candidate>> {
        let id = FileId::of(&metadata);
        let compressed = path.extension().is_some_and(|extension| extension == "gz");
        let file = File::open(path)?;
        let (first, content_bytes) = if compressed {
            if self.compressed_lengths.len() > LENGTHS_MAX {
                self.compressed_lengths.clear();
            }
            let length = self.compressed_lengths.insert(id, metadata.len());
            if length != Some(metadata.len()) {
                return Ok(None);
            }
            let content_bytes = compressed_content_bytes(&file)?;
            (first_bytes_compressed(&file)?, u64::from(content_bytes))
        } else {
            (first_bytes(&file, PREFIX_BYTES_MAX)?, metadata.len())
        };
        Ok(Some(Candidate {
            path: path.to_owned(),
            id,
            metadata,
            compressed,
            first,
            content_bytes,
        }))
    }

    fn adopt_one(&mut self, candidate: &Candidate, shared: &mut Shared<'_>) {
        if let Some(position) = self.position_of(candidate) {
            let Some(generation) = self.generations.get_mut(position) else {
                return;
            };
            if generation.is_open() {
                // A copy in the making; what it is for will show.
                return;
            }
            if generation.finished && candidate.id != generation.id {
                generation.id = candidate.id;
                generation.see(&candidate.metadata);
                generation.idle_since = Some(shared.now);
                return;
            }
            if let Err(error) = attach(generation, candidate) {
                shared.say_unreadable(&candidate.path, &error);
            }
            return;
        }
        if candidate.first.is_empty() || modified_nanos(&candidate.metadata) < shared.since {
            return;
        }
        let number = shared.number();
        let mut generation = Generation::new(number, self.source.format, 0, shared.line_bytes_max);
        match attach(&mut generation, candidate) {
            Ok(()) => {
                shared.metrics.rotations.inc();
                // Behind all that is older, before the file under the path.
                let active = self.active;
                let at = self
                    .generations
                    .iter()
                    .position(|g| Some(g.number) == active)
                    .unwrap_or(self.generations.len());
                self.generations.insert(at, generation);
            }
            Err(error) => shared.say_unreadable(&candidate.path, &error),
        }
    }

    /// The generation a candidate is or is a copy of: one that lost its bytes before a finished one,
    /// a finished one before one that is being read.
    fn position_of(&self, candidate: &Candidate) -> Option<usize> {
        let begins = |g: &Generation| g.prefix.begins(&candidate.first);
        let modulus = if candidate.compressed {
            1 << 32
        } else {
            u64::MAX
        };
        let find =
            |matches: &dyn Fn(&Generation) -> bool| self.generations.iter().position(matches);
        find(&|g| {
            let wanted = !g.finished || g.id == candidate.id;
            let long_enough = candidate.compressed || candidate.content_bytes >= g.position();
            !g.is_open() && long_enough && wanted && begins(g)
        })
        .or_else(|| {
            find(&|g| g.finished && begins(g) && candidate.content_bytes == g.position() % modulus)
        })
        .or_else(|| find(&|g| g.is_open() && begins(g)))
    }
}

/// Whether nothing new can be learnt of a generation from its file: it is being read, or it is
/// finished and the file is as it was. What is there is remembered.
fn is_settled(generation: &mut Generation, metadata: &Metadata, shared: &Shared<'_>) -> bool {
    if generation.is_open() {
        return true;
    }
    let settled = generation.finished && generation.is_as_seen(metadata);
    if settled {
        generation.idle_since = Some(shared.now);
    }
    settled
}

fn attach(generation: &mut Generation, candidate: &Candidate) -> io::Result<()> {
    if candidate.compressed {
        generation.attach_compressed(&candidate.path, candidate.id)?;
        generation.prefix = Prefix::of(&candidate.first);
        Ok(())
    } else {
        generation.attach(&candidate.path, candidate.id)
    }
}
