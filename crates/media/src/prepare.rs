//! From any source to one MP4 that HLS can be served from by byte ranges: H.264 that plays everywhere, AAC, picture and
//! sound beginning and ending together.

use std::{os::unix::fs::MetadataExt, path::Path};

use reelhouse_api::{AudioStream, MediaKind, TechnicalMetadata, VideoStream};
use tokio::sync::watch;

use crate::{
    Error, Failure, Media, Sniffed,
    ffmpeg::{self, Abilities, Folder, TELL},
    plan::{How, Need, Plan, Track},
    probe::file_url,
    shape,
    timing::{self, Timing},
};

/// Seconds between keyframes.
const GOP: u32 = 2;
/// Seconds by which sound and picture may be apart.
const APART: f64 = 0.03;
/// Seconds by which copied tracks may begin apart; a source that was cut in the middle of its pictures is apart by more.
const COPIED_APART: f64 = 0.2;
/// A sound that is longer than its picture by more seconds is no sloppy cut: the last picture stays until it ends.
const HELD: f64 = 1.0;
/// Seconds that packets may last longer than twice what the file was judged by.
const SURPLUS: f64 = 600.0;
/// From so many seconds on, a file must have so many bytes for each: speech by telephone has six times as many.
const SPARSE_SECONDS: f64 = 4.0 * 3600.0;
const SPARSE_RATE: f64 = 100.0;
/// Frames a second of a track whose times stand on no grid.
const MAX_RATE: f64 = 60.0;
/// Frames a second below which a film is a slide show.
const SLOW: f64 = 2.0;
/// Frames a second that are believed of a track with a steady rate.
const MAX_STEADY_RATE: f64 = 121.0;

impl Media {
    /// Carries out a plan: writes an MP4 and tells on `progress`, from 0 to 1, how far it is. `out` lies in a folder of
    /// its own; a failed run leaves nothing there. No run writes more than `max_bytes`.
    ///
    /// # Errors
    /// [`Error::Ffmpeg`] when it does not come to its end, or its result is not what was planned. Where a remux fails so,
    /// a plan that encodes because of [`TIMESTAMPS`](crate::because::TIMESTAMPS) may not.
    pub async fn prepare(
        &self,
        source: &Path,
        facts: &TechnicalMetadata,
        plan: &Plan,
        out: &Path,
        max_bytes: u64,
        progress: &watch::Sender<f32>,
    ) -> Result<(), Error> {
        let source = std::path::absolute(source)?;
        let seconds = facts.video_duration_seconds.or(facts.audio_duration_seconds);
        let timing = timing::measure(&self.reader, &self.config, &source, seconds).await?;
        let bytes = tokio::fs::metadata(&source).await?.len();
        believable(seconds, &timing, bytes)?;
        let plan = &plan.clone().without(&timing.undecodable);
        if !timing.undecodable.is_empty() {
            tracing::warn!(tracks = ?timing.undecodable, kept = plan.audio.len(), "no decoder takes a sound");
        }
        let longest = longest(seconds, &timing, bytes);
        let parent = out.parent().unwrap_or_else(|| Path::new("."));
        let folder = Folder::create_in(parent)?;
        let made = folder.path().join("made.mp4");

        let mut command = ffmpeg::command(&self.config);
        command.args(TELL);
        if plan.need() == Need::Remux {
            // Containers without presentation times.
            command.args(["-fflags", "+genpts"]);
        }
        ffmpeg::input(&mut command, &source);
        command.args(arguments(facts, plan, &timing, self.abilities)?);
        command.args(["-t", &format!("{longest:.3}")]).arg(file_url(&made));
        let (spawner, config) = (&self.spawner, &self.config);
        ffmpeg::work(spawner, config, command, &source, &folder, max_bytes, timing.seconds, progress).await?;
        self.see(&made, plan).await?;
        if matches!(plan.video, Some(Track { how: How::Copy, .. })) {
            let timing = timing::measure(&self.reader, &self.config, &made, timing.seconds).await?;
            if begin_apart(&timing) {
                return Err(Failure::NoResult("its tracks begin apart".to_owned()).into());
            }
        }
        tokio::fs::rename(&made, out).await?;
        progress.send_replace(1.0);
        Ok(())
    }

