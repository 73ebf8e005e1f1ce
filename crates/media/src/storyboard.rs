//! Small pictures of a whole video, for a player's time line: sheets of tiles, and a WebVTT that says which is when.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use image::{Rgb, RgbImage, imageops};
use reelhouse_api::{MediaKind, Resolution, TechnicalMetadata};

use crate::{
    Error, Media,
    probe::broken,
    process::{Request, Tiles},
    shape,
    still::{self, Fit},
};

/// Of a tile; the height follows the picture, up to a bound.
const WITHIN: Resolution = Resolution { width: 160, height: 284 };
/// Tiles in a row, and rows.
const SIDE: u32 = 5;
const A_SHEET: usize = (SIDE * SIDE) as usize;
/// Seconds from one tile to the next, at the least.
const EVERY: f64 = 2.0;
/// Tiles of a long video.
const MOST: f64 = 100.0;
/// Bytes of a sheet.
const BELOW: usize = 500_000;
/// Seconds of a video that are decoded whole, where keyframes are too few.
const PATIENCE: f64 = 1800.0;

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Storyboard {
    /// The sheets, in order: `storyboard-0.jpg` and so on.
    pub sheets: Vec<PathBuf>,
    /// WebVTT. It names the sheets relative to itself.
    pub vtt: String,
}

impl Media {
    /// Writes the sheets of a video's storyboard into a folder, and says which tile is when.
    ///
    /// # Errors
    /// [`Error::Broken`] for what has no picture or no length, or when no frame can be had.
    pub async fn storyboard(
        &self,
        source: &Path,
        facts: &TechnicalMetadata,
        out_dir: &Path,
    ) -> Result<Storyboard, Error> {
        let refused = |reason: &str| broken(MediaKind::Video, reason);
        let stream = shape::main_video(facts).ok_or_else(|| refused("no video track"))?;
        let size = shape::shown(stream).ok_or_else(|| refused("no dimensions"))?.fitted(WITHIN);
        let seconds = facts.video_duration_seconds.or(facts.audio_duration_seconds);
        let seconds = seconds.ok_or_else(|| refused("no length"))?;
        let every = f64::max(EVERY, seconds / MOST);
        let count = (seconds / every).ceil().clamp(1.0, MOST) as usize;

        let request = Request::Tiles(Tiles {
            stream: stream.clone(),
            size,
            every,
            count,
            patient: seconds <= PATIENCE,
        });
        let mut frames = self.pictures(source, MediaKind::Video, request, count).await?;
        let last = frames.last().cloned().ok_or_else(|| refused("no frame decodes"))?;
        if (last.width(), last.height()) != (size.width, size.height) {
            return Err(refused("tiles of another size than was asked"));
        }
        // After its last keyframe, and where the picture ends early, the last one stays.
        frames.resize(count, last);
        let vtt = vtt(frames.len(), every, seconds, size);
        let folder = out_dir.to_owned();
        let written = tokio::task::spawn_blocking(move || {
            let sheets = frames.chunks(A_SHEET).enumerate().map(|(n, frames)| {
                let path = folder.join(format!("storyboard-{n}.jpg"));
                still::write_jpeg(&sheet(frames, size), BELOW, &path).map(|()| path)
            });
            sheets.collect::<Result<Vec<_>, _>>()
        });
        let sheets = written.await.map_err(std::io::Error::other)??;
        Ok(Storyboard { sheets, vtt })
    }
}

/// The last sheet is no higher than it must be.
fn sheet(frames: &[RgbImage], size: Resolution) -> RgbImage {
    let rows = u32::try_from(frames.len()).unwrap_or(SIDE * SIDE).div_ceil(SIDE);
    let mut sheet = RgbImage::from_pixel(size.width * SIDE, size.height * rows, Rgb([0; 3]));
    for (n, frame) in (0u32..).zip(frames) {
        let (x, y) = place(n, size);
        imageops::replace(&mut sheet, frame, x.into(), y.into());
    }
    sheet
}

/// Where a tile lies on its sheet.
fn place(n: u32, size: Resolution) -> (u32, u32) {
    (n % SIDE * size.width, n / SIDE * size.height)
}

fn vtt(count: usize, every: f64, seconds: f64, size: Resolution) -> String {
    let mut text = "WEBVTT\n".to_owned();
    for n in 0..count {
        let start = n as f64 * every;
        // The last one lasts to the end.
        let end = if n + 1 == count { f64::max(seconds, start + 0.001) } else { start + every };
        let (x, y) = place((n % A_SHEET) as u32, size);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n{} --> {}\nstoryboard-{}.jpg#xywh={x},{y},{},{}\n",
            clock(start),
            clock(end),
            n / A_SHEET,
            size.width,
            size.height
        );
    }
    text
}

/// `01:02:03.500`.
fn clock(seconds: f64) -> String {
    let ms = (seconds * 1000.0).round() as u64;
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tile_has_its_time_and_place() {
        let text = vtt(27, 2.0, 53.2, Resolution { width: 160, height: 90 });
        let cues: Vec<&str> = text.split("\n\n").collect();
        assert_eq!((cues.len(), cues[0]), (28, "WEBVTT"));
        assert_eq!(cues[1], "00:00:00.000 --> 00:00:02.000\nstoryboard-0.jpg#xywh=0,0,160,90");
        assert_eq!(cues[7], "00:00:12.000 --> 00:00:14.000\nstoryboard-0.jpg#xywh=160,90,160,90");
        assert_eq!(cues[26], "00:00:50.000 --> 00:00:52.000\nstoryboard-1.jpg#xywh=0,0,160,90");
        assert_eq!(cues[27], "00:00:52.000 --> 00:00:53.200\nstoryboard-1.jpg#xywh=160,0,160,90\n");
        assert_eq!(clock(3_723.5), "01:02:03.500");
    }
}
