//! The ffmpeg command: for work that takes long. Jailed; bounded in memory, bytes and standstill; watched while it runs;
//! whatever happens, neither a process nor a half file is left.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    net::unix::pipe,
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use crate::{
    Config, Error,
    child::{self, Ended, Held, Limits, Output, Spawner, describe},
    probe::{DEMUXERS, NICENESS, file_url},
    process::{Bounds, Walls},
};

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Longest line of progress that is read.
const MAX_LINE: u64 = 1024;
/// Files of one run that are counted.
const MAX_FILES: usize = 10_000;
/// More than any run opens.
const MAX_DESCRIPTORS: u64 = 64;
/// Processes and threads of the user, ours included.
const MAX_PROCESSES: u64 = 4096;
/// Why a run was killed.
const STALLED: &str = "it made no progress";
const TOO_MUCH: &str = "it wrote too much";

/// How a run of ffmpeg failed. What a file is to blame for and what not, nobody can tell here.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Killed: it stood still, wrote too much or took too long.
    #[error("killed: {0}")]
    Killed(&'static str),
    /// It ended by itself, with an error.
    #[error("{status}: {stderr}")]
    Exited {
        /// Its status, or the signal.
        status: String,
        /// The end of what it said.
        stderr: String,
    },
    /// It said that all is well, and what it made is not; or most of the file did not decode.
    #[error("no result: {0}")]
    NoResult(String),
}

/// What the installed program can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Abilities {
    /// Converts between colour spaces exactly.
    pub(crate) zscale: bool,
}

/// Where the program lies: a bare name is looked for in the folders of `PATH`.
pub(crate) fn find(program: &Path) -> PathBuf {
    let is_bare = program.components().count() == 1;
    let folders = std::env::var_os("PATH").filter(|_| is_bare).unwrap_or_default();
    let found =
        std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|found| found.is_file());
    found.unwrap_or_else(|| program.to_owned())
}

/// Runs the program once, before anything depends on it, the way it will be run. Returns its version, too.
pub(crate) async fn check_installed(
    spawner: &Spawner,
    config: &Config,
) -> Result<(Abilities, Arc<str>), Error> {
    let not_installed = |reason: String| Error::NotInstalled { program: config.ffmpeg.clone(), reason };
    let mut command = child::command(&config.ffmpeg);
    command.arg("-version");
    let limits = limits(config, config.probe_timeout, Output::Whole(1 << 20));
    let walls = Walls::of_command(config.jail, &config.ffmpeg, None, None)?;
    let ended = spawner.run(command, Stdio::null(), limits, Held::By(walls)).await;
    match ended.map_err(|error| not_installed(error.to_string()))? {
        Ended::Exited { status, stdout, .. } if status.success() => {
            let text = String::from_utf8_lossy(&stdout);
            let Some(named) = text.strip_prefix("ffmpeg version") else {
                return Err(not_installed("it is not ffmpeg".to_owned()));
            };
            let version = named.split_whitespace().next().unwrap_or_default();
            Ok((Abilities { zscale: text.contains("--enable-libzimg") }, version.into()))
        }
        Ended::Exited { status, stderr, .. } => {
            Err(not_installed(format!("{} {stderr}", describe(status)).trim().to_owned()))
        }
        Ended::Killed(reason) => Err(not_installed(reason.to_owned())),
    }
}

/// The command, before its inputs and outputs.
pub(crate) fn command(config: &Config) -> Command {
    let mut command = child::command(&config.ffmpeg);
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-y"]);
    command
}

/// The options of an input that is a stranger's file.
pub(crate) fn input(command: &mut Command, path: &Path) {
    command.args(["-protocol_whitelist", "file,pipe", "-format_whitelist", DEMUXERS]);
    command.arg("-i").arg(file_url(path));
}

