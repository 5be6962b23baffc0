//! Whether FRR is there: zebra and bgpd, new enough and of one version, and the user and groups that they become.
//!
//! This is asked before a configuration is checked, so that what is missing is told before anything is touched. What the daemons
//! say themselves comes when they are started, and names no package.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::unistd::{AccessFlags, Group, User, access, getgrouplist};

use super::super::{DaemonError, said};
use super::check::{DRY_RUN, run_dry};
use super::programs::LOAD_RPKI;
use crate::render::frr::Dialect;
use crate::sys::process::{self, Captured, Spawn};
use crate::sys::{SysError, files};

/// Where FRR's daemons may be, its own directories first.
///
/// The last ones are those of builds without `--sbindir`. They have programs of others too: `/usr/sbin/bgpd` may be OpenBGPD's,
/// which has no zebra beside it.
const DIRECTORIES: [&str; 7] = [
    "/usr/lib/frr",
    "/usr/libexec/frr",
    "/usr/lib64/frr",
    "/usr/local/lib/frr",
    "/usr/local/libexec/frr",
    "/usr/local/sbin",
    "/usr/sbin",
];
/// The oldest FRR whose commands have all that is generated.
const AT_LEAST: [u32; 3] = [8, 4, 0];
/// The first version of which nothing is known.
const BELOW: [u32; 3] = [11, 0, 0];
/// The releases with which all that is generated and all that is done was tried.
const TRIED: [[u32; 2]; 2] = [[8, 4], [10, 3]];
/// Whom the daemons become.
pub const USER: &str = "frr";
/// The groups that they are in, which they insist on: their own, and that of their sockets.
pub const GROUPS: [&str; 2] = [GROUP, VTY_GROUP];
const GROUP: &str = "frr";
const VTY_GROUP: &str = "frrvty";
const WITHIN: Duration = Duration::from_secs(10);

/// An FRR that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The directory of its daemons.
    pub home: PathBuf,
    /// The version of both, as in `8.4.4`.
    pub version: String,
}

/// Why FRR cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// There is none.
    #[error("FRR is not installed: zebra and bgpd are in none of {}", DIRECTORIES.join(", "))]
    Missing,
    /// One of its two programs is missing, and there is a directory of its own with the other.
    #[error("FRR in {} lacks {program}", home.display())]
    Incomplete {
        /// The directory.
        home: PathBuf,
        /// The program that is missing, or cannot be run.
        program: &'static str,
    },
    /// A program of that name is not FRR's.
    #[error("{} is not FRR's: it says {said:?}", program.display())]
    Foreign {
        /// The program.
        program: PathBuf,
        /// The beginning of what it says.
        said: String,
    },
    /// It lacks what our configurations say.
    #[error("{} is FRR {found}, and {}.{} is the oldest that can be used", program.display(), AT_LEAST[0], AT_LEAST[1])]
    TooOld {
        /// The program.
        program: PathBuf,
        /// Its version.
        found: String,
    },
    /// From one release to the next it may read the same lines in another way.
    #[error("{} is FRR {found}, and rdsup knows no FRR from {}.{} on", program.display(), BELOW[0], BELOW[1])]
    TooNew {
        /// The program.
        program: PathBuf,
        /// Its version.
        found: String,
    },
    /// They would start and then misunderstand each other.
    #[error("FRR in {} is of two versions: zebra is {zebra}, bgpd is {bgpd}", home.display())]
    TwoVersions {
        /// The directory.
        home: PathBuf,
        /// zebra's version.
        zebra: String,
        /// bgpd's version.
        bgpd: String,
    },
    /// A neighbor is to be watched by BFD, and the program for it is missing.
    #[error("FRR in {} lacks bfdd, which a neighbor with `bfd` needs", .0.display())]
    NoBfdd(PathBuf),
    /// It is of a version in which zebra is told by mgmtd what to do, and that is missing.
    #[error("FRR in {} lacks mgmtd, which tells zebra what to do", .0.display())]
    NoMgmtd(PathBuf),
    /// FRR's shell is missing.
    #[error("vtysh, FRR's shell, which also checks what zebra is to read, is not installed")]
    NoVtysh,
    /// The user is missing.
    #[error("there is no user {USER}, whom FRR's daemons become")]
    NoUser,
    /// The user namespace has no such user.
    #[error("this user namespace lacks the user {USER} (uid {0}), whom FRR's daemons become")]
    NotMapped(u32),
    /// A group is missing.
    #[error("there is no group {0}, in which FRR's daemons have to be")]
    NoGroup(&'static str),
    /// The user is not in the group of the sockets.
    #[error("the user {USER} is not in the group {VTY_GROUP}, without which FRR's daemons do not start")]
    NotInGroup,
    /// The module that asks RPKI caches is missing.
    #[error("FRR lacks its module for RPKI caches: {words}")]
    NoRpki {
        /// What bgpd says.
        words: String,
    },
}

