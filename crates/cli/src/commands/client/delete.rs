use std::{
    io::{Write, stdout},
    process::ExitCode,
};

use super::{connect::ConnectArgs, failure};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Ids, as `list` shows them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Delete those, too, that indexed assets refer to
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = args.connect.client()?;
    let mut first_failure = 0;
    for id in &args.ids {
        match client.assets().delete(id, args.force).await {
            Ok(()) => writeln!(stdout().lock(), "deleted {id}")?,
            Err(error) => {
                failure::complain(&failure::told(&error));
                first_failure = if first_failure == 0 { failure::exit_code(&error) } else { first_failure };
            }
        }
    }
    Ok(first_failure.into())
}
