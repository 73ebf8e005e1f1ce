//! The rest of an import that was too large or too slow for its request: goes on from the byte where it was, as often as it
//! must, and then looks at what came.

use std::time::Duration;

use reelhouse_api::{AssetError, Fault, MediaKind, Method};
use reelhouse_fetch::PublicUrl;
use reelhouse_store::{AssetRecord, ImportRecord, IncomingFile, JobRecord};
use tokio::time::{Instant, sleep};

use super::examine;
use crate::{
    Service,
    disk::NoRoom,
    import,
    worker::{Done, JobError, Progress},
};

/// Bytes between two notes of how far it is: what is fetched again after the process died is at most this.
const CHECKPOINT: u64 = 4 << 20;
/// The least bytes by which a transfer that breaks off must have got on to be taken up again at once.
const LEAST_GAIN: u64 = 1 << 20;
/// Longest time between two notes.
const CHECKPOINT_TIME: Duration = Duration::from_secs(2);
/// Before a transfer that broke off is taken up again.
const PAUSE: Duration = Duration::from_secs(1);

/// An import under way.
struct Transfer<'a> {
    service: &'a Service,
    job: &'a JobRecord,
    progress: &'a Progress,
    url: PublicUrl,
    record: ImportRecord,
    file: IncomingFile,
    /// Bytes in the file, flushed or not.
    received: u64,
    /// The origin could not go on where this request asked it to.
    started_over: bool,
    noted: Instant,
}

/// Why a transfer ends before its end.
enum Stop {
    /// It will always be so.
    Refused(Fault),
    /// Nothing came of this attempt.
    Failed(reelhouse_fetch::Error),
    Job(JobError),
}

impl From<reelhouse_store::Error> for Stop {
    fn from(error: reelhouse_store::Error) -> Self {
        Self::Job(error.into())
    }
}

/// One attempt.
pub(crate) async fn run(
    service: &Service,
    job: &JobRecord,
    asset: AssetRecord,
    progress: &Progress,
) -> Result<Done, JobError> {
    let record = service.store.import(asset.id).await?;
    let record = record.ok_or_else(|| JobError::Fail("it is not known where it comes from".to_owned()))?;
    let given = record.url.clone();
    let url = PublicUrl::parse(&given).map_err(|error| JobError::Fail(error.to_string()))?;
    let Some((file, received)) = service.store.blobs().resume_incoming(asset.id, record.received).await?
    else {
        // All of it was here when an attempt died.
        return examine::run(service, asset).await;
    };
    let noted = Instant::now();
    let mut transfer =
        Transfer { service, job, progress, url, record, file, received, started_over: false, noted };
    let timeout = i64::try_from(service.imports.settings.timeout.as_millis()).unwrap_or(i64::MAX);
    let left = asset.created_at.saturating_add(timeout).saturating_sub(service.clock.now_ms());
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
    let ended = tokio::time::timeout(left, transfer.fetch_all()).await;
    let refused = |fault: &Fault| Ok(Done::Refused(AssetError::from(fault)));
    match ended {
        Ok(Ok(())) => {
            let whole = transfer.file.seal().await?;
            let local = service.store.arrived(asset.id).await?;
            let local = local.ok_or_else(|| JobError::Retry("what came is not there".to_owned()))?;
            examine::verdict(service, asset, &local, whole).await
        }
        Ok(Err(Stop::Refused(fault))) => refused(&fault),
        Ok(Err(Stop::Failed(error))) => {
            if job.is_last_attempt() || !error.is_retriable() {
                return refused(&import::fault_of(&error, &given));
            }
            import::log(&error, "an import broke off");
            Err(JobError::Retry(error.to_string()))
        }
        Ok(Err(Stop::Job(error))) => Err(error),
        Err(_) => {
            tracing::info!("an import took too long in all");
            refused(&Fault::MediaUrlFileBroken)
        }
    }
}

