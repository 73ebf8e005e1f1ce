//! Names are labels: they never become a path, but they are shown, searched and sent back in headers.

use reelhouse_api::Fault;

/// Longest name, in characters: contract, section 2.1.
const MAX_CHARS: usize = 255;

/// The asset's name: the form's field as given, else the file part's name made safe, else `upload`.
pub(crate) fn choose(field: Option<&str>, part: Option<&str>) -> Result<String, Fault> {
    let field = field_name(field.unwrap_or_default())?;
    if !field.is_empty() {
        return Ok(field);
    }
    let part = printable(last_segment(part.unwrap_or_default()));
    Ok(match part.as_str() {
        "" | "." | ".." => "upload".to_owned(),
        _ => shorten(&part),
    })
}

/// The name that a request must give.
pub(crate) fn given(field: &str) -> Result<String, Fault> {
    let name = field_name(field)?;
    if name.is_empty() { Err(Fault::ParameterNotProvided { parameter: "filename" }) } else { Ok(name) }
}

fn field_name(field: &str) -> Result<String, Fault> {
    let field = printable(field);
    let count = field.chars().count();
    if count <= MAX_CHARS {
        return Ok(field);
    }
    let reason = format!("It has {count} characters, at most {MAX_CHARS} are allowed.");
    Err(Fault::ParameterInvalid { parameter: "filename", reason })
}

/// Without control characters (newlines and NUL among them) and without the marks that reorder text around them.
fn printable(name: &str) -> String {
    let reorders = |c: char| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{2028}' | '\u{2029}');
    name.chars().filter(|c| !c.is_control() && !reorders(*c)).collect::<String>().trim().to_owned()
}

/// Some clients send a whole path, with either kind of slash.
fn last_segment(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

/// Cuts the stem, keeps the extension: nobody chose a part's name to be judged by its length.
fn shorten(name: &str) -> String {
    let count = name.chars().count();
    if count <= MAX_CHARS {
        return name.to_owned();
    }
    let extension = name.rfind('.').map_or("", |dot| &name[dot..]);
    let extension = if extension.chars().count() <= 16 { extension } else { "" };
    let stem: String = name.chars().take(MAX_CHARS - extension.chars().count()).collect();
    // A blank where it was cut is at the end now.
    (stem + extension).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_wins_and_stays_as_given() {
        assert_eq!(choose(Some("a \"b\"/c.mp4"), Some("x.mp4")).unwrap(), "a \"b\"/c.mp4");
        assert_eq!(choose(Some("  "), Some("x.mp4")).unwrap(), "x.mp4");
    }

    #[test]
    fn a_name_that_must_be_given_is_the_one_that_was() {
        assert_eq!(given(" a/b.mp4\n").unwrap(), "a/b.mp4");
        assert_eq!(given(" \0").unwrap_err().code(), "parameter_not_provided");
    }

    #[test]
    fn a_parts_name_is_made_safe() {
        for (given, kept) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\clips\\a.mp4", "a.mp4"),
            ("🎬 é.mp4", "🎬 é.mp4"),
            ("a\r\nb\0.mp4", "ab.mp4"),
            ("evil\u{202E}4pm.exe", "evil4pm.exe"),
            ("..", "upload"),
            ("a/", "upload"),
            ("", "upload"),
        ] {
            assert_eq!(choose(None, Some(given)).unwrap(), kept, "{given:?}");
        }
        assert_eq!(choose(None, None).unwrap(), "upload");
    }

    #[test]
    fn long_part_names_are_cut_and_long_fields_refused() {
        let long = "é".repeat(300) + ".mp4";
        let kept = choose(None, Some(&long)).unwrap();
        assert_eq!(kept.chars().count(), 255);
        assert!(kept.ends_with("é.mp4"));
        assert_eq!(choose(None, Some(&format!("{} b", "a".repeat(254)))).unwrap(), "a".repeat(254));
        let extension = |chars: usize| {
            let long = format!("{}.{}", "a".repeat(300), "b".repeat(chars - 1));
            choose(None, Some(&long)).unwrap().contains('.')
        };
        assert!(extension(16) && !extension(17));
        assert_eq!(choose(Some(&long), None).unwrap_err().code(), "parameter_invalid");
        assert!(choose(Some(&"é".repeat(255)), None).is_ok());
    }
}
