//! Bytes that are still arriving: written as they come, hashed on the way, gone unless published.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::{fs::FallocateFlags, io::Errno};
use tokio::task::JoinHandle;

use crate::{
    appender::{Appender, BATCH, Writer},
    blobs::{BlobKey, Blobs, blocking},
    error::{During, Result},
};

/// A file being written.
#[derive(Debug)]
pub struct StagingFile {
    appender: Appender,
    staged: StagedPath,
}

/// A file in staging; removed on drop, whatever happened to it before.
#[derive(Debug)]
struct StagedPath {
    path: PathBuf,
    blobs: Blobs,
}

impl Drop for StagedPath {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Ok(()) => {}
            // Published: renamed away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, "could not remove a staging file; the next start will"),
        }
    }
}

impl StagingFile {
    /// `declared` is how many bytes will come at the most, if that is known: room for them is taken now, so that the disk
    /// neither looks for it bit by bit nor is found full at the end.
    pub(crate) async fn create(path: PathBuf, blobs: Blobs, declared: Option<u64>) -> Result<Self> {
        // The guard first: a future dropped between the two leaves nothing behind.
        let staged = StagedPath { path: path.clone(), blobs };
        let file = blocking(move || {
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .during("making a staging file")?;
            match declared {
                Some(bytes) if bytes > WRITTEN_AT_ONCE => take_room(&file, bytes)?,
                _ => {}
            }
            Ok(file)
        })
        .await?;
        Ok(Self { appender: Appender::at(file, Box::new(()), 0), staged })
    }

    /// Takes the next bytes. Waits only when the disk is behind.
    ///
    /// # Errors
    /// When a write failed, this one's or an earlier one's.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.appender.push(bytes).await
    }

    /// No more bytes: what there is, with its size and hash. Its flush begins now, while it is looked at.
    ///
    /// # Errors
    /// When a write failed.
    pub async fn seal(self) -> Result<Sealed> {
        let Writer { file, hasher, size, .. } = self.appender.finish().await?;
        // Whatever room was not needed goes back.
        let flush = tokio::task::spawn_blocking(move || file.set_len(size).and_then(|()| file.sync_data()));
        Ok(Sealed { staged: self.staged, flush, size, blake3: hasher.finalize().to_hex().to_string() })
    }
}

/// A file of so many bytes is written in one piece: there is nothing to be gained.
const WRITTEN_AT_ONCE: u64 = BATCH as u64;

/// Takes room on the disk, of which nothing shows.
fn take_room(file: &File, bytes: u64) -> Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes) {
        // Not every file system can.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()).during("taking room for an upload"),
    }
}

/// A whole upload in staging, ready to be looked at and published. Dropped, it is gone.
#[derive(Debug)]
pub struct Sealed {
    staged: StagedPath,
    flush: JoinHandle<io::Result<()>>,
    size: u64,
    blake3: String,
}

impl Sealed {
    /// Where it lies, absolute.
    pub fn path(&self) -> &Path {
        &self.staged.path
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Hash of the bytes, hex.
    pub fn blake3(&self) -> &str {
        &self.blake3
    }

    /// Waits until its bytes are on the disk.
    pub(crate) async fn flushed(&mut self) -> Result<()> {
        let flushed = (&mut self.flush).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        flushed.during("flushing an upload")
    }

    pub(crate) async fn move_into(self, key: BlobKey) -> Result<()> {
        blocking(move || self.staged.blobs.place(&self.staged.path, key)).await
    }
}
