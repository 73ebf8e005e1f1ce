//! Copies of originals that lie in the bucket: whoever must read a file as a file has one here. Bounded; what was used least lately
//! goes first, and what is in use stays.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use reelhouse_api::AssetId;

use crate::{
    error::{During, Result},
    scratch::list,
};

/// A file to be read; stays where it is as long as this lives.
#[derive(Debug, Clone)]
pub struct Local {
    path: PathBuf,
    /// None where nobody would remove it.
    _pin: Option<Arc<Pin>>,
}

impl Local {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, _pin: None }
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The copies of a node.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    /// Of all processes that share the data folder.
    shared: PathBuf,
    /// Bytes.
    most: u64,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// Made when it is needed first.
    own: Option<Own>,
    copies: HashMap<AssetId, Copy>,
    bytes: u64,
    /// Grows with each use.
    clock: u64,
    /// One at a time is fetched of an asset.
    fetching: HashMap<AssetId, Arc<tokio::sync::Mutex<()>>>,
}

/// A process's folder, and what says that it lives.
#[derive(Debug)]
struct Own {
    path: PathBuf,
    _lock: File,
}

impl Own {
    /// Makes it, and removes those of processes that are gone.
    fn make(shared: &Path) -> Result<Self> {
        fs::create_dir_all(shared).during("making the folder of copies")?;
        // Nobody looks at a folder between its making and its locking.
        let everybody = File::open(shared).during("opening the folder of copies")?;
        everybody.lock().during("locking the folder of copies")?;
        for other in list(shared)? {
            let lives = File::open(other.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err());
            if !lives {
                fs::remove_dir_all(other).during("removing copies of a process that is gone")?;
            }
        }
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(std::io::Error::other).during("naming a folder of copies")?;
        let path = shared.join(format!("{:016x}", u64::from_be_bytes(name)));
        fs::create_dir(&path).during("making a folder of copies")?;
        let lock = File::create(path.join(LOCK)).during("making a folder of copies")?;
        lock.try_lock().map_err(std::io::Error::from).during("locking a folder of copies")?;
        Ok(Self { path, _lock: lock })
    }
}

const LOCK: &str = "lock";

#[derive(Debug)]
struct Copy {
    bytes: u64,
    used: u64,
    pins: u32,
}

#[derive(Debug)]
struct Pin {
    cache: Cache,
    asset: AssetId,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut held = self.cache.held();
        if let Some(copy) = held.copies.get_mut(&self.asset) {
            copy.pins = copy.pins.saturating_sub(1);
        }
        self.cache.shrink(&mut held);
    }
}

impl Cache {
    pub(crate) fn new(shared: PathBuf, most: u64) -> Self {
        Self { shared, most, held: Arc::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The copy of an asset's original, if there is one.
    pub(crate) fn get(&self, asset: AssetId) -> Option<Local> {
        let mut held = self.held();
        held.clock += 1;
        let now = held.clock;
        let path = held.own.as_ref()?.path.join(asset.to_string());
        let copy = held.copies.get_mut(&asset)?;
        copy.used = now;
        copy.pins += 1;
        let pin = Arc::new(Pin { cache: self.clone(), asset });
        Some(Local { path, _pin: Some(pin) })
    }

    /// Makes a file the copy of an asset's original.
    pub(crate) fn adopt(&self, asset: AssetId, file: &Path) -> Result<Local> {
        let bytes = file.metadata().during("looking at a copy")?.len();
        let path = self.own()?.join(asset.to_string());
        fs::rename(file, &path).during("keeping a copy")?;
        let mut held = self.held();
        held.clock += 1;
        let mut copy = Copy { bytes, used: held.clock, pins: 1 };
        if let Some(old) = held.copies.remove(&asset) {
            // Whoever has it open goes on reading, and is counted on.
            held.bytes = held.bytes.saturating_sub(old.bytes);
            copy.pins += old.pins;
        }
        held.copies.insert(asset, copy);
        held.bytes += bytes;
        self.shrink(&mut held);
        let pin = Arc::new(Pin { cache: self.clone(), asset });
        Ok(Local { path, _pin: Some(pin) })
    }

    /// Where a copy may be written before it is adopted.
    pub(crate) fn draft(&self, asset: AssetId) -> Result<PathBuf> {
        Ok(self.own()?.join(format!("{asset}.part")))
    }

    fn own(&self) -> Result<PathBuf> {
        let mut held = self.held();
        if held.own.is_none() {
            held.own = Some(Own::make(&self.shared)?);
        }
        Ok(held.own.as_ref().map(|own| own.path.clone()).unwrap_or_default())
    }

    /// Waits for whoever is fetching the same.
    pub(crate) async fn turn(&self, asset: AssetId) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = Arc::clone(self.held().fetching.entry(asset).or_default());
        turn.lock_owned().await
    }

    /// Ends a turn.
    pub(crate) fn end_turn(&self, asset: AssetId, turn: tokio::sync::OwnedMutexGuard<()>) {
        drop(turn);
        let mut held = self.held();
        if held.fetching.get(&asset).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            held.fetching.remove(&asset);
        }
    }

