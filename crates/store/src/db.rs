use std::{path::Path, time::Duration};

use sqlx::{
    Row, Sqlite, SqlitePool, Transaction,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    error::{Error, Result},
    group::{self, Group},
};

static MIGRATOR: Migrator = sqlx::migrate!();

/// SQLite as it is used here: one writer whose commits are flushed, several readers that never wait for it (WAL).
#[derive(Debug)]
pub(crate) struct Db {
    writer: SqlitePool,
    group: Group,
    readers: SqlitePool,
}

impl Db {
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let db = Self::connect(path, true).await?;
        db.refuse_newer_schema().await?;
        MIGRATOR.run(&db.writer).await?;
        Ok(db)
    }

    pub(crate) async fn attach(path: &Path) -> Result<Self> {
        let db = Self::connect(path, false).await?;
        match db.refuse_newer_schema().await? {
            found if found < newest_known() => Err(Error::SchemaOlder),
            _ => Ok(db),
        }
    }

    async fn connect(path: &Path, create: bool) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // Another process (keys, doctor) may hold the write lock for a moment.
            .busy_timeout(Duration::from_secs(10));
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(60))
            .connect_with(options.clone())
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.pragma("query_only", "on"));
        Ok(Self { group: Group::start(writer.clone()), writer, readers })
    }

    /// Returns the version found, 0 for an empty database.
    async fn refuse_newer_schema(&self) -> Result<i64> {
        let migrated: Option<String> =
            sqlx::query_scalar("SELECT name FROM sqlite_master WHERE name = '_sqlx_migrations'")
                .fetch_optional(&self.writer)
                .await?;
        if migrated.is_none() {
            return Ok(0);
        }
        let found: i64 = sqlx::query("SELECT COALESCE(MAX(version), 0) AS version FROM _sqlx_migrations")
            .fetch_one(&self.writer)
            .await?
            .get("version");
        match newest_known() {
            known if found > known => Err(Error::SchemaNewer { found, known }),
            _ => Ok(found),
        }
    }

    /// For reading. Sees every commit made before it is asked.
    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// The one transaction that writes.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>> {
        group::begin(&self.writer).await
    }

    /// For what many do at the same time: their commits are one.
    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }
}

fn newest_known() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_database_can_be_written_again_once_there_is_room() {
        let folder = tempfile::TempDir::new().unwrap();
        let db = Db::open(&folder.path().join("db")).await.unwrap();
        let insert = "INSERT INTO secret (name, value) VALUES ($1, hex(zeroblob(10000)))";
        let mut tx = db.write().await.unwrap();
        // Full, as far as this connection is concerned.
        sqlx::query("PRAGMA max_page_count = 1").execute(&mut *tx).await.unwrap();
        let mut full = Ok(());
        for n in 0..1000 {
            full = sqlx::query(insert).bind(format!("{n}")).execute(&mut *tx).await.map(drop);
            if full.is_err() {
                break;
            }
        }
        assert!(full.unwrap_err().to_string().contains("full"));
        drop(tx);
        let mut tx = db.write().await.unwrap();
        sqlx::query(insert).bind("after").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
}
