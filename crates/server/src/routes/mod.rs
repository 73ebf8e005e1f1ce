//! The table of routes.

mod assets;
mod content;
mod health;
mod media;

use axum::{Router, routing::get};
use reelhouse_api::paths;

use crate::App;

pub(crate) fn table() -> Router<App> {
    Router::new()
        .route(paths::ASSETS, get(assets::list).post(assets::create))
        .route(paths::ASSET, get(assets::retrieve).delete(assets::delete))
        .route(paths::ASSET_CONTENT, get(content::download))
        .route(paths::MEDIA, get(media::media))
        .route(paths::HEALTHZ, get(health::alive))
        .route(paths::READYZ, get(health::ready))
}
