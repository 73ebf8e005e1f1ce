//! Requests that nobody's client makes.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use bytes::Bytes;
use futures_util::stream;
use reqwest::{Body, Response};

use crate::{
    chunks::Session,
    harness::{KEY, TestServer, client, direct, expect, expect_error, read_all, reelhouse},
    hostile_media::peak,
    media,
};

async fn post(server: &TestServer, body: impl Into<Body>) -> Response {
    client()
        .post(format!("{}/v1.3/assets", server.url))
        .header("x-api-key", KEY)
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body)
        .send()
        .await
        .unwrap()
}

fn part(name: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

/// The same bytes again and again.
fn repeated(first: String, again: Vec<u8>, times: usize, last: &'static str) -> Body {
    let again = Bytes::from(again);
    let parts = std::iter::once(Bytes::from(first))
        .chain(std::iter::repeat_n(again, times))
        .chain([Bytes::from(last)]);
    Body::wrap_stream(stream::iter(parts.map(Ok::<_, std::io::Error>)))
}

#[tokio::test]
async fn forms_without_end() {
    let server = TestServer::start();
    let fields = part("a", "b").repeat(1000).into_bytes();
    let head = "--b\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\n";
    let header = "--b\r\nContent-Disposition: form-data; name=\"method\"\r\nX: ";
    for (what, body) in [
        ("a million fields", repeated(part("method", "direct"), fields, 1000, "--b--\r\n")),
        ("a text of 100 MB", repeated(head.to_owned(), vec![b'x'; 1 << 20], 100, "\r\n--b--\r\n")),
        ("a header of 100 MB", repeated(header.to_owned(), vec![b'x'; 1 << 20], 100, "\r\n\r\n--b--\r\n")),
        ("100 MB before the form", repeated(String::new(), vec![b'x'; 1 << 20], 100, "--b--\r\n")),
        ("100 MB behind the form", repeated("--b--\r\n".to_owned(), vec![b'x'; 1 << 20], 100, "")),
        ("a boundary that never comes", repeated(head.to_owned(), b"\r\n--\r\n--a".repeat(100_000), 10, "")),
    ] {
        let message = expect_error(400, "invalid_multipart", post(&server, body).await).await;
        assert_eq!(
            message, "Invalid multipart form. Please check your implementation and try again.",
            "{what}"
        );
    }
    // A form in a form is a text.
    let nested = "--b\r\nContent-Disposition: form-data; name=\"method\"\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n\
                  --c\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--c--\r\n\r\n--b--\r\n";
    let message = expect_error(400, "parameter_invalid", post(&server, nested).await).await;
    assert!(message.contains("'oneof'"), "{message}");
    // A boundary ends its part whatever follows it (RFC 2046, 5.1.1), and what follows here is no line's end.
    let longer = [&part("method", "direct\r\n--bb\r\n"), "--b--\r\n"].concat();
    expect_error(400, "invalid_multipart", post(&server, longer).await).await;
    let as_header = "--bb: c\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\ndirect\r\n--b--\r\n";
    expect_error(400, "invalid_multipart", post(&server, as_header).await).await;
    // Less than one of them, kept.
    assert!(peak(&server) < 120, "{} MiB", peak(&server));
    assert_eq!((server.total().await, server.originals()), (0, 0));
    server.assert_healthy();
}

/// What the server says to these bytes; it closes behind it.
async fn says(server: &TestServer, request: Vec<u8>) -> String {
    let address = server.address().to_owned();
    let talk = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut writes = stream.try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            let _ = writes.write_all(&request);
        });
        let answer = read_all(&mut stream);
        writer.join().unwrap();
        answer
    };
    tokio::task::spawn_blocking(talk).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_without_end() {
    let server = TestServer::start();
    let head = |more: &str| {
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{more}Connection: close\r\n\r\n").into_bytes()
    };
    for (what, request, status) in [
        ("one header of 10 MB", head(&format!("X: {}\r\n", "x".repeat(10 << 20))), "431"),
        ("100 000 headers", head(&"X: y\r\n".repeat(100_000)), "431"),
        ("a path of 1 MB", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1 << 20)).into_bytes(), "431"),
        ("a header without end", [&b"GET / HTTP/1.1\r\nX: "[..], &vec![b'x'; 1 << 20]].concat(), "431"),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(100), "400"),
        ("two lengths", head("Content-Length: 1\r\nContent-Length: 2\r\n"), "400"),
        ("a length that is none", head("Content-Length: -1\r\n"), "400"),
        ("a length and chunks", b"POST /v1.3/assets HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec(), "4"),
        ("chunks of what size", b"POST /v1.3/assets HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n".to_vec(), "4"),
    ] {
        let answer = says(&server, request).await;
        // A reset may overtake the answer when we had not read all.
        assert!(answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer}");
        assert!(!answer.contains("HTTP/1.1 2"), "{what}: {answer}");
    }
    assert!(peak(&server) < 200, "{} MiB", peak(&server));
    assert_eq!(client().get(format!("{}/healthz", server.url)).send().await.unwrap().status(), 200);
}

