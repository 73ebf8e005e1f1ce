//! What the product does, without HTTP: the verbs on assets, the limits, who may call.
//!
//! A verb either answers, or fails with an [`Error`]: a [`Fault`](reelhouse_api::Fault) that the caller is told, or a
//! cause that only the log is told.

mod assets;
mod clock;
mod content;
mod disk;
mod error;
mod filename;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
mod idempotency;
mod import;
mod indexed_assets;
mod indexes;
mod jobs;
mod judge;
mod keys;
mod limits;
mod media_urls;
mod metrics;
mod models;
mod multipart;
mod quota;
mod rate;
mod rate_shares;
mod room;
mod service;
mod signer;
mod turns;
mod upload;
mod user_metadata;
mod webhooks;
mod worker;

pub use assets::{NewAsset, as_created};
pub use clock::{Clock, SystemClock};
pub use content::{Content, HLS_MASTER_FILE, Lifetime, Piece};
pub use disk::MinFree;
pub use error::{Error, Result};
pub use idempotency::IdempotencyKey;
pub use import::ImportSettings;
pub use indexed_assets::{NewIndexedAsset, indexed_asset_not_found};
pub use indexes::index_not_found;
pub use jobs::{HlsSettings, THUMBNAIL_FILE, VTT_FILE as STORYBOARD_FILE};
pub use keys::Caller;
pub use limits::{AudioLimits, ImageLimits, Limits, LimitsProfile, VideoLimits};
pub use media_urls::MediaScope;
pub use multipart::{ChunkUpload, upload_not_found};
pub use rate::Admission;
pub use service::{Service, Settings};
pub use upload::Upload;
pub use user_metadata::KeptMetadata;
pub use webhooks::{WebhookSettings, new_webhook_secret};

pub use reelhouse_fetch::Pace;
pub use reelhouse_metrics::CONTENT_TYPE as METRICS_TYPE;
pub use reelhouse_store::{
    ApiKey, AssetQuery, AssetRecord, IndexQuery, IndexRecord, IndexedAssetQuery, IndexedAssetRecord,
    MetadataFilter, Object, ObjectBytes, Order, Range, Removal, Shown, SortBy,
};
