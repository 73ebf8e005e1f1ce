//! Uploads in chunks: what a client is told, and that nothing but the truth is left when either side dies.

use std::{collections::BTreeSet, os::unix::fs::MetadataExt, path::Path, sync::Arc};

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    harness::{Folder, KEY, TestServer, client, eventually, expect, expect_error, files, rows},
    media,
};

const MB: u64 = 1 << 20;

/// 10.1 MB of sound: three chunks, the last one short.
fn wav() -> std::path::PathBuf {
    media::sound("long.wav", "120", &["-c:a", "pcm_s16le"])
}

/// A session over a file, and what the server said of it.
pub(crate) struct Session {
    pub id: String,
    pub asset: String,
    pub bytes: Vec<u8>,
    pub chunk_size: u64,
    pub answer: Value,
}

impl Session {
    pub(crate) async fn begin(server: &TestServer, path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let body = json!({ "filename": "a file.wav", "type": "audio", "total_size": bytes.len() });
        Self::begin_with(server, bytes, &body).await
    }

    pub(crate) async fn begin_with(server: &TestServer, bytes: Vec<u8>, body: &Value) -> Self {
        let answer = expect(201, create(server, body, None).await).await;
        Self {
            id: answer["upload_id"].as_str().unwrap().to_owned(),
            asset: answer["asset_id"].as_str().unwrap().to_owned(),
            chunk_size: answer["chunk_size"].as_u64().unwrap(),
            bytes,
            answer,
        }
    }

    pub(crate) fn total(&self) -> u64 {
        (self.bytes.len() as u64).div_ceil(self.chunk_size)
    }

    pub(crate) fn chunk(&self, index: u64) -> Vec<u8> {
        let from = (index - 1) * self.chunk_size;
        let to = (from + self.chunk_size).min(self.bytes.len() as u64);
        self.bytes[from as usize..to as usize].to_vec()
    }

