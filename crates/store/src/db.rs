use std::{fmt, path::Path, time::Duration};

use sqlx::{Any, AnyPool, Executor, Transaction, any::AnyPoolOptions, migrate::Migrator};

use crate::{
    dialect::{self, Dialect},
    error::{Error, Result},
    group::Group,
    pulse::{Pulse, Silent},
    readers::Readers,
    writer::{Attempts, Writer},
};

static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// Where rows are kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Database {
    /// In the data folder: SQLite.
    #[default]
    Folder,
    /// In Postgres, by its URL.
    Postgres(String),
}

impl Database {
    /// What a setting says: a URL of Postgres, or nothing for the data folder.
    ///
    /// # Errors
    /// [`Error::DatabaseUrl`] for anything else.
    pub fn parse(url: &str) -> Result<Self> {
        if url.is_empty() {
            return Ok(Self::Folder);
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(Error::DatabaseUrl("it does not begin with postgres://".to_owned()));
        }
        match url.parse::<sqlx::postgres::PgConnectOptions>() {
            Ok(_) => Ok(Self::Postgres(url.to_owned())),
            // Without the URL, which may hold a password.
            Err(error) => Err(Error::DatabaseUrl(error.to_string())),
        }
    }

    /// For people: without a password.
    pub(crate) fn shown(&self) -> String {
        let Self::Postgres(url) = self else { return "SQLite".to_owned() };
        match url.parse::<sqlx::postgres::PgConnectOptions>() {
            Ok(options) => {
                let name = options.get_database().unwrap_or_default();
                format!("the database {name} of Postgres at {}", options.get_host())
            }
            Err(_) => "Postgres".to_owned(),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "Folder",
            Self::Postgres(_) => "Postgres(…)",
        })
    }
}

/// The connections to a database.
///
/// SQLite has one that writes, whose commits are flushed, and several that read and never wait for it (WAL). Postgres has
/// several of each.
#[derive(Debug)]
pub(crate) struct Db {
    dialect: Dialect,
    pulse: Pulse,
    writer: Writer,
    group: Group,
    readers: Readers,
}

impl Db {
    /// Migrates what is there, or makes what is not.
    pub(crate) async fn open(database: &Database, folder: &Path) -> Result<Self> {
        let db = Self::open_unmigrated(database, folder).await?;
        db.refuse_unfinished_copy().await?;
        db.migrate().await?;
        Ok(db)
    }

    /// Makes what is not there, and leaves as it is what is.
    pub(crate) async fn open_unmigrated(database: &Database, folder: &Path) -> Result<Self> {
        let db = Self::connect(database, folder, true).await?;
        db.refuse_newer_schema().await?;
        Ok(db)
    }

    /// Brings the schema up to this program's.
    pub(crate) async fn migrate(&self) -> Result<()> {
        self.migrations().run(self.writer.pool()).await?;
        self.index_names().await;
        Ok(())
    }

    /// Lets Postgres find filenames by their trigrams, where it can be brought to: without it, searches walk.
    async fn index_names(&self) {
        if self.dialect == Dialect::Postgres
            && let Err(error) = self.make_index_of_names().await
        {
            tracing::warn!(%error, "no index of filenames: searches by filename will walk (is pg_trgm installed?)");
        }
    }

    async fn make_index_of_names(&self) -> sqlx::Result<()> {
        let there: Option<i64> =
            sqlx::query_scalar(dialect::HAS_INDEX_OF_NAMES).fetch_optional(self.writer.pool()).await?;
        if there.is_none() {
            for statement in dialect::INDEX_OF_NAMES {
                sqlx::query(statement).execute(self.writer.pool()).await?;
            }
        }
        Ok(())
    }

    /// Lets Postgres see at once how much there is, after much has come.
    pub(crate) async fn learn(&self) -> Result<()> {
        if self.dialect == Dialect::Postgres {
            self.writer.pool().execute("ANALYZE").await?;
        }
        Ok(())
    }

