use std::{io::Write, process::ExitCode};

use anyhow::ensure;
use clap::Subcommand;
use jiff::Timestamp;
use reelhouse_api::{JobKind, JobState, Size};
use reelhouse_service::{Clock, SystemClock};
use reelhouse_store::{ImportRecord, Store};

use crate::settings::Settings;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List jobs that wait, run, or were given up: id, asset, what, state, failed attempts, progress, time, bytes and rate
    /// of imports, last error.
    List,
    /// Give a job that was given up a new life, or a waiting one its turn now.
    Retry {
        /// Its id, as `list` shows it
        id: String,
    },
    /// End a job for good; the asset shows an error for it. An import that is ended fails its asset, and cannot be retried.
    Cancel {
        /// Its id, as `list` shows it
        id: String,
    },
}

pub(crate) async fn run(settings: Settings, command: Command) -> anyhow::Result<ExitCode> {
    let store = Store::attach(&settings.data_dir, &settings.homes()?).await?;
    let now_ms = SystemClock.now_ms();
    match command {
        Command::List => {
            let mut out = std::io::stdout();
            for job in store.jobs().await? {
                let progress = job.progress.map_or("-".to_owned(), |done| format!("{:.0}%", done * 100.0));
                let import = store.import(job.asset_id).await?.filter(|_| job.kind == JobKind::Import);
                let line = format!(
                    "{}  {}  {:<10}  {:<8}  {} failed  {progress:>4}  {:.0}  {}{}",
                    job.id,
                    job.asset_id,
                    job.kind.as_str(),
                    job.state.as_str(),
                    job.failed_attempts,
                    Timestamp::from_millisecond(job.run_at)?,
                    import.map_or(String::new(), |import| how_far(&import, job.state)),
                    job.last_error.unwrap_or_default()
                );
                // Whoever reads no further has seen enough.
                if writeln!(out, "{line}").is_err() {
                    break;
                }
            }
        }
        Command::Retry { id } => ensure!(
            store.retry_job(&id, now_ms).await?,
            "there is no job {id} that could be retried; `reelhouse jobs list` shows them"
        ),
        Command::Cancel { id } => ensure!(
            store.cancel_job(&id, now_ms).await?,
            "there is no job {id} that could be canceled; `reelhouse jobs list` shows them"
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// `https://example.org  412MB of 1GB, 35MB/s  `
fn how_far(import: &ImportRecord, state: JobState) -> String {
    let total = import.total.map_or(String::new(), |total| format!(" of {}", Size(total)));
    let rate = import.rate.filter(|_| state == JobState::Running);
    let rate = rate.map_or(String::new(), |rate| format!(", {}/s", Size(rate)));
    // Scheme and host: the rest may hold a signature.
    let origin = import.url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    format!("{origin}  {}{total}{rate}  ", Size(import.received))
}
