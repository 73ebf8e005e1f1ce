use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};

/// What a command has uploaded, so that the same command, given again after it was interrupted, does not begin anew. Gone
/// once all is done.
pub(crate) struct Journal {
    path: Option<PathBuf>,
    done: BTreeMap<PathBuf, Line>,
}

/// A file as it was when it was uploaded, and what it became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    file: PathBuf,
    size: u64,
    /// Nanoseconds since the epoch.
    modified: u64,
    asset_id: String,
}

impl Journal {
    /// The journal of this command, which is told by its words.
    pub(crate) fn open(folder: Option<&Path>, command: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (command, std::env::current_dir().ok()).hash(&mut hasher);
        let path = folder.map(|folder| folder.join(format!("command-{:016x}.jsonl", hasher.finish())));
        let text = path.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        // A line that was torn by a kill is none.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        Self { path, done: lines.map(|line| (line.file.clone(), line)).collect() }
    }

    /// The asset that this file became, if the file is still the same.
    pub(crate) fn asset_of(&self, file: &Path) -> Option<String> {
        let done = self.done.get(file)?;
        (Line::of(file, &done.asset_id)? == *done).then(|| done.asset_id.clone())
    }

    /// This file became this asset.
    pub(crate) fn write(&self, file: &Path, asset_id: &str) {
        // One write a line, so that lines of several files do not mix. Without a journal the command works all the same.
        let Some((path, line)) = self.path.as_ref().zip(Line::of(file, asset_id)) else { return };
        let Ok(text) = serde_json::to_string(&line) else { return };
        let file = path.parent().and_then(|folder| fs::create_dir_all(folder).ok());
        let file = file.and_then(|()| OpenOptions::new().create(true).append(true).open(path).ok());
        let _ = file.map(|mut file| file.write_all(format!("{text}\n").as_bytes()));
    }

    /// All is done: given again, the command uploads again.
    pub(crate) fn remove(self) {
        let _ = self.path.map(fs::remove_file);
    }
}

impl Line {
    fn of(file: &Path, asset_id: &str) -> Option<Self> {
        let metadata = file.metadata().ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self {
            file: file.to_owned(),
            size: metadata.len(),
            modified: u64::try_from(modified.as_nanos()).ok()?,
            asset_id: asset_id.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_known_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, b"1").unwrap();
        fs::write(&b, b"1").unwrap();
        let states = folder.path().join("states");
        let open = |words: &[&str]| Journal::open(Some(&states), &words);
        open(&["x"]).write(&a, "id-a");
        open(&["x"]).write(&b, "id-b");
        fs::write(&b, b"longer").unwrap();
        let journal = open(&["x"]);
        assert_eq!((journal.asset_of(&a), journal.asset_of(&b)), (Some("id-a".to_owned()), None));
        assert_eq!(open(&["y"]).asset_of(&a), None);
        journal.remove();
        assert_eq!(open(&["x"]).asset_of(&a), None);
    }
}
