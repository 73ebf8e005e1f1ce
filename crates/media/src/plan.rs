//! What must be done so that a file can be served as HLS: a pure function from facts to a plan, with named reasons.

use std::{collections::BTreeSet, fmt};

use reelhouse_api::{AudioStream, TechnicalMetadata, VideoStream};

use crate::shape;

/// Why a track is encoded. What the facts do not show, whoever reads the index says.
pub mod because {
    /// Not H.264, or not AAC.
    pub const CODEC: &str = "codec";
    /// More than 8 bits.
    pub const BIT_DEPTH: &str = "bit depth";
    /// Not 4:2:0.
    pub const CHROMA: &str = "chroma";
    /// Half pictures.
    pub const INTERLACED: &str = "interlaced";
    /// More channels than 5.1.
    pub const CHANNELS: &str = "channels";
    /// Only the sound is the matter: the picture is copied where it can be.
    pub const AUDIO: &str = "audio";
    /// Keyframes stand too far apart.
    pub const SEGMENT_TOO_LONG: &str = "segment too long";
    /// A segment needs pictures of the one before.
    pub const OPEN_GOP: &str = "open GOP";
    /// The codec's configuration changes on the way.
    pub const PARAMETERS: &str = "parameter sets";
    /// Times that cannot be mended by copying.
    pub const TIMESTAMPS: &str = "timestamps";
    /// A smaller picture is asked for.
    pub const LADDER: &str = "ladder";
}

/// The most channels that are kept.
const MAX_CHANNELS: u32 = 6;

/// Containers that do not say when a picture is shown: copied, reordered pictures come in the wrong order.
const UNTIMED: [&str; 2] = ["avi", "h264"];

/// How much work a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Another container: as quick as copying.
    Remux,
    /// Something is encoded.
    Transcode,
}

/// What becomes of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Its index in the source.
    pub index: u32,
    /// What is done.
    pub how: How,
    /// ISO 639 code.
    pub language: Option<String>,
}

/// What is done with a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Its packets are kept as they are.
    Copy,
    /// It becomes H.264 or AAC, for these reasons.
    Encode(Vec<&'static str>),
}

/// From a source to one MP4 that can be served as HLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The main picture; `None` for a sound.
    pub video: Option<Track>,
    /// Every sound, in file order.
    pub audio: Vec<Track>,
    /// All the reasons, each once.
    pub reasons: Vec<&'static str>,
    /// Pixels of height the picture shall have at the most.
    pub height: Option<u32>,
}

impl Plan {
    /// The plan that copies every track; `None` when one cannot be copied.
    pub fn remux(facts: &TechnicalMetadata) -> Option<Self> {
        let plan = Self::transcode(facts, because::AUDIO);
        (plan.need() == Need::Remux).then_some(Self { reasons: Vec::new(), ..plan })
    }

    /// The plan for a file that cannot be served as it lies: because of what the facts show, and `because`, which is
    /// one of [`because`](mod@because).
    pub fn transcode(facts: &TechnicalMetadata, because: &'static str) -> Self {
        let video = shape::main_video(facts).map(|stream| {
            let mut reasons = reasons_of_video(stream);
            let container = facts.file_container_format.as_deref().unwrap_or_default();
            if UNTIMED.contains(&container) {
                reasons.push(because::TIMESTAMPS);
            }
            if because != because::AUDIO && !reasons.contains(&because) {
                reasons.push(because);
            }
            Track { index: stream.index.unwrap_or_default(), how: how(reasons), language: None }
        });
        let audio = facts.audio_streams.iter().flatten().map(|stream| Track {
            index: stream.index.unwrap_or_default(),
            how: how(reasons_of_audio(stream)),
            language: stream.language.clone(),
        });
        let audio: Vec<Track> = audio.collect();
        let mut reasons: Vec<&'static str> = Vec::new();
        for track in video.iter().chain(&audio) {
            if let How::Encode(of_track) = &track.how {
                for reason in of_track {
                    if !reasons.contains(reason) {
                        reasons.push(reason);
                    }
                }
            }
        }
        Self { video, audio, reasons, height: None }
    }

