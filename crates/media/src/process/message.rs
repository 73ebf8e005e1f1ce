//! What is asked of the media process and what it answers. Answers come from where strangers' bytes were read: they are
//! numbers, short texts and pixels, and who takes them sees to their bounds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, Write},
};

use reelhouse_api::{Resolution, VideoStream};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Jail;
use crate::hls::CopyCodec;

/// One file and what is asked of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// What is asked.
    pub request: Request,
    /// CPU seconds.
    pub cpu_seconds: u64,
    /// Bytes of address space.
    pub memory: u64,
    /// How far the child stands back for others, 0 to 19.
    pub niceness: i32,
}

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// All that its headers say, and whether it decodes: a [`Probe`].
    Probe {
        /// What the first bytes promise.
        mime: Option<String>,
    },
    /// When each track begins and ends: [`Timings`].
    Timings {
        /// Seconds it lasts, where known.
        seconds: Option<f64>,
    },
    /// What an image is that safe Rust does not decode, and whether it decodes: a [`CodedImage`].
    CodedImage(CodedFormat, ImageBounds),
    /// The same, to be seen: pixels.
    CodedPicture(CodedFormat, ImageBounds, Resolution),
    /// The frame that tells most: pixels.
    BestFrame(BestFrame),
    /// Frames spread over a video: pixels of each.
    Tiles(Tiles),
    /// The index from which HLS is served, as bytes; or why there is none.
    HlsIndex {
        /// Codecs of video that are taken besides H.264.
        copy: Vec<CopyCodec>,
    },
    /// The cover inside a sound: its bytes.
    Cover {
        /// The most bytes of it.
        most: u64,
    },
    /// The shape of a sound: pixels.
    Waveform,
    /// What a child can still do: a [`Trial`].
    Trial,
}

/// Bounds of an image.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ImageBounds {
    /// Pixels of it.
    pub max_pixels: u64,
    /// Bytes of coded or decoded pictures.
    pub max_bytes: u64,
}

/// Which frames of which track are compared, and how they are shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BestFrame {
    /// The track, as the facts have it.
    pub stream: VideoStream,
    /// As it is shown.
    pub size: Resolution,
    /// Seconds near which keyframes are looked for, the likeliest first.
    pub times: Vec<f64>,
    /// Seconds from which frames are taken where keyframes show nothing.
    pub patience: f64,
}

/// Which frames are taken, and how they are shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tiles {
    /// The track, as the facts have it.
    pub stream: VideoStream,
    /// As it is shown.
    pub size: Resolution,
    /// Seconds from one to the next.
    pub every: f64,
    /// How many.
    pub count: usize,
    /// Whether all frames may be decoded where keyframes are too few.
    pub patient: bool,
}

/// What a file's headers say, and what of it decodes. Seconds are those of the file's own clock.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Probe {
    /// Of the whole.
    pub format: ProbeFormat,
    /// In file order.
    pub streams: Vec<ProbeTrack>,
    /// Whether a frame of the main track decoded.
    pub decodes: bool,
    /// Whether an index says that all is there.
    pub is_whole: bool,
    /// When the last packet of the main track ends, where it was looked for.
    pub end: Option<f64>,
}

/// What is said of the whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeFormat {
    /// Name of the demuxer.
    pub name: String,
    /// Seconds.
    pub start: Option<f64>,
    /// Seconds.
    pub duration: Option<f64>,
    /// Bytes.
    pub size: u64,
    /// Bits a second.
    pub bit_rate: i64,
    /// By name; only those that are read.
    pub tags: BTreeMap<String, String>,
}

/// What is said of a track. Names are ffmpeg's.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is what ffprobe calls it")]
pub struct ProbeTrack {
    pub index: u32,
    pub kind: TrackKind,
    pub codec_name: Option<String>,
    pub codec_long_name: Option<String>,
    pub width: i64,
    pub height: i64,
    pub sample_aspect_ratio: Option<String>,
    pub display_aspect_ratio: Option<String>,
    pub pix_fmt: Option<String>,
    pub field_order: Option<String>,
    pub color_range: Option<String>,
    pub color_space: Option<String>,
    pub color_transfer: Option<String>,
    pub color_primaries: Option<String>,
    pub r_frame_rate: (i32, i32),
    pub avg_frame_rate: (i32, i32),
    pub duration: Option<f64>,
    pub bit_rate: i64,
    pub nb_frames: i64,
    pub bits_per_raw_sample: i64,
    pub bits_per_sample: i64,
    pub sample_rate: i64,
    pub channels: i64,
    pub channel_layout: Option<String>,
    pub is_default: bool,
    pub is_attached: bool,
    pub rotation: Option<f64>,
    pub tags: BTreeMap<String, String>,
}

