use axum::{extract::State, response::Response};
use http::{HeaderMap, Method};

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
    method: Method,
    request: HeaderMap,
) -> Result<Response> {
    let content = app.service.content(&caller, id).await?.ok_or_else(|| asset_not_found(id))?;
    deliver(app.delivery, &method, &request, content).await
}