    /// Whether what was made is what was planned.
    async fn see(&self, made: &Path, plan: &Plan) -> Result<(), Error> {
        let kind = if plan.video.is_some() { MediaKind::Video } else { MediaKind::Audio };
        let no_result = |reason: String| Error::from(Failure::NoResult(reason));
        // A link would lead to a file that is not its own.
        let lies = std::fs::symlink_metadata(made).map_err(|error| no_result(error.to_string()))?;
        if !lies.is_file() || lies.nlink() != 1 {
            return Err(no_result("it is no file of its own".to_owned()));
        }
        let seen = self.examine(made, Sniffed::Media { kind, mime: "video/mp4" }).await;
        let seen = seen.map_err(|error| no_result(error.to_string()))?.technical;
        let videos: Vec<_> = seen.video_streams.iter().flatten().map(|stream| &stream.codec).collect();
        let audios: Vec<_> = seen.audio_streams.iter().flatten().map(|stream| &stream.codec).collect();
        let all =
            |codecs: &[&Option<String>], name| codecs.iter().all(|codec| codec.as_deref() == Some(name));
        let as_planned = videos.len() == usize::from(plan.video.is_some())
            && audios.len() == plan.audio.len()
            && all(&videos, "h264")
            && all(&audios, "aac");
        if as_planned { Ok(()) } else { Err(no_result(format!("{videos:?} and {audios:?}"))) }
    }
}

/// Seconds from the first packet to the end of the last, as measured; 0 where nothing was.
fn lasts(timing: &Timing) -> f64 {
    let starts = timing.tracks.values().map(|(start, _)| *start).fold(f64::MAX, f64::min);
    let ends = timing.tracks.values().map(|(_, end)| *end).fold(f64::MIN, f64::max);
    (ends - starts).max(0.0)
}

/// Seconds after which a run is cut: a packet that claims to be shown much later than those around it has the picture before it
/// held until then, wherever in the file it lies. Times that begin anew are longer in sum than from first to last, so whoever has
/// the bytes may last.
fn longest(seconds: Option<f64>, timing: &Timing, bytes: u64) -> f64 {
    let known = seconds.unwrap_or(0.0).max(lasts(timing));
    (known * 2.0 + SURPLUS).max(bytes as f64 / SPARSE_RATE)
}

/// One packet at the end of time would have the last picture held until then: a small file, and days of work. `seconds` is what
/// the file was judged by.
fn believable(seconds: Option<f64>, timing: &Timing, bytes: u64) -> Result<(), Error> {
    let lasts = lasts(timing);
    let longer_than_judged = seconds.is_some_and(|seconds| lasts > seconds * 2.0 + SURPLUS);
    let too_sparse = lasts > SPARSE_SECONDS && (bytes as f64) < lasts * SPARSE_RATE;
    if longer_than_judged || too_sparse {
        return Err(Failure::NoResult(format!("its packets last {lasts} s, which is not believed")).into());
    }
    Ok(())
}

/// Copied tracks cannot be made to begin together.
fn begin_apart(timing: &Timing) -> bool {
    let starts = || timing.tracks.values().map(|(start, _)| *start);
    let (first, last) = (starts().fold(f64::MAX, f64::min), starts().fold(f64::MIN, f64::max));
    last - first > COPIED_APART
}

