//! When samples are shown: edit lists become decode times that fragments can carry.
//!
//! Video keeps what its edit list says of reordering as an edit of its own. Sound has none: it is shifted, and its priming
//! frames are left out. Of four ways tried, only this one plays exactly in hls.js, Chromium and ffmpeg alike.

use super::{
    Reason,
    source::{Edit, Media, Track},
    tables::Sample,
};
use std::borrow::Cow;

/// A track on the way out: times count from the presentation's beginning.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) track: Track,
    /// What the edit of the init segment takes off again.
    pub(super) edit: i64,
}

impl Lane {
    pub(super) fn of(mut track: Track) -> Result<Self, Reason> {
        let edit = match track.media {
            Media::Video(_) => place_video(&mut track.samples, track.edit)?,
            Media::Audio(_) => {
                place_audio(&mut track.samples, track.edit)?;
                0
            }
        };
        if track.samples.is_empty() { Err(Reason::NoMedia) } else { Ok(Self { track, edit }) }
    }

    pub(super) fn samples(&self) -> &[Sample] {
        &self.track.samples
    }

    pub(super) fn is_video(&self) -> bool {
        matches!(self.track.media, Media::Video(_))
    }

    /// When a sample is shown, in microseconds.
    pub(super) fn start(&self, sample: &Sample) -> i64 {
        self.micros(sample.pts() - self.edit)
    }

    pub(super) fn end(&self, sample: &Sample) -> i64 {
        self.micros(sample.end() - self.edit)
    }

    fn micros(&self, ticks: i64) -> i64 {
        // Far beyond any real time, and its differences still fit.
        const FURTHEST: i128 = 1 << 61;
        let micros = i128::from(ticks) * 1_000_000 / i128::from(self.track.timescale.max(1));
        micros.clamp(-FURTHEST, FURTHEST) as i64
    }
}

/// Shifts decode times so that the first is zero or later; says what an edit must take off so that composition times are
/// right.
fn place_video(samples: &mut Vec<Sample>, edit: Edit) -> Result<i64, Reason> {
    let mut start = edit.start;
    let mut end = edit.end;
    // Negative offsets: all are raised, and the edit takes the same off.
    let lowest = samples.iter().map(|sample| sample.cts).min().unwrap_or(0).min(0);
    if lowest < 0 {
        for sample in samples.iter_mut() {
            sample.cts -= lowest;
        }
        start -= i64::from(lowest);
        end = end.map(|end| end - i64::from(lowest));
    }
    trim_start(samples, start)?;
    if let Some(end) = end {
        trim_end(samples, end)?;
    }
    let first = samples.first().map_or(0, |sample| sample.dts).min(start);
    for sample in samples {
        sample.dts += edit.delay - first;
    }
    Ok(start - first)
}

/// Whole groups of pictures can be left out; a part of one cannot: it would have to be decoded, and not shown.
fn trim_start(samples: &mut Vec<Sample>, start: i64) -> Result<(), Reason> {
    let Some(last_hidden) = samples.iter().rposition(|sample| sample.pts() < start) else { return Ok(()) };
    let first = last_hidden + 1;
    if samples.get(first).is_none_or(|sample| !sample.sync) {
        return Err(Reason::TrimInsideGop);
    }
    // Nothing that should be seen is before it.
    if samples.iter().take(first).any(|sample| sample.pts() >= start) {
        return Err(Reason::TrimInsideGop);
    }
    samples.drain(..first);
    Ok(())
}

fn trim_end(samples: &mut Vec<Sample>, end: i64) -> Result<(), Reason> {
    let shown = samples.iter().rposition(|sample| sample.pts() < end).map_or(0, |last| last + 1);
    samples.truncate(shown);
    // What is left is needed to decode what is shown, and would be seen.
    if samples.iter().any(|sample| sample.pts() >= end) { Err(Reason::TrimInsideGop) } else { Ok(()) }
}

