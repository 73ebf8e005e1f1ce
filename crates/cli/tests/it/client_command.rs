//! The client half of the command, against the real server.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    client_cli::{Ended, base_url, reelhouse, run},
    harness::TestServer,
    media,
    origin::Origin,
};

struct Scene {
    server: TestServer,
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { server: TestServer::start(), folder: TempDir::new().unwrap() };
        fs::copy(media::mp4(), scene.folder.path().join("clip.mp4")).unwrap();
        fs::copy(media::png(), scene.folder.path().join("picture.png")).unwrap();
        fs::write(scene.folder.path().join("notes.txt"), "no media").unwrap();
        scene
    }

    async fn run(&self, words: &[&str]) -> Ended {
        run(reelhouse(&base_url(&self.server), self.folder.path()), words).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_from_upload_to_delete() {
    let scene = Scene::new();
    let words = ["upload", "--hls", "--thumbnail", "--wait", "--json", "--metadata", "take=7", "clip.mp4"];
    let uploaded = scene.run(&words).await.done().json();
    let asset = &uploaded[0]["asset"];
    let id = asset["_id"].as_str().unwrap();
    assert_eq!(uploaded[0]["file"], "clip.mp4");
    assert_eq!((&asset["status"], &asset["hls"]["status"]), (&json!("ready"), &json!("ready")));

    let listed = scene.run(&["list", "--filename", "CLIP", "--type", "video", "--json"]).await.done().json();
    assert_eq!(listed[0]["_id"], id);
    let table = scene.run(&["list", "--all"]).await.done().out;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID ") && lines[0].ends_with(" NAME"), "{table}");
    assert!(lines[1].starts_with(id) && lines[1].ends_with("clip.mp4"), "{table}");
    let none = scene.run(&["list", "--type", "audio"]).await.done();
    assert_eq!((none.out.as_str(), none.err.trim()), ("", "there are no such assets"));

    let shown = scene.run(&["get", id]).await.done().out;
    for fact in [
        "status     ready",
        "picture    h264, 640x360, 25 fps",
        "sound      aac",
        "hls        ready  http://",
    ] {
        assert!(shown.contains(fact), "{fact}: {shown}");
    }
    assert_eq!(scene.run(&["get", "--json", id]).await.done().json()[0]["_id"], id);
    assert!(scene.run(&["watch", id]).await.done().out.starts_with(id));

    scene.run(&["download", id, "--output", "copy.mp4"]).await.done();
    assert_eq!(fs::read(scene.folder.path().join("copy.mp4")).unwrap(), fs::read(media::mp4()).unwrap());
    assert_eq!(scene.run(&["delete", id]).await.done().out, format!("deleted {id}\n"));
    let gone = scene.run(&["get", id]).await;
    assert_eq!(gone.code, Some(3), "{gone:?}");
    assert!(gone.err.contains("does not exist") && gone.err.contains("`reelhouse list`"), "{gone:?}");
    scene.server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_uploaded_and_what_failed_is_tried_again() {
    let scene = Scene::new();
    let folder = scene.folder.path();
    fs::create_dir_all(folder.join("films/more")).unwrap();
    fs::copy(media::mp4(), folder.join("films/a.mp4")).unwrap();
    fs::copy(media::mp3(), folder.join("films/more/b.mp3")).unwrap();
    let whole = fs::read(media::mp4()).unwrap();
    fs::write(folder.join("films/torn.mp4"), &whole[..whole.len() / 2]).unwrap();

    let first = scene.run(&["upload", "films", "--json"]).await;
    assert_eq!(first.code, Some(1), "{first:?}");
    assert!(first.err.contains("reelhouse: films/torn.mp4: Unable to process video file."), "{first:?}");
    let of = |lines: &[Value], file: &str| lines.iter().find(|line| line["file"] == file).unwrap().clone();
    let lines = first.json();
    assert_eq!(of(&lines, "films/torn.mp4")["error"]["code"], "video_file_broken");
    let a = of(&lines, "films/a.mp4")["asset"]["_id"].clone();
    assert_eq!(of(&lines, "films/more/b.mp3")["asset"]["file_type"], "audio/mpeg");

    // The same command goes on: what is there is not sent again.
    fs::write(folder.join("films/torn.mp4"), &whole).unwrap();
    let second = scene.run(&["upload", "films", "--json"]).await.done();
    assert_eq!(of(&second.json(), "films/a.mp4")["asset"]["_id"], a);
    assert!(second.err.contains("films/a.mp4: uploaded before"), "{second:?}");
    assert_eq!(scene.server.total().await, 3);
    // All was done: from now on it is a new wish.
    scene.run(&["upload", "films"]).await.done();
    assert_eq!(scene.server.total().await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_what_to_do_and_have_their_codes() {
    let scene = Scene::new();
    let url = base_url(&scene.server);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{nobody}/v1.3");
    let html = Origin::of(b"<h1>Welcome</h1>".to_vec()).await;
    let elsewhere = html.url("/v1.3");
    for (words, code, says) in [
        (vec!["list", "--base-url", &nobody], 5, "`reelhouse serve` starts one"),
        (vec!["list", "--base-url", &scene.server.url], 1, "ends in its version, /v1.3"),
        (vec!["list", "--base-url", &elsewhere], 1, "ends in its version, /v1.3"),
        (vec!["list", "--base-url", "media.example.org"], 1, "it must look like http://"),
        (vec!["list", "--api-key", "wrong"], 4, "--api-key or TWELVE_LABS_API_KEY"),
        (vec!["list", "--api-key", ""], 4, "`reelhouse keys create --account NAME` makes one"),
        (vec!["list", "--type", "hologram"], 2, "video, audio or image"),
        (vec!["upload", "nothing.mp4"], 1, "nothing.mp4: there is no such file"),
        (vec!["upload", "*.nothing"], 1, "*.nothing: no file is called so"),
        (vec!["upload", "notes.txt"], 1, "notes.txt: The file parameter is invalid. Unsupported asset type"),
        (vec!["upload", "clip.mp4", "picture.png", "--filename", "x"], 1, "--filename names one file"),
        (vec!["import", "ftp://example.org/a.mp4"], 1, "ftp://example.org/a.mp4: "),
        (vec!["download", "0123456789abcdef01234567", "-o", "x"], 3, "does not exist"),
        (vec!["download", "0123456789abcdef01234567", "-o", "."], 1, "it is a folder"),
        (
            vec!["delete", "0123456789abcdef01234567", "76543210fedcba9876543210"],
            3,
            "76543210fedcba9876543210",
        ),
        (vec!["watch", "0123456789abcdef01234567"], 3, "does not exist"),
    ] {
        let ended = run(reelhouse(&url, scene.folder.path()), &words).await;
        assert_eq!(ended.code, Some(code), "{words:?}: {ended:?}");
        assert!(ended.err.contains(says), "{words:?}: {ended:?}");
        assert!(!ended.err.contains("panicked"), "{ended:?}");
    }
    let left: Vec<_> =
        fs::read_dir(scene.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
    assert_eq!(scene.server.total().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_fetches_what_is_imported() {
    let origin = Origin::of(fs::read(media::mp4()).unwrap()).await;
    let server = TestServer::start_with(&[("REELHOUSE_IMPORT_ALLOW", "127.0.0.0/8")]);
    let folder = TempDir::new().unwrap();
    let url = origin.url("/films/clip.mp4");
    let words = ["import", &url, "--wait", "--thumbnail", "--filename", "my clip.mp4", "--json"];
    let lines = run(reelhouse(&base_url(&server), folder.path()), &words).await.done().json();
    assert_eq!(lines[0]["url"], url.as_str());
    let asset = &lines[0]["asset"];
    assert_eq!((&asset["filename"], &asset["method"]), (&json!("my clip.mp4"), &json!("url")));
    assert_eq!(asset["thumbnail"]["status"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn help_completions_and_manual_are_made() {
    let folder = TempDir::new().unwrap();
    let run = async |words: &[&str]| {
        run(reelhouse("http://127.0.0.1:9/v1.3", folder.path()), words).await.done().out
    };
    for command in ["upload", "import", "list", "get", "download", "delete", "watch"] {
        let help = run(&[command, "--help"]).await;
        for part in
            ["Exit codes:", "TWELVE_LABS_API_KEY", "TWELVELABS_BASE_URL", "http://127.0.0.1:8080/v1.3"]
        {
            assert!(help.contains(part), "{command}: {part}: {help}");
        }
        assert!(!help.contains(crate::harness::KEY), "a key is no one's business");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).await;
        assert!(script.contains("thumbnail") && script.contains("reelhouse"), "{shell}");
    }
    assert!(run(&["man"]).await.contains(".TH reelhouse 1"));
    run(&["man", "--dir", "pages"]).await;
    assert!(
        fs::read_to_string(folder.path().join("pages/reelhouse-upload.1")).unwrap().contains("Exit codes")
    );
}

/// `reelhouse list | head -1` is no error.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_read_enough_ends_it_well() {
    let scene = Scene::new();
    scene.run(&["upload", "clip.mp4"]).await.done();
    let mut command = reelhouse(&base_url(&scene.server), scene.folder.path());
    let mut child = command.args(["list", "--json"]).spawn().unwrap();
    drop(child.stdout.take());
    let ended = crate::client_cli::ended(child).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
}
