use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    accounts::hex,
    error::{During, Error, Result},
    scratch::{sync_folder, sync_parent},
};

const FILE: &str = "lock";
/// What may be in a new data folder: a file system's own, our settings, and what doctor left where rows and blobs are elsewhere.
const HARMLESS: [&str; 4] = ["lost+found", "reelhouse.toml", "doctor.json", "doctor.json.new"];
/// Bytes of the lock file, the rest of them spaces: less than a sector, so that writing it over leaves the old text or the new.
const LENGTH: usize = 128;
/// Doctor takes the lock for an instant to see whether a server holds it; a start must outwait that.
const TRIES: u32 = 10;

/// An exclusive hold (flock) on a data folder; the kernel releases it with the process, however that ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
    /// Names the folder among all that share a database: the same at each start.
    pub(crate) node: String,
}

/// Who holds a folder, as written into its lock file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    pid: u32,
    /// Milliseconds since the epoch.
    pub(crate) started_at: i64,
    #[serde(default)]
    node: String,
}

impl FolderLock {
    pub(crate) fn take(data_dir: &Path, now_ms: i64) -> Result<Self> {
        // As a child is told of it: a relative path of one name has no parent to flush.
        let data_dir = &std::path::absolute(data_dir).during("finding the data folder")?;
        let made: Vec<&Path> = data_dir.ancestors().take_while(|folder| !folder.exists()).collect();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir)
            .during("making the data folder")?;
        refuse_strangers(data_dir)?;
        fs::set_permissions(data_dir, fs::Permissions::from_mode(0o700))
            .during("closing the data folder to others")?;
        let path = data_dir.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .during("opening the lock file")?;
        for tries_left in (0..TRIES).rev() {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries_left > 0 => thread::sleep(Duration::from_millis(30)),
                Err(TryLockError::WouldBlock) => {
                    let holder =
                        read_holder(&mut file).map_or("unknown".to_owned(), |holder| holder.pid.to_string());
                    return Err(Error::FolderHeld { path: data_dir.to_owned(), holder });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(Error::Io { what: "locking the data folder", source });
                }
            }
        }
        let named = read_holder(&mut file).map(|holder| holder.node).filter(|node| !node.is_empty());
        let node = named.clone().map_or_else(new_node, Ok)?;
        let holder = Holder { pid: std::process::id(), started_at: now_ms, node: node.clone() };
        write(&file, &holder).during("writing the lock file")?;
        if named.is_none() {
            // Before anything is kept in it, the folder and its name are there to stay.
            sync_folder(data_dir)?;
            for folder in made.into_iter().skip(1) {
                sync_parent(folder)?;
            }
            sync_parent_of_given(data_dir)?;
        }
        Ok(Self { _file: file, node })
    }

    /// Whether a server ever ran on a folder.
    pub(crate) fn was_ever_taken(data_dir: &Path) -> bool {
        data_dir.join(FILE).is_file()
    }

    /// The node whose folder it is, for who does not hold it; empty where none was ever named.
    pub(crate) fn node_of(data_dir: &Path) -> String {
        let file = File::open(data_dir.join(FILE)).ok();
        file.and_then(|mut file| read_holder(&mut file)).map_or(String::new(), |holder| holder.node)
    }

    /// The running server of a folder, if there is one.
    pub(crate) fn holder(data_dir: &Path) -> Option<Holder> {
        let mut file = File::open(data_dir.join(FILE)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => read_holder(&mut file),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }
}

/// A folder with somebody's files in it is no data folder: it would be closed to others and filled with ours.
fn refuse_strangers(data_dir: &Path) -> Result<()> {
    if data_dir.join(FILE).exists() {
        return Ok(());
    }
    for entry in fs::read_dir(data_dir).during("listing the data folder")? {
        let name = entry.during("listing the data folder")?.file_name();
        if !HARMLESS.contains(&name.to_string_lossy().as_ref()) {
            return Err(Error::NotOurFolder { path: data_dir.to_owned() });
        }
    }
    Ok(())
}

/// Makes it durable that a data folder is where it is, in case a start before this one made it and died. Who may not read
/// the folder it is in has not made it.
fn sync_parent_of_given(data_dir: &Path) -> Result<()> {
    match sync_parent(data_dir) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Writes who holds the folder over who held it. Whatever power loss leaves of that, the folder's name is in it: by that the
/// next start knows what is its own.
fn write(file: &File, holder: &Holder) -> io::Result<()> {
    let found = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if found < LENGTH {
        file.write_all_at(" ".repeat(LENGTH - found).as_bytes(), found as u64)?;
        file.sync_all()?;
    }
    let text = serde_json::to_string(holder)?;
    file.write_all_at(format!("{text:LENGTH$}").as_bytes(), 0)?;
    file.sync_all()
}

/// A name for a folder that has none.
fn new_node() -> Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(std::io::Error::other).during("naming the data folder")?;
    Ok(hex(&random))
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
