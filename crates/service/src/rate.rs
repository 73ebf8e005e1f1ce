//! How often an account may upload. Whoever is too early waits, in the order they came; whoever would wait too long is
//! refused: the SDKs cannot send an upload twice (contract, section 10).
//!
//! The rate is the account's, however many nodes there are: each uses a share of it that it leases from the database, for as
//! long as the account is active ([`crate::rate_shares`]). A request asks the database only when what is leased is used up.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use reelhouse_api::Fault;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{
    Service,
    error::Result,
    rate_shares::{self, Ask, LEASE, Lease, Rate, Rates, SKEW, Times, micros},
};

/// The longest a request waits for its turn.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often leases of active accounts are renewed.
const RENEW: Duration = Duration::from_secs(1);
/// How often a node that has no share looks for one.
const POLL: Duration = Duration::from_millis(200);
/// Accounts whose leases are renewed in one transaction.
const TOGETHER: usize = 32;

/// A request that may go on, and what its account has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Requests in the window of the tighter rate.
    pub limit: u32,
    /// How many of them are left.
    pub remaining: u32,
    /// Until all of them are there again.
    pub reset: Duration,
}

/// The rates of uploads, per account.
#[derive(Debug)]
pub(crate) struct UploadRates {
    rates: Rates,
    accounts: Mutex<HashMap<Arc<str>, Arc<Account>>>,
}

/// An account, as this node knows it.
#[derive(Debug)]
struct Account {
    name: Arc<str>,
    /// Whoever asks the database; nothing is leased meanwhile.
    asking: Arc<tokio::sync::Mutex<()>>,
    held: Mutex<Option<Held>>,
    /// Since the last look.
    is_active: AtomicBool,
}

/// A lease, in this process' time.
#[derive(Debug, Clone)]
struct Held {
    parts: i64,
    busy_until: [Instant; 2],
    usable_until: [Instant; 2],
    ends: Instant,
    /// The same moment in both times.
    leased: (Instant, i64),
}

/// What comes of a request for a turn.
#[derive(Debug, PartialEq)]
enum Reserved {
    Turn(Instant, Option<Admission>),
    /// What is leased does not say.
    Ask,
    TooEarly(Fault),
}

impl Held {
    fn new(lease: &Lease, leased: (Instant, i64)) -> Self {
        let (at, now) = leased;
        let instant = |micros: i64| at + Duration::from_micros(u64::try_from(micros - now).unwrap_or(0));
        Self {
            parts: lease.parts,
            busy_until: lease.busy_until.map(instant),
            usable_until: lease.usable_until.map(instant),
            // Before anybody else could take it, by any clock.
            ends: instant(now + LEASE - SKEW),
            leased,
        }
    }

    /// Until when what was used takes the rates up, for all nodes.
    fn used(&self) -> Times {
        let (at, now) = self.leased;
        self.busy_until.map(|until| now + micros(until.saturating_duration_since(at)) + 1)
    }

    /// Takes the next turn.
    fn reserve(&mut self, rates: &Rates, now: Instant) -> Reserved {
        if self.parts == 0 || now >= self.ends {
            return Reserved::Ask;
        }
        self.busy_until = self.busy_until.map(|until| until.max(now));
        let bound = || rates.iter().enumerate().filter(|(_, rate)| rate.limit > 0);
        let next = |at: usize, rate: &Rate| self.busy_until[at] + rate.interval(self.parts);
        let waits =
            bound().map(|(at, rate)| (next(at, rate).saturating_duration_since(now + rate.window), rate));
        let longest = waits.max_by_key(|(wait, _)| *wait);
        if let Some((wait, rate)) = longest
            && wait > MAX_WAIT
        {
            return Reserved::TooEarly(too_many(rate, wait.as_secs() + 1));
        }
        if bound().any(|(at, rate)| next(at, rate) > self.usable_until[at]) {
            return Reserved::Ask;
        }
        for (at, rate) in bound() {
            self.busy_until[at] += rate.interval(self.parts);
        }
        let left = bound().map(|(at, rate)| {
            let (until, all) = (self.busy_until[at], rate.interval(rate_shares::WHOLE));
            let free = (now + rate.window).saturating_duration_since(until);
            Admission {
                limit: rate.limit,
                // At most the limit, a u32.
                remaining: (free.as_nanos() / all.as_nanos().max(1)) as u32,
                reset: until.saturating_duration_since(now),
            }
        });
        let turn = now + longest.map_or(Duration::ZERO, |(wait, _)| wait);
        Reserved::Turn(turn, left.min_by_key(|left| left.remaining))
    }
}

impl Account {
    fn reserve(&self, rates: &Rates, now: Instant) -> Reserved {
        self.is_active.store(true, Relaxed);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_mut().map_or(Reserved::Ask, |held| held.reserve(rates, now))
    }

