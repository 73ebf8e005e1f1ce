//! Uploads in chunks: what is here, what was reported, and when all of it is. Bytes go to the asset's incoming file, each chunk
//! at its place; a chunk has a row once its bytes are flushed, so that a status tells the truth after any crash.

use std::collections::BTreeSet;

use reelhouse_api::{AssetError, AssetId, Fault, JobKind, MediaKind, UploadId, UploadStatus};
use sqlx::{AnyConnection, AssertSqlSafe};

use crate::{
    AssetRecord, Store,
    assets::{self, become_failed},
    error::{Error, Result},
    idempotency::{self, Receipt},
    jobs,
    writer::transaction,
};

/// An upload in chunks as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadSession {
    /// Its id.
    pub id: UploadId,
    /// The asset that it becomes.
    pub asset_id: AssetId,
    /// Whose it is.
    pub account: String,
    /// What the client says the file is.
    pub kind: MediaKind,
    /// Bytes, at least 1.
    pub total_size: u64,
    /// Bytes of every chunk but the last, at least 1.
    pub chunk_size: u64,
    /// The id of the upload in parts that takes the chunks at the bucket; none where they come to us.
    pub multipart_id: Option<String>,
    /// Where it stands.
    pub status: UploadStatus,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Milliseconds since the epoch.
    pub updated_at: i64,
    /// Milliseconds since the epoch.
    pub expires_at: i64,
}

impl UploadSession {
    /// How many chunks there are.
    pub fn total_chunks(&self) -> u64 {
        self.total_size.div_ceil(self.chunk_size)
    }

    /// Where a chunk lies in the file and how many bytes it has; `None` for an index there is not.
    pub fn place(&self, index: u64) -> Option<(u64, u64)> {
        let offset = index.checked_sub(1)?.checked_mul(self.chunk_size)?;
        let left = self.total_size.checked_sub(offset).filter(|left| *left > 0)?;
        Some((offset, left.min(self.chunk_size)))
    }

    /// Whether it takes chunks.
    pub fn is_open(&self, now_ms: i64) -> bool {
        self.status == UploadStatus::Active && now_ms < self.expires_at
    }
}

/// A chunk whose bytes are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRecord {
    /// From 1.
    pub index: u64,
    /// What it was answered.
    pub etag: String,
    /// Milliseconds since the epoch.
    pub received_at: i64,
    /// When it was reported, milliseconds since the epoch.
    pub completed_at: Option<i64>,
}

/// What is where a chunk goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// Nothing that counts.
    Empty,
    /// A chunk that was answered with this ETag.
    Received(String),
    /// A chunk that was answered with this ETag and reported: it stays as it is.
    Completed(String),
    /// The upload takes no chunks.
    Closed,
}

/// What a report did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// All of it was recorded.
    Recorded {
        /// Newly completed.
        processed: u64,
        /// Completed before.
        duplicates: u64,
    },
    /// None of it was: this chunk is not here.
    Missing(u64),
    /// None of it was: this chunk has another ETag.
    Differs(u64),
    /// None of it was: the upload takes no chunks.
    Closed,
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    id: String,
    asset_id: String,
    account: String,
    r#type: String,
    total_size: i64,
    chunk_size: i64,
    multipart_id: Option<String>,
    status: String,
    created_at: i64,
    updated_at: i64,
    expires_at: i64,
}

const COLUMNS: &str = "id, asset_id, account, type, total_size, chunk_size, multipart_id, status, created_at, updated_at, expires_at";

impl TryFrom<SessionRow> for UploadSession {
    type Error = Error;

    fn try_from(row: SessionRow) -> Result<Self> {
        let SessionRow {
            id,
            asset_id,
            account,
            r#type,
            total_size,
            chunk_size,
            multipart_id,
            status,
            created_at,
            updated_at,
            expires_at,
        } = row;
        let decoded = || {
            Some(Self {
                id: UploadId::parse(&id)?,
                asset_id: AssetId::parse(&asset_id)?,
                account,
                kind: MediaKind::parse(&r#type)?,
                total_size: u64::try_from(total_size).ok().filter(|bytes| *bytes > 0)?,
                chunk_size: u64::try_from(chunk_size).ok().filter(|bytes| *bytes > 0)?,
                multipart_id,
                status: UploadStatus::parse(&status)?,
                created_at,
                updated_at,
                expires_at,
            })
        };
        decoded().ok_or(Error::Corrupt { table: "upload_session", id })
    }
}

impl Store {
    /// Makes the place where the chunks of an asset will go; returns the id of an upload in parts where that is the bucket. A crash
    /// before [`Store::begin_upload`] leaves a file without a row, which the next start removes, or an upload to the bucket,
    /// which is given up when it is old.
    ///
    /// # Errors
    /// When the folder or the bucket fails.
    pub async fn make_place(&self, asset: AssetId) -> Result<Option<String>> {
        let parts = self.begin_parts(asset).await?;
        if parts.is_none() {
            self.blobs.create_incoming(asset).await?;
        }
        Ok(parts)
    }

