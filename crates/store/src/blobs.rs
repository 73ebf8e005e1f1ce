//! The folder of blobs, and the one place that knows where a blob lies.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use reelhouse_api::AssetId;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use crate::{
    error::{During, Error, Result},
    staging::StagingFile,
};

/// Names a blob. Where it lies follows from this and from nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BlobKey {
    /// What was uploaded, byte for byte.
    Original(AssetId),
    /// What has arrived so far of an asset that is not ready.
    Incoming(AssetId),
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

const ORIGINALS: &str = "originals";
const DERIVED: &str = "derived";
const WORK: &str = "work";
const STAGING: &str = "staging";
const INCOMING: &str = "incoming";
/// Random hex digits.
const STAGING_NAME: usize = 32;
/// The last two digits of an id are random: they spread blobs evenly over 256 folders.
const SHARD_DIGITS: usize = 2;

impl BlobKey {
    /// Path below the data folder: `originals/7f/6730…7f`, `derived/7f/6730…7f/hls-…-1/index`.
    fn path(&self) -> PathBuf {
        match self {
            Self::Original(asset) => sharded(ORIGINALS, *asset),
            Self::Incoming(asset) => [INCOMING, &asset.to_string()].iter().collect(),
            Self::Derived { asset, folder, file } => sharded(DERIVED, *asset).join(folder).join(file),
        }
    }
}

/// An asset's place in a tree of 256 folders.
fn sharded(tree: &str, asset: AssetId) -> PathBuf {
    let name = asset.to_string();
    let shard = name.get(name.len() - SHARD_DIGITS..).unwrap_or_default().to_owned();
    [tree, &shard, &name].iter().collect()
}

/// Our own folder store: stage, flush, rename, flush the folder.
#[derive(Debug, Clone)]
pub struct Blobs {
    root: PathBuf,
}

