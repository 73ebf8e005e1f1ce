//! Each thing that doctor repairs: broken behind the store's back, named, repaired, and then there is nothing to name.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test they are assertions")]

mod database;
mod examine;

use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use reelhouse_api::{
    AssetId, EventKind, IdMaker, JobKind, MediaKind, Method, RenditionStatus, Status, UploadStatus,
    index::{IndexModel, IndexedAssetStatus},
};
use reelhouse_bucket::{Bucket, Payload};
use reelhouse_store::{
    Added, ApiKey, AssetRecord, BlobStore, Database, Examination, Finding, Homes, ImportRecord, IndexRecord,
    IndexedAssetRecord, JobRecord, KeyOrigin, Lane, Progress, Store, SystemRecord, Treatment, UploadSession,
};
use sqlx::{AnyConnection, Connection};
use tempfile::TempDir;

use examine::{examine, findings};

const HOUR: i64 = 60 * 60 * 1000;
const ID: &str = "0100aaaaaaaaaaaaaaaaaaaa";

/// A store whose server began in an hour, and is looked at in three: what a test writes is from before it, and old.
struct Fixture {
    folder: TempDir,
    store: Store,
    ids: IdMaker,
    now: i64,
    /// With HLS, made.
    asset: AssetId,
}

fn homes(folder: &Path) -> Homes {
    Homes {
        database: Database::parse(&database::url(folder)).unwrap(),
        blobs: BlobStore::parse(&database::blob_url(folder), 1 << 20).unwrap(),
    }
}

