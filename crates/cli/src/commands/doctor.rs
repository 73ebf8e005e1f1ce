use std::{
    convert::Infallible,
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use reelhouse_media::Jail;
use reelhouse_service::{Clock, SystemClock};
use reelhouse_store::{Examination, Finding, Progress, Report, Step, Store, Treatment};
use tokio::time::interval;

use super::serve::start_media;
use crate::settings::{Settings, SettingsArgs};

/// How often a line says how far it is.
const LINE_EVERY: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Compare sizes, read no bytes
    #[arg(long)]
    quick: bool,
    /// Repair what can be repaired without losing anything, and say what was done
    #[arg(long)]
    repair: bool,
    /// Go on where a run with the same options was interrupted
    #[arg(long)]
    resume: bool,
    /// Say every few seconds on standard error how far it is, also where that is no terminal
    #[arg(long)]
    progress: bool,
}

pub(crate) async fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let DoctorArgs { settings, quick, repair, resume, progress: is_told } = args;
    let settings = settings.load()?;
    let store = Store::attach(&settings.data_dir, &settings.homes()?).await?;
    println!("the database has this program's schema, version {}", store.schema());
    let is_equipped = look_at_tools(&settings).await;
    let how = Examination { quick, repair, resume, ..Examination::at(SystemClock.now_ms()) };
    let progress = Progress::default();
    let mut tell = |finding: &Finding, treatment: &Treatment| match treatment {
        Treatment::None => println!("{finding}"),
        Treatment::Repaired(how) => println!("{finding}: repaired: {how}"),
        Treatment::Left(why) => println!("{finding}: not repaired: {why}"),
    };
    let examined = store.examine(&how, &progress, &mut tell);
    let report = if is_told || io::stderr().is_terminal() {
        tokio::select! {
            report = examined => report?,
            never = say_how_far(&progress) => match never {},
        }
    } else {
        examined.await?
    };
    sum_up(&report, quick);
    if is_equipped && report.wrong == 0 {
        println!("all is well");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// Whether programs that meet strangers' files are there, and jailed.
async fn look_at_tools(settings: &Settings) -> bool {
    // A child of the media process tries what a hijacked one would.
    let media = match start_media(settings).await {
        Ok(media) => media,
        Err(error) => {
            println!("{error:#}");
            return false;
        }
    };
    let (program, version) = media.ffmpeg();
    println!("{} runs, version {version}", program.display());
    println!("the jail of media files ({}): {}", settings.jail.as_str(), media.jail());
    let is_jailed = settings.jail == Jail::Off || media.jail().could.is_empty();
    if !is_jailed {
        println!("the jail is not whole: REELHOUSE_JAIL=off says that this is meant");
    }
    is_jailed
}

fn sum_up(report: &Report, quick: bool) {
    let Report { assets, bytes, wrong, repaired, unfinished } = report;
    if quick {
        println!("{assets} assets have bytes of the right number; none were read");
    } else {
        println!("{assets} assets whole, {bytes} bytes read and compared");
    }
    if *unfinished > 0 {
        println!("{unfinished} leftovers of a server that is not running; its next start clears them");
    }
    if *repaired > 0 {
        println!("{repaired} things were repaired");
    }
    if *wrong > 0 {
        println!("{wrong} things are wrong");
    }
}

/// Says how far it is, again and again.
async fn say_how_far(progress: &Progress) -> Infallible {
    let mut ticks = interval(LINE_EVERY);
    loop {
        ticks.tick().await;
        eprintln!("{}", how_far(progress.step()));
    }
}

/// `doctor: originals: 120,000 of 3,000,000, 1.20 TiB read`
fn how_far(Step { what, done, total, bytes }: Step) -> String {
    let done = match total {
        0 => String::new(),
        total => format!(": {} of {}", HumanCount(done), HumanCount(total)),
    };
    let read = if bytes > 0 { format!(", {} read", HumanBytes(bytes)) } else { String::new() };
    format!("doctor: {what}{done}{read}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_it_is() {
        let step = Step { what: "originals", done: 120_000, total: 3_000_000, bytes: 3 << 40 };
        assert_eq!(how_far(step), "doctor: originals: 120,000 of 3,000,000, 3.00 TiB read");
        assert_eq!(how_far(Step { what: "counters", ..Step::default() }), "doctor: counters");
    }
}
