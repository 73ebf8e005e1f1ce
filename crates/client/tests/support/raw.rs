//! A server that says exactly these bytes, and breaks where it is told to.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

pub(crate) enum Step {
    Send(Vec<u8>),
    /// After a little while.
    Drip(Vec<u8>),
    /// Instead of a close in good order. What the other side has not read is lost.
    Reset,
}

pub(crate) struct Raw {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
    started: Instant,
    ended: Arc<Mutex<Option<Instant>>>,
}

impl Raw {
    /// One connection after the other; each takes one request without a body, does its steps, and closes.
    pub(crate) async fn start(connections: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, ended) = (Arc::default(), Arc::default());
        let raw =
            Self { url, requests: Arc::clone(&requests), started: Instant::now(), ended: Arc::clone(&ended) };
        tokio::spawn(async move {
            for steps in connections {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                requests.lock().unwrap().push(String::from_utf8(head).unwrap().to_lowercase());
                for step in steps {
                    match step {
                        Step::Send(bytes) => stream.write_all(&bytes).await.unwrap(),
                        Step::Drip(bytes) => {
                            tokio::time::sleep(Duration::from_millis(100)).await;
                            stream.write_all(&bytes).await.unwrap();
                        }
                        Step::Reset => stream.set_zero_linger().unwrap(),
                    }
                }
                *ended.lock().unwrap() = Some(Instant::now());
            }
        });
        raw
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// How long the last answer took.
    pub(crate) fn dripped(&self) -> Duration {
        self.ended.lock().unwrap().map_or(Duration::ZERO, |ended| ended - self.started)
    }
}
