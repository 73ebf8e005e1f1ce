//! The Range header (RFC 9110, section 14): one range of bytes, or the whole.

/// What part of a file a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// No range, one that is not understood, or several at once: all of it, which is always allowed.
    Whole,
    /// From the first to the last byte, both included.
    Part {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// A range that begins behind the end.
    Outside,
}

/// Reads a Range header for a file of `size` bytes.
pub(crate) fn parse(header: &str, size: u64) -> Wanted {
    let Some((unit, range)) = header.split_once('=') else { return Wanted::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let (first, last) = match (number(first), number(last)) {
        (Some(Some(first)), Some(last)) => (first, last.unwrap_or(u64::MAX)),
        // The last so many bytes; the last 0 begin behind the end.
        (Some(None), Some(Some(suffix))) => (size.saturating_sub(suffix), u64::MAX),
        _ => return Wanted::Whole,
    };
    if first > last {
        return Wanted::Whole;
    }
    if first >= size {
        return Wanted::Outside;
    }
    Wanted::Part { first, last: last.min(size - 1) }
}

/// `Some(None)` for nothing, `None` for what is no number. Beyond any file is still a number.
fn number(text: &str) -> Option<Option<u64>> {
    match text.trim() {
        "" => Some(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Some(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges() {
        for (header, wanted) in [
            ("bytes=0-0", Wanted::Part { first: 0, last: 0 }),
            ("bytes=0-", Wanted::Part { first: 0, last: 9 }),
            ("bytes=4-99", Wanted::Part { first: 4, last: 9 }),
            ("bytes=-3", Wanted::Part { first: 7, last: 9 }),
            ("bytes=-99", Wanted::Part { first: 0, last: 9 }),
            ("BYTES = 1 - 2", Wanted::Part { first: 1, last: 2 }),
            ("bytes=9-99999999999999999999999", Wanted::Part { first: 9, last: 9 }),
            ("bytes=10-", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=3-2", Wanted::Whole),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(parse(header, 10), wanted, "{header}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_always_inside(header in ".{0,20}|bytes=[0-9]{0,20}-[0-9]{0,20}", size in 0..u64::MAX) {
            if let Wanted::Part { first, last } = parse(&header, size) {
                prop_assert!(first <= last && last < size);
            }
        }
    }
}
