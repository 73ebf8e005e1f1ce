//! Is the program there, and is it what it should be? Asked once, before anything depends on it.

use std::{
    io::Read,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Error, child::describe};

/// Cold disks are slow; a program that needs longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(5);

/// Runs `ffprobe -version`.
pub(crate) fn check(program: &Path) -> Result<(), Error> {
    let not_installed = |reason: String| Error::NotInstalled { program: program.to_owned(), reason };
    #[expect(clippy::disallowed_methods, reason = "this room starts the children")]
    let started = Command::new(program)
        .arg("-version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = started.map_err(|error| not_installed(error.to_string()))?;
    let status = match wait(&mut child) {
        Ok(Some(status)) => status,
        hangs_or_fails => {
            // It may have ended in between.
            let _ = child.kill().and_then(|()| child.wait());
            let hangs = format!("it does not answer within {} s", PATIENCE.as_secs());
            return Err(not_installed(hangs_or_fails.err().map_or(hangs, |error| error.to_string())));
        }
    };
    if !status.success() {
        return Err(not_installed(describe(status)));
    }
    let mut says = [0; 8];
    match child.stdout.take().map(|mut stdout| stdout.read_exact(&mut says)) {
        Some(Ok(())) if says == *b"ffprobe " => Ok(()),
        _ => Err(not_installed("it is not ffprobe".to_owned())),
    }
}

/// Its status, or `None` when patience ends. What it writes fits the pipe.
fn wait(child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(STEP);
    }
    Ok(None)
}
