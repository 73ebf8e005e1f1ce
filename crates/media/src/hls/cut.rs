//! Where segments begin.

use std::{
    io::{Read, Seek, SeekFrom},
    ops::Range,
};

use super::{
    Reason, Stop, av1,
    codec::{self, Coding, Picture},
    hevc,
    source::Media,
    tables::Sample,
    timeline::Lane,
};

/// What a segment should last, in microseconds.
const TARGET: i64 = 6_000_000;
/// What it may: a player loads it whole before it shows the first picture after a seek.
const LONGEST: i64 = 20_000_000;
/// A shorter rest stays with the segment before it: hls.js takes a last segment of a frame or two for one that it has
/// already, and never comes to the end.
const SCRAP: i64 = 1_000_000;
/// NAL units of H.264 that hold the parameter sets of a sequence, and of its pictures.
const SPS: u8 = 7;
const PPS: u8 = 8;
/// Parameter sets, delimiters and messages before the first slice of a picture.
const MAX_UNITS: usize = 64;
/// Sync samples that are looked at besides those where segments begin: in an open stream, most are not what they say.
const MAX_LOOKS: usize = 1000;

/// What goes into one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    /// Of every lane, the samples.
    pub(super) samples: Vec<Range<usize>>,
    /// In microseconds.
    pub(super) duration: u64,
}

/// When segments begin in the video: cuts of other renditions fall there, too.
#[derive(Debug)]
pub(super) struct Video {
    /// The first sample of each.
    pub(super) firsts: Vec<usize>,
    pub(super) starts: Vec<i64>,
}

/// Cuts video at the sync samples that are nearest to every six seconds, and sees that they are what they say.
///
/// Open groups are refused even where whole segments would be closed: Chromium takes any picture that looks like a beginning
/// for one after a seek, and then fails at those that lead it.
pub(super) fn video(file: &mut (impl Read + Seek), lane: &Lane) -> Result<Video, Stop> {
    let Media::Video(video) = &lane.track.media else {
        return Err(Reason::NoMedia.into());
    };
    let samples = lane.samples();
    let syncs: Vec<usize> =
        samples.iter().enumerate().filter(|(_, sample)| sample.sync).map(|(index, _)| index).collect();
    if syncs.first() != Some(&0) || !is_closed(samples, &syncs) {
        return Err(Reason::OpenGop.into());
    }
    let start_of = |index: &usize| samples.get(*index).map_or(i64::MAX, |sample| lane.start(sample));
    let end = end_of(lane);
    let mut cuts = Video { firsts: vec![0], starts: vec![start_of(&0)] };
    let (mut start, mut rest) = (start_of(&0), syncs.get(1..).unwrap_or_default());
    loop {
        let target = start.saturating_add(TARGET);
        let (before, after) = rest.split_at(rest.partition_point(|sync| start_of(sync) < target));
        let nearest = [before.last(), after.first()].into_iter().flatten();
        let Some(sync) = nearest.min_by_key(|sync| start_of(sync).abs_diff(target)) else { break };
        let rest_is_scrap = end - start_of(sync) < SCRAP && end - start <= LONGEST;
        if rest_is_scrap || end.abs_diff(target) < start_of(sync).abs_diff(target) {
            break;
        }
        start = start_of(sync);
        cuts.firsts.push(*sync);
        cuts.starts.push(start);
        rest = rest.get(rest.partition_point(|other| other <= sync)..).unwrap_or_default();
    }
    let looked_at = syncs.get(..MAX_LOOKS).unwrap_or(&syncs);
    let further = cuts.firsts.iter().filter(|first| looked_at.last().is_none_or(|last| *first > last));
    for sync in looked_at.iter().chain(further) {
        if let Some(sample) = samples.get(*sync)
            && !is_start(file, sample, &video.coding)?
        {
            return Err(Reason::OpenGop.into());
        }
    }
    Ok(cuts)
}

/// Whether no picture is shown in the time of another group than its own.
fn is_closed(samples: &[Sample], syncs: &[usize]) -> bool {
    let ends = syncs.iter().skip(1).copied().chain([samples.len()]);
    let mut latest = i64::MIN;
    syncs.iter().zip(ends).all(|(first, end)| {
        let group = samples.get(*first..end).unwrap_or_default();
        let (before, start) = (latest, group.first().map_or(i64::MIN, Sample::pts));
        latest = group.iter().map(Sample::pts).max().unwrap_or(before);
        start > before && group.iter().all(|sample| sample.pts() >= start)
    })
}

/// Whether decoding can begin at a sample, and nothing shown later needs what lies before.
fn is_start(file: &mut (impl Read + Seek), sample: &Sample, coding: &Coding) -> Result<bool, Stop> {
    match coding {
        Coding::H264 { length_size, sets } => is_idr(file, sample, *length_size, |file, unit, lies| {
            if matches!(unit & 31, SPS | PPS) && !codec::is_one_of(file, lies, sets)? {
                return Err(Reason::ParametersChange.into());
            }
            Ok(Picture::of_h264(unit))
        }),
        Coding::Hevc { length_size, sets } => is_idr(file, sample, *length_size, |file, unit, lies| {
            hevc::check_set(file, unit, lies, sets)?;
            Ok(hevc::picture(unit))
        }),
        Coding::Av1 => Ok(av1::is_key(file, sample)?),
    }
}

