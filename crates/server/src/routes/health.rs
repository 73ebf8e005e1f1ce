use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{App, error::Error};

/// The process runs.
pub(super) async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// It can take uploads: what it stands on answers.
pub(super) async fn ready(State(app): State<App>) -> Result<Json<Value>, Error> {
    app.service.ready().await?;
    Ok(Json(json!({ "status": "ok" })))
}
