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
    child::{Ended, Limits, Output, Spawner, describe},
    facts::{self, Probe},
    whole::Index,
};

/// Packets whose frames must decode, of all tracks. Each costs: 48 of a film of 60 Mbit/s took 0.2 s more than 12.
const FIRST_PACKETS: u32 = 12;
/// Packets of the main track looked at where none of the first ones shows: a file cut without re-encoding begins with
/// frames that an edit list hides, or that miss their keyframe. The longest distance between keyframes in use is 10 s.
const PATIENT_PACKETS: u32 = 1200;
/// Demuxers whose files say how long they are, in no index that we read.
const DECLARING: [&str; 7] = ["flac", "flv", "ivf", "mxf", "tta", "wv", "ape"];
/// Seconds before its end at which a file is looked at.
const TAIL_SECONDS: f64 = 5.0;
/// Bytes of an answer. An ordinary one has 10 KB.
const MAX_ANSWER: u64 = 4 << 20;
/// Bytes of address space: libraries and stacks count, so the bound is generous.
const MAX_MEMORY: u64 = 4 << 30;

/// Containers and elementary streams. No playlist, no script, no text, no image sequence, nothing that opens another
/// file or address.
pub(crate) const DEMUXERS: &str = "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,ogg,wav,w64,aiff,caf,flac,mp3,aac,ac3,eac3,\
     dts,truehd,amr,asf,rm,mxf,ivf,yuv4mpegpipe,h264,hevc,vc1,obu,dv,gxf,nut,tta,wv,ape,au,dsf";

/// Only tags that are read: others may be megabytes.
const ENTRIES: &str = "format:format_tags=creation_time,timecode,location,location-eng,com.apple.quicktime.location.ISO6709\
     :stream:stream_tags=rotate,language,timecode,DURATION,DURATION-eng,BPS,BPS-eng\
     :stream_disposition:stream_side_data:frame=stream_index";

/// Runs the program once, before anything depends on it, the way it will be run.
pub(crate) async fn check_installed(spawner: &Spawner, config: &Config) -> Result<(), Error> {
    let not_installed = |reason: String| Error::NotInstalled { program: config.ffprobe.clone(), reason };
    #[expect(clippy::disallowed_methods, reason = "this room starts the children")]
    let mut command = Command::new(&config.ffprobe);
    command.arg("-version");
    let ended = spawner.run(command, Stdio::null(), limits(config, Output::Whole(MAX_ANSWER))).await;
    match ended.map_err(|error| not_installed(error.to_string()))? {
        Ended::Exited { status, stdout, .. } if status.success() && stdout.starts_with(b"ffprobe ") => Ok(()),
        Ended::Exited { status, .. } if status.success() => {
            Err(not_installed("it is not ffprobe".to_owned()))
        }
        Ended::Exited { status, stderr, .. } => {
            Err(not_installed(format!("{} {stderr}", describe(status)).trim().to_owned()))
        }
        Ended::Killed(reason) => Err(not_installed(reason.to_owned())),
    }
}

/// Probes a file, decodes its first frames, and looks at its end where its index does not tell of it.
pub(crate) async fn examine(
    spawner: &Spawner,
    config: &Config,
    path: &Path,
    sniffed: &Sniffed,
    index: Index,
) -> Result<Facts, Error> {
    let probe = run(spawner, config, path, sniffed, None).await?;
    let (mut facts, main) = facts::read(&probe, sniffed)?;
    if !probe.decoded(main) && !run(spawner, config, path, sniffed, Some(main)).await?.decoded(main) {
        return Err(broken(facts.kind, "no frame of the main track decodes"));
    }
    match facts.duration {
        None => facts
            .set_duration(end_of(spawner, config, path, main, None).await?.map(|end| end - probe.start())),
        Some(seconds) if index == Index::Silent && DECLARING.contains(&probe.demuxer()) => {
            let from = Some(probe.start() + seconds - TAIL_SECONDS).filter(|from| *from > 0.0);
            let mut end = end_of(spawner, config, path, main, from).await?;
            if end.is_none() && from.is_some() {
                // It cannot be entered there: then it is read to its end.
                end = end_of(spawner, config, path, main, None).await?;
            }
            let missing = probe.start() + seconds - end.unwrap_or(0.0);
            if missing > f64::max(0.5, seconds * 0.005) {
                return Err(broken(facts.kind, format!("its last {missing:.2} seconds are missing")));
            }
        }
        Some(_) => {}
    }
    Ok(facts)
}

