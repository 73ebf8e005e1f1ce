use std::process::ExitCode;

use anyhow::ensure;
use futures_util::{StreamExt, stream};
use reelhouse_client::{AssetDetail, Client, Error, Source};

use super::{connect::ConnectArgs, failure, make::MakeArgs, progress::Board, text::plain};

/// Fetches at once: the server bounds them anyway.
const PARALLEL: usize = 3;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Direct links to media that anyone can fetch; no pages of video sites
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    #[command(flatten)]
    make: MakeArgs,
    /// What the asset is called; with one URL only
    #[arg(long, value_name = "NAME")]
    filename: Option<String>,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = args.connect.client()?;
    ensure!(
        args.filename.is_none() || args.urls.len() == 1,
        "--filename names one asset, and these are {}",
        args.urls.len()
    );
    let board = Board::new();
    let one = async |url: &String| {
        let outcome = import(&client, &args, &board, url).await;
        args.make.tell(&board, ("url", url), &outcome)?;
        anyhow::Ok(outcome.map_or_else(|error| failure::exit_code(&error), |_| 0))
    };
    let mut codes = stream::iter(&args.urls).map(one).buffer_unordered(PARALLEL);
    let mut first_failure = 0;
    while let Some(code) = codes.next().await.transpose()? {
        first_failure = if first_failure == 0 { code } else { first_failure };
    }
    Ok(first_failure.into())
}

async fn import(client: &Client, args: &Args, board: &Board, url: &str) -> Result<AssetDetail, Error> {
    let row = board.row(&plain(url), None);
    row.waits("the server fetches it");
    let mut create = client.assets().create(Source::url(url)).idempotent();
    if let Some(metadata) = args.make.user_metadata() {
        create = create.user_metadata(&metadata);
    }
    if let Some(name) = &args.filename {
        create = create.filename(name);
    }
    let created = create.enable_hls(args.make.hls).enable_thumbnail(args.make.thumbnail).await?;
    args.make.finish(client, created, &row).await
}
