//! The ffprobe command, asked once or twice per file. What it says is read by [`crate::facts`].

use std::{ffi::OsString, os::unix::process::ExitStatusExt, path::Path, process::Command};

use reelhouse_api::MediaKind;

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
    let mut input = OsString::from("file:");
    input.push(path);
    command.arg("-i").arg(input);
    let limits = Limits {
        time: config.probe_timeout,
        output: MAX_ANSWER,
        // One thread cannot use more than the wall clock gives; rounded up.
        cpu_seconds: config.probe_timeout.as_secs() + 1,
        memory: MAX_MEMORY,
    };
    let (status, stdout, stderr) = match spawner.run(command, limits).await? {
        Ended::Exited { status, stdout, stderr } => (status, stdout, stderr),
        Ended::Killed(reason) => return Err(broken(guess(sniffed), reason)),
    };
    if !status.success() {
        let reason = format!("{}: {stderr}", describe(status));
        let crashed = status.signal().is_some();
        return Err(if crashed { broken(guess(sniffed), reason) } else { unreadable(sniffed, reason) });
    }
    serde_json::from_slice(&stdout)
        .map_err(|error| broken(guess(sniffed), format!("the probe's answer: {error}")))
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
