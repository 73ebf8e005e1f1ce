//! A TIFF without the tags that say nothing of its pixels: a strict libav takes each tag that it does not know for an error.

/// Tags of a directory that say how pixels lie, and of what colour they are (TIFF 6.0; 34675 is the ICC profile's).
const TAGS: [u16; 22] = [
    256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 529, 530,
    34675,
];
/// Bytes of an entry.
const ENTRY: usize = 12;

/// Takes the other tags out of the first directory, and the directories behind it; `None` when there is none.
pub(crate) fn keep_pixels(file: &mut [u8]) -> Option<()> {
    let is_big = file.starts_with(b"MM");
    let short = |bytes: [u8; 2]| if is_big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
    let long = |bytes: [u8; 4]| if is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
    let offset = long(*file.get(4..)?.first_chunk()?);
    let directory = file.get_mut(usize::try_from(offset).ok()?..)?;
    let count = usize::from(short(*directory.first_chunk()?));
    let (head, entries) = directory.split_at_mut_checked(2)?;
    let entries = entries.get_mut(..count * ENTRY + 4)?;
    let mut kept = 0;
    for n in 0..count {
        let entry = n * ENTRY..(n + 1) * ENTRY;
        if TAGS.contains(&short([entries[entry.start], entries[entry.start + 1]])) {
            entries.copy_within(entry, kept * ENTRY);
            kept += 1;
        }
    }
    // Where the next one would be.
    entries[kept * ENTRY..][..4].fill(0);
    let kept = u16::try_from(kept).ok()?;
    head.copy_from_slice(&if is_big { kept.to_be_bytes() } else { kept.to_le_bytes() });
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(tag: u16, value: u32) -> Vec<u8> {
        [&tag.to_be_bytes()[..], &[0, 4, 0, 0, 0, 1], &value.to_be_bytes()].concat()
    }

    #[test]
    fn pixels_stay() {
        let head = [&b"MM\0*\0\0\0\x0A"[..], b"xx"].concat();
        let entries = [entry(256, 7), entry(274, 6), entry(257, 8), entry(339, 1)].concat();
        let mut file = [&head[..], &[0, 4], &entries, &99u32.to_be_bytes(), b"pixels"].concat();
        assert_eq!(keep_pixels(&mut file), Some(()));
        let kept = [&head[..], &[0, 2], &entry(256, 7), &entry(257, 8), &[0; 4]].concat();
        assert_eq!(file[..kept.len()], kept);
        assert!(file.ends_with(b"pixels"));
        // What is cut inside the directory has none.
        for cut in 0..kept.len() {
            assert_eq!(keep_pixels(&mut kept.clone()[..cut]), None, "{cut}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(rest in prop::collection::vec(any::<u8>(), 0..200), at in 0..40u32) {
            for (order, at) in [(b"II*\0", at.to_le_bytes()), (b"MM\0*", at.to_be_bytes())] {
                let mut file = [&order[..], &at, &rest].concat();
                let len = file.len();
                keep_pixels(&mut file);
                prop_assert_eq!(file.len(), len);
            }
        }
    }
}
