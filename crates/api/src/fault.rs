use serde::{Deserialize, Serialize};

use crate::units::{Resolution, Size, above, below, exactly};

/// What a caller is told when a request fails: a stable code and a sentence. Nothing of the cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    /// One of the codes of docs/errors.md.
    pub code: String,
    /// For people. The wording of the contract, with its placeholders filled.
    pub message: String,
}

/// What docs/errors.md says of one fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultDoc {
    /// Name of the variant.
    pub name: &'static str,
    /// The stable code.
    pub code: &'static str,
    /// The message, its placeholders unfilled.
    pub message: &'static str,
    /// When it comes.
    pub when: &'static str,
}

/// One entry a fault: when it comes, what its message names, its code, its message. Whoever adds one is asked for all.
macro_rules! faults {
    ($(
        $(#[doc = $when:literal])+
        $name:ident $({ $($(#[doc = $doc:literal])+ $field:ident: $type:ty,)+ })?
            => $code:literal, $message:literal $(, $placeholder:ident = $shown:expr)*;
    )*) => {
        /// Every way a request can fail, with what its message names. `Display` is the message of the contract.
        ///
        /// A fault knows its code ([`Fault::code`]) but no HTTP status: only the server maps faults to statuses.
        #[derive(Debug, Clone, PartialEq, thiserror::Error)]
        pub enum Fault {
            $(
                $(#[doc = $when])+
                #[error($message $(, $placeholder = $shown)*)]
                $name $({ $($(#[doc = $doc])+ $field: $type,)+ })?,
            )*
        }

        impl Fault {
            /// Every fault, in the order of the contract.
            pub const ALL: &[FaultDoc] = &[$(FaultDoc {
                name: stringify!($name), code: $code, message: $message, when: concat!($($when),+),
            },)*];

            /// The stable code.
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $code,)*
                }
            }

            /// Its name in [`Fault::ALL`].
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => stringify!($name),)*
                }
            }
        }
    };
}

faults! {
    /// The request's Content-Type is no form.
    ContentTypeInvalid {
        /// As the client sent it.
        content_type: String,
    } => "content_type_invalid",
        "The content type {content_type} is not supported. Please use multipart/form-data.";

    /// `multipart/form-data` without a boundary.
    MultipartBoundaryMissing => "multipart_boundary_missing",
        "Multipart boundary is missing. Please provide the boundary in the Content-Type header.";

    /// The body does not parse as a form, or ends before the form does.
    InvalidMultipart => "invalid_multipart",
        "Invalid multipart form. Please check your implementation and try again.";

    /// A value does not fit its type or its range (for forms, the "echo bind error" of the contract).
    ParameterInvalid {
        /// The field.
        parameter: &'static str,
        /// A whole sentence that names the bad value.
        reason: String,
    } => "parameter_invalid", "The {parameter} parameter is invalid. {reason}";

    /// A required value is absent.
    ParameterNotProvided {
        /// The field.
        parameter: &'static str,
    } => "parameter_not_provided", "The {parameter} parameter is required but was not provided.";

    /// A field is absent or outside its set ("echo validate error" of the contract).
    Validation {
        /// The field as the original's validator calls it (`Method`).
        field: &'static str,
        /// `required` or `oneof`.
        tag: &'static str,
    } => "parameter_invalid",
        "Key: 'CreateAssetRequest.{field}' Error:Field validation for '{field}' failed on the '{tag}' tag";

    /// `method=direct` without a file part.
    FileNotProvided => "parameter_not_provided",
        "The file parameter is required but was not provided. file is required when method is direct.";

    /// `method=url` without a URL.
    UrlNotProvided => "parameter_not_provided",
        "The url parameter is required but was not provided. url is required when method is url.";

    /// `method=multipart`.
    MethodMultipart => "parameter_invalid",
        "The method parameter is invalid. To upload in parts, use the /assets/multipart-uploads endpoint.";

    /// The file part is empty, or could not be stored.
    FileUnprocessable => "parameter_invalid",
        "The file parameter is invalid. Unable to process the uploaded file. Please try uploading again.";

    /// The bytes are no video, audio or image that is taken.
    UnsupportedAssetType {
        /// MIME type from the bytes.
        asset_type: String,
    } => "parameter_invalid", "The file parameter is invalid. Unsupported asset type: {asset_type}.";

    /// An image smaller than the minimum.
    ImageDimensions {
        /// Of the image, upright.
        current: Resolution,
        /// Of the limits.
        minimum: Resolution,
    } => "parameter_invalid",
        "The image parameter is invalid. Image dimensions {current} are below the minimum {minimum}.";

    /// An image that does not decode, or is not whole.
    ImageInvalid => "parameter_invalid",
        "The image parameter is invalid. Invalid image file. Please check the format and dimensions.";

    /// What a URL leads to is no media that is taken.
    MediaUrlUnsupportedFormat {
        /// MIME type from the bytes.
        detected_format: String,
    } => "media_url_unsupported_format",
        "The file at the provided URL is not a supported media format. Detected format: {detected_format}. Please provide a valid asset file.";

    /// A URL that nobody answers, that answers with an error, or that leads where this server does not go.
    MediaUrlNotAccessible {
        /// As the caller gave it.
        url: String,
    } => "media_url_not_accessible",
        "Cannot access the media URL {url}. The server responded with an error. Please verify the URL is correct and publicly accessible.";

    /// What a URL leads to does not decode, or does not come whole.
    MediaUrlFileBroken => "media_url_file_broken",
        "Cannot read the media file at the specified URL. Please verify the file is valid and try again.";

    /// Over the cap that holds for any media; images and whatever comes by URL always.
    MediaFilesizeTooLarge {
        /// Bytes.
        maximum: u64,
        /// Bytes.
        current: u64,
    } => "media_filesize_too_large",
        "The media file is too large. Please upload a file smaller than {maximum}. The current size is {current}.",
        maximum = Size(*maximum), current = Size(*current);

    /// A video that does not decode, or is not whole.
    VideoFileBroken => "video_file_broken",
        "Unable to process video file. Please check if the file is valid and try again.";

    /// A URL of a stream that has no end yet.
    VideoFileLive => "video_file_live",
        "Live video streams are not supported. Please provide a URL that is not a live stream.";

    /// A video below the resolution window.
    VideoResolutionTooLow {
        /// Of the limits.
        minimum: Resolution,
        /// Of the limits.
        maximum: Resolution,
        /// Upright.
        current: Resolution,
    } => "video_resolution_too_low",
        "The resolution of the video is too low. Please upload a video with a resolution between {minimum} and {maximum}. Current resolution is {current}.";

    /// A video above the resolution window.
    VideoResolutionTooHigh {
        /// Of the limits.
        minimum: Resolution,
        /// Of the limits.
        maximum: Resolution,
        /// Upright.
        current: Resolution,
    } => "video_resolution_too_high",
        "The resolution of the video is too high. Please upload a video with a resolution between {minimum} and {maximum}. Current resolution is {current}.";

    /// A video too wide or too tall.
    VideoResolutionInvalidAspectRatio {
        /// Long side by short side.
        maximum: f64,
        /// Upright.
        current: Resolution,
    } => "video_resolution_invalid_aspect_ratio",
        "The aspect ratio of the video is invalid. Please upload a video with an aspect ratio between 1:1 and {maximum}. Current resolution is {current}.",
        maximum = format_args!("{maximum}:1");

    /// A video shorter than the minimum.
    VideoDurationTooShort {
        /// Seconds.
        minimum: f64,
        /// Seconds.
        current: f64,
    } => "video_duration_too_short",
        "The video is too short. Please use a video with a duration of at least {minimum} seconds. Current duration is {current} seconds.",
        minimum = exactly(*minimum), current = below(*current);

    /// A video longer than the maximum.
    VideoDurationTooLong {
        /// Seconds.
        minimum: f64,
        /// Seconds.
        maximum: f64,
        /// Seconds.
        current: f64,
    } => "video_duration_too_long",
        "The video is too long. Please use a video with a duration between {minimum} and {maximum} seconds. Current duration is {current} seconds.",
        minimum = exactly(*minimum), maximum = exactly(*maximum), current = above(*current);

    /// A local video over the cap.
    VideoFilesizeTooLarge {
        /// Bytes.
        maximum: u64,
        /// Bytes.
        current: u64,
    } => "video_filesize_too_large",
        "The video is too large. Please use a video with a size less than {maximum}. The current size is {current}.",
        maximum = Size(*maximum), current = Size(*current);

    /// Audio that does not decode, or is not whole.
    AudioFileBroken => "audio_file_broken",
        "Unable to process audio file. Please check if the file is valid and try again.";

    /// Audio shorter than the minimum.
    AudioDurationTooShort {
        /// Seconds.
        minimum: f64,
        /// Seconds.
        current: f64,
    } => "audio_duration_too_short",
        "The audio is too short. Please use an audio file with a duration of at least {minimum} seconds. Current duration is {current} seconds.",
        minimum = exactly(*minimum), current = below(*current);

    /// Audio longer than the maximum.
    AudioDurationTooLong {
        /// Seconds.
        minimum: f64,
        /// Seconds.
        maximum: f64,
        /// Seconds.
        current: f64,
    } => "audio_duration_too_long",
        "The audio is too long. Please use an audio file with a duration between {minimum} and {maximum} seconds. Current duration is {current} seconds.",
        minimum = exactly(*minimum), maximum = exactly(*maximum), current = above(*current);

    /// Local audio over the cap.
    AudioFilesizeTooLarge {
        /// Bytes.
        maximum: u64,
        /// Bytes.
        current: u64,
    } => "audio_filesize_too_large",
        "The audio is too large. Please use an audio file with a size less than {maximum}. The current size is {current}.",
        maximum = Size(*maximum), current = Size(*current);

    /// An audio format outside the list.
    AudioFormatUnsupported {
        /// Of the file.
        format: String,
        /// Of the limits, comma-joined.
        supported_formats: String,
    } => "audio_format_unsupported",
        "The audio format {format} is not supported. Please use one of the following formats: {supported_formats}.";

    /// No such thing, or not the caller's.
    ResourceNotExist {
        /// As the caller wrote it.
        resource_id: String,
        /// `assets`.
        collection_name: &'static str,
    } => "resource_not_exist", "Resource with id {resource_id} does not exist in {collection_name}.";

    /// An index of the account has this name.
    IndexNameAlreadyExists {
        /// The name.
        index_name: String,
    } => "index_name_already_exists",
        "Index name {index_name} already exists. Please use another unique name and try again.";

    /// A delete of an asset that indexed assets refer to, without `force`.
    AssetInUse {
        /// The asset.
        asset_id: String,
        /// How many refer to it.
        references: u64,
    } => "asset_in_use",
        "The asset {asset_id} is referenced by indexed assets ({references}). Delete those first, or set force to true.";

    /// The bytes of an asset that is still processing, or failed.
    AssetNotReady {
        /// The asset.
        asset_id: String,
        /// `processing` or `failed`.
        status: &'static str,
    } => "asset_not_ready", "The asset {asset_id} is {status}. Please wait until it is ready.";

    /// No API key in the request.
    Unauthorized => "unauthorized", "Authentication failed. Please check your credentials and try again.";

    /// A key that is unknown or revoked.
    ApiKeyInvalid => "api_key_invalid",
        "API Key is either invalid or expired. Please check your API key or generate a new one from the dashboard and try again.";

    /// A read-only key, and something would change.
    ApiNotAllowed => "api_not_allowed", "API is not allowed to use.";

    /// The account holds as much as its quota allows.
    UsageLimitExceeded {
        /// What the quota allows: `100 assets` or `10GB`.
        quota: String,
    } => "usage_limit_exceeded",
        "The account has reached its quota of {quota}. Please delete assets, or ask the operator for a larger quota.";

    /// More requests than the account's rate allows, after waiting.
    TooManyRequests {
        /// The rate: `600 requests per minute`.
        rate_limit: String,
        /// Seconds.
        retry_after: u64,
    } => "too_many_requests",
        "You have exceeded the rate limit ({rate_limit}). Please try again later after {retry_after}.",
        retry_after = format_args!("{retry_after} seconds");

    /// A media URL that was altered, or has ended.
    MediaUrlInvalid => "media_url_invalid", "This media URL is not valid, or no longer. Please ask for the asset again.";

    /// A chunk's URL that was altered, or has ended.
    UploadUrlInvalid => "upload_url_invalid",
        "This upload URL is not valid, or no longer. Please request presigned URLs again.";

    /// An upload in chunks that has ended.
    UploadNotActive {
        /// The upload.
        upload_id: String,
        /// `completed`, `failed` or `expired`.
        status: &'static str,
    } => "upload_not_active", "The upload {upload_id} is {status} and takes no more chunks.";

    /// A chunk with too few or too many bytes.
    ChunkSizeInvalid {
        /// From 1.
        chunk_index: u64,
        /// Bytes.
        expected: u64,
        /// Bytes that came; `more than 5242880` when they were not counted further.
        current: String,
    } => "chunk_size_invalid", "Chunk {chunk_index} must have {expected} bytes, it has {current}.";

    /// Other bytes for a chunk that was reported as completed.
    ChunkCompleted {
        /// From 1.
        chunk_index: u64,
    } => "chunk_already_completed", "Chunk {chunk_index} is completed already, with other bytes.";

    /// An `Idempotency-Key` that was used for another request.
    IdempotencyKeyReused => "idempotency_key_reused",
        "The Idempotency-Key was used for another request. Please use a new key for each new request.";

    /// No such path.
    EndpointNotExist => "endpoint_not_exist", "This server has nothing at this path.";

    /// Another part of the original's platform: models and what they say.
    NotOffered {
        /// The first word of the path.
        area: &'static str,
    } => "endpoint_not_exist",
        "This server keeps assets and runs no models: it does not offer {area}.";

    /// The path exists, the method does not.
    MethodNotAllowed {
        /// As the client sent it.
        method: String,
    } => "method_not_allowed", "The {method} method is not allowed here.";

    /// A byte range outside the file.
    RangeNotSatisfiable {
        /// Bytes.
        size: u64,
    } => "range_not_satisfiable", "The range is outside the file, which has {size} bytes.";

    /// The body stopped arriving.
    RequestTimeout => "request_canceled_or_timed_out", "Request canceled.";

    /// Shutting down, or something it stands on is away.
    Unavailable => "service_unavailable", "The server cannot take this request right now. Please try again.";

    /// The disk is low: what would fill it is not taken. A create fails as its file, since SDKs cannot read a 5xx there.
    NoRoom => "service_unavailable", "The server has no room for this right now. Please try again later.";

    /// `/readyz`, when uploads cannot be taken.
    NotReady {
        /// `database` or `disk`.
        what: &'static str,
    } => "service_unavailable", "Uploads cannot be taken right now: {what}.";

    /// Our fault. The log has the cause, under the request id.
    Internal => "internal_error", "Internal server error.";
}

impl Fault {
    /// What goes over the wire.
    pub fn body(&self) -> ErrorBody {
        ErrorBody { code: self.code().to_owned(), message: self.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