    /// Forgets the copy of an asset that is gone.
    pub(crate) fn forget(&self, asset: AssetId) {
        let mut held = self.held();
        if let Some(copy) = held.copies.remove(&asset) {
            held.bytes = held.bytes.saturating_sub(copy.bytes);
            remove_file(&held, asset);
        }
    }

    /// Removes copies until so many bytes can be written beside them, as far as they are not in use.
    pub(crate) fn make_room(&self, bytes: u64) -> Result<()> {
        self.own()?;
        let mut held = self.held();
        self.shrink_for(&mut held, bytes);
        Ok(())
    }

    fn shrink(&self, held: &mut Held) {
        self.shrink_for(held, 0);
    }

    fn shrink_for(&self, held: &mut Held, wanted: u64) {
        while held.bytes > self.most || is_short(held, wanted) {
            let unused = held.copies.iter().filter(|(_, copy)| copy.pins == 0);
            let Some(asset) = unused.min_by_key(|(_, copy)| copy.used).map(|(asset, _)| *asset) else {
                return;
            };
            if let Some(copy) = held.copies.remove(&asset) {
                held.bytes = held.bytes.saturating_sub(copy.bytes);
            }
            remove_file(held, asset);
        }
    }
}

/// Whether copies take what uploads and attempts need: they leave an eighth of the file system free, or 8 GiB.
fn is_short(held: &Held, wanted: u64) -> bool {
    let Some(own) = &held.own else { return false };
    let Ok(space) = rustix::fs::statvfs(&own.path) else { return false };
    let left = (space.f_blocks * space.f_frsize / 8).min(LEFT_FREE);
    space.f_bavail * space.f_frsize < left.saturating_add(wanted)
}

const LEFT_FREE: u64 = 8 << 30;

fn remove_file(held: &Held, asset: AssetId) {
    let Some(own) = &held.own else { return };
    if let Err(error) = fs::remove_file(own.path.join(asset.to_string())) {
        tracing::error!(%error, %asset, "could not remove a copy; the next start will");
    }
}

#[cfg(test)]
mod tests {
    use reelhouse_api::IdMaker;

    use super::*;

    /// Of all processes, without their locks.
    fn copies(shared: &Path) -> usize {
        list(shared).unwrap().iter().map(|own| list(own).unwrap().len() - 1).sum()
    }

    #[test]
    fn copies_of_the_dead_are_removed_and_those_of_the_living_stay() {
        let folder = tempfile::TempDir::new().unwrap();
        let keep = || {
            let cache = Cache::new(folder.path().to_owned(), 100);
            let asset: AssetId = IdMaker::default().next(1, [0; 4]);
            fs::write(cache.draft(asset).unwrap(), [7; 10]).unwrap();
            cache.adopt(asset, &cache.draft(asset).unwrap()).unwrap();
            cache
        };
        let living = keep();
        drop(keep());
        assert_eq!(copies(folder.path()), 2);
        let third = keep();
        assert_eq!(copies(folder.path()), 2);
        drop((living, third));
    }

    #[test]
    fn what_is_used_least_lately_goes_and_what_is_in_use_stays() {
        let folder = tempfile::TempDir::new().unwrap();
        let cache = Cache::new(folder.path().to_owned(), 25);
        let ids = IdMaker::default();
        let add = || {
            let asset: AssetId = ids.next(1, [0; 4]);
            fs::write(cache.draft(asset).unwrap(), [7; 10]).unwrap();
            (asset, cache.adopt(asset, &cache.draft(asset).unwrap()).unwrap())
        };
        let (first, in_use) = add();
        let (second, _) = add();
        let (third, _) = add();
        assert!(cache.get(second).is_none());
        assert!(in_use.path().exists());
        drop(in_use);
        // Used later than the third.
        assert!(cache.get(first).is_some());
        let (_, _) = add();
        assert!(cache.get(third).is_none());
        assert!(cache.get(first).is_some());
        cache.forget(first);
        assert!(cache.get(first).is_none());
        assert_eq!(copies(folder.path()), 1);
    }

    #[test]
    fn more_than_fits_is_kept_as_long_as_it_is_used() {
        let folder = tempfile::TempDir::new().unwrap();
        let cache = Cache::new(folder.path().to_owned(), 0);
        let asset: AssetId = IdMaker::default().next(1, [0; 4]);
        fs::write(cache.draft(asset).unwrap(), [7; 10]).unwrap();
        let copy = cache.adopt(asset, &cache.draft(asset).unwrap()).unwrap();
        let again = cache.get(asset).unwrap();
        drop(copy);
        assert!(again.path().exists());
        drop(again);
        assert_eq!(copies(folder.path()), 0);
    }
}
