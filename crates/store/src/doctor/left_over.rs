//! What somebody began, and nobody ended.

use reelhouse_api::AssetId;

use crate::{Error, Store, error::Result, scratch::modified_ms};

use super::{Finding, OLD, PAGE, round::Round};

#[derive(sqlx::FromRow)]
struct Intent {
    asset_id: String,
    created_at: i64,
    node: String,
}

/// By then a worker has noticed that its job is not its any more, in milliseconds: longer than a lease.
const NOTICED: i64 = 2 * 60 * 1000;

impl Round<'_> {
    pub(super) async fn left_over(&mut self) -> Result<()> {
        self.progress.begin("what is left over", 0);
        self.intents().await?;
        self.removals().await?;
        self.revisits().await?;
        self.staging().await?;
        self.attempts().await?;
        self.incoming().await
    }

    async fn intents(&mut self) -> Result<()> {
        let mut behind = String::new();
        loop {
            let page = self.store.intents(&behind).await?;
            let Some(last) = page.last() else { return Ok(()) };
            behind.clone_from(&last.asset_id);
            for Intent { asset_id, created_at, node } in page {
                let asset = AssetId::parse(&asset_id)
                    .ok_or(Error::Corrupt { table: "publish_intent", id: asset_id })?;
                let is_old = created_at < self.how.now_ms - OLD;
                // Before there was more than one node, intents had none.
                let is_own = node.is_empty() || node == *self.store.node;
                // Another node's may be under way: who knows whether it lives.
                let left = is_old || is_own && self.server_since.is_none_or(|since| created_at < since);
                if left && self.store.has_intent(asset).await? {
                    self.left(Finding::IntentLeftOver(asset)).await?;
                }
            }
        }
    }

    /// Tombstones.
    async fn removals(&mut self) -> Result<()> {
        let old = self.store.tombstones(self.how.now_ms - OLD).await?;
        if self.server_since.is_none() {
            self.report.unfinished += self.store.tombstone_count().await?.saturating_sub(old.len() as u64);
        }
        for asset in old {
            self.left(Finding::RemovalLeftOver(asset)).await?;
        }
        Ok(())
    }

    async fn revisits(&mut self) -> Result<()> {
        for asset in self.store.revisits_before(self.how.now_ms - OLD).await? {
            self.left(Finding::RevisitLeftOver(asset)).await?;
        }
        Ok(())
    }

    async fn staging(&mut self) -> Result<()> {
        for path in self.store.blobs.scratch.staging_files()? {
            let modified = modified_ms(&path);
            // Of the running server, or gone since it was listed.
            if modified.is_some_and(|at| self.server_since.is_none_or(|since| at < since)) {
                self.left(Finding::StagingLeftOver(path)).await?;
            }
        }
        Ok(())
    }

    async fn attempts(&mut self) -> Result<()> {
        for path in self.store.abandoned_attempts().await? {
            // Its worker may not know yet.
            let noticed = self.how.now_ms - NOTICED;
            if self.server_since.is_none() || modified_ms(&path).is_some_and(|at| at < noticed) {
                self.left(Finding::AttemptLeftOver(path)).await?;
            }
        }
        Ok(())
    }

    async fn incoming(&mut self) -> Result<()> {
        for path in self.store.blobs.scratch.incoming_files()? {
            let asset = path.file_name().and_then(|name| name.to_str()).and_then(AssetId::parse);
            // The row comes just behind its file.
            let is_new =
                asset.zip(self.server_since).is_some_and(|(asset, since)| asset.created_ms() >= since);
            let awaited = match asset {
                Some(asset) => self.store.is_arriving(asset).await?,
                None => false,
            };
            if !awaited && !is_new && path.exists() {
                self.left(Finding::IncomingLeftOver(path)).await?;
            }
        }
        Ok(())
    }
}

impl Store {
    /// The next page of intents.
    async fn intents(&self, behind: &str) -> Result<Vec<Intent>> {
        let page = sqlx::query_as(
            "SELECT asset_id, created_at, node FROM publish_intent WHERE asset_id > $1 ORDER BY asset_id LIMIT $2",
        );
        Ok(page.bind(behind).bind(PAGE).fetch_all(self.db.readers()).await?)
    }

    async fn has_intent(&self, asset: AssetId) -> Result<bool> {
        let there: Option<i64> = sqlx::query_scalar("SELECT 1 FROM publish_intent WHERE asset_id = $1")
            .bind(asset.to_string())
            .fetch_optional(self.db.readers())
            .await?;
        Ok(there.is_some())
    }

    async fn tombstone_count(&self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM asset WHERE deleted_at IS NOT NULL")
            .fetch_one(self.db.readers())
            .await?;
        Ok(count.unsigned_abs())
    }
}
