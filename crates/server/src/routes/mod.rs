//! The table of routes.

mod assets;
mod content;
mod elsewhere;
mod health;
mod indexed_assets;
mod indexes;
mod media;
mod metrics;
mod multipart;
mod page;
mod user_metadata;

use axum::{
    Router,
    routing::{get, patch, post, put},
};
use reelhouse_api::paths;

use crate::{App, openapi};

pub(crate) use elsewhere::no_such_path;

/// What a listener of its own offers.
pub(crate) fn for_scrapers() -> Router<App> {
    Router::new().route(paths::METRICS, get(metrics::for_anyone)).route(paths::HEALTHZ, get(health::alive))
}

pub(crate) fn table() -> Router<App> {
    Router::new()
        .route(paths::ASSETS, get(assets::list).post(assets::create))
        .route(paths::UPLOADS, get(multipart::list).post(multipart::create))
        .route(paths::UPLOAD, get(multipart::retrieve).post(multipart::report))
        .route(paths::UPLOAD_URLS, post(multipart::urls))
        .route(paths::CHUNK, put(multipart::put_chunk))
        .route(paths::ASSET, get(assets::retrieve).delete(assets::delete))
        .route(paths::ASSET_CONTENT, get(content::download))
        .route(
            paths::ASSET_USER_METADATA,
            patch(user_metadata::update).put(user_metadata::replace).delete(user_metadata::delete),
        )
        .route(paths::ASSET_INDEXED_ASSETS, get(indexed_assets::list_by_asset))
        .route(paths::INDEXES, get(indexes::list).post(indexes::create))
        .route(paths::INDEX, get(indexes::retrieve).put(indexes::rename).delete(indexes::delete))
        .route(paths::INDEXED_ASSETS, get(indexed_assets::list).post(indexed_assets::create))
        .route(
            paths::INDEXED_ASSET,
            get(indexed_assets::retrieve).patch(indexed_assets::update).delete(indexed_assets::delete),
        )
        .route(paths::ASSET_TRANSCRIPTION, get(elsewhere::transcription))
        .route(paths::ASSET_ENTITIES, get(elsewhere::entities))
        .route(paths::MEDIA, get(media::media))
        .route(paths::PAGE, get(page::page))
        .route(paths::PAGE_FILE, get(page::page_file))
        .route(paths::DOCS, get(page::docs))
        .route(paths::DOCS_FILE, get(page::docs_file))
        .route(paths::OPENAPI, get(openapi::answer))
        .route(paths::METRICS, get(metrics::for_operators))
        .route(paths::HEALTHZ, get(health::alive))
        .route(paths::READYZ, get(health::ready))
}
