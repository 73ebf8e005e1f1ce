//! What the SDK does when servers and networks misbehave.

#![expect(clippy::unwrap_used, reason = "in a test they are the assertion")]

mod support {
    pub(crate) mod raw;
}

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::TryStreamExt;
use reelhouse_client::{Client, Error, ErrorCode, Method, Open, Source, Status};
use support::raw::{Raw, Step};
use tokio::time::Instant;
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{any, header_exists, method, path},
};

const ID: &str = "6730aaaaaaaaaaaaaaaaaaaa";
const ASSET: &str = r#"{"_id": "6730aaaaaaaaaaaaaaaaaaaa", "method": "direct", "status": "ready", "filename": "a.mp4",
    "created_at": "2026-05-01T10:30:00Z"}"#;

fn client(url: &str) -> Client {
    Client::builder().api_key("a-key").base_url(format!("{url}/v1.3")).build().unwrap()
}

fn asset() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_string(ASSET)
}

/// Answers in this order; the last one for ever.
struct InTurn(Vec<ResponseTemplate>, AtomicU32);

fn in_turn(answers: Vec<ResponseTemplate>) -> InTurn {
    InTurn(answers, AtomicU32::new(0))
}

impl Respond for InTurn {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let turn = self.1.fetch_add(1, Ordering::Relaxed) as usize;
        self.0[turn.min(self.0.len() - 1)].clone()
    }
}

async fn server(answers: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(in_turn(answers)).mount(&server).await;
    server
}

