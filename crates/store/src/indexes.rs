//! The rows of indexes. (Of media, not of the database.)

use reelhouse_api::{IndexId, index::IndexModel};
use sqlx::AnyConnection;

use crate::{
    Store,
    dialect::Dialect,
    error::{Error, Result},
    list::{COUNTED, Order, window},
    sql::Sql,
    writer::transaction,
};

/// An index as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRecord {
    /// Its id; carries its place in creation order.
    pub id: IndexId,
    /// Whose it is.
    pub account: String,
    /// One of its kind in the account.
    pub index_name: String,
    /// At least one.
    pub models: Vec<IndexModel>,
    /// For instance `thumbnail`.
    pub addons: Vec<String>,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// When it was last renamed; milliseconds since the epoch.
    pub updated_at: i64,
    /// How many assets are in it.
    pub video_count: u64,
    /// Milliseconds of all that is in it.
    pub total_duration_ms: u64,
}

/// What became of a new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renamed {
    /// It is the index's.
    Renamed,
    /// There is no such index.
    Absent,
    /// Another index has it.
    NameTaken,
}

/// Which indexes of an account to list. Filters combine with AND.
#[derive(Debug, Clone, Default)]
pub struct IndexQuery {
    /// From 1.
    pub page: u64,
    /// 1 to 50.
    pub page_limit: u32,
    /// What comes first.
    pub order: Order,
    /// Only the one of this name.
    pub index_name: Option<String>,
    /// Only those that look at all of these.
    pub model_options: Vec<String>,
    /// Only those with a model whose name begins so.
    pub model_family: Option<String>,
    /// Only those created then or later; milliseconds since the epoch.
    pub created_from: Option<i64>,
    /// Only those renamed then or later; milliseconds since the epoch.
    pub updated_from: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct IndexRow {
    id: String,
    account: String,
    index_name: String,
    models: String,
    addons: String,
    created_at: i64,
    updated_at: i64,
    video_count: i64,
    total_duration_ms: i64,
}

const COLUMNS: &str =
    "id, account, index_name, models, addons, created_at, updated_at, video_count, total_duration_ms";

impl TryFrom<IndexRow> for IndexRecord {
    type Error = Error;

    fn try_from(row: IndexRow) -> Result<Self> {
        let id = row.id.clone();
        decode(row).ok_or(Error::Corrupt { table: "media_index", id })
    }
}

fn decode(row: IndexRow) -> Option<IndexRecord> {
    let IndexRow {
        id,
        account,
        index_name,
        models,
        addons,
        created_at,
        updated_at,
        video_count,
        total_duration_ms,
    } = row;
    Some(IndexRecord {
        id: IndexId::parse(&id)?,
        account,
        index_name,
        models: serde_json::from_str(&models).ok()?,
        addons: serde_json::from_str(&addons).ok()?,
        created_at,
        updated_at,
        video_count: u64::try_from(video_count).ok()?,
        total_duration_ms: u64::try_from(total_duration_ms).ok()?,
    })
}

impl Store {
    /// Makes an index; false when the account has one of this name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_index(&self, index: &IndexRecord) -> Result<bool> {
        let IndexRecord {
            id,
            account,
            index_name,
            models,
            addons,
            created_at,
            updated_at,
            // It is empty.
            video_count: _,
            total_duration_ms: _,
        } = index;
        let corrupt = |_| Error::Corrupt { table: "media_index", id: id.to_string() };
        let (models, addons) = (
            serde_json::to_string(models).map_err(corrupt)?,
            serde_json::to_string(addons).map_err(corrupt)?,
        );
        transaction!(self.db, |tx| {
            let made = sqlx::query(
            "INSERT INTO media_index (seq, id, account, index_name, models, addons, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (account, index_name) DO NOTHING",
        )
        .bind(id.seq())
        .bind(id.to_string())
        .bind(account)
        .bind(index_name)
        .bind(&models)
        .bind(&addons)
        .bind(created_at)
        .bind(updated_at)
        .execute(tx)
        .await?;
            Ok(made.rows_affected() > 0)
        })
    }

    /// One index of the account.
    ///
    /// # Errors
    /// When the database fails or the row is corrupt.
    pub async fn index(&self, account: &str, id: IndexId) -> Result<Option<IndexRecord>> {
        self.db.read(async { find(&mut *self.db.readers().pool().acquire().await?, account, id).await }).await
    }

