//! Which routing daemons start, stop, or are told something.

use super::desired::{DesiredDaemon, DesiredDomain};
use super::observed::{ObservedDaemon, ObservedDomain};
use super::planner::Planner;
use super::stages::Stage;
use super::step::Action;
use crate::model::{DomainName, InterfaceName, Program};

impl Planner<'_> {
    pub(super) fn daemon(&mut self, name: &DomainName, wanted: &DesiredDomain, seen: &ObservedDomain) {
        let starts = |daemon: &DesiredDaemon| {
            let (kind, socket) = (daemon.kind, self.layout.socket(name, daemon.kind));
            (Stage::Daemons, Action::StartDaemon { kind, config: daemon.config.clone(), socket })
        };
        let (kind, loaded) = match &seen.daemon {
            ObservedDaemon::Stopped => {
                if let Some((stage, action)) = wanted.daemon.as_ref().map(starts) {
                    self.push(stage, name, wanted.origin, action);
                }
                return;
            }
            ObservedDaemon::Running { kind, loaded, .. } => (*kind, loaded),
        };
        let socket = self.layout.socket(name, kind);
        if wanted.daemon.as_ref().is_none_or(|daemon| daemon.kind != kind) {
            let starts = wanted.daemon.as_ref().map(starts);
            self.push(Stage::StopDaemons, name, wanted.origin, Action::StopDaemon { kind, socket });
            if let Some((stage, action)) = starts {
                self.push(stage, name, wanted.origin, action);
            }
            return;
        }
        let has_read = |program: &Program| {
            let path = self.layout.daemon_config(name, *program);
            let text = wanted.files.iter().find(|file| file.path == path).map(|file| &*file.text);
            loaded.get(program).map(String::as_str) == text
        };
        if !kind.programs().iter().all(has_read) {
            self.push(Stage::Daemons, name, wanted.origin, Action::ReloadDaemon { kind, socket: socket.clone() });
        }
        if lost_source(wanted, seen) {
            let cause = "a source address was gone, and the routes that use it";
            self.push_because(Stage::Daemons, name, wanted.origin, Action::ResyncDaemon { kind, socket }, cause);
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
