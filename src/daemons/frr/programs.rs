//! Which programs FRR is in one domain, where they are, and how they are started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::{Command, DaemonError, Place};
use crate::sys::process;

/// Where distributions put FRR's daemons: none of these is in `PATH`, and what is may be another `bgpd` (OpenBGPD's is
/// `/usr/sbin/bgpd`).
const DIRECTORIES: [&str; 3] = ["/usr/lib/frr", "/usr/libexec/frr", "/usr/lib64/frr"];
/// `sockaddr_un` has room for this many bytes and a NUL; FRR cuts a longer path off without a word.
const LONGEST_SOCKET: usize = 107;
/// How many descriptors a daemon may have. Its tables are as long as that, and 8 GiB where nothing limits it.
const DESCRIPTORS: &str = "4096";
/// How long zebra leaves the routes of the one before it alone, in seconds.
const KEEP_ROUTES: &str = "-K60";
/// zebra's receive buffer for what the kernel tells: it does not ask again when it has missed something.
const NETLINK_BUFFER: &str = "90000000";

/// One of the programs of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What FRR calls it.
    pub name: &'static str,
    /// How it is started, in the foreground and inside its namespace.
    pub command: Command,
    /// The configuration that it reads.
    pub config: PathBuf,
    /// What shows that the next one may be started.
    pub probe: Probe,
}

/// What shows that a program is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Somebody can connect to this socket. That it exists is not enough: it is there before anybody listens.
    Connects(PathBuf),
    /// The vty at this socket answers, which it does once the configuration is read.
    Answers(PathBuf),
}

/// What there is in a domain, by the vty of bgpd, which stands for all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sockets {
    pub(super) bgpd: PathBuf,
    pub(super) zebra: PathBuf,
    /// The directory of the configurations, which is root's.
    pub(super) domain: PathBuf,
}

impl Sockets {
    pub(super) fn beside(bgpd: &Path) -> Self {
        let directory = bgpd.parent().unwrap_or(Path::new("/"));
        Self {
            bgpd: bgpd.to_owned(),
            zebra: directory.join("zebra.vty"),
            domain: directory.parent().unwrap_or(Path::new("/")).to_owned(),
        }
    }
}

/// The programs of a domain in the order in which they are started: bgpd tries only every 10 s to reach a zebra that is not
/// there yet.
///
/// Without `-u` and `-g` they become `frr`, and everything that they make is that user's: the directory of the sockets must be
/// too. `-N` is not used, because it is a name below `/run/frr` and cannot lead elsewhere.
pub(super) fn programs(home: &Path, place: &Place, recovering: bool) -> Result<Vec<Program>, DaemonError> {
    let directory = place.socket.parent().unwrap_or(Path::new("/"));
    let zserv = directory.join("zserv.api");
    // The longest of the names that are made there.
    for socket in [&zserv, &directory.join("zebra.vty")] {
        let length = socket.as_os_str().len();
        if length > LONGEST_SOCKET {
            let path = socket.display();
            let words = format!("{path} has {length} bytes; a socket's path has at most {LONGEST_SOCKET}");
            return Err(DaemonError::Refused(words));
        }
    }
    let program = |name: &'static str, config: PathBuf, more: &[&str], probe| {
        let mut args: Vec<OsString> = ["-P", "0", "--log", "stdout", "--limit-fds", DESCRIPTORS].map(Into::into).into();
        args.extend(["--vty_socket".into(), directory.into()]);
        args.extend(["-i".into(), directory.join(format!("{name}.pid")).into(), "-z".into(), (&zserv).into()]);
        args.extend(["-f".into(), (&config).into()]);
        args.extend(more.iter().map(Into::into));
        Program { name, command: Command { program: home.join(name), args }, config, probe }
    };
    let zebra: &[&str] = if recovering { &["-s", NETLINK_BUFFER, KEEP_ROUTES] } else { &["-s", NETLINK_BUFFER] };
    Ok(vec![
        program("zebra", place.config.with_file_name("zebra.conf"), zebra, Probe::Connects(zserv.clone())),
        program("bgpd", place.config.clone(), &[], Probe::Answers(place.socket.clone())),
    ])
}

/// The directory that has all of FRR's programs that are used.
pub(super) fn home() -> Result<PathBuf, DaemonError> {
    let is_whole = |directory: &PathBuf| ["zebra", "bgpd"].iter().all(|name| is_program(&directory.join(name)));
    DIRECTORIES
        .into_iter()
        .map(PathBuf::from)
        .find(is_whole)
        .ok_or(DaemonError::NotInstalled { program: "FRR (zebra and bgpd)", package: "frr" })
}

fn is_program(path: &Path) -> bool {
    path.is_file() && process::find(path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DaemonKind;

    #[test]
    fn zebra_comes_before_bgpd_and_everything_is_in_the_domain_s_own_directory() {
        let place = Place::in_directory(DaemonKind::Frr, Path::new("/run/rdsup/private"));
        let programs = programs(Path::new("/usr/lib/frr"), &place, true).expect("the paths are short");
        let words = |program: &Program| {
            let args = program.command.args.iter().map(|word| word.to_string_lossy().into_owned());
            args.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(programs.iter().map(|program| program.name).collect::<Vec<_>>(), ["zebra", "bgpd"]);
        assert_eq!(
            words(&programs[0]),
            "-P 0 --log stdout --limit-fds 4096 --vty_socket /run/rdsup/private/frr -i /run/rdsup/private/frr/zebra.pid \
             -z /run/rdsup/private/frr/zserv.api -f /run/rdsup/private/zebra.conf -s 90000000 -K60"
        );
        assert_eq!(
            words(&programs[1]),
            "-P 0 --log stdout --limit-fds 4096 --vty_socket /run/rdsup/private/frr -i /run/rdsup/private/frr/bgpd.pid \
             -z /run/rdsup/private/frr/zserv.api -f /run/rdsup/private/bgpd.conf"
        );
        assert_eq!(programs[0].probe, Probe::Connects("/run/rdsup/private/frr/zserv.api".into()));
        assert_eq!(programs[1].command.program, Path::new("/usr/lib/frr/bgpd"));
    }

    #[test]
    fn a_directory_whose_sockets_frr_would_cut_off_is_refused() {
        let place = Place::in_directory(DaemonKind::Frr, &Path::new("/run").join("x".repeat(90)));
        let error = programs(Path::new("/usr/lib/frr"), &place, false).expect_err("it is too long");
        assert!(error.to_string().contains("at most 107"), "{error}");
    }
}
