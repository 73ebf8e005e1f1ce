//! What jobs do: one file each. A job reads an original and writes into its attempt's folder; what it returns is kept with
//! what it made.

mod examine;
mod hls;
mod import;
mod index;
mod storyboard;
mod thumbnail;

use reelhouse_api::{JobKind, MediaKind, TechnicalMetadata};
use reelhouse_media::Failure;
use reelhouse_store::{AssetRecord, JobRecord, Local};

use crate::{
    Service,
    worker::{Done, JobError, Progress},
};

pub use hls::HlsSettings;
pub(crate) use hls::{
    HlsDetails, HlsSource, HlsVariant, MAIN, as_it_lies as hls_as_it_lies, index_file, media_file,
};
pub use storyboard::VTT_FILE;
pub use thumbnail::FILE as THUMBNAIL_FILE;

/// What a job works on.
pub(crate) struct Input {
    /// The original.
    source: Local,
    kind: MediaKind,
    facts: Box<TechnicalMetadata>,
}

/// Runs one attempt, to where its end can be committed.
pub(crate) async fn run(service: &Service, job: &JobRecord, progress: &Progress) -> Result<Done, JobError> {
    let asset = service.store.asset_of_any(job.asset_id).await?;
    let asset = asset.ok_or_else(|| JobError::Fail("the asset is gone".to_owned()))?;
    match job.kind {
        JobKind::Import => import::run(service, job, asset, progress).await,
        JobKind::Examine => examine::run(service, asset).await,
        JobKind::Index => index::run(service, job, &asset).await,
        JobKind::Hls | JobKind::Thumbnail | JobKind::Storyboard => make(service, job, asset, progress).await,
    }
}

/// Makes something of a ready asset, in a folder of this attempt's own.
async fn make(
    service: &Service,
    job: &JobRecord,
    asset: AssetRecord,
    progress: &Progress,
) -> Result<Done, JobError> {
    let attempt = service.store.begin_attempt(job).await?;
    let folder = attempt.path();
    let lost = || JobError::Retry("the original is not there".to_owned());
    let input = Input {
        source: service.store.blobs().local(asset.id).await?.ok_or_else(lost)?,
        kind: asset.kind.ok_or_else(|| JobError::Fail("it is not known what the asset is".to_owned()))?,
        facts: asset.technical_metadata.unwrap_or_default(),
    };
    let details = match job.kind {
        JobKind::Hls => hls::make(service, &input, folder, progress).await,
        JobKind::Thumbnail => thumbnail::make(service, &input, folder).await,
        JobKind::Storyboard => storyboard::make(service, &input, folder).await,
        JobKind::Import | JobKind::Examine | JobKind::Index => Ok(String::new()),
    };
    match details {
        Ok(details) => Ok(Done::Made { attempt, details }),
        // Programs do not say why they could not write; what the attempt took is still there.
        Err(JobError::Retry(error)) if service.disk.is_low() => Err(JobError::NoRoom(error)),
        Err(error) => Err(error),
    }
}

impl From<reelhouse_media::Error> for JobError {
    fn from(error: reelhouse_media::Error) -> Self {
        use reelhouse_media::Error as Media;
        match error {
            // It will be as broken tomorrow.
            Media::Broken { .. } | Media::NotMedia { .. } | Media::Ffmpeg(Failure::NoResult(_)) => {
                Self::Fail(error.to_string())
            }
            // Killed for standing still, a full disk, a bug: nobody can tell, and it is tried only so often.
            Media::NotInstalled { .. } | Media::NoJail(_) | Media::Child(_) | Media::Ffmpeg(_) => {
                Self::Retry(error.to_string())
            }
        }
    }
}

/// File work of a job, off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, JobError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|stopped| JobError::Retry(stopped.to_string()))?.map_err(|error| {
        let says = error.to_string();
        if reelhouse_store::is_full(&error) { JobError::NoRoom(says) } else { JobError::Retry(says) }
    })
}
