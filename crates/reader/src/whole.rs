//! Is what a file's index points at there? Half an MP4 opens well, decodes well, and is half an MP4.
//!
//! Safe Rust, every read bounded, every sum checked. Tolerant by design: what is not understood is left to the prober;
//! only a promise the file itself makes and does not keep is held against it.

use std::io::{self, Read, Seek, SeekFrom};

use reelhouse_media::process::{FileBox, be32, be64, child, children, read_box, read_content};

use crate::chunks::{Layout, media_fits};

/// An index larger than this is left to the prober.
const MAX_INDEX: u64 = 64 << 20;
/// More boxes or chunks than any real file has.
const MAX_BOXES: usize = 1_000_000;
/// Bytes in which a file's first headers stand.
const HEAD: u64 = 4096;
/// Bytes of an MP3's first frame, at the most.
const FIRST_FRAME: usize = 1500;

/// What a file's own index says of its wholeness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    /// All that it points at is there.
    Kept,
    /// There is none that says where the media end: only its last packet can tell.
    Silent,
}

/// What the index says, or what is promised and missing.
pub(crate) fn judge(
    file: &mut (impl Read + Seek),
    len: u64,
    mime: &str,
) -> io::Result<Result<Index, &'static str>> {
    let mut fits = |layout, media: fn(&[u8], &[u8]) -> bool| {
        Ok(if media_fits(file, len, layout, media)? { Ok(Index::Kept) } else { Err("its media is cut") })
    };
    match mime {
        "video/mp4" | "audio/mp4" | "video/quicktime" | "video/3gpp" | "video/3gpp2" => iso_bmff(file, len),
        "video/x-matroska" | "video/webm" => matroska(file, len),
        "video/x-msvideo" => {
            fits(Layout::Riff, |name, first| name.starts_with(b"LIST") && first.starts_with(b"movi"))
        }
        "audio/wav" => fits(Layout::Riff, |name, _| name.starts_with(b"data")),
        "audio/aiff" => fits(Layout::Aiff, |name, _| name.starts_with(b"SSND")),
        "audio/x-caf" => fits(Layout::Caf, |name, _| name.starts_with(b"data")),
        "audio/x-w64" => fits(Layout::Wave64, |name, _| name.starts_with(b"data")),
        "audio/basic" => sun_audio(file, len),
        "audio/mpeg" => mp3(file, len),
        "video/x-ms-asf" => asf(file, len),
        _ => Ok(Ok(Index::Silent)),
    }
}

fn iso_bmff(file: &mut (impl Read + Seek), len: u64) -> io::Result<Result<Index, &'static str>> {
    let (mut at, mut media_cut, mut fragmented, mut furthest) = (0, false, false, 0);
    for _ in 0..MAX_BOXES {
        let Some(found) = read_box(file, at, len)? else { break };
        let FileBox { name, content, end } = found;
        match &name {
            b"moov" if end <= len && end - content <= MAX_INDEX => {
                let index = read_content(file, &found)?;
                fragmented |= children(&index).any(|(name, _)| name == *b"mvex");
                furthest = furthest_sample(&index, len);
            }
            b"moov" if end > len => return Ok(Err("its index is cut")),
            b"moof" => {
                fragmented = true;
                media_cut |= end > len;
            }
            b"mdat" => media_cut |= end > len,
            _ => {}
        }
        at = end;
    }
    Ok(if furthest > len {
        Err("its index points behind its end")
    } else if fragmented && media_cut {
        Err("its last fragment is cut")
    } else {
        Ok(Index::Kept)
    })
}

/// Where the last byte of any sample ends. A table that makes no sense promises nothing.
fn furthest_sample(moov: &[u8], len: u64) -> u64 {
    let tracks = children(moov).filter(|(name, _)| name == b"trak");
    tracks.filter_map(|(_, track)| furthest_of_track(track, len)).max().unwrap_or(0)
}

