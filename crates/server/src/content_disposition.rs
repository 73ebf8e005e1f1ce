//! Content-Disposition, both ways: what a form's part is called (RFC 7578), and what a download shall be called
//! (RFC 6266).

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What a part's headers say. All of it untrusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FormPart {
    /// The field.
    pub(crate) name: String,
    /// The name of the file, as the client wrote it.
    pub(crate) filename: Option<String>,
}

/// Reads a part's headers; `None` when they name no field.
pub(crate) fn parse_part(headers: &[u8]) -> Option<FormPart> {
    let headers = String::from_utf8_lossy(headers);
    let value = headers.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let (kind, mut rest) = value.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut name, mut filename, mut extended) = (None, None, None);
    while let Some((key, value, after)) = next_parameter(rest) {
        match key.to_ascii_lowercase().as_str() {
            "name" => name = name.or(Some(value)),
            "filename" => filename = filename.or(Some(value)),
            "filename*" => extended = extended.or_else(|| decode_extended(&value)),
            _ => {}
        }
        rest = after;
    }
    Some(FormPart { name: name?, filename: extended.or(filename) })
}

/// One `key=value` or `key="value"`, and what follows it.
fn next_parameter(text: &str) -> Option<(&str, String, &str)> {
    let text = text.trim_start_matches([' ', '\t', ';']);
    let (key, text) = text.split_once('=')?;
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return Some((key.trim(), text[..end].trim().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((key.trim(), undo_form_escapes(&value), &quoted[at + 1..])),
            // Only these two are escapes: old browsers send `C:\clips\a.mp4` unescaped.
            '\\' => match characters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    // The quote never closes: take what there is.
    Some((key.trim(), undo_form_escapes(&value), ""))
}

/// What HTML's form encoding escapes in names, and nothing else: a name may well hold a percent sign of its own.
fn undo_form_escapes(value: &str) -> String {
    value.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

/// `UTF-8''na%C3%AFve.mp4` (RFC 8187).
fn decode_extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    percent_decode_str(encoded).decode_utf8().ok().map(Into::into)
}

/// What RFC 8187 lets stand unescaped.
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The header of a download, or of something shown in place: an ASCII name for old clients, the real one beside it.
pub(crate) fn of(filename: &str, shown: bool) -> HeaderValue {
    let kind = if shown { "inline" } else { "attachment" };
    let plain: String =
        filename
            .chars()
            .map(|c| {
                if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%' | '/') || c == ' ' { c } else { '_' }
            })
            .collect();
    let text = format!(
        "{kind}; filename=\"{plain}\"; filename*=UTF-8''{}",
        utf8_percent_encode(filename, ATTRIBUTE)
    );
    // Only visible ASCII is in it.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(headers: &str) -> Option<(String, Option<String>)> {
        parse_part(headers.as_bytes()).map(|part| (part.name, part.filename))
    }

    #[test]
    fn parts_as_clients_write_them() {
        for (headers, name, filename) in [
            ("Content-Disposition: form-data; name=\"method\"", "method", None),
            ("content-disposition:form-data;name=file;filename=a.mp4", "file", Some("a.mp4")),
            (
                "X: y\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\\\"b.mp4\"",
                "file",
                Some("a\"b.mp4"),
            ),
            (
                "Content-Disposition: form-data; name=\"file\"; filename=\"a%22b;c.mp4\"",
                "file",
                Some("a\"b;c.mp4"),
            ),
            (
                "Content-Disposition: form-data; name=\"file\"; filename=\"C:\\x\\a.mp4\"",
                "file",
                Some("C:\\x\\a.mp4"),
            ),
            ("Content-Disposition: form-data; name=\"file\"; filename=\"🎬.mp4\"", "file", Some("🎬.mp4")),
            (
                "Content-Disposition: form-data; name=\"file\"; filename=\"_\"; filename*=UTF-8''%C3%A9.mp4",
                "file",
                Some("é.mp4"),
            ),
            ("Content-Disposition: form-data; filename=\"x\"; name=\"a=b\"", "a=b", Some("x")),
            ("Content-Disposition: form-data; name=\"open", "open", None),
        ] {
            assert_eq!(part(headers), Some((name.to_owned(), filename.map(str::to_owned))), "{headers}");
        }
        for bad in [
            "",
            "Content-Type: text/plain",
            "Content-Disposition: form-data",
            "Content-Disposition: attachment; name=\"a\"",
        ] {
            assert_eq!(part(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_downloads_name_cannot_leave_its_quotes() {
        let header = of("a\"b\r\n/é.mp4", false);
        assert_eq!(header, "attachment; filename=\"a_b____.mp4\"; filename*=UTF-8''a%22b%0D%0A%2F%C3%A9.mp4");
    }
}
