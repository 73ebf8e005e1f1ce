//! All that remembers: rows and blobs, and the order in which the two are written.
//!
//! The promise "the row says ready, the bytes are there" is decided here and nowhere else: [`Store::publish`] and
//! [`Store::remove`] are the only ways in and out, and [`Store::open`] finishes what a crash cut short.

mod accounts;
mod appender;
mod arriving;
mod assets;
mod blobs;
mod cache;
mod census;
mod copy;
mod db;
mod deliveries;
mod derivatives;
mod dialect;
mod doctor;
mod early;
mod error;
mod events;
mod fold;
mod folder;
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
mod objects;
mod outgoing;
mod parts;
mod publish;
mod pulse;
mod rate_shares;
mod readers;
mod remove;
mod reserve;
mod revisit;
mod scratch;
mod secrets;
mod sessions;
mod shards;
mod sql;
mod staging;
mod user_metadata;
mod webhooks;
mod writer;

#[cfg(test)]
#[path = "../tests/database/mod.rs"]
mod test_database;

use std::{path::Path, sync::Arc};

pub use accounts::{AccountRecord, ApiKey, KeyOrigin, KeyRecord};
pub use appender::Held;
pub use assets::AssetRecord;
pub use blobs::{BlobKey, BlobStore, Blobs, ByteSource, Object, Opened};
pub use cache::Local;
pub use census::{DiskSpace, JobCount};
pub use copy::{Copied, CopyPlace, CopyProgress, CopyRefusal, Copying, Damage, Stage};
pub use db::Database;
pub use deliveries::{DeliveryRecord, Outcome};
pub use derivatives::{Attempt, DerivativeRecord};
pub use doctor::{Examination, Finding, Place, Progress, Report, Step, Tell, Treatment};
pub use early::EarlyDerivative;
pub use error::{Error, Result, is_full};
pub use idempotency::Receipt;
pub use imports::ImportRecord;
pub use incoming::{IncomingChunk, IncomingFile, RepeatedChunk, Whole};
pub use indexed_assets::{Added, IndexedAssetQuery, IndexedAssetRecord, MetadataFilter, Range, SystemRecord};
pub use indexes::{IndexQuery, IndexRecord, Renamed};
pub use indexing::Indexing;
pub use jobs::{JobRecord, Lane, MAX_FAILED_ATTEMPTS, MAX_LOST_LEASES};
pub use list::{AssetQuery, Order, SortBy};
pub use rate_shares::RateShare;
pub use remove::Removal;
pub use sessions::{ChunkRecord, Reported, Slot, UploadSession};
pub use staging::{Sealed, Staged, StagingFile};
pub use webhooks::WebhookRecord;

pub use reelhouse_bucket::{Bytes as ObjectBytes, Shown};

use census::disk_space;
use db::Db;
use error::During;
use folder_lock::FolderLock;
use reserve::Reserve;
use scratch::Scratch;

/// What a node began and did not end in so many milliseconds, it does not go on with: it died, or lost the database.
const LEFT_OVER: i64 = 15 * 60 * 1000;

/// Where all of it is kept.
#[derive(Debug, Clone, Default)]
pub struct Homes {
    /// Rows.
    pub database: Database,
    /// Originals and what is made of them.
    pub blobs: BlobStore,
}

impl Homes {
    /// Whether the data folder holds nothing that must last.
    fn are_elsewhere(&self) -> bool {
        matches!(self, Self { database: Database::Postgres(_), blobs: BlobStore::Bucket(..) })
    }
}

/// Everything that is remembered.
#[derive(Debug)]
pub struct Store {
    db: Db,
    blobs: Blobs,
    /// Names this folder among all that share a database; its server is one node, whatever process that is.
    node: Arc<str>,
    /// Lets who deletes do so on a full disk.
    reserve: Reserve,
    /// Held while this process is the folder's server.
    _lock: Option<FolderLock>,
}

impl Store {
    /// Takes the folder (mode 0700, made if absent), migrates the schema and finishes what a crash cut short.
    ///
    /// # Errors
    /// [`Error::FolderHeld`] when another server holds the folder, [`Error::SchemaNewer`] when a newer
    /// version of this program wrote it.
    pub async fn open(data_dir: &Path, homes: &Homes, now_ms: i64) -> Result<Self> {
        let lock = FolderLock::take(data_dir, now_ms)?;
        let reserve = Reserve::of(data_dir);
        // A start writes, too.
        reserve.settle(disk_space(data_dir)?.free)?;
        let db = Db::open(&homes.database, data_dir).await?;
        let blobs = Blobs::open(Scratch::at(data_dir), &homes.blobs)?;
        let node = lock.node.as_str().into();
        let store = Self { db, blobs, node, reserve, _lock: Some(lock) };
        store.claim_bucket().await?;
        store.recover(now_ms).await?;
        Ok(store)
    }

