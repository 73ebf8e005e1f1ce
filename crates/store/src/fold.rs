//! How names are compared: normalised (NFC) and case-folded, as rows and needles alike.

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

/// What is stored of a filename for searching, and what a search compares with it.
pub(crate) fn fold(text: &str) -> String {
    // Folding may take a composed letter apart, so it is composed last.
    text.nfc().default_case_fold().nfc().collect()
}

/// Three characters of an account. Accounts may share them: they narrow a search, they do not decide it.
pub(crate) fn account_shard(account: &str) -> String {
    blake3::hash(account.as_bytes()).to_hex().chars().take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_folds_the_same() {
        for (one, other) in [
            ("CLIP.MP4", "clip.mp4"),
            // e with a combining accent, and the letter of its own.
            ("Cafe\u{301}", "CAF\u{c9}"),
            ("STRASSE", "straße"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Ångström", "A\u{30a}NGSTRO\u{308}M"),
            ("ﬁlm", "FILM"),
        ] {
            assert_eq!(fold(one), fold(other));
        }
        assert_ne!(fold("é"), fold("e"));
    }
}
