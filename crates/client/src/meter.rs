use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep_until};

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes so far. Steps back when something is sent again.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
}

pub(crate) type Callback = Arc<dyn Fn(Progress) + Send + Sync>;

/// Watches bytes move: tells the callback, and whoever waits, whether something still happens.
#[derive(Clone)]
pub(crate) struct Meter {
    shared: Arc<Shared>,
}

struct Shared {
    started: Instant,
    /// When something last moved, in milliseconds since `started`.
    moved: AtomicU64,
    done: AtomicU64,
    total: Option<u64>,
    callback: Option<Callback>,
    /// Why the bytes to send could not be read. HTTP would only say that sending ended early.
    failure: Mutex<Option<io::Error>>,
}

impl Meter {
    pub(crate) fn new(total: Option<u64>, callback: Option<Callback>) -> Self {
        Self {
            shared: Arc::new(Shared {
                started: Instant::now(),
                moved: AtomicU64::new(0),
                done: AtomicU64::new(0),
                total,
                callback,
                failure: Mutex::default(),
            }),
        }
    }

    /// Something happened.
    pub(crate) fn touch(&self) {
        let elapsed = u64::try_from(self.shared.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.shared.moved.fetch_max(elapsed, Ordering::Relaxed);
    }

    /// So many bytes moved.
    pub(crate) fn add(&self, bytes: u64) {
        self.touch();
        self.shared.done.fetch_add(bytes, Ordering::Relaxed);
        self.tell();
    }

    /// So many bytes have to move again.
    pub(crate) fn take_back(&self, bytes: u64) {
        self.shared.done.fetch_sub(bytes, Ordering::Relaxed);
        self.tell();
    }

    /// All begins again.
    pub(crate) fn restart(&self) {
        self.touch();
        if self.shared.done.swap(0, Ordering::Relaxed) > 0 {
            self.tell();
        }
    }

    fn tell(&self) {
        if let Some(callback) = &self.shared.callback {
            callback(Progress { done: self.shared.done.load(Ordering::Relaxed), total: self.shared.total });
        }
    }

    /// The bytes, counted as they are taken.
    pub(crate) fn count<S>(&self, bytes: S) -> impl Stream<Item = io::Result<Bytes>> + use<S>
    where
        S: Stream<Item = io::Result<Bytes>>,
    {
        let meter = self.clone();
        bytes.map(move |piece| match piece {
            Ok(piece) => {
                meter.add(piece.len() as u64);
                Ok(piece)
            }
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                *meter.shared.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(copy)
            }
        })
    }

    /// Why the bytes could not be read, if that is so.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What comes first: the future's end, or so much time in which nothing moved.
    pub(crate) async fn while_moving<T>(
        &self,
        patience: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        self.touch();
        let mut future = std::pin::pin!(future);
        loop {
            let moved = Duration::from_millis(self.shared.moved.load(Ordering::Relaxed));
            // The next millisecond, as what moved is counted in whole ones.
            let end = self.shared.started + moved + patience + Duration::from_millis(1);
            tokio::select! {
                biased;
                value = &mut future => return Some(value),
                () = sleep_until(end) => {
                    if Duration::from_millis(self.shared.moved.load(Ordering::Relaxed)) <= moved {
                        return None;
                    }
                }
            }
        }
    }
}
