//! Originals and what is made of them, wherever they are kept, and the one place that knows where a blob lies.

use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use reelhouse_api::AssetId;
use reelhouse_bucket::{Bucket, Location, Shown};

use crate::{
    cache::{Cache, Local},
    error::{During, Error, Result},
    folder::Folder,
    objects::Objects,
    scratch::{Scratch, modified_ms},
    shards::{Shards, Walk},
    staging::StagingFile,
};

/// Names a blob. Where it lies follows from this and from nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BlobKey {
    /// What was uploaded, byte for byte.
    Original(AssetId),
    /// A file of something made of an asset.
    Derived {
        /// The asset.
        asset: AssetId,
        /// The attempt that made it.
        folder: String,
        /// Its name there.
        file: String,
    },
}

/// The two kinds of blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    Originals,
    Derived,
}

impl Tree {
    pub(crate) const ALL: [Self; 2] = [Self::Originals, Self::Derived];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Originals => "originals",
            Self::Derived => "derived",
        }
    }
}

/// The last two digits of an id are random: they spread blobs evenly over 256 folders.
const SHARD_DIGITS: usize = 2;

impl BlobKey {
    /// Below the data folder or the bucket's prefix: `originals/7f/6730…7f`, `derived/7f/6730…7f/hls-…-1/index`.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Original(asset) => sharded(Tree::Originals, *asset),
            Self::Derived { asset, folder, file } => {
                format!("{}/{folder}/{file}", sharded(Tree::Derived, *asset))
            }
        }
    }
}

/// Where something from among the blobs is moved that is nobody's: the same path below another folder, with a number where
/// there is something already.
pub(crate) fn aside(path: &str) -> impl Iterator<Item = String> {
    let name = format!("lost+found/{path}");
    (0_u32..).map(move |n| if n == 0 { name.clone() } else { format!("{name}.{n}") })
}

/// An asset's place in a tree of 256 folders.
pub(crate) fn sharded(tree: Tree, asset: AssetId) -> String {
    let name = asset.to_string();
    let shard = name.get(name.len() - SHARD_DIGITS..).unwrap_or_default();
    format!("{}/{shard}/{name}", tree.name())
}

/// Where blobs are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BlobStore {
    /// In the data folder.
    #[default]
    Folder,
    /// In a bucket; the data folder keeps copies of originals, of so many bytes in all.
    Bucket(Location, u64),
}

impl BlobStore {
    /// What a setting says: a bucket's URL, or nothing for the data folder. `cache` is in bytes.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(url: &str, cache: u64) -> Result<Self> {
        if url.is_empty() {
            return Ok(Self::Folder);
        }
        Ok(Self::Bucket(Location::parse(url, |name| std::env::var(name).ok())?, cache))
    }
}

/// All blobs, and the folders in which they become whole. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Blobs {
    pub(crate) scratch: Scratch,
    pub(crate) home: Home,
}

/// Where blobs lie.
#[derive(Debug, Clone)]
pub(crate) enum Home {
    Folder(Folder),
    Bucket(Objects, Cache),
}

/// A blob, to be read at any place of it.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Where its bytes are.
    pub source: ByteSource,
    /// How many.
    pub size: u64,
}

/// Where bytes are.
#[derive(Debug, Clone)]
pub enum ByteSource {
    /// In a file.
    File(Arc<File>),
    /// In a bucket.
    Object(Object),
}

/// An object of a bucket.
#[derive(Debug, Clone)]
pub struct Object {
    bucket: Bucket,
    key: Arc<str>,
}

impl Object {
    /// Whether two are one.
    pub fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// A part of it, as it comes.
    ///
    /// # Errors
    /// When the store is away, or it is gone.
    pub async fn read(&self, range: Range<u64>) -> io::Result<reelhouse_bucket::Bytes> {
        let found = self.bucket.get(&self.key, Some(range)).await.map_err(io::Error::other)?;
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A URL from which anybody gets it, for so long.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn url(&self, shown: &Shown, lifetime: Duration) -> Result<String> {
        Ok(self.bucket.url_of(&self.key, shown, lifetime).await?)
    }
}

impl Blobs {
    /// Makes the folders there are to be.
    pub(crate) fn open(scratch: Scratch, store: &BlobStore) -> Result<Self> {
        let blobs = Self::attach(scratch, store)?;
        blobs.scratch.make()?;
        if let Home::Folder(folder) = &blobs.home {
            folder.make()?;
        }
        Ok(blobs)
    }

