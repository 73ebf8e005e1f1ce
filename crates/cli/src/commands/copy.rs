use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use reelhouse_service::{Clock, SystemClock};
use reelhouse_store::{CopyPlace, CopyProgress, Copying, Homes, Stage};
use tokio::{sync::watch, time::interval};

use super::client::text::{clock, size};
use crate::settings::{FolderArgs, Settings};

/// How often it is said how far a copy is.
const SAY_EVERY: Duration = Duration::from_secs(3);

#[derive(Args)]
pub(crate) struct CopyArgs {
    /// What is copied: a data folder with all in it, or the settings file of a server; what the usual settings say, if absent
    #[arg(long, value_name = "HOME", required_unless_present = "to")]
    from: Option<PathBuf>,
    /// Where to: a data folder that is to have all in it, or a settings file; what the usual settings say, if absent
    #[arg(long, value_name = "HOME")]
    to: Option<PathBuf>,
    /// End uploads in chunks that cannot go on in the new home: they will have failed there
    #[arg(long)]
    end_uploads: bool,
    #[command(flatten)]
    usual: FolderArgs,
}

impl CopyArgs {
    fn places(self) -> anyhow::Result<(CopyPlace, CopyPlace)> {
        let Self { from, to, usual, .. } = self;
        Ok(match (from, to) {
            (Some(from), Some(to)) => (place(&from)?, place(&to)?),
            (Some(from), None) => (place(&from)?, place_of(&usual.load()?)?),
            (None, Some(to)) => (place_of(&usual.load()?)?, place(&to)?),
            (None, None) => anyhow::bail!("--from or --to says which other home is meant"),
        })
    }
}

/// A home that was named: nothing in the environment changes it.
fn place(home: &Path) -> anyhow::Result<CopyPlace> {
    if home.is_file() {
        place_of(&Settings::of_file(home)?)
    } else {
        Ok(CopyPlace { data_dir: home.to_owned(), homes: Homes::default() })
    }
}

fn place_of(settings: &Settings) -> anyhow::Result<CopyPlace> {
    Ok(CopyPlace { data_dir: settings.data_dir.clone(), homes: settings.homes()? })
}

pub(crate) async fn run(args: CopyArgs) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let end_uploads = args.end_uploads;
    let (from, to) = args.places()?;
    let (progress, told) = watch::channel(CopyProgress::default());
    let saying = tokio::spawn(say(told));
    let copied = async {
        let copying = Copying::begin(&from, &to, end_uploads, progress, SystemClock.now_ms()).await?;
        copying.copy_rows().await?;
        copying.copy_bytes().await?;
        copying.end(SystemClock.now_ms()).await
    };
    let copied = copied.await;
    saying.abort();
    let copied = copied?;
    let seconds = clock(began.elapsed().as_secs_f64());
    println!(
        "{} assets, {}, in {seconds}; {} were sent",
        copied.assets,
        size(copied.bytes),
        size(copied.written)
    );
    if copied.ended_uploads > 0 {
        println!(
            "{} uploads in chunks could not go on, and have failed in the new home",
            copied.ended_uploads
        );
    }
    for damage in &copied.damage {
        println!("{damage}");
    }
    println!(
        "the new home can be used: start its servers. Keep the old one as it is, and its servers stopped, until \
         `reelhouse doctor` has looked at the new one."
    );
    if copied.damage.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{} things are not as they were recorded, in the old home and so in the new one",
        copied.damage.len()
    );
    Ok(ExitCode::FAILURE)
}

/// Now and then a line on standard error, until it is dropped.
async fn say(progress: watch::Receiver<CopyProgress>) {
    let mut ticks = interval(SAY_EVERY);
    ticks.tick().await;
    let mut before = 0;
    loop {
        ticks.tick().await;
        let CopyProgress { stage, rows, assets, of_assets, bytes, of_bytes, written, damaged } =
            *progress.borrow();
        let line = match stage {
            Stage::Beginning => "looking at both homes".to_owned(),
            Stage::Waiting => "waiting until the leases of workers end that may be dead".to_owned(),
            Stage::Rows(table) => format!("{rows} rows copied, now of {table}"),
            Stage::Comparing(table) => format!("comparing rows of {table}"),
            Stage::Bytes => {
                let rate = size((written - before) / SAY_EVERY.as_secs());
                let damaged =
                    if damaged > 0 { format!(", {damaged} not as recorded") } else { String::new() };
                let (bytes, of_bytes) = (size(bytes), size(of_bytes));
                format!("{assets} of {of_assets} assets, {bytes} of {of_bytes}, {rate}/s{damaged}")
            }
        };
        before = written;
        // Nobody may be reading.
        let _ = writeln!(io::stderr(), "{line}");
    }
}
