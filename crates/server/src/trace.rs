//! A request id on every answer and log line; one line per request. Never a key, never a query string.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue, Method, header::CACHE_CONTROL};
use reelhouse_api::paths;
use reelhouse_metrics::{Label, metrics};
use tracing::Instrument;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_VERSION: HeaderName = HeaderName::from_static("x-api-version");

pub(crate) async fn request(request: Request, next: Next) -> Response {
    let id = new_request_id();
    let (method, route) = (method_of(request.method()), route_of(&request));
    let span = tracing::info_span!(
        "request",
        id,
        method = %request.method(),
        path = without_token(request.uri().path()),
        account = tracing::field::Empty,
        otel.name = tracing::field::Empty
    );
    reelhouse_trace::name(&span, || format!("{method} {route}"));
    let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    reelhouse_trace::continue_from(&span, traceparent);
    let started = Instant::now();
    let mut response = async {
        let response = next.run(request).await;
        let (status, ms) = (response.status().as_u16(), started.elapsed().as_millis() as u64);
        tracing::info!(status, ms, "answered");
        let duration = metrics().http_request_duration.with([method.into(), route.clone()]);
        duration.observe(started.elapsed().as_secs_f64());
        let class = ["1xx", "2xx", "3xx", "4xx", "5xx"].get(usize::from(status / 100).wrapping_sub(1));
        metrics().http_requests.with([method.into(), route, class.copied().unwrap_or("other").into()]).inc();
        response
    }
    .instrument(span)
    .await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static(paths::VERSION));
    // What says nothing else is one caller's, and true now.
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The template, never a path: labels are few. What has none is one.
fn route_of(request: &Request) -> Label {
    let matched = request.extensions().get::<MatchedPath>();
    matched.map_or(Label::Borrowed("other"), |path| path.as_str().to_owned().into())
}

fn method_of(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| method == known).unwrap_or("other")
}

/// URLs of media and chunks are their own keys: what they are of is logged, the token is not.
fn without_token(path: &str) -> &str {
    let first = path.trim_start_matches('/');
    let is_key = first.starts_with("media/") || first.starts_with("uploads/");
    match path.match_indices('/').nth(3) {
        Some((end, _)) if is_key => &path[..end],
        _ => path,
    }
}

fn new_request_id() -> String {
    let mut bytes = [0; 8];
    // Without randomness ids repeat, which harms no one but the reader of the log.
    let _ = getrandom::fill(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_logged() {
        for (path, logged) in [
            ("/media/hls/0123/0-abcd/folder/master.m3u8", "/media/hls/0123"),
            ("//media/hls/0123/0-abcd", "//media/hls"),
            ("/media/hls", "/media/hls"),
            ("/uploads/0123/7/0-abcd", "/uploads/0123/7"),
            ("/v1.3/assets/0123/content", "/v1.3/assets/0123/content"),
        ] {
            assert_eq!(without_token(path), logged);
        }
    }
}
