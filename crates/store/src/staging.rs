//! Bytes that are still arriving: hashed on the way, gone unless published. Few are kept in memory, many are written as they come.

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use reelhouse_api::AssetId;
use rustix::{fs::FallocateFlags, io::Errno};
use tokio::task::JoinHandle;

use crate::{
    appender::{Appender, BATCH, Writer},
    blobs::{BlobKey, Blobs, Home, blocking},
    error::{During, Result},
    outgoing::{Outgoing, Sent},
    scratch::{new_file, sync_parent},
};

/// A file that is arriving.
#[derive(Debug)]
pub struct StagingFile {
    blobs: Blobs,
    /// Whose original it becomes.
    asset: AssetId,
    /// Bytes that will come at the most, if that is known.
    declared: Option<u64>,
    arrived: Arrived,
    /// Bytes that came.
    size: u64,
}

#[derive(Debug)]
enum Arrived {
    /// At most a batch.
    InMemory(Vec<u8>),
    OnDisk(Box<Growing>),
}

/// A file in staging that grows; its bytes are on their way to the bucket, where there is one.
#[derive(Debug)]
struct Growing {
    appender: Appender,
    staged: StagedPath,
    /// Room that was taken before its bytes came.
    taken: u64,
    outgoing: Option<Outgoing>,
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
    pub(crate) fn new(blobs: Blobs, asset: AssetId, declared: Option<u64>) -> Self {
        Self { blobs, asset, declared, arrived: Arrived::InMemory(Vec::new()), size: 0 }
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
                let mut growing = Growing::create(&self.blobs, self.asset, self.declared).await?;
                let pushed = match growing.appender.push(&held).await {
                    Ok(()) => growing.appender.push(bytes).await,
                    failed => failed,
                };
                self.arrived = Arrived::OnDisk(Box::new(growing));
                pushed
            }
            Arrived::OnDisk(growing) => growing.appender.push(bytes).await,
        }
    }

    /// Bytes of the disk that it has by now.
    pub fn on_disk(&self) -> u64 {
        match &self.arrived {
            Arrived::InMemory(_) => 0,
            Arrived::OnDisk(growing) => self.size.max(growing.taken),
        }
    }

    /// No more bytes: what there is, with its size and hash. If it is written, its flush begins now, or what is left is sent, while
    /// it is looked at.
    ///
    /// # Errors
    /// When a write failed.
    pub async fn seal(self) -> Result<Sealed> {
        let Self { blobs, asset, arrived, .. } = self;
        let (content, size, blake3) = match arrived {
            Arrived::InMemory(held) => {
                let blake3 = blake3::hash(&held);
                let size = held.len() as u64;
                (Content::InMemory(held.into()), size, blake3)
            }
            Arrived::OnDisk(growing) => {
                let Growing { appender, staged, outgoing, .. } = *growing;
                let Writer { file, hasher, size, .. } = appender.finish().await?;
                let flush = match outgoing {
                    Some(outgoing) => {
                        Flush::ToBucket(tokio::spawn(async { outgoing.sent().await.map(Safe::Sent) }))
                    }
                    None => Flush::ToDisk(flush(file, size)),
                };
                (Content::OnDisk(staged, flush), size, hasher.finalize())
            }
        };
        Ok(Sealed { blobs, asset, content, size, blake3: blake3.to_hex().to_string() })
    }

    /// Makes what there is a file at `path`, durably; returns its bytes. More is to come, so that nothing of it is sent anywhere.
    pub(crate) async fn keep(self, path: PathBuf) -> Result<u64> {
        match self.arrived {
            Arrived::InMemory(held) => {
                let size = held.len() as u64;
                let write = move || {
                    let mut file = new_file(&path).during("making an incoming file")?;
                    io::Write::write_all(&mut file, &held).during("writing an incoming file")?;
                    file.sync_data().during("flushing an incoming file")?;
                    sync_parent(&path)
                };
                blocking(write).await?;
                Ok(size)
            }
            Arrived::OnDisk(growing) => {
                let Growing { appender, staged, outgoing, .. } = *growing;
                drop(outgoing);
                let Writer { file, size, .. } = appender.finish().await?;
                let keep = move || {
                    file.set_len(size).and_then(|()| file.sync_data()).during("flushing an upload")?;
                    fs::rename(&staged.path, &path).during("moving an upload into place")?;
                    sync_parent(&path)
                };
                blocking(keep).await?;
                Ok(size)
            }
        }
    }
}

