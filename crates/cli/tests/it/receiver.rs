//! Receivers of webhooks, on loopback: they verify what they are told, and misbehave as they are asked to.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// One request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Told {
    pub(crate) fn id(&self) -> &str {
        self.headers.get("webhook-id").map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn event(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    /// The asset's id.
    pub(crate) fn asset(&self) -> String {
        self.json()["data"]["_id"].as_str().unwrap().to_owned()
    }

    /// Standard Webhooks, from its text: an HMAC (RFC 2104) over id, time and body.
    #[expect(clippy::disallowed_methods, reason = "the server's clock is the system's")]
    pub(crate) fn verify(&self, secret: &str) {
        let mut key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        assert!(key.len() >= 24, "the standard wants 24 to 64 bytes");
        key.resize(64, 0);
        let padded = |with: u8| key.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
        let time = &self.headers["webhook-timestamp"];
        let signed = [format!("{}.{time}.", self.id()).as_bytes(), &self.body[..]].concat();
        let inner = Sha256::digest([padded(0x36), signed].concat());
        let outer = Sha256::digest([padded(0x5c), inner.to_vec()].concat());
        assert_eq!(self.headers["webhook-signature"], format!("v1,{}", BASE64_STANDARD.encode(outer)));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(time.parse().unwrap()) < 60, "{time}");
        assert_eq!(self.headers["content-type"], "application/json");
    }
}

/// What a receiver does once it has read a request.
#[derive(Debug, Clone)]
pub(crate) enum How {
    Status(u16),
    RedirectTo(String),
    /// Says nothing.
    Hang,
    /// Closes without a word.
    Reset,
    /// Says 200 and resets before the body's end.
    OkThenReset,
    /// Says 200 and never stops.
    OkForEver,
    /// Says 200 after a while.
    OkAfter(Duration),
}

pub(crate) struct Receiver {
    pub address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// One that says 200 to all.
    pub(crate) async fn start() -> Self {
        Self::with(|_, _| How::Status(200)).await
    }

    /// `how` is told the request, and how often this message came before.
    pub(crate) async fn with(how: impl Fn(&Told, usize) -> How + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), how).await
    }

    pub(crate) async fn at(
        address: SocketAddr,
        how: impl Fn(&Told, usize) -> How + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, how): (Arc<Mutex<Vec<Told>>>, _) = (Arc::default(), Arc::new(how));
        let seen = Arc::clone(&told);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, how) = (Arc::clone(&seen), Arc::clone(&how));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    // Whoever hangs up before all is said has told nothing.
                    let Ok(request) = read(&mut stream).await else { return };
                    let how = {
                        let mut seen = seen.lock().unwrap();
                        let before = seen.iter().filter(|told| told.id() == request.id()).count();
                        seen.push(request.clone());
                        how(&request, before)
                    };
                    answer(stream.into_inner(), how).await.ok();
                });
            }
        });
        Self { address, told, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Told> {
    let mut head = String::new();
    while stream.read_line(&mut head).await? > 2 {}
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let path =
        first.strip_prefix("POST ").unwrap_or_default().split(' ').next().unwrap_or_default().to_owned();
    let header =
        |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.ok_or(std::io::ErrorKind::InvalidData)?];
    stream.read_exact(&mut body).await?;
    Ok(Told { path, headers, body })
}

async fn answer(mut stream: TcpStream, how: How) -> std::io::Result<()> {
    match how {
        How::Status(status) => {
            let says = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
            stream.write_all(says.as_bytes()).await?;
            stream.shutdown().await
        }
        How::RedirectTo(target) => {
            let says = format!(
                "HTTP/1.1 307 X\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(says.as_bytes()).await?;
            stream.shutdown().await
        }
        How::Hang => {
            // Until the other side has had enough.
            stream.read_u8().await.map(drop)
        }
        How::Reset => stream.set_zero_linger(),
        How::OkThenReset => {
            stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\nbut").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.set_zero_linger()
        }
        How::OkForEver => {
            stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 1000000000000\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 65536]).await?;
            }
        }
        How::OkAfter(pause) => {
            tokio::time::sleep(pause).await;
            stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
            stream.shutdown().await
        }
    }
}
