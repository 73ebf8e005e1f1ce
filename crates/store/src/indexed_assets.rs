//! The rows of what is in indexes.

use reelhouse_api::{
    AssetError, AssetId, IndexId, IndexedAssetId, JobKind, UserMetadata, index::IndexedAssetStatus,
};
use sqlx::AnyConnection;

use crate::{
    Store,
    dialect::{Dialect, or_no_number},
    error::{Error, Result},
    indexes, jobs,
    list::{COUNTED, Order, push_in, window},
    sql::Sql,
    writer::transaction,
};

/// An asset's place in an index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexedAssetRecord {
    /// Its id; carries its place in creation order.
    pub id: IndexedAssetId,
    /// The index.
    pub index_id: IndexId,
    /// The asset.
    pub asset_id: AssetId,
    /// Where it stands.
    pub status: IndexedAssetStatus,
    /// Whether its HLS is offered with it.
    pub enable_video_stream: bool,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// When it last went on, or its user changed it; milliseconds since the epoch.
    pub updated_at: i64,
    /// When it became ready; milliseconds since the epoch.
    pub indexed_at: Option<i64>,
    /// Since when the asset is gone; milliseconds since the epoch.
    pub asset_deleted_at: Option<i64>,
    /// Why it failed; only when it did.
    pub error: Option<AssetError>,
    /// What was known of the asset when it was added.
    pub system: SystemRecord,
    /// What the user wants kept with it; `None` for nothing.
    pub user_metadata: Option<UserMetadata>,
    /// When the asset's HLS was made; milliseconds since the epoch.
    pub stream_made_at: Option<i64>,
}

/// What was known of an asset when it was added to an index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SystemRecord {
    /// Its name.
    pub filename: String,
    /// Seconds.
    pub duration: Option<f64>,
    /// Frames a second.
    pub fps: Option<f64>,
    /// Pixels, as it is shown.
    pub width: Option<u32>,
    /// Pixels, as it is shown.
    pub height: Option<u32>,
    /// Bytes.
    pub size: Option<u64>,
}

/// What became of a wish to add an asset to an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is in, and a job will see to it.
    Added,
    /// There is no such index.
    NoIndex,
    /// There is no such asset that is ready.
    NoAsset,
    /// The asset is in already, as this one.
    Already(IndexedAssetId),
}

/// Numbers from and to, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Range {
    /// No less.
    pub gte: Option<f64>,
    /// No more.
    pub lte: Option<f64>,
}

/// A key of user metadata and what it must have, as text: a string is compared with it, a number with the number it
/// writes, a boolean with its word; of a list, one item must be it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataFilter {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

/// What of an index to list. Filters combine with AND, the values of one filter with OR.
#[derive(Debug, Clone, Default)]
pub struct IndexedAssetQuery {
    /// From 1.
    pub page: u64,
    /// 1 to 50.
    pub page_limit: u32,
    /// What comes first.
    pub order: Order,
    /// Only these; `None` for no filter.
    pub statuses: Option<Vec<IndexedAssetStatus>>,
    /// Only those of this name.
    pub filename: Option<String>,
    /// Seconds.
    pub duration: Range,
    /// Frames a second.
    pub fps: Range,
    /// Pixels.
    pub width: Range,
    /// Pixels.
    pub height: Range,
    /// Bytes.
    pub size: Range,
    /// Only those added then or later; milliseconds since the epoch.
    pub created_from: Option<i64>,
    /// Only those changed then or later; milliseconds since the epoch.
    pub updated_from: Option<i64>,
    /// All of these.
    pub user_metadata: Vec<MetadataFilter>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    index_id: String,
    asset_id: String,
    status: String,
    enable_video_stream: i64,
    created_at: i64,
    updated_at: i64,
    indexed_at: Option<i64>,
    asset_deleted_at: Option<i64>,
    error_code: Option<String>,
    error_message: Option<String>,
    filename: String,
    duration: Option<f64>,
    fps: Option<f64>,
    width: Option<i64>,
    height: Option<i64>,
    size: Option<i64>,
    user_metadata: Option<String>,
    stream_made_at: Option<i64>,
}