    /// The same rows and blobs beside a running server or with none: for keys and doctor. Never migrates, never
    /// recovers.
    ///
    /// # Errors
    /// [`Error::NoSuchFolder`] when no server ever ran on this folder; [`Error::SchemaOlder`] and
    /// [`Error::SchemaNewer`] when its schema is not this program's.
    pub async fn attach(data_dir: &Path, homes: &Homes) -> Result<Self> {
        if !homes.are_elsewhere() && !FolderLock::was_ever_taken(data_dir) {
            return Err(Error::NoSuchFolder { path: data_dir.to_owned() });
        }
        let db = Db::attach(&homes.database, data_dir).await?;
        let node = FolderLock::node_of(data_dir).into();
        let blobs = Blobs::attach(Scratch::at(data_dir), &homes.blobs)?;
        Ok(Self { db, blobs, node, reserve: Reserve::of(data_dir), _lock: None })
    }

    /// Works beside servers: like [`Store::attach`], and where rows and blobs are elsewhere, in a folder of its own, which is
    /// made. What dead workers left there is removed when no server holds it, who would do so.
    ///
    /// # Errors
    /// Like [`Store::attach`].
    pub async fn join(data_dir: &Path, homes: &Homes, now_ms: i64) -> Result<Self> {
        let mine =
            if homes.are_elsewhere() { FolderLock::take(data_dir, now_ms).map(Some) } else { Ok(None) };
        let store = Self::attach(data_dir, homes).await?;
        match mine {
            Ok(Some(lock)) => {
                store.blobs.scratch.make()?;
                store.remove_left_over().await?;
                drop(lock);
            }
            Ok(None) | Err(Error::FolderHeld { .. }) => {}
            Err(error) => return Err(error),
        }
        store.claim_bucket().await?;
        Ok(store)
    }

    /// Brings the schema of a database up to this program's, while servers run on it or not; of SQLite, only without one.
    /// Returns its version.
    ///
    /// # Errors
    /// Like [`Store::open`].
    pub async fn migrate(data_dir: &Path, database: &Database, now_ms: i64) -> Result<i64> {
        let _lock = match database {
            Database::Folder => Some(FolderLock::take(data_dir, now_ms)?),
            Database::Postgres(_) => None,
        };
        Ok(Db::open(database, data_dir).await?.newest_known())
    }

    /// What the names of this server's own workers begin with: at its next start, their leases are taken back at once.
    pub fn server_worker(&self) -> String {
        format!("serve:{}:", self.node)
    }

    /// Originals and what is made of them.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// The version of its schema, which is this program's.
    pub fn schema(&self) -> i64 {
        self.db.newest_known()
    }

    /// Whether rows can be read right now.
    ///
    /// # Errors
    /// What the database said.
    pub async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }

    /// Sees to it that some room is kept for when the disk is full, and that it is not when that is so.
    ///
    /// # Errors
    /// When the folder fails.
    pub fn settle_reserve(&self) -> Result<()> {
        self.reserve.settle(self.disk_space()?.free)
    }

    /// Ends what some node began and cannot end any more, and looks again wherever that is due. Safe beside all that runs.
    ///
    /// # Errors
    /// When the database or the folder fails.
    pub async fn end_left_over(&self, now_ms: i64) -> Result<()> {
        let before_ms = now_ms.saturating_sub(LEFT_OVER);
        for asset in self.intents_before(before_ms).await? {
            self.resolve_intent(asset, now_ms).await?;
        }
        self.end_tombstones(before_ms, now_ms).await?;
        self.revisit(now_ms).await
    }

    async fn end_tombstones(&self, before_ms: i64, now_ms: i64) -> Result<()> {
        for asset in self.tombstones(before_ms).await? {
            self.remove_bytes(asset).await?;
            // A worker may not have noticed, and nobody remembers now whether one was at work.
            self.forget(asset, true, now_ms).await?;
        }
        Ok(())
    }

    /// Ends what a previous process of this node began: intents without a row lose their blob, tombstones theirs, and staging
    /// is emptied. Runs before anything listens, under the folder's lock.
    async fn recover(&self, now_ms: i64) -> Result<()> {
        for asset in self.own_intents().await? {
            self.resolve_intent(asset, now_ms).await?;
        }
        self.end_tombstones(i64::MAX, now_ms).await?;
        // Their process held the folder's lock, and that is ours now.
        self.take_back_leases(now_ms, Some(&self.server_worker())).await?;
        self.take_back_deliveries(now_ms, Some(&self.server_worker())).await?;
        // Those that ran under such a lease.
        self.remove_left_over().await?;
        self.blobs.scratch.clear_staging()
    }

    /// Removes what no asset waits for, and no job makes.
    async fn remove_left_over(&self) -> Result<()> {
        self.remove_stray_incoming().await?;
        for path in self.abandoned_attempts().await? {
            std::fs::remove_dir_all(path).during("removing what an attempt left")?;
        }
        Ok(())
    }
}
