//! How far imports are, durably: where a job goes on after its process died.

use reelhouse_api::AssetId;
use sqlx::AnyConnection;

use crate::{JobRecord, Store, error::Result, writer::transaction};

/// An import under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRecord {
    /// As the caller gave it.
    pub url: String,
    /// What If-Range is sent with; `None` where the origin gives nothing that proves sameness.
    pub validator: Option<String>,
    /// Bytes of the whole, where the origin says.
    pub total: Option<u64>,
    /// Bytes that are here and survive power loss.
    pub received: u64,
    /// Bytes a second, lately.
    pub rate: Option<u64>,
}

/// Begins an import.
pub(crate) async fn insert(tx: &mut AnyConnection, asset: AssetId, import: &ImportRecord) -> Result<()> {
    let ImportRecord { url, validator, total, received, rate } = import;
    sqlx::query(
        "INSERT INTO import (asset_id, url, validator, total, received, rate) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(asset.to_string())
    .bind(url)
    .bind(validator)
    .bind(total.map(i64_of))
    .bind(i64_of(*received))
    .bind(rate.map(i64_of))
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// How far an asset's import is; `None` when there is none under way.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn import(&self, asset: AssetId) -> Result<Option<ImportRecord>> {
        type Row = (String, Option<String>, Option<i64>, i64, Option<i64>);
        let row: Option<Row> =
            sqlx::query_as("SELECT url, validator, total, received, rate FROM import WHERE asset_id = $1")
                .bind(asset.to_string())
                .fetch_optional(self.db.readers())
                .await?;
        Ok(row.map(|(url, validator, total, received, rate)| ImportRecord {
            url,
            validator,
            total: total.map(i64::unsigned_abs),
            received: received.unsigned_abs(),
            rate: rate.map(i64::unsigned_abs),
        }))
    }

    /// Notes how far an import is. `received` bytes must be flushed. False when the job is no longer the worker's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_import(&self, job: &JobRecord, import: &ImportRecord) -> Result<bool> {
        transaction!(self.db, |tx| {
            let noted = sqlx::query(
                "UPDATE import SET validator = $2, total = $3, received = $4, rate = $5
             WHERE asset_id = $1
               AND EXISTS (SELECT 1 FROM job WHERE id = $6 AND token = $7 AND state = 'running')",
            )
            .bind(job.asset_id.to_string())
            .bind(&import.validator)
            .bind(import.total.map(i64_of))
            .bind(i64_of(import.received))
            .bind(import.rate.map(i64_of))
            .bind(&job.id)
            .bind(job.token)
            .execute(tx)
            .await?;
            Ok(noted.rows_affected() > 0)
        })
    }
}

fn i64_of(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
