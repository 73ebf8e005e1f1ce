//! Packets that claim to be shown at the end of time.

use std::fs;

use reelhouse_media::{Config, Error, Media, Plan, because};
use tokio::sync::watch;

use crate::clips::{facts, made, of_bytes};

const DAY: u64 = 24 * 3600;
/// The picture's last packet.
const LAST: u32 = 499;

/// Twenty seconds; the picture's packet `n` is later by so many seconds, and the header says nothing of it.
fn twenty_seconds_but(folder: &std::path::Path, n: u32, later: u64) -> std::path::PathBuf {
    let both = "-f lavfi -i testsrc2=size=160x90:rate=25:duration=20 -f lavfi -i sine=duration=20";
    let base = made("twenty.mkv", &format!("{both} -c:v mpeg4 -bf 0 -g 10 -c:a libopus"));
    // Milliseconds. In order at the end; in the middle, the order of decoding stays.
    let to = if n == LAST { "ts" } else { "pts" };
    let moved = format!("setts={to}=if(eq(N\\,{n})\\,PTS+{}000\\,PTS)", later);
    let moved = made("moved.mkv", &format!("-i {} -c copy -bsf:v {moved}", base.display()));
    let mut bytes = fs::read(moved).unwrap();
    let duration =
        bytes.windows(3).position(|at| at == b"\x44\x89\x88").expect("Duration, of eight bytes") + 3;
    bytes[duration..duration + 8].copy_from_slice(&20_000f64.to_be_bytes());
    while let Some(at) = bytes.windows(8).position(|at| at == b"DURATION") {
        bytes[at] = b'X';
    }
    of_bytes(folder, "claims.mkv", &bytes)
}

/// What becomes of it, as seconds.
async fn prepared(source: &std::path::Path) -> Result<f64, Error> {
    let media = Media::start(Config::default()).await.unwrap();
    let before = facts(&media, source).await;
    assert!(before.duration.is_some_and(|seconds| seconds < 20_000.0), "{:?}", before.duration);
    let plan = Plan::transcode(&before.technical, because::AUDIO);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("prepared.mp4");
    let (progress, _seen) = watch::channel(0.0);
    media.prepare(source, &before.technical, &plan, &out, 1 << 30, &progress).await?;
    Ok(facts(&media, &out).await.duration.unwrap())
}

#[tokio::test]
async fn a_last_packet_days_later_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    for later in [DAY, 10_000 * DAY] {
        let refused = prepared(&twenty_seconds_but(folder.path(), LAST, later)).await;
        assert!(matches!(refused, Err(Error::Ffmpeg(_))), "{later}: {refused:?}");
    }
}

/// Past what is told of measures at all: ffmpeg drops the time, and the rest is as it was.
#[tokio::test]
async fn a_last_packet_at_the_end_of_time_is_shown_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let seconds =
        prepared(&twenty_seconds_but(folder.path(), LAST, i64::MAX as u64 / 1_000_000)).await.unwrap();
    assert!((19.9..20.5).contains(&seconds), "{seconds}");
}

/// Nothing measures it there: those behind it are what a file ends with.
#[tokio::test]
async fn a_packet_in_the_middle_that_is_a_day_later_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    for later in [DAY, 10_000 * DAY] {
        let seconds = prepared(&twenty_seconds_but(folder.path(), 70, later)).await.unwrap();
        assert!((2.0..20.5).contains(&seconds), "{later}: {seconds}");
    }
}

/// Four hours and more of ten-second slides in a small file are what they are.
#[tokio::test]
async fn an_honest_long_file_keeps_its_length() {
    let slides = "-f lavfi -i testsrc2=size=64x64:rate=1/10:duration=15000 -c:v mjpeg -q:v 10";
    let seconds = prepared(&made("slides.mov", slides)).await.unwrap();
    assert!((14_990.0..15_010.0).contains(&seconds), "{seconds}");
}

/// The checksum of an Ogg page (RFC 3533, section 6), its own field counted as zeros.
fn ogg_checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |sum: u32, byte| {
        (0..8).fold(sum ^ (u32::from(*byte) << 24), |sum, _| (sum << 1) ^ ((sum >> 31) * 0x04C1_1DB7))
    })
}

/// Some encoders end with a packet that is trimmed away whole: what libav says of it is a day or more.
#[tokio::test]
async fn a_last_packet_that_is_trimmed_away_lasts_no_day() {
    let sound = "-f lavfi -i sine=duration=0.5:sample_rate=48000 -c:a libvorbis";
    let mut bytes = fs::read(made("half-a-second.ogg", sound)).unwrap();
    let last = bytes.windows(4).rposition(|at| at == b"OggS").unwrap();
    // The samples up to its end, one packet fewer.
    bytes[last + 6..last + 14].copy_from_slice(&23_168u64.to_le_bytes());
    bytes[last + 22..last + 26].fill(0);
    let sum = ogg_checksum(&bytes[last..]);
    bytes[last + 22..last + 26].copy_from_slice(&sum.to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    let seconds = prepared(&of_bytes(folder.path(), "trimmed.ogg", &bytes)).await.unwrap();
    assert!((0.4..0.6).contains(&seconds), "{seconds}");
}
