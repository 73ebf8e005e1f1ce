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
