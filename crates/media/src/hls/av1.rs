//! AV1, copied as it is (the AV1 bitstream specification, and the AV1 codec ISO media file format binding).

use std::io::{self, Read, Seek, SeekFrom};

use super::{
    CopyCodec, Reason,
    codec::{BAD_VIDEO, Bits, Coding, Video, VideoRange, Visual},
    tables::Sample,
};

const SEQUENCE_HEADER: u8 = 1;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
/// Delimiters, headers and metadata before the first frame of a sample.
const MAX_UNITS: usize = 64;

/// What an `av01` holds.
pub(super) fn read(entry: &[u8]) -> Result<Video, Reason> {
    let visual = Visual::read(entry)?;
    let config = visual.config(b"av1C")?;
    let [0x81, profile, shape, _] = *config.first_chunk().ok_or(BAD_VIDEO)? else { return Err(BAD_VIDEO) };
    let (profile, level) = (profile >> 5, profile & 31);
    // Of the main profile, what is not monochrome. 12 bits are not in it.
    if profile != 0 || shape & 0x3C != 0x0C {
        return Err(Reason::NotCommonVideo(CopyCodec::Av1));
    }
    let tier = if shape & 0x80 == 0 { 'M' } else { 'H' };
    let depth = if shape & 0x40 == 0 { 8 } else { 10 };
    let codec = format!("av01.{profile}.{level:02}{tier}.{depth:02}");
    let transfer = visual.transfer().or_else(|| config.get(4..).and_then(transfer));
    let mut video = visual.video(b"av01", (b"av1C", config), None, codec, Coding::Av1);
    video.range = transfer.map(VideoRange::of_transfer).unwrap_or_default();
    Ok(video)
}

/// One open bitstream unit.
struct Unit {
    kind: u8,
    /// Where its payload begins.
    start: usize,
    /// To the end of what holds it, if it does not say.
    size: Option<u64>,
}

impl Unit {
    fn read(bytes: &[u8]) -> Option<Self> {
        let header = *bytes.first()?;
        let mut start = if header & 4 == 0 { 1 } else { 2 };
        let mut size = None;
        if header & 2 != 0 {
            let mut value = 0;
            for shift in (0..56).step_by(7) {
                let byte = *bytes.get(start)?;
                start += 1;
                value |= u64::from(byte & 0x7F) << shift;
                if byte < 0x80 {
                    size = Some(value);
                    break;
                }
            }
            size?;
        }
        Some(Self { kind: header >> 3 & 15, start, size })
    }
}

/// Whether a sample begins with a sequence header and a key frame that is shown: what is decoded from there on needs nothing
/// else.
pub(super) fn is_key(file: &mut (impl Read + Seek), sample: &Sample) -> io::Result<bool> {
    // A header, and the first byte behind it.
    let mut head = [0; 11];
    let end = sample.offset + u64::from(sample.size);
    let (mut at, mut has_sequence) = (sample.offset, false);
    for _ in 0..MAX_UNITS {
        let len = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(head.len());
        let Some(bytes) = head.get_mut(..len) else { break };
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(bytes)?;
        let Some(Unit { kind, start, size }) = Unit::read(bytes) else { break };
        let first = bytes.get(start).copied();
        match (kind, first) {
            // A reduced header is one of a still: its frames say nothing of themselves.
            (SEQUENCE_HEADER, Some(first)) if first & 8 == 0 => has_sequence = true,
            // Not one that was there before; of type 0; shown.
            (FRAME_HEADER | FRAME, Some(first)) => return Ok(has_sequence && first & 0xF0 == 0x10),
            (SEQUENCE_HEADER | FRAME_HEADER | FRAME, _) => break,
            _ => {}
        }
        let Some(next) = size.and_then(|size| at.checked_add(start as u64)?.checked_add(size)) else { break };
        at = next;
    }
    Ok(false)
}

