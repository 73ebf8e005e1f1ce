//! What is taken and what is not: the one place that knows the numbers (contract, sections 2.1 and 7).

use std::num::NonZeroU64;

use reelhouse_api::{Fault, MediaKind, Method, Resolution};
use reelhouse_media::Facts;
use serde::{Deserialize, Deserializer, Serialize};

const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;

/// A named set of limits; `REELHOUSE_LIMITS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum LimitsProfile {
    /// The numbers of the original.
    #[default]
    Twelvelabs,
    /// Anything that plays; only sizes are bounded.
    Permissive,
}

impl std::str::FromStr for LimitsProfile {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "twelvelabs" => Ok(Self::Twelvelabs),
            "permissive" => Ok(Self::Permissive),
            _ => Err("the profiles are `twelvelabs` and `permissive`"),
        }
    }
}

/// Every bound on media. Bytes are bytes, durations seconds, resolutions pixels; an absent bound does not bind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Of videos.
    pub video: VideoLimits,
    /// Of audio.
    pub audio: AudioLimits,
    /// Of images.
    pub image: ImageLimits,
}

/// Bounds of videos. Resolutions are judged upright, as they are shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VideoLimits {
    /// Bytes of a local file. Always bound: room in staging is reserved by it.
    #[serde(deserialize_with = "not_zero")]
    pub max_size: u64,
    /// Bytes of what comes by URL.
    #[serde(deserialize_with = "not_zero")]
    pub max_size_url: u64,
    /// Bytes of what comes in chunks.
    #[serde(deserialize_with = "not_zero")]
    pub max_size_multipart: u64,
    /// Pixels of the short side.
    #[serde(deserialize_with = "zero_is_none")]
    pub min_side: Option<u32>,
    /// Pixels of the short side.
    #[serde(deserialize_with = "zero_is_none")]
    pub max_short_side: Option<u32>,
    /// Pixels of the long side.
    #[serde(deserialize_with = "zero_is_none")]
    pub max_long_side: Option<u32>,
    /// Long side by short side.
    #[serde(deserialize_with = "zero_is_none")]
    pub max_aspect_ratio: Option<f64>,
    /// Seconds.
    #[serde(deserialize_with = "zero_is_none")]
    pub min_duration: Option<f64>,
    /// Seconds.
    #[serde(deserialize_with = "zero_is_none")]
    pub max_duration: Option<f64>,
}

/// Bounds of audio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudioLimits {
    /// Bytes of a local file. Always bound: room in staging is reserved by it.
    #[serde(deserialize_with = "not_zero")]
    pub max_size: u64,
    /// Bytes of what comes by URL.
    #[serde(deserialize_with = "not_zero")]
    pub max_size_url: u64,
    /// Bytes of what comes in chunks.
    #[serde(deserialize_with = "not_zero")]
    pub max_size_multipart: u64,
    /// Seconds.
    #[serde(deserialize_with = "zero_is_none")]
    pub min_duration: Option<f64>,
    /// Seconds.
    #[serde(deserialize_with = "zero_is_none")]
    pub max_duration: Option<f64>,
    /// Names of formats; any when absent.
    pub formats: Option<Vec<String>>,
}

/// Bounds of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageLimits {
    /// Bytes of a local file.
    #[serde(deserialize_with = "not_zero")]
    pub max_size: u64,
    /// Bytes of what comes by URL.
    #[serde(deserialize_with = "not_zero")]
    pub max_size_url: u64,
    /// Bytes of what comes in chunks.
    #[serde(deserialize_with = "not_zero")]
    pub max_size_multipart: u64,
    /// Pixels of either side.
    #[serde(deserialize_with = "zero_is_none")]
    pub min_side: Option<u32>,
    /// Names of formats; any that decodes when absent.
    pub formats: Option<Vec<String>>,
}

/// What of a file the limits look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged<'a> {
    pub(crate) kind: MediaKind,
    /// MIME type from the bytes.
    pub(crate) mime: &'a str,
    /// Name of the format for people.
    pub(crate) format: &'a str,
    /// As it is shown; `None` for audio.
    pub(crate) upright: Option<Resolution>,
    /// Seconds.
    pub(crate) duration: Option<f64>,
}

impl<'a> From<&'a Facts> for Judged<'a> {
    fn from(facts: &'a Facts) -> Self {
        let Facts { kind, mime, duration, upright, format, technical: _ } = facts;
        Self { kind: *kind, mime, format, upright: *upright, duration: *duration }
    }
}

