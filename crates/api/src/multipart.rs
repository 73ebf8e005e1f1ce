//! Uploads in chunks: contract, section 5.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    AssetId, MediaKind, PageInfo, UploadId, UserMetadata,
    reading::{Reading, Strict},
    text_enum::text_enum,
};

/// The most presigned URLs that are handed out at once.
pub const MAX_URLS: u64 = 50;

text_enum! {
    /// Where an upload in chunks stands.
    UploadStatus {
        /// Chunks may come.
        Active = "active",
        /// All chunks are here and reported; the asset is looked at.
        Completed = "completed",
        /// Given up.
        Failed = "failed",
        /// Not completed in time; cannot be resumed.
        Expired = "expired",
    }
}

text_enum! {
    /// Where a chunk stands.
    ChunkStatus {
        /// Not here, or here and not reported.
        Pending = "pending",
        /// Here and reported.
        Completed = "completed",
        /// Refused; `error` says why.
        Failed = "failed",
    }
}

text_enum! {
    /// What proves that a chunk arrived.
    ProofType {
        /// The ETag that its PUT answered, without quotes.
        Etag = "etag",
    }
}

/// POST /assets/multipart-uploads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateUpload {
    /// 1 to 255 characters.
    pub filename: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: MediaKind,
    /// Bytes of the whole, at least 1.
    pub total_size: u64,
    /// Whether HLS is made.
    #[serde(default, skip_serializing_if = "is_false")]
    pub enable_hls: bool,
    /// Whether a thumbnail is made.
    #[serde(default, skip_serializing_if = "is_false")]
    pub enable_thumbnail: bool,
    /// What is kept with the asset.
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

/// What it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct CreatedUpload<R: Reading = Strict> {
    /// The upload.
    pub upload_id: R::Id<UploadId>,
    /// The asset it becomes; reserved, not usable before the end.
    pub asset_id: R::Id<AssetId>,
    /// Where the first chunks go; may be fewer than there are chunks.
    pub upload_urls: Vec<PresignedUrl>,
    /// Headers that may be sent with chunks; none is needed.
    #[serde(default)]
    pub upload_headers: BTreeMap<String, String>,
    /// Bytes of every chunk but the last.
    pub chunk_size: u64,
    /// Chunks are numbered from 1 to this.
    pub total_chunks: u64,
    /// When the upload can no longer be completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Where one chunk goes: PUT its bytes here, without an API key. The answer's `ETag` proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresignedUrl {
    /// From 1.
    pub chunk_index: u64,
    /// Absolute.
    pub url: String,
    /// When the URL is of no more use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// One item of GET /assets/multipart-uploads, which lists what is not completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct IncompleteUpload<R: Reading = Strict> {
    /// The upload.
    pub upload_id: R::Id<UploadId>,
    /// Where it stands.
    pub status: R::Word<UploadStatus>,
    /// Bytes of the whole.
    pub total_size: u64,
    /// Bytes of every chunk but the last.
    pub chunk_size: u64,
    /// Number of chunks.
    pub total_chunks: u64,
    /// When it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it can no longer be completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// GET /assets/multipart-uploads/{upload_id}: one page of an upload's chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct UploadDetail<R: Reading = Strict> {
    /// The upload.
    pub upload_id: R::Id<UploadId>,
    /// Where it stands.
    pub status: R::Word<UploadStatus>,
    /// The chunks of this page, pending ones, too.
    pub uploaded_chunks: Vec<UploadChunk<R>>,
    /// Chunks that are here and reported.
    pub chunks_completed: u64,
    /// Chunks that were refused.
    pub chunks_failed: u64,
    /// The others.
    pub chunks_pending: u64,
    /// Where this page stands.
    pub page_info: PageInfo,
    /// Bytes of the whole.
    pub total_size: u64,
    /// Bytes of the completed chunks.
    pub uploaded_size: u64,
    /// When it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

/// Where one chunk stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct UploadChunk<R: Reading = Strict> {
    /// From 1.
    pub index: u64,
    /// Where it stands.
    pub status: R::Word<ChunkStatus>,
    /// When it was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded_at: Option<Timestamp>,
    /// When its state last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// POST /assets/multipart-uploads/{upload_id}: chunks that arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportChunks {
    /// In any order; those reported before are counted and passed over.
    pub completed_chunks: Vec<CompletedChunk>,
}

/// A chunk that arrived, with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedChunk {
    /// From 1.
    pub chunk_index: u64,
    /// The ETag, without quotes.
    pub proof: String,
    /// What the proof is.
    pub proof_type: ProofType,
    /// Bytes of this chunk.
    pub chunk_size: u64,
}

impl CompletedChunk {
    /// A chunk that its PUT's ETag proves.
    pub fn new(chunk_index: u64, etag: impl Into<String>, chunk_size: u64) -> Self {
        Self { chunk_index, proof: etag.into(), proof_type: ProofType::Etag, chunk_size }
    }
}

/// What a report answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ReportedChunks<R: Reading = Strict> {
    /// The asset; only once all chunks are reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The asset it becomes.
    pub asset_id: R::Id<AssetId>,
    /// Chunks of this report that were new.
    pub processed_chunks: u64,
    /// Chunks of this report that were known.
    pub duplicate_chunks: u64,
    /// Chunks reported in all.
    pub total_completed: u64,
}

/// POST /assets/multipart-uploads/{upload_id}/presigned-urls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestUrls {
    /// The first chunk, from 1.
    pub start: u64,
    /// How many, 1 to [`MAX_URLS`].
    pub count: u64,
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct RequestedUrls<R: Reading = Strict> {
    /// The upload.
    pub upload_id: R::Id<UploadId>,
    /// The first chunk.
    pub start_index: u64,
    /// How many.
    pub count: u64,
    /// One for each chunk.
    pub upload_urls: Vec<PresignedUrl>,
    /// When they were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_at: Option<Timestamp>,
    /// When they are of no more use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Lenient;

    #[test]
    fn a_session_as_the_contract_shows_it() {
        let text = r#"{"upload_id": "u1", "asset_id": "a1", "upload_urls": [{"chunk_index": 1, "url": "http://h/1",
            "expires_at": "2026-05-01T11:30:00Z"}], "upload_headers": {"x": "y"}, "chunk_size": 5242880, "total_chunks": 2,
            "expires_at": "2026-05-02T10:30:00Z"}"#;
        let created: CreatedUpload<Lenient> = serde_json::from_str(text).unwrap();
        assert_eq!((created.chunk_size, created.upload_urls[0].chunk_index), (5_242_880, 1));
        assert_eq!(
            serde_json::to_value(&created).unwrap(),
            serde_json::from_str::<serde_json::Value>(text).unwrap()
        );
    }

    #[test]
    fn the_kind_of_a_new_upload_is_its_type() {
        let new = CreateUpload { enable_hls: true, ..CreateUpload::new("a.mp4", MediaKind::Video, 7) };
        let text = serde_json::to_string(&new).unwrap();
        assert_eq!(text, r#"{"filename":"a.mp4","type":"video","total_size":7,"enable_hls":true}"#);
        assert_eq!(serde_json::from_str::<CreateUpload>(&text).unwrap(), new);
    }
}
