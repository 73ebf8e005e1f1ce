use bytes::Bytes;
use http::{HeaderMap, header};

use crate::{
    Config, Error, PublicUrl, Resume, Validator, body,
    body::{Arriving, Body},
    filename,
    pace::Pace,
};

/// An answer whose body is on its way.
pub struct Fetched {
    /// Where the bytes begin: 0, or where the fetch resumed. An origin that cannot go on starts over.
    pub from: u64,
    /// Bytes of the whole, counted from 0; `None` when the origin does not say.
    pub total: Option<u64>,
    /// By which to resume; `None` when the origin gives no strong one or encoded the body.
    pub validator: Option<Validator>,
    /// What the origin calls it, else the end of the URL's path. Not judged: it may be any text, and is never empty.
    pub filename: Option<String>,
    /// As the origin wrote it.
    pub content_type: Option<String>,
    /// Where it was found, after redirects: what references in it are relative to.
    pub url: PublicUrl,
    body: Body,
}

impl Fetched {
    /// A body from its first byte.
    pub(crate) async fn whole(
        response: reqwest::Response,
        url: PublicUrl,
        config: &Config,
    ) -> Result<Self, Error> {
        let codings = body::codings(response.headers());
        let plain = codings.is_empty();
        let total = response.content_length().filter(|_| plain);
        let validator = Validator::of(response.headers()).filter(|_| plain);
        Self::new(response, url, config, codings, Part { from: 0, total, validator }).await
    }

    /// The rest of a body.
    pub(crate) async fn rest(
        response: reqwest::Response,
        url: PublicUrl,
        config: &Config,
        resume: &Resume,
        total: u64,
    ) -> Result<Self, Error> {
        let part = Part { from: resume.from, total: Some(total), validator: Some(resume.validator.clone()) };
        Self::new(response, url, config, Vec::new(), part).await
    }

    async fn new(
        response: reqwest::Response,
        url: PublicUrl,
        config: &Config,
        codings: Vec<String>,
        Part { from, total, validator }: Part,
    ) -> Result<Self, Error> {
        let headers = response.headers();
        // hyper undoes `chunked`; whatever else is there would be taken for the body.
        let mut transfers = headers.get_all(header::TRANSFER_ENCODING).iter();
        if let Some(other) = transfers.find(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
            return Err(Error::for_good(format!("transferred as {other:?}")));
        }
        let filename = filename::of(headers, &url);
        let content_type = text(headers, header::CONTENT_TYPE);
        let pace = Pace::new(config.min_rate, config.rate_window);
        let missing = total.map(|total| total - from);
        let arriving = Arriving::new(response, pace, config.idle_timeout, missing);
        let body = Body::new(arriving, &codings).await?;
        Ok(Self { from, total, validator, filename, content_type, url, body })
    }

    /// The next bytes, as they arrive; `None` at the end, which is then the whole's end. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Interrupted`], from then on always.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.body.chunk().await
    }
}

/// Which bytes of which whole.
struct Part {
    from: u64,
    total: Option<u64>,
    validator: Option<Validator>,
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetched")
            .field("url", &self.url)
            .field("from", &self.from)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}
