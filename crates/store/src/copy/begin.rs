//! What must hold before anything is copied: the old home stands still, and the new one has nothing but this copy.

use std::{path::Path, time::Duration};

use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tokio::{sync::watch, time::sleep};

use super::{
    CopyPlace, CopyProgress, CopyRefusal, Copying, Stage,
    notes::{BLOBS, SOURCE, THROUGH},
    tables::TABLES,
};
use crate::{
    BlobStore, Database, Store,
    blobs::{Blobs, Home, Tree},
    db::{CONNECTED_AS, Db},
    dialect::Dialect,
    error::Result,
    folder_lock::FolderLock,
    parts::OWNER,
    reserve::Reserve,
    scratch::Scratch,
    shards::Shards,
};

/// How long connections of a server that has just ended are waited for.
const ENDING: Duration = Duration::from_millis(300);
const LOOKS: u32 = 10;
/// Milliseconds; no worker takes a longer one.
const LONGEST_LEASE: u64 = 10 * 60 * 1000;

/// Uploads in chunks that are not decided, and not over: `$1` is now.
pub(super) const UNDER_WAY: &str = "FROM upload_session JOIN asset ON asset.id = asset_id
     WHERE asset.status = 'processing' AND deleted_at IS NULL
       AND (upload_session.status = 'completed' OR upload_session.status = 'active' AND expires_at > $1)";

impl Copying {
    /// Begins a copy, or goes on with one that was begun. With `end_uploads`, uploads in chunks that cannot go on in the new home
    /// will have failed there. Says how far it is on `progress`.
    ///
    /// # Errors
    /// [`CopyRefusal`] when a home is in use or not what it must be; like [`Store::attach`] for the old one, like [`Store::open`] for
    /// the new one.
    pub async fn begin(
        from: &CopyPlace,
        to: &CopyPlace,
        end_uploads: bool,
        progress: watch::Sender<CopyProgress>,
        now_ms: i64,
    ) -> Result<Self> {
        refuse_same(from, to)?;
        for database in [&from.homes.database, &to.homes.database] {
            refuse_served(database).await?;
        }
        let lock = match FolderLock::was_ever_taken(&from.data_dir) {
            true => Some(FolderLock::take(&from.data_dir, now_ms)?),
            false => None,
        };
        let mut old = Store::attach(&from.data_dir, &from.homes).await?;
        old._lock = lock;
        old.outwait_leases(&progress, now_ms).await?;
        if to.homes.database == Database::Folder {
            old.refuse_same_moments().await?;
        }
        let uploads_go_on =
            matches!((&from.homes.blobs, &to.homes.blobs), (BlobStore::Folder, BlobStore::Folder));
        if !uploads_go_on && !end_uploads {
            old.refuse_uploads(now_ms).await?;
        }
        let (new, is_resumed) = open_new(from, to, &old, now_ms).await?;
        Ok(Self { from: old, to: new, is_resumed, uploads_go_on, progress })
    }
}

/// Opens the new home; says whether the copy was begun before.
async fn open_new(from: &CopyPlace, to: &CopyPlace, old: &Store, now_ms: i64) -> Result<(Store, bool)> {
    let lock = FolderLock::take(&to.data_dir, now_ms)?;
    let db = Db::open_unmigrated(&to.homes.database, &to.data_dir).await?;
    let source = old.told_apart_by().await?;
    let begun = db.note(SOURCE).await?;
    // Copies of what is read once are of no use.
    let kept = match &to.homes.blobs {
        BlobStore::Bucket(location, _) => BlobStore::Bucket(location.clone(), 0),
        BlobStore::Folder => BlobStore::Folder,
    };
    let scratch = Scratch::at(&to.data_dir);
    match &begun {
        Some(begun) if *begun != source => {
            let from = db.note(super::notes::FROM).await?.unwrap_or_default();
            return Err(CopyRefusal::OfAnother { from }.into());
        }
        Some(_) => {}
        None => {
            refuse_rows(&db).await?;
            refuse_blobs(&Blobs::attach(scratch.clone(), &kept)?).await?;
            db.begin_notes(&from.shown(), &source).await?;
        }
    }
    db.migrate().await?;
    let blobs = Blobs::open(scratch, &kept)?;
    blobs.scratch.clear_staging()?;
    let place = blobs.shown("");
    if db.note(BLOBS).await?.is_none_or(|noted| noted != place) {
        db.forget_note(THROUGH).await?;
        db.set_note(BLOBS, &place).await?;
    }
    let node = lock.node.as_str().into();
    let new = Store { db, blobs, node, reserve: Reserve::of(&to.data_dir), _lock: Some(lock) };
    new.claim_bucket().await?;
    Ok((new, begun.is_some()))
}

fn refuse_same(from: &CopyPlace, to: &CopyPlace) -> Result<()> {
    let same = |what: String| Err(CopyRefusal::SamePlace { what }.into());
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if whole(&from.data_dir) == whole(&to.data_dir) {
        return same(format!("the data folder {}", to.data_dir.display()));
    }
    match (&from.homes.blobs, &to.homes.blobs) {
        (BlobStore::Bucket(one, _), BlobStore::Bucket(other, _)) if one == other => same(other.to_string()),
        _ if from.homes.database == to.homes.database && to.homes.database != Database::Folder => {
            same("the database".to_owned())
        }
        _ => Ok(()),
    }
}

