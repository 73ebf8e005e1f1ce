//! Bytes on their way out, and the one place that knows where they come from: an original, a file that was made, or a
//! segment that exists only as a head and ranges of another file.

use std::{borrow::Cow, fs::File, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use reelhouse_api::{AssetId, Fault, JobKind, JobState, MediaKind, Status};
use reelhouse_media::hls;
use reelhouse_store::{AssetRecord, BlobKey, ByteSource, DerivativeRecord, Object, Opened};
use tokio::{task::spawn_blocking, time::Instant};

use crate::{
    Caller, MediaScope, Service,
    error::{Error, Result},
    jobs::{HlsDetails, HlsSource, HlsVariant, MAIN, THUMBNAIL_FILE, VTT_FILE, index_file, media_file},
    service::{CachedIndex, SeenMade},
};

/// What is delivered: pieces, one after the other.
#[derive(Debug)]
pub struct Content {
    /// The bytes.
    pub pieces: Vec<Piece>,
    /// MIME type, from our own detection.
    pub content_type: Cow<'static, str>,
    /// Without quotes. Strong: the same bytes for ever.
    pub etag: String,
    /// How long a copy is good.
    pub lifetime: Lifetime,
    /// What a download is called.
    pub filename: Option<String>,
}

/// A piece of a content.
#[derive(Debug, Clone)]
pub enum Piece {
    /// In memory.
    Bytes(Bytes),
    /// Bytes of a file.
    File(Arc<File>, Range<u64>),
    /// Bytes of an object in a bucket.
    Object(Object, Range<u64>),
}

impl Piece {
    fn of(source: ByteSource, range: Range<u64>) -> Self {
        match source {
            ByteSource::File(file) => Self::File(file, range),
            ByteSource::Object(object) => Self::Object(object, range),
        }
    }

    /// All of a blob.
    fn whole(Opened { source, size }: Opened) -> Vec<Self> {
        vec![Self::of(source, 0..size)]
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, range) | Self::Object(_, range) => range.end - range.start,
        }
    }

    /// A part of it; `within` lies inside.
    pub fn part(&self, within: Range<u64>) -> Self {
        match self {
            Self::Bytes(bytes) => {
                // A piece in memory is as long as a usize.
                Self::Bytes(bytes.slice(within.start as usize..within.end as usize))
            }
            Self::File(file, range) => {
                Self::File(file.clone(), range.start + within.start..range.start + within.end)
            }
            Self::Object(object, range) => {
                Self::Object(object.clone(), range.start + within.start..range.start + within.end)
            }
        }
    }
}

/// How long a copy is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// What this URL names never changes.
    Forever,
    /// It may change, or its URL may end, after so many.
    Seconds(u64),
    /// Only for who asked, and to be asked for again.
    Private,
}

impl Content {
    /// Bytes of all pieces.
    pub fn size(&self) -> u64 {
        self.pieces.iter().map(Piece::size).sum()
    }
}

impl Service {
    /// The original of an asset of the caller's.
    ///
    /// # Errors
    /// [`Fault::AssetNotReady`] when there is none (yet); when the store fails, or has lost it.
    pub async fn content(&self, caller: &Caller, id: AssetId) -> Result<Option<Content>> {
        match self.store.asset(&caller.account, id).await? {
            Some(asset) => self.original(asset, Lifetime::Private).await,
            None => Ok(None),
        }
    }

    async fn original(&self, asset: AssetRecord, lifetime: Lifetime) -> Result<Option<Content>> {
        if asset.status != Status::Ready {
            let status = asset.status.as_str();
            return Err(Fault::AssetNotReady { asset_id: asset.id.to_string(), status }.into());
        }
        let Some(opened) = self.store.blobs().read(&BlobKey::Original(asset.id)).await? else {
            // Deleted meanwhile: then there is none. Else it is lost, and that is not the caller's business to guess.
            return match self.store.asset(&asset.account, asset.id).await? {
                None => Ok(None),
                Some(_) => Err(reelhouse_store::Error::BlobMissing { asset: asset.id }.into()),
            };
        };
        Ok(Some(Content {
            pieces: Piece::whole(opened),
            content_type: asset.file_type.map_or("application/octet-stream".into(), Into::into),
            etag: asset.blake3.unwrap_or_default(),
            lifetime,
            filename: Some(asset.filename),
        }))
    }

