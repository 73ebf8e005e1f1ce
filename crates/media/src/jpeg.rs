//! What can be told of a JPEG without decoding it.

use memchr::memchr;

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;

/// Whether a JPEG comes to its end marker: decoders paint what is missing grey and say nothing.
pub(crate) fn ends(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut in_scan = false;
    loop {
        // Outside a scan only markers stand here; decoders tolerate what does not belong.
        let Some(at) = memchr(0xFF, rest) else { return false };
        let after = rest.get(at + 1..).unwrap_or_default();
        let Some(fill) = after.iter().position(|byte| *byte != 0xFF) else { return false };
        let Some((&marker, after)) = after.get(fill..).and_then(<[u8]>::split_first) else { return false };
        rest = after;
        match marker {
            EOI => return true,
            // Stuffed bytes and restarts are part of a scan; SOI and TEM stand alone.
            0x00 | 0x01 | 0xD0..=SOI => continue,
            _ if in_scan && !matches!(marker, 0xC4 | SOS..=0xDD | 0xE0..=0xEF | 0xFE) => continue,
            _ => {}
        }
        let Some(&[high, low]) = rest.first_chunk() else { return false };
        let len = usize::from(u16::from_be_bytes([high, low])).max(2);
        let Some(after) = rest.get(len..) else { return false };
        rest = after;
        in_scan |= marker == SOS;
    }
}

/// The headers of a plain picture: one whole sequential scan of 8 bits, in the usual colours and samplings, all of whose tables are
/// there. `None` for what is not whole, and for what is not plain.
///
/// Of a damaged scan our decoder shows what it can; it refuses what it cannot set up, and what it does not know. Nothing of that
/// can happen to a plain picture whose headers it has read: whether it decodes is known without decoding it.
pub(crate) fn headers_of_plain(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(&[0xFF, SOI])?;
    let mut seen = Seen::default();
    loop {
        let [0xFF, marker, high, low, ..] = *rest else { return None };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let (segment, after) = rest.get(2..)?.split_at_checked(len)?;
        let content = segment.get(2..)?;
        match marker {
            0xC0 | 0xC1 => seen.frame(content)?,
            0xC4 => seen.huffman_tables(content)?,
            0xDB => seen.quantization_tables(content)?,
            0xDD => (content.len() == 2).then_some(())?,
            // Motion JPEG leaves its tables out.
            0xE0 if content.starts_with(b"AVI1") => return None,
            // Of what Adobe's marker says of colours, only the usual is sure to be taken.
            0xEE if content.get(11) != Some(&1) => return None,
            0xEE => seen.has_adobe = true,
            0xE0..=0xEF | 0xFE => {}
            SOS => {
                let is_plain = seen.scan(content) && runs_to_its_end(after);
                return is_plain.then(|| bytes.get(..bytes.len() - after.len())).flatten();
            }
            _ => return None,
        }
        rest = after;
    }
}

/// Whether coded data is followed by the end marker, and by no other.
fn runs_to_its_end(mut scan: &[u8]) -> bool {
    while let Some(at) = memchr(0xFF, scan) {
        match scan.get(at + 1) {
            Some(0x00 | 0xD0..=0xD7) => scan = &scan[at + 2..],
            other => return other == Some(&EOI),
        }
    }
    false
}

/// What headers have said so far.
#[derive(Debug, Default)]
struct Seen {
    /// Identifier and quantization table of each.
    components: Vec<(u8, u8)>,
    quantization: [bool; 4],
    /// Of DC and AC.
    huffman: [[bool; 4]; 2],
    has_adobe: bool,
}

impl Seen {
    /// Grey, or colours of which the first is sampled as finely as the others or twice as finely.
    fn frame(&mut self, content: &[u8]) -> Option<()> {
        let (&[8, _, _, _, _, count], components) = content.split_first_chunk()? else { return None };
        let components: Vec<&[u8]> = components.chunks(3).collect();
        let samplings: Vec<u8> =
            components.iter().filter_map(|component| component.get(1).copied()).collect();
        let is_usual = match samplings.as_slice() {
            [0x11] => true,
            [first, 0x11, 0x11] => matches!(first, 0x11 | 0x21 | 0x22),
            _ => false,
        };
        let is_first = self.components.is_empty();
        self.components = components
            .iter()
            .filter_map(|component| Some((*component.first()?, *component.get(2)?)))
            .collect();
        (is_first && is_usual && self.components.len() == usize::from(count)).then_some(())
    }

    fn quantization_tables(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&number, rest)) = content.split_first() {
            // Of 8 bits.
            *self.quantization.get_mut(usize::from(number))? = true;
            content = rest.get(64..)?;
        }
        Some(())
    }

    fn huffman_tables(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&[class_and_number, ref counts @ ..], rest)) = content.split_first_chunk::<17>() {
            let table = self.huffman.get_mut(usize::from(class_and_number >> 4))?;
            *table.get_mut(usize::from(class_and_number & 15))? = true;
            content = rest.get(counts.iter().map(|count| usize::from(*count)).sum()..)?;
        }
        content.is_empty().then_some(())
    }

    /// Whether one scan holds all, by tables that are there.
    fn scan(&self, content: &[u8]) -> bool {
        let Some((&count, content)) = content.split_first() else { return false };
        let Some((components, [0, 63, 0])) = content.split_at_checked(usize::from(count) * 2) else {
            return false;
        };
        let has_table =
            |tables: &[bool; 4], number: u8| tables.get(usize::from(number)).copied().unwrap_or(false);
        let is_known = |(scanned, (id, quantization)): (&[u8], &(u8, u8))| {
            matches!(scanned, [of, tables] if of == id
                && has_table(&self.huffman[0], tables >> 4)
                && has_table(&self.huffman[1], tables & 15))
                && has_table(&self.quantization, *quantization)
        };
        !self.components.is_empty()
            && usize::from(count) == self.components.len()
            // Grey has no colours to be said anything of.
            && !(count == 1 && self.has_adobe)
            && components.chunks(2).zip(&self.components).all(is_known)
    }
}

