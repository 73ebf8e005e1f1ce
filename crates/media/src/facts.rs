//! From what the media process answers to facts: pure. Nothing it says is believed without bounds; absurd numbers become
//! absent.

use reelhouse_api::{AudioStream, MediaKind, Resolution, TechnicalMetadata, VideoStream};

use crate::{
    Error, Facts, Sniffed,
    probe::{broken, unreadable},
    process::{Probe, ProbeFormat, ProbeTrack as Stream, TrackKind},
};

/// Longest duration that is believed: about 31 years, in seconds.
const MAX_SECONDS: f64 = 1e9;
/// Demuxers whose files say how long they are, in no index that we read.
const DECLARING: [&str; 7] = ["flac", "flv", "ivf", "mxf", "tta", "wv", "ape"];

impl Probe {
    fn videos(&self) -> impl Iterator<Item = &Stream> + Clone {
        self.streams.iter().filter(|stream| stream.kind == TrackKind::Video && !self.is_cover(stream))
    }

    fn audios(&self) -> impl Iterator<Item = &Stream> + Clone {
        self.streams.iter().filter(|stream| stream.kind == TrackKind::Audio)
    }

    /// Cover art is no video track: a picture attached to sound.
    fn is_cover(&self, stream: &Stream) -> bool {
        let still = matches!(stream.codec_name.as_deref(), Some("mjpeg" | "png" | "bmp" | "gif" | "webp"));
        stream.is_attached || still && stream.nb_frames == 1 && self.audios().next().is_some()
    }

    /// The track by which a file is judged.
    pub fn main(&self) -> Option<u32> {
        main(self.videos()).or_else(|| main(self.audios())).map(|stream| stream.index)
    }

    /// How long it says that it lasts.
    pub fn seconds(&self) -> Option<f64> {
        let longest = self.videos().chain(self.audios()).filter_map(stream_seconds).reduce(f64::max);
        seconds(self.format.duration).or(longest)
    }

    /// Seconds at which it begins.
    pub fn start(&self) -> f64 {
        self.format.start.filter(|seconds| seconds.abs() < MAX_SECONDS).unwrap_or(0.0)
    }

    /// Whether a file of this kind says how long it is, and in no index that we read: its end has to be seen.
    pub fn must_be_seen_to_end(&self) -> bool {
        !self.is_whole && DECLARING.contains(&self.format.name.as_str())
    }
}

/// The track that a player would choose.
fn main<'a>(mut streams: impl Iterator<Item = &'a Stream> + Clone) -> Option<&'a Stream> {
    streams.clone().find(|stream| stream.is_default).or_else(|| streams.next())
}

/// What the file is, if it is whole.
pub(crate) fn read(probe: &Probe, sniffed: &Sniffed) -> Result<Facts, Error> {
    let mut facts = headers(probe, sniffed)?;
    if !probe.decodes {
        return Err(broken(facts.kind, "no frame of the main track decodes"));
    }
    let end = probe.end.filter(|end| end.abs() < MAX_SECONDS);
    match facts.duration {
        None => facts.duration = end.and_then(|end| believable(end - probe.start())),
        Some(seconds) if probe.must_be_seen_to_end() => {
            let missing = probe.start() + seconds - end.unwrap_or(0.0);
            if missing > f64::max(0.5, seconds * 0.005) {
                return Err(broken(facts.kind, format!("its last {missing:.2} seconds are missing")));
            }
        }
        Some(_) => {}
    }
    Ok(facts)
}

