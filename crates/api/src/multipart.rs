//! Uploads in chunks (contract, section 5).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    AssetId, MediaKind, PageInfo, UploadId, UserMetadata,
    reading::{Reading, Strict},
    text_enum::text_enum,
};

/// The most URLs that are handed out at once.
pub const MAX_CHUNK_URLS: u64 = 50;

text_enum! {
    /// Where an upload in chunks stands.
    UploadStatus {
        /// Takes chunks.
        Active = "active",
        /// Every chunk is here and reported.
        Completed = "completed",
        /// Its asset failed.
        Failed = "failed",
        /// Its time is over; it cannot go on.
        Expired = "expired",
    }
}

text_enum! {
    /// Where a chunk stands.
    ChunkStatus {
        /// Here, and reported.
        Completed = "completed",
        /// Not here, or not reported.
        Pending = "pending",
        /// Could not be kept.
        Failed = "failed",
    }
}

text_enum! {
    /// How a client proves that it sent a chunk.
    ProofType {
        /// By the ETag it was answered.
        Etag = "etag",
    }
}

/// What begins an upload in chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateUpload {
    /// 1 to 255 characters.
    pub filename: String,
    /// What the file is.
    #[serde(rename = "type")]
    pub kind: MediaKind,
    /// Bytes, at least 1.
    pub total_size: u64,
    /// Make it playable.
    #[serde(default)]
    pub enable_hls: bool,
    /// Make it visible.
    #[serde(default)]
    pub enable_thumbnail: bool,
    /// Whatever the user wants kept with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_metadata: Option<UserMetadata>,
}

impl CreateUpload {
    /// An upload with no wishes.
    pub fn new(filename: impl Into<String>, kind: MediaKind, total_size: u64) -> Self {
        let filename = filename.into();
        Self { filename, kind, total_size, enable_hls: false, enable_thumbnail: false, user_metadata: None }
    }
}

/// An upload that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "Upload"))]
#[serde(bound = "")]
pub struct Upload<R: Reading = Strict> {
    /// Its id.
    #[cfg_attr(feature = "schema", schemars(with = "UploadId"))]
    pub upload_id: R::Id<UploadId>,
    /// The asset that it becomes.
    #[cfg_attr(feature = "schema", schemars(with = "AssetId"))]
    pub asset_id: R::Id<AssetId>,
    /// Where the first chunks go; not always all of them.
    pub upload_urls: Vec<ChunkUrl<R>>,
    /// To be sent with every chunk. Never needed here.
    #[serde(default)]
    pub upload_headers: BTreeMap<String, String>,
    /// Bytes of every chunk but the last.
    pub chunk_size: u64,
    /// How many there are.
    pub total_chunks: u64,
    /// Until when it can go on.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub expires_at: R::Given<Timestamp>,
}

/// Where a chunk goes, by PUT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "ChunkUrl"))]
#[serde(bound = "")]
pub struct ChunkUrl<R: Reading = Strict> {
    /// From 1.
    pub chunk_index: u64,
    /// Absolute; its own key.
    pub url: String,
    /// Until when it takes the chunk.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub expires_at: R::Given<Timestamp>,
}

/// An upload that is not complete, as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "UploadSummary"))]
#[serde(bound = "")]
pub struct UploadSummary<R: Reading = Strict> {
    /// Its id.
    #[cfg_attr(feature = "schema", schemars(with = "UploadId"))]
    pub upload_id: R::Id<UploadId>,
    /// Where it stands.
    #[cfg_attr(feature = "schema", schemars(with = "UploadStatus"))]
    pub status: R::Word<UploadStatus>,
    /// Bytes of the whole.
    pub total_size: u64,
    /// Bytes of every chunk but the last.
    pub chunk_size: u64,
    /// How many there are.
    pub total_chunks: u64,
    /// When it began.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub created_at: R::Given<Timestamp>,
    /// Until when it can go on.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub expires_at: R::Given<Timestamp>,
}

/// How far an upload is, and one page of its chunks: all of them are listed, pending ones too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "UploadProgress"))]
#[serde(bound = "")]
pub struct UploadProgress<R: Reading = Strict> {
    /// Its id.
    #[cfg_attr(feature = "schema", schemars(with = "UploadId"))]
    pub upload_id: R::Id<UploadId>,
    /// Where it stands.
    #[cfg_attr(feature = "schema", schemars(with = "UploadStatus"))]
    pub status: R::Word<UploadStatus>,
    /// This page's chunks.
    pub uploaded_chunks: Vec<Chunk<R>>,
    /// How many are here and reported.
    pub chunks_completed: u64,
    /// How many could not be kept.
    pub chunks_failed: u64,
    /// How many are neither.
    pub chunks_pending: u64,
    /// Where the page stands.
    pub page_info: PageInfo,
    /// Bytes of the whole.
    pub total_size: u64,
    /// Bytes of the completed chunks.
    pub uploaded_size: u64,
    /// When it began.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub created_at: R::Given<Timestamp>,
    /// When it last changed.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub updated_at: R::Given<Timestamp>,
}

/// A chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "Chunk"))]
#[serde(bound = "")]
pub struct Chunk<R: Reading = Strict> {
    /// From 1.
    pub index: u64,
    /// Where it stands.
    #[cfg_attr(feature = "schema", schemars(with = "ChunkStatus"))]
    pub status: R::Word<ChunkStatus>,
    /// When it was completed; null before.
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub uploaded_at: Option<Timestamp>,
    /// When it last changed.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub updated_at: R::Given<Timestamp>,
    /// Why it could not be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Chunks that a client says it has sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportChunks {
    /// In any order.
    pub completed_chunks: Vec<CompletedChunk>,
}

/// A chunk that a client says it has sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompletedChunk {
    /// From 1.
    pub chunk_index: u64,
    /// The ETag, without quotes.
    pub proof: String,
    /// What `proof` is.
    pub proof_type: ProofType,
    /// Bytes of this chunk.
    pub chunk_size: u64,
}

impl CompletedChunk {
    /// A chunk that its ETag proves.
    pub fn new(chunk_index: u64, etag: impl Into<String>, chunk_size: u64) -> Self {
        Self { chunk_index, proof: etag.into(), proof_type: ProofType::Etag, chunk_size }
    }
}

/// What a report answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "ReportedChunks"))]
#[serde(bound = "")]
pub struct ReportedChunks<R: Reading = Strict> {
    /// The original, absolute; only once every chunk is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The asset that it becomes.
    #[cfg_attr(feature = "schema", schemars(with = "AssetId"))]
    pub asset_id: R::Id<AssetId>,
    /// Newly completed.
    pub processed_chunks: u64,
    /// Completed before.
    pub duplicate_chunks: u64,
    /// Of all.
    pub total_completed: u64,
}

/// Asks for more places to send chunks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestChunkUrls {
    /// From 1.
    pub start: u64,
    /// 1 to [`MAX_CHUNK_URLS`].
    pub count: u64,
}

/// More places to send chunks to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(bound = "", rename = "ChunkUrls"))]
#[serde(bound = "")]
pub struct ChunkUrls<R: Reading = Strict> {
    /// Of which upload.
    #[cfg_attr(feature = "schema", schemars(with = "UploadId"))]
    pub upload_id: R::Id<UploadId>,
    /// From 1.
    pub start_index: u64,
    /// How many.
    pub count: u64,
    /// Where they go.
    pub upload_urls: Vec<ChunkUrl<R>>,
    /// Now.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub generated_at: R::Given<Timestamp>,
    /// Until when they take chunks.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub expires_at: R::Given<Timestamp>,
}
