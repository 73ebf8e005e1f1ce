//! How bytes become an asset that survives: the only way in.

use std::sync::Arc;

use reelhouse_api::AssetId;
use sqlx::SqliteConnection;
use tokio::{join, try_join};

use crate::{
    AssetRecord, EarlyDerivative, Store, assets,
    blobs::{BlobKey, blocking},
    error::{Error, Result},
    idempotency::{self, Receipt},
    jobs,
    staging::Sealed,
};

impl Store {
    /// Makes the sealed bytes the original of a new asset, and what was made of it already its derivative. When this returns
    /// `Ok`, all survive kill -9 and power loss; when it fails or never returns, nothing of it is there after the next start.
    ///
    /// The order is the promise: the intent is committed and the bytes are flushed; the file is renamed into
    /// place and its folder flushed; one transaction writes the row and ends the intent.
    ///
    /// # Errors
    /// When the database or the folder fails, the account's quota is reached, or the receipt's key was used meanwhile.
    pub async fn publish(
        &self,
        mut bytes: Sealed,
        asset: AssetRecord,
        early: Option<EarlyDerivative>,
        receipt: Option<Receipt>,
    ) -> Result<()> {
        let id = asset.id;
        let early = early.map(|early| {
            let folder = early.folder_at_publish(id);
            (early, folder)
        });
        try_join!(self.insert_intent(&asset), bytes.flushed())?;
        let moved_and_recorded = async {
            let kept = async {
                match &early {
                    Some((early, folder)) => early.write(&self.blobs, id, folder).await,
                    None => Ok(()),
                }
            };
            // Both to their end: what goes on after the other failed could not be taken back.
            let (moved, kept) = join!(bytes.move_into(BlobKey::Original(id)), kept);
            moved.and(kept)?;
            self.insert_published(Published { asset, early, receipt }).await
        };
        if let Err(error) = moved_and_recorded.await {
            // The next start would do the same; doing it now leaves no trace until then.
            if let Err(second) = self.resolve_intent(id).await {
                tracing::error!(asset = %id, error = %second, "could not take back an upload; the next start will");
            }
            return Err(error);
        }
        Ok(())
    }

    async fn insert_intent(&self, asset: &AssetRecord) -> Result<()> {
        let (id, created_at) = (asset.id, asset.created_at);
        let work = self.db.group().write(Box::new(move |tx| {
            Box::pin(async move {
                sqlx::query("INSERT INTO publish_intent (asset_id, created_at) VALUES ($1, $2)")
                    .bind(id.to_string())
                    .bind(created_at)
                    .execute(tx)
                    .await?;
                Ok(())
            })
        }));
        work.await
    }

    async fn insert_published(&self, published: Published) -> Result<()> {
        let published = Arc::new(published);
        let work = self.db.group().write(Box::new(move |tx| {
            let published = Arc::clone(&published);
            Box::pin(async move { published.insert(tx).await })
        }));
        work.await
    }

    /// What publishes have begun and not ended.
    pub(crate) async fn pending_intents(&self) -> Result<Vec<AssetId>> {
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT asset_id FROM publish_intent").fetch_all(self.db.readers()).await?;
        ids.into_iter()
            .map(|id| AssetId::parse(&id).ok_or(Error::Corrupt { table: "publish_intent", id }))
            .collect()
    }

    /// Ends an intent whose publish does not go on: without a row, its bytes go.
    pub(crate) async fn resolve_intent(&self, asset: AssetId) -> Result<()> {
        let mut tx = self.db.write().await?;
        let row: Option<i64> = sqlx::query_scalar("SELECT seq FROM asset WHERE id = $1")
            .bind(asset.to_string())
            .fetch_optional(&mut *tx)
            .await?;
        if row.is_none() {
            self.blobs.remove(BlobKey::Original(asset)).await?;
            let blobs = self.blobs.clone();
            blocking(move || blobs.remove_derived(asset, |_| true)).await?;
        }
        end_intent(&mut tx, asset).await?;
        Ok(tx.commit().await?)
    }
}

/// All rows of a publish.
struct Published {
    asset: AssetRecord,
    early: Option<(EarlyDerivative, String)>,
    receipt: Option<Receipt>,
}

impl Published {
    async fn insert(&self, tx: &mut SqliteConnection) -> Result<()> {
        let Self { asset, early, receipt } = self;
        idempotency::insert(tx, &asset.account, receipt.as_ref(), asset.created_at).await?;
        assets::insert(tx, asset).await?;
        if let Some((early, folder)) = early {
            early.record(tx, asset.id, folder, asset.created_at).await?;
        }
        push_wanted(tx, asset, asset.created_at).await?;
        end_intent(tx, asset.id).await
    }
}

/// Pushes the jobs that a new asset asks for.
pub(crate) async fn push_wanted(tx: &mut SqliteConnection, asset: &AssetRecord, now_ms: i64) -> Result<()> {
    for kind in asset.wanted() {
        jobs::push(tx, asset.id, kind, now_ms).await?;
    }
    Ok(())
}

async fn end_intent(tx: &mut SqliteConnection, asset: AssetId) -> Result<()> {
    sqlx::query("DELETE FROM publish_intent WHERE asset_id = $1").bind(asset.to_string()).execute(tx).await?;
    Ok(())
}
