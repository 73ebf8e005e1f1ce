/// What can go wrong between us and a store. "Absent" is no error here: it is an `Option`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a bucket that can be used.
    #[error("REELHOUSE_BLOB_URL: {0}")]
    Url(String),
    /// The libraries beneath.
    #[error("the client of the store cannot be set up: {0}")]
    Setup(String),
    /// No credentials, or none that are valid.
    #[error("credentials of the store: {0}")]
    Credentials(String),
    /// It does not answer, or says that it cannot right now.
    #[error("the store is away: {0}")]
    Away(String),
    /// It answered that it will not.
    #[error("the store refused ({status} {code}): {message}")]
    Refused {
        /// Of HTTP.
        status: u16,
        /// S3's own word for it; empty when it said none.
        code: String,
        /// What it says to people.
        message: String,
    },
    /// It answered something that this program cannot read.
    #[error("the store's answer is not understood: {0}")]
    Answer(String),
    /// What was to be sent cannot be read.
    #[error("reading what goes to the store: {0}")]
    Read(#[from] std::io::Error),
}

impl Error {
    /// Whether the store may well do it a moment later.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }

    pub(crate) fn is_refused_as(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