    fn take(&self) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn hold(&self, held: Held) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
    }

    /// Whether its lease would end before it is looked at again.
    fn ends_soon(&self, now: Instant) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().is_none_or(|held| now + 2 * RENEW > held.ends)
    }
}

fn too_many(rate: &Rate, retry_after: u64) -> Fault {
    Fault::TooManyRequests { rate_limit: format!("{} requests per {}", rate.limit, rate.name), retry_after }
}

impl UploadRates {
    /// 0 takes a rate away.
    pub(crate) fn new(per_minute: u32, per_day: u32) -> Self {
        let rates = [(per_minute, MINUTE, "minute"), (per_day, DAY, "day")];
        Self {
            rates: rates.map(|(limit, window, name)| Rate { limit, window, name }),
            accounts: Mutex::default(),
        }
    }

    fn tightest(&self) -> Option<&Rate> {
        let bound = self.rates.iter().filter(|rate| rate.limit > 0);
        bound.max_by_key(|rate| rate.interval(rate_shares::WHOLE))
    }

    fn account(&self, name: &str) -> Arc<Account> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(name) {
            return Arc::clone(account);
        }
        let name: Arc<str> = name.into();
        let account = Arc::new(Account {
            name: Arc::clone(&name),
            asking: Arc::default(),
            held: Mutex::default(),
            is_active: AtomicBool::new(true),
        });
        accounts.insert(name, Arc::clone(&account));
        account
    }

    fn all(&self) -> Vec<Arc<Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Forgets an account that nobody waits with.
    fn forget(&self, account: &Arc<Account>) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        // Ours and the map's.
        if Arc::strong_count(account) <= 2 {
            accounts.remove(&account.name);
        }
    }
}

impl Service {
    /// Waits for the account's turn; `None` where no rate holds.
    ///
    /// # Errors
    /// [`Fault::TooManyRequests`] at once when the wait would be too long; when the database fails.
    pub(crate) async fn await_turn(&self, account: &str) -> Result<Option<Admission>> {
        let rates = &self.upload_rates;
        let Some(tightest) = rates.tightest() else { return Ok(None) };
        let account = rates.account(account);
        let patience = Instant::now() + MAX_WAIT;
        loop {
            let now = Instant::now();
            match account.reserve(&rates.rates, now) {
                Reserved::Turn(turn, admission) => {
                    if turn > now {
                        sleep_until(turn).await;
                    }
                    return Ok(admission);
                }
                Reserved::TooEarly(fault) => return Err(fault.into()),
                Reserved::Ask => {}
            }
            // Other nodes have it all, and hand over none of it.
            let gives_up = || too_many(tightest, MAX_WAIT.as_secs());
            let Ok(_asking) = timeout_at(patience, account.asking.lock()).await else {
                return Err(gives_up().into());
            };
            // Somebody may have asked meanwhile.
            let is_answered = {
                let held = account.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
                held.is_some_and(|mut held| held.reserve(&rates.rates, Instant::now()) != Reserved::Ask)
            };
            if is_answered {
                continue;
            }
            self.lease_rates(&[&account], true).await?;
            let has_none = account
                .held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .is_none_or(|held| held.parts == 0);
            if has_none {
                if Instant::now() + POLL > patience {
                    return Err(gives_up().into());
                }
                // Behind it others of the account wait, who then need not ask.
                sleep(POLL).await;
            }
        }
    }

    /// Asks for shares of the rates of accounts, or gives them back. Nobody may use what is held meanwhile: each of the accounts is
    /// being asked for ([`Account::asking`]).
    async fn lease_rates(&self, accounts: &[&Arc<Account>], wants: bool) -> Result<()> {
        let names: Vec<&str> = accounts.iter().map(|account| &*account.name).collect();
        let used: Vec<Option<Times>> =
            accounts.iter().map(|account| account.take().map(|held| held.used())).collect();
        let (at, now) = (Instant::now(), self.clock.now_ms().saturating_mul(1000));
        let (rates, node) = (self.upload_rates.rates, self.store.node());
        let divide = |at: usize, shares: &mut Vec<_>| {
            rate_shares::divide(shares, &rates, &Ask { node, used: used[at], wants, now })
        };
        // What fails is not held any more: nobody knows what became of it, and its lease ends by itself.
        let leases = self.store.share_rates(&names, divide).await?;
        if wants {
            for (account, lease) in accounts.iter().zip(&leases) {
                account.hold(Held::new(lease, (at, now)));
            }
        }
        Ok(())
    }