    /// A fresh URL of a chunk. URLs are of the server that made them; its port changes with each start.
    pub(crate) async fn url(&self, server: &TestServer, index: u64) -> String {
        let path = format!("/v1.3/assets/multipart-uploads/{}/presigned-urls", self.id);
        let urls =
            expect(200, server.json("POST", &path, &json!({ "start": index, "count": 1 })).await).await;
        urls["upload_urls"][0]["url"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn put(&self, server: &TestServer, index: u64) -> String {
        etag(put(&self.url(server, index).await, self.chunk(index)).await.unwrap())
    }

    pub(crate) async fn report(&self, server: &TestServer, chunks: &[(u64, String)]) -> Response {
        let chunks: Vec<Value> = chunks
            .iter()
            .map(|(index, etag)| {
                json!({ "chunk_index": index, "proof": etag, "proof_type": "etag",
                        "chunk_size": self.chunk(*index).len() })
            })
            .collect();
        let path = format!("/v1.3/assets/multipart-uploads/{}", self.id);
        server.json("POST", &path, &json!({ "completed_chunks": chunks })).await
    }

    /// All pages of the status.
    pub(crate) async fn status(&self, server: &TestServer) -> (Value, Vec<Value>) {
        let mut chunks = Vec::new();
        for page in 1.. {
            let path = format!("/v1.3/assets/multipart-uploads/{}?page={page}&page_limit=50", self.id);
            let status = expect(200, server.get(&path).send().await.unwrap()).await;
            let found = status["uploaded_chunks"].as_array().unwrap().clone();
            if found.is_empty() {
                return (status, chunks);
            }
            chunks.extend(found);
        }
        unreachable!("pages end")
    }

    pub(crate) async fn asset_when_decided(&self, server: &TestServer) -> Value {
        let path = format!("/v1.3/assets/{}", self.asset);
        let asset = || async { expect(200, server.get(&path).send().await.unwrap()).await };
        eventually("the asset is decided", || async { asset().await["status"] != "processing" }).await;
        asset().await
    }
}

async fn create(server: &TestServer, body: &Value, key: Option<&str>) -> Response {
    let request = client().post(format!("{}/v1.3/assets/multipart-uploads", server.url));
    let request = request.header("x-api-key", KEY).json(body);
    let request = match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    request.send().await.unwrap()
}

async fn put(url: &str, bytes: Vec<u8>) -> reqwest::Result<Response> {
    client().put(url).header("content-type", "application/octet-stream").body(bytes).send().await
}

/// A chunk that is not taken: by us, and then it is said why, or by the bucket, to which its URL leads.
async fn expect_no_chunk(server: &TestServer, status: u16, code: &str, answer: Response) {
    if server.blobs().are_in_bucket() {
        assert!(answer.status().is_client_error(), "{}", answer.status());
    } else {
        expect_error(status, code, answer).await;
    }
}

fn etag(response: Response) -> String {
    assert_eq!(response.status(), StatusCode::OK);
    response.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned()
}

#[tokio::test]
async fn hls_that_needs_no_making_is_ready_with_the_asset() {
    let server = TestServer::start();
    let bytes = std::fs::read(media::mp4()).unwrap();
    let body = json!({ "filename": "a.mp4", "type": "video", "total_size": bytes.len(), "enable_hls": true });
    let session = Session::begin_with(&server, bytes, &body).await;
    let mut reported = Vec::new();
    for index in 1..=session.total() {
        reported.push((index, session.put(&server, index).await));
    }
    expect(200, session.report(&server, &reported).await).await;
    let asset = session.asset_when_decided(&server).await;
    assert_eq!((&asset["status"], &asset["hls"]["status"]), (&json!("ready"), &json!("ready")));
    let manifest = client().get(asset["hls"]["manifest_url"].as_str().unwrap()).send().await.unwrap();
    assert!(expect_text(manifest).await.starts_with("#EXTM3U"));
    server.assert_healthy();
}

async fn expect_text(response: Response) -> String {
    assert_eq!(response.status(), StatusCode::OK);
    response.text().await.unwrap()
}

#[tokio::test]
async fn chunks_in_any_order_become_the_asset() {
    let server = TestServer::start();
    let session = Session::begin(&server, &wav()).await;
    assert_eq!(session.total(), 3);
    let first_urls = session.answer["upload_urls"].as_array().unwrap();
    assert_eq!(first_urls.len(), 3);
    // It is there from the beginning, unusable.
    let path = format!("/v1.3/assets/{}", session.asset);
    let asset = expect(200, server.get(&path).send().await.unwrap()).await;
    assert_eq!((&asset["status"], &asset["method"]), (&json!("processing"), &json!("multipart")));
    assert!(asset.get("size").is_none() && asset.get("file_type").is_none());
    let message =
        expect_error(409, "asset_not_ready", server.get(&format!("{path}/content")).send().await.unwrap())
            .await;
    assert!(message.ends_with("is processing. Please wait until it is ready."));
    let (_, chunks) = session.status(&server).await;
    assert_eq!(chunks.len(), 3);
    assert!(chunks.iter().all(|chunk| chunk["status"] == "pending" && chunk["uploaded_at"].is_null()));
    let path = "/v1.3/assets/multipart-uploads";
    let list = expect(200, server.get(path).send().await.unwrap()).await;
    assert_eq!(list["data"][0]["upload_id"], session.id);
    assert_eq!(list["page_info"]["total_results"], 1);

    let mut reported = Vec::new();
    for index in [3, 1, 2] {
        let url = first_urls[index as usize - 1]["url"].as_str().unwrap();
        let first = etag(put(url, session.chunk(index)).await.unwrap());
        // Other bytes first, then the right ones again, by the same URL: what was sent last counts.
        if index < 3 {
            let other = etag(put(url, session.chunk(3 - index)).await.unwrap());
            assert_ne!(other, first);
            assert_eq!(etag(put(url, session.chunk(index)).await.unwrap()), first);
        }
        assert_eq!(etag(put(url, session.chunk(index)).await.unwrap()), first);
        reported.push((index, first));
    }
    // Here, but not reported: pending.
    let (status, chunks) = session.status(&server).await;
    assert_eq!((&status["chunks_pending"], &status["chunks_completed"]), (&json!(3), &json!(0)));
    assert!(chunks.iter().all(|chunk| chunk["status"] == "pending"));
    let answer = expect(200, session.report(&server, &reported[..2]).await).await;
    assert_eq!(
        answer,
        json!({ "asset_id": session.asset, "processed_chunks": 2, "duplicate_chunks": 0, "total_completed": 2 })
    );
    let answer = expect(200, session.report(&server, &reported).await).await;
    assert_eq!((&answer["processed_chunks"], &answer["duplicate_chunks"]), (&json!(1), &json!(2)));
    let url = answer["url"].as_str().unwrap().to_owned();

    let asset = session.asset_when_decided(&server).await;
    assert_eq!((&asset["status"], &asset["file_type"]), (&json!("ready"), &json!("audio/wav")), "{asset}");
    assert_eq!(asset["size"], session.bytes.len());
    assert_eq!(asset["filename"], "a file.wav");
    assert!(client().get(&url).send().await.unwrap().bytes().await.unwrap() == session.bytes);
    let (status, chunks) = session.status(&server).await;
    assert_eq!(status["status"], "completed");
    assert_eq!(status["uploaded_size"], session.bytes.len());
    assert!(chunks.iter().all(|chunk| chunk["status"] == "completed" && chunk["uploaded_at"].is_string()));
    let list = expect(200, server.get(path).send().await.unwrap()).await;
    assert_eq!(list["data"], json!([]));
    server.assert_healthy();
}

#[tokio::test]
async fn what_is_wrong_with_a_chunk_is_told_and_the_upload_lives_on() {
    let server = TestServer::start();
    let session = Session::begin(&server, &wav()).await;
    if server.blobs().are_in_bucket() {
        // The bucket takes any length; whether it is the right one is asked when the chunk is reported.
        let mut short = session.chunk(1);
        short.pop();
        let proof = etag(put(&session.url(&server, 1).await, short).await.unwrap());
        let message =
            expect_error(400, "parameter_invalid", session.report(&server, &[(1, proof)]).await).await;
        assert!(message.ends_with("Chunk 1 has not arrived; send it again."), "{message}");
    } else {
        what_is_wrong_with_bytes(&server, &session).await;
    }
    // None of it is here.
    let message =
        expect_error(400, "parameter_invalid", session.report(&server, &[(1, "x".to_owned())]).await).await;
    assert_eq!(message, "The completed_chunks parameter is invalid. Chunk 1 has not arrived; send it again.");
    let proof = session.put(&server, 1).await;
    let message =
        expect_error(400, "parameter_invalid", session.report(&server, &[(1, "x".to_owned())]).await).await;
    assert!(message.ends_with("Chunk 1 arrived with another ETag than the proof says."));
    let path = format!("/v1.3/assets/multipart-uploads/{}", session.id);
    for (chunk, what) in [
        (
            json!({ "chunk_index": 4, "proof": proof, "proof_type": "etag", "chunk_size": 1 }),
            "Chunk 4 does not exist; they are 1 to 3.",
        ),
        (
            json!({ "chunk_index": 1, "proof": proof, "proof_type": "etag", "chunk_size": 7 }),
            "Chunk 1 has 5242880 bytes, not 7.",
        ),
        (
            json!({ "chunk_index": 0, "proof": proof, "proof_type": "etag", "chunk_size": 7 }),
            "Chunk 0 does not exist; they are 1 to 3.",
        ),
        (
            json!({ "chunk_index": 1, "proof": proof, "proof_type": "md5", "chunk_size": 7 }),
            "Entry 1: unknown variant `md5`, expected `etag`.",
        ),
    ] {
        let answer = server.json("POST", &path, &json!({ "completed_chunks": [chunk] })).await;
        assert!(expect_error(400, "parameter_invalid", answer).await.ends_with(what));
    }
    for (body, code) in [
        (json!({}), "parameter_not_provided"),
        (json!({ "completed_chunks": 1 }), "parameter_invalid"),
        (json!({ "completed_chunks": [] }), "parameter_invalid"),
        (json!([]), "parameter_invalid"),
    ] {
        expect_error(400, code, server.json("POST", &path, &body).await).await;
    }
    // Other bytes for a chunk that is completed are refused, the same ones are fine.
    expect(200, session.report(&server, &[(1, proof.clone())]).await).await;
    assert_eq!(session.put(&server, 1).await, proof);
    let url = session.url(&server, 1).await;
    if !server.blobs().are_in_bucket() {
        let answer = put(&url, session.chunk(2)).await.unwrap();
        expect_error(400, "chunk_already_completed", answer).await;
    }
    let rest = [(2, session.put(&server, 2).await), (3, session.put(&server, 3).await)];
    expect(200, session.report(&server, &rest).await).await;
    assert_eq!(session.asset_when_decided(&server).await["status"], "ready");
    // A late chunk.
    expect_no_chunk(&server, 400, "upload_not_active", put(&url, session.chunk(1)).await.unwrap()).await;
    let answer = expect(200, session.report(&server, &[(1, proof)]).await).await;
    assert!(answer["url"].is_string() && answer["duplicate_chunks"] == 1);
    server.assert_healthy();
}

/// Chunks that come through us are counted, and their URLs are ours.
async fn what_is_wrong_with_bytes(server: &TestServer, session: &Session) {
    let url = session.url(server, 1).await;
    let mut short = session.chunk(1);
    short.pop();
    let answer = put(&url, short.clone()).await.unwrap();
    let message = expect_error(400, "chunk_size_invalid", answer).await;
    assert_eq!(message, "Chunk 1 must have 5242880 bytes, it has 5242879.");
    // Without a length it is counted, and not beyond what it may have.
    let stream = |bytes: Vec<u8>| {
        let chunks: Vec<_> =
            bytes.chunks(MB as usize).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
        reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))
    };
    let answer = client().put(&url).body(stream(short)).send().await.unwrap();
    expect_error(400, "chunk_size_invalid", answer).await;
    let long = [session.chunk(1), session.chunk(2)].concat();
    let answer = client().put(&url).body(stream(long)).send().await.unwrap();
    assert!(expect_error(400, "chunk_size_invalid", answer).await.contains("more than 5242880"));
    // No bit of a URL can be changed.
    let altered = |from: &str, to: &str| url.replacen(from, to, 1);
    for url in [
        altered("/1/", "/2/"),
        altered("/1/", "/9/"),
        format!("{url}0"),
        altered("-", "-0"),
        altered(&session.id, &"0".repeat(24)),
    ] {
        expect_error(403, "upload_url_invalid", put(&url, session.chunk(1)).await.unwrap()).await;
    }
}

