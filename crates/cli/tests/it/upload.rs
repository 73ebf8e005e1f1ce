use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{
    Body,
    multipart::{Form, Part},
};
use serde_json::Value;

use crate::{
    harness::{TestServer, client, direct, direct_bytes, eventually, expect, expect_error},
    indexes, media,
};

fn file_part(path: &Path) -> Part {
    Part::bytes(std::fs::read(path).unwrap()).file_name("clip.mp4")
}

#[tokio::test]
async fn a_file_goes_in_and_a_ready_asset_comes_out() {
    let server = TestServer::start();
    let path = media::mp4();
    let created = server.create(&path).await;
    let id = created["_id"].as_str().unwrap();
    assert_eq!(id.len(), 24);
    assert_eq!(created["method"], "direct");
    assert_eq!(created["status"], "ready");
    assert_eq!(created["filename"], "clip.mp4");
    assert_eq!(created["file_type"], "video/mp4");
    assert_eq!(created["size"], path.metadata().unwrap().len());
    assert!((created["duration"].as_f64().unwrap() - 5.0).abs() < 0.1);
    let created_at = created["created_at"].as_str().unwrap();
    assert!(created_at.len() == 20 && created_at.ends_with('Z'), "{created_at}");
    assert!(created.get("hls").is_none());

    let one = expect(200, server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
    assert_eq!(one["_id"], id);
    assert_eq!(one["technical_metadata"]["video_width"], 640);
    assert!(one.get("hls").is_none() && one.get("thumbnail").is_none());
    server.assert_healthy();

    let gone = expect(200, server.delete(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
    assert_eq!(gone, serde_json::json!({}));
    for response in [
        server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap(),
        server.delete(&format!("/v1.3/assets/{id}")).send().await.unwrap(),
        server.get(&format!("/v1.3/assets/{id}/content")).send().await.unwrap(),
    ] {
        let message = expect_error(404, "resource_not_exist", response).await;
        assert_eq!(message, format!("Resource with id {id} does not exist in assets."));
    }
    assert_eq!((server.originals(), server.total().await), (0, 0));
    server.assert_healthy();
}

#[tokio::test]
async fn audio_and_images_are_assets_too() {
    let server = TestServer::start();
    let sound = server.create(&media::mp3()).await;
    assert_eq!((&sound["file_type"], &sound["status"]), (&"audio/mpeg".into(), &"ready".into()));
    let picture = server.create(&media::png()).await;
    assert_eq!((&picture["file_type"], &picture["status"]), (&"image/png".into(), &"ready".into()));
    assert!(picture.get("duration").is_none());
}

#[tokio::test]
async fn fields_may_come_in_any_order() {
    // Without workers nothing is made but what the file itself serves.
    let server = TestServer::start_with(&[("REELHOUSE_WORKERS", "0")]);
    let path = media::mp4();
    let fields = ["method", "file", "filename", "enable_hls", "unknown"];
    for shift in 0..fields.len() {
        let mut form = Form::new();
        for at in 0..fields.len() {
            form = match fields[(at + shift) % fields.len()] {
                "file" => form.part("file", file_part(&path)),
                "method" => form.text("method", "direct"),
                "filename" => form.text("filename", format!("name {shift}.mp4")),
                "enable_hls" => form.text("enable_hls", "true"),
                other => form.text(other, "x"),
            };
        }
        let created = expect(201, server.post(form).send().await.unwrap()).await;
        assert_eq!(created["filename"], format!("name {shift}.mp4"));
        let id = created["_id"].as_str().unwrap();
        let one = expect(200, server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
        assert_eq!(one["hls"]["status"], "ready");
        assert!(one.get("thumbnail").is_none());
    }
}

#[tokio::test]
async fn hls_of_an_image_is_ignored_and_its_thumbnail_is_not() {
    let server = TestServer::start_with(&[("REELHOUSE_WORKERS", "0")]);
    let form = direct(&media::png()).text("enable_hls", "true").text("enable_thumbnail", "true");
    let created = expect(201, server.post(form).send().await.unwrap()).await;
    let one = server.get(&format!("/v1.3/assets/{}", created["_id"].as_str().unwrap())).send().await.unwrap();
    let one = expect(200, one).await;
    assert!(one.get("hls").is_none());
    assert_eq!(one["thumbnail"]["status"], "pending");
}

#[tokio::test]
async fn a_chunked_body_without_a_length_is_taken() {
    let server = TestServer::start();
    let bytes = std::fs::read(media::mp4()).unwrap();
    let chunks: Vec<_> =
        bytes.chunks(1000).map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk))).collect();
    let part = Part::stream(Body::wrap_stream(stream::iter(chunks))).file_name("streamed.mp4");
    let created = expect(
        201,
        server.post(Form::new().text("method", "direct").part("file", part)).send().await.unwrap(),
    )
    .await;
    assert_eq!(created["size"], bytes.len());
    assert_eq!(created["filename"], "streamed.mp4");
}

#[tokio::test]
async fn odd_names_are_kept_or_made_safe() {
    let server = TestServer::start();
    let path = media::png();
    for (given, kept) in [
        ("a \"quoted\" name.png", "a \"quoted\" name.png"),
        ("../../../etc/passwd", "passwd"),
        ("🎬 ünï cödé.png", "🎬 ünï cödé.png"),
        ("-i", "-i"),
        (".", "upload"),
    ] {
        let part = Part::bytes(std::fs::read(&path).unwrap()).file_name(given.to_owned());
        let created = expect(
            201,
            server.post(Form::new().text("method", "direct").part("file", part)).send().await.unwrap(),
        )
        .await;
        assert_eq!(created["filename"], kept);
    }
    let long = format!("{}.png", "é".repeat(296));
    let part = Part::bytes(std::fs::read(&path).unwrap()).file_name(long.clone());
    let created = expect(
        201,
        server.post(Form::new().text("method", "direct").part("file", part)).send().await.unwrap(),
    )
    .await;
    assert_eq!(created["filename"].as_str().unwrap().chars().count(), 255);
    let refused = server.post(direct(&path).text("filename", long)).send().await.unwrap();
    let message = expect_error(400, "parameter_invalid", refused).await;
    assert_eq!(message, "The filename parameter is invalid. It has 300 characters, at most 255 are allowed.");
}

#[tokio::test]
async fn torn_files_are_broken_and_leave_nothing() {
    let server = TestServer::start();
    let whole = std::fs::read(media::mp4()).unwrap();
    for len in [whole.len() / 2, whole.len() * 9 / 10, whole.len() - 1000] {
        let refused = server.post(direct_bytes(&whole[..len])).send().await.unwrap();
        let message = expect_error(400, "video_file_broken", refused).await;
        assert_eq!(message, "Unable to process video file. Please check if the file is valid and try again.");
    }
    let picture = std::fs::read(media::png()).unwrap();
    let refused = server.post(direct_bytes(&picture[..picture.len() / 2])).send().await.unwrap();
    expect_error(400, "parameter_invalid", refused).await;
    assert_eq!((server.originals(), server.total().await), (0, 0));
    server.assert_healthy();
}

#[tokio::test]
async fn sixty_four_uploads_at_once_all_succeed() {
    // Room for a handful: the rest wait their turn.
    let server =
        TestServer::start_with(&[("REELHOUSE_MAX_STAGED_BYTES", "2000000"), ("REELHOUSE_PROBES", "2")]);
    let path = media::mp4();
    let uploads = (0..64).map(|_| server.create(&path));
    let created: Vec<Value> = stream::iter(uploads).buffer_unordered(64).collect().await;
    let mut ids: Vec<&str> = created.iter().map(|asset| asset["_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), server.total().await, server.originals()), (64, 64, 64));
    server.assert_healthy();
}

/// A body of real video head and endless zeros: refused by size, told exactly, and read to its end.
#[tokio::test]
async fn an_upload_over_the_cap_is_told_its_size() {
    let server = TestServer::start();
    let head = Bytes::from(std::fs::read(media::mp4()).unwrap());
    let mega = Bytes::from(vec![0; 1 << 20]);
    let rest = (210 << 20) - head.len();
    let zeros = std::iter::repeat_n(mega.clone(), rest >> 20).chain([mega.slice(..rest & ((1 << 20) - 1))]);
    let chunks: Vec<_> = std::iter::once(head).chain(zeros).map(Ok::<_, std::io::Error>).collect();
    let part = Part::stream(Body::wrap_stream(stream::iter(chunks))).file_name("big.mp4");
    let form = Form::new().text("method", "direct").part("file", part);
    let message =
        expect_error(400, "video_filesize_too_large", server.post(form).send().await.unwrap()).await;
    assert_eq!(
        message,
        "The video is too large. Please use a video with a size less than 200MB. The current size is 210MB."
    );
    server.assert_healthy();
}

/// Even who has no key reads the answer, not a reset: the body is drained first.
#[tokio::test]
async fn a_refusal_waits_for_the_body() {
    let server = TestServer::start();
    for request in [
        client().post(format!("{}/v1.3/assets", server.url)),
        client().post(format!("{}/v1.3/nothing", server.url)),
        client().put(format!("{}/v1.3/assets", server.url)),
    ] {
        let response = request.body(vec![b'x'; 64 << 20]).send().await.unwrap();
        assert!(matches!(response.status().as_u16(), 401 | 404 | 405));
        assert!(response.json::<Value>().await.unwrap()["code"].is_string());
    }
}

#[tokio::test]
async fn what_is_handed_out_begins_with_the_public_url() {
    let server = TestServer::start_with(&[("REELHOUSE_PUBLIC_URL", "https://media.example.org/")]);
    let response = server.post(direct(&media::png())).send().await.unwrap();
    assert!(
        response.headers()["location"]
            .to_str()
            .unwrap()
            .starts_with("https://media.example.org/v1.3/assets/")
    );
    let server = TestServer::start();
    let response = server.post(direct(&media::png())).send().await.unwrap();
    assert!(
        response.headers()["location"].to_str().unwrap().starts_with(&format!("{}/v1.3/assets/", server.url))
    );
    eventually("ready", async || server.get("/readyz").send().await.unwrap().status() == 200).await;
}

#[tokio::test]
async fn what_an_indexed_asset_refers_to_stays_unless_forced() {
    let server = TestServer::start();
    let asset = server.create(&media::png()).await;
    let id = asset["_id"].as_str().unwrap();
    for name in ["one", "other"] {
        let index = indexes::make(&server, name).await;
        let path = format!("/v1.3/indexes/{index}/indexed-assets");
        expect(202, server.json("POST", &path, &serde_json::json!({ "asset_id": id })).await).await;
    }
    for path in [format!("/v1.3/assets/{id}"), format!("/v1.3/assets/{id}?force=false")] {
        let message = expect_error(409, "asset_in_use", server.delete(&path).send().await.unwrap()).await;
        assert_eq!(
            message,
            format!(
                "The asset {id} is referenced by indexed assets (2). Delete those first, or set force to true."
            )
        );
    }
    assert_eq!((server.total().await, server.originals()), (1, 1));
    let nonsense = server.delete(&format!("/v1.3/assets/{id}?force=perhaps")).send().await.unwrap();
    let message = expect_error(400, "parameter_invalid", nonsense).await;
    assert_eq!(message, "The force parameter is invalid. \"perhaps\" is neither true nor false.");
    expect(200, server.delete(&format!("/v1.3/assets/{id}?force=true")).send().await.unwrap()).await;
    assert_eq!((server.total().await, server.originals()), (0, 0));
    server.assert_healthy();
}
