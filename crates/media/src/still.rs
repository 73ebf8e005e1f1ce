//! From any image to a small one that is ready to be shown: upright, sRGB, on white.

use std::path::Path;

use fast_image_resize::{ResizeOptions, Resizer};
use image::{DynamicImage, ImageDecoder, RgbImage, metadata::Orientation};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};
use reelhouse_api::{MediaKind, Resolution};

use crate::{
    Error, Source,
    picture::{self, Memory},
    probe::broken,
};

/// The first picture of an image file, on a thread that may block; `None` when it is for a child to show.
pub(crate) fn from_source(
    source: &Source,
    mime: &str,
    max_pixels: u64,
    memory: &Memory,
    within: Resolution,
) -> Result<Option<RgbImage>, Error> {
    let refused = |reason: String| broken(MediaKind::Image, reason);
    let opened = picture::open_bounded(source, mime, max_pixels, memory)?;
    let Some(mut opened) = opened else { return Ok(None) };
    let orientation = opened.decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = opened.decoder.icc_profile().ok().flatten();
    let image = picture::known(DynamicImage::from_decoder(opened.decoder), mime)?;
    image.map(|image| show(image, orientation, profile.as_deref(), within).map_err(refused)).transpose()
}

/// Makes a decoded image small and ready.
///
/// # Errors
/// The scaler's, for the log.
pub fn show(
    image: DynamicImage,
    orientation: Orientation,
    profile: Option<&[u8]>,
    within: Resolution,
) -> Result<RgbImage, String> {
    let size = Resolution { width: image.width(), height: image.height() };
    // The bound is for the picture as it is shown.
    let small = size.turned(orientation.to_exif().into()).fitted(within).turned(orientation.to_exif().into());
    // The small one's colours are the cheaper ones to convert.
    let mut image = resized(image, small)?;
    image.apply_orientation(orientation);
    let alpha = image.color().has_alpha().then(|| image.to_rgba8());
    let mut rgb = image.into_rgb8();
    if let Some(profile) = profile {
        to_srgb(&mut rgb, profile);
    }
    if let Some(alpha) = alpha {
        for (pixel, with_alpha) in rgb.pixels_mut().zip(alpha.pixels()) {
            let alpha = u16::from(with_alpha.0[3]);
            for channel in &mut pixel.0 {
                let blended = (u16::from(*channel) * alpha + 255 * (255 - alpha) + 127) / 255;
                *channel = u8::try_from(blended).unwrap_or(u8::MAX);
            }
        }
    }
    Ok(rgb)
}

fn resized(image: DynamicImage, size: Resolution) -> Result<DynamicImage, String> {
    if (image.width(), image.height()) == (size.width, size.height) {
        return Ok(image);
    }
    let mut small = DynamicImage::new(size.width, size.height, image.color());
    Resizer::new().resize(&image, &mut small, &ResizeOptions::new()).map_err(|error| error.to_string())?;
    Ok(small)
}

/// A profile that makes no sense, or is of another kind of pixels (CMYK), changes nothing.
fn to_srgb(image: &mut RgbImage, profile: &[u8]) {
    let Ok(profile) = ColorProfile::new_from_slice(profile) else { return };
    if profile.color_space != DataColorSpace::Rgb {
        return;
    }
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions::default();
    let Ok(transform) = profile.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, options) else {
        return;
    };
    let mut converted = vec![0; image.len()];
    if transform.transform(image, &mut converted).is_ok() {
        image.copy_from_slice(&converted);
    }
}

/// Sizes, and how they fit.
pub trait Fit {
    /// The largest size of these proportions inside a bound; never larger than it is.
    fn fitted(self, within: Resolution) -> Resolution;
}

