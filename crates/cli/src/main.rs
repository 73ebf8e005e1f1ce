//! The `reelhouse` command.

mod commands;
mod logging;
mod otlp;
mod settings;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use settings::{FolderArgs, SettingsArgs};

/// Self-hosted media assets: upload video, audio and images; play, show, list them; lose none.
#[derive(Parser)]
#[command(name = "reelhouse", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    ///
    /// Settings come from defaults, then the file (--config), then the environment, then flags; later ones win. The
    /// first line on standard output is the server's URL, printed once it accepts connections.
    Serve(SettingsArgs),
    /// Make, list and revoke API keys, while the server runs or not.
    Keys {
        #[command(flatten)]
        folder: FolderArgs,
        #[command(subcommand)]
        command: commands::keys::Command,
    },
    /// Run jobs (HLS, thumbnails) and tell webhooks beside a server, on the same data.
    Worker(SettingsArgs),
    /// List, retry and cancel jobs.
    Jobs {
        #[command(flatten)]
        folder: FolderArgs,
        #[command(subcommand)]
        command: commands::jobs::Command,
    },
    /// Tell URLs what happens to assets, and see how that went, while the server runs or not.
    Webhooks {
        #[command(flatten)]
        folder: FolderArgs,
        #[command(subcommand)]
        command: commands::webhooks::Command,
    },
    /// List accounts and set their quotas, while the server runs or not.
    Accounts {
        #[command(flatten)]
        folder: FolderArgs,
        #[command(subcommand)]
        command: commands::accounts::Command,
    },
    /// Bring the database up to this version's schema, as `serve` does when it starts; in Postgres while servers run.
    Migrate(FolderArgs),
    /// Copy everything from one home (database, originals and what was made of them) to another of any kind: from SQLite and a
    /// folder to Postgres and a bucket, or back.
    ///
    /// The old home's servers and workers must be stopped, and it is not changed. The new home must be empty, and can be used
    /// once the copy has ended. Killed, the same command goes on. Exit code 1 if something is damaged in the old home.
    Copy(commands::copy::CopyArgs),
    /// Check that every asset has its bytes and every byte its asset, that nothing is left over or waits for what never
    /// comes, and that the jail of media files holds. While servers run or not; exit code 1 if something is wrong.
    Doctor(commands::doctor::DoctorArgs),
    #[command(flatten)]
    Client(commands::client::Command),
    /// Completions of this command for a shell, on standard output.
    Completions(commands::manual::CompletionsArgs),
    /// The manual page of this command, on standard output.
    Man(commands::manual::ManArgs),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("reelhouse: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, each said once: many already quote the one below them.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !sentence.contains(&cause) {
            sentence = if sentence.is_empty() { cause } else { format!("{sentence}: {cause}") };
        }
    }
    sentence
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => commands::serve::run(args.load()?).await,
            Command::Worker(args) => commands::worker::run(args.load()?).await,
            Command::Jobs { folder, command } => commands::jobs::run(folder.load()?, command).await,
            Command::Keys { folder, command } => commands::keys::run(folder.load()?, command).await,
            Command::Webhooks { folder, command } => commands::webhooks::run(folder.load()?, command).await,
            Command::Accounts { folder, command } => commands::accounts::run(folder.load()?, command).await,
            Command::Migrate(folder) => commands::migrate::run(folder.load()?).await,
            Command::Copy(args) => commands::copy::run(args).await,
            Command::Doctor(args) => commands::doctor::run(args).await,
            Command::Client(command) => commands::client::run(command).await,
            Command::Completions(args) => Ok(commands::manual::completions(&args, Cli::command())),
            Command::Man(args) => commands::manual::man(args, Cli::command()),
        }
    })?;
    // What is still blocked on a dead client or disk must not keep the process.
    runtime.shutdown_background();
    Ok(code)
}