fn furthest_of_track(track: &[u8], len: u64) -> Option<u64> {
    let minf = child(child(track, b"mdia")?, b"minf")?;
    // Media in another file is not ours to miss.
    if let Some(references) = child(minf, b"dinf").and_then(|dinf| child(dinf, b"dref"))
        && children(references.get(8..)?)
            .any(|(_, reference)| reference.get(3).is_some_and(|flags| flags & 1 == 0))
    {
        return None;
    }
    let tables = child(minf, b"stbl")?;
    let sizes = Sizes::read(tables)?;
    let runs = child(tables, b"stsc")?;
    let run_count = usize::try_from(be32(runs, 4)?).ok()?.min(runs.len().saturating_sub(8) / 12);
    let (offsets, width) = match (child(tables, b"stco"), child(tables, b"co64")) {
        (Some(offsets), _) => (offsets, 4),
        (None, Some(offsets)) => (offsets, 8),
        (None, None) => return None,
    };
    let chunks = usize::try_from(be32(offsets, 4)?).ok()?.min(offsets.len().saturating_sub(8) / width);

    let (mut furthest, mut sample, mut run) = (0, 0usize, 0);
    for chunk in 0..chunks {
        // Runs name the first chunk they hold for, from 1.
        while run + 1 < run_count && be32(runs, 8 + (run + 1) * 12)? as usize <= chunk + 1 {
            run += 1;
        }
        let samples = be32(runs, 8 + run * 12 + 4)? as usize;
        let samples = samples.min(sizes.count.saturating_sub(sample));
        if samples == 0 {
            break;
        }
        let at = 8 + chunk * width;
        let offset = if width == 4 { be32(offsets, at)?.into() } else { be64(offsets, at)? };
        let end = offset.saturating_add(sizes.sum(sample, samples));
        furthest = furthest.max(end);
        if furthest > len {
            break;
        }
        sample += samples;
    }
    Some(furthest)
}

/// Sample sizes, however they are written.
struct Sizes<'a> {
    count: usize,
    /// Of every sample, in bytes.
    uniform: Option<u64>,
    table: &'a [u8],
    /// Bits of an entry.
    bits: usize,
}

impl<'a> Sizes<'a> {
    fn read(tables: &'a [u8]) -> Option<Self> {
        let (content, bits, uniform) = match (child(tables, b"stsz"), child(tables, b"stz2")) {
            (Some(content), _) => (content, 32, u64::from(be32(content, 4)?)),
            (None, Some(content)) => (content, usize::from(*content.get(7)?), 0),
            (None, None) => return None,
        };
        if !matches!(bits, 4 | 8 | 16 | 32) {
            return None;
        }
        let table = content.get(12..)?;
        let count = usize::try_from(be32(content, 8)?).ok()?;
        Some(match uniform {
            0 => Self { count: count.min(table.len() * 8 / bits), uniform: None, table, bits },
            // Old QuickTime sound counts samples of one byte that are none: only the chunk's beginning is sure.
            1 => Self { count, uniform: Some(0), table, bits },
            size => Self { count, uniform: Some(size), table, bits },
        })
    }

    fn sum(&self, first: usize, samples: usize) -> u64 {
        match self.uniform {
            Some(size) => size.saturating_mul(samples as u64),
            None => (first..first + samples).map(|sample| self.size(sample)).fold(0, u64::saturating_add),
        }
    }

    fn size(&self, sample: usize) -> u64 {
        let size = match self.bits {
            32 => be32(self.table, sample * 4).map(u64::from),
            16 => self
                .table
                .get(sample * 2..sample * 2 + 2)
                .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1])),
            8 => self.table.get(sample).map(|size| u64::from(*size)),
            _ => self
                .table
                .get(sample / 2)
                .map(|pair| u64::from(if sample.is_multiple_of(2) { pair >> 4 } else { pair & 15 })),
        };
        size.unwrap_or(0)
    }
}

/// A Segment of known size must fit; a live one says it does not know.
fn matroska(file: &mut (impl Read + Seek), len: u64) -> io::Result<Result<Index, &'static str>> {
    let head = head(file)?;
    let segment = || {
        let (header_size, at) = vint(&head, 4)?;
        let at = at.checked_add(usize::try_from(header_size?).ok()?)?;
        head.get(at..)?.starts_with(&[0x18, 0x53, 0x80, 0x67]).then_some(())?;
        let (size, content) = vint(&head, at + 4)?;
        (content as u64).checked_add(size?)
    };
    Ok(promised(segment(), len, "its segment is cut"))
}

