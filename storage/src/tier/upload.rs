//! A file becomes an object, and is read back before anybody believes it.
//!
//! The CRC-32C of the whole file is taken while it is sent, and again over every byte that the bucket gives
//! back, with the length; a server's own checksum is not asked for, because not every server keeps
//! one and none covers the way back. An object that differs is removed.

use bytes::Bytes;
use object_store::PutPayload;

use super::TierError;
use super::bucket::{Bucket, Request};
use crate::disk::ReadFile;

/// Bytes sent or read back by one request.
const PIECE_BYTES: u64 = 8 << 20;

impl Bucket {
    /// Writes a file's first `length` bytes as an object, and verifies it.
    pub(super) fn upload(
        &self,
        key: &str,
        file: &dyn ReadFile,
        length: u64,
    ) -> Result<(), TierError> {
        let checksum = if length <= PIECE_BYTES {
            let piece = read(file, 0..length)?;
            let checksum = crc32c::crc32c(&piece);
            self.put(key, piece)?;
            checksum
        } else {
            self.upload_in_pieces(key, file, length)?
        };
        let verified = self.verify(key, length, checksum);
        if let Err(TierError::Differs { .. }) = &verified {
            // Nothing names it yet. If it stays the next upload replaces it.
            let _ = self.remove(key);
        }
        verified
    }

    fn upload_in_pieces(
        &self,
        key: &str,
        file: &dyn ReadFile,
        length: u64,
    ) -> Result<u32, TierError> {
        let mut upload = self.begin(key)?;
        let mut send = || {
            let mut checksum = 0;
            for range in pieces(length) {
                self.go_on(key)?;
                let piece = read(file, range)?;
                checksum = crc32c::crc32c_append(checksum, &piece);
                self.ask(
                    Request::Change,
                    key,
                    upload.put_part(PutPayload::from(piece)),
                )?;
            }
            Ok(checksum)
        };
        match send() {
            Ok(checksum) => {
                self.ask(Request::Change, key, async move { upload.complete().await })?;
                Ok(checksum)
            }
            Err(error) => {
                // Pieces that stay are the bucket's to clean up, by its lifecycle rules.
                let _ = self.ask(Request::Change, key, async move { upload.abort().await });
                Err(error)
            }
        }
    }

    fn verify(&self, key: &str, length: u64, checksum: u32) -> Result<(), TierError> {
        let differs = |reason: String| TierError::Differs {
            url: self.url_of(key),
            reason,
        };
        let found = self.length(key)?;
        if found != length {
            return Err(differs(format!("{found} bytes instead of {length}")));
        }
        let mut found = 0;
        for range in pieces(length) {
            self.go_on(key)?;
            found = crc32c::crc32c_append(found, &self.get_range(key, range)?);
        }
        if found != checksum {
            let reason = format!("CRC-32C {found:08x} instead of {checksum:08x}");
            return Err(differs(reason));
        }
        Ok(())
    }
}

fn pieces(length: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..length.div_ceil(PIECE_BYTES)).map(move |piece| {
        let start = piece * PIECE_BYTES;
        start..(start + PIECE_BYTES).min(length)
    })
}

fn read(file: &dyn ReadFile, range: std::ops::Range<u64>) -> Result<Bytes, TierError> {
    let mut piece = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut piece, range.start)
        .map_err(|source| TierError::Local { source })?;
    Ok(Bytes::from(piece))
}
