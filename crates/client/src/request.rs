//! One request: what is sent, how often, and how long is waited.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{
    Method, Response, Url,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    multipart::{Form, Part},
};
use serde::Serialize;
use tokio::time::sleep;

use crate::{ApiError, Error, Result, meter::Meter, retry, source::Source};

/// A success, and what came beside the value.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RawResponse<T> {
    /// HTTP status.
    pub status: u16,
    /// Every header.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
    /// What the call answers without `with_raw_response`.
    pub value: T,
}

pub(crate) enum Body {
    Empty,
    Json(Vec<u8>),
    /// Fields first, so that a server knows what is wanted before the file arrives.
    Form {
        fields: Vec<(&'static str, String)>,
        file: Option<Source>,
    },
    /// A piece of a file, of this length.
    Piece {
        source: Source,
        length: u64,
    },
}

pub(crate) struct Request {
    http: reqwest::Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    /// Whether doing it twice does no harm.
    repeatable: bool,
    pub(crate) body: Body,
    pub(crate) meter: Meter,
    /// What is wrong with it; said when it is sent.
    problem: Option<String>,
}

impl Request {
    pub(crate) fn new(
        http: reqwest::Client,
        method: Method,
        url: Url,
        timeout: Duration,
        retries: u32,
    ) -> Self {
        Self {
            http,
            repeatable: method != Method::POST,
            method,
            url,
            headers: HeaderMap::new(),
            timeout,
            retries,
            body: Body::Empty,
            meter: Meter::new(None, None),
            problem: None,
        }
    }

    pub(crate) fn refused(mut self, problem: impl Into<String>) -> Self {
        self.problem.get_or_insert(problem.into());
        self
    }

    pub(crate) fn with_headers(mut self, headers: &HeaderMap) -> Self {
        self.headers.extend(headers.clone());
        self
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &HeaderValue) -> Self {
        self.headers.insert(name, value.clone());
        self
    }

    /// A header in whatever words the user has for it.
    pub(crate) fn header(&mut self, name: &str, value: &str) {
        match HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok()) {
            Some((name, value)) => drop(self.headers.insert(name, value)),
            None => drop(self.problem.get_or_insert(format!("\"{name}: {value}\" is no header"))),
        }
    }

    pub(crate) fn idempotency_key(&mut self, key: &str) {
        self.repeatable = true;
        self.header("idempotency-key", key);
    }

    /// A POST that does no harm when it is done twice.
    pub(crate) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    pub(crate) fn query(&mut self, name: &str, value: &str) {
        self.url.query_pairs_mut().append_pair(name, value);
    }

    /// The same request with another value for this query parameter. Bodies are not taken along.
    pub(crate) fn with_query(&self, name: &str, value: &str) -> Self {
        let mut url = self.url.clone();
        let others: Vec<_> = self.url.query_pairs().filter(|(other, _)| other != name).collect();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
        Self { url, ..self.again() }
    }

