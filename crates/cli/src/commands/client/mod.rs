//! The half of the command that speaks to a server.

mod connect;
mod delete;
mod download;
mod failure;
mod files;
mod get;
mod import;
mod journal;
mod list;
mod make;
mod progress;
mod table;
pub(crate) mod text;
mod upload;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;

/// What exit codes mean; said in the help of every command that speaks to a server.
const EXIT_CODES: &str = "Exit codes:
  0    done
  1    refused, or failed; with several files, the first one that was
  2    wrong usage
  3    no such asset
  4    the API key is missing, or does not permit it
  5    the server cannot be reached, or did not answer in time
  130  interrupted";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Upload files, folders and patterns.
    ///
    /// Small files go in one request, large ones in chunks. What is interrupted, goes on when the same command is given
    /// again. On standard output is one line for each file, on standard error what happens meanwhile.
    #[command(after_help = EXIT_CODES)]
    Upload(upload::Args),
    /// Let the server fetch media from public URLs.
    #[command(after_help = EXIT_CODES)]
    Import(import::Args),
    /// List assets, newest first.
    #[command(after_help = EXIT_CODES)]
    List(list::Args),
    /// Show all that is known of an asset.
    #[command(after_help = EXIT_CODES)]
    Get(get::Args),
    /// Download an original.
    ///
    /// What is interrupted, goes on when the same command is given again.
    #[command(after_help = EXIT_CODES)]
    Download(download::Args),
    /// Delete assets.
    #[command(after_help = EXIT_CODES)]
    Delete(delete::Args),
    /// Follow assets until nothing is being made of them any more.
    #[command(after_help = EXIT_CODES)]
    Watch(watch::Args),
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let goes_on = matches!(command, Command::Upload(_) | Command::Download(_));
    let work = async {
        match command {
            Command::Upload(args) => upload::run(args).await,
            Command::Import(args) => import::run(args).await,
            Command::List(args) => list::run(args).await,
            Command::Get(args) => get::run(args).await,
            Command::Download(args) => download::run(args).await,
            Command::Delete(args) => delete::run(args).await,
            Command::Watch(args) => watch::run(args).await,
        }
    };
    tokio::select! {
        result = work => result.or_else(failure::ended),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            eprintln!("reelhouse: interrupted{}", if goes_on { "\n  The same command goes on from here." } else { "" });
            Ok(failure::INTERRUPTED.into())
        }
    }
}
