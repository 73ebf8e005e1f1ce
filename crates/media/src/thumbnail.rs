//! One picture that stands for a file: the best of several frames, the image itself, the cover or the shape of a sound.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use image::RgbImage;
use reelhouse_api::{MediaKind, Resolution, TechnicalMetadata, VideoStream};

use crate::{
    Error, Failure, Media, Sniffed, ffmpeg, heif, picture,
    probe::{broken, in_memory},
    score::{DULL, score},
    shape, sniff,
    still::{self, Fit},
    wave::{self, Loudness},
};

/// As wide as the contract says; tall ones end somewhere, too.
const WITHIN: Resolution = Resolution { width: 640, height: 1280 };
/// Bytes of a thumbnail.
const BELOW: usize = 100_000;
/// Frames that are compared.
const CANDIDATES: u32 = 8;
/// Pixels of all the decoders that are open at once: eight of 4K.
const MAX_OPEN_PIXELS: u64 = 8 * 3840 * 2160;
/// Seconds from which frames are taken where keyframes show nothing.
const PATIENCE: f64 = 60.0;
/// Bytes of an embedded cover.
const MAX_COVER: u64 = 32 << 20;

impl Media {
    /// Writes the picture that stands for a file: a JPEG of at most 640 pixels in width, below 100 KB, upright, with
    /// square pixels, sRGB.
    ///
    /// # Errors
    /// [`Error::Broken`] and [`Error::Ffmpeg`] when no picture can be made of it.
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
                None => self.waveform(source).await?,
            },
        };
        let out = out.to_owned();
        blocking(kind, move || still::write_jpeg(&image, BELOW, &out)).await
    }

    async fn image(&self, source: &Path, facts: &TechnicalMetadata) -> Result<RgbImage, Error> {
        let mime = facts.file_mime_type.clone().unwrap_or_default();
        if !picture::decodes(&mime) {
            return heif::shown(&self.spawner, &self.config, self.abilities, source, WITHIN).await;
        }
        let source = source.to_owned();
        self.decoded(move || File::open(source), mime).await
    }

    /// Decoded by safe Rust.
    async fn decoded(
        &self,
        open: impl FnOnce() -> io::Result<File> + Send + 'static,
        mime: String,
    ) -> Result<RgbImage, Error> {
        let (max_pixels, memory) = (self.config.max_image_pixels, self.image_memory.clone());
        blocking(MediaKind::Image, move || still::from_file(open()?, &mime, max_pixels, &memory, WITHIN))
            .await
    }

    /// The cover inside a sound; `None` when there is none, or none that decodes.
    async fn cover(&self, source: &Path) -> Option<RgbImage> {
        let mut command = ffmpeg::command(&self.config);
        ffmpeg::input(&mut command, source);
        command.args(["-map", "0:v:0", "-c", "copy", "-frames:v", "1", "-f", "image2pipe"]);
        let bytes =
            ffmpeg::print(&self.spawner, &self.config, command, Stdio::null(), MAX_COVER).await.ok()?;
        let Sniffed::Media { kind: MediaKind::Image, mime } = sniff(&bytes) else { return None };
        self.decoded(move || in_memory(&bytes), mime.to_owned()).await.ok()
    }

    async fn waveform(&self, source: &Path) -> Result<RgbImage, Error> {
        let mut command = ffmpeg::command(&self.config);
        ffmpeg::input(&mut command, source);
        command.args(["-map", "0:a:0", "-ac", "1", "-ar", &wave::RATE.to_string(), "-f", "s16le"]);
        let loudness = ffmpeg::stream(&self.spawner, &self.config, command, Loudness::read).await?;
        blocking(MediaKind::Audio, move || Ok(loudness.draw())).await
    }

    async fn best_frame(&self, source: &Path, facts: &TechnicalMetadata) -> Result<RgbImage, Error> {
        let stream = shape::main_video(facts).ok_or_else(|| broken(MediaKind::Video, "no video track"))?;
        let size = shape::shown(stream).ok_or_else(|| broken(MediaKind::Video, "no dimensions"))?;
        let video = Video { source: source.to_owned(), stream, size: size.fitted(WITHIN), facts };
        let best = match self.frames(&video, Take::Keyframes).await {
            Ok(frames) => best(frames).await?,
            Err(_) => None,
        };
        match best {
            Some((score, frame)) if score >= DULL => Ok(frame),
            dull => {
                // One keyframe, and black; or none that can be found.
                let all = self.frames(&video, Take::All).await;
                let other = match all {
                    Ok(frames) => best_of(frames, dull).await?,
                    Err(error) => return dull.map(|(_, frame)| frame).ok_or(error),
                };
                let nothing = || Failure::NoResult("no frame decodes".to_owned()).into();
                other.map(|(_, frame)| frame).ok_or_else(nothing)
            }
        }
    }

    async fn frames(&self, video: &Video<'_>, take: Take) -> Result<Vec<RgbImage>, Error> {
        let Resolution { width, height } = video.size;
        let filters = shape::single_frames(video.stream, video.size, self.abilities);
        let mut command = ffmpeg::command(&self.config);
        let most = match take {
            Take::Keyframes => {
                let times = video.times();
                for time in &times {
                    command.args(["-threads", "1", "-skip_frame", "nokey", "-noaccurate_seek"]);
                    command.args(["-ss", &format!("{time:.3}")]);
                    ffmpeg::input(&mut command, &video.source);
                }
                let index = video.index();
                let each = (0..times.len())
                    .map(|n| format!("[{n}:{index}]trim=end_frame=1,{filters},setpts=0[{n}v];"))
                    .collect::<String>();
                let joined = (0..times.len()).map(|n| format!("[{n}v]")).collect::<String>();
                let graph = format!("{each}{joined}concat=n={}[out]", times.len());
                command.args(["-filter_complex", &graph, "-map", "[out]"]);
                times.len() as u64
            }
            Take::All => {
                let seconds = video.seconds().unwrap_or(PATIENCE).min(PATIENCE);
                let every = seconds / f64::from(CANDIDATES);
                ffmpeg::input(&mut command, &video.source);
                command.args(["-map", &format!("0:{}", video.index()), "-t", &format!("{seconds:.3}")]);
                let picked =
                    format!("select='isnan(prev_selected_t)+gte(t-prev_selected_t,{every:.3})',{filters}");
                command.args(["-vf", &picked]);
                u64::from(CANDIDATES) + 1
            }
        };
        command.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24"]);
        let bytes = u64::from(width) * u64::from(height) * 3;
        let printed =
            ffmpeg::print(&self.spawner, &self.config, command, Stdio::null(), bytes * (most + 1)).await?;
        let frames = printed.chunks_exact(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(frames.filter_map(|pixels| RgbImage::from_raw(width, height, pixels.to_vec())).collect())
    }
}

