//! When each track begins and ends. Headers promise, packets tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Stdio,
};

use serde::Deserialize;

use crate::{
    Config, Error,
    child::{Ended, Output, Spawner},
    probe::{DEMUXERS, ffprobe, file_url, limits},
};

/// Seconds before the end from which packets are read.
const TAIL_SECONDS: f64 = 5.0;
/// Bytes of an answer: a file with a single keyframe is read whole.
const MAX_ANSWER: u64 = 64 << 20;

/// Seconds, counted from where the file begins.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Timing {
    /// Of the whole.
    pub(crate) seconds: Option<f64>,
    /// Beginning and end of tracks, where known.
    pub(crate) tracks: BTreeMap<u32, (f64, f64)>,
    /// Tracks whose packets do not say when they are shown: in AVI, pictures come late by what is reordered.
    pub(crate) untimed: BTreeSet<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    format: Span,
    streams: Vec<Span>,
    packets: Vec<Packet>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Span {
    index: u32,
    start_time: Option<String>,
    duration: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Packet {
    stream_index: u32,
    pts_time: Option<String>,
    dts_time: Option<String>,
    duration_time: Option<String>,
}

/// Measures a file. What cannot be measured is absent.
pub(crate) async fn measure(
    spawner: &Spawner,
    config: &Config,
    path: &Path,
    seconds: Option<f64>,
) -> Result<Timing, Error> {
    let spans = "stream=index,start_time,duration:format=start_time,duration";
    let whole = ask(spawner, config, path, spans, None).await?;
    let start = number(&whole.format.start_time).unwrap_or(0.0);
    let seconds = number(&whole.format.duration).or(seconds);
    let from = seconds.map(|seconds| start + seconds - TAIL_SECONDS).filter(|from| *from > 0.0);
    let packets = "packet=stream_index,pts_time,dts_time,duration_time";
    let tail = ask(spawner, config, path, packets, from).await?;
    Ok(timing(&whole, &tail, seconds))
}

async fn ask(
    spawner: &Spawner,
    config: &Config,
    path: &Path,
    entries: &str,
    from: Option<f64>,
) -> Result<Answer, Error> {
    let mut command = ffprobe(config, "json");
    command.args(["-format_whitelist", DEMUXERS, "-show_entries", entries]);
    if let Some(from) = from {
        command.args(["-read_intervals", &format!("{from:.3}%")]);
    }
    command.arg("-i").arg(file_url(path));
    let ended = spawner.run(command, Stdio::null(), limits(config, Output::Whole(MAX_ANSWER))).await?;
    Ok(match ended {
        Ended::Exited { stdout, .. } => serde_json::from_slice(&stdout).unwrap_or_default(),
        Ended::Killed(_) => Answer::default(),
    })
}

fn timing(whole: &Answer, tail: &Answer, seconds: Option<f64>) -> Timing {
    let start = number(&whole.format.start_time).unwrap_or(0.0);
    let mut ends: BTreeMap<u32, f64> = BTreeMap::new();
    let mut untimed = BTreeSet::new();
    for packet in &tail.packets {
        if number(&packet.pts_time).is_none() && number(&packet.dts_time).is_some() {
            untimed.insert(packet.stream_index);
        }
        if let Some(time) = number(&packet.pts_time).or_else(|| number(&packet.dts_time)) {
            let end = time + number(&packet.duration_time).unwrap_or(0.0);
            ends.entry(packet.stream_index).and_modify(|last| *last = last.max(end)).or_insert(end);
        }
    }
    let tracks = whole.streams.iter().filter_map(|stream| {
        let begins = number(&stream.start_time).unwrap_or(start);
        let declared = || Some(begins + number(&stream.duration)?);
        let ends = ends.get(&stream.index).copied().or_else(declared)?;
        Some((stream.index, (begins - start, ends - start)))
    });
    Timing { seconds, tracks: tracks.collect(), untimed }
}

fn number(text: &Option<String>) -> Option<f64> {
    text.as_deref()?.parse().ok().filter(|number: &f64| number.is_finite() && number.abs() < 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_believed_before_headers() {
        let whole = r#"{"format": {"start_time": "1.4", "duration": "10.0"}, "streams": [
            {"index": 0, "start_time": "1.4", "duration": "9.9"},
            {"index": 1, "start_time": "1.5", "duration": "3.0"},
            {"index": 2, "start_time": "N/A"}]}"#;
        let tail = r#"{"packets": [
            {"stream_index": 0, "pts_time": "11.36", "duration_time": "0.04"},
            {"stream_index": 0, "pts_time": "11.32", "duration_time": "0.04"},
            {"stream_index": 0, "pts_time": "N/A", "duration_time": "0.04"}]}"#;
        let timing =
            timing(&serde_json::from_str(whole).unwrap(), &serde_json::from_str(tail).unwrap(), Some(10.0));
        let rounded = |n| timing.tracks.get(&n).map(|(a, b)| ((a * 100.0).round(), (b * 100.0).round()));
        assert_eq!((rounded(0), rounded(1), rounded(2)), (Some((0.0, 1000.0)), Some((10.0, 310.0)), None));
    }
}
