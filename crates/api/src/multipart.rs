//! Uploads in chunks (contract, section 5).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{AssetId, MediaKind, PageInfo, UploadId, text_enum::text_enum};

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
    pub user_metadata: Option<Map<String, Value>>,
}

/// An upload that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    /// Its id.
    pub upload_id: UploadId,
    /// The asset that it becomes.
    pub asset_id: AssetId,
    /// Where the first chunks go; not always all of them.
    pub upload_urls: Vec<ChunkUrl>,
    /// To be sent with every chunk. Never needed here.
    pub upload_headers: std::collections::BTreeMap<String, String>,
    /// Bytes of every chunk but the last.
    pub chunk_size: u64,
    /// How many there are.
    pub total_chunks: u64,
    /// Until when it can go on.
    pub expires_at: Timestamp,
}

/// Where a chunk goes, by PUT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkUrl {
    /// From 1.
    pub chunk_index: u64,
    /// Absolute; its own key.
    pub url: String,
    /// Until when it takes the chunk.
    pub expires_at: Timestamp,
}

/// An upload that is not complete, as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UploadSummary {
    /// Its id.
    pub upload_id: UploadId,
    /// Where it stands.
    pub status: UploadStatus,
    /// Bytes of the whole.
    pub total_size: u64,
    /// Bytes of every chunk but the last.
    pub chunk_size: u64,
    /// How many there are.
    pub total_chunks: u64,
    /// When it began.
    pub created_at: Timestamp,
    /// Until when it can go on.
    pub expires_at: Timestamp,
}

/// How far an upload is, and one page of its chunks: all of them are listed, pending ones too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UploadProgress {
    /// Its id.
    pub upload_id: UploadId,
    /// Where it stands.
    pub status: UploadStatus,
    /// This page's chunks.
    pub uploaded_chunks: Vec<Chunk>,
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
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// From 1.
    pub index: u64,
    /// Where it stands.
    pub status: ChunkStatus,
    /// When it was completed; null before.
    pub uploaded_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Why it could not be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Chunks that a client says it has sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportChunks {
    /// In any order.
    pub completed_chunks: Vec<CompletedChunk>,
}

/// A chunk that a client says it has sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// What a report answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedChunks {
    /// The original, absolute; only once every chunk is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The asset that it becomes.
    pub asset_id: AssetId,
    /// Newly completed.
    pub processed_chunks: u64,
    /// Completed before.
    pub duplicate_chunks: u64,
    /// Of all.
    pub total_completed: u64,
}

/// Asks for more places to send chunks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestChunkUrls {
    /// From 1.
    pub start: u64,
    /// 1 to 50.
    pub count: u64,
}

/// More places to send chunks to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkUrls {
    /// Of which upload.
    pub upload_id: UploadId,
    /// From 1.
    pub start_index: u64,
    /// How many.
    pub count: u64,
    /// Where they go.
    pub upload_urls: Vec<ChunkUrl>,
    /// Now.
    pub generated_at: Timestamp,
    /// Until when they take chunks.
    pub expires_at: Timestamp,
}
