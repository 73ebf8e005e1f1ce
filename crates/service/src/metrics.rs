//! What is measured only when somebody looks.

use std::{fs, time::Duration};

use reelhouse_api::{JobKind, JobState};
use reelhouse_metrics::metrics;
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};
use tokio::time::Instant;

use crate::{Service, error::Result};

/// States of deliveries that are shown.
const DELIVERY_STATES: [&str; 4] = ["blocked", "waiting", "sending", "dead"];

/// Somebody had to wait for a turn, or not.
pub(crate) fn waited(what: &'static str, since: Instant) {
    metrics().wait_duration.with([what.into()]).observe(since.elapsed().as_secs_f64());
}

impl Service {
    /// All that is counted and measured, as text of [`METRICS_TYPE`](crate::METRICS_TYPE).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn metrics(&self) -> Result<String> {
        self.look_at_jobs().await?;
        let found = self.store.delivery_counts().await?;
        for state in DELIVERY_STATES {
            let count = found.iter().find(|(name, _)| name == state).map_or(0, |(_, count)| *count);
            metrics().webhook_deliveries.with([state.into()]).set(count);
        }
        let (mut assets, mut bytes) = (0, 0);
        for account in self.store.accounts().await? {
            assets += account.asset_count;
            bytes += account.asset_bytes;
        }
        metrics().assets.set(signed(assets));
        metrics().asset_bytes.set(signed(bytes));
        let space = self.store.disk_space()?;
        metrics().disk_free.set(signed(space.free));
        metrics().disk_size.set(signed(space.size));
        look_at_process();
        Ok(metrics().text())
    }

    async fn look_at_jobs(&self) -> Result<()> {
        let (found, now_ms) = (self.store.job_counts().await?, self.clock.now_ms());
        let states = |kind| JobState::ALL.iter().map(move |state| (kind, *state));
        for (kind, state) in JobKind::ALL.iter().flat_map(|kind| states(*kind)) {
            let lane = if kind == JobKind::Import { "import" } else { "make" };
            let labels = || [lane.into(), kind.as_str().into(), state.as_str().into()];
            let found = found.iter().find(|found| (found.kind, found.state) == (kind, state));
            let age_ms = found.map_or(0, |found| now_ms.saturating_sub(found.oldest)).max(0);
            let age = Duration::from_millis(age_ms.unsigned_abs());
            metrics().jobs.with(labels()).set(found.map_or(0, |found| found.count));
            metrics().job_oldest_age.with(labels()).set(age.as_secs_f64());
        }
        Ok(())
    }
}

/// What cannot be had is left as it was.
fn look_at_process() {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    metrics().process_cpu.set(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let resident = pages.and_then(|pages| pages.split(' ').nth(1)?.parse::<u64>().ok());
    if let Some(resident) = resident {
        metrics().process_resident_memory.set(signed(resident * rustix::param::page_size() as u64));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // Without the one that lists them.
        metrics().process_open_fds.set(signed(open.count().saturating_sub(1) as u64));
    }
    metrics().process_max_fds.set(signed(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)));
    metrics().build_info.with([env!("CARGO_PKG_VERSION").into()]).set(1);
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
