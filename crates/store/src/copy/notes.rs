//! What a copy under way notes in the new database: in a table of its own, which goes in the transaction that ends the copy. While
//! it is there, nothing but the copy may use the database.

use sqlx::AnyConnection;

use super::CopyRefusal;
use crate::{db::Db, error::Result, writer::transaction};

const TABLE: &str = "unfinished_copy";

/// Where it comes from, for people.
pub(crate) const FROM: &str = "from";
/// What tells the old home from others.
pub(crate) const SOURCE: &str = "source";
/// The last asset whose bytes, and those of all before it, are in the new home.
pub(crate) const THROUGH: &str = "through";
/// Where the new home's blobs are.
pub(crate) const BLOBS: &str = "blobs";
/// That rows were copied anew: bytes may be there that no row knows any more.
pub(crate) const ANEW: &str = "anew";
/// What names of notes of damage begin with; the key of the blob follows.
pub(crate) const DAMAGE: &str = "damage ";

impl Db {
    /// Refuses a database into which a copy has not ended.
    pub(crate) async fn refuse_unfinished_copy(&self) -> Result<()> {
        match self.note(FROM).await? {
            Some(from) => Err(CopyRefusal::Unfinished { from }.into()),
            None => Ok(()),
        }
    }

    /// Begins a copy: from here on the database is nobody else's.
    pub(crate) async fn begin_notes(&self, from: &str, source: &str) -> Result<()> {
        transaction!(self, |tx| {
            sqlx::query("CREATE TABLE unfinished_copy (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)")
                .execute(&mut *tx)
                .await?;
            set(tx, FROM, from).await?;
            set(tx, SOURCE, source).await
        })
    }

    /// What is noted under a name; nothing where no copy is under way.
    pub(crate) async fn note(&self, name: &str) -> Result<Option<String>> {
        if !self.has_table(TABLE).await? {
            return Ok(None);
        }
        let note = sqlx::query_scalar("SELECT value FROM unfinished_copy WHERE name = $1").bind(name);
        Ok(note.fetch_optional(self.readers()).await?)
    }

    /// Notes something, over what was noted.
    pub(crate) async fn set_note(&self, name: &str, value: &str) -> Result<()> {
        transaction!(self, |tx| { set(tx, name, value).await })
    }

    /// Forgets a note.
    pub(crate) async fn forget_note(&self, name: &str) -> Result<()> {
        transaction!(self, |tx| {
            sqlx::query("DELETE FROM unfinished_copy WHERE name = $1").bind(name).execute(tx).await?;
            Ok(())
        })
    }

    /// All damage that was noted, in the order of its names.
    pub(crate) async fn noted_damage(&self) -> Result<Vec<String>> {
        let noted = sqlx::query_scalar("SELECT value FROM unfinished_copy WHERE name LIKE $1 ORDER BY name");
        Ok(noted.bind(format!("{DAMAGE}%")).fetch_all(self.readers()).await?)
    }

    /// Forgets how far bytes were copied, and what damage was found; rows are copied anew.
    pub(crate) async fn begin_notes_anew(&self) -> Result<()> {
        transaction!(self, |tx| {
            sqlx::query("DELETE FROM unfinished_copy WHERE name = $1 OR name LIKE $2")
                .bind(THROUGH)
                .bind(format!("{DAMAGE}%"))
                .execute(&mut *tx)
                .await?;
            set(tx, ANEW, "1").await
        })
    }
}

async fn set(tx: &mut AnyConnection, name: &str, value: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO unfinished_copy (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2",
    )
    .bind(name)
    .bind(value)
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends a copy: from here on the database is like any other.
pub(crate) async fn end(tx: &mut AnyConnection) -> Result<()> {
    sqlx::query("DROP TABLE unfinished_copy").execute(tx).await?;
    Ok(())
}