// The driver for both databases reads no booleans of SQLite.
const COLUMNS: &str =
    "id, index_id, asset_id, status, CASE WHEN enable_video_stream THEN 1 ELSE 0 END AS enable_video_stream, created_at, updated_at, indexed_at,
     asset_deleted_at, error_code, error_message, filename, duration, fps, width, height, size, user_metadata,
     (SELECT created_at FROM derivative
      WHERE derivative.asset_id = indexed_asset.asset_id AND kind = 'hls') AS stream_made_at";

/// Those that a job has yet to see to.
const UNFINISHED: &str = "status IN ('pending', 'queued', 'indexing')";

/// What an indexed asset adds to its index's total, from the column `duration`.
pub(crate) const DURATION_MS: &str = "CAST(ROUND(COALESCE(duration, 0) * 1000) AS BIGINT)";

impl TryFrom<Row> for IndexedAssetRecord {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id.clone();
        decode(row).ok_or(Error::Corrupt { table: "indexed_asset", id })
    }
}

fn decode(row: Row) -> Option<IndexedAssetRecord> {
    let pixels = |side: Option<i64>| side.map(u32::try_from).transpose().ok();
    Some(IndexedAssetRecord {
        id: IndexedAssetId::parse(&row.id)?,
        index_id: IndexId::parse(&row.index_id)?,
        asset_id: AssetId::parse(&row.asset_id)?,
        status: IndexedAssetStatus::parse(&row.status)?,
        enable_video_stream: row.enable_video_stream != 0,
        created_at: row.created_at,
        updated_at: row.updated_at,
        indexed_at: row.indexed_at,
        asset_deleted_at: row.asset_deleted_at,
        error: row.error_code.zip(row.error_message).map(|(code, message)| AssetError { code, message }),
        system: SystemRecord {
            filename: row.filename,
            duration: row.duration,
            fps: row.fps,
            width: pixels(row.width)?,
            height: pixels(row.height)?,
            size: row.size.map(u64::try_from).transpose().ok()?,
        },
        user_metadata: row.user_metadata.map(|json| serde_json::from_str(&json)).transpose().ok()?,
        stream_made_at: row.stream_made_at,
    })
}