fn place_audio(samples: &mut Vec<Sample>, edit: Edit) -> Result<(), Reason> {
    if samples.iter().any(|sample| sample.cts != 0) {
        return Err(Reason::BadTables(Cow::Borrowed("sound that is reordered")));
    }
    if let Some(end) = edit.end {
        samples.truncate(samples.partition_point(|sample| sample.dts < end));
    }
    let mut shift = edit.start - edit.delay;
    // A frame across the beginning stays if half of it is heard; the sound is then late by what is not, 12 ms at most at
    // 44100 Hz. Otherwise it goes, and the sound begins as late.
    let first = samples.partition_point(|sample| sample.dts + i64::from(sample.duration / 2) < edit.start);
    samples.drain(..first);
    if let Some(sample) = samples.first() {
        shift = shift.min(sample.dts);
    }
    for sample in samples {
        sample.dts -= shift;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of 10 ticks; `(cts, sync)`.
    fn pictures(of: &[(i32, bool)]) -> Vec<Sample> {
        let sample = |(index, (cts, sync)): (usize, &(i32, bool))| Sample {
            offset: 0,
            dts: index as i64 * 10,
            size: 1,
            duration: 10,
            cts: *cts,
            sync: *sync,
        };
        of.iter().enumerate().map(sample).collect()
    }

    const REORDERED: [(i32, bool); 8] = [
        (20, true),
        (40, false),
        (10, false),
        (10, false),
        (20, true),
        (40, false),
        (10, false),
        (10, false),
    ];

    fn shown(mut samples: Vec<Sample>, delay: i64, start: i64, end: Option<i64>) -> Result<Vec<i64>, Reason> {
        let edit = place_video(&mut samples, Edit { delay, start, end })?;
        assert!(edit >= 0 && samples.iter().all(|sample| sample.dts >= 0 && sample.cts >= 0));
        Ok(samples.iter().map(|sample| sample.pts() - edit).collect())
    }

    #[test]
    fn video_is_shown_when_the_edit_says() {
        let plain = [0, 30, 10, 20, 40, 70, 50, 60];
        let later = |by: i64| Ok(plain.iter().map(|time| time + by).collect::<Vec<_>>());
        assert_eq!(shown(pictures(&REORDERED), 0, 20, None), later(0));
        assert_eq!(shown(pictures(&REORDERED), 0, 0, None), later(20));
        assert_eq!(shown(pictures(&REORDERED), 300, 20, Some(100)), later(300));
        // The same with negative offsets.
        let negative: Vec<_> = REORDERED.iter().map(|(cts, sync)| (cts - 20, *sync)).collect();
        assert_eq!(shown(pictures(&negative), 0, 0, None), later(0));
        assert_eq!(shown(pictures(&negative), 0, 0, Some(80)), later(0));
    }

    #[test]
    fn whole_groups_can_be_left_out_and_nothing_else() {
        assert_eq!(shown(pictures(&REORDERED), 0, 60, None), Ok(vec![0, 30, 10, 20]));
        assert_eq!(shown(pictures(&REORDERED), 0, 51, None), Ok(vec![9, 39, 19, 29]));
        for start in [21, 50, 70, 1000] {
            assert_eq!(shown(pictures(&REORDERED), 0, start, None), Err(Reason::TrimInsideGop));
        }
        assert_eq!(shown(pictures(&REORDERED), 0, 20, Some(60)), Ok(vec![0, 30, 10, 20]));
        // The last picture shown needs one that is not.
        assert_eq!(shown(pictures(&REORDERED), 0, 20, Some(50)), Err(Reason::TrimInsideGop));
    }

    fn heard(delay: i64, start: i64, end: Option<i64>) -> Vec<i64> {
        let mut samples = pictures(&[(0, true); 6]);
        place_audio(&mut samples, Edit { delay, start, end }).unwrap();
        samples.iter().map(|sample| sample.dts).collect()
    }

    #[test]
    fn sound_loses_its_priming() {
        assert_eq!(heard(0, 0, None), [0, 10, 20, 30, 40, 50]);
        assert_eq!(heard(0, 10, None), [0, 10, 20, 30, 40]);
        assert_eq!(heard(500, 10, Some(41)), [500, 510, 520, 530]);
        // Mostly heard, and mostly not.
        assert_eq!(heard(0, 12, None), [0, 10, 20, 30, 40]);
        assert_eq!(heard(0, 18, None), [2, 12, 22, 32]);
        assert_eq!(heard(500, 18, None), [502, 512, 522, 532]);
        assert_eq!(heard(0, 1000, None), [0; 0]);
    }
}
