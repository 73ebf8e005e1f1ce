//! How an asset goes: the only way out.

use reelhouse_api::{AssetError, AssetId, EventKind, Fault, JobState};

use crate::{
    Store,
    blobs::BlobKey,
    dialect::forget_name,
    error::{Error, Result},
    events,
    indexed_assets::asset_is_gone,
    revisit,
    writer::transaction,
};

/// What became of a wish to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// There was none.
    Absent,
    /// It stays: so many indexed assets refer to it.
    Referenced(u64),
}

impl Store {
    /// Deletes an asset of the account. From the first commit on nobody sees it; the bytes go next, and the row last,
    /// so that no byte is ever without a row that knows it. With `force`, what refers to it does not hold it.
    ///
    /// # Errors
    /// When the database or the folder fails; a tombstone that was committed is finished by the next start.
    pub async fn remove(&self, account: &str, id: AssetId, force: bool, now_ms: i64) -> Result<Removal> {
        let (removal, at_work) = match self.entomb(account, id, force, now_ms).await {
            // The bytes that go give more than that back.
            Err(error) if error.is_full() && self.reserve.give_up()? => {
                tracing::warn!("the disk is full: the room that is kept for it is given up");
                self.entomb(account, id, force, now_ms).await
            }
            removal => removal,
        }?;
        if removal == Removal::Removed {
            self.remove_bytes(id).await?;
            self.forget(id, at_work || self.blobs.may_be_late(), now_ms).await?;
        }
        Ok(removal)
    }

    /// From here on nobody sees it. Says, too, whether a worker was at work on it.
    async fn entomb(&self, account: &str, id: AssetId, force: bool, now_ms: i64) -> Result<(Removal, bool)> {
        transaction!(self.db, |tx| {
            let size: Option<Option<i64>> = sqlx::query_scalar(
                "SELECT size FROM asset WHERE id = $1 AND account = $2 AND deleted_at IS NULL",
            )
            .bind(id.to_string())
            .bind(account)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(size) = size else { return Ok((Removal::Absent, false)) };
            let references: i64 =
                sqlx::query_scalar("SELECT COUNT(*) FROM indexed_asset WHERE asset_id = $1")
                    .bind(id.to_string())
                    .fetch_one(&mut *tx)
                    .await?;
            if references > 0 && !force {
                return Ok((Removal::Referenced(references.unsigned_abs()), false));
            }
            sqlx::query("UPDATE asset SET deleted_at = $2 WHERE id = $1")
                .bind(id.to_string())
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
            let webhooks: i64 = sqlx::query_scalar(
                "UPDATE account SET asset_count = asset_count - 1, asset_bytes = asset_bytes - $2 WHERE name = $1
                 RETURNING webhooks",
            )
            .bind(account)
            .bind(size.unwrap_or(0))
            .fetch_one(&mut *tx)
            .await?;
            if webhooks > 0 {
                events::record(tx, account, id, [EventKind::AssetDeleted], now_ms).await?;
            }
            // Its places in indexes stay, and say so.
            let gone = Fault::ResourceNotExist { resource_id: id.to_string(), collection_name: "assets" };
            asset_is_gone(tx, id, &AssetError::from(&gone), now_ms).await?;
            // Whoever runs one will find that it is no longer theirs.
            let jobs: Vec<String> = sqlx::query_scalar("DELETE FROM job WHERE asset_id = $1 RETURNING state")
                .bind(id.to_string())
                .fetch_all(tx)
                .await?;
            Ok((Removal::Removed, jobs.iter().any(|state| state == JobState::Running.as_str())))
        })
    }

    /// Assets deleted before `before_ms` whose removal did not come to its end.
    pub(crate) async fn tombstones(&self, before_ms: i64) -> Result<Vec<AssetId>> {
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT id FROM asset WHERE deleted_at IS NOT NULL AND deleted_at < $1")
                .bind(before_ms)
                .fetch_all(self.db.readers())
                .await?;
        ids.into_iter().map(|id| AssetId::parse(&id).ok_or(Error::Corrupt { table: "asset", id })).collect()
    }

    /// Removes what a tombstone still has.
    pub(crate) async fn remove_bytes(&self, id: AssetId) -> Result<()> {
        self.abort_parts(id).await?;
        self.blobs.remove_incoming(id).await?;
        self.blobs.remove(&BlobKey::Original(id)).await?;
        self.blobs.remove_derived(id, |_| true).await
    }

    /// Removes a tombstone that has nothing any more; with `again`, its bytes are looked for once more.
    pub(crate) async fn forget(&self, id: AssetId, again: bool, now_ms: i64) -> Result<()> {
        transaction!(self.db, |tx| {
            if again {
                revisit::push(tx, id, now_ms).await?;
            }
            sqlx::query("DELETE FROM derivative WHERE asset_id = $1")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await?;
            sqlx::query("DELETE FROM import WHERE asset_id = $1")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await?;
            sqlx::query(
            "DELETE FROM upload_chunk WHERE upload_id IN (SELECT id FROM upload_session WHERE asset_id = $1)",
        )
        .bind(id.to_string())
        .execute(&mut *tx)
        .await?;
            sqlx::query("DELETE FROM upload_session WHERE asset_id = $1")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await?;
            forget_name(tx, id).await?;
            sqlx::query("DELETE FROM asset WHERE id = $1 AND deleted_at IS NOT NULL")
                .bind(id.to_string())
                .execute(tx)
                .await?;
            Ok(())
        })
    }
}
