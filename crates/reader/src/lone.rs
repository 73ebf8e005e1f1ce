//! Images that are one coded picture, from their first byte to their last: JPEG XL, JPEG 2000, and what safe Rust does not
//! know of TIFF and BMP.

use std::io::Read;

use image::{DynamicImage, RgbImage, RgbaImage, metadata::Orientation};
use reelhouse_api::Resolution;
use reelhouse_media::process::{CodedFormat, CodedImage, Fit, ImageBounds, Input, Refused, show};

use crate::{
    libav::{self, Bare, Decoder, Frame, Matrix, Packet, Pixels, Scaler, Scaling},
    tiff,
};

/// What decodes it; `None` when its pictures are in boxes.
pub(crate) fn codec(format: CodedFormat) -> Option<Bare> {
    match format {
        CodedFormat::Heic | CodedFormat::Avif => None,
        CodedFormat::JpegXl => Some(Bare::JpegXl),
        CodedFormat::Jpeg2000 => Some(Bare::Jpeg2000),
        CodedFormat::Tiff => Some(Bare::Tiff),
        CodedFormat::Bmp => Some(Bare::Bmp),
    }
}

/// Decodes it.
pub(crate) fn examine(
    input: Input,
    format: CodedFormat,
    codec: Bare,
    bounds: ImageBounds,
) -> Result<CodedImage, Refused> {
    let Picture { frame, orientation, bytes } = Picture::decode(input, codec, bounds)?;
    let (channels, depth, has_alpha) =
        frame.channels().ok_or_else(|| refused("pixels of an unknown kind"))?;
    Ok(CodedImage {
        format,
        size: frame.size(),
        orientation: orientation.to_exif().into(),
        channels: Some(channels),
        bit_depth: Some(depth),
        has_alpha,
        // Of a JPEG XL, the first picture is all that is decoded.
        is_animated: (format != CodedFormat::JpegXl).then_some(false),
        bytes,
    })
}

/// The picture, small and ready to be shown.
pub(crate) fn shown(
    input: Input,
    codec: Bare,
    bounds: ImageBounds,
    within: Resolution,
) -> Result<RgbImage, Refused> {
    let Picture { frame, orientation, .. } = Picture::decode(input, codec, bounds)?;
    let turns = u32::from(orientation.to_exif());
    let Resolution { width, height } = frame.size().turned(turns).fitted(within).turned(turns);
    // A picture that is no video uses all values.
    let how =
        Scaling { width, height, pixels: Pixels::Rgba, matrix: Matrix::Bt601, full_range: true, half: false };
    let pixels = Scaler::new().scale(&frame, &how).map_err(|error| refused(&error.to_string()))?;
    let image = RgbaImage::from_raw(width, height, pixels).ok_or_else(|| refused("too few pixels"))?;
    // Without transparency, its channel is whatever the scaler left there.
    let has_alpha = frame.channels().is_some_and(|(_, _, has_alpha)| has_alpha);
    let image = DynamicImage::from(image);
    let image = if has_alpha { image } else { image.into_rgb8().into() };
    show(image, orientation, frame.profile().as_deref(), within).map_err(Refused::Broken)
}

struct Picture {
    frame: Frame,
    orientation: Orientation,
    /// Of the file.
    bytes: u64,
}

impl Picture {
    fn decode(input: Input, codec: Bare, bounds: ImageBounds) -> Result<Self, Refused> {
        let failed = |error: libav::Error| refused(&error.to_string());
        let unread = |error: std::io::Error| refused(&error.to_string());
        let len = input.size().map_err(unread)?;
        if len > bounds.max_bytes {
            return Err(refused("it would take too much memory"));
        }
        let mut file = Vec::new();
        input.reader().take(len).read_to_end(&mut file).map_err(unread)?;
        // A TIFF says how it is turned where an Exif does. JPEG XL is decoded upright.
        let mut turned = None;
        if codec == Bare::Tiff {
            turned = Orientation::from_exif_chunk(&file);
            tiff::keep_pixels(&mut file).ok_or_else(|| refused("no tables of pixels"))?;
        }
        let mut decoder = Decoder::strict(codec, bounds.max_pixels).map_err(failed)?;
        let mut frame = Frame::new().map_err(failed)?;
        decoder.send(Some(&Packet::of(&file).map_err(failed)?)).map_err(failed)?;
        decoder.send(None).map_err(failed)?;
        if !decoder.receive(&mut frame).map_err(failed)? {
            return Err(refused("there is no picture in it"));
        }
        if frame.is_damaged() {
            return Err(refused("a part of it does not decode"));
        }
        Ok(Self { frame, orientation: turned.unwrap_or(Orientation::NoTransforms), bytes: len })
    }
}

fn refused(reason: &str) -> Refused {
    Refused::Broken(reason.to_owned())
}
