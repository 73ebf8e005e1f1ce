//! What webhooks are told, and how it went: leased and fenced like jobs, in order within a webhook's asset.

use sqlx::{AnyConnection, AssertSqlSafe};

use crate::{Store, WebhookRecord, error::Result, webhooks, writer::transaction};

/// One message to one webhook.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DeliveryRecord {
    /// Names it; the receiver sees it, the same with each attempt.
    pub id: String,
    /// Who is told.
    pub webhook_id: String,
    /// Of what: `asset.ready`, for instance.
    pub event: String,
    /// The asset's id; of a test, the delivery's own.
    pub subject: String,
    /// `blocked` (an earlier one of the same asset is not at its end), `waiting`, `sending`, `delivered` or `dead` (given up).
    pub state: String,
    /// When it happened; milliseconds since the epoch.
    pub occurred_at: i64,
    /// When it is sent next; of one at its end, since when it is.
    pub run_at: i64,
    /// Which claim this is.
    pub token: i64,
    /// Attempts that came to an end.
    pub attempts: i64,
    /// When the last one did.
    pub attempted_at: Option<i64>,
    /// The HTTP status that the last one was answered with.
    pub status: Option<i64>,
    /// Why the last one failed.
    pub error: Option<String>,
}

const COLUMNS: &str = "id, webhook_id, event, subject, state, occurred_at, run_at, token, attempts, attempted_at, status, error";
const UNFINISHED: &str = "('blocked', 'waiting', 'sending')";

/// What has been in a state since before a time. By webhook, as the index has it.
const OLD: &str =
    "FROM webhook_delivery WHERE state = $1 AND webhook_id IN (SELECT id FROM webhook) AND run_at < $2";

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// Another attempt, at this time.
    Retry(i64),
    /// It is given up.
    Dead,
    /// The receiver wants no more of anything: the webhook is disabled, and all that waits for it is given up.
    Gone,
}

