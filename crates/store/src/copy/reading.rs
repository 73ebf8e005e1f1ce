//! A blob, read from its beginning to its end.

use std::{os::unix::fs::FileExt, sync::Arc};

use bytes::{Bytes, BytesMut};

use crate::{
    ByteSource, ObjectBytes, Opened,
    blobs::blocking,
    error::{During, Result},
};

/// Bytes of a file read at once.
const READ: u64 = 1 << 20;
/// How often an object that broke off is taken up again.
const RESUMES: u32 = 5;

/// Where it stands.
#[derive(Debug)]
pub(crate) struct Reading {
    opened: Opened,
    at: u64,
    /// Of an object.
    coming: Option<ObjectBytes>,
    resumes: u32,
}

impl Reading {
    pub(crate) fn new(opened: Opened) -> Self {
        Self { opened, at: 0, coming: None, resumes: 0 }
    }

    /// The next bytes; `None` at the end. The inner error is a file's that will not be read any better later; the outer one a
    /// bucket's, which may.
    pub(crate) async fn next(&mut self) -> Result<Result<Option<Bytes>>> {
        let left = self.opened.size.saturating_sub(self.at);
        if left == 0 {
            return Ok(Ok(None));
        }
        let bytes = match &self.opened.source {
            ByteSource::File(file) => {
                let (file, at) = (Arc::clone(file), self.at);
                // At most READ.
                let wanted = left.min(READ) as usize;
                let read = blocking(move || {
                    let mut bytes = BytesMut::zeroed(wanted);
                    file.read_exact_at(&mut bytes, at).during("reading a blob")?;
                    Ok(bytes.freeze())
                });
                match read.await {
                    Ok(bytes) => bytes,
                    Err(error) => return Ok(Err(error)),
                }
            }
            ByteSource::Object(_) => self.next_of_object().await?,
        };
        self.at += bytes.len() as u64;
        Ok(Ok(Some(bytes)))
    }

    async fn next_of_object(&mut self) -> Result<Bytes> {
        loop {
            let error = match self.chunk().await {
                Ok(Some(bytes)) => return Ok(bytes),
                // It says that there is more.
                Ok(None) => std::io::Error::from(std::io::ErrorKind::UnexpectedEof),
                Err(error) => error,
            };
            self.coming = None;
            self.resumes += 1;
            if self.resumes > RESUMES {
                return Err(error).during("reading an object");
            }
        }
    }

    async fn chunk(&mut self) -> std::io::Result<Option<Bytes>> {
        let ByteSource::Object(object) = &self.opened.source else { return Ok(None) };
        let coming = match &mut self.coming {
            Some(coming) => coming,
            coming => coming.insert(object.read(self.at..self.opened.size).await?),
        };
        coming.chunk().await.map_err(std::io::Error::other)
    }
}
