//! What the first bytes of a file say. Neither its name nor its declared type is asked.

use reelhouse_api::MediaKind::{self, Audio, Image, Video};

/// How many bytes decide.
pub const SNIFF_LEN: usize = 64 * 1024;

/// What the first bytes of a file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sniffed {
    /// A container we know. The kind is a first guess where a container may hold sound alone.
    Media {
        /// First guess.
        kind: MediaKind,
        /// MIME type.
        mime: &'static str,
    },
    /// Nothing we know, and no text: the prober may still know it.
    Unknown,
    /// Something else.
    Other {
        /// MIME type.
        mime: String,
    },
}

/// Reads the first bytes of a file, up to [`SNIFF_LEN`] of them.
pub fn sniff(head: &[u8]) -> Sniffed {
    if let Some((kind, mime)) = container(head) {
        return Sniffed::Media { kind, mime };
    }
    if let Some(mime) = text(head) {
        return Sniffed::Other { mime: mime.to_owned() };
    }
    // An animated cursor: its bytes may look like sound.
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"ACON") {
        return Sniffed::Other { mime: "application/x-navi-animation".to_owned() };
    }
    if let Some((kind, mime)) = elementary(head) {
        return Sniffed::Media { kind, mime };
    }
    match infer::get(head).map(|found| found.mime_type()) {
        // What we do not list above, the prober decides.
        Some(mime) if mime.starts_with("video/") || mime.starts_with("audio/") => Sniffed::Unknown,
        Some(mime) => Sniffed::Other { mime: mime.to_owned() },
        None => Sniffed::Unknown,
    }
}

/// Formats with a signature of their own.
fn container(head: &[u8]) -> Option<(MediaKind, &'static str)> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    Some(match head {
        _ if at(4, b"ftyp") => brand(head),
        // QuickTime from before ftyp.
        _ if [&b"moov"[..], b"mdat", b"wide", b"pnot"].iter().any(|name| at(4, name)) => {
            (Video, "video/quicktime")
        }
        _ if at(0, &[0x1A, 0x45, 0xDF, 0xA3]) => {
            let webm = memmem(&head[..head.len().min(4096)], b"webm");
            if webm { (Video, "video/webm") } else { (Video, "video/x-matroska") }
        }
        _ if at(0, b"RIFF") && at(8, b"AVI ") => (Video, "video/x-msvideo"),
        _ if (at(0, b"RIFF") || at(0, b"RF64")) && at(8, b"WAVE") => (Audio, "audio/wav"),
        _ if at(0, b"RIFF") && at(8, b"WEBP") => (Image, "image/webp"),
        _ if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) => (Audio, "audio/aiff"),
        _ if at(0, b"OggS") => {
            let video = memmem(&head[..head.len().min(1024)], b"theora");
            if video { (Video, "video/ogg") } else { (Audio, "audio/ogg") }
        }
        _ if at(0, b"fLaC") => (Audio, "audio/flac"),
        _ if at(0, b"FLV\x01") => (Video, "video/x-flv"),
        _ if at(0, &[0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11]) => (Video, "video/x-ms-asf"),
        _ if at(0, &[0x06, 0x0E, 0x2B, 0x34, 0x02, 0x05, 0x01, 0x01]) => (Video, "application/mxf"),
        _ if at(0, &[0x00, 0x00, 0x01, 0xBA]) => (Video, "video/mpeg"),
        _ if at(0, &[0x00, 0x00, 0x01, 0xB3]) => (Video, "video/mpeg"),
        _ if at(0, b".RMF") => (Video, "application/vnd.rn-realmedia"),
        _ if at(0, b"DKIF") => (Video, "video/x-ivf"),
        _ if at(0, b"YUV4MPEG2 ") => (Video, "video/x-yuv4mpeg"),
        _ if at(0, b"riff\x2E\x91\xCF\x11") => (Audio, "audio/x-w64"),
        _ if at(0, b".snd") => (Audio, "audio/basic"),
        _ if at(0, b"TTA1") => (Audio, "audio/x-tta"),
        _ if at(0, b"nut/multimedia container") => (Video, "video/x-nut"),
        _ if at(0, b"caff") => (Audio, "audio/x-caf"),
        _ if at(0, b"#!AMR") => (Audio, "audio/amr"),
        _ if at(0, b"wvpk") => (Audio, "audio/x-wavpack"),
        _ if at(0, b"MAC ") => (Audio, "audio/x-ape"),
        // An ID3 tag may be longer than what we see; MP3 is what nearly always follows.
        _ if at(0, b"ID3") => (Audio, "audio/mpeg"),
        _ if at(0, &[0xFF, 0xD8, 0xFF]) => (Image, "image/jpeg"),
        _ if at(0, b"\x89PNG\r\n\x1a\n") => (Image, "image/png"),
        _ if at(0, b"GIF87a") || at(0, b"GIF89a") => (Image, "image/gif"),
        _ if at(0, b"II*\0") || at(0, b"MM\0*") => (Image, "image/tiff"),
        _ if at(0, b"\0\0\0\x0CJXL \r\n\x87\n") || at(0, b"\xFF\x0A") => (Image, "image/jxl"),
        _ if at(0, b"\0\0\0\x0CjP  \r\n\x87\n") || at(0, b"\xFF\x4F\xFF\x51") => (Image, "image/jp2"),
        _ if at(0, b"BM") && at(6, &[0, 0, 0, 0]) => (Image, "image/bmp"),
        _ if transport_stream(head, 188, 0) || transport_stream(head, 192, 4) => (Video, "video/mp2t"),
        _ => return None,
    })
}

