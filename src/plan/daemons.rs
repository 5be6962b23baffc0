//! Which routing daemons start, stop, or are told something.

use super::desired::DesiredDomain;
use super::observed::{ObservedDaemon, ObservedDomain};
use super::planner::Planner;
use super::stages::Stage;
use super::step::Action;
use crate::model::{DaemonKind, DomainName, InterfaceName};

impl Planner<'_> {
    pub(super) fn daemon(&mut self, name: &DomainName, wanted: &DesiredDomain, seen: &ObservedDomain) {
        let socket = self.layout.socket(name, DaemonKind::Bird);
        match (&wanted.daemon, &seen.daemon) {
            (Some(daemon), ObservedDaemon::Stopped) => {
                let action = Action::StartDaemon { config: daemon.config.clone(), socket };
                self.push(Stage::Daemons, name, wanted.origin, action);
            }
            (Some(daemon), ObservedDaemon::Running { config, .. }) => {
                let text = wanted.files.iter().find(|file| file.path == daemon.config).map(|file| &*file.text);
                if config.as_deref() != text {
                    let action = Action::ReloadDaemon { socket: socket.clone() };
                    self.push(Stage::Daemons, name, wanted.origin, action);
                }
                if lost_source(wanted, seen) {
                    let cause = "a source address was gone, and the routes that use it";
                    let action = Action::ResyncDaemon { socket };
                    self.push_because(Stage::Daemons, name, wanted.origin, action, cause);
                }
            }
            (None, ObservedDaemon::Running { .. }) => {
                self.push(Stage::StopDaemons, name, wanted.origin, Action::StopDaemon { socket });
            }
            (None, ObservedDaemon::Stopped) => {}
        }
    }
}

/// Whether the domain lacks an address that its routes have as their source.
fn lost_source(wanted: &DesiredDomain, seen: &ObservedDomain) -> bool {
    let lo = InterfaceName::loopback();
    let Some(wanted) = wanted.interfaces.get(&lo) else { return false };
    let there = seen.links.get(&lo).map(|link| &link.addresses);
    there.is_none_or(|there| !wanted.addresses.is_subset(there))
}
