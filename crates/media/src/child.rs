//! Child processes: started from one thread, bounded, killed as a group, never left behind.

use std::{
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getpid, getppid, kill_process_group, set_parent_process_death_signal,
    setrlimit,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
    sync::oneshot,
    time::timeout,
};

/// The most bytes of standard error kept: what the log shows of a failure.
const STDERR_KEPT: u64 = 4096;

/// What a child may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Wall clock.
    pub(crate) time: Duration,
    /// Bytes of standard output.
    pub(crate) output: u64,
    /// CPU seconds.
    pub(crate) cpu_seconds: u64,
    /// Bytes of address space.
    pub(crate) memory: u64,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With a status, having written this.
    Exited {
        /// Of the program.
        status: ExitStatus,
        /// Its standard output, whole.
        stdout: Vec<u8>,
        /// The beginning of its standard error.
        stderr: String,
    },
    /// Killed, for this reason.
    Killed(&'static str),
}

/// Starts children from a thread that lives as long as we do: the death signal fires when the *thread* that forked
/// ends, and the runtime's threads come and go.
#[derive(Debug, Clone)]
pub(crate) struct Spawner {
    requests: mpsc::Sender<(Command, oneshot::Sender<io::Result<Child>>)>,
}

impl Spawner {
    pub(crate) fn start() -> io::Result<Self> {
        let (requests, queue) = mpsc::channel::<(Command, oneshot::Sender<io::Result<Child>>)>();
        let runtime = tokio::runtime::Handle::current();
        thread::Builder::new().name("media-spawner".to_owned()).spawn(move || {
            let _runtime = runtime.enter();
            for (command, reply) in queue {
                let mut command = tokio::process::Command::from(command);
                // Nobody waits any more: the child, if it came to be, is killed by its drop.
                let _ = reply.send(command.kill_on_drop(true).spawn());
            }
        })?;
        Ok(Self { requests })
    }

    /// Runs a program to its end, within limits. When the caller stops waiting, the child and all it started die.
    pub(crate) async fn run(&self, mut command: Command, limits: Limits) -> io::Result<Ended> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_clear()
            .process_group(0);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        confine(&mut command, limits);
        let (reply, started) = oneshot::channel();
        let gone = |_| io::Error::other("the spawner is gone");
        self.requests.send((command, reply)).map_err(|_| gone(()))?;
        let mut child = started.await.map_err(|_| gone(()))??;
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let to_the_end = async {
            let (stdout, stderr) = tokio::join!(read_bounded(stdout, limits.output), read_tail(stderr));
            let Some(stdout) = stdout? else { return Ok(Ended::Killed("it wrote too much")) };
            let status = child.wait().await?;
            Ok(Ended::Exited { status, stdout, stderr })
        };
        let ended = timeout(limits.time, to_the_end).await.unwrap_or(Ok(Ended::Killed("it took too long")));
        drop(group);
        // Reaped here, so that no zombie waits for the runtime to come by.
        child.wait().await?;
        ended
    }
}

/// A process group, killed whole when dropped: what the child started dies with it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Gone already is what we want.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// What the child does between fork and exec.
#[expect(
    unsafe_code,
    reason = "pre_exec is the only way to set the death signal; it makes system calls and nothing else"
)]
fn confine(command: &mut Command, limits: Limits) {
    let parent = getpid();
    let bounds = [
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::As, limits.memory),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 64),
    ];
    let before_exec = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died before the signal was set.
        if getppid() != Some(parent) {
            return Err(rustix::io::Errno::SRCH.into());
        }
        for (resource, limit) in bounds {
            setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
        }
        Ok(())
    };
    // SAFETY: the closure allocates nothing, takes no lock and calls only async-signal-safe system calls.
    unsafe {
        command.pre_exec(before_exec);
    }
}

/// All of it, or `None` when there is more than that.
async fn read_bounded(stream: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(most + 1).read_to_end(&mut bytes).await?;
    }
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// The beginning of it; the rest is read and thrown away, so that the child does not block.
async fn read_tail(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut bytes = Vec::new();
    let kept = (&mut stream).take(STDERR_KEPT).read_to_end(&mut bytes).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    kept.map_or_else(|error| error.to_string(), |_| String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// For the log: `exit status: 1`, or the signal.
pub(crate) fn describe(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => status.to_string(),
    }
}
