//! Going on where an earlier fetch ended.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::origin::{
    Origin, Step, answer, assert_interrupted, assert_not_accessible, drain, fetcher, resume, send,
};

/// Where the request's range begins, if it has one.
fn range(head: &str) -> Option<usize> {
    head.split("range: bytes=").nth(1)?.split('-').next()?.parse().ok()
}

#[tokio::test]
async fn it_goes_on() {
    let origin = Origin::start(|head| match range(head) {
        Some(4) => answer("206 Partial Content", "Content-Range: bytes 4-9/10\r\nETag: \"v1\"\r\n", "456789"),
        _ => answer("200 OK", "ETag: \"v1\"\r\n", "0123456789"),
    })
    .await;
    let resume = resume(4, "\"v1\"", Some(10));
    let mut fetched = fetcher().get(&origin.url("/"), Some(&resume)).await.unwrap();
    assert_eq!((fetched.from, fetched.total), (4, Some(10)));
    assert_eq!(fetched.validator, Some(resume.validator));
    assert_eq!(drain(&mut fetched).await.unwrap(), b"456789");
    let [request] = &origin.requests()[..] else { unreachable!() };
    assert!(request.contains("\r\nrange: bytes=4-\r\n") && request.contains("\r\nif-range: \"v1\"\r\n"));
}

#[tokio::test]
async fn it_goes_on_by_date_and_after_a_redirect() {
    let origin = Origin::start(|head| match (head.starts_with("get /b "), range(head)) {
        (false, _) => answer("302 Found", "Location: /b\r\n", ""),
        (true, Some(4)) => answer("206 Partial Content", "Content-Range: bytes 4-9/*\r\n", "456789"),
        _ => answer("200 OK", "", "0123456789"),
    })
    .await;
    let resume = resume(4, "Tue, 15 Nov 1994 12:00:00 GMT", Some(10));
    let mut fetched = fetcher().get(&origin.url("/a"), Some(&resume)).await.unwrap();
    assert_eq!((fetched.from, fetched.total, &fetched.url), (4, Some(10), &origin.url("/b")));
    assert_eq!(drain(&mut fetched).await.unwrap(), b"456789");
    assert!(origin.requests()[1].contains("\r\nif-range: tue, 15 nov 1994 12:00:00 gmt\r\n"));
}

#[tokio::test]
async fn origins_that_cannot_go_on_start_over() {
    let part = |range: &str, more: &str| {
        answer("206 Partial Content", &format!("Content-Range: {range}\r\n{more}"), "456789")
    };
    for (first, requests) in [
        // It ignores the range, or has another version now.
        (answer("200 OK", "ETag: \"v2\"\r\n", "abcdefghij"), 1),
        // It cannot: the range is asked for once, then the whole.
        (answer("416 Range Not Satisfiable", "Content-Range: bytes */3\r\n", ""), 2),
        // It lies: another version, start, whole, or end than it should.
        (part("bytes 4-9/10", "ETag: \"v2\"\r\n"), 2),
        (part("bytes 4-9/10", "ETag: W/\"v1\"\r\n"), 2),
        (part("bytes 3-8/10", ""), 2),
        (part("bytes 0-5/10", ""), 2),
        (part("bytes 4-9/11", ""), 2),
        (part("bytes 4-10/10", ""), 2),
        (part("bytes 9-4/10", ""), 2),
        (part("nonsense", ""), 2),
        (part("bytes 4-9/10", "Content-Encoding: gzip\r\n"), 2),
        (answer("206 Partial Content", "", "456789"), 2),
        (answer("206 Partial Content", "Content-Type: multipart/byteranges; boundary=x\r\n", "--x--"), 2),
    ] {
        let origin = Origin::start(move |head| match range(head) {
            Some(_) => first.clone(),
            None => answer("200 OK", "ETag: \"v2\"\r\n", "abcdefghij"),
        })
        .await;
        let resume = resume(4, "\"v1\"", Some(10));
        let mut fetched = fetcher().get(&origin.url("/"), Some(&resume)).await.unwrap();
        assert_eq!((fetched.from, fetched.total), (0, Some(10)));
        assert_eq!(fetched.validator.as_ref().unwrap().as_str(), "\"v2\"");
        assert_eq!(drain(&mut fetched).await.unwrap(), b"abcdefghij");
        let asked = origin.requests();
        assert_eq!(asked.len(), requests);
        assert!(requests == 1 || !asked[1].contains("range"));
    }
}

