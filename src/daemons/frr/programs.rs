//! Which programs FRR is in one domain, and how they are started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::{Command, DaemonError, Place};
use crate::model::Program;

/// `sockaddr_un` has room for this many bytes and a NUL; FRR cuts a longer path off without a word.
const LONGEST_SOCKET: usize = 107;
/// How many descriptors a daemon may have. Its tables are as long as that, and 8 GiB where nothing limits it.
const DESCRIPTORS: &str = "4096";
/// How long zebra leaves the routes of the one before it alone, in seconds.
const KEEP_ROUTES: &str = "-K60";
/// zebra's receive buffer for what the kernel tells: it does not ask again when it has missed something.
const NETLINK_BUFFER: &str = "90000000";

/// What there is in a domain, by the vty of bgpd, which stands for all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sockets {
    pub(super) bgpd: PathBuf,
    pub(super) zebra: PathBuf,
}

impl Sockets {
    pub(super) fn beside(bgpd: &Path) -> Self {
        Self { bgpd: bgpd.to_owned(), zebra: bgpd.with_file_name("zebra.vty") }
    }

    pub(super) fn of(&self, program: Program) -> &Path {
        if program == Program::Zebra { &self.zebra } else { &self.bgpd }
    }
}

/// How a program is started.
///
/// Without `-u` and `-g` they become `frr`, and everything that they make is that user's: the directory of the sockets must be
/// too. `-N` is not used, because it is a name below `/run/frr` and cannot lead elsewhere.
pub(super) fn command(home: &Path, program: Program, place: &Place, recovering: bool) -> Result<Command, DaemonError> {
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
    args.extend(["-i".into(), directory.join(format!("{name}.pid")).into(), "-z".into(), zserv.into()]);
    args.extend(["-f".into(), place.config(program).into()]);
    if program == Program::Zebra {
        args.extend(["-s".into(), NETLINK_BUFFER.into()]);
        args.extend(recovering.then(|| KEEP_ROUTES.into()));
    }
    Ok(Command { program: home.join(name), args })
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
        let words = |program: Program| {
            let command = command(Path::new("/usr/lib/frr"), program, &place, true).expect("the paths are short");
            let args = command.args.iter().map(|word| word.to_string_lossy().into_owned());
            format!("{} {}", command.program.display(), args.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(
            words(Program::Zebra),
            "/usr/lib/frr/zebra -P 0 --log stdout --limit-fds 4096 --vty_socket /run/rdsup/private/frr \
             -i /run/rdsup/private/frr/zebra.pid -z /run/rdsup/private/frr/zserv.api -f /run/rdsup/private/zebra.conf \
             -s 90000000 -K60"
        );
        assert_eq!(
            words(Program::Bgpd),
            "/usr/lib/frr/bgpd -P 0 --log stdout --limit-fds 4096 --vty_socket /run/rdsup/private/frr \
             -i /run/rdsup/private/frr/bgpd.pid -z /run/rdsup/private/frr/zserv.api -f /run/rdsup/private/bgpd.conf"
        );
    }

    #[test]
    fn a_directory_whose_sockets_frr_would_cut_off_is_refused() {
        let place = Place::in_directory(DaemonKind::Frr, &Path::new("/run").join("x".repeat(90)));
        let error = command(Path::new("/usr/lib/frr"), Program::Bgpd, &place, false).expect_err("it is too long");
        assert!(error.to_string().contains("at most 107"), "{error}");
    }
}
