//! HEVC, copied as it is (ITU-T H.265, and ISO/IEC 14496-15 of how it lies in a file).

use std::{
    fmt::Write,
    io::{Read, Seek},
    ops::Range,
};

use super::{
    CopyCodec, Reason, Stop,
    codec::{BAD_VIDEO, Bits, Coding, Picture, Video, VideoRange, Visual, is_one_of, without_emulation},
};
use crate::boxes::be16;

const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;

/// What a `hvc1` or `hev1` holds, as a `hvc1`: Safari plays no other.
pub(super) fn read(entry: &[u8]) -> Result<Video, Reason> {
    let visual = Visual::read(entry)?;
    let config = visual.config(b"hvcC")?;
    let head: [u8; 23] = *config.first_chunk().ok_or(BAD_VIDEO)?;
    let [version, profile, .., chroma, luma_depth, chroma_depth, _, _, lengths, arrays] = head;
    if version != 1 || lengths & 3 == 2 {
        return Err(BAD_VIDEO);
    }
    let is_interlaced = constraints(&head).first().is_some_and(|first| first & 0xC0 == 0x40);
    let depths = (luma_depth & 7, chroma_depth & 7);
    // Without a base that others understand, Dolby Vision comes out green and purple.
    let is_dolby_alone = [b"dvcC", b"dvvC"]
        .into_iter()
        .filter_map(|name| visual.child(name)?.get(4))
        .any(|compatible| compatible >> 4 == 0);
    if !matches!(profile & 0xDF, 1 | 2)
        || chroma & 3 != 1
        || !matches!(depths, (0, 0) | (2, 2))
        || is_interlaced
        || is_dolby_alone
    {
        return Err(Reason::NotCommonVideo(CopyCodec::Hevc));
    }
    let Sets { config, sets } = Sets::read(config, arrays).ok_or(BAD_VIDEO)?;
    let of_kind = |kind| sets.iter().find(|set| set.first().is_some_and(|first| kind_of(*first) == kind));
    let (Some(_), Some(sps), Some(_)) = (of_kind(VPS), of_kind(SPS), of_kind(PPS)) else {
        return Err(Reason::InBandParameters);
    };
    let usability = Usability::read(sps).unwrap_or_default();
    let transfer = visual.transfer().or(usability.transfer);
    let coding = Coding::Hevc { length_size: (lengths & 3) + 1, sets };
    let codec = codec_string(&head);
    let mut video = visual.video(b"hvc1", (b"hvcC", &config), usability.pixel, codec, coding);
    video.range = transfer.map(VideoRange::of_transfer).unwrap_or_default();
    Ok(video)
}

/// Six bytes of an `hvcC`.
fn constraints(head: &[u8; 23]) -> &[u8] {
    head.get(6..12).unwrap_or_default()
}

/// ISO/IEC 14496-15, annex E.
fn codec_string(head: &[u8; 23]) -> String {
    let [_, profile, a, b, c, d, ..] = *head;
    let level = head.get(12).copied().unwrap_or_default();
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let compatible = u32::from_be_bytes([a, b, c, d]).reverse_bits();
    let mut codec = format!("hvc1.{}.{compatible:X}.{tier}{level}", profile & 31);
    let constraints = constraints(head);
    let said = constraints.iter().rposition(|byte| *byte > 0).map_or(0, |last| last + 1);
    for byte in constraints.iter().take(said) {
        // Writing to a String does not fail.
        let _ = write!(codec, ".{byte:X}");
    }
    codec
}

/// The type of a NAL unit, from its first byte.
fn kind_of(unit: u8) -> u8 {
    unit >> 1 & 0x3F
}

/// Of the first byte of a NAL unit: what its picture is, if it is a slice.
pub(super) fn picture(unit: u8) -> Option<Picture> {
    match kind_of(unit) {
        19 | 20 => Some(Picture::Idr),
        // A CRA among them: what leads it is shown, and cannot be decoded after a seek.
        0..=31 => Some(Picture::Other),
        _ => None,
    }
}

/// Parameter sets among the pictures must be those of the sample entry: decoders are given these alone, and those of one group
/// would be taken for those of the next.
pub(super) fn check_set(
    file: &mut (impl Read + Seek),
    unit: u8,
    lies: Range<u64>,
    sets: &[Vec<u8>],
) -> Result<(), Stop> {
    if !matches!(kind_of(unit), VPS | SPS | PPS) {
        return Ok(());
    }
    if is_one_of(file, lies, sets)? { Ok(()) } else { Err(Reason::InBandParameters.into()) }
}

/// The arrays of an `hvcC`.
struct Sets {
    /// The whole, as a `hvc1` has to have it: it says that there are no other sets.
    config: Vec<u8>,
    sets: Vec<Vec<u8>>,
}