impl Unusable {
    /// One thing to try.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing => "apt install frr, or set daemon = \"bird\" in the domain",
            Self::Foreign { .. } => "remove that program, or apt install frr",
            Self::TooOld { .. } => "apt install frr from a newer release, or set daemon = \"bird\" in the domain",
            Self::TooNew { .. } => "install FRR 8.4 or 10.3, or set daemon = \"bird\" in the domain",
            Self::Incomplete { .. } | Self::TwoVersions { .. } | Self::NoBfdd(_) | Self::NoMgmtd(_) | Self::NoVtysh => {
                "apt install --reinstall frr"
            }
            Self::NoUser | Self::NoGroup(_) => "apt install --reinstall frr, which makes the user frr and its groups",
            Self::NotMapped(_) => "rdsup lab FILE, which gives FRR what it needs; or run it as root of the machine",
            Self::NotInGroup => "usermod -a -G frrvty frr",
            Self::NoRpki { .. } => "apt install frr-rpki-rtrlib",
        }
    }
}

/// The daemons that are installed. What was asked once is not asked again before a program is another.
pub async fn find() -> Result<Installation, DaemonError> {
    let home = home()?;
    if let Some(found) = remembered(&home) {
        return Ok(found);
    }
    let found = ask(&home).await?;
    remember(&found);
    Ok(found)
}

/// The same, if the user and the groups are there too.
pub(super) async fn usable() -> Result<Installation, DaemonError> {
    let found = find().await?;
    identity()?;
    Ok(found)
}

/// The directory that has both programs.
pub(super) fn home() -> Result<PathBuf, Unusable> {
    first_whole(&DIRECTORIES.map(PathBuf::from))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

fn first_whole(directories: &[PathBuf]) -> Result<PathBuf, Unusable> {
    let missing =
        |home: &Path| ["zebra", "bgpd"].into_iter().filter(|name| !is_program(&home.join(name))).collect::<Vec<_>>();
    if let Some(home) = directories.iter().find(|home| missing(home).is_empty()) {
        return Ok(home.clone());
    }
    // Nobody else has a zebra; a bgpd may be OpenBGPD's, except where everything is FRR's.
    let is_frrs = |home: &Path| home.ends_with("frr") || is_program(&home.join("zebra"));
    let incomplete = directories.iter().filter(|home| is_frrs(home)).find_map(|home| match missing(home).as_slice() {
        [program] => Some(Unusable::Incomplete { home: home.clone(), program }),
        _ => None,
    });
    Err(incomplete.unwrap_or(Unusable::Missing))
}

/// Whom the daemons become: user and group, by number. They look the same up themselves, and end where something is missing.
pub fn identity() -> Result<(u32, u32), Unusable> {
    let group = |name| Group::from_name(name).ok().flatten().ok_or(Unusable::NoGroup(name));
    let user = User::from_name(USER).ok().flatten().ok_or(Unusable::NoUser)?;
    let (own, vty) = (group(GROUP)?, group(VTY_GROUP)?);
    // With one id alone a process may not set its groups, and bgpd says only that it could not.
    if !files::is_mapped("uid_map", user.uid.as_raw()) {
        return Err(Unusable::NotMapped(user.uid.as_raw()));
    }
    let groups = getgrouplist(c"frr", user.gid).unwrap_or_default();
    if !groups.contains(&vty.gid) {
        return Err(Unusable::NotInGroup);
    }
    Ok((user.uid.as_raw(), own.gid.as_raw()))
}

/// FRR's shell.
pub fn vtysh() -> Result<PathBuf, Unusable> {
    process::find("vtysh").ok_or(Unusable::NoVtysh)
}

/// How the FRR that is installed reads what is rendered; as 8.4 does where there is none, which is told when it is to be used.
pub fn dialect() -> Dialect {
    let known = home().ok().and_then(|home| remembered(&home));
    // Whoever renders does so in a thread of its own or has none to wait in, so the question gets one.
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        runtime.block_on(find()).ok()
    };
    let found = known.or_else(|| std::thread::scope(|scope| scope.spawn(ask).join().ok().flatten()));
    found.map(|found| found.dialect()).unwrap_or_default()
}