    pub(crate) fn attach(scratch: Scratch, store: &BlobStore) -> Result<Self> {
        let home = match store {
            BlobStore::Folder => Home::Folder(Folder::at(scratch.root().to_owned())),
            BlobStore::Bucket(location, cache) => {
                let objects = Objects::new(Bucket::new(location.clone())?);
                Home::Bucket(objects, Cache::new(scratch.cache(), *cache))
            }
        };
        Ok(Self { scratch, home })
    }

    /// A new file for the bytes of an asset that are still arriving, `declared` at the most where that is known. Dropped before it
    /// is sealed and moved, it is gone.
    pub fn stage(&self, asset: AssetId, declared: Option<u64>) -> StagingFile {
        StagingFile::new(self.clone(), asset, declared)
    }

    /// Opens a blob for reading; `None` when it is not there.
    ///
    /// # Errors
    /// When it is there and cannot be opened, or nobody can tell.
    pub async fn read(&self, key: &BlobKey) -> Result<Option<Opened>> {
        let file = match &self.home {
            Home::Folder(folder) => folder.open(key).await?,
            Home::Bucket(objects, cache) => {
                let copy = match key {
                    BlobKey::Original(asset) => cache.get(*asset),
                    BlobKey::Derived { .. } => None,
                };
                // Open, it can be read to its end, whatever becomes of its name.
                match copy.and_then(|copy| File::open(copy.path()).ok()) {
                    Some(file) => Some(file),
                    None => {
                        let Some(size) = objects.size(key).await? else { return Ok(None) };
                        let object = Object { bucket: objects.bucket.clone(), key: key.object().into() };
                        return Ok(Some(Opened { source: ByteSource::Object(object), size }));
                    }
                }
            }
        };
        let Some(file) = file else { return Ok(None) };
        let size = file.metadata().during("looking at a blob")?.len();
        Ok(Some(Opened { source: ByteSource::File(Arc::new(file)), size }))
    }

    /// The whole of a small blob; `None` when it is not there.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub async fn read_all(&self, key: &BlobKey) -> Result<Option<Vec<u8>>> {
        let Some(Opened { source, size }) = self.read(key).await? else { return Ok(None) };
        match source {
            ByteSource::File(file) => {
                let read = move || {
                    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
                    let read = std::os::unix::fs::FileExt::read_exact_at(&*file, &mut bytes, 0);
                    read.during("reading a blob").map(|()| Some(bytes))
                };
                blocking(read).await
            }
            ByteSource::Object(object) => match object.bucket.get(&object.key, None).await? {
                Some(found) => Ok(Some(found.all().await?)),
                None => Ok(None),
            },
        }
    }

    /// Reads a blob: how many bytes it has, and their hash in hex; `None` when it is not there. Tells how many were read, again
    /// and again.
    pub(crate) async fn hash(
        &self,
        key: &BlobKey,
        read: impl Fn(u64) + Send + 'static,
    ) -> Result<Option<(u64, String)>> {
        let (hasher, size) = match &self.home {
            Home::Folder(folder) => {
                let Some(file) = folder.open(key).await? else { return Ok(None) };
                blocking(move || hash_file(file, read)).await?
            }
            // Not a copy: what counts is what is kept.
            Home::Bucket(objects, _) => {
                let Some(mut found) = objects.bucket.get(&key.object(), None).await? else { return Ok(None) };
                let (mut hasher, mut size) = (Box::<blake3::Hasher>::default(), 0);
                while let Some(bytes) = found.chunk().await? {
                    hasher.update(&bytes);
                    size += bytes.len() as u64;
                    read(bytes.len() as u64);
                }
                (hasher, size)
            }
        };
        Ok(Some((size, hasher.finalize().to_hex().to_string())))
    }

    /// Bytes of an original as it is now; `None` when it is not there.
    pub(crate) async fn size(&self, asset: AssetId) -> Result<Option<u64>> {
        let key = BlobKey::Original(asset);
        match &self.home {
            Home::Folder(folder) => folder.size(&key).await,
            Home::Bucket(objects, _) => Ok(objects.bucket.head_object(&key.object()).await?),
        }
    }

