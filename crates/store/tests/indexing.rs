//! One job for all places of an asset, on the real database.

#![expect(clippy::unwrap_used, reason = "in a test it is the assertion")]

mod database;
mod examine;

use std::path::Path;

use reelhouse_api::{
    AssetError, AssetId, IdMaker, IndexId, IndexedAssetId, JobKind, JobState, MediaKind, Method, Status,
    index::{IndexModel, IndexedAssetStatus},
};
use reelhouse_store::{
    Added, ApiKey, AssetRecord, BlobStore, Database, Homes, IndexRecord, IndexedAssetRecord, JobRecord,
    KeyOrigin, Lane, Store, SystemRecord,
};
use tempfile::TempDir;

struct Fixture {
    _folder: TempDir,
    store: Store,
    ids: IdMaker,
    asset: AssetId,
}

fn homes(folder: &Path) -> Homes {
    Homes {
        database: Database::parse(&database::url(folder)).unwrap(),
        blobs: BlobStore::parse(&database::blob_url(folder), 1 << 20).unwrap(),
    }
}

/// A store with one ready asset.
async fn fixture() -> Fixture {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), &homes(folder.path()), 0).await.unwrap();
    store.add_key("a", &ApiKey::new("a-key-for-tests-only"), KeyOrigin::Created, false, 0).await.unwrap();
    let ids = IdMaker::default();
    let asset = ids.next(1000, [1; 4]);
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
        hls_status: None,
        thumbnail_status: None,
        error: None,
        user_metadata: None,
        hls_folder: None,
        thumbnail_folder: None,
        technical_metadata: None,
    };
    store.publish(sealed, record, None, None, 1000).await.unwrap();
    Fixture { _folder: folder, store, ids, asset }
}

impl Fixture {
    /// Adds the asset to a new index.
    async fn add(&self, name: &str) -> (IndexId, IndexedAssetId) {
        let index = IndexRecord {
            id: self.ids.next(1000, [2; 4]),
            account: "a".to_owned(),
            index_name: name.to_owned(),
            models: vec![IndexModel { model_name: "m".to_owned(), model_options: Vec::new() }],
            addons: Vec::new(),
            created_at: 1000,
            updated_at: 1000,
            video_count: 0,
            total_duration_ms: 0,
        };
        assert!(self.store.insert_index(&index).await.unwrap());
        let entry = IndexedAssetRecord {
            id: self.ids.next(1000, [3; 4]),
            index_id: index.id,
            asset_id: self.asset,
            status: IndexedAssetStatus::Pending,
            enable_video_stream: false,
            created_at: 1000,
            updated_at: 1000,
            indexed_at: None,
            asset_deleted_at: None,
            error: None,
            system: SystemRecord {
                filename: "a.mp4".to_owned(),
                duration: Some(4.9995),
                ..SystemRecord::default()
            },
            user_metadata: None,
            stream_made_at: None,
        };
        assert_eq!(self.store.add_to_index("a", &entry).await.unwrap(), Added::Added);
        assert_eq!(self.store.add_to_index("a", &entry).await.unwrap(), Added::Already(entry.id));
        (index.id, entry.id)
    }

    async fn claim(&self, now: i64) -> Option<JobRecord> {
        self.store.claim_job(Lane::Make, "worker:1/0", now, 30_000).await.unwrap()
    }

    async fn entry(&self, (index, id): (IndexId, IndexedAssetId)) -> IndexedAssetRecord {
        self.store.indexed_asset("a", index, id).await.unwrap().unwrap()
    }

    async fn assert_healthy(&self) {
        assert_eq!(examine::findings(&self.store, 0).await, [""; 0]);
    }
}

