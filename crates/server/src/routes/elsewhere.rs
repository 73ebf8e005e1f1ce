//! What the original's platform has beside assets and their indexes: models, and what they say. None of it is here.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use http::Uri;
use reelhouse_api::{Fault, Page, PageInfo, paths};
use serde_json::Value;

use crate::{
    App,
    error::{Error, Result},
    extract::{Authenticated, NamedAsset, asset_not_found},
    query,
};

/// Whatever has no route.
pub(crate) async fn no_such_path(uri: Uri) -> Error {
    let rest = uri.path().strip_prefix(paths::VERSION_PREFIX).and_then(|rest| rest.strip_prefix('/'));
    let area = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    match paths::NOT_OFFERED.iter().copied().find(|known| *known == area) {
        Some(area) => Fault::NotOffered { area }.into(),
        None => Fault::EndpointNotExist.into(),
    }
}

/// GET /assets/{asset_id}/transcription. No asset has one.
pub(super) async fn transcription(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    NamedAsset(id): NamedAsset,
) -> Result<Json<Value>> {
    app.service.asset(&caller, id).await?.ok_or_else(|| asset_not_found(id))?;
    Err(Fault::ResourceNotExist { resource_id: id.to_string(), collection_name: "transcriptions" }.into())
}

/// GET /assets/{asset_id}/entities. No asset is of one.
pub(super) async fn entities(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    NamedAsset(id): NamedAsset,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<Value>>> {
    let (page, page_limit) = query::parse_page(&query.unwrap_or_default())?;
    app.service.asset(&caller, id).await?.ok_or_else(|| asset_not_found(id))?;
    Ok(Json(Page { data: Vec::new(), page_info: PageInfo::new(page, page_limit, 0) }))
}