/// Refuses a database of Postgres to which servers or workers have connections. Of SQLite, a lock says it.
async fn refuse_served(database: &Database) -> Result<()> {
    let Database::Postgres(url) = database else { return Ok(()) };
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await?;
    let open = "SELECT COUNT(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = $1";
    let mut connections = 0;
    for _ in 0..LOOKS {
        connections = sqlx::query_scalar(open).bind(CONNECTED_AS).fetch_one(&mut connection).await?;
        if connections == 0 {
            connection.close().await?;
            return Ok(());
        }
        sleep(ENDING).await;
    }
    Err(CopyRefusal::Served { connections, database: database.shown() }.into())
}

/// Refuses a database that has anything.
async fn refuse_rows(db: &Db) -> Result<()> {
    for table in &TABLES {
        if !db.has_table(table.name).await? {
            continue;
        }
        let sql = format!("SELECT 1 FROM {} WHERE {} LIMIT 1", table.name, table.only.unwrap_or("TRUE"));
        let found: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_optional(db.readers()).await?;
        if found.is_some() {
            let what = format!("its database has rows in the table {}", table.name);
            return Err(CopyRefusal::NotEmpty { what }.into());
        }
    }
    Ok(())
}

/// Refuses a home of blobs that has any.
async fn refuse_blobs(blobs: &Blobs) -> Result<()> {
    let found = match &blobs.home {
        Home::Folder(folder) => {
            let mut found = None;
            for tree in Tree::ALL {
                if !folder.walk(tree, Shards::part(0, 1)).await?.is_empty() {
                    found = Some(blobs.shown(tree.name()));
                }
            }
            found
        }
        Home::Bucket(objects, _) => {
            let page = objects.bucket.list("", None).await?;
            page.objects.into_iter().find(|object| object.key != OWNER).map(|object| blobs.shown(&object.key))
        }
    };
    match found {
        Some(found) => Err(CopyRefusal::NotEmpty { what: format!("there is {found}") }.into()),
        None => Ok(()),
    }
}

impl Store {
    /// What this home is told apart from others by; the same as long as its media URLs are.
    async fn told_apart_by(&self) -> Result<String> {
        let secret: Option<String> = sqlx::query_scalar("SELECT value FROM secret WHERE name = 'media_urls'")
            .fetch_optional(self.db.readers())
            .await?;
        Ok(blake3::hash(secret.unwrap_or_default().as_bytes()).to_hex().to_string())
    }

    /// Waits until leases of workers have ended, and refuses a home where they are renewed.
    async fn outwait_leases(&self, progress: &watch::Sender<CopyProgress>, now_ms: i64) -> Result<()> {
        let Some((worker, until)) = self.last_lease(now_ms).await? else { return Ok(()) };
        let left = u64::try_from(until.saturating_sub(now_ms)).unwrap_or_default();
        if left > LONGEST_LEASE {
            return Err(CopyRefusal::AtWork { worker }.into());
        }
        progress.send_modify(|progress| progress.stage = Stage::Waiting);
        sleep(Duration::from_millis(left)).await;
        match self.last_lease(until).await? {
            Some((worker, _)) => Err(CopyRefusal::AtWork { worker }.into()),
            None => Ok(()),
        }
    }

    /// Whose lease ends last, and when, if that is not over. What the folder's lock makes ours is of a server that is gone.
    async fn last_lease(&self, now_ms: i64) -> Result<Option<(String, i64)>> {
        let own = if self._lock.is_some() { format!("{}%", self.server_worker()) } else { String::new() };
        let lease = sqlx::query_as(
            "SELECT worker, lease_until FROM job
             WHERE state = 'running' AND lease_until > $1 AND worker NOT LIKE $2
             UNION ALL
             SELECT sender, lease_until FROM webhook_delivery
             WHERE state = 'sending' AND lease_until > $1 AND sender NOT LIKE $2
             ORDER BY lease_until DESC LIMIT 1",
        );
        Ok(lease.bind(now_ms).bind(own).fetch_optional(self.db.readers()).await?)
    }

    async fn refuse_uploads(&self, now_ms: i64) -> Result<()> {
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) {UNDER_WAY}")))
            .bind(now_ms)
            .fetch_one(self.db.readers())
            .await?;
        if count == 0 { Ok(()) } else { Err(CopyRefusal::UploadsUnderWay { count }.into()) }
    }

    /// Refuses rows that SQLite would keep under one number.
    async fn refuse_same_moments(&self) -> Result<()> {
        if self.db.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        for table in ["asset", "media_index", "indexed_asset"] {
            let sql = format!(
                "SELECT MIN(id), MAX(id) FROM {table} GROUP BY seq HAVING COUNT(*) > 1 ORDER BY seq LIMIT 1"
            );
            let twice: Option<(String, String)> =
                sqlx::query_as(AssertSqlSafe(sql)).fetch_optional(self.db.readers()).await?;
            if let Some((one, other)) = twice {
                return Err(CopyRefusal::SameMoment { table, one, other }.into());
            }
        }
        Ok(())
    }
}

impl CopyPlace {
    /// For people.
    fn shown(&self) -> String {
        let folder = self.data_dir.display();
        let blobs = match &self.homes.blobs {
            BlobStore::Folder => format!("files in {folder}"),
            BlobStore::Bucket(location, _) => location.to_string(),
        };
        match &self.homes.database {
            Database::Folder => format!("SQLite in {folder}, {blobs}"),
            database => format!("{}, {blobs}", database.shown()),
        }
    }
}
