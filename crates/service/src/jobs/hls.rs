use std::{
    fs::File,
    path::{Path, PathBuf},
};

use reelhouse_media::{
    Need, Plan, because,
    hls::{Index, Reason},
};
use serde::{Deserialize, Serialize};

use super::{Input, blocking};
use crate::{
    Service,
    worker::{JobError, Progress},
};

/// The files of an HLS derivative.
pub(crate) mod files {
    /// What playlists and segments are computed from.
    pub(crate) const INDEX: &str = "index";
    /// An MP4 whose ranges segments are made of, where the original does not serve.
    pub(crate) const MEDIA: &str = "media.mp4";
}

/// How HLS was made, and why so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct HlsDetails {
    /// Where the segments' bytes lie.
    pub(crate) source: HlsSource,
    /// What was done: `as it lies`, or the plan in words.
    pub(crate) plan: String,
    /// Why not less.
    pub(crate) reasons: Vec<String>,
}

/// Where the segments' bytes lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HlsSource {
    /// In the original.
    #[default]
    Original,
    /// In [`files::MEDIA`].
    Media,
}

/// Tries the cheapest way first: the original as it lies, then a remux, then a transcode.
pub(crate) async fn make(
    service: &Service,
    input: &Input,
    folder: &Path,
    progress: &Progress,
) -> Result<String, JobError> {
    let media = folder.join(files::MEDIA);
    let mut reasons = Vec::new();
    let (index, source, plan) = match read_index(input.source.clone()).await? {
        Ok(index) => (index, HlsSource::Original, "as it lies".to_owned()),
        Err(mut reason) => 'made: {
            let remux = Plan::remux(&input.facts).filter(|_| copying_mends(&reason));
            let mut plan = remux.unwrap_or_else(|| Plan::transcode(&input.facts, because(&reason)));
            loop {
                reasons.push(reason.to_string());
                let max_bytes = max_bytes(&input.source).await?;
                service
                    .media
                    .prepare(&input.source, &input.facts, &plan, &media, max_bytes, progress)
                    .await?;
                match read_index(media.clone()).await? {
                    Ok(index) => break 'made (index, HlsSource::Media, plan.to_string()),
                    Err(again) if plan.need() == Need::Remux => {
                        plan = Plan::transcode(&input.facts, because(&again));
                        reason = again;
                    }
                    Err(again) => {
                        reasons.push(again.to_string());
                        return Err(JobError::Fail(reasons.join("; ")));
                    }
                }
            }
        }
    };
    let path = folder.join(files::INDEX);
    blocking(move || std::fs::write(path, index.to_bytes())).await?;
    serde_json::to_string(&HlsDetails { source, plan, reasons })
        .map_err(|error| JobError::Fail(error.to_string()))
}

/// Whether the same packets in a new container may do.
fn copying_mends(reason: &Reason) -> bool {
    match reason {
        Reason::VideoCodec(_)
        | Reason::AudioCodec(_)
        | Reason::NotCommonH264
        | Reason::OpenGop
        | Reason::TrimInsideGop
        | Reason::Encrypted
        | Reason::SegmentTooLong => false,
        // And whatever else is said of tables.
        _ => true,
    }
}

/// What the plan has to know of it, where the facts do not say so themselves.
fn because(reason: &Reason) -> &'static str {
    match reason {
        Reason::AudioCodec(_) => because::AUDIO,
        Reason::VideoCodec(_) => because::CODEC,
        Reason::SegmentTooLong => because::SEGMENT_TOO_LONG,
        Reason::OpenGop => because::OPEN_GOP,
        _ => because::TIMESTAMPS,
    }
}

/// A transcode may take more than its source; one that takes so much more has gone astray.
async fn max_bytes(source: &Path) -> Result<u64, JobError> {
    let source = source.to_owned();
    let size = blocking(move || Ok(source.metadata()?.len())).await?;
    Ok(size.saturating_mul(8).saturating_add(1 << 30))
}

async fn read_index(path: PathBuf) -> Result<Result<Index, Reason>, JobError> {
    blocking(move || {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        Index::read(&mut file, len, &[])
    })
    .await
}