#[tokio::test]
async fn what_is_no_media_fails_by_name() {
    let server = TestServer::start();
    let folder = tempfile::TempDir::new().unwrap();
    let text = folder.path().join("a.txt");
    std::fs::write(&text, "just words ".repeat(1000)).unwrap();
    let half = folder.path().join("half.wav");
    std::fs::write(&half, &std::fs::read(wav()).unwrap()[..3_000_000]).unwrap();
    for (path, code) in [(text, "parameter_invalid"), (half, "audio_file_broken")] {
        let session = Session::begin(&server, &path).await;
        let proof = session.put(&server, 1).await;
        expect(200, session.report(&server, &[(1, proof)]).await).await;
        let asset = session.asset_when_decided(&server).await;
        assert_eq!((&asset["status"], &asset["error"]["code"]), (&json!("failed"), &json!(code)), "{asset}");
        assert!(asset["error"]["message"].as_str().unwrap().len() > 20);
        assert!(asset.get("size").is_none());
        assert_eq!(session.status(&server).await.0["status"], "failed");
    }
    assert_eq!((incoming(&server), server.originals()), (0, 0));
    server.assert_healthy();
}

#[tokio::test]
async fn what_is_asked_of_a_failed_asset_is_an_error_and_a_session_can_be_given_up() {
    let server = TestServer::start();
    let body = json!({ "filename": "a", "type": "video", "total_size": 4, "enable_hls": true, "enable_thumbnail": true });
    let answer = expect(201, create(&server, &body, None).await).await;
    let url = answer["upload_urls"][0]["url"].as_str().unwrap();
    let proof = etag(put(url, b"text".to_vec()).await.unwrap());
    let path = format!("/v1.3/assets/multipart-uploads/{}", answer["upload_id"].as_str().unwrap());
    let report = json!({ "completed_chunks": [{ "chunk_index": 1, "proof": proof, "proof_type": "etag", "chunk_size": 4 }] });
    expect(200, server.json("POST", &path, &report).await).await;
    let asset_path = format!("/v1.3/assets/{}", answer["asset_id"].as_str().unwrap());
    let asset = || async { expect(200, server.get(&asset_path).send().await.unwrap()).await };
    eventually("it fails", || async { asset().await["status"] == "failed" }).await;
    let asset = asset().await;
    assert_eq!((&asset["hls"]["status"], &asset["thumbnail"]["status"]), (&json!("error"), &json!("error")));

    let session = Session::begin(&server, &wav()).await;
    session.put(&server, 2).await;
    let url = session.url(&server, 1).await;
    expect(200, server.delete(&format!("/v1.3/assets/{}", session.asset)).send().await.unwrap()).await;
    expect_no_chunk(&server, 403, "upload_url_invalid", put(&url, session.chunk(1)).await.unwrap()).await;
    let path = format!("/v1.3/assets/multipart-uploads/{}", session.id);
    expect_error(404, "resource_not_exist", server.get(&path).send().await.unwrap()).await;
    assert_eq!(incoming(&server), 0);
    server.assert_healthy();
}

