//! Contents as answers: ranges, conditions, caching, and types that do no harm. The one way out for bytes.

use std::{io, ops::Range, os::unix::fs::FileExt};

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use reelhouse_api::Fault;
use reelhouse_service::{Content, Lifetime, Piece};
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
    stream::iter(pieces.into_iter().flat_map(batches)).then(|piece| async move {
        match piece {
            Piece::Bytes(bytes) => Ok(bytes),
            Piece::File(file, range) => {
                let bytes = spawn_blocking(move || {
                    let mut bytes =
                        vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
                    file.read_exact_at(&mut bytes, range.start)?;
                    Ok(Bytes::from(bytes))
                });
                let read = bytes.await.map_err(io::Error::other).flatten();
                if let Err(error) = &read {
                    tracing::error!(%error, "bytes could not be read on their way out");
                }
                read
            }
        }
    })
}

/// Pieces small enough to be read at once.
fn batches(piece: Piece) -> impl Iterator<Item = Piece> {
    let size = piece.size();
    (0..size.div_ceil(READ)).map(move |n| piece.part(n * READ..((n + 1) * READ).min(size)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(pieces: &[Piece]) -> Vec<u8> {
        let bytes = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.to_vec(),
            Piece::File(..) => Vec::new(),
        };
        pieces.iter().flat_map(bytes).collect()
    }

    proptest! {
        #[test]
        fn a_window_of_pieces_is_a_window_of_the_whole(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6),
            a in any::<prop::sample::Index>(),
            b in any::<prop::sample::Index>(),
        ) {
            let whole = pieces.concat();
            let (a, b) = (a.index(whole.len() + 1), b.index(whole.len() + 1));
            let (first, last) = (a.min(b), a.max(b));
            let pieces = pieces.into_iter().map(|bytes| Piece::Bytes(bytes.into())).collect();
            let within = cut(pieces, first as u64..last as u64);
            prop_assert_eq!(bytes_of(&within), &whole[first..last]);
        }
    }
}
