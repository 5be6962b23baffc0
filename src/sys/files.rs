//! Files that never exist half-written or readable by the wrong user.

use std::ffi::{CStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::fault;
use crate::model::DaemonKind;
use crate::plan::FileOwner;

/// How often a directory is emptied again that somebody fills while it is removed.
const MOST_AGAIN: u32 = 1000;

/// How a directory is opened, and no link to one.
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Users and groups of the routing daemons' files, as far as this machine (and user namespace) has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// BIRD's user and group.
    pub bird: Option<(u32, u32)>,
    /// FRR's.
    pub frr: Option<(u32, u32)>,
}

impl Owners {
    /// Looks up the users and groups `bird` and `frr`. In a user namespace that does not map them there are none.
    pub fn of_machine() -> Self {
        Self { bird: Self::named("bird"), frr: Self::named("frr") }
    }

    fn named(name: &str) -> Option<(u32, u32)> {
        let user = nix::unistd::User::from_name(name).ok().flatten();
        let group = nix::unistd::Group::from_name(name).ok().flatten();
        let ids = user.zip(group).map(|(user, group)| (user.uid.as_raw(), group.gid.as_raw()));
        ids.filter(|(uid, gid)| is_mapped("uid_map", *uid) && is_mapped("gid_map", *gid))
    }

    /// Numbers for an owner: root where the daemon has no user of its own.
    pub fn ids(self, owner: FileOwner) -> (u32, u32) {
        match owner {
            FileOwner::Root => (0, 0),
            FileOwner::DaemonGroup(kind) => (0, self.of(kind).map_or(0, |(_, gid)| gid)),
            FileOwner::Daemon(kind) => self.of(kind).unwrap_or_default(),
        }
    }

    fn of(self, kind: DaemonKind) -> Option<(u32, u32)> {
        match kind {
            DaemonKind::Bird => self.bird,
            DaemonKind::Frr => self.frr,
            DaemonKind::None => None,
        }
    }
}

/// Whether this user namespace has a user (`uid_map`) or group (`gid_map`) of this number.
pub fn is_mapped(map: &str, id: u32) -> bool {
    let text = fs::read_to_string(Path::new("/proc/self").join(map)).unwrap_or_default();
    text.lines().any(|line| {
        let mut numbers = line.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        first.zip(count).is_some_and(|(first, count)| (first..first + count).contains(&u64::from(id)))
    })
}

/// Replaces a file: the new content is written beside it with its final owner and mode, synced, and renamed over it.
pub fn write(path: &Path, content: &[u8], mode: u32, ids: Option<(u32, u32)>) -> io::Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::from_raw_os_error(libc::EISDIR))?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    let beside = path.with_file_name(beside);
    let written =
        write_new(&beside, content, mode, ids).and_then(|()| strike()).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What failed may be the disk: leave nothing that makes it worse.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Removes what [`write()`] was killed over in a directory and the directories in it, and [`remove()`] in the directory itself:
/// `.NAME.PID.NUMBER`. Only for who holds the lock, since nobody else writes there then.
pub fn remove_unfinished(directory: &Path) -> io::Result<()> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_unfinished = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut parts = name.rsplitn(3, '.');
        let numbers = [parts.next(), parts.next()];
        numbers.into_iter().all(|part| part.is_some_and(is_number))
            && parts.next().is_some_and(|name| name.len() > 1 && name.starts_with('.'))
    };
    let mut directories = vec![directory.to_owned()];
    match fs::read_dir(directory) {
        Err(error) if is_none(&error) => return Ok(()),
        entries => {
            for entry in entries? {
                let entry = entry?;
                match entry.path() {
                    path if !entry.file_type()?.is_dir() => drop(path),
                    path if is_unfinished(&path) => remove(&path)?,
                    path => directories.push(path),
                }
            }
        }
    }
    for directory in directories {
        list(&directory)?.iter().filter(|path| is_unfinished(path)).try_for_each(|path| remove(path))?;
    }
    Ok(())
}

/// A place at which the fault suite may strike.
fn strike() -> io::Result<()> {
    fault::point("write").map_err(io::Error::other)
}

fn write_new(path: &Path, content: &[u8], mode: u32, ids: Option<(u32, u32)>) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)?;
    // Owner before mode: chown clears set-user-id bits, and nobody may read before the owner is right.
    set_owner_and_mode(&file, mode, ids)?;
    file.write_all(content)?;
    file.sync_all()
}

