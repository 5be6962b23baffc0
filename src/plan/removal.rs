//! Planning what goes away: links that nothing asks for, claimed interfaces on their way back, whole domains.

use super::observed::{
    InterfaceRecord, NamespaceState, Observed, ObservedDaemon, ObservedDomain, ObservedLink, RouteSpec,
};
use super::planner::Planner;
use super::stages::Stage;
use super::step::Action;
use super::{DesiredDomain, LINK_GROUP, Layout};
use crate::model::{DaemonName, DomainName, InterfaceName, Origin};

impl<'a> Planner<'a> {
    /// Interfaces of ours that nothing asks for any more.
    pub(super) fn obsolete_links(&mut self, name: &DomainName, wanted: &DesiredDomain, seen: &ObservedDomain) {
        for (interface, link) in &seen.links {
            if wanted.interfaces.contains_key(interface) {
                continue;
            }
            if self.is_ours(name, link) {
                self.drop_link(name, interface, link);
            } else if let Some((known_as, record)) = self.record_for(name, interface, link) {
                self.give_back(name, interface, link, (known_as, record));
            }
        }
    }

    /// Whether an interface of a domain is an end of a link that rdsup made. The group alone is no proof: anybody may use it.
    pub(super) fn is_ours(&self, domain: &DomainName, link: &ObservedLink) -> bool {
        let is_marked = link.alias.as_ref().is_some_and(|alias| self.layout.is_our_alias(alias));
        // Its maker died a moment after making it. No link has both ends in the host.
        let into_domain = |(other, _): &(DomainName, InterfaceName)| !(domain.is_host() && other.is_host());
        let is_new = || link.alias.is_none() && link.kind == "veth" && link.peer.as_ref().is_some_and(into_domain);
        link.group == LINK_GROUP && (is_marked || is_new())
    }