/// Seconds at which the last packet of a track ends; `None` when there is none behind `from`.
async fn end_of(
    spawner: &Spawner,
    config: &Config,
    path: &Path,
    track: u32,
    from: Option<f64>,
) -> Result<Option<f64>, Error> {
    let mut command = ffprobe(config, "csv=p=0");
    command.args(["-format_whitelist", DEMUXERS, "-show_entries", "packet=pts_time,duration_time"]);
    command.args(["-select_streams", &track.to_string()]);
    if let Some(from) = from {
        command.args(["-read_intervals", &format!("{from:.3}%")]);
    }
    command.arg("-i").arg(file_url(path));
    match spawner.run(command, Stdio::null(), limits(config, Output::Tail)).await? {
        Ended::Exited { stdout, .. } => Ok(facts::last_end(&String::from_utf8_lossy(&stdout))),
        Ended::Killed(_) => Ok(None),
    }
}

/// How many pictures of a bare stream decode. `format` is the name of its demuxer.
pub(crate) async fn count_pictures(
    spawner: &Spawner,
    config: &Config,
    format: &str,
    stream: Vec<u8>,
) -> Result<usize, Error> {
    let input = tokio::task::spawn_blocking(move || in_memory(&stream)).await.map_err(io::Error::other)??;
    let mut command = ffprobe(config, "json");
    command.args(["-f", format, "-show_frames", "-show_entries", "frame=stream_index", "-i", "pipe:0"]);
    let ended = spawner.run(command, input.into(), limits(config, Output::Whole(MAX_ANSWER))).await?;
    let probe = answer(ended).map_err(|failure| broken(MediaKind::Image, failure.reason))?;
    Ok(probe.frame_count())
}

/// A file that has no name and lies nowhere.
pub(crate) fn in_memory(bytes: &[u8]) -> io::Result<File> {
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
    let mut command = ffprobe(config, "json");
    command.args(["-format_whitelist", DEMUXERS]);
    command.args(["-show_format", "-show_streams", "-show_frames", "-show_entries", ENTRIES]);
    let packets = if only.is_some() { PATIENT_PACKETS } else { FIRST_PACKETS };
    command.args(["-read_intervals", &format!("%+#{packets}")]);
    if let Some(stream) = only {
        command.args(["-select_streams", &stream.to_string()]);
    }
    command.arg("-i").arg(file_url(path));
    answer(spawner.run(command, Stdio::null(), limits(config, Output::Whole(MAX_ANSWER))).await?).map_err(
        |Failure { reason, by_itself }| {
            if by_itself { unreadable(sniffed, reason) } else { broken(guess(sniffed), reason) }
        },
    )
}

/// The name of a file that cannot be taken for anything else.
pub(crate) fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}

pub(crate) fn ffprobe(config: &Config, writer: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "this room starts the children")]
    let mut command = Command::new(&config.ffprobe);
    command.args(["-v", "error", "-hide_banner", "-of", writer, "-threads", "1"]);
    command.args(["-protocol_whitelist", "file,pipe"]);
    command
}

pub(crate) fn limits(config: &Config, output: Output) -> Limits {
    Limits {
        time: config.probe_timeout,
        output,
        // One thread cannot use more than the wall clock gives; rounded up.
        cpu_seconds: config.probe_timeout.as_secs() + 1,
        memory: MAX_MEMORY,
        file: 0,
        niceness: 0,
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
