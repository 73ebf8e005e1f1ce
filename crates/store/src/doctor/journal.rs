//! How far an examination is, written down now and then, so that one that was interrupted can go on.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

use crate::{
    Store,
    blobs::{Tree, blocking},
    error::{During, Error, Result},
    scratch::{new_file, sync_parent},
    shards::Shards,
};

use super::{Examination, Finding, Treatment};

const FILE: &str = "doctor.json";
/// Findings that are kept to be told again; further ones are counted.
const KEPT: usize = 1000;

/// Where in its order an examination is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    /// 0 for originals, 1 for derivatives.
    tree: u8,
    part: u16,
    /// The row that was last looked at; empty at the beginning of a part.
    pub(super) behind: String,
}

impl Place {
    /// In the same part, behind this row.
    pub(super) fn at(&self, behind: &str) -> Self {
        Self { behind: behind.to_owned(), ..self.clone() }
    }

    /// Behind this part.
    pub(super) fn next(&self) -> Self {
        Self { tree: self.tree, part: self.part + 1, behind: String::new() }
    }
}

/// What was counted up to a place.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) assets: u64,
    pub(super) bytes: u64,
    pub(super) wrong: u64,
    pub(super) repaired: u64,
    passed: u64,
    told: Vec<(Finding, Treatment)>,
}

/// What is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    database: String,
    quick: bool,
    repair: bool,
    parts: u16,
    place: Place,
    counts: Counts,
}

/// The state of an examination, and who writes it down.
pub(super) struct Journal {
    state: Arc<Mutex<State>>,
    /// Since the last place.
    since: Counts,
    path: PathBuf,
    writer: JoinHandle<()>,
    /// Dropped, the writer ends.
    goes_on: oneshot::Sender<()>,
    /// One doctor at a time has the folder's state; `None` where there is no folder.
    _lock: Option<File>,
}

impl Journal {
    pub(super) async fn begin(store: &Store, how: &Examination, parts: u16) -> Result<Self> {
        let root = store.blobs.scratch.root();
        let (path, lock) = (root.join(FILE), lock(root)?);
        let fresh = State {
            database: store.identity().await?,
            quick: how.quick,
            repair: how.repair,
            parts,
            place: Place { tree: 0, part: 0, behind: String::new() },
            counts: Counts::default(),
        };
        let state = if how.resume { resumed(&path, fresh)? } else { fresh };
        let state = Arc::new(Mutex::new(state));
        // Without a folder of its own, a node keeps nothing.
        let every = lock.is_some().then_some(how.note_every);
        let (goes_on, ended) = oneshot::channel();
        let writer = tokio::spawn(write_down(Arc::clone(&state), path.clone(), every, ended));
        Ok(Self { state, since: Counts::default(), path, writer, goes_on, _lock: lock })
    }