/// Which frames are looked at.
#[derive(Debug, Clone, Copy)]
enum Take {
    /// Keyframes near times that are spread over the whole.
    Keyframes,
    /// Any, of the first minute.
    All,
}

struct Video<'a> {
    source: PathBuf,
    stream: &'a VideoStream,
    size: Resolution,
    facts: &'a TechnicalMetadata,
}

impl Video<'_> {
    fn index(&self) -> u32 {
        self.stream.index.unwrap_or_default()
    }

    fn seconds(&self) -> Option<f64> {
        self.facts.video_duration_seconds.or(self.facts.audio_duration_seconds)
    }

    /// Seconds near which keyframes are looked for: from 5 to 90 % of the whole, no more decoders than fit.
    fn times(&self) -> Vec<f64> {
        let Some(seconds) = self.seconds() else { return vec![0.0, 2.0, 6.0] };
        let pixels =
            u64::from(self.stream.width.unwrap_or(1)) * u64::from(self.stream.height.unwrap_or(1)).max(1);
        let room = u32::try_from(MAX_OPEN_PIXELS / pixels.max(1)).unwrap_or(CANDIDATES);
        // Keyframes nearer than half a second are rarely others.
        let count = ((seconds * 2.0).ceil() as u32).min(room).clamp(1, CANDIDATES);
        let part = |n: u32| 0.05 + 0.85 * (f64::from(n) + 0.5) / f64::from(count);
        (0..count).map(|n| seconds * part(n)).collect()
    }
}

async fn best(frames: Vec<RgbImage>) -> Result<Option<(f64, RgbImage)>, Error> {
    best_of(frames, None).await
}

async fn best_of(
    frames: Vec<RgbImage>,
    than: Option<(f64, RgbImage)>,
) -> Result<Option<(f64, RgbImage)>, Error> {
    blocking(MediaKind::Video, move || {
        let scored = frames.into_iter().map(|frame| (score(&frame), frame)).chain(than);
        Ok(scored.max_by(|(a, _), (b, _)| a.total_cmp(b)))
    })
    .await
}

/// On a thread that may block; a decoder that panics has met a broken file.
async fn blocking<T: Send + 'static>(
    kind: MediaKind,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(broken(kind, format!("it gave up: {panic}"))))
}
