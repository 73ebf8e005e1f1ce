//! The nouns of Reelhouse: what goes over the wire, and nothing that does I/O.
//!
//! Server, SDK and jobs share these types, so a name is spelled once. The wire format is the
//! TwelveLabs v1.3 Assets API; docs/compatibility.md says where it leaves room and what we chose.

mod text_enum;

mod asset;
mod event;
mod fault;
mod id;
pub mod index;
mod job;
mod metadata;
mod multipart;
mod page;
pub mod paths;
pub mod reading;
#[cfg(feature = "schema")]
mod schema;
mod technical;
mod units;

pub use asset::{Asset, AssetDetail, AssetError, Hls, Method, RenditionStatus, Status, Thumbnail};
pub use event::{EventKind, TEST_EVENT};
pub use fault::{ErrorBody, Fault, FaultDoc};
pub use id::{AssetId, IdMaker, IndexId, IndexedAssetId, NewId, UploadId};
pub use job::{JobKind, JobState};
pub use metadata::{SetUserMetadata, UserMetadata};
pub use multipart::{
    Chunk, ChunkStatus, ChunkUrl, ChunkUrls, CompletedChunk, CreateUpload, MAX_CHUNK_URLS, ProofType,
    ReportChunks, ReportedChunks, RequestChunkUrls, Upload, UploadProgress, UploadStatus, UploadSummary,
};
pub use page::{Page, PageInfo};
pub use technical::{AudioStream, MediaKind, TechnicalMetadata, VideoStream};
pub use units::{Resolution, Size};
