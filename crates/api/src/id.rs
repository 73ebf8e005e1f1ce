use std::{fmt, sync::Mutex};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One type for each thing that has an id, so that no id is taken for another's.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        ///
        /// 12 bytes, written as 24 lower-case hex digits. The first eight are its place in creation order (`seq`); the last
        /// four are random, so that an id cannot be had by counting.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 12]);

        impl $name {
            /// Reads an id as it appears in a path. `None` for anything that is not 24 lower-case hex digits:
            /// such an id names nothing.
            pub fn parse(text: &str) -> Option<Self> {
                parse(text).map(Self)
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

        impl From<NewId> for $name {
            fn from(new: NewId) -> Self {
                Self(new.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom("an id is 24 lower-case hex digits"))
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{24}$" })
            }
        }
    )*};
}

ids! {
    /// Names one asset.
    AssetId,
    /// Names one upload in chunks.
    UploadId,
    /// Names one index.
    IndexId,
    /// Names one asset's place in an index.
    IndexedAssetId,
}

fn parse(text: &str) -> Option<[u8; 12]> {
    let digits: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 12];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = hex_value(pair[0])? << 4 | hex_value(pair[1])?;
    }
    (bytes[0] < 0x80).then_some(bytes)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// An id that nothing has yet.
#[derive(Debug)]
pub struct NewId([u8; 12]);

/// Makes ids that never repeat and never go backwards within one process, whatever the clock does.
#[derive(Debug, Default)]
pub struct IdMaker {
    last_seq: Mutex<i64>,
}

impl IdMaker {
    /// The next id, of whatever is new. `now_ms` is milliseconds since the epoch, `entropy` four random bytes.
    pub fn next<Id: From<NewId>>(&self, now_ms: i64, entropy: [u8; 4]) -> Id {
        let mut last = self.last_seq.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *last = (now_ms.clamp(0, (1 << 47) - 1) << 16).max(*last + 1);
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&last.to_be_bytes());
        bytes[8..].copy_from_slice(&entropy);
        NewId(bytes).into()
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
        let id: AssetId = IdMaker::default().next(1_790_000_000_000, [1, 2, 3, 0xff]);
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
