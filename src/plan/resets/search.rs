//! From steps and configurations to reasons, session by session.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::reason::LEFTOVERS;
use super::{About, Configured, Found, Key, Reason, SessionEnd, Sessions, bird, frr};
use crate::model::{DaemonKind, DomainName, InterfaceName};
use crate::plan::{Action, Desired, Observed, ObservedDaemon, ObservedDomain, Plan, RouteSpec, VethEnd};

pub(super) struct Search<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    plan: &'a Plan,
    sessions: &'a Sessions,
    found: BTreeMap<Key, Found>,
}

impl<'a> Search<'a> {
    pub(super) fn new(desired: &'a Desired, observed: &'a Observed, plan: &'a Plan, sessions: &'a Sessions) -> Self {
        Self { desired, observed, plan, sessions, found: BTreeMap::new() }
    }

    pub(super) fn run(mut self) -> BTreeMap<Key, Found> {
        for (name, domain) in &self.observed.domains {
            if let ObservedDaemon::Running { kind, loaded, leftovers, .. } = &domain.daemon {
                let config = kind.speaker().and_then(|speaker| loaded.get(&speaker));
                self.domain(name, domain, *kind, config.map(String::as_str), *leftovers);
            }
        }
        self.found
    }

    fn domain(
        &mut self,
        name: &DomainName,
        seen: &ObservedDomain,
        kind: DaemonKind,
        config: Option<&str>,
        leftovers: bool,
    ) {
        let wanted = self.desired.domains.get(name);
        let daemon = wanted.and_then(|wanted| wanted.daemon.as_ref());
        let next = daemon.filter(|daemon| daemon.kind == kind).and_then(|daemon| {
            let files = wanted.into_iter().flat_map(|wanted| &wanted.files);
            files.into_iter().find(|file| file.path == daemon.config).map(|file| &*file.text)
        });
        let steps: Vec<&Action> =
            self.plan.steps().filter(|step| &step.domain == name).map(|step| &step.action).collect();
        let reloads = steps.iter().any(|action| matches!(action, Action::ReloadDaemon { .. }));
        let leaves = steps.iter().any(|action| action.stops_core() || matches!(action, Action::RemoveNamespace));
        let lost = self.lost_interfaces(name);
        let is_touched = reloads || leaves || !lost.is_empty() || steps.iter().any(|action| takes_away(action));
        // Reading a configuration takes longer than everything else here.
        if !is_touched {
            return;
        }
        let Some(there) = config.or(next).and_then(|text| configured(kind, text)) else {
            return self.everything(name, "what its daemon last loaded cannot be read");
        };
        for session in &there {
            if leaves {
                let words = match wanted.map(|domain| domain.daemon.is_some()) {
                    Some(true) => "the domain gets another routing daemon",
                    Some(false) => "the domain no longer runs a routing daemon",
                    None => "the domain goes",
                };
                self.note(name, session, Reason::surely(About::Domain, words));
            }
            for reason in self.carrier(name, seen, session, &lost, &steps) {
                self.note(name, session, reason);
            }
        }
        if !reloads {
            return;
        }
        let Some(text) = config else {
            for session in &there {
                self.note(name, session, Reason::maybe("what its daemon last loaded is not known"));
            }
            return;
        };
        // One that took over from one that died begins again if it is to refuse what that one left in the kernel. What of it is
        // there nobody knows, so this is said of every change.
        for session in there.iter().filter(|_| leftovers) {
            self.note(name, session, Reason::maybe(LEFTOVERS));
        }
        let known = |protocol: &str| self.sessions.get(name).and_then(|sessions| sessions.get(protocol));
        let is_ours = |session: &Configured| self.peer(name, session).is_some();
        let changes = next.and_then(|next| match kind {
            DaemonKind::Bird => bird::changes(text, next, known, is_ours),
            DaemonKind::Frr => Some(frr::changes(text, next, known, is_ours)),
            DaemonKind::None => None,
        });
        match changes {
            None => self.everything(name, "its new configuration cannot be read"),
            Some(changes) => {
                for (session, reasons) in changes {
                    for reason in reasons {
                        self.note(name, &session, reason);
                    }
                }
            }
        }
    }

