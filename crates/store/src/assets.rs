//! The rows of assets: reading them, and the one insert.

use reelhouse_api::{
    AssetError, AssetId, EventKind, JobKind, MediaKind, Method, RenditionStatus, Status, TechnicalMetadata,
    UserMetadata,
};
use serde::Serialize;
use sqlx::AnyConnection;

use crate::{
    Store,
    arriving::arriving_bytes,
    dialect::{self, or_no_number},
    error::{Error, Result},
    events,
    fold::fold,
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
    /// Why it failed; only when it did.
    pub error: Option<AssetError>,
    /// What the user wants kept with it; `None` for nothing.
    pub user_metadata: Option<UserMetadata>,
    /// What is known of the file.
    pub technical_metadata: Option<Box<TechnicalMetadata>>,
}

impl AssetRecord {
    /// The jobs that a ready asset asks for.
    pub fn wanted(&self) -> impl Iterator<Item = JobKind> + use<> {
        let wanted = [(JobKind::Hls, self.hls_status), (JobKind::Thumbnail, self.thumbnail_status)];
        wanted
            .into_iter()
            .filter(|(_, status)| *status == Some(RenditionStatus::Pending))
            .map(|(kind, _)| kind)
    }
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
    error_code: Option<String>,
    error_message: Option<String>,
    user_metadata: Option<String>,
    technical_metadata: Option<String>,
}

pub(crate) const COLUMNS: &str = "asset.id, account, method, status, asset.kind, filename, file_type, size, duration, blake3, asset.created_at, \
     hls_status, thumbnail_status, error_code, error_message, user_metadata, technical_metadata,
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
        error: row.error_code.zip(row.error_message).map(|(code, message)| AssetError { code, message }),
        user_metadata: absent_or(row.user_metadata, |json| serde_json::from_str(&json).ok())?,
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

/// Writes the row of a new asset, makes its name searchable and counts it against the account's quota. One that is ready
/// is an event: returns whether someone wants to be told. `announced` is how many bytes it will have, as far as it is known:
/// with what else is still arriving, they must fit.
pub(crate) async fn insert(tx: &mut AnyConnection, asset: &AssetRecord, announced: u64) -> Result<bool> {
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
        user_metadata,
        technical_metadata,
        // It comes when it fails.
        error: _,
        // They come with the first derivative.
        hls_folder: _,
        thumbnail_folder: _,
    } = asset;
    let size = size.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    let folded = fold(filename);
    sqlx::query(
        "INSERT INTO asset (seq, id, account, method, status, kind, filename, file_type, size, duration, blake3,
                            created_at, hls_status, thumbnail_status, user_metadata, technical_metadata, filename_folded)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULLIF($10, -1.0), $11, $12, $13, $14, $15, $16, $17)",
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
    .bind(or_no_number(*duration))
    .bind(blake3)
    .bind(created_at)
    .bind(hls_status.map(RenditionStatus::as_str))
    .bind(thumbnail_status.map(RenditionStatus::as_str))
    .bind(json(*id, user_metadata.as_ref())?)
    .bind(json(*id, technical_metadata.as_ref())?)
    .bind(&folded)
    .execute(&mut *tx)
    .await?;
    dialect::index_name(tx, *id, account, &folded).await?;
    let Counted { is_told, room } = count(tx, account, 1, size.unwrap_or(0)).await?;
    if let Some(room) = room {
        let coming = announced.saturating_add(arriving_bytes(&mut *tx, account).await?);
        let counted = size.unwrap_or(0).unsigned_abs();
        if coming.saturating_sub(counted) > room {
            return Err(Error::QuotaReached);
        }
    }
    if is_told {
        events::record(tx, account, *id, events::of_new(asset), *created_at).await?;
    }
    Ok(is_told)
}

/// As a column keeps it.
pub(crate) fn json<T: Serialize>(asset: AssetId, value: Option<&T>) -> Result<Option<String>> {
    let text = value.map(serde_json::to_string).transpose();
    text.map_err(|_| Error::Corrupt { table: "asset", id: asset.to_string() })
}

/// An account, when it was counted.
struct Counted {
    /// It has webhooks.
    is_told: bool,
    /// Bytes that it may hold beside, if it has a quota of them.
    room: Option<u64>,
}

