//! What headers say, whether the first frames decode, and when the last packets end.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::CStr,
};

use reelhouse_media::process::{
    DEMUXERS, Input, Probe, ProbeFormat, ProbeTrack, Refused, Span, Timings, TrackKind,
};

use crate::{
    libav::{self, Frame, Kind, Packet, Ratio, Track},
    whole::{self, Index},
};

/// Packets of all tracks in which a frame of the main one must be.
const FIRST_PACKETS: usize = 12;
/// Packets of the main track looked at where none of the first ones shows: a file cut without re-encoding begins with
/// frames that an edit list hides, or that miss their keyframe. The longest distance between keyframes in use is 10 s.
const PATIENT_PACKETS: usize = 1200;
/// Seconds before its end at which a file is looked at.
const TAIL_SECONDS: f64 = 5.0;
/// What is missing less than that is not looked for.
const NEAR_SECONDS: f64 = 0.5;
/// Last packets of a track that are believed: earlier ones may have absurd times.
const TAIL_PACKETS: usize = 200;
/// Bytes of a text.
const MAX_TEXT: usize = 1000;

/// Only tags that are read: others may be megabytes.
const TAGS: [&CStr; 5] =
    [c"creation_time", c"timecode", c"location", c"location-eng", c"com.apple.quicktime.location.ISO6709"];
const TRACK_TAGS: [&CStr; 7] =
    [c"rotate", c"language", c"timecode", c"DURATION", c"DURATION-eng", c"BPS", c"BPS-eng"];

/// All there is to know of a file.
pub(crate) fn probe(input: Input, mime: Option<&str>) -> Result<Probe, Refused> {
    let unreadable = |error: libav::Error| Refused::Unreadable(error.to_string());
    let broken = |error: std::io::Error| Refused::Broken(error.to_string());
    let size = input.size().map_err(broken)?;
    let index = match mime {
        Some(mime) => whole::judge(&mut input.reader(), size, mime).map_err(broken)?,
        None => Ok(Index::Silent),
    };
    let index = index.map_err(|missing| Refused::Broken(missing.to_owned()))?;
    let mut file = libav::Input::open(input, DEMUXERS).map_err(unreadable)?;
    file.find_tracks().map_err(unreadable)?;
    let mut probe = Probe {
        format: ProbeFormat {
            name: file.format(),
            start: file.start(),
            duration: file.seconds(),
            size,
            bit_rate: file.bit_rate(),
            tags: tags(&TAGS, |name| file.tag(name)),
        },
        streams: file.tracks().map(|track| describe(&track)).collect(),
        decodes: false,
        is_whole: index == Index::Kept,
        end: None,
    };
    let Some(main) = probe.main() else { return Ok(probe) };
    probe.decodes = decodes(&mut file, main, FIRST_PACKETS).map_err(unreadable)?;
    drop(file);
    let again = || libav::Input::open(input, DEMUXERS).and_then(|mut file| file.find_tracks().map(|()| file));
    if !probe.decodes {
        let mut file = again().map_err(unreadable)?;
        file.only(main, false);
        probe.decodes = decodes(&mut file, main, PATIENT_PACKETS).map_err(unreadable)?;
    }
    let end = |from: Option<f64>| -> Option<f64> {
        let mut file = again().ok()?;
        file.only(main, false);
        ends(&mut file, from, false).ends.remove(&main)
    };
    probe.end = match probe.seconds() {
        None => end(None),
        Some(seconds) if probe.must_be_seen_to_end() => {
            let told = probe.start() + seconds;
            let from = Some(told - TAIL_SECONDS).filter(|from| *from > 0.0);
            // Where it cannot be entered there, or seems to lack something, it is read to its end.
            let tail = end(from);
            let is_enough = from.is_none() || tail.is_some_and(|end| told - end <= NEAR_SECONDS);
            if is_enough { tail } else { end(None) }
        }
        Some(_) => None,
    };
    Ok(probe)
}

/// When each track begins and ends.
pub(crate) fn timings(input: Input, seconds: Option<f64>) -> Result<Timings, Refused> {
    let unreadable = |error: libav::Error| Refused::Unreadable(error.to_string());
    let mut file = libav::Input::open(input, DEMUXERS).map_err(unreadable)?;
    file.find_tracks().map_err(unreadable)?;
    let whole = Span { start: file.start(), duration: file.seconds() };
    let span = |track: Track<'_>| (track.index(), Span { start: track.start(), duration: track.seconds() });
    let tracks: BTreeMap<u32, Span> = file.tracks().map(span).collect();
    let from = whole.duration.or(seconds).map(|seconds| whole.start.unwrap_or(0.0) + seconds - TAIL_SECONDS);
    let is_undecodable = |track: &Track<'_>| track.kind() == Kind::Audio && track.decoder().is_err();
    let undecodable = file.tracks().filter(is_undecodable).map(|track| track.index()).collect();
    Ok(Timings { whole, tracks, undecodable, ..ends(&mut file, from.filter(|from| *from > 0.0), true) })
}

