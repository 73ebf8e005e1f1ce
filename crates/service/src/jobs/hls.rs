use std::path::Path;

use reelhouse_api::{JobKind, TechnicalMetadata};
use reelhouse_media::{
    Need, Plan, Source, because,
    hls::{CopyCodec, Index, Reason},
};
use reelhouse_store::EarlyDerivative;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::Instant};

use super::{Input, blocking};
use crate::{
    Service,
    metrics::waited,
    worker::{JobError, Progress},
};

/// What HLS is made beside the one variant that plays everywhere.
#[derive(Debug, Clone, Default)]
pub struct HlsSettings {
    /// Codecs whose originals are offered as they lie, too.
    pub copy: Vec<CopyCodec>,
    /// Heights of further, smaller variants, in pixels.
    pub ladder: Vec<u32>,
}

/// How HLS was made, and why so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct HlsDetails {
    /// The first plays everywhere.
    pub(crate) variants: Vec<HlsVariant>,
}

/// One variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HlsVariant {
    /// `main`, a height, or a codec.
    pub(crate) name: String,
    /// Where the segments' bytes lie.
    pub(crate) source: HlsSource,
    /// What was done: `as it lies`, or the plan in words.
    pub(crate) plan: String,
    /// Why not less.
    pub(crate) reasons: Vec<String>,
}

/// Where the segments' bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HlsSource {
    /// In the original.
    Original,
    /// In an MP4 that was made: [`media_file`].
    Media,
}

/// The variant that plays everywhere.
pub(crate) const MAIN: &str = "main";

/// The file from which a variant's playlists and segments are computed.
pub(crate) fn index_file(variant: &str) -> String {
    format!("{variant}.index")
}

/// The MP4 whose ranges a variant's segments are made of, where the original does not serve.
pub(crate) fn media_file(variant: &str) -> String {
    format!("{variant}.mp4")
}

/// All of HLS, if the original serves as it lies and nothing smaller is made beside it.
pub(crate) async fn as_it_lies(
    service: &Service,
    source: Source,
    facts: &TechnicalMetadata,
) -> Option<EarlyDerivative> {
    if rungs(service, facts).next().is_some() {
        return None;
    }
    let begun = Instant::now();
    let Ok(_turn) = service.index_turns.acquire().await else { return None };
    waited("index", begun);
    match service.media.hls_index(source, &[]).await {
        Ok(Ok(index)) => {
            let (bytes, variant) = (index.to_bytes(), HlsVariant::as_it_lies(MAIN));
            let details = HlsDetails { variants: vec![variant] }.to_json().ok()?;
            Some(EarlyDerivative { kind: JobKind::Hls, files: vec![(index_file(MAIN), bytes)], details })
        }
        // The job sees it, too, and does what it takes.
        Ok(Err(_)) => None,
        Err(error) => {
            tracing::error!(%error, "a file's own index could not be read");
            None
        }
    }
}

/// Heights of what is made beside the main variant: those that are smaller.
fn rungs(service: &Service, facts: &TechnicalMetadata) -> impl Iterator<Item = u32> {
    let of_source = upright_height(facts).unwrap_or(0);
    service.hls.ladder.iter().copied().filter(move |height| of_source > *height)
}

impl HlsVariant {
    fn as_it_lies(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            source: HlsSource::Original,
            plan: "as it lies".to_owned(),
            reasons: Vec::new(),
        }
    }

    fn made(name: &str, plan: &Plan, reasons: Vec<String>) -> Self {
        Self { name: name.to_owned(), source: HlsSource::Media, plan: plan.to_string(), reasons }
    }
}

impl HlsDetails {
    fn to_json(&self) -> Result<String, JobError> {
        serde_json::to_string(self).map_err(|error| JobError::Fail(error.to_string()))
    }
}

/// Makes every variant.
pub(crate) async fn make(
    service: &Service,
    input: &Input,
    folder: &Path,
    progress: &Progress,
) -> Result<String, JobError> {
    let work = Work { service, input, folder };
    let (mut main, index) = work.main(progress).await?;
    let sounds_apart = index.rendition_count() > 1;
    let mut further = Vec::new();
    for height in rungs(service, &input.facts) {
        further.push(work.rung(height, sounds_apart).await?);
    }
    match work.copied().await? {
        Some(Ok(variant)) => further.push(variant),
        Some(Err(reason)) => main.reasons.push(reason),
        None => {}
    }
    let variants = std::iter::once(main).chain(further).collect();
    HlsDetails { variants }.to_json()
}

struct Work<'a> {
    service: &'a Service,
    input: &'a Input,
    folder: &'a Path,
}

