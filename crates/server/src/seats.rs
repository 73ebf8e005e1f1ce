//! Who may be connected. An address takes seats as long as more are free than it has: so one has half of all at most, two have a
//! third each, and some are always free. When they run short all the same, whoever sits there without a request makes room, of
//! the address that has most.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// Who has had no request for so long can be asked to leave: until then an answer may still be on its way.
const SETTLED: Duration = Duration::from_secs(2);
/// Of all, the part that is kept free.
const RESERVE: usize = 16;
/// So many are asked to leave at once.
const BATCH: usize = 64;

/// The seats. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Seats {
    inner: Arc<Mutex<Inner>>,
    freed: Arc<Notify>,
    all: usize,
    per_address: Option<usize>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    taken: HashMap<u64, Taken>,
    of_address: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Taken {
    address: IpAddr,
    /// Since when it has no request; `None` while it has one.
    idle: Option<Instant>,
    leave: CancellationToken,
}

/// A seat, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    number: u64,
    /// Somebody else needs the seat.
    pub(crate) leave: CancellationToken,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.locked(|inner| {
            let Some(taken) = inner.taken.remove(&self.number) else { return };
            if let Some(count) = inner.of_address.get_mut(&taken.address) {
                *count -= 1;
                if *count == 0 {
                    inner.of_address.remove(&taken.address);
                }
            }
        });
        self.seats.freed.notify_one();
    }
}

/// Who counts as one: of IPv6, the least that is given to a household.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

impl Seat {
    /// It has a request.
    pub(crate) fn begin(&self) {
        self.set_idle(None);
    }

    /// Its request is over.
    pub(crate) fn end(&self) {
        self.set_idle(Some(Instant::now()));
    }

    fn set_idle(&self, idle: Option<Instant>) {
        self.seats.locked(|inner| {
            if let Some(taken) = inner.taken.get_mut(&self.number) {
                taken.idle = idle;
            }
        });
    }
}

impl Inner {
    /// Asks those to leave who have had no request for longest, of the address that has most; not while some are leaving.
    fn dismiss(&self, among: impl Fn(IpAddr) -> bool) {
        let sits = |taken: &&Taken| among(taken.address);
        if self.taken.values().filter(sits).any(|taken| taken.leave.is_cancelled()) {
            return;
        }
        let settled = |taken: &Taken| taken.idle.filter(|since| since.elapsed() >= SETTLED);
        let idle = self.taken.values().filter(sits).filter_map(|taken| Some((settled(taken)?, taken)));
        let mut idle: Vec<_> = idle.collect();
        let crowd = |address: &IpAddr| (self.of_address.get(address).copied().unwrap_or(0), *address);
        let Some(most) = idle.iter().map(|(_, taken)| taken.address).max_by_key(crowd) else { return };
        idle.retain(|(_, taken)| taken.address == most);
        idle.sort_unstable_by_key(|(since, _)| *since);
        for (_, taken) in idle.into_iter().take(BATCH) {
            taken.leave.cancel();
        }
    }
}

impl Seats {
    /// `all` of them, at least 1. With `per_address`, an address may have so many, whatever is free.
    pub(crate) fn new(all: usize, per_address: Option<usize>) -> Self {
        Self { inner: Arc::default(), freed: Arc::default(), all: all.max(1), per_address }
    }

    /// Waits until a seat is free, and makes somebody leave who does not need it.
    pub(crate) async fn wait(&self) {
        loop {
            let free = self.locked(|inner| {
                let free = self.all.saturating_sub(inner.taken.len());
                // Before the last is taken, so that hardly anybody waits.
                if free <= self.all / RESERVE {
                    inner.dismiss(|_| true);
                }
                free > 0
            });
            if free {
                return;
            }
            // Or until somebody has had no request for long enough.
            let _ = timeout(SETTLED / 8, self.freed.notified()).await;
        }
    }

