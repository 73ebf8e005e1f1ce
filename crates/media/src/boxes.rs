//! The boxes of ISO files (ISO/IEC 14496-12, 4.2): a size, a name, a content. Every number is a stranger's.

use std::io::{self, Read, Seek, SeekFrom};

/// One box of a file: its name, and where its content lies.
#[derive(Debug)]
pub struct FileBox {
    /// Its four letters.
    pub name: [u8; 4],
    /// Where its content begins.
    pub content: u64,
    /// Where it says that it ends: perhaps behind the file's end.
    pub end: u64,
}

/// The box at an offset; `None` where none begins.
///
/// # Errors
/// Those of the system.
pub fn read_box(file: &mut (impl Read + Seek), at: u64, len: u64) -> io::Result<Option<FileBox>> {
    if at.saturating_add(8) > len {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(at))?;
    let mut header = [0; 8];
    file.read_exact(&mut header)?;
    let [a, b, c, d, name @ ..] = header;
    let (content, size) = match u32::from_be_bytes([a, b, c, d]) {
        // To the end of the file.
        0 => (at + 8, len - at),
        1 => {
            let mut large = [0; 8];
            if at.saturating_add(16) > len {
                return Ok(None);
            }
            file.read_exact(&mut large)?;
            (at + 16, u64::from_be_bytes(large))
        }
        size => (at + 8, u64::from(size)),
    };
    // Smaller than its own header: not a box, and no way to go on.
    Ok(at.checked_add(size).filter(|end| *end >= content).map(|end| FileBox { name, content, end }))
}

/// The content of a box of a file, whole.
///
/// # Errors
/// Those of the system.
pub fn read_content(file: &mut (impl Read + Seek), found: &FileBox) -> io::Result<Vec<u8>> {
    let mut content = vec![0; usize::try_from(found.end - found.content).unwrap_or_default()];
    file.seek(SeekFrom::Start(found.content))?;
    file.read_exact(&mut content)?;
    Ok(content)
}

/// The boxes inside a box, up to the first that does not fit.
pub fn children(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let header = bytes.first_chunk::<8>()?;
        let [a, b, c, d, name @ ..] = *header;
        let (start, size) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (8, bytes.len()),
            1 => (16, usize::try_from(be64(bytes, 8)?).ok()?),
            size => (8, usize::try_from(size).ok()?),
        };
        let content = bytes.get(start..size)?;
        bytes = bytes.get(size..)?;
        Some((name, content))
    })
}

/// The first box of this name inside a box.
pub fn child<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    children(bytes).find(|(found, _)| found == name).map(|(_, content)| content)
}

/// Two bytes at an offset.
pub fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Four bytes at an offset.
pub fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Eight bytes at an offset.
pub fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
