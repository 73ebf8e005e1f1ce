//! Child processes: started from one thread, bounded, killed as a group, never left behind.

use std::{
    future::Future,
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    pin::pin,
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use reelhouse_metrics::metrics;
use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process_group, nice, set_parent_process_death_signal,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
    runtime::Handle,
    sync::oneshot,
    time::sleep,
};

use crate::process::{Bounds, Walls, be_first_to_die};

/// Bytes of a stream's end that are kept.
const TAIL: usize = 4096;

/// What a child may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Wall clock; `None` for as long as it is wanted.
    pub(crate) time: Option<Duration>,
    /// What is kept of standard output.
    pub(crate) output: Output,
    /// Of the system.
    pub(crate) bounds: Bounds,
    /// How far it stands back for others, 0 to 19.
    pub(crate) niceness: i32,
}

/// What a child is held by, beside its limits.
#[derive(Debug)]
pub(crate) enum Held {
    /// It reads strangers' files.
    By(Walls),
    /// It reads none: its own children do.
    Free,
}

/// What is kept of a child's standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Output {
    /// All of it; a child that writes more bytes than this is killed.
    Whole(u64),
    /// Its end.
    Tail,
    /// Nothing here: the command says where it goes.
    Elsewhere,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With a status, having written this.
    Exited {
        /// Of the program.
        status: ExitStatus,
        /// What was kept of its standard output.
        stdout: Vec<u8>,
        /// The end of its standard error.
        stderr: String,
    },
    /// Killed, for this reason.
    Killed(&'static str),
}

/// Starts children from a thread that lives as long as we do: the death signal fires when the *thread* that forked
/// ends, and the runtime's threads come and go.
#[derive(Debug, Clone)]
pub(crate) struct Spawner {
    requests: mpsc::Sender<Request>,
}

struct Request {
    command: Command,
    limits: Limits,
    answer: oneshot::Sender<io::Result<Ended>>,
    stop: oneshot::Receiver<&'static str>,
    keep: Keep,
}

/// What must outlive a child: dropped when it is dead, whoever waited for it.
pub(crate) type Keep = Option<Arc<dyn Send + Sync>>;

impl Spawner {
    /// Must be called inside a runtime: it is where children are awaited.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let (requests, queue) = mpsc::channel();
        thread::Builder::new().name("media-spawner".to_owned()).spawn(move || serve(&queue, &runtime))?;
        Ok(Self { requests })
    }

    /// Runs a program to its end, within limits, given what it reads on standard input. When the caller stops waiting,
    /// the child and all it started die.
    pub(crate) async fn run(
        &self,
        command: Command,
        input: Stdio,
        limits: Limits,
        held: Held,
    ) -> io::Result<Ended> {
        self.run_until(command, input, limits, held, None, std::future::pending()).await
    }

    /// The same, unless `stop` comes first: it says why the child is killed. It is dead when this returns.
    pub(crate) async fn run_until(
        &self,
        mut command: Command,
        input: Stdio,
        limits: Limits,
        held: Held,
        keep: Keep,
        stop: impl Future<Output = &'static str>,
    ) -> io::Result<Ended> {
        command.stdin(input).stderr(Stdio::piped()).process_group(0);
        if !matches!(limits.output, Output::Elsewhere) {
            command.stdout(Stdio::piped());
        }
        confine(&mut command, limits, held);
        let gone = || io::Error::other("the spawner is gone");
        let (answer, ended) = oneshot::channel();
        let (stopper, stopped) = oneshot::channel();
        self.requests.send(Request { command, limits, answer, stop: stopped, keep }).map_err(|_| gone())?;
        let mut ended = pin!(ended);
        tokio::select! {
            ended = &mut ended => return ended.map_err(|_| gone())?,
            reason = stop => {
                // It may have ended in this moment.
                let _ = stopper.send(reason);
            }
        }
        ended.await.map_err(|_| gone())?
    }
}

