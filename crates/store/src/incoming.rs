//! Bytes of assets that are still arriving, in pieces and over more than one life of the process: a file each, which becomes
//! the original.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
    sync::Arc,
};

use reelhouse_api::AssetId;

use crate::{
    appender::{Appender, BATCH, Held, Writer},
    blobs::{BlobKey, Blobs, Home, blocking},
    cache::Local,
    error::{During, Error, Result},
    scratch::sync_parent,
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
    held: Held,
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
        let Self { seen: Seen { file, hasher, size }, held, offset, batch } = self;
        let file = file.try_clone().during("opening an upload")?;
        let mut chunk = IncomingChunk { appender: Appender::behind(file, held, offset, hasher, size) };
        chunk.push(&batch).await?;
        Ok(chunk)
    }
}

impl Blobs {
    /// Goes on with an asset's incoming file behind its first `received` bytes, or as many as there are: another node may have
    /// them. The rest of it is dropped. Returns where it stands; `None` when the file is whole and was moved already.
    ///
    /// # Errors
    /// When another writer holds it, or it cannot be opened and read.
    pub async fn resume_incoming(
        &self,
        asset: AssetId,
        received: u64,
    ) -> Result<Option<(IncomingFile, u64)>> {
        let blobs = self.clone();
        if !blocking(move || Ok(blobs.scratch.incoming_path(asset).exists())).await? {
            if self.read(&BlobKey::Original(asset)).await?.is_some() {
                return Ok(None);
            }
            self.create_incoming(asset).await?;
        }
        let blobs = self.clone();
        blocking(move || {
            let Some(file) = blobs.open_incoming(asset)? else { return Ok(None) };
            file.try_lock().map_err(io::Error::from).during("an upload has another writer still")?;
            let found = file.metadata().during("looking at an upload")?.len();
            let size = received.min(found);
            file.set_len(size).during("dropping what is not sure of an upload")?;
            let hasher = hash(&file, size)?;
            // The lock is the file's own.
            let appender = Appender::behind(file, Box::new(()), 0, hasher, size);
            Ok(Some((IncomingFile { appender }, size)))
        })
        .await
    }

    /// Begins to write a piece of an asset's incoming file at `offset`; `held` is dropped when nothing is written any more.
    /// `None` when the asset is not arriving.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn write_incoming(
        &self,
        asset: AssetId,
        offset: u64,
        held: Held,
    ) -> Result<Option<IncomingChunk>> {
        let blobs = self.clone();
        let file = blocking(move || blobs.open_incoming(asset)).await?;
        Ok(file.map(|file| IncomingChunk { appender: Appender::at(file, held, offset) }))
    }

    /// Begins to compare a piece of an asset's incoming file at `offset` with what comes again; `held` as in
    /// [`Blobs::write_incoming`]. `None` when the asset is not arriving.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn repeat_incoming(
        &self,
        asset: AssetId,
        offset: u64,
        held: Held,
    ) -> Result<Option<RepeatedChunk>> {
        let blobs = self.clone();
        let file = blocking(move || blobs.open_incoming(asset)).await?;
        let seen = |file| Seen { file: Arc::new(file), hasher: Box::default(), size: 0 };
        Ok(file.map(|file| RepeatedChunk { seen: seen(file), held, offset, batch: Vec::new() }))
    }

    /// Where the bytes of an asset can be read that are all here: an attempt may have moved them before it died. Nothing is
    /// moved back: whoever comes late must not touch what is ready by then. `None` when they are nowhere.
    pub(crate) async fn arrived(&self, asset: AssetId) -> Result<Option<Local>> {
        let incoming = self.scratch.incoming_path(asset);
        if incoming.exists() { Ok(Some(Local::at(incoming))) } else { self.local(asset).await }
    }

    /// Makes an empty incoming file, durably: chunks that are flushed into it are then found by its name.
    pub(crate) async fn create_incoming(&self, asset: AssetId) -> Result<()> {
        let path = self.scratch.incoming_path(asset);
        blocking(move || {
            let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            options.during("making an incoming file")?;
            sync_parent(&path)
        })
        .await
    }

    /// Flushes a staging file and makes it an asset's incoming file; returns its bytes.
    pub(crate) async fn keep_staged(&self, staged: StagingFile, asset: AssetId) -> Result<u64> {
        staged.keep(self.scratch.incoming_path(asset)).await
    }

    /// Makes a whole, flushed incoming file the original, durably. One that was moved already stays.
    pub(crate) async fn accept_incoming(&self, asset: AssetId) -> Result<()> {
        let (incoming, key) = (self.scratch.incoming_path(asset), BlobKey::Original(asset));
        match &self.home {
            Home::Folder(folder) => match folder.place(incoming, &key).await {
                Err(_) if folder.sync_place(&key).await? => Ok(()),
                placed => placed,
            },
            Home::Bucket(objects, cache) => {
                if !incoming.exists() {
                    let there = objects.size(&key).await?.is_some();
                    return if there { Ok(()) } else { Err(Error::BlobMissing { asset }) };
                }
                objects.write_file(incoming.clone(), &key).await?;
                let cache = cache.clone();
                blocking(move || cache.adopt(asset, &incoming).map(drop)).await
            }
        }
    }

    /// `None` when the asset is not arriving.
    fn open_incoming(&self, asset: AssetId) -> Result<Option<File>> {
        match OpenOptions::new().read(true).write(true).open(self.scratch.incoming_path(asset)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some).during("opening an upload"),
        }
    }

    /// Every incoming file: the asset its name says, or the path where the name says nothing.
    pub(crate) fn incoming(&self) -> Result<Vec<Result<AssetId, PathBuf>>> {
        let named = |path: PathBuf| {
            let asset = path.file_name().and_then(|name| name.to_str()).and_then(AssetId::parse);
            asset.ok_or(path)
        };
        Ok(self.scratch.incoming_files()?.into_iter().map(named).collect())
    }
}

