//! What is written: the init segment, and the head of each media segment.

use std::ops::Range;

use super::write::{put, put_full, put32, put64};

/// A segment to send: a head that was made, then ranges of the file as it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// `moof`, and the header of `mdat`.
    pub head: Vec<u8>,
    /// The payload: ranges of the file, in this order.
    pub ranges: Vec<Range<u64>>,
}

impl Segment {
    /// Bytes of the whole.
    #[expect(clippy::len_without_is_empty, reason = "a segment always has a head")]
    pub fn len(&self) -> u64 {
        let payload = self.ranges.iter().map(|range| range.end.saturating_sub(range.start));
        payload.fold(self.head.len() as u64, u64::saturating_add)
    }
}

/// What an init segment says of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) is_video: bool,
    pub(super) timescale: u32,
    /// What is taken off all times, for reordered video.
    pub(super) edit: u64,
    pub(super) matrix: [u32; 9],
    pub(super) width: u32,
    pub(super) height: u32,
    /// For the `stsd`.
    pub(super) entry: Vec<u8>,
}

/// The samples of a segment, and where they lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) tracks: Vec<TrackContent>,
    /// In the order of the payload.
    pub(super) runs: Vec<Run>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TrackContent {
    /// When the first is decoded.
    pub(super) start: u64,
    pub(super) samples: Vec<Sample>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) cts: u32,
    pub(super) sync: bool,
}

/// Samples of one track that lie one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) track: usize,
    pub(super) samples: usize,
    /// In the file.
    pub(super) offset: u64,
}

const SYNC: u32 = 0x0200_0000;
const NOT_SYNC: u32 = 0x0101_0000;

/// The init segment of a rendition.
pub(super) fn init(tracks: &[Track]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, b"ftyp", |out| {
        out.extend_from_slice(b"iso6\0\0\0\0iso6mp41");
    });
    put(&mut out, b"moov", |out| {
        put_full(out, b"mvhd", 0, 0, |out| {
            [0, 0, 1000, 0, 0x1_0000].iter().for_each(|field| put32(out, *field));
            put32(out, 0x0100_0000);
            put64(out, 0);
            UNTURNED.iter().for_each(|entry| put32(out, *entry));
            out.extend_from_slice(&[0; 24]);
            put32(out, number(tracks.len()));
        });
        for (index, track) in tracks.iter().enumerate() {
            put(out, b"trak", |out| put_track(out, track, number(index)));
        }
        put(out, b"mvex", |out| {
            for index in 0..tracks.len() {
                put_full(out, b"trex", 0, 0, |out| {
                    [number(index), 1, 0, 0, 0].iter().for_each(|field| put32(out, *field));
                });
            }
        });
    });
    out
}

const UNTURNED: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// Tracks count from 1.
fn number(index: usize) -> u32 {
    index as u32 + 1
}

fn put_track(out: &mut Vec<u8>, track: &Track, number: u32) {
    put_full(out, b"tkhd", 0, 3, |out| {
        [0, 0, number, 0, 0, 0, 0, 0].iter().for_each(|field| put32(out, *field));
        put32(out, if track.is_video { 0 } else { 0x0100_0000 });
        track.matrix.iter().for_each(|entry| put32(out, *entry));
        put32(out, track.width);
        put32(out, track.height);
    });
    if track.edit > 0 {
        put(out, b"edts", |out| {
            put_full(out, b"elst", 1, 0, |out| {
                put32(out, 1);
                // To the end, however long that is.
                put64(out, 0);
                put64(out, track.edit);
                put32(out, 0x1_0000);
            });
        });
    }
    put(out, b"mdia", |out| {
        put_full(out, b"mdhd", 0, 0, |out| {
            [0, 0, track.timescale, 0].iter().for_each(|field| put32(out, *field));
            // `und`: the playlist says it.
            put32(out, 0x55C4_0000);
        });
        put_full(out, b"hdlr", 0, 0, |out| {
            put32(out, 0);
            out.extend_from_slice(if track.is_video { b"vide" } else { b"soun" });
            out.extend_from_slice(&[0; 13]);
        });
        put(out, b"minf", |out| {
            if track.is_video {
                put_full(out, b"vmhd", 0, 1, |out| put64(out, 0));
            } else {
                put_full(out, b"smhd", 0, 0, |out| put32(out, 0));
            }
            put(out, b"dinf", |out| {
                put_full(out, b"dref", 0, 0, |out| {
                    put32(out, 1);
                    put_full(out, b"url ", 0, 1, |_| {});
                });
            });
            put(out, b"stbl", |out| {
                put_full(out, b"stsd", 0, 0, |out| {
                    put32(out, 1);
                    out.extend_from_slice(&track.entry);
                });
                put_full(out, b"stts", 0, 0, |out| put32(out, 0));
                put_full(out, b"stsc", 0, 0, |out| put32(out, 0));
                put_full(out, b"stsz", 0, 0, |out| put64(out, 0));
                put_full(out, b"stco", 0, 0, |out| put32(out, 0));
            });
        });
    });
}

