//! How bytes become an asset that survives: the only way in.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use reelhouse_api::AssetId;
use sqlx::AnyConnection;
use tokio::{join, try_join};
use tracing::{Instrument, Span};

use crate::{
    AssetRecord, EarlyDerivative, Store, assets,
    error::{Error, Result},
    idempotency::{self, Receipt},
    jobs, revisit,
    staging::Sealed,
    writer::transaction,
};

impl Store {
    /// Makes the sealed bytes the original of a new asset, and what was made of it already its derivative; returns whether
    /// that pushed a job or an event. When this returns `Ok`, all survive kill -9 and power loss; when it fails or never
    /// returns, nothing of it is there after the next start.
    ///
    /// The order is the promise: the intent is committed; then the file is in its place, its bytes flushed and its
    /// folder, too, or completed in the bucket; one transaction writes the row and ends the intent. An intent that was taken back
    /// meanwhile cannot be ended.
    ///
    /// # Errors
    /// When the database or the folder fails, the account's quota is reached, or the receipt's key was used meanwhile.
    pub async fn publish(
        &self,
        mut bytes: Sealed,
        asset: AssetRecord,
        early: Option<EarlyDerivative>,
        receipt: Option<Receipt>,
        now_ms: i64,
    ) -> Result<bool> {
        let id = asset.id;
        let early = early.map(|early| {
            let folder = early.folder_at_publish(id);
            (early, folder)
        });
        // As long as a store takes; an intent is not to become old for it.
        bytes.sent().await?;
        try_join!(self.insert_intent(&asset.account, id, now_ms), bytes.flushed())?;
        let moved_and_recorded = async {
            let kept = async {
                match &early {
                    Some((early, folder)) => early.write(&self.blobs, id, folder).await,
                    None => Ok(()),
                }
            };
            // Both to their end: what goes on after the other failed could not be taken back.
            let (moved, kept) = join!(bytes.move_into_place(), kept);
            moved.and(kept)?;
            self.insert_published(Published { asset, early, receipt, pushed: AtomicBool::new(false) }).await
        };
        let error = match moved_and_recorded.await {
            Ok(pushed) => return Ok(pushed),
            Err(error) => error,
        };
        if error.is_certain() && error.is_unavailable() {
            // It was waited for long enough; the intent will be found.
            return Err(error);
        }
        // The next start would do the same; doing it now leaves no trace until then, and may tell that all is well.
        match self.resolve_intent(id, now_ms).await {
            // What it pushed is not known here.
            Ok(Resolved::Published) => Ok(true),
            Ok(Resolved::TakenBack) => Err(error),
            Err(second) => {
                tracing::error!(asset = %id, error = %second, "could not take back an upload; the next start will");
                Err(error)
            }
        }
    }

    async fn insert_intent(&self, account: &str, id: AssetId, now_ms: i64) -> Result<()> {
        let node = Arc::clone(&self.node);
        let work = self.db.group().write(
            account,
            Box::new(move |tx| {
                let node = Arc::clone(&node);
                Box::pin(async move {
                    sqlx::query(
                        "INSERT INTO publish_intent (asset_id, created_at, node) VALUES ($1, $2, $3)",
                    )
                    .bind(id.to_string())
                    .bind(now_ms)
                    .bind(node.as_ref())
                    .execute(tx)
                    .await?;
                    Ok(())
                })
            }),
        );
        work.await
    }

    async fn insert_published(&self, published: Published) -> Result<bool> {
        let (published, span) = (Arc::new(published), Span::current());
        let inserted = Arc::clone(&published);
        let work = self.db.group().write(
            &published.asset.account,
            Box::new(move |tx| {
                let published = Arc::clone(&inserted);
                // The jobs are of the trace of whoever waits.
                Box::pin(async move { published.insert(tx).await }.instrument(span.clone()))
            }),
        );
        work.await?;
        Ok(published.pushed.load(Relaxed))
    }

