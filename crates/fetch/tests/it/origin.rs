//! An origin that answers as it is told, and what tests ask of a fetcher.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use reelhouse_fetch::{Allow, Config, Error, Fetched, Fetcher, PublicUrl, Resolve, Resolving, Resume};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What an origin does after it read a request's head. After the last step it closes.
#[derive(Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// This again and again, with a pause, until the client is gone.
    Repeat(Vec<u8>, Duration),
    /// Nothing more, until the client is gone.
    Hold,
    Reset,
}

pub(crate) fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(bytes.as_ref().to_vec())
}

/// A whole answer with a length.
pub(crate) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    vec![send(head), send(body)]
}

pub(crate) struct Origin {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Origin {
    pub(crate) async fn start(answer: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), answer).await.unwrap()
    }

    /// One that answers everything alike.
    pub(crate) async fn saying(steps: Vec<Step>) -> Self {
        Self::start(move |_| steps.clone()).await
    }

    pub(crate) async fn at(
        address: SocketAddr,
        answer: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, answer) = (seen.clone(), answer.clone());
                // A connection counts, whether or not a request comes.
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(String::new());
                    seen.len() - 1
                };
                tokio::spawn(async move {
                    let head = read_head(&mut stream).await?;
                    seen.lock().unwrap()[number] = head.clone();
                    play(stream, answer(&head)).await
                });
            }
        });
        Ok(Self { address, requests, task })
    }

    pub(crate) fn url(&self, path: &str) -> PublicUrl {
        url(&format!("http://{}{path}", self.address))
    }

    /// The heads of all requests, in lower case; empty for a connection without one.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).to_lowercase())
}

async fn play(mut stream: TcpStream, steps: Vec<Step>) -> io::Result<()> {
    for step in steps {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes).await?,
            Step::Repeat(bytes, pause) => loop {
                stream.write_all(&bytes).await?;
                tokio::time::sleep(pause).await;
            },
            Step::Hold => drop(stream.read(&mut [0]).await?),
            Step::Reset => return stream.set_zero_linger(),
        }
    }
    stream.shutdown().await
}

/// The same over any stream, for origins with TLS.
pub(crate) async fn serve_once(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    says: &[u8],
) -> io::Result<()> {
    read_head(&mut stream).await?;
    stream.write_all(says).await?;
    stream.shutdown().await
}

/// Two origins on the same port of 127.0.0.2 and 127.0.0.1. Tests allow the first and call it public.
pub(crate) async fn public_and_private(
    public: impl Fn(u16, &str) -> Vec<Step> + Clone + Send + Sync + 'static,
) -> (Origin, Origin) {
    loop {
        let private = Origin::saying(answer("200 OK", "", "a secret")).await;
        let port = private.address.port();
        let public = public.clone();
        let address = SocketAddr::new([127, 0, 0, 2].into(), port);
        // Else someone else has the port there.
        if let Ok(public) = Origin::at(address, move |head| public(port, head)).await {
            return (public, private);
        }
    }
}

pub(crate) fn url(text: &str) -> PublicUrl {
    PublicUrl::parse(text).unwrap()
}

/// Patient, and allowed what is listed.
pub(crate) fn config(allow: &str) -> Config {
    Config { allow: Allow::parse_list(allow).unwrap(), ..Config::default() }
}

/// Patient, and allowed on loopback.
pub(crate) fn fetcher() -> Fetcher {
    Fetcher::new(config("127.0.0.1")).unwrap()
}

/// So short that a test can wait for it.
const SHORT: Duration = Duration::from_millis(200);

pub(crate) fn impatient_for_heads() -> Fetcher {
    let config = Config { connect_timeout: SHORT, first_byte_timeout: SHORT, ..config("127.0.0.1") };
    Fetcher::new(config).unwrap()
}

pub(crate) fn impatient_for_bytes() -> Fetcher {
    Fetcher::new(Config { idle_timeout: SHORT, ..config("127.0.0.1") }).unwrap()
}

pub(crate) async fn drain(fetched: &mut Fetched) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = fetched.chunk().await? {
        assert!(!chunk.is_empty());
        body.extend(chunk);
    }
    Ok(body)
}

/// The whole body of a plain fetch.
pub(crate) async fn fetch(fetcher: &Fetcher, url: &PublicUrl) -> Result<Vec<u8>, Error> {
    drain(&mut fetcher.get(url, None).await?).await
}

pub(crate) fn resume(from: u64, validator: &str, total: Option<u64>) -> Resume {
    Resume { from, validator: validator.parse().unwrap(), total }
}

/// The whole of an error, as a log shows it.
pub(crate) fn logged(error: &Error) -> String {
    format!("{error}: {}", std::error::Error::source(error).unwrap())
}

#[track_caller]
pub(crate) fn assert_not_accessible(error: &Error, retriable: bool, cause: &str) {
    let logged = logged(error);
    assert!(matches!(error, Error::NotAccessible { .. }) && error.is_retriable() == retriable, "{logged}");
    assert!(logged.contains(cause), "{logged}");
}

#[track_caller]
pub(crate) fn assert_interrupted(error: &Error, cause: &str) {
    let logged = logged(error);
    assert!(matches!(error, Error::Interrupted { .. }) && error.is_retriable(), "{logged}");
    assert!(logged.contains(cause), "{logged}");
}

/// Answers each question with the next list, then that there is no such name.
pub(crate) struct Script(Mutex<VecDeque<Vec<IpAddr>>>);

impl Script {
    pub(crate) fn new(answers: &[&str]) -> Arc<Self> {
        let list = |text: &&str| text.split(' ').map(|address| address.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(list).collect())))
    }

    /// Lists that nobody asked for.
    pub(crate) fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Resolve for Script {
    fn resolve(&self, name: &str) -> Resolving {
        let answer = self.0.lock().unwrap().pop_front();
        let missing = io::Error::other(format!("no such name: {name}"));
        Box::pin(std::future::ready(answer.ok_or(missing)))
    }
}