#[cfg(test)]
mod tests {
    use image::{ImageDecoder, codecs::jpeg::JpegDecoder};
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
    use proptest::{prelude::*, sample::Index};

    use super::*;

    #[test]
    fn a_picture_ends_with_its_marker_and_not_with_its_thumbnails() {
        let thumbnail = [0xFF, 0xD8, 0xFF, 0xD9];
        let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 6];
        jpeg.extend(thumbnail);
        jpeg.extend([0xFF, 0xDA, 0, 2, 1, 2, 0xFF, 0, 0xFF, 0xD0, 3]);
        assert!(!ends(&jpeg));
        jpeg.extend([0xFF, 0xD9, 7, 7]);
        assert!(ends(&jpeg));
        assert!(!ends(b""));
    }

    #[derive(Debug, Clone, Copy)]
    struct Kind {
        color: ColorType,
        sampling: SamplingFactor,
        restarts: u16,
        progressive: bool,
        own_tables: bool,
    }

    fn picture(kind: Kind) -> Vec<u8> {
        let (width, height) = (40u16, 24u16);
        let channels = if kind.color == ColorType::Luma { 1 } else { 3 };
        let pixels: Vec<u8> = (0..usize::from(width) * usize::from(height) * channels)
            .map(|n| (n * n / 7 % 251) as u8)
            .collect();
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 80);
        encoder.set_sampling_factor(kind.sampling);
        encoder.set_progressive(kind.progressive);
        encoder.set_optimized_huffman_tables(kind.own_tables);
        if kind.restarts > 0 {
            encoder.set_restart_interval(kind.restarts);
        }
        encoder.encode(&pixels, width, height, kind.color).unwrap();
        bytes
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        let color = prop_oneof![Just(ColorType::Rgb), Just(ColorType::Ycbcr), Just(ColorType::Luma)];
        let sampling = prop_oneof![
            Just(SamplingFactor::R_4_4_4),
            Just(SamplingFactor::R_4_2_2),
            Just(SamplingFactor::R_4_2_0),
            Just(SamplingFactor::R_4_4_0),
            Just(SamplingFactor::R_4_1_1)
        ];
        let restarts = prop_oneof![Just(0u16), 1u16..9];
        (color, sampling, restarts, prop::bool::weighted(0.1), any::<bool>()).prop_map(
            |(color, sampling, restarts, progressive, own_tables)| Kind {
                color,
                sampling,
                restarts,
                progressive,
                // The encoder cannot do both.
                own_tables: own_tables && restarts == 0,
            },
        )
    }

    /// Whether all of it decodes, by the decoder itself.
    fn decodes(bytes: &[u8]) -> bool {
        let decoded = std::panic::catch_unwind(|| {
            let decoder = JpegDecoder::new(std::io::Cursor::new(bytes))?;
            let mut pixels = vec![0; usize::try_from(decoder.total_bytes()).unwrap()];
            decoder.read_image(&mut pixels)
        });
        matches!(decoded, Ok(Ok(())))
    }

    #[test]
    fn plain_is_what_most_encoders_write() {
        let kind = |color, sampling, progressive| {
            let jpeg = picture(Kind { color, sampling, restarts: 2, progressive, own_tables: false });
            headers_of_plain(&jpeg).is_some()
        };
        assert!(kind(ColorType::Rgb, SamplingFactor::R_4_2_0, false));
        assert!(kind(ColorType::Rgb, SamplingFactor::R_4_4_4, false));
        assert!(kind(ColorType::Luma, SamplingFactor::R_4_4_4, false));
        assert!(!kind(ColorType::Rgb, SamplingFactor::R_4_2_0, true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(
            std::env::var("REELHOUSE_TEST_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(4000)
        ))]

        /// What is said to be plain, the decoder takes, whatever is wrong with it; and nothing is said of what is cut short.
        #[test]
        fn plain_is_what_the_decoder_takes(
            kind in kinds(),
            changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
            in_headers in any::<bool>(),
            cut in prop::option::of((any::<Index>(), 0usize..40)),
            keeps in any::<Index>(),
            is_cut_short in prop::bool::weighted(0.2),
        ) {
            let mut bytes = picture(kind);
            // Half of the time where it hurts.
            let within = if in_headers { bytes.len().min(700) } else { bytes.len() };
            for (at, byte) in changes {
                let at = at.index(within);
                bytes[at] = byte;
            }
            if let Some((from, len)) = cut {
                let from = from.index(bytes.len());
                bytes.drain(from..(from + len).min(bytes.len()));
            }
            if is_cut_short {
                bytes.truncate(keeps.index(bytes.len()));
            }
            if let Some(headers) = headers_of_plain(&bytes) {
                prop_assert!(ends(&bytes));
                let opens = JpegDecoder::new(std::io::Cursor::new(headers)).is_ok();
                prop_assert_eq!(opens, decodes(&bytes));
            }
        }
    }
}
