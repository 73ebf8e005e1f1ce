use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use http::{HeaderMap, Method};
use reelhouse_api::{AssetId, Fault};
use reelhouse_service::MediaScope;

use crate::{App, deliver::deliver, error::Result};

/// GET /media/{scope}/{asset_id}/{token}/{path}: what a media URL names. The URL is the key.
pub(super) async fn media(
    State(app): State<App>,
    named: Result<Path<(String, String, String, String)>, PathRejection>,
    method: Method,
    request: HeaderMap,
) -> Result<Response> {
    // What we did not write, we do not explain.
    let Path((scope, asset, token, path)) = named.map_err(|_| Fault::MediaUrlInvalid)?;
    let scope = MediaScope::parse(&scope).ok_or(Fault::MediaUrlInvalid)?;
    let asset = AssetId::parse(&asset).ok_or(Fault::MediaUrlInvalid)?;
    let content = app.service.media(scope, asset, &token, &path).await?;
    deliver(app.delivery, &method, &request, content).await
}
