//! The technical metadata of many clips, field by field beside what ffprobe and mediainfo say.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{
    harness::{TestServer, command, expect},
    media::{self, made, sound, video},
};

const LAVFI: [&str; 3] = ["-f", "lavfi", "-i"];
const PICTURE: &str = "testsrc2=size=640x360:rate=25:duration=2";
const SOUND: &str = "sine=duration=2";

/// Two seconds of picture and sound.
fn clip(name: &str, picture: &str, encode: &[&str]) -> PathBuf {
    made(name, &[&LAVFI[..], &[picture], &LAVFI, &[SOUND], encode].concat())
}

fn clips() -> Vec<PathBuf> {
    let h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"];
    let with = |more: &[&'static str]| [&h264[..], more].concat();
    let hdr = [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=error",
        "-pix_fmt",
        "yuv420p10le",
        "-color_primaries",
        "bt2020",
        "-color_trc",
        "smpte2084",
        "-colorspace",
        "bt2020nc",
        "-tag:v",
        "hvc1",
        "-color_range",
        "tv",
        "-c:a",
        "aac",
    ];
    let prores = ["-c:v", "prores_ks", "-c:a", "pcm_s16le", "-timecode", "01:00:00;00"];
    let interlaced = ["-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-top", "1", "-c:a", "mp2"];
    let cover = media::png();
    vec![
        media::mp4(),
        clip("moov-last.mp4", PICTURE, &with(&["-bf", "2"])),
        clip("fragmented.mp4", PICTURE, &with(&["-movflags", "+frag_keyframe+empty_moov"])),
        clip("sixty.mp4", "testsrc2=size=640x360:rate=60:duration=2", &h264),
        clip("odd-rate.mp4", "testsrc2=size=640x360:rate=30000/1001:duration=2", &h264),
        clip("anamorphic.mp4", "testsrc2=size=720x576:duration=2,setsar=16/15", &h264),
        clip(
            "placed.mp4",
            PICTURE,
            &with(&[
                "-metadata",
                "location=+48.8577+002.2950/",
                "-metadata",
                "creation_time=2026-05-01T10:30:00Z",
            ]),
        ),
        clip("hdr.mp4", PICTURE, &hdr),
        clip("prores.mov", "testsrc2=size=640x360:rate=30000/1001:duration=2", &prores),
        clip("interlaced.mpg", PICTURE, &interlaced),
        clip("stream.ts", PICTURE, &h264),
        clip("old.avi", PICTURE, &["-c:v", "mpeg4", "-c:a", "libmp3lame"]),
        clip("flash.flv", PICTURE, &with(&["-ar", "44100", "-ac", "2"])),
        clip("web.webm", PICTURE, &["-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus"]),
        clip("av1.mkv", PICTURE, &["-c:v", "libsvtav1", "-preset", "12", "-c:a", "libvorbis"]),
        clip(
            "two-languages.mkv",
            PICTURE,
            &with(&[
                "-map",
                "0",
                "-map",
                "1",
                "-map",
                "1",
                "-metadata:s:a:0",
                "language=ger",
                "-metadata:s:a:1",
                "language=fre",
            ]),
        ),
        clip(
            "variable.mkv",
            "testsrc2=size=640x360:rate=25:duration=2,select='not(mod(n\\,3))+gt(n\\,25)'",
            &with(&["-vsync", "vfr"]),
        ),
        video("silent.mp4", PICTURE),
        made(
            "covered.mp3",
            &[
                &LAVFI[..],
                &[
                    SOUND,
                    "-i",
                    cover.to_str().unwrap(),
                    "-map",
                    "0",
                    "-map",
                    "1",
                    "-c:a",
                    "libmp3lame",
                    "-c:v",
                    "copy",
                    "-disposition:v",
                    "attached_pic",
                ],
            ]
            .concat(),
        ),
        sound("deep.wav", "2", &["-c:a", "pcm_s24le", "-ar", "96000", "-ac", "2"]),
        sound("tone.flac", "5", &[]),
        sound("tone.m4a", "5", &["-c:a", "aac"]),
        sound("tone.opus", "5", &["-c:a", "libopus"]),
        sound("tone.aiff", "2", &[]),
        sound("tone.aac", "2", &["-c:a", "aac"]),
    ]
}

fn json(program: &str, arguments: &[&str], path: &Path) -> Value {
    let output = command(program).args(arguments).arg(path).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Numbers come as numbers, as text, and as fractions.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.split_once('/') {
            Some((top, bottom)) => Some(top.parse::<f64>().ok()? / bottom.parse::<f64>().ok()?),
            None => text.parse().ok(),
        },
        _ => None,
    }
    .filter(|number| number.is_finite() && *number != 0.0)
}