    /// Interfaces of a domain that the plan takes down, removes or gives back, with the reason.
    fn lost_interfaces(&self, domain: &DomainName) -> BTreeMap<InterfaceName, &'static str> {
        let mut lost = BTreeMap::new();
        let renamed: BTreeMap<(&DomainName, &InterfaceName), &InterfaceName> = self
            .plan
            .steps()
            .filter_map(|step| match &step.action {
                Action::RenameLink { from, to } => Some(((&step.domain, from), to)),
                _ => None,
            })
            .collect();
        for step in self.plan.steps() {
            let (Action::RenameLink { from: name, .. }
            | Action::SetDown { name }
            | Action::RemoveLink { name }
            | Action::ReturnInterface { name }) = &step.action
            else {
                continue;
            };
            let link = self.observed.domains.get(&step.domain).and_then(|seen| seen.links.get(name));
            let other = link
                .and_then(|link| link.peer.as_ref())
                .filter(|_| !matches!(step.action, Action::ReturnInterface { .. }));
            let own = (&step.domain == domain).then_some(name);
            let others = other.filter(|(at, _)| at == domain).map(|(_, name)| name);
            let gets_name = renamed.contains_key(&(&step.domain, name));
            for interface in own.into_iter().chain(others) {
                let stays =
                    self.desired.domains.get(domain).is_some_and(|wanted| wanted.interfaces.contains_key(interface));
                let why = match (gets_name, stays) {
                    (true, _) => "its link gets its name again",
                    (false, true) => "its link is made anew",
                    (false, false) => "its link goes",
                };
                lost.insert(interface.clone(), why);
                // Sessions are bound to the name that it gets; its addresses were seen under the one that it has.
                if let Some(to) = renamed.get(&(domain, interface)) {
                    lost.insert((*to).clone(), why);
                }
            }
        }
        lost
    }

    /// What the plan does to whatever carries a session.
    fn carrier(
        &self,
        domain: &DomainName,
        seen: &ObservedDomain,
        session: &Configured,
        lost: &BTreeMap<InterfaceName, &'static str>,
        steps: &[&Action],
    ) -> Vec<Reason> {
        let mut reasons = Vec::new();
        for (interface, words) in lost {
            let bound = session.interface.as_deref() == Some(interface.as_str());
            let addresses = || seen.links.get(interface).into_iter().flat_map(|link| &link.addresses);
            let through = |address: &IpNet| {
                session.local == Some(address.addr())
                    || !session.multihop && session.neighbor.is_some_and(|neighbor| address.contains(&neighbor))
            };
            if bound || session.interface.is_none() && addresses().any(through) {
                let words = if self.peer(domain, session).is_some() {
                    (*words).to_owned()
                } else {
                    format!("the interface {interface} goes")
                };
                reasons.push(Reason::surely(About::Carrier, &words));
            }
        }
        for action in steps {
            match action {
                Action::RemoveAddress { name, address } if session.local.is_some() => {
                    // A link-local address is one of many of its kind: every link has the same two.
                    let here = session.interface.as_deref().is_none_or(|bound| bound == name.as_str());
                    if here && session.local == Some(address.addr()) {
                        reasons.push(Reason::surely(About::Carrier, &format!("the address {address} goes")));
                    }
                }
                Action::RemoveAddress { address, .. }
                    if session.multihop && self.may_speak_from(domain, session, address.addr()) =>
                {
                    reasons.push(Reason::maybe(&format!("the address {address} goes, from which it may speak")));
                }
                Action::RemoveRoute(route)
                    if session.multihop && session.neighbor.is_some_and(|it| self.loses_way(domain, route, it)) =>
                {
                    reasons.push(Reason::maybe(&format!("the route to {}, which leads to it, goes", route.to)));
                }
                _ => {}
            }
        }
        reasons
    }

    /// Whether a session whose own address the kernel chose may have got this one.
    fn may_speak_from(&self, domain: &DomainName, session: &Configured, address: IpAddr) -> bool {
        let known = self.sessions.get(domain).and_then(|sessions| sessions.get(&session.protocol)?.source);
        let same_family = session.neighbor.is_some_and(|neighbor| neighbor.is_ipv4() == address.is_ipv4());
        known.map_or(same_family, |known| known == address)
    }

    /// Whether a route that goes is the way to a neighbor, and no other that is as narrow stays.
    fn loses_way(&self, domain: &DomainName, route: &RouteSpec, neighbor: IpAddr) -> bool {
        let leads = |other: &RouteSpec| other.to.contains(&neighbor) && other.to.prefix_len() >= route.to.prefix_len();
        let stay = self.desired.domains.get(domain).map(|wanted| &wanted.routes);
        leads(route) && !stay.into_iter().flatten().any(leads)
    }

    /// The domain and interface at the other end, for the session of a link.
    fn peer(&self, domain: &DomainName, session: &Configured) -> Option<(DomainName, InterfaceName)> {
        let interface = session.interface.as_deref().or_else(|| self.numbered(domain, session))?;
        // Another session over the same link, from the admin's own lines, is no second end of the link's own.
        if session.name != interface {
            return None;
        }
        let seen = self.observed.domains.get(domain).and_then(|seen| seen.links.get(interface));
        seen.and_then(|link| link.peer.clone()).or_else(|| {
            self.desired.veths.iter().find_map(|veth| {
                let [first, second] = &veth.ends;
                let is_end = |end: &VethEnd| &end.domain == domain && end.interface.as_str() == interface;
                let other = if is_end(first) { second } else { Some(first).filter(|_| is_end(second))? };
                Some((other.domain.clone(), other.interface.clone()))
            })
        })
    }

    /// The interface that a session has the name and the own address of: so FRR's say of which numbered link they are.
    fn numbered<'s>(&self, domain: &DomainName, session: &'s Configured) -> Option<&'s str> {
        let (name, local) = (session.name.as_str(), session.local?);
        let seen = self.observed.domains.get(domain).and_then(|seen| Some(&seen.links.get(name)?.addresses));
        let wanted = self.desired.domains.get(domain).and_then(|wanted| Some(&wanted.interfaces.get(name)?.addresses));
        let there = seen.into_iter().chain(wanted).flatten().any(|address| address.addr() == local);
        there.then_some(name)
    }

    fn note(&mut self, domain: &DomainName, session: &Configured, reason: Reason) {
        let name = session.name.clone();
        let end = SessionEnd { domain: domain.clone(), session: name.clone() };
        let (key, peer) = match self.peer(domain, session) {
            Some((other, interface)) => {
                let peer = other.to_string();
                let other = SessionEnd { domain: other, session: interface.to_string() };
                (if end < other { (end, Some(other)) } else { (other, Some(end)) }, peer)
            }
            None => ((end, None), name),
        };
        self.add(key, peer, domain, reason);
    }

    fn add(&mut self, key: Key, peer: String, domain: &DomainName, reason: Reason) {
        let found = self.found.entry(key).or_insert_with(|| Found { peer, reasons: Vec::new() });
        found.reasons.push((domain.clone(), reason));
    }

    fn everything(&mut self, domain: &DomainName, why: &str) {
        let end = SessionEnd { domain: domain.clone(), session: "(every session)".to_owned() };
        self.add((end, None), "everybody".to_owned(), domain, Reason::maybe(why));
    }
}

/// The sessions of a daemon's configuration.
fn configured(kind: DaemonKind, text: &str) -> Option<Vec<Configured>> {
    match kind {
        DaemonKind::Bird => bird::sessions(text),
        DaemonKind::Frr => Some(frr::sessions(text)),
        DaemonKind::None => Some(Vec::new()),
    }
}

/// Whether a step may take away what a session needs, interfaces apart.
fn takes_away(action: &Action) -> bool {
    matches!(action, Action::RemoveAddress { .. } | Action::RemoveRoute(_))
}
