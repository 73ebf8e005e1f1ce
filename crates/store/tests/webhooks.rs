//! The promises of the outbox, on the real database.

#![expect(clippy::unwrap_used, reason = "in a test it is the assertion")]

mod database;
mod examine;

use std::path::Path;

use reelhouse_api::{
    AssetError, AssetId, EventKind, Fault, IdMaker, JobKind, MediaKind, Method, RenditionStatus, Status,
};
use reelhouse_store::{
    ApiKey, AssetRecord, BlobStore, Database, DeliveryRecord, Error, Homes, KeyOrigin, Lane, Outcome, Store,
    WebhookRecord,
};
use tempfile::TempDir;

const LEASE: i64 = 60_000;

struct Fixture {
    folder: TempDir,
    store: Store,
    ids: IdMaker,
}

fn homes(folder: &Path) -> Homes {
    Homes {
        database: Database::parse(&database::url(folder)).unwrap(),
        blobs: BlobStore::parse(&database::blob_url(folder), 1 << 20).unwrap(),
    }
}

/// A store with two accounts, `a` and `b`.
async fn fixture() -> Fixture {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), &homes(folder.path()), 0).await.unwrap();
    for account in ["a", "b"] {
        let key = ApiKey::new(format!("a-key-for-tests-of-{account}"));
        store.add_key(account, &key, KeyOrigin::Created, false, 0).await.unwrap();
    }
    Fixture { folder, store, ids: IdMaker::default() }
}

impl Fixture {
    async fn webhook(&self, account: &str, events: &[EventKind]) -> WebhookRecord {
        self.store.add_webhook(account, "http://a.example", events, "whsec_x", 0).await.unwrap().unwrap()
    }

    async fn publish(&self, hls: Option<RenditionStatus>) -> Result<AssetId, Error> {
        let asset = self.ids.next(1000, [1; 4]);
        let mut file = self.store.blobs().stage(asset, None);
        file.push(b"bytes").await.unwrap();
        let sealed = file.seal().await.unwrap();
        let record = AssetRecord {
            id: asset,
            account: "a".to_owned(),
            method: Method::Direct,
            status: Status::Ready,
            kind: Some(MediaKind::Video),
            filename: "a.mp4".to_owned(),
            file_type: Some("video/mp4".to_owned()),
            size: Some(5),
            duration: Some(5.0),
            blake3: Some(sealed.blake3().to_owned()),
            created_at: 1000,
            hls_status: hls,
            thumbnail_status: None,
            error: None,
            user_metadata: None,
            hls_folder: None,
            thumbnail_folder: None,
            technical_metadata: None,
        };
        self.store.publish(sealed, record, None, None, 1000).await?;
        Ok(asset)
    }

    async fn claim(&self, webhook: &WebhookRecord, now: i64) -> Vec<DeliveryRecord> {
        self.store.claim_deliveries(&webhook.id, 10, "worker:1", now, LEASE).await.unwrap()
    }

    /// Counters and rows agree.
    async fn assert_healthy(&self) {
        assert_eq!(examine::findings(&self.store, 0).await, [""; 0]);
    }

    async fn end(&self, delivery: &DeliveryRecord, outcome: Outcome, now: i64) -> bool {
        self.store.end_attempt(delivery, outcome, Some(200), None, now).await.unwrap()
    }

    /// Event and state of all, oldest first.
    async fn log(&self, webhook: &WebhookRecord) -> Vec<(String, String)> {
        let mut log = self.store.deliveries(Some(&webhook.id), false, 100).await.unwrap();
        log.reverse();
        log.into_iter().map(|delivery| (delivery.event, delivery.state)).collect()
    }
}

fn logged(log: &[(&str, &str)]) -> Vec<(String, String)> {
    log.iter().map(|(event, state)| ((*event).to_owned(), (*state).to_owned())).collect()
}

#[tokio::test]
async fn an_event_is_written_with_its_change_or_not_at_all() {
    let fixture = fixture().await;
    let all = fixture.webhook("a", EventKind::ALL).await;
    let deleted = fixture.webhook("a", &[EventKind::AssetDeleted]).await;
    let other = fixture.webhook("b", EventKind::ALL).await;
    fixture.store.set_quota("a", Some(1), None).await.unwrap();
    let asset = fixture.publish(Some(RenditionStatus::Pending)).await.unwrap();
    assert!(matches!(fixture.publish(None).await, Err(Error::QuotaReached)));
    assert_eq!(fixture.log(&all).await, logged(&[("asset.ready", "waiting")]));

    // A job that is given up, and one that succeeds after all.
    let job = fixture.store.claim_job(Lane::Make, "w", 1000, LEASE).await.unwrap().unwrap();
    assert_eq!(job.kind, JobKind::Hls);
    fixture.store.fail_job(&job, "broken", None, 2000).await.unwrap();
    fixture.store.fail_job(&job, "too late", None, 2500).await.unwrap();
    fixture.store.retry_job(&job.id, 3000).await.unwrap();
    let job = fixture.store.claim_job(Lane::Make, "w", 3000, LEASE).await.unwrap().unwrap();
    let attempt = fixture.store.begin_attempt(&job).await.unwrap();
    assert!(fixture.store.finish_job(&job, attempt, "{}", 4000).await.unwrap());
    fixture.store.remove("a", asset, false, 5000).await.unwrap();
    fixture.store.remove("a", asset, false, 5001).await.unwrap();
    assert_eq!(
        fixture.log(&all).await,
        logged(&[
            ("asset.ready", "waiting"),
            ("hls.error", "blocked"),
            ("hls.ready", "blocked"),
            ("asset.deleted", "blocked"),
        ])
    );
    assert_eq!(fixture.log(&deleted).await, logged(&[("asset.deleted", "waiting")]));
    assert_eq!(fixture.log(&other).await, []);
}