struct Comparison<'a> {
    file: &'a str,
    tool: &'a str,
    compared: usize,
}

impl Comparison<'_> {
    /// Both must have it, or neither; and within the tolerance.
    fn number(&mut self, field: &str, ours: &Value, theirs: &Value, tolerance: f64) {
        let (ours, theirs) = (number(ours), number(theirs));
        let same = match (ours, theirs) {
            (Some(ours), Some(theirs)) => (ours - theirs).abs() <= tolerance,
            (None, None) => true,
            _ => false,
        };
        assert!(same, "{}: {field} is {ours:?}, {} says {theirs:?}", self.file, self.tool);
        self.compared += usize::from(ours.is_some());
    }

    fn text(&mut self, field: &str, ours: &Value, theirs: &Value) {
        let unsaid = |value: &Value| value.is_null() || value == "unknown" || value == "und";
        let same = ours == theirs || unsaid(ours) && unsaid(theirs);
        assert!(same, "{}: {field} is {ours}, {} says {theirs}", self.file, self.tool);
        self.compared += usize::from(!ours.is_null());
    }
}

fn streams<'a>(probe: &'a Value, kind: &str) -> Vec<&'a Value> {
    let all = probe["streams"].as_array().unwrap().iter();
    all.filter(|stream| stream["codec_type"] == kind && stream["disposition"]["attached_pic"] == 0).collect()
}

fn beside_ffprobe(file: &str, ours: &Value, path: &Path) -> usize {
    let probe = json("ffprobe", &["-v", "error", "-of", "json", "-show_format", "-show_streams"], path);
    let mut compare = Comparison { file, tool: "ffprobe", compared: 0 };
    compare.text("container", &ours["file_container_format"], &probe["format"]["format_name"]);
    compare.number("size", &ours["file_size_bytes"], &probe["format"]["size"], 0.0);
    let (videos, audios) = (streams(&probe, "video"), streams(&probe, "audio"));
    assert_eq!(ours["total_video_streams"], videos.len(), "{file}");
    assert_eq!(ours["total_audio_streams"], audios.len(), "{file}");
    assert_eq!(ours["has_audio"], !audios.is_empty(), "{file}");
    let none = Value::Array(Vec::new());
    let list = |value: &Value| {
        value.as_array().cloned().unwrap_or_else(|| none.as_array().cloned().unwrap_or_default())
    };
    for (ours, theirs) in list(&ours["video_streams"]).iter().zip(&videos) {
        for field in ["width", "height"] {
            compare.number(field, &ours[field], &theirs[field], 0.0);
        }
        compare.text("index", &ours["index"], &theirs["index"]);
        compare.text("codec", &ours["codec"], &theirs["codec_name"]);
        compare.number("fps", &ours["fps"], &theirs["r_frame_rate"], 0.001);
        compare.number("avg_fps", &ours["avg_fps"], &theirs["avg_frame_rate"], 0.001);
        compare.text("pixel_format", &ours["pixel_format"], &theirs["pix_fmt"]);
        for field in ["color_range", "color_transfer", "color_space", "color_primaries"] {
            compare.text(field, &ours[field], &theirs[field]);
        }
        compare.text("pixel_aspect_ratio", &ours["pixel_aspect_ratio"], &theirs["sample_aspect_ratio"]);
        compare.text("display_aspect_ratio", &ours["display_aspect_ratio"], &theirs["display_aspect_ratio"]);
        // Matroska keeps both elsewhere; those have mediainfo to agree with.
        if !theirs["duration"].is_null() {
            compare.number("duration", &ours["duration_seconds"], &theirs["duration"], 0.001);
            compare.number("bitrate", &ours["bitrate_bps"], &theirs["bit_rate"], 0.0);
        }
    }
    for (ours, theirs) in list(&ours["audio_streams"]).iter().zip(&audios) {
        compare.text("index", &ours["index"], &theirs["index"]);
        compare.text("codec", &ours["codec"], &theirs["codec_name"]);
        compare.text("codec_long", &ours["codec_long"], &theirs["codec_long_name"]);
        compare.text("channel_layout", &ours["channel_layout"], &theirs["channel_layout"]);
        compare.text("language", &ours["language"], &theirs["tags"]["language"]);
        compare.number("sample_rate", &ours["sample_rate"], &theirs["sample_rate"], 0.0);
        compare.number("channels", &ours["channels"], &theirs["channels"], 0.0);
    }
    compare.compared
}

