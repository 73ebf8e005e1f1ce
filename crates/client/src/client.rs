use std::{fmt, sync::Arc, time::Duration};

use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use crate::{Assets, Error, Indexes, Result, Uploads, request::Request, tls};

/// Where `reelhouse serve` listens when nobody says otherwise.
pub const DEFAULT_BASE_URL: &str = "http://127.0.0.1:8080/v1.3";
/// The variable of the API key, as in the official SDKs.
pub const API_KEY_VARIABLE: &str = "TWELVE_LABS_API_KEY";
/// The variable of the base URL, as in the official SDKs. It includes the version: `/v1.3`.
pub const BASE_URL_VARIABLE: &str = "TWELVELABS_BASE_URL";

/// No attempt of a call waits longer without a byte moving.
const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES: u32 = 2;
const USER_AGENT: &str = concat!("reelhouse-client/", env!("CARGO_PKG_VERSION"));

/// Speaks to one server with one API key. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    base_url: Url,
    api_key: HeaderValue,
    timeout: Duration,
    retries: u32,
    headers: HeaderMap,
}

/// Sets up a [`Client`].
#[derive(Default)]
pub struct ClientBuilder {
    api_key: Option<String>,
    base_url: Option<String>,
    timeout: Option<Duration>,
    retries: Option<u32>,
    headers: Vec<(String, String)>,
}

impl Client {
    /// Sets up a client; what is not said comes from the environment.
    ///
    /// ```
    /// let client = reelhouse_client::Client::builder()
    ///     .api_key("a-key-of-16-or-more-characters")
    ///     .base_url("http://127.0.0.1:8080/v1.3")
    ///     .build()?;
    /// # let _ = client;
    /// # Ok::<(), reelhouse_client::Error>(())
    /// ```
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A client with all its settings from the environment: `TWELVE_LABS_API_KEY` and `TWELVELABS_BASE_URL`.
    ///
    /// ```
    /// match reelhouse_client::Client::from_env() {
    ///     Ok(client) => println!("{client:?}"),
    ///     Err(error) => println!("{error}"),
    /// }
    /// ```
    pub fn from_env() -> Result<Self> {
        Self::builder().build()
    }

    /// Assets: create, list, retrieve, download, delete.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let asset = client.assets().retrieve("6730aaaaaaaaaaaaaaaaaaaa").await?;
    /// println!("{} is {}", asset.filename, asset.status);
    /// # Ok(()) });
    /// ```
    pub fn assets(&self) -> Assets {
        Assets { client: self.clone() }
    }

    /// Uploads in chunks, call by call. [`Assets::upload`] makes all these calls as one.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// for upload in client.uploads().list().await?.data {
    ///     println!("{}: {} chunks, {}", upload.upload_id, upload.total_chunks, upload.status);
    /// }
    /// # Ok(()) });
    /// ```
    pub fn uploads(&self) -> Uploads {
        Uploads { client: self.clone() }
    }

    /// Indexes and the assets in them.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let index = client.indexes().create("films", "marengo3.0", ["visual", "audio"]).await?;
    /// println!("{}", index.id);
    /// # Ok(()) });
    /// ```
    pub fn indexes(&self) -> Indexes {
        Indexes { client: self.clone() }
    }

    /// What every path is appended to.
    ///
    /// ```
    /// # let client = reelhouse_client::Client::builder().api_key("k").base_url("http://h:1/v1.3/").build()?;
    /// assert_eq!(client.base_url(), "http://h:1/v1.3");
    /// # Ok::<(), reelhouse_client::Error>(())
    /// ```
    pub fn base_url(&self) -> &str {
        self.inner.base_url.as_str().trim_end_matches('/')
    }

    /// A request to a path below the base URL, in segments.
    pub(crate) fn request(&self, method: Method, segments: &[&str]) -> Request {
        let mut url = self.inner.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        let request = Request::new(self.http().clone(), method, url, self.inner.timeout, self.inner.retries);
        let request = request.with_headers(&self.inner.headers).with_header("x-api-key", &self.inner.api_key);
        // `Url` drops such segments, and the path would be another's.
        match segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            true => request.refused("an id must not be empty"),
            false => request,
        }
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.inner.http
    }

    /// A request to a URL that was handed out, which is its own key.
    pub(crate) fn request_presigned(&self, method: Method, url: Url) -> Request {
        Request::new(self.http().clone(), method, url, self.inner.timeout, self.inner.retries)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key.
        f.debug_struct("Client").field("base_url", &self.base_url()).finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// The API key. Else it is `TWELVE_LABS_API_KEY`.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// The base URL with its version, for instance `https://media.example.org/v1.3`. Else it is `TWELVELABS_BASE_URL`,
    /// else [`DEFAULT_BASE_URL`].
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// How long an attempt of a call may go without a byte moving in either direction; 60 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How often a call is made again after 408, 429, 5xx and broken connections; 2.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// A header of every call.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The client; fails where a setting cannot work. Nothing is sent.
    #[expect(clippy::disallowed_methods, reason = "the SDK dials the one server it was given")]
    pub fn build(self) -> Result<Client> {
        let setup = |problem: String| Error::Setup(problem);
        let api_key = self.api_key.or_else(|| variable(API_KEY_VARIABLE)).ok_or_else(|| {
            setup(format!("there is no API key: set {API_KEY_VARIABLE}, or give one with `api_key`"))
        })?;
        let mut api_key = HeaderValue::from_str(api_key.trim())
            .map_err(|_| setup("the API key has characters that no header can carry".to_owned()))?;
        api_key.set_sensitive(true);
        let base_url =
            self.base_url.or_else(|| variable(BASE_URL_VARIABLE)).unwrap_or(DEFAULT_BASE_URL.to_owned());
        let base_url = Url::parse(base_url.trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                setup(format!("the base URL \"{base_url}\" is none: it must look like {DEFAULT_BASE_URL}"))
            })?;
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            let pair = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(&value).ok());
            let (name, value) = pair.ok_or_else(|| setup(format!("\"{name}: {value}\" is no header")))?;
            headers.insert(name, value);
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(&base_url)?)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| setup(error.to_string()))?;
        Ok(Client {
            inner: Arc::new(Inner {
                http,
                base_url,
                api_key,
                timeout: self.timeout.unwrap_or(TIMEOUT),
                retries: self.retries.unwrap_or(RETRIES),
                headers,
            }),
        })
    }
}

/// An empty variable is none.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_said_before_anything_is_sent() {
        let built = |key: &str, url: &str| Client::builder().api_key(key).base_url(url).build();
        assert!(built("k", "https://h/v1.3").is_ok());
        for (key, url) in [("k", "ftp://h/v1.3"), ("k", "h:80"), ("k", ""), ("k\n2", "http://h")] {
            assert!(matches!(built(key, url), Err(Error::Setup(_))), "{key:?} {url}");
        }
    }
}