#[tokio::test]
async fn every_place_is_seen_to_also_one_that_comes_late() {
    use IndexedAssetStatus::{Failed, Indexing, Pending, Queued, Ready};
    let fixture = fixture().await;
    let store = &fixture.store;
    let (one, two) = (fixture.add("one").await, fixture.add("two").await);
    assert_eq!(store.jobs().await.unwrap().len(), 1, "one job for both");
    assert_eq!(fixture.entry(one).await.status, Pending);

    let job = fixture.claim(2000).await.unwrap();
    assert_eq!((job.kind, fixture.entry(two).await.status), (JobKind::Index, Queued));
    let begun = store.begin_indexing(&job, 2001).await.unwrap().unwrap();
    assert_eq!((begun.id, begun.models.len(), fixture.entry(one).await.status), (one.1, 1, Indexing));
    assert!(store.end_indexing(&job, one.1, Ok(()), 2002).await.unwrap());
    let ready = fixture.entry(one).await;
    assert_eq!((ready.status, ready.indexed_at, ready.updated_at), (Ready, Some(2002), 2002));
    assert_eq!(store.begin_indexing(&job, 2003).await.unwrap().unwrap().id, two.1);
    let error = AssetError { code: "c".to_owned(), message: "m".to_owned() };
    assert!(store.end_indexing(&job, two.1, Err(error.clone()), 2004).await.unwrap());
    let failed = fixture.entry(two).await;
    assert_eq!((failed.status, failed.indexed_at, failed.error), (Failed, None, Some(error)));
    assert_eq!(store.begin_indexing(&job, 2005).await.unwrap(), None);

    // Between the last look and the end.
    let late = fixture.add("late").await;
    assert!(store.end_index_job(&job).await.unwrap());
    assert_eq!(store.job_of(fixture.asset, JobKind::Index).await.unwrap().unwrap().state, JobState::Queued);
    let again = fixture.claim(3000).await.unwrap();
    assert_eq!(store.begin_indexing(&again, 3001).await.unwrap().unwrap().id, late.1);
    // Taken out while a model would be at it.
    assert!(store.remove_from_index("a", late.0, late.1).await.unwrap());
    assert!(store.end_indexing(&again, late.1, Ok(()), 3002).await.unwrap());
    assert!(store.end_index_job(&again).await.unwrap());
    assert_eq!(store.jobs().await.unwrap(), []);
    assert_eq!(store.index("a", late.0).await.unwrap().unwrap().video_count, 0);
    fixture.assert_healthy().await;
}

#[tokio::test]
async fn who_lost_the_lease_cannot_write_and_the_next_begins_there() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let one = fixture.add("one").await;
    let late = fixture.claim(2000).await.unwrap();
    store.begin_indexing(&late, 2001).await.unwrap().unwrap();
    assert_eq!(store.take_back_leases(40_000, None).await.unwrap(), 0);
    let job = fixture.claim(40_001).await.unwrap();
    assert_eq!(store.begin_indexing(&late, 40_002).await.unwrap(), None);
    assert!(!store.end_indexing(&late, one.1, Ok(()), 40_003).await.unwrap());
    assert!(!store.end_index_job(&late).await.unwrap());
    assert_eq!(store.begin_indexing(&job, 40_004).await.unwrap().unwrap().id, one.1);
    assert!(store.end_indexing(&job, one.1, Ok(()), 40_005).await.unwrap());
    assert!(store.end_index_job(&job).await.unwrap());
    fixture.assert_healthy().await;
}

#[tokio::test]
async fn what_is_given_up_fails_and_a_new_life_mends_it() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let one = fixture.add("one").await;
    let job = fixture.claim(2000).await.unwrap();
    store.begin_indexing(&job, 2001).await.unwrap().unwrap();
    store.fail_job(&job, "no luck", None, 50_000).await.unwrap();
    let failed = fixture.entry(one).await;
    assert_eq!(
        (failed.status, failed.error.unwrap().code.as_str()),
        (IndexedAssetStatus::Failed, "internal_error")
    );
    assert!(store.retry_job(&job.id, 3000).await.unwrap());
    let entry = fixture.entry(one).await;
    assert_eq!((entry.status, entry.error), (IndexedAssetStatus::Pending, None));

    // Canceled by the operator, and called for by another place.
    assert!(store.cancel_job(&job.id, 3001).await.unwrap());
    assert_eq!(fixture.entry(one).await.status, IndexedAssetStatus::Failed);
    let two = fixture.add("two").await;
    let job = fixture.claim(4000).await.unwrap();
    assert_eq!(store.begin_indexing(&job, 4001).await.unwrap().unwrap().id, two.1);
    fixture.assert_healthy().await;
}
