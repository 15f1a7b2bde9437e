//! What a query's process takes away from itself before it looks at the query.
//!
//! - Resource limits: address space, processor time, open files; no core dump, and no file can grow (so nothing is spilled).
//! - Priority: the lowest.
//! - It dies with the hub, and can gain no rights by exec.
//! - Landlock (Linux 5.13 and later): files can be read in the workspace's folder only, and written nowhere. Where the kernel
//!   does not have it, the process goes on without: DataFusion still has an object store that knows only that folder.
//! - Seccomp: no sockets, no exec, no new process, no ptrace, no reading of other processes, no `io_uring`.
//!
//! What is not done: no namespaces, no cgroup; the hub's user stays the process's user.
#![expect(
    unsafe_code,
    reason = "landlock, seccomp and two prctl options have no safe wrapper among the dependencies; arguments are plain numbers \
              and pointers to values that live through each call"
)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use crate::sql::protocol::Limits;

/// The lowest priority: a query that never ends takes only what messages leave.
const NICENESS: i32 = 19;

/// How many files a query's process may have open.
const OPEN_FILES: u64 = 512;

/// Narrows this process, for good. Call it before any thread is started. The working folder stays readable.
///
/// # Errors
/// If a limit cannot be set. Landlock alone may be missing.
pub(super) fn confine(limits: Limits) -> io::Result<()> {
    rustix::process::setpriority_process(None, NICENESS)?;
    limit(Resource::As, limits.address_space_bytes)?;
    limit(Resource::Cpu, limits.cpu_seconds)?;
    limit(Resource::Nofile, OPEN_FILES)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // SAFETY: this option takes four numbers and touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
    match landlock::read_only_working_folder() {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP)) => return Err(error),
        _ => {}
    }
    seccomp::refuse_what_no_query_needs()
}

fn limit(resource: Resource, value: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}

fn check(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(returned)
}

/// Landlock by its three system calls (`linux/landlock.h`).
mod landlock {
    use super::{AsRawFd, FromRawFd, OwnedFd, check, io};

    #[repr(C)]
    struct RulesetAttributes {
        handled_access_fs: u64,
    }

    #[repr(C, packed)]
    struct PathBeneath {
        allowed_access: u64,
        parent: i32,
    }

    const RULE_PATH_BENEATH: libc::c_int = 1;
    const READ_FILE: u64 = 1 << 2;
    const READ_FOLDER: u64 = 1 << 3;
    /// All thirteen accesses of the first version, from execute to `make_sym`: what is handled and not allowed is refused.
    const EVERY_ACCESS: u64 = (1 << 13) - 1;

    pub(super) fn read_only_working_folder() -> io::Result<()> {
        let attributes = RulesetAttributes { handled_access_fs: EVERY_ACCESS };
        // SAFETY: the pointer is to a value of the stated size that lives through the call.
        let ruleset = check(unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                std::ptr::from_ref(&attributes),
                size_of::<RulesetAttributes>(),
                0,
            )
        })?;
        // SAFETY: the kernel has just given us this descriptor, and nobody else owns it.
        let ruleset = unsafe { OwnedFd::from_raw_fd(i32::try_from(ruleset).map_err(io::Error::other)?) };
        let folder = std::fs::File::open(".")?;
        let rule = PathBeneath { allowed_access: READ_FILE | READ_FOLDER, parent: folder.as_raw_fd() };
        // SAFETY: both descriptors are open, and the pointer is to a value that lives through the call.
        check(unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                ruleset.as_raw_fd(),
                RULE_PATH_BENEATH,
                std::ptr::from_ref(&rule),
                0,
            )
        })?;
        // SAFETY: the descriptor is open; the call takes no memory.
        check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) })?;
        Ok(())
    }
}

/// Seccomp by a small filter program (`linux/seccomp.h`, `linux/bpf_common.h`).
mod seccomp {
    use super::{check, io};

    #[cfg(target_arch = "x86_64")]
    const ARCHITECTURE: u32 = 0xC000_003E;
    #[cfg(target_arch = "aarch64")]
    const ARCHITECTURE: u32 = 0xC000_00B7;

    /// Places in `struct seccomp_data`.
    const NUMBER_AT: u32 = 0;
    const ARCHITECTURE_AT: u32 = 4;
    const FIRST_ARGUMENT_AT: u32 = 16;

    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;

    /// System calls of the other ABI of x86-64 have this bit.
    const X32: u32 = 0x4000_0000;

    const REFUSED: &[libc::c_long] = &[
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept,
        libc::SYS_accept4,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_memfd_create,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_chroot,
        libc::SYS_pivot_root,
        libc::SYS_shmget,
        libc::SYS_msgget,
        libc::SYS_semget,
        libc::SYS_setuid,
        libc::SYS_setgid,
    ];

    const fn instruction(code: u16, value: u32, if_true: u8, if_false: u8) -> libc::sock_filter {
        libc::sock_filter { code, jt: if_true, jf: if_false, k: value }
    }

    const fn refuse_with(errno: i32) -> libc::sock_filter {
        instruction(RETURN, libc::SECCOMP_RET_ERRNO | errno.unsigned_abs(), 0, 0)
    }

    fn program() -> Vec<libc::sock_filter> {
        let number = |call: libc::c_long| u32::try_from(call).unwrap_or(u32::MAX);
        let thread = libc::CLONE_THREAD.unsigned_abs();
        let mut program = vec![
            instruction(LOAD, ARCHITECTURE_AT, 0, 0),
            instruction(JUMP_IF_EQUAL, ARCHITECTURE, 1, 0),
            instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
            instruction(LOAD, NUMBER_AT, 0, 0),
            instruction(JUMP_IF_AT_LEAST, X32, 0, 1),
            refuse_with(libc::EPERM),
            // The flags of clone3 are in memory, which a filter cannot read: without it, libc falls back to clone.
            instruction(JUMP_IF_EQUAL, number(libc::SYS_clone3), 0, 1),
            refuse_with(libc::ENOSYS),
        ];
        for call in REFUSED {
            program.push(instruction(JUMP_IF_EQUAL, number(*call), 0, 1));
            program.push(refuse_with(libc::EPERM));
        }
        #[cfg(target_arch = "x86_64")]
        for call in [libc::SYS_fork, libc::SYS_vfork] {
            program.push(instruction(JUMP_IF_EQUAL, number(call), 0, 1));
            program.push(refuse_with(libc::EPERM));
        }
        program.extend([
            // A clone is a thread, or refused.
            instruction(JUMP_IF_EQUAL, number(libc::SYS_clone), 0, 3),
            instruction(LOAD, FIRST_ARGUMENT_AT, 0, 0),
            instruction(JUMP_IF_SET, thread, 1, 0),
            refuse_with(libc::EPERM),
            instruction(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
        ]);
        program
    }

    pub(super) fn refuse_what_no_query_needs() -> io::Result<()> {
        let mut program = program();
        let filter = libc::sock_fprog {
            len: u16::try_from(program.len()).map_err(io::Error::other)?,
            filter: program.as_mut_ptr(),
        };
        // SAFETY: the program has the stated length and lives through the call, as does the value that points to it.
        check(unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_TSYNC,
                std::ptr::from_ref(&filter),
            )
        })?;
        Ok(())
    }
}