/// Gives the same cap to files whichever way they come.
macro_rules! one_max_size {
    ($($limits:ident),*) => {$(
        impl $limits {
            pub(crate) fn set_max_size(&mut self, bytes: u64) {
                (self.max_size, self.max_size_url, self.max_size_multipart) = (bytes, bytes, bytes);
            }
        }
    )*};
}

one_max_size!(VideoLimits, AudioLimits, ImageLimits);

/// A settings file cannot say "absent": 0 takes a bound away.
fn zero_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default + PartialEq,
{
    Ok(Option::<T>::deserialize(deserializer)?.filter(|bound| *bound != T::default()))
}

fn not_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    NonZeroU64::deserialize(deserializer).map(NonZeroU64::get)
}

impl Limits {
    /// The numbers of a profile.
    pub fn of(profile: LimitsProfile) -> Self {
        match profile {
            LimitsProfile::Twelvelabs => Self {
                video: VideoLimits {
                    max_size: 200 * MB,
                    max_size_url: 4 * GB,
                    max_size_multipart: 10 * GB,
                    min_side: Some(360),
                    max_short_side: Some(2160),
                    max_long_side: Some(5184),
                    max_aspect_ratio: Some(2.4),
                    min_duration: Some(4.0),
                    max_duration: Some(14_400.0),
                },
                audio: AudioLimits {
                    max_size: 200 * MB,
                    max_size_url: 4 * GB,
                    max_size_multipart: 10 * GB,
                    min_duration: Some(4.0),
                    max_duration: Some(14_400.0),
                    formats: Some(["WAV", "MP3", "FLAC"].map(str::to_owned).into()),
                },
                image: ImageLimits {
                    max_size: 5 * MB,
                    max_size_url: 5 * MB,
                    max_size_multipart: 32 * MB,
                    min_side: Some(128),
                    formats: Some(["JPEG", "PNG"].map(str::to_owned).into()),
                },
            },
            LimitsProfile::Permissive => Self {
                video: VideoLimits {
                    max_size: 200 * MB,
                    max_size_url: 4 * GB,
                    max_size_multipart: 10 * GB,
                    min_side: None,
                    max_short_side: None,
                    max_long_side: None,
                    max_aspect_ratio: None,
                    min_duration: None,
                    max_duration: None,
                },
                audio: AudioLimits {
                    max_size: 200 * MB,
                    max_size_url: 4 * GB,
                    max_size_multipart: 10 * GB,
                    min_duration: None,
                    max_duration: None,
                    formats: None,
                },
                image: ImageLimits {
                    max_size: 32 * MB,
                    max_size_url: 32 * MB,
                    max_size_multipart: 32 * MB,
                    min_side: None,
                    formats: None,
                },
            },
        }
    }

    /// The most bytes a local file of any kind may have.
    pub fn max_local_size(&self) -> u64 {
        self.video.max_size.max(self.audio.max_size).max(self.image.max_size)
    }

    /// The most bytes a file of this kind may have that comes this way.
    pub(crate) fn max_size(&self, kind: MediaKind, method: Method) -> u64 {
        let Self { video, audio, image } = self;
        match (kind, method) {
            (MediaKind::Video, Method::Direct) => video.max_size,
            (MediaKind::Video, Method::Url) => video.max_size_url,
            (MediaKind::Video, Method::Multipart) => video.max_size_multipart,
            (MediaKind::Audio, Method::Direct) => audio.max_size,
            (MediaKind::Audio, Method::Url) => audio.max_size_url,
            (MediaKind::Audio, Method::Multipart) => audio.max_size_multipart,
            (MediaKind::Image, Method::Direct) => image.max_size,
            (MediaKind::Image, Method::Url) => image.max_size_url,
            (MediaKind::Image, Method::Multipart) => image.max_size_multipart,
        }
    }

    /// The fault of a file with this many bytes that comes this way, if it is one.
    pub(crate) fn check_size(&self, kind: MediaKind, method: Method, current: u64) -> Result<(), Fault> {
        let maximum = self.max_size(kind, method);
        if current <= maximum {
            return Ok(());
        }
        Err(match (kind, method) {
            (MediaKind::Image, _) | (_, Method::Url) => Fault::MediaFilesizeTooLarge { maximum, current },
            (MediaKind::Video, _) => Fault::VideoFilesizeTooLarge { maximum, current },
            (MediaKind::Audio, _) => Fault::AudioFilesizeTooLarge { maximum, current },
        })
    }