/// Everything between the input and the name of the output.
fn arguments(
    facts: &TechnicalMetadata,
    plan: &Plan,
    timing: &Timing,
    abilities: Abilities,
) -> Result<Vec<String>, Error> {
    let mut arguments = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    let encodes_video = matches!(plan.video, Some(Track { how: How::Encode(_), .. }));
    let span = |track: &Track| timing.tracks.get(&track.index).copied();
    let picture_ends = plan.video.as_ref().and_then(span).map(|(_, end)| end);
    let sound_ends = plan.audio.iter().filter_map(span).map(|(_, end)| end).reduce(f64::max);
    let hold = match (picture_ends, sound_ends) {
        (Some(picture), Some(sound)) if encodes_video && sound - picture > HELD => Some(sound - picture),
        _ => None,
    };
    let end = picture_ends.map(|end| end + hold.unwrap_or(0.0));

    if let Some(track) = &plan.video {
        add(&["-map", &format!("0:{}", track.index)]);
        match &track.how {
            How::Copy => add(&["-c:v", "copy"]),
            How::Encode(_) => {
                let missing = || Error::from(Failure::NoResult("no dimensions to encode".to_owned()));
                let stream = shape::main_video(facts).ok_or_else(missing)?;
                let untimed = timing.untimed.contains(&track.index);
                for words in video(stream, plan.height, hold, untimed, abilities).ok_or_else(missing)? {
                    add(&[&words]);
                }
            }
        }
        add(&["-tag:v", "avc1"]);
    }
    for (n, track) in plan.audio.iter().enumerate() {
        add(&["-map", &format!("0:{}", track.index)]);
        let is_apart = |(start, ends): (f64, f64)| {
            start.abs() > APART || end.is_some_and(|end| (end - ends).abs() > APART)
        };
        let mend = encodes_video && span(track).is_some_and(is_apart);
        match &track.how {
            How::Copy if !mend => add(&[&format!("-c:a:{n}"), "copy"]),
            How::Copy | How::Encode(_) => {
                let streams = facts.audio_streams.as_deref().unwrap_or_default();
                let stream = streams.iter().find(|stream| stream.index == Some(track.index));
                for words in audio(n, stream, end) {
                    add(&[&words]);
                }
            }
        }
        if let Some(language) = &track.language {
            add(&[&format!("-metadata:s:a:{n}"), &format!("language={language}")]);
        }
        add(&[&format!("-disposition:a:{n}"), if n == 0 { "default" } else { "0" }]);
    }
    add(&["-map_metadata", "-1", "-map_chapters", "-1", "-max_muxing_queue_size", "4096"]);
    add(&["-avoid_negative_ts", "auto", "-write_tmcd", "0", "-f", "mp4"]);
    Ok(arguments)
}

fn video(
    stream: &VideoStream,
    height: Option<u32>,
    hold: Option<f64>,
    untimed: bool,
    abilities: Abilities,
) -> Option<Vec<String>> {
    let size = shape::encoded(stream, height)?;
    let mut filters = Vec::new();
    if shape::is_interlaced(stream) {
        filters.push("bwdif=mode=send_frame:deint=all".to_owned());
    }
    if shape::is_hdr(stream) {
        filters.push(format!("scale={}:{}:flags=bicubic", size.width, size.height));
        filters.push(shape::tone_map(stream, abilities));
    } else {
        let range = if stream.color_range.as_deref() == Some("pc") { ":in_range=pc" } else { "" };
        filters.push(format!(
            "scale={}:{}:flags=bicubic:in_color_matrix={}{range}:out_color_matrix=bt709:out_range=tv,format=yuv420p",
            size.width,
            size.height,
            shape::matrix(stream)
        ));
    }
    filters.push("setsar=1".to_owned());
    // Where the picture begins after the sound, its first frame is seen from the start.
    let times = if untimed { "setpts=PTS-STARTPTS" } else { "setpts='if(eq(N,0),0,PTS)'" };
    filters.push(times.to_owned());
    if let Some(seconds) = hold {
        filters.push(format!("tpad=stop_mode=clone:stop_duration={seconds:.3}"));
    }
    let rate = rate(stream);
    if stream.avg_fps.or(stream.fps).is_some_and(|average| average < SLOW) {
        // Repeats the last picture for as long as it is shown, which `-fps_mode` does not.
        filters.push(format!("fps={}", exact(rate)));
    }
    let mut words: Vec<String> =
        ["-c:v", "libx264", "-preset", "veryfast", "-crf", "21", "-profile:v", "high"]
            .map(str::to_owned)
            .into();
    let mut add = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
    add(&["-level:v", level(size.width, size.height, rate), "-vf", &filters.join(",")]);
    add(&["-force_key_frames", &format!("expr:gte(t,n_forced*{GOP})"), "-forced-idr", "1"]);
    add(&["-g", "600", "-sc_threshold", "0", "-x264-params", "open-gop=0"]);
    // On the grid that its times stand on, holes filled: each frame keeps its time, and none is held for so long that
    // its segment grows too long.
    add(&["-fps_mode", "cfr", "-r", &exact(rate)]);
    add(&["-color_range", "tv", "-colorspace", "bt709", "-color_trc", "bt709", "-color_primaries", "bt709"]);
    Some(words)
}

