//! What is imported: a file, unpacked, in the format that it is in, or a block of Prometheus.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, anyhow, bail};
use model::wire::exposition;
use storage::disk::real::RealDisk;
use tsdb::transfer::detect::{HEAD_BYTES, TextFormat, detect};
use tsdb::transfer::json_lines::reader::JsonLines;
use tsdb::transfer::open_metrics::reader::OpenMetrics;
use tsdb::transfer::prometheus::block::Block;
use tsdb::transfer::{InputError, Piece, Position, Source};

use super::checkpoint::Identity;
use crate::cli::moving::ImportFormat;

/// Memory that unpacking xz may take, in KiB.
const XZ_MEMORY_KIB_MAX: u32 = 512 << 10;

/// One thing to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// `-`
    Standard,
    /// Text.
    File(PathBuf),
    /// A block of Prometheus.
    Block(PathBuf),
}

impl Input {
    /// What the command line names: a folder may hold many blocks. The notes are for the user.
    pub(super) fn find(named: &Path) -> anyhow::Result<(Vec<Self>, Option<String>)> {
        if named.as_os_str() == "-" {
            return Ok((vec![Self::Standard], None));
        }
        let metadata = named.metadata();
        let metadata = metadata.with_context(|| format!("cannot read {}", named.display()))?;
        if !metadata.is_dir() {
            return Ok((vec![Self::File(named.to_owned())], None));
        }
        if named.join("meta.json").exists() {
            return Ok((vec![Self::Block(named.to_owned())], None));
        }
        let mut blocks = Vec::new();
        let entries = named.read_dir();
        for entry in entries.with_context(|| format!("cannot read {}", named.display()))? {
            let path = entry?.path();
            if path.join("meta.json").exists() {
                blocks.push(Self::Block(path));
            }
        }
        // Their names begin with the time at which they were written.
        blocks.sort_by(|a, b| a.path().cmp(&b.path()));
        if blocks.is_empty() {
            bail!(
                "{}: neither a block of Prometheus (it has no meta.json) nor a folder of blocks",
                named.display()
            );
        }
        let has_log = named.join("wal").exists();
        let note = has_log.then(|| {
            format!(
                "{}: its write-ahead log is not read, which holds the newest two or three hours; to have them too, import a snapshot (POST /api/v1/admin/tsdb/snapshot)",
                named.display()
            )
        });
        Ok((blocks, note))
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Standard => None,
            Self::File(path) | Self::Block(path) => Some(path),
        }
    }

    /// How it is named in messages.
    pub(super) fn name(&self) -> String {
        let path = self.path();
        path.map_or_else(
            || "standard input".to_owned(),
            |path| path.display().to_string(),
        )
    }

    /// What tells it apart; nothing for what cannot be read twice.
    pub(super) fn identity(&self) -> anyhow::Result<Option<Identity>> {
        let file = match self {
            Self::Standard => return Ok(None),
            Self::File(path) => path.clone(),
            Self::Block(path) => path.join("index"),
        };
        let identity = Identity::of(&file);
        Ok(Some(identity.with_context(|| {
            format!("cannot read {}", file.display())
        })?))
    }

    /// Opens it behind what was imported already.
    pub(super) fn open(
        &self,
        format: Option<ImportFormat>,
        start: Position,
    ) -> anyhow::Result<OpenInput> {
        match self {
            Self::Block(path) => {
                let block = Block::open(&RealDisk, path, start)?;
                Ok(OpenInput::Block(Box::new(block)))
            }
            Self::File(path) => {
                let file = File::open(path)?;
                let length = file.metadata().map(|metadata| metadata.len()).ok();
                OpenInput::text(
                    Box::new(file),
                    length.filter(|length| *length > 0),
                    format,
                    start,
                )
            }
            Self::Standard => OpenInput::text(Box::new(io::stdin()), None, format, start),
        }
    }
}

