//! The difference between what should be there and what is, as ordered steps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::desired::{Desired, DesiredDomain, DesiredInterface, DesiredVeth, InterfaceKind, VethEnd};
use super::host::FORWARDING_MEANS;
use super::observed::{
    InterfaceRecord, NamespaceState, Observed, ObservedDaemon, ObservedDomain, ObservedLink, RouteSpec,
};
use super::renamed::{Renamed, righted};
use super::stages::{Conflict, Missing, Plan, Stage};
use super::step::{Action, Step, Sysctl};
use super::{FileOwner, Layout};
use crate::model::{DaemonKind, DomainName, InterfaceName, Origin};

/// Computes what leads from `observed` to `desired`. An empty `desired` takes everything down.
///
/// # Errors
///
/// Everything that stands in the way; nothing may be done then.
pub fn plan(desired: &Desired, observed: &Observed, layout: &Layout) -> Result<Plan, Vec<Conflict>> {
    let (observed, renamed) = righted(desired, observed);
    let planner = Planner::new(desired, &observed, layout, &renamed);
    if planner.conflicts.is_empty() { Ok(planner.plan()) } else { Err(planner.conflicts) }
}

pub(super) struct Planner<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    pub(super) layout: &'a Layout,
    /// Whether filters that change are stacked on the old ones first.
    pub(super) stack: bool,
    /// Ends of links that have something of others in the way, at this end or at the other.
    pub(super) blocked: BTreeSet<VethEnd>,
    pub(super) steps: Vec<(Stage, Step)>,
    missing: Vec<Missing>,
    pub(super) bare: Vec<InterfaceName>,
    unkept: Vec<(InterfaceName, BTreeSet<String>)>,
    pub(super) conflicts: Vec<Conflict>,
}

/// Stands for what is known of a domain that was not observed.
static NOTHING: ObservedDomain = ObservedDomain::absent();

impl<'a> Planner<'a> {
    /// Has planned everything, whatever stands in the way.
    pub(super) fn new(desired: &'a Desired, observed: &'a Observed, layout: &'a Layout, renamed: &[Renamed]) -> Self {
        let mut planner = Self {
            desired,
            observed,
            layout,
            stack: false,
            blocked: BTreeSet::new(),
            steps: Vec::new(),
            missing: Vec::new(),
            bare: Vec::new(),
            unkept: Vec::new(),
            conflicts: Vec::new(),
        };
        planner.stack = planner.must_stack();
        planner.blocked = planner.blocked_ends();
        planner.give_names(renamed);
        for (name, domain) in &observed.domains {
            if !desired.domains.contains_key(name) {
                planner.remove_domain(name, domain);
            }
        }
        for (name, domain) in &desired.domains {
            planner.domain(name, domain);
        }
        for veth in &desired.veths {
            planner.veth(veth);
        }
        planner.remember();
        planner.host_conflicts();
        planner
    }

    pub(super) fn plan(mut self) -> Plan {
        // A stable sort: within a stage and a domain the order of planning is the order of doing.
        self.steps.sort_by_key(|(stage, _)| *stage);
        Plan { steps: self.steps, missing: self.missing, bare: self.bare, unkept: self.unkept }
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().map(|(_, step)| step)
    }

    pub(super) fn push(&mut self, stage: Stage, domain: &DomainName, origin: Origin, action: Action) {
        self.steps.push((stage, Step { domain: domain.clone(), action, cause: None, origin }));
    }

    pub(super) fn push_because(
        &mut self,
        stage: Stage,
        domain: &DomainName,
        origin: Origin,
        action: Action,
        cause: &str,
    ) {
        self.push_if_because(stage, domain, origin, action, Some(cause));
    }

    pub(super) fn push_if_because(
        &mut self,
        stage: Stage,
        domain: &DomainName,
        origin: Origin,
        action: Action,
        cause: Option<&str>,
    ) {
        let cause = cause.map(str::to_owned);
        self.steps.push((stage, Step { domain: domain.clone(), action, cause, origin }));
    }

