//! Which files are meant.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};

/// What is taken from folders: endings of media. A file that is named itself is taken whatever it is called.
const ENDINGS: &[&str] = &[
    "3gp", "aac", "aif", "aiff", "avi", "avif", "bmp", "flac", "flv", "gif", "heic", "heif", "jp2", "jpeg",
    "jpg", "jxl", "m2ts", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "mpeg", "mpg", "mts", "mxf", "oga",
    "ogg", "ogv", "opus", "png", "tif", "tiff", "ts", "wav", "webm", "webp", "wma", "wmv",
];

/// The files that these words mean, each once, in order: a file, a folder with all below it, or a pattern.
pub(crate) fn meant(words: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for word in words {
        for path in paths(word)? {
            if path.is_dir() { walk(&path, &mut files)? } else { files.push(path) }
        }
    }
    // Below `.`, the dot says nothing.
    files.iter_mut().for_each(|path| *path = path.strip_prefix(".").unwrap_or(path).to_owned());
    // Patterns follow links, which may lead in a circle.
    files.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    ensure!(!files.is_empty(), "there are no media files in {}", words.join(", "));
    Ok(files)
}

fn paths(word: &str) -> anyhow::Result<Vec<PathBuf>> {
    let path = PathBuf::from(word);
    // A name may have an asterisk in it.
    if path.exists() {
        return Ok(vec![path]);
    }
    if !word.contains(['*', '?', '[']) {
        bail!("{word}: there is no such file");
    }
    let found = glob::glob(word).with_context(|| format!("{word} is no pattern"))?;
    let found: Vec<PathBuf> = found.collect::<Result<_, _>>()?;
    ensure!(!found.is_empty(), "{word}: no file is called so");
    Ok(found)
}

/// Media below a folder, by name. What is hidden stays so; links to folders are not followed, they may lead in a circle.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let cannot = || format!("cannot read {}", folder.display());
    let mut entries: Vec<_> = folder.read_dir().and_then(Iterator::collect).with_context(cannot)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().with_context(cannot)?);
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() {
            walk(&path, files)?;
        } else if path.is_file() && is_media(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_media(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    ENDINGS.contains(&ending.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_patterns() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("in/ner")).unwrap();
        std::fs::create_dir_all(at(".hidden")).unwrap();
        for name in [
            "a.mp4",
            "b.MOV",
            "notes.txt",
            "in/c.png",
            "in/ner/d.wav",
            ".hidden/e.mp4",
            "in/.f.mp4",
            "odd*.mp4",
        ] {
            std::fs::write(at(name), b"x").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), at("in/circle")).unwrap();
        let meant = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| at(word).display().to_string()).collect();
            let found = meant(&words)?;
            Ok::<_, anyhow::Error>(
                found
                    .iter()
                    .map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(meant(&[""]).unwrap(), ["a.mp4", "b.MOV", "in/c.png", "in/ner/d.wav", "odd*.mp4"]);
        assert_eq!(meant(&["notes.txt", "a.mp4", "a.mp4"]).unwrap(), ["notes.txt", "a.mp4"]);
        assert_eq!(meant(&["odd*.mp4"]).unwrap(), ["odd*.mp4"]);
        assert_eq!(meant(&["**/*.png", "[ab].*"]).unwrap(), ["in/c.png", "a.mp4", "b.MOV"]);
        assert!(meant(&["no.mp4"]).unwrap_err().to_string().ends_with("no.mp4: there is no such file"));
        assert!(meant(&["no*.mp4"]).unwrap_err().to_string().ends_with("no*.mp4: no file is called so"));
        std::fs::create_dir(at("empty")).unwrap();
        assert!(meant(&["empty"]).is_err());
    }
}
