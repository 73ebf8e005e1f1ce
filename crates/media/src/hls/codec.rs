//! What a sample entry says of the codec: the string for players, whether browsers play it, and the entry as an ISO file
//! has it (QuickTime writes sound entries that browsers refuse).

use std::borrow::Cow;
use std::{
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
};

use super::{
    CopyCodec, Reason, av1, hevc,
    write::{put, put_full, put16, put32},
};
use crate::boxes::{be16, be32, child, children};

/// More than any decoder configuration of a real file.
const MAX_CONFIG: usize = 4096;

/// A video sample entry.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Video {
    /// For an `stsd` of ours.
    pub(super) entry: Vec<u8>,
    /// For CODECS.
    pub(super) codec: String,
    pub(super) width: u16,
    pub(super) height: u16,
    /// Width and height of one pixel.
    pub(super) pixel: (u32, u32),
    pub(super) range: VideoRange,
    pub(super) coding: Coding,
}

/// How bright it gets, for VIDEO-RANGE.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum VideoRange {
    #[default]
    Sdr,
    Pq,
    Hlg,
}

impl VideoRange {
    /// Of transfer characteristics (ITU-T H.273, table 3).
    pub(super) fn of_transfer(transfer: u16) -> Self {
        match transfer {
            16 => Self::Pq,
            18 => Self::Hlg,
            _ => Self::Sdr,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Sdr => "SDR",
            Self::Pq => "PQ",
            Self::Hlg => "HLG",
        }
    }
}

/// How samples are coded, as far as it takes to see where decoding can begin.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Coding {
    /// NAL units, each behind its length in so many bytes.
    H264 {
        length_size: u8,
        /// The parameter sets that decoders are given.
        sets: Vec<Vec<u8>>,
    },
    Hevc {
        length_size: u8,
        /// The parameter sets that decoders are given.
        sets: Vec<Vec<u8>>,
    },
    Av1,
}

/// A sound sample entry.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Audio {
    pub(super) entry: Vec<u8>,
    pub(super) codec: String,
    pub(super) channels: u16,
}

/// The one sample entry of an `stsd`: its name and content.
pub(super) fn only_entry(stsd: &[u8]) -> Result<([u8; 4], &[u8]), Reason> {
    let mut entries = children(stsd.get(8..).unwrap_or_default());
    let entry = entries.next().ok_or(Reason::BadTables(Cow::Borrowed("no sample entry")))?;
    if entries.next().is_some() { Err(Reason::SeveralSampleEntries) } else { Ok(entry) }
}

/// A four-character code, printable.
pub(super) fn name_of(code: [u8; 4]) -> String {
    code.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect()
}

/// `copy` names what is taken besides H.264.
pub(super) fn video(stsd: &[u8], copy: &[CopyCodec]) -> Result<Video, Reason> {
    let (name, entry) = only_entry(stsd)?;
    match &name {
        b"avc1" => avc1(entry),
        b"hvc1" | b"hev1" if copy.contains(&CopyCodec::Hevc) => hevc::read(entry),
        b"av01" if copy.contains(&CopyCodec::Av1) => av1::read(entry),
        b"encv" => Err(Reason::Encrypted),
        _ => Err(Reason::VideoCodec(name_of(name))),
    }
}

/// What every video sample entry has, whatever its codec.
pub(super) struct Visual<'a> {
    width: u16,
    height: u16,
    boxes: &'a [u8],
}

/// A video sample entry that makes no sense.
pub(super) const BAD_VIDEO: Reason =
    Reason::BadTables(Cow::Borrowed("a video sample entry that makes no sense"));

impl<'a> Visual<'a> {
    pub(super) fn read(entry: &'a [u8]) -> Result<Self, Reason> {
        let boxes = entry.get(78..).ok_or(BAD_VIDEO)?;
        if child(boxes, b"sinf").is_some() {
            return Err(Reason::Encrypted);
        }
        let (width, height) = (be16(entry, 24).ok_or(BAD_VIDEO)?, be16(entry, 26).ok_or(BAD_VIDEO)?);
        if width == 0 || height == 0 { Err(BAD_VIDEO) } else { Ok(Self { width, height, boxes }) }
    }

