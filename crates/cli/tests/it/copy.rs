//! All of a home in another: from SQLite and a folder to the home of the run (`scripts/with-postgres.sh`,
//! `scripts/with-seaweedfs.sh`) and back.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use reqwest::Url;
use rustix::fs::{FileType, Mode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    chunks::Session,
    harness::{
        Folder, KEY, TestServer, client, direct, doctor, eventually, expect, files, reelhouse, refused, rows,
    },
    indexes, media,
    origin::Origin,
};

/// What stands for what a server's own URLs begin with.
const BASE: &str = "https://media.example.org";
/// Webhooks are tried once, and then not for a day.
const STILL: [(&str, &str); 1] = [("REELHOUSE_WEBHOOK_RETRIES", "86400,86400")];

/// The command on a folder that has all in it, whatever the run's home is.
fn plain(folder: &Path) -> Command {
    let mut command = reelhouse(folder);
    command.env_remove("REELHOUSE_DATABASE_URL").env_remove("REELHOUSE_BLOB_URL");
    command
}

fn serve_plain(folder: &Path) -> TestServer {
    TestServer::spawn(plain(folder), Folder::Lent(folder.to_owned()), &STILL)
}

fn serve(folder: &Path) -> TestServer {
    TestServer::start_in(Folder::Lent(folder.to_owned()), &STILL)
}

/// From a folder that has all in it to the home of the run.
fn there(from: &Path, to: &Path) -> Command {
    let mut command = reelhouse(to);
    command.args(["copy", "--end-uploads", "--from"]).arg(from);
    command
}

/// From the home of the run to a folder that is to have all in it.
fn back(from: &Path, to: &Path) -> Command {
    let mut command = reelhouse(from);
    command.args(["copy", "--end-uploads", "--to"]).arg(to);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a copy says that succeeds.
fn copied(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{}{}", text(&stdout), text(&stderr));
    text(&stdout)
}

fn assert_well(output: &Output) {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// What the commands print of a home.
fn printed(command: impl Fn() -> Command) -> Vec<String> {
    let asked = [["accounts", "list"], ["keys", "list"], ["jobs", "list"], ["webhooks", "list"]];
    let printed = asked.map(|arguments| {
        let output = command().args(arguments).output().unwrap();
        assert_well(&output);
        text(&output.stdout)
    });
    printed.into()
}

/// Every row of what matters, as its database writes it; each line begins with its table.
async fn lines(rows: &mut sqlx::AnyConnection) -> Vec<String> {
    const TABLES: [(&str, &str); 13] = [
        ("account", "name, created_at, asset_count, asset_bytes, quota_assets, quota_bytes, webhooks"),
        ("api_key", "id, account, hash, origin, created_at"),
        (
            "asset",
            "seq, id, account, method, status, kind, filename, filename_folded, file_type, size, blake3, created_at,
             hls_status, thumbnail_status, technical_metadata, deleted_at, error_code, error_message, user_metadata",
        ),
        ("derivative", "asset_id, kind, folder, bytes, details, created_at"),
        ("import", "asset_id, url, validator, total, received, rate"),
        ("upload_session", "id, asset_id, account, type, total_size, chunk_size, created_at, expires_at"),
        ("upload_chunk", "upload_id, chunk_index, etag, received_at, completed_at"),
        ("idempotency", "account, key, fingerprint, answer, created_at"),
        (
            "job",
            "id, asset_id, kind, state, created_at, run_at, worker, lease_until, token, failed_attempts, lost_leases,
             last_error, traceparent",
        ),
        (
            "media_index",
            "seq, id, account, index_name, models, addons, created_at, updated_at, video_count, total_duration_ms",
        ),
        (
            "indexed_asset",
            "seq, id, index_id, asset_id, status, created_at, updated_at, indexed_at, filename, width, height, size, user_metadata",
        ),
        ("webhook", "id, account, url, events, secret, created_at, disabled_at"),
        (
            "webhook_delivery",
            "id, webhook_id, event, subject, seq, state, occurred_at, run_at, token, attempts, attempted_at, status, error",
        ),
    ];
    let mut lines = Vec::new();
    for (table, columns) in TABLES {
        let columns =
            columns.split(',').map(|column| format!("COALESCE(CAST({} AS TEXT), 'NULL')", column.trim()));
        let line = columns.collect::<Vec<_>>().join(" || '|' || ");
        let sql = format!("SELECT '{table}|' || {line} FROM {table} ORDER BY 1");
        let mut found: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *rows).await.unwrap();
        // As strings are ordered here: a database may have another way.
        found.sort();
        assert!(!found.is_empty() || table == "import", "nothing in {table}");
        lines.extend(found);
    }
    lines
}

async fn plain_rows(folder: &Path) -> sqlx::AnyConnection {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}/reelhouse.db", folder.display());
    <sqlx::AnyConnection as sqlx::Connection>::connect(&url).await.unwrap()
}

