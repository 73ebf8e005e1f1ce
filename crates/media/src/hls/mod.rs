//! MP4 and MOV files as HLS, without copying what they hold.
//!
//! A segment is a `moof` that is made on request, and ranges of the file. From the file's own tables (or its fragments) an
//! [`Index`] is made once; it answers everything afterwards without the file. What cannot be served so is refused with a
//! [`Reason`], and has to be rewritten.
//!
//! The way of a file: `source` reads tracks and their samples, `timeline` says when they are shown, `cut` where
//! segments begin, `index` packs it; `segment` and `playlist` write. Every number is a stranger's.
//! Of codecs, `codec` knows what every browser plays; `hevc` and `av1` what is copied for those that have more.

mod av1;
mod codec;
mod cut;
mod fragments;
mod hevc;
mod index;
mod pack;
mod playlist;
mod segment;
mod source;
mod tables;
mod timeline;
mod write;

#[cfg(test)]
mod tests;

use std::{fmt, io};

pub use index::Index;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use index::sealed;
pub use playlist::master_playlist;
pub use segment::Segment;

/// A codec of video that is copied where players are known to have it: not all browsers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum CopyCodec {
    /// H.265.
    Hevc,
    /// AV1.
    Av1,
}

impl CopyCodec {
    /// A name that stays.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
        }
    }

    /// From its name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Hevc, Self::Av1].into_iter().find(|codec| codec.as_str() == name)
    }
}

impl fmt::Display for CopyCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hevc => "HEVC",
            Self::Av1 => "AV1",
        })
    }
}

/// Why a file cannot be served as it lies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Reason {
    /// It has no index of that kind.
    #[error("not an MP4 or MOV file")]
    NotMp4,
    /// Neither video nor sound.
    #[error("no video and no sound")]
    NoMedia,
    /// Browsers do not all play it.
    #[error("video is {0}, not H.264")]
    VideoCodec(String),
    /// Browsers do not all play it.
    #[error("sound is {0}, not AAC")]
    AudioCodec(String),
    /// H.264, but not with 8 bits, 4:2:0, progressive.
    #[error("H.264 is not 8-bit 4:2:0 progressive")]
    NotCommonH264,
    /// HEVC or AV1 to be copied, but not with 8 or 10 bits, 4:2:0, progressive, or only for Dolby Vision.
    #[error("{0} is not 4:2:0 progressive with 8 or 10 bits")]
    NotCommonVideo(CopyCodec),
    /// Parameter sets are not all in the sample entry, or others lie among the pictures: a remux as `hvc1` collects them.
    #[error("parameter sets lie among the pictures")]
    InBandParameters,
    /// Parameter sets of H.264 among the pictures are others than the sample entry's: the codec's configuration changes.
    #[error("parameter sets change among the pictures")]
    ParametersChange,
    /// Pictures at which segments would begin are not IDR, or others are shown before them.
    #[error("groups of pictures are open")]
    OpenGop,
    /// The edit list begins or ends where decoding cannot.
    #[error("a trim inside a group of pictures")]
    TrimInsideGop,
    /// More than a beginning and an end.
    #[error("several edits")]
    SeveralEdits,
    /// The codec's configuration changes.
    #[error("several sample entries in a track")]
    SeveralSampleEntries,
    /// More than one video that is shown.
    #[error("several videos")]
    SeveralVideos,
    /// Sounds that differ in coding or rate, and no video: players do not change between them.
    #[error("several sounds that differ, without video")]
    SeveralSounds,
    /// Segments would be gathered from more than a thousand places.
    #[error("pictures and sound are badly interleaved")]
    BadlyInterleaved,
    /// Nobody here has the key.
    #[error("encrypted")]
    Encrypted,
    /// More than 20 seconds without a picture at which decoding can begin.
    #[error("more than 20 seconds between sync samples")]
    SegmentTooLong,
    /// One track begins or ends so far from the other that it does not fit into one segment.
    #[error("tracks begin or end far apart")]
    TracksEndApart,
    /// Tables contradict themselves or the file.
    #[error("broken tables: {0}")]
    BadTables(std::borrow::Cow<'static, str>),
}

impl Reason {
    /// A name that stays.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotMp4 => "not_mp4",
            Self::NoMedia => "no_media",
            Self::VideoCodec(_) => "video_codec",
            Self::AudioCodec(_) => "audio_codec",
            Self::NotCommonH264 => "not_common_h264",
            Self::NotCommonVideo(_) => "not_common_video",
            Self::InBandParameters => "in_band_parameters",
            Self::ParametersChange => "parameters_change",
            Self::OpenGop => "open_gop",
            Self::TrimInsideGop => "trim_inside_gop",
            Self::SeveralEdits => "several_edits",
            Self::SeveralSampleEntries => "several_sample_entries",
            Self::SeveralVideos => "several_videos",
            Self::SeveralSounds => "several_sounds",
            Self::BadlyInterleaved => "badly_interleaved",
            Self::Encrypted => "encrypted",
            Self::SegmentTooLong => "segment_too_long",
            Self::TracksEndApart => "tracks_end_apart",
            Self::BadTables(_) => "bad_tables",
        }
    }
}

/// What ends reading early.
#[derive(Debug)]
enum Stop {
    Io(io::Error),
    Reason(Reason),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}
