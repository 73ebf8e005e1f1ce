//! A disk that fills up: a tmpfs of the test's own, in namespaces of users and mounts, which needs no right that a user lacks.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use reqwest::{Response, multipart::Form};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    chunks::Session,
    harness::{
        Folder, TestServer, client, command, direct, direct_bytes, eventually, expect, expect_error, files,
        reelhouse,
    },
    media,
    origin::Origin,
};

const MB: u64 = 1 << 20;
const MIN_FREE: u64 = 24 * MB;

/// A file system that others do not see. Gone when dropped.
struct Disk {
    /// Keeps the namespaces.
    holder: Child,
    dir: TempDir,
}

impl Disk {
    fn of(bytes: u64) -> Self {
        let dir = TempDir::new().unwrap();
        // Commands begin there, outside.
        std::fs::create_dir_all(dir.path().join("disk/data")).unwrap();
        let script = "mount -t tmpfs -o size=$1 tmpfs \"$0\" && echo mounted && cat";
        let mut holder = command("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .arg(dir.path().join("disk"))
            .arg(bytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut says = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut says).unwrap();
        assert_eq!(
            says, "mounted\n",
            "this needs namespaces of users and mounts: `unshare -rm` must work here"
        );
        Self { holder, dir }
    }

    /// As the server knows it.
    fn data_dir(&self) -> PathBuf {
        self.dir.path().join("disk/data")
    }

    /// A path of it, from outside.
    fn path(&self, below: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.dir.path().join("disk").strip_prefix("/").unwrap()).join(below)
    }

