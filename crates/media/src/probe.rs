//! The ffprobe command, asked once or twice per file. What it says is read by [`crate::facts`].

use std::{
    path::Path,
    process::{Command, Stdio},
};

use reelhouse_api::MediaKind;

use crate::{
    Config, Error, Facts, Sniffed,
    child::{Ended, Limits, Spawner, describe},
    facts::{self, Probe},
};

/// Packets whose frames must decode: enough that both tracks of an interleaved file are among them.
const FIRST_PACKETS: u32 = 48;

/// Containers and elementary streams. No playlist, no script, no text, no image sequence, nothing that opens another
/// file or address.
const DEMUXERS: &str = "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,ogg,wav,w64,aiff,caf,flac,mp3,aac,ac3,eac3,\
     dts,amr,asf,rm,mxf,ivf,yuv4mpegpipe,h264,hevc,vc1,obu,dv,gxf,nut,tta,wv,ape,au,dsf";

const ENTRIES: &str =
    "format:format_tags:stream:stream_tags:stream_disposition:stream_side_data:frame=stream_index";

/// Runs the program once, before anything depends on it.
pub(crate) fn check_installed(program: &Path) -> Result<(), Error> {
    let not_installed = |reason: String| Error::NotInstalled { program: program.to_owned(), reason };
    #[expect(clippy::disallowed_methods, reason = "this room starts the children")]
    let status = Command::new(program)
        .arg("-version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| not_installed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(not_installed(describe(status))) }
}

/// Probes a file and decodes its first frames.
pub(crate) async fn examine(
    spawner: &Spawner,
    config: &Config,
    path: &Path,
    sniffed: &Sniffed,
) -> Result<Facts, Error> {
    let probe = run(spawner, config, path, sniffed, None).await?;
    let facts = facts::read(&probe, sniffed)?;
    // The first packets may all be of other tracks: then the main track is asked alone.
    let main = facts::main_stream(&probe, facts.kind).ok_or_else(|| broken(facts.kind, "no main track"))?;
    if !probe.decoded(main) && !run(spawner, config, path, sniffed, Some(main)).await?.decoded(main) {
        return Err(broken(facts.kind, "no frame of the main track decodes"));
    }
    Ok(facts)
}

async fn run(
    spawner: &Spawner,
    config: &Config,
    path: &Path,
    sniffed: &Sniffed,
    only: Option<u32>,
) -> Result<Probe, Error> {
    #[expect(clippy::disallowed_methods, reason = "this room starts the children")]
    let mut command = Command::new(&config.ffprobe);
    command.args(["-v", "error", "-hide_banner", "-of", "json", "-threads", "1"]);
    command.args(["-protocol_whitelist", "file,pipe", "-format_whitelist", DEMUXERS]);
    command.args(["-show_format", "-show_streams", "-show_frames", "-show_entries", ENTRIES]);
    command.args(["-read_intervals", &format!("%+#{FIRST_PACKETS}")]);
    if let Some(stream) = only {
        command.args(["-select_streams", &stream.to_string()]);
    }
    let mut input = std::ffi::OsString::from("file:");
    input.push(path);
    command.arg("-i").arg(input);
    let limits = Limits {
        time: config.probe_timeout,
        output: 8 << 20,
        cpu_seconds: config.probe_timeout.as_secs().max(1),
        memory: 4 << 30,
    };
    let (status, stdout, stderr) = match spawner.run(command, limits).await? {
        Ended::Exited { status, stdout, stderr } => (status, stdout, stderr),
        Ended::Killed(reason) => return Err(broken(guess(sniffed), reason)),
    };
    if !status.success() {
        return Err(unreadable(sniffed, format!("{}: {stderr}", describe(status))));
    }
    serde_json::from_slice(&stdout)
        .map_err(|error| broken(guess(sniffed), format!("the probe's answer: {error}")))
}

/// A file that no demuxer takes: broken if its first bytes promised media, else no media at all.
fn unreadable(sniffed: &Sniffed, reason: String) -> Error {
    match sniffed {
        Sniffed::Media { kind, .. } => broken(*kind, reason),
        Sniffed::Unknown => Error::NotMedia { mime: "application/octet-stream".to_owned() },
        Sniffed::Other { mime } => Error::NotMedia { mime: mime.clone() },
    }
}

/// What a file would have been.
pub(crate) fn guess(sniffed: &Sniffed) -> MediaKind {
    match sniffed {
        Sniffed::Media { kind, .. } => *kind,
        Sniffed::Unknown | Sniffed::Other { .. } => MediaKind::Video,
    }
}

pub(crate) fn broken(kind: MediaKind, reason: impl Into<String>) -> Error {
    Error::Broken { kind, reason: reason.into() }
}
