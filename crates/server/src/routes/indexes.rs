//! Indexes (contract, section 6).

use axum::{
    Json,
    extract::{RawQuery, State},
};
use http::StatusCode;
use jiff::Timestamp;
use reelhouse_api::{
    Fault, Page,
    index::{CreateIndex, CreatedIndex, Index, IndexModel},
};
use reelhouse_service::IndexRecord;

use crate::{
    App,
    error::Result,
    extract::{Authenticated, MayWrite, NamedIndex},
    index_query,
    json::{JsonBody, wrong},
};

/// POST /indexes.
pub(super) async fn create(
    State(app): State<App>,
    MayWrite(caller): MayWrite,
    body: JsonBody,
) -> Result<(StatusCode, Json<CreatedIndex>)> {
    let id = app.service.create_index(&caller, read_create(&body)?).await?;
    Ok((StatusCode::CREATED, Json(CreatedIndex { id })))
}

fn read_create(body: &JsonBody) -> Result<CreateIndex, Fault> {
    let models = body.list("models")?.iter().enumerate().map(|(at, model)| {
        serde_json::from_value::<IndexModel>(model.clone())
            .map_err(|error| wrong("models", format!("Entry {}: {error}.", at + 1)))
    });
    let addons = body.optional("addons").cloned().unwrap_or_else(|| Vec::<String>::new().into());
    Ok(CreateIndex {
        index_name: body.text("index_name")?.to_owned(),
        models: models.collect::<Result<_, _>>()?,
        addons: serde_json::from_value(addons)
            .map_err(|_| wrong("addons", "It is not an array of strings."))?,
    })
}

/// GET /indexes.
pub(super) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<Index>>> {
    let query = index_query::parse_indexes(&query.unwrap_or_default())?;
    let Page { data, page_info } = app.service.indexes(&caller, &query).await?;
    Ok(Json(Page { data: data.into_iter().map(shown).collect(), page_info }))
}

/// GET /indexes/{index_id}.
pub(super) async fn retrieve(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    NamedIndex(id): NamedIndex,
) -> Result<Json<Index>> {
    Ok(Json(shown(app.service.index(&caller, id).await?)))
}

/// PUT /indexes/{index_id}: 200 without a body, as documented.
pub(super) async fn rename(
    State(app): State<App>,
    MayWrite(caller): MayWrite,
    NamedIndex(id): NamedIndex,
    body: JsonBody,
) -> Result<StatusCode> {
    app.service.rename_index(&caller, id, body.text("index_name")?).await?;
    Ok(StatusCode::OK)
}

/// DELETE /indexes/{index_id}: 200 without a body, as documented.
pub(super) async fn delete(
    State(app): State<App>,
    MayWrite(caller): MayWrite,
    NamedIndex(id): NamedIndex,
) -> Result<StatusCode> {
    app.service.delete_index(&caller, id).await?;
    Ok(StatusCode::OK)
}

fn shown(record: IndexRecord) -> Index {
    let IndexRecord {
        id,
        account: _,
        index_name,
        models,
        addons,
        created_at,
        updated_at,
        video_count,
        total_duration_ms,
    } = record;
    Index {
        id,
        created_at: Some(time(created_at)),
        updated_at: Some(time(updated_at)),
        // Indexes stay.
        expires_at: None,
        index_name,
        total_duration: total_duration_ms as f64 / 1000.0,
        video_count: video_count as f64,
        models,
        addons,
    }
}

/// RFC 3339 with milliseconds.
pub(super) fn time(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or_default();
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_have_milliseconds() {
        assert_eq!(super::time(1_777_631_400_000), "2026-05-01T10:30:00.000Z");
        assert_eq!(super::time(1_777_631_400_070), "2026-05-01T10:30:00.070Z");
    }
}
