//! How an account's rates are divided between nodes, so that all together never use more than there is.
//!
//! The state of a generic cell rate is a time: until when the requests so far take it up. A part of a rate has the same time as
//! the whole, so rates are divided, and put together again, without anything won or lost. What a node holds is noted as
//! used up to where the node may use it before it asks again: of a node that dies, no more than that is lost, and what it
//! held is anybody's when its lease has ended.

use std::time::Duration;

use reelhouse_store::RateShare;

use crate::rate::MAX_WAIT;

/// All of a rate, in parts.
pub(crate) const WHOLE: i64 = 1_000_000;
/// The node of what nobody holds.
const NOBODY: &str = "";
/// How long a node may use its share without a sign of life. In microseconds, like all times here.
pub(crate) const LEASE: i64 = 5_000_000;
/// How far the nodes' clocks may be apart.
pub(crate) const SKEW: i64 = 1_000_000;
/// What a node may use before it asks again: of all that its share could be used for in a window, this part.
const AT_A_TIME: i64 = 16;

/// So many requests in so much time: at once if they like, then evenly spread (the generic cell rate algorithm).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// 0 for no bound.
    pub(crate) limit: u32,
    pub(crate) window: Duration,
    pub(crate) name: &'static str,
}

impl Rate {
    fn is_bound(&self) -> bool {
        self.limit > 0
    }

    /// Time that one request takes up of a share of so many parts.
    pub(crate) fn interval(&self, parts: i64) -> Duration {
        let all = i128::from(micros(self.window)) * i128::from(WHOLE);
        let each = i128::from(self.limit) * i128::from(parts);
        Duration::from_micros(u64::try_from(div_up(all, each.max(1))).unwrap_or(u64::MAX))
    }

    /// The fewest parts that let a request come at all.
    fn least(&self) -> i64 {
        if self.is_bound() { (WHOLE - 1) / i64::from(self.limit) + 1 } else { 1 }
    }
}

/// By minute and by day.
pub(crate) type Rates = [Rate; 2];

/// For each of the rates.
pub(crate) type Times = [i64; 2];

/// What a node asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) node: &'a str,
    /// Until when what it used takes the rates up; `None` when it does not know what it holds.
    pub(crate) used: Option<Times>,
    /// Whether it wants any, or gives back what it has.
    pub(crate) wants: bool,
    pub(crate) now: i64,
}

/// What a node may use from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Of [`WHOLE`]; 0 while others have it all.
    pub(crate) parts: i64,
    pub(crate) busy_until: Times,
    /// How far it may be used before the node asks again.
    pub(crate) usable_until: Times,
}

/// Gives a node its share of what there is. All who want any have the same, or as many of them as can use it.
pub(crate) fn divide(shares: &mut Vec<RateShare>, rates: &Rates, ask: &Ask<'_>) -> Lease {
    let Ask { node, used, wants, now } = *ask;
    let held: i64 = shares.iter().map(|share| share.parts).sum();
    let mut free = take(shares, NOBODY).unwrap_or(share_of(NOBODY, WHOLE - held));
    let mut own = match (take(shares, node), used) {
        (Some(own), Some(used)) => RateShare { busy_until: used, ..own },
        (Some(own), None) => {
            put(&mut free, own.parts, own.busy_until, now);
            share_of(node, 0)
        }
        (None, _) => share_of(node, 0),
    };
    shares.retain(|other| {
        let is_gone = other.lease_until + SKEW < now;
        if is_gone {
            put(&mut free, other.parts, other.busy_until, now);
        }
        !is_gone
    });
    let least = rates.iter().map(Rate::least).max().unwrap_or(1);
    // Whatever is less than a request's worth is of no use to anybody.
    let holders = (shares.len() as i64 + 1).min(WHOLE / least).max(1);
    let fair = if wants { WHOLE / holders } else { 0 };
    if own.parts > fair {
        put(&mut free, own.parts - fair, own.busy_until, now);
        own.parts = fair;
    } else {
        let more = free.parts.min(fair - own.parts);
        free.parts -= more;
        put(&mut own, more, free.busy_until, now);
    }
    if own.parts < least {
        put(&mut free, own.parts, own.busy_until, now);
        own.parts = 0;
    }
    let lease = lease_of(&own, rates, now);
    shares.push(free);
    if wants {
        shares.push(RateShare { busy_until: lease.usable_until, lease_until: now + LEASE, ..own });
    }
    lease
}

