use axum::{extract::State, response::Response};
use http::HeaderMap;

use crate::{
    App,
    deliver::deliver,
    error::Result,
    extract::{Authenticated, NamedAsset, asset_not_found},
};

/// GET /assets/{asset_id}/content: the original back, whole or a range of it.
pub(super) async fn download(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    NamedAsset(id): NamedAsset,
    request: HeaderMap,
) -> Result<Response> {
    deliver(&request, app.service.content(&caller, id).await?.ok_or_else(|| asset_not_found(id))?)
}