impl Blobs {
    /// Makes every folder there will ever be, durably, so that a publish flushes only the one it renames into.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let blobs = Self::attach(root);
        fs::create_dir_all(blobs.root.join(STAGING)).during("making the staging folder")?;
        fs::create_dir_all(blobs.root.join(INCOMING)).during("making the folder of what is arriving")?;
        fs::create_dir_all(blobs.root.join(WORK)).during("making the folder of attempts")?;
        for tree in [ORIGINALS, DERIVED] {
            let tree = blobs.root.join(tree);
            for shard in 0..=u8::MAX {
                fs::create_dir_all(tree.join(format!("{shard:02x}")))
                    .during("making the folders of blobs")?;
            }
            sync_folder(&tree)?;
        }
        sync_folder(&blobs.root)?;
        Ok(blobs)
    }

    pub(crate) fn attach(root: &Path) -> Self {
        // Children are handed absolute paths: they have no business with our working directory.
        Self { root: std::path::absolute(root).unwrap_or_else(|_| root.to_owned()) }
    }

    /// A new file for bytes that are still arriving, `declared` at the most where that is known. Dropped before it is sealed and
    /// moved, it is gone.
    pub fn stage(&self, declared: Option<u64>) -> StagingFile {
        StagingFile::new(self.clone(), declared)
    }

    /// Where a file in staging may be made.
    pub(crate) fn staging_path(&self) -> Result<PathBuf> {
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(io::Error::other).during("naming a staging file")?;
        Ok(self.root.join(STAGING).join(format!("{:0STAGING_NAME$x}", u128::from_be_bytes(name))))
    }

    /// Opens a blob for reading; `None` when it is not there.
    ///
    /// # Errors
    /// When it is there and cannot be opened.
    pub async fn open_file(&self, key: &BlobKey) -> Result<Option<File>> {
        let path = self.path(key);
        if let Some(file) = open_if_cached(&path) {
            return Ok(Some(file));
        }
        blocking(move || match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { what: "opening a blob", source }),
        })
        .await
    }

    /// Moves a flushed file into place and makes the move durable.
    pub(crate) fn place(&self, staged: &Path, key: BlobKey) -> Result<()> {
        let target = self.path(&key);
        fs::rename(staged, &target).during("moving a blob into place")?;
        sync_parent(&target)
    }

    /// Makes it durable that a blob is where it is.
    pub(crate) fn sync_place(&self, key: &BlobKey) -> Result<()> {
        sync_parent(&self.path(key))
    }

    /// Removes a blob, durably; fine when it is not there.
    pub(crate) async fn remove(&self, key: BlobKey) -> Result<()> {
        let path = self.path(&key);
        blocking(move || match fs::remove_file(&path) {
            Ok(()) => sync_parent(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(Error::Io { what: "removing a blob", source }),
        })
        .await
    }

    /// Empties staging: what an upload left there belongs to a process that is gone.
    pub(crate) fn clear_staging(&self) -> Result<()> {
        for path in self.staging_files()? {
            fs::remove_file(path).during("clearing staging")?;
        }
        Ok(())
    }

    /// Files with a name that [`Blobs::staging_path`] gives. Others are none of ours.
    pub(crate) fn staging_files(&self) -> Result<Vec<PathBuf>> {
        let ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.len() == STAGING_NAME && name.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        Ok(list(&self.root.join(STAGING))?.into_iter().filter(ours).collect())
    }

    /// Every original on disk: the asset its name says, or the path where the name says nothing.
    pub(crate) fn originals(&self) -> Result<Vec<Result<AssetId, PathBuf>>> {
        self.walk(ORIGINALS)
    }

    /// Every asset's folder of derivatives, likewise.
    pub(crate) fn derived(&self) -> Result<Vec<Result<AssetId, PathBuf>>> {
        self.walk(DERIVED)
    }

    fn walk(&self, tree: &str) -> Result<Vec<Result<AssetId, PathBuf>>> {
        let mut found = Vec::new();
        for shard in list(&self.root.join(tree))? {
            if !shard.is_dir() {
                found.push(Err(shard));
                continue;
            }
            for path in list(&shard)? {
                let asset = path.file_name().and_then(|name| name.to_str()).and_then(AssetId::parse);
                found.push(asset.filter(|asset| self.root.join(sharded(tree, *asset)) == path).ok_or(path));
            }
        }
        Ok(found)
    }

    /// The names of an asset's derivatives on disk.
    pub(crate) fn derived_folders(&self, asset: AssetId) -> Result<Vec<String>> {
        let folder = self.root.join(sharded(DERIVED, asset));
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(list(&folder)?.into_iter().filter_map(name).collect())
    }

    /// Where a derivative's files lie.
    pub(crate) fn derived_path(&self, asset: AssetId, folder: &str) -> PathBuf {
        self.root.join(sharded(DERIVED, asset)).join(folder)
    }

    /// Bytes of a derivative's files; `None` when it is not there.
    pub(crate) fn derived_bytes(&self, asset: AssetId, folder: &str) -> Result<Option<u64>> {
        let folder = self.derived_path(asset, folder);
        if !folder.exists() {
            return Ok(None);
        }
        let size = |path: PathBuf| path.metadata().map_or(0, |file| file.len());
        Ok(Some(list(&folder)?.into_iter().map(size).sum()))
    }

    /// Removes those of an asset's derivatives whose name is doomed.
    pub(crate) fn remove_derived(&self, asset: AssetId, doomed: impl Fn(&str) -> bool) -> Result<()> {
        let folder = self.root.join(sharded(DERIVED, asset));
        let names = self.derived_folders(asset)?;
        for name in names.iter().filter(|name| doomed(name)) {
            match fs::remove_dir_all(folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Io { what: "removing a derivative", source: error });
                }
                _ => {}
            }
        }
        // Goes when it is empty, and only then.
        let _ = fs::remove_dir(&folder);
        sync_parent(&folder)
    }

    /// Moves the flushed folder of an attempt into place and makes the move durable.
    pub(crate) fn place_derived(&self, attempt: &Path, asset: AssetId, folder: &str) -> Result<()> {
        let target = self.root.join(sharded(DERIVED, asset));
        fs::create_dir_all(&target).during("making the folder of derivatives")?;
        fs::rename(attempt, target.join(folder)).during("moving a derivative into place")?;
        self.flush_derived(asset)
    }

    /// Makes an asset's folders of derivatives durable, not what is in them.
    pub(crate) fn flush_derived(&self, asset: AssetId) -> Result<()> {
        let folder = self.root.join(sharded(DERIVED, asset));
        sync_folder(&folder)?;
        sync_parent(&folder)
    }

    /// Where an attempt writes.
    pub(crate) fn attempt_path(&self, name: &str) -> PathBuf {
        self.root.join(WORK).join(name)
    }

    /// What is in the folder of incoming files.
    pub(crate) fn incoming_files(&self) -> Result<Vec<PathBuf>> {
        list(&self.root.join(INCOMING))
    }

    /// The folders of attempts there are.
    pub(crate) fn attempts(&self) -> Result<Vec<PathBuf>> {
        list(&self.root.join(WORK))
    }

    /// Flushes a folder.
    pub(crate) fn sync(folder: &Path) -> Result<()> {
        sync_folder(folder)
    }

    /// Where a blob lies, for children that read files.
    pub fn path(&self, key: &BlobKey) -> PathBuf {
        self.root.join(key.path())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

/// Opens a file whose name the system has in memory; `None` when that is not sure without waiting.
fn open_if_cached(path: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok().map(File::from)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).during("listing a folder")?;
    entries.map(|entry| Ok(entry.during("listing a folder")?.path())).collect()
}

pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), sync_folder)
}

pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).during("flushing a folder")
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
