//! Whether a whole file is taken, and what it then makes its asset; the same however it came.

use reelhouse_api::{Fault, MediaKind, Method, RenditionStatus, Status};
use reelhouse_media::{Facts, Sniffed, Source};
use reelhouse_store::{AssetRecord, EarlyDerivative, Staged};

use crate::{Service, jobs};

/// Where an upload can be looked at.
pub(crate) fn source(staged: Staged) -> Source {
    match staged {
        Staged::File(path) => Source::File(path),
        Staged::Bytes(bytes) => Source::Bytes(bytes),
    }
}

/// Why a file is not taken.
#[derive(Debug)]
pub(crate) enum JudgeError {
    /// The file's doing.
    Fault(Fault),
    /// Ours: nobody knows what the file is.
    Tool(reelhouse_media::Error),
}

impl Service {
    /// Looks at a whole file and holds it against the limits.
    pub(crate) async fn judge(
        &self,
        source: Source,
        sniffed: Sniffed,
        method: Method,
        size: u64,
    ) -> Result<Facts, JudgeError> {
        let examined = self.media.examine(source, sniffed).await;
        let facts = examined.map_err(|error| match error {
            reelhouse_media::Error::Broken { kind, reason } => {
                tracing::info!(kind = kind.as_str(), reason, "refused a broken file");
                JudgeError::Fault(broken(method, kind))
            }
            reelhouse_media::Error::NotMedia { mime } => JudgeError::Fault(not_media(method, mime)),
            other => JudgeError::Tool(other),
        })?;
        self.limits.check(&facts, method, size).map_err(JudgeError::Fault)?;
        Ok(facts)
    }

    /// What a file that is taken makes of its asset; and its HLS, where that takes no more than a look at the file's own
    /// tables. All else that was asked for comes as jobs. `size` is in bytes, `blake3` in hex.
    pub(crate) async fn make_ready(
        &self,
        asset: &mut AssetRecord,
        source: Source,
        facts: Facts,
        size: u64,
        blake3: String,
    ) -> Option<EarlyDerivative> {
        let Facts { kind, mime, duration, technical, .. } = facts;
        asset.status = Status::Ready;
        asset.kind = Some(kind);
        asset.file_type = Some(mime);
        asset.size = Some(size);
        asset.duration = duration;
        asset.blake3 = Some(blake3);
        // HLS means nothing for an image: ignored, as the contract has it.
        asset.hls_status = asset.hls_status.filter(|_| kind != MediaKind::Image);
        let early = match asset.hls_status {
            Some(RenditionStatus::Pending) => jobs::hls_as_it_lies(self, source, &technical).await,
            _ => None,
        };
        if early.is_some() {
            asset.hls_status = Some(RenditionStatus::Ready);
        }
        asset.technical_metadata = Some(Box::new(technical));
        early
    }
}

fn broken(method: Method, kind: MediaKind) -> Fault {
    match (method, kind) {
        (Method::Url, _) => Fault::MediaUrlFileBroken,
        (_, MediaKind::Video) => Fault::VideoFileBroken,
        (_, MediaKind::Audio) => Fault::AudioFileBroken,
        (_, MediaKind::Image) => Fault::ImageInvalid,
    }
}

/// The fault of bytes that are something else.
pub(crate) fn not_media(method: Method, mime: String) -> Fault {
    match method {
        Method::Url => Fault::MediaUrlUnsupportedFormat { detected_format: mime },
        Method::Direct | Method::Multipart => Fault::UnsupportedAssetType { asset_type: mime },
    }
}
