use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use reelhouse_api::{CompletedChunk, CreateUpload};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What is remembered of an upload, so that another process can go on with it. What has arrived, the server knows better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) base_url: String,
    /// The file, absolute.
    pub(crate) path: PathBuf,
    /// When the file last changed, in nanoseconds since the epoch.
    pub(crate) modified: u128,
    pub(crate) new: CreateUpload,
    pub(crate) upload_id: String,
    pub(crate) asset_id: String,
    pub(crate) chunk_size: u64,
    pub(crate) total_chunks: u64,
    /// Chunks that arrived, and of which the server may not have been told.
    pub(crate) arrived: Vec<CompletedChunk>,
}

/// One file for each file and server, locked while its upload runs.
pub(crate) struct StateFile {
    file: File,
    path: PathBuf,
}

impl StateFile {
    /// Opens the state of this file's upload, in this folder.
    pub(crate) fn open(folder: &Path, base_url: &str, upload: &Path) -> Result<Self> {
        let name = crate::source::file_name(upload).chars().take(60).collect::<String>();
        let hash = fnv(&[base_url.as_bytes(), b"\n", upload.as_os_str().as_encoded_bytes()].concat());
        let path = folder.join(format!("{name}-{hash:016x}.json"));
        let at = |source| Error::File { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(at)?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(at)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::Upload(format!("another process is uploading {}", upload.display())))
            }
            Err(TryLockError::Error(error)) => Err(at(error)),
        }
    }

    /// What was saved. A file that was torn by a kill is as good as none.
    pub(crate) fn read(&mut self) -> Option<Saved> {
        let mut text = String::new();
        self.file.rewind().ok()?;
        self.file.read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    pub(crate) fn write(&mut self, saved: &Saved) -> Result<()> {
        let write = |file: &mut File| -> io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(&serde_json::to_vec(saved)?)
        };
        write(&mut self.file).map_err(|source| Error::File { path: self.path.clone(), source })
    }

    /// Nothing is left to go on with.
    pub(crate) fn remove(self) {
        // If it stays, the next upload of the file finds out that it is of no use.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// FNV-1a: names must be the same in every build of this SDK.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use reelhouse_api::MediaKind;

    use super::*;

    #[test]
    fn what_is_saved_is_read_by_the_next_and_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let open = || StateFile::open(folder.path(), "http://h/v1.3", Path::new("/films/a.mp4"));
        let saved = Saved {
            base_url: "http://h/v1.3".to_owned(),
            path: "/films/a.mp4".into(),
            modified: 1_790_000_000_000_000_000,
            new: CreateUpload::new("a.mp4", MediaKind::Video, 7),
            upload_id: "u".to_owned(),
            asset_id: "a".to_owned(),
            chunk_size: 5,
            total_chunks: 2,
            arrived: vec![CompletedChunk::new(1, "e", 5)],
        };
        let mut first = open().unwrap();
        assert_eq!(first.read(), None);
        first.write(&saved).unwrap();
        assert!(matches!(open(), Err(Error::Upload(_))));
        drop(first);
        let mut second = open().unwrap();
        assert_eq!(second.read(), Some(saved));
        second.file.set_len(20).unwrap();
        assert_eq!(second.read(), None);
        second.remove();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