    /// Refuses what is not of this program's schema.
    pub(crate) async fn attach(database: &Database, folder: &Path) -> Result<Self> {
        let db = Self::connect(database, folder, false).await?;
        let found = db.refuse_newer_schema().await?;
        db.refuse_unfinished_copy().await?;
        if found < db.newest_known() { Err(Error::SchemaOlder) } else { Ok(db) }
    }

    async fn connect(database: &Database, folder: &Path, create: bool) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let (dialect, pulse, (writer, readers)) = match database {
            Database::Folder => (Dialect::Sqlite, Pulse::own(), sqlite(&file(folder), create).await?),
            Database::Postgres(url) => {
                let pulse = Pulse::of(url);
                (Dialect::Postgres, pulse.clone(), postgres(url, &pulse).await?)
            }
        };
        let (writer, readers) =
            (Writer::new(writer, dialect, pulse.clone()), Readers::new(readers, pulse.clone()));
        Ok(Self { dialect, pulse, group: Group::start(writer.clone()), writer, readers })
    }

    /// Returns the version found, 0 for an empty database.
    async fn refuse_newer_schema(&self) -> Result<i64> {
        if !self.has_table("_sqlx_migrations").await? {
            return Ok(0);
        }
        let found: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations")
            .fetch_one(self.writer.pool())
            .await?;
        match self.newest_known() {
            known if found > known => Err(Error::SchemaNewer { found, known }),
            _ => Ok(found),
        }
    }

    /// Whether there is a table of this name.
    pub(crate) async fn has_table(&self, name: &str) -> Result<bool> {
        let there: Option<i64> = sqlx::query_scalar(self.dialect.has_table())
            .bind(name)
            .fetch_optional(self.writer.pool())
            .await?;
        Ok(there.is_some())
    }

    fn migrations(&self) -> &'static Migrator {
        match self.dialect {
            Dialect::Sqlite => &SQLITE,
            Dialect::Postgres => &POSTGRES,
        }
    }

    /// The version of this program's schema.
    pub(crate) fn newest_known(&self) -> i64 {
        self.migrations().iter().map(|migration| migration.version).max().unwrap_or(0)
    }

    /// For reading, statement by statement. Sees every commit made before it is asked.
    pub(crate) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Does what reads in several statements, as long as the database answers.
    pub(crate) async fn read<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.pulse.guard(work).await.unwrap_or_else(|silent| Err(sqlx::Error::from(silent).into()))
    }

    /// For several statements that see the same rows; inside [`Db::read`].
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Any>> {
        Ok(self.readers.pool().begin_with(self.dialect.begin_snapshot()).await?)
    }

    /// For statements that may take as long as they take; inside [`Db::read`].
    pub(crate) async fn long_snapshot(&self) -> Result<Transaction<'static, Any>> {
        let mut snapshot = self.snapshot().await?;
        if let Some(statement) = self.dialect.unbounded() {
            sqlx::query(statement).execute(&mut *snapshot).await?;
        }
        Ok(snapshot)
    }

    /// For [`transaction!`](crate::writer::transaction).
    pub(crate) fn attempts(&self) -> Attempts<'_> {
        self.writer.attempts()
    }

    /// For what many do at the same time: their commits are one.
    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        match self.dialect {
            Dialect::Sqlite => sqlx::query("SELECT 1").execute(&self.readers).await.map(drop)?,
            Dialect::Postgres if self.pulse.beats().await => {}
            Dialect::Postgres => return Err(sqlx::Error::from(Silent).into()),
        }
        Ok(())
    }
}

/// SQLite's file in a data folder.
pub(crate) fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("reelhouse.db")
}

/// One connection that writes, and several that read.
async fn sqlite(path: &Path, create: bool) -> Result<(AnyPool, AnyPool)> {
    let mode = if create { "rwc" } else { "rw" };
    let url = format!("sqlite://{}?mode={mode}", percent_encoded(path));
    let pool = |connections, query_only: &'static str| {
        AnyPoolOptions::new()
            .max_connections(connections)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(60))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    // The wait first: another process (keys, doctor) may hold the write lock for a moment.
                    connection.execute("PRAGMA busy_timeout = 10000").await?;
                    connection
                        .execute(
                            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
                        )
                        .await?;
                    connection.execute(query_only).await?;
                    Ok(())
                })
            })
    };
    let writer = pool(1, "PRAGMA query_only = OFF").connect(&url).await?;
    Ok((writer, pool(4, "PRAGMA query_only = ON").connect_lazy(&url)?))
}