async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn a_500_is_tried_again() {
    let server = server(vec![ResponseTemplate::new(500), ResponseTemplate::new(408), asset()]).await;
    let found = client(&server.uri()).assets().retrieve(ID).await.unwrap();
    assert_eq!((found.id.as_str(), requests(&server).await), (ID, 3));
    let first = &server.received_requests().await.unwrap()[0];
    assert_eq!(first.headers["x-api-key"], "a-key");
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "1");
    let server = server(vec![busy, asset()]).await;
    let since = Instant::now();
    client(&server.uri()).assets().retrieve(ID).await.unwrap();
    assert!(since.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn who_says_come_back_tomorrow_is_not_waited_for() {
    let busy = ResponseTemplate::new(429)
        .insert_header("retry-after", "86400")
        .set_body_string(r#"{"code": "too_many_requests", "message": "Tomorrow."}"#);
    let server = server(vec![busy, asset()]).await;
    let error = client(&server.uri()).assets().retrieve(ID).await.unwrap_err();
    assert_eq!((error.code(), requests(&server).await), (Some(ErrorCode::TooManyRequests), 1));
    assert_eq!(error.api().unwrap().retry_after, Some(Duration::from_secs(86_400)));
    assert_eq!(error.to_string(), "Tomorrow.");
}

#[tokio::test]
async fn retries_end() {
    let server = server(vec![ResponseTemplate::new(503)]).await;
    let error = client(&server.uri()).assets().retrieve(ID).retries(1).await.unwrap_err();
    assert_eq!((error.status(), requests(&server).await), (Some(503), 2));
}

#[tokio::test]
async fn what_is_wrong_is_said_once() {
    let refusal = ResponseTemplate::new(400)
        .set_body_string(r#"{"code": "brand_new", "message": "No.", "docs_url": "http://h/docs"}"#)
        .insert_header("x-request-id", "r7");
    let server = server(vec![refusal]).await;
    let error = client(&server.uri()).assets().delete(ID, true).await.unwrap_err();
    let api = error.api().unwrap();
    assert_eq!(api.code, ErrorCode::Unknown("brand_new".to_owned()));
    assert_eq!(api.request_id.as_deref(), Some("r7"));
    assert!(String::from_utf8_lossy(&api.body).contains("docs_url"));
    assert_eq!(requests(&server).await, 1);
    assert_eq!(server.received_requests().await.unwrap()[0].url.query(), Some("force=true"));
}

#[tokio::test]
async fn an_error_that_is_no_json_keeps_its_body() {
    let server = server(vec![ResponseTemplate::new(404).set_body_string("<h1>nginx</h1>")]).await;
    let error = client(&server.uri()).assets().retrieve(ID).await.unwrap_err();
    assert_eq!(error.to_string(), "the server answered 404, and not as this API does: \"<h1>nginx</h1>\"");
}

#[tokio::test]
async fn a_create_is_made_again_only_with_a_key() {
    let bytes = b"0123456789".to_vec();
    let fails = || vec![ResponseTemplate::new(503), asset()];
    let server_1 = server(fails()).await;
    let without = client(&server_1.uri()).assets().create(bytes.clone()).await;
    assert_eq!((without.unwrap_err().status(), requests(&server_1).await), (Some(503), 1));

    let server_2 = server(fails()).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress = seen.clone();
    let created = client(&server_2.uri())
        .assets()
        .create(bytes)
        .filename("a b.mp4")
        .enable_hls(true)
        .idempotency_key("k1")
        .progress(move |progress| seen.lock().unwrap().push(progress.done))
        .await
        .unwrap();
    assert_eq!(created.id, ID);
    let received = server_2.received_requests().await.unwrap();
    assert_eq!(received.len(), 2);
    for request in received {
        assert_eq!(request.headers["idempotency-key"], "k1");
        let body = String::from_utf8_lossy(&request.body).into_owned();
        for part in ["direct", "a b.mp4", "enable_hls", "true", "0123456789"] {
            assert!(body.contains(part), "{part}: {body}");
        }
    }
    assert_eq!(*progress.lock().unwrap(), [10, 0, 10]);
}

#[tokio::test]
async fn a_reader_is_sent_once_with_or_without_length() {
    let server = server(vec![asset()]).await;
    let assets = client(&server.uri()).assets();
    assets.create(Source::reader_of(10, &b"0123456789"[..])).await.unwrap();
    assets.create(Source::reader(&b"0123456789"[..])).await.unwrap();
    let received = server.received_requests().await.unwrap();
    assert!(received[0].headers.contains_key("content-length"));
    assert_eq!(received[1].headers["transfer-encoding"], "chunked");
    assert!(received.iter().all(|request| String::from_utf8_lossy(&request.body).contains("0123456789")));
}

#[tokio::test]
async fn a_reader_that_breaks_is_told_from_a_network_that_breaks() {
    let server = server(vec![asset()]).await;
    let broken = tokio_util::io::StreamReader::new(futures_util::stream::iter([
        Ok(&b"01234"[..]),
        Err(io::Error::other("the tape tore")),
    ]));
    let error = client(&server.uri()).assets().create(Source::reader(broken)).await.unwrap_err();
    assert!(matches!(&error, Error::Source(_)), "{error:?}");
    assert!(error.to_string().contains("the tape tore"));
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let error =
        client("http://127.0.0.1:9").assets().create(std::path::Path::new("/no/such.mp4")).await.unwrap_err();
    assert!(error.to_string().starts_with("/no/such.mp4: "), "{error}");
}

#[tokio::test]
async fn garbage_is_an_error_that_keeps_it() {
    let server = server(vec![ResponseTemplate::new(200).set_body_string("<html>welcome to the hotel")]).await;
    match client(&server.uri()).assets().retrieve(ID).await.unwrap_err() {
        Error::Decode { status: 200, body, .. } => assert!(body.starts_with(b"<html>")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_newer_server_is_understood() {
    let newer = r#"{"data": [{"_id": "asset/1", "method": "connector", "status": "archived", "filename": "f", "shape": [1],
        "created_at": "2026-05-01T10:30:00.5+02:00", "hls": {"status": "paused"}, "error": {"message": "m"}}],
        "page_info": null}"#;
    let server = server(vec![ResponseTemplate::new(200).set_body_string(newer)]).await;
    let page = client(&server.uri()).assets().list().await.unwrap();
    let asset = &page.data[0];
    assert_eq!(asset.id, "asset/1");
    assert_eq!(asset.method, Open::<Method>::Unknown("connector".to_owned()));
    assert!(asset.status != Status::Ready && asset.status.as_str() == "archived");
    assert_eq!(asset.hls.as_ref().unwrap().status.to_string(), "paused");
}

#[tokio::test]
async fn ids_cannot_leave_their_place_in_the_path() {
    let server = server(vec![asset()]).await;
    let assets = client(&server.uri()).assets();
    assets.retrieve("a/b?c=d#e").await.unwrap();
    assert_eq!(server.received_requests().await.unwrap()[0].url.path(), "/v1.3/assets/a%2Fb%3Fc=d%23e");
    for bad in ["", ".", ".."] {
        assert!(matches!(assets.delete(bad, true).await, Err(Error::Setup(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn headers_and_queries_of_ones_own_are_sent() {
    let server = server(vec![asset()]).await;
    let call = client(&server.uri()).assets().retrieve(ID).header("x-trace", "7").query("include", "a b&c");
    let answer = call.with_raw_response().await.unwrap();
    assert_eq!((answer.status, answer.value.id.as_str()), (200, ID));
    assert_eq!(answer.body, ASSET);
    let request = &server.received_requests().await.unwrap()[0];
    assert_eq!(request.headers["x-trace"], "7");
    assert_eq!(request.url.query(), Some("include=a+b%26c"));
    let bad = client(&server.uri()).assets().retrieve(ID).header("x y", "7").await;
    assert!(matches!(bad, Err(Error::Setup(_))));
}

#[tokio::test]
async fn a_slow_server_is_a_timeout() {
    let server = server(vec![asset().set_delay(Duration::from_secs(30))]).await;
    let call = client(&server.uri()).assets().retrieve(ID).timeout(Duration::from_millis(100)).retries(1);
    let error = call.await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert!(error.is_transient());
    assert_eq!(requests(&server).await, 2);
}

#[tokio::test]
async fn slow_and_steady_is_no_timeout() {
    let body = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{ASSET}", ASSET.len());
    let drip = body.into_bytes().chunks(20).map(|piece| Step::Drip(piece.to_vec())).collect();
    let server = Raw::start(vec![drip]).await;
    let call = client(&server.url).assets().retrieve(ID).timeout(Duration::from_millis(500)).retries(0);
    assert_eq!(call.await.unwrap().id, ID);
    assert!(server.dripped() > Duration::from_millis(500), "or it proves nothing");
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_body_is_tried_again() {
    let half = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", ASSET.len(), &ASSET[..40]);
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{ASSET}", ASSET.len());
    let server = Raw::start(vec![
        vec![Step::Send(half.into_bytes()), Step::Reset],
        vec![Step::Send(whole.into_bytes())],
    ])
    .await;
    assert_eq!(client(&server.url).assets().retrieve(ID).await.unwrap().id, ID);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_is_a_delete() {
    let gone = || {
        let body = r#"{"code": "resource_not_exist", "message": "Gone."}"#;
        vec![Step::Send(
            format!("HTTP/1.1 404 X\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes(),
        )]
    };
    let server = Raw::start(vec![vec![Step::Reset], gone(), gone()]).await;
    let assets = client(&server.url).assets();
    assets.delete(ID, false).await.unwrap();
    assert_eq!(assets.delete(ID, false).await.unwrap_err().code(), Some(ErrorCode::ResourceNotExist));
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = client(&format!("http://{free}")).assets().retrieve(ID).retries(0).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(error.to_string().starts_with(&format!("cannot connect to {free}: ")), "{error}");
}

#[tokio::test]
async fn what_is_dropped_is_over() {
    let server = server(vec![ResponseTemplate::new(503)]).await;
    let call = client(&server.uri()).assets().retrieve(ID).retries(1000).into_future();
    let cut = tokio::time::timeout(Duration::from_millis(300), call).await;
    assert!(cut.is_err());
    let then = requests(&server).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(requests(&server).await, then);
}

/// The bytes come in three connections: the first two break.
#[tokio::test]
async fn a_download_goes_on_at_the_same_byte() {
    let part = |from: usize, to: usize| {
        let (status, range) = match from {
            0 => ("200 OK", String::new()),
            _ => ("206 Partial Content", format!("content-range: bytes {from}-25/26\r\n")),
        };
        let letters: Vec<u8> = (b'a'..=b'z').skip(from).take(to - from).collect();
        let head =
            format!("HTTP/1.1 {status}\r\netag: \"e\"\r\n{range}content-length: {}\r\n\r\n", 26 - from);
        vec![Step::Send([head.as_bytes(), &letters].concat())]
    };
    let server = Raw::start(vec![part(0, 9), part(9, 20), part(20, 26)]).await;
    let content = client(&server.url).assets().content(ID).await.unwrap();
    assert_eq!(content.length(), Some(26));
    let bytes: Vec<u8> = content.try_collect::<Vec<_>>().await.unwrap().concat();
    assert_eq!(bytes, (b'a'..=b'z').collect::<Vec<_>>());
    let asked = server.requests();
    assert!(
        asked[1].contains("range: bytes=9-\r\n") && asked[1].contains("if-range: \"e\"\r\n"),
        "{}",
        asked[1]
    );
    assert!(asked[2].contains("range: bytes=20-\r\n"), "{}", asked[2]);
}

#[tokio::test]
async fn a_download_of_what_changed_is_an_error() {
    let half = "HTTP/1.1 200 OK\r\netag: \"e\"\r\ncontent-length: 26\r\n\r\nabc";
    let other = "HTTP/1.1 200 OK\r\netag: \"f\"\r\ncontent-length: 3\r\n\r\nxyz";
    let server = Raw::start(vec![vec![Step::Send(half.into())], vec![Step::Send(other.into())]]).await;
    let content = client(&server.url).assets().content(ID).await.unwrap();
    let error = content.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(matches!(error, Error::ContentChanged(_)), "{error:?}");
}

#[tokio::test]
async fn an_interrupted_download_into_a_file_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    std::fs::write(folder.path().join(format!(".clip.mp4.{ID}.part")), b"0123").unwrap();
    let server = MockServer::start().await;
    let rest =
        ResponseTemplate::new(206).insert_header("content-range", "bytes 4-9/10").set_body_bytes(*b"456789");
    Mock::given(method("GET"))
        .and(path_is_content())
        .and(header_exists("range"))
        .respond_with(rest)
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(client(&server.uri()).assets().download(ID, &path).await.unwrap(), 10);
    assert_eq!(std::fs::read(&path).unwrap(), b"0123456789");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn path_is_content() -> impl wiremock::Match {
    path(format!("/v1.3/assets/{ID}/content"))
}

#[tokio::test]
async fn waiting_ends_with_ready_failed_or_patience() {
    let state = |status: &str, more: &str| {
        ResponseTemplate::new(200)
            .set_body_string(ASSET.replace("ready", status).replace("\"_id\"", &format!("{more} \"_id\"")))
    };
    let making = r#""hls": {"status": "processing"},"#;
    let turns = vec![state("processing", ""), state("ready", making), asset()];
    let server_1 = server(turns.clone()).await;
    client(&server_1.uri()).assets().wait_until_ready(ID).await.unwrap();
    assert_eq!(requests(&server_1).await, 2);
    let server_2 = server(turns).await;
    client(&server_2.uri()).assets().wait_until_ready(ID).renditions(true).await.unwrap();
    assert_eq!(requests(&server_2).await, 3);

    let failed = state("failed", r#""error": {"code": "video_file_broken", "message": "Torn."},"#);
    let server_3 = server(vec![failed]).await;
    let error = client(&server_3.uri()).assets().wait_until_ready(ID).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::VideoFileBroken));
    assert_eq!(error.to_string(), format!("the asset {ID} failed: Torn."));

    let server_4 = server(vec![state("processing", "")]).await;
    let wait = client(&server_4.uri()).assets().wait_until_ready(ID).at_most(Duration::from_millis(300));
    assert!(matches!(wait.await, Err(Error::NotReady { .. })));
}
