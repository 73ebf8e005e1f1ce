//! The rows of assets: reading them, and the one insert.

use reelhouse_api::{AssetId, MediaKind, Method, RenditionStatus, Status, TechnicalMetadata};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::{
    Store,
    error::{Error, Result},
};

/// An asset as it is remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetRecord {
    /// Its id; carries its place in creation order.
    pub id: AssetId,
    /// Whose it is.
    pub account: String,
    /// How its bytes came.
    pub method: Method,
    /// Where it stands.
    pub status: Status,
    /// Known once the bytes were looked at.
    pub kind: Option<MediaKind>,
    /// 1 to 255 characters.
    pub filename: String,
    /// MIME type from the bytes.
    pub file_type: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// Seconds.
    pub duration: Option<f64>,
    /// Of the original, hex.
    pub blake3: Option<String>,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// `None` when not asked for.
    pub hls_status: Option<RenditionStatus>,
    /// `None` when not asked for.
    pub thumbnail_status: Option<RenditionStatus>,
    /// What is known of the file.
    pub technical_metadata: Option<Box<TechnicalMetadata>>,
}

/// Which assets of an account to list. Filters combine with AND, the values of one filter with OR.
#[derive(Debug, Clone, Default)]
pub struct AssetQuery {
    /// From 1.
    pub page: u64,
    /// 1 to 50.
    pub page_limit: u32,
    /// Only these; no filter when empty.
    pub asset_ids: Option<Vec<AssetId>>,
    /// Only these kinds.
    pub asset_types: Option<Vec<MediaKind>>,
}

#[derive(sqlx::FromRow)]
struct AssetRow {
    id: String,
    account: String,
    method: String,
    status: String,
    kind: Option<String>,
    filename: String,
    file_type: Option<String>,
    size: Option<i64>,
    duration: Option<f64>,
    blake3: Option<String>,
    created_at: i64,
    hls_status: Option<String>,
    thumbnail_status: Option<String>,
    technical_metadata: Option<String>,
}

const COLUMNS: &str = "id, account, method, status, kind, filename, file_type, size, duration, blake3, created_at, \
     hls_status, thumbnail_status, technical_metadata";

impl TryFrom<AssetRow> for AssetRecord {
    type Error = Error;

    fn try_from(row: AssetRow) -> Result<Self> {
        let id = row.id.clone();
        decode(row).ok_or(Error::Corrupt { table: "asset", id })
    }
}

fn decode(row: AssetRow) -> Option<AssetRecord> {
    Some(AssetRecord {
        id: AssetId::parse(&row.id)?,
        account: row.account,
        method: Method::parse(&row.method)?,
        status: Status::parse(&row.status)?,
        kind: absent_or(row.kind.as_deref(), MediaKind::parse)?,
        filename: row.filename,
        file_type: row.file_type,
        size: absent_or(row.size, |size| u64::try_from(size).ok())?,
        duration: row.duration,
        blake3: row.blake3,
        created_at: row.created_at,
        hls_status: absent_or(row.hls_status.as_deref(), RenditionStatus::parse)?,
        thumbnail_status: absent_or(row.thumbnail_status.as_deref(), RenditionStatus::parse)?,
        technical_metadata: absent_or(row.technical_metadata, |json| serde_json::from_str(&json).ok())?,
    })
}

/// An absent value stays absent; a present one must decode.
fn absent_or<T, U>(value: Option<T>, decode: impl FnOnce(T) -> Option<U>) -> Option<Option<U>> {
    match value {
        None => Some(None),
        Some(value) => decode(value).map(Some),
    }
}

impl Store {
    /// One asset of the account; `None` for no asset, somebody else's, or a deleted one.
    ///
    /// # Errors
    /// When the database fails or the row is corrupt.
    pub async fn asset(&self, account: &str, id: AssetId) -> Result<Option<AssetRecord>> {
        let sql =
            format!("SELECT {COLUMNS} FROM asset WHERE id = $1 AND account = $2 AND deleted_at IS NULL");
        let row: Option<AssetRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(account)
            .fetch_optional(self.db.readers())
            .await?;
        row.map(AssetRecord::try_from).transpose()
    }

    /// One page of the account's assets, newest first, and how many there are on all pages.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub async fn assets(&self, account: &str, query: &AssetQuery) -> Result<(Vec<AssetRecord>, u64)> {
        let mut count = QueryBuilder::new("SELECT COUNT(*) FROM asset");
        push_filters(&mut count, account, query);
        let mut page = QueryBuilder::new(format!("SELECT {COLUMNS} FROM asset"));
        push_filters(&mut page, account, query);
        let limit = i64::from(query.page_limit);
        let offset = i64::try_from(query.page.saturating_sub(1)).unwrap_or(i64::MAX).saturating_mul(limit);
        page.push(" ORDER BY seq DESC LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);

        // One snapshot for both, so that a page and its total agree.
        let mut tx = self.db.readers().begin().await?;
        let total: i64 = count.build_query_scalar().fetch_one(&mut *tx).await?;
        let rows: Vec<AssetRow> = page.build_query_as().fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let records = rows.into_iter().map(AssetRecord::try_from).collect::<Result<_>>()?;
        Ok((records, total.unsigned_abs()))
    }
}

fn push_filters(sql: &mut QueryBuilder<Sqlite>, account: &str, query: &AssetQuery) {
    sql.push(" WHERE account = ").push_bind(account.to_owned()).push(" AND deleted_at IS NULL");
    if let Some(ids) = &query.asset_ids {
        push_in(sql, "id", ids.iter().map(ToString::to_string));
    }
    if let Some(kinds) = &query.asset_types {
        push_in(sql, "kind", kinds.iter().map(|kind| kind.as_str().to_owned()));
    }
}

fn push_in(sql: &mut QueryBuilder<Sqlite>, column: &str, values: impl Iterator<Item = String>) {
    sql.push(" AND ").push(column).push(" IN (");
    let mut list = sql.separated(", ");
    values.for_each(|value| {
        list.push_bind(value);
    });
    sql.push(")");
}

/// Writes the row of a new asset and counts it.
pub(crate) async fn insert(tx: &mut SqliteConnection, asset: &AssetRecord) -> Result<()> {
    let AssetRecord {
        id,
        account,
        method,
        status,
        kind,
        filename,
        file_type,
        size,
        duration,
        blake3,
        created_at,
        hls_status,
        thumbnail_status,
        technical_metadata,
    } = asset;
    let size = size.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    let technical_metadata = match technical_metadata {
        Some(facts) => Some(
            serde_json::to_string(facts)
                .map_err(|_| Error::Corrupt { table: "asset", id: id.to_string() })?,
        ),
        None => None,
    };
    sqlx::query(
        "INSERT INTO asset (seq, id, account, method, status, kind, filename, file_type, size, duration, blake3,
                            created_at, hls_status, thumbnail_status, technical_metadata)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(id.seq())
    .bind(id.to_string())
    .bind(account)
    .bind(method.as_str())
    .bind(status.as_str())
    .bind(kind.map(MediaKind::as_str))
    .bind(filename)
    .bind(file_type)
    .bind(size)
    .bind(duration)
    .bind(blake3)
    .bind(created_at)
    .bind(hls_status.map(RenditionStatus::as_str))
    .bind(thumbnail_status.map(RenditionStatus::as_str))
    .bind(technical_metadata)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "UPDATE account SET asset_count = asset_count + 1, asset_bytes = asset_bytes + $2 WHERE name = $1",
    )
    .bind(account)
    .bind(size.unwrap_or(0))
    .execute(&mut *tx)
    .await?;
    Ok(())
}