impl Store {
    /// Webhooks for which something is due.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub async fn due_webhooks(&self, now_ms: i64) -> Result<Vec<WebhookRecord>> {
        let sql = format!(
            "SELECT {} FROM webhook WHERE disabled_at IS NULL AND EXISTS (
                 SELECT 1 FROM webhook_delivery
                 WHERE state = 'waiting' AND webhook_id = webhook.id AND run_at <= $1)",
            webhooks::COLUMNS
        );
        let rows: Vec<webhooks::WebhookRow> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(now_ms).fetch_all(self.db.readers()).await?;
        rows.into_iter().map(WebhookRecord::try_from).collect()
    }

    /// Whether anybody is told anything.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_webhooks(&self) -> Result<bool> {
        let any: Option<String> =
            sqlx::query_scalar("SELECT id FROM webhook WHERE disabled_at IS NULL LIMIT 1")
                .fetch_optional(self.db.readers())
                .await?;
        Ok(any.is_some())
    }

    /// Takes the next deliveries of a webhook that are due, at most so many, for `lease_ms` milliseconds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_deliveries(
        &self,
        webhook: &str,
        most: u32,
        sender: &str,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Vec<DeliveryRecord>> {
        let skip_claimed = self.db.dialect().skip_claimed();
        let sql = format!(
            // Materialized: Postgres may evaluate a subquery more than once, and claim more each time.
            "WITH next AS MATERIALIZED (
                 SELECT id FROM webhook_delivery AS due WHERE state = 'waiting' AND webhook_id = $1 AND run_at <= $2
                 ORDER BY run_at, id LIMIT $3{skip_claimed})
             UPDATE webhook_delivery SET state = 'sending', sender = $4, lease_until = $5, token = token + 1
             WHERE id IN (SELECT id FROM next)
             RETURNING {COLUMNS}"
        );
        transaction!(self.db, |tx| {
            let claimed = sqlx::query_as(AssertSqlSafe(sql.as_str()))
                .bind(webhook)
                .bind(now_ms)
                .bind(i64::from(most))
                .bind(sender)
                .bind(now_ms.saturating_add(lease_ms));
            Ok(claimed.fetch_all(tx).await?)
        })
    }

    /// Notes what an attempt came to: the status it was answered with, or why there was none. False when the delivery is
    /// no longer the sender's; then nothing changes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_attempt(
        &self,
        delivery: &DeliveryRecord,
        outcome: Outcome,
        status: Option<u16>,
        error: Option<&str>,
        now_ms: i64,
    ) -> Result<bool> {
        let (state, run_at) = match outcome {
            Outcome::Delivered => ("delivered", now_ms),
            Outcome::Retry(at) => ("waiting", at),
            Outcome::Dead | Outcome::Gone => ("dead", now_ms),
        };
        transaction!(self.db, |tx| {
            let noted = sqlx::query(
            "UPDATE webhook_delivery SET state = $3, run_at = $4, attempts = attempts + 1, attempted_at = $5, status = $6,
                                         error = $7, sender = NULL, lease_until = NULL
             WHERE id = $1 AND token = $2 AND state = 'sending'",
        )
        .bind(&delivery.id)
        .bind(delivery.token)
        .bind(state)
        .bind(run_at)
        .bind(now_ms)
        .bind(status.map(i64::from))
        .bind(error)
        .execute(&mut *tx)
        .await?
        .rows_affected();
            if noted == 0 {
                return Ok(false);
            }
            match outcome {
                Outcome::Retry(_) => {}
                Outcome::Delivered | Outcome::Dead => {
                    let DeliveryRecord { webhook_id, subject, .. } = delivery;
                    unblock(tx, webhook_id, subject, now_ms).await?;
                }
                Outcome::Gone => disable(tx, &delivery.webhook_id, now_ms).await?,
            }
            Ok(true)
        })
    }

    /// Gives deliveries back unsent and uncounted, whose lease ran out by `now_ms`, or of the senders whose name begins so.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_back_deliveries(&self, now_ms: i64, gone_senders: Option<&str>) -> Result<()> {
        let gone = gone_senders.map(|prefix| format!("{prefix}%"));
        let lost = "state = 'sending' AND (lease_until < $1 OR sender LIKE $2)";
        let any: Option<String> = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT id FROM webhook_delivery WHERE {lost} LIMIT 1"
        )))
        .bind(now_ms)
        .bind(&gone)
        .fetch_optional(self.db.readers())
        .await?;
        if any.is_none() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE webhook_delivery SET state = 'waiting', sender = NULL, lease_until = NULL WHERE {lost}"
        );
        transaction!(self.db, |tx| {
            sqlx::query(AssertSqlSafe(sql.as_str())).bind(now_ms).bind(&gone).execute(tx).await?;
            Ok(())
        })
    }

    /// The newest deliveries first, at most so many: of all webhooks or one, all or only those given up.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deliveries(
        &self,
        webhook: Option<&str>,
        only_dead: bool,
        most: u32,
    ) -> Result<Vec<DeliveryRecord>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM webhook_delivery
             WHERE webhook_id = COALESCE($1, webhook_id) AND state = COALESCE($2, state)
             ORDER BY occurred_at DESC, seq DESC, id LIMIT $3"
        );
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(webhook)
            .bind(only_dead.then_some("dead"))
            .bind(i64::from(most))
            .fetch_all(self.db.readers())
            .await?)
    }

    /// One delivery.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delivery(&self, id: &str) -> Result<Option<DeliveryRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM webhook_delivery WHERE id = $1");
        Ok(sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(self.db.readers()).await?)
    }

    /// Sends a delivery that is at its end, or waits, as if it were new; with `None` all that were given up. In order
    /// within an asset, as ever. Returns how many; of disabled webhooks none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replay(&self, id: Option<&str>, now_ms: i64) -> Result<u64> {
        let which = match id {
            Some(_) => "id = $1 AND state IN ('waiting', 'delivered', 'dead')",
            None => "state = 'dead' AND $1 IS NULL",
        };
        let sql = format!(
            "UPDATE webhook_delivery SET state = 'blocked', run_at = $2, attempts = 0 WHERE {which}
                AND webhook_id IN (SELECT id FROM webhook WHERE disabled_at IS NULL)"
        );
        transaction!(self.db, |tx| {
            let replayed =
                sqlx::query(AssertSqlSafe(sql.as_str())).bind(id).bind(now_ms).execute(&mut *tx).await?;
            unblock_all(tx, now_ms).await?;
            Ok(replayed.rows_affected())
        })
    }

    /// Forgets what was delivered before `delivered_ms` or given up before `dead_ms`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_deliveries(&self, delivered_ms: i64, dead_ms: i64) -> Result<()> {
        for (state, before_ms) in [("delivered", delivered_ms), ("dead", dead_ms)] {
            let any: Option<String> = sqlx::query_scalar(AssertSqlSafe(format!("SELECT id {OLD} LIMIT 1")))
                .bind(state)
                .bind(before_ms)
                .fetch_optional(self.db.readers())
                .await?;
            if any.is_none() {
                continue;
            }
            transaction!(self.db, |tx| {
                let forgotten = sqlx::query(AssertSqlSafe(format!("DELETE {OLD}")));
                forgotten.bind(state).bind(before_ms).execute(tx).await?;
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Lets the first of a webhook's asset go that waits for an earlier one, where none is left.
async fn unblock(tx: &mut AnyConnection, webhook: &str, subject: &str, now_ms: i64) -> Result<()> {
    sqlx::query(
        "UPDATE webhook_delivery SET state = 'waiting', run_at = $3
         WHERE id = (SELECT id FROM webhook_delivery
                     WHERE webhook_id = $1 AND subject = $2 AND state = 'blocked' ORDER BY seq LIMIT 1)
           AND NOT EXISTS (SELECT 1 FROM webhook_delivery AS other
                           WHERE other.webhook_id = $1 AND other.subject = $2
                             AND other.state IN ('waiting', 'sending'))",
    )
    .bind(webhook)
    .bind(subject)
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(())
}

/// The same for all: it looks at everything that is blocked.
async fn unblock_all(tx: &mut AnyConnection, now_ms: i64) -> Result<()> {
    sqlx::query(
        "UPDATE webhook_delivery SET state = 'waiting', run_at = $1
         WHERE state = 'blocked' AND NOT EXISTS (
             SELECT 1 FROM webhook_delivery AS other
             WHERE other.webhook_id = webhook_delivery.webhook_id AND other.subject = webhook_delivery.subject
               AND (other.state IN ('waiting', 'sending')
                    OR other.state = 'blocked' AND other.seq < webhook_delivery.seq))",
    )
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(())
}

async fn disable(tx: &mut AnyConnection, webhook: &str, now_ms: i64) -> Result<()> {
    let disabled: Option<String> = sqlx::query_scalar(
        "UPDATE webhook SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL RETURNING account",
    )
    .bind(webhook)
    .bind(now_ms)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(account) = disabled {
        webhooks::count(tx, &account, -1).await?;
    }
    let sql = format!(
        "UPDATE webhook_delivery SET state = 'dead', run_at = $2, error = 'the receiver is gone', sender = NULL,
                                     lease_until = NULL
         WHERE webhook_id = $1 AND state IN {UNFINISHED}"
    );
    sqlx::query(AssertSqlSafe(sql)).bind(webhook).bind(now_ms).execute(tx).await?;
    Ok(())
}
