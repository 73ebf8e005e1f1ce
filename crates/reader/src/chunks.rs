//! Containers made of chunks that say their length: RIFF and its kin. The chunk that holds the media must fit the file.

use std::io::{self, Read, Seek, SeekFrom};

/// More chunks than any real file has.
const MAX_CHUNKS: usize = 1_000_000;
/// Some writers count padding that they do not write.
const PADDING: u64 = 8;

/// How a container writes its chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// RIFF: little-endian, 32 bits; `RF64` and `BW64` keep the long ones in `ds64`.
    Riff,
    /// AIFF: big-endian, 32 bits.
    Aiff,
    /// Core Audio: big-endian, 64 bits.
    Caf,
    /// Sony Wave64: names of 16 bytes, and sizes that count the header.
    Wave64,
}

impl Layout {
    /// Where the first chunk begins, how long a header is, and to what chunks are padded.
    fn shape(self) -> (u64, usize, u64) {
        match self {
            Self::Riff | Self::Aiff => (12, 8, 2),
            Self::Caf => (8, 12, 1),
            Self::Wave64 => (40, 24, 8),
        }
    }

    /// Length of the content that a header announces.
    fn size(self, header: &[u8]) -> Option<u64> {
        let bytes4 = || Some(*header.get(4..)?.first_chunk::<4>()?);
        Some(match self {
            Self::Riff => u32::from_le_bytes(bytes4()?).into(),
            Self::Aiff => u32::from_be_bytes(bytes4()?).into(),
            Self::Caf => u64::from_be_bytes(*header.get(4..)?.first_chunk()?),
            Self::Wave64 => u64::from_le_bytes(*header.get(16..)?.first_chunk()?).saturating_sub(24),
        })
    }

    /// A size that recorders write when they do not know it.
    fn is_unknown(self, size: u64) -> bool {
        match self {
            Self::Riff | Self::Aiff => size == 0 || size >= 0x7FFF_F000,
            Self::Caf => size == u64::MAX,
            Self::Wave64 => size == 0,
        }
    }
}

/// Whether the chunk that `is_media` knows (by name and the first bytes of its content) fits the file. True when there is
/// none, or when it does not say how long it is.
pub(crate) fn media_fits(
    file: &mut (impl Read + Seek),
    len: u64,
    layout: Layout,
    is_media: impl Fn(&[u8], &[u8]) -> bool,
) -> io::Result<bool> {
    let (mut at, header_len, align) = layout.shape();
    let mut long_size = None;
    for _ in 0..MAX_CHUNKS {
        let content = at.saturating_add(header_len as u64);
        if content > len {
            break;
        }
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::with_capacity(header_len + 16);
        file.take(header_len as u64 + 16).read_to_end(&mut bytes)?;
        let (Some(header), Some(first)) = (bytes.get(..header_len), bytes.get(header_len..)) else { break };
        let Some(mut size) = layout.size(header) else { break };
        if layout == Layout::Riff && header.starts_with(b"ds64") {
            long_size =
                first.get(8..).and_then(|size| size.first_chunk()).map(|size| u64::from_le_bytes(*size));
        }
        if is_media(header, first) {
            size = long_size.filter(|_| size == u64::from(u32::MAX)).unwrap_or(size);
            let unknown = long_size.is_none() && layout.is_unknown(size);
            return Ok(unknown || content.saturating_add(size) <= len.saturating_add(PADDING));
        }
        let Some(next) = content.checked_add(size).and_then(|end| end.checked_next_multiple_of(align)) else {
            break;
        };
        at = next;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn fits(bytes: &[u8], layout: Layout, name: &'static [u8]) -> bool {
        let media = |header: &[u8], _: &[u8]| header.starts_with(name);
        media_fits(&mut Cursor::new(bytes), bytes.len() as u64, layout, media).unwrap()
    }

    #[test]
    fn what_is_announced_must_be_there() {
        let wav = |size: u32| [&b"RIFF\0\0\0\0WAVEdata"[..], &size.to_le_bytes(), &[0; 100]].concat();
        assert!(fits(&wav(100), Layout::Riff, b"data"));
        assert!(!fits(&wav(200), Layout::Riff, b"data"));
        for unknown in [0, u32::MAX, 0x7FFF_FFFF] {
            assert!(fits(&wav(unknown), Layout::Riff, b"data"));
        }
        let rf64 = |size: u64| {
            let ds64 = [&b"ds64"[..], &28u32.to_le_bytes(), &[0; 8], &size.to_le_bytes(), &[0; 12]].concat();
            [&b"RF64\xff\xff\xff\xffWAVE"[..], &ds64, b"data\xff\xff\xff\xff", &[0; 100]].concat()
        };
        assert!(fits(&rf64(100), Layout::Riff, b"data"));
        assert!(!fits(&rf64(200), Layout::Riff, b"data"));
        let aiff = |size: u32| {
            [&b"FORM\0\0\0\0AIFFodd \0\0\0\x01x\0SSND"[..], &size.to_be_bytes(), &[0; 100]].concat()
        };
        assert!(fits(&aiff(100), Layout::Aiff, b"SSND"));
        assert!(!fits(&aiff(200), Layout::Aiff, b"SSND"));
        let caf = |size: u64| [&b"caff\0\x01\0\0data"[..], &size.to_be_bytes(), &[0; 100]].concat();
        assert!(fits(&caf(100), Layout::Caf, b"data"));
        assert!(!fits(&caf(200), Layout::Caf, b"data"));
        assert!(fits(&caf(u64::MAX), Layout::Caf, b"data"));
        let w64 =
            |size: u64| [&[0; 40][..], b"data", &[0; 12], &(size + 24).to_le_bytes(), &[0; 100]].concat();
        assert!(fits(&w64(100), Layout::Wave64, b"data"));
        assert!(!fits(&w64(200), Layout::Wave64, b"data"));
    }
}
