//! How often an account may upload. Whoever is too early waits, in the order they came; whoever would wait too long is
//! refused: the SDKs cannot send an upload twice (contract, section 10).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reelhouse_api::Fault;
use tokio::time::{Instant, sleep_until};

/// The longest a request waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// So many requests in so much time: at once if they like, then evenly spread (the generic cell rate algorithm).
#[derive(Debug, Clone, Copy)]
struct Rate {
    limit: u32,
    window: Duration,
    name: &'static str,
}

impl Rate {
    /// Time that one request takes up.
    fn interval(self) -> Duration {
        self.window / self.limit
    }

    /// How long a request at `now` must wait, if the requests before it take up the time until `busy_until`.
    fn wait(self, busy_until: Instant, now: Instant) -> Duration {
        (busy_until + self.interval()).saturating_duration_since(now + self.window)
    }

    /// How many more requests could come at `now`.
    fn remaining(self, busy_until: Instant, now: Instant) -> u32 {
        let free = (now + self.window).saturating_duration_since(busy_until);
        // At most the limit, a u32.
        (free.as_nanos() / self.interval().as_nanos().max(1)) as u32
    }
}

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
    rates: Vec<Rate>,
    /// For each account and rate, until when the requests so far take up the time.
    busy_until: Mutex<HashMap<String, Vec<Instant>>>,
}

impl UploadRates {
    /// 0 takes a rate away.
    pub(crate) fn new(per_minute: u32, per_day: u32) -> Self {
        let rates = [(per_minute, MINUTE, "minute"), (per_day, DAY, "day")];
        let rates = rates.map(|(limit, window, name)| Rate { limit, window, name });
        Self {
            rates: rates.into_iter().filter(|rate| rate.limit > 0).collect(),
            busy_until: Mutex::default(),
        }
    }

    /// Waits for the account's turn; `None` where no rate holds.
    ///
    /// # Errors
    /// [`Fault::TooManyRequests`] at once when the wait would be too long.
    pub(crate) async fn admit(&self, account: &str) -> Result<Option<Admission>, Fault> {
        let now = Instant::now();
        let (turn, admission) = self.reserve(account, now)?;
        if turn > now {
            sleep_until(turn).await;
        }
        Ok(admission)
    }

    /// Takes the account's next turn.
    fn reserve(&self, account: &str, now: Instant) -> Result<(Instant, Option<Admission>), Fault> {
        let mut busy = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = busy.entry(account.to_owned()).or_insert_with(|| vec![now; self.rates.len()]);
        busy.iter_mut().for_each(|until| *until = (*until).max(now));
        let waits = self.rates.iter().zip(&*busy).map(|(rate, until)| (rate.wait(*until, now), rate));
        let longest = waits.max_by_key(|(wait, _)| *wait);
        if let Some((wait, rate)) = longest
            && wait > MAX_WAIT
        {
            return Err(Fault::TooManyRequests {
                rate_limit: format!("{} requests per {}", rate.limit, rate.name),
                retry_after: wait.as_secs() + 1,
            });
        }
        for (rate, until) in self.rates.iter().zip(busy.iter_mut()) {
            *until += rate.interval();
        }
        let left = self.rates.iter().zip(&*busy).map(|(rate, until)| Admission {
            limit: rate.limit,
            remaining: rate.remaining(*until, now),
            reset: until.saturating_duration_since(now),
        });
        Ok((now + longest.map_or(Duration::ZERO, |(wait, _)| wait), left.min_by_key(|left| left.remaining)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_evenly_then_no_more() {
        let rates = UploadRates::new(60, 0);
        let now = Instant::now();
        let turn = |at| rates.reserve("a", at);
        for n in 0..60 {
            let (when, admission) = turn(now).unwrap();
            assert_eq!((when, admission.unwrap().remaining), (now, 59 - n));
        }
        // One a second from here on, each after the one before it, and none beyond ten.
        for n in 1..=10 {
            assert_eq!(turn(now).unwrap().0, now + Duration::from_secs(n));
        }
        let Err(Fault::TooManyRequests { rate_limit, retry_after }) = turn(now) else { unreachable!() };
        assert_eq!((rate_limit.as_str(), retry_after), ("60 requests per minute", 12));
        assert_eq!(rates.reserve("b", now).unwrap().0, now);
        // A quiet minute and more gives the burst back, and not more than that.
        let later = now + MINUTE * 5;
        assert_eq!(turn(later).unwrap().1.unwrap().remaining, 59);
    }

    #[test]
    fn the_tighter_rate_is_told_and_none_is_none() {
        let rates = UploadRates::new(600, 3);
        let now = Instant::now();
        assert_eq!(rates.reserve("a", now).unwrap().1.unwrap().limit, 3);
        rates.reserve("a", now).unwrap();
        rates.reserve("a", now).unwrap();
        assert!(matches!(rates.reserve("a", now), Err(Fault::TooManyRequests { retry_after: 28_801, .. })));
        assert_eq!(UploadRates::new(0, 0).reserve("a", now).unwrap(), (now, None));
    }
}
