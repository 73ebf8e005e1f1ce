//! From what ffprobe prints to facts: pure. Nothing it prints is believed without bounds; "N/A", "0/0" and absurd numbers
//! become absent.

use std::collections::BTreeMap;

use reelhouse_api::{AudioStream, MediaKind, Resolution, TechnicalMetadata, VideoStream};
use serde::Deserialize;

use crate::{
    Error, Facts, Sniffed,
    probe::{broken, unreadable},
};

/// Longest duration that is believed: about 31 years, in seconds.
const MAX_SECONDS: f64 = 1e9;

/// What ffprobe prints, as far as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct Probe {
    #[serde(default)]
    format: Format,
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    frames: Vec<Frame>,
}

#[derive(Debug, Default, Deserialize)]
struct Format {
    #[serde(default)]
    format_name: String,
    start_time: Option<String>,
    duration: Option<String>,
    size: Option<String>,
    bit_rate: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Frame {
    stream_index: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
struct Stream {
    index: u32,
    #[serde(default)]
    codec_type: String,
    codec_name: Option<String>,
    codec_long_name: Option<String>,
    width: Option<i64>,
    height: Option<i64>,
    sample_aspect_ratio: Option<String>,
    display_aspect_ratio: Option<String>,
    pix_fmt: Option<String>,
    field_order: Option<String>,
    color_range: Option<String>,
    color_space: Option<String>,
    color_transfer: Option<String>,
    color_primaries: Option<String>,
    r_frame_rate: Option<String>,
    avg_frame_rate: Option<String>,
    duration: Option<String>,
    bit_rate: Option<String>,
    nb_frames: Option<String>,
    bits_per_raw_sample: Option<String>,
    bits_per_sample: Option<i64>,
    sample_rate: Option<String>,
    channels: Option<i64>,
    channel_layout: Option<String>,
    #[serde(default)]
    disposition: BTreeMap<String, i64>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Debug, Deserialize)]
struct SideData {
    rotation: Option<f64>,
}

impl Probe {
    /// Whether a frame of this track decoded.
    pub(crate) fn decoded(&self, stream: u32) -> bool {
        self.frames.iter().any(|frame| frame.stream_index == Some(stream))
    }

    /// Name of the demuxer.
    pub(crate) fn demuxer(&self) -> &str {
        &self.format.format_name
    }

    /// Seconds at which the file begins.
    pub(crate) fn start(&self) -> f64 {
        seconds_from(self.format.start_time.as_deref()).unwrap_or(0.0)
    }

    /// How many frames decoded, of any track.
    pub(crate) fn frame_count(&self) -> usize {
        self.frames.len()
    }

    fn videos(&self) -> impl Iterator<Item = &Stream> + Clone {
        self.streams.iter().filter(|stream| stream.codec_type == "video" && !self.is_cover(stream))
    }

    fn audios(&self) -> impl Iterator<Item = &Stream> + Clone {
        self.streams.iter().filter(|stream| stream.codec_type == "audio")
    }

    /// Cover art is no video track: a picture attached to sound.
    fn is_cover(&self, stream: &Stream) -> bool {
        let flagged = stream.disposition.get("attached_pic").is_some_and(|flag| *flag != 0);
        let still = matches!(stream.codec_name.as_deref(), Some("mjpeg" | "png" | "bmp" | "gif" | "webp"));
        flagged || still && stream.nb_frames.as_deref() == Some("1") && self.audios().next().is_some()
    }
}

/// The track that a player would choose.
fn main<'a>(mut streams: impl Iterator<Item = &'a Stream> + Clone) -> Option<&'a Stream> {
    let is_default = |stream: &&Stream| stream.disposition.get("default").is_some_and(|flag| *flag != 0);
    streams.clone().find(is_default).or_else(|| streams.next())
}

