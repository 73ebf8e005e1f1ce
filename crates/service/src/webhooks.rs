//! Tells webhooks what was written down for them, signed as Standard Webhooks has it: at least once, in order within an
//! asset, and no slow receiver holds up another.

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use reelhouse_api::{AssetId, TEST_EVENT};
use reelhouse_fetch::{Fetcher, PublicUrl};
use reelhouse_metrics::metrics;
use reelhouse_store::{DeliveryRecord, Outcome, WebhookRecord};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{Service, error::Result, worker::millis};

/// Deliveries on their way at once from this process.
const AT_ONCE: usize = 256;
/// Of them to one webhook.
const AT_ONCE_EACH: usize = 4;
/// The longest nobody looks: for events of other processes, and for retries.
const POLL: Duration = Duration::from_secs(1);
/// How much longer than an attempt its lease is.
const LEASE_SPARE: Duration = Duration::from_secs(45);
/// How long the log of deliveries shows what was delivered.
pub(crate) const DELIVERED_REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long what was given up can be sent again.
pub(crate) const DEAD_REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const SECRET_PREFIX: &str = "whsec_";

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// How webhooks are told.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// What may be dialled.
    pub fetch: reelhouse_fetch::Config,
    /// The longest a receiver may take to answer.
    pub timeout: Duration,
    /// The pauses before each further attempt; behind the last one a delivery is given up.
    pub retries: Vec<Duration>,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            fetch: reelhouse_fetch::Config::default(),
            timeout: Duration::from_secs(15),
            // Three days, as Standard Webhooks has them.
            retries: [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
                .map(Duration::from_secs)
                .into(),
        }
    }
}

/// A new secret: 256 random bits as Standard Webhooks writes them.
///
/// # Errors
/// When the system has no randomness.
pub fn new_webhook_secret() -> std::io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(format!("{SECRET_PREFIX}{}", BASE64_STANDARD.encode(bytes)))
}

/// What telling webhooks shares.
#[derive(Debug)]
pub(crate) struct Webhooks {
    fetcher: Fetcher,
    settings: WebhookSettings,
    pub(crate) pushed: Notify,
}

impl Webhooks {
    pub(crate) fn new(settings: WebhookSettings) -> Result<Self> {
        let fetcher = Fetcher::new(settings.fetch.clone())?;
        Ok(Self { fetcher, settings, pushed: Notify::new() })
    }
}

/// What is on its way from this process, and to whom.
struct Slots {
    all: Arc<Semaphore>,
    each: HashMap<String, Arc<Semaphore>>,
    /// Where the next look begins, so that nobody is always last.
    turn: usize,
}

/// A turn, given back when dropped.
type Slot = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Slots {
    fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), each: HashMap::new(), turn: 0 }
    }

    /// As many more as may be on their way to this webhook now.
    fn take(&mut self, webhook: &str) -> Vec<Slot> {
        self.each.retain(|_, slots| slots.available_permits() < AT_ONCE_EACH);
        let slots = self.each.entry(webhook.to_owned());
        let slots = slots.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE_EACH)));
        let next = || {
            let each = Arc::clone(slots).try_acquire_owned().ok()?;
            Some((each, Arc::clone(&self.all).try_acquire_owned().ok()?))
        };
        std::iter::from_fn(next).collect()
    }
}

/// What goes over the wire.
#[derive(Serialize)]
struct Message<'a> {
    r#type: &'a str,
    timestamp: Timestamp,
    data: Value,
}

