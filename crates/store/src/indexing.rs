//! The job that sees to an asset's places in indexes: one job for all of them, which ends when none is left.

use reelhouse_api::{
    AssetError, AssetId, Fault, IndexedAssetId, RenditionStatus,
    index::{IndexModel, IndexedAssetStatus},
};
use sqlx::{AnyConnection, AssertSqlSafe};

use crate::{
    JobRecord, Store,
    error::{Error, Result},
    indexed_assets::{corrupt, fail_unfinished},
    jobs,
    writer::transaction,
};

/// A place that a job has begun to see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexing {
    /// The indexed asset.
    pub id: IndexedAssetId,
    /// The models of its index.
    pub models: Vec<IndexModel>,
}

impl Store {
    /// Begins with the next place of the job's asset; `None` when none is left, or the job is no longer the worker's.
    /// One that a previous attempt had begun comes again.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub async fn begin_indexing(&self, job: &JobRecord, now_ms: i64) -> Result<Option<Indexing>> {
        let creation = self.db.dialect().creation("seq", "id");
        let sql = format!(
            "UPDATE indexed_asset SET status = 'indexing', updated_at = $2
             WHERE id = (SELECT id FROM indexed_asset WHERE asset_id = $1
                         AND status IN ('pending', 'queued', 'indexing') ORDER BY {creation} LIMIT 1)
             RETURNING id, (SELECT models FROM media_index WHERE media_index.id = index_id)"
        );
        transaction!(self.db, |tx| {
            if !jobs::is_held(tx, job).await? {
                return Ok(None);
            }
            let begun: Option<(String, String)> = sqlx::query_as(AssertSqlSafe(sql.as_str()))
                .bind(job.asset_id.to_string())
                .bind(now_ms)
                .fetch_optional(tx)
                .await?;
            let Some((id, models)) = begun else { return Ok(None) };
            let id = IndexedAssetId::parse(&id).ok_or(Error::Corrupt { table: "indexed_asset", id })?;
            let models = serde_json::from_str(&models).map_err(|_| corrupt(id))?;
            Ok(Some(Indexing { id, models }))
        })
    }

    /// Says how it went: ready, or why not. False when the job is no longer the worker's; then nothing changes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_indexing(
        &self,
        job: &JobRecord,
        id: IndexedAssetId,
        outcome: Result<(), AssetError>,
        now_ms: i64,
    ) -> Result<bool> {
        let (status, error) = match outcome {
            Ok(()) => (IndexedAssetStatus::Ready, None),
            Err(error) => (IndexedAssetStatus::Failed, Some(error)),
        };
        transaction!(self.db, |tx| {
            if !jobs::is_held(tx, job).await? {
                return Ok(false);
            }
            // Taken out of its index meanwhile is fine.
            sqlx::query(
                "UPDATE indexed_asset SET status = $2, updated_at = $3, error_code = $4, error_message = $5,
                                      indexed_at = CASE WHEN $2 = 'ready' THEN $3 END
             WHERE id = $1 AND status = 'indexing'",
            )
            .bind(id.to_string())
            .bind(status.as_str())
            .bind(now_ms)
            .bind(error.as_ref().map(|error| &error.code))
            .bind(error.as_ref().map(|error| &error.message))
            .execute(tx)
            .await?;
            Ok(true)
        })
    }

    /// Ends the job if it has seen to all places of its asset; otherwise it waits for its turn again. False when it is no
    /// longer the worker's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_index_job(&self, job: &JobRecord) -> Result<bool> {
        transaction!(self.db, |tx| {
            let left: Option<i64> = sqlx::query_scalar(
            "SELECT seq FROM indexed_asset WHERE asset_id = $1 AND status IN ('pending', 'queued', 'indexing') LIMIT 1",
        )
        .bind(job.asset_id.to_string())
        .fetch_optional(&mut *tx)
        .await?;
            match left {
                None => jobs::end(tx, job).await,
                Some(_) => jobs::release(tx, job).await,
            }
        })
    }
}

/// Shows on an asset's places how far their job is.
pub(crate) async fn show(tx: &mut AnyConnection, asset: AssetId, status: RenditionStatus) -> Result<()> {
    let given_up = AssetError::from(&Fault::Internal);
    let query = match status {
        // Claimed: each is begun in its turn.
        RenditionStatus::Processing => sqlx::query(
            "UPDATE indexed_asset SET status = 'queued' WHERE asset_id = $1 AND status = 'pending'",
        )
        .bind(asset.to_string()),
        // A new life, also for what was given up.
        RenditionStatus::Pending => sqlx::query(
            "UPDATE indexed_asset SET status = 'pending', error_code = NULL, error_message = NULL
             WHERE asset_id = $1 AND asset_deleted_at IS NULL
               AND (status IN ('queued', 'indexing') OR status = 'failed' AND error_code = $2)",
        )
        .bind(asset.to_string())
        .bind(given_up.code),
        RenditionStatus::Error => return fail_unfinished(tx, asset, &given_up).await,
        // Each says so itself.
        RenditionStatus::Ready => return Ok(()),
    };
    query.execute(tx).await?;
    Ok(())
}
