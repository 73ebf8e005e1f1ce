//! What of an account's rates is whose. How they are divided is the service's business.

use crate::{Store, error::Result, writer::transaction};

/// What a node may use of an account's rates, or what nobody may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateShare {
    /// Empty for nobody's.
    pub node: String,
    /// Of a million.
    pub parts: i64,
    /// Of the rates by minute and by day: until when what was used takes them up, or may before the lease is renewed. In
    /// microseconds since the epoch.
    pub busy_until: [i64; 2],
    /// Until when it is the node's, likewise.
    pub lease_until: i64,
}

impl Store {
    /// This node's name among all that share the database.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Lets the shares of accounts be divided anew, all in one transaction; `divide` may be called more than once for each. Returns
    /// what it returned, in the order of the accounts.
    ///
    /// # Errors
    /// When the database fails; then nobody knows whether they were, if it failed in the commit.
    pub async fn share_rates<T: Send>(
        &self,
        accounts: &[&str],
        divide: impl Fn(usize, &mut Vec<RateShare>) -> T + Send + Sync,
    ) -> Result<Vec<T>> {
        transaction!(self.db, |tx| {
            let mut divided = Vec::with_capacity(accounts.len());
            for (at, account) in accounts.iter().enumerate() {
                let rows: Vec<(String, i64, i64, i64, i64)> = sqlx::query_as(
                    "SELECT node, parts, busy_minute, busy_day, lease_until FROM rate_share WHERE account = $1",
                )
                .bind(*account)
                .fetch_all(&mut *tx)
                .await?;
                let share = |(node, parts, minute, day, lease_until)| RateShare {
                    node,
                    parts,
                    busy_until: [minute, day],
                    lease_until,
                };
                let before: Vec<RateShare> = rows.into_iter().map(share).collect();
                let mut after = before.clone();
                divided.push(divide(at, &mut after));
                for gone in before.iter().filter(|row| !after.iter().any(|kept| kept.node == row.node)) {
                    sqlx::query("DELETE FROM rate_share WHERE account = $1 AND node = $2")
                        .bind(*account)
                        .bind(&gone.node)
                        .execute(&mut *tx)
                        .await?;
                }
                for changed in after.iter().filter(|row| !before.contains(row)) {
                    let [minute, day] = changed.busy_until;
                    sqlx::query(
                        "INSERT INTO rate_share (account, node, parts, busy_minute, busy_day, lease_until)
                         VALUES ($1, $2, $3, $4, $5, $6)
                         ON CONFLICT (account, node) DO UPDATE SET
                             parts = $3, busy_minute = $4, busy_day = $5, lease_until = $6",
                    )
                    .bind(*account)
                    .bind(&changed.node)
                    .bind(changed.parts)
                    .bind(minute)
                    .bind(day)
                    .bind(changed.lease_until)
                    .execute(&mut *tx)
                    .await?;
                }
            }
            Ok(divided)
        })
    }
}
