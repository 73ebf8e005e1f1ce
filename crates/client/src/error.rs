use std::{error::Error as StdError, fmt, io, path::PathBuf, time::Duration};

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::{AssetDetail, ErrorCode};

/// What a call ends with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client or the call was set up in a way that cannot work; nothing was sent.
    #[error("{0}")]
    Setup(String),
    /// The server refused.
    #[error("{0}")]
    Api(Box<ApiError>),
    /// There was no connection: nothing was sent.
    #[error("cannot connect to {host}: {cause}", cause = root(source))]
    Connect {
        /// Host and port.
        host: String,
        /// Why.
        source: Cause,
    },
    /// Nothing moved for so long, in either direction.
    #[error("{host} did nothing for {} s", after.as_secs_f64())]
    Timeout {
        /// Host and port.
        host: String,
        /// The call's timeout.
        after: Duration,
    },
    /// The connection broke before the answer was whole. The server may have done what was asked.
    #[error("the connection to {host} broke: {cause}", cause = root(source))]
    Transport {
        /// Host and port.
        host: String,
        /// Why.
        source: Cause,
    },
    /// A success whose body is not what this call answers.
    #[error("the answer (status {status}) cannot be read: {source}")]
    Decode {
        /// HTTP status.
        status: u16,
        /// The body as it came.
        body: Bytes,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A file of ours could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The bytes that were to be uploaded could not be read.
    #[error("cannot read what is uploaded: {0}")]
    Source(#[source] io::Error),
    /// The asset was taken, looked at, and refused.
    #[error("the asset {id} failed: {message}", id = .0.id, message = failure(.0))]
    AssetFailed(Box<AssetDetail>),
    /// The wait was over before the asset was ready. The server goes on.
    #[error("the asset {id} is still {status} after {} s", waited.as_secs_f64())]
    NotReady {
        /// The asset.
        id: String,
        /// Where it stands.
        status: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The server's bytes changed while they were downloaded.
    #[error("the content of {0} changed during the download")]
    ContentChanged(String),
    /// An upload in chunks that cannot go on.
    #[error("the upload cannot go on: {0}")]
    Upload(String),
}

/// What lies below an error.
pub type Cause = Box<dyn StdError + Send + Sync>;

impl Error {
    /// The server's refusal, if it is one.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }

    /// The code of the server's refusal, or of an asset that failed.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Api(error) => Some(error.code.clone()),
            Self::AssetFailed(asset) => {
                asset.error.as_ref().map(|error| ErrorCode::from(error.code.as_str()))
            }
            _ => None,
        }
    }

    /// HTTP status of the server's refusal.
    pub fn status(&self) -> Option<u16> {
        self.api().map(|error| error.status)
    }

    /// Whether the same call may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Api(error) => matches!(error.status, 408 | 429 | 500..),
            Self::Connect { .. } | Self::Timeout { .. } | Self::Transport { .. } => true,
            _ => false,
        }
    }
}

/// An error as the server answered it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: ErrorCode,
    /// For people. Empty where the answer was not in the API's form.
    pub message: String,
    /// The header `X-Request-Id`: what the server's log knows this request by.
    pub request_id: Option<String>,
    /// The header `Retry-After`.
    pub retry_after: Option<Duration>,
    /// Every header.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
}

impl ApiError {
    pub(crate) fn new(status: u16, headers: HeaderMap, body: Bytes) -> Self {
        // Neither field is promised.
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Body {
            code: String,
            message: String,
        }
        let Body { code, message } = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            status,
            code: ErrorCode::from(code.as_str()),
            message,
            request_id: text("x-request-id").map(str::to_owned),
            retry_after: crate::retry::retry_after(text("retry-after"), text("date")),
            headers,
            body,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.message.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "the server answered {}", self.status)?;
        if matches!(self.code, ErrorCode::Unknown(ref code) if code.is_empty()) {
            let body = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]);
            write!(f, ", and not as this API does: {:?}", body.trim())
        } else {
            write!(f, " ({})", self.code)
        }
    }
}

impl StdError for ApiError {}

/// What lies at the bottom: of a failed connection, the layers above say only that it failed.
fn root(cause: &Cause) -> String {
    let mut deepest: &(dyn StdError + 'static) = cause.as_ref();
    while let Some(below) = deepest.source() {
        deepest = below;
    }
    deepest.to_string()
}

fn failure(asset: &AssetDetail) -> &str {
    asset.error.as_ref().map_or("the server does not say why", |error| &error.message)
}