/// Counts what an account holds more, within its quota.
async fn count(tx: &mut AnyConnection, account: &str, assets: i64, bytes: i64) -> Result<Counted> {
    let counted: Option<(i64, Option<i64>)> = sqlx::query_as(
        "UPDATE account SET asset_count = asset_count + $2, asset_bytes = asset_bytes + $3
         WHERE name = $1 AND (quota_assets IS NULL OR asset_count + $2 <= quota_assets)
                         AND (quota_bytes IS NULL OR asset_bytes + $3 <= quota_bytes)
         RETURNING webhooks, quota_bytes - asset_bytes",
    )
    .bind(account)
    .bind(assets)
    .bind(bytes)
    .fetch_optional(tx)
    .await?;
    let (webhooks, room) = counted.ok_or(Error::QuotaReached)?;
    Ok(Counted { is_told: webhooks > 0, room: room.map(|room| room.max(0).unsigned_abs()) })
}

/// What was arriving is here and was looked at: the row says all that is known now, and its bytes count.
pub(crate) async fn become_ready(tx: &mut AnyConnection, asset: &AssetRecord, now_ms: i64) -> Result<()> {
    let AssetRecord {
        id,
        account,
        kind,
        file_type,
        size,
        duration,
        blake3,
        hls_status,
        thumbnail_status,
        technical_metadata,
        // Known since the row was made.
        method: _,
        status: _,
        filename: _,
        created_at: _,
        user_metadata: _,
        error: _,
        hls_folder: _,
        thumbnail_folder: _,
    } = asset;
    let size = size.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    sqlx::query(
        "UPDATE asset SET status = 'ready', kind = $2, file_type = $3, size = $4, duration = NULLIF($5, -1.0), blake3 = $6,
                          hls_status = $7, thumbnail_status = $8, technical_metadata = $9
         WHERE id = $1 AND status = 'processing'",
    )
    .bind(id.to_string())
    .bind(kind.map(MediaKind::as_str))
    .bind(file_type)
    .bind(size)
    .bind(or_no_number(*duration))
    .bind(blake3)
    .bind(hls_status.map(RenditionStatus::as_str))
    .bind(thumbnail_status.map(RenditionStatus::as_str))
    .bind(json(*id, technical_metadata.as_ref())?)
    .execute(&mut *tx)
    .await?;
    if count(tx, account, 0, size.unwrap_or(0)).await?.is_told {
        events::record(tx, account, *id, events::of_new(asset), now_ms).await?;
    }
    Ok(())
}

/// What was arriving will not be an asset: the row says why. Nothing that was asked of it will be.
pub(crate) async fn become_failed(
    tx: &mut AnyConnection,
    id: AssetId,
    error: &AssetError,
    now_ms: i64,
) -> Result<()> {
    let failed: Option<(String, Option<String>, Option<String>)> = sqlx::query_as(
        "UPDATE asset SET status = 'failed', error_code = $2, error_message = $3,
                          hls_status = CASE WHEN hls_status IS NULL THEN NULL ELSE 'error' END,
                          thumbnail_status = CASE WHEN thumbnail_status IS NULL THEN NULL ELSE 'error' END
         WHERE id = $1 AND status = 'processing' RETURNING account, hls_status, thumbnail_status",
    )
    .bind(id.to_string())
    .bind(&error.code)
    .bind(&error.message)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some((account, hls, thumbnail)) = failed {
        let error = |asked: Option<String>, kind| {
            asked.and_then(|_| EventKind::of_rendition(kind, RenditionStatus::Error))
        };
        let events = [error(hls, JobKind::Hls), error(thumbnail, JobKind::Thumbnail)].into_iter().flatten();
        events::record(tx, &account, id, [EventKind::AssetFailed].into_iter().chain(events), now_ms).await?;
    }
    sqlx::query("DELETE FROM import WHERE asset_id = $1").bind(id.to_string()).execute(&mut *tx).await?;
    sqlx::query("UPDATE upload_session SET status = 'failed' WHERE asset_id = $1 AND status = 'completed'")
        .bind(id.to_string())
        .execute(tx)
        .await?;
    Ok(())
}
