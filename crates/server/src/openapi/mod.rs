//! The API for programs: OpenAPI 3.1, made of the wire types, the paths and the faults.

mod examples;
mod operations;
mod parts;
mod schemas;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use axum::response::IntoResponse;
use bytes::Bytes;
use http::header;
use serde_json::{Value, json};

use schemas::Schemas;

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

/// GET /openapi.json.
pub(crate) async fn answer() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], DOCUMENT.clone())
}

fn document() -> Value {
    let mut schemas = Schemas::new();
    let paths = operations::paths(&mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Reelhouse",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A self-hosted media-asset service that speaks the TwelveLabs v1.3 Assets API. Every error is a \
                JSON object of a stable code and a sentence for people. Unknown fields and query parameters are ignored.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "key": [] }],
        "tags": [
            { "name": "Assets", "description": "Files that are kept, and what is known of them." },
            { "name": "Uploads", "description": "Files in chunks: for large ones, and for connections that drop." },
            { "name": "Indexes", "description": "What holds assets. No model runs here." },
            { "name": "Media", "description": "By URLs that are their own key, as answers hand them out." },
            { "name": "Server", "description": "The process itself." },
        ],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "apiKey", "in": "header", "name": "x-api-key" } },
            "headers": parts::headers(),
            "examples": parts::fault_examples(),
            "schemas": schemas.into_components(),
        },
    })
}
