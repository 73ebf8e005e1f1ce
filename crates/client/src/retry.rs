//! When a call is made again, and after how long.

use std::time::Duration;

use crate::Error;

/// The first pause lies between 0 and this; each further one may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No pause of ours is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A server that wants to be left alone for longer is reported, not waited for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How long to wait before attempt number `attempt` + 1, or nothing if that would be of no use. `attempt` counts from 0.
pub(crate) fn pause(error: &Error, attempt: u32) -> Option<Duration> {
    if !error.is_transient() {
        return None;
    }
    match error.api().and_then(|error| error.retry_after) {
        // A little more than asked for, so that those who were told the same do not come back as one.
        Some(asked) if asked <= LONGEST_RETRY_AFTER => Some(asked + jitter(FIRST_PAUSE)),
        Some(_) => None,
        None => Some(jitter(FIRST_PAUSE.saturating_mul(1 << attempt.min(16)).min(LONGEST_PAUSE))),
    }
}

/// Anything from nothing to the whole: full jitter.
fn jitter(whole: Duration) -> Duration {
    let mut bytes = [0; 4];
    // Without randomness the whole pause is as good.
    let share = getrandom::fill(&mut bytes)
        .map_or(1.0, |()| f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX));
    whole.mul_f64(share)
}

/// The header `Retry-After`: seconds, or a date, which is read by the server's own clock.
pub(crate) fn retry_after(value: Option<&str>, date: Option<&str>) -> Option<Duration> {
    let value = value?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (then, now) = (httpdate::parse_http_date(value).ok()?, httpdate::parse_http_date(date?).ok()?);
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let error = Error::Timeout { host: String::new(), after: Duration::ZERO };
        for attempt in 0..40 {
            let most = [500, 1000, 2000, 4000].get(attempt).copied().unwrap_or(8000);
            let pause = pause(&error, u32::try_from(attempt).unwrap()).unwrap();
            assert!(pause <= Duration::from_millis(most), "{attempt}: {pause:?}");
        }
        assert_eq!(pause(&Error::Setup(String::new()), 0), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = Some("Wed, 21 Oct 2026 07:28:00 GMT");
        for (value, date, seconds) in [
            (Some("7"), None, Some(7)),
            (Some("Wed, 21 Oct 2026 07:28:09 GMT"), date, Some(9)),
            (Some("Wed, 21 Oct 2026 07:00:00 GMT"), date, Some(0)),
            (Some("Wed, 21 Oct 2026 07:28:09 GMT"), None, None),
            (Some("soon"), date, None),
            (None, date, None),
        ] {
            assert_eq!(retry_after(value, date), seconds.map(Duration::from_secs), "{value:?}");
        }
    }
}