    /// The first fault of a file that decodes, in the order of the contract.
    pub(crate) fn check<'a>(
        &self,
        facts: impl Into<Judged<'a>>,
        method: Method,
        size: u64,
    ) -> Result<(), Fault> {
        let facts = facts.into();
        // Again, with the kind that decoding found: a container's first bytes do not tell sound from picture.
        self.check_size(facts.kind, method, size)?;
        match facts.kind {
            MediaKind::Video => self.video.check(facts),
            MediaKind::Audio => self.audio.check(facts),
            MediaKind::Image => self.image.check(facts),
        }
    }
}

impl VideoLimits {
    fn check(&self, facts: Judged<'_>) -> Result<(), Fault> {
        let Some(current) = facts.upright else { return Err(Fault::VideoFileBroken) };
        let (short, long) = (current.width.min(current.height), current.width.max(current.height));
        let minimum = Resolution { width: self.min_side.unwrap_or(1), height: self.min_side.unwrap_or(1) };
        let maximum = Resolution {
            width: self.max_long_side.unwrap_or(u32::MAX),
            height: self.max_short_side.unwrap_or(u32::MAX),
        };
        if short < minimum.width {
            return Err(Fault::VideoResolutionTooLow { minimum, maximum, current });
        }
        if long > maximum.width || short > maximum.height {
            return Err(Fault::VideoResolutionTooHigh { minimum, maximum, current });
        }
        if let Some(maximum) = self.max_aspect_ratio
            && f64::from(long) > f64::from(short) * maximum
        {
            return Err(Fault::VideoResolutionInvalidAspectRatio { maximum, current });
        }
        // A raw stream may have no duration; it is bound by its size alone.
        match outside(facts.duration, self.min_duration, self.max_duration) {
            None => Ok(()),
            Some(Outside::Below { minimum, current }) => {
                Err(Fault::VideoDurationTooShort { minimum, current })
            }
            Some(Outside::Above { minimum, maximum, current }) => {
                Err(Fault::VideoDurationTooLong { minimum, maximum, current })
            }
        }
    }
}

impl AudioLimits {
    fn check(&self, facts: Judged<'_>) -> Result<(), Fault> {
        match outside(facts.duration, self.min_duration, self.max_duration) {
            Some(Outside::Below { minimum, current }) => {
                return Err(Fault::AudioDurationTooShort { minimum, current });
            }
            Some(Outside::Above { minimum, maximum, current }) => {
                return Err(Fault::AudioDurationTooLong { minimum, maximum, current });
            }
            None => {}
        }
        match &self.formats {
            Some(formats) if !formats.iter().any(|format| format.eq_ignore_ascii_case(facts.format)) => {
                Err(Fault::AudioFormatUnsupported {
                    format: facts.format.to_owned(),
                    supported_formats: formats.join(", "),
                })
            }
            _ => Ok(()),
        }
    }
}

impl ImageLimits {
    fn check(&self, facts: Judged<'_>) -> Result<(), Fault> {
        if let Some(formats) = &self.formats
            && !formats.iter().any(|format| format.eq_ignore_ascii_case(facts.format))
        {
            return Err(Fault::UnsupportedAssetType { asset_type: facts.mime.to_owned() });
        }
        let Some(current) = facts.upright else { return Err(Fault::ImageInvalid) };
        match self.min_side {
            Some(side) if current.width.min(current.height) < side => {
                Err(Fault::ImageDimensions { current, minimum: Resolution { width: side, height: side } })
            }
            _ => Ok(()),
        }
    }
}

enum Outside {
    Below { minimum: f64, current: f64 },
    Above { minimum: f64, maximum: f64, current: f64 },
}