    /// Begins an upload whose place is made: its session and its asset, which is processing until the job at the upload's end
    /// has decided. When it fails, the place goes.
    ///
    /// # Errors
    /// When the database fails, the account's quota is reached, or the receipt's key was used meanwhile.
    pub async fn begin_upload(
        &self,
        asset: &AssetRecord,
        session: &UploadSession,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        let begun = self.insert_upload(asset, session, receipt).await;
        if begun.as_ref().is_err_and(Error::is_certain) {
            match &session.multipart_id {
                Some(_) => self.give_up_parts(session).await?,
                None => self.blobs.remove_incoming(asset.id).await?,
            }
        }
        begun
    }

    async fn insert_upload(
        &self,
        asset: &AssetRecord,
        session: &UploadSession,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        let sql = format!(
            "INSERT INTO upload_session ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        );
        transaction!(self.db, |tx| {
            idempotency::insert(tx, &asset.account, receipt, asset.created_at).await?;
            assets::insert(tx, asset, session.total_size).await?;
            sqlx::query(AssertSqlSafe(sql.as_str()))
                .bind(session.id.to_string())
                .bind(session.asset_id.to_string())
                .bind(&session.account)
                .bind(session.kind.as_str())
                .bind(i64_of(session.total_size))
                .bind(i64_of(session.chunk_size))
                .bind(&session.multipart_id)
                .bind(session.status.as_str())
                .bind(session.created_at)
                .bind(session.updated_at)
                .bind(session.expires_at)
                .execute(tx)
                .await?;
            Ok(())
        })
    }

    /// An upload, whosever: for URLs that are keys of their own.
    ///
    /// # Errors
    /// When the database fails or the row is corrupt.
    pub async fn upload_of_any(&self, id: UploadId) -> Result<Option<UploadSession>> {
        let sql = format!("SELECT {COLUMNS} FROM upload_session WHERE id = $1");
        let row: Option<SessionRow> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(self.db.readers()).await?;
        row.map(UploadSession::try_from).transpose()
    }

    /// An upload of the account.
    ///
    /// # Errors
    /// When the database fails or the row is corrupt.
    pub async fn upload(&self, account: &str, id: UploadId) -> Result<Option<UploadSession>> {
        Ok(self.upload_of_any(id).await?.filter(|session| session.account == account))
    }

    /// One page of the account's uploads that take chunks, newest first, and how many there are.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub async fn open_uploads(
        &self,
        account: &str,
        page: u64,
        page_limit: u32,
        now_ms: i64,
    ) -> Result<(Vec<UploadSession>, u64)> {
        let open = "FROM upload_session WHERE account = $1 AND status = 'active' AND expires_at > $2";
        self.db
            .read(async {
                let mut tx = self.db.snapshot().await?;
                let total: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) {open}")))
                    .bind(account)
                    .bind(now_ms)
                    .fetch_one(&mut *tx)
                    .await?;
                let sql =
                    format!("SELECT {COLUMNS} {open} ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $4");
                let offset = i64::try_from(page.saturating_sub(1)).unwrap_or(i64::MAX);
                let rows: Vec<SessionRow> = sqlx::query_as(AssertSqlSafe(sql))
                    .bind(account)
                    .bind(now_ms)
                    .bind(i64::from(page_limit))
                    .bind(offset.saturating_mul(i64::from(page_limit)))
                    .fetch_all(&mut *tx)
                    .await?;
                tx.commit().await?;
                let sessions = rows.into_iter().map(UploadSession::try_from).collect::<Result<_>>()?;
                Ok((sessions, total.unsigned_abs()))
            })
            .await
    }

