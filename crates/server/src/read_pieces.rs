//! Pieces read as the client takes them: from files in batches, from a bucket as they come.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSliceMut},
    ops::Range,
    os::unix::fs::FileExt,
};

use axum::body::Bytes;
use bytes::BytesMut;
use futures_util::{Stream, stream};
use reelhouse_service::{Object, ObjectBytes, Piece};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::task::spawn_blocking;

/// Bytes read from the disk at once. The next are read when the client has taken these.
const READ: u64 = 256 * 1024;
/// Pieces of one object with fewer bytes between them are one request: what is between them is read and dropped.
const GAP: u64 = 256 * 1024;
/// How often a request to the bucket that broke off is taken up again.
const RESUMES: u32 = 3;

/// Reads pieces as the client takes them.
pub(crate) fn read(pieces: Vec<Piece>) -> impl Stream<Item = io::Result<Bytes>> {
    let reader = Reader { pieces: pieces.into(), buffer: BytesMut::new(), span: None };
    stream::try_unfold(reader, async |mut reader| {
        let read = reader.next().await;
        if let Err(error) = &read {
            tracing::error!(%error, "bytes could not be read on their way out");
        }
        Ok(read?.map(|bytes| (bytes, reader)))
    })
}

/// Pieces on their way out, many small ones in one batch.
struct Reader {
    pieces: VecDeque<Piece>,
    /// The same memory again and again, once the client has taken what was in it.
    buffer: BytesMut,
    /// Pieces that are just coming from a bucket.
    span: Option<Span>,
}

impl Reader {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(span) = &mut self.span {
                if let Some(bytes) = span.next().await? {
                    return Ok(Some(bytes));
                }
                self.span = None;
            }
            self.span = Span::of(&mut self.pieces);
            if self.span.is_none() {
                return self.next_batch().await;
            }
        }
    }

    async fn next_batch(&mut self) -> io::Result<Option<Bytes>> {
        let batch = self.take_batch();
        let size: u64 = batch.iter().map(Piece::size).sum();
        if size == 0 {
            return Ok(None);
        }
        self.buffer.resize(usize::try_from(size).map_err(io::Error::other)?, 0);
        if !fill(&batch, &mut self.buffer, read_if_cached)? {
            // On a thread that may wait for the disk.
            let mut buffer = std::mem::take(&mut self.buffer);
            let filled = spawn_blocking(move || {
                fill(&batch, &mut buffer, |file, bytes, at| file.read_exact_at(bytes, at).map(|()| true))
                    .map(|_| buffer)
            });
            self.buffer = filled.await.map_err(io::Error::other)??;
        }
        Ok(Some(self.buffer.split().freeze()))
    }

    /// As many pieces as are read at once; the last one in part.
    fn take_batch(&mut self) -> Vec<Piece> {
        let (mut batch, mut room) = (Vec::new(), READ);
        while let Some(piece) = self.pieces.pop_front() {
            if matches!(piece, Piece::Object(..)) {
                self.pieces.push_front(piece);
                break;
            }
            let size = piece.size();
            if size > room {
                batch.push(piece.part(0..room));
                self.pieces.push_front(piece.part(room..size));
                break;
            }
            room -= size;
            batch.push(piece);
            if room == 0 {
                break;
            }
        }
        batch
    }
}

/// Pieces of one object, by one request.
struct Span {
    object: Object,
    /// What is still to be handed out, in its order.
    wanted: VecDeque<Range<u64>>,
    /// Where the next byte to be read lies.
    at: u64,
    coming: Option<ObjectBytes>,
    /// Read and not handed out.
    read: Bytes,
    resumes: u32,
}

