use std::{error::Error as _, sync::Arc};

use http::{StatusCode, header};
use reqwest::{Client, Response, redirect, retry};
use tokio::time::timeout;

use crate::{
    Config, Error, Fetched, PublicUrl, Resolve, Resume, SetupError,
    guard::{Guard, Refused},
    resolve::{Guarded, System},
};

const USER_AGENT: &str = concat!("Reelhouse/", env!("CARGO_PKG_VERSION"));

/// Fetches public URLs. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    pub(crate) client: Client,
    guard: Arc<Guard>,
    config: Arc<Config>,
}

impl Fetcher {
    /// With the system's resolver.
    ///
    /// # Errors
    /// [`SetupError`] of the libraries.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        Self::with_resolver(config, Arc::new(System))
    }

    /// With a resolver of one's own.
    ///
    /// # Errors
    /// [`SetupError`] of the libraries.
    #[expect(clippy::disallowed_methods, reason = "this is the crate that dials out")]
    pub fn with_resolver(config: Config, resolver: Arc<dyn Resolve>) -> Result<Self, SetupError> {
        let guard = Arc::new(Guard::new(&config.allow, config.allow_setting));
        let resolver = Guarded { resolver, guard: config.proxy.is_none().then(|| guard.clone()) };
        let mut client = Client::builder()
            .tls_backend_preconfigured(reelhouse_tls::config()?)
            .dns_resolver(resolver)
            .connect_timeout(config.connect_timeout)
            .pool_max_idle_per_host(0)
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .user_agent(USER_AGENT)
            // The environment's.
            .no_proxy();
        if let Some(proxy) = &config.proxy {
            client = client.proxy(reqwest::Proxy::all(proxy.url().clone())?);
        }
        Ok(Self { client: client.build()?, guard, config: Arc::new(config) })
    }

    /// Asks for a URL and reads the head of the answer. With `resume`, for the rest of it; the origin may start over all
    /// the same: see [`Fetched::from`].
    ///
    /// # Errors
    /// [`Error::NotAccessible`] when there is no body to be had, [`Error::Interrupted`] when it broke off at once.
    pub async fn get(&self, url: &PublicUrl, resume: Option<&Resume>) -> Result<Fetched, Error> {
        if let Some(resume) = resume {
            let (response, found) = self.follow(url, Some(resume)).await?;
            match response.status() {
                StatusCode::PARTIAL_CONTENT => {
                    if let Some(total) = resume.total_continued_by(response.headers()) {
                        return Fetched::rest(response, found, &self.config, resume, total).await;
                    }
                }
                StatusCode::RANGE_NOT_SATISFIABLE => {}
                _ => return self.whole(response, found).await,
            }
            tracing::debug!(?url, from = resume.from, "the origin cannot go on: starting over");
        }
        let (response, found) = self.follow(url, None).await?;
        self.whole(response, found).await
    }

    /// The first answer that is no redirect, and where it was.
    async fn follow(&self, url: &PublicUrl, resume: Option<&Resume>) -> Result<(Response, PublicUrl), Error> {
        let mut at = url.clone();
        let mut visited = Vec::new();
        loop {
            let response = self.ask(&at, resume).await?;
            if !is_redirect(response.status()) {
                return Ok((response, at));
            }
            let location =
                response.headers().get(header::LOCATION).map(|value| std::str::from_utf8(value.as_bytes()));
            let Some(Ok(location)) = location else {
                return Err(Error::for_good(format!("{} without a Location", response.status())));
            };
            let next = at
                .join(location)
                .map_err(|error| Error::for_good(format!("redirected to where it cannot go: {error}")))?;
            visited.push(at);
            if visited.contains(&next) {
                return Err(Error::for_good(format!("redirected in a loop, to {next:?}")));
            }
            if visited.len() > self.config.max_redirects {
                return Err(Error::for_good(format!("more than {} redirects", self.config.max_redirects)));
            }
            at = next;
        }
    }

    /// Judges a URL's host before anything is dialled.
    pub(crate) fn admit(&self, url: &PublicUrl) -> Result<(), Error> {
        // A public URL has a host.
        match url.host() {
            Some(host) => self.guard.admit_host(host).map_err(|refused| Error::for_good(refused.to_string())),
            None => Ok(()),
        }
    }

    /// One hop.
    async fn ask(&self, url: &PublicUrl, resume: Option<&Resume>) -> Result<Response, Error> {
        self.admit(url)?;
        let mut request = self.client.get(url.as_url().clone()).header(header::ACCEPT_ENCODING, "identity");
        if let Some(resume) = resume {
            request = request
                .header(header::RANGE, format!("bytes={}-", resume.from))
                .header(header::IF_RANGE, resume.validator.as_str());
        }
        // The client's own limit holds until it is connected.
        timeout(self.config.connect_timeout + self.config.first_byte_timeout, request.send())
            .await
            .map_err(|_| Error::unreachable(format!("no answer in {:?}", self.config.first_byte_timeout)))?
            .map_err(not_answered)
    }

    async fn whole(&self, response: Response, url: PublicUrl) -> Result<Fetched, Error> {
        let status = response.status();
        let bodiless = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::PARTIAL_CONTENT]
            .contains(&status);
        if status.is_success() && !bodiless {
            return Fetched::whole(response, url, &self.config).await;
        }
        let retriable = status.is_server_error()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
            );
        Err(Error::NotAccessible { retriable, cause: format!("{url:?} answered {status}").into() })
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Why a request has no answer.
pub(crate) fn not_answered(error: reqwest::Error) -> Error {
    let for_good = was_refused(&error) || error.is_builder();
    if for_good { Error::for_good(error) } else { Error::unreachable(error) }
}

/// Whether it was our own guard that ended it, and no network.
fn was_refused(error: &reqwest::Error) -> bool {
    std::iter::successors(error.source(), |error| (*error).source()).any(|error| error.is::<Refused>())
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("config", &self.config).finish_non_exhaustive()
    }
}
