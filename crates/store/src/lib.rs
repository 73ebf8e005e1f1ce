//! All that remembers: rows and blobs, and the order in which the two are written.
//!
//! The promise "the row says ready, the bytes are there" is decided here and nowhere else: [`Store::publish`] and
//! [`Store::remove`] are the only ways in and out, and [`Store::open`] finishes what a crash cut short.

mod accounts;
mod appender;
mod arriving;
mod assets;
mod blobs;
mod db;
mod deliveries;
mod derivatives;
mod doctor;
mod early;
mod error;
mod events;
mod fold;
mod folder_lock;
mod group;
mod idempotency;
mod imports;
mod incoming;
mod indexed_assets;
mod indexes;
mod indexing;
mod jobs;
mod list;
mod publish;
mod remove;
mod secrets;
mod sessions;
mod staging;
mod user_metadata;
mod webhooks;

use std::path::{Path, PathBuf};

pub use accounts::{AccountRecord, ApiKey, KeyOrigin, KeyRecord};
pub use appender::Held;
pub use assets::AssetRecord;
pub use blobs::{BlobKey, Blobs};
pub use deliveries::{DeliveryRecord, Outcome};
pub use derivatives::{Attempt, DerivativeRecord};
pub use doctor::{Finding, Report};
pub use early::EarlyDerivative;
pub use error::{Error, Result};
pub use idempotency::Receipt;
pub use imports::ImportRecord;
pub use incoming::{IncomingChunk, IncomingFile, RepeatedChunk, Whole};
pub use indexed_assets::{Added, IndexedAssetQuery, IndexedAssetRecord, MetadataFilter, Range, SystemRecord};
pub use indexes::{IndexQuery, IndexRecord, Renamed};
pub use indexing::Indexing;
pub use jobs::{JobRecord, Lane, MAX_FAILED_ATTEMPTS, MAX_LOST_LEASES};
pub use list::{AssetQuery, Order, SortBy};
pub use remove::Removal;
pub use sessions::{ChunkRecord, Reported, Slot, UploadSession};
pub use staging::{Sealed, Staged, StagingFile};
pub use webhooks::WebhookRecord;

use db::Db;
use error::During;
use folder_lock::FolderLock;

/// What the names of a server's own workers begin with: at its start, the previous server's leases are taken back at once.
pub const SERVER_WORKER: &str = "serve:";

/// Everything that is remembered, over one data folder.
#[derive(Debug)]
pub struct Store {
    db: Db,
    blobs: Blobs,
    /// Held while this process is the folder's server.
    _lock: Option<FolderLock>,
}

impl Store {
    /// Takes the folder (mode 0700, made if absent), migrates the schema and finishes what a crash cut short.
    ///
    /// # Errors
    /// [`Error::FolderHeld`] when another server holds the folder, [`Error::SchemaNewer`] when a newer
    /// version of this program wrote it.
    pub async fn open(data_dir: &Path, now_ms: i64) -> Result<Self> {
        let lock = FolderLock::take(data_dir, now_ms)?;
        let db = Db::open(&database_path(data_dir)).await?;
        let blobs = Blobs::open(data_dir)?;
        let store = Self { db, blobs, _lock: Some(lock) };
        store.recover(now_ms).await?;
        Ok(store)
    }

    /// The same rows and blobs beside a running server or with none: for keys and doctor. Never migrates, never
    /// recovers.
    ///
    /// # Errors
    /// [`Error::NoSuchFolder`] when no server ever ran on this folder; [`Error::SchemaOlder`] and
    /// [`Error::SchemaNewer`] when its schema is not this program's.
    pub async fn attach(data_dir: &Path) -> Result<Self> {
        let path = database_path(data_dir);
        if !path.is_file() {
            return Err(Error::NoSuchFolder { path: data_dir.to_owned() });
        }
        Ok(Self { db: Db::attach(&path).await?, blobs: Blobs::attach(data_dir), _lock: None })
    }

    /// The folder's blobs.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Whether rows can be read right now.
    ///
    /// # Errors
    /// What the database said.
    pub async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }

    /// Ends what a previous process began: intents without a row lose their blob, tombstones theirs, and staging
    /// is emptied. Runs before anything listens, under the folder's lock.
    async fn recover(&self, now_ms: i64) -> Result<()> {
        for asset in self.pending_intents().await? {
            self.resolve_intent(asset).await?;
        }
        for asset in self.tombstones().await? {
            self.finish_removal(asset).await?;
        }
        self.remove_stray_incoming().await?;
        // Their process held the folder's lock, and that is ours now.
        self.take_back_leases(now_ms, Some(SERVER_WORKER)).await?;
        self.take_back_deliveries(now_ms, Some(SERVER_WORKER)).await?;
        for path in self.abandoned_attempts().await? {
            std::fs::remove_dir_all(path).during("removing what an attempt left")?;
        }
        self.blobs.clear_staging()
    }
}

fn database_path(data_dir: &Path) -> PathBuf {
    data_dir.join("reelhouse.db")
}
