//! A bucket that cannot be reached for a while: gone, or swallowed by the network. Only where the run has a bucket
//! (`scripts/with-seaweedfs.sh`).

use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{
    harness::{TestServer, direct, eventually, expect, expect_error},
    media,
};

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    /// Whoever calls is cut off.
    Gone,
    /// Whoever calls waits for ever.
    Swallows,
}

/// What stands between a server and the bucket; its address is the endpoint that the server knows, and signs.
struct Proxy {
    endpoint: String,
    way: watch::Sender<Way>,
}

impl Proxy {
    /// `None` where the run has no bucket.
    async fn start() -> Option<Self> {
        let far = std::env::var("AWS_ENDPOINT_URL")
            .ok()
            .filter(|_| std::env::var("REELHOUSE_TEST_BLOBS").is_ok())?;
        let far = far.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (way, now) = watch::channel(Way::Open);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(Self::carry(near, far.clone(), now.clone()));
            }
        });
        Some(Self { endpoint, way })
    }

    async fn carry(mut near: TcpStream, far: String, mut way: watch::Receiver<Way>) {
        let mut far = TcpStream::connect(far).await.unwrap();
        let closed = async { way.wait_for(|way| *way != Way::Open).await.map(|way| *way) };
        let found = tokio::select! {
            biased;
            found = closed => found,
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
        };
        if found.is_ok_and(|way| way == Way::Swallows) {
            std::future::pending::<()>().await;
        }
    }

    fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn answered(request: RequestBuilder) -> Response {
    tokio::time::timeout(Duration::from_secs(50), request.send()).await.expect("an answer").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_goes_away_is_waited_for_and_comes_back() {
    let Some(proxy) = Proxy::start().await else { return };
    let server = TestServer::start_with(&[("AWS_ENDPOINT_URL", &proxy.endpoint)]);
    let first = server.create(&media::png()).await;
    let path = format!("/v1.3/assets/{}", first["_id"].as_str().unwrap());
    let content = format!("{path}/content");
    for way in [Way::Gone, Way::Swallows] {
        proxy.set(way);
        let asked = Instant::now();
        let says = expect_error(503, "service_unavailable", answered(server.get("/readyz")).await).await;
        assert!(says.contains("bucket"), "{says}");
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
        // What needs no bucket goes on.
        expect(200, answered(server.get("/v1.3/assets")).await).await;
        expect(200, answered(server.get(&path)).await).await;
        // Its size is known; that it cannot be had breaks off, or says so.
        let bytes = answered(server.get(&content)).await;
        assert!(bytes.status() == 503 || bytes.bytes().await.is_err());

        // A create waits, and is taken as soon as there is a way again.
        let waiting = tokio::spawn(server.post(direct(&media::png())).send());
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.set(Way::Open);
        expect(201, waiting.await.unwrap().unwrap()).await;
        let ready = async || answered(server.get("/readyz")).await.status() == 200;
        eventually("it is ready again", ready).await;
        let bytes = answered(server.get(&content)).await.bytes().await.unwrap();
        assert!(bytes == std::fs::read(media::png()).unwrap());
    }
    // It does not wait for ever, and what was not taken leaves nothing.
    proxy.set(Way::Gone);
    let refused = answered(server.post(direct(&media::mp4()))).await;
    let says = expect_error(400, "parameter_invalid", refused).await;
    assert!(says.contains("Unable to process the uploaded file"), "{says}");
    proxy.set(Way::Open);
    assert_eq!((server.total().await, server.originals()), (3, 3));
    server.assert_healthy();
}