    fn state<T>(&self, use_it: impl FnOnce(&mut State) -> T) -> T {
        use_it(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is to be told again.
    pub(super) fn told(&self) -> Vec<(Finding, Treatment)> {
        self.state(|state| state.counts.told.clone())
    }

    pub(super) fn passed_before(&self) -> u64 {
        self.state(|state| state.counts.passed)
    }

    /// The parts of a tree that are left.
    pub(super) fn left_of(&self, tree: Tree) -> Vec<(Place, Shards)> {
        let tree = match tree {
            Tree::Originals => 0,
            Tree::Derived => 1,
        };
        self.state(|State { place, parts, .. }| {
            let all = (0..*parts).map(|part| {
                let begin = Place { tree, part, behind: String::new() };
                (begin, Shards::part(part, *parts))
            });
            all.filter_map(|(begin, shards)| match (begin.tree, begin.part) == (place.tree, place.part) {
                true => Some((place.clone(), shards)),
                false => (begin > *place).then_some((begin, shards)),
            })
            .collect()
        })
    }

    pub(super) fn is_whole(&mut self, read: u64) {
        self.since.assets += 1;
        self.since.bytes += read;
    }

    pub(super) fn note(&mut self, finding: Finding, treatment: Treatment) {
        match treatment {
            Treatment::Repaired(_) => self.since.repaired += 1,
            Treatment::None | Treatment::Left(_) => self.since.wrong += 1,
        }
        if self.since.told.len() < KEPT {
            self.since.told.push((finding, treatment));
        }
    }

    /// What came since the last place is kept from here on.
    pub(super) fn pass(&mut self, place: Place) {
        let Counts { assets, bytes, wrong, repaired, passed: _, told } = std::mem::take(&mut self.since);
        self.state(|state| {
            let counts = &mut state.counts;
            counts.passed += u64::from(!place.behind.is_empty());
            counts.assets += assets;
            counts.bytes += bytes;
            counts.wrong += wrong;
            counts.repaired += repaired;
            let room = KEPT.saturating_sub(counts.told.len());
            counts.told.extend(told.into_iter().take(room));
            state.place = place;
        });
    }

    /// All was looked at.
    pub(super) async fn end(self) -> Result<Counts> {
        let Self { state, since: _, path, writer, goes_on, _lock } = self;
        drop(goes_on);
        // What it was about to write is written: it does not come back.
        let _ = writer.await;
        blocking(move || {
            for file in [draft(&path), path] {
                match fs::remove_file(&file) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::Io { what: "removing the state of doctor", source });
                    }
                    _ => {}
                }
            }
            Ok(())
        })
        .await?;
        Ok(state.lock().unwrap_or_else(PoisonError::into_inner).counts.clone())
    }
}

/// A folder has one doctor.
fn lock(root: &Path) -> Result<Option<File>> {
    let folder = match File::open(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        folder => folder.during("opening the data folder")?,
    };
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::DoctorAtWork { path: root.to_owned() }),
        // Not every file system locks folders.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(folder)),
    }
}

/// The state that was written down, if it is one to go on with.
fn resumed(path: &Path, fresh: State) -> Result<State> {
    let refused = |why| Error::NoResume { path: path.to_owned(), why };
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(refused("there is none")),
        text => text.during("reading the state of doctor")?,
    };
    let state: State = serde_json::from_slice(&text).map_err(|_| refused("it is of another version"))?;
    if state.database != fresh.database {
        return Err(refused("it is of another database, or of blobs elsewhere"));
    }
    if (state.quick, state.repair) != (fresh.quick, fresh.repair) {
        return Err(refused("it was begun with other options (--quick, --repair)"));
    }
    Ok(state)
}

/// Writes the state down now and then. That it cannot be must not keep anybody from looking.
async fn write_down(
    state: Arc<Mutex<State>>,
    path: PathBuf,
    every: Option<Duration>,
    mut ended: oneshot::Receiver<()>,
) {
    let Some(every) = every else { return };
    let mut written = None;
    loop {
        tokio::select! {
            _ = &mut ended => return,
            () = sleep(every) => {}
        }
        let state = state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if written.as_ref() == Some(&state.place) {
            continue;
        }
        written = Some(state.place.clone());
        let path = path.clone();
        if let Err(error) = blocking(move || write(&path, &state)).await {
            tracing::warn!(%error, "how far doctor is cannot be written down");
        }
    }
}

fn draft(path: &Path) -> PathBuf {
    path.with_extension("json.new")
}

/// Whole or not at all.
fn write(path: &Path, state: &State) -> Result<()> {
    let draft = draft(path);
    let text = serde_json::to_vec(state).map_err(io::Error::other).during("writing the state of doctor")?;
    let _ = fs::remove_file(&draft);
    let written = new_file(&draft).and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
    written.and_then(|()| fs::rename(&draft, path)).during("writing the state of doctor")?;
    sync_parent(path)
}

impl Store {
    /// Tells this database and this home of blobs from others.
    async fn identity(&self) -> Result<String> {
        let secret: Option<String> = sqlx::query_scalar("SELECT value FROM secret WHERE name = 'media_urls'")
            .fetch_optional(self.db.readers())
            .await?;
        let text = format!("{} {}", secret.unwrap_or_default(), self.blobs.shown(""));
        Ok(blake3::hash(text.as_bytes()).to_hex().to_string())
    }
}
