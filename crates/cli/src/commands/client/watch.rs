use std::process::ExitCode;

use futures_util::{StreamExt, stream};
use reelhouse_client::{AssetDetail, Client, Error, RenditionStatus, Status};

use super::{connect::ConnectArgs, failure, make, progress::Board, text::plain};

/// Assets that are followed at once; the others wait their turn.
const PARALLEL: usize = 50;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Ids, as `list` shows them; without any, all assets of which something is being made, among the newest 50
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = args.connect.client()?;
    let board = Board::new();
    let ids = match args.ids.is_empty() {
        true => under_way(&client).await?,
        false => args.ids.clone(),
    };
    if ids.is_empty() {
        board.complain("nothing is being made");
    }
    let mut ends = stream::iter(ids).map(|id| follow(&client, &board, id)).buffer_unordered(PARALLEL);
    let mut first_failure = 0;
    while let Some((id, end)) = ends.next().await {
        let code = match end {
            Ok(asset) => {
                board.result(&if args.json { serde_json::to_string(&asset)? } else { make::line(&asset) })?;
                if making(&asset, RenditionStatus::Error) { failure::FAILED } else { 0 }
            }
            Err(error) => {
                if let (Error::AssetFailed(asset), true) = (&error, args.json) {
                    board.result(&serde_json::to_string(asset)?)?;
                }
                board.complain(&format!("reelhouse: {}: {}", plain(&id), failure::told(&error)));
                failure::exit_code(&error)
            }
        };
        first_failure = if first_failure == 0 { code } else { first_failure };
    }
    Ok(first_failure.into())
}

async fn under_way(client: &Client) -> Result<Vec<String>, Error> {
    let page = client.assets().list().page_limit(50).await?;
    let making = page.data.iter().filter(|asset| {
        asset.status == Status::Processing
            || making(asset, RenditionStatus::Pending)
            || making(asset, RenditionStatus::Processing)
    });
    Ok(making.map(|asset| asset.id.clone()).collect())
}

async fn follow(client: &Client, board: &Board, id: String) -> (String, Result<AssetDetail, Error>) {
    let row = board.row(&plain(&id), None);
    row.waits("the server works on it");
    let end = client.assets().wait_until_ready(&id).renditions(true).await;
    (id, end)
}

/// Whether HLS or thumbnail stand so.
fn making(asset: &AssetDetail, status: RenditionStatus) -> bool {
    asset.hls.as_ref().is_some_and(|hls| hls.status == status)
        || asset.thumbnail.as_ref().is_some_and(|thumbnail| thumbnail.status == status)
}
