//! Bytes, several assets at once; how far all of them are is noted, so that what is there is not sent again.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use reelhouse_api::AssetId;
use tokio::sync::Semaphore;

use super::{Copying, Stage, notes::THROUGH};
use crate::error::{Error, Result};

/// Assets at once.
const AT_ONCE: usize = 4;
/// Assets of which some may be done before one that comes before them.
const AHEAD: usize = 64;
/// Assets that are asked for at once.
const PAGE: i64 = 500;
/// Between two notes of how far all is.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// An asset whose bytes are to be copied.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) asset: AssetId,
    pub(super) original: Original,
    pub(super) derivatives: Vec<Derivative>,
}

/// What is to be had of an asset's own bytes.
#[derive(Debug)]
pub(super) enum Original {
    /// All of them: how many, and their hash.
    Whole(u64, String),
    /// What has arrived so far.
    Arriving,
}

/// What was made of it.
#[derive(Debug)]
pub(super) struct Derivative {
    pub(super) folder: String,
    pub(super) bytes: u64,
}

#[derive(sqlx::FromRow)]
struct AssetRow {
    id: String,
    size: Option<i64>,
    blake3: Option<String>,
}

/// Of assets that have bytes: ready, or processing.
const HAS_BYTES: &str = "deleted_at IS NULL AND (blake3 IS NOT NULL OR status = 'processing')";

impl Copying {
    /// Copies the bytes of all assets that have any. Damage is noted and copied as it is.
    ///
    /// # Errors
    /// When the new home cannot be written or a bucket is away: the same command goes on from there.
    pub async fn copy_bytes(&self) -> Result<()> {
        let through = self.to.db.note(THROUGH).await?.unwrap_or_default();
        self.count(&through).await?;
        let turns = Semaphore::new(AT_ONCE);
        let (mut behind, mut noted) = (through, Instant::now());
        loop {
            let tasks = self.tasks(&behind).await?;
            let Some(last) = tasks.last() else { return Ok(()) };
            let last = last.asset.to_string();
            let mut done = stream::iter(&tasks)
                .map(async |task| {
                    let _turn = turns.acquire().await;
                    self.copy_asset(task).await.map(|()| task.asset)
                })
                .buffered(AHEAD);
            while let Some(asset) = done.next().await {
                let asset = asset?;
                // In their order: all before it are done, too.
                if noted.elapsed() > NOTE_EVERY {
                    self.to.db.set_note(THROUGH, &asset.to_string()).await?;
                    noted = Instant::now();
                }
            }
            self.to.db.set_note(THROUGH, &last).await?;
            behind = last;
        }
    }

    /// What there is to be done, and what was.
    async fn count(&self, through: &str) -> Result<()> {
        let sql = format!(
            "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT),
                    COUNT(CASE WHEN id <= $1 THEN 1 END), CAST(COALESCE(SUM(CASE WHEN id <= $1 THEN size END), 0) AS BIGINT)
             FROM asset WHERE {HAS_BYTES}"
        );
        let counted: (i64, i64, i64, i64) =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(through).fetch_one(self.to.db.readers()).await?;
        let (of_assets, of_bytes, assets, bytes) = counted;
        self.progress.send_modify(|progress| {
            progress.stage = Stage::Bytes;
            (progress.of_assets, progress.of_bytes) = (of_assets.unsigned_abs(), of_bytes.unsigned_abs());
            (progress.assets, progress.bytes) = (assets.unsigned_abs(), bytes.unsigned_abs());
        });
        Ok(())
    }

    /// The next assets, in the order of their ids.
    async fn tasks(&self, behind: &str) -> Result<Vec<Task>> {
        let sql =
            format!("SELECT id, size, blake3 FROM asset WHERE id > $1 AND {HAS_BYTES} ORDER BY id LIMIT $2");
        let rows: Vec<AssetRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(behind)
            .bind(PAGE)
            .fetch_all(self.to.db.readers())
            .await?;
        let Some(last) = rows.last().map(|row| row.id.clone()) else { return Ok(Vec::new()) };
        let made: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT asset_id, folder, bytes FROM derivative WHERE asset_id > $1 AND asset_id <= $2",
        )
        .bind(behind)
        .bind(last)
        .fetch_all(self.to.db.readers())
        .await?;
        let task = |AssetRow { id, size, blake3 }| {
            let asset =
                AssetId::parse(&id).ok_or_else(|| Error::Corrupt { table: "asset", id: id.clone() })?;
            let original = match blake3 {
                Some(blake3) => Original::Whole(size.unwrap_or_default().unsigned_abs(), blake3),
                None => Original::Arriving,
            };
            let derivatives = made
                .iter()
                .filter(|(of, ..)| *of == id)
                .map(|(_, folder, bytes)| Derivative { folder: folder.clone(), bytes: bytes.unsigned_abs() });
            Ok(Task { asset, original, derivatives: derivatives.collect() })
        };
        rows.into_iter().map(task).collect()
    }
}
