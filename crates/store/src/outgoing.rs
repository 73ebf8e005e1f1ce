//! A file on its way to the bucket, while it may still be growing.

use std::{fs::File, sync::Arc};

use reelhouse_bucket::{Bucket, Part, Payload};
use tokio::{
    runtime::Handle,
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::error::{Error, Result};

/// Bytes of a part, where fewer than [`MAX_PARTS`] do.
const PART: u64 = 8 << 20;
/// What S3 takes is 10 000.
const MAX_PARTS: u64 = 9000;
/// Parts of a file on their way at once.
const AT_ONCE: usize = 3;

/// How much of a file is there to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes.
    pub(crate) bytes: u64,
    /// No more will come.
    pub(crate) is_all: bool,
}

/// A file being sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    task: JoinHandle<Result<Sent>>,
}

/// Where a file is that was sent: at the store, and not yet to be seen.
#[derive(Debug)]
pub(crate) enum Sent {
    /// It is small: one request will do.
    Nothing,
    /// In parts.
    Parts(Begun, Vec<Part>),
}

/// An upload in parts. Dropped, it is given up.
#[derive(Debug)]
pub(crate) struct Begun {
    bucket: Bucket,
    key: String,
    /// None once it is completed.
    upload: Option<String>,
}

impl Begun {
    async fn begin(bucket: &Bucket, key: &str) -> Result<Self> {
        let upload = bucket.begin(key).await?;
        Ok(Self { bucket: bucket.clone(), key: key.to_owned(), upload: Some(upload) })
    }

    /// Makes the parts an object.
    pub(crate) async fn complete(mut self, parts: &[Part]) -> Result<()> {
        let Some(upload) = self.upload.clone() else { return Ok(()) };
        // False may be the answer to the second of two requests, the answer to the first of which was lost.
        let whole = self.bucket.complete(&self.key, &upload, parts).await?
            || self.bucket.head_object(&self.key).await?.is_some();
        self.upload = None;
        if whole { Ok(()) } else { Err(Error::TakenBack) }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let (Some(upload), Ok(runtime)) = (self.upload.take(), Handle::try_current()) else { return };
        let (bucket, key) = (self.bucket.clone(), std::mem::take(&mut self.key));
        runtime.spawn(async move {
            if let Err(error) = bucket.abort(&key, &upload).await {
                tracing::warn!(%error, key, "could not give an upload to the store up; the sweeper will");
            }
        });
    }
}

impl Outgoing {
    /// Sends what `written` says is there of a file, and goes on until it says that this is all. `declared` is how many bytes
    /// that will be at the most, if it is known.
    pub(crate) fn start(
        bucket: Bucket,
        key: String,
        file: Arc<File>,
        declared: Option<u64>,
        written: watch::Receiver<Written>,
    ) -> Self {
        let part = part_size(declared);
        Self { task: tokio::spawn(async move { send(bucket, &key, file, part, written).await }) }
    }

    /// Waits until all of it is at the store.
    pub(crate) async fn sent(mut self) -> Result<Sent> {
        let sent = (&mut self.task).await;
        sent.unwrap_or_else(|stopped| {
            Err(Error::Io {
                what: "sending to the store was cut short",
                source: std::io::Error::other(stopped),
            })
        })
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn part_size(declared: Option<u64>) -> u64 {
    // What says nothing of its size is taken for what is allowed at the most: parts of 8 MiB are enough for 70 GiB.
    PART.max(declared.unwrap_or(0).div_ceil(MAX_PARTS).next_multiple_of(1 << 20))
}

async fn send(
    bucket: Bucket,
    key: &str,
    file: Arc<File>,
    part: u64,
    mut written: watch::Receiver<Written>,
) -> Result<Sent> {
    let gone =
        |_| Error::Io { what: "an upload was given up", source: std::io::ErrorKind::Interrupted.into() };
    let first = *written.wait_for(|written| written.is_all || written.bytes > part).await.map_err(gone)?;
    if first.is_all && first.bytes <= part {
        return Ok(Sent::Nothing);
    }
    let begun = Begun::begin(&bucket, key).await?;
    let upload: Arc<str> = begun.upload.as_deref().unwrap_or_default().into();
    let (mut parts, mut sending) = (Vec::new(), JoinSet::new());
    let (mut at, mut number) = (0, 0);
    loop {
        let enough = move |written: &Written| written.is_all || written.bytes >= at + part;
        let now = *written.wait_for(enough).await.map_err(gone)?;
        let end = now.bytes.min(at + part);
        if end > at {
            if sending.len() == AT_ONCE {
                parts.push(joined(sending.join_next().await)?);
            }
            number += 1;
            let (bucket, key, upload) = (bucket.clone(), key.to_owned(), Arc::clone(&upload));
            let payload = Payload::File(Arc::clone(&file), at..end);
            sending.spawn(async move { bucket.put_part(&key, &upload, number, payload).await });
            at = end;
        }
        if now.is_all && at == now.bytes {
            break;
        }
    }
    while !sending.is_empty() {
        parts.push(joined(sending.join_next().await)?);
    }
    parts.sort_by_key(|part: &Part| part.number);
    Ok(Sent::Parts(begun, parts))
}

fn joined(part: Option<Result<reelhouse_bucket::Result<Part>, tokio::task::JoinError>>) -> Result<Part> {
    let stopped = |source| Error::Io { what: "sending to the store was cut short", source };
    match part {
        Some(Ok(part)) => Ok(part?),
        Some(Err(error)) => Err(stopped(std::io::Error::other(error))),
        None => Err(stopped(std::io::ErrorKind::Interrupted.into())),
    }
}

/// Sends a whole file and makes it an object.
pub(crate) async fn put_file(bucket: &Bucket, key: &str, file: File) -> Result<u64> {
    let bytes = file.metadata().map_err(|source| Error::Io { what: "looking at a file", source })?.len();
    let file = Arc::new(file);
    let (_tell, written) = watch::channel(Written { bytes, is_all: true });
    match send(bucket.clone(), key, Arc::clone(&file), part_size(Some(bytes)), written).await? {
        Sent::Nothing => bucket.put(key, Payload::File(file, 0..bytes)).await?,
        Sent::Parts(begun, parts) => begun.complete(&parts).await?,
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_enough() {
        assert_eq!(part_size(None), PART);
        assert_eq!(part_size(Some(1)), PART);
        for declared in [70 << 30, 100 << 30, 1 << 40] {
            assert!(declared / part_size(Some(declared)) < 10_000, "{declared}");
        }
    }
}