impl Store {
    /// Puts a ready asset of the account into an index of the account, and asks for the job that sees to it, and for
    /// what is to be made of the asset for it and was not asked for yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_to_index(&self, account: &str, new: &IndexedAssetRecord) -> Result<Added> {
        let (index_id, asset_id) = (new.index_id.to_string(), new.asset_id.to_string());
        transaction!(self.db, |tx| {
            let Some(index) = indexes::find(tx, account, new.index_id).await? else {
                return Ok(Added::NoIndex);
            };
            let asset: Option<i64> = sqlx::query_scalar(
            "SELECT seq FROM asset WHERE id = $1 AND account = $2 AND status = 'ready' AND deleted_at IS NULL",
        )
        .bind(&asset_id)
        .bind(account)
        .fetch_optional(&mut *tx)
        .await?;
            if asset.is_none() {
                return Ok(Added::NoAsset);
            }
            let already: Option<String> =
                sqlx::query_scalar("SELECT id FROM indexed_asset WHERE index_id = $1 AND asset_id = $2")
                    .bind(&index_id)
                    .bind(&asset_id)
                    .fetch_optional(&mut *tx)
                    .await?;
            if let Some(id) = already {
                let id = IndexedAssetId::parse(&id).ok_or(Error::Corrupt { table: "indexed_asset", id })?;
                return Ok(Added::Already(id));
            }
            insert(tx, new).await?;
            count(tx, new.id, 1).await?;
            jobs::push(tx, new.asset_id, JobKind::Index, new.created_at).await?;
            if new.enable_video_stream {
                want(tx, new.asset_id, JobKind::Hls, new.created_at).await?;
            }
            if index.addons.iter().any(|addon| addon == "thumbnail") {
                want(tx, new.asset_id, JobKind::Thumbnail, new.created_at).await?;
            }
            Ok(Added::Added)
        })
    }

    /// One indexed asset of an index, which must be the account's.
    ///
    /// # Errors
    /// When the database fails or the row is corrupt.
    pub async fn indexed_asset(
        &self,
        account: &str,
        index: IndexId,
        id: IndexedAssetId,
    ) -> Result<Option<IndexedAssetRecord>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM indexed_asset WHERE id = $1 AND index_id = $2
             AND EXISTS (SELECT 1 FROM media_index WHERE id = $2 AND account = $3)"
        );
        let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(index.to_string())
            .bind(account)
            .fetch_optional(self.db.readers())
            .await?;
        row.map(IndexedAssetRecord::try_from).transpose()
    }

    /// One page of what is in an index of the account, and how much there is on all pages: exact without filters, and up
    /// to 10,000 with some; beyond that at least so much. `None` if there is no such index.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub async fn indexed_assets(
        &self,
        account: &str,
        index: IndexId,
        query: &IndexedAssetQuery,
    ) -> Result<Option<(Vec<IndexedAssetRecord>, u64)>> {
        let dialect = self.db.dialect();
        self.db
            .read(async {
                let mut tx = self.db.snapshot().await?;
                if indexes::find(&mut tx, account, index).await?.is_none() {
                    return Ok(None);
                }
                let total: i64 = select_count(dialect, index, query).number().fetch_one(&mut *tx).await?;
                let rows: Vec<Row> = select_page(dialect, index, query).rows().fetch_all(&mut *tx).await?;
                tx.commit().await?;
                let records = rows.into_iter().map(IndexedAssetRecord::try_from).collect::<Result<_>>()?;
                Ok(Some((records, total.unsigned_abs())))
            })
            .await
    }

    /// One page of the places of an asset, newest first, each with its index's id and name; and how many there are.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub async fn places_of(
        &self,
        asset: AssetId,
        page: u64,
        page_limit: u32,
    ) -> Result<(Vec<(IndexedAssetId, IndexId, String)>, u64)> {
        let (limit, offset) = window(page, page_limit);
        self.db
            .read(async {
                let mut tx = self.db.snapshot().await?;
                let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM indexed_asset WHERE asset_id = $1")
                    .bind(asset.to_string())
                    .fetch_one(&mut *tx)
                    .await?;
                let creation = self.db.dialect().creation("indexed_asset.seq", "indexed_asset.id");
                let sql = format!(
                    "SELECT indexed_asset.id, media_index.id, index_name
             FROM indexed_asset CROSS JOIN media_index
             WHERE media_index.id = index_id AND asset_id = $1 ORDER BY {creation} DESC LIMIT $2 OFFSET $3"
                );
                let rows: Vec<(String, String, String)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                    .bind(asset.to_string())
                    .bind(limit)
                    .bind(offset)
                    .fetch_all(&mut *tx)
                    .await?;
                tx.commit().await?;
                let place = |(id, index, name): (String, String, String)| match (
                    IndexedAssetId::parse(&id),
                    IndexId::parse(&index),
                ) {
                    (Some(id), Some(index)) => Ok((id, index, name)),
                    _ => Err(Error::Corrupt { table: "indexed_asset", id }),
                };
                Ok((rows.into_iter().map(place).collect::<Result<_>>()?, total.unsigned_abs()))
            })
            .await
    }

    /// Changes what is kept with an indexed asset, like [`Store::change_user_metadata`].
    ///
    /// # Errors
    /// What `change` says, and then nothing changes; or when the database fails or the row is corrupt.
    pub async fn change_indexed_metadata<E: From<Error>>(
        &self,
        account: &str,
        index: IndexId,
        id: IndexedAssetId,
        now_ms: i64,
        change: impl Fn(Option<UserMetadata>) -> Result<Option<UserMetadata>, E>,
    ) -> Result<bool, E> {
        transaction!(self.db, |tx| {
            let kept: Option<Option<String>> = sqlx::query_scalar(
                "SELECT user_metadata FROM indexed_asset WHERE id = $1 AND index_id = $2
             AND EXISTS (SELECT 1 FROM media_index WHERE id = $2 AND account = $3)",
            )
            .bind(id.to_string())
            .bind(index.to_string())
            .bind(account)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(kept) = kept else { return Ok(Ok(false)) };
            let kept = kept.as_deref().map(serde_json::from_str).transpose().map_err(|_| corrupt(id))?;
            let changed = match change(kept) {
                Ok(changed) => changed,
                Err(refused) => return Ok(Err(refused)),
            };
            sqlx::query("UPDATE indexed_asset SET user_metadata = $2, updated_at = $3 WHERE id = $1")
                .bind(id.to_string())
                .bind(metadata_text(id, changed.as_ref())?)
                .bind(now_ms)
                .execute(tx)
                .await?;
            Ok(Ok(true))
        })?
    }

    /// Takes an indexed asset out of its index; the asset stays. False if there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_from_index(&self, account: &str, index: IndexId, id: IndexedAssetId) -> Result<bool> {
        transaction!(self.db, |tx| {
            let found: Option<i64> = sqlx::query_scalar(
                "SELECT seq FROM indexed_asset WHERE id = $1 AND index_id = $2
             AND EXISTS (SELECT 1 FROM media_index WHERE id = $2 AND account = $3)",
            )
            .bind(id.to_string())
            .bind(index.to_string())
            .bind(account)
            .fetch_optional(&mut *tx)
            .await?;
            if found.is_none() {
                return Ok(false);
            }
            count(tx, id, -1).await?;
            sqlx::query("DELETE FROM indexed_asset WHERE id = $1").bind(id.to_string()).execute(tx).await?;
            Ok(true)
        })
    }
}

