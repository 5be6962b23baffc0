//! Which routing daemons start, stop, or are told something.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ipnet::IpNet;

use super::desired::{DesiredDaemon, DesiredDomain};
use super::observed::{ObservedDaemon, ObservedDomain};
use super::planner::Planner;
use super::stages::Stage;
use super::step::Action;
use crate::model::{DomainName, InterfaceName, Program};

impl Planner<'_> {
    pub(super) fn daemon(&mut self, name: &DomainName, wanted: &DesiredDomain, seen: &ObservedDomain) {
        let layout = self.layout;
        let start = |daemon: &DesiredDaemon, programs: BTreeSet<Program>| {
            let (kind, config) = (daemon.kind, daemon.config.clone());
            Action::StartDaemon { kind, programs, config, socket: layout.socket(name, kind) }
        };
        let whole = wanted.daemon.as_ref().map(|daemon| start(daemon, daemon.programs.clone()));
        let (kind, running, loaded) = match &seen.daemon {
            ObservedDaemon::Stopped => {
                if let Some(action) = whole {
                    self.push(Stage::Daemons, name, wanted.origin, action);
                }
                return;
            }
            ObservedDaemon::Running { kind, programs, loaded, .. } => (*kind, programs, loaded),
        };
        let socket = self.layout.socket(name, kind);
        let Some(daemon) = wanted.daemon.as_ref().filter(|daemon| daemon.kind == kind) else {
            let programs = running.clone();
            self.push(Stage::StopDaemons, name, wanted.origin, Action::StopDaemon { kind, programs, socket });
            if let Some(action) = whole {
                self.push(Stage::Daemons, name, wanted.origin, action);
            }
            return;
        };
        // What the others are to be told may need it.
        let programs: BTreeSet<Program> = daemon.programs.difference(running).copied().collect();
        if !programs.is_empty() {
            self.push(Stage::Daemons, name, wanted.origin, start(daemon, programs));
        }
        let has_read = |program: &Program| {
            let path = self.layout.daemon_config(name, *program);
            let text = wanted.files.iter().find(|file| file.path == path).map(|file| &*file.text);
            loaded.get(program).map(String::as_str) == text
        };
        let others = daemon.programs.intersection(running).filter(|program| !has_read(program));
        let programs: BTreeSet<Program> = others.copied().collect();
        if !programs.is_empty() {
            let action = Action::ReloadDaemon { kind, programs, socket: socket.clone() };
            // zebra reads of its source itself, or is told by mgmtd.
            let kept = [Program::Mgmtd, Program::Zebra].into_iter().find_map(|program| {
                kept_source(loaded.get(&program)?, &layout.daemon_config(name, program), wanted, seen)
            });
            match kept {
                Some(kept) => self.push_because(Stage::Daemons, name, wanted.origin, action, &kept),
                None => self.push(Stage::Daemons, name, wanted.origin, action),
            }
        }
        if lost_source(wanted, seen) {
            let cause = "a source address was gone, and the routes that use it";
            let socket = socket.clone();
            self.push_because(Stage::Daemons, name, wanted.origin, Action::ResyncDaemon { kind, socket }, cause);
        }
        // After the others have been told that they must do without.
        let programs: BTreeSet<Program> = running.difference(&daemon.programs).copied().collect();
        if !programs.is_empty() {
            self.push(Stage::Daemons, name, wanted.origin, Action::StopDaemon { kind, programs, socket });
        }
    }
}

/// Which source IPv4 routes with an IPv6 next hop keep although the file names another loopback address first. zebra sets none at
/// them, and the kernel takes the address that it got first of those that are left.
fn kept_source(loaded: &str, path: &Path, wanted: &DesiredDomain, seen: &ObservedDomain) -> Option<String> {
    let source = |text: &str| -> Option<IpNet> {
        let sources = text.lines().filter_map(|line| line.trim().strip_prefix("set src "));
        sources.filter_map(|word| word.parse::<Ipv4Addr>().ok()).map(|address| IpAddr::from(address).into()).next()
    };
    let file = wanted.files.iter().find(|file| file.path == path)?;
    let (old, new) = (source(loaded)?, source(&file.text)?);
    let lo = InterfaceName::loopback();
    let (wanted, there) = (&wanted.interfaces.get(&lo)?.addresses, &seen.links.get(&lo)?.addresses);
    (old != new && wanted.contains(&old) && there.contains(&old)).then(|| {
        format!(
            "IPv4 over links without addresses keeps {} as its source until the network is stopped and started",
            old.addr()
        )
    })
}

/// Whether the domain lacks an address that its routes have as their source.
fn lost_source(wanted: &DesiredDomain, seen: &ObservedDomain) -> bool {
    let lo = InterfaceName::loopback();
    let Some(wanted) = wanted.interfaces.get(&lo) else { return false };
    let there = seen.links.get(&lo).map(|link| &link.addresses);
    there.is_none_or(|there| !wanted.addresses.is_subset(there))
}