#[tokio::test]
async fn what_a_session_may_be() {
    let server = TestServer::start();
    let with = |field: &str, value: Value| {
        let mut body = json!({ "filename": "a.mp4", "type": "video", "total_size": 1000 });
        body[field] = value;
        body
    };
    for (body, code, message) in [
        (
            with("filename", Value::Null),
            "parameter_not_provided",
            "The filename parameter is required but was not provided.",
        ),
        (
            with("filename", json!("")),
            "parameter_not_provided",
            "The filename parameter is required but was not provided.",
        ),
        (
            with("filename", json!("é".repeat(256))),
            "parameter_invalid",
            "It has 256 characters, at most 255 are allowed.",
        ),
        (with("type", json!("document")), "parameter_invalid", "\"document\" is not video, audio or image."),
        (with("total_size", json!(0)), "parameter_invalid", "It is not a whole number of at least 1."),
        (with("total_size", json!("7")), "parameter_invalid", "It is not a whole number of at least 1."),
        (
            with("total_size", json!((10_u64 << 30) + 1)),
            "video_filesize_too_large",
            "The current size is 10240.01MB.",
        ),
        (with("enable_hls", json!("maybe")), "parameter_invalid", "It is neither true nor false."),
    ] {
        let found = expect_error(400, code, create(&server, &body, None).await).await;
        assert!(found.ends_with(message), "{found}");
    }
    let image = json!({ "filename": "a.png", "type": "image", "total_size": (32 << 20) + 1 });
    expect_error(400, "media_filesize_too_large", create(&server, &image, None).await).await;
    let unknown = format!("/v1.3/assets/multipart-uploads/{}", "0".repeat(24));
    for path in [&unknown, "/v1.3/assets/multipart-uploads/nonsense"] {
        expect_error(404, "resource_not_exist", server.get(path).send().await.unwrap()).await;
    }
    let session = expect(201, create(&server, &with("total_size", json!(10_u64 << 30)), None).await).await;
    assert_eq!((&session["chunk_size"], &session["total_chunks"]), (&json!(11 << 20), &json!(931)));
    assert_eq!(session["upload_urls"].as_array().unwrap().len(), 50);
    let path =
        format!("/v1.3/assets/multipart-uploads/{}/presigned-urls", session["upload_id"].as_str().unwrap());
    let urls = expect(200, server.json("POST", &path, &json!({ "start": 930, "count": 50 })).await).await;
    assert_eq!((&urls["start_index"], &urls["count"]), (&json!(930), &json!(2)));
    for (start, count) in [(0, 1), (932, 1), (1, 0), (1, 51)] {
        let answer = server.json("POST", &path, &json!({ "start": start, "count": count })).await;
        expect_error(400, "parameter_invalid", answer).await;
    }
    // An empty file each, for the one that was begun, where chunks come through us.
    assert_eq!(incoming(&server), usize::from(!server.blobs().are_in_bucket()));
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    let server = TestServer::start();
    let session = Session::begin(&server, &wav()).await;
    let proof = session.put(&server, 1).await;
    let url = session.url(&server, 2).await;
    expire(&server, &session.id).await;
    if !server.blobs().are_in_bucket() {
        expect_error(400, "upload_not_active", put(&url, session.chunk(2)).await.unwrap()).await;
    }
    expect_error(400, "upload_not_active", session.report(&server, &[(1, proof)]).await).await;
    assert_eq!(session.status(&server).await.0["status"], "expired");
    let asset = session.asset_when_decided(&server).await;
    assert_eq!((&asset["status"], &asset["error"]["code"]), (&json!("failed"), &json!("upload_not_active")));
    eventually("its bytes go", || async { incoming(&server) == 0 }).await;
    if server.blobs().are_in_bucket() {
        eventually("the bucket takes no more", || async {
            put(&url, session.chunk(2)).await.unwrap().status().is_client_error()
        })
        .await;
    }
    server.assert_healthy();
}

