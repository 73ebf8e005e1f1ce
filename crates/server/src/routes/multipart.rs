//! Uploads in chunks (contract, section 5).

use axum::{
    Json,
    extract::{Path, RawQuery, Request, State, rejection::PathRejection},
    response::IntoResponse,
};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, Uri, header};
use reelhouse_api::{
    ChunkUrls, CompletedChunk, CreateUpload, Fault, MediaKind, Page, ReportedChunks, RequestChunkUrls,
    Upload, UploadId, UploadProgress, UploadSummary,
};

use crate::{
    App,
    error::{Error, Result},
    extract::{Authenticated, MayUpload, MayWrite, NamedUpload, content_length, idempotency_key},
    json::{JsonBody, wrong},
    query,
    routes::assets::rate_headers,
};

/// POST /assets/multipart-uploads.
pub(super) async fn create(
    State(app): State<App>,
    MayUpload { caller, admission }: MayUpload,
    headers: HeaderMap,
    uri: Uri,
    body: JsonBody,
) -> impl IntoResponse {
    let rate = rate_headers(&app, admission);
    let created = async {
        let key = idempotency_key("uploads", &headers)?;
        let base = app.base_url(&headers, &uri);
        let create = read_create(&body)?;
        let upload = app.service.begin_multipart(&caller, create, &base, key.as_ref()).await?;
        Ok::<(StatusCode, Json<Upload>), Error>((StatusCode::CREATED, Json(upload)))
    };
    (rate, created.await)
}

fn read_create(body: &JsonBody) -> Result<CreateUpload, Fault> {
    let kind = body.text("type")?;
    Ok(CreateUpload {
        filename: body.text("filename")?.to_owned(),
        kind: MediaKind::parse(kind)
            .ok_or_else(|| wrong("type", format!("\"{kind}\" is not video, audio or image.")))?,
        total_size: body.count("total_size")?,
        enable_hls: body.flag("enable_hls")?,
        enable_thumbnail: body.flag("enable_thumbnail")?,
        user_metadata: body.object("user_metadata")?.cloned(),
    })
}

/// GET /assets/multipart-uploads: those that take chunks.
pub(super) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<UploadSummary>>> {
    let (page, page_limit) = query::parse_page(&query.unwrap_or_default())?;
    Ok(Json(app.service.multiparts(&caller, page, page_limit).await?))
}

/// GET /assets/multipart-uploads/{upload_id}.
pub(super) async fn retrieve(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    NamedUpload(id): NamedUpload,
    RawQuery(query): RawQuery,
) -> Result<Json<UploadProgress>> {
    let (page, page_limit) = query::parse_page(&query.unwrap_or_default())?;
    Ok(Json(app.service.multipart(&caller, id, page, page_limit).await?))
}

/// POST /assets/multipart-uploads/{upload_id}/presigned-urls.
pub(super) async fn urls(
    State(app): State<App>,
    MayWrite(caller): MayWrite,
    NamedUpload(id): NamedUpload,
    headers: HeaderMap,
    uri: Uri,
    body: JsonBody,
) -> Result<Json<ChunkUrls>> {
    let wanted = RequestChunkUrls { start: body.count("start")?, count: body.count("count")? };
    Ok(Json(app.service.chunk_urls(&caller, id, wanted, &app.base_url(&headers, &uri)).await?))
}

/// POST /assets/multipart-uploads/{upload_id}.
pub(super) async fn report(
    State(app): State<App>,
    MayWrite(caller): MayWrite,
    NamedUpload(id): NamedUpload,
    headers: HeaderMap,
    uri: Uri,
    body: JsonBody,
) -> Result<Json<ReportedChunks>> {
    let chunks = body.list("completed_chunks")?.iter().enumerate().map(|(at, chunk)| {
        serde_json::from_value::<CompletedChunk>(chunk.clone())
            .map_err(|error| wrong("completed_chunks", format!("Entry {}: {error}.", at + 1)))
    });
    let chunks = chunks.collect::<Result<Vec<_>, _>>()?;
    let (service, base) = (app.service.clone(), app.base_url(&headers, &uri));
    let reported = async move { service.report_chunks(&caller, id, &chunks, &base).await };
    Ok(Json(app.service.run_to_end(reported).await??))
}

/// PUT /uploads/{upload_id}/{chunk_index}/{token}. The URL is the key.
pub(super) async fn put_chunk(
    State(app): State<App>,
    named: Result<Path<(String, String, String)>, PathRejection>,
    request: Request,
) -> Result<impl IntoResponse> {
    // What we did not write, we do not explain.
    let Path((upload, chunk, token)) = named.map_err(|_| Fault::UploadUrlInvalid)?;
    let id = UploadId::parse(&upload).ok_or(Fault::UploadUrlInvalid)?;
    let index: u64 = chunk.parse().map_err(|_| Fault::UploadUrlInvalid)?;
    let service = app.service.clone();
    // Whoever hangs up behind the last byte must not cut the chunk short.
    let work = async move {
        let declared = content_length(request.headers());
        let mut chunk = service.begin_chunk(id, index, &token, declared).await?;
        let mut body = request.into_body().into_data_stream();
        while let Some(bytes) = body.next().await {
            // Idle or hung up: either way the chunk did not come.
            let bytes = bytes.map_err(|error| {
                tracing::info!(%error, "a chunk could not be read");
                Error::from(Fault::RequestTimeout)
            })?;
            chunk.push(&bytes).await?;
        }
        Ok::<String, Error>(chunk.finish().await?)
    };
    let etag = app.service.run_to_end(work).await.map_err(Error::from).flatten()?;
    Ok((StatusCode::OK, [(header::ETAG, format!("\"{etag}\""))]))
}
