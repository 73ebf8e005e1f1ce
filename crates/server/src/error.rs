//! The only file that knows which status a fault has. The caller gets code and sentence, the log gets the cause.

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
            cause @ (Service::Store(_) | Service::Stopped(_)) => {
                tracing::error!(%cause, "a request failed");
                Fault::Internal.into()
            }
        }
    }
}

/// Contract, section 3: what is wrong with an upload is a 400, whatever it is.
fn status(fault: &Fault) -> StatusCode {
    match fault {
        Fault::ContentTypeInvalid { .. }
        | Fault::MultipartBoundaryMissing
        | Fault::InvalidMultipart
        | Fault::ParameterInvalid { .. }
        | Fault::Validation { .. }
        | Fault::FileNotProvided
        | Fault::UrlNotProvided
        | Fault::MethodMultipart
        | Fault::FileUnprocessable
        | Fault::UnsupportedAssetType { .. }
        | Fault::ImageDimensions { .. }
        | Fault::ImageInvalid
        | Fault::MediaFilesizeTooLarge { .. }
        | Fault::VideoFileBroken
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
        | Fault::AudioFormatUnsupported { .. } => StatusCode::BAD_REQUEST,
        Fault::Unauthorized | Fault::ApiKeyInvalid => StatusCode::UNAUTHORIZED,
        Fault::ApiNotAllowed => StatusCode::FORBIDDEN,
        Fault::ResourceNotExist { .. } | Fault::EndpointNotExist => StatusCode::NOT_FOUND,
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
        if let Fault::RangeNotSatisfiable { size } = self.fault
            && let Ok(value) = HeaderValue::try_from(format!("bytes */{size}"))
        {
            response.headers_mut().insert(header::CONTENT_RANGE, value);
        }
        response
    }
}