/// An input that is being read.
pub(super) enum OpenInput {
    /// A block.
    Block(Box<Block>),
    /// Text, how much of it was read before it was unpacked, and how much there is.
    Text(Box<dyn Source>, Arc<AtomicU64>, Option<u64>),
}

impl OpenInput {
    fn text(
        raw: Box<dyn Read>,
        length: Option<u64>,
        format: Option<ImportFormat>,
        start: Position,
    ) -> anyhow::Result<Self> {
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            raw,
            read: Arc::clone(&read),
        };
        let mut text = unpacked(BufReader::with_capacity(256 << 10, counted))?;
        let format = match format {
            Some(ImportFormat::Jsonl) => TextFormat::JsonLines,
            Some(ImportFormat::Openmetrics) => {
                TextFormat::Exposition(exposition::Format::OpenMetrics)
            }
            Some(ImportFormat::Text) => TextFormat::Exposition(exposition::Format::Text),
            None => detect(text.fill_buf()?).ok_or_else(|| {
                anyhow!("neither JSON lines nor OpenMetrics nor Prometheus' text; say which it is with --format")
            })?,
        };
        let source: Box<dyn Source> = match format {
            TextFormat::JsonLines => Box::new(JsonLines::new(text, start)?),
            TextFormat::Exposition(format) => Box::new(OpenMetrics::new(text, format, start)?),
        };
        Ok(Self::Text(source, read, length))
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, InputError> {
        match self {
            Self::Block(block) => block.next(),
            Self::Text(source, ..) => source.next(),
        }
    }

    /// How much of it was read, and how much there is where that is known, in bytes.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        match self {
            Self::Block(block) => {
                let (read, whole) = block.progress();
                (read, Some(whole))
            }
            Self::Text(_, read, whole) => (read.load(Ordering::Relaxed), *whole),
        }
    }
}

/// Counts what is read.
struct Counted {
    raw: Box<dyn Read>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.raw.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The text, by the first bytes of what it may be packed with. Its buffer holds enough to tell the
/// format by.
fn unpacked(mut packed: BufReader<Counted>) -> anyhow::Result<Box<dyn BufRead>> {
    let head = packed.fill_buf()?;
    let text: Box<dyn Read> = match head {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(lzma_rust2::XzReader::new_mem_limit(
            packed,
            true,
            XZ_MEMORY_KIB_MAX,
        )),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(ZstdFrames::new(packed)?),
        _ => Box::new(packed),
    };
    let mut text = BufReader::with_capacity(
        HEAD_BYTES,
        Filled {
            raw: text,
            pending: None,
        },
    );
    text.fill_buf()?;
    Ok(Box::new(text))
}

/// Fills a whole buffer at each read, so that the first one holds what the format is told by.
struct Filled {
    raw: Box<dyn Read>,
    /// What went wrong behind the last bytes that were returned.
    pending: Option<io::Error>,
}

impl Read for Filled {
    fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.pending.take() {
            return Err(error);
        }
        let mut filled = 0;
        while !buffer.is_empty() {
            match self.raw.read(buffer) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    buffer = buffer.get_mut(count..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if filled == 0 => return Err(error),
                Err(error) => {
                    self.pending = Some(error);
                    break;
                }
            }
        }
        Ok(filled)
    }
}

/// Frames of zstd, one behind the other.
struct ZstdFrames {
    frame: Option<
        ruzstd::decoding::StreamingDecoder<BufReader<Counted>, ruzstd::decoding::FrameDecoder>,
    >,
}

impl ZstdFrames {
    fn new(packed: BufReader<Counted>) -> io::Result<Self> {
        let frame = ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?;
        Ok(Self { frame: Some(frame) })
    }
}

impl Read for ZstdFrames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(frame) = &mut self.frame {
            let count = frame.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some(frame) = self.frame.take() else {
                break;
            };
            let mut packed = frame.into_inner();
            if !packed.fill_buf()?.is_empty() {
                *self = Self::new(packed)?;
            }
        }
        Ok(0)
    }
}
