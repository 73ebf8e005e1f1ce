//! Blobs in the data folder: moved into place, their folders flushed.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use reelhouse_api::AssetId;
use rustix::{
    fs::{CWD, Mode, OFlags, RenameFlags, ResolveFlags, openat2, renameat_with},
    io::Errno,
};

use crate::{
    blobs::{BlobKey, Tree, aside, blocking, sharded},
    error::{During, Error, Result},
    scratch::{list, new_file, sync_folder, sync_parent},
    shards::{Named, Shards, Walk},
};

/// The trees of originals and of what is made of them, below the data folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Makes every folder there will ever be, durably, so that a publish flushes only the one it renames into.
    pub(crate) fn make(&self) -> Result<()> {
        for tree in Tree::ALL {
            let tree = self.root.join(tree.name());
            for shard in 0..=u8::MAX {
                fs::create_dir_all(tree.join(format!("{shard:02x}")))
                    .during("making the folders of blobs")?;
            }
            sync_folder(&tree)?;
        }
        // The trees' own names.
        sync_folder(&self.root)
    }

    pub(crate) fn path(&self, key: &BlobKey) -> PathBuf {
        self.root.join(key.path())
    }

    pub(crate) async fn open(&self, key: &BlobKey) -> Result<Option<File>> {
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
    pub(crate) async fn place(&self, staged: PathBuf, key: &BlobKey) -> Result<()> {
        let target = self.path(key);
        blocking(move || {
            fs::rename(staged, &target).during("moving a blob into place")?;
            sync_parent(&target)
        })
        .await
    }

    /// Makes it durable that a blob is where it is; false when it is not.
    pub(crate) async fn sync_place(&self, key: &BlobKey) -> Result<bool> {
        let target = self.path(key);
        blocking(move || if target.exists() { sync_parent(&target).map(|()| true) } else { Ok(false) }).await
    }

    /// Writes a blob where it belongs, flushed. Nobody looks there before it has a row: it needs no other place to become whole in.
    pub(crate) async fn write(&self, bytes: Bytes, key: &BlobKey) -> Result<()> {
        let path = self.path(key);
        blocking(move || {
            let mut file = new_file(&path).during("making a blob")?;
            let written = file.write_all(&bytes).and_then(|()| file.sync_data());
            if written.is_err() {
                // Half of it is of no use, and the disk may be full.
                let _ = fs::remove_file(&path);
            }
            written.during("writing a blob")?;
            sync_parent(&path)
        })
        .await
    }

    /// Removes a blob, durably; fine when it is not there.
    pub(crate) async fn remove(&self, key: &BlobKey) -> Result<()> {
        let path = self.path(key);
        blocking(move || match fs::remove_file(&path) {
            Ok(()) => sync_parent(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(Error::Io { what: "removing a blob", source }),
        })
        .await
    }

    /// Bytes of a blob; `None` when it is not there.
    pub(crate) async fn size(&self, key: &BlobKey) -> Result<Option<u64>> {
        let path = self.path(key);
        blocking(move || match fs::metadata(path) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { what: "looking at a blob", source }),
        })
        .await
    }

    /// What lies in some shards of a tree.
    pub(crate) async fn walk(&self, tree: Tree, shards: Shards) -> Result<Walk> {
        let root = self.root.clone();
        blocking(move || {
            let mut walk = Walk::default();
            for (shard, is_folder) in entries(&root.join(tree.name()))? {
                let path = format!("{}/{shard}", tree.name());
                if !shards.hold(&if is_folder { format!("{shard}/") } else { shard }) {
                    continue;
                }
                if !is_folder {
                    walk.strange.push(path);
                    continue;
                }
                for (name, is_folder) in entries(&root.join(&path))? {
                    let path = format!("{path}/{name}");
                    let asset = AssetId::parse(&name).filter(|asset| sharded(tree, *asset) == path);
                    match (asset, tree) {
                        (Some(asset), Tree::Originals) if !is_folder => {
                            walk.named.push(Named { asset, folder: String::new(), bytes: None });
                        }
                        (Some(asset), Tree::Derived) if is_folder => {
                            for (folder, is_folder) in entries(&root.join(&path))? {
                                if is_folder {
                                    walk.named.push(Named { asset, folder, bytes: None });
                                } else {
                                    walk.strange.push(format!("{path}/{folder}"));
                                }
                            }
                        }
                        _ => walk.strange.push(path),
                    }
                }
            }
            Ok(walk.sorted())
        })
        .await
    }

    /// The names of an asset's derivatives.
    pub(crate) async fn derived_folders(&self, asset: AssetId) -> Result<Vec<String>> {
        let folder = self.derived(asset);
        blocking(move || names(&folder)).await
    }

    /// Moves what nobody knows out of the trees, durably.
    pub(crate) async fn set_aside(&self, path: &str) -> Result<String> {
        let (root, from) = (self.root.clone(), path.to_owned());
        blocking(move || {
            for to in aside(&from) {
                let target = root.join(&to);
                if let Some(parent) = target.parent() {
                    fs::create_dir_all(parent).during("making lost+found")?;
                }
                match renameat_with(CWD, root.join(&from), CWD, &target, RenameFlags::NOREPLACE) {
                    Err(Errno::EXIST) => continue,
                    moved => moved.map_err(io::Error::from).during("moving to lost+found")?,
                }
                sync_parent(&target)?;
                sync_parent(&root.join(&from))?;
                return Ok(to);
            }
            Ok(from)
        })
        .await
    }

    /// The files of a derivative, each with its size; `None` when it is not there.
    pub(crate) async fn derived_files(
        &self,
        asset: AssetId,
        folder: &str,
    ) -> Result<Option<Vec<(String, u64)>>> {
        let folder = self.derived(asset).join(folder);
        blocking(move || {
            if !folder.exists() {
                return Ok(None);
            }
            let file = |path: PathBuf| {
                let name = path.file_name()?.to_string_lossy().into_owned();
                Some((name, path.metadata().map_or(0, |file| file.len())))
            };
            Ok(Some(list(&folder)?.into_iter().filter_map(file).collect()))
        })
        .await
    }

    /// Writes a derivative's small files where they lie, durably.
    pub(crate) async fn write_derived(
        &self,
        asset: AssetId,
        folder: &str,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<()> {
        let (home, path) = (self.derived(asset), self.derived(asset).join(folder));
        blocking(move || {
            fs::create_dir_all(&path).during("making the folder of a derivative")?;
            for (name, bytes) in files {
                fs::write(path.join(name), bytes).during("writing a derivative")?;
            }
            flush_files(&path)?;
            flush_home(&home)
        })
        .await
    }

    /// Moves the folder of an attempt into place, flushed, and makes the move durable.
    pub(crate) async fn place_derived(&self, attempt: PathBuf, asset: AssetId, folder: &str) -> Result<()> {
        let (home, folder) = (self.derived(asset), folder.to_owned());
        blocking(move || {
            flush_files(&attempt)?;
            fs::create_dir_all(&home).during("making the folder of derivatives")?;
            fs::rename(attempt, home.join(folder)).during("moving a derivative into place")?;
            flush_home(&home)
        })
        .await
    }

    /// Removes those of an asset's derivatives whose name is doomed.
    pub(crate) async fn remove_derived(
        &self,
        asset: AssetId,
        doomed: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<()> {
        let home = self.derived(asset);
        blocking(move || {
            for name in names(&home)?.iter().filter(|name| doomed(name)) {
                match fs::remove_dir_all(home.join(name)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::Io { what: "removing a derivative", source: error });
                    }
                    _ => {}
                }
            }
            // Goes when it is empty, and only then.
            let _ = fs::remove_dir(&home);
            sync_parent(&home)
        })
        .await
    }

    fn derived(&self, asset: AssetId) -> PathBuf {
        self.root.join(sharded(Tree::Derived, asset))
    }
}

/// Opens a file whose name the system has in memory; `None` when that is not sure without waiting.
fn open_if_cached(path: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok().map(File::from)
}

/// The names in a folder, and whether each is a folder's; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<(String, bool)>> {
    let found = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.during("listing a folder")?,
    };
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), entry.file_type()?.is_dir()))
    };
    found.map(|found| entry(found).during("listing a folder")).collect()
}

fn names(home: &Path) -> Result<Vec<String>> {
    if !home.exists() {
        return Ok(Vec::new());
    }
    let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(list(home)?.into_iter().filter_map(name).collect())
}

/// Flushes every file of a flat folder, and the folder.
fn flush_files(folder: &Path) -> Result<()> {
    for path in list(folder)? {
        File::open(path).and_then(|file| file.sync_all()).during("flushing what an attempt made")?;
    }
    sync_folder(folder)
}

/// Makes an asset's folders of derivatives durable, not what is in them.
fn flush_home(home: &Path) -> Result<()> {
    sync_folder(home)?;
    sync_parent(home)
}
