//! Numbers as messages write them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Width and height in pixels, as every message writes them: `640x360`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

impl Resolution {
    /// As it is shown, given an EXIF orientation: 5 to 8 lie on their side.
    pub fn turned(self, orientation: u32) -> Self {
        if (5..=8).contains(&orientation) { Self { width: self.height, height: self.width } } else { self }
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A number of bytes as messages write it: binary megabytes, `200MB`; rounded up to two decimals, so that
/// what is over a limit never reads like the limit. Whole gigabytes from 1 GB on (`4GB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(
    /// Bytes.
    pub u64,
);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MB: u64 = 1 << 20;
        const GB: u64 = 1 << 30;
        if self.0 >= GB && self.0.is_multiple_of(GB) {
            return write!(f, "{}GB", self.0 / GB);
        }
        let hundredths = u128::from(self.0) * 100;
        write!(f, "{}MB", Hundredths(hundredths.div_ceil(u128::from(MB))))
    }
}

/// Seconds of a limit.
pub(crate) fn exactly(seconds: f64) -> impl fmt::Display {
    hundredths(seconds, f64::round)
}

/// Seconds that are below a limit.
pub(crate) fn below(seconds: f64) -> impl fmt::Display {
    hundredths(seconds, f64::floor)
}

/// Seconds that are above a limit.
pub(crate) fn above(seconds: f64) -> impl fmt::Display {
    hundredths(seconds, f64::ceil)
}

fn hundredths(number: f64, round: fn(f64) -> f64) -> Hundredths {
    // `as` saturates: an absurd duration prints as an absurd number, not as a panic.
    Hundredths(round(number * 100.0) as u128)
}

/// A decimal number without trailing zeros.
struct Hundredths(u128);

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match (rest, rest % 10) {
            (0, _) => write!(f, "{whole}"),
            (_, 0) => write!(f, "{whole}.{}", rest / 10),
            _ => write!(f, "{whole}.{rest:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_megabytes_and_never_round_down_to_the_limit() {
        for (bytes, text) in [
            (200 << 20, "200MB"),
            ((200 << 20) + 1, "200.01MB"),
            (5 << 20, "5MB"),
            ((5 << 20) + (1 << 19), "5.5MB"),
            (4 << 30, "4GB"),
            ((4 << 30) + 1, "4096.01MB"),
            (0, "0MB"),
            (u64::MAX, "17592186044416MB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
