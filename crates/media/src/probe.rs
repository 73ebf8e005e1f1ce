//! What the media process is asked of a whole file. What it answers is read by [`crate::facts`].

use std::{ffi::OsString, path::Path};

use reelhouse_api::{MediaKind, Resolution, TechnicalMetadata};

use crate::{
    Config, Error, Facts, Sniffed, Source, facts,
    process::{CodedFormat, CodedImage, ImageBounds, Probe, Refused, Request},
    reader::{Failure, MAX_TEXT, Patience, Reader},
};

/// Containers and elementary streams. No playlist, no script, no text, no image sequence, nothing that opens another
/// file or address.
pub const DEMUXERS: &str = "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,ogg,wav,w64,aiff,caf,flac,mp3,aac,ac3,eac3,\
     dts,truehd,amr,asf,rm,mxf,ivf,yuv4mpegpipe,h264,hevc,vc1,obu,dv,gxf,nut,tta,wv,ape,au,dsf";

impl Config {
    /// What looking at a file may take.
    pub(crate) fn probe_patience(&self) -> Patience {
        Patience { time: self.probe_timeout, memory: self.reader_memory, niceness: 0, most: MAX_TEXT }
    }

    /// What making pictures of it may take, of so many bytes.
    pub(crate) fn picture_patience(&self, bytes: u64) -> Patience {
        Patience {
            time: self.picture_timeout,
            memory: self.reader_memory,
            niceness: NICENESS,
            most: MAX_TEXT + bytes,
        }
    }

    pub(crate) fn image_bounds(&self) -> ImageBounds {
        ImageBounds { max_pixels: self.max_image_pixels, max_bytes: self.max_image_memory }
    }
}

/// What stands back for those who wait.
pub(crate) const NICENESS: i32 = 10;

/// Probes a file, decodes its first frames, and looks at its end where its index does not tell of it.
pub(crate) async fn examine(
    reader: &Reader,
    config: &Config,
    source: &Source,
    sniffed: &Sniffed,
) -> Result<Facts, Error> {
    let mime = match sniffed {
        Sniffed::Media { mime, .. } => Some((*mime).to_owned()),
        Sniffed::Unknown | Sniffed::Other { .. } => None,
    };
    let file = source.open().await?;
    match reader.ask::<Probe>(&file, Request::Probe { mime }, config.probe_patience()).await {
        Ok((probe, _)) => facts::read(&probe, sniffed),
        Err(Failure::Refused(Refused::Unreadable(reason))) => Err(unreadable(sniffed, reason)),
        Err(failure) => Err(failure.of(guess(sniffed))),
    }
}

/// An image that safe Rust does not decode: its tables are read, and every picture decodes.
pub(crate) async fn examine_image(
    reader: &Reader,
    config: &Config,
    source: &Source,
    mime: &str,
) -> Result<Facts, Error> {
    let format = coded(mime)?;
    let file = source.open().await?;
    let request = Request::CodedImage(format, config.image_bounds());
    let asked = reader.ask::<CodedImage>(&file, request, config.probe_patience()).await;
    let (image, _) = asked.map_err(|failure| failure.of(MediaKind::Image))?;
    let CodedImage { format, size, orientation, channels, bit_depth, has_alpha, is_animated, bytes } = image;
    let (mime, name) = (format.mime(), format.name());
    let Resolution { width, height } = size;
    let technical = TechnicalMetadata {
        file_size_bytes: Some(bytes),
        file_mime_type: Some(mime.to_owned()),
        image_width: Some(width),
        image_height: Some(height),
        image_format: Some(name.to_owned()),
        image_orientation: Some(orientation),
        image_color_space: channels.map(|channels| if channels < 3 { "Grayscale" } else { "RGB" }.to_owned()),
        image_bit_depth: bit_depth.map(u32::from),
        has_alpha: Some(has_alpha),
        is_animated,
        ..TechnicalMetadata::default()
    };
    Ok(Facts {
        kind: MediaKind::Image,
        mime: mime.to_owned(),
        duration: None,
        upright: Some(size.turned(orientation)),
        format: name.to_owned(),
        technical,
    })
}

/// What is asked of a child about an image of this type.
pub(crate) fn coded(mime: &str) -> Result<CodedFormat, Error> {
    CodedFormat::of(mime).ok_or_else(|| broken(MediaKind::Image, format!("no decoder for {mime}")))
}

impl Failure {
    /// As an error of a file of this kind.
    pub(crate) fn of(self, kind: MediaKind) -> Error {
        match self {
            Self::Refused(
                Refused::Unreadable(reason) | Refused::Broken(reason) | Refused::Nothing(reason),
            )
            | Self::Died(reason) => broken(kind, reason),
            Self::Io(error) => error.into(),
        }
    }
}

/// The name of a file that cannot be taken for anything else.
pub(crate) fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}

/// A file in which no demuxer finds a track: broken if its first bytes promised media, else no media at all.
pub(crate) fn unreadable(sniffed: &Sniffed, reason: impl Into<String>) -> Error {
    match sniffed {
        Sniffed::Media { kind, .. } => broken(*kind, reason),
        Sniffed::Unknown => Error::NotMedia { mime: "application/octet-stream".to_owned() },
        Sniffed::Other { mime } => Error::NotMedia { mime: mime.clone() },
    }
}

/// What a file would have been.
fn guess(sniffed: &Sniffed) -> MediaKind {
    match sniffed {
        Sniffed::Media { kind, .. } => *kind,
        Sniffed::Unknown | Sniffed::Other { .. } => MediaKind::Video,
    }
}

pub(crate) fn broken(kind: MediaKind, reason: impl Into<String>) -> Error {
    Error::Broken { kind, reason: reason.into() }
}
