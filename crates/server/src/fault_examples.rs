//! One of each fault, for the tables and documents that show them.

use reelhouse_api::{Fault, Resolution};

/// One of each, with numbers as they come.
pub(crate) fn examples() -> Vec<Fault> {
    let small = Resolution { width: 320, height: 240 };
    let (minimum, maximum) =
        (Resolution { width: 360, height: 360 }, Resolution { width: 5184, height: 2160 });
    let (cap, over) = (200 << 20, 201 << 20);
    vec![
        Fault::ContentTypeInvalid { content_type: "application/json".to_owned() },
        Fault::MultipartBoundaryMissing,
        Fault::InvalidMultipart,
        Fault::ParameterInvalid {
            parameter: "enable_hls",
            reason: "\"maybe\" is neither true nor false.".to_owned(),
        },
        Fault::ParameterNotProvided { parameter: "total_size" },
        Fault::Validation { field: "Method", tag: "oneof" },
        Fault::FileNotProvided,
        Fault::UrlNotProvided,
        Fault::MethodMultipart,
        Fault::FileUnprocessable,
        Fault::UnsupportedAssetType { asset_type: "text/plain".to_owned() },
        Fault::ImageDimensions {
            current: Resolution { width: 64, height: 64 },
            minimum: Resolution { width: 128, height: 128 },
        },
        Fault::ImageInvalid,
        Fault::MediaUrlUnsupportedFormat { detected_format: "text/html".to_owned() },
        Fault::MediaUrlNotAccessible { url: "https://example.org/clip.mp4".to_owned() },
        Fault::MediaUrlFileBroken,
        Fault::MediaFilesizeTooLarge { maximum: 5 << 20, current: 6 << 20 },
        Fault::VideoFileBroken,
        Fault::VideoFileLive,
        Fault::VideoResolutionTooLow { minimum, maximum, current: small },
        Fault::VideoResolutionTooHigh { minimum, maximum, current: Resolution { width: 7680, height: 4320 } },
        Fault::VideoResolutionInvalidAspectRatio {
            maximum: 2.4,
            current: Resolution { width: 1080, height: 2640 },
        },
        Fault::VideoDurationTooShort { minimum: 4.0, current: 2.52 },
        Fault::VideoDurationTooLong { minimum: 4.0, maximum: 14_400.0, current: 14_460.0 },
        Fault::VideoFilesizeTooLarge { maximum: cap, current: over },
        Fault::AudioFileBroken,
        Fault::AudioDurationTooShort { minimum: 4.0, current: 2.0 },
        Fault::AudioDurationTooLong { minimum: 4.0, maximum: 14_400.0, current: 14_460.0 },
        Fault::AudioFilesizeTooLarge { maximum: cap, current: over },
        Fault::AudioFormatUnsupported {
            format: "Opus".to_owned(),
            supported_formats: "WAV, MP3, FLAC".to_owned(),
        },
        Fault::ResourceNotExist {
            resource_id: "6730aaaaaaaaaaaaaaaaaaaa".to_owned(),
            collection_name: "assets",
        },
        Fault::IndexNameAlreadyExists { index_name: "holidays".to_owned() },
        Fault::AssetInUse { asset_id: "6730aaaaaaaaaaaaaaaaaaaa".to_owned(), references: 2 },
        Fault::AssetNotReady { asset_id: "6730aaaaaaaaaaaaaaaaaaaa".to_owned(), status: "processing" },
        Fault::Unauthorized,
        Fault::ApiKeyInvalid,
        Fault::ApiNotAllowed,
        Fault::UsageLimitExceeded { quota: "10GB".to_owned() },
        Fault::TooManyRequests { rate_limit: "600 requests per minute".to_owned(), retry_after: 12 },
        Fault::MediaUrlInvalid,
        Fault::UploadUrlInvalid,
        Fault::UploadNotActive { upload_id: "6730aaaaaaaaaaaaaaaaaaaa".to_owned(), status: "expired" },
        Fault::ChunkSizeInvalid { chunk_index: 3, expected: 5 << 20, current: "4096".to_owned() },
        Fault::ChunkCompleted { chunk_index: 3 },
        Fault::IdempotencyKeyReused,
        Fault::EndpointNotExist,
        Fault::NotOffered { area: "search" },
        Fault::MethodNotAllowed { method: "PATCH".to_owned() },
        Fault::RangeNotSatisfiable { size: 1_853_871 },
        Fault::RequestTimeout,
        Fault::Unavailable,
        Fault::NoRoom,
        Fault::NotReady { what: "disk" },
        Fault::Internal,
    ]
}
