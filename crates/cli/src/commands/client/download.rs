use std::{path::PathBuf, process::ExitCode};

use anyhow::ensure;

use super::{
    connect::ConnectArgs,
    progress::Board,
    text::{plain, size},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The asset's id, as `list` shows it
    id: String,
    /// Where it goes; what is there, is replaced once all has arrived
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = args.connect.client()?;
    ensure!(!args.output.is_dir(), "--output {}: it is a folder; name a file in it", args.output.display());
    let name = args.output.display().to_string();
    // The length is asked for first: bars want to know it from the begin on.
    let total = client.assets().retrieve(&args.id).await?.size;
    let board = Board::new();
    let row = board.row(&plain(&name), total);
    let bytes =
        client.assets().download(&args.id, &args.output).progress(row.follow("flushed to disk")).await?;
    drop(row);
    board.complain(&format!("{name}: {}", size(bytes)));
    Ok(ExitCode::SUCCESS)
}