/// What the file is, and the index of the track it is judged by.
pub(crate) fn read(probe: &Probe, sniffed: &Sniffed) -> Result<(Facts, u32), Error> {
    let (video, audio) = (main(probe.videos()), main(probe.audios()));
    let (kind, judged) = match (video, audio) {
        (Some(video), _) => (MediaKind::Video, video),
        (None, Some(audio)) => (MediaKind::Audio, audio),
        (None, None) => return Err(unreadable(sniffed, "neither picture nor sound")),
    };
    let upright = match video {
        Some(stream) => {
            Some(upright(stream).ok_or_else(|| broken(kind, "a video track without dimensions"))?)
        }
        None => None,
    };
    let longest = probe.videos().chain(probe.audios()).filter_map(stream_seconds).reduce(f64::max);
    let duration = seconds(probe.format.duration.as_deref()).or(longest);
    let mime = mime(kind, sniffed, &probe.format.format_name, audio).to_owned();
    let format = match kind {
        MediaKind::Audio => audio_format(&mime, audio),
        MediaKind::Video | MediaKind::Image => probe.format.format_name.clone(),
    };
    let technical = metadata(probe, video, audio, &mime);
    Ok((Facts { kind, mime, duration, upright, format, technical }, judged.index))
}

/// What the limits call an audio format. MP3, FLAC and WAV are files of that kind; elsewhere the codec has the name,
/// or the container where the codec is one of those three's.
fn audio_format(mime: &str, stream: Option<&Stream>) -> String {
    let codec = stream.and_then(|stream| stream.codec_name.as_deref()).unwrap_or("unknown");
    let pcm = codec.starts_with("pcm_");
    match (mime, codec) {
        ("audio/mpeg", "mp3") => "MP3".to_owned(),
        ("audio/flac", "flac") => "FLAC".to_owned(),
        ("audio/wav", _) if pcm => "WAV".to_owned(),
        (_, "mp3" | "flac") => container_name(mime),
        _ if pcm => container_name(mime),
        (_, "opus") => "Opus".to_owned(),
        (_, "vorbis") => "Vorbis".to_owned(),
        (_, wma) if wma.starts_with("wma") => "WMA".to_owned(),
        (_, amr) if amr.starts_with("amr") => "AMR".to_owned(),
        (_, other) => other.to_ascii_uppercase(),
    }
}

/// `audio/x-matroska` is `MATROSKA`.
fn container_name(mime: &str) -> String {
    mime.trim_start_matches("audio/").trim_start_matches("x-").to_ascii_uppercase()
}

/// The type of what was found, which may be less than the container could hold.
fn mime(kind: MediaKind, sniffed: &Sniffed, format: &str, audio: Option<&Stream>) -> &'static str {
    let sniffed = match sniffed {
        Sniffed::Media { mime, .. } => mime,
        Sniffed::Unknown | Sniffed::Other { .. } => by_demuxer(format),
    };
    match (kind, sniffed) {
        (MediaKind::Audio, "video/mp4" | "video/quicktime" | "video/3gpp" | "video/3gpp2") => "audio/mp4",
        (MediaKind::Audio, "video/x-matroska") => "audio/x-matroska",
        (MediaKind::Audio, "video/webm") => "audio/webm",
        (MediaKind::Audio, "video/ogg") => "audio/ogg",
        (MediaKind::Audio, "video/x-ms-asf") => "audio/x-ms-wma",
        (MediaKind::Audio, "video/mp2t") => "audio/mp2t",
        // What follows an ID3 tag need not be MP3.
        (MediaKind::Audio, "audio/mpeg") if codec_is(audio, "aac") => "audio/aac",
        (MediaKind::Audio, "audio/mpeg") if codec_is(audio, "flac") => "audio/flac",
        (MediaKind::Video, "video/x-ms-asf") => "video/x-ms-wmv",
        (MediaKind::Video, "audio/mp4") => "video/mp4",
        (MediaKind::Video, "audio/ogg") => "video/ogg",
        (_, other) => other,
    }
}

fn codec_is(stream: Option<&Stream>, name: &str) -> bool {
    stream.is_some_and(|stream| stream.codec_name.as_deref() == Some(name))
}

