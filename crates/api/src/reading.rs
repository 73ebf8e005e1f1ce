//! One definition of each wire type, and two ways to read it.

use std::fmt::{self, Debug};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// What every field of a wire type can do.
pub trait Field: Debug + Clone + PartialEq + Eq + Serialize + DeserializeOwned {}

impl<T: Debug + Clone + PartialEq + Eq + Serialize + DeserializeOwned> Field for T {}

/// A word of a fixed vocabulary.
pub trait Word: Copy + Eq + 'static {
    /// The word itself, as on the wire.
    fn text(self) -> &'static str;

    /// The value of this word, if there is one.
    fn of(text: &str) -> Option<Self>;
}

/// How far a reader of the wire trusts its own knowledge of words and ids.
pub trait Reading: Debug + Clone + PartialEq + Eq {
    /// A word of a fixed vocabulary.
    type Word<W: Word + Field>: Field;
    /// An id.
    type Id<I: Field>: Field;
    /// What a server gives as long as it is ours; the contract lets it be absent.
    type Given<T: Field>: Field;
}

/// Whoever writes an answer knows all its words: what is not in the vocabulary is an error. The server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strict {}

impl Reading for Strict {
    type Word<W: Word + Field> = W;
    type Id<I: Field> = I;
    type Given<T: Field> = T;
}

/// A server may be newer than its client, or another's: unknown words are kept as they came, ids are opaque. The SDK's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lenient {}

impl Reading for Lenient {
    type Word<W: Word + Field> = Open<W>;
    type Id<I: Field> = String;
    type Given<T: Field> = Option<T>;
}

/// A word that may be newer than its reader. Compares with the words it knows: `asset.status == Status::Ready`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Open<W> {
    /// A word of the vocabulary.
    Known(W),
    /// Another one, as it came.
    Unknown(String),
}

impl<W: Word> Open<W> {
    /// The word itself, as on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(word) => word.text(),
            Self::Unknown(text) => text,
        }
    }

    /// The word, if it is a known one.
    pub fn known(&self) -> Option<W> {
        match self {
            Self::Known(word) => Some(*word),
            Self::Unknown(_) => None,
        }
    }
}

impl<W: Word> From<W> for Open<W> {
    fn from(word: W) -> Self {
        Self::Known(word)
    }
}

impl<W: Word> PartialEq<W> for Open<W> {
    fn eq(&self, word: &W) -> bool {
        self.known() == Some(*word)
    }
}

impl<W: Word> fmt::Display for Open<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<W: Word> Serialize for Open<W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, W: Word> Deserialize<'de> for Open<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(W::of(&text).map_or(Self::Unknown(text), Self::Known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Asset, ChunkUrl, Method, Status};

    const NEWER: &str = r#"{"_id": "asset:7", "method": "connector", "status": "ready", "filename": "a.mp4",
        "created_at": "2026-05-01T10:30:00.123Z", "colour": "blue"}"#;

    #[test]
    fn a_newer_server_is_read_leniently_and_written_back_as_it_came() {
        let asset: Asset<Lenient> = serde_json::from_str(NEWER).unwrap();
        assert_eq!(asset.id, "asset:7");
        assert_eq!(asset.method, Open::Unknown("connector".to_owned()));
        assert!(asset.status == Status::Ready && asset.method != Method::Direct);
        assert_eq!(serde_json::to_value(&asset).unwrap()["method"], "connector");
    }

    #[test]
    fn what_another_server_leaves_out_is_absent() {
        let text = r#"{"chunk_index": 1, "url": "http://h/1"}"#;
        let url: ChunkUrl<Lenient> = serde_json::from_str(text).unwrap();
        assert_eq!(url.expires_at, None);
        assert!(serde_json::from_str::<ChunkUrl>(text).is_err());
    }

    #[test]
    fn and_is_no_asset_of_ours() {
        assert!(serde_json::from_str::<Asset>(NEWER).is_err());
    }
}
