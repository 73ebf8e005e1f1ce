use std::{
    fmt,
    fs::OpenOptions,
    io::{self, SeekFrom},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{
    Stream, TryStreamExt,
    stream::{self, BoxStream},
};
use reqwest::{
    Response,
    header::{CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap},
};
use tokio::{
    fs::{self, File},
    io::{AsyncSeekExt, AsyncWriteExt},
};

use crate::{
    ApiError, Error, Progress, RawResponse, Result,
    meter::{Callback, Meter},
    operation::{CallFuture, Operation, call},
    request::Request,
};

/// Opens an asset's original. See [`Assets::content`](crate::Assets::content).
pub struct OpenContent {
    request: Request,
    id: String,
    from: u64,
}

call!(OpenContent);

impl OpenContent {
    pub(crate) fn new(request: Request, id: &str) -> Self {
        Self { request, id: id.to_owned(), from: 0 }
    }

    /// Only the bytes from here on; at the end of the file there are none, which is an error (416).
    pub fn starting_at(mut self, offset: u64) -> Self {
        self.from = offset;
        self
    }
}

impl Operation for OpenContent {
    type Output = Content;

    fn perform(self) -> CallFuture<RawResponse<Content>> {
        Box::pin(async move {
            let response = ask(&self.request, self.from, None).open().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let offset = offset(&response)?;
            if offset != self.from {
                // A server without ranges: what was not asked for is passed over.
                return Err(Error::Setup("this server cannot begin in the middle of a file".to_owned()));
            }
            let etag = text(&headers, ETAG.as_str()).filter(|etag| !etag.starts_with("W/"));
            let reading = Reading {
                request: self.request,
                id: self.id,
                at: offset,
                etag,
                tries: 0,
                response: Some(response),
            };
            let value = Content {
                length: length(&headers, offset),
                headers: headers.clone(),
                pieces: pieces(reading),
            };
            Ok(RawResponse { status, headers, body: Bytes::new(), value })
        })
    }
}

/// An asset's original as a stream of bytes. Where the connection breaks, it goes on by itself at the same byte.
pub struct Content {
    length: Option<u64>,
    headers: HeaderMap,
    pieces: BoxStream<'static, Result<Bytes>>,
}

impl Content {
    /// Bytes of the whole file.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// MIME type.
    pub fn content_type(&self) -> Option<String> {
        text(&self.headers, CONTENT_TYPE.as_str())
    }
}

impl Stream for Content {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.as_mut().poll_next(context)
    }
}

struct Reading {
    request: Request,
    id: String,
    /// The next byte.
    at: u64,
    /// What proves that the file is still the same.
    etag: Option<String>,
    /// How often the connection broke since a byte came.
    tries: u32,
    response: Option<Response>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let error = match &mut self.response {
                Some(response) => match self.request.next(response).await {
                    Ok(Some(piece)) => {
                        self.at += piece.len() as u64;
                        self.tries = 0;
                        return Ok(Some(piece));
                    }
                    Ok(None) => return Ok(None),
                    Err(error) => error,
                },
                None => match self.go_on().await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
            };
            self.response = None;
            self.request.pause_or(error, &mut self.tries).await?;
        }
    }

    async fn go_on(&mut self) -> Result<()> {
        // One attempt: how often is counted here.
        let mut request = ask(&self.request, self.at, self.etag.as_deref());
        request.retries = 0;
        let response = request.open().await?;
        if self.etag.is_none() || offset(&response)? != self.at {
            return Err(Error::ContentChanged(self.id.clone()));
        }
        self.response = Some(response);
        Ok(())
    }
}

fn pieces(reading: Reading) -> BoxStream<'static, Result<Bytes>> {
    Box::pin(stream::try_unfold(reading, async |mut reading| {
        Ok(reading.next().await?.map(|piece| (piece, reading)))
    }))
}

/// The request for the bytes from here on, of the same file.
fn ask(request: &Request, from: u64, etag: Option<&str>) -> Request {
    let mut request = request.again();
    if from > 0 {
        request.header("range", &format!("bytes={from}-"));
    }
    if let Some(etag) = etag.filter(|_| from > 0) {
        request.header("if-range", etag);
    }
    request
}

/// Whether a refused range says that the file ends here.
fn ends_at(error: &ApiError, length: u64) -> bool {
    let range = text(&error.headers, CONTENT_RANGE.as_str());
    error.status == 416 && range.is_some_and(|range| range == format!("bytes */{length}"))
}

/// Where an answer's bytes begin in the file.
fn offset(response: &Response) -> Result<u64> {
    if response.status().as_u16() != 206 {
        return Ok(0);
    }
    let range = text(response.headers(), CONTENT_RANGE.as_str()).unwrap_or_default();
    let begin = range.strip_prefix("bytes ").and_then(|range| range.split('-').next()?.parse().ok());
    begin.ok_or_else(|| Error::Upload(format!("the answer's Content-Range is none: {range:?}")))
}

fn length(headers: &HeaderMap, offset: u64) -> Option<u64> {
    let rest: u64 = text(headers, "content-length")?.parse().ok()?;
    Some(offset + rest)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// An asset's original, into a file. See [`Assets::download`](crate::Assets::download).
pub struct Download {
    content: OpenContent,
    path: PathBuf,
    progress: Option<Callback>,
}

impl Download {
    pub(crate) fn new(content: OpenContent, path: PathBuf) -> Self {
        Self { content, path, progress: None }
    }

    /// Called with each piece that is written.
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    /// Until it is whole, it has another name, which names the asset, too: bytes of an asset never change, so what is
    /// there already is right.
    fn partial(&self) -> PathBuf {
        let name = crate::source::file_name(&self.path);
        self.path.with_file_name(format!(".{name}.{}.part", self.content.id))
    }

    async fn run(self) -> Result<u64> {
        let partial = self.partial();
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| Error::File { path, source }
        };
        let file = OpenOptions::new().create(true).append(true).open(&partial).map_err(at(&partial))?;
        // Held until the end, so that two do not write the same.
        file.try_lock().map_err(|error| at(&partial)(error.into()))?;
        let mut file = File::from_std(file);
        let here = file.seek(SeekFrom::End(0)).await.map_err(at(&partial))?;
        let mut content = match self.content.starting_at(here).await {
            Ok(content) => content,
            // All of it is here: there is no range left to ask for.
            Err(Error::Api(error)) if here > 0 && ends_at(&error, here) => {
                fs::rename(&partial, &self.path).await.map_err(at(&self.path))?;
                return Ok(here);
            }
            Err(error) => {
                if here == 0 {
                    let _ = fs::remove_file(&partial).await;
                }
                return Err(error);
            }
        };
        let meter = Meter::new(content.length(), self.progress);
        meter.add(here);
        let mut length = here;
        while let Some(piece) = content.try_next().await? {
            file.write_all(&piece).await.map_err(at(&partial))?;
            length += piece.len() as u64;
            meter.add(piece.len() as u64);
        }
        file.sync_all().await.map_err(at(&partial))?;
        fs::rename(&partial, &self.path).await.map_err(at(&self.path))?;
        Ok(length)
    }
}

impl IntoFuture for Download {
    type Output = Result<u64>;
    type IntoFuture = CallFuture<u64>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for OpenContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenContent").field("id", &self.id).field("from", &self.from).finish_non_exhaustive()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("length", &self.length).finish_non_exhaustive()
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("path", &self.path).finish_non_exhaustive()
    }
}
