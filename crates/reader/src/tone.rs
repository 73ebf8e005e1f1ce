//! From PQ or HLG to what any screen shows. White paper (203 nits) stays nearly white; what is brighter is pressed together,
//! up to 1000 nits. SMPTE ST 2084, ITU-R BT.2100, BT.2087 (primaries), BT.709.

use reelhouse_api::VideoStream;

/// How numbers become light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Light {
    Pq,
    Hlg,
}

/// Nits of white paper, the unit of light here.
const PAPER: f32 = 203.0;
/// Where pressing begins, and the brightest that is kept apart, in papers.
const KNEE: f32 = 0.5;
const PEAK: f32 = 5.0;
/// Values of which the curve is kept.
const STEPS: usize = 4096;

impl Light {
    pub(crate) fn of(stream: &VideoStream) -> Self {
        if stream.color_transfer.as_deref() == Some("arib-std-b67") { Self::Hlg } else { Self::Pq }
    }

    /// Papers of light of a value from 0 to 1.
    fn of_value(self, value: f32) -> f32 {
        match self {
            Self::Pq => {
                let root = value.powf(1.0 / 78.843_75);
                let part = (root - 0.835_937_5).max(0.0) / (18.851_563 - 18.6875 * root);
                part.powf(1.0 / 0.159_301_76) * 10_000.0 / PAPER
            }
            Self::Hlg => {
                let scene = if value <= 0.5 {
                    value * value / 3.0
                } else {
                    (((value - 0.559_910_7) / 0.178_832_77).exp() + 0.284_668_9) / 12.0
                };
                scene * 1000.0 / PAPER
            }
        }
    }
}

/// Pixels of three 16-bit numbers, in this machine's order, become pixels of three bytes.
pub(crate) fn map(pixels: &[u8], light: Light) -> Vec<u8> {
    let table: Vec<f32> = (0..STEPS).map(|step| light.of_value(step as f32 / (STEPS - 1) as f32)).collect();
    let papers = |bytes: &[u8]| {
        let value = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        table[value * (STEPS - 1) / usize::from(u16::MAX)]
    };
    let mapped = pixels.chunks_exact(6).flat_map(|pixel| {
        let [red, green, blue] = [&pixel[..2], &pixel[2..4], &pixel[4..]].map(papers);
        let narrow = [
            1.660_5 * red - 0.587_6 * green - 0.072_8 * blue,
            -0.124_6 * red + 1.132_9 * green - 0.008_3 * blue,
            -0.018_2 * red - 0.100_6 * green + 1.118_7 * blue,
        ]
        .map(|channel| channel.max(0.0));
        let brightest = narrow.into_iter().fold(0.0, f32::max);
        let factor = if brightest > 1e-6 { pressed(brightest) / brightest } else { 1.0 };
        narrow.map(|channel| (gamma(channel * factor) * 255.0).round() as u8)
    });
    mapped.collect()
}

/// A curve that is straight up to the knee and comes to 1 at the peak, by a Moebius transformation.
fn pressed(light: f32) -> f32 {
    if light <= KNEE {
        return light;
    }
    let a = -KNEE * KNEE * (PEAK - 1.0) / (KNEE * KNEE - 2.0 * KNEE + PEAK);
    let b = (KNEE * KNEE - 2.0 * KNEE * PEAK + PEAK) / (PEAK - 1.0);
    (b * b + 2.0 * b * KNEE + KNEE * KNEE) / (b - a) * (light + a) / (light + b)
}

/// From light to the values of BT.709.
fn gamma(light: f32) -> f32 {
    let light = light.clamp(0.0, 1.0);
    if light < 0.018 { 4.5 * light } else { 1.099 * light.powf(0.45) - 0.099 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(value: f32, light: Light) -> u8 {
        let bytes = ((value * 65_535.0) as u16).to_ne_bytes();
        let mapped = map(&bytes.repeat(3), light);
        assert!(mapped.iter().all(|channel| channel.abs_diff(mapped[0]) <= 1), "{mapped:?}");
        mapped[0]
    }

    #[test]
    fn paper_is_nearly_white_and_more_is_whiter() {
        // 203 nits are 0.58 of PQ, 0.75 of HLG.
        for (light, paper) in [(Light::Pq, 0.58), (Light::Hlg, 0.75)] {
            assert_eq!(grey(0.0, light), 0);
            let paper = grey(paper, light);
            assert!((180..240).contains(&paper), "{light:?}: {paper}");
            let brightness: Vec<u8> = (0..=20).map(|step| grey(step as f32 / 20.0, light)).collect();
            assert!(brightness.is_sorted() && brightness[20] == 255, "{light:?}: {brightness:?}");
        }
        assert!((pressed(KNEE) - KNEE).abs() < 1e-3 && (pressed(PEAK) - 1.0).abs() < 1e-3);
    }
}
