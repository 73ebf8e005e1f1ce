use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The stable code of an error answer. The sentence beside it is for people.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
            /// One this SDK does not know; empty where the answer had none.
            Unknown(String),
        }

        impl ErrorCode {
            /// Every code that is known.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Unknown(text) => text,
                }
            }
        }

        impl From<&str> for ErrorCode {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    _ => Self::Unknown(text.to_owned()),
                }
            }
        }
    };
}

codes! {
    /// A value that does not fit.
    ParameterInvalid = "parameter_invalid",
    /// A required value is missing.
    ParameterNotProvided = "parameter_not_provided",
    /// A parameter the server does not have.
    ParameterUnknown = "parameter_unknown",
    /// No such thing, or not yours.
    ResourceNotExist = "resource_not_exist",
    /// The API key is unknown or expired.
    ApiKeyInvalid = "api_key_invalid",
    /// No API key.
    Unauthorized = "unauthorized",
    /// The key or the plan does not permit it.
    ApiNotAllowed = "api_not_allowed",
    /// Only in paid plans.
    ApiAllowedForPaidPlan = "api_allowed_for_paid_plan",
    /// Not from this region.
    RegionNotAllowed = "region_not_allowed",
    /// Another account's.
    ReadNotAllowed = "read_not_allowed",
    /// The quota is used up.
    UsageLimitExceeded = "usage_limit_exceeded",
    /// The rate limit.
    TooManyRequests = "too_many_requests",
    /// The request did not arrive in time.
    RequestCanceledOrTimedOut = "request_canceled_or_timed_out",
    /// A legacy code.
    TagsNotAllowed = "tags_not_allowed",
    /// A legacy code.
    ApiUpgradeRequired = "api_upgrade_required",
    /// An index of this name is there.
    IndexNameAlreadyExists = "index_name_already_exists",
    /// The request is no form.
    ContentTypeInvalid = "content_type_invalid",
    /// A form without a boundary.
    MultipartBoundaryMissing = "multipart_boundary_missing",
    /// The form does not parse.
    InvalidMultipart = "invalid_multipart",
    /// What a URL leads to is no media.
    MediaUrlUnsupportedFormat = "media_url_unsupported_format",
    /// What a URL leads to cannot be had.
    MediaUrlNotAccessible = "media_url_not_accessible",
    /// What a URL leads to is broken.
    MediaUrlFileBroken = "media_url_file_broken",
    /// Over the limit that holds for any media.
    MediaFilesizeTooLarge = "media_filesize_too_large",
    /// The video does not decode.
    VideoFileBroken = "video_file_broken",
    /// The URL is a live stream.
    VideoFileLive = "video_file_live",
    /// The video has too few pixels.
    VideoResolutionTooLow = "video_resolution_too_low",
    /// The video has too many pixels.
    VideoResolutionTooHigh = "video_resolution_too_high",
    /// The video is too wide or too tall.
    VideoResolutionInvalidAspectRatio = "video_resolution_invalid_aspect_ratio",
    /// The video is too short.
    VideoDurationTooShort = "video_duration_too_short",
    /// The video is too long.
    VideoDurationTooLong = "video_duration_too_long",
    /// The video has too many bytes.
    VideoFilesizeTooLarge = "video_filesize_too_large",
    /// The audio does not decode.
    AudioFileBroken = "audio_file_broken",
    /// The audio is too short.
    AudioDurationTooShort = "audio_duration_too_short",
    /// The audio is too long.
    AudioDurationTooLong = "audio_duration_too_long",
    /// The audio has too many bytes.
    AudioFilesizeTooLarge = "audio_filesize_too_large",
    /// The audio has a format that is not taken.
    AudioFormatUnsupported = "audio_format_unsupported",
    /// Indexed assets refer to the asset (Reelhouse).
    AssetInUse = "asset_in_use",
    /// The asset is still processing, or failed (Reelhouse).
    AssetNotReady = "asset_not_ready",
    /// The upload takes no more chunks (Reelhouse).
    UploadNotActive = "upload_not_active",
    /// A chunk's URL that was altered, or has ended (Reelhouse).
    UploadUrlInvalid = "upload_url_invalid",
    /// A chunk with too few or too many bytes (Reelhouse).
    ChunkSizeInvalid = "chunk_size_invalid",
    /// A chunk that was completed, with other bytes (Reelhouse).
    ChunkAlreadyCompleted = "chunk_already_completed",
    /// The `Idempotency-Key` of another request (Reelhouse).
    IdempotencyKeyReused = "idempotency_key_reused",
    /// A media URL that was altered, or has ended (Reelhouse).
    MediaUrlInvalid = "media_url_invalid",
    /// No such path (Reelhouse).
    EndpointNotExist = "endpoint_not_exist",
    /// The path exists, the method does not (Reelhouse).
    MethodNotAllowed = "method_not_allowed",
    /// A byte range outside the file (Reelhouse).
    RangeNotSatisfiable = "range_not_satisfiable",
    /// Shutting down, or something the server stands on is away (Reelhouse).
    ServiceUnavailable = "service_unavailable",
    /// The server's fault (Reelhouse).
    InternalError = "internal_error",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_our_server_are_known() {
        for fault in reelhouse_api::Fault::ALL {
            assert!(!matches!(ErrorCode::from(fault.code), ErrorCode::Unknown(_)), "{}", fault.code);
        }
    }

    #[test]
    fn each_is_read_as_it_is_written() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from(code.as_str()), *code);
        }
        assert_eq!(ErrorCode::from("new_code").as_str(), "new_code");
    }
}
