//! The media process: one thread that waits for orders on standard input, a socket. For each it forks a child, which holds
//! the file, the result pipe and nothing else, is jailed, does what was asked and ends. Nothing of a file is read here.

use std::{
    fs::File,
    io::{self, IoSliceMut, Read, Seek, SeekFrom, Write},
    mem::MaybeUninit,
    net::TcpStream,
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, recvmsg, send},
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, getppid, nice, pidfd_open, pidfd_send_signal,
        set_parent_process_death_signal, setpgid, waitid,
    },
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin, stdout},
};

use super::{
    Order, Refused, Reply, Request, Trial,
    fork::{Side, close_all_but_the_first_three, end, fork},
    jail::{Bounds, Jail, Raised, Walls, be_first_to_die},
};

/// Bytes of an order.
pub(crate) const MAX_ORDER: usize = 64 << 10;
/// Descriptors that come with one: where its end is told, the result pipe, the file.
pub(crate) const DESCRIPTORS: usize = 3;

/// What a child does for its order.
pub type Handler = fn(Request, Input) -> Result<Reply, Refused>;

/// Serves until the other end is closed. The only argument of the program says how children are kept.
pub fn serve(version: &str, handler: Handler) -> ExitCode {
    let jail = std::env::args().nth(1).and_then(|name| name.parse().ok());
    let Some(jail) = jail.filter(|_| std::env::args().len() == 2) else {
        eprintln!("reelhouse starts this program by itself: it reads media files in its place");
        return ExitCode::FAILURE;
    };
    match orders(jail, version, handler) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn orders(jail: Jail, version: &str, handler: Handler) -> io::Result<()> {
    close_all_but_the_first_three();
    let own = getpid();
    // A fork's copy of them is its own.
    let mut walls = Walls::of_reader(jail)?;
    let mut children: Vec<Child> = Vec::new();
    loop {
        let mut watched = vec![PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
        for child in &children {
            watched.push(PollFd::new(&child.process, PollFlags::IN));
            watched.push(PollFd::new(&child.asker, PollFlags::RDHUP));
        }
        match poll(&mut watched, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled?,
        };
        let ready: Vec<bool> = watched.iter().map(|watched| !watched.revents().is_empty()).collect();
        drop(watched);
        let mut each = ready[1..].chunks_exact(2);
        children.retain_mut(|child| {
            let (has_ended, is_unwanted) = each.next().map_or((false, false), |it| (it[0], it[1]));
            if is_unwanted {
                // Gone already is what we want.
                let _ = pidfd_send_signal(&child.process, Signal::KILL);
            }
            !has_ended || !child.bury()
        });
        if ready[0] {
            match receive()? {
                Some((order, descriptors)) => {
                    // An order that makes no sense is dropped: who asked sees it closed.
                    if let Some((order, [asker, result, file])) = order.zip(descriptors) {
                        match fork()? {
                            Side::Parent(pid) => {
                                let process = pidfd_open(pid, PidfdFlags::empty())?;
                                children.push(Child { pid, process, asker });
                            }
                            Side::Child => {
                                drop((children, asker));
                                let done = enter(own, &order, &mut walls, &result, &file);
                                drop((result, file));
                                let done = done.and_then(|raised| answer(order, raised, version, handler));
                                end(u8::from(done.is_err()));
                            }
                        }
                    }
                }
                None => return Ok(()),
            }
        }
    }
}

/// A child that reads.
struct Child {
    pid: Pid,
    process: OwnedFd,
    /// Told how it ended; when it hangs up, nobody waits any more.
    asker: OwnedFd,
}

impl Child {
    /// Tells how it ended; false when it has not.
    fn bury(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let Ok(Some(status)) = waitid(WaitId::Pid(self.pid), options) else { return false };
        let told = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an end of its own kind".to_owned(),
        };
        // Who hung up does not want to know.
        let _ = send(&self.asker, told.as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        true
    }
}

/// An order, if it makes sense, and its descriptors; `None` when the other end is closed.
type Received = Option<(Option<Order>, Option<[OwnedFd; DESCRIPTORS]>)>;

fn receive() -> io::Result<Received> {
    let mut bytes = vec![0; MAX_ORDER];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = loop {
        match recvmsg(stdin(), &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags) {
            Err(rustix::io::Errno::INTR) => {}
            received => break received?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let whole = !received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    let order = serde_json::from_slice(&bytes[..received.bytes]).ok().filter(|_| whole);
    Ok(Some((order, descriptors.try_into().ok())))
}

/// What a child becomes before it reads anything: the file is its standard input, the result pipe its standard output.
fn enter(
    parent: Pid,
    order: &Order,
    walls: &mut Walls,
    result: &OwnedFd,
    file: &OwnedFd,
) -> io::Result<Raised> {
    setpgid(None, None)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before the signal was set.
    if getppid() != Some(parent) {
        return Err(rustix::io::Errno::SRCH.into());
    }
    be_first_to_die();
    if order.niceness > 0 {
        nice(order.niceness)?;
    }
    be_quiet_about_panics();
    // In the place of the socket and of what we say: no more than these is open.
    dup2_stdin(file)?;
    dup2_stdout(result)?;
    dup2_stderr(file)?;
    let bounds = Bounds {
        cpu_seconds: order.cpu_seconds,
        memory: order.memory,
        file: 0,
        descriptors: 16,
        processes: 0,
    };
    bounds.hold()?;
    walls.raise()
}

/// Does what was asked and tells.
fn answer(order: Order, raised: Raised, version: &str, handler: Handler) -> io::Result<()> {
    let answer = match order.request {
        Request::Trial => Ok(Reply::new(&trial(raised, version), Vec::new())),
        request => catch_unwind(AssertUnwindSafe(|| handler(request, Input)))
            .unwrap_or_else(|_| Err(Refused::Broken("it gave up".to_owned()))),
    };
    Reply::write(answer, Output)
}

/// The file of an order, as a child has it.
#[derive(Debug, Clone, Copy)]
pub struct Input;

impl Input {
    /// Reads at an offset; zero bytes at its end.
    ///
    /// # Errors
    /// Those of the system.
    pub fn read_at(self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(stdin(), buffer, at)?)
    }

    /// Bytes of it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn size(self) -> io::Result<u64> {
        Ok(rustix::fs::seek(stdin(), rustix::fs::SeekFrom::End(0))?)
    }

    /// From its beginning.
    pub fn reader(self) -> Reader {
        Reader { at: 0 }
    }
}

/// Reads the file of an order.
#[derive(Debug)]
pub struct Reader {
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = Input.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => Input.size()?.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The result pipe.
struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// They are answered, and nobody reads what a child says.
fn be_quiet_about_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Tries what a hijacked child would.
fn trial(raised: Raised, version: &str) -> Trial {
    let mut could = Vec::new();
    let mut attempt = |what: &str, succeeded: bool| {
        if succeeded {
            could.push(what.to_owned());
        }
    };
    attempt("open a file", File::open("/etc/passwd").is_ok());
    attempt("list a folder", std::fs::read_dir("/").is_ok());
    // Nobody listens there, and a refusal is an answer.
    let connected = TcpStream::connect_timeout(&([127, 0, 0, 1], 9).into(), Duration::from_secs(1));
    attempt(
        "connect",
        connected.map_or_else(|error| error.kind() == io::ErrorKind::ConnectionRefused, |_| true),
    );
    match fork() {
        Ok(Side::Child) => end(0),
        forked => attempt("fork", forked.is_ok()),
    }
    Trial { landlock: raised.files, seccomp: raised.calls, could, libav: version.to_owned() }
}