impl Service {
    /// Sends what is due until `shutdown`; what is on its way then is given back.
    pub(crate) async fn send_webhooks(&self, name: &str, shutdown: &CancellationToken) {
        let (mut slots, mut sending) = (Slots::new(), JoinSet::new());
        while !shutdown.is_cancelled() {
            let looked = self.send_due(name, &mut slots, &mut sending).await;
            let any = looked.unwrap_or_else(|error| {
                tracing::error!(%error, "webhooks could not be looked after");
                false
            });
            tokio::select! {
                () = shutdown.cancelled() => {}
                // Where nobody is told anything, changes are no reason to look.
                () = self.webhooks.pushed.notified(), if any => {}
                // One that is at its end makes room, and lets the next of its asset go.
                Some(_) = sending.join_next() => {}
                () = sleep(POLL) => {}
            }
        }
        sending.shutdown().await;
        if let Err(error) = self.store.take_back_deliveries(0, Some(name)).await {
            tracing::error!(%error, "deliveries could not be given back; their leases will end");
        }
    }

    /// False when there is no webhook at all.
    async fn send_due(&self, name: &str, slots: &mut Slots, sending: &mut JoinSet<()>) -> Result<bool> {
        let mut due = self.store.due_webhooks(self.clock.now_ms()).await?;
        if due.is_empty() {
            return Ok(self.store.has_webhooks().await?);
        }
        slots.turn = slots.turn.wrapping_add(1);
        let turn = slots.turn % due.len();
        due.rotate_left(turn);
        let lease = millis(self.webhooks.settings.timeout + LEASE_SPARE);
        for webhook in due {
            let free = slots.take(&webhook.id);
            if free.is_empty() {
                continue;
            }
            let most = u32::try_from(free.len()).unwrap_or(u32::MAX);
            let now_ms = self.clock.now_ms();
            let claimed = self.store.claim_deliveries(&webhook.id, most, name, now_ms, lease).await?;
            let webhook = Arc::new(webhook);
            for (delivery, slot) in claimed.into_iter().zip(free) {
                let span = tracing::info_span!(
                    "webhook",
                    webhook = webhook.id,
                    delivery = delivery.id,
                    event = delivery.event,
                    asset = delivery.subject
                );
                let (service, webhook) = (self.clone(), Arc::clone(&webhook));
                let send = async move {
                    service.send(&webhook, &delivery).await;
                    drop(slot);
                };
                sending.spawn(send.instrument(span));
            }
        }
        Ok(true)
    }

    /// One attempt, from its message to what came of it.
    async fn send(&self, webhook: &WebhookRecord, delivery: &DeliveryRecord) {
        let begun = Instant::now();
        let (status, error) = match self.post(webhook, delivery).await {
            Ok(status) => {
                (Some(status), status.is_redirection().then(|| "redirects are not followed".to_owned()))
            }
            Err(error) => (None, Some(error)),
        };
        let retry = || {
            let attempts = usize::try_from(delivery.attempts).unwrap_or(usize::MAX);
            let pause = self.webhooks.settings.retries.get(attempts)?;
            Some(Outcome::Retry(self.clock.now_ms().saturating_add(millis(scattered(*pause)))))
        };
        let outcome = match status {
            Some(status) if status.is_success() => Outcome::Delivered,
            Some(StatusCode::GONE) => Outcome::Gone,
            _ => retry().unwrap_or(Outcome::Dead),
        };
        let name = match outcome {
            Outcome::Delivered => "delivered",
            Outcome::Retry(_) => "retry",
            Outcome::Dead => "dead",
            Outcome::Gone => "gone",
        };
        metrics().webhook_attempts.with([name.into()]).inc();
        metrics().webhook_attempt_duration.observe(begun.elapsed().as_secs_f64());
        let status = status.map(|status| status.as_u16());
        match outcome {
            Outcome::Delivered => tracing::info!(status, "delivered"),
            Outcome::Retry(_) => {
                tracing::info!(status, error, attempts = delivery.attempts + 1, "not delivered yet")
            }
            Outcome::Dead => tracing::warn!(status, error, "a delivery was given up"),
            Outcome::Gone => tracing::warn!(status, "a receiver wants no more: its webhook is disabled"),
        }
        let ended =
            self.store.end_attempt(delivery, outcome, status, error.as_deref(), self.clock.now_ms()).await;
        match ended {
            Ok(true) => {}
            Ok(false) => tracing::warn!("the delivery is no longer ours"),
            Err(error) => tracing::error!(%error, "a delivery could not be noted; it will be sent again"),
        }
    }

