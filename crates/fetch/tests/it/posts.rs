//! What is posted, and what counts as its answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use reelhouse_fetch::{Config, Error, Fetcher, PublicUrl};

use crate::origin::{
    Origin, Script, Step, answer, assert_not_accessible, config, fetcher, public_and_private, send, url,
};

const PATIENT: Duration = Duration::from_secs(30);

async fn post(fetcher: &Fetcher, url: &PublicUrl, time: Duration) -> Result<StatusCode, Error> {
    let headers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("here"))]);
    fetcher.post(url, headers, Bytes::from_static(b"told"), time).await
}

#[tokio::test]
async fn an_answer_is_its_status() {
    for (status, code) in [("200 OK", 200), ("204 No Content", 204), ("410 Gone", 410), ("503 Busy", 503)] {
        let origin = Origin::saying(answer(status, "", "")).await;
        assert_eq!(post(&fetcher(), &origin.url("/a?b"), PATIENT).await.unwrap(), code);
        let head = &origin.requests()[0];
        assert!(head.starts_with("post /a?b http/1.1") && head.contains("content-length: 4"), "{head}");
        assert!(head.contains("etag: here") && head.contains("user-agent: reelhouse/"), "{head}");
    }
}

#[tokio::test]
async fn what_follows_the_head_does_not_count() {
    let head = send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    let endless = Step::Repeat(vec![0; 1 << 16], Duration::ZERO);
    for rest in [vec![Step::Reset], vec![Step::Hold; 5], vec![endless]] {
        let origin = Origin::saying([vec![head.clone()], rest].concat()).await;
        assert_eq!(post(&fetcher(), &origin.url("/"), PATIENT).await.unwrap(), 200);
    }
}

#[tokio::test]
async fn no_answer_is_an_error() {
    // Beyond the bytes of the body.
    let silent = Origin::saying(vec![Step::Hold; 5]).await;
    let error = post(&fetcher(), &silent.url("/"), Duration::from_millis(200)).await.unwrap_err();
    assert_not_accessible(&error, true, "no answer in 200ms");
    let rude = Origin::saying(vec![Step::Reset]).await;
    assert_not_accessible(&post(&fetcher(), &rude.url("/"), PATIENT).await.unwrap_err(), true, "");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = url(&format!("http://{free}/"));
    assert_not_accessible(&post(&fetcher(), &nobody, PATIENT).await.unwrap_err(), true, "");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (public, private) = public_and_private(|port, _| {
        answer("307 Temporary Redirect", &format!("Location: http://127.0.0.1:{port}/\r\n"), "")
    })
    .await;
    let fetcher = Fetcher::new(config("127.0.0.2")).unwrap();
    assert_eq!(post(&fetcher, &public.url("/"), PATIENT).await.unwrap(), 307);
    assert_eq!(private.requests().len(), 0);
}

#[tokio::test]
async fn what_is_not_public_is_not_dialled() {
    let origin = Origin::saying(answer("200 OK", "", "")).await;
    let config = || Config { allow_setting: "REELHOUSE_WEBHOOK_ALLOW", ..config("") };
    let plain = Fetcher::new(config()).unwrap();
    let error = post(&plain, &origin.url("/"), PATIENT).await.unwrap_err();
    assert_not_accessible(&error, false, "127.0.0.1 is loopback; REELHOUSE_WEBHOOK_ALLOW could allow it");
    let resolved = Fetcher::with_resolver(config(), Script::new(&["127.0.0.1"])).unwrap();
    let named = url(&format!("http://public.example:{}/", origin.address.port()));
    assert_not_accessible(
        &post(&resolved, &named, PATIENT).await.unwrap_err(),
        false,
        "refused: public.example (127.0.0.1)",
    );
    assert_eq!(origin.requests().len(), 0);
}