    /// An original as a file, for who can read nothing else; `None` when it is not there.
    ///
    /// # Errors
    /// When it cannot be fetched, or nobody can tell.
    pub async fn local(&self, asset: AssetId) -> Result<Option<Local>> {
        let key = BlobKey::Original(asset);
        match &self.home {
            Home::Folder(folder) => {
                let path = folder.path(&key);
                Ok(path.exists().then(|| Local::at(path)))
            }
            Home::Bucket(objects, cache) => {
                if let Some(copy) = cache.get(asset) {
                    return Ok(Some(copy));
                }
                let turn = cache.turn(asset).await;
                let fetched = match cache.get(asset) {
                    Some(copy) => Ok(Some(copy)),
                    None => fetch(objects, cache, asset).await,
                };
                cache.end_turn(asset, turn);
                fetched
            }
        }
    }

    /// Removes a blob, durably; fine when it is not there.
    pub(crate) async fn remove(&self, key: &BlobKey) -> Result<()> {
        match &self.home {
            Home::Folder(folder) => folder.remove(key).await,
            Home::Bucket(objects, cache) => {
                if let BlobKey::Original(asset) = key {
                    cache.forget(*asset);
                }
                objects.remove(key).await
            }
        }
    }

    /// Whether a write that was given up may still be carried out.
    pub(crate) fn may_be_late(&self) -> bool {
        matches!(self.home, Home::Bucket(..))
    }

    /// Removes an incoming file, durably; fine when it is not there.
    pub(crate) async fn remove_incoming(&self, asset: AssetId) -> Result<()> {
        let scratch = self.scratch.clone();
        blocking(move || scratch.remove_incoming(asset)).await
    }

    /// Removes an original that nobody may ever see, and whatever upload would still become it.
    pub(crate) async fn remove_unseen(&self, asset: AssetId) -> Result<()> {
        let key = BlobKey::Original(asset);
        if let Home::Bucket(objects, _) = &self.home {
            objects.give_up(&key).await?;
        }
        self.remove(&key).await
    }

    /// What lies in some shards of a tree, as its names say.
    pub(crate) async fn walk(&self, tree: Tree, shards: Shards) -> Result<Walk> {
        match &self.home {
            Home::Folder(folder) => folder.walk(tree, shards).await,
            Home::Bucket(objects, _) => objects.walk(tree, shards).await,
        }
    }

    /// The names of an asset's derivatives.
    pub(crate) async fn derived_folders(&self, asset: AssetId) -> Result<Vec<String>> {
        match &self.home {
            Home::Folder(folder) => folder.derived_folders(asset).await,
            Home::Bucket(objects, _) => objects.derived_folders(asset).await,
        }
    }

    /// When what is at a path was written last, in milliseconds since the epoch; `None` when nothing is there. In a bucket, the path
    /// of many ends with `/`.
    pub(crate) async fn modified_ms(&self, path: &str) -> Result<Option<i64>> {
        match &self.home {
            Home::Folder(_) => {
                let path = self.scratch.root().join(path);
                blocking(move || Ok(modified_ms(&path))).await
            }
            Home::Bucket(objects, _) => objects.modified_ms(path).await,
        }
    }

    /// Moves what nobody knows to `lost+found`, over nothing that is there; returns where it is.
    pub(crate) async fn set_aside(&self, path: &str) -> Result<String> {
        let aside = match &self.home {
            Home::Folder(folder) => folder.set_aside(path).await?,
            Home::Bucket(objects, _) => objects.set_aside(path).await?,
        };
        Ok(self.shown(&aside))
    }

    /// The files of a derivative, each with its size; `None` when it is not there.
    pub(crate) async fn derived_files(
        &self,
        asset: AssetId,
        folder: &str,
    ) -> Result<Option<Vec<(String, u64)>>> {
        match &self.home {
            Home::Folder(home) => home.derived_files(asset, folder).await,
            Home::Bucket(objects, _) => objects.derived_files(asset, folder).await,
        }
    }

    /// Bytes of a derivative's files; `None` when it is not there.
    pub(crate) async fn derived_bytes(&self, asset: AssetId, folder: &str) -> Result<Option<u64>> {
        let files = self.derived_files(asset, folder).await?;
        Ok(files.map(|files| files.iter().map(|(_, size)| size).sum()))
    }