/// Ids that are paths, queries or nothing: unknown, and never an error of ours.
#[tokio::test]
async fn tricks_in_every_id() {
    let server = TestServer::start();
    std::fs::write(server.dir.path().join("secret"), "precious").unwrap();
    let tricks = [
        "..",
        "%2e%2e",
        "..%2f..%2f..%2fetc%2fpasswd",
        "..%5c..%5c",
        "%00",
        "%0d%0aX:y",
        "%ff",
        "%c0%ae%c0%ae%2fsecret",
        ".%2fsecret",
        "'%20OR%201=1--",
        "%25",
        "*",
        "-1",
        "0",
        "18446744073709551616",
        "%F0%9F%8E%AC",
        "%E2%80%AE",
        "null",
        "000000000000000000000000",
        "FFFFFFFFFFFFFFFFFFFFFFFF",
        "ffffffffffffffffffffffff ",
        "%7B%7D",
    ];
    let templates = [
        ("GET", "/v1.3/assets/{}"),
        ("DELETE", "/v1.3/assets/{}"),
        ("GET", "/v1.3/assets/{}/content"),
        ("PATCH", "/v1.3/assets/{}/user-metadata"),
        ("GET", "/v1.3/assets/{}/indexed-assets"),
        ("GET", "/v1.3/assets/{}/transcription"),
        ("GET", "/v1.3/assets/multipart-uploads/{}"),
        ("POST", "/v1.3/assets/multipart-uploads/{}"),
        ("POST", "/v1.3/assets/multipart-uploads/{}/presigned-urls"),
        ("GET", "/v1.3/indexes/{}"),
        ("PUT", "/v1.3/indexes/{}"),
        ("DELETE", "/v1.3/indexes/{}"),
        ("GET", "/v1.3/indexes/{}/indexed-assets"),
        ("GET", "/v1.3/indexes/{}/indexed-assets/{}"),
        ("DELETE", "/v1.3/indexes/{}/indexed-assets/{}"),
        ("PUT", "/uploads/{}/1/0-00"),
        ("PUT", "/uploads/000000000000000000000000/{}/0-00"),
        ("PUT", "/uploads/000000000000000000000000/1/{}"),
        ("GET", "/media/{}/000000000000000000000000/0-00/a"),
        ("GET", "/media/original/{}/0-00/a"),
        ("GET", "/media/original/000000000000000000000000/{}/a"),
        ("GET", "/media/original/000000000000000000000000/0-00/{}"),
        ("GET", "/static/{}"),
        ("GET", "/docs/{}"),
    ];
    let mut requests = Vec::new();
    for (method, template) in templates {
        for trick in tricks {
            let path = template.replace("{}", trick);
            // By hand: a client would tidy the path.
            requests.push((format!("{method} {path}"), format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
            )));
        }
    }
    for (what, request) in requests {
        let answer = says(&server, request.into_bytes()).await;
        let status = answer.get(9..12).unwrap_or_default();
        assert!(["400", "403", "404", "405"].contains(&status), "{what}: {answer}");
        assert!(!answer.contains("precious") && !answer.contains("root:"), "{what}: {answer}");
    }
    std::fs::remove_file(server.dir.path().join("secret")).unwrap();
    server.assert_healthy();
}