impl Sets {
    fn read(config: &[u8], arrays: u8) -> Option<Self> {
        let mut found = Self { config: config.to_vec(), sets: Vec::new() };
        let mut at = 23;
        for _ in 0..arrays {
            let kind = found.config.get_mut(at)?;
            let is_set = matches!(*kind & 0x3F, VPS | SPS | PPS);
            if is_set {
                *kind |= 0x80;
            }
            let count = be16(config, at + 1)?;
            at += 3;
            for _ in 0..count {
                let len = usize::from(be16(config, at)?);
                let set = config.get(at + 2..at + 2 + len)?;
                if is_set {
                    found.sets.push(set.to_vec());
                }
                at += 2 + len;
            }
        }
        found.config.truncate(at);
        Some(found)
    }
}

/// What a sequence parameter set says at its end (7.3.2.2, E.2.1).
#[derive(Debug, Default, PartialEq)]
struct Usability {
    pixel: Option<(u32, u32)>,
    transfer: Option<u16>,
}

impl Usability {
    fn read(unit: &[u8]) -> Option<Self> {
        // More than any profile allows.
        const MAX_SETS: u32 = 64;
        let payload = without_emulation(unit.get(2..)?);
        let mut bits = Bits::new(&payload);
        bits.skip(4);
        let sub_layers = bits.take(3)?;
        bits.skip(1);
        skip_profiles(&mut bits, sub_layers)?;
        bits.ue()?;
        if bits.ue()? == 3 {
            bits.skip(1);
        }
        bits.ue()?;
        bits.ue()?;
        if bits.take(1)? == 1 {
            skip_numbers(&mut bits, 4)?;
        }
        skip_numbers(&mut bits, 2)?;
        let order_bits = bits.ue()?.checked_add(4).filter(|order| *order <= 16)?;
        let layers = if bits.take(1)? == 1 { sub_layers + 1 } else { 1 };
        skip_numbers(&mut bits, 3 * layers + 6)?;
        if bits.take(1)? == 1 && bits.take(1)? == 1 {
            skip_scaling(&mut bits)?;
        }
        bits.skip(2);
        if bits.take(1)? == 1 {
            bits.skip(8);
            skip_numbers(&mut bits, 2)?;
            bits.skip(1);
        }
        let count = bits.ue().filter(|count| *count <= MAX_SETS)?;
        let mut set = Vec::new();
        for index in 0..count {
            set = reference_set(&mut bits, index > 0, &set)?;
        }
        if bits.take(1)? == 1 {
            for _ in 0..bits.ue().filter(|count| *count <= MAX_SETS)? {
                bits.skip(order_bits as usize + 1);
            }
        }
        bits.skip(2);
        let mut found = Self::default();
        if bits.take(1)? == 0 {
            return Some(found);
        }
        if bits.take(1)? == 1 {
            found.pixel = bits.pixel();
        }
        if bits.take(1)? == 1 {
            bits.skip(1);
        }
        if bits.take(1)? == 1 {
            bits.skip(4);
            if bits.take(1)? == 1 {
                bits.skip(8);
                found.transfer = u16::try_from(bits.take(8)?).ok();
            }
        }
        Some(found)
    }
}

fn skip_numbers(bits: &mut Bits<'_>, count: u32) -> Option<()> {
    (0..count).try_for_each(|_| bits.ue().map(drop))
}

/// Profile, tier and level, also those of sub-layers (7.3.3).
fn skip_profiles(bits: &mut Bits<'_>, sub_layers: u32) -> Option<()> {
    bits.skip(96);
    let mut skipped = 0;
    for _ in 0..sub_layers {
        skipped += 88 * bits.take(1)? + 8 * bits.take(1)?;
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers as usize));
    }
    bits.skip(skipped as usize);
    Some(())
}

/// 7.3.4
fn skip_scaling(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if bits.take(1)? == 0 {
                bits.ue()?;
                continue;
            }
            let coefficients = (1 << (4 + (size << 1))).min(64) + u32::from(size > 1);
            for _ in 0..coefficients {
                bits.se()?;
            }
        }
    }
    Some(())
}