    /// Writes a derivative's small files where they lie, durably.
    pub(crate) async fn write_derived(
        &self,
        asset: AssetId,
        folder: &str,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<()> {
        match &self.home {
            Home::Folder(home) => home.write_derived(asset, folder, files).await,
            Home::Bucket(objects, _) => objects.write_derived(asset, folder, files).await,
        }
    }

    /// Puts the files of an attempt where derivatives lie, durably.
    pub(crate) async fn place_derived(&self, attempt: PathBuf, asset: AssetId, folder: &str) -> Result<()> {
        match &self.home {
            Home::Folder(home) => home.place_derived(attempt, asset, folder).await,
            Home::Bucket(objects, _) => objects.place_derived(attempt, asset, folder).await,
        }
    }

    /// Removes those of an asset's derivatives whose name is doomed.
    pub(crate) async fn remove_derived(
        &self,
        asset: AssetId,
        doomed: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<()> {
        match &self.home {
            Home::Folder(home) => home.remove_derived(asset, doomed).await,
            Home::Bucket(objects, _) => objects.remove_derived(asset, doomed).await,
        }
    }

    /// Where people find a blob.
    pub(crate) fn shown(&self, path: &str) -> String {
        match &self.home {
            Home::Folder(_) => self.scratch.root().join(path).display().to_string(),
            Home::Bucket(objects, _) => {
                format!("{}/{path}", objects.bucket.location().to_string().trim_end_matches('/'))
            }
        }
    }
}

impl BlobKey {
    /// Its key in a bucket.
    pub(crate) fn object(&self) -> String {
        self.path()
    }
}

/// How often a fetch that broke off is taken up again.
const RESUMES: u32 = 5;

/// Makes a copy of an original.
async fn fetch(objects: &Objects, cache: &Cache, asset: AssetId) -> Result<Option<Local>> {
    use std::os::unix::fs::FileExt;

    let key = BlobKey::Original(asset);
    let Some(size) = objects.size(&key).await? else { return Ok(None) };
    let drafts = cache.clone();
    let draft = blocking(move || {
        drafts.make_room(size)?;
        drafts.draft(asset)
    });
    let draft = draft.await?;
    let path = draft.clone();
    let file = blocking(move || File::create(path).during("making a copy")).await?;
    let (file, mut at, mut resumes) = (Arc::new(file), 0, 0);
    while at < size {
        let Some(mut found) = objects.bucket.get(&key.object(), Some(at..size)).await? else {
            return Ok(None);
        };
        let broke_off = loop {
            match found.chunk().await {
                Ok(Some(bytes)) => {
                    let (file, len, offset) = (Arc::clone(&file), bytes.len() as u64, at);
                    blocking(move || file.write_all_at(&bytes, offset).during("writing a copy")).await?;
                    at += len;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if let Some(error) = broke_off {
            resumes += 1;
            if resumes > RESUMES {
                return Err(error.into());
            }
        }
    }
    let cache = cache.clone();
    blocking(move || cache.adopt(asset, &draft)).await.map(Some)
}

/// Read at once of what is hashed.
const READ: usize = 1 << 20;

fn hash_file(mut file: File, read: impl Fn(u64)) -> Result<(Box<blake3::Hasher>, u64)> {
    let (mut hasher, mut size, mut buffer) = (Box::<blake3::Hasher>::default(), 0, vec![0; READ]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hasher, size)),
            Ok(bytes) => {
                hasher.update(&buffer[..bytes]);
                size += bytes as u64;
                read(bytes as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Io { what: "reading a blob", source }),
        }
    }
}

/// Runs blocking file work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => Err(Error::Io { what: "file work was cut short", source: io::Error::other(stopped) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_lies_where_operators_are_told() {
        let asset = AssetId::parse("6730aa000000000000000a7f").unwrap();
        let original = BlobKey::Original(asset);
        assert_eq!(original.path(), "originals/7f/6730aa000000000000000a7f");
        let derived = BlobKey::Derived { asset, folder: "hls-1".to_owned(), file: "index".to_owned() };
        assert_eq!(derived.path(), "derived/7f/6730aa000000000000000a7f/hls-1/index");
        let aside: Vec<_> = aside("originals/7f/x").take(3).collect();
        assert_eq!(
            aside,
            ["lost+found/originals/7f/x", "lost+found/originals/7f/x.1", "lost+found/originals/7f/x.2"]
        );
    }

    #[test]
    fn a_folder_is_what_is_not_said() {
        assert_eq!(BlobStore::parse("", 1).unwrap(), BlobStore::Folder);
        assert!(BlobStore::parse("ftp://somewhere/else", 1).is_err());
    }
}
