//! From decoded frames to pictures that are ready to be shown: upright, square pixels, progressive, SDR.

use image::{RgbImage, imageops};
use reelhouse_api::{Resolution, VideoStream};
use reelhouse_media::process::{self, Pixels, Reply, is_hdr, is_interlaced};

use crate::{
    libav::{self, Frame, Matrix, Scaler, Scaling},
    tone,
};

/// How the pictures of a track become small ones.
pub(crate) struct Looks {
    scaling: Scaling,
    /// Quarter turns, clockwise.
    turns: i32,
    /// How bright it was meant to be, where that is more than screens of old show.
    light: Option<tone::Light>,
    scaler: Scaler,
}

impl Looks {
    /// Of a track, as the facts have it; `size` is that of the picture as it is shown.
    pub(crate) fn of(stream: &VideoStream, size: Resolution) -> Self {
        let turns = stream.rotation.unwrap_or(0).rem_euclid(360) / 90;
        let Resolution { width, height } =
            if turns % 2 == 1 { Resolution { width: size.height, height: size.width } } else { size };
        let light = is_hdr(stream).then(|| tone::Light::of(stream));
        let scaling = Scaling {
            width,
            height,
            pixels: if light.is_some() { libav::Pixels::DeepRgb } else { libav::Pixels::Rgb },
            // HDR without BT.2020 does not exist: many files name the transfer and forget the rest.
            matrix: if light.is_some() { Matrix::Bt2020 } else { matrix(stream) },
            full_range: stream.color_range.as_deref() == Some("pc"),
            half: is_interlaced(stream),
        };
        Self { scaling, turns, light, scaler: Scaler::new() }
    }

    /// One picture.
    pub(crate) fn show(&mut self, frame: &Frame) -> Option<RgbImage> {
        let scaling =
            Scaling { full_range: self.scaling.full_range || frame.is_full_range(), ..self.scaling };
        let pixels = self.scaler.scale(frame, &scaling).ok()?;
        let pixels = match self.light {
            Some(light) => tone::map(&pixels, light),
            None => pixels,
        };
        let image = RgbImage::from_raw(scaling.width, scaling.height, pixels)?;
        Some(match self.turns {
            1 => imageops::rotate90(&image),
            2 => imageops::rotate180(&image),
            3 => imageops::rotate270(&image),
            _ => image,
        })
    }

    /// Its grey values, which are all there is of a transparency.
    pub(crate) fn grey(&mut self, frame: &Frame) -> Option<Vec<u8>> {
        let full_range = self.scaling.full_range || frame.is_full_range();
        let scaling = Scaling { full_range, pixels: libav::Pixels::Gray, ..self.scaling };
        self.scaler.scale(frame, &scaling).ok()
    }
}

fn matrix(stream: &VideoStream) -> Matrix {
    match process::matrix(stream) {
        "bt709" => Matrix::Bt709,
        "fcc" => Matrix::Fcc,
        "smpte240m" => Matrix::Smpte240,
        "bt2020" => Matrix::Bt2020,
        _ => Matrix::Bt601,
    }
}

/// Pictures of one size.
pub(crate) fn reply(pictures: &[RgbImage]) -> Reply {
    let (width, height) = pictures.first().map_or((0, 0), |first| first.dimensions());
    let pixels: Vec<u8> = pictures.iter().flat_map(|picture| picture.as_raw()).copied().collect();
    Reply::new(&Pixels { size: Resolution { width, height }, count: pictures.len() }, pixels)
}