/// Frames a second of the result: the rate of the grid that the source's times stand on, where it is believable.
fn rate(stream: &VideoStream) -> f64 {
    let average = stream.avg_fps.or(stream.fps).unwrap_or(25.0);
    let base = stream.fps.unwrap_or(average);
    let rate = if shape::is_interlaced(stream) {
        // The base may count half pictures.
        average.min(MAX_RATE)
    } else if base <= MAX_RATE || base <= MAX_STEADY_RATE && (base - average).abs() <= base * 0.01 {
        base
    } else {
        MAX_RATE
    };
    // Slide shows: a keyframe every two seconds needs a frame there.
    if rate < SLOW { rate * (SLOW / rate).ceil() } else { rate }
}

/// The facts round; television's rates are fractions.
fn exact(rate: f64) -> String {
    let whole = (rate * 1.001).round();
    if (rate * 1.001 - whole).abs() < 0.002 && (rate - whole).abs() > 0.005 {
        format!("{:.0}/1001", whole * 1000.0)
    } else {
        format!("{rate:.3}")
    }
}

/// The lowest level of H.264 that holds pictures of this size and rate.
fn level(width: u32, height: u32, rate: f64) -> &'static str {
    let blocks = width.div_ceil(16) * height.div_ceil(16);
    let levels = [
        ("3.0", 1620, 40_500.0),
        ("3.1", 3600, 108_000.0),
        ("3.2", 5120, 216_000.0),
        ("4.0", 8192, 245_760.0),
        ("4.2", 8704, 522_240.0),
        ("5.0", 22_080, 589_824.0),
        ("5.1", 36_864, 983_040.0),
        ("5.2", 36_864, 2_073_600.0),
    ];
    let holds =
        |(_, most, a_second): &&(&str, u32, f64)| blocks <= *most && f64::from(blocks) * rate <= *a_second;
    levels.iter().find(holds).map_or("6.2", |(name, ..)| name)
}

