//! A file being written: reading from the network and writing to the disk overlap, the hash comes with it.

use std::{fs::File, io, os::unix::fs::FileExt};

use tokio::task::JoinHandle;

use crate::error::{During, Result};

/// Bytes gathered before they go to the disk in one piece. Two such batches (one being written, one being filled) are
/// all the memory an upload takes.
pub(crate) const BATCH: usize = 512 * 1024;

/// Takes bytes one after the other, from an offset of a file on.
#[derive(Debug)]
pub(crate) struct Appender {
    /// Copied together, so that a client that sends byte by byte takes no more memory than any other.
    batch: Vec<u8>,
    disk: Disk,
}

/// Where the file handle is: here, or with a write under way.
#[derive(Debug)]
enum Disk {
    Idle(Writer),
    Writing(JoinHandle<io::Result<Writer>>),
    /// A write failed; its error was returned.
    Broken,
}

/// What a writer keeps from others for as long as it may still write: until its last write is done, also when nobody waits for
/// it any more.
pub type Held = Box<dyn std::fmt::Debug + Send>;

/// The file, and what was written to it.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) file: File,
    held: Held,
    pub(crate) hasher: Box<blake3::Hasher>,
    offset: u64,
    pub(crate) size: u64,
}

impl Writer {
    fn write(mut self, batch: &[u8]) -> io::Result<Self> {
        self.file.write_all_at(batch, self.offset + self.size)?;
        self.hasher.update(batch);
        self.size += batch.len() as u64;
        Ok(self)
    }
}

impl Appender {
    /// Writes from `offset` on.
    pub(crate) fn at(file: File, held: Held, offset: u64) -> Self {
        Self::behind(file, held, offset, Box::default(), 0)
    }

    /// Goes on behind `size` bytes from `offset` on, which `hasher` has seen.
    pub(crate) fn behind(
        file: File,
        held: Held,
        offset: u64,
        hasher: Box<blake3::Hasher>,
        size: u64,
    ) -> Self {
        Self { batch: Vec::new(), disk: Disk::Idle(Writer { file, held, hasher, offset, size }) }
    }

    /// Takes the next bytes. Waits only when the disk is a whole batch behind.
    ///
    /// # Errors
    /// When a write failed, this one's or an earlier one's.
    pub(crate) async fn push(&mut self, bytes: &[u8]) -> Result<()> {
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
        written.during("writing an upload")
    }

    /// Writes what is gathered and flushes; returns how many bytes are now safe.
    ///
    /// # Errors
    /// When a write or the flush failed.
    pub(crate) async fn flush(&mut self) -> Result<u64> {
        self.write_batch().await?;
        let writer = self.writer().await?;
        let size = writer.size;
        let flush = move || writer.file.sync_data().map(|()| writer);
        self.disk = Disk::Writing(tokio::task::spawn_blocking(flush));
        let writer = self.writer().await?;
        self.disk = Disk::Idle(writer);
        Ok(size)
    }

    /// Drops all there is, and begins again at the file's start.
    ///
    /// # Errors
    /// When a write failed, or the file cannot be cut.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.batch.clear();
        let Writer { file, held, .. } = self.writer().await?;
        let cut = move || {
            file.set_len(0)?;
            Ok(Writer { file, held, hasher: Box::default(), offset: 0, size: 0 })
        };
        self.disk = Disk::Writing(tokio::task::spawn_blocking(cut));
        Ok(())
    }

    /// No more bytes: all are written, not flushed.
    ///
    /// # Errors
    /// When a write failed.
    pub(crate) async fn finish(mut self) -> Result<Writer> {
        self.write_batch().await?;
        self.writer().await
    }
}
