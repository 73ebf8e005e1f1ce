use crate::{JobKind, RenditionStatus, text_enum::text_enum};

text_enum! {
    /// What a webhook can be told of.
    EventKind {
        /// An asset became ready.
        AssetReady = "asset.ready",
        /// An asset failed.
        AssetFailed = "asset.failed",
        /// An asset was deleted.
        AssetDeleted = "asset.deleted",
        /// An asset can be played.
        HlsReady = "hls.ready",
        /// An asset's HLS could not be made.
        HlsError = "hls.error",
        /// An asset can be seen.
        ThumbnailReady = "thumbnail.ready",
        /// An asset's thumbnail could not be made.
        ThumbnailError = "thumbnail.error",
    }
}

/// What a webhook is told when its owner tries it.
pub const TEST_EVENT: &str = "webhook.test";

impl EventKind {
    /// What it is to show that status of that kind of work, if it is an event at all.
    pub fn of_rendition(kind: JobKind, status: RenditionStatus) -> Option<Self> {
        match (kind, status) {
            (JobKind::Hls, RenditionStatus::Ready) => Some(Self::HlsReady),
            (JobKind::Hls, RenditionStatus::Error) => Some(Self::HlsError),
            (JobKind::Thumbnail, RenditionStatus::Ready) => Some(Self::ThumbnailReady),
            (JobKind::Thumbnail, RenditionStatus::Error) => Some(Self::ThumbnailError),
            _ => None,
        }
    }
}