fn by_demuxer(format: &str) -> &'static str {
    match format {
        "mp3" => "audio/mpeg",
        "aac" => "audio/aac",
        "ac3" | "eac3" => "audio/ac3",
        "dts" => "audio/vnd.dts",
        "flac" => "audio/flac",
        "w64" | "wav" => "audio/wav",
        "au" => "audio/basic",
        "mpegts" => "video/mp2t",
        "mpeg" | "mpegvideo" => "video/mpeg",
        "h264" => "video/h264",
        "hevc" => "video/h265",
        "dv" => "video/x-dv",
        name if name.contains("mp4") => "video/mp4",
        name if name.contains("matroska") => "video/x-matroska",
        _ => "application/octet-stream",
    }
}

fn metadata(probe: &Probe, video: Option<&Stream>, audio: Option<&Stream>, mime: &str) -> TechnicalMetadata {
    let Format { format_name, tags, size, bit_rate, .. } = &probe.format;
    let video_streams: Vec<VideoStream> = probe.videos().map(video_stream).collect();
    let audio_streams: Vec<AudioStream> = probe.audios().map(audio_stream).collect();
    let main_video = video.map(video_stream).unwrap_or_default();
    let main_audio = audio.map(audio_stream).unwrap_or_default();
    let timecode = timecode(probe);
    let place = ["com.apple.quicktime.location.ISO6709", "location", "location-eng"];
    let place = place.iter().find_map(|tag| tags.get(*tag)).and_then(|text| iso6709(text));
    let alone = video_streams.len() + audio_streams.len() == 1;
    TechnicalMetadata {
        file_size_bytes: number(size.as_deref()),
        file_mime_type: Some(mime.to_owned()),
        file_container_format: Some(format_name.clone()).filter(|name| !name.is_empty()),
        container_creation_time: tags.get("creation_time").and_then(|time| time.parse().ok()),
        video_codec: main_video.codec,
        video_width: main_video.width,
        video_height: main_video.height,
        video_fps: main_video.fps,
        video_duration_seconds: main_video.duration_seconds,
        // A lone track's rate is the file's, where only that is known.
        video_bitrate_bps: main_video
            .bitrate_bps
            .or_else(|| number(bit_rate.as_deref()).filter(|_| alone && video.is_some())),
        audio_codec: main_audio.codec,
        audio_sample_rate: main_audio.sample_rate,
        audio_channels: main_audio.channels,
        audio_duration_seconds: main_audio.duration_seconds,
        drop_frame: timecode.as_ref().map(|(text, _)| text.contains(';')),
        timecode_source: timecode.as_ref().map(|(_, source)| (*source).to_owned()),
        start_timecode: timecode.map(|(text, _)| text),
        is_hdr: video
            .map(|stream| matches!(stream.color_transfer.as_deref(), Some("smpte2084" | "arib-std-b67"))),
        has_audio: Some(!audio_streams.is_empty()),
        has_alpha: video.and_then(|stream| stream.pix_fmt.as_deref()).map(has_alpha),
        total_video_streams: u32::try_from(video_streams.len()).ok(),
        total_audio_streams: u32::try_from(audio_streams.len()).ok(),
        storage_aspect_ratio: video
            .and_then(dimensions)
            .map(|size| f64::from(size.width) / f64::from(size.height)),
        geospatial_latitude: place.map(|place| place.0),
        geospatial_longitude: place.map(|place| place.1),
        geospatial_altitude_meters: place.and_then(|place| place.2),
        video_streams: Some(video_streams).filter(|streams| !streams.is_empty()),
        audio_streams: Some(audio_streams).filter(|streams| !streams.is_empty()),
        ..TechnicalMetadata::default()
    }
}