fn outside(current: Option<f64>, minimum: Option<f64>, maximum: Option<f64>) -> Option<Outside> {
    let current = current?;
    let floor = minimum.unwrap_or(0.0);
    if current < floor {
        return Some(Outside::Below { minimum: floor, current });
    }
    maximum.filter(|maximum| current > *maximum).map(|maximum| Outside::Above {
        minimum: floor,
        maximum,
        current,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_profile_has_the_numbers_of_the_contract() {
        let of = |profile, kind| {
            let limits = Limits::of(profile);
            [Method::Direct, Method::Url, Method::Multipart].map(|method| limits.max_size(kind, method))
        };
        for profile in [LimitsProfile::Twelvelabs, LimitsProfile::Permissive] {
            assert_eq!(of(profile, MediaKind::Video), [209_715_200, 4_294_967_296, 10_737_418_240]);
            assert_eq!(of(profile, MediaKind::Audio), [209_715_200, 4_294_967_296, 10_737_418_240]);
            assert_eq!(Limits::of(profile).max_local_size(), 209_715_200);
        }
        assert_eq!(of(LimitsProfile::Twelvelabs, MediaKind::Image), [5_242_880, 5_242_880, 33_554_432]);
        assert_eq!(of(LimitsProfile::Permissive, MediaKind::Image), [33_554_432; 3]);
    }

    #[test]
    fn a_profile_has_a_name() {
        assert_eq!("twelvelabs".parse(), Ok(LimitsProfile::Twelvelabs));
        assert_eq!("permissive".parse(), Ok(LimitsProfile::Permissive));
        assert!("Permissive".parse::<LimitsProfile>().is_err());
    }

    #[test]
    fn a_zero_takes_a_bound_away_where_one_may_go() {
        let written = |name: &str, bound: Value| {
            let mut video = serde_json::to_value(Limits::of(LimitsProfile::Twelvelabs).video).unwrap();
            video[name] = bound;
            serde_json::from_value::<VideoLimits>(video)
        };
        assert_eq!(written("min_side", json!(0)).unwrap().min_side, None);
        assert_eq!(written("min_side", json!(100)).unwrap().min_side, Some(100));
        assert_eq!(written("max_duration", json!(0.0)).unwrap().max_duration, None);
        assert_eq!(written("max_size", json!(5)).unwrap().max_size, 5);
        for always in ["max_size", "max_size_url", "max_size_multipart"] {
            assert!(written(always, json!(0)).is_err(), "{always}");
        }
    }

    /// What the numbers of the contract say of a file of this kind, by the name of the fault.
    fn judged(kind: MediaKind, upright: Option<(u32, u32)>, duration: Option<f64>) -> Option<&'static str> {
        let (mime, format) = match kind {
            MediaKind::Video => ("video/mp4", "MP4"),
            MediaKind::Audio => ("audio/wav", "wav"),
            MediaKind::Image => ("image/png", "png"),
        };
        let upright = upright.map(|(width, height)| Resolution { width, height });
        let facts = Judged { kind, mime, format, upright, duration };
        let limits = Limits::of(LimitsProfile::Twelvelabs);
        limits.check(facts, Method::Direct, 1).err().map(|fault| fault.name())
    }

    #[test]
    fn a_bound_holds_to_the_pixel() {
        let video = |width, height| judged(MediaKind::Video, Some((width, height)), Some(10.0));
        assert_eq!([video(360, 360), video(360, 640), video(864, 360), video(5184, 2160)], [None; 4]);
        assert_eq!([video(2160, 5184), video(2160, 2160)], [None; 2]);
        assert_eq!([video(359, 360), video(640, 359)], [Some("VideoResolutionTooLow"); 2]);
        assert_eq!([video(5185, 2161), video(5185, 2160)], [Some("VideoResolutionTooHigh"); 2]);
        assert_eq!([video(2161, 2161), video(2161, 5184)], [Some("VideoResolutionTooHigh"); 2]);
        assert_eq!([video(865, 360), video(360, 865)], [Some("VideoResolutionInvalidAspectRatio"); 2]);
        assert_eq!(judged(MediaKind::Video, None, Some(10.0)), Some("VideoFileBroken"));

        let image = |width, height| judged(MediaKind::Image, Some((width, height)), None);
        assert_eq!([image(128, 128), image(128, 60_000), image(60_000, 128)], [None; 3]);
        assert_eq!([image(127, 128), image(60_000, 127)], [Some("ImageDimensions"); 2]);
        assert_eq!(judged(MediaKind::Image, None, None), Some("ImageInvalid"));
    }

    #[test]
    fn a_bound_holds_to_the_millisecond() {
        let of = |kind, seconds| judged(kind, Some((640, 360)), seconds);
        for kind in [MediaKind::Video, MediaKind::Audio] {
            assert_eq!([of(kind, None), of(kind, Some(4.0)), of(kind, Some(14_400.0))], [None; 3]);
        }
        assert_eq!(of(MediaKind::Video, Some(3.999)), Some("VideoDurationTooShort"));
        assert_eq!(of(MediaKind::Video, Some(14_400.001)), Some("VideoDurationTooLong"));
        assert_eq!(of(MediaKind::Audio, Some(3.999)), Some("AudioDurationTooShort"));
        assert_eq!(of(MediaKind::Audio, Some(14_400.001)), Some("AudioDurationTooLong"));
    }
}