/// What the headers say.
fn headers(probe: &Probe, sniffed: &Sniffed) -> Result<Facts, Error> {
    let (video, audio) = (main(probe.videos()), main(probe.audios()));
    let kind = match (video, audio) {
        (Some(_), _) => MediaKind::Video,
        (None, Some(_)) => MediaKind::Audio,
        (None, None) => return Err(unreadable(sniffed, "neither picture nor sound")),
    };
    let upright = match video {
        Some(stream) => {
            Some(upright(stream).ok_or_else(|| broken(kind, "a video track without dimensions"))?)
        }
        None => None,
    };
    let duration = probe.seconds();
    let mime = mime(kind, sniffed, &probe.format.name, audio).to_owned();
    let format = match kind {
        MediaKind::Audio => audio_format(&mime, audio),
        MediaKind::Video | MediaKind::Image => probe.format.name.clone(),
    };
    let technical = metadata(probe, video, audio, &mime);
    Ok(Facts { kind, mime, duration, upright, format, technical })
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
    let ProbeFormat { name, tags, size, bit_rate, .. } = &probe.format;
    let video_streams: Vec<VideoStream> = probe.videos().map(video_stream).collect();
    let audio_streams: Vec<AudioStream> = probe.audios().map(audio_stream).collect();
    let main_video = video.map(video_stream).unwrap_or_default();
    let main_audio = audio.map(audio_stream).unwrap_or_default();
    let timecode = timecode(probe);
    let place = ["com.apple.quicktime.location.ISO6709", "location", "location-eng"];
    let place = place.iter().find_map(|tag| tags.get(*tag)).and_then(|text| iso6709(text));
    let alone = video_streams.len() + audio_streams.len() == 1;
    TechnicalMetadata {
        file_size_bytes: Some(*size).filter(|size| *size > 0),
        file_mime_type: Some(mime.to_owned()),
        file_container_format: Some(name.clone()).filter(|name| !name.is_empty()),
        container_creation_time: tags.get("creation_time").and_then(|time| time.parse().ok()),
        video_codec: main_video.codec,
        video_width: main_video.width,
        video_height: main_video.height,
        video_fps: main_video.fps,
        video_duration_seconds: main_video.duration_seconds,
        // A lone track's rate is the file's, where only that is known.
        video_bitrate_bps: main_video
            .bitrate_bps
            .or_else(|| number(*bit_rate).filter(|_| alone && video.is_some())),
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
        fps: rate(stream.r_frame_rate),
        avg_fps: rate(stream.avg_frame_rate),
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
    let count = |number: i64| u32::try_from(number).ok().filter(|count| *count > 0);
    AudioStream {
        index: Some(stream.index),
        codec: stream.codec_name.clone(),
        codec_long: known(stream.codec_long_name.as_deref()),
        sample_rate: count(stream.sample_rate),
        bit_depth: count(stream.bits_per_sample).or_else(|| bits(stream)),
        channels: count(stream.channels),
        channel_layout: known(stream.channel_layout.as_deref()),
        bitrate_bps: bitrate(stream),
        language: stream.tags.get("language").filter(|language| *language != "und").cloned(),
        duration_seconds: stream_seconds(stream),
    }
}

fn dimensions(stream: &Stream) -> Option<Resolution> {
    let pixels = |side: i64| u32::try_from(side).ok().filter(|side| *side > 0);
    Some(Resolution { width: pixels(stream.width)?, height: pixels(stream.height)? })
}

fn upright(stream: &Stream) -> Option<Resolution> {
    let Resolution { width, height } = dimensions(stream)?;
    Some(match rotation(stream) {
        90 | 270 => Resolution { width: height, height: width },
        _ => Resolution { width, height },
    })
}

/// Clockwise degrees to turn the picture upright. The matrix's own turn is counted counter-clockwise.
fn rotation(stream: &Stream) -> i32 {
    let turned = stream.rotation.map(|degrees| -degrees);
    let tagged = || stream.tags.get("rotate").and_then(|degrees| degrees.parse::<f64>().ok());
    match turned.or_else(tagged) {
        // Quarter turns only: phones write nothing else.
        Some(degrees) if degrees.is_finite() => ((degrees / 90.0).round() as i32).rem_euclid(4) * 90,
        _ => 0,
    }
}

fn stream_seconds(stream: &Stream) -> Option<f64> {
    // Matroska keeps a track's duration in a tag: 00:00:05.023000000.
    seconds(stream.duration).or_else(|| {
        let tag = stream.tags.iter().find(|(name, _)| name.starts_with("DURATION"))?.1;
        let mut parts = tag.splitn(3, ':').map(str::parse::<f64>);
        let (hours, minutes, rest) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        believable(hours * 3600.0 + minutes * 60.0 + rest)
    })
}

fn bitrate(stream: &Stream) -> Option<u64> {
    let tag = || stream.tags.iter().find(|(name, _)| name.starts_with("BPS"))?.1.trim().parse().ok();
    number(stream.bit_rate).or_else(|| number(tag()?))
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
    u32::try_from(stream.bits_per_raw_sample).ok().filter(|bits| *bits > 0)
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

fn number(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number > 0)
}

/// A fraction, to three decimals.
fn rate((top, bottom): (i32, i32)) -> Option<f64> {
    let rate = (f64::from(top) / f64::from(bottom) * 1000.0).round() / 1000.0;
    // What rounds to nothing is none: others divide by it.
    (rate.is_finite() && rate > 0.0 && rate < 100_000.0).then_some(rate)
}

fn seconds(seconds: Option<f64>) -> Option<f64> {
    believable(seconds?)
}

fn believable(seconds: f64) -> Option<f64> {
    (seconds.is_finite() && seconds > 0.0 && seconds < MAX_SECONDS)
        .then(|| (seconds * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MP4: Sniffed = Sniffed::Media { kind: MediaKind::Video, mime: "video/mp4" };

    fn probe(format: ProbeFormat, streams: Vec<Stream>) -> Probe {
        Probe { format, streams, decodes: true, ..Probe::default() }
    }

    fn picture() -> Stream {
        Stream { kind: TrackKind::Video, width: 640, height: 360, ..Stream::default() }
    }

    fn lasting(seconds: f64) -> ProbeFormat {
        ProbeFormat { name: "mov,mp4".to_owned(), duration: Some(seconds), ..ProbeFormat::default() }
    }

    #[test]
    fn nonsense_becomes_absent() {
        let stream = Stream {
            r_frame_rate: (0, 0),
            avg_frame_rate: (1, 0),
            duration: Some(1e300),
            bit_rate: -4,
            sample_aspect_ratio: Some("0:1".to_owned()),
            rotation: Some(1e300),
            ..picture()
        };
        let facts = read(&probe(lasting(f64::NAN), vec![stream]), &MP4).unwrap();
        assert_eq!((facts.kind, facts.duration), (MediaKind::Video, None));
        let stream = &facts.technical.video_streams.unwrap()[0];
        assert_eq!(
            (stream.fps, stream.avg_fps, stream.bitrate_bps, &stream.pixel_aspect_ratio),
            (None, None, None, &None)
        );
    }

    #[test]
    fn a_phones_clip_stands_upright() {
        let place = ("com.apple.quicktime.location.ISO6709", "+48.8577-002.2950+035.000/");
        let format = ProbeFormat { tags: [place].map(|(a, b)| (a.into(), b.into())).into(), ..lasting(5.0) };
        let tagged = [("rotate".to_owned(), "90".to_owned())].into();
        for (stream, rotation, width) in [
            (Stream { rotation: Some(-90.0), ..picture() }, 90, 360),
            (Stream { rotation: Some(90.0), ..picture() }, 270, 360),
            (Stream { rotation: Some(180.0), ..picture() }, 180, 640),
            (Stream { tags: tagged, ..picture() }, 90, 360),
            (picture(), 0, 640),
        ] {
            let facts = read(&probe(format.clone(), vec![stream]), &MP4).unwrap();
            assert_eq!(facts.upright.unwrap().width, width, "{rotation}");
            let technical = facts.technical;
            assert_eq!(technical.video_streams.unwrap()[0].rotation, Some(rotation));
            assert_eq!(technical.video_width, Some(640));
            assert_eq!(
                (technical.geospatial_latitude, technical.geospatial_longitude),
                (Some(48.8577), Some(-2.295))
            );
            assert_eq!(technical.geospatial_altitude_meters, Some(35.0));
        }
    }

    #[test]
    fn cover_art_is_no_video() {
        let text = |text: &str| Some(text.to_owned());
        let sound =
            Stream { kind: TrackKind::Audio, codec_name: text("mp3"), channels: 2, ..Stream::default() };
        let cover = Stream { index: 1, codec_name: text("png"), is_attached: true, ..picture() };
        let format = ProbeFormat { name: "mp3".to_owned(), ..lasting(5.04) };
        let sniffed = Sniffed::Media { kind: MediaKind::Audio, mime: "audio/mpeg" };
        let probe = probe(format, vec![sound, cover]);
        assert_eq!(probe.main(), Some(0));
        let facts = read(&probe, &sniffed).unwrap();
        assert_eq!(
            (facts.kind, facts.format.as_str(), facts.duration),
            (MediaKind::Audio, "MP3", Some(5.04))
        );
        assert_eq!((facts.technical.total_video_streams, facts.technical.has_audio), (Some(0), Some(true)));
    }

    #[test]
    fn what_is_promised_must_be_there_or_is_measured() {
        let flv = |duration: Option<f64>, end: Option<f64>, is_whole: bool| {
            let format =
                ProbeFormat { name: "flv".to_owned(), start: Some(1.0), duration, ..ProbeFormat::default() };
            read(&Probe { end, is_whole, ..probe(format, vec![picture()]) }, &MP4).map(|facts| facts.duration)
        };
        assert_eq!(flv(None, Some(6.0), false).unwrap(), Some(5.0));
        assert_eq!(flv(None, Some(f64::INFINITY), false).unwrap(), None);
        assert_eq!(flv(Some(5.0), Some(5.8), false).unwrap(), Some(5.0));
        assert!(flv(Some(5.0), Some(5.4), false).is_err() && flv(Some(5.0), None, false).is_err());
        assert_eq!(flv(Some(5.0), None, true).unwrap(), Some(5.0));
        let silent = Probe { decodes: false, ..probe(lasting(5.0), vec![picture()]) };
        assert!(matches!(read(&silent, &MP4), Err(Error::Broken { .. })));
    }

    #[test]
    fn nothing_to_see_or_hear() {
        let subtitles = || probe(ProbeFormat::default(), vec![Stream::default()]);
        assert!(matches!(read(&subtitles(), &MP4), Err(Error::Broken { kind: MediaKind::Video, .. })));
        assert!(matches!(read(&Probe::default(), &Sniffed::Unknown), Err(Error::NotMedia { .. })));
    }
}
