//! Files nobody makes by accident, made by code: nothing of them lies in the repository.

use std::path::PathBuf;

use crate::media::made;

/// A box of MP4.
pub(crate) fn atom(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes()[..], kind, body].concat()
}

/// The same file with the first box at this path changed, all sizes on the way mended. Offsets are right only when it lies
/// behind the media, or keeps its size.
pub(crate) fn edit(bytes: &[u8], path: &[&[u8; 4]], change: &dyn Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut edited = Vec::new();
    let (mut at, mut done) = (0, false);
    while at + 8 <= bytes.len() {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let kind: &[u8; 4] = bytes[at + 4..at + 8].try_into().unwrap();
        let body = &bytes[at + 8..at + size];
        if kind == path[0] && !done {
            done = true;
            let body = if path.len() == 1 { change(body) } else { edit(body, &path[1..], change) };
            edited.extend(atom(kind, &body));
        } else {
            edited.extend(&bytes[at..at + size]);
        }
        at += size;
    }
    assert!(done, "there is no {}", String::from_utf8_lossy(path[0]));
    edited
}

/// Sets four bytes of a box, `at` bytes behind its name.
pub(crate) fn with_u32(bytes: &[u8], path: &[&[u8; 4]], at: usize, value: u32) -> Vec<u8> {
    edit(bytes, path, &|body| {
        let mut body = body.to_vec();
        body[at..at + 4].copy_from_slice(&value.to_be_bytes());
        body
    })
}

/// 640x360, 5 s, picture only, its index behind the media.
pub(crate) fn behind() -> Vec<u8> {
    let encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25"];
    let picture = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=5"];
    read(made("index-behind.mp4", &[&picture[..], &encode].concat()))
}

/// What a box of the track's table of samples is called by.
pub(crate) const TABLE: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];

/// The path of one of them.
pub(crate) fn table(kind: &'static [u8; 4]) -> Vec<&'static [u8; 4]> {
    [&TABLE[..], &[kind]].concat()
}

pub(crate) fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// An element of Matroska, its size in eight bytes.
pub(crate) fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    let size = (body.len() as u64) | 1 << 56;
    [id, &size.to_be_bytes(), body].concat()
}

/// A chunk of PNG.
fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let named = [kind, body].concat();
    let mut crc = u32::MAX;
    for byte in &named {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &named, &(!crc).to_be_bytes()].concat()
}

/// A PNG that says it has so many pixels a side, of one bit each, and has next to none.
pub(crate) fn png_of(side: u32) -> Vec<u8> {
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[1, 0, 0, 0, 0]].concat();
    // zlib: one stored block of two bytes.
    let data = [0x78, 0x01, 0x01, 0x02, 0x00, 0xFD, 0xFF, 0x00, 0x00, 0x00, 0x02, 0x00, 0x01];
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &data), chunk(b"IEND", &[])]
        .concat()
}

/// A PNG of black pixels that keeps its word, each of so many bits: rows of zeros, deflated to a bit for every twenty bytes.
pub(crate) fn black_png(side: u32, bits: u8, color: u8, bits_of_pixel: u32) -> Vec<u8> {
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[bits, color, 0, 0, 0]].concat();
    // Before each row, its filter.
    let zeros = u64::from(side) * (u64::from(side) * u64::from(bits_of_pixel) / 8 + 1);
    // zlib: one block of fixed codes. A zero, then copies of 258 bytes from one byte before, then zeros, then its end.
    let mut data = vec![0x78, 0x01];
    let (mut bits, mut count) = (0u64, 0);
    let mut put = |code: u64, len: u32| {
        bits |= code << count;
        count += len;
        while count >= 8 {
            data.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    // Codes stand with their first bit lowest.
    let (zero, copy) = (0b0000_1100, 0b1010_0011);
    put(0b011, 3);
    put(zero, 8);
    (0..(zeros - 1) / 258).for_each(|_| put(copy, 13));
    (0..(zeros - 1) % 258).for_each(|_| put(zero, 8));
    put(0, 14);
    let adler = ((zeros % 65_521) << 16 | 1) as u32;
    data.extend(adler.to_be_bytes());
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &data), chunk(b"IEND", &[])]
        .concat()
}

/// A JPEG whose frame says it has so many pixels a side.
pub(crate) fn jpeg_of(side: u16) -> Vec<u8> {
    let mut bytes = jpeg();
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
    bytes
}

pub(crate) fn jpeg() -> Vec<u8> {
    read(made("hostile.jpg", &["-f", "lavfi", "-i", "testsrc2=size=320x240", "-frames:v", "1"]))
}

