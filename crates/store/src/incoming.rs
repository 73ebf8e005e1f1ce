//! Bytes of assets that are still arriving, in pieces and over more than one life of the process: a file each, which becomes
//! the original.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
    sync::Arc,
};

use reelhouse_api::AssetId;

use crate::{
    appender::{Appender, BATCH, Writer},
    blobs::{BlobKey, Blobs, blocking},
    error::{During, Error, Result},
    staging::StagingFile,
};

/// Read at once when what is here already is hashed.
const READ: usize = 1 << 20;

/// The incoming file of an asset whose bytes come in their order. Held by one writer at a time, whatever process it is in.
#[derive(Debug)]
pub struct IncomingFile {
    appender: Appender,
}

impl IncomingFile {
    /// Takes the next bytes. Waits only when the disk is behind.
    ///
    /// # Errors
    /// When a write failed.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.appender.push(bytes).await
    }

    /// Makes what has come so far survive power loss; returns how many bytes that is.
    ///
    /// # Errors
    /// When a write or the flush failed.
    pub async fn flush(&mut self) -> Result<u64> {
        self.appender.flush().await
    }

    /// From the first byte on again.
    ///
    /// # Errors
    /// When a write failed.
    pub async fn restart(&mut self) -> Result<()> {
        self.appender.restart().await
    }

    /// No more bytes: flushed, with the whole file's size and hash.
    ///
    /// # Errors
    /// When a write or the flush failed.
    pub async fn seal(self) -> Result<Whole> {
        let Writer { file, hasher, size, .. } = self.appender.finish().await?;
        blocking(move || file.sync_data().during("flushing an upload")).await?;
        Ok(Whole { size, blake3: hasher.finalize().to_hex().to_string() })
    }
}

/// All bytes of an incoming file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Bytes.
    pub size: u64,
    /// Hash of them, hex.
    pub blake3: String,
}

/// A piece of an incoming file being written at its place.
#[derive(Debug)]
pub struct IncomingChunk {
    appender: Appender,
}

impl IncomingChunk {
    /// Takes the next bytes. Waits only when the disk is behind.
    ///
    /// # Errors
    /// When a write failed.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.appender.push(bytes).await
    }

    /// No more bytes: flushed; returns their hash, hex.
    ///
    /// # Errors
    /// When a write or the flush failed.
    pub async fn seal(self) -> Result<String> {
        let Writer { file, hasher, .. } = self.appender.finish().await?;
        blocking(move || file.sync_data().during("flushing a chunk")).await?;
        Ok(hasher.finalize().to_hex().to_string())
    }
}

/// A piece of an incoming file that comes again: compared with what is there, which stays as it is while the two are the same.
#[derive(Debug)]
pub struct RepeatedChunk {
    seen: Seen,
    offset: u64,
    batch: Vec<u8>,
}

/// Bytes that were the same.
#[derive(Debug)]
struct Seen {
    file: Arc<File>,
    hasher: Box<blake3::Hasher>,
    size: u64,
}

impl RepeatedChunk {
    /// Takes the next bytes; false once they differ from what is there.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<bool> {
        self.batch.extend_from_slice(bytes);
        if self.batch.len() >= BATCH { self.compare().await } else { Ok(true) }
    }

    /// Compares what is gathered; false when it differs from what is there.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub async fn compare(&mut self) -> Result<bool> {
        let batch = std::mem::take(&mut self.batch);
        let (file, at) = (Arc::clone(&self.seen.file), self.offset + self.seen.size);
        let (batch, same) = blocking(move || {
            let mut there = vec![0; batch.len()];
            let same = match file.read_exact_at(&mut there, at) {
                Ok(()) => there == batch,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                Err(source) => return Err(Error::Io { what: "reading a chunk", source }),
            };
            Ok((batch, same))
        })
        .await?;
        if same {
            self.seen.hasher.update(&batch);
            self.seen.size += batch.len() as u64;
        } else {
            self.batch = batch;
        }
        Ok(same)
    }

    /// Writes from here on, over what is there.
    ///
    /// # Errors
    /// When a write failed.
    pub async fn rewrite(self) -> Result<IncomingChunk> {
        let Self { seen: Seen { file, hasher, size }, offset, batch } = self;
        let file = file.try_clone().during("opening an upload")?;
        let mut chunk = IncomingChunk { appender: Appender::behind(file, offset, hasher, size) };
        chunk.push(&batch).await?;
        Ok(chunk)
    }
}

