//! What rows refer to is there. All of it is kept so by single transactions: what one statement sees is never on its way.

use sqlx::AssertSqlSafe;

use crate::{Store, error::Result, writer::transaction};

use super::{Finding, PAGE, round::Round};

/// Rows of one table that refer to rows of another.
struct Reference {
    table: &'static str,
    /// Refers; an index begins with it.
    column: &'static str,
    /// Those that do, where not all must: a condition.
    only: &'static str,
    /// What they refer to, and its column.
    of: (&'static str, &'static str),
    /// What must hold of it: a condition.
    that: &'static str,
}

const fn reference(table: &'static str, column: &'static str, of: (&'static str, &'static str)) -> Reference {
    Reference { table, column, only: "TRUE", of, that: "TRUE" }
}

const ASSET: (&str, &str) = ("asset", "id");
const ACCOUNT: (&str, &str) = ("account", "name");

/// Rows that are of no use without what they refer to. Sessions before their chunks.
const REFERENCES: [Reference; 9] = [
    reference("derivative", "asset_id", ASSET),
    // Whoever deletes an asset deletes its jobs with the first commit.
    Reference { that: "asset.deleted_at IS NULL", ..reference("job", "asset_id", ASSET) },
    reference("import", "asset_id", ASSET),
    reference("upload_session", "asset_id", ASSET),
    reference("upload_chunk", "upload_id", ("upload_session", "id")),
    reference("indexed_asset", "index_id", ("media_index", "id")),
    reference("webhook_delivery", "webhook_id", ("webhook", "id")),
    reference("idempotency", "account", ACCOUNT),
    reference("rate_share", "account", ACCOUNT),
];

/// What accounts have. Without their account nobody can ask for it.
const OF_ACCOUNTS: [Reference; 3] = [
    Reference { only: "deleted_at IS NULL", ..reference("asset", "account", ACCOUNT) },
    reference("media_index", "account", ACCOUNT),
    reference("webhook", "account", ACCOUNT),
];

impl Round<'_> {
    pub(super) async fn references(&mut self) -> Result<()> {
        self.progress.begin("rows", 0);
        for reference in &OF_ACCOUNTS {
            for account in self.store.missing(reference).await? {
                self.found(Finding::AccountMissing(account)).await?;
            }
        }
        for reference in &REFERENCES {
            for id in self.store.missing(reference).await? {
                let (table, of) = (reference.table.to_owned(), reference.of.0.to_owned());
                self.found(Finding::RowsOfNothing { table, of, id }).await?;
            }
        }
        Ok(())
    }
}

impl Reference {
    /// A page of what is referred to, each once and found by the index alone, and whether it is there.
    fn page(&self) -> String {
        let Self { table, column, only, of: (of, id), that } = self;
        format!(
            "WITH RECURSIVE referred (id, place) AS (
                 SELECT MIN({column}), 1 FROM {table} WHERE {column} > $1 AND {only}
                 UNION ALL
                 SELECT (SELECT MIN({column}) FROM {table} WHERE {column} > referred.id AND {only}), place + 1
                 FROM referred WHERE referred.id IS NOT NULL AND place < {PAGE}
             )
             SELECT referred.id,
                    CASE WHEN EXISTS (SELECT 1 FROM {of} WHERE {of}.{id} = referred.id AND {that}) THEN 1 ELSE 0 END
             FROM referred WHERE referred.id IS NOT NULL ORDER BY referred.id"
        )
    }

    fn delete(&self) -> String {
        let Self { table, column, only: _, of: (of, id), that } = self;
        format!(
            "DELETE FROM {table} WHERE {column} = $1
                AND NOT EXISTS (SELECT 1 FROM {of} WHERE {of}.{id} = $1 AND {that})"
        )
    }
}

impl Store {
    /// What is referred to, and not there.
    async fn missing(&self, reference: &Reference) -> Result<Vec<String>> {
        let (sql, mut behind, mut missing) = (reference.page(), String::new(), Vec::new());
        loop {
            let page: Vec<(String, i64)> = sqlx::query_as(AssertSqlSafe(sql.as_str()))
                .bind(&behind)
                .fetch_all(self.db.readers())
                .await?;
            let Some((last, _)) = page.last() else { return Ok(missing) };
            behind.clone_from(last);
            missing.extend(page.into_iter().filter(|(_, is_there)| *is_there == 0).map(|(id, _)| id));
        }
    }

    /// Deletes rows that refer to what is not there.
    pub(super) async fn delete_rows_of_nothing(&self, table: &str, of: &str, id: &str) -> Result<()> {
        let which = |reference: &&Reference| reference.table == table && reference.of.0 == of;
        let Some(reference) = REFERENCES.iter().find(which) else { return Ok(()) };
        let sql = reference.delete();
        transaction!(self.db, |tx| {
            sqlx::query(AssertSqlSafe(sql.as_str())).bind(id).execute(tx).await?;
            Ok(())
        })
    }

    /// Makes an account that has something.
    pub(super) async fn make_account(&self, name: &str, now_ms: i64) -> Result<()> {
        transaction!(self.db, |tx| {
            sqlx::query(
                "INSERT INTO account (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            )
            .bind(name)
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(())
        })
    }
}
