//! What is counted is what is there.
//!
//! Counters change by what is added, so the difference that one look at all rows finds is theirs, whatever changes behind it.

use sqlx::AssertSqlSafe;

use crate::{Store, error::Result, indexed_assets::DURATION_MS, writer::transaction};

use super::{Finding, round::Round};

impl Round<'_> {
    pub(super) async fn counters(&mut self) -> Result<()> {
        self.progress.begin("counters", 0);
        for finding in self.store.miscounted_accounts().await? {
            self.found(finding).await?;
        }
        for finding in self.store.miscounted_indexes().await? {
            self.found(finding).await?;
        }
        Ok(())
    }
}

impl Store {
    async fn miscounted_accounts(&self) -> Result<Vec<Finding>> {
        let sql = "SELECT name, assets - asset_count, bytes - asset_bytes, told - webhooks FROM (
                 SELECT name, asset_count, asset_bytes, webhooks, COALESCE(held.assets, 0) AS assets,
                        CAST(COALESCE(held.bytes, 0) AS BIGINT) AS bytes,
                        (SELECT COUNT(*) FROM webhook
                         WHERE webhook.account = account.name AND disabled_at IS NULL) AS told
                 FROM account LEFT JOIN (
                     SELECT account, COUNT(*) AS assets, SUM(COALESCE(size, 0)) AS bytes
                     FROM asset WHERE deleted_at IS NULL GROUP BY account
                 ) AS held ON held.account = account.name
             ) AS counted
             WHERE assets <> asset_count OR bytes <> asset_bytes OR told <> webhooks ORDER BY name";
        let rows: Vec<(String, i64, i64, i64)> = self.at_length(sql.to_owned()).await?;
        let finding =
            |(account, assets, bytes, webhooks)| Finding::CountersDiffer { account, assets, bytes, webhooks };
        Ok(rows.into_iter().map(finding).collect())
    }

    async fn miscounted_indexes(&self) -> Result<Vec<Finding>> {
        let sql = format!(
            "SELECT id, videos - video_count, ms - total_duration_ms FROM (
                 SELECT id, video_count, total_duration_ms, COALESCE(held.videos, 0) AS videos,
                        CAST(COALESCE(held.ms, 0) AS BIGINT) AS ms
                 FROM media_index LEFT JOIN (
                     SELECT index_id, COUNT(*) AS videos, SUM({DURATION_MS}) AS ms FROM indexed_asset GROUP BY index_id
                 ) AS held ON held.index_id = media_index.id
             ) AS counted
             WHERE videos <> video_count OR ms <> total_duration_ms ORDER BY id"
        );
        let rows: Vec<(String, i64, i64)> = self.at_length(sql).await?;
        let finding =
            |(index, videos, duration_ms)| Finding::IndexCountersDiffer { index, videos, duration_ms };
        Ok(rows.into_iter().map(finding).collect())
    }

    /// The rows of a statement that may take as long as it takes.
    pub(super) async fn at_length<T>(&self, sql: String) -> Result<Vec<T>>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::any::AnyRow> + Send + Unpin,
    {
        self.db
            .read(async {
                let mut snapshot = self.db.long_snapshot().await?;
                Ok(sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut *snapshot).await?)
            })
            .await
    }

    pub(super) async fn recount_account(
        &self,
        account: &str,
        assets: i64,
        bytes: i64,
        webhooks: i64,
    ) -> Result<()> {
        transaction!(self.db, |tx| {
            sqlx::query(
                "UPDATE account SET asset_count = asset_count + $2, asset_bytes = asset_bytes + $3,
                                    webhooks = webhooks + $4 WHERE name = $1",
            )
            .bind(account)
            .bind(assets)
            .bind(bytes)
            .bind(webhooks)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    pub(super) async fn recount_index(&self, index: &str, videos: i64, duration_ms: i64) -> Result<()> {
        transaction!(self.db, |tx| {
            sqlx::query(
                "UPDATE media_index SET video_count = video_count + $2, total_duration_ms = total_duration_ms + $3
                 WHERE id = $1",
            )
            .bind(index)
            .bind(videos)
            .bind(duration_ms)
            .execute(tx)
            .await?;
            Ok(())
        })
    }
}