    pub(super) fn child(&self, name: &[u8; 4]) -> Option<&'a [u8]> {
        child(self.boxes, name)
    }

    /// The decoder's configuration.
    pub(super) fn config(&self, name: &[u8; 4]) -> Result<&'a [u8], Reason> {
        self.child(name).filter(|config| config.len() <= MAX_CONFIG).ok_or(BAD_VIDEO)
    }

    /// The transfer characteristics that the container names.
    pub(super) fn transfer(&self) -> Option<u16> {
        const UNSPECIFIED: u16 = 2;
        let colour = self.child(b"colr").filter(|colour| colour.starts_with(b"ncl"))?;
        be16(colour, 6).filter(|transfer| *transfer != UNSPECIFIED)
    }

    /// What a sample entry of a kind, with this configuration, makes of it. `pixel` is what the codec says.
    pub(super) fn video(
        &self,
        name: &[u8; 4],
        (config_name, config): (&[u8; 4], &[u8]),
        pixel: Option<(u32, u32)>,
        codec: String,
        coding: Coding,
    ) -> Video {
        // What the container says comes before what the codec says, as players have it.
        let pixel = match self.child(b"pasp") {
            Some(pasp) => be32(pasp, 0).zip(be32(pasp, 4)),
            None => pixel,
        };
        let mut entry = Vec::new();
        put(&mut entry, name, |out| {
            out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
            out.extend_from_slice(&[0; 16]);
            put16(out, self.width);
            put16(out, self.height);
            put32(out, 72 << 16);
            put32(out, 72 << 16);
            put32(out, 0);
            put16(out, 1);
            out.extend_from_slice(&[0; 32]);
            put16(out, 24);
            put16(out, u16::MAX);
            put(out, config_name, |out| out.extend_from_slice(config));
            self.put_colour(out);
            if let Some((across, down)) = pixel {
                put(out, b"pasp", |out| {
                    put32(out, across);
                    put32(out, down);
                });
            }
        });
        let pixel = pixel.filter(|(across, down)| *across > 0 && *down > 0).unwrap_or((1, 1));
        let (width, height) = (self.width, self.height);
        Video { entry, codec, width, height, pixel, range: VideoRange::Sdr, coding }
    }

    fn put_colour(&self, out: &mut Vec<u8>) {
        match self.child(b"colr") {
            Some(colour) if colour.starts_with(b"nclx") => put(out, b"colr", |out| {
                out.extend_from_slice(colour.get(..11).unwrap_or(colour));
            }),
            // QuickTime's form knows no full range.
            Some(colour) if colour.starts_with(b"nclc") && colour.len() >= 10 => put(out, b"colr", |out| {
                out.extend_from_slice(b"nclx");
                out.extend_from_slice(colour.get(4..10).unwrap_or_default());
                out.push(0);
            }),
            _ => {}
        }
        // The display it was graded on, and the brightest it has.
        for (name, len) in [(b"mdcv", 24), (b"clli", 4)] {
            if let Some(content) = self.child(name).filter(|content| content.len() == len) {
                put(out, name, |out| out.extend_from_slice(content));
            }
        }
    }
}

