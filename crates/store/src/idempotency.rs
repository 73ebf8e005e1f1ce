//! Answers that are given again: a request with a key that was used before made nothing new.

use sqlx::AnyConnection;

use crate::{
    Store,
    error::{Error, Result},
    writer::transaction,
};

/// What is kept of a request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The `Idempotency-Key`, and what it was used for.
    pub key: String,
    /// Of all that the request says, hex.
    pub fingerprint: String,
    /// The answer's body, JSON.
    pub answer: String,
}

/// Keeps a receipt, in the transaction that makes what it tells of.
///
/// # Errors
/// [`Error::KeyUsed`] when another request with this key was first.
pub(crate) async fn insert(
    tx: &mut AnyConnection,
    account: &str,
    receipt: Option<&Receipt>,
    now_ms: i64,
) -> Result<()> {
    let Some(Receipt { key, fingerprint, answer }) = receipt else { return Ok(()) };
    let kept = sqlx::query(
        "INSERT INTO idempotency (account, key, fingerprint, answer, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (account, key) DO NOTHING",
    )
    .bind(account)
    .bind(key)
    .bind(fingerprint)
    .bind(answer)
    .bind(now_ms)
    .execute(tx)
    .await?;
    if kept.rows_affected() == 0 { Err(Error::KeyUsed) } else { Ok(()) }
}

impl Store {
    /// The receipt of an account's key; `None` for a key that was not used since `since_ms`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn receipt(&self, account: &str, key: &str, since_ms: i64) -> Result<Option<Receipt>> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT fingerprint, answer FROM idempotency WHERE account = $1 AND key = $2 AND created_at >= $3",
        )
        .bind(account)
        .bind(key)
        .bind(since_ms)
        .fetch_optional(self.db.readers())
        .await?;
        Ok(row.map(|(fingerprint, answer)| Receipt { key: key.to_owned(), fingerprint, answer }))
    }

    /// Forgets receipts from before `before_ms`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_receipts(&self, before_ms: i64) -> Result<()> {
        let any: Option<String> =
            sqlx::query_scalar("SELECT key FROM idempotency WHERE created_at < $1 LIMIT 1")
                .bind(before_ms)
                .fetch_optional(self.db.readers())
                .await?;
        if any.is_none() {
            return Ok(());
        }
        transaction!(self.db, |tx| {
            sqlx::query("DELETE FROM idempotency WHERE created_at < $1").bind(before_ms).execute(tx).await?;
            Ok(())
        })
    }
}