    /// The same, with no sound copied: where a copy came to nothing, and nothing says of which track, it may be of any.
    #[must_use]
    pub fn with_sounds_encoded(mut self) -> Self {
        for track in &mut self.audio {
            if track.how == How::Copy {
                track.how = How::Encode(vec![because::TIMESTAMPS]);
            }
        }
        self
    }

    /// The same, without sounds that nobody can hear, where there is a picture to be seen.
    #[must_use]
    pub(crate) fn without(mut self, undecodable: &BTreeSet<u32>) -> Self {
        if self.video.is_some() {
            self.audio.retain(|track| !undecodable.contains(&track.index));
        }
        self
    }

    /// The same, with a picture of at most this height.
    #[must_use]
    pub fn at_height(mut self, height: u32) -> Self {
        self.height = Some(height);
        if let Some(Track { how: how @ How::Copy, .. }) = &mut self.video {
            *how = How::Encode(vec![because::LADDER]);
            self.reasons.push(because::LADDER);
        }
        self
    }

    /// How much work it is.
    pub fn need(&self) -> Need {
        let all_copied = self.video.iter().chain(&self.audio).all(|track| track.how == How::Copy);
        if all_copied { Need::Remux } else { Need::Transcode }
    }
}

/// For the log: `transcode (codec, interlaced)`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.need() {
            Need::Remux => "remux",
            Need::Transcode => "transcode",
        })?;
        if self.reasons.is_empty() { Ok(()) } else { write!(f, " ({})", self.reasons.join(", ")) }
    }
}

fn how(reasons: Vec<&'static str>) -> How {
    if reasons.is_empty() { How::Copy } else { How::Encode(reasons) }
}

fn reasons_of_video(stream: &VideoStream) -> Vec<&'static str> {
    let format = stream.pixel_format.as_deref().unwrap_or_default();
    let is_deep =
        stream.bit_depth.is_some_and(|bits| bits != 8) || format.contains("10") || format.contains("12");
    let checks = [
        (stream.codec.as_deref() != Some("h264"), because::CODEC),
        (is_deep, because::BIT_DEPTH),
        (!format.starts_with("yuv420") && !format.starts_with("yuvj420"), because::CHROMA),
        (shape::is_interlaced(stream), because::INTERLACED),
    ];
    checks.into_iter().filter_map(|(holds, reason)| holds.then_some(reason)).collect()
}

