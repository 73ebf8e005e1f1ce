//! Values as people read them.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Bytes in binary units: `12.34 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// Seconds as a clock shows them: `0:12`, `1:02:03`.
pub(crate) fn clock(seconds: f64) -> String {
    // Saturates: an absurd duration is shown as one.
    let whole = seconds.round().max(0.0) as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Text of others on a terminal: nothing in it moves the cursor.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text in exactly so many columns: filled with blanks, or shortened in its middle, so that begin and ending show.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let taken = width(text);
    if taken <= columns {
        return format!("{text}{}", " ".repeat(columns - taken));
    }
    let tail_columns = columns.saturating_sub(1) / 2;
    let head = taking(text.chars(), columns.saturating_sub(1 + tail_columns));
    let tail: String = taking(text.chars().rev(), tail_columns).chars().rev().collect();
    let short = format!("{head}…{tail}");
    let missing = columns.saturating_sub(width(&short));
    format!("{short}{}", " ".repeat(missing))
}

fn taking(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut left = columns;
    chars
        .take_while(|c| {
            let wide = c.width().unwrap_or(0);
            let fits = wide <= left;
            left = left.saturating_sub(wide);
            fits
        })
        .collect()
}

/// The same words, in lines that end between them. What follows the first line of a paragraph is indented like the
/// second paragraph's advice: by two.
pub(crate) fn wrapped(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = paragraph.chars().take_while(|c| *c == ' ').collect::<String>();
        let mut empty = true;
        for word in paragraph.split_whitespace() {
            if !empty && width(&line) + 1 + width(word) > columns {
                lines.push(std::mem::replace(&mut line, "  ".to_owned()));
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// Columns of a terminal; none where it is no terminal.
pub(crate) fn terminal_width(stream: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    // Some terminals do not say.
    Some(if size.ws_col == 0 { 80 } else { usize::from(size.ws_col) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled_or_lose_their_middle() {
        for (text, columns, shown) in [
            ("clip.mp4", 10, "clip.mp4  "),
            ("holiday-in-france.mp4", 11, "holid…e.mp4"),
            ("映画フィルム.mp4", 10, "映画….mp4 "),
            ("abc", 1, "…"),
        ] {
            assert_eq!(fit(text, columns), shown);
            assert_eq!(width(&fit(text, columns)), columns);
        }
    }

    #[test]
    fn lines_end_between_words() {
        let text = "reelhouse: a.mp4: The video is too short.\n  Take another one.";
        assert_eq!(
            wrapped(text, Some(24)),
            "reelhouse: a.mp4: The\n  video is too short.\n  Take another one."
        );
        assert_eq!(wrapped("unbreakable-long-word", Some(5)), "unbreakable-long-word");
        assert_eq!(wrapped(text, None), text);
    }

    #[test]
    fn clocks() {
        for (seconds, shown) in [(0.2, "0:00"), (12.48, "0:12"), (599.6, "10:00"), (3723.0, "1:02:03")] {
            assert_eq!(clock(seconds), shown);
        }
    }

    #[test]
    fn names_do_not_move_the_cursor() {
        assert_eq!(plain("a\x1b[2Jb\r\n"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
    }
}