/// All that a server answers of what it has.
async fn told(server: &TestServer, other_key: &str) -> BTreeMap<String, Vec<u8>> {
    let mut told = BTreeMap::new();
    let mut ask = async |path: &str, key: &str| {
        let request = client().get(format!("{}{path}", server.url)).header("x-api-key", key);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{path}: {status}");
        let is_text = answer.headers()["content-type"].to_str().unwrap().starts_with("application/json");
        let mut bytes = answer.bytes().await.unwrap().to_vec();
        if is_text {
            bytes = text(&bytes).replace(&server.url, BASE).into_bytes();
        }
        told.insert(format!("{key} {path}"), bytes.clone());
        bytes
    };
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let mut media = Vec::new();
    for key in [KEY, other_key] {
        for page in 1.. {
            let page = json(&ask(&format!("/v1.3/assets?page_limit=3&page={page}"), key).await);
            let assets = page["data"].as_array().unwrap();
            if assets.is_empty() {
                break;
            }
            for asset in assets {
                let id = asset["_id"].as_str().unwrap();
                let shown = json(&ask(&format!("/v1.3/assets/{id}"), key).await);
                if shown["status"] == "ready" {
                    ask(&format!("/v1.3/assets/{id}/content"), key).await;
                }
                let urls = [&shown["hls"]["manifest_url"], &shown["thumbnail"]["representative_url"]];
                media.extend(urls.into_iter().filter_map(Value::as_str).map(str::to_owned));
            }
        }
        ask("/v1.3/assets?filename=CLIP", key).await;
        for index in json(&ask("/v1.3/indexes", key).await)["data"].as_array().unwrap() {
            let index = index["_id"].as_str().unwrap();
            ask(&format!("/v1.3/indexes/{index}/indexed-assets"), key).await;
        }
    }
    assert!(media.len() >= 4, "{media:?}");
    // All that a player would fetch.
    while let Some(url) = media.pop() {
        let bytes = ask(url.strip_prefix(BASE).unwrap(), "").await;
        if url.contains(".m3u8") {
            let list = text(&bytes);
            let attributes = list.split("URI=\"").skip(1).filter_map(|rest| rest.split('"').next());
            let named =
                list.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).chain(attributes);
            for named in named {
                let url = Url::parse(&url).unwrap().join(named).unwrap();
                media.push(url.to_string());
            }
        }
    }
    told
}

/// A home with something of everything.
struct Source {
    dir: TempDir,
    other_key: String,
    upload: Session,
    /// The chunks that were reported, or would have been next.
    etags: Vec<(u64, String)>,
    /// Key and answer of a create.
    create: (String, Value),
}

impl Source {
    fn path(&self) -> &Path {
        self.dir.path()
    }

