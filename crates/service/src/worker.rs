//! The loop that runs jobs: claim, keep the lease while the attempt runs, end it one way or another.

use std::time::Duration;

use futures_util::future::join_all;
use reelhouse_api::AssetError;
use reelhouse_metrics::metrics;
use reelhouse_store::{AssetRecord, Attempt, EarlyDerivative, JobRecord, Lane};
use tokio::{
    sync::watch,
    time::{interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{Service, idempotency, jobs, webhooks};

/// How long a claim holds without a sign of life.
const LEASE: Duration = Duration::from_secs(30);
/// How often a sign of life is given, and progress noted.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// The longest an idle worker sleeps: for jobs pushed by other processes, and clocks that jump.
const POLL: Duration = Duration::from_secs(1);
/// How long uploads in chunks can be asked after when they have ended.
const UPLOADS_REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a job waits that stopped because there was no room.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(10);
/// How often is seen whether there still is room for a job.
const LOOK_AT_DISK: Duration = Duration::from_secs(1);
/// How long an upload to a bucket may take before it is given up, if no session knows it; and how often such are looked for.
const PARTS: Duration = Duration::from_secs(24 * 60 * 60);
const PARTS_LOOK: Duration = Duration::from_secs(60 * 60);
/// Before the second attempt; doubled before each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(5);

/// What an attempt came to; committed only while the job is still its.
#[derive(Debug)]
pub(crate) enum Done {
    /// Something was made of the asset.
    Made {
        /// Its folder.
        attempt: Attempt,
        /// How it was made, JSON.
        details: String,
    },
    /// The asset is whole and is taken, with what was made of it already.
    Arrived(Box<AssetRecord>, Option<EarlyDerivative>),
    /// The asset is not taken.
    Refused(AssetError),
    /// The asset's places in indexes were seen to.
    Indexed,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// Another attempt may succeed.
    #[error("{0}")]
    Retry(String),
    /// It will always be so.
    #[error("{0}")]
    Fail(String),
    /// The disk was full: another attempt may succeed, and this one does not count.
    #[error("no room on the disk: {0}")]
    NoRoom(String),
}

impl From<reelhouse_store::Error> for JobError {
    fn from(error: reelhouse_store::Error) -> Self {
        if error.is_full() { Self::NoRoom(error.to_string()) } else { Self::Retry(error.to_string()) }
    }
}

/// How far an attempt is, 0 to 1; told by the attempt, read by its heartbeat.
pub(crate) type Progress = watch::Sender<f32>;

/// The workers of each lane, in this process.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    make: LaneState,
    import: LaneState,
}

#[derive(Debug, Default)]
struct LaneState {
    looking: tokio::sync::Mutex<()>,
    pushed: tokio::sync::Notify,
}

impl Lanes {
    fn of(&self, lane: Lane) -> &LaneState {
        match lane {
            Lane::Make => &self.make,
            Lane::Import { .. } => &self.import,
        }
    }
}

impl Service {
    /// Runs jobs, so many at once, and tells webhooks, until `shutdown`. `name` is this process's among all that work on the same data; a job
    /// under way at the shutdown is given back.
    pub async fn work(&self, name: &str, workers: usize, shutdown: CancellationToken) {
        let settings = &self.imports.settings;
        let imports = Lane::Import { per_account: settings.imports_per_account.max(1) };
        let sweeper = self.take_back_leases(&shutdown);
        let run = |lane, n| self.run_worker(lane, format!("{name}/{n}"), &shutdown);
        let makers = join_all((0..workers).map(|n| run(Lane::Make, n)));
        // Imports take no core: whoever leaves jobs to others leaves these to them, too.
        let importers = if workers == 0 { 0 } else { settings.imports.max(1) as usize };
        let importers = join_all((workers..workers + importers).map(|n| run(imports, n)));
        tokio::join!(
            sweeper,
            makers,
            importers,
            self.send_webhooks(name, &shutdown),
            self.keep_rates(&shutdown)
        );
    }

    async fn run_worker(&self, lane: Lane, name: String, shutdown: &CancellationToken) {
        while let Some(job) = self.next_job(lane, &name, shutdown).await {
            let span = tracing::info_span!(
                "attempt",
                otel.name = tracing::field::Empty,
                job = job.id,
                kind = job.kind.as_str(),
                asset = %job.asset_id
            );
            reelhouse_trace::name(&span, || format!("job {}", job.kind.as_str()));
            reelhouse_trace::continue_from(&span, job.traceparent.as_deref());
            self.attempt(&job, shutdown).instrument(span).await;
        }
    }

    /// Waits for a job of the lane; `None` at the shutdown. One worker of a lane looks and sleeps, the others wait for
    /// their turn to.
    async fn next_job(&self, lane: Lane, name: &str, shutdown: &CancellationToken) -> Option<JobRecord> {
        let LaneState { looking, pushed } = self.lanes.of(lane);
        let _looking = looking.lock().await;
        while !shutdown.is_cancelled() {
            let claimed = match self.disk.is_low() {
                true => None,
                false => Some(self.store.claim_job(lane, name, self.clock.now_ms(), millis(LEASE)).await),
            };
            let wait = match claimed {
                Some(Ok(Some(job))) => return Some(job),
                Some(Ok(None)) => self.until_next_job(lane).await,
                Some(Err(error)) => {
                    tracing::error!(%error, "a job could not be claimed");
                    POLL
                }
                // What they make has no room.
                None => POLL,
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = pushed.notified() => {}
                () = sleep(wait) => {}
            }
        }
        None
    }

    /// Jobs or events may have been pushed: who sleeps looks.
    pub(crate) fn jobs_pushed(&self) {
        self.lanes.make.pushed.notify_one();
        self.lanes.import.pushed.notify_one();
        self.webhooks.pushed.notify_one();
    }

    async fn until_next_job(&self, lane: Lane) -> Duration {
        let due = self.store.next_job_due(lane).await.ok().flatten();
        // One that is due and was not to be had waits for another of its account to end.
        let wait = due.map(|due| due.saturating_sub(self.clock.now_ms())).filter(|wait| *wait > 0);
        wait.map_or(POLL, |wait| Duration::from_millis(wait.unsigned_abs())).min(POLL)
    }

    /// Leases of workers that died, wherever they were.
    async fn take_back_leases(&self, shutdown: &CancellationToken) {
        let (mut ticks, mut looks) = (interval(LEASE / 3), interval(PARTS_LOOK));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = looks.tick() => {
                    self.give_up_old_parts().await;
                    continue;
                }
                _ = ticks.tick() => {}
            }
            match self.store.take_back_leases(self.clock.now_ms(), None).await {
                Ok(0) => {}
                Ok(given_up) => tracing::warn!(given_up, "jobs whose workers died each time were given up"),
                Err(error) => tracing::error!(%error, "leases could not be taken back"),
            }
            if let Err(error) = self.store.take_back_deliveries(self.clock.now_ms(), None).await {
                tracing::error!(%error, "deliveries could not be taken back");
            }
            if let Err(error) = self.store.settle_reserve() {
                tracing::error!(%error, "no room could be kept for when the disk is full");
            }
            if let Err(error) = self.end_what_is_over().await {
                tracing::error!(%error, "what is over could not be ended");
            }
        }
    }

    async fn give_up_old_parts(&self) {
        match self.store.give_up_old_parts(self.clock.now_ms().saturating_sub(millis(PARTS))).await {
            Ok(0) => {}
            Ok(given_up) => {
                tracing::warn!(given_up, "uploads to the bucket that nobody went on with were given up")
            }
            Err(error) => tracing::error!(%error, "old uploads to the bucket could not be given up"),
        }
    }

    /// Uploads whose time is over, and what is remembered no longer.
    async fn end_what_is_over(&self) -> reelhouse_store::Result<()> {
        let now_ms = self.clock.now_ms();
        match self.store.expire_uploads(now_ms).await? {
            0 => {}
            expired => tracing::info!(expired, "uploads in chunks were not completed in time"),
        }
        let before = |remembered| now_ms.saturating_sub(millis(remembered));
        self.store.end_left_over(now_ms).await?;
        self.store.forget_uploads(before(UPLOADS_REMEMBERED)).await?;
        self.store
            .forget_deliveries(before(webhooks::DELIVERED_REMEMBERED), before(webhooks::DEAD_REMEMBERED))
            .await?;
        self.store.forget_receipts(now_ms.saturating_sub(idempotency::REMEMBERED)).await
    }

    /// One attempt at a job, from its folder to its end.
    async fn attempt(&self, job: &JobRecord, shutdown: &CancellationToken) {
        let begun = std::time::Instant::now();
        let progress = Progress::new(0.0);
        let measured = |outcome: &'static str| {
            let duration = metrics().job_duration.with([job.kind.as_str().into(), outcome.into()]);
            duration.observe(begun.elapsed().as_secs_f64());
        };
        let outcome = tokio::select! {
            outcome = jobs::run(self, job, &progress) => outcome,
            () = self.keep_lease(job, &progress) => {
                tracing::warn!("the job is no longer ours");
                measured("lost");
                return;
            }
            () = self.disk_runs_full() => Err(JobError::NoRoom("the attempt was stopped".to_owned())),
            () = shutdown.cancelled() => {
                self.release(job, job.run_at).await;
                measured("released");
                return;
            }
        };
        let ended = match outcome {
            Ok(done) => self.finish(job, done).await,
            Err(error) => Err(error),
        };
        measured(match &ended {
            Ok(true) => "done",
            Ok(false) => "lost",
            Err(JobError::NoRoom(_)) => "released",
            Err(_) => "failed",
        });
        match ended {
            Ok(true) => {
                tracing::info!(ms = begun.elapsed().as_millis() as u64, "done");
                self.webhooks.pushed.notify_one();
            }
            Ok(false) => tracing::warn!("the job is no longer ours"),
            Err(error) => self.failed(job, &error).await,
        }
    }

    /// Commits what an attempt came to; false when the job is no longer its.
    async fn finish(&self, job: &JobRecord, done: Done) -> Result<bool, JobError> {
        let now_ms = self.clock.now_ms();
        match done {
            Done::Made { attempt, details } => {
                tracing::info!(details, "made");
                Ok(self.store.finish_job(job, attempt, &details, now_ms).await?)
            }
            Done::Arrived(asset, early) => {
                match self.store.publish_arrived(job, &asset, early.as_ref(), now_ms).await {
                    Err(reelhouse_store::Error::QuotaReached) => {
                        let fault = self.quota_fault(&asset.account, asset.size.unwrap_or_default()).await;
                        let fault = fault.map_err(|error| JobError::Retry(error.to_string()))?;
                        Ok(self.store.refuse_arrived(job, &AssetError::from(&fault), now_ms).await?)
                    }
                    ended => {
                        self.jobs_pushed();
                        Ok(ended?)
                    }
                }
            }
            Done::Indexed => {
                let ended = self.store.end_index_job(job).await?;
                // If one came meanwhile, the job waits again.
                self.jobs_pushed();
                Ok(ended)
            }
            Done::Refused(error) => {
                tracing::info!(code = error.code, message = error.message, "an asset failed");
                Ok(self.store.refuse_arrived(job, &error, now_ms).await?)
            }
        }
    }

    /// Returns when the lease is lost.
    async fn keep_lease(&self, job: &JobRecord, progress: &Progress) {
        let mut ticks = interval(HEARTBEAT);
        let mut ours_until = self.clock.now_ms().saturating_add(millis(LEASE));
        loop {
            ticks.tick().await;
            let until = self.clock.now_ms().saturating_add(millis(LEASE));
            // Copied: a guard kept while the store is waited for would lock out whoever tells the progress.
            let done = f64::from(*progress.borrow());
            // A database that says nothing must not keep the attempt at work behind the lease's end.
            let left = ours_until.saturating_sub(self.clock.now_ms()).max(0).unsigned_abs();
            let renewed = self.store.renew_lease(job, Some(done), until);
            let Ok(renewed) = timeout(Duration::from_millis(left), renewed).await else { return };
            match renewed {
                Ok(true) => ours_until = until,
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(%error, "a lease could not be renewed");
                    if self.clock.now_ms() > ours_until {
                        return;
                    }
                }
            }
        }
    }

    /// Returns when so little room is left that what is under way must end.
    async fn disk_runs_full(&self) {
        while !self.disk.is_nearly_full() {
            sleep(LOOK_AT_DISK).await;
        }
    }

    /// Gives a job back, uncounted.
    async fn release(&self, job: &JobRecord, run_at: i64) {
        if let Err(error) = self.store.release_job(job, run_at).await {
            tracing::error!(%error, "a job could not be given back; its lease will end");
        }
    }

    async fn failed(&self, job: &JobRecord, error: &JobError) {
        if let JobError::NoRoom(_) = error {
            tracing::warn!(%error, "a job waits");
            let run_at = self.clock.now_ms().saturating_add(millis(NO_ROOM_PAUSE));
            return self.release(job, run_at).await;
        }
        tracing::warn!(%error, attempts = job.failed_attempts + 1, "an attempt failed");
        let retry_at = match error {
            JobError::Retry(_) => {
                Some(self.clock.now_ms().saturating_add(millis(backoff(job.failed_attempts))))
            }
            JobError::Fail(_) | JobError::NoRoom(_) => None,
        };
        if let Err(error) = self.store.fail_job(job, &error.to_string(), retry_at, self.clock.now_ms()).await
        {
            tracing::error!(%error, "a failed attempt could not be noted; its lease will end");
        }
    }
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Doubles with each failure; half to one and a half of it, so that what failed together does not return together.
fn backoff(failures: i64) -> Duration {
    let doubled = FIRST_BACKOFF * (1 << failures.clamp(0, 8));
    let mut dice = [0; 2];
    // Without randomness there is no jitter, which harms no one.
    let _ = getrandom::fill(&mut dice);
    doubled.mul_f64(0.5 + f64::from(u16::from_be_bytes(dice)) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_and_scatters() {
        for (failures, seconds) in [(0, 5.0), (1, 10.0), (3, 40.0), (100, 1280.0)] {
            let waited = backoff(failures).as_secs_f64();
            assert!((seconds * 0.5..=seconds * 1.5).contains(&waited), "{failures}: {waited}");
        }
    }
}
