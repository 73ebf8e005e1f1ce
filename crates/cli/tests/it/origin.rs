//! Other people's web servers, on loopback: they may lie.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
};

/// A server of one file, which misbehaves as the path says: `/how/name`.
#[derive(Clone)]
pub(crate) struct Origin {
    pub address: SocketAddr,
    file: Arc<Vec<u8>>,
    /// Every request's head.
    pub heads: Arc<Mutex<Vec<String>>>,
    /// Bytes of bodies that were sent.
    pub sent: Arc<AtomicU64>,
}

impl Origin {
    pub(crate) async fn of(file: Vec<u8>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // So that what is counted as sent nearly is.
        socket.set_send_buffer_size(256 << 10).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(64).unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap(),
            file: Arc::new(file),
            heads: Arc::default(),
            sent: Arc::default(),
        };
        let serving = origin.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let origin = serving.clone();
                // A client that hangs up is no concern of ours.
                tokio::spawn(async move { origin.answer(stream).await.ok() });
            }
        });
        origin
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> usize {
        self.heads.lock().unwrap().len()
    }

    async fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while stream.read_line(&mut head).await? > 2 {}
        let mut stream = stream.into_inner();
        self.heads.lock().unwrap().push(head.clone());
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        let how = path.split('/').nth(1).unwrap_or_default().to_owned();
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
            line.map(|line| line.split_once(':').unwrap().1.trim().to_owned())
        };
        let file = &self.file;
        let (len, half) = (file.len(), file.len() / 2);
        let range = header("range")
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let version = self.requests();
        let etag = if how == "changing" { format!("\"{version}\"") } else { "\"one\"".to_owned() };
        let same = header("if-range").is_none_or(|given| given == etag);
        let ranged = !["deaf", "broken-deaf", "unnamed"].contains(&how.as_str());
        let from = range.filter(|from| ranged && same && *from < len).unwrap_or(0);
        let ok = |extra: &str| format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{extra}\r\n");
        let whole = if from > 0 {
            format!(
                "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nETag: {etag}\r\nContent-Range: bytes {from}-{}/{len}\r\nContent-Length: {}\r\n\r\n",
                len - 1,
                len - from
            )
        } else if how == "unnamed" {
            ok(&format!("Content-Length: {len}\r\n"))
        } else {
            ok(&format!("ETag: {etag}\r\nContent-Length: {len}\r\n"))
        };
        match how.as_str() {
            "named" => {
                let name = "Content-Disposition: attachment; filename=\"x.mp4\"; filename*=UTF-8''%F0%9F%8E%AC%20n%C3%A4me.mp4\r\n";
                self.send(&mut stream, &ok(&format!("{name}Content-Length: {len}\r\n")), file).await
            }
            "status" => {
                let status = path.split('/').nth(2).unwrap();
                self.send(
                    &mut stream,
                    &format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"),
                    b"no",
                )
                .await
            }
            "to" => {
                let target = path.split_once("?").unwrap().1;
                self.send(&mut stream, &format!("HTTP/1.1 302 X\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), b"").await
            }
            "text" => {
                let text = path
                    .split_once("?")
                    .unwrap()
                    .1
                    .replace("%0A", "\n")
                    .replace("%23", "#")
                    .replace("%3C", "<")
                    .replace("%3E", ">");
                self.send(&mut stream, &ok(&format!("Content-Length: {}\r\n", text.len())), text.as_bytes())
                    .await
            }
            "live" => {
                let text = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\na.ts\n";
                self.send(&mut stream, &ok(""), text.as_bytes()).await
            }
            "lengthless" => self.send(&mut stream, &ok(""), file).await,
            "chunked" => {
                stream.write_all(ok("Transfer-Encoding: chunked\r\n").as_bytes()).await?;
                for chunk in file.chunks(100_000) {
                    stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
                    stream.write_all(chunk).await?;
                    stream.write_all(b"\r\n").await?;
                }
                stream.write_all(b"0\r\n\r\n").await
            }
            // Never whole, whatever is asked.
            "truncated" => {
                self.send(&mut stream, &ok(&format!("Content-Length: {len}\r\n")), &file[..half]).await
            }
            "stalled" => {
                self.write(&mut stream, &ok(&format!("Content-Length: {len}\r\n")), &file[..half]).await?;
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok(())
            }
            "silent" => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok(())
            }
            "endless" => {
                stream.write_all(ok("").as_bytes()).await?;
                stream.write_all(file).await?;
                loop {
                    stream.write_all(&[0; 65536]).await?;
                    self.sent.fetch_add(65536, Ordering::SeqCst);
                }
            }
            "huge" => {
                self.send(&mut stream, &ok(&format!("Content-Length: {}\r\n", 5_u64 << 30)), file).await
            }
            "slow" => {
                stream.write_all(whole.as_bytes()).await?;
                for chunk in file[from..].chunks(len.div_ceil(40)) {
                    stream.write_all(chunk).await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Ok(())
            }
            // The first answers break off in the middle; later ones go on.
            "broken" | "broken-deaf" if version <= 2 => {
                let until = (from + len / 3).min(len);
                self.send(&mut stream, &whole, &file[from..until]).await
            }
            "reset" if version <= 2 => {
                self.write(&mut stream, &whole, &file[from..(from + len / 3).min(len)]).await?;
                // Data unread on our side makes the system reset the connection.
                stream.set_zero_linger()?;
                Ok(())
            }
            _ => self.send(&mut stream, &whole, &file[from..]).await,
        }
    }

    async fn send(&self, stream: &mut TcpStream, head: &str, body: &[u8]) -> std::io::Result<()> {
        self.write(stream, head, body).await?;
        stream.shutdown().await
    }

    async fn write(&self, stream: &mut TcpStream, head: &str, body: &[u8]) -> std::io::Result<()> {
        stream.write_all(head.as_bytes()).await?;
        for chunk in body.chunks(65536) {
            stream.write_all(chunk).await?;
            self.sent.fetch_add(chunk.len() as u64, Ordering::SeqCst);
        }
        Ok(())
    }
}
