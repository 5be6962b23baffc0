//! The machine's own namespace: what a plan must not do there, because somebody else would lose by it.

use std::collections::BTreeMap;

use super::Layout;
use super::planner::Planner;
use super::stages::Conflict;
use super::step::{Action, Sysctl};
use crate::model::{Domain, Family};

/// Lets IPv4 packets go from any interface to any other.
const IPV4_FORWARDING: &str = "net/ipv4/ip_forward";

/// The same for IPv6. The kernel takes a host that forwards for a router: it drops the default routes that it learned from
/// router advertisements, and learns no more, except by interfaces with `accept_ra` 2.
pub const IPV6_FORWARDING: &str = "net/ipv6/conf/all/forwarding";

/// What those two do, for people.
pub(super) const FORWARDING_MEANS: &str = "forwarding = true: every interface of the machine forwards, and IPv6 heeds router advertisements only where accept_ra=2";

/// The sysctls of the whole machine that `[domain.host]` asks for: none unless it is to forward. A link alone cannot forward:
/// what counts is the setting of the interface that a packet comes in by, for IPv6 even the machine's as a whole.
pub(super) fn sysctls(host: &Domain) -> BTreeMap<String, String> {
    let wanted = |family| host.forwarding && host.families.contains(family);
    let keys = [(Family::Ipv4, IPV4_FORWARDING), (Family::Ipv6, IPV6_FORWARDING)];
    keys.into_iter().filter(|(family, _)| wanted(*family)).map(|(_, key)| (key.to_owned(), "1".to_owned())).collect()
}

/// Whether a sysctl makes a router of the machine. Setting it for one interface is enough for the kernel to drop the routes
/// of all.
pub(super) fn makes_forward(sysctl: &Sysctl) -> bool {
    let key = &sysctl.key;
    key.starts_with("net/ipv6/conf/") && key.ends_with("/forwarding") && sysctl.value == "1"
}

impl Planner<'_> {
    /// What the planned steps would take from others in the host.
    pub(super) fn host_conflicts(&mut self) {
        let host = Layout::host();
        let Some(wanted) = self.desired.domains.get(&host) else { return };
        let turns_on = |action: &Action| match action {
            Action::SetSysctls { values, .. } => values.iter().any(makes_forward),
            _ => false,
        };
        let planned =
            |wanted: &dyn Fn(&Action) -> bool| self.steps().any(|step| step.domain == host && wanted(&step.action));
        let found = &self.observed.host;
        let mut conflicts = Vec::new();
        if planned(&turns_on) {
            let lost = |interface: &String| Conflict::LosesDefaultRoute {
                interface: interface.clone(),
                origin: wanted.origin,
            };
            conflicts.extend(found.advertised.iter().map(lost));
        }
        if planned(&Action::starts_core) {
            let taken = |found: &String| Conflict::RoutedByOthers { found: found.clone(), origin: wanted.origin };
            conflicts.extend(found.routed_by.iter().map(taken));
        }
        self.conflicts.extend(conflicts);
    }
}