fn beside_mediainfo(file: &str, ours: &Value, path: &Path) -> usize {
    let info = json("mediainfo", &["--Output=JSON"], path);
    let tracks = info["media"]["track"].as_array().unwrap();
    let of = |kind: &str| tracks.iter().filter(|track| track["@type"] == kind).collect::<Vec<_>>();
    let mut compare = Comparison { file, tool: "mediainfo", compared: 0 };
    compare.number("size", &ours["file_size_bytes"], &of("General")[0]["FileSize"], 0.0);
    assert_eq!(ours["total_video_streams"], of("Video").len(), "{file}");
    assert_eq!(ours["total_audio_streams"], of("Audio").len(), "{file}");
    if let Some(theirs) = of("Video").first() {
        let stream = &ours["video_streams"][0];
        compare.number("width", &ours["video_width"], &theirs["Width"], 0.0);
        // mediainfo writes the visible height of codecs that code whole blocks.
        compare.number("height", &ours["video_height"], &theirs["Height"], 0.0);
        compare.number(
            "pixel aspect",
            &ratio(&stream["pixel_aspect_ratio"]),
            &theirs["PixelAspectRatio"],
            0.001,
        );
        if !theirs["BitDepth"].is_null() {
            compare.number("bit depth", &stream["bit_depth"], &theirs["BitDepth"], 0.0);
        }
        if let Some(scan) = theirs["ScanType"].as_str().filter(|_| !stream["scan_type"].is_null()) {
            let scan = if scan == "Progressive" { "progressive" } else { "interlaced" };
            compare.text("scan type", &stream["scan_type"], &scan.into());
        }
        if !theirs["FrameRate"].is_null() {
            compare.number("frame rate", &stream["avg_fps"], &theirs["FrameRate"], 0.7);
        }
        if !theirs["Duration"].is_null() && !ours["video_duration_seconds"].is_null() {
            compare.number("duration", &ours["video_duration_seconds"], &theirs["Duration"], 0.15);
        }
        let hdr = theirs["transfer_characteristics"] == "PQ";
        assert_eq!(ours["is_hdr"], hdr, "{file}");
    }
    for (ours, theirs) in ours["audio_streams"].as_array().into_iter().flatten().zip(of("Audio")) {
        compare.number("channels", &ours["channels"], &theirs["Channels"], 0.0);
        compare.number("sample rate", &ours["sample_rate"], &theirs["SamplingRate"], 0.0);
        if !ours["bit_depth"].is_null() {
            compare.number("bit depth", &ours["bit_depth"], &theirs["BitDepth"], 0.0);
        }
        if !theirs["Duration"].is_null() && !ours["duration_seconds"].is_null() {
            compare.number("duration", &ours["duration_seconds"], &theirs["Duration"], 0.15);
        }
    }
    let timecode =
        of("Other").iter().find_map(|track| track["TimeCode_FirstFrame"].as_str().map(str::to_owned));
    if let Some(timecode) = timecode {
        compare.text("timecode", &ours["start_timecode"], &timecode.into());
    }
    compare.compared
}

fn ratio(text: &Value) -> Value {
    text.as_str().map_or(Value::Null, |text| text.replace(':', "/").into())
}

