//! Where things lie: every path and mark that more than one part of rdsup must agree on.

use std::path::{Path, PathBuf};

use super::FileOwner;
use crate::model::{DaemonKind, DaemonName, DomainName, InterfaceName, Link, Program};

/// The directory of FRR's sockets in that of a domain. It belongs to FRR's user, which must not be able to replace its
/// configuration, so that lies beside it.
const FRR_SOCKETS: &str = "frr";

/// The run directory and the state directory, and what is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Lost at reboot.
    pub run_dir: PathBuf,
    /// Kept over a reboot.
    pub state_dir: PathBuf,
}

impl Layout {
    /// A layout under these two directories.
    pub fn new(run_dir: impl Into<PathBuf>, state_dir: impl Into<PathBuf>) -> Self {
        Self { run_dir: run_dir.into(), state_dir: state_dir.into() }
    }

    /// The name of the machine's own namespace, as a value.
    ///
    /// # Panics
    ///
    /// Never: the name is a constant that is legal.
    pub fn host() -> DomainName {
        DomainName::new(DomainName::HOST).expect("host is a legal domain name")
    }

    /// The supervisor's socket.
    pub fn control_socket(&self) -> PathBuf {
        self.run_dir.join("rdsup.sock")
    }

    /// What rdsup did, as JSON lines.
    pub fn log(&self) -> PathBuf {
        self.run_dir.join("log/rdsup.log")
    }

    /// The pipe for what a program of a domain's daemon says outside its own log. Not in that log's directory: it is the daemon's user's,
    /// who could put anything in our way there.
    pub fn output(&self, name: &DaemonName) -> PathBuf {
        self.run_dir.join(format!("log/{}.{}.pipe", name.domain, name.program.as_str()))
    }

    /// The log that a program of a domain's daemon writes.
    pub fn daemon_log(&self, name: &DaemonName) -> PathBuf {
        self.domain_dir(&name.domain).join(format!("log/{}.log", name.program.as_str()))
    }

    /// What a program's command line has that no other domain's has: the word, and the path after it.
    pub fn hallmark(&self, name: &DaemonName) -> (&'static str, PathBuf) {
        match name.program {
            Program::Bird => ("-s", self.socket(&name.domain, DaemonKind::Bird)),
            Program::Mgmtd | Program::Zebra | Program::Bfdd | Program::Bgpd => {
                ("--vty_socket", self.domain_dir(&name.domain).join(FRR_SOCKETS))
            }
        }
    }

    /// The run directory of one domain.
    pub fn domain_dir(&self, domain: &DomainName) -> PathBuf {
        self.run_dir.join(domain.as_str())
    }

    /// The packet filter of one domain, for people to read.
    pub fn filter(&self, domain: &DomainName) -> PathBuf {
        self.domain_dir(domain).join("rdsup.nft")
    }

    /// The packet filter that is being loaded: if the file is there, a load was cut short.
    pub fn filter_on_its_way(&self, domain: &DomainName) -> PathBuf {
        self.domain_dir(domain).join("rdsup.nft.new")
    }

    /// A packet filter that is stacked on that of one domain while policy changes.
    pub fn stacked_filter(&self, domain: &DomainName, table: &str) -> PathBuf {
        self.domain_dir(domain).join(format!("{table}.nft"))
    }

    /// The sysctls of one domain, for people to read and for `sysctl -p`.
    pub fn sysctls(&self, domain: &DomainName) -> PathBuf {
        self.domain_dir(domain).join("sysctl.conf")
    }

    /// The configuration of a program of a domain's daemon.
    pub fn daemon_config(&self, domain: &DomainName, program: Program) -> PathBuf {
        Self::config_in(&self.domain_dir(domain), program)
    }

    /// The same in a directory that is a domain's.
    pub fn config_in(directory: &Path, program: Program) -> PathBuf {
        directory.join(format!("{}.conf", program.as_str()))
    }

    /// The control socket of a domain's daemon.
    pub fn socket(&self, domain: &DomainName, daemon: DaemonKind) -> PathBuf {
        Self::socket_in(&self.domain_dir(domain), daemon)
    }

    /// The same in a directory that is a domain's.
    pub fn socket_in(directory: &Path, daemon: DaemonKind) -> PathBuf {
        match daemon {
            DaemonKind::Frr => directory.join(FRR_SOCKETS).join("bgpd.vty"),
            DaemonKind::Bird | DaemonKind::None => directory.join(format!("{}.ctl", daemon.as_str())),
        }
    }

    /// What everything run in the domain sees as `/etc/resolv.conf`.
    pub fn resolv_conf(&self, domain: &DomainName) -> PathBuf {
        self.domain_dir(domain).join("resolv.conf")
    }

    /// Everything that was applied, a file each, and the ledger that says which of it is in force.
    pub fn generations(&self) -> PathBuf {
        self.state_dir.join("generations")
    }

    /// What the network that stands was made from.
    pub fn standing(&self) -> PathBuf {
        self.run_dir.join("generation.json")
    }

    /// Where it is kept what claimed interfaces were like before, a file each.
    pub fn interface_records(&self) -> PathBuf {
        self.state_dir.join("interfaces")
    }

    /// What a claimed interface was like before: where that is kept over a reboot, and the copy for when the state directory is
    /// lost meanwhile. No domain has a directory of the copy's name.
    pub fn interface_record(&self, interface: &InterfaceName) -> [PathBuf; 2] {
        [
            self.interface_records().join(format!("{interface}.json")),
            self.run_dir.join(format!("interface.{interface}.json")),
        ]
    }

    /// The directories of a domain with this daemon, with their modes and owners, parents first.
    pub fn directories(&self, domain: &DomainName, daemon: DaemonKind) -> Vec<(PathBuf, u32, FileOwner)> {
        let directory = self.domain_dir(domain);
        let log = (directory.join("log"), 0o750, FileOwner::Daemon(daemon));
        let sockets = (directory.join(FRR_SOCKETS), 0o755, FileOwner::Daemon(daemon));
        let mut directories = vec![(directory, 0o755, FileOwner::Root)];
        match daemon {
            // It rotates its own log, so that directory is its own.
            DaemonKind::Bird | DaemonKind::None => directories.push(log),
            // It makes its sockets as its own user. Its log is ours, which hears it through a pipe.
            DaemonKind::Frr => directories.push(sockets),
        }
        directories
    }

    /// Files that are rendered for some domains and not for others; an old one must go when it is no longer wanted.
    pub fn rendered_files(&self, domain: &DomainName) -> Vec<PathBuf> {
        let configs = Program::ALL.map(|program| self.daemon_config(domain, program));
        configs.into_iter().chain([self.resolv_conf(domain)]).collect()
    }

    /// The alias of a link's interfaces: who made it, and for which link.
    pub fn alias(&self, link: &Link) -> String {
        format!("{}{}", self.alias_prefix(), link.label())
    }

    /// Whether an alias says that the interface belongs to this run directory.
    pub fn is_our_alias(&self, alias: &str) -> bool {
        alias.starts_with(&self.alias_prefix())
    }

    /// The interface that a file of either kind tells of, if it has the name of one.
    pub fn interface_of_record(path: &Path) -> Option<InterfaceName> {
        let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
        let in_records = path.parent().is_some_and(|parent| parent.ends_with("interfaces"));
        let name = if in_records { name } else { name.strip_prefix("interface.")? };
        InterfaceName::new(name).ok()
    }

    fn alias_prefix(&self) -> String {
        format!("rdsup {} link ", self.run_dir.display())
    }
}
