//! Extractors: what a handler asks for is already checked.

use std::time::{Duration, Instant};

use axum::{
    RequestPartsExt,
    extract::{FromRequestParts, Path},
};
use http::{HeaderMap, header, request::Parts};
use reelhouse_api::{AssetId, Fault, IndexId, IndexedAssetId, UploadId};
use reelhouse_service::{
    Admission, ApiKey, Caller, IdempotencyKey, index_not_found, indexed_asset_not_found, upload_not_found,
};

use crate::{App, error::Error};

/// The header a key comes in.
const API_KEY: &str = "x-api-key";
/// The header that makes two requests one.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A caller with a valid key.
#[derive(Debug)]
pub(crate) struct Authenticated(pub(crate) Caller);

impl FromRequestParts<App> for Authenticated {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let key = parts.headers.get(API_KEY).ok_or(Fault::Unauthorized)?;
        let key = ApiKey::new(key.to_str().map_err(|_| Fault::ApiKeyInvalid)?);
        let caller = app.service.caller(&key).await?.ok_or(Fault::ApiKeyInvalid)?;
        tracing::Span::current().record("account", caller.account());
        Ok(Self(caller))
    }
}

/// A caller with a key of the operator's own account: as the others send it, or as scrapers do (`Authorization: Bearer`).
#[derive(Debug)]
pub(crate) struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")?.parse().ok());
        if let Some(key) = bearer {
            parts.headers.entry(API_KEY).or_insert(key);
        }
        let Authenticated(caller) = Authenticated::from_request_parts(parts, app).await?;
        if caller.is_operator() { Ok(Self) } else { Err(Fault::ApiNotAllowed.into()) }
    }
}

/// A caller whose key may change things.
#[derive(Debug)]
pub(crate) struct MayWrite(pub(crate) Caller);

impl FromRequestParts<App> for MayWrite {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, app).await?;
        if caller.may_write() { Ok(Self(caller)) } else { Err(Fault::ApiNotAllowed.into()) }
    }
}

/// A caller whose account may begin an upload now: not ahead of its rate, and with room in its quota.
#[derive(Debug)]
pub(crate) struct MayUpload {
    pub(crate) caller: Caller,
    /// What the account has left; `None` where no rate holds.
    pub(crate) admission: Option<Admission>,
}

impl FromRequestParts<App> for MayUpload {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let MayWrite(caller) = patiently(parts, app).await?;
        let admission = app.service.admit_upload(&caller, parts.headers.contains_key(IDEMPOTENCY_KEY)).await;
        let admission = admission.map_err(Error::of_create)?;
        Ok(Self { caller, admission })
    }
}

/// How long a create waits for a database that is away before its caller is known.
const PATIENCE: Duration = Duration::from_secs(10);

/// Contract, section 10: a create waits for the database, then fails as its file, which SDKs can read, and not as a 5xx.
async fn patiently(parts: &mut Parts, app: &App) -> Result<MayWrite, Error> {
    let begun = Instant::now();
    loop {
        match MayWrite::from_request_parts(parts, app).await {
            Err(error) if !error.is_unavailable() => return Err(error),
            Err(_) if begun.elapsed() > PATIENCE => return Err(Fault::FileUnprocessable.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            known => return known,
        }
    }
}

/// The asset a path names. An id that cannot be one names nothing: 404, like any unknown id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedAsset(pub(crate) AssetId);

impl<S: Send + Sync> FromRequestParts<S> for NamedAsset {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let Ok(Path(text)) = parts.extract::<Path<String>>().await else {
            return Err(asset_not_found(""));
        };
        AssetId::parse(&text).map(Self).ok_or_else(|| asset_not_found(&text))
    }
}

/// 404 for an id as the caller wrote it.
pub(crate) fn asset_not_found(id: impl ToString) -> Error {
    Fault::ResourceNotExist { resource_id: id.to_string(), collection_name: "assets" }.into()
}

/// The upload in chunks that a path names; like [`NamedAsset`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedUpload(pub(crate) UploadId);

impl<S: Send + Sync> FromRequestParts<S> for NamedUpload {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let Ok(Path(text)) = parts.extract::<Path<String>>().await else {
            return Err(upload_not_found("").into());
        };
        UploadId::parse(&text).map(Self).ok_or_else(|| upload_not_found(&text).into())
    }
}

/// The index that a path names; like [`NamedAsset`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedIndex(pub(crate) IndexId);

impl<S: Send + Sync> FromRequestParts<S> for NamedIndex {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let Ok(Path(text)) = parts.extract::<Path<String>>().await else {
            return Err(index_not_found("").into());
        };
        IndexId::parse(&text).map(Self).ok_or_else(|| index_not_found(&text).into())
    }
}

/// What of an index a path names; like [`NamedAsset`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedIndexedAsset(pub(crate) IndexId, pub(crate) IndexedAssetId);

impl<S: Send + Sync> FromRequestParts<S> for NamedIndexedAsset {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let Ok(Path((index, id))) = parts.extract::<Path<(String, String)>>().await else {
            return Err(index_not_found("").into());
        };
        let index = IndexId::parse(&index).ok_or_else(|| index_not_found(&index))?;
        let id = IndexedAssetId::parse(&id).ok_or_else(|| indexed_asset_not_found(&id))?;
        Ok(Self(index, id))
    }
}

/// How many bytes a request says its body has.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The `Idempotency-Key` of a request of this kind, if it has one.
pub(crate) fn idempotency_key(kind: &str, headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Fault> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    IdempotencyKey::parse(kind, &String::from_utf8_lossy(value.as_bytes())).map(Some)
}