    /// The path of a URL that opens this, below the server's base.
    pub fn media_url(&self, scope: MediaScope, id: AssetId, path: &str) -> String {
        let token = self.media_urls.token(scope, id, self.now_seconds());
        format!("/media/{}/{id}/{token}/{path}", scope.as_str())
    }

    /// What a media URL names. No key is asked for: the URL is one.
    ///
    /// # Errors
    /// [`Fault::MediaUrlInvalid`] for a URL that was altered or has ended, [`Fault::ResourceNotExist`] when what it named is
    /// gone.
    pub async fn media(&self, scope: MediaScope, id: AssetId, token: &str, path: &str) -> Result<Content> {
        let left = self.media_urls.opens(scope, id, token, self.now_seconds());
        let left = left.ok_or(Fault::MediaUrlInvalid)?;
        let gone = || {
            Error::Fault(Fault::ResourceNotExist { resource_id: id.to_string(), collection_name: "assets" })
        };
        let found = match scope {
            MediaScope::Original => match self.store.asset_of_any(id).await? {
                Some(asset) => self.original(asset, Lifetime::Forever).await?,
                None => None,
            },
            MediaScope::Hls => self.hls(id, path).await?,
            MediaScope::Thumbnail => self.thumbnail(id, path).await?,
            MediaScope::Storyboard => self.storyboard(id, path).await?,
        };
        let content = found.ok_or_else(gone)?;
        // No copy is good for longer than the URL.
        let lifetime = match content.lifetime {
            Lifetime::Forever if left < u64::MAX => Lifetime::Seconds(left),
            Lifetime::Seconds(seconds) => Lifetime::Seconds(seconds.min(left)),
            other => other,
        };
        Ok(Content { lifetime, ..content })
    }