#[tokio::test]
async fn a_later_event_of_an_asset_waits_for_the_earlier_one() {
    let fixture = fixture().await;
    let webhook = fixture.webhook("a", EventKind::ALL).await;
    let (first, second) = (fixture.publish(None).await.unwrap(), fixture.publish(None).await.unwrap());
    fixture.store.remove("a", first, false, 2000).await.unwrap();
    fixture.store.remove("a", second, false, 2000).await.unwrap();
    assert_eq!(fixture.store.due_webhooks(999).await.unwrap(), []);
    assert_eq!(fixture.store.due_webhooks(1000).await.unwrap().len(), 1);
    let claimed = fixture.claim(&webhook, 3000).await;
    assert_eq!(
        claimed.iter().map(|delivery| delivery.event.as_str()).collect::<Vec<_>>(),
        ["asset.ready"; 2]
    );
    assert_eq!(fixture.claim(&webhook, 3000).await, [], "nobody else has them");
    // One fails: only the other's next goes.
    assert!(fixture.end(&claimed[0], Outcome::Retry(9000), 3000).await);
    assert!(fixture.end(&claimed[1], Outcome::Delivered, 3000).await);
    let next = fixture.claim(&webhook, 4000).await;
    assert_eq!(
        (next.len(), next[0].event.as_str(), &next[0].subject),
        (1, "asset.deleted", &claimed[1].subject)
    );
    assert_eq!(fixture.claim(&webhook, 8999).await, []);
    let again = fixture.claim(&webhook, 9000).await;
    assert_eq!((again.len(), &again[0].id, again[0].attempts), (1, &claimed[0].id, 1));
    // Given up is an end, too.
    assert!(fixture.end(&again[0], Outcome::Dead, 9000).await);
    let last = fixture.claim(&webhook, 9000).await;
    assert_eq!((last.len(), last[0].event.as_str()), (1, "asset.deleted"));
    // Sent again, a dead one waits for what is on its way, and what follows it waits for it.
    assert_eq!(fixture.store.replay(None, 9500).await.unwrap(), 1);
    assert_eq!(fixture.claim(&webhook, 9500).await, []);
    assert!(fixture.end(&last[0], Outcome::Delivered, 9600).await);
    let replayed = fixture.claim(&webhook, 9600).await;
    assert_eq!((replayed.len(), &replayed[0].id, replayed[0].attempts), (1, &claimed[0].id, 0));
}

#[tokio::test]
async fn who_lost_the_lease_changes_nothing() {
    let fixture = fixture().await;
    let webhook = fixture.webhook("a", EventKind::ALL).await;
    fixture.publish(None).await.unwrap();
    let late = fixture.claim(&webhook, 1000).await.remove(0);
    fixture.store.take_back_deliveries(1000 + LEASE, None).await.unwrap();
    assert_eq!(fixture.claim(&webhook, 1000 + LEASE).await, []);
    fixture.store.take_back_deliveries(1001 + LEASE, None).await.unwrap();
    let next = fixture.claim(&webhook, 99_000).await.remove(0);
    assert_eq!((next.id == late.id, next.token, next.attempts), (true, 2, 0));
    assert!(!fixture.end(&late, Outcome::Dead, 99_000).await);
    assert!(!fixture.end(&late, Outcome::Gone, 99_000).await);
    assert!(fixture.end(&next, Outcome::Delivered, 99_001).await);
    assert!(!fixture.end(&next, Outcome::Dead, 99_002).await);
    assert_eq!(fixture.log(&webhook).await, logged(&[("asset.ready", "delivered")]));
    assert_eq!(fixture.store.webhook(&webhook.id).await.unwrap().unwrap().disabled_at, None);
    // What is delivered is forgotten in its time.
    fixture.store.forget_deliveries(99_001, i64::MAX).await.unwrap();
    assert_eq!(fixture.log(&webhook).await.len(), 1);
    fixture.store.forget_deliveries(99_002, 0).await.unwrap();
    assert_eq!(fixture.log(&webhook).await, []);
}

