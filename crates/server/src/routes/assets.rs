use axum::{
    Extension, Json,
    extract::{RawQuery, Request, State},
    response::IntoResponse,
};
use http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use reelhouse_api::{AssetDetail, Fault, Page, paths};
use reelhouse_service::{Admission, Caller, Removal};
use serde_json::{Value, json};

use crate::{
    App,
    create_form::{self, Source},
    drain::Patience,
    error::{Error, Result},
    extract::{
        Authenticated, MayUpload, MayWrite, NamedAsset, asset_not_found, content_length, idempotency_key,
    },
    form::Form,
    query,
};

/// POST /assets. Faults carry what is left of the rate, too.
pub(super) async fn create(
    State(app): State<App>,
    MayUpload { caller, admission }: MayUpload,
    Extension(patience): Extension<Patience>,
    request: Request,
) -> impl IntoResponse {
    let rate = rate_headers(&app, admission);
    // From the first byte on: whoever hangs up behind the last one must not cut the reading of it short.
    let work = create_asset(app.clone(), caller, patience, request);
    (rate, app.service.run_to_end(work).await.map_err(Error::from).flatten())
}

async fn create_asset(
    app: App,
    caller: Caller,
    patience: Patience,
    request: Request,
) -> Result<impl IntoResponse + use<>> {
    let boundary = create_form::boundary(request.headers())?;
    let key = idempotency_key("assets", request.headers())?;
    let declared = content_length(request.headers());
    let base = app.base_url(request.headers(), request.uri());
    let form = Form::new(request.into_body().into_data_stream(), &boundary);
    let asset = match create_form::receive(form, &app.service, &caller, declared, &patience).await? {
        (new, Source::File(upload)) => app.service.create(&caller, new, *upload, key.as_ref()).await,
        (new, Source::Url(url)) => app.service.import(&caller, new, &url, key.as_ref()).await,
    };
    let asset = asset.map_err(Error::of_create)?;
    let location = format!("{base}{}/{}", paths::ASSETS, asset.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(asset)))
}

/// Contract, section 8; `reset` is in seconds since the epoch.
pub(super) fn rate_headers(app: &App, admission: Option<Admission>) -> HeaderMap {
    let Some(Admission { limit, remaining, reset }) = admission else { return HeaderMap::new() };
    let reset = app.service.now_seconds().saturating_add_unsigned(reset.as_secs());
    HeaderMap::from_iter([
        (HeaderName::from_static("x-ratelimit-request-limit"), limit.into()),
        (HeaderName::from_static("x-ratelimit-request-remaining"), remaining.into()),
        (HeaderName::from_static("x-ratelimit-request-used"), (limit - remaining.min(limit)).into()),
        (HeaderName::from_static("x-ratelimit-request-reset"), reset.into()),
    ])
}

/// GET /assets.
pub(super) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Page<AssetDetail>>> {
    let query = query::parse_assets(&query.unwrap_or_default())?;
    let Page { data, page_info } = app.service.assets(&caller, &query).await?;
    let base = app.base_url(&headers, &uri);
    Ok(Json(Page {
        data: data.iter().map(|asset| app.service.asset_detail(asset, Some(&base))).collect(),
        page_info,
    }))
}

/// GET /assets/{asset_id}.
pub(super) async fn retrieve(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    NamedAsset(id): NamedAsset,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<AssetDetail>> {
    let asset = app.service.asset(&caller, id).await?.ok_or_else(|| asset_not_found(id))?;
    Ok(Json(app.service.asset_detail(&asset, Some(&app.base_url(&headers, &uri)))))
}

/// DELETE /assets/{asset_id}.
pub(super) async fn delete(
    State(app): State<App>,
    MayWrite(caller): MayWrite,
    NamedAsset(id): NamedAsset,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>> {
    let force = query::parse_force(&query.unwrap_or_default())?;
    match app.service.delete(&caller, id, force).await? {
        Removal::Removed => Ok(Json(json!({}))),
        Removal::Absent => Err(asset_not_found(id)),
        Removal::Referenced(references) => {
            Err(Fault::AssetInUse { asset_id: id.to_string(), references }.into())
        }
    }
}

impl App {
    /// What URLs handed out begin with: as configured, else as the client reached us.
    pub(super) fn base_url(&self, headers: &HeaderMap, uri: &Uri) -> String {
        match self.service.public_url() {
            Some(base) => base.to_owned(),
            None => {
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
                let host = host.or_else(|| uri.authority().map(|authority| authority.as_str()));
                host.map(|host| format!("http://{host}")).unwrap_or_default()
            }
        }
    }
}
