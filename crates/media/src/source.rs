use std::{
    fs::File,
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::Error;

/// What is looked at.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, absolute.
    File(PathBuf),
    /// All bytes of one that lies nowhere yet.
    Bytes(Bytes),
}

impl Source {
    /// The one descriptor of it that a child gets.
    pub(crate) async fn open(&self) -> Result<File, Error> {
        Ok(match self {
            Self::File(path) => tokio::fs::File::open(path).await?.into_std().await,
            Self::Bytes(bytes) => in_memory(bytes)?,
        })
    }
}

/// A file that has no name and lies nowhere.
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("media", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&PathBuf> for Source {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}
