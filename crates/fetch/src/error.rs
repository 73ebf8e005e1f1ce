use std::fmt;

/// Why no bytes came, or no more of them. What it says of itself is fit for any caller; what happened is its source, for
/// the operator's log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to be had: no connection, or an answer that is no body. A refused address reads the same.
    #[error("the URL is not accessible")]
    NotAccessible {
        /// Whether another try may end otherwise.
        retriable: bool,
        /// For the log.
        #[source]
        cause: Cause,
    },
    /// A body that did not come to its end: cut off, reset, stalled, too slow, or garbled. Another try may end otherwise.
    #[error("the transfer was interrupted")]
    Interrupted {
        /// For the log.
        #[source]
        cause: Cause,
    },
}

impl Error {
    /// Whether another try may end otherwise.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::NotAccessible { retriable, .. } => *retriable,
            Self::Interrupted { .. } => true,
        }
    }

    pub(crate) fn unreachable(cause: impl Into<Cause>) -> Self {
        Self::NotAccessible { retriable: true, cause: cause.into() }
    }

    pub(crate) fn for_good(cause: impl Into<Cause>) -> Self {
        Self::NotAccessible { retriable: false, cause: cause.into() }
    }

    pub(crate) fn interrupted(cause: impl Into<Cause>) -> Self {
        Self::Interrupted { cause: cause.into() }
    }
}

/// What happened, in the operator's words. It may name addresses that callers must not learn of.
#[derive(Debug)]
pub struct Cause(String);

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Cause {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<reqwest::Error> for Cause {
    /// The whole chain; without the URL, whose query may hold a signature.
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        Self(text)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

/// A fetcher that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Of the TLS library.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// Of the HTTP library.
    #[error("HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}
