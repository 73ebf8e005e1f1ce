//! Uploads in chunks have what is recorded of them.

use reelhouse_api::{AssetId, UploadId};

use crate::{
    Store, UploadSession,
    blobs::{BlobKey, Home},
    error::{During, Result},
    writer::transaction,
};

use super::{Finding, PAGE, round::Round};

/// Longer than any upload in parts is waited for before whoever runs gives it up, in milliseconds.
const PARTS_OLD: i64 = 26 * 60 * 60 * 1000;

impl Round<'_> {
    pub(super) async fn uploads(&mut self) -> Result<()> {
        self.progress.begin("uploads", 0);
        let mut behind = String::new();
        loop {
            let page = self.store.active_uploads(&behind, PAGE).await?;
            let Some(last) = page.last() else { break };
            behind = last.id.to_string();
            for session in page {
                if let Some(finding) = self.store.what_is_missing(&session).await? {
                    self.found(finding).await?;
                }
            }
        }
        self.parts_left_over().await
    }

    async fn parts_left_over(&mut self) -> Result<()> {
        let Home::Bucket(objects, _) = &self.store.blobs.home else { return Ok(()) };
        for tree in ["originals/", "derived/"] {
            for pending in objects.bucket.pending(tree).await? {
                // Not every store says when.
                let is_old = (1..self.how.now_ms - PARTS_OLD).contains(&pending.begun_at);
                if is_old && !self.store.is_awaited(&pending.upload).await? {
                    let (key, upload) = (pending.key, pending.upload);
                    self.left(Finding::PartsLeftOver { key, upload }).await?;
                }
            }
        }
        Ok(())
    }
}

impl Store {
    /// What is recorded of an upload and is not here.
    async fn what_is_missing(&self, session: &UploadSession) -> Result<Option<Finding>> {
        let (upload, asset) = (session.id.to_string(), session.asset_id);
        let finding = match (&self.blobs.home, &session.multipart_id) {
            (Home::Bucket(objects, _), Some(parts)) => {
                let key = BlobKey::Original(asset).object();
                if objects.bucket.parts(&key, parts).await?.is_some() {
                    return Ok(None);
                }
                Finding::PartsGone { upload, asset }
            }
            (Home::Folder(_), None) => {
                let recorded = self.end_of_chunks(session).await?;
                let found = self.incoming_bytes(asset);
                if found >= recorded {
                    return Ok(None);
                }
                Finding::ChunksMissing { upload, asset, recorded, found }
            }
            // From before blobs were where they are now.
            (Home::Folder(_), Some(_)) | (Home::Bucket(..), None) => return Ok(None),
        };
        // It may have come to its end meanwhile.
        let is_active = self.active_upload(session.id).await?;
        Ok(Some(finding).filter(|_| is_active))
    }

    async fn active_upload(&self, id: UploadId) -> Result<bool> {
        let active: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM upload_session WHERE id = $1 AND status = 'active'")
                .bind(id.to_string())
                .fetch_optional(self.db.readers())
                .await?;
        Ok(active.is_some())
    }

    /// Bytes up to the end of the last chunk that is recorded.
    async fn end_of_chunks(&self, session: &UploadSession) -> Result<u64> {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT MAX(chunk_index) FROM upload_chunk WHERE upload_id = $1")
                .bind(session.id.to_string())
                .fetch_one(self.db.readers())
                .await?;
        let place = last.and_then(|last| session.place(last.unsigned_abs()));
        Ok(place.map_or(0, |(offset, bytes)| offset + bytes))
    }

    fn incoming_bytes(&self, asset: AssetId) -> u64 {
        self.blobs.scratch.incoming_path(asset).metadata().map_or(0, |file| file.len())
    }

    /// Forgets the chunks that are not here: the client asks, and sends them again.
    pub(super) async fn forget_missing_chunks(
        &self,
        upload: &str,
        asset: AssetId,
        now_ms: i64,
    ) -> Result<bool> {
        let Some(session) = UploadId::parse(upload) else { return Ok(false) };
        let Some(session) = self.upload_of_any(session).await? else { return Ok(false) };
        if !self.blobs.scratch.incoming_path(asset).exists() {
            self.blobs.create_incoming(asset).await?;
        }
        let found = self.incoming_bytes(asset);
        let whole =
            if found >= session.total_size { session.total_chunks() } else { found / session.chunk_size };
        let whole = i64::try_from(whole).unwrap_or(i64::MAX);
        transaction!(self.db, |tx| {
            let active =
                sqlx::query("UPDATE upload_session SET updated_at = $2 WHERE id = $1 AND status = 'active'");
            if active.bind(upload).bind(now_ms).execute(&mut *tx).await?.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query("DELETE FROM upload_chunk WHERE upload_id = $1 AND chunk_index > $2")
                .bind(upload)
                .bind(whole)
                .execute(tx)
                .await?;
            Ok(true)
        })
    }

    /// Removes a file that nobody waits for, durably.
    pub(super) fn remove_left_over_file(&self, path: &std::path::Path) -> Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => {
                removed.during("removing what was left over")?;
                crate::scratch::sync_parent(path)
            }
        }
    }

    /// Gives up an upload in parts that nobody awaits.
    pub(super) async fn give_up_parts_of_nobody(&self, key: &str, upload: &str) -> Result<()> {
        match &self.blobs.home {
            Home::Bucket(objects, _) if !self.is_awaited(upload).await? => {
                Ok(objects.bucket.abort(key, upload).await?)
            }
            _ => Ok(()),
        }
    }
}