    /// One page of the account's indexes, and how many there are on all pages: exact up to 1,000, beyond that at least so
    /// many.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub async fn indexes(&self, account: &str, query: &IndexQuery) -> Result<(Vec<IndexRecord>, u64)> {
        let dialect = self.db.dialect();
        self.db
            .read(async {
                let mut tx = self.db.snapshot().await?;
                let total: i64 = select_count(dialect, account, query).number().fetch_one(&mut *tx).await?;
                let rows: Vec<IndexRow> =
                    select_page(dialect, account, query).rows().fetch_all(&mut *tx).await?;
                tx.commit().await?;
                let records = rows.into_iter().map(IndexRecord::try_from).collect::<Result<_>>()?;
                Ok((records, total.unsigned_abs()))
            })
            .await
    }

    /// Gives an index of the account another name, or its own again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rename_index(&self, account: &str, id: IndexId, name: &str, now_ms: i64) -> Result<Renamed> {
        transaction!(self.db, |tx| {
            let bearer: Option<String> =
                sqlx::query_scalar("SELECT id FROM media_index WHERE account = $1 AND index_name = $2")
                    .bind(account)
                    .bind(name)
                    .fetch_optional(&mut *tx)
                    .await?;
            if find(tx, account, id).await?.is_none() {
                return Ok(Renamed::Absent);
            }
            if bearer.is_some_and(|bearer| bearer != id.to_string()) {
                return Ok(Renamed::NameTaken);
            }
            sqlx::query("UPDATE media_index SET index_name = $2, updated_at = $3 WHERE id = $1")
                .bind(id.to_string())
                .bind(name)
                .bind(now_ms)
                .execute(tx)
                .await?;
            Ok(Renamed::Renamed)
        })
    }

    /// Deletes an index of the account and all that is in it, which then refers to no asset any more; false if there is no
    /// such index.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_index(&self, account: &str, id: IndexId) -> Result<bool> {
        transaction!(self.db, |tx| {
            let removed = sqlx::query("DELETE FROM media_index WHERE id = $1 AND account = $2")
                .bind(id.to_string())
                .bind(account)
                .execute(&mut *tx)
                .await?;
            if removed.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query("DELETE FROM indexed_asset WHERE index_id = $1")
                .bind(id.to_string())
                .execute(tx)
                .await?;
            Ok(true)
        })
    }
}

/// One index of the account, as the transaction sees it.
pub(crate) async fn find(
    connection: &mut AnyConnection,
    account: &str,
    id: IndexId,
) -> Result<Option<IndexRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM media_index WHERE id = $1 AND account = $2");
    let row: Option<IndexRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(account)
        .fetch_optional(connection)
        .await?;
    row.map(IndexRecord::try_from).transpose()
}

fn select_page(dialect: Dialect, account: &str, query: &IndexQuery) -> Sql {
    let mut sql = Sql::new(format!("SELECT {COLUMNS} "));
    push_matching(&mut sql, dialect, account, query);
    query.order.push(&mut sql, dialect);
    let (limit, offset) = window(query.page, query.page_limit);
    sql.push(" LIMIT ").bind(limit).push(" OFFSET ").bind(offset);
    sql
}

fn select_count(dialect: Dialect, account: &str, query: &IndexQuery) -> Sql {
    let (limit, offset) = window(query.page, query.page_limit);
    let mut sql = Sql::new("SELECT COUNT(*) FROM (SELECT 1 ");
    push_matching(&mut sql, dialect, account, query);
    let counted = offset.saturating_add(limit).saturating_add(1).max(COUNTED);
    sql.push(" LIMIT ").bind(counted).push(") AS matching");
    sql
}

fn push_matching(sql: &mut Sql, dialect: Dialect, account: &str, query: &IndexQuery) {
    sql.push("FROM media_index WHERE account = ").bind(account.to_owned());
    if let Some(name) = &query.index_name {
        dialect.push_equals(sql, "index_name", name);
    }
    // Names and options are from fixed lists, and none is part of another or of a key.
    for option in &query.model_options {
        dialect.push_contains(sql, "models", &format!("\"{option}\""));
    }
    if let Some(family) = &query.model_family {
        dialect.push_contains(sql, "models", &format!("\"model_name\":\"{family}"));
    }
    if let Some(from) = query.created_from {
        sql.push(" AND created_at >= ").bind(from);
    }
    if let Some(from) = query.updated_from {
        sql.push(" AND updated_at >= ").bind(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::{SortBy, tests::plan};

    #[tokio::test]
    async fn lists_walk_an_index_in_the_pages_order() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(folder.path(), &crate::Homes::default(), 0).await.unwrap();
        let all = IndexQuery { page: 1, page_limit: 10, ..IndexQuery::default() };
        let updated = Order { by: SortBy::UpdatedAt, ascending: false };
        for (query, step) in [
            (all.clone(), "SEARCH media_index USING INDEX media_index_by_account (account=?)"),
            (
                IndexQuery { order: updated, ..all.clone() },
                "SEARCH media_index USING INDEX media_index_by_update (account=?)",
            ),
            (
                IndexQuery { model_options: vec!["visual".to_owned()], ..all.clone() },
                "SEARCH media_index USING INDEX media_index_by_account (account=?)",
            ),
            (
                IndexQuery { index_name: Some("a".to_owned()), order: updated, ..all },
                "SEARCH media_index USING INDEX media_index_by_name (account=? AND index_name=?)",
            ),
        ] {
            let plan = plan(&store, &select_page(Dialect::Sqlite, "a", &query)).await;
            assert_eq!(plan.first().map(String::as_str), Some(step), "{query:?}: {plan:?}");
        }
    }
}