fn set_owner_and_mode(file: &File, mode: u32, ids: Option<(u32, u32)>) -> io::Result<()> {
    if let Some((uid, gid)) = ids {
        fchown(file, Some(uid), Some(gid))?;
    }
    file.set_permissions(Permissions::from_mode(mode))
}

/// Makes the directories that a path lies in, with mode 0755, where they are missing.
pub fn make_parents(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| DirBuilder::new().recursive(true).mode(0o755).create(parent))
}

/// Makes a directory, and its parents with mode 0755; corrects owner and mode if it exists.
pub fn make_directory(path: &Path, mode: u32, ids: (u32, u32)) -> io::Result<()> {
    make_parents(path)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let directory = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    set_owner_and_mode(&directory, mode, Some(ids))
}

/// Removes a file, or a directory with what is in it; nothing where there is none. Links are not followed.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => remove_tree(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a directory with all that is in it. `fs::remove_dir_all` calls itself for each level, and whom the directory belongs to may
/// have made more levels than the stack has room for; so what lies deeper is moved up first, into a directory beside it.
fn remove_tree(path: &Path) -> io::Result<()> {
    let (parent, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
    let parent = rustix::fs::open(parent, DIRECTORY, Mode::empty())?;
    let mut again = 0;
    let mut left = vec![name.to_owned()];
    while let Some(name) = left.pop() {
        let directory = rustix::fs::openat(&parent, &name, DIRECTORY, Mode::empty())?;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let child = entry.file_name();
            if matches!(child.to_bytes(), b"." | b"..") {
                continue;
            }
            match rustix::fs::unlinkat(&directory, child, AtFlags::empty()) {
                Ok(()) => continue,
                Err(Errno::ISDIR | Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
            left.push(move_up(&directory, child, &parent)?);
        }
        match rustix::fs::unlinkat(&parent, &name, AtFlags::REMOVEDIR) {
            // Somebody goes on making things there.
            Err(Errno::NOTEMPTY) if again < MOST_AGAIN => {
                again += 1;
                left.push(name);
            }
            removed => removed?,
        }
    }
    Ok(())
}

/// Gives a directory another name beside the one that is removed, where nobody but root can make any, and which is new: several may be
/// removed from one place at once.
fn move_up(from: &OwnedFd, child: &CStr, parent: &OwnedFd) -> io::Result<OsString> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let name = OsString::from(format!(".removed.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        match rustix::fs::renameat_with(from, child, parent, &name, RenameFlags::NOREPLACE) {
            // Of one who was killed while he removed something, and had the same number.
            Err(Errno::EXIST) => {}
            moved => return moved.map(|()| name).map_err(io::Error::from),
        }
    }
}

/// The content of a regular file with its permission bits; `None` if there is none.
pub fn read(path: &Path) -> io::Result<Option<(String, u32)>> {
    let mut file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ENXIO | libc::ELOOP)) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let data = file.metadata()?;
    if !data.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes)?;
    // A truncated or damaged file is content that differs, which is all that matters here.
    Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), data.permissions().mode() & 0o7777)))
}

