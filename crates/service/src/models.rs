//! The models an index may name, and what each takes (contract, section 7). None of them runs here.

use reelhouse_api::{Fault, MediaKind, Resolution, TechnicalMetadata, index::IndexModel};
use reelhouse_store::AssetRecord;

use crate::limits::{Judged, Limits, LimitsProfile};

const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;

/// What a model can look at.
pub(crate) const OPTIONS: &[&str] = &["visual", "audio"];

/// A model that can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    Marengo,
    Pegasus,
}

impl Model {
    pub(crate) const ALL: &[Self] = &[Self::Marengo, Self::Pegasus];

    /// As an index names it; its family is what stands before the digits.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Marengo => "marengo3.0",
            Self::Pegasus => "pegasus1.2",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|model| model.name() == name)
    }

    fn takes(self, kind: MediaKind) -> bool {
        match self {
            Self::Marengo => true,
            Self::Pegasus => kind == MediaKind::Video,
        }
    }

    /// The numbers of a create are the widest of the models': here are those that differ.
    fn limits(self) -> Limits {
        let mut limits = Limits::of(LimitsProfile::Twelvelabs);
        match self {
            Self::Marengo => {
                limits.video.set_max_size(4 * GB);
                limits.audio.set_max_size(2 * GB);
                limits.image.set_max_size(32 * MB);
            }
            Self::Pegasus => {
                limits.video.set_max_size(2 * GB);
                limits.video.max_duration = Some(3600.0);
            }
        }
        limits
    }

    /// The first fault that an asset has for this model.
    fn check(self, asset: &AssetRecord) -> Result<(), Fault> {
        let kind = asset.kind.unwrap_or(MediaKind::Video);
        let mime = asset.file_type.clone().unwrap_or_default();
        if !self.takes(kind) {
            return Err(Fault::UnsupportedAssetType { asset_type: mime });
        }
        let technical = asset.technical_metadata.as_deref().cloned().unwrap_or_default();
        let format = match kind {
            MediaKind::Audio => audio_format(&mime, &technical),
            MediaKind::Image => technical.image_format.clone().unwrap_or_default(),
            MediaKind::Video => String::new(),
        };
        let judged = Judged {
            kind,
            mime: &mime,
            format: &format,
            upright: upright(&technical),
            duration: asset.duration,
        };
        self.limits().check(judged, asset.method, asset.size.unwrap_or_default())
    }
}

/// The first fault that an asset has for any of an index's models, and whose it is.
pub(crate) fn check(asset: &AssetRecord, models: &[IndexModel]) -> Result<(), (Model, Fault)> {
    let models = models.iter().filter_map(|model| Model::parse(&model.model_name));
    models.into_iter().try_for_each(|model| model.check(asset).map_err(|fault| (model, fault)))
}

/// As a file is shown: after rotation, or EXIF orientation. `None` for audio.
pub(crate) fn upright(technical: &TechnicalMetadata) -> Option<Resolution> {
    if let (Some(width), Some(height)) = (technical.video_width, technical.video_height) {
        let mut streams = technical.video_streams.iter().flatten();
        let main = streams.find(|stream| stream.width == Some(width) && stream.height == Some(height));
        let turned = matches!(main.and_then(|stream| stream.rotation), Some(90 | 270));
        return Some(if turned {
            Resolution { width: height, height: width }
        } else {
            Resolution { width, height }
        });
    }
    let (width, height) = (technical.image_width?, technical.image_height?);
    Some(Resolution { width, height }.turned(technical.image_orientation.unwrap_or(1)))
}