/// Every bit of a signed URL counts.
#[tokio::test]
async fn signed_urls_altered_bit_by_bit() {
    let server = TestServer::start();
    let created = server.create(&media::png()).await;
    let path = format!("/v1.3/assets/{}", created["_id"].as_str().unwrap());
    let asset = expect(200, server.get(&path).send().await.unwrap()).await;
    let original = asset["original_url"].as_str().unwrap().to_owned();
    let chunk = Session::begin(&server, &media::mp3()).await.url(&server, 1).await;
    let client = client();
    let mut ours = vec![(original, "GET", "media_url_invalid")];
    // To a bucket, they are its own, and as well kept as it keeps them.
    if !server.blobs().are_in_bucket() {
        ours.push((chunk, "PUT", "upload_url_invalid"));
    }
    for (url, method, code) in ours {
        let token = url.split('/').find(|segment| segment.contains('-')).unwrap().to_owned();
        for at in 0..token.len() {
            for bit in 0..7 {
                let mut bytes = token.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let altered: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
                let url = url.replace(&token, &altered);
                let request = client.request(method.parse().unwrap(), &url).body("x");
                expect_error(403, code, request.send().await.unwrap()).await;
            }
        }
    }
    assert_eq!(server.staging(), 0);
}

/// An address that has its share is turned away; others are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_connections_leaves_room_for_others() {
    let server = TestServer::start_with(&[("REELHOUSE_CONNECTIONS_PER_ADDRESS", "20")]);
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let connect = |host: &str| TcpStream::connect(format!("{host}:{port}")).unwrap();
    let mut crowd: Vec<TcpStream> = (0..60).map(|_| connect("127.0.0.1")).collect();
    let turned_away = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        // Closed, or reset; a connection that is served has nothing to say yet.
        !matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    };
    crate::harness::eventually("forty are turned away", async || {
        crowd.iter().filter(|stream| turned_away(&mut stream.try_clone().unwrap())).count() == 40
    })
    .await;
    // From another address of this machine: rustix binds what the standard library cannot.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let other = socket.connect(format!("127.0.0.1:{port}").parse().unwrap()).await.unwrap();
    let mut other = other.into_std().unwrap();
    other.set_nonblocking(false).unwrap();
    other.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let answer = tokio::task::spawn_blocking(move || read_all(&mut other)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    crowd.clear();
}

/// Room in staging that one account holds and does not fill is not all there is: others upload, and everybody reads.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_holds_its_room_keeps_nobody_out() {
    let server = TestServer::start_with(&[("REELHOUSE_MAX_STAGED_BYTES", "4194304")]);
    let made = reelhouse(server.dir.path()).args(["keys", "create", "--account", "other"]).output().unwrap();
    let other = String::from_utf8(made.stdout).unwrap();
    let begun = format!(
        "POST /v1.3/assets HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\nContent-Length: 1048576\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx"
    );
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(begun.as_bytes()).unwrap();
        held.push(stream);
    }
    // All of its share is held once an upload of its own waits.
    let own =
        || tokio::time::timeout(std::time::Duration::from_secs(1), server.post(direct(&media::png())).send());
    while own().await.is_ok() {}
    let theirs = client().post(format!("{}/v1.3/assets", server.url)).header("x-api-key", other.trim());
    expect(201, theirs.multipart(direct(&media::png())).send().await.unwrap()).await;
    server.total().await;
    drop(held);
    server.create(&media::png()).await;
    crate::harness::eventually("staging is empty", async || server.staging() == 0).await;
    server.assert_healthy();
}