/// As the file system sees it.
fn now_in(folder: &Path) -> i64 {
    let modified = folder.metadata().unwrap().modified().unwrap();
    i64::try_from(modified.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

async fn fixture() -> Fixture {
    let folder = TempDir::new().unwrap();
    let now = now_in(folder.path());
    let store = Store::open(folder.path(), &homes(folder.path()), now + HOUR).await.unwrap();
    store.add_key("a", &ApiKey::new("a-key-for-tests-only"), KeyOrigin::Created, false, now).await.unwrap();
    let ids = IdMaker::default();
    let asset = publish(&store, &ids, now, Some(RenditionStatus::Pending)).await;
    let fixture = Fixture { folder, store, ids, now, asset };
    fixture.make().await;
    assert_eq!(fixture.findings().await, [""; 0]);
    fixture
}

fn record(id: AssetId, now: i64, status: Status) -> AssetRecord {
    AssetRecord {
        id,
        account: "a".to_owned(),
        method: Method::Direct,
        status,
        kind: None,
        filename: "a.mp4".to_owned(),
        file_type: None,
        size: None,
        duration: None,
        blake3: None,
        created_at: now,
        hls_status: None,
        thumbnail_status: None,
        error: None,
        user_metadata: None,
        hls_folder: None,
        thumbnail_folder: None,
        technical_metadata: None,
    }
}

async fn publish(store: &Store, ids: &IdMaker, now: i64, hls: Option<RenditionStatus>) -> AssetId {
    let asset = ids.next(now, [1; 4]);
    let mut file = store.blobs().stage(asset, None);
    file.push(b"bytes").await.unwrap();
    let sealed = file.seal().await.unwrap();
    let record = AssetRecord {
        kind: Some(MediaKind::Video),
        file_type: Some("video/mp4".to_owned()),
        size: Some(5),
        duration: Some(5.0),
        blake3: Some(sealed.blake3().to_owned()),
        hls_status: hls,
        ..record(asset, now, Status::Ready)
    };
    store.publish(sealed, record, None, None, now).await.unwrap();
    asset
}

impl Fixture {
    fn later(&self) -> i64 {
        self.now + 3 * HOUR
    }

    async fn findings(&self) -> Vec<String> {
        findings(&self.store, self.later()).await
    }

    async fn repair(&self, now_ms: i64) -> Vec<(Finding, Treatment)> {
        examine(&self.store, &Examination { repair: true, ..Examination::at(now_ms) }).await.1
    }

    /// What is broken is named, repaired, and then not named any more; the second repair has nothing to do. Returns how.
    async fn assert_repaired(&self, named: &str) -> String {
        self.assert_repaired_at(named, self.later()).await
    }

    async fn assert_repaired_at(&self, named: &str, now_ms: i64) -> String {
        let found = findings(&self.store, now_ms).await;
        assert!(found.len() == 1 && found[0].contains(named), "{named}: {found:?}");
        let treated = self.repair(now_ms).await;
        let [(finding, Treatment::Repaired(how))] = treated.as_slice() else { panic!("{treated:?}") };
        assert_eq!(finding.to_string(), found[0]);
        assert_eq!(findings(&self.store, now_ms).await, [""; 0]);
        assert_eq!(self.repair(now_ms).await, []);
        how.clone()
    }

    async fn rows(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        let url = match database::url(self.folder.path()) {
            url if url.is_empty() => format!("sqlite://{}/reelhouse.db", self.folder.path().display()),
            url => url,
        };
        let mut rows = AnyConnection::connect(&url).await.unwrap();
        if url.starts_with("sqlite") {
            sqlx::query("PRAGMA foreign_keys = OFF").execute(&mut rows).await.unwrap();
        }
        rows
    }

    /// Breaks rows.
    async fn sql(&self, sql: &str) {
        let mut rows = self.rows().await;
        let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut rows).await.unwrap();
        assert!(done.rows_affected() > 0, "{sql}");
        rows.close().await.unwrap();
    }

    async fn number(&self, sql: &str) -> i64 {
        let mut rows = self.rows().await;
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut rows).await.unwrap()
    }

    fn bucket(&self) -> Option<Bucket> {
        match homes(self.folder.path()).blobs {
            BlobStore::Folder => None,
            BlobStore::Bucket(location, _) => Some(Bucket::new(location).unwrap()),
        }
    }

    async fn write(&self, key: &str, bytes: &'static [u8]) {
        match self.bucket() {
            Some(bucket) => bucket.put(key, Payload::Bytes(bytes.into())).await.unwrap(),
            None => {
                let path = self.path(key);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
        }
    }

    async fn read(&self, key: &str) -> Option<Vec<u8>> {
        match self.bucket() {
            Some(bucket) => match bucket.get(key, None).await.unwrap() {
                Some(found) => Some(found.all().await.unwrap()),
                None => None,
            },
            None => std::fs::read(self.path(key)).ok(),
        }
    }

    async fn remove(&self, key: &str) {
        match self.bucket() {
            Some(bucket) => bucket.delete(key).await.unwrap(),
            None => std::fs::remove_file(self.path(key)).unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn claim(&self, now_ms: i64, lease: i64) -> JobRecord {
        self.store.claim_job(Lane::Make, "worker:1/0", now_ms, lease).await.unwrap().unwrap()
    }

    /// Runs the job that is due, whose result is one file.
    async fn make(&self) -> JobRecord {
        let job = self.claim(self.later(), HOUR).await;
        let attempt = self.store.begin_attempt(&job).await.unwrap();
        std::fs::write(attempt.path().join("index"), job.attempt()).unwrap();
        assert!(self.store.finish_job(&job, attempt, "{}", self.now).await.unwrap());
        job
    }

    /// An upload of 25 bytes in three chunks, two of which are here.
    async fn upload(&self) -> UploadSession {
        let id = self.ids.next(self.now, [4; 4]);
        let session = UploadSession {
            id: self.ids.next(self.now, [5; 4]),
            asset_id: id,
            account: "a".to_owned(),
            kind: MediaKind::Video,
            total_size: 25,
            chunk_size: 10,
            multipart_id: self.store.make_place(id).await.unwrap(),
            status: UploadStatus::Active,
            created_at: self.now,
            updated_at: self.now,
            expires_at: self.now + 24 * HOUR,
        };
        let asset = AssetRecord { method: Method::Multipart, ..record(id, self.now, Status::Processing) };
        self.store.begin_upload(&asset, &session, None).await.unwrap();
        for index in [1, 2] {
            if let Some(mut chunk) =
                self.store.blobs().write_incoming(id, (index - 1) * 10, Box::new(())).await.unwrap()
            {
                chunk.push(b"0123456789").await.unwrap();
                chunk.seal().await.unwrap();
                assert!(self.store.record_chunk(session.id, index, "etag", self.now).await.unwrap());
            }
        }
        session
    }

    async fn status(&self, asset: AssetId) -> Status {
        self.store.asset("a", asset).await.unwrap().unwrap().status
    }
}

fn sharded(tree: &str, id: &str) -> String {
    format!("{tree}/{}/{id}", &id[22..])
}

#[tokio::test]
async fn what_no_asset_knows_is_set_aside() {
    let fixture = fixture().await;
    let unknown = sharded("originals", ID);
    for (n, (key, named)) in [
        (unknown.as_str(), "no asset knows this file"),
        ("originals/.DS_Store", "no asset knows this file"),
        ("derived/aa/strange", "no asset knows this file"),
        // Where there is one of that name already.
        (unknown.as_str(), "no asset knows this file"),
    ]
    .into_iter()
    .enumerate()
    {
        fixture.write(key, b"precious").await;
        let young = fixture.repair(fixture.now).await;
        assert!(matches!(&young[..], [(_, Treatment::Left(why))] if why.contains("younger")), "{young:?}");
        let how = fixture.assert_repaired(named).await;
        let aside = format!("lost+found/{key}{}", if n == 3 { ".1" } else { "" });
        assert!(how.ends_with(&aside), "{how}");
        assert_eq!(fixture.read(&aside).await.unwrap(), b"precious");
        assert_eq!(fixture.read(key).await, None);
    }
}

/// Of another database, rather.
#[tokio::test]
async fn where_more_is_unknown_than_known_it_stays_where_it_is() {
    let fixture = fixture().await;
    for n in 0..20 {
        let id = format!("0100aaaaaaaaaaaaaaaaaa{n:02x}");
        fixture.write(&sharded("originals", &id), b"precious").await;
        fixture.write(&format!("{}/hls-x-1/index", sharded("derived", &id)), b"made").await;
    }
    let treated = fixture.repair(fixture.later()).await;
    assert_eq!(treated.len(), 40);
    let is_left =
        |treatment: &Treatment| matches!(treatment, Treatment::Left(why) if why.contains("right database"));
    assert!(treated.iter().all(|(_, treatment)| is_left(treatment)), "{treated:?}");
}

#[tokio::test]
async fn what_is_lost_is_told_and_stays() {
    let fixture = fixture().await;
    let key = sharded("originals", &fixture.asset.to_string());
    for (bytes, named) in [
        (None, "its bytes are missing"),
        (Some(&b"byte"[..]), "4 bytes on disk, 5 recorded"),
        (Some(&b"bytEs"[..]), "hash differs"),
    ] {
        match bytes {
            Some(bytes) => fixture.write(&key, bytes).await,
            None => fixture.remove(&key).await,
        }
        let treated = fixture.repair(fixture.later()).await;
        let [(finding, Treatment::Left(why))] = &treated[..] else { panic!("{treated:?}") };
        assert!(finding.to_string().contains(named) && why.contains("backup"), "{finding}: {why}");
        assert_eq!(fixture.read(&key).await.as_deref(), bytes);
        // Sizes alone do not tell all of it.
        let quick = Examination { quick: true, ..Examination::at(fixture.later()) };
        let (report, said) = examine(&fixture.store, &quick).await;
        assert_eq!((said.len(), report.bytes), (usize::from(named != "hash differs"), 0));
    }
}

#[tokio::test]
async fn bytes_of_an_asset_that_failed_go() {
    let fixture = fixture().await;
    let session = fixture.upload().await;
    fixture.store.expire_uploads(fixture.now + 25 * HOUR).await.unwrap();
    let key = sharded("originals", &session.asset_id.to_string());
    fixture.write(&key, b"refused").await;
    // Whoever let it fail may be about to.
    assert_eq!(findings(&fixture.store, fixture.now).await, [""; 0]);
    fixture.assert_repaired("it failed, and its bytes are still here").await;
    assert_eq!(fixture.read(&key).await, None);
}

#[tokio::test]
async fn a_derivative_that_differs_is_made_anew() {
    let fixture = fixture().await;
    let status = async || fixture.store.asset("a", fixture.asset).await.unwrap().unwrap().hls_status;
    let folder = fixture.store.derivative(fixture.asset, JobKind::Hls).await.unwrap().unwrap().folder;
    let key = format!("{}/{folder}/index", sharded("derived", &fixture.asset.to_string()));
    for bytes in [Some(&b"other"[..]), None] {
        let folder = fixture.store.derivative(fixture.asset, JobKind::Hls).await.unwrap().unwrap().folder;
        let key = format!("{}/{folder}/index", sharded("derived", &fixture.asset.to_string()));
        match bytes {
            Some(bytes) => fixture.write(&key, bytes).await,
            None => fixture.remove(&key).await,
        }
        fixture.assert_repaired("are not the ones that were made").await;
        assert_eq!(status().await, Some(RenditionStatus::Pending));
        let job = fixture.make().await;
        assert_eq!((job.kind, status().await), (JobKind::Hls, Some(RenditionStatus::Ready)));
        assert_eq!(fixture.findings().await, [""; 0]);
    }
    assert_eq!(fixture.read(&key).await, None);
}

#[tokio::test]
async fn derivatives_of_nobody_go() {
    let fixture = fixture().await;
    for asset in [ID.to_owned(), fixture.asset.to_string()] {
        let key = format!("{}/thumbnail-x-1/picture", sharded("derived", &asset));
        fixture.write(&key, b"made").await;
        let young = fixture.repair(fixture.now).await;
        assert!(matches!(&young[..], [(_, Treatment::Left(_))]), "{young:?}");
        fixture.assert_repaired("no asset knows this derivative").await;
        assert_eq!(fixture.read(&key).await, None);
    }
    assert!(fixture.store.derivative(fixture.asset, JobKind::Hls).await.unwrap().is_some());
}

#[tokio::test]
async fn what_was_left_over_in_the_folder_goes() {
    let fixture = fixture().await;
    let staged = format!("staging/{}", "a".repeat(32));
    for (name, named) in [
        (staged.as_str(), "left in staging from before this server"),
        ("work/hls-x-1/index", "left by a worker that is gone"),
        (&format!("incoming/{ID}"), "no asset waits for these bytes"),
        ("incoming/strange", "no asset waits for these bytes"),
    ] {
        let path = fixture.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "x").unwrap();
        // A worker may not have noticed yet that it is not wanted.
        if name.starts_with("work") {
            assert_eq!(findings(&fixture.store, fixture.now).await, [""; 0]);
        }
        let young = fixture.repair(fixture.now + HOUR / 2).await;
        assert!(matches!(&young[..], [(_, Treatment::Left(_))]), "{name}: {young:?}");
        fixture.assert_repaired(named).await;
        assert!(!path.exists());
    }
}

/// Without a server nothing is wrong with it; what is old is cleared all the same.
#[tokio::test]
async fn what_the_next_start_clears_is_repaired_in_silence() {
    let Fixture { folder, store, now, .. } = fixture().await;
    drop(store);
    let store = Store::attach(folder.path(), &homes(folder.path())).await.unwrap();
    let staged = folder.path().join(format!("staging/{}", "a".repeat(32)));
    std::fs::write(&staged, "x").unwrap();
    for (repair, later, unfinished, repaired) in
        [(false, 3, 1, 0), (true, 0, 1, 0), (true, 3, 0, 1), (false, 3, 0, 0)]
    {
        let how = Examination { repair, ..Examination::at(now + later * HOUR) };
        let (report, said) = examine(&store, &how).await;
        assert_eq!((report.wrong, report.unfinished, report.repaired), (0, unfinished, repaired), "{said:?}");
    }
    assert!(!staged.exists());
}

#[tokio::test]
async fn publishes_and_removals_that_never_ended_end() {
    let fixture = fixture().await;
    let unknown = sharded("originals", ID);
    fixture.write(&unknown, b"never told").await;
    let begun = fixture.now;
    fixture
        .sql(&format!(
            "INSERT INTO publish_intent (asset_id, created_at, node) VALUES ('{ID}', {begun}, 'x')"
        ))
        .await;
    // Of another node, it may be under way.
    assert_eq!(findings(&fixture.store, fixture.now).await, [""; 0]);
    let how = fixture.assert_repaired("a publish from before this server never ended").await;
    assert!(how.contains("taken back"), "{how}");
    assert_eq!(fixture.read(&unknown).await, None);

    let deleted = fixture.now + HOUR;
    let gone = publish(&fixture.store, &fixture.ids, fixture.now, None).await;
    fixture.sql(&format!("UPDATE asset SET deleted_at = {deleted} WHERE id = '{gone}'")).await;
    fixture.sql("UPDATE account SET asset_count = asset_count - 1, asset_bytes = asset_bytes - 5").await;
    assert_eq!(findings(&fixture.store, deleted).await, [""; 0]);
    fixture.assert_repaired("it was deleted, and that never ended").await;
    assert_eq!(fixture.read(&sharded("originals", &gone.to_string())).await, None);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM asset").await, 1);

    // Of this node, from before its server: whoever began it is gone, but not for long.
    let begun = fixture.now;
    fixture
        .sql(&format!("INSERT INTO publish_intent (asset_id, created_at, node) VALUES ('{ID}', {begun}, '')"))
        .await;
    let young = fixture.repair(fixture.now + HOUR / 2).await;
    assert!(matches!(&young[..], [(Finding::IntentLeftOver(_), Treatment::Left(_))]), "{young:?}");
    fixture.assert_repaired("a publish from before this server never ended").await;

    // What is written late is looked for again, and nobody does.
    fixture.write(&unknown, b"late").await;
    let due = fixture.now + HOUR;
    fixture.sql("DELETE FROM revisit").await;
    fixture.sql(&format!("INSERT INTO revisit (asset_id, due_at) VALUES ('{ID}', {due})")).await;
    assert_eq!(findings(&fixture.store, due).await, [""; 0]);
    fixture.assert_repaired("were to be looked for again, and nobody did").await;
    assert_eq!(fixture.read(&unknown).await, None);
}

#[tokio::test]
async fn counters_are_counted_again() {
    let fixture = fixture().await;
    let index = fixture.index().await;
    for (sql, named) in [
        ("UPDATE account SET asset_count = 7, asset_bytes = 0", "account a: counters disagree"),
        ("UPDATE account SET webhooks = 3", "account a: counters disagree"),
        (
            "UPDATE media_index SET video_count = 3, total_duration_ms = 1",
            &format!("index {index}: counters disagree"),
        ),
    ] {
        fixture.sql(sql).await;
        fixture.assert_repaired(named).await;
    }
    assert_eq!(fixture.number("SELECT asset_bytes FROM account").await, 5);
    assert_eq!(fixture.number("SELECT total_duration_ms FROM media_index").await, 5000);
}

impl Fixture {
    /// An index with the asset in it.
    async fn index(&self) -> reelhouse_api::IndexId {
        let index = IndexRecord {
            id: self.ids.next(self.now, [2; 4]),
            account: "a".to_owned(),
            index_name: "one".to_owned(),
            models: vec![IndexModel { model_name: "m".to_owned(), model_options: Vec::new() }],
            addons: Vec::new(),
            created_at: self.now,
            updated_at: self.now,
            video_count: 0,
            total_duration_ms: 0,
        };
        assert!(self.store.insert_index(&index).await.unwrap());
        let entry = IndexedAssetRecord {
            id: self.ids.next(self.now, [3; 4]),
            index_id: index.id,
            asset_id: self.asset,
            status: IndexedAssetStatus::Pending,
            enable_video_stream: false,
            created_at: self.now,
            updated_at: self.now,
            indexed_at: None,
            asset_deleted_at: None,
            error: None,
            system: SystemRecord {
                filename: "a.mp4".to_owned(),
                duration: Some(5.0),
                ..SystemRecord::default()
            },
            user_metadata: None,
            stream_made_at: None,
        };
        assert_eq!(self.store.add_to_index("a", &entry).await.unwrap(), Added::Added);
        index.id
    }
}

#[tokio::test]
async fn what_waits_for_ever_does_so_no_more() {
    let fixture = fixture().await;
    // HLS that nothing makes, and that is not there.
    fixture.sql("UPDATE asset SET hls_status = 'processing'").await;
    fixture.assert_repaired("it says more of hls than is there").await;
    fixture.make().await;
    fixture.sql("DELETE FROM derivative").await;
    let folders = fixture.findings().await;
    assert!(folders.iter().any(|found| found.contains("it says more of hls")), "{folders:?}");
    assert_eq!(fixture.repair(fixture.later()).await.len(), 1, "its job removes the folder");
    assert_eq!(fixture.findings().await, [""; 0]);
    fixture.make().await;

    // A place in an index.
    fixture.index().await;
    fixture.sql("DELETE FROM job").await;
    fixture.assert_repaired("its places in indexes wait for a job").await;
    assert_eq!(fixture.claim(fixture.later(), HOUR).await.kind, JobKind::Index);

    // An upload whose job is gone, and one whose end was lost.
    let complete = fixture.upload().await;
    fixture.sql("UPDATE upload_session SET status = 'completed'").await;
    let how = fixture.assert_repaired("it is processing, and nothing will ever end that").await;
    assert!(how.contains("pushed again"), "{how}");
    assert_eq!(fixture.claim(fixture.later(), HOUR).await.kind, JobKind::Examine);
    assert_eq!(fixture.status(complete.asset_id).await, Status::Processing);
    let lost = fixture.upload().await;
    fixture.sql(&format!("UPDATE upload_session SET status = 'failed' WHERE id = '{}'", lost.id)).await;
    let how = fixture.assert_repaired("it is processing, and nothing will ever end that").await;
    assert!(how.contains("it has failed"), "{how}");
    assert_eq!(fixture.status(lost.asset_id).await, Status::Failed);

    // An import whose job is gone.
    let import = fixture.ids.next(fixture.now, [6; 4]);
    let staged = fixture.store.blobs().stage(import, None);
    let asset = AssetRecord { method: Method::Url, ..record(import, fixture.now, Status::Processing) };
    let url = "https://a.example/a.mp4".to_owned();
    let begun = ImportRecord { url, validator: None, total: None, received: 0, rate: None };
    fixture.store.begin_import(staged, &asset, begun, None).await.unwrap();
    fixture.sql("DELETE FROM job WHERE kind = 'import'").await;
    fixture.assert_repaired("it is processing, and nothing will ever end that").await;
    let lane = Lane::Import { per_account: 1 };
    assert!(fixture.store.claim_job(lane, "w", fixture.later(), 4 * HOUR).await.unwrap().is_some());
}

#[tokio::test]
async fn leases_that_are_over_are_taken_back() {
    let fixture = fixture().await;
    fixture.index().await;
    fixture.claim(fixture.now, 1000).await;
    // Whoever runs looks every few seconds.
    assert_eq!(findings(&fixture.store, fixture.now + 2000).await, [""; 0]);
    fixture.assert_repaired("its worker is gone, and nobody took it back").await;
    fixture.claim(fixture.later(), HOUR).await;

    let events = [EventKind::AssetDeleted];
    let webhook =
        fixture.store.add_webhook("a", "http://a.example", &events, "whsec_x", 0).await.unwrap().unwrap();
    for _ in 0..2 {
        fixture.sql(&format!(
            "INSERT INTO webhook_delivery (id, webhook_id, event, subject, seq, state, occurred_at, run_at)
             SELECT 'd' || n, '{}', 'asset.deleted', '{}', n, CASE n WHEN 1 THEN 'waiting' ELSE 'blocked' END, 0, 0
             FROM (SELECT COUNT(*) + 1 AS n FROM webhook_delivery) AS counted",
            webhook.id, fixture.asset
        )).await;
    }
    fixture.store.claim_deliveries(&webhook.id, 1, "worker:1", fixture.now, 1000).await.unwrap();
    assert_eq!(findings(&fixture.store, fixture.now + 2000).await, [""; 0]);
    fixture.assert_repaired("its sender is gone, and nobody took it back").await;
    fixture.sql("UPDATE webhook_delivery SET state = 'delivered' WHERE id = 'd1'").await;
    fixture.assert_repaired("delivery d2: it waits for an earlier one").await;
    let due =
        fixture.store.claim_deliveries(&webhook.id, 9, "worker:1", fixture.later(), 4 * HOUR).await.unwrap();
    assert_eq!(due.len(), 1);
}

#[tokio::test]
async fn rows_that_refer_to_nothing_go() {
    let fixture = fixture().await;
    for (insert, table) in [
        (format!("INSERT INTO derivative VALUES ('{ID}', 'hls', 'f', 1, '{{}}', 0)"), "derivative: rows of asset"),
        (
            format!("INSERT INTO job (id, asset_id, kind, state, created_at, run_at) VALUES ('j', '{ID}', 'hls', 'dead', 0, 0)"),
            "job: rows of asset",
        ),
        (format!("INSERT INTO import (asset_id, url, received) VALUES ('{ID}', 'u', 0)"), "import: rows of asset"),
        (
            format!(
                "INSERT INTO upload_session (id, asset_id, account, type, total_size, chunk_size, status, created_at, updated_at, expires_at)
                 VALUES ('{ID}', '{ID}', 'a', 'video', 1, 1, 'completed', 0, 0, 0)"
            ),
            "upload_session: rows of asset",
        ),
        (
            format!("INSERT INTO upload_chunk (upload_id, chunk_index, etag, received_at) VALUES ('{ID}', 1, 'e', 0)"),
            "upload_chunk: rows of upload_session",
        ),
        (
            format!("INSERT INTO webhook_delivery (id, webhook_id, event, subject, seq, state, occurred_at, run_at)
                     VALUES ('d', '{ID}', 'e', 's', 1, 'dead', 0, 0)"),
            "webhook_delivery: rows of webhook",
        ),
        (format!("INSERT INTO idempotency VALUES ('{ID}', 'k', 'f', '{{}}', 0)"), "idempotency: rows of account"),
        (format!("INSERT INTO rate_share VALUES ('{ID}', '', 0, 0, 0, 0)"), "rate_share: rows of account"),
    ] {
        fixture.sql(&insert).await;
        fixture.assert_repaired(&format!("{table} {ID}, which is not there")).await;
    }

    // Places of an index, and of an asset, that are not there.
    let index = fixture.index().await;
    fixture.sql(&format!("DELETE FROM media_index WHERE id = '{index}'")).await;
    fixture.assert_repaired(&format!("indexed_asset: rows of media_index {index}")).await;
    fixture.sql("DELETE FROM job").await;
    fixture.index().await;
    let other: AssetId = fixture.ids.next(fixture.now, [7; 4]);
    fixture.sql(&format!("UPDATE indexed_asset SET asset_id = '{other}'")).await;
    fixture.assert_repaired("it is gone, and its places in indexes do not say so").await;
    assert_eq!(fixture.number("SELECT COUNT(*) FROM indexed_asset WHERE status = 'failed'").await, 1);
}

/// Many of them: more than a page.
#[tokio::test]
async fn what_is_referred_to_is_found_page_by_page() {
    let fixture = fixture().await;
    fixture
        .sql(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2500)
             INSERT INTO idempotency SELECT 'account ' || n, 'k', 'f', '', 0 FROM numbers",
        )
        .await;
    assert_eq!(fixture.findings().await.len(), 2500);
    assert_eq!(fixture.repair(fixture.later()).await.len(), 2500);
    assert_eq!(fixture.findings().await, [""; 0]);
}

#[tokio::test]
async fn an_account_that_has_something_is_made_again() {
    let fixture = fixture().await;
    fixture.sql("DELETE FROM api_key").await;
    fixture.sql("DELETE FROM account").await;
    let found = fixture.findings().await;
    assert_eq!(found, ["account a: it has assets, indexes or webhooks, and is not there"]);
    let treated = fixture.repair(fixture.later()).await;
    // And what it has is counted.
    assert_eq!(treated.len(), 2, "{treated:?}");
    assert_eq!(fixture.findings().await, [""; 0]);
    assert_eq!(fixture.number("SELECT asset_count FROM account").await, 1);
}

/// Postgres' index of names is over the rows themselves.
#[tokio::test]
async fn a_name_that_is_not_found_is_found_again() {
    let fixture = fixture().await;
    if !database::url(fixture.folder.path()).is_empty() {
        return;
    }
    fixture.sql("DELETE FROM asset_search WHERE rowid = (SELECT seq FROM asset)").await;
    fixture.assert_repaired("a search for its name does not find it").await;
    let found = "SELECT COUNT(*) FROM asset_search WHERE asset_search MATCH 'filename_folded:\"a.mp4\"'";
    assert_eq!(fixture.number(found).await, 1);
}

/// Chunks of a bucket are the bucket's.
#[tokio::test]
async fn chunks_that_are_not_here_are_not_said_to_be() {
    let fixture = fixture().await;
    if fixture.bucket().is_some() {
        return;
    }
    let session = fixture.upload().await;
    let incoming = fixture.path(&format!("incoming/{}", session.asset_id));
    let indices = async || {
        let chunks = fixture.store.chunks(session.id, 1, 9).await.unwrap();
        chunks.iter().map(|chunk| chunk.index).collect::<Vec<_>>()
    };
    assert_eq!(fixture.findings().await, [""; 0]);
    std::fs::File::options().write(true).open(&incoming).unwrap().set_len(15).unwrap();
    fixture.assert_repaired("15 bytes are here, chunks up to 20 are recorded").await;
    assert_eq!(indices().await, [1]);
    std::fs::remove_file(&incoming).unwrap();
    fixture.assert_repaired("0 bytes are here, chunks up to 10 are recorded").await;
    assert_eq!(indices().await, [0; 0]);
    assert!(incoming.exists(), "chunks can be sent again");
}

/// Uploads in parts are a bucket's.
#[tokio::test]
async fn uploads_in_parts_that_lead_nowhere_end() {
    let fixture = fixture().await;
    let Some(bucket) = fixture.bucket() else { return };
    let session = fixture.upload().await;
    let key = sharded("originals", &session.asset_id.to_string());
    bucket.abort(&key, session.multipart_id.as_ref().unwrap()).await.unwrap();
    fixture.assert_repaired("its upload in parts is not at the bucket").await;
    assert_eq!(fixture.status(session.asset_id).await, Status::Failed);
    assert_eq!(fixture.store.upload("a", session.id).await.unwrap().unwrap().status, UploadStatus::Expired);

    bucket.begin(&sharded("originals", ID)).await.unwrap();
    assert_eq!(fixture.findings().await, [""; 0]);
    fixture.assert_repaired_at("nobody goes on with its upload in parts", fixture.now + 30 * HOUR).await;
    assert_eq!(bucket.pending("originals/").await.unwrap(), []);
}

/// However few names are in memory at once, all is seen, and each thing once.
#[tokio::test]
async fn parts_together_are_the_whole() {
    let fixture = fixture().await;
    for _ in 0..8 {
        publish(&fixture.store, &fixture.ids, fixture.now, None).await;
    }
    let missing = publish(&fixture.store, &fixture.ids, fixture.now, None).await;
    fixture.remove(&sharded("originals", &missing.to_string())).await;
    fixture.write(&sharded("originals", ID), b"x").await;
    fixture.write("originals/.DS_Store", b"x").await;
    fixture.write(&format!("{}/hls-x-1/index", sharded("derived", ID)), b"x").await;
    let mut all = Vec::new();
    for names_at_once in [1, 3, 1000] {
        let how = Examination { names_at_once, ..Examination::at(fixture.later()) };
        let (report, said) = examine(&fixture.store, &how).await;
        let mut said: Vec<String> = said.iter().map(|(finding, _)| finding.to_string()).collect();
        said.sort();
        assert_eq!((report.assets, report.wrong, said.len()), (9, 4, 4), "{said:?}");
        all.push(said);
    }
    assert!(all.iter().all(|said| *said == all[0]), "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_interrupted_goes_on() {
    let fixture = fixture().await;
    let secret = fixture.store.secret("media_urls").await.unwrap();
    let mut missing = Vec::new();
    for n in 0..8 {
        let asset = publish(&fixture.store, &fixture.ids, fixture.now, None).await;
        if n % 2 == 0 {
            fixture.remove(&sharded("originals", &asset.to_string())).await;
            missing.push(format!("asset {asset}: its bytes are missing"));
        }
    }
    let state = fixture.path("doctor.json");
    let note_every = std::time::Duration::from_millis(1);
    let how = Examination { note_every, names_at_once: 3, ..Examination::at(fixture.later()) };
    let resumed = Examination { resume: true, ..how.clone() };
    let refused = async |how: &Examination| {
        let tell = &mut |_: &Finding, _: &Treatment| {};
        fixture.store.examine(how, &Progress::default(), tell).await.unwrap_err().to_string()
    };
    assert!(refused(&resumed).await.contains("there is none"));

    // Interrupted behind its second finding, once that is written down.
    let found = std::sync::atomic::AtomicUsize::new(0);
    let progress = Progress::default();
    let tell = &mut |_: &Finding, _: &Treatment| {
        if found.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1 {
            // Whoever writes it down has its time.
            let written = || std::fs::read_to_string(&state).unwrap_or_default().contains("blob_missing");
            assert!(
                (0..5000).any(|_| {
                    std::thread::sleep(note_every);
                    written()
                }),
                "never written down"
            );
        }
    };
    {
        let mut examined = std::pin::pin!(fixture.store.examine(&how, &progress, tell));
        while found.load(std::sync::atomic::Ordering::Relaxed) < 2 {
            tokio::select! {
                biased;
                report = &mut examined => panic!("{report:?}"),
                () = tokio::time::sleep(std::time::Duration::ZERO) => {}
            }
        }
    }
    assert!(refused(&Examination { quick: true, ..resumed.clone() }).await.contains("other options"));
    assert!(refused(&Examination { repair: true, ..resumed.clone() }).await.contains("other options"));
    fixture.sql("UPDATE secret SET value = 'other' WHERE name = 'media_urls'").await;
    assert!(refused(&resumed).await.contains("another database"));
    fixture.sql(&format!("UPDATE secret SET value = '{secret}' WHERE name = 'media_urls'")).await;
    assert!(state.exists(), "whoever is refused leaves it");

    // What was passed is not looked at again: it may be as it likes.
    let (report, said) = examine(&fixture.store, &resumed).await;
    let mut said: Vec<String> = said.iter().map(|(finding, _)| finding.to_string()).collect();
    said.sort();
    missing.sort();
    assert_eq!(said, missing);
    assert_eq!((report.assets, report.wrong), (5, 4));
    assert!(!state.exists());
}

#[tokio::test]
async fn a_folder_has_one_doctor() {
    let fixture = fixture().await;
    let (progress, how) = (Progress::default(), Examination::at(fixture.later()));
    fixture.write("originals/.DS_Store", b"x").await;
    let other = Store::attach(fixture.folder.path(), &homes(fixture.folder.path())).await.unwrap();
    let mut met = Vec::new();
    let tell = &mut |finding: &Finding, _: &Treatment| met.push(finding.clone());
    let mut examined = std::pin::pin!(fixture.store.examine(&how, &progress, tell));
    // Begun, it has the folder.
    let second = loop {
        tokio::select! {
            biased;
            report = &mut examined => panic!("{report:?}"),
            () = tokio::task::yield_now() => {}
        }
        let tell = &mut |_: &Finding, _: &Treatment| {};
        if let Err(error) = other.examine(&how, &Progress::default(), tell).await {
            break error;
        }
    };
    assert!(second.to_string().contains("is being examined by another"), "{second}");
    examined.await.unwrap();
}