fn video_stream(stream: &Stream) -> VideoStream {
    let size = dimensions(stream);
    VideoStream {
        index: Some(stream.index),
        codec: stream.codec_name.clone(),
        width: size.map(|size| size.width),
        height: size.map(|size| size.height),
        fps: rate(stream.r_frame_rate.as_deref()),
        avg_fps: rate(stream.avg_frame_rate.as_deref()),
        duration_seconds: stream_seconds(stream),
        bitrate_bps: bitrate(stream),
        rotation: Some(rotation(stream)),
        pixel_aspect_ratio: ratio(stream.sample_aspect_ratio.as_deref()),
        display_aspect_ratio: ratio(stream.display_aspect_ratio.as_deref()),
        scan_type: match stream.field_order.as_deref() {
            Some("progressive") => Some("progressive".to_owned()),
            Some("tt" | "bb" | "tb" | "bt") => Some("interlaced".to_owned()),
            _ => None,
        },
        pixel_format: known(stream.pix_fmt.as_deref()),
        bit_depth: video_bit_depth(stream),
        color_range: known(stream.color_range.as_deref()),
        color_transfer: known(stream.color_transfer.as_deref()),
        color_space: known(stream.color_space.as_deref()),
        color_primaries: known(stream.color_primaries.as_deref()),
    }
}

fn audio_stream(stream: &Stream) -> AudioStream {
    let depth = stream.bits_per_sample.filter(|depth| *depth > 0).and_then(|depth| u32::try_from(depth).ok());
    AudioStream {
        index: Some(stream.index),
        codec: stream.codec_name.clone(),
        codec_long: known(stream.codec_long_name.as_deref()),
        sample_rate: number(stream.sample_rate.as_deref()).and_then(|rate| u32::try_from(rate).ok()),
        bit_depth: depth.or_else(|| bits(stream)),
        channels: stream
            .channels
            .filter(|channels| *channels > 0)
            .and_then(|channels| u32::try_from(channels).ok()),
        channel_layout: known(stream.channel_layout.as_deref()),
        bitrate_bps: bitrate(stream),
        language: stream.tags.get("language").filter(|language| *language != "und").cloned(),
        duration_seconds: stream_seconds(stream),
    }
}

fn dimensions(stream: &Stream) -> Option<Resolution> {
    let pixels = |side: Option<i64>| u32::try_from(side?).ok().filter(|side| *side > 0);
    Some(Resolution { width: pixels(stream.width)?, height: pixels(stream.height)? })
}

fn upright(stream: &Stream) -> Option<Resolution> {
    let Resolution { width, height } = dimensions(stream)?;
    Some(match rotation(stream) {
        90 | 270 => Resolution { width: height, height: width },
        _ => Resolution { width, height },
    })
}

/// Clockwise degrees to turn the picture upright. ffprobe counts the matrix's own turn, counter-clockwise.
fn rotation(stream: &Stream) -> i32 {
    let turned = stream.side_data_list.iter().find_map(|data| data.rotation).map(|degrees| -degrees);
    let tagged = || stream.tags.get("rotate").and_then(|degrees| degrees.parse::<f64>().ok());
    match turned.or_else(tagged) {
        // Quarter turns only: phones write nothing else.
        Some(degrees) if degrees.is_finite() => ((degrees / 90.0).round() as i32).rem_euclid(4) * 90,
        _ => 0,
    }
}

fn stream_seconds(stream: &Stream) -> Option<f64> {
    // Matroska keeps a track's duration in a tag: 00:00:05.023000000.
    seconds(stream.duration.as_deref()).or_else(|| {
        let tag = stream.tags.iter().find(|(name, _)| name.starts_with("DURATION"))?.1;
        let mut parts = tag.splitn(3, ':').map(str::parse::<f64>);
        let (hours, minutes, rest) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        believable(hours * 3600.0 + minutes * 60.0 + rest)
    })
}

fn bitrate(stream: &Stream) -> Option<u64> {
    let tag =
        || stream.tags.iter().find(|(name, _)| name.starts_with("BPS")).map(|(_, value)| value.as_str());
    number(stream.bit_rate.as_deref().or_else(tag))
}

