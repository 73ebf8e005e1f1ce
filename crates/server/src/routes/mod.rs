//! The table of routes.

mod assets;
mod content;
mod health;
mod media;
mod multipart;

use axum::{
    Router,
    routing::{get, post, put},
};
use reelhouse_api::paths;

use crate::App;

pub(crate) fn table() -> Router<App> {
    Router::new()
        .route(paths::ASSETS, get(assets::list).post(assets::create))
        .route(paths::UPLOADS, get(multipart::list).post(multipart::create))
        .route(paths::UPLOAD, get(multipart::retrieve).post(multipart::report))
        .route(paths::UPLOAD_URLS, post(multipart::urls))
        .route(paths::CHUNK, put(multipart::put_chunk))
        .route(paths::ASSET, get(assets::retrieve).delete(assets::delete))
        .route(paths::ASSET_CONTENT, get(content::download))
        .route(paths::MEDIA, get(media::media))
        .route(paths::HEALTHZ, get(health::alive))
        .route(paths::READYZ, get(health::ready))
}
