//! Bodies, whole and broken.

use std::time::Duration;

use async_compression::tokio::write::{DeflateEncoder, GzipEncoder, ZlibEncoder};
use reelhouse_fetch::{Config, Fetcher};
use tokio::io::AsyncWriteExt;

use crate::origin::{
    Origin, Step, answer, assert_interrupted, assert_not_accessible, config, drain, fetch, fetcher,
    impatient_for_bytes, send,
};

#[tokio::test]
async fn a_plain_body() {
    let headers =
        "Content-Type: video/mp4\r\nETag: \"v1\"\r\nContent-Disposition: attachment; filename=b.mp4\r\n";
    let origin = Origin::saying(answer("200 OK", headers, "bytes")).await;
    let mut fetched = fetcher().get(&origin.url("/a.mp4"), None).await.unwrap();
    assert_eq!((fetched.from, fetched.total), (0, Some(5)));
    assert_eq!(fetched.validator.as_ref().unwrap().as_str(), "\"v1\"");
    assert_eq!(fetched.filename.as_deref(), Some("b.mp4"));
    assert_eq!(fetched.content_type.as_deref(), Some("video/mp4"));
    assert_eq!(fetched.url, origin.url("/a.mp4"));
    assert_eq!(drain(&mut fetched).await.unwrap(), b"bytes");
    assert_eq!(fetched.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn what_is_asked() {
    let origin = Origin::saying(answer("200 OK", "", "")).await;
    assert_eq!(fetch(&fetcher(), &origin.url("/a.mp4?b=c#d")).await.unwrap(), b"");
    let [request] = &origin.requests()[..] else { unreachable!() };
    let mut lines: Vec<&str> = request.trim_end().split("\r\n").collect();
    assert_eq!(lines.remove(0), "get /a.mp4?b=c http/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", origin.address);
    let agent = concat!("user-agent: reelhouse/", env!("CARGO_PKG_VERSION"));
    assert_eq!(lines, ["accept-encoding: identity", "accept: */*", &host, agent]);
}

#[tokio::test]
async fn lengths_of_every_kind() {
    for (head, body, total) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &b"bytes"[..], Some(5)),
        ("HTTP/1.1 203 Elsewhere\r\nContent-Length: 5\r\n\r\n", b"bytes", Some(5)),
        // Shorter than what follows: the head is what counts.
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"bytes and more", Some(5)),
        ("HTTP/1.1 200 OK\r\n\r\n", b"bytes", None),
        ("HTTP/1.0 200 OK\r\n\r\n", b"bytes", None),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"2\r\nby\r\n3;x=y\r\ntes\r\n0\r\n\r\n",
            None,
        ),
        // RFC 9112, 6.3: chunked outweighs a length.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"5\r\nbytes\r\n0\r\nTrailer: x\r\n\r\n",
            None,
        ),
        ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"bytes", Some(5)),
    ] {
        let origin = Origin::saying(vec![send(head), send(body)]).await;
        let mut fetched = fetcher().get(&origin.url("/"), None).await.unwrap();
        assert_eq!(fetched.total, total, "{head}");
        assert_eq!(drain(&mut fetched).await.unwrap(), b"bytes", "{head}");
    }
}

#[tokio::test]
async fn what_ends_early_is_no_end() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for steps in [
        vec![send(head)],
        vec![send(head), send("bytes")],
        vec![send(head), send("bytes"), Step::Reset],
        vec![send("HTTP/1.1 200 OK\r\n\r\n"), send("bytes"), Step::Reset],
        vec![send(chunked), send("5\r\nbytes\r\n")],
        vec![send(chunked), send("5\r\nbytes\r\n0\r\n")],
        vec![send(chunked), send("5\r\nby")],
        vec![send(chunked), send("5\r\nbytes\r\nnonsense\r\n")],
        vec![send(chunked), send("5\r\nbytes\r\nffffffffffffffffff\r\n")],
    ] {
        let origin = Origin::saying(steps).await;
        let error = match fetcher().get(&origin.url("/"), None).await {
            Ok(mut fetched) => {
                let error = drain(&mut fetched).await.unwrap_err();
                assert_interrupted(&fetched.chunk().await.unwrap_err(), "it failed before");
                assert_interrupted(&error, "");
                continue;
            }
            Err(error) => error,
        };
        // A reset may overtake the head.
        assert_not_accessible(&error, true, "");
    }
}

#[tokio::test]
async fn a_stall_is_noticed() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    let origin = Origin::saying(vec![send(head), send("bytes"), Step::Hold]).await;
    assert_interrupted(
        &fetch(&impatient_for_bytes(), &origin.url("/")).await.unwrap_err(),
        "no byte in 200ms",
    );
    // Bytes that are of no body are none.
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;";
    let drip = Step::Repeat(b"x".to_vec(), Duration::from_millis(10));
    let origin = Origin::saying(vec![send(chunked), drip]).await;
    assert_interrupted(&fetch(&impatient_for_bytes(), &origin.url("/")).await.unwrap_err(), "");
}

#[tokio::test]
async fn a_trickle_is_noticed() {
    let config =
        Config { min_rate: 1_000_000, rate_window: Duration::from_millis(200), ..config("127.0.0.1") };
    let drip = Step::Repeat(b"bytes".to_vec(), Duration::from_millis(5));
    let origin = Origin::saying(vec![send("HTTP/1.1 200 OK\r\n\r\n"), drip]).await;
    let error = fetch(&Fetcher::new(config).unwrap(), &origin.url("/")).await.unwrap_err();
    assert_interrupted(&error, "slower than the floor");
}

