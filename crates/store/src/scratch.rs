//! What a node works with and nobody else needs: what is arriving, what is being made, copies of what is kept elsewhere.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use reelhouse_api::AssetId;

use crate::error::{During, Error, Result};

const WORK: &str = "work";
const STAGING: &str = "staging";
const INCOMING: &str = "incoming";
const CACHE: &str = "cache";
/// Random hex digits.
const STAGING_NAME: usize = 32;

/// The folders of a node, in its data folder.
#[derive(Debug, Clone)]
pub(crate) struct Scratch {
    root: PathBuf,
}

impl Scratch {
    pub(crate) fn at(root: &Path) -> Self {
        // Children are handed absolute paths: they have no business with our working directory.
        Self { root: std::path::absolute(root).unwrap_or_else(|_| root.to_owned()) }
    }

    pub(crate) fn make(&self) -> Result<()> {
        for folder in [STAGING, INCOMING, WORK] {
            fs::create_dir_all(self.root.join(folder)).during("making the folders of a node")?;
        }
        sync_folder(&self.root)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where a file in staging may be made.
    pub(crate) fn staging_path(&self) -> Result<PathBuf> {
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(io::Error::other).during("naming a staging file")?;
        Ok(self.root.join(STAGING).join(format!("{:0STAGING_NAME$x}", u128::from_be_bytes(name))))
    }

    /// Files with a name that [`Scratch::staging_path`] gives. Others are none of ours.
    pub(crate) fn staging_files(&self) -> Result<Vec<PathBuf>> {
        let ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.len() == STAGING_NAME && name.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        Ok(list(&self.root.join(STAGING))?.into_iter().filter(ours).collect())
    }

    /// Empties staging: what an upload left there belongs to a process that is gone.
    pub(crate) fn clear_staging(&self) -> Result<()> {
        for path in self.staging_files()? {
            fs::remove_file(path).during("clearing staging")?;
        }
        Ok(())
    }

    /// Where what has arrived so far of an asset lies that is not ready.
    pub(crate) fn incoming_path(&self, asset: AssetId) -> PathBuf {
        self.root.join(INCOMING).join(asset.to_string())
    }

    /// What is in the folder of incoming files.
    pub(crate) fn incoming_files(&self) -> Result<Vec<PathBuf>> {
        list(&self.root.join(INCOMING))
    }

    /// Removes an incoming file; fine when it is not there.
    pub(crate) fn remove_incoming(&self, asset: AssetId) -> Result<()> {
        let path = self.incoming_path(asset);
        match fs::remove_file(&path) {
            Ok(()) => sync_parent(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(Error::Io { what: "removing an incoming file", source }),
        }
    }

    /// Where an attempt writes.
    pub(crate) fn attempt_path(&self, name: &str) -> PathBuf {
        self.root.join(WORK).join(name)
    }

    /// The folders of attempts there are.
    pub(crate) fn attempts(&self) -> Result<Vec<PathBuf>> {
        list(&self.root.join(WORK))
    }

    /// Where copies of originals lie.
    pub(crate) fn cache(&self) -> PathBuf {
        self.root.join(CACHE)
    }
}

/// A file that was not there, for nobody else's eyes.
pub(crate) fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// What is in a folder; nothing where there is none.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.during("listing a folder")?,
    };
    entries.map(|entry| Ok(entry.during("listing a folder")?.path())).collect()
}

/// When a file, or what is in a folder, was written last, in milliseconds since the epoch; `None` when it is gone.
pub(crate) fn modified_ms(path: &Path) -> Option<i64> {
    let metadata = path.symlink_metadata().ok()?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let own = i64::try_from(modified.as_millis()).ok()?;
    // A folder's own time says only when a name in it came or went.
    let within = if metadata.is_dir() { list(path).ok()? } else { Vec::new() };
    within.iter().filter_map(|path| modified_ms(path)).chain([own]).max()
}

pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), sync_folder)
}

pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).during("flushing a folder")
}