/// A file of one of these formats has both, its type and its codec; any other is named by what is in it.
fn audio_format(mime: &str, technical: &TechnicalMetadata) -> String {
    let codec = technical.audio_codec.as_deref().unwrap_or("unknown");
    match (mime, codec) {
        ("audio/mpeg", "mp3") => "MP3".to_owned(),
        ("audio/flac", "flac") => "FLAC".to_owned(),
        ("audio/wav", pcm) if pcm.starts_with("pcm_") => "WAV".to_owned(),
        _ => codec.to_ascii_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(width: u32, height: u32, rotation: i32, duration: f64, size: u64) -> AssetRecord {
        let stream = reelhouse_api::VideoStream {
            width: Some(width),
            height: Some(height),
            rotation: Some(rotation),
            ..Default::default()
        };
        let technical = TechnicalMetadata {
            video_width: Some(width),
            video_height: Some(height),
            video_streams: Some(vec![stream]),
            ..Default::default()
        };
        asset(MediaKind::Video, "video/mp4", technical, Some(duration), size)
    }

    fn asset(
        kind: MediaKind,
        mime: &str,
        technical: TechnicalMetadata,
        duration: Option<f64>,
        size: u64,
    ) -> AssetRecord {
        AssetRecord {
            id: reelhouse_api::IdMaker::default().next(0, [0; 4]),
            account: "a".to_owned(),
            method: reelhouse_api::Method::Multipart,
            status: reelhouse_api::Status::Ready,
            kind: Some(kind),
            filename: "a".to_owned(),
            file_type: Some(mime.to_owned()),
            size: Some(size),
            duration,
            blake3: None,
            created_at: 0,
            hls_status: None,
            thumbnail_status: None,
            hls_folder: None,
            thumbnail_folder: None,
            error: None,
            user_metadata: None,
            technical_metadata: Some(Box::new(technical)),
        }
    }

    fn models(names: &[&str]) -> Vec<IndexModel> {
        let model = |name: &&str| IndexModel { model_name: (*name).to_owned(), model_options: Vec::new() };
        names.iter().map(model).collect()
    }

    #[test]
    fn the_most_restrictive_model_decides() {
        let (marengo, both) = (models(&["marengo3.0"]), models(&["marengo3.0", "pegasus1.2"]));
        let song = TechnicalMetadata { audio_codec: Some("mp3".to_owned()), ..Default::default() };
        let radio = TechnicalMetadata { audio_codec: Some("aac".to_owned()), ..Default::default() };
        let picture = TechnicalMetadata {
            image_width: Some(640),
            image_height: Some(480),
            image_format: Some("PNG".to_owned()),
            ..Default::default()
        };
        for (asset, for_marengo, for_both) in [
            (video(640, 360, 0, 5.0, MB), None, None),
            // A phone's clip is judged as it is shown.
            (video(5184, 2160, 90, 5.0, MB), None, None),
            (video(640, 360, 0, 3601.0, MB), None, Some((Model::Pegasus, "video_duration_too_long"))),
            (
                video(640, 360, 0, 14_401.0, MB),
                Some((Model::Marengo, "video_duration_too_long")),
                Some((Model::Marengo, "video_duration_too_long")),
            ),
            (video(640, 360, 0, 5.0, 3 * GB), None, Some((Model::Pegasus, "video_filesize_too_large"))),
            (
                video(640, 360, 0, 5.0, 5 * GB),
                Some((Model::Marengo, "video_filesize_too_large")),
                Some((Model::Marengo, "video_filesize_too_large")),
            ),
            (
                video(320, 240, 0, 5.0, MB),
                Some((Model::Marengo, "video_resolution_too_low")),
                Some((Model::Marengo, "video_resolution_too_low")),
            ),
            (
                asset(MediaKind::Audio, "audio/mpeg", song, Some(5.0), MB),
                None,
                Some((Model::Pegasus, "parameter_invalid")),
            ),
            (
                asset(MediaKind::Audio, "audio/mp4", radio, Some(5.0), MB),
                Some((Model::Marengo, "audio_format_unsupported")),
                Some((Model::Marengo, "audio_format_unsupported")),
            ),
            (
                asset(MediaKind::Image, "image/png", picture, None, MB),
                None,
                Some((Model::Pegasus, "parameter_invalid")),
            ),
        ] {
            let found = |models| check(&asset, models).err().map(|(model, fault)| (model, fault.code()));
            assert_eq!((found(&marengo), found(&both)), (for_marengo, for_both), "{asset:?}");
        }
    }
}
