//! What tests can only read in the source. The lint that denies unsafe code can be lifted by whoever writes an attribute: these are the
//! places, and no other.

use std::path::Path;

use crate::harness::files;

/// Each with what is there.
const AUDITED: [(&str, &str); 3] = [
    ("media/src/child.rs", "what runs between fork and exec"),
    ("media/src/process/fork.rs", "fork, and what a child does before it reads"),
    ("reader/src/libav.rs", "the calls of libav"),
];

#[test]
fn unsafe_code_is_where_it_is_audited() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let sources = files(crates).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let mut found: Vec<String> = sources
        .filter(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            // Of programs that are shipped: attempts of a hostile child are an example.
            let shipped = path.components().any(|part| part.as_os_str() == "src");
            shipped && text.lines().any(|line| !line.trim_start().starts_with("//") && lifts_or_needs(line))
        })
        .map(|path| path.strip_prefix(crates).unwrap().display().to_string())
        .collect();
    found.sort();
    assert_eq!(found, AUDITED.map(|(path, _)| path.to_owned()));
}

/// An attribute that lifts the lint, or the keyword itself.
fn lifts_or_needs(line: &str) -> bool {
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    let is_needed = words.any(|word| word == "unsafe") && !line.contains('"');
    is_needed || line.contains("unsafe_code") && !line.contains("forbid")
}

/// Where secrets are told apart, and by what: types without an `==` of their own (which their tests hold), whose insides nobody
/// else sees, compared by `subtle`.
#[test]
fn secrets_are_compared_in_constant_time() {
    const COMPARING: [(&str, &str); 2] = [
        ("store/src/accounts.rs", "self.0.as_bytes().ct_eq(other.0.as_bytes()).into()"),
        ("service/src/signer.rs", "self.0.as_bytes().ct_eq(text.as_bytes()).into()"),
    ];
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (path, compares) in COMPARING {
        let text = std::fs::read_to_string(crates.join(path)).unwrap();
        let ours = text.split("#[cfg(test)]").next().unwrap();
        assert_eq!(ours.matches(compares).count(), 1, "{path}");
        let equals = |line: &&str| line.contains("==") || line.contains("!=");
        let of_secrets =
            |line: &&str| ["hash", "signature", "token", "text", ".0"].iter().any(|word| line.contains(word));
        let found: Vec<&str> = ours
            .lines()
            .filter(|line| !line.trim_start().starts_with("//") && equals(line) && of_secrets(line))
            .collect();
        assert!(found.is_empty(), "{path}: {found:?}");
    }
    // A key's text is read out to show it to its owner, never to compare it; metrics and everything else ask the same extractor.
    let mut revealing: Vec<String> = Vec::new();
    for path in files(crates) {
        let name = path.strip_prefix(crates).unwrap().display().to_string();
        if !name.contains("/src/") || !name.ends_with(".rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        if text.split("#[cfg(test)]").next().unwrap().contains(".reveal()") {
            revealing.push(name);
        }
    }
    revealing.sort();
    assert_eq!(revealing, ["cli/src/commands/keys.rs", "cli/src/commands/serve.rs"]);
}
