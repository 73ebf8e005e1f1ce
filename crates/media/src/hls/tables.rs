//! Sample tables become samples (ISO/IEC 14496-12, 8.6 and 8.7).

use super::Reason;
use crate::boxes::{be32, be64, child, children};
use std::borrow::Cow;

/// One coded picture, or one frame of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// Where it lies in the file.
    pub(super) offset: u64,
    /// When it is decoded, in the track's ticks.
    pub(super) dts: i64,
    pub(super) size: u32,
    pub(super) duration: u32,
    /// How much later it is shown.
    pub(super) cts: i32,
    /// Decoding can begin here.
    pub(super) sync: bool,
}

impl Sample {
    pub(super) fn pts(&self) -> i64 {
        self.dts + i64::from(self.cts)
    }

    pub(super) fn end(&self) -> i64 {
        self.pts() + i64::from(self.duration)
    }
}

/// What all tracks together may still hold.
#[derive(Debug)]
pub(super) struct Budget {
    samples: usize,
    /// Samples that lie on one another would let a small file say much.
    bytes: u64,
    /// Of the file.
    len: u64,
}

impl Budget {
    /// Half a day at 30 pictures a second with sound; longer ones are left to others. 32 bytes each while reading.
    const MAX_SAMPLES: usize = 4_000_000;
    /// Half a century in ticks of a nanosecond, and far from where sums overflow.
    const MAX_TIME: i64 = 1 << 60;
    const MAX_CTS: u32 = 1 << 30;

    pub(super) fn new(len: u64) -> Self {
        Self { samples: Self::MAX_SAMPLES, bytes: len, len }
    }

    /// Adds a sample that begins where the last one ends.
    pub(super) fn push(&mut self, samples: &mut Vec<Sample>, sample: Sample) -> Result<(), Reason> {
        self.samples = self
            .samples
            .checked_sub(1)
            .ok_or(Reason::BadTables(Cow::Borrowed("more samples than are allowed")))?;
        let size = u64::from(sample.size);
        if size == 0 {
            return Err(Reason::BadTables(Cow::Borrowed("an empty sample")));
        }
        self.bytes =
            self.bytes.checked_sub(size).ok_or(Reason::BadTables(Cow::Borrowed("samples that overlap")))?;
        if sample.offset.checked_add(size).is_none_or(|end| end > self.len) {
            return Err(Reason::BadTables(Cow::Borrowed("a sample behind the file's end")));
        }
        if !(0..Self::MAX_TIME).contains(&sample.dts) || sample.cts.unsigned_abs() > Self::MAX_CTS {
            return Err(Reason::BadTables(Cow::Borrowed("a time out of bounds")));
        }
        samples.push(sample);
        Ok(())
    }
}

/// All samples of an `stbl`.
pub(super) fn samples(stbl: &[u8], budget: &mut Budget) -> Result<Vec<Sample>, Reason> {
    let bad = |what: &'static str| Reason::BadTables(Cow::Borrowed(what));
    let mut samples = Vec::new();
    let sizes = Sizes::read(stbl).ok_or(bad("no sizes"))?;
    if sizes.count == 0 {
        return Ok(samples);
    }
    let chunks = Chunks::read(stbl).ok_or(bad("no places"))?;
    let mut durations = Runs::read(child(stbl, b"stts").ok_or(bad("no times"))?).ok_or(bad("no times"))?;
    let mut shifts = child(stbl, b"ctts").and_then(Runs::read).filter(|runs| !runs.is_empty());
    let mut syncs = child(stbl, b"stss").map(Syncs::new);
    let stsc = child(stbl, b"stsc").ok_or(bad("no chunks"))?;
    let stsc_entries = be32(stsc, 4).unwrap_or(0) as usize;
    let run_of = |run: usize| {
        (run < stsc_entries).then(|| Some((be32(stsc, 8 + run * 12)?, be32(stsc, 12 + run * 12)?))).flatten()
    };

    let (mut dts, mut number, mut run) = (0i64, 0usize, 0);
    for chunk in 0..chunks.count {
        // Runs name the first chunk they hold for, from 1.
        while run_of(run + 1).is_some_and(|(first, _)| first as usize <= chunk + 1) {
            run += 1;
        }
        let (_, in_chunk) = run_of(run).ok_or(bad("no chunks"))?;
        let mut offset = chunks.offset(chunk).ok_or(bad("no places"))?;
        for _ in 0..(in_chunk as usize).min(sizes.count - number) {
            let size = sizes.size(number).ok_or(bad("sizes that end early"))?;
            let duration = durations.next().ok_or(bad("times that end early"))?;
            let cts = match &mut shifts {
                // Signed in either version: QuickTime writes negative ones in version 0.
                Some(runs) => runs.next().ok_or(bad("composition times that end early"))? as i32,
                None => 0,
            };
            number += 1;
            let sync = syncs.as_mut().is_none_or(|syncs| syncs.has(number));
            budget.push(&mut samples, Sample { offset, dts, size, duration, cts, sync })?;
            dts += i64::from(duration);
            offset += u64::from(size);
        }
        if number == sizes.count {
            return Ok(samples);
        }
    }
    Err(bad("fewer places than samples"))
}

