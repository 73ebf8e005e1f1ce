//! Forking: what Rust cannot promise to be safe, and is in a process of one thread.

#![expect(unsafe_code, reason = "fork, _exit and close_range; see each")]

use rustix::process::Pid;

/// Who this is, after a fork.
pub(super) enum Side {
    Parent(Pid),
    Child,
}

/// Forks. Only in a process that has one thread: another one could hold a lock that the child then waits for, for ever.
pub(super) fn fork() -> std::io::Result<Side> {
    // SAFETY: there is one thread, so the child's memory is as consistent as ours.
    match unsafe { libc::fork() } {
        0 => Ok(Side::Child),
        pid if pid > 0 => Pid::from_raw(pid).map(Side::Parent).ok_or_else(std::io::Error::last_os_error),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Closes what a careless parent left open.
pub(super) fn close_all_but_the_first_three() {
    // SAFETY: nothing of ours is open there yet. An old kernel leaves it as it is.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
}

/// Ends a child at once: what libraries registered for an orderly end is for the process they were loaded in.
pub(super) fn end(code: u8) -> ! {
    // SAFETY: ends the process, and touches nothing.
    unsafe { libc::_exit(code.into()) }
}
