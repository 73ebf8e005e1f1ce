//! The media process as someone would have it who has taken it over: its children do not read their file, they do what is
//! written in it. For the tests; what each attempt came to is its answer.

#![expect(unsafe_code, reason = "attempts that no safe function makes")]

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    process::ExitCode,
};

use reelhouse_media::process::{Input, Refused, Reply, Request, serve};
use rustix::{
    fs::{Mode, fchmod, ftruncate},
    process::{Signal, getppid, kill_process, setsid},
    stdio::{stdin, stdout},
};

fn main() -> ExitCode {
    serve("hostile", answer)
}

/// The first line of the file is what to try, the second what to try it on.
fn answer(_: Request, input: Input) -> Result<Reply, Refused> {
    let mut text = String::new();
    let read = input.reader().take(4096).read_to_string(&mut text);
    let mut lines = text.lines();
    let (what, on) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    Err(Refused::Broken(match read.and_then(|_| attempt(what, on)) {
        Ok(()) => format!("{what}: it could"),
        Err(error) => format!("{what}: denied: {error}"),
    }))
}

fn attempt(what: &str, on: &str) -> io::Result<()> {
    match what {
        "read" => File::open(on).map(drop),
        "list" => std::fs::read_dir(on).map(drop),
        "reopen" => OpenOptions::new().write(true).open("/proc/self/fd/0").map(drop),
        "create" => File::create(on).map(drop),
        "remove" => std::fs::remove_file(on),
        "truncate" => Ok(ftruncate(stdin(), 0)?),
        "write" => rustix::io::write(stdin(), b"x").map(drop).map_err(io::Error::from),
        "chmod" => Ok(fchmod(stdin(), Mode::RWXU)?),
        "connect" => TcpStream::connect(on).map(drop),
        "connect-local" => UnixStream::connect(on).map(drop),
        "listen" => TcpListener::bind("127.0.0.1:0").map(drop),
        "listen-local" => UnixListener::bind(on).map(drop),
        "fork" => match call(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0]) {
            // The child of an attempt that went well has nothing to do.
            Ok(0) => std::process::exit(0),
            forked => forked.map(drop),
        },
        "fork-3" => call(libc::SYS_clone3, [0; 5]).map(drop),
        "thread" => std::thread::Builder::new().spawn(|| {}).map(drop),
        "execute" => {
            let (path, none) = (c"/bin/true".as_ptr() as usize, std::ptr::null::<u8>() as usize);
            call(libc::SYS_execve, [path, none, none, 0, 0]).map(drop)
        }
        "kill" => Ok(kill_process(getppid().ok_or(io::ErrorKind::NotFound)?, Signal::KILL)?),
        "leave-group" => setsid().map(drop).map_err(io::Error::from),
        "trace" => {
            let parent = getppid().map_or(0, |parent| parent.as_raw_nonzero().get() as usize);
            call(libc::SYS_ptrace, [libc::PTRACE_ATTACH as usize, parent, 0, 0, 0]).map(drop)
        }
        "peek" => {
            let parent = getppid().map_or(0, |parent| parent.as_raw_nonzero().get() as usize);
            call(libc::SYS_process_vm_readv, [parent, 0, 0, 0, 0]).map(drop)
        }
        "mount" => call(libc::SYS_mount, [0; 5]).map(drop),
        "namespace" => call(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0]).map(drop),
        "keys" => call(libc::SYS_keyctl, [0; 5]).map(drop),
        "bpf" => call(libc::SYS_bpf, [0; 5]).map(drop),
        "ring" => call(libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]).map(drop),
        "execute-memory" => {
            let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
            let protection = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as usize;
            call(libc::SYS_mmap, [0, 4096, protection, flags, usize::MAX]).map(drop)
        }
        "raise-limits" => {
            let most = [u64::MAX; 2];
            call(libc::SYS_prlimit64, [0, libc::RLIMIT_AS as usize, most.as_ptr() as usize, 0, 0]).map(drop)
        }
        "allocate" => Vec::<u8>::new().try_reserve_exact(1 << 30).map_err(io::Error::other),
        // Beside the file (twice: it is in place of the standard error, too) and the result pipe.
        "descriptors" => match (3..1024).find(|fd| call(libc::SYS_read, [*fd, 0, 0, 0, 0]).is_ok()) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        },
        "eat-memory" => {
            let mut eaten = Vec::new();
            loop {
                eaten.push(vec![1u8; 16 << 20]);
            }
        }
        "eat-time" => loop {
            std::hint::black_box(());
        },
        "hang" => loop {
            std::thread::park();
        },
        "talk" => loop {
            rustix::io::write(stdout(), &[b'x'; 1 << 16])?;
        },
        "lie" => {
            rustix::io::write(stdout(), b"\x01an answer that is none")?;
            std::process::exit(0)
        }
        "crash" => std::process::abort(),
        _ => Err(io::Error::other("nobody knows how")),
    }
}

fn call(number: libc::c_long, [a, b, c, d, e]: [usize; 5]) -> io::Result<libc::c_long> {
    // SAFETY: none of these calls, made so, changes memory of this process behind Rust's back.
    match unsafe { libc::syscall(number, a, b, c, d, e, 0usize) } {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}
