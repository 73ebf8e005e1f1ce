use std::fmt;

use serde::{Deserialize, Serialize};

/// What a caller is told when a request fails: a stable code and a sentence. Nothing of the cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// One of the codes of docs/errors.md.
    pub code: String,
    /// For people. The wording of the contract, with its placeholders filled.
    pub message: String,
}

/// Width and height in pixels, as every message writes them: `640x360`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A number of bytes as messages write it: binary megabytes, `200MB`; rounded up to two decimals, so that
/// what is over a limit never reads like the limit. Whole gigabytes from 1 GB on (`4GB`).
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MB: u64 = 1 << 20;
        const GB: u64 = 1 << 30;
        if self.0 >= GB && self.0.is_multiple_of(GB) {
            return write!(f, "{}GB", self.0 / GB);
        }
        let hundredths = u128::from(self.0) * 100;
        write!(f, "{}MB", Hundredths(hundredths.div_ceil(u128::from(MB))))
    }
}

/// Seconds with at most two decimals, rounded away from the limit they break.
struct Seconds(f64, fn(f64) -> f64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `as` saturates: an absurd duration prints as an absurd number, not as a panic.
        Hundredths((self.1)(self.0 * 100.0) as u128).fmt(f)
    }
}

/// A decimal number without trailing zeros.
struct Hundredths(u128);

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match (rest, rest % 10) {
            (0, _) => write!(f, "{whole}"),
            (_, 0) => write!(f, "{whole}.{}", rest / 10),
            _ => write!(f, "{whole}.{rest:02}"),
        }
    }
}

fn limit(value: &f64) -> Seconds {
    Seconds(*value, f64::round)
}

fn below(value: &f64) -> Seconds {
    Seconds(*value, f64::floor)
}

fn above(value: &f64) -> Seconds {
    Seconds(*value, f64::ceil)
}

