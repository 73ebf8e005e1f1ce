//! The outbox: what happens to an asset is written down for the account's webhooks in the transaction in which it happens.

use reelhouse_api::{AssetId, EventKind, JobKind, RenditionStatus, Status};
use sqlx::AnyConnection;

use crate::{
    AssetRecord,
    accounts::hex,
    error::{Error, Result},
};

/// What an asset that has just become what it is has to tell, in order.
pub(crate) fn of_new(asset: &AssetRecord) -> Vec<EventKind> {
    if asset.status != Status::Ready {
        return Vec::new();
    }
    let made = |kind, status: Option<RenditionStatus>| EventKind::of_rendition(kind, status?);
    [
        Some(EventKind::AssetReady),
        made(JobKind::Hls, asset.hls_status),
        made(JobKind::Thumbnail, asset.thumbnail_status),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Writes events of an asset down for every webhook of the account that is told of them. One that follows another of the
/// same asset waits until that is at its end.
pub(crate) async fn record(
    tx: &mut AnyConnection,
    account: &str,
    asset: AssetId,
    events: impl IntoIterator<Item = EventKind>,
    now_ms: i64,
) -> Result<()> {
    for event in events {
        sqlx::query(
            "INSERT INTO webhook_delivery (id, webhook_id, event, subject, seq, state, occurred_at, run_at)
             SELECT $1 || webhook.id, webhook.id, $2, $3,
                    COALESCE((SELECT MAX(seq) FROM webhook_delivery AS earlier
                              WHERE earlier.webhook_id = webhook.id AND earlier.subject = $3), 0) + 1,
                    CASE WHEN EXISTS (SELECT 1 FROM webhook_delivery AS earlier
                                      WHERE earlier.webhook_id = webhook.id AND earlier.subject = $3
                                        AND earlier.state IN ('blocked', 'waiting', 'sending'))
                         THEN 'blocked' ELSE 'waiting' END,
                    $4, $4
             FROM webhook WHERE account = $5 AND disabled_at IS NULL AND events LIKE $6",
        )
        .bind(message_id()?)
        .bind(event.as_str())
        .bind(asset.to_string())
        .bind(now_ms)
        .bind(account)
        .bind(format!("%,{},%", event.as_str()))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// What the ids of a message begin with; the webhook's own id ends them.
pub(crate) fn message_id() -> Result<String> {
    Ok(format!("msg_{}", random_hex::<12>()?))
}

/// So many random bytes, hex.
pub(crate) fn random_hex<const N: usize>() -> Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|source| Error::Io { what: "naming an event", source: std::io::Error::other(source) })?;
    Ok(hex(&bytes))
}