#[tokio::test]
async fn a_part_is_not_the_rest() {
    let head = |length: usize, range: &str| {
        send(format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\nContent-Range: bytes {range}\r\n\r\n"
        ))
    };
    let open = send("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/10\r\n\r\n");
    for (steps, cause) in [
        // Its own range ends before the whole does.
        (vec![head(2, "4-5/10"), send("45")], "4 bytes before its end"),
        // What is declared is not what is declared.
        (vec![head(2, "4-9/10"), send("45")], "4 bytes before its end"),
        (vec![head(7, "4-9/10"), send("4567890")], "longer than its range"),
        (vec![open.clone(), send("4567890")], "longer than its range"),
        (vec![open.clone(), send("45")], "4 bytes before its end"),
        (vec![head(6, "4-9/10"), send("45")], ""),
        (vec![head(6, "4-9/10"), send("45"), Step::Reset], ""),
    ] {
        let origin = Origin::saying(steps).await;
        match fetcher().get(&origin.url("/"), Some(&resume(4, "\"v1\"", Some(10)))).await {
            Ok(mut fetched) => {
                assert_eq!(fetched.from, 4);
                assert_interrupted(&drain(&mut fetched).await.unwrap_err(), cause);
            }
            // A reset may overtake the head.
            Err(error) => assert_not_accessible(&error, true, cause),
        }
    }
}

#[tokio::test]
async fn errors_are_errors() {
    for (status, retriable) in
        [("404 Not Found", false), ("412 Precondition Failed", false), ("503 Busy", true)]
    {
        let origin = Origin::saying(answer(status, "", "")).await;
        let error = fetcher().get(&origin.url("/"), Some(&resume(4, "\"v1\"", None))).await.unwrap_err();
        assert_not_accessible(&error, retriable, &status[..3]);
        assert_eq!(origin.requests().len(), 1);
    }
}

/// A body that breaks off after each tenth of it, fetched to its end: each byte comes once.
#[tokio::test]
async fn many_times_over() {
    const PIECE: usize = 50_000;
    let whole: Vec<u8> = (0..10 * PIECE).map(|n| (n * n / 251) as u8).collect();
    let total = whole.len();
    let served = whole.clone();
    let origin = Origin::start(move |head| {
        let from = range(head).unwrap_or(0);
        let piece = served[from..].iter().take(PIECE).copied().collect::<Vec<_>>();
        let (status, range) = match from {
            0 => ("200 OK", String::new()),
            _ => ("206 Partial Content", format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1)),
        };
        let left = total - from;
        let head = format!("HTTP/1.1 {status}\r\nETag: \"v1\"\r\nContent-Length: {left}\r\n{range}\r\n");
        vec![send(head), send(piece)]
    })
    .await;
    let (mut body, mut validator) = (Vec::new(), None);
    let interruptions = AtomicUsize::new(0);
    loop {
        let resume = validator.take().map(|validator| reelhouse_fetch::Resume {
            from: body.len() as u64,
            validator,
            total: Some(total as u64),
        });
        let mut fetched = fetcher().get(&origin.url("/"), resume.as_ref()).await.unwrap();
        assert_eq!((fetched.from, fetched.total), (body.len() as u64, Some(total as u64)));
        validator = fetched.validator.clone();
        let end = loop {
            match fetched.chunk().await {
                Ok(Some(chunk)) => body.extend(chunk),
                other => break other,
            }
        };
        match end {
            Ok(_) => break,
            Err(error) => assert_interrupted(&error, ""),
        }
        interruptions.fetch_add(1, Ordering::Relaxed);
    }
    assert!(body == whole);
    assert_eq!(interruptions.into_inner(), 9);
}
