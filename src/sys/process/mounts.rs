//! A domain's own view of the file system, as `ip netns exec` gives it.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use crate::model::DomainName;
use crate::sys::netns;

/// Directories with the sockets of name services: a program in a domain that reached one would have its questions
/// answered by the host, over the host's network.
pub const NAME_SERVICES: [&str; 5] =
    ["/run/systemd/resolve", "/run/nscd", "/run/dbus", "/run/avahi-daemon", "/run/unscd"];

/// How many directories can stay writable. They are held by number between fork and exec, where nothing can be allocated.
const MOST_WRITABLE: usize = 3;

/// Where programs keep their logs.
const LOGS: &str = "/var/log";

/// What a mount namespace gets, prepared so that nothing has to be allocated between fork and exec.
#[derive(Clone, Debug, Default)]
pub struct MountPlan {
    mounts: Vec<Mount>,
}

#[derive(Clone, Debug)]
enum Mount {
    /// Nothing that is there already can be written to, but what lies in these directories.
    ReadOnly { but: [Option<CString>; MOST_WRITABLE] },
    /// `/sys` of the network namespace that the process is in.
    Sysfs,
    /// `/proc` without the processes that this one could not trace: of the daemons, all others.
    Proc,
    /// One file or directory over another.
    Bind { from: CString, to: CString },
    /// An empty directory that everybody may write to, as `/var/tmp`, over another.
    Scratch { at: CString },
    /// An empty directory that cannot be written to, over another.
    Empty { at: CString },
    /// A file with this content inside an [`Mount::Empty`].
    File { at: CString, content: Vec<u8> },
    /// Of all that lies in a directory, one directory only.
    Only { directory: CString, kept: CString },
}

impl MountPlan {
    /// The plan for a domain's daemon: its `/sys`; `/etc/netns/DOMAIN/*` over `/etc/*`; then `RUN_DIR/DOMAIN/resolv.conf`,
    /// if it exists, over `/etc/resolv.conf`. Of the run directory it sees its own part alone: all daemons are the same
    /// user, and one that was taken over must reach neither the sockets nor the passwords of the others. Nor does it see the
    /// names of the other namespaces, their processes, or the sockets of name services ([`NAME_SERVICES`]). It can write there, into the files of the kernel, and below `/var/log`, as far as its user may: whoever
    /// operates one domain can have its daemon write to any file, and `/etc/frr` belongs to the daemons' user.
    pub fn for_domain(run_dir: &Path, domain: &DomainName) -> io::Result<Self> {
        let mut plan = Self { mounts: vec![Mount::Sysfs, Mount::Proc] };
        plan.hide_name_services()?;
        plan.bind_domain_files(run_dir, domain)?;
        if Path::new(netns::DIRECTORY).is_dir() {
            plan.mounts.push(Mount::Empty { at: c_string(Path::new(netns::DIRECTORY))? });
        }
        let kept = c_string(&run_dir.join(domain.as_str()))?;
        plan.mounts.push(Mount::Only { directory: c_string(run_dir)?, kept: kept.clone() });
        let logs = Path::new(LOGS).is_dir().then(|| c_string(Path::new(LOGS))).transpose()?;
        plan.mounts.push(Mount::ReadOnly { but: [Some(kept), Some(c"/proc".to_owned()), logs] });
        Ok(plan)
    }

    /// For a program of the host that follows what lies in a domain's directory, which is another user's: of the run directory it
    /// sees that alone.
    pub fn of_one_domain(run_dir: &Path, domain: &DomainName) -> io::Result<Self> {
        let kept = c_string(&run_dir.join(domain.as_str()))?;
        Ok(Self { mounts: vec![Mount::Only { directory: c_string(run_dir)?, kept }] })
    }

    /// For a program that is to change nothing: it can write to `scratch` alone, which is empty and goes when it ends.
    pub fn read_only(scratch: impl AsRef<Path>) -> io::Result<Self> {
        Self { mounts: vec![Mount::ReadOnly { but: [const { None }; MOST_WRITABLE] }] }.and_scratch(scratch)
    }

    /// An empty directory over another, for what a program leaves behind.
    pub fn and_scratch(mut self, at: impl AsRef<Path>) -> io::Result<Self> {
        self.mounts.push(Mount::Scratch { at: c_string(at.as_ref())? });
        Ok(self)
    }