fn video_bit_depth(stream: &Stream) -> Option<u32> {
    bits(stream)
        .or_else(|| {
            let format = stream.pix_fmt.as_deref()?;
            let digits: String = format
                .trim_end_matches("le")
                .trim_end_matches("be")
                .chars()
                .rev()
                .take_while(char::is_ascii_digit)
                .collect();
            let depth: u32 = digits.chars().rev().collect::<String>().parse().ok()?;
            // yuv420p10 has a depth, nv12 and rgb24 count something else.
            Some(if matches!(depth, 9 | 10 | 14 | 16) || depth == 12 && format.contains('p') {
                depth
            } else {
                8
            })
        })
        .or_else(|| stream.pix_fmt.as_deref().map(|_| 8))
}

fn bits(stream: &Stream) -> Option<u32> {
    number(stream.bits_per_raw_sample.as_deref()).and_then(|bits| u32::try_from(bits).ok())
}

fn has_alpha(pixel_format: &str) -> bool {
    ["yuva", "rgba", "argb", "bgra", "abgr", "gbrap", "ya8", "ya16", "pal8"]
        .iter()
        .any(|name| pixel_format.starts_with(name))
}

/// A timecode stands on the track, or on the file.
fn timecode(probe: &Probe) -> Option<(String, &'static str)> {
    let of_track = probe
        .streams
        .iter()
        .find_map(|stream| stream.tags.get("timecode"))
        .map(|text| (text.clone(), "stream"));
    of_track.or_else(|| probe.format.tags.get("timecode").map(|text| (text.clone(), "format")))
}

/// `+48.8577+002.295+035.000/`: latitude, longitude and perhaps altitude.
fn iso6709(text: &str) -> Option<(f64, f64, Option<f64>)> {
    let text = text.trim_end_matches('/');
    let starts: Vec<usize> = text.match_indices(['+', '-']).map(|(at, _)| at).collect();
    let part = |n: usize| {
        let end = starts.get(n + 1).copied().unwrap_or(text.len());
        text.get(*starts.get(n)?..end)?.parse::<f64>().ok().filter(|value| value.is_finite())
    };
    let (latitude, longitude) = (part(0)?, part(1)?);
    (latitude.abs() <= 90.0 && longitude.abs() <= 180.0).then(|| (latitude, longitude, part(2)))
}

fn known(text: Option<&str>) -> Option<String> {
    text.filter(|text| !matches!(*text, "" | "unknown" | "N/A" | "none")).map(str::to_owned)
}

fn ratio(text: Option<&str>) -> Option<String> {
    known(text).filter(|text| !text.starts_with("0:") && !text.ends_with(":0"))
}

fn number(text: Option<&str>) -> Option<u64> {
    text?.trim().parse().ok().filter(|number| *number > 0 && *number <= i64::MAX as u64)
}

/// `30000/1001`, to three decimals.
fn rate(text: Option<&str>) -> Option<f64> {
    let (top, bottom) = text?.split_once('/')?;
    let rate = top.parse::<f64>().ok()? / bottom.parse::<f64>().ok()?;
    (rate.is_finite() && rate > 0.0 && rate < 100_000.0).then(|| (rate * 1000.0).round() / 1000.0)
}

/// Seconds that may be zero or below.
fn seconds_from(text: Option<&str>) -> Option<f64> {
    text?.trim().parse().ok().filter(|seconds: &f64| seconds.abs() < MAX_SECONDS)
}

/// When the last of some packets ends, from lines of `seconds,duration`.
pub(crate) fn last_end(lines: &str) -> Option<f64> {
    let end = |line: &str| {
        let mut numbers = line.split(',').map(|number| seconds_from(Some(number)));
        Some(numbers.next()?? + numbers.next().flatten().unwrap_or(0.0))
    };
    lines.lines().filter_map(end).reduce(f64::max)
}

fn seconds(text: Option<&str>) -> Option<f64> {
    text?.trim().parse().ok().and_then(believable)
}