async fn insert(tx: &mut AnyConnection, new: &IndexedAssetRecord) -> Result<()> {
    let IndexedAssetRecord {
        id,
        index_id,
        asset_id,
        status,
        enable_video_stream,
        created_at,
        updated_at,
        system: SystemRecord { filename, duration, fps, width, height, size },
        user_metadata,
        // They come later.
        indexed_at: _,
        asset_deleted_at: _,
        error: _,
        stream_made_at: _,
    } = new;
    sqlx::query(
        "INSERT INTO indexed_asset (seq, id, index_id, asset_id, status, enable_video_stream, created_at, updated_at,
                                    filename, duration, fps, width, height, size, user_metadata)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULLIF($10, -1.0), NULLIF($11, -1.0), $12, $13, $14, $15)",
    )
    .bind(id.seq())
    .bind(id.to_string())
    .bind(index_id.to_string())
    .bind(asset_id.to_string())
    .bind(status.as_str())
    .bind(enable_video_stream)
    .bind(created_at)
    .bind(updated_at)
    .bind(filename)
    .bind(or_no_number(*duration))
    .bind(or_no_number(*fps))
    .bind(width.map(i64::from))
    .bind(height.map(i64::from))
    .bind(size.map(|size| i64::try_from(size).unwrap_or(i64::MAX)))
    .bind(metadata_text(*id, user_metadata.as_ref())?)
    .execute(tx)
    .await?;
    Ok(())
}