/// Every way a request can fail, with what its message names. `Display` is the message of the contract.
///
/// A fault knows its code ([`Fault::code`]) but no HTTP status: only the server maps faults to statuses.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The request's Content-Type is no form.
    #[error("The content type {content_type} is not supported. Please use multipart/form-data.")]
    ContentTypeInvalid {
        /// As the client sent it.
        content_type: String,
    },
    /// `multipart/form-data` without a boundary.
    #[error("Multipart boundary is missing. Please provide the boundary in the Content-Type header.")]
    MultipartBoundaryMissing,
    /// The body does not parse as a form, or ends before the form does.
    #[error("Invalid multipart form. Please check your implementation and try again.")]
    InvalidMultipart,
    /// A field's text does not fit its type ("echo bind error" of the contract), or a value is out of range.
    #[error("The {parameter} parameter is invalid. {reason}")]
    ParameterInvalid {
        /// The field.
        parameter: &'static str,
        /// A whole sentence that names the bad value.
        reason: String,
    },
    /// A field is absent or outside its set ("echo validate error" of the contract).
    #[error(
        "Key: 'CreateAssetRequest.{field}' Error:Field validation for '{field}' failed on the '{tag}' tag"
    )]
    Validation {
        /// The field as the original's validator calls it (`Method`).
        field: &'static str,
        /// `required` or `oneof`.
        tag: &'static str,
    },
    /// `method=direct` without a file part.
    #[error("The file parameter is required but was not provided. file is required when method is direct.")]
    FileNotProvided,
    /// `method=url` without a URL.
    #[error("The url parameter is required but was not provided. url is required when method is url.")]
    UrlNotProvided,
    /// `method=multipart`.
    #[error(
        "The method parameter is invalid. To upload in parts, use the /assets/multipart-uploads endpoint."
    )]
    MethodMultipart,
    /// The file part is empty, or could not be stored.
    #[error(
        "The file parameter is invalid. Unable to process the uploaded file. Please try uploading again."
    )]
    FileUnprocessable,
    /// The bytes are no video, audio or image we take.
    #[error("The file parameter is invalid. Unsupported asset type: {asset_type}.")]
    UnsupportedAssetType {
        /// MIME type from the bytes.
        asset_type: String,
    },
    /// An image smaller than the minimum.
    #[error("The image parameter is invalid. Image dimensions {current} are below the minimum {minimum}.")]
    ImageDimensions {
        /// Of the image.
        current: Resolution,
        /// Of the limits.
        minimum: Resolution,
    },
    /// An image that does not decode.
    #[error("The image parameter is invalid. Invalid image file. Please check the format and dimensions.")]
    ImageInvalid,
    /// Over the cap that holds for any media (images, URLs).
    #[error(
        "The media file is too large. Please upload a file smaller than {}. The current size is {}.",
        Size(*maximum),
        Size(*current)
    )]
    MediaFilesizeTooLarge {
        /// Bytes.
        maximum: u64,
        /// Bytes.
        current: u64,
    },
    /// A video that does not decode, or is not whole.
    #[error("Unable to process video file. Please check if the file is valid and try again.")]
    VideoFileBroken,
    /// Below the resolution window.
    #[error(
        "The resolution of the video is too low. Please upload a video with a resolution between {minimum} and {maximum}. Current resolution is {current}."
    )]
    VideoResolutionTooLow {
        /// Of the limits.
        minimum: Resolution,
        /// Of the limits.
        maximum: Resolution,
        /// Upright.
        current: Resolution,
    },
    /// Above the resolution window.
    #[error(
        "The resolution of the video is too high. Please upload a video with a resolution between {minimum} and {maximum}. Current resolution is {current}."
    )]
    VideoResolutionTooHigh {
        /// Of the limits.
        minimum: Resolution,
        /// Of the limits.
        maximum: Resolution,
        /// Upright.
        current: Resolution,
    },
    /// Too wide or too tall.
    #[error(
        "The aspect ratio of the video is invalid. Please upload a video with an aspect ratio between 1:1 and {maximum}:1. Current resolution is {current}."
    )]
    VideoResolutionInvalidAspectRatio {
        /// Long side by short side.
        maximum: f64,
        /// Upright.
        current: Resolution,
    },
    /// Shorter than the minimum.
    #[error(
        "The video is too short. Please use a video with a duration of at least {} seconds. Current duration is {} seconds.",
        limit(minimum),
        below(current)
    )]
    VideoDurationTooShort {
        /// Seconds.
        minimum: f64,
        /// Seconds.
        current: f64,
    },
    /// Longer than the maximum.
    #[error(
        "The video is too long. Please use a video with a duration between {} and {} seconds. Current duration is {} seconds.",
        limit(minimum),
        limit(maximum),
        above(current)
    )]
    VideoDurationTooLong {
        /// Seconds.
        minimum: f64,
        /// Seconds.
        maximum: f64,
        /// Seconds.
        current: f64,
    },
    /// A local video over the cap.
    #[error(
        "The video is too large. Please use a video with a size less than {}. The current size is {}.",
        Size(*maximum),
        Size(*current)
    )]
    VideoFilesizeTooLarge {
        /// Bytes.
        maximum: u64,
        /// Bytes.
        current: u64,
    },
    /// Audio that does not decode, or is not whole.
    #[error("Unable to process audio file. Please check if the file is valid and try again.")]
    AudioFileBroken,
    /// Shorter than the minimum.
    #[error(
        "The audio is too short. Please use an audio file with a duration of at least {} seconds. Current duration is {} seconds.",
        limit(minimum),
        below(current)
    )]
    AudioDurationTooShort {
        /// Seconds.
        minimum: f64,
        /// Seconds.
        current: f64,
    },
    /// Longer than the maximum.
    #[error(
        "The audio is too long. Please use an audio file with a duration between {} and {} seconds. Current duration is {} seconds.",
        limit(minimum),
        limit(maximum),
        above(current)
    )]
    AudioDurationTooLong {
        /// Seconds.
        minimum: f64,
        /// Seconds.
        maximum: f64,
        /// Seconds.
        current: f64,
    },
    /// Local audio over the cap.
    #[error(
        "The audio is too large. Please use an audio file with a size less than {}. The current size is {}.",
        Size(*maximum),
        Size(*current)
    )]
    AudioFilesizeTooLarge {
        /// Bytes.
        maximum: u64,
        /// Bytes.
        current: u64,
    },
    /// An audio format outside the list.
    #[error(
        "The audio format {format} is not supported. Please use one of the following formats: {supported_formats}."
    )]
    AudioFormatUnsupported {
        /// Of the file.
        format: String,
        /// Of the limits, comma-joined.
        supported_formats: String,
    },
    /// No such thing, or not the caller's.
    #[error("Resource with id {resource_id} does not exist in {collection}.")]
    ResourceNotExist {
        /// As the caller wrote it.
        resource_id: String,
        /// `assets`.
        collection: &'static str,
    },
    /// No API key in the request.
    #[error("Authentication failed. Please check your credentials and try again.")]
    Unauthorized,
    /// A key that is unknown or revoked.
    #[error(
        "API Key is either invalid or expired. Please check your API key or generate a new one from the dashboard and try again."
    )]
    ApiKeyInvalid,
    /// A read-only key, and something would change.
    #[error("API is not allowed to use.")]
    ApiNotAllowed,
    /// No such path.
    #[error("This server has nothing at this path.")]
    EndpointNotExist,
    /// The path exists, the method does not.
    #[error("The {method} method is not allowed here.")]
    MethodNotAllowed {
        /// As the client sent it.
        method: String,
    },
    /// A byte range outside the file.
    #[error("The range is outside the file, which has {size} bytes.")]
    RangeNotSatisfiable {
        /// Bytes.
        size: u64,
    },
    /// The body stopped arriving.
    #[error("Request canceled.")]
    RequestTimeout,
    /// Shutting down, or something it stands on is away.
    #[error("The server cannot take this request right now. Please try again.")]
    Unavailable,
    /// Our fault. The log has the cause, under the request id.
    #[error("Internal server error.")]
    Internal,
}

