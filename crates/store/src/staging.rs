//! Bytes that are still arriving: written as they come, hashed on the way, gone unless published.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use tokio::task::JoinHandle;

use crate::{
    blobs::{BlobKey, Blobs, blocking},
    error::{During, Result},
};

/// Bytes gathered before they go to the disk in one piece. Two such batches (one being written, one being filled) are
/// all the memory an upload takes.
const BATCH: usize = 512 * 1024;

/// A file being written. Reading from the network and writing to the disk overlap.
#[derive(Debug)]
pub struct StagingFile {
    /// Copied together, so that a client that sends byte by byte takes no more memory than any other.
    batch: Vec<u8>,
    disk: Disk,
    staged: StagedPath,
}

/// Where the file handle is: here, or with a write under way.
#[derive(Debug)]
enum Disk {
    Idle(Writer),
    Writing(JoinHandle<io::Result<Writer>>),
    /// A write failed; its error was returned.
    Broken,
}

#[derive(Debug)]
struct Writer {
    file: File,
    hasher: Box<blake3::Hasher>,
    size: u64,
}

impl Writer {
    fn write(mut self, batch: &[u8]) -> io::Result<Self> {
        self.file.write_all(batch)?;
        self.hasher.update(batch);
        self.size += batch.len() as u64;
        Ok(self)
    }
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
        let disk = Disk::Idle(Writer { file, hasher: Box::default(), size: 0 });
        Ok(Self { batch: Vec::new(), disk, staged })
    }

    /// Takes the next bytes. Waits only when the disk is a whole batch behind.
    ///
    /// # Errors
    /// When a write failed, this one's or an earlier one's.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.batch.extend_from_slice(bytes);
        if self.batch.len() >= BATCH { self.write_batch().await } else { Ok(()) }
    }

    async fn write_batch(&mut self) -> Result<()> {
        let writer = self.writer().await?;
        let batch = std::mem::take(&mut self.batch);
        self.disk = Disk::Writing(tokio::task::spawn_blocking(move || writer.write(&batch)));
        Ok(())
    }

    /// The handle, once the write under way is done.
    async fn writer(&mut self) -> Result<Writer> {
        let written = match std::mem::replace(&mut self.disk, Disk::Broken) {
            Disk::Idle(writer) => Ok(writer),
            Disk::Writing(write) => write.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped))),
            Disk::Broken => Err(io::Error::other("an earlier write failed")),
        };
        written.during("writing a staging file")
    }

    /// No more bytes: what there is, with its size and hash. Its flush begins now, while it is looked at.
    ///
    /// # Errors
    /// When a write failed.
    pub async fn seal(mut self) -> Result<Sealed> {
        self.write_batch().await?;
        let Writer { file, hasher, size } = self.writer().await?;
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