    /// What publishes a process before this one began, over this folder, and did not end.
    pub(crate) async fn own_intents(&self) -> Result<Vec<AssetId>> {
        // Those from before there was more than one node have none.
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT asset_id FROM publish_intent WHERE node IN ($1, '')")
                .bind(self.node.as_ref())
                .fetch_all(self.db.readers())
                .await?;
        ids.into_iter().map(parse).collect()
    }

    /// What publishes began before `before_ms` and did not end, whatever node began them: it is gone, or its publish will
    /// find that it was too slow.
    pub(crate) async fn intents_before(&self, before_ms: i64) -> Result<Vec<AssetId>> {
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT asset_id FROM publish_intent WHERE created_at < $1")
                .bind(before_ms)
                .fetch_all(self.db.readers())
                .await?;
        ids.into_iter().map(parse).collect()
    }

    /// Ends an intent whose publish does not go on: without a row, its bytes go.
    ///
    /// The publish may be under way still, or its commit may be, on a connection that was lost. So it is forbidden first,
    /// and bytes go only when that is committed.
    pub(crate) async fn resolve_intent(&self, asset: AssetId, now_ms: i64) -> Result<Resolved> {
        let resolved = transaction!(self.db, |tx| {
            sqlx::query("UPDATE publish_intent SET taken_back = 1 WHERE asset_id = $1")
                .bind(asset.to_string())
                .execute(&mut *tx)
                .await?;
            let row: Option<i64> = sqlx::query_scalar("SELECT seq FROM asset WHERE id = $1")
                .bind(asset.to_string())
                .fetch_optional(tx)
                .await?;
            Ok(if row.is_some() { Resolved::Published } else { Resolved::TakenBack })
        })?;
        if resolved == Resolved::TakenBack {
            self.blobs.remove_unseen(asset).await?;
            self.blobs.remove_derived(asset, |_| true).await?;
        }
        transaction!(self.db, |tx| {
            if resolved == Resolved::TakenBack && self.blobs.may_be_late() {
                revisit::push(tx, asset, now_ms).await?;
            }
            sqlx::query("DELETE FROM publish_intent WHERE asset_id = $1")
                .bind(asset.to_string())
                .execute(tx)
                .await?;
            Ok(resolved)
        })
    }
}

fn parse(id: String) -> Result<AssetId> {
    AssetId::parse(&id).ok_or(Error::Corrupt { table: "publish_intent", id })
}

/// How a publish ended whose end was not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// The asset is there.
    Published,
    /// Nothing of it is, and nothing will be.
    TakenBack,
}

/// All rows of a publish.
struct Published {
    asset: AssetRecord,
    early: Option<(EarlyDerivative, String)>,
    receipt: Option<Receipt>,
    /// Set by the insert.
    pushed: AtomicBool,
}

impl Published {
    async fn insert(&self, tx: &mut AnyConnection) -> Result<()> {
        let Self { asset, early, receipt, pushed } = self;
        idempotency::insert(tx, &asset.account, receipt.as_ref(), asset.created_at).await?;
        let is_told = assets::insert(tx, asset, asset.size.unwrap_or(0)).await?;
        pushed.store(is_told || asset.wanted().next().is_some(), Relaxed);
        if let Some((early, folder)) = early {
            early.record(tx, asset.id, folder, asset.created_at).await?;
        }
        push_wanted(tx, asset, asset.created_at).await?;
        end_intent(tx, asset.id).await
    }
}

/// Pushes the jobs that a new asset asks for.
pub(crate) async fn push_wanted(tx: &mut AnyConnection, asset: &AssetRecord, now_ms: i64) -> Result<()> {
    for kind in asset.wanted() {
        jobs::push(tx, asset.id, kind, now_ms).await?;
    }
    Ok(())
}

/// Ends the intent of a publish that was not taken back.
async fn end_intent(tx: &mut AnyConnection, asset: AssetId) -> Result<()> {
    let ended = sqlx::query("DELETE FROM publish_intent WHERE asset_id = $1 AND taken_back = 0")
        .bind(asset.to_string())
        .execute(tx)
        .await?;
    if ended.rows_affected() == 0 { Err(Error::TakenBack) } else { Ok(()) }
}