/// How the samples of one track are written: what is the same for all is said once.
struct Form {
    is_video: bool,
    /// Of every sample, if they are alike.
    duration: Option<u32>,
    with_cts: bool,
}

impl Form {
    fn of(track: &Track, content: &TrackContent) -> Self {
        let first = content.samples.first().map(|sample| sample.duration);
        Self {
            is_video: track.is_video,
            duration: first.filter(|first| content.samples.iter().all(|sample| sample.duration == *first)),
            with_cts: content.samples.iter().any(|sample| sample.cts > 0),
        }
    }

    /// Data offset and size; what else each sample has.
    fn run_flags(&self) -> u32 {
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        0x201 | bit(self.duration.is_none(), 0x100) | bit(self.is_video, 0x400) | bit(self.with_cts, 0x800)
    }

    fn sample_len(&self) -> usize {
        4 * (self.run_flags() >> 8).count_ones() as usize
    }

    fn header_len(&self) -> usize {
        20 + if self.duration.is_some() { 4 } else { 0 }
    }
}

/// A segment of a rendition; `None` when content makes no sense.
pub(super) fn media(tracks: &[Track], content: &Content, number_of_segment: usize) -> Option<Segment> {
    if tracks.len() != content.tracks.len() {
        return None;
    }
    let forms: Vec<_> = tracks.iter().zip(&content.tracks).map(|(track, it)| Form::of(track, it)).collect();
    // The length of the head comes first: offsets count from its beginning.
    let mut moof_len = 8 + 16;
    for form in &forms {
        moof_len += 8 + form.header_len() + 20;
    }
    for run in &content.runs {
        moof_len += 20 + run.samples * forms.get(run.track)?.sample_len();
    }
    // Where each run begins behind the head, and the ranges.
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut payload = 0u64;
    let mut runs_of: Vec<Vec<(u64, &[Sample])>> = vec![Vec::new(); tracks.len()];
    let mut rest: Vec<&[Sample]> = content.tracks.iter().map(|track| track.samples.as_slice()).collect();
    for run in &content.runs {
        let left = rest.get_mut(run.track)?;
        let (samples, after) = left.split_at_checked(run.samples)?;
        *left = after;
        runs_of.get_mut(run.track)?.push((payload, samples));
        let size: u64 = samples.iter().map(|sample| u64::from(sample.size)).sum();
        let end = run.offset.checked_add(size)?;
        match ranges.last_mut().filter(|last| last.end == run.offset) {
            Some(last) => last.end = end,
            None => ranges.push(run.offset..end),
        }
        payload = payload.checked_add(size)?;
    }
    if rest.iter().any(|left| !left.is_empty()) {
        return None;
    }
    // Offsets have 31 bits.
    let mdat_len = u32::try_from(payload + 8).ok().filter(|len| *len < 1 << 30)?;
    let sequence = u32::try_from(number_of_segment).ok()?.checked_add(1)?;

    let mut head = Vec::with_capacity(moof_len + 8);
    put(&mut head, b"moof", |out| {
        put_full(out, b"mfhd", 0, 0, |out| put32(out, sequence));
        for (index, ((form, content), runs)) in forms.iter().zip(&content.tracks).zip(&runs_of).enumerate() {
            put(out, b"traf", |out| {
                // The base is the `moof`; flags of every sample, unless samples say their own.
                let flags = 0x2_0020 | if form.duration.is_some() { 8 } else { 0 };
                put_full(out, b"tfhd", 0, flags, |out| {
                    put32(out, number(index));
                    if let Some(duration) = form.duration {
                        put32(out, duration);
                    }
                    put32(out, SYNC);
                });
                put_full(out, b"tfdt", 1, 0, |out| put64(out, content.start));
                for (offset, samples) in runs {
                    put_full(out, b"trun", 0, form.run_flags(), |out| {
                        put32(out, samples.len() as u32);
                        put32(out, (moof_len as u64 + 8 + offset) as u32);
                        samples.iter().for_each(|sample| put_sample(out, form, sample));
                    });
                }
            });
        }
    });
    debug_assert_eq!(head.len(), moof_len, "offsets would be wrong");
    put32(&mut head, mdat_len);
    head.extend_from_slice(b"mdat");
    Some(Segment { head, ranges })
}

fn put_sample(out: &mut Vec<u8>, form: &Form, sample: &Sample) {
    if form.duration.is_none() {
        put32(out, sample.duration);
    }
    put32(out, sample.size);
    if form.is_video {
        put32(out, if sample.sync { SYNC } else { NOT_SYNC });
    }
    if form.with_cts {
        put32(out, sample.cts);
    }
}
