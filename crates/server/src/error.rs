//! The only file that knows which status a fault has. The caller gets code and sentence, the log gets the cause.

use std::any::Any;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use reelhouse_api::Fault;

/// How a request fails.
#[derive(Debug)]
pub(crate) struct Error {
    fault: Fault,
}

/// The result of a handler.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

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
fn status(fault: &Fault) -> StatusCode {
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
        Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = self.fault.body();
        tracing::info!(code = body.code, message = body.message, "refused");
        let mut response = (status(&self.fault), Json(body)).into_response();
        let header = match self.fault {
            Fault::RangeNotSatisfiable { size } => Some((header::CONTENT_RANGE, format!("bytes */{size}"))),
            Fault::TooManyRequests { retry_after, .. } => {
                Some((header::RETRY_AFTER, retry_after.to_string()))
            }
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

    use reelhouse_api::Resolution;

    use super::*;

    /// One of each, with numbers as they come.
    fn examples() -> Vec<Fault> {
        let small = Resolution { width: 320, height: 240 };
        let (minimum, maximum) =
            (Resolution { width: 360, height: 360 }, Resolution { width: 5184, height: 2160 });
        let (cap, over) = (200 << 20, 201 << 20);
        vec![
            Fault::ContentTypeInvalid { content_type: "application/json".to_owned() },
            Fault::MultipartBoundaryMissing,
            Fault::InvalidMultipart,
            Fault::ParameterInvalid {
                parameter: "enable_hls",
                reason: "\"maybe\" is neither true nor false.".to_owned(),
            },
            Fault::ParameterNotProvided { parameter: "total_size" },
            Fault::Validation { field: "Method", tag: "oneof" },
            Fault::FileNotProvided,
            Fault::UrlNotProvided,
            Fault::MethodMultipart,
            Fault::FileUnprocessable,
            Fault::UnsupportedAssetType { asset_type: "text/plain".to_owned() },
            Fault::ImageDimensions {
                current: Resolution { width: 64, height: 64 },
                minimum: Resolution { width: 128, height: 128 },
            },
            Fault::ImageInvalid,
            Fault::MediaUrlUnsupportedFormat { detected_format: "text/html".to_owned() },
            Fault::MediaUrlNotAccessible { url: "https://example.org/clip.mp4".to_owned() },
            Fault::MediaUrlFileBroken,
            Fault::MediaFilesizeTooLarge { maximum: 5 << 20, current: 6 << 20 },
            Fault::VideoFileBroken,
            Fault::VideoFileLive,
            Fault::VideoResolutionTooLow { minimum, maximum, current: small },
            Fault::VideoResolutionTooHigh {
                minimum,
                maximum,
                current: Resolution { width: 7680, height: 4320 },
            },
            Fault::VideoResolutionInvalidAspectRatio {
                maximum: 2.4,
                current: Resolution { width: 1080, height: 2640 },
            },
            Fault::VideoDurationTooShort { minimum: 4.0, current: 2.52 },
            Fault::VideoDurationTooLong { minimum: 4.0, maximum: 14_400.0, current: 14_460.0 },
            Fault::VideoFilesizeTooLarge { maximum: cap, current: over },
            Fault::AudioFileBroken,
            Fault::AudioDurationTooShort { minimum: 4.0, current: 2.0 },
            Fault::AudioDurationTooLong { minimum: 4.0, maximum: 14_400.0, current: 14_460.0 },
            Fault::AudioFilesizeTooLarge { maximum: cap, current: over },
            Fault::AudioFormatUnsupported {
                format: "Opus".to_owned(),
                supported_formats: "WAV, MP3, FLAC".to_owned(),
            },
            Fault::ResourceNotExist {
                resource_id: "6730aaaaaaaaaaaaaaaaaaaa".to_owned(),
                collection_name: "assets",
            },
            Fault::IndexNameAlreadyExists { index_name: "holidays".to_owned() },
            Fault::AssetInUse { asset_id: "6730aaaaaaaaaaaaaaaaaaaa".to_owned(), references: 2 },
            Fault::AssetNotReady { asset_id: "6730aaaaaaaaaaaaaaaaaaaa".to_owned(), status: "processing" },
            Fault::Unauthorized,
            Fault::ApiKeyInvalid,
            Fault::ApiNotAllowed,
            Fault::UsageLimitExceeded { quota: "10GB".to_owned() },
            Fault::TooManyRequests { rate_limit: "600 requests per minute".to_owned(), retry_after: 12 },
            Fault::MediaUrlInvalid,
            Fault::UploadUrlInvalid,
            Fault::UploadNotActive { upload_id: "6730aaaaaaaaaaaaaaaaaaaa".to_owned(), status: "expired" },
            Fault::ChunkSizeInvalid { chunk_index: 3, expected: 5 << 20, current: "4096".to_owned() },
            Fault::ChunkCompleted { chunk_index: 3 },
            Fault::IdempotencyKeyReused,
            Fault::EndpointNotExist,
            Fault::NotOffered { area: "search" },
            Fault::MethodNotAllowed { method: "PATCH".to_owned() },
            Fault::RangeNotSatisfiable { size: 1_853_871 },
            Fault::RequestTimeout,
            Fault::Unavailable,
            Fault::Internal,
        ]
    }

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