impl Fault {
    /// The stable code, as docs/errors.md lists it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ContentTypeInvalid { .. } => "content_type_invalid",
            Self::MultipartBoundaryMissing => "multipart_boundary_missing",
            Self::InvalidMultipart => "invalid_multipart",
            Self::FileNotProvided | Self::UrlNotProvided => "parameter_not_provided",
            Self::ParameterInvalid { .. }
            | Self::Validation { .. }
            | Self::MethodMultipart
            | Self::FileUnprocessable
            | Self::UnsupportedAssetType { .. }
            | Self::ImageDimensions { .. }
            | Self::ImageInvalid => "parameter_invalid",
            Self::MediaFilesizeTooLarge { .. } => "media_filesize_too_large",
            Self::VideoFileBroken => "video_file_broken",
            Self::VideoResolutionTooLow { .. } => "video_resolution_too_low",
            Self::VideoResolutionTooHigh { .. } => "video_resolution_too_high",
            Self::VideoResolutionInvalidAspectRatio { .. } => "video_resolution_invalid_aspect_ratio",
            Self::VideoDurationTooShort { .. } => "video_duration_too_short",
            Self::VideoDurationTooLong { .. } => "video_duration_too_long",
            Self::VideoFilesizeTooLarge { .. } => "video_filesize_too_large",
            Self::AudioFileBroken => "audio_file_broken",
            Self::AudioDurationTooShort { .. } => "audio_duration_too_short",
            Self::AudioDurationTooLong { .. } => "audio_duration_too_long",
            Self::AudioFilesizeTooLarge { .. } => "audio_filesize_too_large",
            Self::AudioFormatUnsupported { .. } => "audio_format_unsupported",
            Self::ResourceNotExist { .. } => "resource_not_exist",
            Self::Unauthorized => "unauthorized",
            Self::ApiKeyInvalid => "api_key_invalid",
            Self::ApiNotAllowed => "api_not_allowed",
            Self::EndpointNotExist => "endpoint_not_exist",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::RangeNotSatisfiable { .. } => "range_not_satisfiable",
            Self::RequestTimeout => "request_canceled_or_timed_out",
            Self::Unavailable => "service_unavailable",
            Self::Internal => "internal_error",
        }
    }

    /// What goes over the wire.
    pub fn body(&self) -> ErrorBody {
        ErrorBody { code: self.code().to_owned(), message: self.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_megabytes_and_never_round_down_to_the_limit() {
        for (bytes, text) in [
            (200 << 20, "200MB"),
            ((200 << 20) + 1, "200.01MB"),
            (5 << 20, "5MB"),
            ((5 << 20) + (1 << 19), "5.5MB"),
            (4 << 30, "4GB"),
            ((4 << 30) + 1, "4096.01MB"),
            (0, "0MB"),
            (u64::MAX, "17592186044416MB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn durations_round_away_from_the_limit_they_break() {
        let short = Fault::VideoDurationTooShort { minimum: 4.0, current: 3.999 };
        assert!(short.to_string().contains("at least 4 seconds. Current duration is 3.99 seconds."));
        let long = Fault::AudioDurationTooLong { minimum: 4.0, maximum: 14400.0, current: 14400.001 };
        assert!(
            long.to_string().contains("between 4 and 14400 seconds. Current duration is 14400.01 seconds.")
        );
    }
}