#[tokio::test]
async fn a_key_makes_one_upload_and_one_asset() {
    let server = TestServer::start();
    let body = json!({ "filename": "a.mp4", "type": "video", "total_size": 1000 });
    let first = expect(201, create(&server, &body, Some("one")).await).await;
    let again: Vec<_> = (0..8).map(|_| create(&server, &body, Some("one"))).collect();
    for answer in futures_util::future::join_all(again).await {
        assert_eq!(expect(201, answer).await, first);
    }
    let mut other = body.clone();
    other["total_size"] = json!(1001);
    expect_error(422, "idempotency_key_reused", create(&server, &other, Some("one")).await).await;
    expect_error(400, "parameter_invalid", create(&server, &body, Some("a b")).await).await;
    assert_ne!(expect(201, create(&server, &body, Some("two")).await).await, first);
    assert_eq!(server.total().await, 2);

    // The same text for another kind of request is another key. Eight at once: one asset.
    let post = |path: &Path| server.post(crate::harness::direct(path)).header("idempotency-key", "one");
    let at_once: Vec<_> = (0..8).map(|_| post(&media::mp4()).send()).collect();
    let mut ids = BTreeSet::new();
    for answer in futures_util::future::join_all(at_once).await {
        ids.insert(expect(201, answer.unwrap()).await["_id"].to_string());
    }
    assert_eq!((ids.len(), server.total().await), (1, 3));
    expect_error(422, "idempotency_key_reused", post(&media::mp3()).send().await.unwrap()).await;
    server.assert_healthy();
}

