//! HLS, thumbnails and storyboards: made in the background, delivered by URLs that are their own key.

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use reqwest::Response;
use serde_json::Value;

use crate::{
    harness::{
        Folder, TestServer, client, command, direct, eventually, expect, expect_error, files, reelhouse,
    },
    media::{self, made},
};

const PICTURE: [&str; 4] = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=13"];
const SOUND: [&str; 4] = ["-f", "lavfi", "-i", "sine=duration=13"];
const H264: [&str; 10] =
    ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac"];

fn mp4() -> PathBuf {
    made("derive.mp4", &[&PICTURE[..], &SOUND, &H264].concat())
}

fn mkv() -> PathBuf {
    made("derive.mkv", &[&PICTURE[..], &SOUND, &H264].concat())
}

fn webm() -> PathBuf {
    let encode = ["-c:v", "libvpx", "-cpu-used", "8", "-deadline", "realtime", "-c:a", "libopus", "-t", "5"];
    made("derive.webm", &[&PICTURE[..], &SOUND, &encode].concat())
}

async fn upload(server: &TestServer, path: &Path) -> String {
    let form = direct(path).text("enable_hls", "true").text("enable_thumbnail", "true");
    let created = expect(201, server.post(form).send().await.unwrap()).await;
    created["_id"].as_str().unwrap().to_owned()
}