/// A command with an environment that is empty but for what bounds it.
pub(crate) fn command(program: &Path) -> Command {
    #[expect(clippy::disallowed_methods, reason = "this room starts the children")]
    let mut command = Command::new(program);
    // Each arena reserves address space, and there would be eight for each core.
    command.env_clear().env("MALLOC_ARENA_MAX", "2");
    command
}

fn serve(queue: &mpsc::Receiver<Request>, runtime: &Handle) {
    let _entered = runtime.enter();
    for Request { command, limits, answer, stop, keep } in queue {
        if answer.is_closed() {
            continue;
        }
        match tokio::process::Command::from(command).kill_on_drop(true).spawn() {
            // A task of its own, so that whoever stops waiting need not stay for the burial.
            Ok(child) => drop(runtime.spawn(Running::new(child).supervise(limits, answer, stop, keep))),
            Err(error) => drop(answer.send(Err(error))),
        }
    }
}

/// A child and its group. The group comes first: it is dropped, and so killed, before its leader is reaped.
struct Running {
    group: Group,
    child: Child,
}

impl Running {
    fn new(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { group: Group(id.and_then(Pid::from_raw)), child }
    }

    async fn supervise(
        mut self,
        limits: Limits,
        mut answer: oneshot::Sender<io::Result<Ended>>,
        stop: oneshot::Receiver<&'static str>,
        keep: Keep,
    ) {
        let ended = tokio::select! {
            Ok(reason) = stop => Ok(Ended::Killed(reason)),
            ended = self.exited(limits.output) => ended,
            () = passed(limits.time) => Ok(Ended::Killed("it took too long")),
            () = answer.closed() => Ok(Ended::Killed("nobody waits for it")),
        };
        if let Ok(Ended::Killed(_)) = ended {
            metrics().children_killed.with(["ffmpeg".into()]).inc();
        }
        let Self { group, mut child } = self;
        drop(group);
        // Reaped here, so that no zombie waits for the runtime to come by.
        let reaped = child.wait().await;
        drop(keep);
        let _ = answer.send(reaped.and(ended));
    }

    async fn exited(&mut self, output: Output) -> io::Result<Ended> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let kept = async {
            match output {
                Output::Whole(most) => read_bounded(stdout, most).await,
                Output::Tail => read_tail(stdout).await,
                Output::Elsewhere => Ok(Vec::new()),
            }
        };
        match tokio::try_join!(kept, read_tail(stderr)) {
            Ok((stdout, stderr)) => {
                let stderr = String::from_utf8_lossy(&stderr).trim().to_owned();
                Ok(Ended::Exited { status: self.child.wait().await?, stdout, stderr })
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Ok(Ended::Killed("it wrote too much"))
            }
            Err(error) => Err(error),
        }
    }
}

/// Returns after a time, if there is one: a timer that never fires is none.
async fn passed(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
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
fn confine(command: &mut Command, limits: Limits, mut held: Held) {
    let parent = getpid();
    let before_exec = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died before the signal was set.
        if getppid() != Some(parent) {
            return Err(rustix::io::Errno::SRCH.into());
        }
        limits.bounds.hold()?;
        nice(limits.niceness)?;
        if let Held::By(walls) = &mut held {
            be_first_to_die();
            walls.raise()?;
        }
        Ok(())
    };
    // SAFETY: the closure allocates nothing, takes no lock and calls only async-signal-safe system calls.
    unsafe {
        command.pre_exec(before_exec);
    }
}

/// All of it; more than that is an error, at once.
async fn read_bounded(stream: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(most + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// The end of it. All of it is read, so that the child does not block.
async fn read_tail(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let (mut tail, mut piece) = (Vec::new(), [0; TAIL]);
    if let Some(mut stream) = stream {
        loop {
            let len = stream.read(&mut piece).await?;
            if len == 0 {
                break;
            }
            tail.extend_from_slice(&piece[..len]);
            tail.drain(..tail.len().saturating_sub(TAIL));
        }
    }
    Ok(tail)
}

/// For the log: `exit status: 1`, or the signal.
pub(crate) fn describe(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => status.to_string(),
    }
}