fn audio(n: usize, stream: Option<&AudioStream>, end: Option<f64>) -> Vec<String> {
    let channels = stream.and_then(|stream| stream.channels).unwrap_or(2);
    let (layout, bits) = match channels {
        1 => ("mono", "96k"),
        2..=5 => ("stereo", "160k"),
        _ => ("5.1", "384k"),
    };
    let rate = match stream.and_then(|stream| stream.sample_rate) {
        Some(44_100) => 44_100,
        _ => 48_000,
    };
    // Holes are filled, and what begins late begins with silence.
    let mut filters = format!(
        "aresample=async=1000:min_comp=0.01:first_pts=0,aformat=sample_rates={rate}:channel_layouts={layout}"
    );
    if let Some(end) = end {
        filters += &format!(",apad=whole_dur={end:.6},atrim=end={end:.6}");
    }
    let option = |name: &str| format!("-{name}:a:{n}");
    vec![option("c"), "aac".to_owned(), option("b"), bits.to_owned(), option("filter"), filters]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let rate = |base: f64, average: f64, scan: &str| {
            let stream = VideoStream {
                fps: Some(base),
                avg_fps: Some(average),
                scan_type: Some(scan.to_owned()),
                ..VideoStream::default()
            };
            exact(rate(&stream))
        };
        assert_eq!(rate(29.97, 29.97, "progressive"), "30000/1001");
        assert_eq!(rate(23.976, 23.976, "progressive"), "24000/1001");
        assert_eq!(rate(25.0, 24.3, "progressive"), "25.000");
        assert_eq!(rate(50.0, 25.0, "interlaced"), "25.000");
        assert_eq!(rate(120.0, 119.9, "progressive"), "120.000");
        assert_eq!(rate(90_000.0, 31.2, "progressive"), "60.000");
        assert_eq!(rate(0.1, 0.1, "progressive"), "2.000");
    }

    #[test]
    fn levels() {
        for (width, height, rate, expected) in [
            (640, 360, 25.0, "3.0"),
            (1280, 720, 30.0, "3.1"),
            (1280, 720, 60.0, "3.2"),
            (1920, 1080, 30.0, "4.0"),
            (1920, 1080, 60.0, "4.2"),
            (3840, 2160, 30.0, "5.1"),
            (3840, 2160, 60.0, "5.2"),
            (3840, 2160, 240.0, "6.2"),
        ] {
            assert_eq!(level(width, height, rate), expected, "{width}x{height} {rate}");
        }
    }

    #[test]
    fn what_lasts_too_long_for_what_it_is_is_not_believed() {
        let lasts = |seconds: f64| Timing {
            tracks: [(0, (5.0, 7.0)), (1, (5.0, 5.0 + seconds))].into_iter().collect(),
            ..Timing::default()
        };
        let taken = |judged, seconds, bytes| believable(judged, &lasts(seconds), bytes).is_ok();
        assert!(taken(Some(2.0), 600.0, 60_000));
        assert!(!taken(Some(2.0), 700.0, 60_000));
        assert!(taken(None, 14_400.0, 60_000));
        assert!(taken(Some(40_000.0), 40_000.0, 4_000_000));
        assert!(!taken(Some(788_530.0), 788_530.0, 60_000));
    }

    #[test]
    fn a_run_is_cut_where_nothing_honest_comes() {
        let measured = Timing { tracks: [(0, (1.0, 101.0))].into(), ..Timing::default() };
        assert_eq!(longest(Some(6.0), &measured, 9000), 800.0);
        assert_eq!(longest(Some(600.0), &measured, 9000), 1800.0);
        // Ten hours of television whose clock was set back.
        assert_eq!(longest(Some(6.0), &measured, 10 << 30), (10u64 << 30) as f64 / 100.0);
        assert_eq!(longest(None, &Timing::default(), 0), 600.0);
    }

    #[test]
    fn a_longer_sound_holds_the_picture_and_a_little_is_cut() {
        let text = |text: &str| Some(text.to_owned());
        let facts = TechnicalMetadata {
            video_streams: Some(vec![VideoStream {
                index: Some(0),
                codec: text("vp9"),
                width: Some(640),
                height: Some(360),
                ..VideoStream::default()
            }]),
            audio_streams: Some(vec![AudioStream {
                index: Some(1),
                codec: text("aac"),
                ..AudioStream::default()
            }]),
            ..TechnicalMetadata::default()
        };
        let plan = Plan::transcode(&facts, crate::plan::because::AUDIO);
        let words = |sound_ends: f64| {
            let tracks = [(0, (0.0, 5.0)), (1, (0.0, sound_ends))].into();
            let timing = Timing { seconds: Some(sound_ends), tracks, ..Timing::default() };
            arguments(&facts, &plan, &timing, Abilities { zscale: true }).unwrap().join(" ")
        };
        assert!(words(5.01).contains("-c:a:0 copy"), "{}", words(5.01));
        assert!(words(5.5).contains("atrim=end=5.000000") && !words(5.5).contains("tpad"));
        assert!(words(8.0).contains("stop_duration=3.000") && words(8.0).contains("-c:a:0 copy"));
    }
}