/// The first bytes, where headers stand.
fn head(file: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// A file that says where it ends.
fn promised(end: Option<u64>, len: u64, cut: &'static str) -> Result<Index, &'static str> {
    match end {
        Some(end) if end > len => Err(cut),
        Some(_) => Ok(Index::Kept),
        None => Ok(Index::Silent),
    }
}

/// The header has the media's length, or all ones for unknown.
fn sun_audio(file: &mut (impl Read + Seek), len: u64) -> io::Result<Result<Index, &'static str>> {
    let head = head(file)?;
    let end = || {
        let size = be32(&head, 8).filter(|size| *size != u32::MAX)?;
        Some(u64::from(be32(&head, 4)?) + u64::from(size))
    };
    Ok(promised(end(), len, "its media is cut"))
}

/// The first frame may be a table of contents (`Xing`, or `Info` where the rate is constant) that counts the bytes.
fn mp3(file: &mut (impl Read + Seek), len: u64) -> io::Result<Result<Index, &'static str>> {
    let start = id3_len(&head(file)?);
    let mut frame = vec![0; FIRST_FRAME];
    file.seek(SeekFrom::Start(start))?;
    let read = file.take(FIRST_FRAME as u64).read(&mut frame)?;
    frame.truncate(read);
    let end = || {
        let at = [&b"Xing"[..], b"Info"].iter().find_map(|name| memchr::memmem::find(&frame, name))?;
        let (flags, has_frames, has_bytes) = (be32(&frame, at + 4)?, 1, 2);
        let at = at + if flags & has_frames != 0 { 12 } else { 8 };
        start.checked_add(be32(&frame, at).filter(|_| flags & has_bytes != 0)?.into())
    };
    Ok(promised(end(), len, "its last frames are missing"))
}

/// Bytes of the ID3v2 tag in front of a file.
fn id3_len(head: &[u8]) -> u64 {
    match head.first_chunk::<10>() {
        Some([b'I', b'D', b'3', _, _, flags, size @ ..]) => {
            let size = size.iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7F));
            10 + size + if flags & 0x10 == 0 { 0 } else { 10 }
        }
        _ => 0,
    }
}

/// The File Properties Object says how long the file is, unless it was written live.
fn asf(file: &mut (impl Read + Seek), len: u64) -> io::Result<Result<Index, &'static str>> {
    const FILE_PROPERTIES: [u8; 16] =
        [0xA1, 0xDC, 0xAB, 0x8C, 0x47, 0xA9, 0xCF, 0x11, 0x8E, 0xE4, 0x00, 0xC0, 0x0C, 0x20, 0x53, 0x65];
    let head = head(file)?;
    let end = || {
        let at = memchr::memmem::find(&head, &FILE_PROPERTIES)?;
        let live = head.get(at + 88)? & 1 == 1;
        let size = u64::from_le_bytes(*head.get(at + 40..)?.first_chunk()?);
        Some(size).filter(|size| !live && *size > 0)
    };
    Ok(promised(end(), len, "its media is cut"))
}

