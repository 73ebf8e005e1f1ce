//! What users keep with their assets (contract, section 4).

use axum::extract::State;
use http::StatusCode;
use reelhouse_api::{AssetId, Fault, UserMetadata};
use reelhouse_service::Caller;

use crate::{
    App,
    error::Result,
    extract::{MayWrite, NamedAsset, asset_not_found},
    json::JsonBody,
};

/// PATCH /assets/{asset_id}/user-metadata.
pub(super) async fn update(
    State(app): State<App>,
    MayWrite(caller): MayWrite,
    NamedAsset(id): NamedAsset,
    body: JsonBody,
) -> Result<StatusCode> {
    found(id, app.service.update_user_metadata(&caller, id, given(&body)?).await?)
}

/// PUT /assets/{asset_id}/user-metadata.
pub(super) async fn replace(
    State(app): State<App>,
    MayWrite(caller): MayWrite,
    NamedAsset(id): NamedAsset,
    body: JsonBody,
) -> Result<StatusCode> {
    put(&app, &caller, id, given(&body)?).await
}

/// DELETE /assets/{asset_id}/user-metadata: what a PUT of nothing does.
pub(super) async fn delete(
    State(app): State<App>,
    MayWrite(caller): MayWrite,
    NamedAsset(id): NamedAsset,
) -> Result<StatusCode> {
    put(&app, &caller, id, UserMetadata::new()).await
}

async fn put(app: &App, caller: &Caller, id: AssetId, metadata: UserMetadata) -> Result<StatusCode> {
    found(id, app.service.replace_user_metadata(caller, id, metadata).await?)
}

fn given(body: &JsonBody) -> Result<UserMetadata, Fault> {
    body.required("user_metadata")?;
    Ok(body.object("user_metadata")?.cloned().unwrap_or_default())
}

/// 200 without a body, as documented.
fn found(id: AssetId, found: bool) -> Result<StatusCode> {
    if found { Ok(StatusCode::OK) } else { Err(asset_not_found(id)) }
}
