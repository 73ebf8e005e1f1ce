//! The promises of the job table, on the real database.

#![expect(clippy::unwrap_used, reason = "in a test it is the assertion")]

mod database;
mod examine;

use std::path::Path;

use reelhouse_api::{AssetId, IdMaker, JobKind, JobState, MediaKind, Method, RenditionStatus, Status};
use reelhouse_bucket::Bucket;
use reelhouse_store::{
    ApiKey, AssetRecord, BlobStore, Database, Homes, JobRecord, KeyOrigin, Lane, MAX_FAILED_ATTEMPTS,
    MAX_LOST_LEASES, Removal, Store,
};
use tempfile::TempDir;

const LEASE: i64 = 30_000;

struct Fixture {
    folder: TempDir,
    store: Store,
    asset: AssetId,
}

fn homes(folder: &Path) -> Homes {
    Homes {
        database: Database::parse(&database::url(folder)).unwrap(),
        blobs: BlobStore::parse(&database::blob_url(folder), 1 << 20).unwrap(),
    }
}

/// A store with one asset that wants HLS.
async fn fixture() -> Fixture {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), &homes(folder.path()), 0).await.unwrap();
    store.add_key("a", &ApiKey::new("a-key-for-tests-only"), KeyOrigin::Created, false, 0).await.unwrap();
    let asset = IdMaker::default().next(1000, [1; 4]);
    let mut file = store.blobs().stage(asset, None);
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
        hls_status: Some(RenditionStatus::Pending),
        thumbnail_status: None,
        error: None,
        user_metadata: None,
        hls_folder: None,
        thumbnail_folder: None,
        technical_metadata: None,
    };
    store.publish(sealed, record, None, None, 1000).await.unwrap();
    Fixture { folder, store, asset }
}

impl Fixture {
    async fn claim(&self, now: i64) -> Option<JobRecord> {
        self.store.claim_job(Lane::Make, "worker:1/0", now, LEASE).await.unwrap()
    }

    async fn status(&self) -> Option<RenditionStatus> {
        self.store.asset("a", self.asset).await.unwrap().unwrap().hls_status
    }

    /// Makes one file and ends the job with it.
    async fn finish(&self, job: &JobRecord) -> bool {
        let attempt = self.store.begin_attempt(job).await.unwrap();
        std::fs::write(attempt.path().join("index"), job.attempt()).unwrap();
        self.store.finish_job(job, attempt, "{}", 5000).await.unwrap()
    }

    /// The derivatives there are and the attempts under way.
    async fn folders(&self) -> (Vec<String>, usize) {
        let asset = self.asset.to_string();
        let home = format!("derived/{}/{asset}/", &asset[22..]);
        let names = |path| {
            let entries = std::fs::read_dir(path).into_iter().flatten();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        let derived = match homes(self.folder.path()).blobs {
            BlobStore::Folder => names(self.folder.path().join(&home)),
            BlobStore::Bucket(location, _) => {
                let found = Bucket::new(location).unwrap().list(&home, None).await.unwrap().objects;
                let folder = |key: &str| key[home.len()..].split('/').next().unwrap().to_owned();
                found.iter().map(|object| folder(&object.key)).collect()
            }
        };
        (derived, names(self.folder.path().join("work")).len())
    }

    /// Writes a file of an attempt where derivatives lie, as who does not know that it lost its job.
    async fn write_late(&self, job: &JobRecord) {
        let asset = self.asset.to_string();
        let key = format!("derived/{}/{asset}/{}/index", &asset[22..], job.attempt());
        match homes(self.folder.path()).blobs {
            BlobStore::Folder => {
                let path = self.folder.path().join(&key);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "late").unwrap();
            }
            BlobStore::Bucket(location, _) => {
                let late = reelhouse_bucket::Payload::Bytes("late".into());
                Bucket::new(location).unwrap().put(&key, late).await.unwrap();
            }
        }
    }

