//! Fragments become samples (ISO/IEC 14496-12, 8.8).

use std::borrow::Cow;
use std::collections::HashMap;

use super::{
    Reason,
    tables::{Budget, Sample},
};
use crate::boxes::{be32, be64, child, children};

const BAD: Reason = Reason::BadTables(Cow::Borrowed("a fragment that makes no sense"));

/// What holds for a sample about which a fragment says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

impl Defaults {
    pub(super) fn of_trex(trex: &[u8]) -> Option<Self> {
        Some(Self { duration: be32(trex, 12)?, size: be32(trex, 16)?, flags: be32(trex, 20)? })
    }
}

/// A track as far as it was read.
#[derive(Debug)]
pub(super) struct Track {
    defaults: Defaults,
    pub(super) samples: Vec<Sample>,
    /// When the next sample is decoded, unless a fragment says otherwise.
    next: i64,
}

impl Track {
    pub(super) fn new(defaults: Defaults, samples: Vec<Sample>) -> Self {
        let next = samples.last().map_or(0, |last| last.dts + i64::from(last.duration));
        Self { defaults, samples, next }
    }

    /// The sample before lasts until then, whatever its own fragment said.
    fn start_at(&mut self, time: i64) -> Result<(), Reason> {
        if let Some(last) = self.samples.last_mut().filter(|_| time != self.next) {
            let duration = time.checked_sub(last.dts).and_then(|duration| u32::try_from(duration).ok());
            last.duration =
                duration.ok_or(Reason::BadTables(Cow::Borrowed("fragments that go back in time")))?;
        }
        self.next = time;
        Ok(())
    }
}

/// Adds the samples of a `moof` that begins at `start`.
pub(super) fn read(
    moof: &[u8],
    start: u64,
    tracks: &mut HashMap<u32, Track>,
    budget: &mut Budget,
) -> Result<(), Reason> {
    // Where the data of a track begin that does not say so: behind those of the track before.
    let mut behind = Some(start);
    for (_, traf) in children(moof).filter(|(name, _)| name == b"traf") {
        let tfhd = child(traf, b"tfhd").ok_or(BAD)?;
        let number = be32(tfhd, 4).ok_or(BAD)?;
        behind = match tracks.get_mut(&number) {
            Some(track) => Some(read_track(traf, tfhd, start, behind, track, budget)?),
            // Not served, so not read: where it ends is not known.
            None => None,
        };
    }
    Ok(())
}

/// Where its data end.
fn read_track(
    traf: &[u8],
    tfhd: &[u8],
    start: u64,
    behind: Option<u64>,
    track: &mut Track,
    budget: &mut Budget,
) -> Result<u64, Reason> {
    let flags = be32(tfhd, 0).ok_or(BAD)?;
    let mut fields = Fields { bytes: tfhd, at: 8 };
    let base = if flags & 1 != 0 {
        u64::from(fields.next()?) << 32 | u64::from(fields.next()?)
    } else if flags & 0x2_0000 != 0 {
        start
    } else {
        behind.ok_or(BAD)?
    };
    if flags & 2 != 0 && fields.next()? != 1 {
        return Err(Reason::SeveralSampleEntries);
    }
    let mut defaults = track.defaults;
    for (bit, field) in [(8, &mut defaults.duration), (16, &mut defaults.size), (32, &mut defaults.flags)] {
        if flags & bit != 0 {
            *field = fields.next()?;
        }
    }
    if let Some(tfdt) = child(traf, b"tfdt") {
        let time = match tfdt.first() {
            Some(1) => be64(tfdt, 4).and_then(|time| i64::try_from(time).ok()),
            _ => be32(tfdt, 4).map(i64::from),
        };
        track.start_at(time.ok_or(BAD)?)?;
    }
    let mut offset = base;
    for (_, trun) in children(traf).filter(|(name, _)| name == b"trun") {
        let (flags, count) = (be32(trun, 0).ok_or(BAD)?, be32(trun, 4).ok_or(BAD)?);
        let mut fields = Fields { bytes: trun, at: 8 };
        if flags & 1 != 0 {
            offset = base.checked_add_signed(i64::from(fields.next()? as i32)).ok_or(BAD)?;
        }
        let first_flags = if flags & 4 != 0 { Some(fields.next()?) } else { None };
        for sample in 0..count {
            let mut field = |bit, default| if flags & bit != 0 { fields.next() } else { Ok(default) };
            let duration = field(0x100, defaults.duration)?;
            let size = field(0x200, defaults.size)?;
            let sample_flags = field(0x400, defaults.flags)?;
            let cts = field(0x800, 0)? as i32;
            let sync = first_flags.filter(|_| sample == 0).unwrap_or(sample_flags) & 0x1_0000 == 0;
            let dts = track.next;
            budget.push(&mut track.samples, Sample { offset, dts, size, duration, cts, sync })?;
            track.next += i64::from(duration);
            offset += u64::from(size);
        }
    }
    Ok(offset)
}

/// The fields of a box, one after the other.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn next(&mut self) -> Result<u32, Reason> {
        let field = be32(self.bytes, self.at).ok_or(BAD)?;
        self.at += 4;
        Ok(field)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::write::{put, put_full, put32},
        *,
    };

    fn moof(tfhd_flags: u32, tfdt: Option<u32>, sizes: &[u32]) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, b"traf", |out| {
            put_full(out, b"tfhd", 0, tfhd_flags, |out| put32(out, 1));
            if let Some(time) = tfdt {
                put_full(out, b"tfdt", 0, 0, |out| put32(out, time));
            }
            put_full(out, b"trun", 0, 0x205, |out| {
                [sizes.len() as u32, 100, 0x0200_0000].iter().for_each(|field| put32(out, *field));
                sizes.iter().for_each(|size| put32(out, *size));
            });
        });
        out
    }

    #[test]
    fn fragments_follow_each_other() {
        let defaults = Defaults { duration: 10, size: 0, flags: 0x0101_0000 };
        let mut tracks = HashMap::from([(1, Track::new(defaults, Vec::new()))]);
        let mut budget = Budget::new(10_000);
        read(&moof(0x2_0000, None, &[5, 6]), 1000, &mut tracks, &mut budget).unwrap();
        // A gap: the sample before it lasts longer.
        read(&moof(0, Some(50), &[7]), 2000, &mut tracks, &mut budget).unwrap();
        let told: Vec<_> =
            tracks[&1].samples.iter().map(|it| (it.offset, it.size, it.dts, it.duration, it.sync)).collect();
        assert_eq!(told, [(1100, 5, 0, 10, true), (1105, 6, 10, 40, false), (2100, 7, 50, 10, true)]);
        let back = read(&moof(0, Some(40), &[7]), 2000, &mut tracks, &mut budget);
        assert_eq!(back, Err(Reason::BadTables(Cow::Borrowed("fragments that go back in time"))));
        // Of a track that is not served: skipped.
        read(&moof(0, None, &[7]), 2000, &mut HashMap::new(), &mut budget).unwrap();
    }
}