/// Counts an indexed asset in its index (`1`), or no longer (`-1`).
async fn count(tx: &mut AnyConnection, id: IndexedAssetId, sign: i64) -> Result<()> {
    let sql = format!(
        "UPDATE media_index SET video_count = video_count + $2, total_duration_ms = total_duration_ms + $2 * counted.ms
         FROM (SELECT index_id, {DURATION_MS} AS ms FROM indexed_asset WHERE id = $1) AS counted
         WHERE media_index.id = counted.index_id"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.to_string()).bind(sign).execute(tx).await?;
    Ok(())
}

/// Asks for what is made of an asset, where nobody has; HLS means nothing for an image.
async fn want(tx: &mut AnyConnection, asset: AssetId, kind: JobKind, now_ms: i64) -> Result<()> {
    let sql = match kind {
        JobKind::Hls => {
            "UPDATE asset SET hls_status = 'pending' WHERE id = $1 AND hls_status IS NULL AND kind <> 'image'"
        }
        _ => "UPDATE asset SET thumbnail_status = 'pending' WHERE id = $1 AND thumbnail_status IS NULL",
    };
    let wanted = sqlx::query(sql).bind(asset.to_string()).execute(&mut *tx).await?;
    if wanted.rows_affected() > 0 { jobs::push(tx, asset, kind, now_ms).await } else { Ok(()) }
}

fn metadata_text(id: IndexedAssetId, metadata: Option<&UserMetadata>) -> Result<Option<String>> {
    metadata.map(serde_json::to_string).transpose().map_err(|_| corrupt(id))
}

pub(crate) fn corrupt(id: IndexedAssetId) -> Error {
    Error::Corrupt { table: "indexed_asset", id: id.to_string() }
}

/// Says on its places that an asset is gone; what was still to be done will not be.
pub(crate) async fn asset_is_gone(
    tx: &mut AnyConnection,
    asset: AssetId,
    error: &AssetError,
    now_ms: i64,
) -> Result<()> {
    sqlx::query("UPDATE indexed_asset SET asset_deleted_at = $2, updated_at = $2 WHERE asset_id = $1")
        .bind(asset.to_string())
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
    fail_unfinished(tx, asset, error).await
}

/// Ends, as failed, all places of an asset that a job has yet to see to.
pub(crate) async fn fail_unfinished(
    tx: &mut AnyConnection,
    asset: AssetId,
    error: &AssetError,
) -> Result<()> {
    let sql = format!(
        "UPDATE indexed_asset SET status = 'failed', error_code = $2, error_message = $3
         WHERE asset_id = $1 AND {UNFINISHED}"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(asset.to_string())
        .bind(&error.code)
        .bind(&error.message)
        .execute(tx)
        .await?;
    Ok(())
}

fn select_page(dialect: Dialect, index: IndexId, query: &IndexedAssetQuery) -> Sql {
    let mut sql = Sql::new(format!("SELECT {COLUMNS} "));
    push_matching(&mut sql, dialect, index, query);
    query.order.push(&mut sql, dialect);
    let (limit, offset) = window(query.page, query.page_limit);
    sql.push(" LIMIT ").bind(limit).push(" OFFSET ").bind(offset);
    sql
}

fn select_count(dialect: Dialect, index: IndexId, query: &IndexedAssetQuery) -> Sql {
    let (limit, offset) = window(query.page, query.page_limit);
    if !push_filters(&mut Sql::new(""), dialect, query) {
        let mut sql = Sql::new("SELECT video_count FROM media_index WHERE id = ");
        sql.bind(index.to_string());
        return sql;
    }
    let mut sql = Sql::new("SELECT COUNT(*) FROM (SELECT 1 ");
    push_matching(&mut sql, dialect, index, query);
    let counted = offset.saturating_add(limit).saturating_add(1).max(COUNTED);
    sql.push(" LIMIT ").bind(counted).push(") AS matching");
    sql
}

fn push_matching(sql: &mut Sql, dialect: Dialect, index: IndexId, query: &IndexedAssetQuery) {
    sql.push("FROM indexed_asset WHERE index_id = ").bind(index.to_string());
    push_filters(sql, dialect, query);
}

/// Whether there is any filter.
fn push_filters(sql: &mut Sql, dialect: Dialect, query: &IndexedAssetQuery) -> bool {
    let IndexedAssetQuery {
        page: _,
        page_limit: _,
        order: _,
        statuses,
        filename,
        duration,
        fps,
        width,
        height,
        size,
        created_from,
        updated_from,
        user_metadata,
    } = query;
    let mut any = false;
    if let Some(statuses) = statuses {
        push_in(sql, "status", statuses.iter().map(|status| status.as_str().to_owned()));
        any = true;
    }
    if let Some(filename) = filename {
        dialect.push_equals(sql, "filename", filename);
        any = true;
    }
    let ranges = [("duration", duration), ("fps", fps), ("width", width), ("height", height), ("size", size)];
    for (column, Range { gte, lte }) in ranges {
        for (comparison, bound) in [(" >= ", gte), (" <= ", lte)] {
            if let Some(bound) = bound {
                sql.push(" AND ").push(column).push(comparison).bind(*bound);
                any = true;
            }
        }
    }
    for (column, from) in [("created_at", created_from), ("updated_at", updated_from)] {
        if let Some(from) = from {
            sql.push(" AND ").push(column).push(" >= ").bind(*from);
            any = true;
        }
    }
    for MetadataFilter { key, value } in user_metadata {
        dialect.push_metadata_filter(sql, key, value);
        any = true;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::{
        SortBy,
        tests::{on_postgres, plan, plan_of_many},
    };

    #[tokio::test]
    async fn lists_walk_an_index_in_the_pages_order() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(folder.path(), &crate::Homes::default(), 0).await.unwrap();
        let index = IndexId::parse(&"0".repeat(24)).unwrap();
        let all = IndexedAssetQuery { page: 1, page_limit: 10, ..IndexedAssetQuery::default() };
        let updated = Order { by: SortBy::UpdatedAt, ascending: true };
        let filter = MetadataFilter { key: "a".to_owned(), value: "b".to_owned() };
        let walk = "SEARCH indexed_asset USING INDEX indexed_asset_by_index (index_id=?)";
        for (query, step, count) in [
            (all.clone(), walk, "SEARCH media_index USING INDEX"),
            (
                IndexedAssetQuery { order: updated, ..all.clone() },
                "SEARCH indexed_asset USING INDEX indexed_asset_by_update (index_id=?)",
                "SEARCH media_index USING INDEX",
            ),
            (
                IndexedAssetQuery { user_metadata: vec![filter], ..all.clone() },
                walk,
                "SEARCH indexed_asset USING INDEX indexed_asset_",
            ),
            (
                IndexedAssetQuery { filename: Some("a".to_owned()), ..all },
                "SEARCH indexed_asset USING INDEX indexed_asset_by_name (index_id=? AND filename=?)",
                "SEARCH indexed_asset USING COVERING INDEX indexed_asset_by_name (index_id=? AND filename=?)",
            ),
        ] {
            let page = plan(&store, &select_page(Dialect::Sqlite, index, &query)).await;
            assert_eq!(page.first().map(String::as_str), Some(step), "{query:?}: {page:?}");
            assert!(!page.iter().any(|line| line.contains("TEMP B-TREE")), "{query:?}: {page:?}");
            let counted = plan(&store, &select_count(Dialect::Sqlite, index, &query)).await;
            assert!(counted.iter().any(|line| line.starts_with(count)), "{query:?}: {counted:?}");
        }
    }

    #[tokio::test]
    async fn postgres_can_walk_an_index_in_the_pages_order() {
        let folder = tempfile::TempDir::new().unwrap();
        let Some(store) = on_postgres(folder.path()).await else { return };
        let index = IndexId::parse(&"0".repeat(24)).unwrap();
        let all = IndexedAssetQuery { page: 1, page_limit: 10, ..IndexedAssetQuery::default() };
        let updated = Order { by: SortBy::UpdatedAt, ascending: true };
        let filter = MetadataFilter { key: "a".to_owned(), value: "b".to_owned() };
        for query in [
            all.clone(),
            IndexedAssetQuery { order: updated, ..all.clone() },
            IndexedAssetQuery { user_metadata: vec![filter], ..all.clone() },
            IndexedAssetQuery { filename: Some("a".to_owned()), ..all },
        ] {
            let page = select_page(Dialect::Postgres, index, &query);
            let plan = plan_of_many(&store, page, "seqscan bitmapscan sort").await;
            assert!(!plan.contains("Sort") && !plan.contains("Seq Scan"), "{query:?}: {plan}");
        }
    }
}
