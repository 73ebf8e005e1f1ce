use std::{fmt, sync::Mutex};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names one asset: 12 bytes, written as 24 lower-case hex digits.
///
/// The first eight bytes are the asset's place in creation order ([`AssetId::seq`]); the last four are
/// random, so that an id cannot be had by counting.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetId([u8; 12]);

impl AssetId {
    /// Reads an id as it appears in a path. `None` for anything that is not 24 lower-case hex digits:
    /// such an id names no asset.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: &[u8; 24] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0; 12];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = hex_value(pair[0])? << 4 | hex_value(pair[1])?;
        }
        (bytes[0] < 0x80).then_some(Self(bytes))
    }

    /// Place in creation order: milliseconds since the epoch in the upper 48 bits, a counter below.
    pub fn seq(&self) -> i64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// When the id was made, in milliseconds since the epoch.
    pub fn created_ms(&self) -> i64 {
        self.seq() >> 16
    }
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for AssetId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AssetId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("an asset id is 24 lower-case hex digits"))
    }
}

/// Makes asset ids that never repeat and never go backwards within one process, whatever the clock does.
#[derive(Debug, Default)]
pub struct IdMaker {
    last_seq: Mutex<i64>,
}

impl IdMaker {
    /// The next id. `now_ms` is milliseconds since the epoch, `entropy` four random bytes.
    pub fn next(&self, now_ms: i64, entropy: [u8; 4]) -> AssetId {
        let mut last = self.last_seq.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *last = (now_ms.clamp(0, (1 << 47) - 1) << 16).max(*last + 1);
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&last.to_be_bytes());
        bytes[8..].copy_from_slice(&entropy);
        AssetId(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_ordered_even_when_the_clock_steps_back() {
        let maker = IdMaker::default();
        let ids: Vec<AssetId> = [5, 5, 4, 900, 1].map(|ms| maker.next(ms, [7; 4])).into();
        assert!(ids.is_sorted_by(|a, b| a < b && a.seq() < b.seq()));
        assert_eq!(ids[0].created_ms(), 5);
        assert_eq!(ids[3].created_ms(), 900);
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let id = IdMaker::default().next(1_790_000_000_000, [1, 2, 3, 0xff]);
        assert_eq!(AssetId::parse(&id.to_string()), Some(id));
        for bad in [
            "",
            "../../etc/passwd",
            "0123456789abcdef0123456",
            "0123456789ABCDEF01234567",
            "ffffffffffffffffffffffff",
        ] {
            assert_eq!(AssetId::parse(bad), None, "{bad}");
        }
    }
}
