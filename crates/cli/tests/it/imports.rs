//! By URL: the right bytes or the right code, and nothing fetched that must not be.

use std::sync::atomic::Ordering;

use reqwest::{Response, multipart::Form};
use serde_json::{Value, json};

use crate::{
    chunks::incoming,
    harness::{Folder, TestServer, eventually, expect, expect_error, reelhouse},
    media,
    origin::Origin,
};

const ALLOWED: (&str, &str) = ("REELHOUSE_IMPORT_ALLOW", "127.0.0.0/8");

async fn import(server: &TestServer, url: &str) -> Response {
    server.post(Form::new().text("method", "url").text("url", url.to_owned())).send().await.unwrap()
}

async fn clip() -> Origin {
    Origin::of(std::fs::read(media::mp4()).unwrap()).await
}

async fn retrieve(server: &TestServer, id: &Value) -> Value {
    expect(200, server.get(&format!("/v1.3/assets/{}", id.as_str().unwrap())).send().await.unwrap()).await
}

async fn decided(server: &TestServer, id: &Value) -> Value {
    eventually("the asset is decided", || async { retrieve(server, id).await["status"] != "processing" })
        .await;
    retrieve(server, id).await
}

async fn content(server: &TestServer, id: &Value) -> Vec<u8> {
    let path = format!("/v1.3/assets/{}/content", id.as_str().unwrap());
    server.get(&path).send().await.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_bytes() {
    let (server, origin) = (TestServer::start_with(&[ALLOWED]), clip().await);
    let file = std::fs::read(media::mp4()).unwrap();
    let redirected = format!("/to/?{}", origin.url("/named/x"));
    for (path, name) in [
        ("/plain/a%20clip.mp4?signature=1", "a clip.mp4"),
        ("/named/x.mp4", "🎬 näme.mp4"),
        (redirected.as_str(), "🎬 näme.mp4"),
        ("/lengthless/a.mp4", "a.mp4"),
        ("/chunked/a.mp4", "a.mp4"),
        ("/deaf/..%2f..%2fetc%2fpasswd", "passwd"),
        ("/broken/a.mp4", "a.mp4"),
        ("/broken-deaf/a.mp4", "a.mp4"),
        ("/reset/a.mp4", "a.mp4"),
        ("/changing/", "upload"),
    ] {
        origin.heads.lock().unwrap().clear();
        let asset = expect(201, import(&server, &origin.url(path)).await).await;
        assert_eq!(
            (&asset["method"], &asset["status"], &asset["filename"]),
            (&json!("url"), &json!("ready"), &json!(name)),
            "{path}"
        );
        assert!(content(&server, &asset["_id"]).await == file, "{path}");
    }
    let form =
        Form::new().text("method", "url").text("url", origin.url("/named/x")).text("filename", "mine.mp4");
    let asset = expect(201, server.post(form).send().await.unwrap()).await;
    assert_eq!(asset["filename"], "mine.mp4");
    for head in origin.heads.lock().unwrap().iter() {
        let head = head.to_lowercase();
        assert!(
            head.contains("user-agent: reelhouse/") && head.contains("accept-encoding: identity"),
            "{head}"
        );
        assert!(!["cookie", "authorization", "referer", "x-api-key"].iter().any(|name| head.contains(name)));
    }
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_code() {
    let settings = [ALLOWED, ("REELHOUSE_IMPORT_IDLE_TIMEOUT", "1")];
    let (server, origin) = (TestServer::start_with(&settings), clip().await);
    let media = origin.url("/plain/a.m3u8");
    let live = "%23EXTM3U%0A%23EXT-X-TARGETDURATION:6%0A%23EXTINF:6,%0Aa.ts%0A";
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let at = |path: &str| origin.url(path);
    let table: Vec<(String, &str, &str)> = vec![
        ("".to_owned(), "parameter_not_provided", "url is required when method is url."),
        ("ftp://example.org/a".to_owned(), "parameter_invalid", "It must begin with http:// or https://."),
        ("http://".to_owned(), "parameter_invalid", "empty host."),
        (
            format!("http://user:pass@{}/", origin.address),
            "parameter_invalid",
            "must not hold a user name or a password.",
        ),
        (closed.clone(), "media_url_not_accessible", &closed),
        (
            "http://does-not-exist.invalid/a.mp4".to_owned(),
            "media_url_not_accessible",
            "does-not-exist.invalid/a.mp4. The server responded",
        ),
        (at("/status/404"), "media_url_not_accessible", ""),
        (at("/status/503"), "media_url_not_accessible", ""),
        (at("/status/204"), "media_url_not_accessible", ""),
        (at("/silent/"), "media_url_not_accessible", ""),
        (at("/to/?file:///etc/passwd"), "media_url_not_accessible", ""),
        (at("/to/?http://169.254.169.254/latest"), "media_url_not_accessible", ""),
        (at("/to/?http://[::1]/"), "media_url_not_accessible", ""),
        (at("/to/?/to/?/to/?/to/?/to/?/to/?/to/?/plain"), "media_url_not_accessible", ""),
        (
            at("/truncated/a.mp4"),
            "media_url_file_broken",
            "Cannot read the media file at the specified URL. Please verify the file is valid and try again.",
        ),
        (at("/stalled/a.mp4"), "media_url_file_broken", ""),
        (
            at("/text/?hello"),
            "media_url_unsupported_format",
            "Detected format: text/plain. Please provide a valid asset file.",
        ),
        (
            at("/text/?<!doctype html>".replace(' ', "").as_str()),
            "media_url_unsupported_format",
            "Detected format: text/plain.",
        ),
        (at("/text/?<html>"), "media_url_unsupported_format", "Detected format: text/html."),
        (at("/text/?"), "media_url_file_broken", ""),
        (
            at("/huge/a.mp4"),
            "media_filesize_too_large",
            "Please upload a file smaller than 4GB. The current size is 5GB.",
        ),
        (at(&format!("/text/?{live}")), "video_file_live", "Please provide a URL that is not a live stream."),
        (
            at(&format!("/text/?{live}%23EXT-X-ENDLIST")),
            "media_url_unsupported_format",
            "Detected format: application/vnd.apple.mpegurl.",
        ),
        (at("/text/?%23EXTM3U%0A%23EXT-X-STREAM-INF:BANDWIDTH=1%0A/live/low.m3u8"), "video_file_live", ""),
        (
            at(&format!("/text/?%23EXTM3U%0A%23EXT-X-STREAM-INF:BANDWIDTH=1%0A{media}")),
            "media_url_unsupported_format",
            "",
        ),
    ];
    for (url, code, end) in table {
        let message = expect_error(400, code, import(&server, &url).await).await;
        assert!(message.contains(end), "{url}: {message}");
    }
    let small = Origin::of(
        std::fs::read(media::made("tiny.mp4", &["-f", "lavfi", "-i", "testsrc2=size=320x240:duration=5"]))
            .unwrap(),
    )
    .await;
    expect_error(400, "video_resolution_too_low", import(&server, &small.url("/plain/a.mp4")).await).await;
    let half = std::fs::read(media::mp4()).unwrap();
    let half = Origin::of(half[..half.len() / 2].to_vec()).await;
    expect_error(400, "media_url_file_broken", import(&server, &half.url("/plain/a.mp4")).await).await;
    let mut image = std::fs::read(media::png()).unwrap();
    image.resize(6 << 20, 0);
    let image = Origin::of(image).await;
    for path in ["/plain/a.png", "/lengthless/a.png", "/endless/a.png"] {
        let message =
            expect_error(400, "media_filesize_too_large", import(&server, &image.url(path)).await).await;
        assert!(message.contains("smaller than 5MB"), "{message}");
    }
    // Not read on.
    assert!(image.sent.load(Ordering::SeqCst) < 40 << 20);
    assert_eq!((server.total().await, incoming(&server)), (0, 0));
    server.assert_healthy();
}

#[tokio::test]
async fn what_is_not_public_is_not_dialled() {
    let (server, origin) = (TestServer::start(), clip().await);
    let port = origin.address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "0.0.0.0",
        "a.localhost",
    ] {
        let url = format!("http://{host}:{port}/plain/a.mp4");
        let message = expect_error(400, "media_url_not_accessible", import(&server, &url).await).await;
        assert_eq!(
            message,
            format!(
                "Cannot access the media URL {url}. The server responded with an error. Please verify the URL is correct and publicly accessible."
            )
        );
    }
    assert_eq!(origin.requests(), 0);
    let says = crate::harness::refused(
        reelhouse(server.dir.path()).arg("serve").env("REELHOUSE_IMPORT_ALLOW", "10.0.0.1/8"),
    );
    assert!(says.contains("REELHOUSE_IMPORT_ALLOW") && says.contains("10.0.0.0/8"), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_large_or_slow_goes_on_as_a_job() {
    let bytes = ("REELHOUSE_IMPORT_REQUEST_BYTES", "100000");
    let time = ("REELHOUSE_IMPORT_REQUEST_TIME", "1");
    let idle = ("REELHOUSE_IMPORT_IDLE_TIMEOUT", "1");
    for settings in [[ALLOWED, bytes, idle], [ALLOWED, time, idle]] {
        let (server, origin) = (TestServer::start_with(&settings), clip().await);
        let file = std::fs::read(media::mp4()).unwrap();
        for path in ["/slow/a.mp4", "/lengthless/b.mp4", "/deaf/c.mp4", "/unnamed/d.mp4", "/changing/e.mp4"] {
            let slow = path.starts_with("/slow");
            if settings[1] == time && !slow {
                continue;
            }
            let form =
                Form::new().text("method", "url").text("url", origin.url(path)).text("enable_hls", "true");
            let answer = expect(201, server.post(form).send().await.unwrap()).await;
            assert_eq!(
                (&answer["status"], &answer["method"]),
                (&json!("processing"), &json!("url")),
                "{path}"
            );
            assert!(answer.get("size").is_none() && answer.get("duration").is_none());
            if slow {
                let asset = retrieve(&server, &answer["_id"]).await;
                assert!(asset.get("size").is_none() && asset["hls"]["status"] == "pending", "{asset}");
                eventually("jobs list shows how far it is", || async {
                    let output = reelhouse(server.dir.path()).args(["jobs", "list"]).output().unwrap();
                    let text = String::from_utf8(output.stdout).unwrap();
                    text.contains("import") && text.contains("MB of ") && text.contains("/s ")
                })
                .await;
            }
            let asset = decided(&server, &answer["_id"]).await;
            assert_eq!(
                (&asset["status"], &asset["size"]),
                (&json!("ready"), &json!(file.len())),
                "{path}: {asset}"
            );
            // The moment it is ready, so is what needs no making.
            assert_eq!(asset["hls"]["status"], "ready", "{path}");
            assert!(content(&server, &answer["_id"]).await == file, "{path}");
        }
        let ranges =
            origin.heads.lock().unwrap().iter().filter(|head| head.contains("if-range: \"one\"")).count();
        assert!(ranges > 0);
        assert_eq!(incoming(&server), 0);
        server.assert_healthy();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_end_well_fails_the_asset() {
    let settings =
        [ALLOWED, ("REELHOUSE_IMPORT_REQUEST_BYTES", "100000"), ("REELHOUSE_IMPORT_IDLE_TIMEOUT", "1")];
    let (server, origin) = (TestServer::start_with(&settings), clip().await);
    let mut broken = std::fs::read(media::mp4()).unwrap();
    let len = broken.len();
    broken.truncate(len - 1000);
    let half = Origin::of(broken).await;
    let form = Form::new()
        .text("method", "url")
        .text("url", half.url("/plain/a.mp4"))
        .text("enable_thumbnail", "true");
    let answer = expect(201, server.post(form).send().await.unwrap()).await;
    let asset = decided(&server, &answer["_id"]).await;
    assert_eq!(
        (&asset["status"], &asset["error"]["code"]),
        (&json!("failed"), &json!("media_url_file_broken"))
    );
    assert_eq!(asset["thumbnail"]["status"], "error");
    // Larger than any asset may be; it does not say so before.
    let answer = expect(201, import(&server, &origin.url("/stalled/a.mp4")).await).await;
    let output = reelhouse(server.dir.path()).args(["jobs", "list"]).output().unwrap();
    let id = String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned();
    let output = reelhouse(server.dir.path()).args(["jobs", "cancel", &id]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let asset = decided(&server, &answer["_id"]).await;
    assert_eq!(
        asset["error"],
        json!({ "code": "request_canceled_or_timed_out", "message": "Request canceled." })
    );
    // Deleted in the middle.
    let answer = expect(201, import(&server, &origin.url("/stalled/a.mp4")).await).await;
    let path = format!("/v1.3/assets/{}", answer["_id"].as_str().unwrap());
    expect(200, server.delete(&path).send().await.unwrap()).await;
    assert_eq!(incoming(&server), 0);
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_does_not_take_every_turn() {
    let settings = [
        ALLOWED,
        ("REELHOUSE_IMPORT_REQUEST_BYTES", "100000"),
        ("REELHOUSE_IMPORTS", "3"),
        ("REELHOUSE_IMPORTS_PER_ACCOUNT", "2"),
    ];
    let (server, origin) = (TestServer::start_with(&settings), clip().await);
    for _ in 0..4 {
        expect(201, import(&server, &origin.url("/stalled/a.mp4")).await).await;
    }
    let running = || async {
        let output = reelhouse(server.dir.path()).args(["jobs", "list"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().matches(" running ").count()
    };
    eventually("two of them run", || async { running().await == 2 }).await;
    let output =
        reelhouse(server.dir.path()).args(["keys", "create", "--account", "other"]).output().unwrap();
    let key = String::from_utf8(output.stdout).unwrap();
    let key = key.trim();
    let form = Form::new().text("method", "url").text("url", origin.url("/plain/a.mp4"));
    let request =
        crate::harness::client().post(format!("{}/v1.3/assets", server.url)).header("x-api-key", key);
    let answer = expect(201, request.multipart(form).send().await.unwrap()).await;
    assert_eq!(answer["status"], "processing");
    eventually("another account's is done meanwhile", || async {
        let path = format!("{}/v1.3/assets/{}", server.url, answer["_id"].as_str().unwrap());
        let asset = crate::harness::client().get(path).header("x-api-key", key).send().await.unwrap();
        asset.json::<Value>().await.unwrap()["status"] == "ready"
    })
    .await;
    assert_eq!(running().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_one_import() {
    let (server, origin) = (TestServer::start_with(&[ALLOWED]), clip().await);
    let post = |path: &str| {
        let form = Form::new().text("method", "url").text("url", origin.url(path));
        server.post(form).header("idempotency-key", "one").send()
    };
    let first = expect(201, post("/plain/a.mp4").await.unwrap()).await;
    assert_eq!(expect(201, post("/plain/a.mp4").await.unwrap()).await, first);
    assert_eq!(origin.requests(), 1);
    expect_error(422, "idempotency_key_reused", post("/plain/b.mp4").await.unwrap()).await;
    assert_eq!(server.total().await, 1);
}

/// Killed five times. `REELHOUSE_TEST_IMPORT_MB` sets the size.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_import_survives_kill_9() {
    let size: u64 =
        std::env::var("REELHOUSE_TEST_IMPORT_MB").ok().and_then(|mb| mb.parse().ok()).unwrap_or(256);
    let seconds = ((size << 20) / (48_000 * 4)).to_string();
    let noise = format!("anoisesrc=sample_rate=48000:seed=1:duration={seconds}");
    let path = media::made("import.wav", &["-f", "lavfi", "-i", &noise, "-ac", "2", "-c:a", "pcm_s16le"]);
    let file = std::fs::read(path).unwrap();
    let origin = Origin::of(file.clone()).await;
    let root = tempfile::TempDir::new().unwrap();
    let start = || TestServer::start_in(Folder::Lent(root.path().to_owned()), &[ALLOWED]);
    let mut server = start();
    let answer = expect(201, import(&server, &origin.url("/plain/a.wav")).await).await;
    assert_eq!(answer["status"], "processing");
    for life in 1..=5 {
        // In the middle of each sixth; wherever it is then.
        eventually("it gets on", || async {
            origin.sent.load(Ordering::SeqCst) >= file.len() as u64 * life / 6
        })
        .await;
        server.kill();
        server = start();
    }
    let asset = decided(&server, &answer["_id"]).await;
    assert_eq!(asset["status"], "ready", "{asset}");
    assert!(content(&server, &answer["_id"]).await == file);
    let twice = origin.sent.load(Ordering::SeqCst).saturating_sub(file.len() as u64);
    println!("{} bytes, {twice} fetched twice, {} requests", file.len(), origin.requests());
    // What is under way in the system's buffers at each death counts, too; of a small file that is more than a twentieth.
    assert!(twice <= (file.len() as u64 / 20).max(5 * (10 << 20)), "{twice} bytes were fetched twice");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    println!("{peak}");
    assert!(peak.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() < 100 << 10);
    server.assert_healthy();
}
