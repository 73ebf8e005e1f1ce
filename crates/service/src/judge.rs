//! Whether a whole file is taken, and what it then makes its asset; the same however it came.

use std::path::Path;

use reelhouse_api::{Fault, MediaKind, Method, Status};
use reelhouse_media::{Facts, Sniffed};
use reelhouse_store::AssetRecord;

use crate::Service;

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
        path: &Path,
        sniffed: Sniffed,
        method: Method,
        size: u64,
    ) -> Result<Facts, JudgeError> {
        let examined = self.media.examine(path, sniffed).await;
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

/// What a file that is taken makes of its asset.
pub(crate) trait BecomeReady {
    /// `size` in bytes, `blake3` in hex.
    fn become_ready(&mut self, facts: Facts, size: u64, blake3: String);
}

impl BecomeReady for AssetRecord {
    fn become_ready(&mut self, facts: Facts, size: u64, blake3: String) {
        let Facts { kind, mime, duration, technical, .. } = facts;
        self.status = Status::Ready;
        self.kind = Some(kind);
        self.file_type = Some(mime);
        self.size = Some(size);
        self.duration = duration;
        self.blake3 = Some(blake3);
        // HLS means nothing for an image: ignored, as the contract has it.
        self.hls_status = self.hls_status.filter(|_| kind != MediaKind::Image);
        self.technical_metadata = Some(Box::new(technical));
    }
}
