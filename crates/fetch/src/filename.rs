//! What an origin calls its file (RFC 6266), else what its URL calls it.

use http::{HeaderMap, header};
use percent_encoding::percent_decode;

use crate::PublicUrl;

pub(crate) fn of(headers: &HeaderMap, url: &PublicUrl) -> Option<String> {
    let disposed = headers.get(header::CONTENT_DISPOSITION).and_then(|value| disposed(value.as_bytes()));
    disposed.or_else(|| url.filename()).filter(|name| !name.is_empty())
}

/// The name in a Content-Disposition. Headers are Latin-1 by their standard and UTF-8 by habit.
fn disposed(value: &[u8]) -> Option<String> {
    let latin = || value.iter().copied().map(char::from).collect();
    let text: String = std::str::from_utf8(value).map_or_else(|_| latin(), str::to_owned);
    let (mut plain, mut extended) = (None, None);
    let mut rest = text.as_str();
    while let Some((parameter, after)) = next_parameter(rest) {
        match parameter {
            Parameter { name, value } if name.eq_ignore_ascii_case("filename") => {
                plain = plain.or(Some(value));
            }
            Parameter { name, value } if name.eq_ignore_ascii_case("filename*") => {
                extended = extended.or_else(|| decode_extended(&value));
            }
            _ => {}
        }
        rest = after;
    }
    extended.or(plain).filter(|name| !name.is_empty())
}

struct Parameter<'a> {
    name: &'a str,
    value: String,
}

/// The next `;`-separated part and what follows it; a part without `=` (the disposition itself) is a name without a value.
fn next_parameter(text: &str) -> Option<(Parameter<'_>, &str)> {
    let text = text.trim_start_matches([' ', '\t', ';']);
    if text.is_empty() {
        return None;
    }
    let end = text.find([';', '=']).unwrap_or(text.len());
    let (name, rest) = (text[..end].trim(), &text[end..]);
    let Some(rest) = rest.strip_prefix('=') else {
        return Some((Parameter { name, value: String::new() }, rest));
    };
    let rest = rest.trim_start();
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(';').unwrap_or(rest.len());
        return Some((Parameter { name, value: rest[..end].trim().to_owned() }, &rest[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((Parameter { name, value }, &quoted[at + 1..])),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    // The quote never closes: what there is.
    Some((Parameter { name, value }, ""))
}

/// `UTF-8''na%C3%AFve.mp4` (RFC 8187).
fn decode_extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    let bytes = percent_decode(encoded.as_bytes());
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => bytes.decode_utf8().ok().map(Into::into),
        "iso-8859-1" => Some(bytes.map(char::from).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_as_origins_write_them() {
        for (value, name) in [
            ("attachment; filename=a.mp4", Some("a.mp4")),
            ("attachment; filename=\"a b;c.mp4\"", Some("a b;c.mp4")),
            ("attachment;filename=\"a\\\"b.mp4\"; x=y", Some("a\"b.mp4")),
            ("ATTACHMENT; FileName = a.mp4 ; size=3", Some("a.mp4")),
            ("inline; filename=\"_.mp4\"; filename*=UTF-8''%e2%82%ac%20r.mp4", Some("€ r.mp4")),
            ("attachment; filename*=utf-8'de'%C3%A4.mp4; filename=\"a.mp4\"", Some("ä.mp4")),
            ("attachment; filename*=iso-8859-1''%E4.mp4", Some("ä.mp4")),
            // What cannot be read is passed over.
            ("attachment; filename*=UTF-8''%ff; filename=a.mp4", Some("a.mp4")),
            ("attachment; filename*=koi8-r''x; filename=a.mp4", Some("a.mp4")),
            ("attachment; filename*=nonsense", None),
            ("filename=a.mp4", Some("a.mp4")),
            ("attachment; filename=a.mp4; filename=b.mp4", Some("a.mp4")),
            ("attachment; filename=\"a%20b.mp4\"", Some("a%20b.mp4")),
            ("attachment; filename=\"../../etc/passwd\"", Some("../../etc/passwd")),
            ("attachment; filename=\"open", Some("open")),
            ("attachment; filename=\"ä.mp4\"", Some("ä.mp4")),
            ("attachment; filename=\"\"", None),
            ("attachment; notfilename=a.mp4", None),
            ("attachment", None),
            ("", None),
        ] {
            assert_eq!(disposed(value.as_bytes()).as_deref(), name, "{value}");
        }
        assert_eq!(disposed(b"attachment; filename=\"\xe4.mp4\"").as_deref(), Some("ä.mp4"));
    }

    #[test]
    fn else_the_end_of_the_path() {
        for (url, name) in [
            ("http://a.example/x/b%20%C3%A4.mp4?c=d.mp4", Some("b ä.mp4")),
            ("http://a.example/a%2Fb.mp4", Some("a/b.mp4")),
            ("http://a.example/%ff.mp4", Some("\u{fffd}.mp4")),
            ("http://a.example/x/", None),
            ("http://a.example", None),
        ] {
            let url = PublicUrl::parse(url).unwrap();
            assert_eq!(of(&HeaderMap::new(), &url).as_deref(), name, "{url:?}");
        }
        let url = PublicUrl::parse("http://a.example/b.mp4").unwrap();
        for (value, name) in [("attachment; filename=c.mp4", "c.mp4"), ("inline", "b.mp4")] {
            let headers =
                HeaderMap::from_iter([(header::CONTENT_DISPOSITION, HeaderValue::from_static(value))]);
            assert_eq!(of(&headers, &url).as_deref(), Some(name));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>, text in "[\"\\\\;=*' a-z%ä]{0,40}") {
            disposed(&bytes);
            disposed(text.as_bytes());
            disposed(format!("attachment; filename{text}").as_bytes());
        }

        #[test]
        fn a_quoted_name_comes_back(name in "\\PC+") {
            let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
            let value = format!("attachment; filename=\"{quoted}\"");
            prop_assert_eq!(disposed(value.as_bytes()), Some(name));
        }
    }
}
