use std::process::ExitCode;

use reelhouse_store::Store;

use crate::settings::Settings;

pub(crate) async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let report = Store::attach(&settings.data_dir).await?.examine().await?;
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
    if report.findings.is_empty() {
        println!("all is well");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} things are wrong", report.findings.len());
    Ok(ExitCode::FAILURE)
}
