//! Which of several frames tells most of a video. Pure.

use image::RgbImage;

/// A frame below this shows next to nothing.
pub(crate) const DULL: f64 = 0.04;

/// A frame from here on tells enough.
pub(crate) const GOOD: f64 = 0.25;

/// From 0 (black, white, one colour) to 1. Blurred frames, and blends of two scenes, have little contrast between
/// neighbouring pixels.
pub(crate) fn score(frame: &RgbImage) -> f64 {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let luma: Vec<f64> = frame
        .pixels()
        .map(|pixel| {
            let [red, green, blue] = pixel.0.map(f64::from);
            0.299 * red + 0.587 * green + 0.114 * blue
        })
        .collect();
    if luma.is_empty() || width < 3 || height < 3 {
        return 0.0;
    }
    let count = luma.len() as f64;
    let mean = luma.iter().sum::<f64>() / count;
    let contrast = (luma.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    let mut edges = 0.0;
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let at = y * width + x;
            let around = luma[at - 1] + luma[at + 1] + luma[at - width] + luma[at + width];
            edges += (4.0 * luma[at] - around).abs();
        }
    }
    let sharpness = edges / count;
    let exposure = if mean < 40.0 { (mean / 40.0).powi(2) } else { ((255.0 - mean) / 45.0).clamp(0.0, 1.0) };
    exposure * (contrast / 64.0).min(1.0) * (0.3 + 0.7 * (sharpness / 16.0).min(1.0))
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn scene(period: u32) -> RgbImage {
        RgbImage::from_fn(64, 36, |x, y| {
            if (x / period + y / period).is_multiple_of(2) { Rgb([200; 3]) } else { Rgb([60; 3]) }
        })
    }

    #[test]
    fn scenes_before_blends_before_nothing() {
        let (sharp, other) = (scene(8), scene(5));
        let blend = RgbImage::from_fn(64, 36, |x, y| {
            let (a, b) = (sharp.get_pixel(x, y).0[0], other.get_pixel(x, y).0[0]);
            Rgb([a / 2 + b / 2; 3])
        });
        let blurred = image::imageops::blur(&sharp, 4.0);
        assert!(score(&sharp) > score(&blend), "{} {}", score(&sharp), score(&blend));
        assert!(score(&sharp) > score(&blurred));
        for empty in [0, 3, 128, 252, 255] {
            assert!(score(&RgbImage::from_pixel(64, 36, Rgb([empty; 3]))) < DULL, "{empty}");
        }
        assert!(score(&blend) > DULL);
    }
}
