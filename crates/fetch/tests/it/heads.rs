//! Answers that are no body.

use std::time::Duration;

use reelhouse_fetch::Error;

use crate::origin::{
    Origin, Step, answer, assert_not_accessible, fetch, fetcher, impatient_for_heads, send, url,
};

#[tokio::test]
async fn other_statuses() {
    for (status, retriable) in [
        ("204 No Content", false),
        ("205 Reset Content", false),
        ("206 Partial Content", false),
        ("300 Multiple Choices", false),
        ("304 Not Modified", false),
        ("400 Bad Request", false),
        ("401 Unauthorized", false),
        ("403 Forbidden", false),
        ("404 Not Found", false),
        ("407 Proxy Authentication Required", false),
        ("408 Request Timeout", true),
        ("410 Gone", false),
        ("416 Range Not Satisfiable", false),
        ("425 Too Early", true),
        ("429 Too Many Requests", true),
        ("451 Unavailable For Legal Reasons", false),
        ("500 Internal Server Error", true),
        ("502 Bad Gateway", true),
        ("503 Service Unavailable", true),
        ("599 Whatever", true),
        ("999 Whatever", false),
    ] {
        let range = "Content-Range: bytes 0-0/1\r\nLocation: /other\r\n";
        let origin = Origin::saying(answer(status, range, "")).await;
        let error = fetch(&fetcher(), &origin.url("/a?secret")).await.unwrap_err();
        assert_not_accessible(&error, retriable, &format!("/a?… answered {}", &status[..3]));
        assert_eq!(origin.requests().len(), 1);
    }
}

#[tokio::test]
async fn no_answer_at_all() {
    let origin = Origin::saying(vec![]).await;
    assert_not_accessible(&fetch(&fetcher(), &origin.url("/")).await.unwrap_err(), true, "");
    let origin = Origin::saying(vec![Step::Reset]).await;
    assert_not_accessible(&fetch(&fetcher(), &origin.url("/")).await.unwrap_err(), true, "");
    let origin = Origin::saying(vec![Step::Hold]).await;
    assert_not_accessible(
        &fetch(&impatient_for_heads(), &origin.url("/")).await.unwrap_err(),
        true,
        "no answer in 200ms",
    );
    // A port that is taken, and nobody listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = url(&format!("http://{}/", socket.local_addr().unwrap()));
    assert_not_accessible(&fetch(&fetcher(), &silent).await.unwrap_err(), true, "onnection refused");
}

#[tokio::test]
async fn heads_that_are_none() {
    for head in [
        "nonsense\r\n\r\n",
        "HTTP/0.9\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nbytes",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nbytes",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nbytes",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nbytes",
        "HTTP/1.1 200 OK\r\nContent Length: 5\r\n\r\nbytes",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\nbytes",
    ] {
        let origin = Origin::saying(vec![send(head)]).await;
        let error = fetch(&fetcher(), &origin.url("/")).await.unwrap_err();
        assert!(matches!(error, Error::NotAccessible { .. }), "{head}: {error:?}");
    }
}

#[tokio::test]
async fn heads_without_end() {
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let status = "HTTP/1.1 200 OK\r\n";
    let now = Duration::ZERO;
    for steps in [
        vec![send(status), send(many), send("\r\n")],
        vec![send(status), send("X: "), send("y".repeat(8 << 20)), send("\r\n\r\n")],
        vec![send(status), Step::Repeat(b"X: y\r\n".repeat(1000), now)],
        vec![send(status), send("X: "), Step::Repeat(vec![b'y'; 4096], now)],
    ] {
        let origin = Origin::saying(steps).await;
        assert_not_accessible(&fetch(&fetcher(), &origin.url("/")).await.unwrap_err(), true, "");
    }
    // Slowly, and never at an end.
    let pause = Duration::from_millis(20);
    for steps in [
        vec![send(status), Step::Repeat(b"X".to_vec(), pause)],
        vec![Step::Repeat(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), pause)],
    ] {
        let origin = Origin::saying(steps).await;
        assert_not_accessible(
            &fetch(&impatient_for_heads(), &origin.url("/")).await.unwrap_err(),
            true,
            "no answer in",
        );
    }
}
