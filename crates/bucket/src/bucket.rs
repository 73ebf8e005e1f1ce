use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Response, redirect, retry};
use tokio::time::{Instant, sleep, timeout};

use crate::{Error, Location, Payload, Result, answers, answers::Refusal, sign::Signs};

/// RFC 3986's unreserved characters stand as they are, in paths and queries.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const CONNECT: Duration = Duration::from_secs(3);
/// Longest time without a byte of an answer.
const IDLE: Duration = Duration::from_secs(20);
/// Longest time until an answer begins, beside what sending takes: what waits on a connection that leads nowhere is then asked
/// on another.
const ANSWER: Duration = Duration::from_secs(6);
/// The same, where the store has work to do.
const LONG_ANSWER: Duration = Duration::from_secs(20);
/// The same, where it copies.
const COPIED: Duration = Duration::from_secs(10 * 60);
/// How long a request is tried that somebody's upload waits for.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);
/// How long one is tried whose caller is told that the store is away.
pub(crate) const BRIEF: Duration = Duration::from_secs(3);
/// How long it has to say that it is there.
const PING: Duration = Duration::from_millis(1500);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What a connection carries at least, in bytes a second: sending takes as long as that allows, and [`ANSWER`].
const SLOWEST: u64 = 100_000;
/// Of the lifetime that a URL is to have.
const SHORTER: [u32; 3] = [2, 4, 12];
/// The most of a refusal that is read.
const MAX_REFUSAL: usize = 64 * 1024;

/// A bucket, or the part of one below a prefix: keys here are without it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bucket {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    location: Location,
    client: Client,
    signs: Signs,
}

/// A request, as often as it is sent.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// Below the prefix; `None` asks the bucket itself.
    pub(crate) key: Option<&'a str>,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
    pub(crate) patience: Duration,
    pub(crate) answer: Duration,
}

impl<'a> Ask<'a> {
    pub(crate) fn of(method: Method, key: &'a str) -> Self {
        Self {
            method,
            key: Some(key),
            query: Vec::new(),
            headers: HeaderMap::new(),
            payload: Payload::empty(),
            patience: PATIENT,
            answer: ANSWER,
        }
    }

    pub(crate) fn of_bucket(method: Method) -> Self {
        Self { key: None, ..Self::of(method, "") }
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(crate) fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    pub(crate) fn slow(mut self) -> Self {
        self.answer = LONG_ANSWER;
        self
    }

    pub(crate) fn copies(mut self) -> Self {
        self.answer = COPIED;
        self
    }

    pub(crate) fn brief(mut self) -> Self {
        self.patience = BRIEF;
        self
    }
}

impl Bucket {
    /// A client of the bucket; asks it nothing yet.
    ///
    /// # Errors
    /// [`Error::Setup`] of the libraries.
    #[expect(clippy::disallowed_methods, reason = "this is the crate that talks to the store")]
    pub fn new(location: Location) -> Result<Self> {
        let setup = |error: &dyn std::error::Error| Error::Setup(error.to_string());
        let client = Client::builder()
            .tls_backend_preconfigured(reelhouse_tls::config().map_err(|error| setup(&error))?)
            .connect_timeout(CONNECT)
            .read_timeout(IDLE)
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .build()
            .map_err(|error| setup(&error))?;
        let signs = Signs::new(client.clone(), &location.region);
        Ok(Self { shared: Arc::new(Shared { location, client, signs }) })
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.shared.location
    }

    /// Whether it answers, and lets us look at it; at once.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        let ask = Ask::of_bucket(Method::GET)
            .query("list-type", 2)
            .query("max-keys", 1)
            .query("prefix", format!("{}-", self.shared.location.prefix));
        match timeout(PING, self.once(&ask)).await {
            Ok(answer) => answer.map(drop),
            Err(_) => Err(Error::Away(format!("no answer within {} ms", PING.as_millis()))),
        }
    }

    /// What keys begin with in the bucket itself.
    pub(crate) fn prefix(&self) -> &str {
        &self.shared.location.prefix
    }

