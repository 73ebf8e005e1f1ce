//! The lint that denies unsafe code can be lifted by whoever writes an attribute: these are the places, and no other.

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
