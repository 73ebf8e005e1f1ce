//! How an asset goes: the only way out.

use reelhouse_api::{AssetError, AssetId, EventKind, Fault};

use crate::{
    Store,
    blobs::{BlobKey, blocking},
    error::{Error, Result},
    events,
    indexed_assets::asset_is_gone,
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
        let mut tx = self.db.write().await?;
        let size: Option<Option<i64>> = sqlx::query_scalar(
            "UPDATE asset SET deleted_at = $3 WHERE id = $1 AND account = $2 AND deleted_at IS NULL RETURNING size",
        )
        .bind(id.to_string())
        .bind(account)
        .bind(now_ms)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(size) = size else { return Ok(Removal::Absent) };
        let references: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM indexed_asset WHERE asset_id = $1")
            .bind(id.to_string())
            .fetch_one(&mut *tx)
            .await?;
        if references > 0 && !force {
            // The transaction goes with us, and the tombstone with it.
            return Ok(Removal::Referenced(references.unsigned_abs()));
        }
        let webhooks: i64 = sqlx::query_scalar(
            "UPDATE account SET asset_count = asset_count - 1, asset_bytes = asset_bytes - $2 WHERE name = $1
             RETURNING webhooks",
        )
        .bind(account)
        .bind(size.unwrap_or(0))
        .fetch_one(&mut *tx)
        .await?;
        if webhooks > 0 {
            events::record(&mut tx, account, id, [EventKind::AssetDeleted], now_ms).await?;
        }
        // Its places in indexes stay, and say so.
        let gone = Fault::ResourceNotExist { resource_id: id.to_string(), collection_name: "assets" };
        asset_is_gone(&mut tx, id, &AssetError::from(&gone), now_ms).await?;
        // Whoever runs one will find that it is no longer theirs.
        sqlx::query("DELETE FROM job WHERE asset_id = $1").bind(id.to_string()).execute(&mut *tx).await?;
        tx.commit().await?;
        self.finish_removal(id).await?;
        Ok(Removal::Removed)
    }

    pub(crate) async fn tombstones(&self) -> Result<Vec<AssetId>> {
        let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM asset WHERE deleted_at IS NOT NULL")
            .fetch_all(self.db.readers())
            .await?;
        ids.into_iter().map(|id| AssetId::parse(&id).ok_or(Error::Corrupt { table: "asset", id })).collect()
    }

    pub(crate) async fn finish_removal(&self, id: AssetId) -> Result<()> {
        self.blobs.remove(BlobKey::Incoming(id)).await?;
        self.blobs.remove(BlobKey::Original(id)).await?;
        let blobs = self.blobs.clone();
        blocking(move || blobs.remove_derived(id, |_| true)).await?;
        let mut tx = self.db.write().await?;
        sqlx::query("DELETE FROM derivative WHERE asset_id = $1")
            .bind(id.to_string())
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM import WHERE asset_id = $1").bind(id.to_string()).execute(&mut *tx).await?;
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
        sqlx::query("DELETE FROM asset_search WHERE rowid = $1").bind(id.seq()).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM asset WHERE id = $1 AND deleted_at IS NOT NULL")
            .bind(id.to_string())
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }
}