impl Blobs {
    /// Goes on with an asset's incoming file behind its first `received` bytes, or as many as there are; the rest of it is
    /// dropped. Returns where it stands.
    ///
    /// # Errors
    /// When another writer holds it, or it cannot be opened and read.
    pub async fn resume_incoming(&self, asset: AssetId, received: u64) -> Result<(IncomingFile, u64)> {
        let blobs = self.clone();
        blocking(move || {
            blobs.take_back(asset)?;
            let file = blobs.open_incoming(asset)?;
            file.try_lock().map_err(io::Error::from).during("an upload has another writer still")?;
            let found = file.metadata().during("looking at an upload")?.len();
            let size = received.min(found);
            file.set_len(size).during("dropping what is not sure of an upload")?;
            let hasher = hash(&file, size)?;
            Ok((IncomingFile { appender: Appender::behind(file, 0, hasher, size) }, size))
        })
        .await
    }

    /// Begins to write a piece of an asset's incoming file at `offset`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn write_incoming(&self, asset: AssetId, offset: u64) -> Result<IncomingChunk> {
        let blobs = self.clone();
        let file = blocking(move || blobs.open_incoming(asset)).await?;
        Ok(IncomingChunk { appender: Appender::at(file, offset) })
    }

    /// Begins to compare a piece of an asset's incoming file at `offset` with what comes again.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn repeat_incoming(&self, asset: AssetId, offset: u64) -> Result<RepeatedChunk> {
        let blobs = self.clone();
        let file = blocking(move || blobs.open_incoming(asset)).await?;
        let seen = Seen { file: Arc::new(file), hasher: Box::default(), size: 0 };
        Ok(RepeatedChunk { seen, offset, batch: Vec::new() })
    }

    /// Reads an asset's incoming file to its end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn hash_incoming(&self, asset: AssetId) -> Result<Whole> {
        let blobs = self.clone();
        blocking(move || {
            blobs.take_back(asset)?;
            let file =
                File::open(blobs.path(&BlobKey::Incoming(asset))).during("opening an upload to read it")?;
            let size = file.metadata().during("looking at an upload")?.len();
            Ok(Whole { size, blake3: hash(&file, size)?.finalize().to_hex().to_string() })
        })
        .await
    }

    /// Flushes a staging file and makes it an asset's incoming file; returns its bytes.
    pub(crate) async fn keep_staged(&self, staged: StagingFile, asset: AssetId) -> Result<u64> {
        let mut sealed = staged.seal().await?;
        sealed.flushed().await?;
        let size = sealed.size();
        sealed.move_into(BlobKey::Incoming(asset)).await?;
        Ok(size)
    }

    /// Makes a whole, flushed incoming file the original, durably.
    pub(crate) async fn accept_incoming(&self, asset: AssetId) -> Result<()> {
        let blobs = self.clone();
        blocking(move || blobs.place(&blobs.path(&BlobKey::Incoming(asset)), BlobKey::Original(asset))).await
    }

    /// A file that was moved for an asset that did not become ready after all is incoming again.
    fn take_back(&self, asset: AssetId) -> Result<()> {
        match fs::rename(self.path(&BlobKey::Original(asset)), self.path(&BlobKey::Incoming(asset))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::Io { what: "taking back an upload", source: error })
            }
            _ => Ok(()),
        }
    }

    fn open_incoming(&self, asset: AssetId) -> Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path(&BlobKey::Incoming(asset)))
            .during("opening an upload")
    }

    /// Every incoming file: the asset its name says, or the path where the name says nothing.
    pub(crate) fn incoming(&self) -> Result<Vec<Result<AssetId, PathBuf>>> {
        let named = |path: PathBuf| {
            let asset = path.file_name().and_then(|name| name.to_str()).and_then(AssetId::parse);
            asset.ok_or(path)
        };
        Ok(self.incoming_files()?.into_iter().map(named).collect())
    }
}

fn hash(file: &File, size: u64) -> Result<Box<blake3::Hasher>> {
    let mut hasher = Box::<blake3::Hasher>::default();
    let mut buffer = vec![0; READ];
    let mut at = 0;
    while at < size {
        let wanted = buffer.len().min(usize::try_from(size - at).unwrap_or(usize::MAX));
        file.read_exact_at(&mut buffer[..wanted], at).during("reading an upload")?;
        hasher.update(&buffer[..wanted]);
        at += wanted as u64;
    }
    Ok(hasher)
}