    /// What is where a chunk goes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn slot(&self, session: &UploadSession, index: u64, now_ms: i64) -> Result<Slot> {
        self.db
            .read(async {
                let mut tx = self.db.snapshot().await?;
                slot(&mut tx, session, index, now_ms).await
            })
            .await
    }

    /// Makes room for a chunk to be written: from now on what was received there does not count.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn empty_slot(&self, session: &UploadSession, index: u64, now_ms: i64) -> Result<Slot> {
        transaction!(self.db, |tx| {
            sqlx::query(
                "DELETE FROM upload_chunk WHERE upload_id = $1 AND chunk_index = $2 AND completed_at IS NULL",
            )
            .bind(session.id.to_string())
            .bind(i64_of(index))
            .execute(&mut *tx)
            .await?;
            slot(tx, session, index, now_ms).await
        })
    }

    /// Records that a chunk's bytes are here, flushed. False when the upload takes no chunks any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn record_chunk(&self, id: UploadId, index: u64, etag: &str, now_ms: i64) -> Result<bool> {
        transaction!(self.db, |tx| {
            if !is_open(tx, id, now_ms).await? {
                return Ok(false);
            }
            // One that was completed meanwhile, by another server that does not know our locks, stays.
            sqlx::query(
                "INSERT INTO upload_chunk (upload_id, chunk_index, etag, received_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (upload_id, chunk_index) DO UPDATE SET etag = $3, received_at = $4
             WHERE upload_chunk.completed_at IS NULL",
            )
            .bind(id.to_string())
            .bind(i64_of(index))
            .bind(etag)
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(true)
        })
    }

    /// Records chunks that a client reports with their ETags, all or none. With the last one the upload is complete, and a
    /// job looks at the file.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn report_chunks(
        &self,
        session: &UploadSession,
        chunks: &[(u64, &str)],
        now_ms: i64,
    ) -> Result<Reported> {
        transaction!(self.db, |tx| {
            let open = is_open(tx, session.id, now_ms).await?;
            // All are looked at before any is written: a report that is refused changes nothing. One chunk may be in it twice.
            let (mut processed, mut duplicates) = (BTreeSet::new(), 0);
            for (index, etag) in chunks {
                match chunk(tx, session.id, *index).await? {
                    None => return Ok(if open { Reported::Missing(*index) } else { Reported::Closed }),
                    Some(found) if found.etag != *etag => return Ok(Reported::Differs(*index)),
                    Some(found) if found.completed_at.is_some() || processed.contains(index) => {
                        duplicates += 1
                    }
                    Some(_) if !open => return Ok(Reported::Closed),
                    Some(_) => {
                        processed.insert(*index);
                    }
                }
            }
            for index in &processed {
                sqlx::query(
                    "UPDATE upload_chunk SET completed_at = $3 WHERE upload_id = $1 AND chunk_index = $2",
                )
                .bind(session.id.to_string())
                .bind(i64_of(*index))
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
            }
            let processed = processed.len() as u64;
            if processed > 0 {
                let (completed, _) = completed(tx, session).await?;
                let status = if completed == session.total_chunks() {
                    jobs::push(tx, session.asset_id, JobKind::Examine, now_ms).await?;
                    UploadStatus::Completed
                } else {
                    UploadStatus::Active
                };
                sqlx::query("UPDATE upload_session SET status = $2, updated_at = $3 WHERE id = $1")
                    .bind(session.id.to_string())
                    .bind(status.as_str())
                    .bind(now_ms)
                    .execute(tx)
                    .await?;
            }
            Ok(Reported::Recorded { processed, duplicates })
        })
    }

    /// How many chunks were reported, and their bytes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn completed_chunks(&self, session: &UploadSession) -> Result<(u64, u64)> {
        self.db
            .read(async { completed(&mut *self.db.readers().pool().acquire().await?, session).await })
            .await
    }

    /// Those chunks of a range of indices whose bytes are here.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn chunks(&self, id: UploadId, from: u64, to: u64) -> Result<Vec<ChunkRecord>> {
        let rows: Vec<(i64, String, i64, Option<i64>)> = sqlx::query_as(
            "SELECT chunk_index, etag, received_at, completed_at FROM upload_chunk
             WHERE upload_id = $1 AND chunk_index BETWEEN $2 AND $3 ORDER BY chunk_index",
        )
        .bind(id.to_string())
        .bind(i64_of(from))
        .bind(i64_of(to))
        .fetch_all(self.db.readers())
        .await?;
        Ok(rows.into_iter().map(record).collect())
    }

    /// Ends uploads whose time is over: their assets fail, their bytes go. Returns how many.
    ///
    /// # Errors
    /// When the database or the folder fails.
    pub async fn expire_uploads(&self, now_ms: i64) -> Result<u64> {
        let due: Vec<(String, String)> = sqlx::query_as(
            "SELECT id, asset_id FROM upload_session WHERE status = 'active' AND expires_at <= $1",
        )
        .bind(now_ms)
        .fetch_all(self.db.readers())
        .await?;
        for (id, asset) in &due {
            let corrupt = || Error::Corrupt { table: "upload_session", id: id.clone() };
            let upload = UploadId::parse(id).ok_or_else(corrupt)?;
            let asset = AssetId::parse(asset).ok_or_else(corrupt)?;
            self.expire_upload(upload, asset, now_ms).await?;
        }
        Ok(due.len() as u64)
    }

    /// Ends an upload that cannot go on: its asset fails, its bytes go.
    pub(crate) async fn expire_upload(&self, id: UploadId, asset: AssetId, now_ms: i64) -> Result<()> {
        let fault =
            Fault::UploadNotActive { upload_id: id.to_string(), status: UploadStatus::Expired.as_str() };
        let is_over = transaction!(self.db, |tx| {
            let expired = sqlx::query(
                "UPDATE upload_session SET status = 'expired', updated_at = $2 WHERE id = $1 AND status = 'active'",
            )
            .bind(id.to_string())
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
            if expired.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query("DELETE FROM upload_chunk WHERE upload_id = $1 AND completed_at IS NULL")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await?;
            become_failed(tx, asset, &AssetError::from(&fault), now_ms).await?;
            Ok(true)
        })?;
        if is_over { self.remove_failed(asset).await } else { Ok(()) }
    }

    /// A page of the uploads that take chunks, whosever, in the order of their ids.
    pub(crate) async fn active_uploads(&self, behind: &str, most: i64) -> Result<Vec<UploadSession>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM upload_session WHERE id > $1 AND status = 'active' ORDER BY id LIMIT $2"
        );
        let page = sqlx::query_as::<_, SessionRow>(AssertSqlSafe(sql)).bind(behind).bind(most);
        page.fetch_all(self.db.readers()).await?.into_iter().map(UploadSession::try_from).collect()
    }

    /// Forgets uploads that ended before `before_ms`. Their assets stay.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_uploads(&self, before_ms: i64) -> Result<u64> {
        let ended = "SELECT id FROM upload_session WHERE status <> 'active' AND expires_at < $1";
        let any: Option<String> = sqlx::query_scalar(AssertSqlSafe(format!("{ended} LIMIT 1")))
            .bind(before_ms)
            .fetch_optional(self.db.readers())
            .await?;
        if any.is_none() {
            return Ok(0);
        }
        transaction!(self.db, |tx| {
            sqlx::query(AssertSqlSafe(format!("DELETE FROM upload_chunk WHERE upload_id IN ({ended})")))
                .bind(before_ms)
                .execute(&mut *tx)
                .await?;
            let forgotten =
                sqlx::query("DELETE FROM upload_session WHERE status <> 'active' AND expires_at < $1")
                    .bind(before_ms)
                    .execute(tx)
                    .await?;
            Ok(forgotten.rows_affected())
        })
    }
}

