use std::{
    io::Write,
    net::{Shutdown, TcpStream},
};

use crate::{
    harness::{KEY, TestServer, eventually, files, read_all},
    media,
};

const BOUNDARY: &str = "a-boundary-of-the-tests";

/// A whole request as bytes, and where its body ends.
fn request(server: &TestServer) -> Vec<u8> {
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\ndirect\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp4\"\r\n\r\n"
    )
    .into_bytes();
    body.extend(std::fs::read(media::mp4()).unwrap());
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
    let head = format!(
        "POST /v1.3/assets HTTP/1.1\r\nHost: {}\r\nx-api-key: {KEY}\r\nContent-Length: {}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n",
        server.address(),
        body.len()
    );
    [head.into_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_before_the_end_leaves_nothing() {
    let server = TestServer::start();
    let request = request(&server);
    // Points spread over the request, the last ones inside the closing delimiter.
    let points = (1..20).map(|n| request.len() * n / 20).chain([request.len() - 20, request.len() - 1]);
    for point in points {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(&request[..point]).unwrap();
        drop(stream);
    }
    // Looked at before the next start, which would clear it.
    let dir = server.stop();
    assert_eq!(files(&dir.path().join("staging")), Vec::<std::path::PathBuf>::new());
    let server = TestServer::start_in(dir, &[]);
    assert_eq!((server.originals(), server.total().await), (0, 0));
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_close_before_the_end_leaves_nothing() {
    let server = TestServer::start();
    let request = request(&server);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(&request[..request.len() / 2]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = read_all(&mut stream);
    assert!(answer.is_empty() || answer.contains("invalid_multipart"), "{answer}");
    eventually("staging is empty", async || server.staging() == 0).await;
    assert_eq!((server.originals(), server.total().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_after_the_end_has_made_an_asset() {
    let server = TestServer::start();
    for n in 1..=5 {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(&request(&server)).unwrap();
        // The server has read it all once the probe's file is sealed; closing now loses only the answer.
        eventually("the file arrives", async || server.staging() > 0 || server.total().await == n).await;
        drop(stream);
        eventually("the asset is there", async || server.total().await == n).await;
    }
    server.assert_healthy();
}

/// Who has said all may close that side: the answer still comes.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_close_after_the_end_is_answered() {
    let server = TestServer::start();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(&request(&server)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = read_all(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

/// Who waits for our word to send is refused at once, and not asked for the body first.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_does_not_ask_for_the_body() {
    let server = TestServer::start();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head =
        "POST /v1.3/assets HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = read_all(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close"), "{answer}");
}

/// Byte by byte takes no more memory than batch by batch.
#[tokio::test(flavor = "multi_thread")]
async fn tiny_chunks_take_no_more_memory() {
    let server = TestServer::start();
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let head = format!(
        "POST /v1.3/assets HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    );
    let part = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    // What begins as a video is not refused before its end.
    let mut first = part.as_bytes().to_vec();
    first.extend(&std::fs::read(media::mp4()).unwrap()[..64 * 1024]);
    let tiny = "1\r\nx\r\n".repeat(500_000);
    let body = [format!("{head}{:x}\r\n", first.len()).as_bytes(), &first, b"\r\n", tiny.as_bytes()].concat();
    let before = peak();
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(&body).unwrap();
        streams.push(stream);
    }
    // A batch is on the disk: then it was all in memory, if it ever was.
    eventually("a batch of each has arrived", async || {
        let staged = files(&server.dir.path().join("staging"));
        staged.iter().map(|file| file.metadata().unwrap().len()).sum::<u64>() >= 2 * 512 * 1024
    })
    .await;
    let taken = (peak() - before) / 1024;
    assert!(taken < 2 * 8, "{taken} MiB for two uploads of half a megabyte");
}
