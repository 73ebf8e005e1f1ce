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
