use std::{io, path::PathBuf};

use reelhouse_api::AssetId;

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
    #[error("the database has an older schema; start `reelhouse serve` once, it migrates by itself")]
    SchemaOlder,
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