    pub(super) fn seen(&self, domain: &DomainName) -> &'a ObservedDomain {
        self.observed.domains.get(domain).unwrap_or(&NOTHING)
    }

    /// A domain that should be there.
    fn domain(&mut self, name: &DomainName, wanted: &DesiredDomain) {
        let seen = self.seen(name);
        if let NamespaceState::Foreign(found) = &seen.namespace {
            let (domain, found, origin) = (name.clone(), found.clone(), wanted.origin);
            self.conflicts.push(if name.is_host() {
                Conflict::HostTaken { run_dir: found.into(), origin }
            } else {
                Conflict::ForeignNamespace { domain, found, origin }
            });
            return;
        }
        self.files(name, wanted, seen);
        self.namespace(name, wanted, seen);
        self.obsolete_links(name, wanted, seen);
        for (interface, spec) in &wanted.interfaces {
            self.interface(name, interface, spec, seen);
        }
        for route in seen.routes.difference(&wanted.routes) {
            self.push(Stage::Routes, name, Origin::default(), Action::RemoveRoute(route.clone()));
        }
        // A link that is taken down and up again, or replaced, loses its routes, and so does an interface with its last
        // address; they are added whenever the interface is not already up and in place with all its addresses.
        for route in &wanted.routes {
            let managed = route.dev.as_ref().filter(|dev| wanted.interfaces.contains_key(*dev));
            let rebuilt = managed
                .is_some_and(|dev| !self.stays_up(name, dev) || loses_address(dev, &wanted.interfaces[dev], seen));
            if managed.is_some_and(|dev| self.is_out_of_reach(name, dev)) {
                continue;
            }
            if (rebuilt || !seen.routes.contains(route)) && !self.waits(name, wanted, route) {
                self.push(Stage::Routes, name, wanted.origin_of(route), Action::AddRoute(route.clone()));
            }
        }
        self.daemon(name, wanted, seen);
    }

    /// Whether a route leads by an interface that the host does not have yet: it comes when that does.
    fn waits(&self, domain: &DomainName, wanted: &DesiredDomain, route: &RouteSpec) -> bool {
        self.missing.iter().filter(|missing| &missing.domain == domain).any(|missing| match (&route.dev, route.via) {
            (Some(dev), _) => *dev == missing.interface,
            (None, Some(via)) => wanted
                .interfaces
                .get(&missing.interface)
                .is_some_and(|it| it.addresses.iter().any(|address| address.contains(&via))),
            (None, None) => false,
        })
    }

    /// Whether an interface is there, up, and will not be replaced by this plan.
    fn stays_up(&self, domain: &DomainName, interface: &InterfaceName) -> bool {
        let Some(link) = self.seen(domain).links.get(interface) else { return false };
        link.up
            && self.desired.veths.iter().all(|veth| {
                !veth.ends.iter().any(|end| &end.domain == domain && &end.interface == interface)
                    || self.veth_stands(veth)
                    || self.is_blocked(domain, interface)
            })
    }

    fn files(&mut self, name: &DomainName, wanted: &DesiredDomain, seen: &ObservedDomain) {
        let kind = wanted.daemon.as_ref().map_or(DaemonKind::None, |daemon| daemon.kind);
        // Another daemon has directories of its own.
        let runs = matches!(&seen.daemon, ObservedDaemon::Running { kind: running, .. } if *running == kind);
        let is_new = wanted.daemon.as_ref().is_some_and(|daemon| !runs && !seen.files.contains_key(&daemon.config));
        if seen.files.is_empty() || seen.namespace == NamespaceState::Absent || is_new {
            for directory in self.layout.directories(name, kind) {
                let (path, mode, owner) = directory;
                self.push(Stage::Files, name, wanted.origin, Action::MakeDirectory { path, mode, owner });
            }
        }
        for file in &wanted.files {
            if seen.files.get(&file.path).is_none_or(|(text, mode)| **text != *file.text || *mode != file.mode) {
                let action = Action::WriteFile {
                    path: file.path.clone(),
                    text: file.text.clone(),
                    mode: file.mode,
                    owner: file.owner,
                };
                self.push(Stage::Files, name, wanted.origin, action);
            }
        }
        let kept: BTreeSet<&Path> = wanted.files.iter().map(|file| file.path.as_path()).collect();
        for path in self.layout.rendered_files(name) {
            if seen.files.contains_key(&path) && !kept.contains(path.as_path()) {
                self.push(Stage::Files, name, Origin::default(), Action::RemovePath { path });
            }
        }
    }

    fn namespace(&mut self, name: &DomainName, wanted: &DesiredDomain, seen: &ObservedDomain) {
        let create = seen.namespace == NamespaceState::Absent && !name.is_host();
        let stage = Stage::Namespaces;
        if create {
            self.push(stage, name, wanted.origin, Action::CreateNamespace);
        }
        let changed = sysctl_changes(&wanted.sysctls, &seen.sysctls);
        if !changed.is_empty() {
            let file = create.then(|| self.layout.sysctls(name));
            let cause = name.is_host().then_some(FORWARDING_MEANS);
            self.push_if_because(stage, name, wanted.origin, Action::SetSysctls { values: changed, file }, cause);
        }
        self.filter(name, wanted, seen, create);
        if create {
            self.push(stage, name, wanted.origin, Action::PublishNamespace);
        }
        if seen.namespace == NamespaceState::Unnamed {
            let cause = "the name was gone, the namespace was not";
            self.push_because(stage, name, wanted.origin, Action::PublishNamespace, cause);
        }
    }

    fn interface(
        &mut self,
        domain: &DomainName,
        name: &InterfaceName,
        wanted: &DesiredInterface,
        seen: &'a ObservedDomain,
    ) {
        let link = match wanted.kind {
            InterfaceKind::Loopback => seen.links.get(name),
            InterfaceKind::Physical => match seen.links.get(name) {
                Some(link) => Some(link),
                None if self.claim(domain, name, wanted) => None,
                None => return,
            },
            InterfaceKind::Link if self.is_blocked(domain, name) => match seen.links.get(name) {
                Some(link) if self.is_ours(domain, link) => Some(link),
                _ => return,
            },
            InterfaceKind::Link => seen.links.get(name).filter(|_| self.end_stands(domain, name)),
        };
        self.settle(domain, name, wanted, link);
    }

    /// Plans to take an interface from the host; false if it is not there.
    fn claim(&mut self, domain: &DomainName, name: &InterfaceName, wanted: &DesiredInterface) -> bool {
        let host = self.seen(&Layout::host());
        let Some(link) = host.links.get(name) else {
            self.missing.push(Missing { domain: domain.clone(), interface: name.clone(), origin: wanted.origin });
            return false;
        };
        let record = InterfaceRecord {
            domain: domain.clone(),
            up: link.up,
            mtu: link.mtu,
            addresses: link.addresses.iter().filter(|address| !is_link_local(address)).copied().collect(),
            routes: link.routes.clone(),
            hardware: link.hardware.clone(),
        };
        // A bare interface with a record lost its addresses to an earlier claim: the record tells what it really had.
        let stripped = !link.up && record_is_bare(link);
        if !(stripped && self.record_of(domain, name, link).is_some()) {
            for path in self.layout.interface_record(name) {
                self.push(Stage::Files, domain, wanted.origin, write_record(path, &record));
            }
        }
        if !link.unkept.is_empty() {
            self.unkept.push((name.clone(), link.unkept.clone()));
        }
        let has_default = record.routes.iter().any(|route| route.to.prefix_len() == 0);
        let cause = has_default.then_some(HAS_DEFAULT);
        let claim = Action::ClaimInterface { name: name.clone() };
        self.push_if_because(Stage::Links, domain, wanted.origin, claim, cause);
        true
    }

    /// Writes again what is lost of the records of interfaces that are claimed.
    fn remember(&mut self) {
        for (name, record) in &self.observed.records {
            let is_claimed =
                self.seen(&record.domain).links.contains_key(name) && self.end_is_wanted(&record.domain, name);
            let paths = self.layout.interface_record(name).into_iter();
            for path in paths.filter(|path| is_claimed && self.observed.records_lost.contains(path)) {
                self.push(Stage::Notes, &record.domain, Origin::default(), write_record(path, record));
            }
        }
    }

    /// Brings an interface to its alias, sysctls, MTU, addresses and up state. `seen` is `None` for one that this plan
    /// makes or claims.
    fn settle(
        &mut self,
        domain: &DomainName,
        name: &InterfaceName,
        wanted: &DesiredInterface,
        seen: Option<&ObservedLink>,
    ) {
        let stage = Stage::Addresses;
        let fresh = ObservedLink::default();
        let link = seen.unwrap_or(&fresh);
        if let Some(alias) = wanted.alias.as_ref().filter(|alias| link.alias.as_ref() != Some(*alias)) {
            let action = Action::SetAlias { name: name.clone(), alias: alias.clone() };
            self.push(stage, domain, wanted.origin, action);
        }
        // In a domain of ours a new link starts with the values of `conf/default`, which this plan has written. The host's
        // are its own, and a claimed interface has some that differ, so there they are always written.
        if seen.is_some() || domain.is_host() || wanted.kind == InterfaceKind::Physical {
            let changed = sysctl_changes(&wanted.sysctls, &link.sysctls);
            if !changed.is_empty() {
                self.push(stage, domain, wanted.origin, Action::SetSysctls { values: changed, file: None });
            }
        }
        // A new link gets its MTU when it is made, or has the usual one.
        let is_link = wanted.kind == InterfaceKind::Link;
        let mtu = wanted.mtu.or(is_link.then_some(USUAL_MTU));
        if let Some(mtu) = mtu.filter(|mtu| *mtu != link.mtu && (seen.is_some() || !is_link)) {
            self.push(stage, domain, wanted.origin, Action::SetMtu { name: name.clone(), mtu });
        }
        for address in link.own_addresses.difference(&wanted.addresses) {
            let action = Action::RemoveAddress { name: name.clone(), address: *address };
            self.push(stage, domain, Origin::default(), action);
        }
        let mut missing: Vec<_> = wanted.addresses.difference(&link.addresses).collect();
        missing.sort_by_key(|address| !wanted.first.contains(*address));
        for address in missing {
            let action = Action::AddAddress { name: name.clone(), address: *address };
            self.push(stage, domain, wanted.origin, action);
        }
        if !link.up {
            self.push(stage, domain, wanted.origin, Action::SetUp { name: name.clone() });
        }
    }

    /// Whether the link that an interface is an end of is there, both ends in place.
    fn end_stands(&self, domain: &DomainName, name: &InterfaceName) -> bool {
        let is_end = |end: &VethEnd| &end.domain == domain && &end.interface == name;
        self.desired.veths.iter().any(|veth| veth.ends.iter().any(is_end) && self.veth_stands(veth))
    }

    fn veth_stands(&self, veth: &DesiredVeth) -> bool {
        let [first, second] = &veth.ends;
        let stands = |end: &VethEnd, other: &VethEnd| {
            self.seen(&end.domain).links.get(&end.interface).is_some_and(|link| {
                let peer = link.peer.as_ref();
                self.is_ours(&end.domain, link)
                    && peer.is_some_and(|(domain, name)| domain == &other.domain && name == &other.interface)
            })
        };
        stands(first, second) && stands(second, first)
    }

    fn veth(&mut self, veth: &DesiredVeth) {
        if self.veth_stands(veth) || self.blocks(veth) {
            return;
        }
        for end in &veth.ends {
            let Some(link) = self.seen(&end.domain).links.get(&end.interface) else { continue };
            if link.up {
                let action = Action::SetDown { name: end.interface.clone() };
                self.push_because(Stage::Unlink, &end.domain, veth.origin, action, "its other end is gone");
            }
            let action = Action::RemoveLink { name: end.interface.clone() };
            self.push_because(Stage::RemoveLinks, &end.domain, veth.origin, action, "its other end is gone");
        }
        let action = Action::AddVeth { ends: veth.ends.clone(), mtu: self.mtu_of(veth) };
        self.push(Stage::Links, &veth.ends[0].domain, veth.origin, action);
    }

    fn mtu_of(&self, veth: &DesiredVeth) -> Option<u32> {
        let end = &veth.ends[0];
        self.desired.domains.get(&end.domain)?.interfaces.get(&end.interface)?.mtu
    }
}

