//! Which programs FRR is in one domain, and how they are started.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::{Command, DaemonError, Place};
use super::SCRATCH;
use crate::model::Program;
use crate::render::frr::Dialect;
use crate::sys::files;
use crate::sys::process::MountPlan;

/// `sockaddr_un` has room for this many bytes and a NUL; FRR cuts a longer path off without a word.
const LONGEST_SOCKET: usize = 107;
/// How many descriptors a daemon may have. Its tables are as long as that, and 8 GiB where nothing limits it.
const DESCRIPTORS: &str = "4096";
/// How long zebra leaves the routes of the one before it alone, in seconds: longer than bgpd may defer what it selects.
const KEEP_ROUTES: &str = "-K90";
/// Has zebra replace an IPv6 route in one step, as the kernel can and as it does with IPv4; else it is away for a moment.
const REPLACE_AT_ONCE: &str = "--v6-rr-semantics";
/// Where mgmtd listens for zebra.
const RUNTIME: &str = "/run/frr";
/// Where mgmtd looks for what it is to read.
const CONFIGURATION: &str = "/etc/frr";
/// Where mgmtd notes what was changed.
const STATE: &str = "/var/lib/frr";
/// What has bgpd load its module for RPKI caches.
pub(super) const LOAD_RPKI: [&str; 2] = ["-M", "rpki"];
/// Where a library directory has that module.
const RPKI_MODULE: &str = "frr/modules/bgpd_rpki.so";
/// Library directories, apart from those below `/usr/lib`.
const LIBRARIES: [&str; 3] = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];
/// zebra's receive buffer for what the kernel tells: it does not ask again when it has missed something.
const NETLINK_BUFFER: &str = "90000000";

/// What there is in a domain, by the vty of bgpd, which stands for all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sockets {
    pub(super) bgpd: PathBuf,
    pub(super) mgmtd: PathBuf,
    pub(super) zebra: PathBuf,
    pub(super) bfdd: PathBuf,
}

impl Sockets {
    pub(super) fn beside(bgpd: &Path) -> Self {
        let beside = |name: &str| bgpd.with_file_name(name);
        Self { bgpd: bgpd.to_owned(), mgmtd: beside("mgmtd.vty"), zebra: beside("zebra.vty"), bfdd: beside("bfdd.vty") }
    }

    pub(super) fn of(&self, program: Program) -> &Path {
        match program {
            Program::Mgmtd => &self.mgmtd,
            Program::Zebra => &self.zebra,
            Program::Bfdd => &self.bfdd,
            Program::Bird | Program::Bgpd => &self.bgpd,
        }
    }
}

/// How a program is started.
///
/// Without `-u` and `-g` they become `frr`, and everything that they make is that user's: the directory of the sockets must be
/// too. `-N` is not used, because it is a name below `/run/frr` and cannot lead elsewhere.
pub(super) fn command(
    home: &Path,
    program: Program,
    place: &Place,
    recovering: bool,
    modules: &[&str],
    dialect: Dialect,
) -> Result<Command, DaemonError> {
    let directory = place.socket.parent().unwrap_or(Path::new("/"));
    let zserv = zserv_beside(&place.socket);
    // The longest of the names that are made there.
    for socket in [&zserv, &directory.join("zebra.vty")] {
        let length = socket.as_os_str().len();
        if length > LONGEST_SOCKET {
            let path = socket.display();
            let words = format!("{path} has {length} bytes; a socket's path has at most {LONGEST_SOCKET}");
            return Err(DaemonError::Refused(words));
        }
    }
    let name = program.as_str();
    let mut args: Vec<OsString> = ["-P", "0", "--log", "stdout", "--limit-fds", DESCRIPTORS].map(Into::into).into();
    args.extend(["--vty_socket".into(), directory.into()]);
    args.extend(["-i".into(), directory.join(format!("{name}.pid")).into()]);
    if program != Program::Mgmtd {
        // mgmtd has no `-f`: see `view`.
        args.extend(["-z".into(), zserv.into(), "-f".into(), place.config(program).into()]);
    }
    if program == Program::Zebra {
        args.extend(["-s".into(), NETLINK_BUFFER.into(), REPLACE_AT_ONCE.into()]);
        args.extend(recovering.then(|| KEEP_ROUTES.into()));
    }
    if program == Program::Bfdd && !dialect.no_bfdctl {
        // Nobody speaks to it, bgpd does so by way of zebra, and bfdd lets everybody in who reaches it. There only it sees it.
        args.extend(["--bfdctl".into(), format!("{SCRATCH}/bfdd.sock").into()]);
    }
    args.extend(modules.iter().map(Into::into));
    Ok(Command { program: home.join(name), args })
}

/// What mgmtd and zebra see of the file system.
///
/// Their sockets for each other and the directory that mgmtd reads are built in (`-N` names one below them, and not for what is
/// read), so that each domain needs its own. What the machine's FRR has there they do not see.
pub(super) fn view(program: Program, place: &Place, mounts: MountPlan) -> io::Result<MountPlan> {
    let config = place.config(Program::Mgmtd);
    let is_told = matches!(program, Program::Mgmtd | Program::Zebra) && config.exists();
    let Some(directory) = place.socket.parent().filter(|_| is_told) else { return Ok(mounts) };
    // Every daemon of FRR makes it where it is missing.
    fs::create_dir_all(RUNTIME)?;
    let mounts = mounts.and_bind(directory, RUNTIME)?;
    if program != Program::Mgmtd {
        return Ok(mounts);
    }
    // Its history of changes is nobody's.
    let mounts = if Path::new(STATE).exists() { mounts.and_scratch(STATE)? } else { mounts };
    // It complains of each that it does not find.
    let others = ["zebra.conf", "ripd.conf", "ripngd.conf", "staticd.conf"].map(|name| (name, Vec::new()));
    mounts.and_files_alone(CONFIGURATION, others.into_iter().chain([("mgmtd.conf", fs::read(config)?)]))
}