/// As much of a path as a URL may not hold as it is.
fn percent_encoded(path: &Path) -> String {
    use fmt::Write;
    path.to_string_lossy().bytes().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => write!(text, "{}", char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => write!(text, "{}", char::from(byte)),
            _ => write!(text, "%{byte:02X}"),
        };
        text
    })
}

/// Connections to Postgres of one process, each for writing and for reading. A server takes 100 from all together, if it is
/// not told otherwise.
const CONNECTIONS: u32 = 8;
/// What Postgres calls those of our processes.
pub(crate) const CONNECTED_AS: &str = "reelhouse";

async fn postgres(url: &str, pulse: &Pulse) -> Result<(AnyPool, AnyPool)> {
    let pool = |patience: Duration, session: &'static [&'static str]| {
        let pulse = pulse.clone();
        let options = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(patience);
        // What nobody answered on is not asked whether it is well.
        let options = options.after_release(move |_, _| {
            let is_well = !pulse.is_lost();
            Box::pin(async move { Ok(is_well) })
        });
        options.after_connect(move |connection, _| {
            Box::pin(async move {
                for statement in session {
                    // What speaks like Postgres need not know all of its settings. None is needed to be right.
                    if let Err(error) = connection.execute(*statement).await {
                        tracing::debug!(%error, statement, "not set");
                    }
                }
                Ok(())
            })
        })
    };
    // Who writes waits for the database; who reads is told that it is away. A scan of a whole table would make a transaction
    // conflict with every other that writes there.
    let writer = pool(
        Duration::from_secs(10),
        &[
            "SET application_name = 'reelhouse'",
            "SET statement_timeout = '30s'",
            "SET idle_in_transaction_session_timeout = '60s'",
            "SET enable_seqscan = off",
        ],
    );
    // How a search is best done depends on what is searched for.
    let readers = pool(
        Duration::from_secs(3),
        &[
            "SET application_name = 'reelhouse'",
            "SET statement_timeout = '60s'",
            "SET plan_cache_mode = force_custom_plan",
        ],
    );
    Ok((writer.connect(url).await?, readers.connect_lazy(url)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::transaction;

    #[tokio::test]
    async fn a_full_database_can_be_written_again_once_there_is_room() {
        let folder = tempfile::TempDir::new().unwrap();
        let db = Db::open(&Database::Folder, folder.path()).await.unwrap();
        let insert = "INSERT INTO secret (name, value) VALUES ($1, hex(zeroblob(10000)))";
        let full: Result<()> = transaction!(db, |tx| {
            // Full, as far as this connection is concerned.
            sqlx::query("PRAGMA max_page_count = 1").execute(&mut *tx).await?;
            for n in 0..1000 {
                sqlx::query(insert).bind(format!("{n}")).execute(&mut *tx).await?;
            }
            Ok(())
        });
        assert!(full.unwrap_err().to_string().contains("full"));
        transaction!(db, |tx| {
            sqlx::query(insert).bind("after").execute(&mut *tx).await?;
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_folder_may_have_any_name() {
        assert_eq!(percent_encoded(Path::new("/a b/ü?#%.db")), "/a%20b/%C3%BC%3F%23%25.db");
    }

    #[test]
    fn a_database_is_a_url_of_postgres_or_none() {
        assert!(matches!(Database::parse(""), Ok(Database::Folder)));
        assert!(matches!(Database::parse("postgres://u:p@h/d?sslmode=require"), Ok(Database::Postgres(_))));
        for bad in ["mysql://h/d", "h", "postgres://h:x/d"] {
            let error = Database::parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("REELHOUSE_DATABASE_URL: "), "{error}");
        }
    }
}