/// A picture of AV1 whose container says it has so many pixels a side.
pub(crate) fn avif_of(side: u32) -> Vec<u8> {
    let encode = ["-frames:v", "1", "-c:v", "libaom-av1", "-cpu-used", "8", "-still-picture", "1"];
    let mut bytes =
        read(made("hostile.avif", &[&["-f", "lavfi", "-i", "color=size=256x256"][..], &encode].concat()));
    let at = bytes.windows(4).position(|name| name == b"ispe").unwrap() + 8;
    bytes[at..at + 4].copy_from_slice(&side.to_be_bytes());
    bytes[at + 4..at + 8].copy_from_slice(&side.to_be_bytes());
    bytes
}

/// MP3 behind an ID3 tag with one text of so many bytes, of those that are read.
pub(crate) fn id3_text(has: usize) -> Vec<u8> {
    let size = |size: usize| [21, 14, 7, 0].map(|shift| (size >> shift) as u8 & 0x7F);
    let text = [&b"\x03creation_time\0"[..], &vec![b'x'; has]].concat();
    let frame = [&b"TXXX"[..], &size(text.len()), &[0, 0], &text].concat();
    [&b"ID3\x04\0\0"[..], &size(frame.len()), &frame, &read(crate::media::mp3())].concat()
}

/// MP3 behind an ID3 tag that says it has `says` bytes and has `has`.
pub(crate) fn id3(says: u32, has: usize) -> Vec<u8> {
    let size = [21, 14, 7, 0].map(|shift| (says >> shift) as u8 & 0x7F);
    [&b"ID3\x04\0\0"[..], &size, &vec![0; has], &read(crate::media::mp3())].concat()
}

/// So many boxes, each in the one before, below `moov`.
pub(crate) fn nested_boxes(depth: usize) -> Vec<u8> {
    let kinds: [&[u8; 4]; 3] = [b"trak", b"mdia", b"minf"];
    let mut whole = Vec::with_capacity(depth * 8);
    let all = u32::try_from(depth * 8).unwrap();
    for level in 0..depth {
        let name = if level == 0 { b"moov" } else { kinds[level % 3] };
        whole.extend((all - u32::try_from(level * 8).unwrap()).to_be_bytes());
        whole.extend(name);
    }
    [atom(b"ftyp", b"isom\0\0\0\0isom"), whole].concat()
}

/// A real MKV with tags in tags in tags, where its headers stand.
pub(crate) fn nested_elements(depth: usize) -> Vec<u8> {
    let clip = read(made(
        "hostile.mkv",
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=640x360:duration=5",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-live",
            "1",
        ],
    ));
    let mut tag = Vec::new();
    for _ in 0..depth {
        tag = element(&[0x67, 0xC8], &tag);
    }
    let tags = element(&[0x12, 0x54, 0xC3, 0x67], &element(&[0x73, 0x73], &tag));
    let first = clip.windows(4).position(|id| id == [0x1F, 0x43, 0xB6, 0x75]).unwrap();
    [&clip[..first], &tags, &clip[first..]].concat()
}

/// An edit list of so many entries that shows the first second again and again.
pub(crate) fn edited(entries: u32) -> Vec<u8> {
    let entry = [1000u32.to_be_bytes(), 0u32.to_be_bytes(), 0x0001_0000u32.to_be_bytes()].concat();
    let list = [&[0; 4][..], &entries.to_be_bytes(), &entry.repeat(entries as usize)].concat();
    edit(&behind(), &[b"moov", b"trak", b"edts"], &|_| atom(b"elst", &list))
}

/// So many tracks, all of the same samples.
pub(crate) fn tracks(count: usize) -> Vec<u8> {
    edit(&behind(), &[b"moov"], &|moov| {
        let at = moov.windows(4).position(|name| name == b"trak").unwrap() - 4;
        let size = u32::from_be_bytes(moov[at..at + 4].try_into().unwrap()) as usize;
        [&moov[..at], &moov[at..at + size].repeat(count), &moov[at + size..]].concat()
    })
}

/// Its samples lie in another file, it says.
pub(crate) fn elsewhere(url: &str) -> Vec<u8> {
    let path = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"];
    edit(&behind(), &path, &|_| {
        let location = [&[0; 4][..], url.as_bytes(), &[0]].concat();
        [&[0, 0, 0, 0, 0, 0, 0, 1][..], &atom(b"url ", &location)].concat()
    })
}