impl Span {
    /// Takes the pieces in front that belong together; `None` when the first is not in a bucket.
    fn of(pieces: &mut VecDeque<Piece>) -> Option<Self> {
        let Some(Piece::Object(object, first)) = pieces.front() else { return None };
        let (object, at, mut end) = (object.clone(), first.start, first.start);
        let mut wanted = VecDeque::new();
        while let Some(Piece::Object(other, range)) = pieces.front()
            && other.is_same(&object)
            && range.start >= end
            && range.start - end <= GAP
        {
            end = range.end;
            wanted.push_back(range.clone());
            pieces.pop_front();
        }
        Some(Self { object, wanted, at, coming: None, read: Bytes::new(), resumes: 0 })
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            while self.wanted.front().is_some_and(Range::is_empty) {
                self.wanted.pop_front();
            }
            let Some(end) = self.wanted.back().map(|range| range.end) else { return Ok(None) };
            let Some(range) = self.wanted.front_mut() else { return Ok(None) };
            // Before the wanted one, or behind the last: nobody's.
            let begin = self.at - self.read.len() as u64;
            let skip = range.start.saturating_sub(begin).min(self.read.len() as u64);
            let _ = self.read.split_to(skip as usize);
            if !self.read.is_empty() {
                let wanted = (range.end - range.start).min(self.read.len() as u64);
                range.start += wanted;
                return Ok(Some(self.read.split_to(wanted as usize)));
            }
            self.read = self.more(end).await?;
        }
    }

    async fn more(&mut self, end: u64) -> io::Result<Bytes> {
        loop {
            let coming = match &mut self.coming {
                Some(coming) => coming,
                none => none.insert(self.object.read(self.at..end).await?),
            };
            match coming.chunk().await {
                Ok(Some(bytes)) => {
                    self.at += bytes.len() as u64;
                    return Ok(bytes);
                }
                Ok(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if self.resumes >= RESUMES => return Err(io::Error::other(error)),
                Err(error) => {
                    tracing::info!(%error, "bytes of the bucket broke off on their way out and are taken up again");
                    self.resumes += 1;
                    self.coming = None;
                }
            }
        }
    }
}

/// Fills a buffer that is as long as the batch; false when `read` could not without waiting.
fn fill(
    batch: &[Piece],
    mut buffer: &mut [u8],
    read: impl Fn(&File, &mut [u8], u64) -> io::Result<bool>,
) -> io::Result<bool> {
    for piece in batch {
        // A batch is far shorter than a usize.
        let Some((bytes, rest)) = buffer.split_at_mut_checked(piece.size() as usize) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        match piece {
            Piece::Bytes(from) => bytes.copy_from_slice(from),
            Piece::File(file, range) => {
                if !read(file, bytes, range.start)? {
                    return Ok(false);
                }
            }
            // Comes in a span.
            Piece::Object(..) => return Err(io::ErrorKind::Unsupported.into()),
        }
        buffer = rest;
    }
    Ok(true)
}

/// Reads what the system has in memory; false when that is not all.
fn read_if_cached(file: &File, bytes: &mut [u8], at: u64) -> io::Result<bool> {
    let wanted = bytes.len();
    match preadv2(file, &mut [IoSliceMut::new(bytes)], at, ReadWriteFlags::NOWAIT) {
        Ok(read) => Ok(read == wanted),
        // Interrupted, not in memory, not known to this file system: who waits will see what is the matter.
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use futures_util::StreamExt;

    use super::*;

    /// A file of which a piece is `bytes`.
    pub(crate) fn in_file(bytes: &[u8]) -> Piece {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 7).unwrap();
        Piece::File(Arc::new(file), 7..7 + bytes.len() as u64)
    }

    pub(crate) async fn bytes_of(pieces: Vec<Piece>) -> Vec<u8> {
        read(pieces).map(|read| read.unwrap().to_vec()).collect::<Vec<_>>().await.concat()
    }

    #[tokio::test]
    async fn many_pieces_and_long_ones_come_in_batches() {
        let long: Vec<u8> = (0..READ * 2 + 3).map(|n| (n % 251) as u8).collect();
        let pieces = [in_file(&long), Piece::Bytes(Bytes::from_static(b"between")), in_file(&long[..9])];
        let batches: Vec<_> = read(pieces.to_vec()).map(|read| read.unwrap().len() as u64).collect().await;
        assert_eq!(batches, [READ, READ, 3 + 7 + 9]);
        assert_eq!(bytes_of(pieces.to_vec()).await, [&long[..], b"between", &long[..9]].concat());
        // A file that became shorter is an error, not a hole.
        let Piece::File(file, range) = in_file(b"short") else { unreachable!() };
        let longer = Piece::File(file, range.start..range.end + 1);
        assert!(read(vec![longer]).collect::<Vec<_>>().await[0].is_err());
    }
}
