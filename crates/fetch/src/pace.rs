use std::{collections::VecDeque, time::Duration};

/// Into how many steps the window is cut.
const STEPS: u32 = 60;

/// Whether bytes come fast enough, on the average of a sliding window. Its clock is the time spent waiting for them: a slow
/// disk of ours is no fault of the other side.
#[derive(Debug)]
pub struct Pace {
    /// Fewest bytes in a window.
    floor: u64,
    window: Duration,
    waited: Duration,
    /// When a step began, and its bytes.
    steps: VecDeque<(Duration, u64)>,
    bytes: u64,
}

impl Pace {
    /// `min_rate` in bytes per second.
    pub fn new(min_rate: u64, window: Duration) -> Self {
        let floor = u128::from(min_rate).saturating_mul(window.as_nanos()) / 1_000_000_000;
        Self {
            floor: u64::try_from(floor).unwrap_or(u64::MAX),
            window,
            waited: Duration::ZERO,
            steps: VecDeque::new(),
            bytes: 0,
        }
    }

    /// After `wait`, `bytes` came. Is that still fast enough?
    pub fn keeps(&mut self, wait: Duration, bytes: u64) -> bool {
        self.waited += wait;
        self.bytes += bytes;
        match self.steps.back_mut() {
            Some((began, step)) if *began + self.window / STEPS > self.waited => *step += bytes,
            _ => self.steps.push_back((self.waited, bytes)),
        }
        while let Some((began, step)) = self.steps.front()
            && *began + self.window < self.waited
        {
            self.bytes -= step;
            self.steps.pop_front();
        }
        self.waited < self.window || self.bytes >= self.floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    /// For how many seconds bytes at this rate are let through, at most 10 minutes.
    fn lasts(pace: &mut Pace, rate: u64) -> u32 {
        (0..600).find(|_| !pace.keeps(SECOND, rate)).unwrap_or(600)
    }

    #[test]
    fn a_slow_start_and_pauses_are_borne_and_a_trickle_is_not() {
        assert_eq!(lasts(&mut Pace::new(1000, MINUTE), 1000), 600);
        assert_eq!(lasts(&mut Pace::new(1000, MINUTE), 900), 59);
        assert_eq!(lasts(&mut Pace::new(0, MINUTE), 0), 600);
        // 30 s of silence after a good minute are borne, a minute of trickle is not.
        let mut pace = Pace::new(1000, MINUTE);
        assert_eq!(lasts(&mut pace, 3000), 600);
        assert!(pace.keeps(SECOND * 30, 1));
        assert!(!pace.keeps(SECOND * 31, 1));
    }

    #[test]
    fn time_in_which_nobody_asks_does_not_count() {
        let mut pace = Pace::new(1000, MINUTE);
        for _ in 0..1_000_000 {
            assert!(pace.keeps(Duration::ZERO, 1));
        }
        assert_eq!(pace.steps.len(), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let mut pace = Pace::new(1000, MINUTE);
        for _ in 0..1_000_000 {
            assert!(pace.keeps(Duration::from_millis(1), 16_384));
            assert!(pace.steps.len() <= STEPS as usize + 2);
        }
    }
}
