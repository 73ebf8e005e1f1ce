use std::ops::Deref;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    AssetId, Fault, TechnicalMetadata, UserMetadata,
    reading::{Reading, Strict},
    text_enum::text_enum,
};

text_enum! {
    /// How an asset's bytes came.
    Method {
        /// In the request, as a form's file part.
        Direct = "direct",
        /// Fetched by us from a public link.
        Url = "url",
        /// In chunks.
        Multipart = "multipart",
    }
}

text_enum! {
    /// Where an asset stands.
    Status {
        /// Its bytes are still arriving or being checked.
        Processing = "processing",
        /// Whole, checked and durable.
        Ready = "ready",
        /// Refused; `error` says why.
        Failed = "failed",
    }
}

text_enum! {
    /// Where a derived piece (HLS, thumbnail) stands. Note `error` here, `failed` on the asset.
    RenditionStatus {
        /// Asked for, not begun.
        Pending = "pending",
        /// Being made.
        Processing = "processing",
        /// There, with its URL.
        Ready = "ready",
        /// Could not be made.
        Error = "error",
    }
}

/// What a create answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "Asset"))]
#[serde(bound = "")]
pub struct Asset<R: Reading = Strict> {
    /// Its id. The wire name is `_id`.
    #[serde(rename = "_id")]
    #[cfg_attr(feature = "schema", schemars(with = "AssetId"))]
    pub id: R::Id<AssetId>,
    /// How its bytes came.
    #[cfg_attr(feature = "schema", schemars(with = "Method"))]
    pub method: R::Word<Method>,
    /// Where it stands.
    #[cfg_attr(feature = "schema", schemars(with = "Status"))]
    pub status: R::Word<Status>,
    /// Its name, 1 to 255 characters.
    pub filename: String,
    /// MIME type, from our own detection. Absent before detection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_type: Option<String>,
    /// Bytes. Absent while processing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Seconds. Only video and audio; absent while processing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// When it was created: RFC 3339, UTC, whole seconds.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub created_at: Timestamp,
}

/// What list and retrieve answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "AssetDetail"))]
#[serde(bound = "")]
pub struct AssetDetail<R: Reading = Strict> {
    /// The part a create answers, too.
    #[serde(flatten)]
    pub asset: Asset<R>,
    /// Present only when HLS was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hls: Option<Hls<R>>,
    /// Present only when a thumbnail was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<Thumbnail<R>>,
    /// The original, for whoever has this link; a browser plays it (ours, not in the contract). Only when ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_url: Option<String>,
    /// WebVTT of many small pictures, made when first asked for (ours, not in the contract). Only ready videos.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storyboard_url: Option<String>,
    /// Whatever the user wants kept with it (newer than the seed). Absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_metadata: Option<UserMetadata>,
    /// Why it failed (newer than the seed). Only when `status` is failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<AssetError>,
    /// What is known of the file itself (newer than the seed).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub technical_metadata: Option<Box<TechnicalMetadata>>,
}

/// Whatever an asset has, its detail has, too.
impl<R: Reading> Deref for AssetDetail<R> {
    type Target = Asset<R>;

    fn deref(&self) -> &Asset<R> {
        &self.asset
    }
}

/// Why an asset failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AssetError {
    /// One of the codes of docs/errors.md (ours, not in the contract: empty where another server answers).
    #[serde(default)]
    pub code: String,
    /// For people.
    pub message: String,
}

impl From<&Fault> for AssetError {
    fn from(fault: &Fault) -> Self {
        Self { code: fault.code().to_owned(), message: fault.to_string() }
    }
}

/// HLS of an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "Hls"))]
#[serde(bound = "")]
pub struct Hls<R: Reading = Strict> {
    /// Where it stands.
    #[cfg_attr(feature = "schema", schemars(with = "RenditionStatus"))]
    pub status: R::Word<RenditionStatus>,
    /// Only when `status` is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_url: Option<String>,
}

/// The thumbnail of an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "Thumbnail"))]
#[serde(bound = "")]
pub struct Thumbnail<R: Reading = Strict> {
    /// Where it stands.
    #[cfg_attr(feature = "schema", schemars(with = "RenditionStatus"))]
    pub status: R::Word<RenditionStatus>,
    /// Only when `status` is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub representative_url: Option<String>,
}