#[tokio::test]
async fn a_server_that_died_leaves_its_deliveries_to_the_next() {
    let Fixture { folder, store, ids } = fixture().await;
    let fixture = Fixture { folder, store, ids };
    let webhook = fixture.webhook("a", EventKind::ALL).await;
    fixture.publish(None).await.unwrap();
    fixture.publish(None).await.unwrap();
    let name = format!("{}1", fixture.store.server_worker());
    let of_server = fixture.store.claim_deliveries(&webhook.id, 1, &name, 1000, LEASE).await.unwrap();
    let of_worker = fixture.claim(&webhook, 1000).await;
    assert_eq!((of_server.len(), of_worker.len()), (1, 1));
    let Fixture { folder, store, ids } = fixture;
    drop(store);
    let fixture = Fixture {
        store: Store::open(folder.path(), &homes(folder.path()), 1001).await.unwrap(),
        folder,
        ids,
    };
    assert_eq!(fixture.claim(&webhook, 1001).await[0].id, of_server[0].id);
    assert!(fixture.end(&of_worker[0], Outcome::Delivered, 1001).await, "a worker's are still its");
}

#[tokio::test]
async fn a_webhook_whose_receiver_is_gone_costs_nothing_and_can_be_enabled() {
    let fixture = fixture().await;
    let webhook = fixture.webhook("a", EventKind::ALL).await;
    let asset = fixture.publish(None).await.unwrap();
    fixture.store.remove("a", asset, false, 2000).await.unwrap();
    let delivery = fixture.claim(&webhook, 3000).await.remove(0);
    assert!(fixture.end(&delivery, Outcome::Gone, 3000).await);
    fixture.assert_healthy().await;
    let dead = [("asset.ready", "dead"), ("asset.deleted", "dead")];
    assert_eq!(fixture.log(&webhook).await, logged(&dead));
    fixture.publish(None).await.unwrap();
    assert_eq!(fixture.log(&webhook).await, logged(&dead));
    assert_eq!(fixture.store.replay(None, 4000).await.unwrap(), 0);
    assert_eq!(fixture.store.test_webhook(&webhook.id, 4000).await.unwrap(), None);
    assert!(fixture.store.enable_webhook(&webhook.id).await.unwrap());
    assert!(!fixture.store.enable_webhook(&webhook.id).await.unwrap());
    assert_eq!(fixture.store.replay(None, 5000).await.unwrap(), 2);
    assert_eq!(
        fixture.log(&webhook).await,
        logged(&[("asset.ready", "waiting"), ("asset.deleted", "blocked")])
    );
    fixture.publish(None).await.unwrap();
    assert_eq!(fixture.log(&webhook).await.len(), 3);
    fixture.assert_healthy().await;
    assert!(fixture.store.remove_webhook(&webhook.id).await.unwrap());
    fixture.assert_healthy().await;
    assert_eq!(fixture.store.deliveries(None, false, 100).await.unwrap(), []);
    fixture.publish(None).await.unwrap();
    assert_eq!(fixture.store.deliveries(None, false, 100).await.unwrap(), []);
}

/// What was arriving and is not taken.
#[tokio::test]
async fn a_failed_asset_says_so_for_all_that_was_asked_of_it() {
    let fixture = fixture().await;
    let webhook = fixture.webhook("a", EventKind::ALL).await;
    let asset: AssetId = fixture.ids.next(1000, [1; 4]);
    let record = AssetRecord {
        id: asset,
        account: "a".to_owned(),
        method: Method::Url,
        status: Status::Processing,
        kind: None,
        filename: "a.mp4".to_owned(),
        file_type: None,
        size: None,
        duration: None,
        blake3: None,
        created_at: 1000,
        hls_status: Some(RenditionStatus::Pending),
        thumbnail_status: None,
        error: None,
        user_metadata: None,
        hls_folder: None,
        thumbnail_folder: None,
        technical_metadata: None,
    };
    let import = reelhouse_store::ImportRecord {
        url: "http://a.example/a.mp4".to_owned(),
        validator: None,
        total: None,
        received: 0,
        rate: None,
    };
    let staged = fixture.store.blobs().stage(asset, None);
    fixture.store.begin_import(staged, &record, import, None).await.unwrap();
    assert_eq!(fixture.log(&webhook).await, [], "it is neither yet");
    let lane = Lane::Import { per_account: 1 };
    let job = fixture.store.claim_job(lane, "w", 1000, LEASE).await.unwrap().unwrap();
    let error = AssetError::from(&Fault::FileUnprocessable);
    assert!(fixture.store.refuse_arrived(&job, &error, 2000).await.unwrap());
    assert!(!fixture.store.refuse_arrived(&job, &error, 3000).await.unwrap());
    assert_eq!(fixture.log(&webhook).await, logged(&[("asset.failed", "waiting"), ("hls.error", "blocked")]));
}