    /// The same request once more. Bodies are not taken along.
    pub(crate) fn again(&self) -> Self {
        Self {
            http: self.http.clone(),
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            timeout: self.timeout,
            retries: self.retries,
            repeatable: self.repeatable,
            body: Body::Empty,
            meter: Meter::new(None, None),
            problem: self.problem.clone(),
        }
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => {
                self.body = Body::Json(body);
                self
            }
            Err(error) => self.refused(error.to_string()),
        }
    }

    /// Sends it, as often as is allowed, until an answer is whole.
    pub(crate) async fn answer(&mut self) -> Result<RawResponse<()>> {
        let mut tries = 0;
        // Whether an attempt may have done what was asked, and its answer was lost.
        let mut perhaps_done = false;
        loop {
            let error = match self.attempt().await {
                Ok(response) => match self.whole(response).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                },
                // Then what was to be deleted is gone by our own hand.
                Err(Error::Api(error))
                    if perhaps_done && self.method == Method::DELETE && error.status == 404 =>
                {
                    let ApiError { status, headers, body, .. } = *error;
                    return Ok(RawResponse { status, headers, body, value: () });
                }
                Err(error) => error,
            };
            perhaps_done |= matches!(error, Error::Transport { .. } | Error::Timeout { .. });
            self.pause_or(error, &mut tries).await?;
        }
    }

    /// Sends it, as often as is allowed, until an answer begins; its body is the caller's.
    pub(crate) async fn open(&mut self) -> Result<Response> {
        let mut tries = 0;
        loop {
            match self.attempt().await {
                Ok(response) => return Ok(response),
                Err(error) => self.pause_or(error, &mut tries).await?,
            }
        }
    }

    /// Waits until it may be sent again, or hands the error on.
    pub(crate) async fn pause_or(&self, error: Error, tries: &mut u32) -> Result<()> {
        let again = self.repeatable && self.body.repeats() && *tries < self.retries;
        match retry::pause(&error, *tries).filter(|_| again) {
            Some(pause) => {
                *tries += 1;
                sleep(pause).await;
                Ok(())
            }
            None => Err(error),
        }
    }

    /// Sends it once. An answer that is no success is an error.
    async fn attempt(&mut self) -> Result<Response> {
        if let Some(problem) = &self.problem {
            return Err(Error::Setup(problem.clone()));
        }
        let mut request =
            self.http.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
        self.meter.restart();
        request = match &mut self.body {
            Body::Empty => request,
            Body::Json(json) => request.header(CONTENT_TYPE, "application/json").body(json.clone()),
            Body::Form { fields, file } => request.multipart(form(fields, file.as_mut(), &self.meter).await?),
            Body::Piece { source, length } => {
                let bytes = self.meter.count(source.open().await?);
                request
                    .header(CONTENT_TYPE, "application/octet-stream")
                    .header(CONTENT_LENGTH, *length)
                    .body(reqwest::Body::wrap_stream(bytes))
            }
        };
        let sent = self.meter.while_moving(self.timeout, request.send()).await;
        if let Some(error) = self.meter.take_failure() {
            return Err(Error::Source(error));
        }
        let response = sent.ok_or_else(|| self.timed_out())?.map_err(|error| self.broken(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let RawResponse { status, headers, body, .. } = self.whole(response).await?;
        Err(Error::Api(Box::new(ApiError::new(status, headers, body))))
    }

    /// An answer with all of its body.
    async fn whole(&self, mut response: Response) -> Result<RawResponse<()>> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.next(&mut response).await? {
            body.extend_from_slice(&piece);
        }
        let headers = std::mem::take(response.headers_mut());
        Ok(RawResponse { status: response.status().as_u16(), headers, body: body.freeze(), value: () })
    }

    /// The next piece of an answer's body.
    pub(crate) async fn next(&self, response: &mut Response) -> Result<Option<Bytes>> {
        let piece = self.meter.while_moving(self.timeout, response.chunk()).await;
        piece.ok_or_else(|| self.timed_out())?.map_err(|error| self.broken(error))
    }

    fn timed_out(&self) -> Error {
        Error::Timeout { host: self.host(), after: self.timeout }
    }

    fn broken(&self, error: reqwest::Error) -> Error {
        let (host, source) = (self.host(), error.without_url());
        match source.is_connect() {
            true => Error::Connect { host, source: source.into() },
            false => Error::Transport { host, source: source.into() },
        }
    }

    fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

impl Body {
    fn repeats(&self) -> bool {
        match self {
            Self::Form { file: Some(source), .. } | Self::Piece { source, .. } => source.repeats(),
            _ => true,
        }
    }
}

async fn form(fields: &[(&'static str, String)], file: Option<&mut Source>, meter: &Meter) -> Result<Form> {
    let mut form = Form::new();
    for (name, value) in fields {
        form = form.text(*name, value.clone());
    }
    if let Some(source) = file {
        let (name, length) = (source.name(), source.length().await?);
        let body = reqwest::Body::wrap_stream(meter.count(source.open().await?));
        let part = match length {
            Some(length) => Part::stream_with_length(body, length),
            None => Part::stream(body),
        };
        // Browsers write a quote so, too; the part's name only stands in for the field `filename`.
        let name = name.unwrap_or("upload".to_owned()).replace('"', "%22").replace('\\', "%5C");
        form = form.part("file", part.file_name(name));
    }
    Ok(form)
}

/// Unique to one call; without randomness there is none.
pub(crate) fn random_key() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