async fn asset(server: &TestServer, id: &str) -> Value {
    expect(200, server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await
}

/// Waits until nothing of it is under way.
async fn settled(server: &TestServer, id: &str) -> Value {
    let open = |status: &Value| matches!(status.as_str(), Some("pending" | "processing"));
    eventually("it is made or given up", async || {
        let asset = asset(server, id).await;
        !open(&asset["hls"]["status"]) && !open(&asset["thumbnail"]["status"])
    })
    .await;
    asset(server, id).await
}

/// Without a key.
async fn fetch(url: &str) -> Response {
    client().get(url).send().await.unwrap()
}

/// What ffmpeg says of a manifest, and how many frames it finds.
fn decode(url: &str) -> (String, usize) {
    let output = command("ffmpeg")
        .args(["-v", "warning", "-nostdin", "-i", url, "-map", "0:v:0", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    let frames =
        String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.starts_with('#')).count();
    (String::from_utf8_lossy(&output.stderr).into_owned(), frames)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_comes_true() {
    let server = TestServer::start();
    for (path, frames) in [(mp4(), 325), (mkv(), 325), (webm(), 125)] {
        let id = upload(&server, &path).await;
        let asset = settled(&server, &id).await;
        assert_eq!(
            (&asset["hls"]["status"], &asset["thumbnail"]["status"]),
            (&"ready".into(), &"ready".into())
        );
        let manifest = asset["hls"]["manifest_url"].as_str().unwrap();
        let (says, found) = decode(manifest);
        assert_eq!((says.as_str(), found), ("", frames), "{}", path.display());

        let picture = fetch(asset["thumbnail"]["representative_url"].as_str().unwrap()).await;
        assert_eq!(picture.headers()["content-type"], "image/jpeg");
        let picture = picture.bytes().await.unwrap();
        assert!(picture.starts_with(&[0xFF, 0xD8, 0xFF]) && picture.len() < 100_000);
    }
    // Nothing is copied where the original serves.
    let derived = server.blobs().list("derived");
    let media = derived.iter().filter(|path| path.ends_with("/main.mp4")).count();
    assert_eq!(media, 2, "{derived:?}");
    server.assert_healthy();
}

/// Where the original serves as it lies, nobody waits: without a worker, HLS is there with the answer to the create.
#[tokio::test(flavor = "multi_thread")]
async fn hls_that_needs_no_making_is_ready_at_once() {
    let server = TestServer::start_with(&[("REELHOUSE_WORKERS", "0")]);
    let id = upload(&server, &mp4()).await;
    let ready = asset(&server, &id).await;
    assert_eq!(
        (&ready["hls"]["status"], &ready["thumbnail"]["status"]),
        (&"ready".into(), &"pending".into())
    );
    assert_eq!(decode(ready["hls"]["manifest_url"].as_str().unwrap()), (String::new(), 325));
    assert_eq!(jobs(&server, &["list"]).lines().filter(|line| line.contains("hls")).count(), 0);
    let [index] = &server.blobs().list("derived")[..] else { panic!("one file") };
    // A few thousandths of what it serves, and it outlives a restart.
    assert!(server.blobs().read(index).len() as u64 * 200 < mp4().metadata().unwrap().len());
    server.assert_healthy();
    let server = TestServer::start_in(server.stop(), &[("REELHOUSE_WORKERS", "0")]);
    let again = asset(&server, &id).await;
    assert_eq!(decode(again["hls"]["manifest_url"].as_str().unwrap()).1, 325);

    // What must be made is not said to be there; and a smaller variant beside it is made.
    let made = upload(&server, &mkv()).await;
    assert_eq!(asset(&server, &made).await["hls"]["status"], "pending");
    expect(200, server.delete(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
    assert_eq!(server.blobs().list("derived"), Vec::<String>::new());
    let settings = [("REELHOUSE_WORKERS", "0"), ("REELHOUSE_HLS_LADDER", "144")];
    let server = TestServer::start_in(server.stop(), &settings);
    let with_ladder = upload(&server, &mp4()).await;
    assert_eq!(asset(&server, &with_ladder).await["hls"]["status"], "pending");
}

/// Damaged, or of another version of this program: whoever asks finds nothing, and then a new one.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_cannot_be_read_is_made_anew() {
    let server = TestServer::start();
    let id = upload(&server, &mp4()).await;
    let before = settled(&server, &id).await["hls"]["manifest_url"].clone();
    let derived = server.blobs().list("derived");
    let index = derived.iter().find(|path| path.ends_with("/main.index")).unwrap();
    let mut bytes = server.blobs().read(index);
    bytes[3] ^= 0x80;
    server.blobs().write(index, &bytes);
    expect_error(404, "resource_not_exist", fetch(before.as_str().unwrap()).await).await;
    eventually("there is another", async || {
        let hls = asset(&server, &id).await["hls"].clone();
        hls["status"] == "ready" && hls["manifest_url"] != before
    })
    .await;
    let manifest = asset(&server, &id).await["hls"]["manifest_url"].clone();
    assert_eq!(decode(manifest.as_str().unwrap()), (String::new(), 325));
    server.assert_healthy();
}

/// The programme changes its size in the middle: players are given one.
#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_parameters_change_is_encoded() {
    let half = |name: &str, size: &str| {
        let source = format!("testsrc2=size={size}:rate=25:duration=4");
        std::fs::read(made(name, &[&["-f", "lavfi", "-i", &source][..], &H264[..8]].concat())).unwrap()
    };
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("recording.ts");
    std::fs::write(&path, [half("small.ts", "640x360"), half("large.ts", "854x480")].concat()).unwrap();
    let server = TestServer::start();
    let id = upload(&server, &path).await;
    let asset = settled(&server, &id).await;
    assert_eq!(asset["hls"]["status"], "ready");
    let frames = ["-v", "error", "-select_streams", "v", "-show_entries", "frame=width", "-of", "csv=p=0"];
    let output = command("ffprobe").args(frames).arg(asset["hls"]["manifest_url"].as_str().unwrap()).output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    let widths: Vec<_> = output.split_whitespace().map(|width| width.trim_end_matches(',')).collect();
    assert!(widths.len() >= 199 && widths.iter().all(|width| *width == widths[0]), "{widths:?}");
    server.assert_healthy();
}

/// A recording begins in the middle of a frame of sound: copied, the sound has no configuration.
#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_begins_inside_a_frame_of_sound_plays() {
    let sources = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=4"];
    let sound = ["-f", "lavfi", "-i", "sine=duration=4", "-c:a", "aac"];
    let mut bytes = std::fs::read(made("whole.ts", &[&sources[..], &sound, &H264[..8]].concat())).unwrap();
    // The first ADTS header becomes the end of a frame whose beginning is missing.
    let packet = bytes.windows(4).position(|start| start == [0, 0, 1, 0xC0]).unwrap();
    let header =
        bytes[packet..].windows(2).position(|pair| pair[0] == 0xFF && pair[1] & 0xF6 == 0xF0).unwrap();
    bytes[packet + header..][..2].fill(0);
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("recording.ts");
    std::fs::write(&path, bytes).unwrap();
    let server = TestServer::start();
    let id = upload(&server, &path).await;
    let asset = settled(&server, &id).await;
    assert_eq!(asset["hls"]["status"], "ready");
    let tracks = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"];
    let output =
        command("ffprobe").args(tracks).arg(asset["hls"]["manifest_url"].as_str().unwrap()).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.contains("h264") && output.contains("aac"), "{output}");
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn media_urls_are_their_own_key_and_no_other() {
    let server = TestServer::start();
    let id = upload(&server, &mp4()).await;
    let asset = settled(&server, &id).await;
    let manifest = asset["hls"]["manifest_url"].as_str().unwrap().to_owned();
    let thumbnail = asset["thumbnail"]["representative_url"].as_str().unwrap().to_owned();
    assert!(manifest.starts_with(&format!("{}/media/hls/{id}/", server.url)), "{manifest}");

    let master = fetch(&manifest).await;
    for (name, value) in [
        ("content-type", "application/vnd.apple.mpegurl"),
        ("access-control-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "public, max-age=60"),
    ] {
        assert_eq!(master.headers()[name], value);
    }
    let master = master.text().await.unwrap();
    let base = manifest.rsplit_once('/').unwrap().0;
    let uris = |text: &str| {
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let playlist = fetch(&format!("{base}/{}", uris(&master)[0])).await.text().await.unwrap();
    assert!(
        playlist.contains("#EXT-X-ENDLIST") && !playlist.contains("://") && !playlist.contains("/"),
        "{playlist}"
    );
    let segments = uris(&playlist);
    assert!(segments.len() >= 2);

    let url = format!("{base}/{}", segments[1]);
    let segment = fetch(&url).await;
    assert_eq!(segment.headers()["cache-control"], "public, max-age=31536000, immutable");
    let etag = segment.headers()["etag"].clone();
    let length = segment.headers()["content-length"].clone();
    let whole = segment.bytes().await.unwrap();
    // A range that begins in what was made and ends in what was uploaded.
    let part = client().get(&url).header("range", "bytes=100-9999").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], format!("bytes 100-9999/{}", whole.len()).as_str());
    assert!(part.bytes().await.unwrap() == whole[100..=9999]);
    let same = client().get(&url).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(same.status(), 304);
    let head = client().head(&url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &length));
    assert!(fetch(&url).await.bytes().await.unwrap() == whole);

    let original = asset["original_url"].as_str().unwrap();
    let back = fetch(original).await;
    assert_eq!(
        back.headers()["content-disposition"],
        "inline; filename=\"derive.mp4\"; filename*=UTF-8''derive.mp4"
    );
    assert!(back.bytes().await.unwrap() == std::fs::read(mp4()).unwrap());

    // One thing's token opens no other, and an altered one nothing.
    let token = |url: &str| url.split('/').nth(6).unwrap().to_owned();
    let forged = [
        manifest.replace(&token(&manifest), &token(&thumbnail)),
        manifest.replace(&token(&manifest), &token(original)),
        original.replace(&token(original), &token(&manifest)),
        manifest.replace(&token(&manifest), "0-00000000000000000000000000000000"),
        manifest.replace("/media/hls/", "/media/original/"),
        manifest.replace("/media/hls/", "/media/else/"),
    ];
    for url in forged {
        let message = expect_error(403, "media_url_invalid", fetch(&url).await).await;
        assert!(message.starts_with("This media URL is not valid"), "{message}");
    }
    // Whoever has a token has what it opens, and no other file.
    let up = "..%2F..%2F..%2F..%2Freelhouse.db";
    let beside_thumbnail = thumbnail.rsplit_once('/').unwrap().0;
    let beside_storyboard = asset["storyboard_url"].as_str().unwrap().rsplit_once('/').unwrap().0;
    for url in [
        format!("{base}/main-99.m4s"),
        format!("{base}/index"),
        format!("{base}/{up}"),
        format!("{base}/main/{up}"),
        format!("{beside_thumbnail}/{up}"),
        format!("{beside_storyboard}/{up}"),
    ] {
        expect_error(404, "resource_not_exist", fetch(&url).await).await;
    }
    expect(200, server.delete(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
    for url in [&manifest, &thumbnail, &url, original] {
        expect_error(404, "resource_not_exist", fetch(url).await).await;
    }
    assert_eq!(server.blobs().list("derived"), Vec::<String>::new());
    server.assert_healthy();
}

/// What is asked for beside the variant that plays everywhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_ladder_and_copied_originals() {
    let server = TestServer::start_with(&[
        ("REELHOUSE_LIMITS", "permissive"),
        ("REELHOUSE_HLS_LADDER", "720,240,144"),
        ("REELHOUSE_HLS_COPY", "hevc"),
    ]);
    let encode = [
        "-t",
        "5",
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-tag:v",
        "hvc1",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
    ];
    let params = ["-x265-params", "log-level=error:open-gop=0:keyint=50"];
    let hevc = made("derive-hevc.mp4", &[&PICTURE[..], &SOUND, &encode, &params].concat());
    let two = [
        "-map",
        "0",
        "-map",
        "1",
        "-map",
        "1",
        "-metadata:s:a:0",
        "language=ger",
        "-metadata:s:a:1",
        "language=fre",
    ];
    let languages = made("derive-languages.mp4", &[&PICTURE[..], &SOUND, &H264, &two].concat());
    for (path, variants) in [
        (mp4(), vec!["main.m3u8", "240/main.m3u8", "144/main.m3u8"]),
        (languages, vec!["main.m3u8", "240/main.m3u8", "144/main.m3u8"]),
        (hevc, vec!["main.m3u8", "240/main.m3u8", "144/main.m3u8", "hevc/main.m3u8"]),
    ] {
        let id = upload(&server, &path).await;
        let asset = settled(&server, &id).await;
        let manifest = asset["hls"]["manifest_url"].as_str().expect("HLS is ready");
        let master = fetch(manifest).await.text().await.unwrap();
        let uris: Vec<&str> =
            master.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert_eq!(uris, variants, "{master}");
        for (uri, height) in uris.iter().zip([360, 240, 144, 360]) {
            assert!(master.contains(&format!("x{height}")), "{master}");
            let url = format!("{}/{uri}", manifest.rsplit_once('/').unwrap().0);
            let (says, frames) = decode(&url);
            assert_eq!(says, "", "{uri} of {}", path.display());
            assert!(frames == 125 || frames == 325, "{frames} in {uri} of {}", path.display());
        }
    }
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn media_urls_end_where_a_lifetime_is_set() {
    let server = TestServer::start_with(&[("REELHOUSE_MEDIA_URL_TTL", "1")]);
    let asset = server.create(&media::png()).await;
    let asset = self::asset(&server, asset["_id"].as_str().unwrap()).await;
    let url = asset["original_url"].as_str().unwrap();
    let answer = fetch(url).await;
    assert_eq!(answer.status(), 200);
    // No copy is good for longer than the URL.
    let cache = answer.headers()["cache-control"].to_str().unwrap();
    assert!(["public, max-age=1", "public, max-age=2"].contains(&cache), "{cache}");
    eventually("it ends", async || fetch(url).await.status() == 403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storyboard_is_made_when_first_asked_for() {
    let server = TestServer::start();
    let id = server.create(&mp4()).await["_id"].as_str().unwrap().to_owned();
    let url = asset(&server, &id).await["storyboard_url"].as_str().unwrap().to_owned();
    let text = fetch(&url).await;
    assert_eq!(text.headers()["content-type"], "text/vtt");
    let text = text.text().await.unwrap();
    assert!(text.starts_with("WEBVTT") && text.contains("storyboard-0.jpg#xywh=0,0,160,90"), "{text}");
    let sheet = fetch(&url.replace("storyboard.vtt", "storyboard-0.jpg")).await;
    assert_eq!(sheet.headers()["content-type"], "image/jpeg");
    assert_eq!(fetch(&url.replace("storyboard.vtt", "storyboard-9.jpg")).await.status(), 404);

    // A picture too short for the middle of its first tile.
    let server = TestServer::start_with(&[("REELHOUSE_LIMITS", "permissive")]);
    let short = media::video("derive-short.mp4", "testsrc2=size=320x180:rate=30:duration=0.4");
    let id = server.create(&short).await["_id"].as_str().unwrap().to_owned();
    let url = asset(&server, &id).await["storyboard_url"].as_str().unwrap().to_owned();
    assert!(fetch(&url).await.text().await.unwrap().contains("storyboard-0.jpg"));
    // No text at all is no key.
    expect_error(403, "media_url_invalid", fetch(&url.replace("storyboard.vtt", "%ff%fe")).await).await;
    server.assert_healthy();
}

/// A program that never ends, in ffmpeg's place.
fn stubborn(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("stubborn");
    let script = "#!/bin/sh\n[ \"$1\" = -version ] && { echo ffmpeg version stubborn; exit 0; }\ntrap '' TERM\nsleep 1000 & sleep 1000\n";
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn jobs(server: &TestServer, arguments: &[&str]) -> String {
    let output = reelhouse(server.dir.path()).arg("jobs").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Processes that work below this folder.
fn working_in(folder: &Path) -> usize {
    let of =
        |entry: std::io::Result<std::fs::DirEntry>| std::fs::read(entry.ok()?.path().join("cmdline")).ok();
    let needle = folder.to_str().unwrap().as_bytes();
    let lines = std::fs::read_dir("/proc").unwrap().filter_map(of);
    lines.filter(|line| line.windows(needle.len()).any(|window| window == needle)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_lists_cancels_and_retries() {
    let tools = tempfile::TempDir::new().unwrap();
    let ffmpeg = stubborn(tools.path());
    let server = TestServer::start_with(&[("REELHOUSE_FFMPEG", ffmpeg.to_str().unwrap())]);
    // A remux that never ends.
    let created =
        expect(201, server.post(direct(&mkv()).text("enable_hls", "true")).send().await.unwrap()).await;
    let id = created["_id"].as_str().unwrap();
    eventually("it runs", async || jobs(&server, &["list"]).contains("running")).await;
    let line = jobs(&server, &["list"]);
    assert!(line.contains(id) && line.contains("hls"), "{line}");
    assert_eq!(asset(&server, id).await["hls"]["status"], "processing");
    let job = line.split(' ').next().unwrap().to_owned();
    jobs(&server, &["cancel", &job]);
    assert_eq!(asset(&server, id).await["hls"]["status"], "error");
    eventually("its attempt is gone", async || files(&server.dir.path().join("work")).is_empty()).await;
    eventually("nothing runs on", async || working_in(&server.dir.path().join("work")) == 0).await;
    assert!(jobs(&server, &["list"]).contains("canceled"));

    // With the real one it succeeds.
    let server = TestServer::start_in(server.stop(), &[]);
    jobs(&server, &["retry", &job]);
    assert_eq!(settled(&server, id).await["hls"]["status"], "ready");
    assert_eq!(jobs(&server, &["list"]), "");
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_an_asset_ends_its_jobs() {
    let tools = tempfile::TempDir::new().unwrap();
    let ffmpeg = stubborn(tools.path());
    let server = TestServer::start_with(&[("REELHOUSE_FFMPEG", ffmpeg.to_str().unwrap())]);
    let created =
        expect(201, server.post(direct(&mkv()).text("enable_hls", "true")).send().await.unwrap()).await;
    eventually("it runs", async || working_in(&server.dir.path().join("work")) > 0).await;
    let path = format!("/v1.3/assets/{}", created["_id"].as_str().unwrap());
    expect(200, server.delete(&path).send().await.unwrap()).await;
    eventually("nothing runs on", async || working_in(&server.dir.path().join("work")) == 0).await;
    eventually("its attempt is gone", async || files(&server.dir.path().join("work")).is_empty()).await;
    server.assert_healthy();
}

/// Workers of their own beside a server without any.
#[tokio::test(flavor = "multi_thread")]
async fn workers_may_be_processes_of_their_own() {
    struct Killed(Child);
    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill().and_then(|()| self.0.wait());
        }
    }
    let server = TestServer::start_with(&[("REELHOUSE_WORKERS", "0")]);
    let id = upload(&server, &mkv()).await;
    assert_eq!(asset(&server, &id).await["hls"]["status"], "pending");
    let worker =
        reelhouse(server.dir.path()).arg("worker").env("REELHOUSE_LOG", "warn").stdin(Stdio::null()).spawn();
    let _worker = Killed(worker.unwrap());
    assert_eq!(settled(&server, &id).await["hls"]["status"], "ready");
    server.assert_healthy();
}

/// kill -9 at random moments: every acknowledged derivative ends ready or error, no file is without a row, and nothing that
/// was started runs on. `REELHOUSE_TEST_KILLS` sets the rounds.
#[tokio::test(flavor = "multi_thread")]
async fn no_derivative_is_lost_by_kill_9() {
    let kills: u32 =
        std::env::var("REELHOUSE_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(8);
    let sources = [mp4(), mkv(), webm(), media::mp3(), media::png()];
    let root = tempfile::TempDir::new().unwrap();
    let mut dir = Folder::Lent(root.path().to_owned());
    let mut ids = Vec::new();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64 ^ u64::from(std::process::id());
    for round in 0..kills {
        let server = TestServer::start_in(dir, &[]);
        for path in [&sources[round as usize % sources.len()], &sources[(round as usize + 1) % sources.len()]]
        {
            ids.push(upload(&server, path).await);
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis((random >> 33) % 900)).await;
        dir = server.kill();
        eventually("its children die with it", async || working_in(&root.path().join("work")) == 0).await;
    }
    let server = TestServer::start_in(dir, &[]);
    for id in ids {
        let asset = settled(&server, &id).await;
        // Given up only what was under way at each of ten deaths.
        let given_up = jobs(&server, &["list"]);
        for status in [&asset["hls"]["status"], &asset["thumbnail"]["status"]] {
            let died = |line: &str| line.contains(&id) && line.ends_with("its worker died each time");
            assert!(status != "error" || given_up.lines().any(died), "{asset}\n{given_up}");
        }
        if let Some(url) = asset["hls"]["manifest_url"].as_str() {
            assert_eq!(fetch(url).await.status(), 200);
        }
    }
    assert_eq!(files(&root.path().join("work")), Vec::<PathBuf>::new());
    server.assert_healthy();
}
