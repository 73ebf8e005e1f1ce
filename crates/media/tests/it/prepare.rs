use std::{fs, path::Path};

use reelhouse_api::TechnicalMetadata;
use reelhouse_media::{Config, Media, Need, Plan, because};
use tokio::sync::watch;

use crate::clips::{self, X264, command, facts, ffprobe, made};

const PICTURE: &str = "-f lavfi -i testsrc2=size=640x360:rate=25:duration=6";
const SOUND: &str = "-f lavfi -i sine=frequency=440:duration=6";

/// What became of a file.
struct Prepared {
    plan: Plan,
    before: TechnicalMetadata,
    after: TechnicalMetadata,
    path: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

async fn prepare(source: &Path) -> Prepared {
    prepare_as(source, |facts| Plan::remux(facts).unwrap_or_else(|| Plan::transcode(facts, because::AUDIO)))
        .await
}

async fn prepare_as(source: &Path, plan: impl Fn(&TechnicalMetadata) -> Plan) -> Prepared {
    let media = Media::start(Config::default()).await.unwrap();
    let before = facts(&media, source).await.technical;
    let plan = plan(&before);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prepared.mp4");
    let (progress, seen) = watch::channel(0.0);
    media
        .prepare(source, &before, &plan, &path, 1 << 30, &progress)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(*seen.borrow(), 1.0);
    let after = facts(&media, &path).await.technical;
    Prepared { plan, before, after, path, _folder: folder }
}

/// Seconds at which a track's packets begin and end.
fn span(path: &Path, track: &str) -> (f64, f64) {
    let lines = ffprobe(
        path,
        &format!("-select_streams {track} -show_entries packet=pts_time,duration_time,flags -of csv=p=0"),
    );
    let packets = lines.lines().filter(|line| !line.contains('D')).filter_map(|line| {
        let mut numbers = line.split(',').filter_map(|number| number.parse::<f64>().ok());
        let start = numbers.next()?;
        Some((start, start + numbers.next().unwrap_or(0.0)))
    });
    packets.fold((f64::MAX, f64::MIN), |(first, last), (start, end)| (first.min(start), last.max(end)))
}

fn keyframes(path: &Path) -> Vec<f64> {
    let lines = ffprobe(path, "-select_streams v:0 -show_entries packet=pts_time,flags -of csv=p=0");
    lines
        .lines()
        .filter(|line| line.contains('K'))
        .map(|line| line.split(',').next().unwrap().parse().unwrap())
        .collect()
}

impl Prepared {
    /// What every result must be.
    fn assert_good(&self, name: &str) {
        let has_video = self.before.total_video_streams > Some(0);
        assert_eq!(self.after.video_codec.as_deref(), has_video.then_some("h264"), "{name}");
        assert_eq!(self.after.total_audio_streams, self.before.total_audio_streams, "{name}");
        for stream in self.after.audio_streams.iter().flatten() {
            assert_eq!(stream.codec.as_deref(), Some("aac"), "{name}");
        }
        for stream in self.after.video_streams.iter().flatten() {
            assert_eq!(
                (stream.pixel_format.as_deref(), stream.bit_depth),
                (Some("yuv420p"), Some(8)),
                "{name}"
            );
            assert_eq!(stream.pixel_aspect_ratio.as_deref().unwrap_or("1:1"), "1:1", "{name}");
        }
        if has_video {
            let picture = span(&self.path, "v:0");
            assert!(picture.0.abs() <= 0.04, "{name}: {picture:?}");
            for n in 0..self.after.total_audio_streams.unwrap_or(0) {
                let sound = span(&self.path, &format!("a:{n}"));
                assert!((picture.0 - sound.0).abs() <= 0.04, "{name}: {picture:?} {sound:?}");
                assert!((picture.1 - sound.1).abs() <= 0.04, "{name}: {picture:?} {sound:?}");
            }
        }
        // Decodes without a word.
        let output = command("ffmpeg")
            .args(["-v", "warning", "-nostdin", "-i"])
            .arg(&self.path)
            .args(["-map", "0", "-f", "null", "-"])
            .output()
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn assert_encoded(&self, name: &str) {
        self.assert_good(name);
        assert_eq!(self.plan.need(), Need::Transcode, "{name}");
        let keyframes = keyframes(&self.path);
        assert!(keyframes.windows(2).all(|two| two[1] - two[0] <= 2.1), "{name}: {keyframes:?}");
        assert!(span(&self.path, "v:0").1 - keyframes.last().unwrap() <= 2.1, "{name}: {keyframes:?}");
    }

    fn size(&self) -> (u32, u32) {
        (self.after.video_width.unwrap(), self.after.video_height.unwrap())
    }

    /// Seconds by which the result is longer or shorter than the source's picture.
    fn drift(&self) -> f64 {
        (span(&self.path, "v:0").1 - self.before.video_duration_seconds.unwrap_or(6.0)).abs()
    }
}

#[tokio::test]
async fn what_does_not_play_everywhere_is_encoded() {
    let both = format!("{PICTURE} {SOUND}");
    for (name, arguments, size) in [
        ("vp9.webm", format!("{both} -c:v libvpx-vp9 -cpu-used 8 -c:a libopus"), (640, 360)),
        ("h264.avi", format!("{both} -c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 3 -c:a aac"), (640, 360)),
        ("mpeg4.avi", format!("{both} -c:v mpeg4 -q:v 5 -bf 2 -c:a libmp3lame"), (640, 360)),
        ("deep.mkv", format!("{both} -c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p10le -c:a ac3"), (640, 360)),
        ("prores.mov", format!("{both} -c:v prores_ks -profile:v 0 -c:a pcm_s16le"), (640, 360)),
        ("interlaced.mpg", format!("{both} -vf scale=720:576,interlace,setsar=64/45 -c:v mpeg2video -flags +ildct+ilme -b:v 4M -c:a mp2"), (1024, 576)),
        ("sixty.mkv", "-f lavfi -i testsrc2=size=640x360:rate=60:duration=6 -f lavfi -i sine=duration=6 -c:v mpeg4 -q:v 5 -c:a libvorbis".to_owned(), (640, 360)),
        ("odd.mkv", format!("{both} -vf scale=321:181 -c:v ffv1 -pix_fmt yuv444p -c:a flac"), (320, 180)),
        ("rgb.avi", format!("{both} -t 2 -c:v png -pix_fmt rgb24 -c:a pcm_s16le"), (640, 360)),
        ("range.mov", format!("{both} -c:v mjpeg -pix_fmt yuvj422p -c:a pcm_s16be"), (640, 360)),
        ("four-two-two.ts", format!("{both} -c:v libx264 -preset ultrafast -pix_fmt yuv422p -c:a mp2"), (640, 360)),
    ] {
        let prepared = prepare(&made(name, &arguments)).await;
        prepared.assert_encoded(name);
        assert_eq!(prepared.size(), size, "{name}");
        assert!(prepared.drift() <= 0.05, "{name}: {}", prepared.drift());
    }
}

#[tokio::test]
async fn one_keyframe_is_not_enough() {
    let source = made("one-keyframe.mp4", &format!("{PICTURE} {SOUND} {X264} -g 9999 -c:a aac"));
    let prepared = prepare_as(&source, |facts| Plan::transcode(facts, because::SEGMENT_TOO_LONG)).await;
    prepared.assert_encoded("one keyframe");
    assert_eq!(prepared.plan.to_string(), "transcode (segment too long)");
    assert!(prepared.drift() <= 0.04);
}

/// The last picture of a slide show is seen as long as the others.
#[tokio::test]
async fn slide_shows_end_with_their_last_picture() {
    let source = made(
        "slides.mp4",
        &format!(
            "-f lavfi -i testsrc2=size=320x180:rate=1:duration=30 -f lavfi -i sine=duration=30 {X264} -g 9999 -c:a aac"
        ),
    );
    let prepared = prepare_as(&source, |facts| Plan::transcode(facts, because::SEGMENT_TOO_LONG)).await;
    let ((_, picture), (_, sound)) = (span(&prepared.path, "v:0"), span(&prepared.path, "a:0"));
    assert!((picture - 30.0).abs() <= 0.04 && (sound - 30.0).abs() <= 0.04, "{picture} {sound}");
}

#[tokio::test]
async fn a_turned_picture_is_baked_upright() {
    let plain = made("plain.mov", &format!("{PICTURE} -t 2 -c:v mpeg4 -q:v 5"));
    let turned = made("turned.mov", &format!("-i {} -c copy -metadata:s:v:0 rotate=270", plain.display()));
    let prepared = prepare(&turned).await;
    prepared.assert_encoded("turned");
    assert_eq!(prepared.size(), (360, 640));
    assert_eq!(prepared.after.video_streams.as_ref().unwrap()[0].rotation.unwrap_or(0), 0);
}

#[tokio::test]
async fn frames_at_their_own_times_keep_them() {
    // 2 s at 30 frames a second, then 2 s at 10, then 2 s at 60.
    let source = made(
        "variable.mkv",
        "-f lavfi -i testsrc2=size=320x180:rate=60:duration=6 -f lavfi -i sine=duration=6 \
         -vf select='lt(t,2)*not(mod(n,2))+between(t,2,4)*not(mod(n,6))+gt(t,4)' -fps_mode passthrough -c:v libvpx-vp9 -cpu-used 8 -c:a libopus",
    );
    let prepared = prepare(&source).await;
    prepared.assert_encoded("variable");
    let times = |path: &Path| -> Vec<f64> {
        let lines = ffprobe(path, "-select_streams v:0 -show_entries frame=pts_time -of csv=p=0");
        lines.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
    };
    let (before, after) = (times(&source), times(&prepared.path));
    for time in before {
        assert!(after.iter().any(|other| (time - other).abs() <= 0.01), "{time}");
    }
}

#[tokio::test]
async fn hdr_becomes_sdr() {
    let source = made(
        "hdr10.mkv",
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration=2 -vf zscale=tin=bt709:min=bt709:pin=bt709:rin=limited:t=smpte2084:m=bt2020nc:p=bt2020:npl=203,format=yuv420p10le \
         -c:v libx265 -preset ultrafast -x265-params log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc",
    );
    let prepared = prepare(&source).await;
    prepared.assert_encoded("hdr");
    assert_eq!((prepared.before.is_hdr, prepared.after.is_hdr), (Some(true), Some(false)));
    assert_eq!(prepared.after.video_streams.as_ref().unwrap()[0].color_transfer.as_deref(), Some("bt709"));
}

#[tokio::test]
async fn sound_and_picture_end_together() {
    for (name, arguments) in [
        // Shorter by a little, longer by a little, longer by much, later.
        ("short-sound.mkv", format!("{PICTURE} -f lavfi -i sine=duration=5.5 -c:v mpeg4 -c:a aac")),
        ("long-sound.mkv", format!("{PICTURE} -f lavfi -i sine=duration=6.6 -c:v mpeg4 -c:a aac")),
        ("much-sound.mkv", format!("{PICTURE} -f lavfi -i sine=duration=9 -c:v mpeg4 -c:a aac")),
        (
            "late-sound.mkv",
            format!("{PICTURE} -itsoffset 1 -f lavfi -i sine=duration=5 -c:v mpeg4 -c:a libmp3lame"),
        ),
        ("late-picture.mkv", format!("-itsoffset 0.5 {PICTURE} {SOUND} -c:v mpeg4 -c:a libmp3lame")),
    ] {
        let prepared = prepare(&made(name, &arguments)).await;
        prepared.assert_encoded(name);
        if name == "much-sound.mkv" {
            assert!((span(&prepared.path, "v:0").1 - 9.0).abs() <= 0.06, "{:?}", span(&prepared.path, "v:0"));
        }
    }
}

#[tokio::test]
async fn what_can_be_copied_is_the_same() {
    let md5 = |path: &Path| {
        let output = command("ffmpeg")
            .args(["-v", "error", "-nostdin", "-i"])
            .arg(path)
            .args(["-map", "0:v:0", "-f", "framehash", "-hash", "md5", "-"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let hash = |line: &str| line.rsplit(',').next().unwrap().trim().to_owned();
        text.lines().filter(|line| !line.starts_with('#')).map(hash).collect::<Vec<_>>()
    };
    let both =
        format!("{PICTURE} {SOUND} -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 50 -bf 3 -c:a aac");
    for name in ["copied.mkv", "copied.ts", "copied.flv", "copied.mov"] {
        let source = made(name, &both);
        let prepared = prepare(&source).await;
        assert_eq!(prepared.plan.need(), Need::Remux, "{name}");
        assert_eq!(md5(&source), md5(&prepared.path), "{name}");
        assert_eq!(prepared.after.total_audio_streams, Some(1), "{name}");
    }
    // Only the sound is encoded.
    let source = made("sound-only.mkv", &format!("{PICTURE} {SOUND} {X264} -g 50 -c:a libopus"));
    let prepared = prepare(&source).await;
    assert_eq!(prepared.plan.to_string(), "transcode (codec)");
    assert_eq!(md5(&source), md5(&prepared.path));
    prepared.assert_good("sound-only.mkv");
}

#[tokio::test]
async fn all_sounds_are_kept_with_their_languages() {
    let source = made(
        "languages.mkv",
        &format!(
            "{PICTURE} {SOUND} -f lavfi -i sine=frequency=880:duration=6 -f lavfi -i anullsrc=channel_layout=5.1:duration=6 -map 0 -map 1 -map 2 -map 3 \
         -c:v mpeg4 -c:a:0 aac -c:a:1 libmp3lame -c:a:2 flac -metadata:s:a:0 language=deu -metadata:s:a:1 language=eng -metadata:s:a:2 language=fra -metadata title=x"
        ),
    );
    let prepared = prepare(&source).await;
    prepared.assert_encoded("languages");
    let streams = prepared.after.audio_streams.as_ref().unwrap();
    let languages: Vec<_> = streams.iter().map(|stream| stream.language.as_deref().unwrap()).collect();
    assert_eq!(languages, ["deu", "eng", "fra"]);
    assert_eq!(streams[2].channels, Some(6));
    assert!(!ffprobe(&prepared.path, "-show_entries format_tags=title -of csv=p=0").contains('x'));
}

#[tokio::test]
async fn a_sound_that_no_decoder_takes_is_left_out() {
    let whole = made("vorbis.mkv", &format!("{PICTURE} {SOUND} -c:v mpeg4 -c:a libvorbis"));
    let mut bytes = std::fs::read(whole).unwrap();
    // Of the books by which it is decoded, nothing is left.
    let at = bytes.windows(7).position(|start| start == b"\x05vorbis").unwrap();
    bytes[at + 7..at + 100].fill(0);
    let folder = tempfile::tempdir().unwrap();
    let prepared = prepare(&clips::of_bytes(folder.path(), "silent.mkv", &bytes)).await;
    let Prepared { before, after, .. } = prepared;
    assert_eq!((before.total_audio_streams, after.total_audio_streams), (Some(1), Some(0)));
    assert_eq!(after.total_video_streams, Some(1));
}

#[tokio::test]
async fn sounds_alone() {
    let cover = made("cover.png", "-f lavfi -i color=green:size=300x300 -frames:v 1");
    for (name, arguments) in [
        (
            "sound.mp3",
            format!(
                "{SOUND} -i {} -map 0 -map 1 -c:v copy -disposition:v attached_pic -c:a libmp3lame",
                cover.display()
            ),
        ),
        ("sound.wav", format!("{SOUND} -ar 96000 -c:a pcm_s24le")),
        ("sound.flac", format!("{SOUND} -c:a flac")),
        ("sound.m4a", format!("{SOUND} -c:a aac")),
        ("sound.ogg", format!("{SOUND} -c:a libvorbis -ac 2")),
    ] {
        let prepared = prepare(&made(name, &arguments)).await;
        prepared.assert_good(name);
        assert_eq!(prepared.after.total_video_streams, Some(0));
        let sound = span(&prepared.path, "a:0");
        assert!(sound.0.abs() <= 0.04 && (sound.1 - 6.0).abs() <= 0.08, "{name}: {sound:?}");
    }
}

#[tokio::test]
async fn a_rung_of_the_ladder() {
    let source = made("ladder.mp4", &format!("{PICTURE} {SOUND} {X264} -g 50 -c:a aac"));
    let prepared = prepare_as(&source, |facts| Plan::remux(facts).unwrap().at_height(180)).await;
    prepared.assert_encoded("ladder");
    assert_eq!(prepared.size(), (320, 180));
}

#[tokio::test]
async fn old_and_odd_containers() {
    let both = format!("{PICTURE} {SOUND}");
    let cover = made("cover.png", "-f lavfi -i color=green:size=300x300 -frames:v 1");
    for (name, arguments) in [
        ("old.wmv", format!("{both} -c:v wmv2 -b:v 1M -c:a wmav2")),
        ("old.flv", format!("{both} -c:v flv -b:v 1M -c:a libmp3lame -ar 44100")),
        ("old.mpg", format!("{both} -c:v mpeg1video -b:v 1M -c:a mp2")),
        ("small.3gp", format!("{both} -vf scale=352:288 -r 15 -c:v h263 -b:v 300k -c:a aac -ar 8000 -ac 1")),
        (
            "dv.avi",
            format!(
                "{both} -vf scale=720:576,setsar=16/15 -t 2 -c:v dvvideo -pix_fmt yuv420p -ar 48000 -ac 2 -c:a pcm_s16le"
            ),
        ),
        ("theora.ogv", format!("{both} -c:v libtheora -b:v 1M -c:a libvorbis")),
        (
            "timecode.mov",
            format!("{both} -t 2 -c:v prores_ks -profile:v 0 -timecode 01:00:00:00 -c:a pcm_s16le"),
        ),
        ("silent.mkv", format!("{PICTURE} -c:v libx265 -preset ultrafast -x265-params log-level=none")),
        (
            "cover.mp4",
            format!(
                "{both} -i {} -map 0 -map 1 -map 2 -c:v:0 mpeg4 -c:v:1 png -disposition:v:1 attached_pic -c:a aac",
                cover.display()
            ),
        ),
    ] {
        let prepared = prepare(&made(name, &arguments)).await;
        prepared.assert_encoded(name);
        assert!(prepared.drift() <= 0.1, "{name}: {}", prepared.drift());
    }
}

#[tokio::test]
async fn cut_without_encoding() {
    let whole = made("whole.ts", &format!("{PICTURE} {SOUND} -c:v mpeg2video -b:v 2M -g 25 -bf 2 -c:a mp2"));
    // In the middle of a group of pictures.
    let bytes = fs::read(&whole).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let start = bytes.len() / 3 / 188 * 188;
    let cut = crate::clips::of_bytes(folder.path(), "cut.ts", &bytes[start..]);
    prepare(&cut).await.assert_encoded("cut.ts");

    let whole = made(
        "whole-264.ts",
        &format!("{PICTURE} {SOUND} -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 50 -bf 3 -c:a aac"),
    );
    let bytes = fs::read(&whole).unwrap();
    let start = bytes.len() / 3 / 188 * 188;
    let cut = crate::clips::of_bytes(folder.path(), "cut-264.ts", &bytes[start..]);
    let media = Media::start(Config::default()).await.unwrap();
    let facts = facts(&media, &cut).await.technical;
    let own = tempfile::tempdir().unwrap();
    let plan = Plan::remux(&facts).unwrap();
    let copied = media
        .prepare(&cut, &facts, &plan, &own.path().join("out.mp4"), 1 << 30, &watch::channel(0.0).0)
        .await;
    assert!(copied.unwrap_err().to_string().contains("apart"));
    assert_eq!(fs::read_dir(own.path()).unwrap().count(), 0);
    prepare_as(&cut, |facts| Plan::transcode(facts, because::TIMESTAMPS)).await.assert_encoded("cut-264.ts");

    let listed = made("whole.mp4", &format!("{PICTURE} {SOUND} -c:v mpeg4 -g 50 -bf 2 -c:a aac"));
    let listed = made("edit-list.mp4", &format!("-ss 1.3 -i {} -c copy", listed.display()));
    prepare(&listed).await.assert_encoded("edit-list.mp4");
}