fn reasons_of_audio(stream: &AudioStream) -> Vec<&'static str> {
    let checks = [
        (stream.codec.as_deref() != Some("aac"), because::CODEC),
        (stream.channels.is_some_and(|channels| channels > MAX_CHANNELS), because::CHANNELS),
    ];
    checks.into_iter().filter_map(|(holds, reason)| holds.then_some(reason)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As recorded from real files: the picture's codec, format, bits and scan; the sounds' codec and channels.
    fn facts(video: Option<(&str, &str, u32, &str)>, audio: &[(&str, u32)]) -> TechnicalMetadata {
        let some = |text: &str| Some(text.to_owned());
        let picture = video.map(|(codec, format, bits, scan)| VideoStream {
            index: Some(0),
            codec: some(codec),
            width: Some(1280),
            height: Some(720),
            pixel_format: some(format),
            bit_depth: Some(bits),
            scan_type: some(scan),
            ..VideoStream::default()
        });
        let sounds = (1..).zip(audio).map(|(index, (codec, channels))| AudioStream {
            index: Some(index),
            codec: some(codec),
            channels: Some(*channels),
            language: some("deu"),
            ..AudioStream::default()
        });
        TechnicalMetadata {
            video_codec: picture.as_ref().and_then(|picture| picture.codec.clone()),
            video_width: picture.as_ref().and_then(|picture| picture.width),
            video_height: picture.as_ref().and_then(|picture| picture.height),
            video_streams: Some(picture.into_iter().collect()),
            audio_streams: Some(sounds.collect()),
            ..TechnicalMetadata::default()
        }
    }

    const H264: (&str, &str, u32, &str) = ("h264", "yuv420p", 8, "progressive");

    #[test]
    fn what_plays_everywhere_is_copied() {
        for (video, audio) in [
            (Some(H264), &[("aac", 2)][..]),
            (Some(H264), &[]),
            (Some(("h264", "yuvj420p", 8, "progressive")), &[("aac", 6), ("aac", 1)]),
            (None, &[("aac", 2)]),
        ] {
            let plan = Plan::remux(&facts(video, audio)).unwrap();
            assert_eq!((plan.need(), plan.audio.len()), (Need::Remux, audio.len()));
            assert_eq!(plan.to_string(), "remux");
        }
    }

    #[test]
    fn the_rest_is_encoded_for_a_reason() {
        for (video, audio, reasons) in [
            (Some(("vp9", "yuv420p", 8, "progressive")), &[("opus", 2)][..], "codec"),
            (Some(("hevc", "yuv420p10le", 10, "progressive")), &[("aac", 2)], "codec, bit depth"),
            (Some(("h264", "yuv420p10le", 10, "progressive")), &[("aac", 2)], "bit depth"),
            (Some(("h264", "yuv422p", 8, "progressive")), &[], "chroma"),
            (
                Some(("prores", "yuv422p10le", 10, "progressive")),
                &[("pcm_s16le", 2)],
                "codec, bit depth, chroma",
            ),
            (Some(("mpeg2video", "yuv420p", 8, "interlaced")), &[("mp2", 2)], "codec, interlaced"),
            (Some(("h264", "yuv420p", 8, "interlaced")), &[("aac", 2)], "interlaced"),
            (Some(H264), &[("aac", 8)], "channels"),
            (None, &[("flac", 2)], "codec"),
        ] {
            let facts = facts(video, audio);
            assert_eq!(Plan::remux(&facts), None);
            assert_eq!(Plan::transcode(&facts, because::AUDIO).to_string(), format!("transcode ({reasons})"));
        }
    }

    #[test]
    fn only_what_is_the_matter_is_encoded() {
        let sound = Plan::transcode(&facts(Some(H264), &[("opus", 2), ("aac", 2)]), because::AUDIO);
        assert_eq!(sound.video.unwrap().how, How::Copy);
        assert_eq!(sound.audio[0].how, How::Encode(vec![because::CODEC]));
        assert_eq!(sound.audio[1].how, How::Copy);
        assert_eq!(sound.audio[1].language.as_deref(), Some("deu"));

        let picture = Plan::transcode(&facts(Some(H264), &[("aac", 2)]), because::SEGMENT_TOO_LONG);
        assert_eq!(picture.video.as_ref().unwrap().how, How::Encode(vec![because::SEGMENT_TOO_LONG]));
        assert_eq!(picture.audio[0].how, How::Copy);
        assert_eq!(picture.to_string(), "transcode (segment too long)");
    }

    #[test]
    fn pictures_without_times_are_not_copied() {
        let mut facts = facts(Some(H264), &[("aac", 2)]);
        facts.file_container_format = Some("avi".to_owned());
        assert_eq!(Plan::remux(&facts), None);
        assert_eq!(Plan::transcode(&facts, because::AUDIO).to_string(), "transcode (timestamps)");
    }

    #[test]
    fn a_rung_of_the_ladder_is_encoded() {
        let rung = Plan::remux(&facts(Some(H264), &[("aac", 2)])).unwrap().at_height(480);
        assert_eq!((rung.need(), rung.height), (Need::Transcode, Some(480)));
        assert_eq!(rung.to_string(), "transcode (ladder)");
    }
}
