use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

text_enum! {
    /// The three kinds of media. Which one a file is comes from its bytes, never from its name.
    MediaKind {
        /// Has a moving picture (cover art is none).
        Video = "video",
        /// Sound alone.
        Audio = "audio",
        /// A still or animated picture.
        Image = "image",
    }
}

macro_rules! facts {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $field:ident : $type:ty,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(default)]
        pub struct $name {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }
    };
}

facts! {
    /// What is known of a file itself: contract, section 4. A field is absent where it does not apply or
    /// the file does not say.
    TechnicalMetadata {
        /// Bytes.
        file_size_bytes: u64,
        /// MIME type, from our own detection.
        file_mime_type: String,
        /// Container names, comma-joined if several (`mov,mp4,m4a`).
        file_container_format: String,
        /// The container's own creation time.
        #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
        container_creation_time: Timestamp,
        /// Every video track, in file order. Cover art is none.
        video_streams: Vec<VideoStream>,
        /// Codec of the main video track.
        video_codec: String,
        /// Coded width of the main video track, in pixels, before rotation.
        video_width: u32,
        /// Coded height of the main video track, in pixels, before rotation.
        video_height: u32,
        /// Frames a second of the main video track.
        video_fps: f64,
        /// Seconds of the main video track.
        video_duration_seconds: f64,
        /// Bits a second of the main video track.
        video_bitrate_bps: u64,
        /// Every audio track, in file order.
        audio_streams: Vec<AudioStream>,
        /// Codec of the main audio track.
        audio_codec: String,
        /// Hertz of the main audio track.
        audio_sample_rate: u32,
        /// Channels of the main audio track.
        audio_channels: u32,
        /// Seconds of the main audio track.
        audio_duration_seconds: f64,
        /// SMPTE timecode of the first frame.
        start_timecode: String,
        /// Where the timecode stood (`stream` or `format`).
        timecode_source: String,
        /// Whether the timecode drops frames.
        drop_frame: bool,
        /// Pixels, as stored.
        image_width: u32,
        /// Pixels, as stored.
        image_height: u32,
        /// `JPEG`, `PNG` and so on.
        image_format: String,
        /// EXIF orientation, 1 to 8.
        image_orientation: u32,
        /// `RGB`, `Grayscale` and so on.
        image_color_space: String,
        /// Bits a channel.
        image_bit_depth: u32,
        /// Whether the main video track is HDR (PQ or HLG).
        is_hdr: bool,
        /// Whether there is sound.
        has_audio: bool,
        /// Whether the picture has transparency.
        has_alpha: bool,
        /// Whether the image moves.
        is_animated: bool,
        /// Number of video tracks.
        total_video_streams: u32,
        /// Number of audio tracks.
        total_audio_streams: u32,
        /// Coded width by coded height.
        storage_aspect_ratio: f64,
        /// Degrees.
        geospatial_latitude: f64,
        /// Degrees.
        geospatial_longitude: f64,
        /// Metres.
        geospatial_altitude_meters: f64,
    }
}

facts! {
    /// One video track.
    VideoStream {
        /// Its index in the file.
        index: u32,
        /// Codec name.
        codec: String,
        /// Coded pixels.
        width: u32,
        /// Coded pixels.
        height: u32,
        /// Real base frame rate.
        fps: f64,
        /// Average frame rate.
        avg_fps: f64,
        /// Seconds.
        duration_seconds: f64,
        /// Bits a second.
        bitrate_bps: u64,
        /// Degrees, clockwise, to turn the picture upright: 0, 90, 180 or 270.
        rotation: i32,
        /// For instance `1:1`.
        pixel_aspect_ratio: String,
        /// For instance `16:9`.
        display_aspect_ratio: String,
        /// `progressive` or `interlaced`.
        scan_type: String,
        /// For instance `yuv420p`.
        pixel_format: String,
        /// Bits a component.
        bit_depth: u32,
        /// `tv` or `pc`.
        color_range: String,
        /// Transfer function.
        color_transfer: String,
        /// Matrix.
        color_space: String,
        /// Primaries.
        color_primaries: String,
    }
}

facts! {
    /// One audio track.
    AudioStream {
        /// Its index in the file.
        index: u32,
        /// Codec name.
        codec: String,
        /// Codec name in words.
        codec_long: String,
        /// Hertz.
        sample_rate: u32,
        /// Bits a sample, where the codec has such a number.
        bit_depth: u32,
        /// Number of channels.
        channels: u32,
        /// For instance `stereo`.
        channel_layout: String,
        /// Bits a second.
        bitrate_bps: u64,
        /// ISO 639 code.
        language: String,
        /// Seconds.
        duration_seconds: f64,
    }
}