fn avc1(entry: &[u8]) -> Result<Video, Reason> {
    let bad = || BAD_VIDEO;
    let visual = Visual::read(entry)?;
    let config = visual.config(b"avcC")?;
    let [1, profile, compatible, level, length_size, sets] = *config.first_chunk().ok_or_else(bad)? else {
        return Err(bad());
    };
    let length_size = (length_size & 3) + 1;
    if length_size == 3 {
        return Err(bad());
    }
    let (mut at, mut pixel, mut found) = (6, None, Vec::new());
    for _ in 0..sets & 31 {
        let set = length_prefixed(config, &mut at).ok_or_else(bad)?;
        let sps = Sps::read(set).ok_or_else(bad)?;
        if !sps.is_common {
            return Err(Reason::NotCommonH264);
        }
        pixel = pixel.or(sps.pixel);
        found.push(set.to_vec());
    }
    if found.is_empty() {
        return Err(bad());
    }
    let pictures = config.get(at).copied().unwrap_or(0);
    at += 1;
    for _ in 0..pictures {
        found.push(length_prefixed(config, &mut at).ok_or_else(bad)?.to_vec());
    }
    let codec = format!("avc1.{profile:02X}{compatible:02X}{level:02X}");
    let coding = Coding::H264 { length_size, sets: found };
    Ok(visual.video(b"avc1", (b"avcC", config), pixel, codec, coding))
}

/// What stands behind its length in two bytes.
fn length_prefixed<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let start = *at + 2;
    let content = bytes.get(start..start + usize::from(be16(bytes, *at)?))?;
    *at = start + content.len();
    Some(content)
}

/// Whether a NAL unit of a file, which lies there, is one of these sets; zeros behind it do not count.
pub(super) fn is_one_of(
    file: &mut (impl Read + Seek),
    lies: Range<u64>,
    sets: &[Vec<u8>],
) -> io::Result<bool> {
    const MAX_PADDING: usize = 16;
    let longest = sets.iter().map(Vec::len).max().unwrap_or(0);
    let len = usize::try_from(lies.end.saturating_sub(lies.start)).unwrap_or(usize::MAX);
    if len > longest + MAX_PADDING {
        return Ok(false);
    }
    let mut found = vec![0; len];
    file.seek(SeekFrom::Start(lies.start))?;
    file.read_exact(&mut found)?;
    let padded = |set: &Vec<u8>| {
        found.strip_prefix(set.as_slice()).is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
    };
    Ok(sets.iter().any(padded))
}

/// What a sequence parameter set says (ITU-T H.264, 7.3.2.1.1).
struct Sps {
    /// 8 bits, 4:2:0, progressive, and a profile that every browser decodes.
    is_common: bool,
    pixel: Option<(u32, u32)>,
}

