//! What holds a child that reads a stranger's file: rules about files (Landlock), about system calls (seccomp), and limits.
//! A layer the kernel does not have is left out, or is an error, as was asked.
//!
//! A reader is one of our own processes, held once it is forked: it may compute, read its file and write its answer. An
//! ffmpeg command is held before it is executed, so its rules allow the program itself and what it loads.

use std::{collections::BTreeMap, io, path::Path};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::{
    fs::{Mode, OFlags, open},
    io::write,
    process::{Resource, Rlimit, setrlimit},
    thread::set_no_new_privs,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};
use serde::{Deserialize, Serialize};

use super::Landlock;

/// How children are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Jail {
    /// With every layer that the kernel has.
    #[default]
    Prefer,
    /// With every layer, or not at all: start-up fails where one is missing.
    Require,
    /// With limits only.
    Off,
}

impl Jail {
    /// A name that stays.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::Off => "off",
        }
    }
}

impl std::str::FromStr for Jail {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Prefer, Self::Require, Self::Off]
            .into_iter()
            .find(|jail| jail.as_str() == name)
            .ok_or("the jail is one of `prefer`, `require` and `off`")
    }
}

/// Limits of the system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) cpu_seconds: u64,
    /// Bytes of address space.
    pub(crate) memory: u64,
    /// Bytes of any one file it writes.
    pub(crate) file: u64,
    pub(crate) descriptors: u64,
    /// Processes and threads of the user, this one's included.
    pub(crate) processes: u64,
}

impl Bounds {
    /// For the process whose children get theirs.
    pub(crate) const NONE: Self = Self {
        cpu_seconds: u64::MAX,
        memory: u64::MAX,
        file: u64::MAX,
        descriptors: 4096,
        processes: u64::MAX,
    };

    /// For good. Makes system calls and nothing else.
    pub(crate) fn hold(self) -> io::Result<()> {
        for (resource, most) in [
            (Resource::Cpu, self.cpu_seconds),
            (Resource::As, self.memory),
            (Resource::Core, 0),
            (Resource::Fsize, self.file),
            (Resource::Nofile, self.descriptors),
            (Resource::Nproc, self.processes),
        ] {
            if most < u64::MAX {
                setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
            }
        }
        Ok(())
    }
}

/// Where memory runs out, the system shall choose this process. Not everywhere may one say so.
pub(crate) fn be_first_to_die() {
    if let Ok(file) = open(c"/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        let _ = write(&file, b"1000");
    }
}

/// Where programs, libraries and fonts lie, and what starting a program reads.
const SYSTEM: [&str; 17] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/fonts",
    "/etc/alternatives",
    "/sys/devices/system/cpu",
    "/dev/zero",
    "/dev/urandom",
    "/dev/random",
];

/// System calls of a reader: memory, its descriptors, time, chance, its end. What else it calls is "not permitted".
const READER: [libc::c_long; 26] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    // Without it, the handler of a crash cannot let go, and the crash goes on for ever.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// System calls that a media program never needs and a hijacked one would.
const DENIED: [libc::c_long; 42] = [
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
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    // The network, and services of this machine.
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    // Other file systems, other names for what there is.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_by_handle_at,
    libc::SYS_unshare,
    libc::SYS_setns,
    // Keys, and the kernel's own machines.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    // Other ways to all of the above.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Flags of `clone` that make a namespace.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// What a child is held by, made ahead: where it is raised, nothing may be allocated.
#[derive(Debug)]
pub(crate) struct Walls {
    files: Option<RulesetCreated>,
    calls: Vec<BpfProgram>,
}

/// What was raised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raised {
    pub(crate) files: Landlock,
    pub(crate) calls: bool,
}

impl Walls {
    /// For a process of our own that has all it needs open.
    pub(crate) fn of_reader(jail: Jail) -> io::Result<Self> {
        if jail == Jail::Off {
            return Ok(Self { files: None, calls: Vec::new() });
        }
        let mut rules: Rules = READER.map(|call| (call, Vec::new())).into();
        // Memory that is written is never executed.
        let not_executable = || rule(2, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0);
        rules.insert(libc::SYS_mmap, vec![not_executable()?]);
        rules.insert(libc::SYS_mprotect, vec![not_executable()?]);
        let calls = vec![program(rules, not_permitted(), SeccompAction::Allow)?];
        Ok(Self { files: Some(ruleset()?), calls })
    }