impl Fit for Resolution {
    fn fitted(self, within: Resolution) -> Resolution {
        let (width, height) = (f64::from(self.width.max(1)), f64::from(self.height.max(1)));
        let factor = f64::min(f64::from(within.width) / width, f64::from(within.height) / height).min(1.0);
        let side = |side: f64, most: u32| ((side * factor).round() as u32).clamp(1, most.max(1));
        Resolution { width: side(width, within.width), height: side(height, within.height) }
    }
}

/// Writes a JPEG of fewer bytes than `below`, as good as that allows.
pub(crate) fn write_jpeg(image: &RgbImage, below: usize, path: &Path) -> Result<(), Error> {
    let jpeg = jpeg(image, below)?;
    // Made again when lost; who keeps it sees to its durability.
    std::fs::write(path, jpeg)?;
    Ok(())
}

/// The qualities that are tried, best first.
const QUALITIES: [u8; 8] = [85, 78, 70, 60, 48, 35, 20, 8];

fn jpeg(image: &RgbImage, below: usize) -> Result<Vec<u8>, Error> {
    let unwritable = |reason: String| broken(MediaKind::Image, reason);
    let side = |side: u32| u16::try_from(side).map_err(|error| unwritable(error.to_string()));
    let (width, height) = (side(image.width())?, side(image.height())?);
    let mut smallest = Vec::new();
    for quality in QUALITIES {
        let mut bytes = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, quality);
        // Tables made for one picture would save a tenth, but a plain picture's have a single code, which zune-jpeg misreads.
        encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_2_0);
        encoder
            .encode(image, width, height, jpeg_encoder::ColorType::Rgb)
            .map_err(|error| unwritable(error.to_string()))?;
        if bytes.len() < below {
            return Ok(bytes);
        }
        smallest = bytes;
    }
    Err(unwritable(format!("{} bytes at the lowest quality", smallest.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_fit_and_never_grow() {
        let bound = Resolution { width: 640, height: 1280 };
        let fitted = |width, height| {
            let size = Resolution { width, height }.fitted(bound);
            (size.width, size.height)
        };
        assert_eq!(fitted(1920, 1080), (640, 360));
        assert_eq!(fitted(1080, 1920), (640, 1138));
        assert_eq!(fitted(100, 50), (100, 50));
        assert_eq!(fitted(10_000, 1), (640, 1));
        assert_eq!(fitted(1, 10_000), (1, 1280));
    }

    #[test]
    fn noise_is_below_the_bound_too() {
        let mut state = 1u32;
        let noise = RgbImage::from_fn(640, 1280, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            image::Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
        });
        assert!(jpeg(&noise, 100_000).unwrap().len() < 100_000);
    }

    #[test]
    fn alpha_lies_on_white_and_orientation_is_applied() {
        let mut image = image::RgbaImage::from_pixel(4, 2, image::Rgba([0, 0, 0, 0]));
        image.put_pixel(0, 0, image::Rgba([255, 0, 0, 255]));
        let within = Resolution { width: 640, height: 640 };
        let shown = show(image.into(), Orientation::Rotate90, None, within).unwrap();
        assert_eq!(shown.dimensions(), (2, 4));
        assert_eq!(shown.get_pixel(1, 0).0, [255, 0, 0]);
        assert_eq!(shown.get_pixel(0, 0).0, [255, 255, 255]);
    }

    #[test]
    fn colours_of_wide_screens_stay_the_same_colours() {
        let profile = ColorProfile::new_display_p3().encode().unwrap();
        let image = RgbImage::from_pixel(4, 4, image::Rgb([180, 60, 60]));
        let within = Resolution { width: 4, height: 4 };
        let shown = |profile: Option<&[u8]>| {
            show(image.clone().into(), Orientation::NoTransforms, profile, within).unwrap().get_pixel(1, 1).0
        };
        let [red, green, blue] = shown(Some(&profile));
        assert!(red > 190 && green < 56 && blue < 60, "{red} {green} {blue}");
        for nonsense in [&b"nonsense"[..], &profile[..200]] {
            assert_eq!(shown(Some(nonsense)), [180, 60, 60]);
        }
    }
}
