use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Read,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    accounts::hex,
    error::{During, Error, Result},
};

const FILE: &str = "lock";
/// What may be in a new data folder: a file system's own, and our settings.
const HARMLESS: [&str; 2] = ["lost+found", "reelhouse.toml"];
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
        let node = node(&mut file)?;
        let holder = Holder { pid: std::process::id(), started_at: now_ms, node: node.clone() };
        file.set_len(0).during("writing the lock file")?;
        let text = serde_json::to_string(&holder).unwrap_or_default();
        // The read before it moved the place of writing.
        file.write_all_at(text.as_bytes(), 0).during("writing the lock file")?;
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

/// The folder's name, made when it has none.
fn node(file: &mut File) -> Result<String> {
    if let Some(Holder { node, .. }) = read_holder(file)
        && !node.is_empty()
    {
        return Ok(node);
    }
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(std::io::Error::other).during("naming the data folder")?;
    Ok(hex(&random))
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