impl Whole {
    /// Of a file that is all here.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn of(local: &Local) -> Result<Self> {
        let path = local.path().to_owned();
        blocking(move || {
            let file = File::open(path).during("opening an upload to read it")?;
            let size = file.metadata().during("looking at an upload")?.len();
            Ok(Self { size, blake3: hash(&file, size)?.finalize().to_hex().to_string() })
        })
        .await
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use reelhouse_api::IdMaker;

    use super::*;
    use crate::{blobs::BlobStore, scratch::Scratch};

    /// Tells when it is dropped.
    #[derive(Debug)]
    struct Tells(mpsc::Sender<()>);

    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    #[tokio::test]
    async fn a_chunk_that_is_given_up_holds_its_place_until_its_last_write_is_done() {
        let folder = tempfile::TempDir::new().unwrap();
        let blobs = Blobs::open(Scratch::at(folder.path()), &BlobStore::Folder).unwrap();
        let asset: AssetId = IdMaker::default().next(1, [0; 4]);
        blobs.create_incoming(asset).await.unwrap();
        for round in 1..50_u8 {
            let (tell, told) = mpsc::channel();
            let held = Box::new(Tells(tell));
            let mut chunk = blobs.write_incoming(asset, 0, held).await.unwrap().unwrap();
            chunk.push(&vec![round; BATCH]).await.unwrap();
            // The client is gone; the write is under way.
            drop(chunk);
            tokio::task::spawn_blocking(move || told.recv().unwrap()).await.unwrap();
            let bytes = std::fs::read(blobs.scratch.incoming_path(asset)).unwrap();
            assert!(bytes.iter().all(|byte| *byte == round), "round {round}");
        }
    }

    #[tokio::test]
    async fn what_was_moved_stays_where_it_is() {
        let folder = tempfile::TempDir::new().unwrap();
        let blobs = Blobs::open(Scratch::at(folder.path()), &BlobStore::Folder).unwrap();
        let asset: AssetId = IdMaker::default().next(1, [0; 4]);
        blobs.create_incoming(asset).await.unwrap();
        let whole = async || Whole::of(&blobs.arrived(asset).await.unwrap().unwrap()).await.unwrap();
        let before = whole().await;
        blobs.accept_incoming(asset).await.unwrap();
        // An attempt that comes late only reads.
        assert!(blobs.resume_incoming(asset, 0).await.unwrap().is_none());
        assert!(blobs.write_incoming(asset, 0, Box::new(())).await.unwrap().is_none());
        assert_eq!(whole().await, before);
        blobs.accept_incoming(asset).await.unwrap();
        assert!(blobs.local(asset).await.unwrap().is_some());
    }
}