/// Looks at the headers of a sample's NAL units, up to the first slice. `look` is told the first byte of each and where it
/// lies.
fn is_idr<F: Read + Seek>(
    file: &mut F,
    sample: &Sample,
    length_size: u8,
    mut look: impl FnMut(&mut F, u8, Range<u64>) -> Result<Option<Picture>, Stop>,
) -> Result<bool, Stop> {
    let width = usize::from(length_size);
    let end = sample.offset + u64::from(sample.size);
    let mut at = sample.offset;
    for _ in 0..MAX_UNITS {
        if at.saturating_add(length_size.into()) >= end {
            break;
        }
        let mut header = [0; 5];
        let Some(header) = header.get_mut(..=width) else { break };
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(header)?;
        let Some((unit, length)) = header.split_last() else { break };
        let unit = *unit;
        let length = length.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
        at += u64::from(length_size);
        // What does not fit ends with the sample: nothing of a neighbour is read.
        if let Some(picture) = look(file, unit, at..at.saturating_add(length).min(end))? {
            return Ok(picture == Picture::Idr);
        }
        at += length;
    }
    Ok(false)
}

/// The segments of a rendition: of video, of sound beside it, or of both in one. `begin` is when the first track of the
/// whole presentation begins, so that the playlists of all renditions have one clock.
pub(super) fn segments(lanes: &[&Lane], video: Option<&Video>, begin: i64) -> Result<Vec<Cut>, Reason> {
    let Some(first) = lanes.first() else { return Err(Reason::NoMedia) };
    let starts = match video {
        Some(video) if first.is_video() => video.starts.clone(),
        Some(video) => even(first, video.starts.clone()),
        None => even(first, Vec::new()),
    };
    let own_end = end_of(first);
    let ends = starts.iter().skip(1).copied().chain([own_end]);
    if starts.iter().zip(ends).any(|(start, end)| end - start > LONGEST) {
        return Err(Reason::SegmentTooLong);
    }
    // Of every lane, where segments begin: its own pictures, or the frame of sound that is nearest.
    let firsts: Vec<Vec<usize>> = lanes
        .iter()
        .map(|lane| match video.filter(|_| lane.is_video()) {
            Some(video) => video.firsts.clone(),
            None => frames_at(lane, &starts),
        })
        .collect();
    let mut cuts: Vec<Cut> = Vec::new();
    for index in 0..starts.len() {
        let range = |(lane, firsts): (&&Lane, &Vec<usize>)| {
            let end = firsts.get(index + 1).copied().unwrap_or(lane.samples().len());
            firsts.get(index).copied().unwrap_or(end)..end
        };
        let samples: Vec<_> = lanes.iter().zip(&firsts).map(range).collect();
        let is_whole = |cut: &Cut| cut.samples.iter().all(|range| !range.is_empty());
        // Never a segment that lacks a track which it declares: what is left of the longer one stays with its neighbour.
        match cuts.last_mut() {
            Some(last) if !is_whole(last) || samples.iter().any(Range::is_empty) => {
                last.samples.iter_mut().zip(samples).for_each(|(range, more)| range.end = more.end);
            }
            _ => cuts.push(Cut { samples, duration: 0 }),
        }
    }
    // Each lasts to the beginning of the next, so that the sum is right.
    let start_of = |cut: &Cut| {
        first
            .samples()
            .get(cut.samples.first()?.start)
            .map_or(Some(begin), |sample| Some(first.start(sample)))
    };
    let mut starts: Vec<_> = cuts.iter().filter_map(start_of).collect();
    if let Some(start) = starts.first_mut() {
        *start = begin;
    }
    starts.push(lanes.iter().map(|lane| end_of(lane)).max().unwrap_or(begin));
    for ((cut, start), next) in cuts.iter_mut().zip(&starts).zip(starts.iter().skip(1)) {
        if next - start > LONGEST || cut.samples.iter().any(Range::is_empty) {
            return Err(Reason::TracksEndApart);
        }
        cut.duration = u64::try_from(next - start).unwrap_or(0).max(1);
    }
    Ok(cuts)
}

/// When the last of it was shown. Reordering reaches over a few pictures only.
fn end_of(lane: &Lane) -> i64 {
    lane.samples().iter().rev().take(64).map(|sample| lane.end(sample)).max().unwrap_or(0)
}

/// Adds a beginning every six seconds, for a lane that can be cut anywhere.
fn even(lane: &Lane, mut starts: Vec<i64>) -> Vec<i64> {
    let samples = lane.samples();
    if starts.is_empty() {
        starts.extend(samples.first().map(|sample| lane.start(sample)));
    }
    // From there, not from the last one: errors do not add up.
    let Some(from) = starts.last().copied() else { return starts };
    let mut due = from.saturating_add(TARGET);
    let end = end_of(lane);
    for start in samples.iter().map(|sample| lane.start(sample)) {
        if start >= due && end - start >= SCRAP {
            starts.push(start);
            due = due.saturating_add(TARGET).max(start);
        }
    }
    starts
}

/// The frames nearest to these moments.
fn frames_at(lane: &Lane, starts: &[i64]) -> Vec<usize> {
    let samples = lane.samples();
    let mut at = 0;
    let nearest = |start: &i64| {
        let rest = samples.get(at..).unwrap_or_default();
        at += rest.partition_point(|sample| (lane.start(sample) + lane.end(sample)) / 2 < *start);
        at
    };
    // The first segment has whatever comes first.
    [0].into_iter().chain(starts.iter().skip(1).map(nearest)).collect()
}
