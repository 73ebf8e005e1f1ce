//! Bytes that are still arriving: written as they come, hashed on the way, gone unless published.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use tokio::task::JoinHandle;

use crate::{
    appender::{Appender, Writer},
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
    pub(crate) async fn create(path: PathBuf, blobs: Blobs) -> Result<Self> {
        // The guard first: a future dropped between the two leaves nothing behind.
        let staged = StagedPath { path: path.clone(), blobs };
        let file = blocking(move || {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .during("making a staging file")
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
        let flush = tokio::task::spawn_blocking(move || file.sync_data());
        Ok(Sealed { staged: self.staged, flush, size, blake3: hasher.finalize().to_hex().to_string() })
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
