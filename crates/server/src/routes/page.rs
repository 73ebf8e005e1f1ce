//! The page and the API's documentation, embedded as `web/` built them. A binary that was built before them says so.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use include_dir::{Dir, include_dir};
use reelhouse_api::Fault;

use crate::{App, error::Result};

static DIST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../web/dist");

const NOT_BUILT: &str = "This reelhouse was built without its page.\n\n\
    To have it: (cd web && npm ci --ignore-scripts && npm run build), then build the server again; `make build` does both.\n\
    Everything the page does can be done with the API, at /v1.3.\n";

/// What is named by its content never changes; all else is asked for anew.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

/// GET /.
pub(super) async fn page(State(app): State<App>, request: HeaderMap) -> Response {
    // Media come from the configured URL, and through MediaSource, which is a blob to the policy. Chunks go to the bucket.
    let bucket = app.service.bucket_origin().unwrap_or_default();
    let elsewhere = format!("{} {bucket}", origin(app.service.public_url().unwrap_or_default()));
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self' {elsewhere}; \
         img-src 'self' {elsewhere}; media-src 'self' blob: {elsewhere}; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'"
    );
    document("page/index.html", &policy, &request)
}

/// GET /static/{file}.
pub(super) async fn page_file(
    named: Result<Path<String>, PathRejection>,
    request: HeaderMap,
) -> Result<Response> {
    let Path(file) = named.map_err(|_| Fault::EndpointNotExist)?;
    served(&format!("page/static/{file}"), FOR_EVER, &request).ok_or_else(|| Fault::EndpointNotExist.into())
}

/// GET /docs. Swagger UI writes styles into its elements and draws its icons from data.
pub(super) async fn docs(request: HeaderMap) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
                  img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    document("docs/index.html", policy, &request)
}

/// GET /docs/{file}.
pub(super) async fn docs_file(
    named: Result<Path<String>, PathRejection>,
    request: HeaderMap,
) -> Result<Response> {
    let Path(file) = named.map_err(|_| Fault::EndpointNotExist)?;
    served(&format!("docs/{file}"), ASK_AGAIN, &request).ok_or_else(|| Fault::EndpointNotExist.into())
}

/// A URL without its path: in a policy, a path would be all of what is meant.
fn origin(url: &str) -> &str {
    url.match_indices('/').nth(2).map_or(url, |(end, _)| &url[..end])
}

fn document(path: &str, policy: &str, request: &HeaderMap) -> Response {
    let Some(mut response) = served(path, ASK_AGAIN, request) else {
        let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        return (StatusCode::NOT_FOUND, plain, NOT_BUILT).into_response();
    };
    let headers = response.headers_mut();
    // A public URL that is none for a header leaves the page without media from there.
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'self'"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let isolated = HeaderName::from_static("cross-origin-opener-policy");
    headers.insert(isolated, HeaderValue::from_static("same-origin"));
    response
}

/// An embedded file, compressed where the client reads that; `None` when there is none.
fn served(path: &str, caching: &'static str, request: &HeaderMap) -> Option<Response> {
    let content_type = content_type(path)?;
    let whole = DIST.get_file(path)?;
    let pressed = DIST.get_file(format!("{path}.br")).filter(|_| takes_brotli(request));
    let body = Bytes::from_static(pressed.unwrap_or(whole).contents());
    let etag = format!("\"{}\"", &blake3::hash(&body).to_hex()[..32]);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ETAG, HeaderValue::try_from(&etag).ok()?);
    if request.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return Some((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    if pressed.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    Some((headers, body).into_response())
}

/// The types of what `web/` builds; nothing else is served.
fn content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

fn takes_brotli(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_brotli = parts.next() == Some("br");
        is_brotli && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brotli_is_for_whoever_says_so() {
        for (accept, takes) in [
            ("gzip, deflate, br, zstd", true),
            ("br;q=0.5", true),
            ("br;q=0, gzip", false),
            ("gzip", false),
            ("broken", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accept))]);
            assert_eq!(takes_brotli(&headers), takes, "{accept}");
        }
        assert!(!takes_brotli(&HeaderMap::new()));
    }

    #[test]
    fn an_origin_has_no_path() {
        for url in
            ["https://media.example.org", "https://media.example.org/", "https://media.example.org/a/b"]
        {
            assert_eq!(origin(url), "https://media.example.org");
        }
        assert_eq!(origin(""), "");
    }

    #[test]
    fn what_no_page_is_made_of_is_not_served() {
        for path in [".gitignore", "page/../.gitignore", "page/static/none.js", "page/index.html.br", ""] {
            assert!(served(path, ASK_AGAIN, &HeaderMap::new()).is_none(), "{path}");
        }
    }
}