/// Whether there is no such directory: nothing of that name, or a file in its place.
fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Regular files directly in a directory, by name; empty if there is no such directory.
pub fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if is_none(&error) => return Ok(Vec::new()),
        other => other?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn me() -> (u32, u32) {
        (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
    }

    #[test]
    fn what_was_left_of_a_removal_is_swept_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join(".removed.7.0/deep/er")).unwrap();
        fs::create_dir_all(directory.path().join("domain/.removed.7.1")).unwrap();
        remove_unfinished(directory.path()).unwrap();
        assert!(
            !directory.path().join(".removed.7.0").exists() && directory.path().join("domain/.removed.7.1").exists()
        );
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bird.conf");
        write(&path, b"old", 0o644, None).unwrap();
        write(&path, b"new", 0o640, Some(me())).unwrap();
        assert_eq!(read(&path).unwrap(), Some(("new".to_owned(), 0o640)));
        assert_eq!(list(directory.path()).unwrap(), [path]);
    }

    #[test]
    fn a_link_is_replaced_and_not_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        write(&target, b"precious", 0o600, None).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(read(&link).unwrap(), None, "a link is no file of ours");
        write(&link, b"mine", 0o600, None).unwrap();
        assert_eq!(read(&target).unwrap().unwrap().0, "precious");
        remove(&link).unwrap();
        remove(&link).unwrap();
        assert!(target.exists());
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"x", 0o600, None).is_err());
        assert_eq!(list(directory.path()).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_a_killed_write_left_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("private");
        fs::create_dir(&inner).unwrap();
        let kept = ["bird.conf", ".hidden", ".a.b.c", ".1.2", "x.1.2"];
        for name in kept.iter().chain(&[".bird.conf.4711.0", ".namespace.1.12"]) {
            File::create(directory.path().join(name)).unwrap();
            File::create(inner.join(name)).unwrap();
        }
        remove_unfinished(directory.path()).unwrap();
        for place in [directory.path(), &inner] {
            let left: Vec<_> =
                list(place).unwrap().into_iter().map(|path| path.strip_prefix(place).unwrap().to_owned()).collect();
            let mut expected = kept.map(PathBuf::from);
            expected.sort();
            assert_eq!(left, expected);
        }
        remove_unfinished(&directory.path().join("none")).unwrap();
    }

    #[test]
    fn a_directory_is_made_with_its_parents_and_corrected_if_it_exists() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        for wanted in [0o700, 0o750] {
            make_directory(&path, wanted, me()).unwrap();
            assert_eq!((mode(&path), mode(path.parent().unwrap()) & 0o700), (wanted, 0o700));
        }
    }

    #[test]
    fn without_a_user_of_its_own_the_daemon_owns_what_root_owns() {
        let none = Owners::default();
        let both = Owners { bird: Some((102, 105)), frr: Some((103, 106)) };
        for (owner, ids) in [
            (FileOwner::Root, (0, 0)),
            (FileOwner::DaemonGroup(DaemonKind::Bird), (0, 105)),
            (FileOwner::Daemon(DaemonKind::Bird), (102, 105)),
            (FileOwner::DaemonGroup(DaemonKind::Frr), (0, 106)),
            (FileOwner::Daemon(DaemonKind::Frr), (103, 106)),
            (FileOwner::Daemon(DaemonKind::None), (0, 0)),
        ] {
            assert_eq!(none.ids(owner), (0, 0));
            assert_eq!(both.ids(owner), ids);
        }
    }

    #[test]
    fn a_directory_is_removed_however_deep_it_is_and_no_link_in_it_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (kept, gone) = (directory.path().join("kept"), directory.path().join("gone"));
        fs::create_dir(&kept).unwrap();
        write(&kept.join("file"), b"precious", 0o600, None).unwrap();
        fs::create_dir(&gone).unwrap();
        // Some kilobytes of stack for each level would be a gigabyte.
        let mut deepest = rustix::fs::open(&gone, DIRECTORY, Mode::empty()).unwrap();
        for level in 0..30_000 {
            for other in ["side", "x"] {
                rustix::fs::mkdirat(&deepest, other, Mode::RWXU).unwrap();
            }
            rustix::fs::symlinkat(&kept, &deepest, "link").unwrap();
            deepest = rustix::fs::openat(&deepest, "x", DIRECTORY, Mode::empty())
                .unwrap_or_else(|error| panic!("level {level}: {error}"));
        }
        remove(&gone).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(read(&kept.join("file")).unwrap().unwrap().0, "precious");
        remove(&gone).unwrap();
        remove(&kept.join("file")).unwrap();
        assert!(list(&kept).unwrap().is_empty());
    }

    #[test]
    fn directories_beside_each_other_are_removed_at_the_same_time() {
        let directory = tempfile::tempdir().unwrap();
        // As one leaves it that was killed in the middle.
        fs::create_dir_all(directory.path().join(format!(".removed.{}.0/full", std::process::id()))).unwrap();
        let paths: Vec<_> = (0..8).map(|number| directory.path().join(number.to_string())).collect();
        for path in &paths {
            for child in 0..50 {
                fs::create_dir_all(path.join(format!("{child}/below"))).unwrap();
            }
        }
        std::thread::scope(|scope| {
            for path in &paths {
                scope.spawn(|| remove(path).unwrap());
            }
        });
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "what was there before stays");
    }
}