/// How far away the pictures of a set are (7.3.7, 7.4.8): the next set may be told by this one.
fn reference_set(bits: &mut Bits<'_>, has_before: bool, before: &[i64]) -> Option<Vec<i64>> {
    const MAX_PICTURES: u32 = 16;
    let mut set = Vec::new();
    if has_before && bits.take(1)? == 1 {
        let sign = if bits.take(1)? == 1 { -1 } else { 1 };
        let step = sign * (i64::from(bits.ue()?) + 1);
        for far in before.iter().copied().chain([0]) {
            let is_used = bits.take(1)? == 1 || bits.take(1)? == 1;
            if is_used && far + step != 0 {
                set.push(far + step);
            }
        }
        // Those before, the nearest first; then those after.
        set.sort_by_key(|far| (*far > 0, far.abs()));
        return Some(set).filter(|set| set.len() <= MAX_PICTURES as usize);
    }
    let (before, after) = (bits.ue()?, bits.ue()?);
    for (count, sign) in [(before, -1), (after, 1)] {
        let mut far = 0;
        for _ in 0..Some(count).filter(|count| *count <= MAX_PICTURES)? {
            far += sign * (i64::from(bits.ue()?) + 1);
            bits.skip(1);
            set.push(far);
        }
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::{
        super::{
            codec::{self, tests::stsd},
            write::put,
        },
        *,
    };

    /// Of x265: 320x180, Main, level 2; square pixels, nothing of colour.
    const MAIN: &[u8] = &[
        1, 0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 0x3C, 0xF0, 0, 0xFC, 0xFD, 0xF8, 0xF8, 0, 0, 0x0F, 3,
        0xA0, 0, 1, 0, 0x18, 0x40, 0x01, 0x0C, 0x01, 0xFF, 0xFF, 0x01, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0,
        3, 0, 0x3C, 0x95, 0x94, 0x09, 0xA1, 0, 1, 0, 0x2B, 0x42, 0x01, 0x01, 0x01, 0x60, 0, 0, 3, 0, 0x90, 0,
        0, 3, 0, 0, 3, 0, 0x3C, 0xA0, 0x0A, 0x08, 0x0C, 0x1F, 0x3E, 0x59, 0x59, 0x52, 0x93, 0x0B, 0xC0, 0x5A,
        0x02, 0, 0, 3, 0, 2, 0, 0, 3, 0, 0x3C, 0x10, 0xA2, 0, 1, 0, 6, 0x44, 0x01, 0xC0, 0x73, 0xC1, 0x89,
    ];

    /// Of x265: the same as Main 10, in BT.2020 with PQ.
    const HDR10: &[u8] = &[
        1, 0x02, 0x20, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 0x3C, 0xF0, 0, 0xFC, 0xFD, 0xFA, 0xFA, 0, 0, 0x0F, 3,
        0xA0, 0, 1, 0, 0x18, 0x40, 0x01, 0x0C, 0x01, 0xFF, 0xFF, 0x02, 0x20, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0,
        3, 0, 0x3C, 0x95, 0x94, 0x09, 0xA1, 0, 1, 0, 0x2E, 0x42, 0x01, 0x01, 0x02, 0x20, 0, 0, 3, 0, 0x90, 0,
        0, 3, 0, 0, 3, 0, 0x3C, 0xA0, 0x0A, 0x08, 0x0C, 0x1F, 0x3B, 0x65, 0x95, 0x95, 0x29, 0x30, 0xBC, 0x05,
        0xA8, 0x48, 0x80, 0x48, 0x20, 0, 0, 3, 0, 0x20, 0, 0, 3, 3, 0xC1, 0xA2, 0, 1, 0, 6, 0x44, 0x01, 0xC0,
        0x73, 0xC1, 0x89,
    ];

    fn video_of(name: &[u8; 4], config: &[u8], more: &[(&[u8; 4], &[u8])]) -> Result<Video, Reason> {
        let mut entry = vec![0; 78];
        entry[24..28].copy_from_slice(&[1, 64, 0, 180]);
        for (name, content) in [(b"hvcC", config)].iter().chain(more) {
            put(&mut entry, name, |out| out.extend_from_slice(content));
        }
        codec::video(&stsd(name, &entry), &[CopyCodec::Hevc])
    }

    #[test]
    fn what_it_is_called_and_how_bright_it_is() {
        let main = video_of(b"hvc1", MAIN, &[]).unwrap();
        assert_eq!(
            (main.codec.as_str(), main.range, main.pixel),
            ("hvc1.1.6.L60.90", VideoRange::Sdr, (1, 1))
        );
        let hdr = video_of(b"hvc1", HDR10, &[]).unwrap();
        assert_eq!((hdr.codec.as_str(), hdr.range), ("hvc1.2.4.L60.90", VideoRange::Pq));
        // What the container says comes first, unless it says nothing.
        let colour = |transfer| [b"nclx".as_slice(), &[0, 9, 0, transfer, 0, 9, 0]].concat();
        assert_eq!(video_of(b"hvc1", HDR10, &[(b"colr", &colour(18))]).unwrap().range, VideoRange::Hlg);
        assert_eq!(video_of(b"hvc1", HDR10, &[(b"colr", &colour(2))]).unwrap().range, VideoRange::Pq);
        // An entry of ours reads as it was.
        let graded = video_of(b"hvc1", HDR10, &[(b"mdcv", &[7; 24]), (b"clli", &[8; 4])]).unwrap();
        assert!(graded.entry.windows(4).any(|name| name == b"mdcv"));
        let again = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &graded.entry].concat();
        assert_eq!(codec::video(&again, &[CopyCodec::Hevc]).unwrap(), graded);

        let mut broadcast = *HDR10.first_chunk().unwrap();
        (broadcast[12], broadcast[6]) = (93, 0xB0);
        assert_eq!(codec_string(&broadcast), "hvc1.2.4.L93.B0");
        (broadcast[1], broadcast[6], broadcast[8]) = (0x22, 0, 0x0A);
        assert_eq!(codec_string(&broadcast), "hvc1.2.4.H93.0.0.A");
        broadcast[8] = 0;
        assert_eq!(codec_string(&broadcast), "hvc1.2.4.H93");
    }

    #[test]
    fn one_name_for_both_kinds() {
        let mut loose = MAIN.to_vec();
        for kind in [VPS, SPS, PPS] {
            let at = loose.windows(3).position(|bytes| bytes == [kind | 0x80, 0, 1]).unwrap();
            loose[at] = kind;
        }
        assert_ne!(loose, MAIN);
        assert_eq!(video_of(b"hev1", &loose, &[]), video_of(b"hvc1", MAIN, &[]));
        // Nothing there: they are among the pictures.
        let mut bare = MAIN[..23].to_vec();
        bare[22] = 0;
        assert_eq!(video_of(b"hev1", &bare, &[]), Err(Reason::InBandParameters));
    }

    #[test]
    fn what_players_do_not_have_is_refused() {
        let uncommon = Err(Reason::NotCommonVideo(CopyCodec::Hevc));
        for (at, byte) in [(1, 4), (16, 0xFE), (17, 0xFC), (18, 0xFA), (6, 0x40)] {
            let mut config = MAIN.to_vec();
            config[at] = byte;
            assert_eq!(video_of(b"hvc1", &config, &[]), uncommon, "{at}");
        }
        // Dolby Vision, alone and over HLG.
        assert_eq!(video_of(b"hvc1", HDR10, &[(b"dvcC", &[1, 0, 10, 45, 0])]), uncommon);
        assert!(video_of(b"hvc1", HDR10, &[(b"dvvC", &[1, 0, 16, 45, 0x40])]).is_ok());
        for end in 0..MAIN.len() {
            assert_eq!(video_of(b"hvc1", &MAIN[..end], &[]), Err(BAD_VIDEO));
        }
    }

    #[test]
    fn only_idr_begins() {
        let pictures = [0, 1, 9, 16, 18, 19, 20, 21, 32, 35, 39].map(|kind| picture(kind << 1));
        let (idr, other) = (Some(Picture::Idr), Some(Picture::Other));
        assert_eq!(pictures, [other, other, other, other, other, idr, idr, other, None, None, None]);
        let Coding::Hevc { sets, .. } = video_of(b"hvc1", MAIN, &[]).unwrap().coding else { panic!() };
        let check = |set: &[u8]| check_set(&mut Cursor::new(set), set[0], 0..set.len() as u64, &sets);
        assert!(sets.iter().all(|set| check(set).is_ok()));
        assert!(check(&[SPS << 1, 1]).is_err());
        assert!(check(&[39 << 1, 1]).is_ok());
    }

    #[test]
    fn reference_sets_may_be_told_by_others() {
        // 2 before at -1 and -3, 1 after at 2.
        let plain = [0b0110_1011, 0b0101_0101];
        let first = reference_set(&mut Bits::new(&plain), false, &[]).unwrap();
        assert_eq!(first, [-1, -3, 2]);
        // Told by it, one step earlier, all used: the one at 2 is at 1 now, and it is at -1 itself.
        let told = [0b1111_1111, 0];
        assert_eq!(reference_set(&mut Bits::new(&told), true, &first).unwrap(), [-1, -2, -4, 1]);
        // One step later, the nearest falls on the picture itself, and another is left out.
        let told = [0b1011_0011, 0];
        assert_eq!(reference_set(&mut Bits::new(&told), true, &first).unwrap(), [1, 3]);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            noise in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut config = HDR10.to_vec();
            for (at, byte) in changes {
                let at = at.index(config.len());
                config[at] = byte;
            }
            let _ = video_of(b"hvc1", &config, &[]);
            Usability::read(&noise);
            for (index, first) in [&[][..], &[-1, -3, 2]].into_iter().enumerate() {
                let set = reference_set(&mut Bits::new(&noise), index > 0, first);
                prop_assert!(set.is_none_or(|set| set.len() <= 32));
            }
        }
    }
}
