//! How long we wait for a client: with times that a test can wait for.

#![expect(clippy::unwrap_used, reason = "in a test it is the assertion")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use reelhouse_media::{Config, Media};
use reelhouse_server::{App, Timeouts, serve};
use reelhouse_service::{ApiKey, Limits, LimitsProfile, Service, Settings, SystemClock};
use reelhouse_store::{Homes, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const KEY: &str = "a-key-for-tests-only";
const SHORT: Duration = Duration::from_millis(200);

async fn start(folder: &std::path::Path, timeouts: Timeouts) -> SocketAddr {
    let store = Store::open(folder, &Homes::default(), 0).await.unwrap();
    let media = Media::start(Config::default()).await.unwrap();
    let settings = Settings {
        limits: Limits::of(LimitsProfile::Permissive),
        max_staged_bytes: 1 << 30,
        min_free: reelhouse_service::MinFree::Auto,
        rate_upload_rpm: 0,
        rate_upload_rpd: 0,
        media_url_ttl: 0,
        imports: reelhouse_service::ImportSettings::default(),
        hls: reelhouse_service::HlsSettings::default(),
        webhooks: reelhouse_service::WebhookSettings::default(),
        public_url: None,
    };
    let service = Service::start(store, media, Arc::new(SystemClock), settings).await.unwrap();
    service.settle_keys(Some(&ApiKey::new(KEY))).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, App::new(service, timeouts), CancellationToken::new()));
    address
}

#[expect(clippy::disallowed_methods, reason = "tests ask the real server")]
fn client() -> reqwest::Client {
    // The client wants TLS even where it speaks none. Fails when another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// What the server says until it closes the connection; never, if it does not.
async fn until_closed(mut stream: TcpStream) -> String {
    tokio::task::spawn_blocking(move || {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            // A reset is a close, too.
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
    .await
    .unwrap()
}

fn request(address: SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_closes_the_connection() {
    let folder = tempfile::TempDir::new().unwrap();
    let address = start(folder.path(), Timeouts { header_read: SHORT, ..Timeouts::default() }).await;
    let since = std::time::Instant::now();
    assert_eq!(until_closed(request(address, "")).await, "");
    until_closed(request(address, "GET / HTTP/1.1\r\nHost")).await;
    // Without our word, hyper waits half a minute for each.
    assert!(since.elapsed() < Duration::from_secs(25), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_is_a_timeout() {
    let folder = tempfile::TempDir::new().unwrap();
    let address = start(folder.path(), Timeouts { body_idle: SHORT, ..Timeouts::default() }).await;
    let head = format!(
        "POST /v1.3/assets HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\nContent-Length: 1000\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    );
    let answer = until_closed(request(address, &head)).await;
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("request_canceled_or_timed_out"),
        "{answer}"
    );
}

/// A floor that nobody keeps who pauses.
const FLOOR: Timeouts = Timeouts {
    header_read: Duration::from_secs(60),
    body_idle: Duration::from_secs(60),
    write_idle: Duration::from_secs(60),
    min_rate: 100_000_000,
    window: SHORT,
    drain: SHORT,
};

/// What is sent bit by bit is never idle, and yet does not come.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_is_a_timeout_and_leaves_nothing() {
    let folder = tempfile::TempDir::new().unwrap();
    let address = start(folder.path(), FLOOR).await;
    let head = format!(
        "POST /v1.3/assets HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\nContent-Length: 100000\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n"
    );
    let stream = request(address, &head);
    let mut sends = stream.try_clone().unwrap();
    let trickle = std::thread::spawn(move || {
        while sends.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let answer = until_closed(stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("request_canceled_or_timed_out"),
        "{answer}"
    );
    tokio::task::spawn_blocking(|| trickle.join().unwrap()).await.unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("staging")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut() {
    cut_while_downloading(Timeouts { write_idle: SHORT, ..Timeouts::default() }, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_too_little_is_cut() {
    cut_while_downloading(FLOOR, 1024).await;
}

/// A download of which so many bytes are read at a time must be cut.
async fn cut_while_downloading(timeouts: Timeouts, reads: usize) {
    let folder = tempfile::TempDir::new().unwrap();
    let address = start(folder.path(), timeouts).await;
    // A picture of 12 MB: more than both sides' buffers hold.
    let side = 2000usize;
    let len = 54 + side * side * 3;
    let mut bmp = b"BM".to_vec();
    bmp.extend(u32::try_from(len).unwrap().to_le_bytes());
    bmp.extend([0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0]);
    bmp.extend(u32::try_from(side).unwrap().to_le_bytes().repeat(2));
    bmp.extend([1, 0, 24, 0]);
    bmp.resize(len, 0);
    let form = reqwest::multipart::Form::new()
        .text("method", "direct")
        .part("file", reqwest::multipart::Part::bytes(bmp).file_name("a.bmp"));
    let client = client();
    let url = format!("http://{address}/v1.3/assets");
    let answer = client.post(&url).header("x-api-key", KEY).multipart(form).send().await.unwrap();
    let asset: serde_json::Value = answer.json().await.unwrap();
    let id = asset["_id"].as_str().unwrap();

    let blob = folder.path().join("originals").join(&id[22..]).join(id).canonicalize().unwrap();
    let is_open = || {
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
        descriptors.filter_map(|entry| entry.ok()?.path().read_link().ok()).any(|path| path == blob)
    };
    let head = format!("GET /v1.3/assets/{id}/content HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\n\r\n");
    let mut stream = request(address, &head);
    // The download has begun: its first bytes are here.
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    assert!(is_open());
    let since = std::time::Instant::now();
    let mut taken = 0;
    while is_open() {
        assert!(since.elapsed() < Duration::from_secs(60), "the download is never cut");
        tokio::time::sleep(Duration::from_millis(20)).await;
        if reads > 0 {
            taken += stream.read(&mut vec![0; reads]).unwrap_or(0);
        }
    }
    assert!(taken < len / 4, "it was not cut, it came to its end: {taken} of {len}");
}
