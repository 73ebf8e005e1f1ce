//! The rows of assets: reading them, and the one insert.

use reelhouse_api::{AssetId, MediaKind, Method, RenditionStatus, Status, TechnicalMetadata};
use sqlx::SqliteConnection;

use crate::{
    Store,
    error::{Error, Result},
    fold::{account_shard, fold},
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
    /// The folder of the HLS files, once they are there.
    pub hls_folder: Option<String>,
    /// The folder of the thumbnail, once it is there.
    pub thumbnail_folder: Option<String>,
    /// What is known of the file.
    pub technical_metadata: Option<Box<TechnicalMetadata>>,
}

#[derive(sqlx::FromRow)]
pub(crate) struct AssetRow {
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
    hls_folder: Option<String>,
    thumbnail_folder: Option<String>,
    technical_metadata: Option<String>,
}

pub(crate) const COLUMNS: &str = "asset.id, account, method, status, asset.kind, filename, file_type, size, duration, blake3, asset.created_at, \
     hls_status, thumbnail_status, technical_metadata,
     (SELECT folder FROM derivative WHERE asset_id = asset.id AND derivative.kind = 'hls') AS hls_folder,
     (SELECT folder FROM derivative WHERE asset_id = asset.id AND derivative.kind = 'thumbnail') AS thumbnail_folder";

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
        hls_folder: row.hls_folder,
        thumbnail_folder: row.thumbnail_folder,
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
    /// One asset, whosever: for jobs and for URLs that are keys of their own. `None` for none, or a deleted one.
    ///
    /// # Errors
    /// When the database fails or the row is corrupt.
    pub async fn asset_of_any(&self, id: AssetId) -> Result<Option<AssetRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM asset WHERE id = $1 AND deleted_at IS NULL");
        let row: Option<AssetRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id.to_string())
            .fetch_optional(self.db.readers())
            .await?;
        row.map(AssetRecord::try_from).transpose()
    }

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
}

/// Writes the row of a new asset, makes its name searchable and counts it against the account's quota.
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
        // They come with the first derivative.
        hls_folder: _,
        thumbnail_folder: _,
    } = asset;
    let size = size.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    let folded = fold(filename);
    let technical_metadata = match technical_metadata {
        Some(facts) => Some(
            serde_json::to_string(facts)
                .map_err(|_| Error::Corrupt { table: "asset", id: id.to_string() })?,
        ),
        None => None,
    };
    sqlx::query(
        "INSERT INTO asset (seq, id, account, method, status, kind, filename, file_type, size, duration, blake3,
                            created_at, hls_status, thumbnail_status, technical_metadata, filename_folded)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
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
    .bind(&folded)
    .execute(&mut *tx)
    .await?;
    sqlx::query("INSERT INTO asset_search (rowid, account_shard, filename_folded) VALUES ($1, $2, $3)")
        .bind(id.seq())
        .bind(account_shard(account))
        .bind(&folded)
        .execute(&mut *tx)
        .await?;
    let counted = sqlx::query(
        "UPDATE account SET asset_count = asset_count + 1, asset_bytes = asset_bytes + $2
         WHERE name = $1 AND (quota_assets IS NULL OR asset_count < quota_assets)
                         AND (quota_bytes IS NULL OR asset_bytes + $2 <= quota_bytes)",
    )
    .bind(account)
    .bind(size.unwrap_or(0))
    .execute(&mut *tx)
    .await?;
    if counted.rows_affected() == 0 { Err(Error::QuotaReached) } else { Ok(()) }
}
