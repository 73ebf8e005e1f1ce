//! A second look. Who gives up a write to a bucket, or dies while it is under way, does not know whether it will still be
//! carried out; a worker may not have noticed yet that what it makes is not wanted any more. What either puts somewhere after
//! that was cleaned is found when the place is looked at again, once they have ended.

use reelhouse_api::{AssetId, Status};
use sqlx::AnyConnection;

use crate::{
    JobRecord, Store,
    error::{Error, Result},
    writer::transaction,
};

/// After so many milliseconds no write is under way that was given up, and each worker has noticed that it lost its lease.
const NOTICED: i64 = 15 * 60 * 1000;

/// Has the bytes of an asset looked for again, in the transaction after which there may be some that nobody knows.
pub(crate) async fn push(tx: &mut AnyConnection, asset: AssetId, now_ms: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO revisit (asset_id, due_at) VALUES ($1, $2) ON CONFLICT (asset_id) DO UPDATE SET due_at = $2",
    )
    .bind(asset.to_string())
    .bind(now_ms.saturating_add(NOTICED))
    .execute(tx)
    .await?;
    Ok(())
}

/// The same when a job ends, if an earlier attempt at it may still leave something.
pub(crate) async fn push_after(tx: &mut AnyConnection, job: &JobRecord, now_ms: i64) -> Result<()> {
    if job.token > 1 { push(tx, job.asset_id, now_ms).await } else { Ok(()) }
}

impl Store {
    /// Looks again wherever that is due.
    pub(crate) async fn revisit(&self, now_ms: i64) -> Result<()> {
        let due: Vec<(String, i64)> =
            sqlx::query_as("SELECT asset_id, due_at FROM revisit WHERE due_at <= $1 ORDER BY due_at")
                .bind(now_ms)
                .fetch_all(self.db.readers())
                .await?;
        for (id, due_at) in due {
            let asset =
                AssetId::parse(&id).ok_or_else(|| Error::Corrupt { table: "revisit", id: id.clone() })?;
            self.remove_unknown(asset).await?;
            transaction!(self.db, |tx| {
                // It may have become due once more.
                sqlx::query("DELETE FROM revisit WHERE asset_id = $1 AND due_at = $2")
                    .bind(&id)
                    .bind(due_at)
                    .execute(tx)
                    .await?;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Assets whose bytes were to be looked for again before `before_ms`.
    pub(crate) async fn revisits_before(&self, before_ms: i64) -> Result<Vec<AssetId>> {
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT asset_id FROM revisit WHERE due_at < $1 ORDER BY asset_id")
                .bind(before_ms)
                .fetch_all(self.db.readers())
                .await?;
        ids.into_iter().map(|id| AssetId::parse(&id).ok_or(Error::Corrupt { table: "revisit", id })).collect()
    }

    /// Whether an asset's bytes will be looked for again.
    pub(crate) async fn is_revisited(&self, asset: AssetId) -> Result<bool> {
        let due: Option<i64> = sqlx::query_scalar("SELECT due_at FROM revisit WHERE asset_id = $1")
            .bind(asset.to_string())
            .fetch_optional(self.db.readers())
            .await?;
        Ok(due.is_some())
    }

    /// Removes what is there of an asset and is not wanted: all of it, or what no attempt knows.
    pub(crate) async fn remove_unknown(&self, asset: AssetId) -> Result<()> {
        // Folders before jobs: who makes one has its job by then.
        let folders = self.blobs.derived_folders(asset).await?;
        let status: Option<String> = sqlx::query_scalar(
            "SELECT status FROM asset WHERE id = $1 UNION ALL SELECT 'processing' FROM publish_intent WHERE asset_id = $1",
        )
        .bind(asset.to_string())
        .fetch_optional(self.db.readers())
        .await?;
        let is_kept = status.is_some_and(|status| status != Status::Failed.as_str());
        if !is_kept {
            self.blobs.remove_unseen(asset).await?;
            return self.blobs.remove_derived(asset, |_| true).await;
        }
        let mut unknown = Vec::new();
        for folder in folders {
            if !self.derivative_is_wanted(asset, &folder).await? {
                unknown.push(folder);
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        self.blobs.remove_derived(asset, move |folder| unknown.iter().any(|other| other == folder)).await
    }
}
