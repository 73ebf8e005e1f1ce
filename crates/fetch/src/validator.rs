use std::{fmt, str::FromStr, time::Duration};

use http::{HeaderMap, HeaderName, header};
use httpdate::parse_http_date;

/// How much older than the answer a modification must be, so that one second cannot hold two of them, whoever's clocks
/// the two are (RFC 9110, 8.8.2.2).
const SETTLED: Duration = Duration::from_secs(60);

/// Tells one version of an origin's bytes from every other: a strong ETag, else a strong Last-Modified, as the origin
/// wrote it. Its text can be kept and parsed back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator(String);

/// A text that no origin can have sent as a strong validator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither a strong ETag nor an HTTP date")]
pub struct ValidatorError;

impl Validator {
    /// As it stands in `If-Range`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The strong validator of an answer, if it has one. Where there is an ETag, only the ETag counts (RFC 9110, 13.1.5).
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(header::ETAG) {
            return text(headers, header::ETAG)
                .filter(|tag| is_strong_etag(tag))
                .map(|tag| Self(tag.to_owned()));
        }
        let modified = text(headers, header::LAST_MODIFIED)?;
        let sent = parse_http_date(text(headers, header::DATE)?).ok()?;
        let age = sent.duration_since(parse_http_date(modified).ok()?).ok()?;
        (age >= SETTLED).then(|| Self(modified.to_owned()))
    }

    /// Whether an answer says that it is of another version.
    pub(crate) fn is_contradicted_by(&self, headers: &HeaderMap) -> bool {
        let name = if self.0.starts_with('"') { header::ETAG } else { header::LAST_MODIFIED };
        headers.get_all(name).iter().any(|value| value.as_bytes() != self.0.as_bytes())
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// RFC 9110, 8.8.3; in ASCII, so that it is a text.
fn is_strong_etag(text: &str) -> bool {
    text.len() >= 2
        && text.len() <= 1024
        && text.starts_with('"')
        && text.ends_with('"')
        && text[1..text.len() - 1].bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
}

impl FromStr for Validator {
    type Err = ValidatorError;

    fn from_str(text: &str) -> Result<Self, ValidatorError> {
        if is_strong_etag(text) || parse_http_date(text).is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(ValidatorError)
        }
    }
}

impl fmt::Display for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    const NOON: &str = "Tue, 15 Nov 1994 12:00:00 GMT";

    #[test]
    fn which_are_strong() {
        for (lines, strong) in [
            (&[("etag", "\"a\"")][..], Some("\"a\"")),
            (&[("etag", "\"\"")], Some("\"\"")),
            (&[("etag", "W/\"a\"")], None),
            (&[("etag", "a")], None),
            (&[("etag", "\"")], None),
            (&[("etag", "\"a\"b\"")], None),
            (&[("last-modified", NOON)], None),
            (&[("last-modified", NOON), ("date", NOON)], None),
            (&[("last-modified", NOON), ("date", "Tue, 15 Nov 1994 12:00:59 GMT")], None),
            (&[("last-modified", NOON), ("date", "Tue, 15 Nov 1994 12:01:00 GMT")], Some(NOON)),
            (&[("last-modified", NOON), ("date", "Tue, 15 Nov 1994 11:00:00 GMT")], None),
            (&[("last-modified", "yesterday"), ("date", NOON)], None),
            // A client that has an ETag must not send a date.
            (
                &[("etag", "W/\"a\""), ("last-modified", NOON), ("date", "Tue, 15 Nov 1994 13:00:00 GMT")],
                None,
            ),
            (&[], None),
        ] {
            let found = Validator::of(&headers(lines));
            assert_eq!(found.as_ref().map(Validator::as_str), strong, "{lines:?}");
            if let Some(found) = found {
                assert_eq!(found.to_string().parse(), Ok(found));
            }
        }
    }

    #[test]
    fn which_texts_could_have_been_sent() {
        for text in ["", "W/\"a\"", "a", "\"a\nb\"", "\"", "tomorrow"] {
            assert_eq!(text.parse::<Validator>(), Err(ValidatorError), "{text:?}");
        }
    }

    #[test]
    fn contradictions() {
        let tag: Validator = "\"a\"".parse().unwrap();
        assert!(!tag.is_contradicted_by(&headers(&[("etag", "\"a\"")])));
        assert!(!tag.is_contradicted_by(&headers(&[("last-modified", NOON)])));
        assert!(tag.is_contradicted_by(&headers(&[("etag", "\"b\"")])));
        assert!(tag.is_contradicted_by(&headers(&[("etag", "W/\"a\"")])));
        let date: Validator = NOON.parse().unwrap();
        assert!(date.is_contradicted_by(&headers(&[("last-modified", "Tue, 15 Nov 1994 12:00:01 GMT")])));
        assert!(!date.is_contradicted_by(&headers(&[("etag", "\"a\"")])));
    }
}
