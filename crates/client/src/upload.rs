use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use futures_util::{
    FutureExt, StreamExt,
    future::{Fuse, FusedFuture},
    stream,
};
use reelhouse_api::{ChunkStatus, CompletedChunk, CreateUpload, MAX_CHUNK_URLS, UploadStatus};
use tokio::sync::Mutex;

use crate::{
    AssetDetail, ChunkUrl, Client, Error, MediaKind, Progress, Result, Source, Uploads, UserMetadata,
    meter::{Callback, Meter},
    operation::CallFuture,
    request::Body,
    source::{Kind, file_name},
    upload_state::{Saved, StateFile},
    uploads,
};

/// Chunks sent at once.
const PARALLEL: usize = 4;
/// How often a chunk is sent again: for as long as a server takes to be started anew.
const CHUNK_RETRIES: u32 = 8;
/// URLs end; a chunk that was refused is sent to so many others.
const URLS_PER_CHUNK: u32 = 3;
/// Chunks told in one report.
const MAX_REPORT: usize = 50;
/// How often chunks that the server does not have after all are sent again.
const ROUNDS: u32 = 3;

/// Uploads a file in chunks. See [`Assets::upload`](crate::Assets::upload).
pub struct UploadFile {
    client: Client,
    path: PathBuf,
    new: CreateUpload,
    parallel: usize,
    retries: u32,
    timeout: Option<Duration>,
    state: Option<PathBuf>,
    wait: bool,
    renditions: bool,
    progress: Option<Callback>,
}

impl UploadFile {
    pub(crate) fn new(client: Client, path: PathBuf) -> Self {
        let new = CreateUpload::new(file_name(&path), kind_of(&path), 0);
        Self {
            client,
            path,
            new,
            parallel: PARALLEL,
            retries: CHUNK_RETRIES,
            timeout: None,
            state: None,
            wait: true,
            renditions: false,
            progress: None,
        }
    }

    /// What the asset is called, 1 to 255 characters. Else it is the file's name.
    pub fn filename(mut self, name: impl Into<String>) -> Self {
        self.new.filename = name.into();
        self
    }

    /// What the file is. Else its name's ending tells, and what it does not tell is a video.
    pub fn kind(mut self, kind: MediaKind) -> Self {
        self.new.kind = kind;
        self
    }

    /// Whether HLS is made.
    pub fn enable_hls(mut self, enable: bool) -> Self {
        self.new.enable_hls = enable;
        self
    }

    /// Whether a thumbnail is made.
    pub fn enable_thumbnail(mut self, enable: bool) -> Self {
        self.new.enable_thumbnail = enable;
        self
    }

    /// What is kept with the asset.
    pub fn user_metadata(mut self, metadata: &UserMetadata) -> Self {
        self.new.user_metadata = Some(metadata.clone());
        self
    }

    /// How many chunks are sent at once; 4.
    pub fn parallel(mut self, chunks: usize) -> Self {
        self.parallel = chunks.max(1);
        self
    }

