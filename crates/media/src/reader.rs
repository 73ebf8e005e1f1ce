//! The server's end of the media process: started with it, asked for one file at a time by each who wants to know, started
//! again when it dies. What the file is not to blame for is asked again.

use std::{
    fs::File,
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::{UnixDatagram as StdUnixDatagram, UnixStream as StdUnixStream},
    },
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use reelhouse_metrics::metrics;
use rustix::{
    net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
        sendmsg, socketpair,
    },
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt, Interest},
    net::{UnixDatagram, UnixStream, unix::pipe},
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    Config, Error, Source,
    child::{Ended, Held, Limits, Output, Spawner, command, describe},
    process::{Bounds, DESCRIPTORS, Jail, MAX_ORDER, Order, Refused, Request, Trial, read},
};

/// Bytes of an answer's text.
pub(crate) const MAX_TEXT: u64 = 4 << 20;
/// Bytes of a pipe, where the system gives as many: a picture fits.
const PIPE: usize = 1 << 20;
/// What is waited before a process that died is started again, when it had just been started.
const PAUSE: Duration = Duration::from_millis(100);

/// What a child may use of time and memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Wall clock.
    pub(crate) time: Duration,
    /// Bytes of address space.
    pub(crate) memory: u64,
    /// How far it stands back for others, 0 to 19.
    pub(crate) niceness: i32,
    /// Bytes of an answer.
    pub(crate) most: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The file's fault: the child says so.
    Refused(Refused),
    /// The file's fault: the child died, hung or lied over it.
    Died(String),
    /// Nobody's fault who asked.
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The media process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    line: watch::Receiver<Line>,
    _keeper: Arc<Keeper>,
}

/// How it can be reached.
#[derive(Debug, Clone)]
enum Line {
    /// For the first time.
    Starting,
    Open(Arc<UnixDatagram>),
    /// Not yet again, for this reason.
    Down(String),
}

/// The task that keeps it running; with it, the process ends.
#[derive(Debug)]
struct Keeper(JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The program that lies beside ours; tests lie one folder deeper.
pub(crate) fn beside() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let folders = own.ancestors().skip(1).take(2).map(|folder| folder.join("reelhouse-media"));
    folders
        .clone()
        .find(|program| program.is_file())
        .or_else(|| folders.into_iter().next())
        .unwrap_or_default()
}

impl Reader {
    /// Starts it. Whether it runs, the first question tells.
    pub(crate) fn start(spawner: Spawner, program: &Path, jail: Jail) -> Self {
        let (is, line) = watch::channel(Line::Starting);
        let keeper = tokio::spawn(keep(spawner, program.to_owned(), jail, is));
        Self { line, _keeper: Arc::new(Keeper(keeper)) }
    }

    /// Whether it runs, and what its children can do.
    pub(crate) async fn try_out(&self, config: &Config) -> Result<Trial, Error> {
        let not_installed = |reason| Error::NotInstalled { program: config.reader.clone(), reason };
        let nothing = Source::from(Path::new("/dev/null")).open().await?;
        let mut line = self.line.clone();
        let down = line.wait_for(|line| matches!(line, Line::Down(_)));
        tokio::select! {
            trial = self.ask(&nothing, Request::Trial, config.probe_patience()) => match trial {
                Ok((trial, _)) => Ok(trial),
                Err(Failure::Refused(refused)) => Err(not_installed(format!("{refused:?}"))),
                Err(Failure::Died(reason)) => Err(not_installed(reason)),
                Err(Failure::Io(error)) => Err(error.into()),
            },
            down = down => Err(not_installed(match down.as_deref() {
                Ok(Line::Down(reason)) => reason.clone(),
                _ => "it ended".to_owned(),
            })),
        }
    }

