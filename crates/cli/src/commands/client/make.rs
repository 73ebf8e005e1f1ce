use std::io::stdout;

use anyhow::Context;
use reelhouse_client::{Asset, AssetDetail, Client, Error, RenditionStatus, UserMetadata};
use serde_json::{Value, json};

use super::{
    failure,
    progress::{Board, Row},
    text::{fit, plain, size, terminal_width, width},
};

/// What is made of an asset, and what is kept with it.
#[derive(clap::Args)]
pub(crate) struct MakeArgs {
    /// Make it playable (HLS)
    #[arg(long)]
    pub(crate) hls: bool,
    /// Make it visible (a thumbnail)
    #[arg(long)]
    pub(crate) thumbnail: bool,
    /// Keep this with it; may be given several times. Numbers, `true` and `false` are kept as such
    #[arg(long = "metadata", value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, Value)>,
    /// Wait until it is ready, with all that is made of it
    #[arg(long)]
    pub(crate) wait: bool,
    /// One JSON object a line: `file` or `url`, and `asset` or `error`
    #[arg(long)]
    pub(crate) json: bool,
}

fn pair(text: &str) -> anyhow::Result<(String, Value)> {
    let (name, value) = text.split_once('=').context("it must look like NAME=VALUE")?;
    let typed =
        serde_json::from_str(value).ok().filter(|typed: &Value| typed.is_number() || typed.is_boolean());
    Ok((name.to_owned(), typed.unwrap_or_else(|| value.into())))
}

impl MakeArgs {
    pub(crate) fn user_metadata(&self) -> Option<UserMetadata> {
        (!self.metadata.is_empty()).then(|| self.metadata.iter().cloned().collect())
    }

    /// The rest of a create: waits if it is wanted.
    pub(crate) async fn finish(
        &self,
        client: &Client,
        created: Asset,
        row: &Row,
    ) -> Result<AssetDetail, Error> {
        if !self.wait {
            return client.assets().retrieve(&created.id).await;
        }
        row.waits(self.awaited());
        client.assets().wait_until_ready(&created.id).renditions(true).await
    }

    /// What the server does while we wait.
    pub(crate) fn awaited(&self) -> &'static str {
        match (self.hls, self.thumbnail) {
            (false, false) => "the server looks at it",
            (true, false) => "the server makes it playable",
            (false, true) => "the server makes it visible",
            (true, true) => "the server makes it playable and visible",
        }
    }

    /// Says what became of one file or URL.
    pub(crate) fn tell(
        &self,
        board: &Board,
        what: (&str, &str),
        outcome: &Result<AssetDetail, Error>,
    ) -> anyhow::Result<()> {
        let (key, name) = what;
        match outcome {
            Ok(asset) if self.json => board.result(&json!({key: name, "asset": asset}).to_string())?,
            Ok(asset) => board.result(&line(asset))?,
            Err(error) => {
                if self.json {
                    let code = error.code().map(|code| code.to_string());
                    let error = json!({"code": code, "message": error.to_string()});
                    board.result(&json!({key: name, "error": error}).to_string())?;
                }
                board.complain(&format!("reelhouse: {}: {}", plain(name), failure::told(error)));
            }
        }
        Ok(())
    }
}

/// `6730…  ready  12.34 MiB  clip.mp4`, and what could not be made; on a terminal, in one line of it.
pub(crate) fn line(asset: &AssetDetail) -> String {
    let mut line =
        format!("{}  {:<10}  {:>10}  ", asset.id, asset.status, asset.size.map_or("-".to_owned(), size));
    let hls = asset.hls.as_ref().map(|hls| ("HLS", &hls.status));
    let thumbnail = asset.thumbnail.as_ref().map(|thumbnail| ("thumbnail", &thumbnail.status));
    let failed = hls.into_iter().chain(thumbnail).filter(|(_, status)| **status == RenditionStatus::Error);
    let remarks: String = failed.map(|(what, _)| format!("  (no {what})")).collect();
    let name = plain(&asset.filename);
    let left = terminal_width(stdout()).map(|columns| columns.saturating_sub(width(&line) + width(&remarks)));
    line.push_str(&match left {
        Some(left) if width(&name) > left => fit(&name, left.max(1)),
        _ => name,
    });
    line + &remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_their_types() {
        for (text, name, value) in [
            ("take=7", "take", json!(7)),
            ("draft=true", "draft", json!(true)),
            ("scene=a=b", "scene", json!("a=b")),
            ("list=[1]", "list", json!("[1]")),
            ("none=", "none", json!("")),
        ] {
            assert_eq!(pair(text).unwrap(), (name.to_owned(), value));
        }
        assert!(pair("nothing").is_err());
    }
}