/// Whether a track says itself that some pictures only seem to be beginnings: partial sync samples of QuickTime, or random
/// access points of ISO that pictures lead.
pub(super) fn has_open_groups(stbl: &[u8]) -> bool {
    child(stbl, b"stps").and_then(|stps| be32(stps, 4)).is_some_and(|count| count > 0)
        || children(stbl).any(|(name, sbgp)| name == *b"sbgp" && sbgp.get(4..8) == Some(b"rap "))
}

/// Sample sizes, however they are written.
struct Sizes<'a> {
    count: usize,
    /// Of every sample.
    uniform: u32,
    table: &'a [u8],
    /// Bits of an entry.
    bits: u8,
}

impl<'a> Sizes<'a> {
    fn read(stbl: &'a [u8]) -> Option<Self> {
        let (content, uniform, bits) = match (child(stbl, b"stsz"), child(stbl, b"stz2")) {
            (Some(content), _) => (content, be32(content, 4)?, 32),
            (None, Some(content)) => (content, 0, *content.get(7)?),
            (None, None) => return None,
        };
        Some(Self { count: be32(content, 8)? as usize, uniform, table: content.get(12..)?, bits })
    }

    fn size(&self, sample: usize) -> Option<u32> {
        let byte = |at: usize| self.table.get(at).copied().map(u32::from);
        match self.bits {
            _ if self.uniform > 0 => Some(self.uniform),
            32 => be32(self.table, sample * 4),
            16 => self.table.get(sample * 2..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes).into()),
            8 => byte(sample),
            4 => Some(byte(sample / 2)? >> (if sample.is_multiple_of(2) { 4 } else { 0 }) & 15),
            _ => None,
        }
    }
}

/// Where chunks begin.
struct Chunks<'a> {
    count: usize,
    table: &'a [u8],
    is_wide: bool,
}

impl<'a> Chunks<'a> {
    fn read(stbl: &'a [u8]) -> Option<Self> {
        let (content, is_wide) = match (child(stbl, b"stco"), child(stbl, b"co64")) {
            (Some(content), _) => (content, false),
            (None, content) => (content?, true),
        };
        let table = content.get(8..)?;
        let count = (be32(content, 4)? as usize).min(table.len() / if is_wide { 8 } else { 4 });
        Some(Self { count, table, is_wide })
    }

    fn offset(&self, chunk: usize) -> Option<u64> {
        if self.is_wide { be64(self.table, chunk * 8) } else { be32(self.table, chunk * 4).map(u64::from) }
    }
}

/// A table of values with how often each holds.
struct Runs<'a> {
    table: &'a [u8],
    left: u32,
    value: u32,
}

impl<'a> Runs<'a> {
    fn read(content: &'a [u8]) -> Option<Self> {
        let entries = (be32(content, 4)? as usize).min(content.len().saturating_sub(8) / 8);
        Some(Self { table: content.get(8..8 + entries * 8)?, left: 0, value: 0 })
    }

    fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            (self.left, self.value) = (be32(self.table, 0)?, be32(self.table, 4)?);
            self.table = self.table.get(8..)?;
        }
        self.left -= 1;
        Some(self.value)
    }
}

/// The numbers of sync samples, from 1, ascending.
struct Syncs<'a> {
    table: &'a [u8],
}

impl<'a> Syncs<'a> {
    fn new(content: &'a [u8]) -> Self {
        Self { table: content.get(8..).unwrap_or_default() }
    }

