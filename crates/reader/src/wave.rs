//! The picture of a sound: its loudness over time.

use image::{Rgb, RgbImage};

/// Samples a second that are looked at, of one channel.
pub(crate) const RATE: u32 = 8000;
/// Moments kept. When they are full, each two become one: hours take no more memory than minutes.
const MAX_MOMENTS: usize = 1 << 16;
/// Samples of a moment, at first.
const MOMENT: usize = 16;

const SIZE: (u32, u32) = (640, 360);
/// A bar and the gap behind it.
const BAR: u32 = 3;
const STEP: u32 = 5;
const MARGIN: u32 = 20;
/// Top and bottom of the ground, loud and quiet of the bars.
const GROUND: [[f32; 3]; 2] = [[44.0, 58.0, 84.0], [28.0, 38.0, 58.0]];
const BARS: [[f32; 3]; 2] = [[124.0, 226.0, 214.0], [86.0, 150.0, 240.0]];

/// How loud a sound is, moment by moment.
#[derive(Debug)]
pub(crate) struct Loudness {
    /// Sums of squares of samples from -1 to 1.
    moments: Vec<f32>,
    samples_a_moment: usize,
    sum: f32,
    samples: usize,
}

impl Loudness {
    pub(crate) fn new() -> Self {
        Self { moments: Vec::new(), samples_a_moment: MOMENT, sum: 0.0, samples: 0 }
    }

    /// More of it.
    pub(crate) fn extend(&mut self, samples: &[i16]) {
        for sample in samples {
            self.push(f32::from(*sample) / 32768.0);
        }
    }

    fn push(&mut self, sample: f32) {
        self.sum += sample * sample;
        self.samples += 1;
        if self.samples < self.samples_a_moment {
            return;
        }
        self.moments.push(self.sum);
        (self.sum, self.samples) = (0.0, 0);
        if self.moments.len() == MAX_MOMENTS {
            self.moments = self.moments.chunks_exact(2).map(|two| two[0] + two[1]).collect();
            self.samples_a_moment *= 2;
        }
    }

    /// Root mean squares of so many equal parts of it.
    fn parts(&self, parts: usize) -> Vec<f32> {
        let all = self.moments.len();
        let part = |n: usize| {
            let (start, end) = (n * all / parts, ((n + 1) * all / parts).max(n * all / parts + 1));
            let moments = self.moments.get(start..end.min(all)).unwrap_or_default();
            let samples = (moments.len() * self.samples_a_moment).max(1);
            (moments.iter().sum::<f32>() / samples as f32).sqrt()
        };
        (0..parts).map(part).collect()
    }

    /// Bars around a middle line, the loudest as high as there is room.
    pub(crate) fn draw(&self) -> RgbImage {
        let (width, height) = SIZE;
        let bars = self.parts(((width - 2 * MARGIN) / STEP) as usize);
        let loudest = bars.iter().copied().fold(0.0, f32::max).max(1e-4);
        let mut image = RgbImage::from_fn(width, height, |_, y| mix(GROUND, y as f32 / height as f32));
        let middle = height / 2;
        for (n, bar) in (0u32..).zip(bars) {
            // The ear is no ruler: quiet passages show, too.
            let loud = (bar / loudest).powf(0.6);
            let half = ((loud * (middle - MARGIN) as f32) as u32).max(2);
            for y in middle - half..middle + half {
                let from_middle = y.abs_diff(middle) as f32 / middle as f32;
                let color = mix(BARS, from_middle);
                let x = MARGIN + n * STEP;
                // Round ends.
                let inset = u32::from(y == middle - half || y == middle + half - 1);
                for x in x + inset..x + BAR - inset {
                    image.put_pixel(x, y, color);
                }
            }
        }
        image
    }
}

fn mix([from, to]: [[f32; 3]; 2], part: f32) -> Rgb<u8> {
    let [a, b, c] = [0, 1, 2].map(|n| (from[n] + (to[n] - from[n]) * part.clamp(0.0, 1.0)) as u8);
    Rgb([a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loud_is_high_whatever_the_length() {
        for seconds in [0, 1, 60, 600] {
            let half = seconds * RATE as usize / 2;
            let mut loudness = Loudness::new();
            loudness.extend(&vec![0; half]);
            loudness.extend(&vec![8000; half]);
            assert!(loudness.moments.len() <= MAX_MOMENTS);
            let image = loudness.draw();
            let is_bar = |x: u32| {
                let y = 60;
                image.get_pixel(x, y) != image.get_pixel(0, y)
            };
            assert!(!is_bar(MARGIN + 20 * STEP + 1), "{seconds}");
            assert_eq!(is_bar(MARGIN + 100 * STEP + 1), seconds > 0, "{seconds}");
        }
    }
}
