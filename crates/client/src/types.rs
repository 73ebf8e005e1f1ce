//! The wire types, read leniently: words of a newer server are kept, ids are opaque.

use reelhouse_api::{self as api, index, reading::Lenient};

pub use api::{
    AssetError, AudioStream, ChunkStatus, CompletedChunk, CreateUpload, MediaKind, Method, PageInfo,
    ProofType, RenditionStatus, Status, TechnicalMetadata, UploadStatus, UserMetadata, VideoStream,
    index::{
        CreateIndex, CreateIndexedAsset, IndexModel, IndexedAssetStatus, IndexedHlsStatus, SystemMetadata,
    },
    reading::{Open, Word},
};

/// What a create answers.
pub type Asset = api::Asset<Lenient>;
/// All that is known of an asset; what list and retrieve answer.
pub type AssetDetail = api::AssetDetail<Lenient>;
/// HLS of an asset.
pub type Hls = api::Hls<Lenient>;
/// The thumbnail of an asset.
pub type Thumbnail = api::Thumbnail<Lenient>;
/// What the begin of an upload in chunks answers.
pub type Upload = api::Upload<Lenient>;
/// An upload that is not completed.
pub type UploadSummary = api::UploadSummary<Lenient>;
/// Where an upload and a page of its chunks stand.
pub type UploadProgress = api::UploadProgress<Lenient>;
/// Where one chunk stands.
pub type Chunk = api::Chunk<Lenient>;
/// What a report of chunks answers.
pub type ReportedChunks = api::ReportedChunks<Lenient>;
/// Where a chunk goes, by PUT.
pub type ChunkUrl = api::ChunkUrl<Lenient>;
/// Further URLs for chunks.
pub type ChunkUrls = api::ChunkUrls<Lenient>;
/// What the making of an index answers.
pub type CreatedIndex = index::CreatedIndex<Lenient>;
/// An index.
pub type Index = index::Index<Lenient>;
/// What putting an asset into an index answers.
pub type CreatedIndexedAsset = index::CreatedIndexedAsset<Lenient>;
/// An asset's place in an index.
pub type IndexedAsset = index::IndexedAsset<Lenient>;
/// All that is known of an asset's place in an index.
pub type IndexedAssetDetail = index::IndexedAssetDetail<Lenient>;
/// HLS of an indexed asset.
pub type IndexedHls = index::IndexedHls<Lenient>;
/// One of the places of an asset.
pub type IndexedAssetSummary = index::IndexedAssetSummary<Lenient>;

/// User metadata of names and values: strings, numbers, booleans, or `()` where PATCH shall delete the name.
///
/// ```
/// let metadata = reelhouse_client::user_metadata([("scene", "beach".into()), ("take", 7.into())]);
/// assert_eq!(metadata["take"], 7);
/// ```
pub fn user_metadata<'a>(pairs: impl IntoIterator<Item = (&'a str, serde_json::Value)>) -> UserMetadata {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
