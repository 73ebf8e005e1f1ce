//! The samples of a segment in few bytes.
//!
//! Mostly sizes: two or three bytes a picture, one or two a frame of sound. Times are counts of what repeats; places are
//! implied by the sizes, and said only where a run does not begin at the end of the one before.

use super::{
    segment::{Content, Run, Sample, TrackContent},
    write::{Reader, put_signed, put_varint},
};

pub(super) fn pack(out: &mut Vec<u8>, content: &Content) {
    for track in &content.tracks {
        pack_track(out, track);
    }
    put_varint(out, content.runs.len() as u64);
    let (mut end, mut at) = (0, vec![0; content.tracks.len()]);
    for run in &content.runs {
        let gap = run.offset.wrapping_sub(end) as i64;
        put_varint(out, (run.samples as u64) << 2 | u64::from(gap != 0) << 1 | run.track as u64);
        if gap != 0 {
            put_signed(out, gap);
        }
        let samples = content.tracks.get(run.track).map(|track| track.samples.as_slice()).unwrap_or_default();
        let Some(at) = at.get_mut(run.track) else { continue };
        let size: u64 = samples.iter().skip(*at).take(run.samples).map(|sample| u64::from(sample.size)).sum();
        *at += run.samples;
        end = run.offset + size;
    }
}

fn pack_track(out: &mut Vec<u8>, track: &TrackContent) {
    let samples = &track.samples;
    put_varint(out, track.start);
    put_varint(out, samples.len() as u64);
    // Frames of sound differ little from one to the next; pictures do not.
    let size = |sample: &Sample| i64::from(sample.size);
    let mut steps = Vec::new();
    let mut before = 0;
    for sample in samples {
        put_signed(&mut steps, size(sample) - before);
        before = size(sample);
    }
    let mut plain = Vec::new();
    samples.iter().for_each(|sample| put_varint(&mut plain, sample.size.into()));
    let by_steps = steps.len() < plain.len();
    out.push(by_steps.into());
    out.extend_from_slice(if by_steps { &steps } else { &plain });

    for same in samples.chunk_by(|one, next| one.duration == next.duration) {
        put_varint(out, same.len() as u64);
        put_varint(out, same.first().map_or(0, |sample| sample.duration.into()));
    }
    for same in samples.chunk_by(|one, next| one.sync == next.sync) {
        put_varint(out, (same.len() as u64) << 1 | u64::from(same.first().is_some_and(|sample| sample.sync)));
    }
    // Composition offsets are multiples of a picture's duration, mostly.
    let unit = samples.iter().fold(0, |unit, sample| common_divisor(unit, sample.cts));
    put_varint(out, unit.into());
    if unit > 0 {
        samples.iter().for_each(|sample| put_varint(out, (sample.cts / unit).into()));
    }
}

fn common_divisor(mut one: u32, mut other: u32) -> u32 {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// What was packed; `None` when it makes no sense.
pub(super) fn unpack(bytes: &[u8], tracks: usize) -> Option<Content> {
    let mut reader = Reader(bytes);
    let mut content = Content::default();
    for _ in 0..tracks {
        content.tracks.push(unpack_track(&mut reader)?);
    }
    let count = reader.count()?;
    let (mut end, mut at) = (0u64, vec![0usize; tracks]);
    for _ in 0..count {
        let word = reader.varint()?;
        let (track, samples) = ((word & 1) as usize, usize::try_from(word >> 2).ok()?);
        let gap = if word & 2 == 0 { 0 } else { reader.signed()? };
        let offset = end.checked_add_signed(gap)?;
        let at = at.get_mut(track)?;
        let run = content.tracks.get(track)?.samples.get(*at..at.checked_add(samples)?)?;
        let size: u64 = run.iter().map(|sample| u64::from(sample.size)).sum();
        *at += samples;
        end = offset.checked_add(size)?;
        content.runs.push(Run { track, samples, offset });
    }
    reader.0.is_empty().then_some(content)
}

fn unpack_track(reader: &mut Reader<'_>) -> Option<TrackContent> {
    let start = reader.varint()?;
    // Every sample has a byte of size at least.
    let count = reader.count()?;
    let by_steps = reader.byte()? == 1;
    let mut samples = Vec::with_capacity(count);
    let mut before = 0;
    for _ in 0..count {
        let size =
            if by_steps { before + reader.signed()?.clamp(-1 << 40, 1 << 40) } else { reader.u32()?.into() };
        before = size;
        samples.push(Sample { duration: 0, size: u32::try_from(size).ok()?, cts: 0, sync: false });
    }
    let mut at = 0;
    while at < count {
        let same = samples.get_mut(at..at.checked_add(usize::try_from(reader.varint()?).ok()?)?)?;
        let duration = reader.u32()?;
        same.iter_mut().for_each(|sample| sample.duration = duration);
        at += same.len();
    }
    at = 0;
    while at < count {
        let word = reader.varint()?;
        let same = samples.get_mut(at..at.checked_add(usize::try_from(word >> 1).ok()?)?)?;
        same.iter_mut().for_each(|sample| sample.sync = word & 1 == 1);
        at += same.len();
    }
    let unit = reader.u32()?;
    if unit > 0 {
        for sample in &mut samples {
            sample.cts = reader.u32()?.checked_mul(unit)?;
        }
    }
    Some(TrackContent { start, samples })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples() -> impl Strategy<Value = Vec<Sample>> {
        let sample = (0..3u32, 1..100_000u32, 0..4u32, any::<bool>());
        let sample = sample.prop_map(|(duration, size, cts, sync)| Sample {
            duration: duration * 512,
            size,
            cts: cts * 512,
            sync,
        });
        prop::collection::vec(sample, 1..40)
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(video in samples(), audio in samples(), starts in any::<[u32; 2]>(),
                                     order in prop::collection::vec((1..9usize, any::<u32>()), 0..60)) {
            let [video_start, audio_start] = starts;
            let tracks = vec![
                TrackContent { start: video_start.into(), samples: video },
                TrackContent { start: audio_start.into(), samples: audio },
            ];
            let mut left: Vec<_> = tracks.iter().map(|track| track.samples.len()).collect();
            let mut runs = Vec::new();
            for (index, (samples, offset)) in order.into_iter().enumerate() {
                let samples = samples.min(left[index % 2]);
                left[index % 2] -= samples;
                runs.push(Run { track: index % 2, samples, offset: offset.into() });
            }
            let content = Content { tracks, runs };
            let mut bytes = Vec::new();
            pack(&mut bytes, &content);
            prop_assert_eq!(unpack(&bytes, 2), Some(content));
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let content = unpack(&bytes, 1);
            // Nothing is made that was not there.
            prop_assert!(content.is_none_or(|content| content.tracks[0].samples.len() <= bytes.len()));
        }
    }
}