/// The modules that bgpd is started with. One cannot be loaded later, and a cache may be added while it runs; so that for RPKI is
/// loaded wherever it is found.
pub(super) fn modules(place: &Place) -> &'static [&'static str] {
    // Debian has a directory for each architecture in between.
    let libraries = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let found = || libraries.chain(LIBRARIES.map(PathBuf::from)).any(|library| library.join(RPKI_MODULE).exists());
    let text = std::fs::read_to_string(place.config(Program::Bgpd)).unwrap_or_default();
    if asks_caches(&text) || found() { &LOAD_RPKI } else { &[] }
}

/// Whether bgpd knows the commands of a configuration only with its module for RPKI.
pub(super) fn asks_caches(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "rpki")
}

/// Whether zebra listens for the other daemons, asked of the kernel.
///
/// From 10.2 on it is not to be tried: when a client goes zebra drops every route that is still waiting to be looked at, whosever
/// it is (`early_route_meta_queue_free()`). One that goes in the first 10 ms takes along all that was found in the kernel, with the
/// ways to the neighbors.
pub(super) fn listens(beside: &Path, zserv: &Path) -> Result<(), DaemonError> {
    /// `__SO_ACCEPTCON`, as `/proc/net/unix` has it.
    const LISTENS: &str = "00010000";
    let unreachable = |source| DaemonError::Unreachable { socket: zserv.to_owned(), source };
    // The directory is the daemons' own: a link may lead anywhere, and a pipe has no end.
    let noted = files::read(&beside.with_file_name("zebra.pid")).map_err(unreachable)?;
    let (pid, _) = noted.ok_or_else(|| unreachable(io::ErrorKind::NotFound.into()))?;
    // The sockets of its network namespace.
    let all = fs::read_to_string(format!("/proc/{}/net/unix", pid.trim())).map_err(unreachable)?;
    let is_it = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(3) == Some(&LISTENS) && words.get(7).is_some_and(|path| Path::new(path) == zserv)
    };
    if all.lines().any(is_it) { Ok(()) } else { Err(unreachable(io::ErrorKind::ConnectionRefused.into())) }
}

/// Where zebra listens for the other daemons.
pub(super) fn zserv_beside(socket: &Path) -> PathBuf {
    socket.with_file_name("zserv.api")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DaemonKind;

    #[test]
    fn everything_is_in_the_domain_s_own_directory() {
        let place = Place::in_directory(DaemonKind::Frr, Path::new("/run/rdsup/private"));
        let words_of = |program: Program, dialect| {
            let home = Path::new("/usr/lib/frr");
            let command = command(home, program, &place, true, &[], dialect).expect("the paths are short");
            let args = command.args.iter().map(|word| word.to_string_lossy().into_owned());
            format!("{} {}", command.program.display(), args.collect::<Vec<_>>().join(" "))
        };
        let words = |program| words_of(program, Dialect::default());
        assert_eq!(
            words(Program::Zebra),
            "/usr/lib/frr/zebra -P 0 --log stdout --limit-fds 4096 --vty_socket /run/rdsup/private/frr \
             -i /run/rdsup/private/frr/zebra.pid -z /run/rdsup/private/frr/zserv.api -f /run/rdsup/private/zebra.conf \
             -s 90000000 --v6-rr-semantics -K90"
        );
        assert_eq!(
            words(Program::Bfdd),
            "/usr/lib/frr/bfdd -P 0 --log stdout --limit-fds 4096 --vty_socket /run/rdsup/private/frr \
             -i /run/rdsup/private/frr/bfdd.pid -z /run/rdsup/private/frr/zserv.api -f /run/rdsup/private/bfdd.conf \
             --bfdctl /var/tmp/bfdd.sock"
        );
        assert!(words_of(Program::Bfdd, Dialect::of([10, 1, 3])).contains("--bfdctl"));
        assert!(!words_of(Program::Bfdd, Dialect::of([10, 2, 0])).contains("--bfdctl"));
        assert_eq!(
            words(Program::Bgpd),
            "/usr/lib/frr/bgpd -P 0 --log stdout --limit-fds 4096 --vty_socket /run/rdsup/private/frr \
             -i /run/rdsup/private/frr/bgpd.pid -z /run/rdsup/private/frr/zserv.api -f /run/rdsup/private/bgpd.conf"
        );
    }

    #[test]
    fn a_directory_whose_sockets_frr_would_cut_off_is_refused() {
        let place = Place::in_directory(DaemonKind::Frr, &Path::new("/run").join("x".repeat(90)));
        let error = command(Path::new("/usr/lib/frr"), Program::Bgpd, &place, false, &[], Dialect::default())
            .expect_err("it is too long");
        assert!(error.to_string().contains("at most 107"), "{error}");
    }
}