    /// A seat for a connection from there; `None` when the address has its share.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Arc<Seat>> {
        let address = household(address);
        self.locked(|inner| {
            let count = inner.of_address.get(&address).copied().unwrap_or(0);
            let free = self.all.saturating_sub(inner.taken.len());
            if count >= self.per_address.unwrap_or(free) {
                // The next one finds room.
                inner.dismiss(|of| of == address);
                return None;
            }
            inner.of_address.insert(address, count + 1);
            let (number, leave) = (inner.next, CancellationToken::new());
            inner.next += 1;
            inner.taken.insert(number, Taken { address, idle: Some(Instant::now()), leave: leave.clone() });
            Some(Arc::new(Seat { seats: self.clone(), number, leave }))
        })
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 2));

    async fn sit(seats: &Seats, address: IpAddr, count: usize) -> Vec<Arc<Seat>> {
        let mut taken = Vec::new();
        for _ in 0..count {
            seats.wait().await;
            taken.push(seats.take(address).unwrap());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_request_makes_room_and_the_crowd_first() {
        let seats = Seats::new(200, Some(200));
        let other = sit(&seats, OTHER, 50).await;
        let crowd = sit(&seats, CROWD, 150).await;
        crowd.iter().take(10).for_each(|seat| seat.begin());
        let waits = tokio::spawn({
            let seats = seats.clone();
            async move { seats.wait().await }
        });
        tokio::time::sleep(SETTLED * 2).await;
        // The oldest of the crowd that have no request; nobody of the others, although they sat there before.
        let asked: Vec<bool> = crowd.iter().map(|seat| seat.leave.is_cancelled()).collect();
        assert_eq!(asked.iter().filter(|asked| **asked).count(), BATCH);
        assert!(asked[10..10 + BATCH].iter().all(|asked| *asked));
        assert!(!other.iter().any(|seat| seat.leave.is_cancelled()));
        assert!(!waits.is_finished());
        drop(crowd);
        waits.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_makes_room_before_it_runs_short() {
        let seats = Seats::new(160, Some(160));
        let taken = sit(&seats, OTHER, 149).await;
        tokio::time::sleep(SETTLED).await;
        seats.wait().await;
        assert!(!taken.iter().any(|seat| seat.leave.is_cancelled()));
        let _last = seats.take(OTHER);
        seats.wait().await;
        assert_eq!(taken.iter().filter(|seat| seat.leave.is_cancelled()).count(), BATCH);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_on_its_way_is_not_cut() {
        let seats = Seats::new(1, None);
        let seat = sit(&seats, OTHER, 1).await.remove(0);
        seat.begin();
        assert!(timeout(SETTLED * 100, seats.wait()).await.is_err());
        seat.end();
        assert!(timeout(SETTLED / 2, seats.wait()).await.is_err());
        assert!(!seat.leave.is_cancelled());
        assert!(timeout(SETTLED, seats.wait()).await.is_err());
        assert!(seat.leave.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_no_more_than_its_share() {
        let seats = Seats::new(10, Some(4));
        let mut crowd = sit(&seats, CROWD, 4).await;
        assert!(seats.take(CROWD).is_none());
        // One leaves, one comes.
        drop(crowd.pop());
        crowd.extend(seats.take(CROWD));
        assert!(crowd.len() == 4 && seats.take(CROWD).is_none());
        let _other = sit(&seats, OTHER, 4).await;
        tokio::time::sleep(SETTLED).await;
        // Refused once more, but those who do nothing leave.
        assert!(seats.take(CROWD).is_none());
        assert!(crowd.iter().all(|seat| seat.leave.is_cancelled()));
        drop(crowd);
        assert!(seats.take(CROWD).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn some_are_always_free() {
        let seats = Seats::new(9, None);
        let fill = |address| std::iter::from_fn(|| seats.take(address)).collect::<Vec<_>>();
        let (crowd, other) = (fill(CROWD), fill(OTHER));
        assert_eq!((crowd.len(), other.len()), (5, 2));
        drop(crowd);
        let (others, crowd) = (fill(OTHER), fill(CROWD));
        assert_eq!((others.len(), crowd.len()), (3, 2));
        // Nothing is kept of who left.
        drop((other, others, crowd));
        assert_eq!(seats.locked(|inner| (inner.taken.len(), inner.of_address.len())), (0, 0));
    }

    #[test]
    fn a_household_is_one() {
        let of = |text: &str| household(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:203.0.113.1"), "203.0.113.1");
        assert_ne!(of("203.0.113.1"), of("203.0.113.2"));
    }
}