    /// Renews the leases of accounts that upload, and gives back those of accounts that do not any more; all of them at the
    /// shutdown.
    pub(crate) async fn keep_rates(&self, shutdown: &CancellationToken) {
        let mut ticks = interval(RENEW);
        let mut is_over = false;
        while !is_over {
            tokio::select! {
                () = shutdown.cancelled() => is_over = true,
                _ = ticks.tick() => {}
            }
            let now = Instant::now();
            let (active, idle): (Vec<_>, Vec<_>) = self
                .upload_rates
                .all()
                .into_iter()
                .partition(|account| !is_over && account.is_active.swap(false, Relaxed));
            let over: Vec<_> = idle.into_iter().filter(|account| is_over || account.ends_soon(now)).collect();
            for (accounts, wants) in [(active, true), (over, false)] {
                for accounts in accounts.chunks(TOGETHER) {
                    self.renew_rates(accounts, wants).await;
                }
                if !wants {
                    accounts.iter().for_each(|account| self.upload_rates.forget(account));
                }
            }
        }
    }

    async fn renew_rates(&self, accounts: &[Arc<Account>], wants: bool) {
        // Of whom somebody asks for just now, nothing needs to be asked.
        let asking: Vec<_> = accounts
            .iter()
            .filter_map(|account| Some((account, account.asking.try_lock().ok()?)))
            .filter(|(account, _)| account.held.lock().unwrap_or_else(PoisonError::into_inner).is_some())
            .collect();
        let accounts: Vec<&Arc<Account>> = asking.iter().map(|(account, _)| *account).collect();
        if accounts.is_empty() {
            return;
        }
        if let Err(error) = self.lease_rates(&accounts, wants).await {
            tracing::warn!(%error, "shares of rates could not be renewed; they are asked for again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one node has that is alone.
    fn alone(rates: &UploadRates, now: Instant) -> Held {
        let ask = Ask { node: "a", used: None, wants: true, now: 1_000_000 };
        let mut lease = rate_shares::divide(&mut Vec::new(), &rates.rates, &ask);
        // As if it had asked as often as it had to.
        lease.usable_until = [i64::MAX / 2; 2];
        Held { ends: now + DAY, ..Held::new(&lease, (now, 1_000_000)) }
    }

    fn turn(reserved: Reserved) -> (Instant, Option<Admission>) {
        match reserved {
            Reserved::Turn(turn, admission) => (turn, admission),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_burst_then_evenly_then_no_more() {
        let (rates, now) = (UploadRates::new(60, 0), Instant::now());
        let mut held = alone(&rates, now);
        let mut reserve = |at| held.reserve(&rates.rates, at);
        for n in 0..60 {
            let (when, admission) = turn(reserve(now));
            assert_eq!((when, admission.unwrap().remaining), (now, 59 - n));
        }
        // One a second from here on, each after the one before it, and none beyond ten.
        for n in 1..=10 {
            assert_eq!(turn(reserve(now)).0, now + Duration::from_secs(n));
        }
        let Reserved::TooEarly(Fault::TooManyRequests { rate_limit, retry_after }) = reserve(now) else {
            unreachable!()
        };
        assert_eq!((rate_limit.as_str(), retry_after), ("60 requests per minute", 12));
        // A quiet minute and more gives the burst back, and not more than that.
        let later = now + MINUTE * 5;
        assert_eq!(turn(reserve(later)).1.unwrap().remaining, 59);
    }

    #[test]
    fn the_tighter_rate_is_told_and_none_is_none() {
        let (rates, now) = (UploadRates::new(600, 3), Instant::now());
        let mut held = alone(&rates, now);
        let mut reserve = || held.reserve(&rates.rates, now);
        assert_eq!(turn(reserve()).1.unwrap().limit, 3);
        reserve();
        reserve();
        assert!(matches!(reserve(), Reserved::TooEarly(Fault::TooManyRequests { retry_after: 28_801, .. })));
        assert_eq!(UploadRates::new(0, 0).tightest().map(|rate| rate.limit), None);
    }

    #[test]
    fn what_is_leased_is_all_that_is_used_and_is_told_again() {
        let (rates, now) = (UploadRates::new(160, 0), Instant::now());
        let ask = Ask { node: "a", used: None, wants: true, now: 5_000_000 };
        let lease = rate_shares::divide(&mut Vec::new(), &rates.rates, &ask);
        let mut held = Held::new(&lease, (now, 5_000_000));
        for _ in 0..10 {
            turn(held.reserve(&rates.rates, now));
        }
        assert_eq!(held.reserve(&rates.rates, now), Reserved::Ask);
        assert_eq!(held.used()[0], 5_000_000 + 10 * 375_000 + 1);
        let mut held = Held::new(&lease, (now, 5_000_000));
        assert_eq!(held.reserve(&rates.rates, now + Duration::from_secs(4)), Reserved::Ask);
    }
}
