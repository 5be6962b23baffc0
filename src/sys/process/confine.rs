//! What a routing daemon may not ask of the kernel.
//!
//! FRR's programs keep `CAP_SYS_ADMIN` and all run as one user, because that is how they are written. One that a neighbor took over
//! could enter another domain's namespace, undo its own mounts, look into the memory of another domain's daemon or signal it. No
//! routing daemon needs any of that, so a filter (seccomp(2)) refuses it, and stays with the process and what it starts.
//!
//! What a filter of numbers cannot see is what netlink is asked. With `CAP_NET_ADMIN`, which every routing daemon keeps, a link can be made
//! whose other end is in another namespace; only a user namespace for each domain would refuse that.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use crate::sys::SysError;

/// What is refused whatever the arguments are.
const REFUSED: [libc::c_long; 45] = [
    // Other namespaces.
    libc::SYS_setns,
    libc::SYS_unshare,
    // Another view of the file system.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_by_handle_at,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_tkill,
    libc::SYS_ioprio_set,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // The kernel itself, and the machine as a whole.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_fanotify_init,
    // Keys belong to a user, so the daemons of all domains would share theirs.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    // What it does is not looked at by this filter.
    libc::SYS_io_uring_setup,
];

/// What a new process must not get of its own. `CLONE_NEWTIME` cannot be asked of clone(2).
const NEW_NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// What may be asked about the process itself alone, which is 0 or its number in the first argument.
const OF_ITSELF: [libc::c_long; 6] = [
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_setpgid,
];

/// What has the kernel signal somebody else when a file is ready, by the second argument of fcntl(2).
const SIGNALS_BY_FILE: [libc::c_int; 3] = [libc::F_SETOWN, F_SETSIG, F_SETOWN_EX];
/// Of `asm-generic/fcntl.h`.
const F_SETSIG: libc::c_int = 10;
const F_SETOWN_EX: libc::c_int = 15;
/// The same by ioctl(2): `FIOSETOWN` and `SIOCSPGRP`.
const OWNERS_OF_FILE: [u64; 2] = [0x8901, 0x8902];

/// From here on numbers mean the same everywhere, and this filter knows none of them: `setxattrat` was the first, and `open_tree_attr`
/// would take a mount off what lies below it. Whoever is told that the kernel has none falls back to what was there before.
const UNKNOWN: std::ops::Range<i64> = 463..512;

/// Stands for the number of the process in the filter until there is one. No process has it (`PID_MAX_LIMIT` is 2^22).
const OWN_PID: u32 = 0x5eed_0000;

/// `x86_64` has every system call once more, for programs whose pointers have 32 bits (`__X32_SYSCALL_BIT`).
const X32: i64 = 0x4000_0000;

/// The filters, made before the process so that nothing has to be allocated between fork and exec.
#[derive(Debug)]
pub(super) struct Confinement {
    refused: BpfProgram,
    unknown: BpfProgram,
}

impl Confinement {
    /// For a routing daemon.
    pub(super) fn of_a_daemon() -> Result<Self, SysError> {
        Self::compile().map_err(|error| SysError::io("make the filter of system calls", io::Error::other(error)))
    }

    fn compile() -> Result<Self, seccompiler::BackendError> {
        let mut refused: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.into_iter().map(|call| (call, Vec::new())).collect();
        let new = NEW_NAMESPACES.into_iter().map(|kind| {
            let flag = u64::from(kind.cast_unsigned());
            when(0, SeccompCmpOp::MaskedEq(flag), flag)
        });
        refused.insert(libc::SYS_clone, new.collect::<Result<_, _>>()?);
        for call in OF_ITSELF {
            let is_other = |whose| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, whose);
            refused.insert(call, vec![SeccompRule::new(vec![is_other(0)?, is_other(u64::from(OWN_PID))?])?]);
        }
        // The first argument says of which kind the second is: a process, a group or a user.
        refused.insert(libc::SYS_setpriority, vec![when(0, SeccompCmpOp::Ne, 0)?, when(1, SeccompCmpOp::Ne, 0)?]);
        let by_file =
            SIGNALS_BY_FILE.into_iter().map(|command| when(1, SeccompCmpOp::Eq, u64::from(command.cast_unsigned())));
        refused.insert(libc::SYS_fcntl, by_file.collect::<Result<_, _>>()?);
        let of_file = OWNERS_OF_FILE.into_iter().map(|request| when(1, SeccompCmpOp::Eq, request));
        refused.insert(libc::SYS_ioctl, of_file.collect::<Result<_, _>>()?);
        // abort() and timers signal the process itself.
        for call in [libc::SYS_kill, libc::SYS_tgkill] {
            refused.insert(call, vec![when(0, SeccompCmpOp::Ne, u64::from(OWN_PID))?]);
        }
        let is = |argument, value: libc::c_int| {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(value.cast_unsigned()))
        };
        // These lead to the machine that this one is a guest of, and know no network namespaces.
        let host = SeccompRule::new(vec![is(0, libc::AF_VSOCK)?])?;
        // A daemon has nothing to do with packet filters, and its own must not be in its hands.
        let packet_filter = SeccompRule::new(vec![is(0, libc::AF_NETLINK)?, is(2, libc::NETLINK_NETFILTER)?])?;
        refused.insert(libc::SYS_socket, vec![host, packet_filter]);
        // Its flags are out of a filter's sight, in memory. The C library uses clone() where this one is unknown.
        let unknown = UNKNOWN.chain([libc::SYS_clone3]).map(|call| (call, Vec::new())).collect();
        Ok(Self { refused: program(refused, libc::EPERM)?, unknown: program(unknown, libc::ENOSYS)? })
    }

    /// Confines the calling thread and what it becomes, for good. Makes system calls only.
    pub(super) fn apply(&mut self) -> io::Result<()> {
        let own = std::process::id();
        for instruction in self.refused.iter_mut().filter(|instruction| instruction.k == OWN_PID) {
            instruction.k = own;
        }
        for filter in [&self.refused, &self.unknown] {
            apply_filter(filter).map_err(|_| io::Error::last_os_error())?;
        }
        Ok(())
    }
}

/// Compares the lower half of an argument: those compared here are numbers of 32 bits to the kernel, which ignores the rest.
fn when(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?])
}

/// A program that answers these calls with an error and lets all others pass.
fn program(
    mut calls: BTreeMap<i64, Vec<SeccompRule>>,
    error: libc::c_int,
) -> Result<BpfProgram, seccompiler::BackendError> {
    if cfg!(target_arch = "x86_64") {
        let again: Vec<_> = calls.iter().map(|(call, rules)| (call | X32, rules.clone())).collect();
        calls.extend(again);
    }
    let refuse = SeccompAction::Errno(error.cast_unsigned());
    SeccompFilter::new(calls, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?.try_into()
}