    async fn assert_healthy(&self) {
        assert_eq!(examine::findings(&self.store, 0).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_job_is_pushed_with_its_asset_claimed_once_and_ends_with_its_result() {
    let fixture = fixture().await;
    assert_eq!(fixture.status().await, Some(RenditionStatus::Pending));
    assert_eq!(fixture.claim(999).await, None, "not before its time");
    let job = fixture.claim(1000).await.unwrap();
    assert_eq!((job.kind, job.state, job.token), (JobKind::Hls, JobState::Running, 1));
    assert_eq!(fixture.status().await, Some(RenditionStatus::Processing));
    assert_eq!(fixture.claim(2000).await, None);
    assert!(fixture.store.renew_lease(&job, Some(0.5), 99_000).await.unwrap());
    assert_eq!(fixture.store.jobs().await.unwrap()[0].progress, Some(0.5));

    assert!(fixture.finish(&job).await);
    assert_eq!(fixture.status().await, Some(RenditionStatus::Ready));
    assert_eq!(fixture.store.jobs().await.unwrap(), []);
    assert_eq!(fixture.folders().await, (vec![job.attempt()], 0));
    let made = fixture.store.derivative(fixture.asset, JobKind::Hls).await.unwrap().unwrap();
    assert_eq!((made.folder, made.bytes), (job.attempt(), job.attempt().len() as u64));
    fixture.assert_healthy().await;
}

#[tokio::test]
async fn who_lost_the_lease_cannot_write() {
    let fixture = fixture().await;
    let late = fixture.claim(1000).await.unwrap();
    fixture.store.take_back_leases(1000 + LEASE, None).await.unwrap();
    assert!(fixture.store.renew_lease(&late, None, 1000 + LEASE).await.unwrap(), "it has not run out yet");
    fixture.store.take_back_leases(1001 + LEASE, None).await.unwrap();
    let next = fixture.claim(50_000).await.unwrap();
    assert_eq!((next.token, next.lost_leases), (2, 1));

    assert!(!fixture.store.renew_lease(&late, None, 99_000).await.unwrap());
    assert!(!fixture.finish(&late).await);
    fixture.store.fail_job(&late, "too late", None, 60_000).await.unwrap();
    fixture.store.release_job(&late, 0).await.unwrap();
    let running = fixture.store.jobs().await.unwrap();
    assert_eq!((running[0].state, running[0].token, running[0].failed_attempts), (JobState::Running, 2, 0));
    assert_eq!(fixture.folders().await, (vec![], 0), "nothing of it remains");

    assert!(fixture.finish(&next).await);
    assert!(!fixture.finish(&late).await);
    assert_eq!(fixture.folders().await, (vec![next.attempt()], 0));
    fixture.assert_healthy().await;
}

#[tokio::test]
async fn failures_and_lost_leases_are_capped_apart() {
    let fixture = fixture().await;
    let mut now = 1000;
    for n in 1..=MAX_FAILED_ATTEMPTS {
        let job = fixture.claim(now).await.unwrap();
        now += 1000;
        fixture.store.fail_job(&job, "again", Some(now), now).await.unwrap();
        if n < MAX_FAILED_ATTEMPTS {
            assert_eq!(fixture.claim(now - 1).await, None, "the backoff is durable");
        }
    }
    let dead = fixture.store.jobs().await.unwrap().remove(0);
    assert_eq!((dead.state, dead.last_error.as_deref()), (JobState::Dead, Some("again")));
    assert_eq!(fixture.status().await, Some(RenditionStatus::Error));

    assert!(fixture.store.retry_job(&dead.id, now).await.unwrap());
    assert_eq!(fixture.status().await, Some(RenditionStatus::Pending));
    for n in 1..=MAX_LOST_LEASES {
        fixture.claim(now).await.unwrap();
        now += LEASE + 1;
        let given_up = fixture.store.take_back_leases(now, None).await.unwrap();
        assert_eq!(given_up, u64::from(n == MAX_LOST_LEASES));
    }
    assert_eq!(fixture.claim(now).await, None);
    assert_eq!(fixture.status().await, Some(RenditionStatus::Error));
    fixture.assert_healthy().await;
}

#[tokio::test]
async fn what_can_never_be_made_is_given_up_at_once_and_a_release_is_not_counted() {
    let fixture = fixture().await;
    let job = fixture.claim(1000).await.unwrap();
    fixture.store.release_job(&job, 1500).await.unwrap();
    assert!(fixture.claim(1499).await.is_none());
    let job = fixture.claim(1500).await.unwrap();
    assert_eq!((job.token, job.failed_attempts, job.lost_leases), (2, 0, 0));
    fixture.store.fail_job(&job, "broken", None, 2000).await.unwrap();
    assert_eq!(fixture.store.jobs().await.unwrap()[0].state, JobState::Dead);
    assert_eq!(fixture.status().await, Some(RenditionStatus::Error));
}

#[tokio::test]
async fn deleting_ends_jobs_and_removes_what_was_made() {
    let fixture = fixture().await;
    let job = fixture.claim(1000).await.unwrap();
    let attempt = fixture.store.begin_attempt(&job).await.unwrap();
    assert_eq!(fixture.store.remove("a", fixture.asset, false, 2000).await.unwrap(), Removal::Removed);
    assert_eq!(fixture.store.jobs().await.unwrap(), []);
    assert!(!fixture.store.renew_lease(&job, None, 99_000).await.unwrap());
    std::fs::write(attempt.path().join("index"), "x").unwrap();
    assert!(!fixture.store.finish_job(&job, attempt, "{}", 3000).await.unwrap());
    assert_eq!(fixture.folders().await, (vec![], 0));
    fixture.assert_healthy().await;
}

#[tokio::test]
async fn canceled_is_canceled() {
    let fixture = fixture().await;
    let job = fixture.claim(1000).await.unwrap();
    assert!(fixture.store.cancel_job(&job.id, 2000).await.unwrap());
    assert!(!fixture.store.cancel_job(&job.id, 2000).await.unwrap());
    assert!(!fixture.finish(&job).await);
    assert_eq!(fixture.status().await, Some(RenditionStatus::Error));
    assert_eq!(fixture.claim(99_000).await, None);
}

/// The next server holds the folder's lock: the one before is gone, other processes' workers are not.
#[tokio::test]
async fn a_restart_takes_back_the_servers_own_leases_at_once() {
    let Fixture { folder, store, asset } = fixture().await;
    let name = format!("{}1-1/0", store.server_worker());
    let job = store.claim_job(Lane::Make, &name, 1000, LEASE).await.unwrap().unwrap();
    let attempt = store.begin_attempt(&job).await.unwrap();
    std::fs::write(attempt.path().join("half"), "x").unwrap();
    std::mem::forget(attempt);
    drop(store);
    let store = Store::open(folder.path(), &homes(folder.path()), 2000).await.unwrap();
    let fixture = Fixture { folder, store, asset };
    assert_eq!(fixture.folders().await.1, 0, "what the attempt left is gone");
    let job = fixture.claim(2000).await.unwrap();
    assert_eq!((job.token, job.lost_leases), (2, 1));

    let attempt = fixture.store.begin_attempt(&job).await.unwrap();
    std::fs::write(attempt.path().join("index"), "x").unwrap();
    let Fixture { folder, store, asset } = fixture;
    drop(store);
    let store = Store::open(folder.path(), &homes(folder.path()), 3000).await.unwrap();
    let fixture = Fixture { folder, store, asset };
    assert_eq!(
        (fixture.claim(3000).await, fixture.folders().await.1),
        (None, 1),
        "a worker of its own goes on"
    );
    assert!(fixture.store.finish_job(&job, attempt, "{}", 4000).await.unwrap());
    fixture.assert_healthy().await;
}

/// A worker that does not know yet that the asset is gone may put something there, and die.
#[tokio::test]
async fn what_a_worker_still_makes_of_a_deleted_asset_is_found() {
    let fixture = fixture().await;
    let job = fixture.claim(1000).await.unwrap();
    let removed = fixture.store.remove("a", fixture.asset, false, 2000).await.unwrap();
    assert_eq!(removed, Removal::Removed);
    fixture.write_late(&job).await;
    assert!(fixture.store.asset("a", fixture.asset).await.unwrap().is_none());
    fixture.assert_healthy().await;
    fixture.store.end_left_over(2000 + NOTICED - 1).await.unwrap();
    assert_eq!(fixture.folders().await.0.len(), 1, "it may still be at work");
    fixture.store.end_left_over(2000 + NOTICED).await.unwrap();
    assert_eq!(fixture.folders().await, (vec![], 0));
    fixture.assert_healthy().await;
}

/// A write of an attempt that lost its lease may be carried out when another attempt has ended the job.
#[tokio::test]
async fn what_comes_late_of_an_earlier_attempt_is_found() {
    let fixture = fixture().await;
    let earlier = fixture.claim(1000).await.unwrap();
    fixture.store.take_back_leases(i64::MAX, None).await.unwrap();
    let job = fixture.claim(2000).await.unwrap();
    let attempt = fixture.store.begin_attempt(&job).await.unwrap();
    std::fs::write(attempt.path().join("index"), "x").unwrap();
    assert!(fixture.store.finish_job(&job, attempt, "{}", 3000).await.unwrap());
    fixture.write_late(&earlier).await;
    fixture.assert_healthy().await;
    assert_eq!(fixture.folders().await.0.len(), 2);
    fixture.store.end_left_over(3000 + NOTICED).await.unwrap();
    assert_eq!(fixture.folders().await.0, [job.attempt()]);
    fixture.assert_healthy().await;
}

/// By then nothing comes late any more, in milliseconds.
const NOTICED: i64 = 15 * 60 * 1000;
