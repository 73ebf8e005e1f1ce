//! Bytes that are still arriving: hashed on the way, gone unless published. Few are kept in memory, many are written as they come.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use rustix::{fs::FallocateFlags, io::Errno};
use tokio::task::JoinHandle;

use crate::{
    appender::{Appender, BATCH, Writer},
    blobs::{BlobKey, Blobs, blocking, sync_parent},
    error::{During, Result},
};

/// A file that is arriving.
#[derive(Debug)]
pub struct StagingFile {
    blobs: Blobs,
    /// Bytes that will come at the most, if that is known.
    declared: Option<u64>,
    arrived: Arrived,
    /// Bytes that came, and the room that was taken for them before they did.
    size: u64,
    taken: u64,
}

#[derive(Debug)]
enum Arrived {
    /// At most a batch.
    InMemory(Vec<u8>),
    OnDisk(Appender, StagedPath),
}

/// A file in staging; removed on drop, whatever happened to it before.
#[derive(Debug)]
struct StagedPath {
    path: PathBuf,
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
    /// `declared` is how many bytes will come at the most, if that is known: room for them is taken as soon as a file is made,
    /// so that the disk neither looks for it bit by bit nor is found full at the end.
    pub(crate) fn new(blobs: Blobs, declared: Option<u64>) -> Self {
        Self { blobs, declared, arrived: Arrived::InMemory(Vec::new()), size: 0, taken: 0 }
    }

    /// Takes the next bytes. Waits only when the disk is behind.
    ///
    /// # Errors
    /// When no file can be made, or a write failed, this one's or an earlier one's.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        match &mut self.arrived {
            Arrived::InMemory(held) if held.len() + bytes.len() <= BATCH => {
                reserve(held, bytes.len(), self.declared);
                held.extend_from_slice(bytes);
                Ok(())
            }
            Arrived::InMemory(held) => {
                let held = std::mem::take(held);
                let (mut appender, staged, taken) = create(&self.blobs, self.declared).await?;
                let pushed = match appender.push(&held).await {
                    Ok(()) => appender.push(bytes).await,
                    failed => failed,
                };
                self.arrived = Arrived::OnDisk(appender, staged);
                self.taken = taken;
                pushed
            }
            Arrived::OnDisk(appender, _) => appender.push(bytes).await,
        }
    }

    /// Bytes of the disk that it has by now.
    pub fn on_disk(&self) -> u64 {
        match self.arrived {
            Arrived::InMemory(_) => 0,
            Arrived::OnDisk(..) => self.size.max(self.taken),
        }
    }

    /// No more bytes: what there is, with its size and hash. If it is written, its flush begins now, while it is looked at.
    ///
    /// # Errors
    /// When a write failed.
    pub async fn seal(self) -> Result<Sealed> {
        let Self { blobs, arrived, .. } = self;
        match arrived {
            Arrived::InMemory(held) => {
                let blake3 = blake3::hash(&held).to_hex().to_string();
                let size = held.len() as u64;
                Ok(Sealed { blobs, content: Content::InMemory(held.into()), size, blake3 })
            }
            Arrived::OnDisk(appender, staged) => {
                let Writer { file, hasher, size, .. } = appender.finish().await?;
                // Whatever room was not needed goes back.
                let flush =
                    tokio::task::spawn_blocking(move || file.set_len(size).and_then(|()| file.sync_data()));
                let blake3 = hasher.finalize().to_hex().to_string();
                Ok(Sealed { blobs, content: Content::OnDisk(staged, Some(flush)), size, blake3 })
            }
        }
    }
}

/// Grows by doubling, so that few bytes take little, to no more than will come, and never above a batch.
fn reserve(held: &mut Vec<u8>, more: usize, declared: Option<u64>) {
    let (len, capacity) = (held.len(), held.capacity());
    if len + more > capacity {
        let declared = declared.map_or(BATCH, |bytes| usize::try_from(bytes).unwrap_or(BATCH).min(BATCH));
        // Half of what was said is here: the rest is believed.
        let wanted = if len * 2 >= declared { declared } else { capacity * 2 };
        held.reserve_exact(wanted.clamp(len + more, BATCH) - len);
    }
}

/// Also says how much room is taken.
async fn create(blobs: &Blobs, declared: Option<u64>) -> Result<(Appender, StagedPath, u64)> {
    let path = blobs.staging_path()?;
    // The guard first: a future dropped between the two leaves nothing behind.
    let staged = StagedPath { path: path.clone() };
    let (file, taken) = blocking(move || {
        let file = new_file(&path).during("making a staging file")?;
        let taken = match declared {
            Some(bytes) if bytes > WRITTEN_AT_ONCE => take_room(&file, bytes)?,
            _ => 0,
        };
        Ok((file, taken))
    })
    .await?;
    Ok((Appender::at(file, Box::new(()), 0), staged, taken))
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// A file of so many bytes is written in one piece: there is nothing to be gained.
const WRITTEN_AT_ONCE: u64 = BATCH as u64;

/// Takes room on the disk, of which nothing shows; returns how much.
fn take_room(file: &File, bytes: u64) -> Result<u64> {
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes) {
        // Not every file system can.
        Ok(()) => Ok(bytes),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(0),
        Err(error) => Err(error.into()).during("taking room for an upload"),
    }
}

/// A whole upload, ready to be looked at and published. Dropped, it is gone.
#[derive(Debug)]
pub struct Sealed {
    blobs: Blobs,
    content: Content,
    size: u64,
    blake3: String,
}

/// Where the bytes of an upload are.
#[derive(Debug)]
enum Content {
    InMemory(Bytes),
    /// And being flushed.
    OnDisk(StagedPath, Option<JoinHandle<io::Result<()>>>),
}

/// Where a whole upload can be read.
#[derive(Debug, Clone)]
pub enum Staged {
    /// In a file, absolute.
    File(PathBuf),
    /// Here.
    Bytes(Bytes),
}

impl Sealed {
    /// Where it can be read.
    pub fn staged(&self) -> Staged {
        match &self.content {
            Content::InMemory(bytes) => Staged::Bytes(bytes.clone()),
            Content::OnDisk(staged, _) => Staged::File(staged.path.clone()),
        }
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Hash of the bytes, hex.
    pub fn blake3(&self) -> &str {
        &self.blake3
    }

    /// Waits until what is written is on the disk.
    pub(crate) async fn flushed(&mut self) -> Result<()> {
        let Content::OnDisk(_, flush) = &mut self.content else { return Ok(()) };
        let Some(flush) = flush.take() else { return Ok(()) };
        flush.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped))).during("flushing an upload")
    }

    /// Its bytes, flushed, at their place, durably. What a failure leaves there, the caller removes.
    pub(crate) async fn move_into(self, key: BlobKey) -> Result<()> {
        let Self { blobs, content, .. } = self;
        blocking(move || match content {
            Content::OnDisk(staged, _) => blobs.place(&staged.path, key),
            Content::InMemory(bytes) => {
                // Nobody looks there before it has a row: it needs no other place to become whole in.
                let path = blobs.path(&key);
                let mut file = new_file(&path).during("making a blob")?;
                let written = file.write_all(&bytes).and_then(|()| file.sync_data());
                if written.is_err() {
                    // Half of it is of no use, and the disk may be full.
                    let _ = fs::remove_file(&path);
                }
                written.during("writing a blob")?;
                sync_parent(&path)
            }
        })
        .await
    }
}
