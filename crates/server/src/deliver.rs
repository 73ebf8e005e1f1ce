//! Contents as answers: ranges, conditions, caching, and types that do no harm. The one way out for bytes.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSliceMut},
    ops::Range,
    os::unix::fs::FileExt,
};

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use bytes::BytesMut;
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use reelhouse_api::Fault;
use reelhouse_service::{Content, Lifetime, Piece};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::task::spawn_blocking;

use crate::{
    content_disposition,
    error::Result,
    range::{self, Wanted},
};

/// Bytes read from the disk at once. The next are read when the client has taken these.
const READ: u64 = 256 * 1024;

/// Answers a GET or HEAD with these headers.
pub(crate) fn deliver(request: &HeaderMap, content: Content) -> Result<Response> {
    let size = content.size();
    let Content { pieces, content_type, etag, lifetime, filename } = content;
    let etag = format!("\"{etag}\"");
    let mut headers = HeaderMap::new();
    let mut insert = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    insert(header::ETAG, &etag);
    insert(
        header::CACHE_CONTROL,
        &match lifetime {
            Lifetime::Forever => "public, max-age=31536000, immutable".to_owned(),
            Lifetime::Seconds(seconds) => format!("public, max-age={seconds}"),
            Lifetime::Private => "private, no-cache".to_owned(),
        },
    );
    insert(header::ACCEPT_RANGES, "bytes");
    insert(header::CONTENT_TYPE, &content_type);
    insert(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Whatever it is, it may not act as a page of ours.
    insert(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    if matches_if_none_match(request, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    if let Some(filename) = filename {
        let shown = plays_in_place(&content_type) && lifetime != Lifetime::Private;
        headers.insert(header::CONTENT_DISPOSITION, content_disposition::of(&filename, shown));
    }
    // Compared strongly (RFC 9110, 13.1.5): a weak tag never matches.
    let still_the_same =
        request.get(header::IF_RANGE).is_none_or(|validator| validator.as_bytes() == etag.as_bytes());
    let wanted = match request.get(header::RANGE).and_then(|value| value.to_str().ok()) {
        Some(range) if still_the_same => range::parse(range, size),
        _ => Wanted::Whole,
    };
    let (status, window) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part { first, last } => {
            if let Ok(value) = HeaderValue::try_from(format!("bytes {first}-{last}/{size}")) {
                headers.insert(header::CONTENT_RANGE, value);
            }
            (StatusCode::PARTIAL_CONTENT, first..last + 1)
        }
        Wanted::Outside => return Err(Fault::RangeNotSatisfiable { size }.into()),
    };
    headers.insert(header::CONTENT_LENGTH, (window.end - window.start).into());
    Ok((status, headers, Body::from_stream(read(cut(pieces, window)))).into_response())
}

/// Types that a browser plays or shows and does not run.
fn plays_in_place(content_type: &str) -> bool {
    ["video/", "audio/", "image/"].iter().any(|kind| content_type.starts_with(kind))
        && !content_type.contains("svg")
}

/// Whether a conditional header names this ETag. `W/` is ignored: If-None-Match compares weakly, and we never
/// hand out a weak one.
fn matches_if_none_match(request: &HeaderMap, etag: &str) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// The pieces of a window of the whole.
fn cut(pieces: Vec<Piece>, window: Range<u64>) -> Vec<Piece> {
    let mut at = 0;
    let mut within = Vec::new();
    for piece in pieces {
        let (start, end) = (at, at + piece.size());
        at = end;
        let (from, to) = (window.start.max(start), window.end.min(end));
        if from < to {
            within.push(piece.part(from - start..to - start));
        }
    }
    within
}

/// Reads pieces as the client takes them.
fn read(pieces: Vec<Piece>) -> impl Stream<Item = io::Result<Bytes>> {
    let reader = Reader { pieces: pieces.into(), buffer: BytesMut::new() };
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
}

impl Reader {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
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
mod tests {
    use std::sync::Arc;

    use futures_util::StreamExt;
    use proptest::prelude::*;

    use super::*;

    /// A file of which a piece is `bytes`.
    fn in_file(bytes: &[u8]) -> Piece {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 7).unwrap();
        Piece::File(Arc::new(file), 7..7 + bytes.len() as u64)
    }

    async fn bytes_of(pieces: Vec<Piece>) -> Vec<u8> {
        read(pieces).map(|read| read.unwrap().to_vec()).collect::<Vec<_>>().await.concat()
    }

    proptest! {
        #[test]
        fn a_window_of_pieces_is_a_window_of_the_whole(
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), any::<bool>()), 0..6),
            a in any::<prop::sample::Index>(),
            b in any::<prop::sample::Index>(),
        ) {
            let whole: Vec<u8> = pieces.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
            let (a, b) = (a.index(whole.len() + 1), b.index(whole.len() + 1));
            let (first, last) = (a.min(b), a.max(b));
            let piece = |(bytes, lies): (Vec<u8>, bool)| if lies { in_file(&bytes) } else { Piece::Bytes(bytes.into()) };
            let within = cut(pieces.into_iter().map(piece).collect(), first as u64..last as u64);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            prop_assert_eq!(runtime.block_on(bytes_of(within)), &whole[first..last]);
        }
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
