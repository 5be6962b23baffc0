//! Network namespaces: making, naming and entering them.
//!
//! This is the only file with `setns` and `unshare`. A namespace belongs to a thread, so no thread of the asynchronous
//! runtime may ever change its own: [`Namespace::run`] starts a short-lived thread for each visit.

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

/// Where namespaces have their names, as `ip netns` knows them.
pub const DIRECTORY: &str = "/run/netns";

/// How long somebody else may be making [`DIRECTORY`] a mount.
const LONGEST_LOCK: Duration = Duration::from_secs(1);

/// The namespace of the calling thread. `/proc/self` would be that of the process's first thread.
const OF_THREAD: &str = "/proc/thread-self/ns/net";

/// An open network namespace: it lives at least as long as this value.
#[derive(Clone, Debug)]
pub struct Namespace {
    fd: Arc<OwnedFd>,
    inode: u64,
    /// Whether every new thread is in it anyway: then an ordinary user may visit it too.
    inherited: bool,
}

impl Namespace {
    /// The namespace of this process, to be asked from a thread that is still in it.
    pub fn current() -> io::Result<Self> {
        Ok(Self { inherited: true, ..Self::from_path(Path::new(OF_THREAD))? })
    }

    /// The namespace of another process.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        Self::from_path(&PathBuf::from(format!("/proc/{pid}/ns/net")))
    }

    /// A new namespace without a name: it is gone as soon as nothing holds it.
    pub fn create() -> io::Result<Self> {
        in_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Self::from_path(Path::new(OF_THREAD))
        })
    }

    /// The namespace of that name, or `None` if there is none. A name can outlive its namespace as a plain file (after
    /// `umount`), which counts as none.
    pub fn open(name: &str) -> io::Result<Option<Self>> {
        match Self::from_path(&path_of(name)) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL | libc::EACCES)) => {
                // An empty file has mode 0: without CAP_DAC_OVERRIDE even root of a user namespace may not open it.
                if error.raw_os_error() == Some(libc::EACCES) && !is_plain_file(&path_of(name)) {
                    return Err(error);
                }
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    fn from_path(path: &Path) -> io::Result<Self> {
        Self::from_fd(OpenOptions::new().read(true).custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK).open(path)?.into())
    }

    /// The namespace of a descriptor that somebody opened before.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let file = File::from(fd);
        if fstatfs(&file)?.filesystem_type() != NSFS_MAGIC {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        Ok(Self { inode: file.metadata()?.ino(), fd: Arc::new(OwnedFd::from(file)), inherited: false })
    }

    /// The same namespace by a descriptor of its own. One that was opened by a name belongs to the mount of that name, which
    /// cannot be unmounted (`EBUSY`) as long as it is open.
    pub fn apart(&self) -> io::Result<Self> {
        self.run(|| Self::from_path(Path::new(OF_THREAD)))?
    }

    /// The inode in the kernel's namespace file system. It is reused when a namespace is gone.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// The number by which a netlink message names the namespace; valid as long as `self`.
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Runs `f` on a thread of its own inside the namespace and waits for it.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> io::Result<T> {
        in_thread(|| {
            if !self.inherited {
                setns_thread(self.fd.as_fd())?;
            }
            Ok(f())
        })
    }

    /// Like [`Self::run`], from asynchronous code.
    pub async fn run_async<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let namespace = self.clone();
        // The worker of `spawn_blocking` only waits: it is the thread inside `run` that enters.
        tokio::task::spawn_blocking(move || namespace.run(f))
            .await
            .unwrap_or_else(|failed| panic::resume_unwind(failed.into_panic()))
    }

    /// Gives the namespace a name under [`DIRECTORY`], as `ip netns add` would. A name that is taken is `EEXIST`; a plain
    /// file with no namespace behind it is replaced.
    pub fn publish(&self, name: &str) -> io::Result<()> {
        prepare_directory()?;
        let path = path_of(name);
        let create = || OpenOptions::new().read(true).write(true).create_new(true).mode(0o000).open(&path);
        let created = match create() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if let Some(there) = Self::open(name)? {
                    return if there.inode == self.inode { Ok(()) } else { Err(error) };
                }
                fs::remove_file(&path)?;
                create()
            }
            other => other,
        };
        drop(created?);
        let source = format!("/proc/self/fd/{}", self.raw_fd());
        let mounted = mount(Some(source.as_str()), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>);
        if let Err(error) = mounted {
            // Best effort: a plain file counts as absent anyway.
            let _ = fs::remove_file(&path);
            return Err(error.into());
        }
        Ok(())
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Removes a name, and with it the namespace unless something else holds it. A name that is not there is fine.
pub fn remove(name: &str) -> io::Result<()> {
    let path = path_of(name);
    loop {
        match umount2(&path, MntFlags::MNT_DETACH) {
            Ok(()) => {}
            // EINVAL: nothing is mounted on it (any more).
            Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => break,
            Err(error) => return Err(error.into()),
        }
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// `/run/netns/NAME`.
pub fn path_of(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Moves the calling process into a namespace for good: only for a process that is about to become another program and
/// has no other threads.
pub fn enter_for_good(namespace: BorrowedFd<'_>) -> io::Result<()> {
    setns_thread(namespace)
}

/// Gives the calling thread (or, before any other thread exists, the process) new namespaces of its own.
pub fn leave_for_good(kinds: CloneFlags) -> io::Result<()> {
    unshare(kinds).map_err(io::Error::from)
}

/// What makes the user who left for a new user namespace root in it.
#[derive(Clone, Debug)]
pub struct UserMaps {
    uid: String,
    gid: String,
}

impl UserMaps {
    /// Maps root inside to the calling user outside, and nobody else.
    pub fn root_only() -> Self {
        Self { uid: format!("0 {} 1", nix::unistd::geteuid()), gid: format!("0 {} 1", nix::unistd::getegid()) }
    }

    /// Writes the maps for the calling process, right after it has left. Makes system calls only.
    pub fn write(&self) -> io::Result<()> {
        // Without this the kernel accepts no group map from an ordinary user (CVE-2014-8989).
        write_to(c"/proc/self/setgroups", b"deny")?;
        write_to(c"/proc/self/gid_map", self.gid.as_bytes())?;
        write_to(c"/proc/self/uid_map", self.uid.as_bytes())
    }
}

fn write_to(path: &CStr, content: &[u8]) -> io::Result<()> {
    let file = nix::fcntl::open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    nix::unistd::write(&file, content)?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn setns_thread(namespace: BorrowedFd<'_>) -> io::Result<()> {
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}

fn is_plain_file(path: &Path) -> bool {
    nix::sys::statfs::statfs(path).is_ok_and(|fs| fs.filesystem_type() != NSFS_MAGIC)
}

/// Runs `f` on a short-lived thread, so that what it changes about itself dies with it.
fn in_thread<T: Send>(f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".to_owned()).stack_size(256 << 10).spawn_scoped(scope, f)?;
        thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    })
}

/// Makes [`DIRECTORY`] a shared mount, as `ip netns` does, so that a name made here is seen (and can be removed) in other
/// mount namespaces too.
fn prepare_directory() -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(DIRECTORY) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let share = || mount(None::<&str>, DIRECTORY, None::<&str>, MsFlags::MS_SHARED | MsFlags::MS_REC, None::<&str>);
    match share() {
        // EINVAL: it is not a mount point yet.
        Err(nix::errno::Errno::EINVAL) => {}
        other => return other.map_err(io::Error::from),
    }
    // Two that found it so would mount it twice, and a name that was made in between would lie in both: unmounted in the one
    // that is seen, it could never be removed or made again (EBUSY). `ip netns` takes the same lock.
    let _ours = MOUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let _theirs = lock_directory()?;
    match share() {
        Err(nix::errno::Errno::EINVAL) => {
            mount(Some(DIRECTORY), DIRECTORY, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
            share()?;
            Ok(())
        }
        other => other.map_err(io::Error::from),
    }
}

static MOUNTING: Mutex<()> = Mutex::new(());

/// The lock that `ip netns` takes, or none if somebody keeps it for long: everybody can, and nobody shall stop us by it.
#[expect(clippy::disallowed_methods, reason = "a probe with a deadline: nothing tells when a lock is free")]
fn lock_directory() -> io::Result<Option<Flock<File>>> {
    let until = Instant::now() + LONGEST_LOCK;
    let mut directory = File::open(DIRECTORY)?;
    loop {
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) if Instant::now() >= until => return Ok(None),
            Err((back, nix::errno::Errno::EWOULDBLOCK)) => {
                directory = back;
                thread::sleep(Duration::from_millis(5));
            }
            Err((_, error)) => return Err(error.into()),
        }
    }
}