/// Two thousand lines that compress.
fn text() -> Vec<u8> {
    (0..2000).flat_map(|line| format!("line {line}\n").into_bytes()).collect()
}

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

async fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new());
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

async fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new());
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

#[tokio::test]
async fn codings_nobody_asked_for_are_undone() {
    let text = text();
    let members = [gzip(&text[..9000]).await, gzip(&text[9000..]).await].concat();
    for (coding, encoded) in [
        ("gzip", gzip(&text).await),
        ("x-gzip", gzip(&text).await),
        ("GZip, identity", gzip(&text).await),
        ("gzip", members),
        ("deflate", zlib(&text).await),
        ("deflate", deflate(&text).await),
    ] {
        let headers = format!("Content-Encoding: {coding}\r\nETag: \"v1\"\r\n");
        let origin = Origin::saying(answer("200 OK", &headers, &encoded)).await;
        let mut fetched = fetcher().get(&origin.url("/"), None).await.unwrap();
        // Neither the length nor the version is that of the bytes handed out.
        assert_eq!((fetched.total, fetched.validator.clone()), (None, None));
        assert_eq!(drain(&mut fetched).await.unwrap(), text, "{coding}");
    }
    for (coding, encoded) in [("gzip", gzip(b"").await), ("deflate", zlib(b"").await), ("identity", vec![])] {
        let headers = format!("Content-Encoding: {coding}\r\n");
        let origin = Origin::saying(answer("200 OK", &headers, &encoded)).await;
        assert_eq!(fetch(&fetcher(), &origin.url("/")).await.unwrap(), b"");
    }
}

#[tokio::test]
async fn codings_that_are_broken_or_unknown() {
    let (gzipped, zlibbed, deflated) = (gzip(&text()).await, zlib(&text()).await, deflate(&text()).await);
    let mut damaged = gzipped.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    for (coding, encoded) in [
        ("gzip", &gzipped[..gzipped.len() - 1]),
        ("gzip", &gzipped[..5]),
        ("gzip", &damaged[..]),
        ("gzip", b"not gzip at all"),
        ("deflate", &zlibbed[..zlibbed.len() - 1]),
        ("deflate", &deflated[..deflated.len() - 1]),
        ("deflate", b"\x07\xff"),
    ] {
        let headers = format!("Content-Encoding: {coding}\r\n");
        let origin = Origin::saying(answer("200 OK", &headers, encoded)).await;
        assert_interrupted(&fetch(&fetcher(), &origin.url("/")).await.unwrap_err(), "");
    }
    // Cut off under the coding: the transfer's error comes through.
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", gzipped.len());
    let origin = Origin::saying(vec![send(head), send(&gzipped[..gzipped.len() / 2])]).await;
    assert_interrupted(
        &fetch(&fetcher(), &origin.url("/")).await.unwrap_err(),
        "end of file before message length",
    );
    for headers in [
        "Content-Encoding: br\r\n",
        "Content-Encoding: zstd\r\n",
        "Content-Encoding: gzip, gzip\r\n",
        "Content-Encoding: gzip\r\nContent-Encoding: deflate\r\n",
    ] {
        let origin = Origin::saying(answer("200 OK", headers, "x")).await;
        assert_not_accessible(&fetch(&fetcher(), &origin.url("/")).await.unwrap_err(), false, "encoded as");
    }
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    let origin = Origin::saying(vec![send(head), send("1\r\nx\r\n0\r\n\r\n")]).await;
    assert_not_accessible(&fetch(&fetcher(), &origin.url("/")).await.unwrap_err(), false, "transferred as");
}

#[tokio::test]
async fn a_bomb_goes_off_in_small_pieces() {
    let zeros = vec![0; 16 << 20];
    let origin = Origin::saying(answer("200 OK", "Content-Encoding: gzip\r\n", gzip(&zeros).await)).await;
    let mut fetched = fetcher().get(&origin.url("/"), None).await.unwrap();
    let mut count = 0;
    while let Some(chunk) = fetched.chunk().await.unwrap() {
        assert!(chunk.len() <= 64 * 1024);
        count += chunk.len();
    }
    assert_eq!(count, zeros.len());
}

#[tokio::test]
async fn endless_bytes_that_mean_nothing() {
    let nothing = Step::Repeat(gzip(b"").await.repeat(100), Duration::from_millis(1));
    let head = send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
    let origin = Origin::saying(vec![head, nothing]).await;
    assert_interrupted(
        &fetch(&impatient_for_bytes(), &origin.url("/")).await.unwrap_err(),
        "nothing decoded in",
    );
}

#[tokio::test]
async fn a_chunk_that_nobody_waited_for_is_not_lost() {
    let origin = Origin::saying(answer("200 OK", "", "x".repeat(1 << 20))).await;
    let mut fetched = fetcher().get(&origin.url("/"), None).await.unwrap();
    let mut count = 0;
    loop {
        // Calls that would wait are dropped.
        let chunk = tokio::select! {
            biased;
            chunk = fetched.chunk() => chunk.unwrap(),
            () = tokio::task::yield_now() => continue,
        };
        match chunk {
            Some(chunk) => count += chunk.len(),
            None => break,
        }
    }
    assert_eq!(count, 1 << 20);
}
