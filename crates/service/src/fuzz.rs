//! What the fuzzers call: bytes in, and what must hold of them whatever they are.

use crate::{filename, signer::Signer};

/// A token: it opens nothing but when it is the one that we write.
pub fn signed_url(data: &[u8]) {
    let signer = Signer::new("secret");
    let text = String::from_utf8_lossy(data);
    if signer.opens("hls/a", &text, 1000).is_some() {
        let end = text.split_once('-').and_then(|(end, _)| end.parse().ok()).unwrap_or_default();
        assert_eq!(text, signer.token("hls/a", end), "it opens, and we did not write it");
    }
}

/// Names, of a field and of a part, apart by a line: what is kept can be shown, sent back and stored.
pub fn name(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (field, part) = text.split_once('\n').unwrap_or((&text, &text));
    for name in [
        filename::choose(Some(field), Some(part)),
        filename::choose(None, Some(part)),
        filename::given(field),
    ] {
        let Ok(name) = name else { continue };
        assert!((1..=255).contains(&name.chars().count()), "{name:?}");
        assert!(!name.contains(char::is_control) && !name.contains('\u{202E}'), "{name:?}");
        assert_eq!(name, name.trim());
    }
}

#[cfg(test)]
#[path = "../../../fuzz/mutated.rs"]
mod mutated;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::mutated::mutated;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn signed_url(data in mutated("signed_url")) {
            super::signed_url(&data);
        }

        #[test]
        fn name(data in mutated("name")) {
            super::name(&data);
        }
    }
}