/// What a track holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Anything else.
    #[default]
    Other,
}

/// When tracks begin and end: what headers say, and what the last packets tell.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// Of the whole.
    pub whole: Span,
    /// By track.
    pub tracks: BTreeMap<u32, Span>,
    /// Seconds at which the last packet ends, by track.
    pub ends: BTreeMap<u32, f64>,
    /// Tracks whose packets do not say when they are shown.
    pub untimed: BTreeSet<u32>,
    /// Tracks of sound that no decoder takes.
    pub undecodable: BTreeSet<u32>,
}

/// What headers say; seconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Span {
    /// When it begins.
    pub start: Option<f64>,
    /// How long it lasts.
    pub duration: Option<f64>,
}

/// Images that have C decoders: because there are no others, or for what the others do not know of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CodedFormat {
    /// HEVC in items.
    Heic,
    /// AV1 in items.
    Avif,
    /// JPEG XL, in boxes or bare.
    JpegXl,
    /// JPEG 2000, in boxes or bare.
    Jpeg2000,
    /// Palettes, planes, sample sizes that safe Rust does not know.
    Tiff,
    /// Headers that safe Rust does not know.
    Bmp,
}

impl CodedFormat {
    const ALL: [Self; 6] = [Self::Heic, Self::Avif, Self::JpegXl, Self::Jpeg2000, Self::Tiff, Self::Bmp];

    /// Of a MIME type; `None` where C decoders know no more than safe Rust.
    pub fn of(mime: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.mime() == mime)
    }

    /// Its MIME type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Heic => "image/heic",
            Self::Avif => "image/avif",
            Self::JpegXl => "image/jxl",
            Self::Jpeg2000 => "image/jp2",
            Self::Tiff => "image/tiff",
            Self::Bmp => "image/bmp",
        }
    }

    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Heic => "HEIC",
            Self::Avif => "AVIF",
            Self::JpegXl => "JPEG XL",
            Self::Jpeg2000 => "JPEG 2000",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
        }
    }
}

/// What an image is, all of whose pictures decode.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CodedImage {
    /// What it is.
    pub format: CodedFormat,
    /// As it lies.
    pub size: Resolution,
    /// EXIF orientation, 1 to 8.
    pub orientation: u32,
    /// How many, where it is said.
    pub channels: Option<u8>,
    /// Of a channel, where it is said.
    pub bit_depth: Option<u8>,
    /// Whether some of it may be transparent.
    pub has_alpha: bool,
    /// Whether it moves, where that is known.
    pub is_animated: Option<bool>,
    /// Of the file.
    pub bytes: u64,
}

/// How large the pixels are that come with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pixels {
    /// Of one picture; three bytes a pixel, row by row.
    pub size: Resolution,
    /// How many pictures.
    pub count: usize,
}

/// What a child tried, and whether it could.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trial {
    /// Whether rules about files hold.
    pub landlock: Landlock,
    /// Whether system calls are refused.
    pub seccomp: bool,
    /// Things that went well and must not.
    pub could: Vec<String>,
    /// The library that decodes.
    pub libav: String,
}

impl Trial {
    /// Whether all layers are there and nothing went well that must not.
    pub fn holds(&self) -> bool {
        self.landlock != Landlock::None && self.seccomp && self.could.is_empty()
    }
}

impl Trial {
    /// Whether children may be kept so.
    ///
    /// # Errors
    /// What there is instead of all that is required.
    pub(crate) fn suffices(&self, jail: Jail) -> Result<(), String> {
        if jail == Jail::Require && !self.holds() { Err(self.to_string()) } else { Ok(()) }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let landlock = match self.landlock {
            Landlock::Full => "landlock",
            Landlock::Partial => "landlock as far as this kernel has it",
            Landlock::None => "no landlock",
        };
        write!(f, "{landlock}, {}, limits", if self.seccomp { "seccomp" } else { "no seccomp" })?;
        match self.could.as_slice() {
            [] => f.write_str("; a child could neither open, connect nor fork"),
            could => write!(f, "; a child could {}", could.join(", ")),
        }
    }
}