    /// How often each chunk is sent again after 408, 429, 5xx and broken connections; 8.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// How long an attempt may go without a byte moving in either direction.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The folder that remembers uploads: the same upload from there goes on where another process was stopped. Without
    /// it, an upload that is dropped begins anew.
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state = Some(folder.into());
        self
    }

    /// Whether to wait until the asset is ready; yes when it is not said. Without it, the asset may still fail.
    pub fn wait(mut self, wait: bool) -> Self {
        self.wait = wait;
        self
    }

    /// Whether to wait for HLS and thumbnail, too; as [`WaitUntilReady::renditions`](crate::WaitUntilReady::renditions).
    pub fn renditions(mut self, too: bool) -> Self {
        self.renditions = too;
        self
    }

    /// Called with each piece that is sent. What arrived in an earlier process counts at once.
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    async fn run(mut self) -> Result<AssetDetail> {
        let at = |source| Error::File { path: self.path.clone(), source };
        let path = tokio::fs::canonicalize(&self.path).await.map_err(at)?;
        let metadata = tokio::fs::metadata(&path).await.map_err(at)?;
        if !metadata.is_file() {
            return Err(Error::Setup(format!("{} is no file", self.path.display())));
        }
        if metadata.len() == 0 {
            return Err(Error::Setup(format!("{} is empty", self.path.display())));
        }
        self.new.total_size = metadata.len();
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.unwrap_or_default().as_nanos();

        let base_url = self.client.base_url().to_owned();
        let mut state = match &self.state {
            Some(folder) => Some(StateFile::open(folder, &base_url, &path)?),
            None => None,
        };
        let saved = state.as_mut().and_then(StateFile::read).filter(|saved| {
            saved.base_url == base_url
                && saved.path == path
                && saved.modified == modified
                && saved.new == self.new
        });
        let standing = match saved {
            Some(saved) => {
                self.tell_arrived(&saved).await?;
                self.standing(saved).await?
            }
            None => None,
        };
        let (transfer, mut pending) = match standing {
            Some((saved, pending)) => (self.transfer(saved, Vec::new()), pending),
            None => {
                let created = self.client.uploads().create(&self.new).await?;
                let saved = Saved {
                    base_url,
                    path,
                    modified,
                    new: self.new.clone(),
                    upload_id: created.upload_id,
                    asset_id: created.asset_id,
                    chunk_size: created.chunk_size,
                    total_chunks: created.total_chunks,
                    arrived: Vec::new(),
                };
                if saved.chunk_size == 0
                    || saved.total_chunks != saved.new.total_size.div_ceil(saved.chunk_size)
                {
                    return Err(Error::Upload(format!(
                        "{} chunks of {} bytes do not make {} bytes",
                        saved.total_chunks, saved.chunk_size, saved.new.total_size
                    )));
                }
                if let Some(state) = &mut state {
                    state.write(&saved)?;
                }
                let pending = (1..=saved.total_chunks).collect();
                (self.transfer(saved, created.upload_urls), pending)
            }
        };
        let transfer = Arc::new(transfer);
        let asset_id = &transfer.saved.asset_id;
        transfer.meter.add(transfer.bytes_without(&pending));
        let mut round = 0;
        while !pending.is_empty() {
            round += 1;
            // All is sent, and yet not complete, or refused: the server knows what it lacks. Nothing, perhaps: the last words
            // of a process that was killed may come late.
            let refusal = match transfer.clone().send(std::mem::take(&mut pending), state.as_mut()).await {
                Ok(true) => break,
                Ok(false) => Error::Upload("the server did not get all chunks".to_owned()),
                Err(error @ Error::Api(_)) => error,
                Err(error) => return Err(error),
            };
            match self.standing(transfer.saved.clone()).await? {
                Some((_, lacking)) if lacking.is_empty() => {}
                Some((_, lacking)) if round < ROUNDS && refusal.api().is_none() => pending = lacking,
                _ => return Err(refusal),
            }
            transfer.meter.restart();
            transfer.meter.add(transfer.bytes_without(&pending));
        }
        let asset = match self.wait {
            true => self.client.assets().wait_until_ready(asset_id).renditions(self.renditions).await,
            false => self.client.assets().retrieve(asset_id).await,
        };
        if let (Ok(_) | Err(Error::AssetFailed(_)), Some(state)) = (&asset, state) {
            state.remove();
        }
        asset
    }

    /// Tells of chunks that arrived just before the process that sent them was stopped.
    async fn tell_arrived(&self, saved: &Saved) -> Result<()> {
        if saved.arrived.is_empty() {
            return Ok(());
        }
        match self
            .client
            .uploads()
            .report(&saved.upload_id, saved.arrived.clone())
            .retries(self.retries)
            .await
        {
            // What the server does not believe is sent again.
            Ok(_) | Err(Error::Api(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What the server still lacks of an upload; nothing if it cannot be gone on with.
    async fn standing(&self, saved: Saved) -> Result<Option<(Saved, Vec<u64>)>> {
        let uploads = self.client.uploads();
        let mut pending: Vec<u64> = (1..=saved.total_chunks).collect();
        for page in 1.. {
            let detail = match uploads.retrieve(&saved.upload_id, page, 50).retries(self.retries).await {
                Ok(detail) => detail,
                Err(error) if error.status() == Some(404) => {
                    return Ok(self.is_asset(&saved).await?.then_some((saved, Vec::new())));
                }
                Err(error) => return Err(error),
            };
            if detail.status == UploadStatus::Completed {
                return Ok(Some((saved, Vec::new())));
            }
            if detail.status != UploadStatus::Active {
                return Ok(None);
            }
            let here = detail.uploaded_chunks.iter().filter(|chunk| chunk.status == ChunkStatus::Completed);
            let here: Vec<u64> = here.map(|chunk| chunk.index).collect();
            pending.retain(|index| !here.contains(index));
            if detail.uploaded_chunks.is_empty() || page >= detail.page_info.total_page {
                break;
            }
        }
        // All reported, and not completed: some server's own trouble. A report of one chunk makes it look again.
        if pending.is_empty() {
            pending.push(saved.total_chunks);
        }
        Ok(Some((saved, pending)))
    }

    /// A server may forget uploads that are completed; the asset tells.
    async fn is_asset(&self, saved: &Saved) -> Result<bool> {
        match self.client.assets().retrieve(&saved.asset_id).await {
            Ok(asset) => Ok(asset.status == reelhouse_api::Status::Ready),
            Err(Error::Api(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn transfer(&self, saved: Saved, urls: Vec<ChunkUrl>) -> Transfer {
        let urls = urls.into_iter().map(|url| (url.chunk_index, url.url)).collect();
        Transfer {
            uploads: self.client.uploads(),
            meter: Meter::new(Some(saved.new.total_size), self.progress.clone()),
            urls: Mutex::new(urls),
            parallel: self.parallel,
            retries: self.retries,
            timeout: self.timeout,
            saved,
        }
    }
}

/// Chunks on their way.
struct Transfer {
    uploads: Uploads,
    saved: Saved,
    /// Those not used yet, by chunk.
    urls: Mutex<BTreeMap<u64, String>>,
    meter: Meter,
    parallel: usize,
    retries: u32,
    timeout: Option<Duration>,
}

impl Transfer {
    /// Sends these chunks and tells of each that arrived. Whether the upload is complete then.
    async fn send(self: Arc<Self>, chunks: Vec<u64>, mut state: Option<&mut StateFile>) -> Result<bool> {
        let this = self.clone();
        let puts =
            stream::iter(chunks).map(move |index| this.clone().put(index)).buffer_unordered(self.parallel);
        let mut puts = pin!(puts.fuse());
        // Told at once, so that a kill loses little; what arrives during a report goes with the next one.
        let (mut arrived, mut telling) = (Vec::new(), Vec::new());
        let mut report = pin!(Fuse::terminated());
        let mut complete = false;
        loop {
            if report.is_terminated() && !arrived.is_empty() {
                telling = arrived.drain(..arrived.len().min(MAX_REPORT)).collect();
                let call = self.uploads.report(&self.saved.upload_id, telling.clone()).retries(self.retries);
                report.set(call.into_future().fuse());
            }
            tokio::select! {
                Some(chunk) = puts.next() => {
                    arrived.push(chunk?);
                    if let Some(state) = &mut state {
                        let arrived = telling.iter().chain(&arrived).cloned().collect();
                        state.write(&Saved { arrived, ..self.saved.clone() })?;
                    }
                }
                answer = &mut report, if !report.is_terminated() => {
                    let answer = answer?;
                    telling.clear();
                    complete |= answer.url.is_some() || answer.total_completed >= self.saved.total_chunks;
                }
                else => return Ok(complete),
            }
        }
    }

    async fn put(self: Arc<Self>, index: u64) -> Result<CompletedChunk> {
        let (offset, length) = self.section(index);
        let sent = AtomicU64::new(0);
        let all = self.meter.clone();
        // What an attempt sent in vain is taken back.
        let count =
            move |progress: Progress| match (sent.swap(progress.done, Ordering::Relaxed), progress.done) {
                (before, now) if now >= before => all.add(now - before),
                (before, now) => all.take_back(before - now),
            };
        let meter = Meter::new(Some(length), Some(Arc::new(count)));
        let mut urls_left = URLS_PER_CHUNK;
        loop {
            let url = self.url(index).await?;
            let mut request = self.uploads.put_request(&url)?;
            let source = Source(Kind::Section { path: self.saved.path.clone(), offset, length });
            request.body = Body::Piece { source, length };
            request.meter = meter.clone();
            request.retries = self.retries;
            request.timeout = self.timeout.unwrap_or(request.timeout);
            match uploads::put(request).await {
                Ok(etag) => return Ok(CompletedChunk::new(index, etag, length)),
                Err(error) if urls_left > 1 && matches!(error.status(), Some(403 | 404 | 410)) => {
                    urls_left -= 1
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where a chunk lies in the file, and its bytes.
    fn section(&self, index: u64) -> (u64, u64) {
        let offset = (index - 1) * self.saved.chunk_size;
        (offset, self.saved.chunk_size.min(self.saved.new.total_size - offset))
    }

    fn bytes_without(&self, pending: &[u64]) -> u64 {
        self.saved.new.total_size - pending.iter().map(|index| self.section(*index).1).sum::<u64>()
    }

    /// A URL for a chunk that no one has used.
    async fn url(&self, index: u64) -> Result<String> {
        let mut urls = self.urls.lock().await;
        if !urls.contains_key(&index) {
            let count = MAX_CHUNK_URLS.min(self.saved.total_chunks - index + 1);
            let more =
                self.uploads.request_urls(&self.saved.upload_id, index, count).retries(self.retries).await?;
            urls.extend(more.upload_urls.into_iter().map(|url| (url.chunk_index, url.url)));
        }
        urls.remove(&index).ok_or_else(|| Error::Upload(format!("the server gives no URL for chunk {index}")))
    }
}

impl IntoFuture for UploadFile {
    type Output = Result<AssetDetail>;
    type IntoFuture = CallFuture<AssetDetail>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for UploadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What a name's ending says of a file.
pub(crate) fn kind_of(path: &Path) -> MediaKind {
    const AUDIO: &[&str] = &["aac", "aif", "aiff", "flac", "m4a", "mp3", "oga", "ogg", "opus", "wav", "wma"];
    const IMAGE: &[&str] =
        &["avif", "bmp", "gif", "heic", "heif", "jp2", "jpeg", "jpg", "jxl", "png", "tif", "tiff", "webp"];
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match ending.as_str() {
        ending if AUDIO.contains(&ending) => MediaKind::Audio,
        ending if IMAGE.contains(&ending) => MediaKind::Image,
        _ => MediaKind::Video,
    }
}
