//! A file being written: reading from the network and writing to the disk overlap, the hash comes with it.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::{sync::watch, task::JoinHandle};

use crate::{
    error::{During, Result},
    outgoing::Written,
};

/// The most bytes gathered before they go to the disk in one piece. Two such batches (one being written, one being filled) are
/// all the memory an upload takes.
pub(crate) const BATCH: usize = 256 * 1024;
/// Where many write at once, each gathers less: what all of them fill together is this, as long as that leaves each the least.
const ALL: usize = 3 << 20;
const LEAST: usize = 64 * 1024;

/// Who writes now.
static WRITING: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
struct Counted;

impl Counted {
    fn one() -> Self {
        WRITING.fetch_add(1, Relaxed);
        Self
    }

    /// Bytes of the next batch.
    fn batch() -> usize {
        (ALL / WRITING.load(Relaxed).max(1)).clamp(LEAST, BATCH)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        WRITING.fetch_sub(1, Relaxed);
    }
}

/// Takes bytes one after the other, from an offset of a file on.
#[derive(Debug)]
pub(crate) struct Appender {
    /// Copied together, so that a client that sends byte by byte takes no more memory than any other.
    batch: Vec<u8>,
    /// Bytes at which it is written.
    full: usize,
    disk: Disk,
    written: watch::Sender<Written>,
    _counted: Counted,
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
    written: watch::Sender<Written>,
    /// Memory of the batch written last.
    spare: Vec<u8>,
}

impl Writer {
    fn write(mut self, mut batch: Vec<u8>) -> io::Result<Self> {
        self.file.write_all_at(&batch, self.offset + self.size)?;
        self.hasher.update(&batch);
        self.size += batch.len() as u64;
        self.written.send_replace(Written { bytes: self.size, is_all: false });
        batch.clear();
        self.spare = batch;
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
        let written = watch::Sender::new(Written { bytes: size, is_all: false });
        let writer = Writer { file, held, hasher, offset, size, written: written.clone(), spare: Vec::new() };
        let (counted, disk) = (Counted::one(), Disk::Idle(writer));
        Self { batch: Vec::new(), full: Counted::batch(), disk, written, _counted: counted }
    }

    /// Tells how much can be read from the file.
    pub(crate) fn written(&self) -> watch::Receiver<Written> {
        self.written.subscribe()
    }

    /// Takes the next bytes. Waits only when the disk is a whole batch behind.
    ///
    /// # Errors
    /// When a write failed, this one's or an earlier one's.
    pub(crate) async fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.full.saturating_sub(self.batch.len());
            let (fits, rest) = bytes.split_at(bytes.len().min(room));
            self.make_room(fits.len());
            self.batch.extend_from_slice(fits);
            if self.batch.len() >= self.full {
                self.write_batch().await?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Grows the batch by doubling, so that small files take little, and never above its full size.
    fn make_room(&mut self, more: usize) {
        let (len, capacity) = (self.batch.len(), self.batch.capacity());
        if len + more > capacity {
            self.batch.reserve_exact((capacity * 2).clamp(len + more, self.full) - len);
        }
    }

    async fn write_batch(&mut self) -> Result<()> {
        let mut writer = self.writer().await?;
        // The one that was written is the next one to be filled.
        let mut spare = std::mem::take(&mut writer.spare);
        self.full = Counted::batch();
        if spare.capacity() > self.full {
            spare = Vec::new();
        }
        let batch = std::mem::replace(&mut self.batch, spare);
        self.disk = Disk::Writing(tokio::task::spawn_blocking(move || writer.write(batch)));
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
        let Writer { file, held, spare, written, .. } = self.writer().await?;
        let cut = move || {
            file.set_len(0)?;
            Ok(Writer { file, held, hasher: Box::default(), offset: 0, size: 0, written, spare })
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
        let writer = self.writer().await?;
        writer.written.send_replace(Written { bytes: writer.size, is_all: true });
        Ok(writer)
    }
}