/// Whatever room was not needed goes back.
fn flush(file: File, size: u64) -> JoinHandle<Result<Safe>> {
    tokio::task::spawn_blocking(move || {
        let flushed = file.set_len(size).and_then(|()| file.sync_data());
        flushed.during("flushing an upload").map(|()| Safe::Here)
    })
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

impl Growing {
    async fn create(blobs: &Blobs, asset: AssetId, declared: Option<u64>) -> Result<Self> {
        let path = blobs.scratch.staging_path()?;
        // The guard first: a future dropped between the two leaves nothing behind.
        let staged = StagedPath { path: path.clone() };
        let (file, again, taken) = blocking(move || {
            let file = new_file(&path).during("making a staging file")?;
            let taken = match declared {
                Some(bytes) if bytes > WRITTEN_AT_ONCE => take_room(&file, bytes)?,
                _ => 0,
            };
            Ok((file, File::open(&path).during("opening a staging file")?, taken))
        })
        .await?;
        let appender = Appender::at(file, Box::new(()), 0);
        let outgoing = match &blobs.home {
            Home::Folder(_) => None,
            Home::Bucket(objects, _) => {
                let (bucket, key) = (objects.bucket.clone(), BlobKey::Original(asset).object());
                Some(Outgoing::start(bucket, key, Arc::new(again), declared, appender.written()))
            }
        };
        Ok(Self { appender, staged, taken, outgoing })
    }
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
    asset: AssetId,
    content: Content,
    size: u64,
    blake3: String,
}

/// Where the bytes of an upload are.
#[derive(Debug)]
enum Content {
    InMemory(Bytes),
    OnDisk(StagedPath, Flush),
}

/// Whether what is written would survive.
#[derive(Debug)]
enum Flush {
    ToDisk(JoinHandle<Result<Safe>>),
    ToBucket(JoinHandle<Result<Safe>>),
    Done(Safe),
}

/// Where bytes are that would survive.
#[derive(Debug)]
enum Safe {
    /// On the disk.
    Here,
    /// At the store.
    Sent(Sent),
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
    /// The asset whose original it becomes.
    pub fn asset(&self) -> AssetId {
        self.asset
    }

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

    /// Waits until what goes to a bucket is there.
    pub(crate) async fn sent(&mut self) -> Result<()> {
        if let Content::OnDisk(_, Flush::ToBucket(_)) = &self.content { self.flushed().await } else { Ok(()) }
    }

    /// Waits until what is written is on the disk, or at the bucket.
    pub(crate) async fn flushed(&mut self) -> Result<()> {
        if let Content::OnDisk(_, flush) = &mut self.content
            && let Flush::ToDisk(under_way) | Flush::ToBucket(under_way) = flush
        {
            let safe = under_way
                .await
                .unwrap_or_else(|stopped| Err(io::Error::other(stopped)).during("flushing an upload"));
            *flush = Flush::Done(safe?);
        }
        Ok(())
    }

    /// Its bytes, flushed, at their place, durably. What a failure leaves there, the caller removes.
    pub(crate) async fn move_into_place(mut self) -> Result<()> {
        self.flushed().await?;
        let Self { blobs, asset, content, .. } = self;
        let key = BlobKey::Original(asset);
        match (content, &blobs.home) {
            (Content::InMemory(bytes), Home::Folder(folder)) => folder.write(bytes, &key).await,
            (Content::InMemory(bytes), Home::Bucket(objects, _)) => objects.write(bytes, &key).await,
            (Content::OnDisk(staged, _), Home::Folder(folder)) => {
                folder.place(staged.path.clone(), &key).await
            }
            (Content::OnDisk(staged, flush), Home::Bucket(objects, cache)) => {
                match flush {
                    Flush::Done(Safe::Sent(Sent::Parts(begun, parts))) => begun.complete(&parts).await?,
                    _ => objects.write_file(staged.path.clone(), &key).await?,
                }
                // Its jobs begin now, and read it as a file.
                let cache = cache.clone();
                blocking(move || cache.adopt(asset, &staged.path).map(drop)).await
            }
        }
    }
}