/// Whether a frame of a track decodes, among the first packets of all tracks, or of this one alone.
fn decodes(file: &mut libav::Input, index: u32, packets: usize) -> libav::Result<bool> {
    // What nobody can decode does not decode.
    let decoder = file.track(index).and_then(|track| track.decoder().ok());
    let Some(mut decoder) = decoder else { return Ok(false) };
    decoder.only_try();
    let (mut packet, mut frame) = (Packet::new()?, Frame::new()?);
    for _ in 0..packets {
        // An error ends a file as its end does: what came before counts.
        if !file.read(&mut packet).unwrap_or(false) {
            break;
        }
        if packet.track() == index {
            let _ = decoder.send(Some(&packet));
            if decoder.receive(&mut frame).unwrap_or(false) {
                return Ok(true);
            }
        }
    }
    let _ = decoder.send(None);
    Ok(decoder.receive(&mut frame).unwrap_or(false))
}

/// When the last packets end, of those from a moment on or of all; perhaps also of those that do not say when they are
/// shown.
fn ends(file: &mut libav::Input, from: Option<f64>, untimed: bool) -> Timings {
    let mut timings = Timings::default();
    let Ok(mut packet) = Packet::new() else { return timings };
    if let Some(from) = from
        && file.seek(from, true).is_err()
    {
        return timings;
    }
    let mut last: BTreeMap<u32, VecDeque<f64>> = BTreeMap::new();
    let mut before: BTreeMap<u32, f64> = BTreeMap::new();
    let mut lone = None;
    while file.read(&mut packet).unwrap_or(false) {
        let Some(track) = file.track(packet.track()) else { continue };
        let (shown, decoded) = (packet.shown(&track), packet.decoded(&track));
        if shown.is_none() && decoded.is_some() {
            timings.untimed.insert(packet.track());
        }
        // A promise is held to what is shown, a measure takes what there is.
        if let Some(time) = shown.or(decoded.filter(|_| untimed)) {
            let lasts = packet.seconds(&track).filter(|seconds| *seconds != 0.0);
            // Some do not say how long they last, Monkey's Audio for seconds: as long as the one before, a promise believes.
            let before = before.insert(packet.track(), time);
            let since = before.map_or(0.0, |before| (time - before).max(0.0));
            let may_be_all = before.is_none() && lasts.is_none() && from.is_none() && !packet.is_damaged();
            lone = if may_be_all {
                Some((packet.track(), time))
            } else {
                lone.filter(|(track, _)| *track != packet.track())
            };
            let ends = last.entry(packet.track()).or_default();
            ends.push_back(time + lasts.unwrap_or(if untimed { 0.0 } else { since }));
            if ends.len() > TAIL_PACKETS {
                ends.pop_front();
            }
        }
    }
    // A whole packet that is all there is lasts as long as the file says.
    if let (Some((track, time)), Some(seconds), false) = (lone, file.seconds(), untimed) {
        last.entry(track).or_default().push_back(time + seconds);
    }
    let latest = |(track, ends): (u32, VecDeque<f64>)| Some((track, ends.into_iter().reduce(f64::max)?));
    timings.ends = last.into_iter().filter_map(latest).collect();
    timings
}

fn describe(track: &Track<'_>) -> ProbeTrack {
    let (codec_name, codec_long_name) = track.codec().unzip();
    let (width, height) = track.size();
    let rate = |ratio: Ratio| (ratio.num, ratio.den);
    let ratio = |ratio: Ratio| format!("{}:{}", ratio.num, ratio.den);
    let (is_video, is_audio) = (track.kind() == Kind::Video, track.kind() == Kind::Audio);
    let aspect = track.pixel_aspect().filter(|_| is_video);
    ProbeTrack {
        index: track.index(),
        kind: match track.kind() {
            Kind::Video => TrackKind::Video,
            Kind::Audio => TrackKind::Audio,
            Kind::Other => TrackKind::Other,
        },
        codec_name,
        codec_long_name: codec_long_name.flatten(),
        width,
        height,
        sample_aspect_ratio: aspect.map(ratio),
        display_aspect_ratio: aspect.map(|pixel| ratio(track.picture_aspect(pixel))),
        pix_fmt: track.pixel_format().filter(|_| is_video),
        field_order: is_video.then(|| track.field_order().to_owned()),
        color_range: track.color_range(),
        color_space: track.color_space(),
        color_transfer: track.color_transfer(),
        color_primaries: track.color_primaries(),
        r_frame_rate: rate(track.base_rate()),
        avg_frame_rate: rate(track.average_rate()),
        duration: track.seconds(),
        bit_rate: track.bit_rate(),
        nb_frames: track.frame_count(),
        bits_per_raw_sample: track.raw_bits(),
        bits_per_sample: if is_audio { track.bits_per_sample() } else { 0 },
        sample_rate: track.sample_rate(),
        channels: track.channels(),
        channel_layout: track.channel_layout().filter(|_| is_audio),
        is_default: track.is_default(),
        is_attached: track.is_attached(),
        rotation: track.rotation(),
        tags: tags(&TRACK_TAGS, |name| track.tag(name)),
    }
}

fn tags(names: &[&CStr], value: impl Fn(&CStr) -> Option<String>) -> BTreeMap<String, String> {
    let short = |text: String| text.chars().take(MAX_TEXT).collect();
    let found = names.iter().filter_map(|name| Some((name.to_str().ok()?.to_owned(), short(value(name)?))));
    found.collect()
}
