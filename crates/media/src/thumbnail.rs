//! One picture that stands for a file: the best of several frames, the image itself, the cover or the shape of a sound.

use std::{io, path::Path};

use image::RgbImage;
use reelhouse_api::{MediaKind, Resolution, TechnicalMetadata};

use crate::{
    Error, Media, Sniffed, Source,
    probe::{broken, coded},
    process::{BestFrame, Pixels, Request},
    reader::Failure,
    shape, sniff,
    still::{self, Fit},
};

/// As wide as the contract says; tall ones end somewhere, too.
const WITHIN: Resolution = Resolution { width: 640, height: 1280 };
/// Bytes of a thumbnail.
const BELOW: usize = 100_000;
/// Frames that are compared.
const CANDIDATES: u32 = 8;
/// The part of a video whose frames are looked at first.
const FIRST: f64 = 0.3;
/// Seconds from which frames are taken where keyframes show nothing.
const PATIENCE: f64 = 60.0;
/// Bytes of an embedded cover.
const MAX_COVER: u64 = 32 << 20;

impl Media {
    /// Writes the picture that stands for a file: a JPEG of at most 640 pixels in width, below 100 KB, upright, with
    /// square pixels, sRGB.
    ///
    /// # Errors
    /// [`Error::Broken`] when no picture can be made of it, [`Error::Child`] when the child dies or hangs.
    pub async fn thumbnail(
        &self,
        source: &Path,
        kind: MediaKind,
        facts: &TechnicalMetadata,
        out: &Path,
    ) -> Result<(), Error> {
        let image = match kind {
            MediaKind::Video => self.best_frame(source, facts).await?,
            MediaKind::Image => self.image(source, facts).await?,
            MediaKind::Audio => match self.cover(source).await {
                Some(cover) => cover,
                None => self.picture(source, kind, Request::Waveform).await?,
            },
        };
        let out = out.to_owned();
        blocking(kind, move || still::write_jpeg(&image, BELOW, &out)).await
    }

    async fn image(&self, source: &Path, facts: &TechnicalMetadata) -> Result<RgbImage, Error> {
        let mime = facts.file_mime_type.clone().unwrap_or_default();
        if let Some(image) = self.decoded(source.into(), mime.clone()).await? {
            return Ok(image);
        }
        let request = Request::CodedPicture(coded(&mime)?, self.config.image_bounds(), WITHIN);
        self.picture(source, MediaKind::Image, request).await
    }

    /// Decoded by safe Rust, where it can.
    async fn decoded(&self, source: Source, mime: String) -> Result<Option<RgbImage>, Error> {
        let (max_pixels, memory) = (self.config.max_image_pixels, self.image_memory.clone());
        blocking(MediaKind::Image, move || still::from_source(&source, &mime, max_pixels, &memory, WITHIN))
            .await
    }

    /// The cover inside a sound; `None` when there is none, or none that decodes.
    async fn cover(&self, source: &Path) -> Option<RgbImage> {
        let file = Source::from(source).open().await.ok()?;
        let request = Request::Cover { most: MAX_COVER };
        let patience = self.config.picture_patience(MAX_COVER);
        let ((), bytes) = self.reader.ask(&file, request, patience).await.ok()?;
        let Sniffed::Media { kind: MediaKind::Image, mime } = sniff(&bytes) else { return None };
        self.decoded(Source::Bytes(bytes.into()), mime.to_owned()).await.ok().flatten()
    }

    async fn best_frame(&self, source: &Path, facts: &TechnicalMetadata) -> Result<RgbImage, Error> {
        let stream = shape::main_video(facts).ok_or_else(|| broken(MediaKind::Video, "no video track"))?;
        let size = shape::shown(stream).ok_or_else(|| broken(MediaKind::Video, "no dimensions"))?;
        let seconds = facts.video_duration_seconds.or(facts.audio_duration_seconds);
        let request = Request::BestFrame(BestFrame {
            stream: stream.clone(),
            size: size.fitted(WITHIN),
            times: times(seconds),
            patience: seconds.unwrap_or(PATIENCE).min(PATIENCE),
        });
        self.picture(source, MediaKind::Video, request).await
    }

    /// What a child shows of a file.
    async fn picture(&self, source: &Path, kind: MediaKind, request: Request) -> Result<RgbImage, Error> {
        let mut pictures = self.pictures(source, kind, request, 1).await?;
        pictures.pop().ok_or_else(|| broken(kind, "no picture"))
    }

    /// Pictures, none larger than a thumbnail, no more than `most`.
    pub(crate) async fn pictures(
        &self,
        source: &Path,
        kind: MediaKind,
        request: Request,
        most: usize,
    ) -> Result<Vec<RgbImage>, Error> {
        let file = Source::from(source).open().await?;
        let bytes = u64::from(WITHIN.width) * u64::from(WITHIN.height) * 3 * most as u64;
        let asked = self.reader.ask::<Pixels>(&file, request, self.config.picture_patience(bytes)).await;
        let (Pixels { size, count }, pixels) = asked.map_err(|failure| match failure {
            // It was sound when it came: a machine that is busy, or short of memory, is tried again.
            Failure::Died(reason) => Error::Child(io::Error::other(reason)),
            failure => failure.of(kind),
        })?;
        let lies = || broken(kind, "pictures of another size than was asked");
        let Resolution { width, height } = size;
        if width == 0 || height == 0 || width > WITHIN.width || height > WITHIN.height || count > most {
            return Err(lies());
        }
        let each = width as usize * height as usize * 3;
        if pixels.len() != each * count {
            return Err(lies());
        }
        let pictures = pixels.chunks_exact(each);
        Ok(pictures.filter_map(|pixels| RgbImage::from_raw(width, height, pixels.to_vec())).collect())
    }
}

/// Seconds near which keyframes are looked for: from 5 to 90 % of the whole, what lies in the middle first.
fn times(seconds: Option<f64>) -> Vec<f64> {
    let Some(seconds) = seconds else { return vec![2.0, 0.0, 6.0] };
    // Keyframes nearer than half a second are rarely others.
    let count = ((seconds * 2.0).ceil() as u32).clamp(1, CANDIDATES);
    let part = |n: u32| 0.05 + 0.85 * (f64::from(n) + 0.5) / f64::from(count);
    let mut times: Vec<f64> = (0..count).map(|n| seconds * part(n)).collect();
    times.sort_by(|a, b| (a - seconds * FIRST).abs().total_cmp(&(b - seconds * FIRST).abs()));
    times
}

/// On a thread that may block; a decoder that panics has met a broken file.
async fn blocking<T: Send + 'static>(
    kind: MediaKind,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(broken(kind, format!("it gave up: {panic}"))))
}
