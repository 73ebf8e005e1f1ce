//! What a store answers, read.

use serde::{Deserialize, de::DeserializeOwned};

use crate::{Error, Result};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Begun {
    pub(crate) upload_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedObjects {
    #[serde(default)]
    pub(crate) contents: Vec<ListedObject>,
    #[serde(default)]
    pub(crate) is_truncated: bool,
    pub(crate) next_continuation_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedObject {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) last_modified: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedParts {
    #[serde(default, rename = "Part")]
    pub(crate) parts: Vec<ListedPart>,
    #[serde(default)]
    pub(crate) is_truncated: bool,
    pub(crate) next_part_number_marker: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedPart {
    pub(crate) part_number: u64,
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
    pub(crate) size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedUploads {
    #[serde(default, rename = "Upload")]
    pub(crate) uploads: Vec<ListedUpload>,
    #[serde(default)]
    pub(crate) is_truncated: bool,
    pub(crate) next_key_marker: Option<String>,
    pub(crate) next_upload_id_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedUpload {
    pub(crate) key: String,
    pub(crate) upload_id: String,
    pub(crate) initiated: Option<String>,
}

/// Reads an answer's document.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(text).map_err(|error| Error::Answer(error.to_string()))?;
    quick_xml::de::from_str(text).map_err(|error| Error::Answer(error.to_string()))
}

/// Milliseconds since the epoch; 0 for what is no time.
pub(crate) fn time(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond)
}

/// Without the quotes that stores put around it.
pub(crate) fn bare(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}