impl Sps {
    fn read(unit: &[u8]) -> Option<Self> {
        let [header, profile, _, _] = *unit.first_chunk()?;
        if header & 31 != 7 {
            return None;
        }
        let strange = Some(Self { is_common: false, pixel: None });
        if !matches!(profile, 66 | 77 | 100) {
            return strange;
        }
        let payload = without_emulation(unit.get(4..)?);
        let mut bits = Bits::new(&payload);
        bits.ue()?;
        if profile == 100 {
            let (chroma, luma_depth, chroma_depth) = (bits.ue()?, bits.ue()?, bits.ue()?);
            if (chroma, luma_depth, chroma_depth) != (1, 0, 0) {
                return strange;
            }
            bits.take(1)?;
            if bits.take(1)? == 1 {
                for list in 0..8 {
                    if bits.take(1)? == 1 {
                        bits.skip_scaling_list(if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        bits.ue()?;
        match bits.ue()? {
            0 => drop(bits.ue()?),
            1 => {
                bits.take(1)?;
                bits.ue()?;
                bits.ue()?;
                for _ in 0..bits.ue()?.min(255) {
                    bits.ue()?;
                }
            }
            _ => {}
        }
        bits.ue()?;
        bits.take(1)?;
        bits.ue()?;
        bits.ue()?;
        if bits.take(1)? == 0 {
            return strange;
        }
        bits.take(1)?;
        if bits.take(1)? == 1 {
            for _ in 0..4 {
                bits.ue()?;
            }
        }
        let has_pixel = bits.take(1) == Some(1) && bits.take(1) == Some(1);
        let pixel = if has_pixel { bits.pixel() } else { None };
        Some(Self { is_common: true, pixel })
    }
}

/// The payload of a NAL unit without the bytes that keep start codes out.
pub(super) fn without_emulation(unit: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for byte in unit {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        payload.push(*byte);
    }
    payload
}

/// Bits, the highest first.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    pub(super) fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// An Exp-Golomb number.
    pub(super) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }

    pub(super) fn se(&mut self) -> Option<i64> {
        let code = i64::from(self.ue()?);
        Some(if code % 2 == 1 { code / 2 + 1 } else { -(code / 2) })
    }

    fn skip_scaling_list(&mut self, size: usize) -> Option<()> {
        let (mut last, mut next) = (8, 8);
        for _ in 0..size {
            if next != 0 {
                next = (last + self.se()? + 256) % 256;
            }
            if next != 0 {
                last = next;
            }
        }
        Some(())
    }

    /// The shape of a pixel, as usability information has it.
    pub(super) fn pixel(&mut self) -> Option<(u32, u32)> {
        const KNOWN: [(u32, u32); 16] = [
            (1, 1),
            (12, 11),
            (10, 11),
            (16, 11),
            (40, 33),
            (24, 11),
            (20, 11),
            (32, 11),
            (80, 33),
            (18, 11),
            (15, 11),
            (64, 33),
            (160, 99),
            (4, 3),
            (3, 2),
            (2, 1),
        ];
        match self.take(8)? {
            0 => None,
            255 => Some((self.take(16)?, self.take(16)?)).filter(|(across, down)| *across > 0 && *down > 0),
            known => KNOWN.get(known as usize - 1).copied(),
        }
    }
}

pub(super) fn audio(stsd: &[u8]) -> Result<Audio, Reason> {
    let (name, entry) = only_entry(stsd)?;
    match &name {
        b"mp4a" => mp4a(entry),
        b"enca" => Err(Reason::Encrypted),
        _ => Err(Reason::AudioCodec(name_of(name))),
    }
}

fn mp4a(entry: &[u8]) -> Result<Audio, Reason> {
    let bad = || Reason::BadTables(Cow::Borrowed("a sound sample entry that makes no sense"));
    // QuickTime's versions 1 and 2 are longer before the boxes; ISO's version 1 is not.
    let found = [28, 44, 64].into_iter().find_map(|start| {
        let boxes = entry.get(start..)?;
        child(boxes, b"esds").or_else(|| child(child(boxes, b"wave")?, b"esds"))
    });
    let Descriptor { object, config } = Descriptor::read(found.ok_or_else(bad)?).ok_or_else(bad)?;
    match object {
        0x40 => {}
        0x69 | 0x6B => return Err(Reason::AudioCodec("mp3".to_owned())),
        object => return Err(Reason::AudioCodec(format!("mp4a.{object:02x}"))),
    }
    let mut bits = Bits::new(config);
    let kind = aac_kind(&mut bits).ok_or_else(bad)?;
    let codec = format!("mp4a.40.{kind}");
    if !matches!(kind, 2 | 5 | 29) {
        return Err(Reason::AudioCodec(codec));
    }
    let rate = aac_rate(&mut bits).ok_or_else(bad)?;
    let channels = match bits.take(4).ok_or_else(bad)? {
        0 => be16(entry, 16).unwrap_or(2),
        7 => 8,
        channels => channels as u16,
    };
    let mut iso = Vec::new();
    put(&mut iso, b"mp4a", |out| {
        out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        out.extend_from_slice(&[0; 8]);
        put16(out, channels);
        put16(out, 16);
        put32(out, 0);
        // 16.16: higher rates do not fit, and nobody reads them here.
        put32(out, u16::try_from(rate).map_or(0, |rate| u32::from(rate) << 16));
        put_full(out, b"esds", 0, 0, |out| {
            put_descriptor(out, 3, |out| {
                out.extend_from_slice(&[0, 0, 0]);
                put_descriptor(out, 4, |out| {
                    out.extend_from_slice(&[0x40, 0x15, 0, 0, 0]);
                    put32(out, 0);
                    put32(out, 0);
                    put_descriptor(out, 5, |out| out.extend_from_slice(config));
                });
                put_descriptor(out, 6, |out| out.push(2));
            });
        });
    });
    Ok(Audio { entry: iso, codec, channels })
}

fn aac_kind(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.take(5)? {
        31 => Some(32 + bits.take(6)?),
        kind => Some(kind),
    }
}

fn aac_rate(bits: &mut Bits<'_>) -> Option<u32> {
    const RATES: [u32; 13] =
        [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
    match bits.take(4)? {
        15 => bits.take(24),
        known => RATES.get(known as usize).copied(),
    }
}

/// Appends a descriptor of ISO/IEC 14496-1, its length in four bytes as most writers have it.
fn put_descriptor(out: &mut Vec<u8>, tag: u8, content: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    content(&mut inner);
    let len = inner.len();
    out.push(tag);
    out.extend([21, 14, 7, 0].map(|shift| (len >> shift) as u8 & 0x7F | if shift > 0 { 0x80 } else { 0 }));
    out.extend_from_slice(&inner);
}

/// What an `esds` holds.
struct Descriptor<'a> {
    /// Object type indication: 0x40 is MPEG-4 audio.
    object: u8,
    /// The decoder's own configuration.
    config: &'a [u8],
}

impl<'a> Descriptor<'a> {
    fn read(esds: &'a [u8]) -> Option<Self> {
        let stream = descriptor(esds.get(4..)?, 3)?;
        let flags = *stream.get(2)?;
        let mut at = 3;
        at += if flags & 0x80 != 0 { 2 } else { 0 };
        at += if flags & 0x40 != 0 { 1 + usize::from(*stream.get(at)?) } else { 0 };
        at += if flags & 0x20 != 0 { 2 } else { 0 };
        let decoder = descriptor(stream.get(at..)?, 4)?;
        let object = *decoder.first()?;
        let config = match decoder.get(13..).and_then(|specific| descriptor(specific, 5)) {
            Some(config) => config,
            // Only MPEG-4 audio needs one.
            None if object != 0x40 => &[],
            None => return None,
        };
        Some(Self { object, config }).filter(|found| found.config.len() <= MAX_CONFIG)
    }
}

/// The content of the first descriptor of this tag.
fn descriptor(mut bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        let (tag, mut rest) = bytes.split_first()?;
        let mut len = 0;
        for _ in 0..4 {
            let (byte, after) = rest.split_first()?;
            rest = after;
            len = len << 7 | usize::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                break;
            }
        }
        if *tag == wanted {
            return rest.get(..len);
        }
        bytes = rest.get(len..)?;
    }
}

/// What kind of picture a slice belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Picture {
    /// Decoding can begin here, and nothing shown later needs what lies before.
    Idr,
    Other,
}