    pub(super) fn record_of(
        &self,
        domain: &DomainName,
        interface: &InterfaceName,
        link: &ObservedLink,
    ) -> Option<&'a InterfaceRecord> {
        self.observed.records.get(interface).filter(|record| &record.domain == domain && record.is_about(link))
    }

    /// What tells of an interface that nothing asks for in a domain, and under which name: somebody may have renamed it there.
    fn record_for(
        &self,
        domain: &DomainName,
        interface: &InterfaceName,
        link: &ObservedLink,
    ) -> Option<(&'a InterfaceName, &'a InterfaceRecord)> {
        if let Some(record) = self.record_of(domain, interface, link) {
            return Some((self.observed.records.get_key_value(interface)?.0, record));
        }
        let is_gone = |name: &InterfaceName| {
            !self.end_is_wanted(domain, name)
                && [domain, &Layout::host()].into_iter().all(|it| !self.seen(it).links.contains_key(name))
        };
        let was = |(name, record): &(&InterfaceName, &InterfaceRecord)| {
            &record.domain == domain && record.hardware == link.hardware && is_gone(name)
        };
        let renamed = link.hardware.is_some() && outlives_its_namespace(interface, link);
        self.observed.records.iter().find(|it| renamed && was(it))
    }

    pub(super) fn drop_link(&mut self, domain: &DomainName, interface: &InterfaceName, link: &ObservedLink) {
        if link.up {
            self.push(Stage::Unlink, domain, Origin::default(), Action::SetDown { name: interface.clone() });
        }
        // The other end goes with it: deleting both would fail half of the time.
        let first = link.peer.as_ref().is_none_or(|(peer_domain, peer_name)| {
            let removed_there = self
                .seen(peer_domain)
                .links
                .get(peer_name)
                .is_some_and(|peer| self.is_ours(peer_domain, peer) && !self.end_is_wanted(peer_domain, peer_name));
            !removed_there || (domain, interface) < (peer_domain, peer_name)
        });
        if first {
            self.push(Stage::RemoveLinks, domain, Origin::default(), Action::RemoveLink { name: interface.clone() });
        }
    }

    pub(super) fn end_is_wanted(&self, domain: &DomainName, interface: &InterfaceName) -> bool {
        self.desired.domains.get(domain).is_some_and(|wanted| wanted.interfaces.contains_key(interface))
    }

    /// A claimed interface goes back to the host and gets there what it had, under the name that it has now. The record has
    /// the one that it had then.
    fn give_back(
        &mut self,
        domain: &DomainName,
        name: &InterfaceName,
        link: &ObservedLink,
        (known_as, record): (&InterfaceName, &InterfaceRecord),
    ) {
        let none = Origin::default();
        if link.up {
            self.push(Stage::Unlink, domain, none, Action::SetDown { name: name.clone() });
        }
        let cause = (name != known_as).then(|| format!("it was {known_as} when it was claimed"));
        let back = Action::ReturnInterface { name: name.clone() };
        self.push_if_because(Stage::RemoveLinks, domain, none, back, cause.as_deref());
        self.restore(name, known_as, record);
    }

    /// An interface that somebody put here, or whose record is lost. It would go down with the namespace; in the host it is
    /// at least there.
    fn give_back_bare(&mut self, domain: &DomainName, name: &InterfaceName, link: &ObservedLink) {
        let none = Origin::default();
        if link.up {
            self.push(Stage::Unlink, domain, none, Action::SetDown { name: name.clone() });
        }
        let cause = "no record tells what it had in the host";
        self.push_because(Stage::RemoveLinks, domain, none, Action::ReturnInterface { name: name.clone() }, cause);
        self.bare.push(name.clone());
    }

    fn restore(&mut self, name: &InterfaceName, known_as: &InterfaceName, record: &InterfaceRecord) {
        let none = Origin::default();
        let host = Layout::host();
        let stage = Stage::Restore;
        self.push(stage, &host, none, Action::SetMtu { name: name.clone(), mtu: record.mtu });
        for address in &record.addresses {
            self.push(stage, &host, none, Action::AddAddress { name: name.clone(), address: *address });
        }
        if record.up {
            self.push(stage, &host, none, Action::SetUp { name: name.clone() });
            for route in &record.routes {
                let dev = route.dev.as_ref().map(|_| name.clone());
                self.push(stage, &host, none, Action::AddRoute(RouteSpec { dev, ..route.clone() }));
            }
        }
        for path in self.layout.interface_record(known_as) {
            self.push(stage, &host, none, Action::RemovePath { path });
        }
    }

    /// A domain of ours that nothing asks for any more.
    pub(super) fn remove_domain(&mut self, name: &DomainName, seen: &'a ObservedDomain) {
        let none = Origin::default();
        if let ObservedDaemon::Running { kind, programs, .. } = &seen.daemon {
            let (kind, programs, socket) = (*kind, programs.clone(), self.layout.socket(name, *kind));
            self.push(Stage::StopDaemons, name, none, Action::StopDaemon { kind, programs, socket });
        }
        if name.is_host() {
            for (interface, link) in &seen.links {
                if self.is_ours(name, link) {
                    self.drop_link(name, interface, link);
                }
            }
            self.restore_returned();
            // Of the routes only their number says whose they are, and every rdsup has the same.
            let is_anothers = matches!(seen.namespace, NamespaceState::Foreign(_));
            let had_routes = seen.filter.is_some() || seen.directory;
            for route in seen.routes.iter().filter(|_| had_routes && !is_anothers) {
                // Routes through links go with the links; one through an interface of the machine's own stays.
                let through_link =
                    route.dev.as_ref().and_then(|dev| seen.links.get(dev)).is_some_and(|it| self.is_ours(name, it));
                if !through_link {
                    self.push(Stage::RemoveDomains, name, none, Action::RemoveRoute(route.clone()));
                }
            }
            if !seen.stacked.is_empty() {
                let action = Action::UnstackFilters { tables: seen.stacked.clone() };
                self.push(Stage::RemoveDomains, name, none, action);
            }
            if seen.filter.is_some() {
                self.push(Stage::RemoveDomains, name, none, Action::RemoveFilter);
            }
        } else if seen.namespace.is_ours() {
            for (interface, link) in &seen.links {
                if self.is_ours(name, link) {
                    self.drop_link(name, interface, link);
                } else if let Some((known_as, record)) = self.record_for(name, interface, link) {
                    self.give_back(name, interface, link, (known_as, record));
                } else if outlives_its_namespace(interface, link) {
                    self.give_back_bare(name, interface, link);
                }
            }
            self.push(Stage::RemoveDomains, name, none, Action::RemoveNamespace);
        } else if seen.namespace == NamespaceState::Absent && seen.directory {
            // A stop that was killed a moment ago may have left the name, as a plain file.
            self.push(Stage::RemoveDomains, name, none, Action::RemoveNamespace);
        }
        if seen.directory {
            // The directory last: by that a domain is found whose removal was cut short.
            let outputs = DaemonName::all_of(name).map(|program| self.layout.output(&program));
            for path in outputs.into_iter().chain([self.layout.domain_dir(name)]) {
                self.push(Stage::RemoveDomains, name, none, Action::RemovePath { path });
            }
        }
    }

    /// An interface that is back in the host although a record says that it was claimed: its namespace went away under it,
    /// or a stop was interrupted. It gets back what it had.
    pub(super) fn restore_returned(&mut self) {
        let host = self.seen(&Layout::host());
        let returned: Vec<(&InterfaceName, &InterfaceRecord)> = self
            .observed
            .records
            .iter()
            .filter(|(name, record)| {
                let elsewhere = self.seen(&record.domain).links.contains_key(*name);
                let is_back = host.links.get(*name).is_some_and(|link| record.is_about(link));
                is_back && !elsewhere && !self.end_is_wanted(&record.domain, name)
            })
            .collect();
        for (name, record) in returned {
            self.restore(name, name, record);
        }
    }
}

/// Interfaces of which something is remembered and that are neither in the host nor in the domain that claimed them: under its
/// name there may be another one.
pub fn lost_interfaces(observed: &Observed) -> Vec<(&InterfaceName, &InterfaceRecord)> {
    let is_in = |domain: &DomainName, name: &InterfaceName, record: &InterfaceRecord| {
        observed.domains.get(domain).is_some_and(|seen| {
            // What is in a foreign namespace is not known.
            (!domain.is_host() && matches!(seen.namespace, NamespaceState::Foreign(_)))
                || seen.links.get(name).is_some_and(|link| record.is_about(link))
        })
    };
    let is_lost = |(name, record): &(&InterfaceName, &InterfaceRecord)| {
        !is_in(&Layout::host(), name, record) && !is_in(&record.domain, name, record)
    };
    observed.records.iter().filter(is_lost).collect()
}

/// Hardware, or a veth whose other end is in none of our domains. What else is in a namespace was made in it.
fn outlives_its_namespace(name: &InterfaceName, link: &ObservedLink) -> bool {
    match link.kind.as_str() {
        "" => name != &InterfaceName::loopback(),
        "veth" => link.peer.is_none(),
        _ => false,
    }
}