    /// What was made, if the path still names its folder; and the rest of the path.
    async fn made<'a>(
        &self,
        id: AssetId,
        kind: JobKind,
        path: &'a str,
    ) -> Result<Option<(Arc<DerivativeRecord>, &'a str)>> {
        let Some((folder, file)) = path.split_once('/') else { return Ok(None) };
        if let Some(SeenMade { at, record }) = self.made.get(&(id, kind))
            && at.elapsed() < BELIEVED
            && record.folder == folder
        {
            return Ok(Some((record, file)));
        }
        let record = self.store.derivative(id, kind).await?;
        let Some(record) = record.filter(|record| record.folder == folder).map(Arc::new) else {
            return Ok(None);
        };
        self.made.insert((id, kind), SeenMade { at: Instant::now(), record: Arc::clone(&record) });
        Ok(Some((record, file)))
    }

    async fn thumbnail(&self, id: AssetId, path: &str) -> Result<Option<Content>> {
        let Some((record, THUMBNAIL_FILE)) = self.made(id, JobKind::Thumbnail, path).await? else {
            return Ok(None);
        };
        let opened = self.store.blobs().read(&record.file(THUMBNAIL_FILE)).await?;
        Ok(opened.map(|opened| {
            made_of(Piece::whole(opened), "image/jpeg", &record.folder, THUMBNAIL_FILE, Lifetime::Forever)
        }))
    }

    /// Made when first asked for: who asks first waits for it.
    async fn storyboard(&self, id: AssetId, file: &str) -> Result<Option<Content>> {
        let Some(file) = StoryboardFile::parse(file) else { return Ok(None) };
        let since = Instant::now();
        let record = loop {
            if let Some(record) = self.store.derivative(id, JobKind::Storyboard).await? {
                break record;
            }
            let Some(asset) = self.store.asset_of_any(id).await? else { return Ok(None) };
            if asset.kind != Some(MediaKind::Video) || file != StoryboardFile::Text {
                return Ok(None);
            }
            match self.store.job_of(id, JobKind::Storyboard).await?.map(|job| job.state) {
                // It is known that there is none to be had.
                Some(JobState::Dead | JobState::Canceled) => return Ok(None),
                Some(JobState::Queued | JobState::Running) => {}
                None => {
                    let now_ms = self.clock.now_ms();
                    self.store.push_job(&asset.account, id, JobKind::Storyboard, now_ms).await?;
                    self.jobs_pushed();
                }
            }
            if since.elapsed() > STORYBOARD_PATIENCE {
                return Err(Fault::Unavailable.into());
            }
            tokio::time::sleep(STORYBOARD_STEP).await;
        };
        let name = file.name();
        let opened = self.store.blobs().read(&record.file(name.clone())).await?;
        let Some(opened) = opened else { return Ok(None) };
        let content_type = if file == StoryboardFile::Text { "text/vtt" } else { "image/jpeg" };
        Ok(Some(made_of(
            Piece::whole(opened),
            content_type,
            &record.folder,
            &name,
            Lifetime::Seconds(PLAYLIST_SECONDS),
        )))
    }

    async fn hls(&self, id: AssetId, path: &str) -> Result<Option<Content>> {
        let Some((record, path)) = self.made(id, JobKind::Hls, path).await? else { return Ok(None) };
        let details: HlsDetails = serde_json::from_str(&record.details).unwrap_or_default();
        let playlist = |text: String| {
            let pieces = vec![Piece::Bytes(text.into())];
            made_of(
                pieces,
                "application/vnd.apple.mpegurl",
                &record.folder,
                path,
                Lifetime::Seconds(PLAYLIST_SECONDS),
            )
        };
        if path == HLS_MASTER_FILE {
            return Ok(self.master_playlist(&record, &details).await?.map(playlist));
        }
        let (name, file) = path.split_once('/').unwrap_or((MAIN, path));
        let Some(variant) = details.variants.iter().find(|variant| variant.name == name) else {
            return Ok(None);
        };
        let Some(wanted) = HlsFile::parse(file) else { return Ok(None) };
        let Some(cached) = self.hls_index(&record, variant).await? else { return Ok(None) };
        let segment = |pieces| made_of(pieces, "video/mp4", &record.folder, path, Lifetime::Forever);
        Ok(match wanted {
            HlsFile::Playlist(rendition) => cached.index.media_playlist(rendition).map(playlist),
            HlsFile::Init(rendition) => {
                cached.index.init_segment(rendition).map(|init| segment(vec![Piece::Bytes(init.into())]))
            }
            HlsFile::Segment(rendition, n) => match cached.index.segment(rendition, n) {
                Some(made) => self.pieces_of(&record, variant, made).await?.map(segment),
                None => None,
            },
        })
    }

    async fn master_playlist(
        &self,
        record: &DerivativeRecord,
        details: &HlsDetails,
    ) -> Result<Option<String>> {
        let mut variants = Vec::new();
        for variant in &details.variants {
            let Some(cached) = self.hls_index(record, variant).await? else { return Ok(None) };
            // The main variant's files lie beside the playlist, the others' in a folder of their name.
            let prefix = if variant.name == MAIN { String::new() } else { format!("{}/", variant.name) };
            variants.push((prefix, cached));
        }
        let variants: Vec<_> =
            variants.iter().map(|(prefix, cached)| (prefix.as_str(), &cached.index)).collect();
        Ok(Some(hls::master_playlist(&variants)))
    }

    /// A segment: its head, and ranges of the file that holds the media.
    async fn pieces_of(
        &self,
        record: &DerivativeRecord,
        variant: &HlsVariant,
        segment: hls::Segment,
    ) -> Result<Option<Vec<Piece>>> {
        let source = match variant.source {
            HlsSource::Original => BlobKey::Original(record.asset_id),
            HlsSource::Media => record.file(media_file(&variant.name)),
        };
        let opened = self.store.blobs().read(&source).await?;
        let Some(Opened { source, .. }) = opened else { return Ok(None) };
        let ranges = segment.ranges.into_iter().map(|range| Piece::of(source.clone(), range));
        Ok(Some(std::iter::once(Piece::Bytes(segment.head.into())).chain(ranges).collect()))
    }

    /// A variant's index, read once and kept as long as there is room.
    async fn hls_index(
        &self,
        record: &DerivativeRecord,
        variant: &HlsVariant,
    ) -> Result<Option<Arc<CachedIndex>>> {
        let name = index_file(&variant.name);
        let key = format!("{}/{name}", record.folder);
        if let Some(cached) = self.hls_indices.get(&key) {
            return Ok(Some(cached));
        }
        let bytes = self.store.blobs().read_all(&record.file(name)).await?;
        let Some(bytes) = bytes else { return Ok(None) };
        let size = bytes.len() as u64;
        let Some(index) = spawn_blocking(move || hls::Index::from_bytes(&bytes)).await? else {
            tracing::error!(key, "an index is damaged or of another version and is made anew");
            if let Some(asset) = self.store.asset_of_any(record.asset_id).await? {
                let now_ms = self.clock.now_ms();
                self.store.push_job(&asset.account, asset.id, JobKind::Hls, now_ms).await?;
                self.jobs_pushed();
            }
            return Ok(None);
        };
        let cached = Arc::new(CachedIndex { index, size });
        self.hls_indices.insert(key, cached.clone());
        Ok(Some(cached))
    }
}

