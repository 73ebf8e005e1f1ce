//! System calls that a media program never needs and a hijacked one would: denied to the child and to all it starts.
//! None leaves its process group, so killing the group kills them all; none can signal us; none has a network.

use std::{collections::BTreeMap, io};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

/// Answered with "not permitted".
const DENIED: [libc::c_long; 18] = [
    // Leaving the group.
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // Reaching other processes.
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    // The network, and services of this machine.
    libc::SYS_socket,
    libc::SYS_connect,
    // Other ways to all of the above.
    libc::SYS_io_uring_setup,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
];

/// The filter, made ahead: between fork and exec nothing may be allocated.
pub(crate) fn build() -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = DENIED.map(|call| (call, Vec::new())).into();
    // Limits, but only its own; and the death signal stays.
    for (call, own) in [(libc::SYS_prlimit64, SeccompCmpOp::Ne), (libc::SYS_prctl, SeccompCmpOp::Eq)] {
        let value = if call == libc::SYS_prctl { libc::PR_SET_PDEATHSIG.unsigned_abs().into() } else { 0 };
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, own, value);
        let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
        rules.insert(call, vec![rule.map_err(io::Error::other)?]);
    }
    let machine = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, denied, machine).map_err(io::Error::other)?;
    BpfProgram::try_from(filter).map_err(io::Error::other)
}

/// For good. Makes system calls and nothing else.
pub(crate) fn raise(walls: &BpfProgram) -> io::Result<()> {
    apply_filter(walls).map_err(|error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
        _ => io::ErrorKind::Unsupported.into(),
    })
}
