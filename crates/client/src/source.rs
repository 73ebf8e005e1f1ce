use std::{
    fmt,
    io::{self, SeekFrom},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Mutex,
};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt, AsyncSeekExt, Take},
};
use tokio_util::io::ReaderStream;

use crate::{Error, Result};

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// Where an asset's bytes come from.
///
/// A path, bytes in memory, or, by [`Source::reader`] and [`Source::url`], whatever can be read, or a public link.
pub struct Source(pub(crate) Kind);

pub(crate) enum Kind {
    Path(PathBuf),
    /// A piece of a file.
    Section {
        path: PathBuf,
        offset: u64,
        length: u64,
    },
    Bytes(Bytes),
    /// Behind a lock only so that a call may be sent between threads.
    Reader {
        reader: Mutex<Option<Pin<Box<dyn AsyncRead + Send>>>>,
        length: Option<u64>,
    },
    Url(String),
}

impl Source {
    /// A public link that the server fetches.
    pub fn url(url: impl Into<String>) -> Self {
        Self(Kind::Url(url.into()))
    }

    /// Whatever can be read. It can be read only once, so such a call is not made again.
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> Self {
        Self(Kind::Reader { reader: Mutex::new(Some(Box::pin(reader))), length: None })
    }

    /// Whatever can be read, and how many bytes that are.
    pub fn reader_of(length: u64, reader: impl AsyncRead + Send + 'static) -> Self {
        Self(Kind::Reader { reader: Mutex::new(Some(Box::pin(reader))), length: Some(length) })
    }

    /// The last part of the path: what the asset is called if nothing else is said.
    pub(crate) fn name(&self) -> Option<String> {
        match &self.0 {
            Kind::Path(path) => Some(file_name(path)),
            _ => None,
        }
    }

    /// Whether the bytes can be read once more.
    pub(crate) fn repeats(&self) -> bool {
        match &self.0 {
            Kind::Reader { reader, .. } => reader.lock().is_ok_and(|reader| reader.is_some()),
            _ => true,
        }
    }

    /// How many bytes there are, where that is known.
    pub(crate) async fn length(&self) -> Result<Option<u64>> {
        match &self.0 {
            Kind::Path(path) => {
                let metadata = tokio::fs::metadata(path).await;
                let metadata = metadata.and_then(|metadata| match metadata.is_dir() {
                    true => Err(io::ErrorKind::IsADirectory.into()),
                    false => Ok(metadata),
                });
                // What is no regular file (a pipe) tells its length at its end.
                let length = metadata.map(|metadata| metadata.is_file().then_some(metadata.len()));
                length.map_err(|source| Error::File { path: path.clone(), source })
            }
            Kind::Section { length, .. } => Ok(Some(*length)),
            Kind::Bytes(bytes) => Ok(Some(bytes.len() as u64)),
            Kind::Reader { length, .. } => Ok(*length),
            Kind::Url(_) => Ok(None),
        }
    }

    /// The bytes; those of a reader only once.
    pub(crate) async fn open(&mut self) -> Result<BoxStream<'static, io::Result<Bytes>>> {
        match &mut self.0 {
            Kind::Path(path) => {
                let file = File::open(&path).await;
                let file = file.map_err(|source| Error::File { path: path.clone(), source })?;
                Ok(ReaderStream::with_capacity(file, PIECE).boxed())
            }
            Kind::Section { path, offset, length } => {
                let file = section(path, *offset, *length).await;
                let file = file.map_err(|source| Error::File { path: path.clone(), source })?;
                Ok(ReaderStream::with_capacity(file, PIECE).boxed())
            }
            Kind::Bytes(bytes) => Ok(pieces(bytes.clone()).boxed()),
            Kind::Reader { reader, .. } => match reader.get_mut().ok().and_then(Option::take) {
                Some(reader) => Ok(ReaderStream::with_capacity(reader, PIECE).boxed()),
                None => Err(Error::Setup("a reader can be sent only once".to_owned())),
            },
            Kind::Url(_) => Ok(stream::empty().boxed()),
        }
    }
}

async fn section(path: &Path, offset: u64, length: u64) -> io::Result<Take<File>> {
    let mut file = File::open(path).await?;
    if file.metadata().await?.len() < offset + length {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file became shorter during the upload",
        ));
    }
    file.seek(SeekFrom::Start(offset)).await?;
    Ok(file.take(length))
}

/// Bytes in pieces, so that progress can be seen.
fn pieces(mut bytes: Bytes) -> impl Stream<Item = io::Result<Bytes>> {
    stream::iter(std::iter::from_fn(move || {
        let piece = bytes.split_to(bytes.len().min(PIECE));
        (!piece.is_empty()).then_some(Ok(piece))
    }))
}

/// The last part of a path, as text.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Kind::Section { path, offset, .. } => f.debug_tuple("Section").field(path).field(offset).finish(),
            Kind::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Kind::Reader { length, .. } => f.debug_tuple("Reader").field(length).finish(),
            Kind::Url(url) => f.debug_tuple("Url").field(url).finish(),
        }
    }
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Self {
        Self(Kind::Path(path.to_owned()))
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self(Kind::Path(path))
    }
}

impl From<&PathBuf> for Source {
    fn from(path: &PathBuf) -> Self {
        Self(Kind::Path(path.clone()))
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Kind::Bytes(bytes.into()))
    }
}

impl From<Bytes> for Source {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Bytes(bytes))
    }
}
