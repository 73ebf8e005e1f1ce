use std::process::ExitCode;

use reelhouse_media::Jail;
use reelhouse_store::Store;

use super::serve::start_media;
use crate::settings::Settings;

pub(crate) async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let store = Store::attach(&settings.data_dir, &settings.homes()?).await?;
    // A child of the media process tries what a hijacked one would.
    let media = start_media(&settings).await?;
    println!("the jail of media files ({}): {}", settings.jail.as_str(), media.jail());
    let is_jailed = settings.jail == Jail::Off || media.jail().could.is_empty();
    let report = store.examine().await?;
    for finding in &report.findings {
        println!("{finding}");
    }
    println!("{} assets whole, {} bytes read and compared", report.assets, report.bytes);
    if report.unfinished > 0 {
        println!(
            "{} leftovers of a server that is not running; its next start clears them",
            report.unfinished
        );
    }
    if !is_jailed {
        println!("the jail is not whole: REELHOUSE_JAIL=off says that this is meant");
        return Ok(ExitCode::FAILURE);
    }
    if report.findings.is_empty() {
        println!("all is well");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} things are wrong", report.findings.len());
    Ok(ExitCode::FAILURE)
}
