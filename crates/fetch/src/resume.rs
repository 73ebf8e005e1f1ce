use http::{HeaderMap, header};

use crate::{Validator, body};

/// Where an earlier fetch of the same URL ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Bytes that are there; less than the total, or there is nothing to fetch.
    pub from: u64,
    /// Whose bytes they are.
    pub validator: Validator,
    /// Bytes of the whole, as far as the origin said.
    pub total: Option<u64>,
}

impl Resume {
    /// Whether a 206 goes on where we were, and then the bytes of the whole. It does not when it is another version, another
    /// part, encoded, or does not say where it ends.
    pub(crate) fn total_continued_by(&self, headers: &HeaderMap) -> Option<u64> {
        let range = ContentRange::of(headers)?;
        let total = match (range.total, self.total) {
            (Some(now), Some(before)) if now != before => return None,
            (now, before) => now.or(before)?,
        };
        let goes_on = range.first == self.from
            && range.last < total
            && !self.validator.is_contradicted_by(headers)
            && body::codings(headers).is_empty();
        goes_on.then_some(total)
    }
}

/// `bytes 100-199/1000` (RFC 9110, 14.4).
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl ContentRange {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::CONTENT_RANGE).iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        Self::parse(value.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, total) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        let (first, last) = (number(first)?, number(last)?);
        (unit.eq_ignore_ascii_case("bytes") && first <= last).then_some(Self { first, last, total })
    }
}

/// Digits only: `+5` is a number elsewhere.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_goes_on() {
        let resume = |total| Resume { from: 100, validator: "\"a\"".parse().unwrap(), total };
        let headers = |lines: &[(&'static str, &str)]| -> HeaderMap {
            lines
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
                .collect()
        };
        for (range, before, now) in [
            ("bytes 100-999/1000", Some(1000), Some(1000)),
            ("bytes 100-999/1000", None, Some(1000)),
            ("bytes 100-199/1000", Some(1000), Some(1000)),
            ("bytes 100-999/*", Some(1000), Some(1000)),
            ("Bytes  100-999/1000 ", Some(1000), Some(1000)),
            ("bytes 100-999/*", None, None),
            ("bytes 100-1000/*", Some(1000), None),
            ("bytes 100-999/1000", Some(1001), None),
            ("bytes 99-999/1000", Some(1000), None),
            ("bytes 101-999/1000", Some(1000), None),
            ("bytes 100-1000/1000", Some(1000), None),
            ("bytes 100-99/1000", Some(1000), None),
            ("bytes */1000", Some(1000), None),
            ("bytes +100-999/1000", Some(1000), None),
            ("chunks 100-999/1000", Some(1000), None),
            ("bytes 100-99999999999999999999/1000", Some(1000), None),
            ("", Some(1000), None),
        ] {
            let headers = headers(&[("content-range", range)]);
            assert_eq!(resume(before).total_continued_by(&headers), now, "{range}");
        }
        let good = ("content-range", "bytes 100-999/1000");
        for lines in [
            &[][..],
            &[good, ("etag", "\"b\"")],
            &[good, ("etag", "W/\"a\"")],
            &[good, ("content-encoding", "gzip")],
        ] {
            assert_eq!(resume(Some(1000)).total_continued_by(&headers(lines)), None, "{lines:?}");
        }
        let same = headers(&[good, ("etag", "\"a\""), ("content-encoding", "identity")]);
        assert_eq!(resume(Some(1000)).total_continued_by(&same), Some(1000));
        let mut twice = headers(&[good]);
        twice.append("content-range", HeaderValue::from_static("bytes 100-999/1000"));
        assert_eq!(resume(Some(1000)).total_continued_by(&twice), None);
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "\\PC*") {
            ContentRange::parse(&text);
            ContentRange::parse(&format!("bytes {text}"));
        }
    }
}
