//! Room on the disk: what there is, what is promised to uploads that are running, and what stays free.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use reelhouse_store::{DiskSpace, Store};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What an upload whose length is not known is promised at a time, in bytes.
const STEP: u64 = 1 << 20;

/// How much of the disk stays free: below it nothing is taken, so that what is there can be kept, served and deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MinFree {
    /// The smaller of 1 GiB and 2 % of the file system.
    #[default]
    Auto,
    /// So many bytes; 0 for no bound.
    Bytes(u64),
}

impl std::str::FromStr for MinFree {
    type Err = std::num::ParseIntError;

    fn from_str(bytes: &str) -> Result<Self, Self::Err> {
        bytes.parse().map(Self::Bytes)
    }
}

impl MinFree {
    fn of(self, space: DiskSpace) -> u64 {
        match self {
            Self::Auto => (space.size / 50).min(1 << 30),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The disk of the data folder.
#[derive(Debug)]
pub(crate) struct Disk {
    store: Arc<Store>,
    min_free: MinFree,
    /// Bytes that uploads were promised and that are not on the disk yet.
    promised: Mutex<u64>,
    is_low: AtomicBool,
}

/// There is none for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom;

impl From<NoRoom> for Error {
    fn from(_: NoRoom) -> Self {
        reelhouse_api::Fault::NoRoom.into()
    }
}

/// Room for bytes that will come; what did not come is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Promise {
    disk: Arc<Disk>,
    bytes: u64,
    /// Of these, on the disk: the system counts them.
    kept: u64,
}

impl Disk {
    pub(crate) fn new(store: Arc<Store>, min_free: MinFree) -> Self {
        Self { store, min_free, promised: Mutex::new(0), is_low: AtomicBool::new(false) }
    }

    /// Promises room for so many bytes, 0 for nobody knows how many.
    ///
    /// # Errors
    /// [`NoRoom`] where less would stay free than must.
    pub(crate) fn promise(self: &Arc<Self>, bytes: u64) -> Result<Promise, NoRoom> {
        self.take(bytes)?;
        Ok(Promise { disk: Arc::clone(self), bytes, kept: 0 })
    }

    /// Whether there would be room for so many bytes.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        let promised = *self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        self.fits(promised.saturating_add(bytes))
    }

    /// Whether less is free than must be, so that nothing is taken or made; says so in the log when that changes.
    pub(crate) fn is_low(&self) -> bool {
        let is_low = !self.has_room(0);
        if self.is_low.swap(is_low, Relaxed) != is_low {
            if is_low {
                tracing::error!(
                    "the disk is low: uploads are refused and jobs wait (REELHOUSE_MIN_FREE); deleting makes room"
                );
            } else {
                tracing::info!("the disk has room again");
            }
        }
        is_low
    }

    /// Whether so little is left that also what was begun must stop: half of what must be free.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.space().is_some_and(|space| space.free < self.min_free.of(space) / 2)
    }

    fn take(&self, bytes: u64) -> Result<(), NoRoom> {
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        let with_it = promised.saturating_add(bytes);
        if !self.fits(with_it) {
            tracing::warn!(bytes, "there is no room on the disk for an upload");
            return Err(NoRoom);
        }
        *promised = with_it;
        Ok(())
    }

    fn fits(&self, promised: u64) -> bool {
        self.space().is_none_or(|space| space.free >= promised.saturating_add(self.min_free.of(space)))
    }

    fn space(&self) -> Option<DiskSpace> {
        match self.store.disk_space() {
            Ok(space) => Some(space),
            Err(error) => {
                // Writing will tell.
                tracing::error!(%error, "it is not known how much room there is");
                None
            }
        }
    }

    fn give_back(&self, bytes: u64) {
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        *promised = promised.saturating_sub(bytes);
    }
}

impl Promise {
    /// More will come than was thought: `bytes` in all at least.
    ///
    /// # Errors
    /// [`NoRoom`]; what was promised before still is.
    pub(crate) fn reach(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let missing = bytes.saturating_sub(self.bytes);
        if missing > 0 {
            let more = missing.max(STEP);
            self.disk.take(more)?;
            self.bytes += more;
        }
        Ok(())
    }

    /// So many of them, in all, are on the disk by now.
    pub(crate) fn keep(&mut self, bytes: u64) {
        let kept = bytes.clamp(self.kept, self.bytes);
        self.disk.give_back(kept - self.kept);
        self.kept = kept;
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.disk.give_back(self.bytes - self.kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_a_gibibyte_and_a_fiftieth_stays_free() {
        let of = |size| MinFree::Auto.of(DiskSpace { free: 0, size });
        assert_eq!((of(500 << 20), of(1 << 40)), (10 << 20, 1 << 30));
        assert_eq!("0".parse(), Ok(MinFree::Bytes(0)));
        assert!("1G".parse::<MinFree>().is_err());
    }

    #[tokio::test]
    async fn what_is_promised_is_not_promised_twice() {
        let folder = tempfile::TempDir::new().unwrap();
        let homes = reelhouse_store::Homes::default();
        let store = Arc::new(Store::open(folder.path(), &homes, 0).await.unwrap());
        let free = store.disk_space().unwrap().free;
        // Others use the same disk: what is asked for is far from what there is.
        let disk = Arc::new(Disk::new(store, MinFree::Bytes(free / 4)));
        let mut first = disk.promise(free / 2).unwrap();
        assert_eq!(disk.promise(free / 2).unwrap_err(), NoRoom);
        assert!(disk.has_room(0) && !disk.is_low() && !disk.has_room(free / 2));
        // What is on the disk is counted by the system.
        first.keep(free / 2 - 10);
        assert_eq!(*disk.promised.lock().unwrap(), 10);
        let mut second = disk.promise(0).unwrap();
        second.reach(1).unwrap();
        assert_eq!(*disk.promised.lock().unwrap(), 10 + STEP);
        second.reach(STEP).unwrap();
        assert_eq!(second.reach(free), Err(NoRoom));
        drop((first, second));
        assert_eq!(*disk.promised.lock().unwrap(), 0);
        assert!(
            Disk { min_free: MinFree::Bytes(u64::MAX), ..Arc::into_inner(disk).unwrap() }.is_nearly_full()
        );
    }
}
