//! Assets whose row comes before their bytes: how they begin, and the two ways they end. A job decides which
//! ([`JobKind::decides`]), and only who holds it can.

use reelhouse_api::{AssetError, AssetId, JobKind};

use crate::{
    AssetRecord, EarlyDerivative, ImportRecord, JobRecord, Store,
    assets::{self, become_failed, become_ready},
    blobs::BlobKey,
    cache::Local,
    early::remove_of_earlier_attempts,
    error::{During, Error, Result},
    idempotency::{self, Receipt},
    imports, jobs,
    publish::push_wanted,
    revisit,
    staging::StagingFile,
    writer::transaction,
};

impl Store {
    /// Makes an asset of which the first bytes are here; a job fetches the rest. When this returns `Ok`, both survive
    /// kill -9 and power loss.
    ///
    /// # Errors
    /// When the database or the folder fails, the account's quota is reached, or the receipt's key was used meanwhile.
    pub async fn begin_import(
        &self,
        staged: StagingFile,
        asset: &AssetRecord,
        mut import: ImportRecord,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        // The file first: the job may begin the moment its row is there. A crash in between leaves a file without a row,
        // which the next start removes.
        import.received = self.blobs.keep_staged(staged, asset.id).await?;
        let recorded = transaction!(self.db, |tx| {
            idempotency::insert(tx, &asset.account, receipt, asset.created_at).await?;
            assets::insert(tx, asset, import.total.unwrap_or(0).max(import.received)).await?;
            imports::insert(tx, asset.id, &import).await?;
            jobs::push(tx, asset.id, JobKind::Import, asset.created_at).await
        });
        if recorded.as_ref().is_err_and(Error::is_certain)
            && let Err(second) = self.blobs.remove_incoming(asset.id).await
        {
            tracing::error!(asset = %asset.id, error = %second, "could not take back an import; the next start will");
        }
        recorded
    }

    /// Where the bytes of an asset can be read that have all arrived. `None` when they are not what was reported: a chunk was sent
    /// again to the bucket after it.
    ///
    /// # Errors
    /// When the database, the folder or the bucket fails.
    pub async fn arrived(&self, asset: AssetId) -> Result<Option<Local>> {
        if self.complete_parts(asset).await? { self.blobs.arrived(asset).await } else { Ok(None) }
    }

    /// Makes a whole, flushed incoming file the original of its asset, which is ready from then on, and what was made of it
    /// already its derivative, and ends the job. False when the job is no longer the worker's; then nothing of it shows.
    ///
    /// Files are moved before the commit. A crash in between is mended by the job's next attempt, which finds them there.
    ///
    /// # Errors
    /// When the database or the folder fails, or the account's quota is reached.
    pub async fn publish_arrived(
        &self,
        job: &JobRecord,
        asset: &AssetRecord,
        early: Option<&EarlyDerivative>,
        now_ms: i64,
    ) -> Result<bool> {
        let early = early.map(|early| (early, early.folder_of_attempt(job)));
        self.blobs.accept_incoming(asset.id).await?;
        let recorded = async {
            remove_of_earlier_attempts(&self.blobs, job).await?;
            if let Some((early, folder)) = &early {
                early.write(&self.blobs, asset.id, folder).await?;
            }
            self.record_arrived(job, asset, early.as_ref(), now_ms).await
        };
        let recorded = recorded.await;
        // Where nobody knows, the job's next attempt will, or there is none because this one was the last.
        if matches!(recorded, Ok(true)) || recorded.as_ref().is_err_and(|error| !error.is_certain()) {
            return recorded;
        }
        if let Some((_, folder)) = early {
            self.blobs.remove_derived(asset.id, move |name| name == folder).await?;
        }
        recorded?;
        // Deleted meanwhile: whoever did may have looked for the file where it no longer was.
        if self.asset_of_any(asset.id).await?.is_none() {
            self.blobs.remove(&BlobKey::Original(asset.id)).await?;
        }
        Ok(false)
    }