fn write_record(path: PathBuf, record: &InterfaceRecord) -> Action {
    let text = serde_json::to_string_pretty(record).unwrap_or_default();
    Action::WriteFile { path, text: text.into(), mode: 0o600, owner: FileOwner::Root }
}

/// Why a claim deserves a second look.
const HAS_DEFAULT: &str = "it carries the host's default route: what reaches the host through it ends";

/// What a veth has that was given no MTU (`ETH_DATA_LEN`).
const USUAL_MTU: u32 = 1500;

/// Whether the plan takes an address from an interface. Of IPv4 the kernel keeps no route through one that has none left, even
/// if it gets another address right after.
fn loses_address(name: &InterfaceName, wanted: &DesiredInterface, seen: &ObservedDomain) -> bool {
    seen.links.get(name).is_some_and(|link| !link.own_addresses.is_subset(&wanted.addresses))
}

fn sysctl_changes(wanted: &BTreeMap<String, String>, seen: &BTreeMap<String, String>) -> Vec<Sysctl> {
    wanted
        .iter()
        .filter(|(key, value)| seen.get(*key) != Some(value))
        .map(|(key, value)| Sysctl { key: key.clone(), value: value.clone() })
        .collect()
}

fn record_is_bare(link: &ObservedLink) -> bool {
    link.addresses.iter().all(is_link_local)
}

fn is_link_local(address: &ipnet::IpNet) -> bool {
    match address.addr() {
        std::net::IpAddr::V4(address) => address.is_link_local(),
        std::net::IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