/// A run that reads a file and writes into a folder, for as long as it moves. `seconds` is how much there is to do, where
/// known.
#[expect(clippy::too_many_arguments, reason = "one call of one program")]
pub(crate) async fn work(
    spawner: &Spawner,
    config: &Config,
    mut command: Command,
    input: &Path,
    folder: &Arc<Folder>,
    max_bytes: u64,
    seconds: Option<f64>,
    progress: &watch::Sender<f32>,
) -> Result<(), Error> {
    command.current_dir(&folder.path).env("TMPDIR", &folder.path);
    let printed = redirect(&mut command)?;
    let mut limits = limits(config, config.ffmpeg_timeout, Output::Elsewhere);
    limits.bounds.file = max_bytes;
    let walls = Walls::of_command(config.jail, &config.ffmpeg, Some(input), Some(&folder.path))?;
    // Milliseconds since the start at which it last moved.
    let (started, moved) = (Instant::now(), AtomicU64::new(0));
    let follow = async {
        follow(printed, |seconds_done| {
            moved.store(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            if let Some((done, all)) = seconds_done.zip(seconds).filter(|(_, all)| *all > 0.0) {
                progress.send_replace((done / all).clamp(0.0, 1.0) as f32);
            }
        })
        .await;
        std::future::pending::<&'static str>().await
    };
    let stalled = async {
        loop {
            let deadline =
                started + Duration::from_millis(moved.load(Ordering::Relaxed)) + config.ffmpeg_stall;
            if Instant::now() >= deadline {
                return STALLED;
            }
            sleep_until(deadline).await;
        }
    };
    let stop = async {
        tokio::select! {
            reason = follow => reason,
            reason = stalled => reason,
            reason = too_much(folder.path.clone(), max_bytes) => reason,
        }
    };
    let keep = Arc::clone(folder);
    match spawner.run_until(command, Stdio::null(), limits, Held::By(walls), Some(keep), stop).await? {
        Ended::Exited { status, .. } if status.success() => {
            if bytes_in(&folder.path) > max_bytes {
                return Err(Failure::Killed(TOO_MUCH).into());
            }
            Ok(())
        }
        ended => Err(failure(ended).into()),
    }
}

/// The option that makes it tell how far it is.
pub(crate) const TELL: [&str; 4] = ["-progress", "pipe:1", "-stats_period", "0.5"];

fn limits(config: &Config, time: Duration, output: Output) -> Limits {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    Limits {
        time: Some(time),
        output,
        bounds: Bounds {
            cpu_seconds: time.as_secs().saturating_add(1).saturating_mul(cores),
            memory: config.ffmpeg_memory,
            file: 0,
            descriptors: MAX_DESCRIPTORS,
            processes: MAX_PROCESSES,
        },
        niceness: NICENESS,
    }
}

/// How ffmpeg ends where more of a file fails to decode than `-max_error_rate` says (two thirds): that file will be as broken
/// tomorrow.
const BROKEN: i32 = 69;

fn failure(ended: Ended) -> Failure {
    match ended {
        Ended::Killed(reason) => Failure::Killed(reason),
        Ended::Exited { status, stderr, .. } if status.code() == Some(BROKEN) => Failure::NoResult(stderr),
        Ended::Exited { status, stderr, .. } => Failure::Exited { status: describe(status), stderr },
    }
}

/// Its standard output becomes a pipe of ours.
fn redirect(command: &mut Command) -> io::Result<pipe::Receiver> {
    let (ours, its): (OwnedFd, OwnedFd) = pipe_with(PipeFlags::CLOEXEC)?;
    command.stdout(its);
    rustix::io::ioctl_fionbio(&ours, true)?;
    pipe::Receiver::from_owned_fd(ours)
}

/// Calls `moved` whenever a number of the report is another than before, with the seconds done.
async fn follow(printed: impl AsyncRead + Unpin, mut moved: impl FnMut(Option<f64>)) {
    let mut last = Report::default();
    let mut lines = BufReader::new(printed);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut lines).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let Some((key, value)) = std::str::from_utf8(&line).ok().and_then(|line| line.trim().split_once('='))
        else {
            continue;
        };
        if last.take(key, value) {
            moved(last.seconds());
        }
    }
}

/// The numbers of a report that tell whether it moves.
#[derive(Debug, Default)]
struct Report {
    frame: u64,
    microseconds: u64,
    bytes: u64,
}

impl Report {
    /// Whether this line says more than the last one of its kind.
    fn take(&mut self, key: &str, value: &str) -> bool {
        let field = match key {
            "frame" => &mut self.frame,
            // Microseconds, in spite of its name.
            "out_time_us" => &mut self.microseconds,
            "total_size" => &mut self.bytes,
            _ => return false,
        };
        match value.trim().parse::<u64>() {
            Ok(number) => std::mem::replace(field, number) != number,
            Err(_) => false,
        }
    }

    fn seconds(&self) -> Option<f64> {
        Some(self.microseconds).filter(|us| *us > 0).map(|us| us as f64 / 1e6)
    }
}

/// Returns when a folder holds more than its bound.
async fn too_much(folder: PathBuf, most: u64) -> &'static str {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let folder = folder.clone();
        if tokio::task::spawn_blocking(move || bytes_in(&folder)).await.is_ok_and(|bytes| bytes > most) {
            return TOO_MUCH;
        }
    }
}

/// Bytes of all files below a folder; more files than anyone needs count as more bytes than anyone has.
fn bytes_in(folder: &Path) -> u64 {
    let (mut bytes, mut files, mut folders) = (0u64, 0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            files += 1;
            if files > MAX_FILES {
                return u64::MAX;
            }
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => bytes = bytes.saturating_add(metadata.len()),
                Err(_) => {}
            }
        }
    }
    bytes
}

/// A folder for one run, gone with all it holds when the run is over and its results are taken out.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A new one, inside another.
    pub(crate) fn create_in(parent: &Path) -> io::Result<Arc<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::path::absolute(parent)?.join(format!(".making-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Arc::new(Self { path })),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "a folder of work stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn progress_is_what_changes() {
        let printed = "frame=10\nfps=0.0\nout_time_us=400000\nprogress=continue\nframe=10\nout_time_us=N/A\n\
                       frame=11\nout_time_us=-9223372036854775807\ntotal_size=48\nprogress=end\n";
        let mut seen = Vec::new();
        follow(printed.as_bytes(), |seconds| seen.push(seconds)).await;
        assert_eq!(seen, [None, Some(0.4), Some(0.4), Some(0.4)]);
        // A line without an end takes no memory.
        let endless = tokio::io::repeat(b'x').take(1 << 20);
        follow(endless, |_| unreachable!()).await;
    }

    #[test]
    fn a_folder_counts_all_below_it_and_goes_whole() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create_in(parent.path()).unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("a"), [0; 10]).unwrap();
        fs::write(folder.path().join("deep/b"), [0; 5]).unwrap();
        assert_eq!(bytes_in(folder.path()), 15);
        drop(folder);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