    /// Asks for a file, and waits for the answer. When the caller stops waiting, the child dies.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        file: &File,
        request: Request,
        patience: Patience,
    ) -> Result<(T, Vec<u8>), Failure> {
        let answered = self.ask_until_answered(file, request, patience).await;
        if let Err(Failure::Died(_)) = answered {
            metrics().children_killed.with(["reader".into()]).inc();
        }
        answered
    }

    async fn ask_until_answered<T: DeserializeOwned>(
        &self,
        file: &File,
        request: Request,
        patience: Patience,
    ) -> Result<(T, Vec<u8>), Failure> {
        let order = Order {
            request,
            // One thread cannot use more than the wall clock gives; rounded up.
            cpu_seconds: patience.time.as_secs() + 1,
            memory: patience.memory,
            niceness: patience.niceness,
        };
        let order = serde_json::to_vec(&order).map_err(io::Error::other)?;
        if order.len() > MAX_ORDER {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        }
        let deadline = Instant::now() + patience.time;
        let mut lines = self.line.clone();
        loop {
            let line = lines.borrow_and_update().clone();
            let asked = async {
                match &line {
                    Line::Open(socket) => exchange(socket, file, &order, patience.most).await,
                    Line::Down(reason) => Ok(Outcome::Gone(reason.clone())),
                    Line::Starting => Ok(Outcome::Gone(String::new())),
                }
            };
            let reason = match timeout_at(deadline, asked).await {
                Ok(Ok(Outcome::Answer(bytes))) => {
                    let lied = || Failure::Died("its answer makes no sense".to_owned());
                    return read(&bytes).ok_or_else(lied)?.map_err(Failure::Refused);
                }
                Ok(Ok(Outcome::Died(how))) => return Err(Failure::Died(how)),
                Ok(Ok(Outcome::Gone(reason))) => reason,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(Failure::Died("it took too long".to_owned())),
            };
            // The process died, not the file's child: the next one is asked.
            if timeout_at(deadline, lines.changed()).await.is_err() {
                return Err(io::Error::other(reason).into());
            }
        }
    }
}

enum Outcome {
    /// All that came.
    Answer(Vec<u8>),
    /// The child ended without an answer, or with too much of one.
    Died(String),
    /// The process ended.
    Gone(String),
}

/// One question to one process.
async fn exchange(socket: &UnixDatagram, file: &File, order: &[u8], most: u64) -> io::Result<Outcome> {
    let gone = || Ok(Outcome::Gone("the media process died".to_owned()));
    let (ours, asker) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut ours = UnixStream::from_std(ours)?;
    let (answers, result) = pipe_with(PipeFlags::CLOEXEC)?;
    // A larger pipe is fewer turns, not more sense.
    let _ = fcntl_setpipe_size(&result, PIPE);
    rustix::io::ioctl_fionbio(&answers, true)?;
    let answers = pipe::Receiver::from_owned_fd(answers)?;
    if send(socket, order, [asker.as_fd(), result.as_fd(), file.as_fd()]).await.is_err() {
        return gone();
    }
    drop((asker, result));

    let mut bytes = Vec::new();
    answers.take(most + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > most {
        return Ok(Outcome::Died("it wrote too much".to_owned()));
    }
    if read::<serde::de::IgnoredAny>(&bytes).is_some() {
        return Ok(Outcome::Answer(bytes));
    }
    // No answer, or half of one: how did it end?
    let mut told = String::new();
    match ours.read_to_string(&mut told).await {
        Ok(_) if !told.is_empty() => Ok(Outcome::Died(told)),
        _ => gone(),
    }
}

async fn send(
    socket: &UnixDatagram,
    order: &[u8],
    descriptors: [BorrowedFd<'_>; DESCRIPTORS],
) -> io::Result<()> {
    socket
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            sendmsg(socket, &[IoSlice::new(order)], &mut ancillary, SendFlags::NOSIGNAL)?;
            Ok(())
        })
        .await
}

/// Runs the process, again and again.
async fn keep(spawner: Spawner, program: PathBuf, jail: Jail, is: watch::Sender<Line>) {
    loop {
        let started = Instant::now();
        metrics().media_process_starts.inc();
        let ended = match run(&spawner, &program, jail, &is).await {
            Ok(Ended::Exited { status, stderr, .. }) => {
                format!("{} {stderr}", describe(status)).trim().to_owned()
            }
            Ok(Ended::Killed(reason)) => reason.to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(reason = %ended, "the media process ended; it is started again");
        is.send_replace(Line::Down(ended));
        if started.elapsed() < PAUSE {
            sleep(PAUSE).await;
        }
    }
}

async fn run(spawner: &Spawner, program: &Path, jail: Jail, is: &watch::Sender<Line>) -> io::Result<Ended> {
    let (ours, its) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    let mut command = command(program);
    command.arg(jail.as_str()).current_dir("/");
    // Its children are short and touch megabytes once: in large pages, which are used again and not given back between two
    // decoders. A tenth of a probe.
    command.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
    command.env("MALLOC_MMAP_THRESHOLD_", "33554432").env("MALLOC_TRIM_THRESHOLD_", "1073741824");
    let limits = Limits { time: None, output: Output::Tail, bounds: Bounds::NONE, niceness: 0 };
    let socket = UnixDatagram::from_std(StdUnixDatagram::from(ours))?;
    is.send_replace(Line::Open(Arc::new(socket)));
    spawner.run(command, Stdio::from(its), limits, Held::Free).await
}
