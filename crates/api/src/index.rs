//! Indexes and what they hold: contract, section 6. Their dates are RFC 3339 with milliseconds.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::{
    AssetError, AssetId, IndexId, IndexedAssetId, UserMetadata,
    reading::{Reading, Strict},
    text_enum::text_enum,
};

text_enum! {
    /// Where an asset's place in an index stands.
    IndexedAssetStatus {
        /// Asked for.
        Pending = "pending",
        /// Waits for its turn.
        Queued = "queued",
        /// Under way.
        Indexing = "indexing",
        /// Done.
        Ready = "ready",
        /// Given up.
        Failed = "failed",
    }
}

text_enum! {
    /// Where the HLS of an indexed asset stands. Upper-case here, unlike an asset's.
    IndexedHlsStatus {
        /// Being made.
        Processing = "PROCESSING",
        /// There, with its URLs.
        Complete = "COMPLETE",
        /// Given up by someone.
        Canceled = "CANCELED",
        /// Could not be made.
        Error = "ERROR",
    }
}

/// POST /indexes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateIndex {
    /// Its name, one of its kind in the account.
    pub index_name: String,
    /// At least one.
    pub models: Vec<IndexModel>,
    /// For instance `thumbnail`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<String>,
}

/// A model and what it looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IndexModel {
    /// For instance `marengo3.0`.
    pub model_name: String,
    /// For instance `visual`, `audio`.
    #[serde(default)]
    pub model_options: Vec<String>,
}

/// What POST /indexes answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "CreatedIndex"))]
#[serde(bound = "")]
pub struct CreatedIndex<R: Reading = Strict> {
    /// The index. The wire name is `_id`.
    #[serde(rename = "_id")]
    #[cfg_attr(feature = "schema", schemars(with = "IndexId"))]
    pub id: R::Id<IndexId>,
}

/// PUT /indexes/{id}.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RenameIndex {
    /// Its new name.
    pub index_name: String,
}

/// What GET /indexes/{id} answers, and GET /indexes lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "Index"))]
#[serde(bound = "")]
pub struct Index<R: Reading = Strict> {
    /// Its id. The wire name is `_id`.
    #[serde(rename = "_id")]
    #[cfg_attr(feature = "schema", schemars(with = "IndexId"))]
    pub id: R::Id<IndexId>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When it last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// When it goes; absent where indexes stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Its name.
    pub index_name: String,
    /// Seconds of all that it holds.
    #[serde(default)]
    pub total_duration: f64,
    /// How many videos it holds. A float: the original documents it as one.
    #[serde(default)]
    pub video_count: f64,
    /// Its models.
    #[serde(default)]
    pub models: Vec<IndexModel>,
    /// For instance `thumbnail`.
    #[serde(default)]
    pub addons: Vec<String>,
}

/// POST /indexes/{id}/indexed-assets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateIndexedAsset {
    /// The asset; must be ready.
    pub asset_id: String,
    /// Whether its HLS is offered.
    #[serde(default)]
    pub enable_video_stream: bool,
    /// What is kept with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_metadata: Option<UserMetadata>,
}

/// What it answers, with 202.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(bound = "", rename = "CreatedIndexedAsset")
)]
#[serde(bound = "")]
pub struct CreatedIndexedAsset<R: Reading = Strict> {
    /// The indexed asset. The wire name is `_id`.
    #[serde(rename = "_id")]
    #[cfg_attr(feature = "schema", schemars(with = "IndexedAssetId"))]
    pub id: R::Id<IndexedAssetId>,
    /// The asset.
    #[cfg_attr(feature = "schema", schemars(with = "AssetId"))]
    pub asset_id: R::Id<AssetId>,
}

/// What GET /indexes/{id}/indexed-assets lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "IndexedAsset"))]
#[serde(bound = "")]
pub struct IndexedAsset<R: Reading = Strict> {
    /// Its id. The wire name is `_id`.
    #[serde(rename = "_id")]
    #[cfg_attr(feature = "schema", schemars(with = "IndexedAssetId"))]
    pub id: R::Id<IndexedAssetId>,
    /// The asset; it may be gone, if it was deleted by force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<AssetId>"))]
    pub asset_id: Option<R::Id<AssetId>>,
    /// Since when the asset is gone (ours, not in the contract); absent while it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_deleted_at: Option<String>,
    /// When it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When it last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// When it became ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexed_at: Option<String>,
    /// Where it stands.
    #[cfg_attr(feature = "schema", schemars(with = "IndexedAssetStatus"))]
    pub status: R::Word<IndexedAssetStatus>,
    /// Why it failed (ours, not in the contract). Only when `status` is failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<AssetError>,
    /// What is known of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_metadata: Option<SystemMetadata>,
}

/// What is known of an indexed asset's file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SystemMetadata {
    /// The asset's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Frames a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Bytes. A float: the original documents it as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<f64>,
}

/// What GET /indexes/{id}/indexed-assets/{id} answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(bound = "", rename = "IndexedAssetDetail")
)]
#[serde(bound = "")]
pub struct IndexedAssetDetail<R: Reading = Strict> {
    /// The part a list shows, too.
    #[serde(flatten)]
    pub indexed_asset: IndexedAsset<R>,
    /// What is kept with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_metadata: Option<UserMetadata>,
    /// Its HLS, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hls: Option<IndexedHls<R>>,
}

/// Whatever an indexed asset has, its detail has, too.
impl<R: Reading> Deref for IndexedAssetDetail<R> {
    type Target = IndexedAsset<R>;

    fn deref(&self) -> &IndexedAsset<R> {
        &self.indexed_asset
    }
}

/// HLS of an indexed asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "IndexedHls"))]
#[serde(bound = "")]
pub struct IndexedHls<R: Reading = Strict> {
    /// The playlist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_url: Option<String>,
    /// Pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thumbnail_urls: Vec<String>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<IndexedHlsStatus>"))]
    pub status: Option<R::Word<IndexedHlsStatus>>,
    /// When it last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
}

/// What GET /assets/{id}/indexed-assets lists: one place of an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(bound = "", rename = "IndexedAssetSummary")
)]
#[serde(bound = "")]
pub struct IndexedAssetSummary<R: Reading = Strict> {
    /// The indexed asset. The wire name is `_id`.
    #[serde(rename = "_id")]
    #[cfg_attr(feature = "schema", schemars(with = "IndexedAssetId"))]
    pub id: R::Id<IndexedAssetId>,
    /// The index it is in.
    pub index: IndexSummary<R>,
}

/// An index by id and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "IndexSummary"))]
#[serde(bound = "")]
pub struct IndexSummary<R: Reading = Strict> {
    /// Its id. The wire name is `_id`.
    #[serde(rename = "_id")]
    #[cfg_attr(feature = "schema", schemars(with = "IndexId"))]
    pub id: R::Id<IndexId>,
    /// Its name.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Lenient;

    #[test]
    fn a_status_of_a_newer_server_is_kept() {
        let text = r#"{"_id": "i", "asset_id": "a", "status": "validating", "system_metadata": {"size": 7.0}, "new": 1}"#;
        let detail: IndexedAssetDetail<Lenient> = serde_json::from_str(text).unwrap();
        assert_eq!(detail.indexed_asset.status.as_str(), "validating");
        assert_eq!(detail.indexed_asset.system_metadata.and_then(|known| known.size), Some(7.0));
    }
}