    /// A directory over another, which must be there.
    pub fn and_bind(mut self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<Self> {
        self.mounts.push(Mount::Bind { from: c_string(from.as_ref())?, to: c_string(to.as_ref())? });
        Ok(self)
    }

    /// A directory with these files in it, and no others, over another.
    pub fn and_files_alone(
        mut self,
        directory: impl AsRef<Path>,
        files: impl IntoIterator<Item = (&'static str, Vec<u8>)>,
    ) -> io::Result<Self> {
        let directory = directory.as_ref();
        self.mounts.push(Mount::Empty { at: c_string(directory)? });
        for (name, content) in files {
            self.mounts.push(Mount::File { at: c_string(&directory.join(name))?, content });
        }
        Ok(self)
    }

    /// As for a daemon, and the sockets of name services ([`NAME_SERVICES`]) out of reach.
    pub fn for_command(run_dir: &Path, domain: &DomainName) -> io::Result<Self> {
        let mut plan = Self { mounts: vec![Mount::Sysfs] };
        plan.hide_name_services()?;
        plan.bind_domain_files(run_dir, domain)?;
        Ok(plan)
    }

    fn hide_name_services(&mut self) -> io::Result<()> {
        // /etc/resolv.conf is often a link into one of these directories: what it says must stay.
        let resolver = fs::canonicalize("/etc/resolv.conf").ok();
        for directory in NAME_SERVICES.iter().map(Path::new).filter(|path| path.is_dir()) {
            self.mounts.push(Mount::Empty { at: c_string(directory)? });
            if let Some(file) = resolver.as_ref().filter(|file| file.parent() == Some(directory)) {
                self.mounts.push(Mount::File { at: c_string(file)?, content: fs::read(file)? });
            }
        }
        Ok(())
    }

    fn bind_domain_files(&mut self, run_dir: &Path, domain: &DomainName) -> io::Result<()> {
        let directory = Path::new("/etc/netns").join(domain.as_str());
        match fs::read_dir(&directory) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry?;
                    self.bind(&entry.path(), &Path::new("/etc").join(entry.file_name()))?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.bind(&run_dir.join(domain.as_str()).join("resolv.conf"), Path::new("/etc/resolv.conf"))
    }

    /// A bind mount needs something to lie on; where `to` is missing, as in `ip netns exec`, nothing is mounted.
    fn bind(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let to: PathBuf = fs::canonicalize(to).unwrap_or_else(|_| to.to_owned());
        if from.exists() && to.exists() {
            self.mounts.push(Mount::Bind { from: c_string(from)?, to: c_string(&to)? });
        }
        Ok(())
    }

    /// Leaves the mount namespace for a new one and mounts everything there. Makes system calls only.
    pub(crate) fn apply(&self) -> io::Result<()> {
        netns::leave_for_good(CloneFlags::CLONE_NEWNS)?;
        // Nothing mounted here may travel back, but what is unmounted outside must not be held here.
        mount(None::<&str>, c"/", None::<&str>, MsFlags::MS_SLAVE | MsFlags::MS_REC, None::<&str>)?;
        for each in &self.mounts {
            each.apply()?;
        }
        Ok(())
    }
}

impl Mount {
    fn apply(&self) -> io::Result<()> {
        let guard = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        match self {
            Self::ReadOnly { but } => {
                let mut trees = [const { None }; MOST_WRITABLE];
                for (tree, at) in trees.iter_mut().zip(but).filter_map(|(tree, at)| Some((tree, at.as_deref()?))) {
                    *tree = Some((copy_of(at)?, at));
                }
                read_only(c"/")?;
                for (tree, at) in trees.into_iter().flatten() {
                    put(&tree, at)?;
                }
            }
            Self::Sysfs => {
                // Where the machine hides parts of /sys, a user namespace may not mount another: then the old one stays,
                // which shows the host's interfaces but gives no access to them.
                let _ = mount(Some(c"sysfs"), c"/sys", Some(c"sysfs"), guard, None::<&str>);
            }
            Self::Proc => {
                // As with /sys.
                let hidden = Some(c"hidepid=2");
                let _ = mount(Some(c"proc"), c"/proc", Some(c"proc"), guard, hidden);
            }
            Self::Bind { from, to } => {
                mount(Some(from.as_c_str()), to.as_c_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            }
            Self::Scratch { at } => {
                mount(Some(c"tmpfs"), at.as_c_str(), Some(c"tmpfs"), guard, Some(c"size=4m,mode=1777"))?;
            }
            Self::Empty { at } => {
                mount(Some(c"tmpfs"), at.as_c_str(), Some(c"tmpfs"), guard, Some(c"size=64k,mode=0755"))?;
            }
            Self::File { at, content } => {
                let flags = OFlag::O_CREAT | OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
                let file = nix::fcntl::open(at.as_c_str(), flags, Mode::from_bits_truncate(0o644))?;
                nix::unistd::write(&file, content)?;
            }
            Self::Only { directory, kept } => {
                let tree = copy_of(kept)?;
                mount(Some(c"tmpfs"), directory.as_c_str(), Some(c"tmpfs"), guard, Some(c"size=64k,mode=0755"))?;
                nix::unistd::mkdir(kept.as_c_str(), Mode::from_bits_truncate(0o755))?;
                put(&tree, kept)?;
            }
        }
        Ok(())
    }
}

/// What lies at a place, with all that is mounted below it, to be put somewhere.
fn copy_of(at: &CStr) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(CWD, at, flags)?)
}

fn put(tree: &OwnedFd, at: &CStr) -> io::Result<()> {
    Ok(move_mount(tree, c"", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Makes a mount and all below it read-only. A remount would do so with one of them alone.
fn read_only(at: &CStr) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is a string with its NUL, and the kernel reads as many bytes of the attributes as it is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            at.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn c_string(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from)
}