impl Installation {
    /// How it reads what is rendered.
    pub fn dialect(&self) -> Dialect {
        said::version(&self.version).map(|(_, numbers)| Dialect::of(numbers)).unwrap_or_default()
    }

    /// What is to be known of it: that it is of a release with which nothing was tried.
    pub fn remark(&self) -> Option<String> {
        let (_, [major, minor, _]) = said::version(&self.version)?;
        let tried = TRIED.map(|[major, minor]| format!("{major}.{minor}")).join(" and ");
        let version = &self.version;
        (!TRIED.contains(&[major, minor]))
            .then(|| format!("rdsup was tried with FRR {tried}, and never with {version}"))
    }

    /// Whether there is what watches neighbors by BFD.
    pub fn has_bfdd(&self) -> Result<(), Unusable> {
        let program = self.home.join("bfdd");
        if is_program(&program) { Ok(()) } else { Err(Unusable::NoBfdd(self.home.clone())) }
    }

    /// Whether bgpd can ask RPKI caches, which takes a module that may be in a package of its own.
    pub async fn has_rpki(&self) -> Result<(), DaemonError> {
        let program = self.home.join("bgpd");
        let asked = || Spawn::new(&program).args(LOAD_RPKI).args(DRY_RUN).arg("/dev/null");
        let said = words_of(&program, run_dry(asked, WITHIN).await)?;
        lacks_module(&said).map_or(Ok(()), |lacking| Err(lacking.into()))
    }
}

/// What is said of a module that cannot be loaded: `frr_init: loader error: dlopen(/usr/…/bgpd_rpki.so): …: cannot open …`, a line
/// for each place where it was looked for.
pub(super) fn lacks_module(said: &str) -> Option<Unusable> {
    let words = said.lines().find_map(|line| line.split_once("loader error: "))?.1;
    // The kernel's words follow the path, which is said twice.
    let words = words.rsplit_once("): ").map_or(words, |(_, words)| words);
    Some(Unusable::NoRpki { words: words.to_owned() })
}

async fn ask(home: &Path) -> Result<Installation, DaemonError> {
    // zebra first: where it is another's, bgpd is not asked.
    let zebra = version_of(&home.join("zebra")).await?;
    let bgpd = version_of(&home.join("bgpd")).await?;
    if zebra != bgpd {
        return Err(Unusable::TwoVersions { home: home.to_owned(), zebra, bgpd }.into());
    }
    Ok(Installation { home: home.to_owned(), version: bgpd })
}

/// The version that a program has, if that is one that can be used. Not `-v`, which has OpenBGPD begin its work and talk of it.
async fn version_of(program: &Path) -> Result<String, DaemonError> {
    let said = run(program, &["--version"]).await?;
    Ok(judge(program, &said)?)
}

fn judge(program: &Path, said: &str) -> Result<String, Unusable> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    // `bgpd version 8.4.4`, or, as its vty says it, `FRRouting 8.5 (host)`.
    let starts = [format!("{name} version "), "FRRouting ".to_owned()];
    let line = said.lines().find(|line| starts.iter().any(|start| line.starts_with(start)));
    let Some((found, numbers)) = line.and_then(said::version) else {
        let said = said::line(said.lines().next().unwrap_or_default().as_bytes()).unwrap_or_default();
        return Err(Unusable::Foreign { program: program.to_owned(), said });
    };
    let found = found.to_owned();
    let program = program.to_owned();
    if numbers < AT_LEAST {
        Err(Unusable::TooOld { program, found })
    } else if numbers >= BELOW {
        Err(Unusable::TooNew { program, found })
    } else {
        Ok(found)
    }
}