fn lease_of(own: &RateShare, rates: &Rates, now: i64) -> Lease {
    let busy_until = own.busy_until.map(|until| until.max(now));
    let mut usable_until = busy_until;
    for (rate, until) in rates.iter().zip(&mut usable_until) {
        if rate.is_bound() && own.parts > 0 {
            let requests = (i64::from(rate.limit) * own.parts / WHOLE / AT_A_TIME).max(1);
            // Farther than that, nobody could use it before the lease ends.
            let most = (now + LEASE + micros(rate.window + MAX_WAIT)).max(*until);
            *until = (*until + requests * micros(rate.interval(own.parts))).min(most);
        }
    }
    Lease { parts: own.parts, busy_until, usable_until }
}

fn take(shares: &mut Vec<RateShare>, node: &str) -> Option<RateShare> {
    let at = shares.iter().position(|share| share.node == node)?;
    Some(shares.swap_remove(at))
}

fn share_of(node: &str, parts: i64) -> RateShare {
    RateShare { node: node.to_owned(), parts, busy_until: [0; 2], lease_until: 0 }
}

/// Puts parts to a share: what is left of both is left of it.
fn put(share: &mut RateShare, parts: i64, busy_until: Times, now: i64) {
    let all = i128::from(share.parts + parts);
    for (until, other) in share.busy_until.iter_mut().zip(busy_until) {
        let ahead = |until: i64| i128::from(until.max(now) - now);
        let together = i128::from(share.parts) * ahead(*until) + i128::from(parts) * ahead(other);
        *until = now.saturating_add(i64::try_from(div_up(together, all.max(1))).unwrap_or(i64::MAX));
    }
    share.parts += parts;
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn div_up(number: i128, by: i128) -> i128 {
    (number + by - 1) / by
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn rates(per_minute: u32, per_day: u32) -> Rates {
        [
            Rate { limit: per_minute, window: MINUTE, name: "minute" },
            Rate { limit: per_day, window: DAY, name: "day" },
        ]
    }

    /// A node as [`crate::rate`] has it, without its waits.
    #[derive(Debug, Default, Clone)]
    struct Node {
        lease: Option<Lease>,
        ends: i64,
    }

    impl Node {
        fn ask(&mut self, shares: &mut Vec<RateShare>, rates: &Rates, name: &str, wants: bool, now: i64) {
            let used = self.lease.take().map(|lease| lease.busy_until);
            let lease = divide(shares, rates, &Ask { node: name, used, wants, now });
            self.lease = wants.then_some(lease);
            self.ends = now + LEASE;
        }

        fn admits(&mut self, rates: &Rates, now: i64) -> bool {
            let Some(lease) = self.lease.as_mut().filter(|lease| lease.parts > 0 && now < self.ends) else {
                return false;
            };
            let next: Vec<i64> = rates
                .iter()
                .zip(lease.busy_until)
                .map(|(rate, until)| {
                    until.max(now) + if rate.limit > 0 { micros(rate.interval(lease.parts)) } else { 0 }
                })
                .collect();
            let fits = rates.iter().zip(&next).zip(lease.usable_until).all(|((rate, next), usable)| {
                rate.limit == 0 || (*next <= now + micros(rate.window) && *next <= usable)
            });
            if fits {
                lease.busy_until = [next[0], next[1]];
            }
            fits
        }
    }

    /// The rate as one node would have it, which no request may break.
    #[derive(Default)]
    struct Whole {
        busy_until: Times,
        admitted: i64,
    }

    impl Whole {
        fn takes(&mut self, rates: &Rates, now: i64) {
            self.admitted += 1;
            for (rate, until) in rates.iter().zip(&mut self.busy_until) {
                if rate.limit > 0 {
                    // Exact, so that nothing is lost in rounding: whatever was rounded, was so to the node's disadvantage.
                    *until = (*until).max(now) + micros(rate.window) / i64::from(rate.limit);
                    assert!(*until <= now + micros(rate.window), "more than {} by {}", rate.limit, rate.name);
                }
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Requests(usize, u8),
        Ask(usize, bool),
        /// It forgets what it holds: a new process, or an answer that was lost.
        Dies(usize),
        Time(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..4_usize, 1..=40_u8).prop_map(|(node, requests)| Step::Requests(node, requests)),
            4 => (0..4_usize, prop::bool::weighted(0.8)).prop_map(|(node, wants)| Step::Ask(node, wants)),
            1 => (0..4_usize).prop_map(Step::Dies),
            3 => (0..3_000_000_i64).prop_map(Step::Time),
            1 => (0..90_000_000_i64).prop_map(Step::Time),
        ]
    }

    proptest! {
        #[test]
        fn all_nodes_together_never_use_more_than_there_is(
            per_minute in prop_oneof![1..5_u32, 1..1000_u32],
            per_day in prop_oneof![Just(0_u32), 1..2000_u32],
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let (rates, mut shares) = (rates(per_minute, per_day), Vec::new());
            let (mut nodes, mut whole) = (vec![Node::default(); 4], Whole::default());
            let mut now = 1_700_000_000_000_000;
            for step in steps {
                match step {
                    Step::Requests(node, requests) => {
                        for _ in 0..requests {
                            if nodes[node].admits(&rates, now) {
                                whole.takes(&rates, now);
                            }
                        }
                    }
                    Step::Ask(node, wants) => {
                        nodes[node].ask(&mut shares, &rates, &format!("n{node}"), wants, now);
                    }
                    Step::Dies(node) => nodes[node] = Node::default(),
                    Step::Time(passes) => now += passes,
                }
                if !shares.is_empty() {
                    prop_assert_eq!(shares.iter().map(|share| share.parts).sum::<i64>(), WHOLE);
                    prop_assert!(shares.iter().all(|share| share.parts >= 0));
                }
            }
            // Whoever is alone has all of it, once the others' leases have ended; and all of a minute, a minute later.
            now += LEASE + SKEW + 1;
            let mut alone = Node::default();
            alone.ask(&mut shares, &rates, "alone", true, now);
            prop_assert_eq!(alone.lease.unwrap().parts, WHOLE);
            now += micros(MINUTE) * 3;
            alone.ask(&mut shares, &rates, "alone", true, now);
            let left = now + micros(MINUTE) - alone.lease.unwrap().busy_until[0];
            prop_assert!(left >= micros(MINUTE));
        }
    }

    #[test]
    fn who_comes_gets_half_and_who_goes_gives_it_back() {
        let (rates, mut shares, mut now) = (rates(600, 0), Vec::new(), 1_000_000_000);
        let mut nodes = [Node::default(), Node::default()];
        let used = |node: &mut Node, shares: &mut Vec<RateShare>, name: &str, now| {
            let mut used = 0;
            loop {
                while node.admits(&rates, now) {
                    used += 1;
                }
                let before = node.lease;
                node.ask(shares, &rates, name, true, now);
                if node.lease.map(|lease| lease.usable_until) == before.map(|lease| lease.usable_until) {
                    return used;
                }
            }
        };
        // One alone: a burst of all there is, asked for little by little.
        nodes[0].ask(&mut shares, &rates, "a", true, now);
        assert_eq!(nodes[0].lease.unwrap().parts, WHOLE);
        let mut burst = 0;
        for _ in 0..20 {
            while nodes[0].admits(&rates, now) {
                burst += 1;
            }
            nodes[0].ask(&mut shares, &rates, "a", true, now);
        }
        assert_eq!(burst, 600);
        // The other finds nothing at first, then half of what comes, and half of the past.
        nodes[1].ask(&mut shares, &rates, "b", true, now);
        assert_eq!(nodes[1].lease.unwrap().parts, 0);
        now += 1_000_000;
        nodes[0].ask(&mut shares, &rates, "a", true, now);
        nodes[1].ask(&mut shares, &rates, "b", true, now);
        assert_eq!((nodes[0].lease.unwrap().parts, nodes[1].lease.unwrap().parts), (WHOLE / 2, WHOLE / 2));
        let both = |nodes: &mut [Node; 2], shares: &mut Vec<RateShare>, now| {
            let [a, b] = nodes;
            (used(a, shares, "a", now), used(b, shares, "b", now))
        };
        assert_eq!(both(&mut nodes, &mut shares, now), (5, 5));
        // One gives its share back, the other has all of it, with what both left.
        now += 2_000_000;
        nodes[1].ask(&mut shares, &rates, "b", false, now);
        nodes[0].ask(&mut shares, &rates, "a", true, now);
        assert_eq!(nodes[0].lease.unwrap().parts, WHOLE);
        assert_eq!(used(&mut nodes[0], &mut shares, "a", now), 20);
    }

    #[test]
    fn a_rate_too_small_to_be_divided_is_one_nodes_at_a_time() {
        let (rates, mut shares, now) = (rates(1, 0), Vec::new(), 1_000_000_000);
        let [mut a, mut b] = [Node::default(), Node::default()];
        a.ask(&mut shares, &rates, "a", true, now);
        b.ask(&mut shares, &rates, "b", true, now);
        a.ask(&mut shares, &rates, "a", true, now);
        assert_eq!((a.lease.unwrap().parts, b.lease.unwrap().parts), (WHOLE, 0));
        a.ask(&mut shares, &rates, "a", false, now);
        b.ask(&mut shares, &rates, "b", true, now);
        assert_eq!(b.lease.unwrap().parts, WHOLE);
        assert!(b.admits(&rates, now) && !b.admits(&rates, now));
    }
}