/// How far rules about files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Landlock {
    /// All we ask for.
    Full,
    /// What this kernel knows of it.
    Partial,
    /// Not at all.
    None,
}

/// Why there is no answer: the file's fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// No demuxer finds a track in it.
    Unreadable(String),
    /// It is what it says, and broken.
    Broken(String),
    /// Nothing came out of it.
    Nothing(String),
}

/// A frame on the result pipe: whether there is an answer, the lengths of what follows, then JSON, then bytes.
#[derive(Debug)]
pub struct Reply {
    head: Vec<u8>,
    blob: Vec<u8>,
}

impl Reply {
    /// An answer in JSON, and perhaps bytes.
    pub fn new(answer: &impl Serialize, blob: Vec<u8>) -> Self {
        Self { head: serde_json::to_vec(answer).unwrap_or_default(), blob }
    }

    pub(crate) fn write(result: Result<Self, Refused>, mut to: impl Write) -> io::Result<()> {
        let (is_answer, reply) = match result {
            Ok(reply) => (1, reply),
            Err(refused) => (0, Self::new(&refused, Vec::new())),
        };
        let mut header = [is_answer; HEADER];
        header[1..5].copy_from_slice(&(reply.head.len() as u32).to_le_bytes());
        header[5..].copy_from_slice(&(reply.blob.len() as u64).to_le_bytes());
        to.write_all(&header)?;
        to.write_all(&reply.head)?;
        to.write_all(&reply.blob)
    }
}

/// Bytes before the JSON.
const HEADER: usize = 13;

/// Reads a whole frame; `None` when it is cut, or makes no sense.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<Result<(T, Vec<u8>), Refused>> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let head = u32::from_le_bytes(*header[1..].first_chunk()?) as usize;
    let blob = usize::try_from(u64::from_le_bytes(*header[5..].first_chunk()?)).ok()?;
    let (head, rest) = rest.split_at_checked(head)?;
    if rest.len() != blob {
        return None;
    }
    match header[0] {
        1 => Some(Ok((serde_json::from_slice(head).ok()?, rest.to_vec()))),
        0 => serde_json::from_slice(head).ok().map(Err),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_jail_is_enough_where_it_is_required() {
        let trial = |landlock, seccomp, could: &[&str]| Trial {
            landlock,
            seccomp,
            could: could.iter().map(ToString::to_string).collect(),
            libav: String::new(),
        };
        for (trial, missing) in [
            (trial(Landlock::Full, true, &[]), None),
            // A kernel that knows less of it than we ask for still lets a reader open nothing.
            (trial(Landlock::Partial, true, &[]), None),
            (trial(Landlock::None, true, &[]), Some("no landlock, seccomp, limits")),
            (
                trial(Landlock::Full, false, &["fork"]),
                Some("landlock, no seccomp, limits; a child could fork"),
            ),
            (
                trial(Landlock::Full, true, &["connect"]),
                Some("landlock, seccomp, limits; a child could connect"),
            ),
        ] {
            let refused = trial.suffices(Jail::Require).err();
            match missing {
                None => assert_eq!(refused, None),
                Some(missing) => {
                    assert!(refused.as_ref().is_some_and(|told| told.starts_with(missing)), "{refused:?}")
                }
            }
            assert_eq!((trial.suffices(Jail::Prefer), trial.suffices(Jail::Off)), (Ok(()), Ok(())));
        }
    }

    #[test]
    fn a_frame_is_whole_or_none() {
        let mut bytes = Vec::new();
        Reply::write(Ok(Reply::new(&7u32, vec![1, 2, 3])), &mut bytes).unwrap();
        assert_eq!(read::<u32>(&bytes).unwrap().unwrap(), (7, vec![1, 2, 3]));
        for len in 0..bytes.len() {
            assert!(read::<u32>(&bytes[..len]).is_none(), "{len}");
        }
        bytes.push(0);
        assert!(read::<u32>(&bytes).is_none());
        let mut bytes = Vec::new();
        Reply::write(Err(Refused::Broken("half".to_owned())), &mut bytes).unwrap();
        assert_eq!(read::<u32>(&bytes).unwrap().unwrap_err(), Refused::Broken("half".to_owned()));
        bytes[0] = 2;
        assert!(read::<u32>(&bytes).is_none());
    }
}
