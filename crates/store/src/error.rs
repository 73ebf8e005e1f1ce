use std::{io, path::PathBuf};

use reelhouse_api::AssetId;

use crate::copy::CopyRefusal;

/// What can go wrong below the verbs. "Absent" is no error here: it is an `Option`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another server runs on this folder.
    #[error("{} is in use by another reelhouse server (process {holder}); stop it or choose another REELHOUSE_DATA_DIR", path.display())]
    FolderHeld {
        /// The data folder.
        path: PathBuf,
        /// Its process id, as the lock file says.
        holder: String,
    },
    /// There is something in the folder, and no server ever ran there.
    #[error("{} is not empty and holds no Reelhouse data; choose an empty or a new folder as REELHOUSE_DATA_DIR", path.display())]
    NotOurFolder {
        /// The folder.
        path: PathBuf,
    },
    /// No server ever ran here.
    #[error("{} holds no Reelhouse data; check REELHOUSE_DATA_DIR, or start `reelhouse serve` once", path.display())]
    NoSuchFolder {
        /// The data folder.
        path: PathBuf,
    },
    /// Written by a newer version of this program.
    #[error(
        "the database was written by a newer reelhouse (schema {found}, this one knows up to {known}); upgrade reelhouse"
    )]
    SchemaNewer {
        /// Version in the database.
        found: i64,
        /// Newest version this program knows.
        known: i64,
    },
    /// Written by an older version and not yet migrated.
    #[error(
        "the database has an older schema: run `reelhouse migrate` first, or start `reelhouse serve`, which migrates by itself"
    )]
    SchemaOlder,
    /// Another doctor is at work on this folder.
    #[error("{} is being examined by another `reelhouse doctor`", path.display())]
    DoctorAtWork {
        /// The data folder.
        path: PathBuf,
    },
    /// There is no examination to go on with.
    #[error("--resume cannot go on with {}: {why}; run doctor without it", path.display())]
    NoResume {
        /// Where it would be.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A row without its bytes: doctor tells more.
    #[error("the bytes of asset {asset} are missing")]
    BlobMissing {
        /// The asset.
        asset: AssetId,
    },
    /// The account holds as many assets or bytes as its quota allows.
    #[error("the account's quota is reached")]
    QuotaReached,
    /// Another request with the same idempotency key was first.
    #[error("the idempotency key was used meanwhile")]
    KeyUsed,
    /// A row that this program cannot have written.
    #[error("row {id} of {table} is corrupt")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row's id.
        id: String,
    },
    /// The database.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The database was lost during a commit: it was made, or it was not.
    #[error("the database was lost during a commit: {0}")]
    InDoubt(sqlx::Error),
    /// Another node took this publish for dead and took it back.
    #[error("the upload took too long to be published and was taken back")]
    TakenBack,
    /// Not a database that can be used.
    #[error("REELHOUSE_DATABASE_URL: {0}")]
    DatabaseUrl(String),
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] reelhouse_bucket::Error),
    /// The bucket holds the blobs of another database.
    #[error("{location} belongs to another Reelhouse database; choose another prefix as REELHOUSE_BLOB_URL")]
    BucketOfAnother {
        /// Where it is.
        location: String,
    },
    /// A copy that is not made, or not at its end.
    #[error(transparent)]
    Copy(#[from] CopyRefusal),
    /// A migration.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The folder.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a transaction that did nothing wrong came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setback {
    /// Another's was first.
    Conflict,
    /// The database is away.
    Loss,
}

impl Error {
    /// Whether what failed is sure not to have been done.
    pub(crate) fn is_certain(&self) -> bool {
        !matches!(self, Self::InDoubt(_))
    }

    /// Whether the database or the bucket cannot be reached right now.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Bucket(error) if error.is_away())
            || matches!(self, Self::InDoubt(_))
            || self.setback() == Some(Setback::Loss)
    }

    /// Whether there is no room left on the disk.
    pub fn is_full(&self) -> bool {
        match self {
            // SQLite's: the disk is full, or the memory that its readers share cannot grow.
            Self::Database(sqlx::Error::Database(said)) => {
                matches!(said.code().as_deref(), Some("13" | "4874"))
            }
            Self::Io { source, .. } => is_full(source),
            _ => false,
        }
    }

    /// The same, told to another who waited for the same commit.
    pub(crate) fn for_another(&self) -> Self {
        match self {
            Self::InDoubt(error) => Self::InDoubt(said_again(error)),
            Self::Database(error) => Self::Database(said_again(error)),
            other => Self::Database(said_again(other)),
        }
    }

    pub(crate) fn setback(&self) -> Option<Setback> {
        match self {
            Self::Database(error) => setback(error),
            _ => None,
        }
    }

    /// Of a COMMIT: only what the database itself says about the transaction is known.
    pub(crate) fn of_commit(error: sqlx::Error) -> Self {
        if setback(&error) == Some(Setback::Loss) { Self::InDoubt(error) } else { Self::Database(error) }
    }
}

/// Whether an error says that there is no room left on the disk.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn said_again(error: &dyn std::error::Error) -> sqlx::Error {
    sqlx::Error::Io(io::Error::other(error.to_string()))
}

/// By SQLSTATE, which SQLite's numbers never look like.
fn setback(error: &sqlx::Error) -> Option<Setback> {
    match error {
        sqlx::Error::Database(said) => match said.code().as_deref()? {
            "40001" | "40P01" => Some(Setback::Conflict),
            // The connection, too many of them, an operator or a crash; or a commit of which nobody knows.
            code if ["08", "53", "57P", "58", "40003"].iter().any(|class| code.starts_with(class)) => {
                Some(Setback::Loss)
            }
            _ => None,
        },
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) => Some(Setback::Loss),
        _ => None,
    }
}

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was being done when an I/O error came.
pub(crate) trait During<T> {
    fn during(self, what: &'static str) -> Result<T>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, what: &'static str) -> Result<T> {
        self.map_err(|source| Error::Io { what, source })
    }
}