impl Picture {
    /// Of the first byte of a NAL unit; `None` when it is no slice.
    pub(super) fn of_h264(unit: u8) -> Option<Self> {
        match unit & 31 {
            5 => Some(Self::Idr),
            1..=4 => Some(Self::Other),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn stsd(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 0, 0, 0, 0, 1];
        put(&mut out, name, |out| out.extend_from_slice(content));
        out
    }

    /// What x264 writes: 640x360, High, level 3, square pixels.
    const HIGH: &[u8] = &[
        0x67, 0x64, 0x00, 0x1E, 0xAC, 0xD9, 0x40, 0xA0, 0x2F, 0xF9, 0x70, 0x16, 0xA0, 0x20, 0x20, 0x28, 0, 0,
        3, 0, 8, 0, 0, 3, 1, 0x78, 0xB1, 0x6C, 0xB0,
    ];

    fn avc1_of(sps: &[u8], boxes: &[u8]) -> Vec<u8> {
        let mut entry = vec![0; 78];
        entry[24..28].copy_from_slice(&[2, 128, 1, 104]);
        put(&mut entry, b"avcC", |out| {
            out.extend_from_slice(&[1, sps[1], sps[2], sps[3], 0xFF, 0xE1, 0, sps.len() as u8]);
            out.extend_from_slice(sps);
            out.extend_from_slice(&[1, 0, 2, 0x68, 0]);
        });
        entry.extend_from_slice(boxes);
        stsd(b"avc1", &entry)
    }

    #[test]
    fn common_video_is_known() {
        let found = video(&avc1_of(HIGH, &[]), &[]).unwrap();
        assert_eq!((found.codec.as_str(), found.width, found.height), ("avc1.64001E", 640, 360));
        let sets = vec![HIGH.to_vec(), vec![0x68, 0]];
        assert_eq!((found.pixel, found.coding.clone()), ((1, 1), Coding::H264 { length_size: 4, sets }));
        let mut pasp = Vec::new();
        put(&mut pasp, b"pasp", |out| out.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 3]));
        let found = video(&avc1_of(HIGH, &pasp), &[]).unwrap();
        assert_eq!(found.pixel, (4, 3));
        // An entry of ours reads as it was.
        let again = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &found.entry].concat();
        assert_eq!(video(&again, &[]).unwrap(), found);
    }

    #[test]
    fn uncommon_video_is_refused() {
        let refused = |stsd: &[u8]| video(stsd, &[]);
        let mut ten_bits = HIGH.to_vec();
        ten_bits[1] = 110;
        assert_eq!(refused(&avc1_of(&ten_bits, &[])), Err(Reason::NotCommonH264));
        assert_eq!(refused(&stsd(b"hvc1", &[0; 90])), Err(Reason::VideoCodec("hvc1".to_owned())));
        assert_eq!(refused(&stsd(b"encv", &[0; 90])), Err(Reason::Encrypted));
        let two = [stsd(b"avc1", &[0; 90]), stsd(b"avc1", &[0; 90]).split_off(8)].concat();
        assert_eq!(refused(&two), Err(Reason::SeveralSampleEntries));
        assert!(matches!(refused(&stsd(b"avc1", &[0; 90])), Err(Reason::BadTables(_))));
    }

    fn esds(object: u8, config: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_full(&mut out, b"esds", 0, 0, |out| {
            put_descriptor(out, 3, |out| {
                out.extend_from_slice(&[0, 0, 0]);
                put_descriptor(out, 4, |out| {
                    out.push(object);
                    out.extend_from_slice(&[0; 12]);
                    put_descriptor(out, 5, |out| out.extend_from_slice(config));
                });
            });
        });
        out
    }

    #[test]
    fn sound_of_every_age_becomes_one() {
        let sound =
            |head: usize, boxes: &[u8]| audio(&stsd(b"mp4a", &[vec![0; head], boxes.to_vec()].concat()));
        let boxes = esds(0x40, &[0x11, 0x90]);
        let mut wave = Vec::new();
        put(&mut wave, b"wave", |out| {
            put(out, b"frma", |out| out.extend_from_slice(b"mp4a"));
            out.extend_from_slice(&boxes);
        });
        let plain = sound(28, &boxes).unwrap();
        assert_eq!((plain.codec.as_str(), plain.channels), ("mp4a.40.2", 2));
        assert_eq!(sound(44, &wave).unwrap(), plain);
        assert_eq!(sound(64, &wave).unwrap(), plain);
        assert_eq!(sound(28, &esds(0x40, &[0x2B, 0x92, 0x08, 0])).unwrap().codec, "mp4a.40.5");
        assert_eq!(sound(28, &esds(0x6B, &[])), Err(Reason::AudioCodec("mp3".to_owned())));
        assert_eq!(sound(28, &esds(0x40, &[0x0A, 0x10])), Err(Reason::AudioCodec("mp4a.40.1".to_owned())));
        assert_eq!(audio(&stsd(b"ac-3", &[0; 40])), Err(Reason::AudioCodec("ac-3".to_owned())));
    }
}