impl Work<'_> {
    /// Tries the cheapest way first: the original as it lies, then a remux, then a transcode.
    async fn main(&self, progress: &Progress) -> Result<(HlsVariant, Index), JobError> {
        let reason = match self.service.media.hls_index(self.input.source.path(), &[]).await? {
            Ok(index) => {
                return self.keep(HlsVariant::as_it_lies(MAIN), index).await;
            }
            Err(reason) => reason,
        };
        let facts = &self.input.facts;
        let mut plan = match Plan::remux(facts).filter(|_| copying_mends(&reason)) {
            Some(remux) => remux,
            None => Plan::transcode(facts, because(&reason)),
        };
        let mut reasons = vec![reason.to_string()];
        loop {
            let again = match self.prepare(MAIN, &plan, progress).await {
                Ok(Ok(index)) => {
                    return self.keep(HlsVariant::made(MAIN, &plan, reasons), index).await;
                }
                Ok(Err(again)) => {
                    reasons.push(again.to_string());
                    Some(again)
                }
                // What cannot be copied may still be decoded.
                Err(error) if plan.need() == Need::Remux => {
                    reasons.push(error.to_string());
                    None
                }
                Err(error) => return Err(error),
            };
            if plan.need() == Need::Transcode {
                return Err(JobError::Fail(reasons.join("; ")));
            }
            plan = Plan::transcode(facts, again.as_ref().map_or(because::TIMESTAMPS, because));
            if matches!(again, None | Some(Reason::BadTables(_))) {
                plan = plan.with_sounds_encoded();
            }
        }
    }

    /// A smaller picture. Where the main variant has its sounds apart, they serve this one, too.
    async fn rung(&self, height: u32, sounds_apart: bool) -> Result<HlsVariant, JobError> {
        let mut plan = Plan::transcode(&self.input.facts, because::LADDER).at_height(height);
        if sounds_apart {
            plan.audio.clear();
        }
        let name = height.to_string();
        let index = self.prepare(&name, &plan, &watch::Sender::new(0.0)).await?;
        let index = index.map_err(|reason| JobError::Fail(reason.to_string()))?;
        Ok(self.keep(HlsVariant::made(&name, &plan, Vec::new()), index).await?.0)
    }

    /// The original as it lies, where its codec is one of those asked for; or why it is not offered.
    async fn copied(&self) -> Result<Option<Result<HlsVariant, String>>, JobError> {
        let codec = self.input.facts.video_codec.as_deref().and_then(CopyCodec::parse);
        let Some(codec) = codec.filter(|codec| self.service.hls.copy.contains(codec)) else {
            return Ok(None);
        };
        let name = codec.as_str();
        match self.service.media.hls_index(self.input.source.path(), &[codec]).await? {
            Ok(index) => Ok(Some(Ok(self.keep(HlsVariant::as_it_lies(name), index).await?.0))),
            Err(reason) => Ok(Some(Err(format!("{name} is not offered as it lies: {reason}")))),
        }
    }

    /// Carries a plan out and looks at what came of it.
    async fn prepare(
        &self,
        name: &str,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<Result<Index, Reason>, JobError> {
        let Input { source, facts, .. } = self.input;
        let source = source.path();
        let media = self.folder.join(media_file(name));
        let most = max_bytes(source).await?;
        self.service.media.prepare(source, facts, plan, &media, most, progress).await?;
        Ok(self.service.media.hls_index(&media, &[]).await?)
    }

    async fn keep(&self, variant: HlsVariant, index: Index) -> Result<(HlsVariant, Index), JobError> {
        let (path, bytes) = (self.folder.join(index_file(&variant.name)), index.to_bytes());
        blocking(move || std::fs::write(path, bytes)).await?;
        Ok((variant, index))
    }
}

/// Whether the same packets in a new container may do.
fn copying_mends(reason: &Reason) -> bool {
    match reason {
        Reason::VideoCodec(_)
        | Reason::AudioCodec(_)
        | Reason::NotCommonH264
        | Reason::ParametersChange
        | Reason::SeveralSampleEntries
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
        Reason::ParametersChange | Reason::SeveralSampleEntries => because::PARAMETERS,
        _ => because::TIMESTAMPS,
    }
}

/// Pixels of the picture's height as it is shown.
fn upright_height(facts: &TechnicalMetadata) -> Option<u32> {
    let turned = facts.video_streams.as_ref()?.first()?.rotation.is_some_and(|degrees| degrees % 180 != 0);
    if turned { facts.video_width } else { facts.video_height }
}

/// A transcode may take more than its source; one that takes so much more has gone astray.
async fn max_bytes(source: &Path) -> Result<u64, JobError> {
    let source = source.to_owned();
    let size = blocking(move || Ok(source.metadata()?.len())).await?;
    Ok(size.saturating_mul(8).saturating_add(1 << 30))
}
