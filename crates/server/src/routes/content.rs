use std::io::SeekFrom;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reelhouse_api::Fault;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::{
    App, content_disposition,
    error::Result,
    extract::{Authenticated, NamedAsset, asset_not_found},
    range::{self, Wanted},
};

/// Bytes read from the disk at once.
const READ: usize = 256 * 1024;

/// GET /assets/{asset_id}/content: the original back, whole or a range of it.
pub(super) async fn download(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    NamedAsset(id): NamedAsset,
    request: HeaderMap,
) -> Result<Response> {
    let (asset, mut file) = app.service.content(&caller, id).await?.ok_or_else(|| asset_not_found(id))?;
    let size = asset.size.unwrap_or_default();
    // The hash of the bytes: strong, and the same for ever.
    let etag = format!("\"{}\"", asset.blake3.unwrap_or_default());
    if matches(&request, header::IF_NONE_MATCH, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let range = request.get(header::RANGE).and_then(|value| value.to_str().ok());
    // Compared strongly (RFC 9110, 13.1.5): a weak tag never matches.
    let still_the_same =
        request.get(header::IF_RANGE).is_none_or(|validator| validator.as_bytes() == etag.as_bytes());
    let wanted = match range {
        Some(range) if still_the_same => range::parse(range, size),
        _ => Wanted::Whole,
    };
    let (status, first, len) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, size),
        Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Outside => return Err(Fault::RangeNotSatisfiable { size }.into()),
    };

    file.seek(SeekFrom::Start(first)).await.map_err(unreadable)?;
    file.set_max_buf_size(READ);
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(len), READ));
    let file_type = asset.file_type.as_deref().unwrap_or("application/octet-stream");
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, len.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.insert(header::CONTENT_DISPOSITION, content_disposition::attachment(&asset.filename));
    for (name, text) in [(header::ETAG, etag.as_str()), (header::CONTENT_TYPE, file_type)] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
    if let Wanted::Part { first, last } = wanted
        && let Ok(value) = HeaderValue::try_from(format!("bytes {first}-{last}/{size}"))
    {
        headers.insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

/// Whether a conditional header names this ETag. `W/` is ignored: If-None-Match compares weakly, and we never
/// hand out a weak one.
fn matches(request: &HeaderMap, name: header::HeaderName, etag: &str) -> bool {
    request.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
    })
}

fn unreadable(error: std::io::Error) -> Fault {
    tracing::error!(%error, "an original could not be read");
    Fault::Internal
}
