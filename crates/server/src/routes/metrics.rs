use axum::{extract::State, response::IntoResponse};
use http::header;
use reelhouse_service::METRICS_TYPE;

use crate::{App, error::Result, extract::Operator};

/// GET /metrics, where everybody asks: they tell of all accounts.
pub(super) async fn for_operators(State(app): State<App>, _: Operator) -> Result<impl IntoResponse + use<>> {
    text(&app).await
}

/// GET /metrics, on a listener that only those reach who may.
pub(super) async fn for_anyone(State(app): State<App>) -> Result<impl IntoResponse + use<>> {
    text(&app).await
}

async fn text(app: &App) -> Result<impl IntoResponse + use<>> {
    let text = app.service.metrics().await?;
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE), (header::CACHE_CONTROL, "no-store")], text))
}
