//! Contents as answers: ranges, conditions, caching, and types that do no harm. The one way out for bytes.

use std::{ops::Range, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reelhouse_api::Fault;
use reelhouse_service::{Content, Lifetime, Piece, Shown};
use serde::{Deserialize, Serialize};

use crate::{
    content_disposition,
    error::Result,
    range::{self, Wanted},
    read_pieces::read,
};

/// How files in a bucket are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// Through us.
    #[default]
    Proxy,
    /// By a URL of the bucket, where a whole file is asked for. Segments, which are made of pieces, come through us.
    Redirect,
}

impl std::str::FromStr for Delivery {
    type Err = &'static str;

    fn from_str(how: &str) -> std::result::Result<Self, Self::Err> {
        match how {
            "proxy" => Ok(Self::Proxy),
            "redirect" => Ok(Self::Redirect),
            _ => Err("it is `proxy` or `redirect`"),
        }
    }
}

/// How long a URL of the bucket is good, in seconds; for a download that began, as long as it takes.
const BUCKET_URL: u64 = 60 * 60;
/// How long a redirect to one may be remembered.
const REDIRECT: u64 = 10 * 60;

/// Answers a GET or HEAD.
pub(crate) async fn deliver(
    delivery: Delivery,
    method: &Method,
    request: &HeaderMap,
    content: Content,
) -> Result<Response> {
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
    if let (Delivery::Redirect, &Method::GET, [Piece::Object(object, _)]) =
        (delivery, method, pieces.as_slice())
    {
        let text =
            |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let shown = Shown {
            content_type: content_type.into_owned(),
            content_disposition: text(header::CONTENT_DISPOSITION),
            cache_control: text(header::CACHE_CONTROL).unwrap_or_default(),
        };
        let (url, remembered) = match lifetime {
            Lifetime::Seconds(left) => (BUCKET_URL.min(left.max(1)), REDIRECT.min(left / 2)),
            Lifetime::Forever | Lifetime::Private => (BUCKET_URL, REDIRECT),
        };
        let location =
            object.url(&shown, Duration::from_secs(url)).await.map_err(reelhouse_service::Error::from)?;
        let told =
            [(header::LOCATION, location), (header::CACHE_CONTROL, format!("private, max-age={remembered}"))];
        return Ok((StatusCode::TEMPORARY_REDIRECT, told).into_response());
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::read_pieces::tests::{bytes_of, in_file};

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
}