    /// Asks until there is an answer, or patience ends.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<Response> {
        let until = Instant::now() + ask.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.once(&ask).await {
                Err(error) if error.is_away() && Instant::now() + pause < until => error,
                answered => return answered,
            };
            tracing::debug!(%error, key = ask.key, "asking the store again");
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Like [`Bucket::ask`], and reads all of the answer.
    pub(crate) async fn ask_for_all(&self, ask: Ask<'_>) -> Result<Vec<u8>> {
        let answer = self.ask(ask).await?;
        Ok(answer.bytes().await.map_err(away)?.into())
    }

    async fn once(&self, ask: &Ask<'_>) -> Result<Response> {
        let mut parts = self.head(ask)?;
        parts.headers = ask.headers.clone();
        self.shared.signs.sign(&mut parts, None).await?;
        if [Method::PUT, Method::POST].contains(&parts.method) {
            // Not signed: who passes requests on may write it otherwise.
            parts.headers.insert(header::CONTENT_LENGTH, ask.payload.size().into());
        }
        let request = self
            .shared
            .client
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .body(ask.payload.body());
        let most = ask.answer + Duration::from_secs(ask.payload.size() / SLOWEST);
        let answer = match timeout(most, request.send()).await {
            Ok(answer) => answer.map_err(away)?,
            Err(_) => return Err(Error::Away(format!("no answer within {} s", most.as_secs()))),
        };
        if answer.status().is_success() { Ok(answer) } else { Err(refusal(answer).await) }
    }

    /// A URL that is its own key, for so long, or for less where the credentials of a machine end before: then another one is
    /// to be asked for.
    pub(crate) async fn url(&self, ask: Ask<'_>, lifetime: Duration) -> Result<String> {
        let mut parts = self.head(&ask)?;
        let mut signed = self.shared.signs.sign(&mut parts, Some(lifetime)).await;
        for part in SHORTER {
            if signed.is_err() {
                signed = self.shared.signs.sign(&mut parts, Some(lifetime / part)).await;
            }
        }
        signed?;
        Ok(parts.uri.to_string())
    }

    /// A key with its prefix, as paths write it.
    pub(crate) fn encoded(&self, key: &str) -> String {
        let mut path = String::new();
        for segment in self.prefix().split_inclusive('/').chain(key.split_inclusive('/')) {
            let (name, slash) = segment.strip_suffix('/').map_or((segment, ""), |name| (name, "/"));
            path.extend(utf8_percent_encode(name, UNRESERVED));
            path.push_str(slash);
        }
        path
    }

    fn head(&self, ask: &Ask<'_>) -> Result<http::request::Parts> {
        let Location { scheme, authority, root, .. } = &self.shared.location;
        let mut path = root.clone();
        path.push('/');
        if let Some(key) = ask.key {
            path.push_str(&self.encoded(key));
        }
        for (n, (name, value)) in ask.query.iter().enumerate() {
            path.push(if n == 0 { '?' } else { '&' });
            path.push_str(name);
            path.push('=');
            path.extend(utf8_percent_encode(value, UNRESERVED));
        }
        let uri = Uri::builder().scheme(scheme.clone()).authority(authority.clone()).path_and_query(path);
        let uri = uri.build().map_err(|error| Error::Setup(error.to_string()))?;
        let request = http::Request::builder().method(ask.method.clone()).uri(uri).body(());
        Ok(request.map_err(|error| Error::Setup(error.to_string()))?.into_parts().0)
    }
}

/// Without the URL, which may hold a signature.
pub(crate) fn away(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let cause = std::iter::successors(std::error::Error::source(&error), |error| error.source()).last();
    Error::Away(cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")))
}

async fn refusal(answer: Response) -> Error {
    let status = answer.status();
    let text = read_some(answer).await;
    let Refusal { code, message } = answers::read(&text).unwrap_or_default();
    let passes = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    if passes {
        Error::Away(format!("{} {code} {message}", status.as_u16()))
    } else {
        Error::Refused { status: status.as_u16(), code, message }
    }
}

async fn read_some(mut answer: Response) -> Vec<u8> {
    let mut text = Vec::new();
    while let Ok(Some(bytes)) = answer.chunk().await {
        text.extend_from_slice(&bytes);
        if text.len() > MAX_REFUSAL {
            break;
        }
    }
    text
}