/// An EBML number and where it ends; all ones mean unknown.
fn vint(bytes: &[u8], at: usize) -> Option<(Option<u64>, usize)> {
    let first = *bytes.get(at)?;
    let width = first.leading_zeros() as usize + 1;
    if width > 8 {
        return None;
    }
    let rest = bytes.get(at + 1..at + width)?;
    let value = rest
        .iter()
        .fold(u64::from(first) & !(1 << (8 - width)) & 0xFF, |value, byte| value << 8 | u64::from(*byte));
    let unknown = (1u64 << (7 * width)) - 1;
    Some(((value != unknown).then_some(value), at + width))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn put(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).unwrap();
        [&size.to_be_bytes()[..], name, content].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// An index of three samples of 10 bytes in two chunks, the last ending at `end`.
    fn moov(end: u32) -> Vec<u8> {
        let tables = [
            put(b"stsz", &words(&[0, 0, 3, 10, 10, 10])),
            put(b"stsc", &words(&[0, 2, 1, 2, 1, 2, 1, 1])),
            put(b"stco", &words(&[0, 2, 8, end - 10])),
        ];
        let minf = put(b"minf", &put(b"stbl", &tables.concat()));
        put(b"moov", &put(b"trak", &put(b"mdia", &minf)))
    }

    fn missing_in(bytes: &[u8], mime: &str) -> Option<&'static str> {
        judge(&mut Cursor::new(bytes), bytes.len() as u64, mime).unwrap().err()
    }

    #[test]
    fn the_index_must_point_into_the_file() {
        let index = moov(400);
        let mut whole = [index.clone(), put(b"mdat", &[0; 1000])].concat();
        whole.truncate(400);
        assert_eq!(missing_in(&whole, "video/mp4"), None);
        whole.truncate(399);
        assert_eq!(missing_in(&whole, "video/mp4"), Some("its index points behind its end"));
        assert_eq!(missing_in(&index[..index.len() - 1], "video/mp4"), Some("its index is cut"));
    }

    #[test]
    fn boxes_without_end_are_not_followed_to_it() {
        let empty = |count| put(b"free", &[]).repeat(count);
        let cut = &moov(400)[..50];
        let behind = |count| missing_in(&[&empty(count)[..], cut].concat(), "video/mp4");
        assert_eq!(behind(MAX_BOXES - 1), Some("its index is cut"));
        assert_eq!(behind(MAX_BOXES), None);
        // Nor is an index taken into memory that is larger than any.
        let padded = |all: u64| {
            let content = &moov(u32::MAX)[8..];
            let more = usize::try_from(all).unwrap() - content.len();
            missing_in(&put(b"moov", &[content, &put(b"free", &vec![0; more - 8])].concat()), "video/mp4")
        };
        assert_eq!(padded(MAX_INDEX), Some("its index points behind its end"));
        assert_eq!(padded(MAX_INDEX + 1), None);
    }

    #[test]
    fn fragments_must_be_whole() {
        let file = [
            put(b"ftyp", b"iso5"),
            put(b"moof", &[]),
            put(b"mdat", &[0; 50]),
            put(b"moof", &[]),
            put(b"mdat", &[0; 50]),
        ]
        .concat();
        assert_eq!(missing_in(&file, "video/mp4"), None);
        assert_eq!(missing_in(&file[..file.len() - 1], "video/mp4"), Some("its last fragment is cut"));
        // What follows the media may be cut.
        let file = [file, put(b"free", &[0; 50])].concat();
        assert_eq!(missing_in(&file[..file.len() - 40], "video/mp4"), None);
    }

    #[test]
    fn segments_and_chunks_must_fit() {
        let mkv = |size: &[u8]| {
            [&[0x1A, 0x45, 0xDF, 0xA3, 0x81, 0, 0x18, 0x53, 0x80, 0x67][..], size, &[0; 100]].concat()
        };
        assert_eq!(missing_in(&mkv(&[0x80 | 100]), "video/webm"), None);
        assert_eq!(missing_in(&mkv(&[0x80 | 101]), "video/webm"), Some("its segment is cut"));
        assert_eq!(missing_in(&mkv(&[0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), "video/webm"), None);
    }

    #[test]
    fn lengths_in_headers_are_promises() {
        let mp3 = |bytes: u32| {
            let tag = [&b"ID3\x04\0\0\0\0\0\x05"[..], &[0; 5]].concat();
            let frame = [&b"\xff\xfb\x90\0"[..], &[0; 32], b"Info\0\0\0\x03\0\0\0\x09", &bytes.to_be_bytes()]
                .concat();
            [tag, frame, vec![0; 100]].concat()
        };
        let len = u32::try_from(mp3(0).len()).unwrap() - 15;
        assert_eq!(missing_in(&mp3(len), "audio/mpeg"), None);
        assert_eq!(missing_in(&mp3(len + 1), "audio/mpeg"), Some("its last frames are missing"));
        let au = |size: u32| [&b".snd\0\0\0\x18"[..], &size.to_be_bytes(), &[0; 12], &[0; 100]].concat();
        assert_eq!(missing_in(&au(100), "audio/basic"), None);
        assert_eq!(missing_in(&au(101), "audio/basic"), Some("its media is cut"));
        assert_eq!(missing_in(&au(u32::MAX), "audio/basic"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
            cut in any::<prop::sample::Index>(),
            noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut file = [moov(400), put(b"moof", &[1; 9]), put(b"mdat", &[0; 300])].concat();
            for (at, byte) in changes {
                let at = at.index(file.len());
                file[at] = byte;
            }
            file.truncate(cut.index(file.len()));
            for mime in ["video/mp4", "video/webm", "video/x-msvideo", "audio/wav", "audio/aiff", "audio/x-caf", "audio/x-w64",
                         "audio/basic", "audio/mpeg", "video/x-ms-asf"] {
                missing_in(&file, mime);
                missing_in(&noise, mime);
            }
        }
    }
}