impl Transfer<'_> {
    /// Fetches until all is here; takes up again what broke off as long as it gets on.
    async fn fetch_all(&mut self) -> Result<(), Stop> {
        loop {
            let before = self.received;
            self.started_over = false;
            match self.go_on().await {
                Err(Stop::Failed(error)) => {
                    self.note().await?;
                    // A few bytes, or all of it again, are no way to get on.
                    let gained = self.received.saturating_sub(before);
                    if gained < LEAST_GAIN || self.started_over || self.record.validator.is_none() {
                        return Err(Stop::Failed(error));
                    }
                    import::log(&error, "an import broke off and is taken up again");
                    sleep(PAUSE).await;
                }
                ended => return ended,
            }
        }
    }

    /// One request for what is missing.
    async fn go_on(&mut self) -> Result<(), Stop> {
        let validator = self.record.validator.as_ref().and_then(|validator| validator.parse().ok());
        if self.record.total == Some(self.received) && self.received > 0 {
            return Ok(());
        }
        let resume = import::resume(self.received, validator.as_ref(), self.record.total);
        let fetcher = &self.service.imports.fetcher;
        let mut fetched = fetcher.get(&self.url, resume.as_ref()).await.map_err(Stop::Failed)?;
        if fetched.from != self.received {
            self.restart().await?;
        }
        self.record.validator = fetched.validator.as_ref().map(ToString::to_string);
        self.record.total = fetched.total;
        self.check_size(fetched.total.unwrap_or(0))?;
        self.note().await?;
        let (from, missing) = (self.received, fetched.total.unwrap_or(0).saturating_sub(self.received));
        let no_room = |NoRoom| Stop::Job(JobError::NoRoom(format!("{missing} bytes or more are to come")));
        let mut room = self.service.disk.promise(missing).map_err(no_room)?;
        while let Some(bytes) = fetched.chunk().await.map_err(Stop::Failed)? {
            let arrived = self.received + bytes.len() as u64;
            room.reach(arrived - from).map_err(no_room)?;
            self.file.push(&bytes).await?;
            self.received = arrived;
            room.keep(arrived - from);
            self.check_size(self.received)?;
            let since = self.received.saturating_sub(self.record.received);
            if since >= CHECKPOINT || self.noted.elapsed() >= CHECKPOINT_TIME {
                self.note().await?;
            }
        }
        Ok(())
    }

    /// Makes what is here durable, and notes it.
    async fn note(&mut self) -> Result<(), Stop> {
        let flushed = self.file.flush().await?;
        let (bytes, seconds) =
            (flushed.saturating_sub(self.record.received), self.noted.elapsed().as_secs_f64());
        // Of less, a rate says nothing.
        if bytes >= CHECKPOINT || seconds >= 1.0 {
            self.record.rate = Some((bytes as f64 / seconds) as u64);
        }
        self.record.received = flushed;
        self.noted = Instant::now();
        if let Some(total) = self.record.total.filter(|total| *total > 0) {
            self.progress.send_replace((flushed as f64 / total as f64) as f32);
        }
        if self.service.store.note_import(self.job, &self.record).await? {
            Ok(())
        } else {
            Err(Stop::Job(JobError::Retry("the job is no longer ours".to_owned())))
        }
    }

    async fn restart(&mut self) -> Result<(), Stop> {
        self.file.restart().await?;
        self.started_over = true;
        (self.received, self.record.received) = (0, 0);
        Ok(())
    }

    /// What is over the widest cap is not read on; which cap is its own, is seen when it is whole.
    fn check_size(&self, size: u64) -> Result<(), Stop> {
        let limits = &self.service.limits;
        let kind = [MediaKind::Video, MediaKind::Audio, MediaKind::Image]
            .into_iter()
            .max_by_key(|kind| limits.max_size(*kind, Method::Url))
            .unwrap_or(MediaKind::Video);
        limits.check_size(kind, Method::Url, size).map_err(Stop::Refused)
    }
}
