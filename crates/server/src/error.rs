//! The only file that knows which status a fault has. The caller gets code and sentence, the log gets the cause.

use std::any::Any;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use reelhouse_api::Fault;
use reelhouse_metrics::metrics;

/// Seconds after which it may be worth to ask again where the disk was full.
const RETRY_WITHOUT_ROOM: &str = "10";

/// How a request fails.
#[derive(Debug)]
pub(crate) struct Error {
    fault: Fault,
}

/// The result of a handler.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the same request may be taken a little later.
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self.fault, Fault::Unavailable)
    }

    /// Of a create: contract, section 3; what could not be stored is the file's fault, since SDKs cannot read a 5xx.
    pub(crate) fn of_create(error: reelhouse_service::Error) -> Self {
        match error {
            reelhouse_service::Error::Store(cause) if cause.is_unavailable() || cause.is_full() => {
                tracing::error!(%cause, "an upload could not be taken");
                Fault::FileUnprocessable.into()
            }
            error => error.into(),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self { fault }
    }
}

impl From<reelhouse_service::Error> for Error {
    fn from(error: reelhouse_service::Error) -> Self {
        use reelhouse_service::Error as Service;
        match error {
            Service::Fault(fault) => fault.into(),
            Service::ShuttingDown => Fault::Unavailable.into(),
            Service::Store(cause) if cause.is_unavailable() => {
                tracing::error!(%cause, "a request failed");
                Fault::Unavailable.into()
            }
            Service::Store(cause) if cause.is_full() => {
                tracing::error!(%cause, "a request failed");
                Fault::NoRoom.into()
            }
            cause @ (Service::Store(_) | Service::Stopped(_) | Service::Imports(_)) => {
                tracing::error!(%cause, "a request failed");
                Fault::Internal.into()
            }
        }
    }
}

/// A handler that panicked: a bug of ours, told like any other.
pub(crate) fn of_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = text, "a handler panicked");
    Error::from(Fault::Internal).into_response()
}

/// Contract, section 3: what is wrong with an upload is a 400, whatever it is.
pub(crate) fn status(fault: &Fault) -> StatusCode {
    match fault {
        Fault::ContentTypeInvalid { .. }
        | Fault::MultipartBoundaryMissing
        | Fault::InvalidMultipart
        | Fault::ParameterInvalid { .. }
        | Fault::ParameterNotProvided { .. }
        | Fault::Validation { .. }
        | Fault::IndexNameAlreadyExists { .. }
        | Fault::FileNotProvided
        | Fault::UrlNotProvided
        | Fault::MethodMultipart
        | Fault::FileUnprocessable
        | Fault::UnsupportedAssetType { .. }
        | Fault::ImageDimensions { .. }
        | Fault::ImageInvalid
        | Fault::MediaUrlUnsupportedFormat { .. }
        | Fault::MediaUrlNotAccessible { .. }
        | Fault::MediaUrlFileBroken
        | Fault::MediaFilesizeTooLarge { .. }
        | Fault::VideoFileBroken
        | Fault::VideoFileLive
        | Fault::VideoResolutionTooLow { .. }
        | Fault::VideoResolutionTooHigh { .. }
        | Fault::VideoResolutionInvalidAspectRatio { .. }
        | Fault::VideoDurationTooShort { .. }
        | Fault::VideoDurationTooLong { .. }
        | Fault::VideoFilesizeTooLarge { .. }
        | Fault::AudioFileBroken
        | Fault::AudioDurationTooShort { .. }
        | Fault::AudioDurationTooLong { .. }
        | Fault::AudioFilesizeTooLarge { .. }
        | Fault::AudioFormatUnsupported { .. }
        | Fault::UploadNotActive { .. }
        | Fault::ChunkSizeInvalid { .. }
        | Fault::ChunkCompleted { .. } => StatusCode::BAD_REQUEST,
        Fault::Unauthorized | Fault::ApiKeyInvalid => StatusCode::UNAUTHORIZED,
        Fault::ApiNotAllowed
        | Fault::UsageLimitExceeded { .. }
        | Fault::MediaUrlInvalid
        | Fault::UploadUrlInvalid => StatusCode::FORBIDDEN,
        Fault::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        Fault::ResourceNotExist { .. } | Fault::EndpointNotExist | Fault::NotOffered { .. } => {
            StatusCode::NOT_FOUND
        }
        Fault::AssetInUse { .. } | Fault::AssetNotReady { .. } => StatusCode::CONFLICT,
        Fault::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
        Fault::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
        Fault::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Fault::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        Fault::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Fault::Unavailable | Fault::NoRoom | Fault::NotReady { .. } => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = self.fault.body();
        metrics().faults.with([self.fault.code().into()]).inc();
        tracing::info!(code = body.code, message = body.message, "refused");
        let mut response = (status(&self.fault), Json(body)).into_response();
        let header = match self.fault {
            Fault::RangeNotSatisfiable { size } => Some((header::CONTENT_RANGE, format!("bytes */{size}"))),
            Fault::TooManyRequests { retry_after, .. } => {
                Some((header::RETRY_AFTER, retry_after.to_string()))
            }
            Fault::NoRoom => Some((header::RETRY_AFTER, RETRY_WITHOUT_ROOM.to_owned())),
            _ => None,
        };
        if let Some((name, value)) = header
            && let Ok(value) = HeaderValue::try_from(value)
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::fault_examples::examples;

    /// docs/errors.md is this table. After a change, `REELHOUSE_WRITE_DOCS=1 cargo test -p reelhouse-server` writes it.
    #[test]
    fn docs_list_every_fault() {
        let examples = examples();
        let names: Vec<&str> = examples.iter().map(Fault::name).collect();
        assert_eq!(names, Fault::ALL.iter().map(|doc| doc.name).collect::<Vec<_>>(), "an example of each");
        let mut page = String::from(
            "# Errors\n\nEvery error is `{\"code\": …, \"message\": …}`. Codes are stable; messages are for people. Made from \
             `crates/api/src/fault.rs`\nby a test of `crates/server/src/error.rs`.\n\n| status | code | when | message, for instance |\n|---|---|---|---|\n",
        );
        for (fault, doc) in examples.iter().zip(Fault::ALL) {
            let status = status(fault).as_u16();
            writeln!(page, "| {status} | `{}` |{} | {fault} |", doc.code, doc.when).unwrap();
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
        if std::env::var_os("REELHOUSE_WRITE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap_or_default() == page,
            "docs/errors.md is not up to date"
        );
    }
}
