//! One at a time for each of many things.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

/// Who holds which thing, in this process.
#[derive(Debug)]
pub(crate) struct Turns<K> {
    held: Arc<Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>>,
}

// By hand: a derive would ask the key to have a default.
impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { held: Arc::default() }
    }
}

impl<K> Clone for Turns<K> {
    fn clone(&self) -> Self {
        Self { held: Arc::clone(&self.held) }
    }
}

/// A turn; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Turn<K: Hash + Eq> {
    turns: Turns<K>,
    key: K,
    guard: Option<OwnedMutexGuard<()>>,
}

impl<K: Hash + Eq + Clone> Turns<K> {
    /// Waits for one's turn.
    pub(crate) async fn wait(&self, key: K) -> Turn<K> {
        let lock = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(held.entry(key.clone()).or_default())
        };
        Turn { turns: self.clone(), key, guard: Some(lock.lock_owned().await) }
    }
}

impl<K: Hash + Eq> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut held = self.turns.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.guard.take();
        // Nobody waits: the map's own is the only one left.
        if held.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            held.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left() {
        let turns = Turns::default();
        let inside = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..50 {
            let (turns, inside) = (turns.clone(), Arc::clone(&inside));
            tasks.spawn(async move {
                let _turn = turns.wait(n % 2).await;
                assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
            });
        }
        tasks.join_all().await;
        assert!(turns.held.lock().unwrap().is_empty());
    }
}
