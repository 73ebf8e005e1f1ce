use std::{
    io::{Write, stdout},
    process::ExitCode,
};

use reelhouse_client::{AssetDetail, TechnicalMetadata};

use super::{connect::ConnectArgs, text};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The asset's id, as `list` shows it
    id: String,
    /// All of it as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let asset = args.connect.client()?.assets().retrieve(&args.id).await?;
    let mut out = stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&asset)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, value) in facts(&asset)? {
        writeln!(out, "{name:<10} {}", text::plain(&value))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What there is to say, in the order of interest.
fn facts(asset: &AssetDetail) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut facts = vec![("id", asset.id.clone()), ("name", asset.filename.clone())];
    let status = asset.status.to_string();
    facts.push(("status", status));
    if let Some(error) = &asset.error {
        facts.push(("error", format!("{} ({})", error.message, error.code)));
    }
    facts.extend(asset.file_type.clone().map(|kind| ("type", kind)));
    facts.extend(asset.size.map(|bytes| ("size", format!("{} ({bytes} bytes)", text::size(bytes)))));
    facts.extend(asset.duration.map(|seconds| ("length", format!("{} ({seconds} s)", text::clock(seconds)))));
    facts.push(("created", format!("{:.0}, by {}", asset.created_at, asset.method)));
    if let Some(known) = &asset.technical_metadata {
        facts.extend(picture(known).map(|picture| ("picture", picture)));
        facts.extend(sound(known).map(|sound| ("sound", sound)));
    }
    let with_url = |status: String, url: &Option<String>| match url {
        Some(url) => format!("{status}  {url}"),
        None => status,
    };
    if let Some(hls) = &asset.hls {
        facts.push(("hls", with_url(hls.status.to_string(), &hls.manifest_url)));
    }
    if let Some(thumbnail) = &asset.thumbnail {
        facts.push(("thumbnail", with_url(thumbnail.status.to_string(), &thumbnail.representative_url)));
    }
    facts.extend(asset.original_url.clone().map(|url| ("original", url)));
    facts.extend(asset.storyboard_url.clone().map(|url| ("storyboard", url)));
    if let Some(metadata) = asset.user_metadata.as_ref().filter(|metadata| !metadata.is_empty()) {
        facts.push(("metadata", serde_json::to_string(metadata)?));
    }
    Ok(facts)
}

/// `h264, 1280x720, 25 fps, HDR`
fn picture(known: &TechnicalMetadata) -> Option<String> {
    let codec = known.video_codec.clone().or_else(|| known.image_format.clone())?;
    let size = known.video_width.zip(known.video_height).or(known.image_width.zip(known.image_height));
    let words = [
        Some(codec),
        size.map(|(width, height)| format!("{width}x{height}")),
        known.video_fps.map(|fps| format!("{} fps", (fps * 100.0).round() / 100.0)),
        known.is_hdr.filter(|hdr| *hdr).map(|_| "HDR".to_owned()),
    ];
    Some(words.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// `aac, 48000 Hz, 2 channels`
fn sound(known: &TechnicalMetadata) -> Option<String> {
    let words = [
        Some(known.audio_codec.clone()?),
        known.audio_sample_rate.map(|rate| format!("{rate} Hz")),
        known
            .audio_channels
            .map(|channels| if channels == 1 { "mono".to_owned() } else { format!("{channels} channels") }),
    ];
    Some(words.into_iter().flatten().collect::<Vec<_>>().join(", "))
}