#[tokio::test]
async fn every_field_agrees_with_ffprobe_and_mediainfo() {
    let server = TestServer::start_with(&[("REELHOUSE_LIMITS", "permissive")]);
    let clips = clips();
    assert!(clips.len() >= 20);
    let mut compared = 0;
    for path in clips {
        let file = path.file_name().unwrap().to_str().unwrap();
        let created = server.create(&path).await;
        let id = created["_id"].as_str().unwrap();
        let one = expect(200, server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
        let ours = &one["technical_metadata"];
        assert_eq!(one["file_type"], ours["file_mime_type"]);
        compared += beside_ffprobe(file, ours, &path) + beside_mediainfo(file, ours, &path);
        match file {
            "placed.mp4" => {
                assert_eq!(ours["geospatial_latitude"], 48.8577);
                assert_eq!(ours["geospatial_longitude"], 2.295);
                assert_eq!(ours["container_creation_time"], "2026-05-01T10:30:00Z");
            }
            "prores.mov" => {
                assert_eq!(ours["start_timecode"], "01:00:00;00");
                assert_eq!((&ours["drop_frame"], &ours["timecode_source"]), (&true.into(), &"stream".into()));
            }
            "covered.mp3" => assert_eq!(one["file_type"], "audio/mpeg"),
            _ => {}
        }
    }
    assert!(compared > 500, "only {compared} fields were compared");
}

/// Every still format of the permissive profile: whole it is taken and told, cut it is refused.
#[tokio::test]
async fn images_of_every_kind() {
    let server = TestServer::start_with(&[("REELHOUSE_LIMITS", "permissive")]);
    let source = ["-f", "lavfi", "-i", "testsrc2=size=300x200", "-frames:v", "1"];
    let picture = |name: &str, encode: &[&str]| made(name, &[&source[..], encode].concat());
    let png = picture("plain.png", &["-pix_fmt", "rgb24"]);
    let heif = |name: &str, arguments: &[&str]| {
        let path = png.with_file_name(name);
        if !path.exists() {
            let partial = tempfile::TempDir::new_in(path.parent().unwrap()).unwrap();
            let written = partial.path().join(name);
            let output =
                command("heif-enc").args(arguments).arg("-o").arg(&written).arg(&png).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            std::fs::rename(written, &path).unwrap();
        }
        path
    };
    // The header of OS/2 2.x: 24 bytes more, none of which matters here.
    let mut bmp = std::fs::read(picture("plain.bmp", &[])).unwrap();
    bmp[10] += 24;
    bmp[14] = 64;
    bmp.splice(54..54, [0; 24]);
    let folder = tempfile::tempdir().unwrap();
    let os2 = folder.path().join("os2.bmp");
    std::fs::write(&os2, bmp).unwrap();
    for (path, mime, format, depth, alpha, color) in [
        (png.clone(), "image/png", "PNG", 8, false, "RGB"),
        (picture("deep.png", &["-pix_fmt", "gray16be"]), "image/png", "PNG", 16, false, "Grayscale"),
        (picture("clear.png", &["-pix_fmt", "rgba"]), "image/png", "PNG", 8, true, "RGB"),
        (picture("plain.jpg", &[]), "image/jpeg", "JPEG", 8, false, "RGB"),
        (picture("plain.webp", &["-c:v", "libwebp"]), "image/webp", "WebP", 8, false, "RGB"),
        (picture("plain.bmp", &[]), "image/bmp", "BMP", 8, false, "RGB"),
        (picture("plain.tiff", &["-pix_fmt", "rgb24"]), "image/tiff", "TIFF", 8, false, "RGB"),
        (heif("plain.heic", &[]), "image/heic", "HEIC", 8, false, "RGB"),
        (picture("palette.tiff", &["-pix_fmt", "pal8"]), "image/tiff", "TIFF", 8, false, "RGB"),
        (picture("planes.tiff", &["-pix_fmt", "yuv420p"]), "image/tiff", "TIFF", 8, false, "RGB"),
        (picture("plain.jxl", &["-c:v", "libjxl"]), "image/jxl", "JPEG XL", 8, false, "RGB"),
        (picture("plain.jp2", &["-pix_fmt", "gray"]), "image/jp2", "JPEG 2000", 8, false, "Grayscale"),
        (os2, "image/bmp", "BMP", 8, false, "RGB"),
        (heif("plain.avif", &["-A"]), "image/avif", "AVIF", 8, false, "RGB"),
        (
            picture("by-ffmpeg.avif", &["-c:v", "libaom-av1", "-cpu-used", "8", "-still-picture", "1"]),
            "image/avif",
            "AVIF",
            8,
            false,
            "RGB",
        ),
    ] {
        let created = server.create(&path).await;
        assert_eq!(created["file_type"], mime);
        let id = created["_id"].as_str().unwrap();
        let one = expect(200, server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
        let ours = &one["technical_metadata"];
        assert_eq!((&ours["image_width"], &ours["image_height"]), (&300.into(), &200.into()), "{ours}");
        assert_eq!(ours["image_format"], format);
        assert_eq!(ours["image_bit_depth"], depth, "{format}");
        assert_eq!(ours["has_alpha"], alpha, "{format}");
        assert_eq!(ours["image_color_space"], color, "{format}");
        assert_eq!(ours["image_orientation"], 1);
        let bytes = std::fs::read(&path).unwrap();
        let cut =
            server.post(crate::harness::direct_bytes(&bytes[..bytes.len() * 2 / 3])).send().await.unwrap();
        assert_eq!(cut.status(), 400, "{format}, cut, is taken");
    }
}