    /// Why there was no answer, if there was none, in the operator's words.
    async fn post(&self, webhook: &WebhookRecord, delivery: &DeliveryRecord) -> Result<StatusCode, String> {
        let url = PublicUrl::parse(&webhook.url).map_err(|error| error.to_string())?;
        let body = self.message(webhook, delivery).await.map_err(|error| error.to_string())?;
        let seconds = self.now_seconds();
        let signature = sign(&webhook.secret, &delivery.id, seconds, &body).ok_or("its secret is none")?;
        let text = |text: &str| HeaderValue::try_from(text).map_err(|error| error.to_string());
        let headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ID, text(&delivery.id)?),
            (TIMESTAMP, seconds.into()),
            (SIGNATURE, text(&signature)?),
        ]);
        let answered = self.webhooks.fetcher.post(&url, headers, body, self.webhooks.settings.timeout).await;
        answered.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            cause.unwrap_or_else(|| error.to_string())
        })
    }

    /// The asset as it is now; of a deleted one there is only its id.
    async fn message(&self, webhook: &WebhookRecord, delivery: &DeliveryRecord) -> Result<Bytes> {
        let asset = match AssetId::parse(&delivery.subject) {
            Some(id) => self.store.asset_of_any(id).await?,
            None => None,
        };
        let data = match asset {
            Some(asset) => {
                let detail = self.asset_detail(&asset, self.public_url.as_deref());
                serde_json::to_value(detail).unwrap_or_default()
            }
            None if delivery.event == TEST_EVENT => json!({ "webhook": webhook.id }),
            None => json!({ "_id": delivery.subject, "status": "deleted" }),
        };
        let timestamp = Timestamp::from_millisecond(delivery.occurred_at).unwrap_or_default();
        let message = Message { r#type: &delivery.event, timestamp, data };
        Ok(serde_json::to_vec(&message).unwrap_or_default().into())
    }
}

/// `v1,` and base64 of the HMAC of all that is signed; `None` when the secret is none.
fn sign(secret: &str, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
    let key = BASE64_STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
}

/// A tenth less to a tenth more, so that what failed together does not return together.
fn scattered(pause: Duration) -> Duration {
    let mut dice = [0; 2];
    // Without randomness all return at once, which harms the receiver only.
    let _ = getrandom::fill(&mut dice);
    pause.mul_f64(0.9 + 0.2 * f64::from(u16::from_be_bytes(dice)) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // The example of the specification.
        let signature = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(sign("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a", 0, b""), None);
        let secret = new_webhook_secret().unwrap();
        assert!(sign(&secret, "a", 0, b"").is_some());
        assert_ne!(secret, new_webhook_secret().unwrap());
    }

    #[test]
    fn retries_take_three_days() {
        let days = WebhookSettings::default().retries.iter().sum::<Duration>().as_secs_f64() / 86_400.0;
        assert!((3.0..3.5).contains(&days), "{days}");
        let pause = scattered(Duration::from_secs(100)).as_secs_f64();
        assert!((90.0..=110.0).contains(&pause), "{pause}");
    }

    #[test]
    fn one_webhook_does_not_take_all_slots() {
        let mut slots = Slots::new();
        let taken = slots.take("a");
        assert_eq!((taken.len(), slots.take("a").len()), (AT_ONCE_EACH, 0));
        let others: Vec<_> = (0..AT_ONCE).flat_map(|n| slots.take(&n.to_string())).collect();
        assert_eq!(others.len() + taken.len(), AT_ONCE);
        drop(taken);
        assert_eq!(slots.take("a").len(), AT_ONCE_EACH);
        drop(others);
        slots.take("a");
        assert_eq!(slots.each.len(), 1);
    }
}
