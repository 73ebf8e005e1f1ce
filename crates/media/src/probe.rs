//! The ffprobe command, asked once or twice per file. What it says is read by [`crate::facts`].

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Seek, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
};

use reelhouse_api::MediaKind;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::{
    Config, Error, Facts, Sniffed,
    child::{Ended, Limits, Spawner, describe},
    facts::{self, Probe},
};

/// Packets whose frames must decode: enough that both tracks of an interleaved file are among them.
const FIRST_PACKETS: u32 = 48;
/// Bytes of an answer. An ordinary one has 10 KB.
const MAX_ANSWER: u64 = 4 << 20;
/// Bytes of address space: libraries and stacks count, so the bound is generous.
const MAX_MEMORY: u64 = 4 << 30;

/// Containers and elementary streams. No playlist, no script, no text, no image sequence, nothing that opens another
/// file or address.
const DEMUXERS: &str = "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,ogg,wav,w64,aiff,caf,flac,mp3,aac,ac3,eac3,\
     dts,truehd,amr,asf,rm,mxf,ivf,yuv4mpegpipe,h264,hevc,vc1,obu,dv,gxf,nut,tta,wv,ape,au,dsf";

const ENTRIES: &str =
    "format:format_tags:stream:stream_tags:stream_disposition:stream_side_data:frame=stream_index";

/// Probes a file and decodes its first frames.
pub(crate) async fn examine(
    spawner: &Spawner,
    config: &Config,
    path: &Path,
    sniffed: &Sniffed,
) -> Result<Facts, Error> {
    let probe = run(spawner, config, path, sniffed, None).await?;
    let (facts, main) = facts::read(&probe, sniffed)?;
    // The first packets may all be of other tracks: then the main track is asked alone.
    if !probe.decoded(main) && !run(spawner, config, path, sniffed, Some(main)).await?.decoded(main) {
        return Err(broken(facts.kind, "no frame of the main track decodes"));
    }
    Ok(facts)
}

/// How many pictures of a bare stream decode. `format` is the name of its demuxer.
pub(crate) async fn count_pictures(
    spawner: &Spawner,
    config: &Config,
    format: &str,
    stream: Vec<u8>,
) -> Result<usize, Error> {
    let input = tokio::task::spawn_blocking(move || in_memory(&stream)).await.map_err(io::Error::other)??;
    let mut command = ffprobe(config);
    command.args(["-f", format, "-show_frames", "-show_entries", "frame=stream_index", "-i", "pipe:0"]);
    let ended = spawner.run(command, input.into(), limits(config)).await?;
    let probe = answer(ended).map_err(|failure| broken(MediaKind::Image, failure.reason))?;
    Ok(probe.frame_count())
}

/// A file that has no name and lies nowhere.
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("pictures", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

async fn run(
    spawner: &Spawner,
    config: &Config,
    path: &Path,
    sniffed: &Sniffed,
    only: Option<u32>,
) -> Result<Probe, Error> {
    let mut command = ffprobe(config);
    command.args(["-format_whitelist", DEMUXERS]);
    command.args(["-show_format", "-show_streams", "-show_frames", "-show_entries", ENTRIES]);
    command.args(["-read_intervals", &format!("%+#{FIRST_PACKETS}")]);
    if let Some(stream) = only {
        command.args(["-select_streams", &stream.to_string()]);
    }
    let mut input = OsString::from("file:");
    input.push(path);
    command.arg("-i").arg(input);
    answer(spawner.run(command, Stdio::null(), limits(config)).await?).map_err(
        |Failure { reason, by_itself }| {
            if by_itself { unreadable(sniffed, reason) } else { broken(guess(sniffed), reason) }
        },
    )
}

fn ffprobe(config: &Config) -> Command {
    #[expect(clippy::disallowed_methods, reason = "this room starts the children")]
    let mut command = Command::new(&config.ffprobe);
    command.args(["-v", "error", "-hide_banner", "-of", "json", "-threads", "1"]);
    command.args(["-protocol_whitelist", "file,pipe"]);
    command
}

fn limits(config: &Config) -> Limits {
    Limits {
        time: config.probe_timeout,
        output: MAX_ANSWER,
        // One thread cannot use more than the wall clock gives; rounded up.
        cpu_seconds: config.probe_timeout.as_secs() + 1,
        memory: MAX_MEMORY,
    }
}

/// Why there is no answer.
struct Failure {
    reason: String,
    /// The program itself said so, in peace.
    by_itself: bool,
}

fn answer(ended: Ended) -> Result<Probe, Failure> {
    let failed = |reason: String| Failure { reason, by_itself: false };
    match ended {
        Ended::Exited { status, stdout, .. } if status.success() => {
            serde_json::from_slice(&stdout).map_err(|error| failed(format!("the probe's answer: {error}")))
        }
        Ended::Exited { status, stderr, .. } => Err(Failure {
            reason: format!("{}: {stderr}", describe(status)),
            by_itself: status.signal().is_none(),
        }),
        Ended::Killed(reason) => Err(failed(reason.to_owned())),
    }
}

/// A file in which no demuxer finds a track: broken if its first bytes promised media, else no media at all.
pub(crate) fn unreadable(sniffed: &Sniffed, reason: impl Into<String>) -> Error {
    match sniffed {
        Sniffed::Media { kind, .. } => broken(*kind, reason),
        Sniffed::Unknown => Error::NotMedia { mime: "application/octet-stream".to_owned() },
        Sniffed::Other { mime } => Error::NotMedia { mime: mime.clone() },
    }
}

/// What a file would have been.
fn guess(sniffed: &Sniffed) -> MediaKind {
    match sniffed {
        Sniffed::Media { kind, .. } => *kind,
        Sniffed::Unknown | Sniffed::Other { .. } => MediaKind::Video,
    }
}

pub(crate) fn broken(kind: MediaKind, reason: impl Into<String>) -> Error {
    Error::Broken { kind, reason: reason.into() }
}
