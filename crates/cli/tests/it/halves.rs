//! Half a file is broken, whatever it is; and a whole one is not, however odd.

use std::path::PathBuf;

use crate::{
    harness::{TestServer, direct_bytes, expect},
    media::{self, made, sound},
};

const PICTURE: [&str; 4] = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=8"];
const SOUND: [&str; 4] = ["-f", "lavfi", "-i", "sine=duration=8"];
const H264: [&str; 6] = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];

fn clip(name: &str, encode: &[&str]) -> PathBuf {
    made(name, &[&PICTURE[..], &SOUND, &H264, encode].concat())
}

fn still(name: &str, encode: &[&str]) -> PathBuf {
    made(name, &[&["-f", "lavfi", "-i", "testsrc2=size=300x200:duration=1"][..], encode].concat())
}

/// Files that say somewhere how much there is.
fn promising() -> Vec<PathBuf> {
    let png = media::png();
    let cover = [
        "-i",
        png.to_str().unwrap(),
        "-map",
        "0",
        "-map",
        "1",
        "-c:v",
        "copy",
        "-disposition:v",
        "attached_pic",
    ];
    let covered = |name: &str| made(name, &[&SOUND[..], &cover].concat());
    vec![
        clip("front.mp4", &["-movflags", "+faststart"]),
        clip("behind.mp4", &[]),
        clip("fragments.mp4", &["-movflags", "+frag_keyframe+empty_moov", "-g", "25"]),
        clip("movie.mov", &[]),
        clip("whole.mkv", &[]),
        clip("whole.avi", &["-c:a", "libmp3lame"]),
        clip("whole.flv", &["-ar", "44100"]),
        made("whole.wmv", &[&PICTURE[..], &SOUND].concat()),
        made("whole.mxf", &[&PICTURE[..], &["-c:v", "mpeg2video"]].concat()),
        made("whole.ivf", &[&PICTURE[..], &["-c:v", "libvpx", "-cpu-used", "8"]].concat()),
        made(
            "whole.webm",
            &[&PICTURE[..], &SOUND, &["-c:v", "libvpx", "-cpu-used", "8", "-c:a", "libopus"]].concat(),
        ),
        sound("eight.wav", "8", &[]),
        sound("eight-rf64.wav", "8", &["-rf64", "always"]),
        sound("eight.w64", "8", &[]),
        sound("eight.aiff", "8", &[]),
        sound("eight.caf", "8", &[]),
        sound("eight.au", "8", &[]),
        sound("eight.flac", "8", &[]),
        covered("covered.flac"),
        sound("eight.mp3", "8", &["-c:a", "libmp3lame"]),
        sound("variable.mp3", "8", &["-c:a", "libmp3lame", "-q:a", "4"]),
        covered("covered-8.mp3"),
        sound("eight.m4a", "8", &["-c:a", "aac"]),
        sound("eight.wma", "8", &[]),
        sound("eight.wv", "8", &[]),
        sound("eight.tta", "8", &[]),
        still("moving.gif", &[]),
        still("moving.png", &["-f", "apng", "-plays", "0"]),
        still("moving.webp", &["-c:v", "libwebp", "-loop", "0"]),
        still("still.jpg", &["-frames:v", "1"]),
        still("still.png", &["-frames:v", "1"]),
        still("still.bmp", &["-frames:v", "1"]),
        still("still.tiff", &["-frames:v", "1", "-pix_fmt", "rgb24"]),
        still("still.webp", &["-frames:v", "1", "-c:v", "libwebp"]),
    ]
}

#[tokio::test]
async fn half_a_file_is_broken_and_a_whole_one_is_not() {
    let server = TestServer::start_with(&[("REELHOUSE_LIMITS", "permissive")]);
    let mut wrong = Vec::new();
    for path in promising() {
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        for (share, expected) in [(100, 201), (90, 400), (50, 400)] {
            let part = &bytes[..bytes.len() * share / 100];
            let answer = server.post(direct_bytes(part)).send().await.unwrap();
            if answer.status() != expected {
                wrong.push(format!("{share}% of {name}: {}", answer.text().await.unwrap()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.assert_healthy();
}

/// Whole files of which something is unusual.
#[tokio::test]
async fn odd_but_whole_files_are_taken() {
    let server = TestServer::start_with(&[("REELHOUSE_LIMITS", "permissive")]);
    let long = made("long-gop.mp4", &[&PICTURE[..], &SOUND, &H264, &["-g", "250"]].concat());
    let long = long.to_str().unwrap();
    let jpeg = |name: &str, encode: &[&str]| still(name, &[&["-frames:v", "1"][..], encode].concat());
    let trailing = {
        let mut bytes = std::fs::read(jpeg("plain-300.jpg", &[])).unwrap();
        bytes.extend([0; 100]);
        bytes
    };
    for path in [
        // Cut without re-encoding: an edit list hides what comes before, or the keyframe is missing.
        made("trimmed.mp4", &["-ss", "5", "-i", long, "-c", "copy"]),
        made("trimmed.mov", &["-ss", "5", "-i", long, "-c", "copy"]),
        made("trimmed.ts", &["-ss", "5", "-i", long, "-c", "copy", "-copyinkf"]),
        // Written live: no length anywhere.
        made("live.mkv", &["-i", long, "-c", "copy", "-live", "1"]),
        made("live.ts", &["-i", long, "-c", "copy"]),
        // Packets of two seconds, which do not say so.
        made("slides.flv", &["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=1/2:duration=10"]),
        made("slide.flv", &["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=1/2:duration=2"]),
        clip("ten-bit.mkv", &["-pix_fmt", "yuv420p10le"]),
        clip("rotated.mp4", &["-metadata:s:v", "rotate=90"]),
        made("raw.h264", &[&PICTURE[..], &H264].concat()),
        sound("raw.aac", "5", &["-c:a", "aac", "-f", "adts"]),
        sound("raw.ac3", "5", &[]),
        sound("eight.ogg", "8", &["-c:a", "libvorbis"]),
        jpeg("gray.jpg", &["-pix_fmt", "gray"]),
    ] {
        let name = path.display().to_string();
        let answer = server.post(crate::harness::direct(&path)).send().await.unwrap();
        let status = answer.status();
        assert_eq!(status, 201, "{name}: {}", answer.text().await.unwrap());
    }
    expect(201, server.post(direct_bytes(trailing)).send().await.unwrap()).await;
}

/// Who says nothing of its length is judged by what is there.
#[tokio::test]
async fn a_file_that_does_not_say_how_long_it_is_is_measured() {
    let server = TestServer::start();
    let long = made("long-gop.mp4", &[&PICTURE[..], &SOUND, &H264, &["-g", "250"]].concat());
    let short = made(
        "live-short.mkv",
        &["-t", "2", "-i", long.to_str().unwrap(), "-vf", "scale=640:480", "-live", "1"],
    );
    let refused = server.post(crate::harness::direct(&short)).send().await.unwrap();
    let message = crate::harness::expect_error(400, "video_duration_too_short", refused).await;
    assert!(message.contains("Current duration is 2"), "{message}");
}
