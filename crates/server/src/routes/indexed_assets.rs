//! What is in indexes (contract, section 6).

use axum::{
    Json,
    extract::{RawQuery, State},
};
use http::{HeaderMap, StatusCode, Uri};
use reelhouse_api::{
    AssetDetail, Page, RenditionStatus,
    index::{
        CreatedIndexedAsset, IndexSummary, IndexedAsset, IndexedAssetDetail, IndexedAssetSummary, IndexedHls,
        IndexedHlsStatus, SystemMetadata,
    },
};
use reelhouse_service::{IndexedAssetRecord, NewIndexedAsset};

use super::indexes::time;
use crate::{
    App,
    error::Result,
    extract::{Authenticated, MayWrite, NamedAsset, NamedIndex, NamedIndexedAsset, asset_not_found},
    index_query,
    json::JsonBody,
    query,
};

/// POST /indexes/{index_id}/indexed-assets. 202: a job sees to it.
pub(super) async fn create(
    State(app): State<App>,
    MayWrite(caller): MayWrite,
    NamedIndex(index): NamedIndex,
    body: JsonBody,
) -> Result<(StatusCode, Json<CreatedIndexedAsset>)> {
    let new = NewIndexedAsset {
        asset_id: body.text("asset_id")?.to_owned(),
        enable_video_stream: body.flag("enable_video_stream")?,
        user_metadata: body.object("user_metadata")?.cloned().unwrap_or_default(),
    };
    let IndexedAssetRecord { id, asset_id, .. } = app.service.add_to_index(&caller, index, new).await?;
    Ok((StatusCode::ACCEPTED, Json(CreatedIndexedAsset { id, asset_id })))
}

/// GET /indexes/{index_id}/indexed-assets.
pub(super) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    NamedIndex(index): NamedIndex,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<IndexedAsset>>> {
    let query = index_query::parse_indexed_assets(&query.unwrap_or_default())?;
    let Page { data, page_info } = app.service.indexed_assets(&caller, index, &query).await?;
    Ok(Json(Page { data: data.into_iter().map(shown).collect(), page_info }))
}

/// GET /indexes/{index_id}/indexed-assets/{indexed_asset_id}.
pub(super) async fn retrieve(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    NamedIndexedAsset(index, id): NamedIndexedAsset,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<IndexedAssetDetail>> {
    let (record, asset) = app.service.indexed_asset(&caller, index, id).await?;
    let asset = asset.map(|asset| app.service.asset_detail(&asset, Some(&app.base_url(&headers, &uri))));
    Ok(Json(IndexedAssetDetail {
        hls: asset.and_then(|asset| hls(asset, record.stream_made_at)),
        user_metadata: record.user_metadata.clone(),
        indexed_asset: shown(record),
    }))
}

/// PATCH /indexes/{index_id}/indexed-assets/{indexed_asset_id}: 200 without a body, as documented.
pub(super) async fn update(
    State(app): State<App>,
    MayWrite(caller): MayWrite,
    NamedIndexedAsset(index, id): NamedIndexedAsset,
    body: JsonBody,
) -> Result<StatusCode> {
    let changes = body.object("user_metadata")?.cloned().unwrap_or_default();
    app.service.update_indexed_asset(&caller, index, id, changes).await?;
    Ok(StatusCode::OK)
}

/// DELETE /indexes/{index_id}/indexed-assets/{indexed_asset_id}: 200 without a body, as documented.
pub(super) async fn delete(
    State(app): State<App>,
    MayWrite(caller): MayWrite,
    NamedIndexedAsset(index, id): NamedIndexedAsset,
) -> Result<StatusCode> {
    app.service.remove_from_index(&caller, index, id).await?;
    Ok(StatusCode::OK)
}

/// GET /assets/{asset_id}/indexed-assets.
pub(super) async fn list_by_asset(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    NamedAsset(asset): NamedAsset,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<IndexedAssetSummary>>> {
    let (page, page_limit) = query::parse_page(&query.unwrap_or_default())?;
    let places = app.service.places_of(&caller, asset, page, page_limit).await?;
    let Page { data, page_info } = places.ok_or_else(|| asset_not_found(asset))?;
    let summary = |(id, index, name)| IndexedAssetSummary { id, index: IndexSummary { id: index, name } };
    Ok(Json(Page { data: data.into_iter().map(summary).collect(), page_info }))
}

fn shown(record: IndexedAssetRecord) -> IndexedAsset {
    IndexedAsset {
        id: record.id,
        asset_id: Some(record.asset_id),
        asset_deleted_at: record.asset_deleted_at.map(time),
        created_at: Some(time(record.created_at)),
        updated_at: Some(time(record.updated_at)),
        indexed_at: record.indexed_at.map(time),
        status: record.status,
        error: record.error,
        system_metadata: Some(SystemMetadata {
            filename: Some(record.system.filename),
            duration: record.system.duration,
            fps: record.system.fps,
            width: record.system.width,
            height: record.system.height,
            size: record.system.size.map(|size| size as f64),
        }),
    }
}

/// The asset's own HLS and thumbnail, in the words of this part of the API. `None` for an image, which has no HLS.
fn hls(asset: AssetDetail, made_at: Option<i64>) -> Option<IndexedHls> {
    let hls = asset.hls?;
    let status = match hls.status {
        RenditionStatus::Pending | RenditionStatus::Processing => IndexedHlsStatus::Processing,
        RenditionStatus::Ready => IndexedHlsStatus::Complete,
        RenditionStatus::Error => IndexedHlsStatus::Error,
    };
    let thumbnail = asset.thumbnail.and_then(|thumbnail| thumbnail.representative_url);
    Some(IndexedHls {
        video_url: hls.manifest_url,
        thumbnail_urls: thumbnail.into_iter().collect(),
        status: Some(status),
        updated_at: made_at.map(time),
    })
}