    fn reelhouse(&self) -> Command {
        let plain = reelhouse(&self.data_dir());
        let mut inside = command("nsenter");
        let holder = self.holder.id().to_string();
        inside.args(["--target", &holder, "--user", "--mount", "--preserve-credentials", "--"]);
        inside.arg(plain.get_program()).current_dir(self.data_dir());
        // All of it in the folder, whatever the others are tried on.
        inside.env_remove("REELHOUSE_DATABASE_URL").env_remove("REELHOUSE_BLOB_URL");
        let elsewhere = ["REELHOUSE_DATABASE_URL", "REELHOUSE_BLOB_URL"];
        for (name, value) in plain.get_envs().filter(|(name, _)| !elsewhere.iter().any(|other| name == other))
        {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    fn serve(&self, settings: &[(&str, &str)]) -> TestServer {
        TestServer::spawn(self.reelhouse(), Folder::Lent(self.path("data")), settings)
    }

    fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(self.path("")).unwrap();
        found.f_bavail * found.f_frsize
    }

    /// Fills it until so much is free, or gives so much back.
    fn leave(&self, free: u64) {
        let path = self.path("fill");
        let mut fill = std::fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
        let more = self.free().saturating_sub(free);
        let less = free.saturating_sub(self.free());
        fill.set_len(fill.metadata().unwrap().len() - less).unwrap();
        // To the last page, where that is asked for.
        let filled = fill.write_all(&vec![1; more as usize]);
        assert!(filled.is_ok() || free == 0);
    }

    fn assert_healthy(&self) {
        let output = self.reelhouse().arg("doctor").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(files(&self.path("data/staging")).is_empty() && files(&self.path("data/work")).is_empty());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

async fn refused_as_its_file(response: Response) {
    let says = expect_error(400, "parameter_invalid", response).await;
    assert!(says.contains("Unable to process the uploaded file"), "{says}");
}

async fn no_room(response: Response) {
    assert_eq!(response.headers()["retry-after"], "10");
    let says = expect_error(503, "service_unavailable", response).await;
    assert!(says.contains("no room"), "{says}");
}

async fn begin_session(server: &TestServer, bytes: u64) -> Response {
    let body = json!({ "filename": "a.wav", "type": "audio", "total_size": bytes });
    server.json("POST", "/v1.3/assets/multipart-uploads", &body).await
}

async fn put(url: &str, bytes: Vec<u8>) -> Response {
    client().put(url).body(bytes).send().await.unwrap()
}

fn url(url: &str) -> Form {
    Form::new().text("method", "url").text("url", url.to_owned())
}

fn wav() -> PathBuf {
    media::sound("long.wav", "120", &["-c:a", "pcm_s16le"])
}

async fn asset(server: &TestServer, id: &str) -> Value {
    expect(200, server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await
}

async fn is_ready(server: &TestServer) -> bool {
    server.get("/readyz").send().await.unwrap().status() == 200
}

fn jobs(disk: &Disk) -> String {
    let output = disk.reelhouse().args(["jobs", "list"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Below the watermark nothing is taken and nothing is made, and all that is there can be had and deleted. It comes back by
/// itself.
#[tokio::test(flavor = "multi_thread")]
async fn below_the_watermark_nothing_is_taken_and_all_comes_back() {
    let (disk, origin) = (Disk::of(96 * MB), Origin::of(std::fs::read(media::mp4()).unwrap()).await);
    let long = Origin::of(std::fs::read(wav()).unwrap()).await;
    let min_free = MIN_FREE.to_string();
    let settings = [
        ("REELHOUSE_MIN_FREE", min_free.as_str()),
        ("REELHOUSE_IMPORT_ALLOW", "127.0.0.0/8"),
        ("REELHOUSE_IMPORT_REQUEST_BYTES", "1000000"),
    ];
    let server = disk.serve(&settings);
    let kept = server.create(&media::mp4()).await;
    let kept = kept["_id"].as_str().unwrap();
    let session = Session::begin(&server, &wav()).await;
    let first = session.put(&server, 1).await;

    // What would not fit is refused while there still is room for others.
    no_room(begin_session(&server, disk.free() - MIN_FREE + MB).await).await;
    disk.leave(MIN_FREE + 4 * MB);
    refused_as_its_file(server.post(direct_bytes(vec![0; 5 << 20])).send().await.unwrap()).await;
    server.create(&media::png()).await;

    disk.leave(MIN_FREE - MB);
    refused_as_its_file(server.post(direct(&media::png())).send().await.unwrap()).await;
    refused_as_its_file(server.post(url(&origin.url("/plain/a.mp4"))).send().await.unwrap()).await;
    no_room(begin_session(&server, 1).await).await;
    no_room(put(&session.url(&server, 2).await, session.chunk(2)).await).await;
    // The form's own faults come first.
    let form = Form::new().text("method", "direct").text("enable_hls", "perhaps");
    let form = form.part("file", reqwest::multipart::Part::bytes(std::fs::read(media::png()).unwrap()));
    let says = expect_error(400, "parameter_invalid", server.post(form).send().await.unwrap()).await;
    assert!(says.contains("enable_hls"), "{says}");
    // What is here already may be sent again.
    assert_eq!(session.put(&server, 1).await, first);
    let ready = server.get("/readyz").send().await.unwrap();
    let says = expect_error(503, "service_unavailable", ready).await;
    assert!(says.contains("disk"), "{says}");
    let content = server.get(&format!("/v1.3/assets/{kept}/content")).send().await.unwrap();
    assert_eq!(content.bytes().await.unwrap(), std::fs::read(media::mp4()).unwrap());

    // A job waits, and no attempt is counted.
    let storyboard = asset(&server, kept).await["storyboard_url"].as_str().unwrap().to_owned();
    let made = || async { client().get(&storyboard).send().await.unwrap().status() == 200 };
    assert!(!made().await);
    for _ in 0..3 {
        // Longer than an idle worker sleeps.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let jobs = jobs(&disk);
        assert!(
            jobs.contains("storyboard") && jobs.contains("queued") && jobs.contains("0 failed"),
            "{jobs}"
        );
    }

    disk.leave(MIN_FREE + 16 * MB);
    eventually("it is ready again", || is_ready(&server)).await;
    eventually("the job is done", made).await;
    server.create(&media::png()).await;
    expect(201, server.post(url(&origin.url("/plain/a.mp4"))).send().await.unwrap()).await;

    // One that is under way is stopped before the disk is full, and goes on.
    let slow = expect(201, server.post(url(&long.url("/slow/a.wav"))).send().await.unwrap()).await;
    let slow = slow["_id"].as_str().unwrap();
    eventually("it has begun", || async { jobs(&disk).contains("running") }).await;
    disk.leave(MIN_FREE / 2 - MB);
    eventually("it is stopped", || async { jobs(&disk).contains("queued") }).await;
    assert!(jobs(&disk).contains("0 failed"));
    disk.leave(MIN_FREE + 16 * MB);
    eventually("it is done", || async { asset(&server, slow).await["status"] == "ready" }).await;
    assert_eq!(long.heads.lock().unwrap().len(), 3);

    let mut chunks = vec![(1, first)];
    for chunk in 2..=session.total() {
        chunks.push((chunk, session.put(&server, chunk).await));
    }
    expect(200, session.report(&server, &chunks).await).await;
    assert_eq!(session.asset_when_decided(&server).await["status"], "ready");
    disk.assert_healthy();
}

/// Whoever fills the disk to its last byte: who deletes gets room, also behind a start on the full disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_lets_delete() {
    let disk = Disk::of(96 * MB);
    let server = disk.serve(&[]);
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(server.create(&media::mp4()).await["_id"].as_str().unwrap().to_owned());
    }
    let delete = |server: &TestServer, id: &str| server.delete(&format!("/v1.3/assets/{id}")).send();
    disk.leave(0);
    assert_eq!(disk.free(), 0);
    refused_as_its_file(server.post(direct(&media::png())).send().await.unwrap()).await;
    let change = json!({ "user_metadata": { "a": "b" } });
    let path = format!("/v1.3/assets/{}/user-metadata", ids[0]);
    no_room(server.json("PUT", &path, &change).await).await;
    expect(200, delete(&server, &ids[0]).await.unwrap()).await;
    assert!(disk.free() > 0);
    expect(200, delete(&server, &ids[1]).await.unwrap()).await;

    // What was kept is kept again.
    disk.leave(64 * MB);
    eventually("there is room for the next time", || async { disk.path("data/reserve").exists() }).await;
    disk.leave(0);
    server.stop();
    let server = disk.serve(&[]);
    expect(200, delete(&server, &ids[2]).await.unwrap()).await;
    assert_eq!(server.total().await, 1);
    disk.leave(64 * MB);
    eventually("it is ready again", || is_ready(&server)).await;
    server.create(&media::png()).await;
    disk.assert_healthy();
}

/// No watermark, so that the disk is found full in the middle of everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_in_the_middle_leaves_nothing_half_written() {
    let (disk, origin) = (Disk::of(64 * MB), Origin::of(std::fs::read(wav()).unwrap()).await);
    let settings = [
        ("REELHOUSE_MIN_FREE", "0"),
        ("REELHOUSE_IMPORT_ALLOW", "127.0.0.0/8"),
        ("REELHOUSE_IMPORT_REQUEST_BYTES", "1000000"),
    ];
    let server = disk.serve(&settings);
    let kept = server.create(&media::mp4()).await;
    let session = Session::begin(&server, &wav()).await;
    // An import that goes on as a job finds less than what is to come.
    disk.leave(6 * MB);
    refused_as_its_file(server.post(url(&origin.url("/plain/a.wav"))).send().await.unwrap()).await;
    let lengthless = expect(201, server.post(url(&origin.url("/chunked/a.wav"))).send().await.unwrap()).await;
    let lengthless = lengthless["_id"].as_str().unwrap();
    eventually("it found the disk full", || async { disk.free() < MB }).await;

    // Its length is known, or not.
    refused_as_its_file(server.post(direct_bytes(vec![0; 8 << 20])).send().await.unwrap()).await;
    let mut bytes = std::fs::read(media::mp4()).unwrap();
    bytes.resize(8 << 20, 0);
    refused_as_its_file(send_in_pieces(&server, &bytes).await).await;
    refused_as_its_file(server.post(direct(&wav())).send().await.unwrap()).await;
    no_room(put(&session.url(&server, 1).await, session.chunk(1)).await).await;
    assert!(files(&disk.path("data/staging")).is_empty());
    assert_eq!(files(&disk.path("data/originals")).len(), 1);
    assert_eq!(asset(&server, lengthless).await["status"], "processing");
    assert_eq!(asset(&server, kept["_id"].as_str().unwrap()).await["status"], "ready");

    disk.leave(40 * MB);
    let mut chunks = Vec::new();
    for chunk in 1..=session.total() {
        chunks.push((chunk, session.put(&server, chunk).await));
    }
    expect(200, session.report(&server, &chunks).await).await;
    assert_eq!(session.asset_when_decided(&server).await["status"], "ready");
    let jobs = jobs(&disk);
    eventually("the import goes on", || async {
        let status = asset(&server, lengthless).await["status"].clone();
        assert_ne!(status, "failed", "{jobs}");
        status == "ready"
    })
    .await;
    let again = server.get(&format!("/v1.3/assets/{lengthless}/content")).send().await.unwrap();
    assert!(again.bytes().await.unwrap() == std::fs::read(wav()).unwrap());
    disk.assert_healthy();
}

/// A form without a length.
async fn send_in_pieces(server: &TestServer, file: &[u8]) -> Response {
    let mut body = b"--b\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\ndirect\r\n\
        --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp4\"\r\n\r\n"
        .to_vec();
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--b--\r\n");
    let pieces: Vec<_> = body.chunks(64 << 10).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let request = client().post(format!("{}/v1.3/assets", server.url));
    let request = request.header("x-api-key", crate::harness::KEY);
    let request = request.header("content-type", "multipart/form-data; boundary=b");
    request.body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))).send().await.unwrap()
}