    async fn record_arrived(
        &self,
        job: &JobRecord,
        asset: &AssetRecord,
        early: Option<&(&EarlyDerivative, String)>,
        now_ms: i64,
    ) -> Result<bool> {
        transaction!(self.db, |tx| {
            if !jobs::end(tx, job).await? {
                return Ok(false);
            }
            revisit::push_after(tx, job, now_ms).await?;
            become_ready(tx, asset, now_ms).await?;
            if let Some((early, folder)) = early {
                early.record(tx, asset.id, folder, now_ms).await?;
            }
            push_wanted(tx, asset, now_ms).await?;
            sqlx::query("DELETE FROM import WHERE asset_id = $1")
                .bind(asset.id.to_string())
                .execute(tx)
                .await?;
            Ok(true)
        })
    }

    /// Ends an arriving asset as failed, and its job with it; its bytes go. False when the job is no longer the worker's.
    ///
    /// # Errors
    /// When the database or the folder fails.
    pub async fn refuse_arrived(&self, job: &JobRecord, error: &AssetError, now_ms: i64) -> Result<bool> {
        let refused = transaction!(self.db, |tx| {
            if !jobs::end(tx, job).await? {
                return Ok(false);
            }
            revisit::push_after(tx, job, now_ms).await?;
            become_failed(tx, job.asset_id, error, now_ms).await?;
            Ok(true)
        })?;
        if refused {
            self.remove_failed(job.asset_id).await?;
        }
        Ok(refused)
    }

    /// Bytes that the account's arriving assets will have, as far as it is known.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn arriving_bytes(&self, account: &str) -> Result<u64> {
        arriving_bytes(self.db.readers(), account).await
    }

    /// Removes the bytes of assets that failed. Their rows stay and say why.
    pub(crate) async fn remove_failed(&self, asset: AssetId) -> Result<()> {
        self.abort_parts(asset).await?;
        self.blobs.remove_incoming(asset).await?;
        self.blobs.remove(&BlobKey::Original(asset)).await?;
        self.blobs.remove_derived(asset, |_| true).await
    }

    /// Incoming files whose asset is not arriving. Only for when nothing else runs: a file may be there before its row.
    pub(crate) async fn remove_stray_incoming(&self) -> Result<()> {
        for entry in self.blobs.incoming()? {
            match entry {
                Ok(asset) if self.is_arriving(asset).await? => {}
                Ok(asset) => self.blobs.remove_incoming(asset).await?,
                Err(path) => {
                    std::fs::remove_file(path).during("removing what does not belong among uploads")?
                }
            }
        }
        Ok(())
    }

    /// Whether an asset's bytes are still awaited.
    pub(crate) async fn is_arriving(&self, asset: AssetId) -> Result<bool> {
        let arriving: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM asset WHERE id = $1 AND status = 'processing' AND deleted_at IS NULL",
        )
        .bind(asset.to_string())
        .fetch_optional(self.db.readers())
        .await?;
        Ok(arriving.is_some())
    }
}

/// Bytes that an account's arriving assets will have, as far as it is known.
pub(crate) async fn arriving_bytes<'c>(
    database: impl sqlx::Executor<'c, Database = sqlx::Any>,
    account: &str,
) -> Result<u64> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT CAST(
             COALESCE((SELECT SUM(total_size) FROM upload_session JOIN asset ON asset.id = asset_id
                       WHERE upload_session.account = $1 AND upload_session.status IN ('active', 'completed')
                         AND asset.status = 'processing'), 0)
           + COALESCE((SELECT SUM(CASE WHEN total > received THEN total ELSE received END) FROM import
                       JOIN asset ON asset.id = asset_id WHERE asset.account = $1), 0) AS BIGINT)",
    )
    .bind(account)
    .fetch_one(database)
    .await?;
    Ok(bytes.unsigned_abs())
}
