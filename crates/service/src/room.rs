//! Room that many want, handed out fairly between accounts: whoever holds least is next, and within an account who came first.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use reelhouse_api::Fault;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// The most requests of an account that wait: each holds a connection, which others want, too.
const MAX_WAITING: usize = 1000;
/// What is told to whom it is too many, in seconds.
const RETRY_AFTER: u64 = 10;

/// Room, in any unit. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    inner: Arc<Mutex<Inner>>,
    /// The most that one account holds.
    per_account: u64,
}

#[derive(Debug)]
struct Inner {
    free: u64,
    held: HashMap<Arc<str>, u64>,
    queue: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    account: Arc<str>,
    amount: u64,
    turn: oneshot::Sender<Share>,
}

/// A share of the room, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    room: Room,
    account: Arc<str>,
    amount: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.locked(|inner| {
            inner.free += self.amount;
            if let Some(held) = inner.held.get_mut(&self.account) {
                *held -= self.amount;
                if *held == 0 {
                    inner.held.remove(&self.account);
                }
            }
        });
        self.room.hand_out();
    }
}

impl Room {
    /// `all` there is, of which an account may hold `per_account`; both at least 1.
    pub(crate) fn new(all: u64, per_account: u64) -> Self {
        let all = all.max(1);
        let inner = Inner { free: all, held: HashMap::new(), queue: VecDeque::new() };
        Self { inner: Arc::new(Mutex::new(inner)), per_account: per_account.clamp(1, all) }
    }

    /// Waits for so much, or for all that an account may hold. Taken whole and before it is used: two that each hold half of
    /// what they need would wait for each other for ever.
    ///
    /// # Errors
    /// [`Fault::TooManyRequests`] when too many of the account wait already.
    pub(crate) async fn share(&self, account: &str, amount: u64) -> Result<Share> {
        let (turn, mine) = oneshot::channel();
        self.locked(|inner| {
            let waiting =
                inner.queue.iter().filter(|waiter| *waiter.account == *account && !waiter.turn.is_closed());
            if waiting.count() >= MAX_WAITING {
                let rate_limit = format!("{MAX_WAITING} uploads waiting");
                return Err(Fault::TooManyRequests { rate_limit, retry_after: RETRY_AFTER });
            }
            let amount = amount.clamp(1, self.per_account);
            inner.queue.push_back(Waiter { account: account.into(), amount, turn });
            Ok(())
        })?;
        self.hand_out();
        mine.await.map_err(|_| Error::ShuttingDown)
    }

    /// Gives those their turn who can have it.
    fn hand_out(&self) {
        // Whoever is gone gives the share back at once, which takes the lock again.
        let gone: Vec<Share> = self.locked(|inner| {
            let mut gone = Vec::new();
            while let Some(waiter) = inner.next(self.per_account) {
                inner.free -= waiter.amount;
                *inner.held.entry(waiter.account.clone()).or_default() += waiter.amount;
                let share = Share { room: self.clone(), account: waiter.account, amount: waiter.amount };
                gone.extend(waiter.turn.send(share).err());
            }
            gone
        });
        drop(gone);
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    /// Whose turn it is, if there is room for it: nobody who wants little overtakes for ever who wants much.
    fn next(&mut self, per_account: u64) -> Option<Waiter> {
        let mut seen = HashSet::new();
        let mut next: Option<(u64, usize)> = None;
        for (at, Waiter { account, amount, .. }) in self.queue.iter().enumerate() {
            let held = self.held.get(account).copied().unwrap_or(0);
            let first = seen.insert(account);
            if first && held + amount <= per_account && next.is_none_or(|(least, _)| held < least) {
                next = Some((held, at));
            }
        }
        let (_, at) = next?;
        if self.queue.get(at)?.amount > self.free { None } else { self.queue.remove(at) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Asks, and has its place in the queue.
    async fn asks(room: &Room, account: &'static str, amount: u64) -> tokio::task::JoinHandle<Share> {
        let before = room.locked(|inner| (inner.queue.len(), inner.free));
        let asked = room.clone();
        let asks = tokio::spawn(async move { asked.share(account, amount).await.unwrap() });
        while room.locked(|inner| (inner.queue.len(), inner.free)) == before {
            tokio::task::yield_now().await;
        }
        asks
    }

    #[tokio::test]
    async fn who_holds_least_is_next() {
        let room = Room::new(4, 3);
        let first: Vec<_> =
            [asks(&room, "a", 1).await, asks(&room, "a", 1).await, asks(&room, "a", 1).await].into();
        // It has its share; somebody else can begin although more of the first wait.
        let more = asks(&room, "a", 1).await;
        let other = asks(&room, "b", 1).await.await.unwrap();
        let others = asks(&room, "b", 1).await;
        assert!(!more.is_finished() && !others.is_finished());
        let mut first = futures_util::future::join_all(first).await;
        drop(first.pop());
        let others = others.await.unwrap();
        assert!(!more.is_finished(), "it came first, but its account holds more");
        drop((other, others));
        more.await.unwrap();
        drop(first);
        assert_eq!(room.locked(|inner| (inner.free, inner.held.len(), inner.queue.len())), (4, 0, 0));
    }

    #[tokio::test]
    async fn of_those_that_hold_as_much_who_came_first_is_next() {
        let room = Room::new(1, 1);
        let held = room.share("a", 1).await.unwrap();
        let (first, second) = (asks(&room, "b", 1).await, asks(&room, "c", 1).await);
        drop(held);
        let first = first.await.unwrap();
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn who_gives_up_takes_nothing() {
        let room = Room::new(10, 10);
        let held = room.share("a", 10).await.unwrap();
        let (gives_up, waits) = (asks(&room, "b", 5).await, asks(&room, "c", 5).await);
        gives_up.abort();
        assert!(gives_up.await.unwrap_err().is_cancelled());
        drop(held);
        drop(waits.await.unwrap());
        assert_eq!(room.locked(|inner| (inner.free, inner.held.len())), (10, 0));
        // More than there is means all.
        drop(room.share("a", 11).await.unwrap());
    }

    #[tokio::test]
    async fn too_many_of_one_account_are_refused() {
        let room = Room::new(1, 1);
        let _held = room.share("a", 1).await.unwrap();
        let refused = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..MAX_WAITING + 2 {
            let (room, refused) = (room.clone(), Arc::clone(&refused));
            tasks.spawn(async move {
                if room.share("a", 1).await.is_err() {
                    refused.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        while refused.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(room.locked(|inner| inner.queue.len()), MAX_WAITING);
        let other = asks(&room, "b", 1).await;
        assert!(!other.is_finished());
    }
}
