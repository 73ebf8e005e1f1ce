use reelhouse_api::Fault;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's doing, in the caller's words.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Rows or blobs could not be read or written.
    #[error("store: {0}")]
    Store(#[from] reelhouse_store::Error),
    /// What imports need could not be set up.
    #[error("imports: {0}")]
    Imports(#[from] reelhouse_fetch::SetupError),
    /// Something that was started to run to its end did not.
    #[error("a task stopped before its end: {0}")]
    Stopped(#[from] tokio::task::JoinError),
    /// The server is ending.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