async fn slot(tx: &mut AnyConnection, session: &UploadSession, index: u64, now_ms: i64) -> Result<Slot> {
    if !is_open(tx, session.id, now_ms).await? {
        return Ok(Slot::Closed);
    }
    Ok(match chunk(tx, session.id, index).await? {
        None => Slot::Empty,
        Some(ChunkRecord { etag, completed_at: None, .. }) => Slot::Received(etag),
        Some(ChunkRecord { etag, .. }) => Slot::Completed(etag),
    })
}

async fn is_open(tx: &mut AnyConnection, id: UploadId, now_ms: i64) -> Result<bool> {
    let open: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM upload_session JOIN asset ON asset.id = asset_id
         WHERE upload_session.id = $1 AND upload_session.status = 'active' AND expires_at > $2 AND deleted_at IS NULL",
    )
    .bind(id.to_string())
    .bind(now_ms)
    .fetch_optional(tx)
    .await?;
    Ok(open.is_some())
}

async fn chunk(tx: &mut AnyConnection, id: UploadId, index: u64) -> Result<Option<ChunkRecord>> {
    let row: Option<(i64, String, i64, Option<i64>)> = sqlx::query_as(
        "SELECT chunk_index, etag, received_at, completed_at FROM upload_chunk
         WHERE upload_id = $1 AND chunk_index = $2",
    )
    .bind(id.to_string())
    .bind(i64_of(index))
    .fetch_optional(tx)
    .await?;
    Ok(row.map(record))
}

fn record((index, etag, received_at, completed_at): (i64, String, i64, Option<i64>)) -> ChunkRecord {
    ChunkRecord { index: index.unsigned_abs(), etag, received_at, completed_at }
}

async fn completed(tx: &mut AnyConnection, session: &UploadSession) -> Result<(u64, u64)> {
    let last = session.total_chunks();
    let (_, last_size) = session.place(last).unwrap_or_default();
    let (count, bytes): (i64, i64) = sqlx::query_as(
        "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN chunk_index = $2 THEN $3 ELSE $4 END), 0) AS BIGINT) FROM upload_chunk
         WHERE upload_id = $1 AND completed_at IS NOT NULL",
    )
    .bind(session.id.to_string())
    .bind(i64_of(last))
    .bind(i64_of(last_size))
    .bind(i64_of(session.chunk_size))
    .fetch_one(tx)
    .await?;
    Ok((count.unsigned_abs(), bytes.unsigned_abs()))
}

fn i64_of(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