async fn run(program: &Path, args: &[&str]) -> Result<String, DaemonError> {
    words_of(program, Spawn::new(program).args(args).run_captured(WITHIN).await)
}

fn words_of(program: &Path, ran: Result<Captured, SysError>) -> Result<String, DaemonError> {
    match ran {
        Ok(captured) => Ok(format!("{}{}", captured.stdout, captured.stderr)),
        Err(error) => Err(DaemonError::Run { program: program.to_owned(), words: error.to_string() }),
    }
}

/// By which a program that was replaced is known: file system, file, and when it was written.
type Stamp = [(u64, u64, i64, i64); 2];

/// What was found last, and of which programs.
static FOUND: Mutex<Option<(Stamp, Installation)>> = Mutex::new(None);

fn stamp(home: &Path) -> Option<Stamp> {
    let of = |name: &str| {
        let file = fs::metadata(home.join(name)).ok()?;
        Some((file.dev(), file.ino(), file.mtime(), file.mtime_nsec()))
    };
    Some([of("zebra")?, of("bgpd")?])
}

fn remembered(home: &Path) -> Option<Installation> {
    let known = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let (there, found) = known.as_ref()?;
    (found.home == home && stamp(home)? == *there).then(|| found.clone())
}

fn remember(found: &Installation) {
    let known = stamp(&found.home).map(|stamp| (stamp, found.clone()));
    *FOUND.lock().unwrap_or_else(PoisonError::into_inner) = known;
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn judged(said: &str) -> Result<String, Unusable> {
        judge(Path::new("/usr/lib/frr/bgpd"), said)
    }

    #[test]
    fn a_version_is_read_from_what_a_daemon_says() {
        for (said, version) in [
            (
                "bgpd version 8.4.4\nCopyright 1996-2005 Kunihiro Ishiguro, et al.\nconfigured with:\n\t'--prefix=/usr'\n",
                "8.4.4",
            ),
            ("bgpd version 8.4\n", "8.4"),
            ("bgpd version 8.5-dev-g0123abc\n", "8.5-dev-g0123abc"),
            ("bgpd version 8.5~rc1\n", "8.5~rc1"),
            ("FRRouting 8.5 (host)\n", "8.5"),
            ("FRRouting 8.5.4 (host) on Linux(6.1.0)\n", "8.5.4"),
        ] {
            assert_eq!(judged(said), Ok(version.to_owned()), "{said}");
        }
    }

    #[test]
    fn what_is_too_old_too_new_or_not_frr_is_told_with_what_it_says() {
        let said = |answer: &str| judged(answer).expect_err("it cannot be used").to_string();
        assert_eq!(
            said("bgpd version 11.0\nCopyright\n"),
            "/usr/lib/frr/bgpd is FRR 11.0, and rdsup knows no FRR from 11.0 on"
        );
        assert_eq!(
            said("bgpd version 8.3.1\n"),
            "/usr/lib/frr/bgpd is FRR 8.3.1, and 8.4 is the oldest that can be used"
        );
        assert_eq!(
            said("./bgpd: invalid option -- '-'\nusage: bgpd [-cdnvV] [-D macro=value] [-f file]\n"),
            "/usr/lib/frr/bgpd is not FRR's: it says \"./bgpd: invalid option -- '-'\""
        );
        assert_eq!(said(""), "/usr/lib/frr/bgpd is not FRR's: it says \"\"");
        assert_eq!(said("zebra version 8.4.4\n"), "/usr/lib/frr/bgpd is not FRR's: it says \"zebra version 8.4.4\"");
    }

    #[test]
    fn of_a_release_that_was_not_tried_it_is_said_so() {
        let remark = |version: &str| Installation { home: PathBuf::new(), version: version.to_owned() }.remark();
        for tried in ["8.4", "8.4.4", "10.3", "10.3.1"] {
            assert_eq!(remark(tried), None, "{tried}");
        }
        for other in ["8.5.4", "9.1", "10.0.2", "10.4.1", "10.30"] {
            let said = format!("rdsup was tried with FRR 8.4 and 10.3, and never with {other}");
            assert_eq!(remark(other), Some(said));
        }
    }

    #[test]
    fn a_module_that_cannot_be_loaded_is_told_once() {
        let place = "/usr/lib/frr/modules/bgpd_rpki.so";
        let said = format!(
            "frr_init: loader error: dlopen({place}): {place}: cannot open shared object file: No such file or directory\n\
             frr_init: loader error: dlopen(rpki): rpki: cannot open shared object file: No such file or directory\n"
        );
        let lacking = lacks_module(&said).expect("it is lacking");
        assert_eq!(
            lacking.to_string(),
            format!(
                "FRR lacks its module for RPKI caches: {place}: cannot open shared object file: No such file or directory"
            )
        );
        assert_eq!(lacking.hint(), "apt install frr-rpki-rtrlib");
        assert_eq!(lacks_module("2026/11/26 01:13:57 BGP: [X] something else\n"), None);
    }

    /// Programs that say something when they are asked for their version, and nothing else.
    #[expect(clippy::disallowed_methods, reason = "a test makes its own programs")]
    fn stand_ins(says: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, words) in says {
            let path = directory.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n[ \"$*\" = --version ] && echo '{words}'\n")).expect("it is ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        directory
    }

    #[tokio::test]
    async fn both_are_asked_and_must_be_of_one_version() {
        let good = stand_ins(&[("zebra", "zebra version 8.5"), ("bgpd", "bgpd version 8.5")]);
        let found = ask(good.path()).await.expect("it can be used");
        assert_eq!((found.home.as_path(), found.version.as_str()), (good.path(), "8.5"));
        let mixed = stand_ins(&[("zebra", "zebra version 8.5"), ("bgpd", "bgpd version 8.4.4")]);
        let error = ask(mixed.path()).await.expect_err("they are of two versions");
        assert!(error.to_string().ends_with("is of two versions: zebra is 8.5, bgpd is 8.4.4"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("apt install")), "{error:?}");
    }

    #[test]
    fn a_bgpd_without_a_zebra_beside_it_is_none_of_frr_s() {
        let other = stand_ins(&[("bgpd", "OpenBGPD 7.7")]);
        let whole = stand_ins(&[("zebra", "zebra version 8.5"), ("bgpd", "bgpd version 8.5")]);
        let both = [other.path(), whole.path()].map(Path::to_owned);
        assert_eq!(first_whole(&both).as_deref(), Ok(whole.path()));
        assert_eq!(first_whole(&both[..1]), Err(Unusable::Missing));
        fs::set_permissions(whole.path().join("zebra"), fs::Permissions::from_mode(0o644)).expect("it is ours");
        let error = first_whole(&[whole.path().to_owned(), other.path().to_owned()]);
        assert_eq!(error, Err(Unusable::Missing), "what is left may be another's");
        let own = whole.path().join("frr");
        fs::create_dir(&own).expect("it is ours");
        fs::rename(whole.path().join("bgpd"), own.join("bgpd")).expect("both are ours");
        let error = first_whole(std::slice::from_ref(&own)).expect_err("it is not whole");
        assert_eq!(error.to_string(), format!("FRR in {} lacks zebra", own.display()));
    }

    #[tokio::test]
    async fn what_was_found_counts_until_a_program_is_another() {
        let home = stand_ins(&[("zebra", "zebra version 8.5"), ("bgpd", "bgpd version 8.5")]);
        remember(&ask(home.path()).await.expect("it can be used"));
        assert!(remembered(home.path()).is_some());
        let newer = stand_ins(&[("bgpd", "bgpd version 9.2")]);
        fs::rename(newer.path().join("bgpd"), home.path().join("bgpd")).expect("both are ours");
        assert_eq!(remembered(home.path()), None);
    }
}
