//! The table of routes.

mod assets;
mod content;
mod elsewhere;
mod health;
mod media;
mod multipart;
mod user_metadata;

use axum::{
    Router,
    routing::{get, patch, post, put},
};
use reelhouse_api::paths;

use crate::App;

pub(crate) use elsewhere::no_such_path;

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
        .route(paths::ASSET_TRANSCRIPTION, get(elsewhere::transcription))
        .route(paths::ASSET_ENTITIES, get(elsewhere::entities))
        .route(paths::MEDIA, get(media::media))
        .route(paths::HEALTHZ, get(health::alive))
        .route(paths::READYZ, get(health::ready))
}