    /// For the ffmpeg command: it reads its input, and writes into its own folder.
    pub(crate) fn of_command(
        jail: Jail,
        program: &Path,
        input: Option<&Path>,
        folder: Option<&Path>,
    ) -> io::Result<Self> {
        if jail == Jail::Off {
            return Ok(Self { files: None, calls: Vec::new() });
        }
        let reads = AccessFs::from_read(FILES);
        let writes = AccessFs::from_all(FILES) & !AccessFs::Execute;
        let null = AccessFs::ReadFile | AccessFs::WriteFile;
        let files = ruleset()?
            .add_rules(path_beneath_rules(SYSTEM.map(Path::new).into_iter().chain([program]), reads))
            .and_then(|files| {
                files.add_rules(path_beneath_rules(input, AccessFs::from_file(FILES) & AccessFs::ReadFile))
            })
            .and_then(|files| files.add_rules(path_beneath_rules(folder, writes)))
            .and_then(|files| files.add_rules(path_beneath_rules(["/dev/null"], null)))
            .map_err(io::Error::other)?;

        let mut rules: Rules = DENIED.map(|call| (call, Vec::new())).into();
        // Limits, but only its own; and the death signal stays.
        let death_signal = libc::PR_SET_PDEATHSIG.unsigned_abs().into();
        rules.insert(libc::SYS_prlimit64, vec![rule(0, SeccompCmpOp::Ne, 0)?]);
        rules.insert(libc::SYS_prctl, vec![rule(0, SeccompCmpOp::Eq, death_signal)?]);
        let namespaces = NAMESPACES.map(|flag| u64::from(flag.unsigned_abs()));
        let namespaces = namespaces.map(|flag| rule(0, SeccompCmpOp::MaskedEq(flag), flag));
        rules.insert(libc::SYS_clone, namespaces.into_iter().collect::<io::Result<_>>()?);
        // Its flags lie in memory, where no filter looks; without it, the C library takes `clone`.
        let unseen: Rules = [(libc::SYS_clone3, Vec::new())].into();
        let no_such_call = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        let calls = vec![
            self::program(unseen, SeccompAction::Allow, no_such_call)?,
            self::program(rules, SeccompAction::Allow, not_permitted())?,
        ];
        Ok(Self { files: Some(files), calls })
    }

    /// For good, once. Makes system calls and nothing else, unless one fails.
    pub(crate) fn raise(&mut self) -> io::Result<Raised> {
        set_no_new_privs(true)?;
        let files = match self.files.take() {
            Some(files) => {
                match files.restrict_self().map_err(|_| io::ErrorKind::PermissionDenied)?.ruleset {
                    RulesetStatus::FullyEnforced => Landlock::Full,
                    RulesetStatus::PartiallyEnforced => Landlock::Partial,
                    RulesetStatus::NotEnforced => Landlock::None,
                }
            }
            None => Landlock::None,
        };
        let mut calls = false;
        for program in &self.calls {
            calls = match apply_filter(program) {
                Ok(()) => true,
                // A kernel without filters.
                Err(seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error))
                    if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) =>
                {
                    false
                }
                Err(seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error)) => {
                    return Err(error);
                }
                Err(_) => return Err(io::ErrorKind::Unsupported.into()),
            };
        }
        Ok(Raised { files, calls })
    }
}

/// What we know how to ask for; older kernels give less.
const FILES: ABI = ABI::V5;
const SCOPES: ABI = ABI::V6;

/// Nothing is allowed yet.
fn ruleset() -> io::Result<RulesetCreated> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(FILES))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(FILES)))
        .and_then(|rules| rules.scope(Scope::from_all(SCOPES)))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn not_permitted() -> SeccompAction {
    SeccompAction::Errno(libc::EPERM.unsigned_abs())
}

fn rule(argument: u8, is: SeccompCmpOp, value: u64) -> io::Result<SeccompRule> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(io::Error::other)
}

fn program(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> io::Result<BpfProgram> {
    let machine = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, otherwise, matched, machine).map_err(io::Error::other)?;
    BpfProgram::try_from(filter).map_err(io::Error::other)
}
