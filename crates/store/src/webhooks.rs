//! Who is told what happens.

use reelhouse_api::{EventKind, TEST_EVENT};
use sqlx::AssertSqlSafe;

use crate::{
    Store,
    error::{Error, Result},
    events::{message_id, random_hex},
    writer::transaction,
};

/// Who is told what happens to an account's assets.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookRecord {
    /// Names it.
    pub id: String,
    /// Whose assets.
    pub account: String,
    /// Where to.
    pub url: String,
    /// Of what.
    pub events: Vec<EventKind>,
    /// `whsec_` and base64: what its deliveries are signed with.
    pub secret: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Since when it is told nothing.
    pub disabled_at: Option<i64>,
}

/// Without the secret and without the URL's query, which may hold one.
impl std::fmt::Debug for WebhookRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookRecord").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct WebhookRow {
    id: String,
    account: String,
    url: String,
    events: String,
    secret: String,
    created_at: i64,
    disabled_at: Option<i64>,
}

pub(crate) const COLUMNS: &str = "id, account, url, events, secret, created_at, disabled_at";

impl TryFrom<WebhookRow> for WebhookRecord {
    type Error = Error;

    fn try_from(row: WebhookRow) -> Result<Self> {
        let WebhookRow { id, account, url, events, secret, created_at, disabled_at } = row;
        let events = events.split(',').filter(|event| !event.is_empty()).map(EventKind::parse).collect();
        match events {
            Some(events) => Ok(Self { id, account, url, events, secret, created_at, disabled_at }),
            None => Err(Error::Corrupt { table: "webhook", id }),
        }
    }
}

impl Store {
    /// Tells a URL of an account's events from now on; `None` when there is no such account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_webhook(
        &self,
        account: &str,
        url: &str,
        events: &[EventKind],
        secret: &str,
        now_ms: i64,
    ) -> Result<Option<WebhookRecord>> {
        let id = random_hex::<6>()?;
        let names: Vec<&str> = events.iter().map(|event| event.as_str()).collect();
        let sql = format!(
            "INSERT INTO webhook (id, account, url, events, secret, created_at) VALUES ($1, $2, $3, $4, $5, $6)
             RETURNING {COLUMNS}"
        );
        let names = format!(",{},", names.join(","));
        transaction!(self.db, |tx| {
            if count(tx, account, 1).await? == 0 {
                return Ok(None);
            }
            let row: WebhookRow = sqlx::query_as(AssertSqlSafe(sql.as_str()))
                .bind(&id)
                .bind(account)
                .bind(url)
                .bind(&names)
                .bind(secret)
                .bind(now_ms)
                .fetch_one(tx)
                .await?;
            WebhookRecord::try_from(row).map(Some)
        })
    }

    /// Every webhook, oldest first.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub async fn webhooks(&self) -> Result<Vec<WebhookRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM webhook ORDER BY created_at, id");
        let rows: Vec<WebhookRow> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(self.db.readers()).await?;
        rows.into_iter().map(WebhookRecord::try_from).collect()
    }

    /// One webhook.
    ///
    /// # Errors
    /// When the database fails or the row is corrupt.
    pub async fn webhook(&self, id: &str) -> Result<Option<WebhookRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM webhook WHERE id = $1");
        let row: Option<WebhookRow> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(self.db.readers()).await?;
        row.map(WebhookRecord::try_from).transpose()
    }

    /// Forgets a webhook and all that it was or would be told; false if there is none of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_webhook(&self, id: &str) -> Result<bool> {
        transaction!(self.db, |tx| {
            let removed: Option<(String, Option<i64>)> =
                sqlx::query_as("DELETE FROM webhook WHERE id = $1 RETURNING account, disabled_at")
                    .bind(id)
                    .fetch_optional(&mut *tx)
                    .await?;
            let Some((account, disabled_at)) = removed else { return Ok(false) };
            if disabled_at.is_none() {
                count(tx, &account, -1).await?;
            }
            sqlx::query("DELETE FROM webhook_delivery WHERE webhook_id = $1").bind(id).execute(tx).await?;
            Ok(true)
        })
    }

    /// Tells a webhook again that was told nothing any more; false if there is no disabled one of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enable_webhook(&self, id: &str) -> Result<bool> {
        transaction!(self.db, |tx| {
            let enabled: Option<String> = sqlx::query_scalar(
            "UPDATE webhook SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL RETURNING account",
        )
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
            let Some(account) = enabled else { return Ok(false) };
            count(tx, &account, 1).await?;
            Ok(true)
        })
    }

    /// Writes down a message that only tries the webhook; returns its id, `None` when there is no such webhook.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn test_webhook(&self, id: &str, now_ms: i64) -> Result<Option<String>> {
        let message = message_id()?;
        transaction!(self.db, |tx| {
            let delivery: Option<String> = sqlx::query_scalar(
            "INSERT INTO webhook_delivery (id, webhook_id, event, subject, seq, state, occurred_at, run_at)
             SELECT $1 || id, id, $2, $1 || id, 1, 'waiting', $3, $3 FROM webhook WHERE id = $4 AND disabled_at IS NULL
             RETURNING id",
        )
        .bind(&message)
        .bind(TEST_EVENT)
        .bind(now_ms)
        .bind(id)
        .fetch_optional(tx)
        .await?;
            Ok(delivery)
        })
    }
}

/// Counts an account's webhooks; returns how many accounts of this name there are.
pub(crate) async fn count(tx: &mut sqlx::AnyConnection, account: &str, more: i64) -> Result<u64> {
    let counted = sqlx::query("UPDATE account SET webhooks = webhooks + $2 WHERE name = $1")
        .bind(account)
        .bind(more)
        .execute(tx)
        .await?;
    Ok(counted.rows_affected())
}