fn believable(seconds: f64) -> Option<f64> {
    (seconds.is_finite() && seconds > 0.0 && seconds < MAX_SECONDS)
        .then(|| (seconds * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MP4: Sniffed = Sniffed::Media { kind: MediaKind::Video, mime: "video/mp4" };

    fn facts(json: &str, sniffed: &Sniffed) -> Result<Facts, Error> {
        read(&serde_json::from_str(json).unwrap(), sniffed).map(|(facts, _)| facts)
    }

    #[test]
    fn nonsense_becomes_absent() {
        let facts = facts(
            r#"{"format": {"format_name": "mov,mp4", "duration": "N/A", "size": "-4"},
                "streams": [{"index": 0, "codec_type": "video", "width": 640, "height": 360, "r_frame_rate": "0/0",
                             "avg_frame_rate": "1/0", "duration": "1e300", "bit_rate": "abc", "sample_aspect_ratio": "0:1",
                             "side_data_list": [{"rotation": 1e300}]}]}"#,
            &MP4,
        )
        .unwrap();
        assert_eq!((facts.kind, facts.duration), (MediaKind::Video, None));
        let stream = &facts.technical.video_streams.unwrap()[0];
        assert_eq!(
            (stream.fps, stream.avg_fps, stream.bitrate_bps, &stream.pixel_aspect_ratio),
            (None, None, None, &None)
        );
    }

    #[test]
    fn a_phones_clip_stands_upright() {
        let json = |turn: &str| {
            format!(
                r#"{{"format": {{"format_name": "mov,mp4", "duration": "5.0",
                     "tags": {{"com.apple.quicktime.location.ISO6709": "+48.8577-002.2950+035.000/"}}}},
                     "streams": [{{"index": 0, "codec_type": "video", "width": 1920, "height": 1080, {turn}}}]}}"#
            )
        };
        for (turn, rotation, width) in [
            (r#""side_data_list": [{"rotation": -90}]"#, 90, 1080),
            (r#""side_data_list": [{"rotation": 90}]"#, 270, 1080),
            (r#""side_data_list": [{"rotation": 180}]"#, 180, 1920),
            (r#""tags": {"rotate": "90"}"#, 90, 1080),
            (r#""tags": {}"#, 0, 1920),
        ] {
            let facts = facts(&json(turn), &MP4).unwrap();
            assert_eq!(facts.upright.unwrap().width, width, "{turn}");
            let technical = facts.technical;
            assert_eq!(technical.video_streams.unwrap()[0].rotation, Some(rotation), "{turn}");
            assert_eq!(technical.video_width, Some(1920));
            assert_eq!(
                (technical.geospatial_latitude, technical.geospatial_longitude),
                (Some(48.8577), Some(-2.295))
            );
            assert_eq!(technical.geospatial_altitude_meters, Some(35.0));
        }
    }

    #[test]
    fn cover_art_is_no_video() {
        let facts = facts(
            r#"{"format": {"format_name": "mp3", "duration": "5.04"},
                "streams": [{"index": 0, "codec_type": "audio", "codec_name": "mp3", "sample_rate": "44100", "channels": 2},
                            {"index": 1, "codec_type": "video", "codec_name": "png", "width": 10, "height": 10,
                             "disposition": {"attached_pic": 1}}]}"#,
            &Sniffed::Media { kind: MediaKind::Audio, mime: "audio/mpeg" },
        )
        .unwrap();
        assert_eq!(
            (facts.kind, facts.format.as_str(), facts.duration),
            (MediaKind::Audio, "MP3", Some(5.04))
        );
        assert_eq!((facts.technical.total_video_streams, facts.technical.has_audio), (Some(0), Some(true)));
    }

    #[test]
    fn packets_end_where_the_last_one_does() {
        // The first line may be cut.
        assert_eq!(last_end("00,0.04\n5.000000,0.040000\n5.080000,N/A\n4.96,0.04\n"), Some(5.08));
        assert_eq!(last_end("N/A,0.04\n\n"), None);
        assert_eq!(last_end("1e300,1\nnan,1"), None);
    }

    #[test]
    fn nothing_to_see_or_hear() {
        let subtitles = r#"{"streams": [{"index": 0, "codec_type": "subtitle"}]}"#;
        assert!(matches!(facts(subtitles, &MP4), Err(Error::Broken { kind: MediaKind::Video, .. })));
        assert!(matches!(facts("{}", &Sniffed::Unknown), Err(Error::NotMedia { .. })));
    }
}
