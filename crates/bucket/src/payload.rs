use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use reqwest::Body;
use tokio::task::spawn_blocking;

/// What is sent to a store; can be sent again.
#[derive(Debug, Clone)]
pub enum Payload {
    /// In memory.
    Bytes(Bytes),
    /// Bytes of a file.
    File(Arc<File>, Range<u64>),
}

/// Bytes of a file read at once.
const READ: u64 = 256 * 1024;

impl Payload {
    /// Bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, range) => range.end.saturating_sub(range.start),
        }
    }

    pub(crate) fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    pub(crate) fn body(&self) -> Body {
        match self {
            Self::Bytes(bytes) => bytes.clone().into(),
            Self::File(file, range) => {
                let (file, range) = (Arc::clone(file), range.clone());
                Body::wrap_stream(stream::try_unfold((file, range), |(file, range)| async move {
                    let wanted = range.end.saturating_sub(range.start).min(READ);
                    if wanted == 0 {
                        return Ok::<_, io::Error>(None);
                    }
                    let (read, at) = (Arc::clone(&file), range.start);
                    let bytes = spawn_blocking(move || {
                        // At most READ.
                        let mut bytes = BytesMut::zeroed(wanted as usize);
                        read.read_exact_at(&mut bytes, at).map(|()| bytes.freeze())
                    });
                    let bytes = bytes.await.map_err(io::Error::other)??;
                    Ok(Some((bytes, (file, range.start + wanted..range.end))))
                }))
            }
        }
    }
}