    async fn make() -> Self {
        let dir = TempDir::new().unwrap();
        let server = serve_plain(dir.path());
        let run = |arguments: &[&str]| {
            let output = plain(dir.path()).args(arguments).output().unwrap();
            assert_well(&output);
            text(&output.stdout).trim().to_owned()
        };
        let other_key = run(&["keys", "create", "--account", "other"]);
        run(&["keys", "create", "--account", "other", "--read-only"]);
        run(&["accounts", "quota", "other", "--assets", "10"]);
        // Nobody is told: that is no public address.
        run(&["webhooks", "add", "http://127.0.0.1:9/told"]);

        let mkv = media::made("copy.mkv", &["-i", media::mp4().to_str().unwrap(), "-c", "copy"]);
        for path in [media::mp4(), mkv] {
            let form = direct(&path).text("enable_hls", "true").text("enable_thumbnail", "true");
            expect(201, server.post(form).send().await.unwrap()).await;
        }
        let form = || direct(&media::png()).text("user_metadata", r#"{"n":1.50,"text":"ü\u0000"}"#);
        let create = server.post(form()).header("idempotency-key", "once").send().await.unwrap();
        let create = expect(201, create).await;
        let clip = server.create(&media::mp4()).await;
        let doomed = server.create(&media::mp3()).await;
        let index = indexes::make(&server, "films").await;
        let body = json!({ "asset_id": clip["_id"], "user_metadata": { "place": "here" } });
        let path = format!("/v1.3/indexes/{index}/indexed-assets");
        expect(202, server.json("POST", &path, &body).await).await;
        let deleted = server.delete(&format!("/v1.3/assets/{}", doomed["_id"].as_str().unwrap()));
        assert!(deleted.send().await.unwrap().status().is_success());
        let request = client().post(format!("{}/v1.3/assets", server.url)).header("x-api-key", &other_key);
        expect(201, request.multipart(direct(&media::mp3())).send().await.unwrap()).await;

        let upload = Session::begin(&server, &media::sound("long.wav", "120", &["-c:a", "pcm_s16le"])).await;
        let etags = vec![(1, upload.put(&server, 1).await), (3, upload.put(&server, 3).await)];
        expect(200, upload.report(&server, &etags[..1]).await).await;

        let mut rows = plain_rows(dir.path()).await;
        eventually("nothing is under way", async || {
            let open: Vec<i64> = sqlx::query_scalar(
                "SELECT COUNT(*) FROM job UNION ALL
                 SELECT COUNT(*) FROM webhook_delivery WHERE state = 'sending' OR state = 'waiting' AND attempts = 0",
            )
            .fetch_all(&mut plain_rows(dir.path()).await)
            .await
            .unwrap();
            open == [0, 0]
        })
        .await;
        server.stop();
        // One that was given up, with a number that is not whole.
        sqlx::query(
            "INSERT INTO job (id, asset_id, kind, state, created_at, run_at, token, failed_attempts, progress, last_error)
             VALUES ('0123456789abcdef01234567', $1, 'storyboard', 'dead', 5, 6, 7, 8, 0.1, 'so')",
        )
        .bind(clip["_id"].as_str())
        .execute(&mut rows)
        .await
        .unwrap();
        Self { dir, other_key, upload, etags, create: (String::from("once"), create) }
    }

    /// A create that was made is not made again.
    async fn assert_made_once(&self, server: &TestServer) {
        let (key, answer) = &self.create;
        let form = direct(&media::png()).text("user_metadata", r#"{"n":1.50,"text":"ü\u0000"}"#);
        let again = server.post(form).header("idempotency-key", key).send().await.unwrap();
        assert_eq!(&expect(201, again).await, answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_is_the_same_in_another_place_and_back() {
    let source = Source::make().await;
    let server = serve_plain(source.path());
    let before = told(&server, &source.other_key).await;
    source.assert_made_once(&server).await;
    server.stop();
    let (said, rows_before) =
        (printed(|| plain(source.path())), lines(&mut plain_rows(source.path()).await).await);
    let files_before = contents(source.path());

    let home = TempDir::new().unwrap();
    let summary = copied(there(source.path(), home.path()));
    assert!(summary.contains("the new home can be used"), "{summary}");
    // Nothing of the old one was changed.
    assert_eq!(lines(&mut plain_rows(source.path()).await).await, rows_before);
    assert_eq!(contents(source.path()), files_before);

    let to_folder = database_is_plain(home.path());
    if to_folder {
        assert_eq!(lines(&mut rows(home.path()).await).await, rows_before);
        assert_eq!(printed(|| reelhouse(home.path())), said);
    }
    assert_well(&doctor(home.path()));
    let server = serve(home.path());
    let mut after = told(&server, &source.other_key).await;
    let mut expected = before;
    if blobs_are_in_bucket(home.path()) {
        // It could not go on, and says so.
        let shown = format!("{KEY} /v1.3/assets/{}", source.upload.asset);
        let asset: Value = serde_json::from_slice(&after[&shown]).unwrap();
        assert_eq!(
            (&asset["status"], &asset["error"]["code"]),
            (&"failed".into(), &"upload_not_active".into())
        );
        for answers in [&mut after, &mut expected] {
            answers.retain(|path, _| *path != shown && !path.contains("/assets?"));
        }
    }
    assert_same(&after, &expected);
    source.assert_made_once(&server).await;
    if !blobs_are_in_bucket(home.path()) {
        // An upload goes on with what it had.
        let upload = &source.upload;
        let mut etags = source.etags.clone();
        etags.push((2, upload.put(&server, 2).await));
        expect(200, upload.report(&server, &etags).await).await;
        assert_eq!(upload.asset_when_decided(&server).await["status"], "ready");
    }
    server.assert_healthy();
    let now = told(&server, &source.other_key).await;
    server.stop();

    // And back, onto one machine.
    let again = TempDir::new().unwrap();
    let summary = copied(back(home.path(), again.path()));
    assert!(summary.contains("the new home can be used"), "{summary}");
    assert_eq!(lines(&mut plain_rows(again.path()).await).await, lines(&mut rows(home.path()).await).await);
    assert_well(&plain(again.path()).arg("doctor").output().unwrap());
    let server = serve_plain(again.path());
    assert_same(&told(&server, &source.other_key).await, &now);
    source.assert_made_once(&server).await;
    server.create(&media::png()).await;
}

/// Says which answer differs, not all of them.
fn assert_same(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (path, bytes) in one {
        assert!(*bytes == other[path], "{path}:\n{}\n{}", text(bytes), text(&other[path]));
    }
}

fn database_is_plain(folder: &Path) -> bool {
    crate::harness::database::url(folder).is_empty()
}

fn blobs_are_in_bucket(folder: &Path) -> bool {
    !crate::harness::database::blob_url(folder).is_empty()
}

/// Every file but the lock, which says who holds it, and SQLite's own.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name != "lock" && !name.starts_with("reelhouse.db")
    };
    files(folder).into_iter().filter(ours).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A home with many files, whose copy takes a while.
async fn many(folder: &Path, small: usize) -> TestServer {
    let server = serve_plain(folder);
    let large = media::sound("long.wav", "120", &["-c:a", "pcm_s16le"]);
    for _ in 0..6 {
        server.create(&large).await;
    }
    let creates = (0..small).map(|_| server.post(direct(&media::png())).send());
    for answer in futures_util::future::join_all(creates).await {
        expect(201, answer.unwrap()).await;
    }
    server
}

/// Makes copies of a home wait in the middle: at one of its originals somebody would have to write first.
struct Held {
    place: PathBuf,
    original: PathBuf,
}

impl Held {
    fn at(source: &Path, nth: usize) -> Self {
        let mut originals = files(&source.join("originals"));
        originals.sort_by_key(|path| path.file_name().unwrap().to_owned());
        let (place, original) = (originals.remove(nth), source.join("original"));
        fs::rename(&place, &original).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &place, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        Self { place, original }
    }

    /// Lets whoever waits go on, who will find nothing in it.
    fn let_go(&self) {
        fs::OpenOptions::new().write(true).open(&self.place).unwrap();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        fs::rename(&self.original, &self.place).unwrap();
    }
}

/// Assets that may be begun, and not be done, before one.
const BEGUN: usize = 3;

/// Begins a copy that waits, and waits until it does.
fn begin(mut copy: Command, home: &Path, nth: usize) -> Child {
    let blobs = crate::blobs::Blobs::of(home);
    let mut child = copy.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let since = Instant::now();
    while blobs.list("originals").len() < nth - BEGUN {
        assert!(child.try_wait().unwrap().is_none(), "it ended early");
        assert!(since.elapsed() < Duration::from_secs(60), "it copies nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Kills a copy at the n-th original; how many are in the new home then.
fn kill_at(source: &Path, home: &Path, nth: usize) -> usize {
    let _held = Held::at(source, nth);
    let mut child = begin(there(source, home), home, nth);
    child.kill().unwrap();
    child.wait().unwrap();
    crate::blobs::Blobs::of(home).list("originals").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_goes_on() {
    let (source, home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = many(source.path(), 24).await;
    server.stop();
    let total = files(&source.path().join("originals")).len();
    // Since when each file is what it is.
    let since = || -> BTreeMap<PathBuf, (i64, i64)> {
        let all = files(&home.path().join("originals")).into_iter();
        let since =
            |path: PathBuf| path.metadata().map(|file| (path, (file.ctime(), file.ctime_nsec()))).ok();
        all.filter_map(since).collect()
    };
    let mut kept = since();
    for nth in [4, 20] {
        let found = kill_at(source.path(), home.path(), nth);
        assert!((nth - BEGUN..=nth).contains(&found), "{found} of {total}");
        // What is there stays: but for what was being written when it was killed.
        let now = since();
        let moved = kept.iter().filter(|(path, then)| now.get(*path) != Some(*then)).count();
        assert!(moved <= 4, "{moved} of {} were sent again", kept.len());
        kept = now;
        // Nobody takes it for a home.
        for command in [&["serve"][..], &["keys", "list"], &["migrate"], &["worker"]] {
            let said = refused(reelhouse(home.path()).args(command));
            assert!(said.contains("a copy into this database has not ended"), "{said}");
        }
    }
    // As if it had been killed among its rows.
    let mut new = rows(home.path()).await;
    for statement in [
        "DELETE FROM secret WHERE name = 'media_urls'",
        "DELETE FROM idempotency",
        "DELETE FROM asset WHERE seq > (SELECT MIN(seq) FROM asset)",
    ] {
        sqlx::query(statement).execute(&mut new).await.unwrap();
    }
    drop(new);
    let summary = copied(there(source.path(), home.path()));
    let now = since();
    let moved = kept.iter().filter(|(path, then)| now.get(*path) != Some(*then)).count();
    assert!(moved <= 4, "{moved} of {} were sent again", kept.len());
    let told = summary.lines().next().unwrap();
    let (size, sent) = told.strip_suffix(" were sent").unwrap().split_once(", in ").unwrap();
    let (size, sent) =
        (size.strip_prefix(&format!("{total} assets, ")).unwrap(), sent.split_once("; ").unwrap().1);
    assert_ne!(size, sent, "all was sent again");
    assert_well(&doctor(home.path()));
    let server = serve(home.path());
    assert_eq!((server.total().await, server.originals()), (total as u64, total));
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_between_two_runs_comes_along() {
    let (source, home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = many(source.path(), 24).await;
    let page: Value = server.get("/v1.3/assets").send().await.unwrap().json().await.unwrap();
    let oldest = page["page_info"]["total_results"].as_u64().unwrap();
    server.stop();
    kill_at(source.path(), home.path(), 6);
    // It was needed once more before the copy ended.
    let server = serve_plain(source.path());
    let list = server.get(&format!("/v1.3/assets?page_limit=1&page={oldest}")).send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let doomed = list["data"][0]["_id"].as_str().unwrap().to_owned();
    assert!(server.delete(&format!("/v1.3/assets/{doomed}")).send().await.unwrap().status().is_success());
    let added = server.create(&media::mp4()).await;
    // And it is not copied while it is.
    let said = refused(&mut there(source.path(), home.path()));
    assert!(said.contains("is in use by another reelhouse"), "{said}");
    server.stop();
    // A command beside the copy: it is found, and comes along.
    let held = Held::at(source.path(), 12);
    let copy = begin(there(source.path(), home.path()), home.path(), 12);
    let quota =
        plain(source.path()).args(["accounts", "quota", "default", "--assets", "777"]).output().unwrap();
    assert_well(&quota);
    held.let_go();
    let output = copy.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("has changed while it was copied"), "{}", text(&output.stderr));
    drop(held);
    copied(there(source.path(), home.path()));
    assert_well(&doctor(home.path()));
    assert!(
        text(&reelhouse(home.path()).args(["accounts", "list"]).output().unwrap().stdout).contains("777")
    );
    let server = serve(home.path());
    assert_eq!((server.total().await, server.originals() as u64), (oldest, oldest));
    let kept = server.get(&format!("/v1.3/assets/{}", added["_id"].as_str().unwrap())).send().await.unwrap();
    assert_eq!(expect(200, kept).await["status"], "ready");
    assert_eq!(server.get(&format!("/v1.3/assets/{doomed}")).send().await.unwrap().status(), 404);
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_named_and_all_else_copied() {
    let (source, home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = serve_plain(source.path());
    let mut ids = Vec::new();
    for path in [media::mp4(), media::mp3(), media::png(), media::mp4()] {
        ids.push(server.create(&path).await["_id"].as_str().unwrap().to_owned());
    }
    server.stop();
    let original = |id: &str| source.path().join(format!("originals/{}/{id}", &id[id.len() - 2..]));
    let mut changed = fs::read(original(&ids[0])).unwrap();
    changed[100] ^= 1;
    fs::write(original(&ids[0]), &changed).unwrap();
    fs::remove_file(original(&ids[1])).unwrap();
    let output = there(source.path(), home.path()).output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}{}", text(&output.stderr));
    assert!(said.contains(&format!("asset {}: its bytes are not the ones uploaded", ids[0])), "{said}");
    assert!(said.contains(&format!("asset {}: its bytes are missing", ids[1])), "{said}");
    assert!(said.contains("2 things are not as they were recorded"), "{said}");
    // The new home tells the same, and serves the rest.
    let findings = text(&doctor(home.path()).stdout);
    assert!(findings.contains(&format!("asset {}: its bytes are missing", ids[1])), "{findings}");
    assert!(findings.contains("2 things are wrong"), "{findings}");
    let server = serve(home.path());
    for (id, bytes) in [(&ids[0], changed), (&ids[2], fs::read(media::png()).unwrap())] {
        let content = server.get(&format!("/v1.3/assets/{id}/content")).send().await.unwrap();
        assert!(content.bytes().await.unwrap() == bytes, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_copied_is_refused() {
    let (source, home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let said = refused(&mut there(source.path(), home.path()));
    assert!(said.contains("holds no Reelhouse data"), "{said}");
    let server = serve_plain(source.path());
    server.create(&media::png()).await;
    server.stop();
    let said = refused(&mut there(source.path(), source.path()));
    assert!(said.contains("are the same"), "{said}");

    // A home of others.
    let taken = TempDir::new().unwrap();
    serve(taken.path()).stop();
    let said = refused(&mut there(source.path(), taken.path()));
    assert!(said.contains("is not empty"), "{said}");
    // One with another's bytes.
    fs::create_dir_all(home.path().join("originals/aa")).unwrap();
    fs::write(home.path().join("lock"), "").unwrap();
    let blobs = crate::blobs::Blobs::of(home.path());
    blobs.write("originals/aa/6730aaaaaaaaaaaaaaaaaaaa", b"x");
    let said = refused(&mut there(source.path(), home.path()));
    assert!(said.contains("is not empty"), "{said}");
    blobs.remove("originals/aa/6730aaaaaaaaaaaaaaaaaaaa");

    // An older schema is not brought forward unasked.
    let mut old = plain_rows(source.path()).await;
    let newest = "SELECT MAX(version) FROM _sqlx_migrations";
    let newest: i64 = sqlx::query_scalar(newest).fetch_one(&mut old).await.unwrap();
    let set = async |from: i64, to: i64, old: &mut sqlx::AnyConnection| {
        let set = sqlx::query("UPDATE _sqlx_migrations SET version = $2 WHERE version = $1");
        set.bind(from).bind(to).execute(old).await.unwrap();
    };
    set(newest, -1, &mut old).await;
    let said = refused(&mut there(source.path(), home.path()));
    assert!(said.contains("run `reelhouse migrate` first"), "{said}");
    set(-1, newest, &mut old).await;

    // A worker of another process.
    let job = "INSERT INTO job (id, asset_id, kind, state, created_at, run_at, worker, lease_until)
               VALUES ('0123456789abcdef01234567', 'a', 'hls', 'running', 1, 1, 'worker:1', 9000000000000000)";
    sqlx::query(job).execute(&mut old).await.unwrap();
    let said = refused(&mut there(source.path(), home.path()));
    assert!(said.contains("a worker (worker:1) is at work"), "{said}");
    sqlx::query("DELETE FROM job").execute(&mut old).await.unwrap();

    // A copy of something else was begun there.
    let other = TempDir::new().unwrap();
    many(other.path(), 6).await.stop();
    kill_at(other.path(), home.path(), 6);
    let said = refused(&mut there(source.path(), home.path()));
    assert!(said.contains("an unfinished copy of another home"), "{said}");
    copied(there(other.path(), home.path()));
    // And what was copied is a home of others now.
    let said = refused(&mut there(source.path(), home.path()));
    assert!(said.contains("is not empty"), "{said}");

    // Of a home that is served there is no copy.
    let new = TempDir::new().unwrap();
    let server = serve(home.path());
    let said = refused(&mut back(home.path(), new.path()));
    let in_use = if database_is_plain(home.path()) {
        "is in use by another"
    } else {
        "connections of reelhouse are open"
    };
    assert!(said.contains(in_use), "{said}");
    server.stop();
    if !database_is_plain(home.path()) {
        // Two nodes may make ids in one moment; SQLite keeps rows by that.
        let same = "UPDATE asset SET seq = (SELECT MIN(seq) FROM asset)";
        sqlx::query(same).execute(&mut rows(home.path()).await).await.unwrap();
        let said = refused(&mut back(home.path(), new.path()));
        assert!(said.contains("of asset were made by two nodes in the same moment"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_under_way_are_not_ended_unasked() {
    let (source, home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = serve_plain(source.path());
    Session::begin(&server, &media::mp3()).await;
    server.stop();
    let unasked = || {
        let mut command = reelhouse(home.path());
        command.args(["copy", "--from"]).arg(source.path());
        command
    };
    if blobs_are_in_bucket(home.path()) {
        let said = refused(&mut unasked());
        assert!(said.contains("1 uploads in chunks are under way"), "{said}");
        let said = copied(there(source.path(), home.path()));
        assert!(said.contains("1 uploads in chunks could not go on"), "{said}");
    } else {
        let said = copied(unasked());
        assert!(!said.contains("uploads in chunks"), "{said}");
    }
    assert_well(&doctor(home.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_goes_on_in_the_new_home() {
    let (source, home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = fs::read(media::mp4()).unwrap();
    let origin = Origin::of(file.clone()).await;
    let settings = [("REELHOUSE_IMPORT_ALLOW", "127.0.0.0/8"), ("REELHOUSE_IMPORT_REQUEST_BYTES", "100000")];
    let server = TestServer::spawn(plain(source.path()), Folder::Lent(source.path().to_owned()), &settings);
    let form = reqwest::multipart::Form::new().text("method", "url").text("url", origin.url("/slow/a.mp4"));
    let asset = expect(201, server.post(form).send().await.unwrap()).await;
    assert_eq!(asset["status"], "processing");
    server.stop();
    let mut old = plain_rows(source.path()).await;
    let received = "SELECT received FROM import";
    let received: i64 = sqlx::query_scalar(received).fetch_one(&mut old).await.unwrap();
    assert!((1..file.len() as i64).contains(&received), "{received} of {}", file.len());
    copied(there(source.path(), home.path()));
    let before = origin.sent.load(Relaxed);
    let server = TestServer::start_in(Folder::Lent(home.path().to_owned()), &settings);
    let path = format!("/v1.3/assets/{}", asset["_id"].as_str().unwrap());
    let shown = async || expect(200, server.get(&path).send().await.unwrap()).await;
    eventually("it is decided", async || shown().await["status"] != "processing").await;
    assert_eq!(shown().await["status"], "ready");
    let content = server.get(&format!("{path}/content")).send().await.unwrap();
    assert!(content.bytes().await.unwrap() == file);
    // What had come was not asked for again.
    let again = origin.sent.load(Relaxed) - before;
    assert!(again <= file.len() as u64 - received.unsigned_abs(), "{again} bytes, {received} were here");
    server.assert_healthy();
}