/// The transfer characteristics in the sequence header of a configuration.
fn transfer(units: &[u8]) -> Option<u16> {
    let Unit { kind, start, size } = Unit::read(units)?;
    if kind != SEQUENCE_HEADER {
        return None;
    }
    let payload = units.get(start..)?;
    let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(payload.len());
    let mut bits = Bits::new(payload.get(..size)?);
    // Profile 0, no still.
    if bits.take(3)? != 0 {
        return None;
    }
    bits.skip(1);
    if bits.take(1)? == 1 {
        return None;
    }
    let mut delay_bits = None;
    if bits.take(1)? == 1 {
        bits.skip(64);
        if bits.take(1)? == 1 {
            bits.ue()?;
        }
        if bits.take(1)? == 1 {
            delay_bits = Some(bits.take(5)? as usize + 1);
            bits.skip(42);
        }
    }
    let has_display_delay = bits.take(1)? == 1;
    for _ in 0..=bits.take(5)? {
        bits.skip(12);
        if bits.take(5)? > 7 {
            bits.skip(1);
        }
        if let Some(delay_bits) = delay_bits
            && bits.take(1)? == 1
        {
            bits.skip(2 * delay_bits + 1);
        }
        if has_display_delay && bits.take(1)? == 1 {
            bits.skip(4);
        }
    }
    let (width_bits, height_bits) = (bits.take(4)? as usize + 1, bits.take(4)? as usize + 1);
    bits.skip(width_bits + height_bits);
    if bits.take(1)? == 1 {
        bits.skip(7);
    }
    // The size of superblocks, and six tools.
    bits.skip(7);
    let has_order = bits.take(1)? == 1;
    if has_order {
        bits.skip(2);
    }
    let has_screen_content = bits.take(1)? == 1 || bits.take(1)? == 1;
    if has_screen_content && bits.take(1)? == 0 {
        bits.skip(1);
    }
    if has_order {
        bits.skip(3);
    }
    // Three filters, the depth, and whether it has no colour.
    bits.skip(5);
    if bits.take(1)? == 0 {
        return None;
    }
    bits.skip(8);
    u16::try_from(bits.take(8)?).ok()
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

    /// Of SVT-AV1: 320x180, level 2.0; nothing of colour.
    const MAIN: &[u8] = &[0x81, 0, 0x0C, 0, 0x0A, 0x0B, 0, 0, 0, 4, 0x3C, 0xFE, 0xCC, 0x02, 0xF8, 0, 0x40];
    /// The same with 10 bits, in BT.2020 with HLG.
    const HLG: &[u8] = &[
        0x81, 0, 0x4C, 0, 0x0A, 0x0E, 0, 0, 0, 4, 0x3C, 0xFE, 0xCC, 0x02, 0xF8, 0x50, 0x91, 0x20, 0x90, 0x40,
    ];

    fn video_of(config: &[u8]) -> Result<Video, Reason> {
        let mut entry = vec![0; 78];
        entry[24..28].copy_from_slice(&[1, 64, 0, 180]);
        put(&mut entry, b"av1C", |out| out.extend_from_slice(config));
        codec::video(&stsd(b"av01", &entry), &[CopyCodec::Av1])
    }

    #[test]
    fn what_it_is_called_and_how_bright_it_is() {
        let main = video_of(MAIN).unwrap();
        assert_eq!((main.codec.as_str(), main.range), ("av01.0.00M.08", VideoRange::Sdr));
        let again = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &main.entry].concat();
        assert_eq!(codec::video(&again, &[CopyCodec::Av1]).unwrap(), main);
        let mut hlg = HLG.to_vec();
        hlg[1] = 4;
        let found = video_of(&hlg).unwrap();
        assert_eq!((found.codec.as_str(), found.range), ("av01.0.04M.10", VideoRange::Hlg));
        (hlg[1], hlg[2]) = (13, 0xCC);
        assert_eq!(video_of(&hlg).unwrap().codec, "av01.0.13H.10");
        // 4:4:4, 12 bits, monochrome.
        for (profile, shape) in [(0x20, 0x00), (0x40, 0x6C), (0, 0x1C)] {
            (hlg[1], hlg[2]) = (profile, shape);
            assert_eq!(video_of(&hlg), Err(Reason::NotCommonVideo(CopyCodec::Av1)));
        }
        for end in 4..HLG.len() {
            assert!(video_of(&HLG[..end]).is_ok());
        }
        assert_eq!(video_of(&HLG[..3]), Err(BAD_VIDEO));
    }

    #[test]
    fn only_key_frames_that_are_shown_begin() {
        let is_key = |bytes: &[u8]| {
            let size = bytes.len() as u32;
            let sample = Sample { offset: 0, dts: 0, size, duration: 1, cts: 0, sync: true };
            is_key(&mut Cursor::new(bytes), &sample).unwrap()
        };
        let sequence = [0x0A, 2, 0, 0];
        let with = |frame: &[u8]| is_key(&[&[0x12, 0], &sequence[..], frame].concat());
        assert!(with(&[0x32, 1, 0x10]));
        // With an extension; a header alone; to the sample's end.
        assert!(with(&[0x36, 0, 0x81, 0, 0x10]) && with(&[0x1A, 1, 0x10]) && with(&[0x30, 0x10]));
        // Shown again, not shown, of another type.
        assert!(!with(&[0x32, 1, 0x80]) && !with(&[0x32, 1, 0x00]) && !with(&[0x32, 1, 0x30]));
        assert!(!is_key(&[0x32, 1, 0x10]));
        assert!(!with(&[]) && !with(&[0x32]) && !with(&[0x32, 0x80, 0x80, 0x80, 0x80]));
        // Sizes that lead far away.
        assert!(!is_key(&[0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 1, 2, 3]));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            noise in prop::collection::vec(any::<u8>(), 1..80),
        ) {
            let mut config = HLG.to_vec();
            for (at, byte) in changes {
                let at = at.index(config.len());
                config[at] = byte;
            }
            let _ = video_of(&config);
            transfer(&noise);
            let size = noise.len() as u32;
            let sample = Sample { offset: 0, dts: 0, size, duration: 1, cts: 0, sync: true };
            // Nothing is read behind it: that would be an error here.
            is_key(&mut Cursor::new(&noise), &sample).unwrap();
        }
    }
}