/// Many clients at once, chunks shuffled, a third sent twice, the server killed three times. `REELHOUSE_TEST_UPLOAD_MB` sets
/// the size.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_survives_kill_9() {
    let size: u64 =
        std::env::var("REELHOUSE_TEST_UPLOAD_MB").ok().and_then(|mb| mb.parse().ok()).unwrap_or(96);
    let seconds = (size * MB).div_ceil(48_000 * 4).min(14_399).to_string();
    let noise = format!("anoisesrc=sample_rate=48000:seed=1:duration={seconds}");
    let path = media::made("large.wav", &["-f", "lavfi", "-i", &noise, "-ac", "2", "-c:a", "pcm_s16le"]);
    let root = tempfile::TempDir::new().unwrap();
    let lent = || Folder::Lent(root.path().to_owned());
    let mut server = TestServer::start_in(lent(), &[]);
    let session = Arc::new(Session::begin(&server, &path).await);
    let total = session.total();
    let (mut random, mut memory, mut disk) = (7_u64, 0, 0);
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    for life in 1..=4 {
        let (_, chunks) = session.status(&server).await;
        assert_eq!(chunks.len() as u64, total);
        let mut left: Vec<u64> = chunks
            .iter()
            .filter(|chunk| chunk["status"] == "pending")
            .map(|chunk| chunk["index"].as_u64().unwrap())
            .collect();
        let twice: Vec<u64> = left.iter().copied().filter(|index| index % 3 == 0).collect();
        left.extend(twice);
        for at in (1..left.len()).rev() {
            left.swap(at, next() as usize % (at + 1));
        }
        // A third of what is left before each death.
        let until = if life < 4 { left.len() / 3 } else { left.len() };
        let turns = Arc::new(Semaphore::new(16));
        let mut tasks = tokio::task::JoinSet::new();
        for index in left.into_iter().take(until) {
            let (session, turns) = (session.clone(), turns.clone());
            let url = session.url(&server, index).await;
            tasks.spawn(async move {
                let _turn = turns.acquire().await.unwrap();
                Some((index, etag(put(&url, session.chunk(index)).await.ok()?)))
            });
        }
        let mut sent = 0;
        while let Some(done) = tasks.join_next().await {
            let Some(chunk) = done.unwrap() else { continue };
            sent += 1;
            let _ = expect(200, session.report(&server, &[chunk]).await).await;
            memory = memory.max(peak_memory(&server));
            disk = disk.max(used(root.path()));
            // In the middle of what is under way.
            if life < 4 && sent >= until.saturating_sub(16).max(1) {
                break;
            }
        }
        if life < 4 {
            server.kill();
            while tasks.join_next().await.is_some() {}
            server = TestServer::start_in(lent(), &[]);
        }
    }
    let asset = session.asset_when_decided(&server).await;
    assert_eq!(asset["status"], "ready", "{asset}");
    memory = memory.max(peak_memory(&server));
    let length = session.bytes.len() as u64;
    let path = format!("/v1.3/assets/{}/content", session.asset);
    assert!(server.get(&path).send().await.unwrap().bytes().await.unwrap() == session.bytes);
    // The database and its journal beside it.
    assert!(disk <= length + length / 10 + 8 * MB, "{disk} bytes on disk for {length}");
    assert!(memory < 100 * MB, "{memory} bytes of memory");
    println!("{length} bytes, {} MB of memory, {disk} bytes of disk", memory / MB);
    server.assert_healthy();
}

/// Bytes.
fn peak_memory(server: &TestServer) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Bytes that the files of a folder take on disk.
fn used(folder: &Path) -> u64 {
    let size = |path: std::path::PathBuf| path.metadata().map_or(0, |file| file.blocks() * 512);
    files(folder).into_iter().map(size).sum()
}

pub(crate) fn incoming(server: &TestServer) -> usize {
    files(&server.dir.path().join("incoming")).len()
}

/// Its time is over.
pub(crate) async fn expire(server: &TestServer, upload: &str) {
    let mut rows = rows(server.dir.path()).await;
    sqlx::query("UPDATE upload_session SET expires_at = $2 WHERE id = $1")
        .bind(upload)
        // Just now: what ended long ago is forgotten.
        .bind(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64)
        .execute(&mut rows)
        .await
        .unwrap();
    sqlx::Connection::close(rows).await.unwrap();
}
