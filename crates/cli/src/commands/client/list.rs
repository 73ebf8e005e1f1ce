use std::{
    io::{Write, stdout},
    process::ExitCode,
};

use futures_util::{StreamExt, TryStreamExt};
use reelhouse_client::{AssetDetail, MediaKind};

use super::{
    connect::ConnectArgs,
    table::{self, Column},
    text,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only assets with this in their filename
    #[arg(long, value_name = "TEXT")]
    filename: Option<String>,
    /// Only assets of this type: video, audio or image; may be given several times
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    types: Vec<MediaKind>,
    /// Only assets with this id; may be given several times
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// Which page
    #[arg(long, value_name = "N", default_value_t = 1)]
    page: u64,
    /// Assets on a page, 1 to 50
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=50))]
    page_limit: u32,
    /// All pages
    #[arg(long, conflicts_with_all = ["page", "page_limit"])]
    all: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

fn kind(text: &str) -> Result<MediaKind, String> {
    MediaKind::parse(text).ok_or_else(|| "it is video, audio or image".to_owned())
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = args.connect.client()?;
    let mut list =
        client.assets().list().asset_ids(&args.ids).asset_types(args.types).page_limit(args.page_limit);
    if let Some(part) = &args.filename {
        list = list.filename(part);
    }
    if args.all {
        // As they come, whole pages at once: nobody wants to wait for the last of a million.
        let mut pages = list.stream().try_chunks(args.page_limit as usize);
        let mut shown = 0;
        while let Some(assets) = pages.next().await {
            let assets = assets.map_err(|error| error.1)?;
            show(&assets, args.json, shown == 0)?;
            shown += assets.len();
        }
        if shown == 0 {
            none(args.json);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let page = list.page(args.page).await?;
    match page.data.is_empty() {
        true => none(args.json),
        false => show(&page.data, args.json, true)?,
    }
    if let Some(info) = page.page_info.filter(|_| page.has_next_page() && !args.json) {
        let next = args.page + 1;
        eprintln!(
            "{} of {} assets; --page {next} shows more, --all shows all",
            page.data.len(),
            info.total_results
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn none(json: bool) {
    if !json {
        eprintln!("there are no such assets");
    }
}

fn show(assets: &[AssetDetail], json: bool, titles: bool) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    if json {
        for asset in assets {
            writeln!(out, "{}", serde_json::to_string(asset)?)?;
        }
        return Ok(());
    }
    let rows: Vec<_> = assets.iter().map(row).collect();
    let lines = table::lines(COLUMNS, &rows, text::terminal_width(stdout()));
    for line in lines.iter().skip(usize::from(!titles)) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

const COLUMNS: &[Column] = &[
    Column { title: "ID", right: false, optional: false },
    Column { title: "STATUS", right: false, optional: false },
    Column { title: "SIZE", right: true, optional: false },
    Column { title: "LENGTH", right: true, optional: false },
    Column { title: "CREATED", right: false, optional: true },
    Column { title: "TYPE", right: false, optional: true },
    Column { title: "HLS", right: false, optional: true },
    Column { title: "THUMBNAIL", right: false, optional: true },
    Column { title: "NAME", right: false, optional: false },
];

fn row(asset: &AssetDetail) -> Vec<String> {
    let none = || "-".to_owned();
    vec![
        text::plain(&asset.id),
        text::plain(asset.status.as_str()),
        asset.size.map_or_else(none, text::size),
        asset.duration.map_or_else(none, text::clock),
        asset.created_at.strftime("%Y-%m-%d %H:%M").to_string(),
        asset.file_type.as_deref().map_or_else(none, text::plain),
        asset.hls.as_ref().map_or_else(none, |hls| text::plain(hls.status.as_str())),
        asset.thumbnail.as_ref().map_or_else(none, |thumbnail| text::plain(thumbnail.status.as_str())),
        text::plain(&asset.filename),
    ]
}