fn brand(head: &[u8]) -> (MediaKind, &'static str) {
    match head.get(8..12).unwrap_or_default() {
        b"qt  " => (Video, "video/quicktime"),
        b"M4A " | b"M4B " | b"M4P " => (Audio, "audio/mp4"),
        b"avif" | b"avis" => (Image, "image/avif"),
        b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1" => {
            (Image, "image/heic")
        }
        brand if brand.starts_with(b"3g2") => (Video, "video/3gpp2"),
        brand if brand.starts_with(b"3gp") => (Video, "video/3gpp"),
        _ => (Video, "video/mp4"),
    }
}

/// Sync bytes where every packet must have one: five in a row, or as many as there are.
fn transport_stream(head: &[u8], packet: usize, lead: usize) -> bool {
    let mut syncs = head.iter().skip(lead).step_by(packet).take(5);
    head.len() >= packet + lead && syncs.all(|byte| *byte == 0x47)
}

/// Streams without a header: two frames that agree on where the second begins.
fn elementary(head: &[u8]) -> Option<(MediaKind, &'static str)> {
    if mp3_frame(head).is_some_and(|next| head.get(next..).is_some_and(|rest| mp3_frame(rest).is_some())) {
        return Some((Audio, "audio/mpeg"));
    }
    if adts_frame(head).is_some_and(|next| head.get(next..).is_some_and(|rest| adts_frame(rest).is_some())) {
        return Some((Audio, "audio/aac"));
    }
    head.starts_with(&[0x0B, 0x77]).then_some((Audio, "audio/ac3"))
}

/// Bytes from this MPEG audio frame's header to the next one's.
fn mp3_frame(bytes: &[u8]) -> Option<usize> {
    let [0xFF, second, third, _] = *bytes.first_chunk::<4>()? else { return None };
    let (version, layer) = ((second >> 3) & 3, (second >> 1) & 3);
    if second & 0xE0 != 0xE0 || version == 1 || layer != 1 {
        return None;
    }
    let mpeg1 = version == 3;
    let rates: [usize; 16] = if mpeg1 {
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0]
    } else {
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0]
    };
    let kbit = rates[usize::from(third >> 4)];
    let hertz = [44_100, 48_000, 32_000, 0][usize::from((third >> 2) & 3)]
        >> usize::from(match version {
            3 => 0,
            2 => 1,
            _ => 2u8,
        });
    if kbit == 0 || hertz == 0 {
        return None;
    }
    let padding = usize::from((third >> 1) & 1);
    Some((if mpeg1 { 144 } else { 72 }) * kbit * 1000 / hertz + padding)
}

/// Bytes from this ADTS header to the next one's.
fn adts_frame(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<6>()?;
    if header[0] != 0xFF || header[1] & 0xF6 != 0xF0 {
        return None;
    }
    let len = usize::from(header[3] & 3) << 11 | usize::from(header[4]) << 3 | usize::from(header[5]) >> 5;
    (len >= 7).then_some(len)
}

