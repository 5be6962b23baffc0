//! Becoming an ordinary user for good.

use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User, getgrouplist, setgroups, setresgid, setresuid};

/// The highest capability that any kernel may know.
const LAST_CAPABILITY: libc::c_ulong = 63;
/// `CAP_NET_RAW` stays in the bounding set, where with `no_new_privs` it gives nothing: without it the kernel refuses to
/// start a program that has it as file capability, as Debian's `ping` does.
const KEPT_IN_BOUNDS: libc::c_ulong = 13;
/// `_LINUX_CAPABILITY_VERSION_3`.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// A user with all groups, looked up before anything changes: name services may need the network.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user's name.
    pub name: String,
    /// The home directory.
    pub home: PathBuf,
    /// The login shell.
    pub shell: PathBuf,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Identity {
    /// The user of that name or number; `None` if there is none.
    pub fn look_up(user: &str) -> io::Result<Option<Self>> {
        let found = match user.parse::<u32>() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid))?,
            Err(_) => User::from_name(user)?,
        };
        let Some(user) = found else { return Ok(None) };
        let groups = getgrouplist(&CString::new(user.name.as_str())?, user.gid)?;
        let User { name, uid, gid, dir: home, shell, .. } = user;
        Ok(Some(Self { name, home, shell, uid, gid, groups }))
    }

    /// Whether this is root.
    pub fn is_root(&self) -> bool {
        self.uid.is_root()
    }

    /// Becomes the user: no capability is left, not even for programs with set-user-id bits. Makes system calls only.
    pub(super) fn assume(&self) -> io::Result<()> {
        for capability in (0..=LAST_CAPABILITY).filter(|number| *number != KEPT_IN_BOUNDS) {
            // SAFETY: prctl with these arguments reads no memory. EINVAL: the kernel knows no such capability.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        }
        setgroups(&self.groups)?;
        setresgid(self.gid, self.gid, self.gid)?;
        setresuid(self.uid, self.uid, self.uid)?;
        clear_capabilities()?;
        set_no_new_privs()
    }
}

/// Empties the effective, permitted and inheritable sets (and the ambient set, a part of them).
fn clear_capabilities() -> io::Result<()> {
    let header = [CAPABILITY_VERSION, 0];
    let sets = [0_u32; 6];
    // SAFETY: both arrays have the layout of `struct __user_cap_header_struct` and two `struct __user_cap_data_struct`
    // (see capset(2)) and outlive the call, which only reads them.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets `no_new_privs` on the calling thread, and so on every program that it becomes.
fn set_no_new_privs() -> io::Result<()> {
    // SAFETY: prctl with these arguments reads no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has the kernel kill the calling process when the thread that started it ends.
pub(super) fn die_with_parent() -> io::Result<()> {
    // SAFETY: prctl with these arguments reads no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
