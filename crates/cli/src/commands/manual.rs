use std::{io, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// For which shell; put the output where the shell looks for it
    shell: Shell,
}

#[derive(Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder; without it, the main page goes to standard output
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> ExitCode {
    clap_complete::generate(args.shell, &mut command, "reelhouse", &mut io::stdout().lock());
    ExitCode::SUCCESS
}

pub(crate) fn man(args: ManArgs, command: Command) -> anyhow::Result<ExitCode> {
    match args.dir {
        Some(dir) => {
            std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            clap_mangen::generate_to(command, &dir)
                .with_context(|| format!("cannot write to {}", dir.display()))?;
        }
        None => clap_mangen::Man::new(command).render(&mut io::stdout().lock())?,
    }
    Ok(ExitCode::SUCCESS)
}