/// What kind of text it is, if it is text.
fn text(head: &[u8]) -> Option<&'static str> {
    let utf16 = head.starts_with(&[0xFF, 0xFE]) || head.starts_with(&[0xFE, 0xFF]);
    if utf16 && head[2..].contains(&0) {
        return Some("text/plain");
    }
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character may be cut by the end of what we see.
        Err(error) if head.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let control = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{0C}' | '\u{1B}');
    if valid.is_empty() || valid.contains(control) {
        return None;
    }
    let start = valid.trim_start_matches('\u{FEFF}').trim_start();
    let begins =
        |prefix: &str| start.get(..prefix.len()).is_some_and(|found| found.eq_ignore_ascii_case(prefix));
    Some(match () {
        () if begins("#EXTM3U") => "application/vnd.apple.mpegurl",
        () if begins("<!doctype html") || begins("<html") => "text/html",
        () if begins("<svg") || (begins("<?xml") && start.contains("<svg")) => "image/svg+xml",
        () if begins("<?xml") => "text/xml",
        () if begins("{") || begins("[") => "application/json",
        () if begins("%PDF-") => "application/pdf",
        () => "text/plain",
    })
}

fn memmem(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_media() {
        for (head, mime) in [
            ("hello", "text/plain"),
            ("{\"a\": 1}", "application/json"),
            ("#EXTM3U\n#EXT-X-VERSION:3\n", "application/vnd.apple.mpegurl"),
            ("ffconcat version 1.0\nfile /etc/passwd\n", "text/plain"),
            ("<svg xmlns='x'/>", "image/svg+xml"),
            ("<?xml version='1.0'?>\n<svg/>", "image/svg+xml"),
            ("<!DOCTYPE html><html>", "text/html"),
            ("%PDF-1.7\n%âã\n", "application/pdf"),
            ("日本語のテキスト", "text/plain"),
        ] {
            assert_eq!(sniff(head.as_bytes()), Sniffed::Other { mime: mime.to_owned() }, "{head}");
        }
        assert_eq!(sniff(&"é".as_bytes()[..1]), Sniffed::Unknown);
        assert_eq!(
            sniff(b"PK\x03\x04\x14\x00\x00\x00"),
            Sniffed::Other { mime: "application/zip".to_owned() }
        );
        assert_eq!(sniff(&[]), Sniffed::Unknown);
        assert_eq!(sniff(&[0; 100]), Sniffed::Unknown);
    }

    fn media(kind: MediaKind, mime: &'static str) -> Sniffed {
        Sniffed::Media { kind, mime }
    }

    #[test]
    fn text_has_its_marks() {
        let other = |mime: &str| Sniffed::Other { mime: mime.to_owned() };
        for (head, mime) in [
            (&b"\xFF\xFEh\0i\0"[..], "text/plain"),
            (b"\xFE\xFF\0h\0i", "text/plain"),
            ("\u{FEFF} \n<HTML>".as_bytes(), "text/html"),
            (b"<?xml version='1.0'?><rss/>", "text/xml"),
            (b"[1]", "application/json"),
            (b"a\tb\r\n\x0C\x1B[0m", "text/plain"),
            // A character that is cut by the end.
            (&"ab日".as_bytes()[..4], "text/plain"),
            (&"ab日".as_bytes()[..3], "text/plain"),
            (&"ab😀".as_bytes()[..5], "text/plain"),
        ] {
            assert_eq!(sniff(head), other(mime), "{head:?}");
        }
        // No text: a mark alone, a control character, a byte that begins no character, far from the end.
        for head in [&b"\xFF\xFE"[..], b"\xFF\xFEabcd", b"ab\x01", b"ab\xFFcdef", b"ab\xFFcde"] {
            assert_eq!(sniff(head), Sniffed::Unknown, "{head:?}");
        }
    }

    #[test]
    fn signatures() {
        assert_eq!(SNIFF_LEN, 65_536);
        for (head, kind, mime) in [
            (&b"\0\0\0\x18ftypisom"[..], Video, "video/mp4"),
            (b"\0\0\0\x18ftyp", Video, "video/mp4"),
            (b"\0\0\0\x18ftypM4A ", Audio, "audio/mp4"),
            (b"\0\0\0\x18ftypqt  ", Video, "video/quicktime"),
            (b"\0\0\0\x18ftypavif", Image, "image/avif"),
            (b"\0\0\0\x18ftypheix", Image, "image/heic"),
            (b"\0\0\0\x18ftyp3gp5", Video, "video/3gpp"),
            (b"\0\0\0\x18ftyp3g2a", Video, "video/3gpp2"),
            (b"\0\0\x10\0moov", Video, "video/quicktime"),
            (b"\0\0\0\x08wide", Video, "video/quicktime"),
            (b"\x1A\x45\xDF\xA3\x93\x42\x82\x84webm", Video, "video/webm"),
            (b"\x1A\x45\xDF\xA3\x93\x42\x82\x88matroska", Video, "video/x-matroska"),
            (b"RIFF\0\0\0\0AVI ", Video, "video/x-msvideo"),
            (b"RIFF\0\0\0\0WAVE", Audio, "audio/wav"),
            (b"RF64\0\0\0\0WAVE", Audio, "audio/wav"),
            (b"RIFF\0\0\0\0WEBP", Image, "image/webp"),
            (b"FORM\0\0\0\0AIFF", Audio, "audio/aiff"),
            (b"FORM\0\0\0\0AIFC", Audio, "audio/aiff"),
            (b"OggS\0\x02\x80theora", Video, "video/ogg"),
            (b"OggS\0\x02\x01vorbis", Audio, "audio/ogg"),
            (b"fLaC", Audio, "audio/flac"),
            (b"FLV\x01", Video, "video/x-flv"),
            (b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", Video, "video/x-ms-asf"),
            (b"\x06\x0E\x2B\x34\x02\x05\x01\x01", Video, "application/mxf"),
            (b"\0\0\x01\xBA", Video, "video/mpeg"),
            (b"\0\0\x01\xB3", Video, "video/mpeg"),
            (b".RMF", Video, "application/vnd.rn-realmedia"),
            (b"DKIF", Video, "video/x-ivf"),
            (b"YUV4MPEG2 W16", Video, "video/x-yuv4mpeg"),
            (b"riff\x2E\x91\xCF\x11", Audio, "audio/x-w64"),
            (b".snd", Audio, "audio/basic"),
            (b"TTA1", Audio, "audio/x-tta"),
            (b"nut/multimedia container", Video, "video/x-nut"),
            (b"caff", Audio, "audio/x-caf"),
            (b"#!AMR\n", Audio, "audio/amr"),
            (b"wvpk", Audio, "audio/x-wavpack"),
            (b"MAC ", Audio, "audio/x-ape"),
            (b"ID3\x04", Audio, "audio/mpeg"),
            (b"\xFF\xD8\xFF\xE0", Image, "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n", Image, "image/png"),
            (b"GIF87a", Image, "image/gif"),
            (b"GIF89a", Image, "image/gif"),
            (b"II*\0", Image, "image/tiff"),
            (b"MM\0*", Image, "image/tiff"),
            (b"BM\x36\x10\0\0\0\0\0\0", Image, "image/bmp"),
            (b"\0\0\0\x0CJXL \r\n\x87\n", Image, "image/jxl"),
            (b"\xFF\x0A", Image, "image/jxl"),
            (b"\0\0\0\x0CjP  \r\n\x87\n", Image, "image/jp2"),
            (b"\xFF\x4F\xFF\x51", Image, "image/jp2"),
            (b"\x0B\x77\x00\x00", Audio, "audio/ac3"),
        ] {
            assert_eq!(sniff(head), media(kind, mime), "{head:?}");
        }
        // Half a signature is none.
        for head in [
            &b"RIFF\0\0\0\0CDXA"[..],
            b"FORM\0\0\0\0ILBM",
            b"XXXX\0\0\0\0WAVE",
            b"XXXX\0\0\0\0AVI ",
            b"XXXX\0\0\0\0WEBP",
            b"XXXX\0\0\0\0AIFF",
        ] {
            assert!(!matches!(sniff(head), Sniffed::Media { .. }), "{head:?}");
        }
        let cursor = sniff(b"RIFF\0\0\0\0ACONLIST");
        assert_eq!(cursor, Sniffed::Other { mime: "application/x-navi-animation".to_owned() });
        assert_eq!(sniff(b"BM, said the man"), Sniffed::Other { mime: "text/plain".to_owned() });
    }

    #[test]
    fn a_transport_stream_has_its_sync_bytes() {
        // `at` bytes before the first, one every `step`.
        let stream = |at: usize, step: usize, len: usize| {
            let mut bytes = vec![0; len];
            bytes.iter_mut().skip(at).step_by(step).for_each(|byte| *byte = 0x47);
            bytes
        };
        let found = media(Video, "video/mp2t");
        for (at, step) in [(0, 188), (4, 192)] {
            for packets in [1, 3, 5, 6] {
                assert_eq!(sniff(&stream(at, step, at + step * packets)), found, "{at} {step} {packets}");
            }
            for broken in 0..5 {
                let mut bytes = stream(at, step, at + step * 6);
                bytes[at + broken * step] = 0;
                assert_eq!(sniff(&bytes), Sniffed::Unknown, "{at} {step} {broken}");
            }
            assert_eq!(sniff(&stream(at, step, at + step - 1)), Sniffed::Unknown);
        }
    }

    /// Two frames with these headers, the second where the first says.
    fn frames(header: &[u8], len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len * 2];
        for start in [0, len] {
            bytes[start..start + header.len()].copy_from_slice(header);
        }
        bytes
    }

    #[test]
    fn elementary_streams_agree_with_themselves() {
        let (mp3, aac) = (media(Audio, "audio/mpeg"), media(Audio, "audio/aac"));
        // MPEG-1 layer 3: 128 kbit/s at 44.1 kHz, padded, 320 at 48, 32 at 32; MPEG-2 at 24 kHz; MPEG-2.5 at 8.
        for (header, len) in [
            ([0xFF, 0xFB, 0x90, 0x00], 417),
            ([0xFF, 0xFB, 0x92, 0x00], 418),
            ([0xFF, 0xFB, 0xE4, 0x00], 960),
            ([0xFF, 0xFA, 0x18, 0x00], 144),
            ([0xFF, 0xF3, 0x84, 0x00], 192),
            ([0xFF, 0xE3, 0x18, 0x00], 72),
        ] {
            assert_eq!(sniff(&frames(&header, len)), mp3, "{header:x?}");
            assert_eq!(sniff(&frames(&header, len + 1)), Sniffed::Unknown, "{header:x?}");
            assert_eq!(sniff(&frames(&header, len - 1)), Sniffed::Unknown, "{header:x?}");
        }
        // A reserved version, another layer, no rate, a rate that is forbidden, a reserved frequency.
        for header in [
            [0xFF, 0xEB, 0x90, 0x00],
            [0xFF, 0xFD, 0x90, 0x00],
            [0xFF, 0xFB, 0x00, 0x00],
            [0xFF, 0xFB, 0xF0, 0x00],
            [0xFF, 0xFB, 0x9C, 0x00],
            [0xFF, 0xDB, 0x90, 0x00],
        ] {
            assert_eq!(sniff(&frames(&header, 417)), Sniffed::Unknown, "{header:x?}");
        }
        for len in [7, 8, 255, 256, 2048, 0x1FFF] {
            let bits = [(len >> 11) as u8 & 3, (len >> 3) as u8, (len as u8 & 7) << 5];
            let header = [0xFF, 0xF1, 0x50, bits[0] | 0x80, bits[1], bits[2] | 0x1F, 0xFC];
            assert_eq!(sniff(&frames(&header, len)), aac, "{len}");
        }
        // Its header is longer than that; no sync; a layer.
        assert_eq!(sniff(&[0xFF, 0xF1, 0x50, 0x80, 0x00, 0xDF].repeat(3)), Sniffed::Unknown);
        for start in [[0xFE, 0xF1], [0xFF, 0xE1], [0xFF, 0xF3]] {
            let header = [start[0], start[1], 0x50, 0x80, 0x02, 0x1F, 0xFC];
            assert_eq!(sniff(&frames(&header, 16)), Sniffed::Unknown, "{start:x?}");
        }
    }
}