    fn has(&mut self, sample: usize) -> bool {
        while let Some(number) = be32(self.table, 0) {
            if number as usize > sample {
                return false;
            }
            self.table = self.table.get(4..).unwrap_or_default();
            if number as usize == sample {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::write::{put, put32},
        *,
    };

    fn table(out: &mut Vec<u8>, name: &[u8; 4], numbers: &[u32]) {
        put(out, name, |out| {
            put32(out, 0);
            numbers.iter().for_each(|number| put32(out, *number));
        });
    }

    fn read(boxes: impl FnOnce(&mut Vec<u8>)) -> Result<Vec<Sample>, Reason> {
        let mut stbl = Vec::new();
        boxes(&mut stbl);
        samples(&stbl, &mut Budget::new(10_000))
    }

    #[test]
    fn tables_are_read_in_step() {
        let found = read(|out| {
            table(out, b"stsz", &[0, 5, 10, 20, 30, 40, 50]);
            table(out, b"stco", &[3, 1000, 2000, 3000]);
            table(out, b"stsc", &[3, 1, 2, 1, 2, 1, 1, 3, 2, 1]);
            table(out, b"stts", &[2, 3, 100, 2, 50]);
            table(out, b"ctts", &[2, 1, 7, 4, 3]);
            table(out, b"stss", &[2, 1, 4]);
        })
        .unwrap();
        let told: Vec<_> =
            found.iter().map(|it| (it.offset, it.size, it.dts, it.duration, it.cts, it.sync)).collect();
        let expected = [
            (1000, 10, 0, 100, 7, true),
            (1010, 20, 100, 100, 3, false),
            (2000, 30, 200, 100, 3, false),
            (3000, 40, 300, 50, 3, true),
            (3040, 50, 350, 50, 3, false),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn other_forms_of_the_same() {
        let found = read(|out| {
            table(out, b"stz2", &[4, 3, 0x1230_0000]);
            put(out, b"co64", |out| [0, 1, 0, 500].iter().for_each(|number| put32(out, *number)));
            table(out, b"stsc", &[1, 1, 9, 1]);
            table(out, b"stts", &[1, 9, 1]);
        })
        .unwrap();
        assert_eq!(
            found.iter().map(|it| (it.offset, it.size)).collect::<Vec<_>>(),
            [(500, 1), (501, 2), (503, 3)]
        );
        // No table of sync samples: every one is.
        assert!(found.iter().all(|it| it.sync));
    }

    #[test]
    fn open_groups_are_told() {
        let mut stbl = Vec::new();
        table(&mut stbl, b"stps", &[0]);
        put(&mut stbl, b"sbgp", |out| out.extend_from_slice(b"\0\0\0\0roll"));
        assert!(!has_open_groups(&stbl));
        put(&mut stbl, b"sbgp", |out| out.extend_from_slice(b"\0\0\0\0rap "));
        assert!(has_open_groups(&stbl));
        stbl.clear();
        table(&mut stbl, b"stps", &[1, 7]);
        assert!(has_open_groups(&stbl));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let uniform = |size, count, offset| {
            read(|out| {
                table(out, b"stsz", &[size, count]);
                table(out, b"stco", &[1, offset]);
                table(out, b"stsc", &[1, 1, u32::MAX, 1]);
                table(out, b"stts", &[1, u32::MAX, 1]);
            })
        };
        assert_eq!(uniform(5, 1000, 0).unwrap().len(), 1000);
        assert_eq!(uniform(0, 1, 0), bad("sizes that end early"));
        assert_eq!(uniform(5, u32::MAX, 0), bad("samples that overlap"));
        assert_eq!(uniform(5, 10, 9_951), bad("a sample behind the file's end"));
        assert_eq!(read(|_| {}), bad("no sizes"));
    }

    fn bad<T>(what: &'static str) -> Result<T, Reason> {
        Err(Reason::BadTables(Cow::Borrowed(what)))
    }

    #[test]
    fn a_bound_is_where_it_is_said() {
        let sample = Sample { offset: 0, dts: 0, size: 1, duration: 1, cts: 0, sync: true };
        let push = |sample| Budget::new(100).push(&mut Vec::new(), sample);
        let at = |offset, size| push(Sample { offset, size, ..sample });
        assert_eq!([at(0, 100), at(99, 1)], [Ok(()), Ok(())]);
        let behind = || bad("a sample behind the file's end");
        assert_eq!([at(100, 1), at(1, 100), at(u64::MAX, 1)], [behind(), behind(), behind()]);
        assert_eq!([at(0, 101), at(0, 0)], [bad("samples that overlap"), bad("an empty sample")]);

        let out = || bad("a time out of bounds");
        let decoded = |dts| push(Sample { dts, ..sample });
        assert_eq!([decoded(0), decoded((1 << 60) - 1)], [Ok(()), Ok(())]);
        assert_eq!([decoded(-1), decoded(1 << 60)], [out(), out()]);
        let shown = |cts| push(Sample { cts, ..sample });
        assert_eq!([shown(1 << 30), shown(-(1 << 30))], [Ok(()), Ok(())]);
        assert_eq!([shown((1 << 30) + 1), shown(-(1 << 30) - 1), shown(i32::MIN)], [out(), out(), out()]);
    }

    #[test]
    fn what_is_left_is_for_all() {
        let sample = Sample { offset: 0, dts: 0, size: 60, duration: 1, cts: 0, sync: true };
        let (mut budget, mut samples) = (Budget::new(100), Vec::new());
        budget.push(&mut samples, sample).unwrap();
        budget.push(&mut samples, Sample { size: 40, ..sample }).unwrap();
        assert_eq!(budget.push(&mut samples, Sample { size: 1, ..sample }), bad("samples that overlap"));
        assert_eq!(samples.len(), 2);
        let mut budget = Budget { samples: 1, ..Budget::new(100) };
        budget.push(&mut samples, Sample { size: 1, ..sample }).unwrap();
        assert_eq!(
            budget.push(&mut samples, Sample { size: 1, ..sample }),
            bad("more samples than are allowed")
        );
    }

    #[test]
    fn a_sample_is_shown_later_than_it_is_decoded() {
        let sample = Sample { offset: 0, dts: 100, size: 1, duration: 20, cts: -3, sync: true };
        assert_eq!((sample.pts(), sample.end()), (97, 117));
    }

    #[test]
    fn sizes_have_as_many_bits_as_they_say() {
        let sizes = |bits, packed: &[u32]| {
            let found = read(|out| {
                table(out, b"stz2", &[&[bits, 3], packed].concat());
                table(out, b"stco", &[1, 0]);
                table(out, b"stsc", &[1, 1, 9, 1]);
                table(out, b"stts", &[1, 9, 1]);
            });
            found.map(|samples| samples.iter().map(|sample| sample.size).collect::<Vec<_>>())
        };
        assert_eq!(sizes(4, &[0x1230_0000]), Ok(vec![1, 2, 3]));
        assert_eq!(sizes(8, &[0x1122_3300]), Ok(vec![0x11, 0x22, 0x33]));
        assert_eq!(sizes(16, &[0x0111_0222, 0x0333_0000]), Ok(vec![0x111, 0x222, 0x333]));
        assert_eq!(sizes(8, &[]), bad("sizes that end early"));
        assert_eq!(sizes(5, &[0x1122_3300]), bad("sizes that end early"));
    }

    #[test]
    fn tables_that_say_more_than_they_hold() {
        let of = |places: &[u32], chunks: &[u32], times: &[u32], shifts: &[u32]| {
            read(|out| {
                table(out, b"stsz", &[7, 3]);
                table(out, b"stco", places);
                table(out, b"stsc", chunks);
                table(out, b"stts", times);
                table(out, b"ctts", shifts);
            })
        };
        let found = of(&[1, 0], &[1, 1, 3, 1], &[1, 3, 5], &[0]).unwrap();
        assert_eq!(
            found.iter().map(|sample| (sample.offset, sample.cts)).collect::<Vec<_>>(),
            [(0, 0), (7, 0), (14, 0)]
        );
        assert_eq!(of(&[9, 0], &[1, 1, 2, 1], &[1, 3, 5], &[0]), bad("fewer places than samples"));
        assert_eq!(of(&[1, 0], &[9, 2, 3, 1], &[1, 3, 5], &[0]).map(|samples| samples.len()), Ok(3));
        assert_eq!(of(&[1, 0], &[9], &[1, 3, 5], &[0]), bad("no chunks"));
        // What lies behind what is said is not read.
        assert_eq!(of(&[1, 0], &[1, 1, 3, 1, 1, 1, 1], &[1, 3, 5], &[0]).map(|samples| samples.len()), Ok(3));
        assert_eq!(of(&[1, 0], &[1, 1, 3, 1], &[9, 2, 5], &[0]), bad("times that end early"));
        assert_eq!(
            of(&[1, 0], &[1, 1, 3, 1], &[1, 3, 5], &[9, 2, 5]),
            bad("composition times that end early")
        );
    }
}