fn made_of(
    pieces: Vec<Piece>,
    content_type: &'static str,
    folder: &str,
    file: &str,
    lifetime: Lifetime,
) -> Content {
    // The folder names one attempt, whose files never change.
    Content {
        pieces,
        content_type: content_type.into(),
        etag: format!("{folder}/{file}"),
        lifetime,
        filename: None,
    }
}

/// How long it is believed that what was made is still there: players ask for one segment after the other, and each would wait
/// for the database. Where its bytes are gone, nothing is served all the same.
const BELIEVED: Duration = Duration::from_secs(1);

/// The longest a request waits for a storyboard that is being made.
const STORYBOARD_PATIENCE: Duration = Duration::from_secs(20);
const STORYBOARD_STEP: Duration = Duration::from_millis(200);

/// A file of a storyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoryboardFile {
    Text,
    Sheet(usize),
}

impl StoryboardFile {
    fn parse(name: &str) -> Option<Self> {
        if name == VTT_FILE {
            return Some(Self::Text);
        }
        number(name.strip_prefix("storyboard-")?.strip_suffix(".jpg")?).map(Self::Sheet)
    }

    fn name(self) -> String {
        match self {
            Self::Text => VTT_FILE.to_owned(),
            Self::Sheet(n) => format!("storyboard-{n}.jpg"),
        }
    }
}

/// How long copies are good of what may be made anew.
const PLAYLIST_SECONDS: u64 = 60;

/// Where a player begins.
pub const HLS_MASTER_FILE: &str = "master.m3u8";

/// What a name in a playlist means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HlsFile {
    Playlist(usize),
    Init(usize),
    Segment(usize, usize),
}

impl HlsFile {
    /// `main` and `audio-N` with `.m3u8`, `-init.mp4`, `-M.m4s`.
    fn parse(name: &str) -> Option<Self> {
        let rendition = |stem: &str| match stem {
            "main" => Some(0),
            _ => number(stem.strip_prefix("audio-")?).filter(|number| *number > 0),
        };
        if let Some(stem) = name.strip_suffix("-init.mp4") {
            return rendition(stem).map(Self::Init);
        }
        if let Some(stem) = name.strip_suffix(".m3u8") {
            return rendition(stem).map(Self::Playlist);
        }
        let (stem, n) = name.strip_suffix(".m4s")?.rsplit_once('-')?;
        Some(Self::Segment(rendition(stem)?, number(n)?))
    }
}

/// Digits without anything before them: one name for one thing.
fn number(text: &str) -> Option<usize> {
    let number: usize = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_playlists() {
        for (name, file) in [
            ("master.m3u8", None),
            ("main.m3u8", Some(HlsFile::Playlist(0))),
            ("audio-2.m3u8", Some(HlsFile::Playlist(2))),
            ("main-init.mp4", Some(HlsFile::Init(0))),
            ("audio-1-init.mp4", Some(HlsFile::Init(1))),
            ("main-0.m4s", Some(HlsFile::Segment(0, 0))),
            ("audio-3-17.m4s", Some(HlsFile::Segment(3, 17))),
            ("audio-0.m3u8", None),
            ("main-01.m4s", None),
            ("main-+1.m4s", None),
            ("main-.m4s", None),
            ("../master.m3u8", None),
            ("index", None),
        ] {
            assert_eq!(HlsFile::parse(name), file, "{name}");
        }
    }
}
