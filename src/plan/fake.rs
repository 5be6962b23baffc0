//! A machine that exists only as an [`Observed`] value, for tests: carrying out a step changes what is observed next, as
//! far as the planner can tell.

use std::collections::BTreeSet;

use super::{
    Action, LINK_GROUP, NamespaceState, Observed, ObservedDaemon, ObservedDomain, ObservedFilter, ObservedLink,
};
use super::{InterfaceRecord, Layout, ROUTE_PROTOCOL, Step, VethEnd};
use crate::model::{DomainName, InterfaceName, Program};

impl Observed {
    #[expect(clippy::too_many_lines, reason = "one arm for each action, none of them long")]
    /// What would be observed after `step`; panics where the real machine would refuse.
    pub fn carry_out(&mut self, step: &Step) {
        let name = &step.domain;
        match &step.action {
            Action::ResyncDaemon { .. } => {}
            Action::MakeDirectory { .. } => self.domain(name).directory = true,
            Action::WriteFile { path, text, mode, .. } => match Layout::interface_of_record(path) {
                Some(interface) => {
                    let record: InterfaceRecord = serde_json::from_str(text).expect("a record is JSON");
                    if self.records.get(&interface) != Some(&record) {
                        self.records_lost.extend(records_of(&interface));
                    }
                    self.records_lost.remove(path);
                    self.records.insert(interface, record);
                }
                None => drop(self.domain(name).files.insert(path.clone(), (text.to_string(), *mode))),
            },
            Action::RemovePath { path } => {
                if let Some(interface) = Layout::interface_of_record(path) {
                    self.records_lost.insert(path.clone());
                    if records_of(&interface).iter().all(|path| self.records_lost.contains(path)) {
                        self.records.remove(&interface);
                        self.records_lost.retain(|path| Layout::interface_of_record(path).as_ref() != Some(&interface));
                    }
                } else {
                    let domain = self.domain(name);
                    // `/run/rdsup/NAME`, and not a file in it or beside it.
                    domain.directory &= !path.ends_with(format!("rdsup/{name}"));
                    domain.files.retain(|file, _| !file.starts_with(path));
                }
            }
            Action::CreateNamespace => {
                let lo = ObservedLink::default();
                self.domain(name).links.insert(InterfaceName::loopback(), lo);
            }
            Action::PublishNamespace => {
                assert!(self.domain(name).filter.is_some(), "{name} got its name before its filter");
                self.domain(name).namespace = NamespaceState::Ours;
            }
            Action::RemoveNamespace => {
                let gone = std::mem::take(self.domain(name));
                assert_eq!(gone.daemon, ObservedDaemon::Stopped, "{name} went away under its daemon");
                self.domain(name).files = gone.files;
                self.domain(name).directory = gone.directory;
            }
            Action::SetSysctls { values, .. } => {
                for sysctl in values {
                    let domain = self.domain(name);
                    let interface = sysctl.key.split('/').nth(3).and_then(|name| domain.links.get_mut(name));
                    let map = match interface {
                        Some(link) => &mut link.sysctls,
                        None => &mut domain.sysctls,
                    };
                    map.insert(sysctl.key.clone(), sysctl.value.clone());
                }
            }
            Action::LoadFilter { path, text, stacked } => {
                let domain = self.domain(name);
                domain.filter = Some(ObservedFilter { text: Some(text.to_string()) });
                domain.stacked.retain(|table| !stacked.contains(table));
                domain.files.insert(path.clone(), (text.to_string(), 0o644));
            }
            Action::StackFilter { table, .. } => {
                assert!(self.domain(name).stacked.insert(table.clone()), "{table} is there already");
            }
            Action::UnstackFilters { tables } => {
                self.domain(name).stacked.retain(|table| !tables.contains(table));
            }
            Action::RemoveFilter => self.domain(name).filter = None,
            Action::AddVeth { ends: [first, second], mtu } => {
                self.add_end(first, second, *mtu);
                self.add_end(second, first, *mtu);
            }
            Action::RemoveLink { name: interface } => {
                let gone = self.domain(name).links.remove(interface).expect("the link is there");
                self.domain(name).routes.retain(|route| route.dev.as_ref() != Some(interface));
                if let Some((peer, other)) = gone.peer {
                    self.domain(&peer).links.remove(&other);
                    self.domain(&peer).routes.retain(|route| route.dev.as_ref() != Some(&other));
                }
            }
            Action::ClaimInterface { name: interface } => {
                let link = self.domain(&Layout::host()).links.remove(interface).expect("the host has it");
                let link = ObservedLink { mtu: link.mtu, hardware: link.hardware, ..ObservedLink::default() };
                self.domain(name).links.insert(interface.clone(), link);
            }
            Action::ReturnInterface { name: interface } => {
                let link = self.domain(name).links.remove(interface).expect("the domain has it");
                let link = ObservedLink { mtu: link.mtu, hardware: link.hardware, ..ObservedLink::default() };
                self.domain(&Layout::host()).links.insert(interface.clone(), link);
            }
            Action::SetAlias { name: interface, alias } => self.link(name, interface).alias = Some(alias.clone()),
            Action::SetMtu { name: interface, mtu } => self.link(name, interface).mtu = *mtu,
            Action::SetUp { name: interface } => self.link(name, interface).up = true,
            Action::SetDown { name: interface } => {
                self.link(name, interface).up = false;
                self.domain(name).routes.retain(|route| route.dev.as_ref() != Some(interface));
            }
            Action::RenameLink { from, to } => {
                let link = self.domain(name).links.remove(from).expect("the link is there");
                assert!(!link.up, "{from} is renamed while it is up");
                assert!(self.domain(name).filter.is_some(), "{to} got its name before its filter");
                if let Some((domain, other)) = &link.peer {
                    self.link(domain, other).peer = Some((name.clone(), to.clone()));
                }
                assert!(self.domain(name).links.insert(to.clone(), link).is_none(), "{to} exists already");
            }
            Action::AddAddress { name: interface, address } => {
                let link = self.link(name, interface);
                link.addresses.insert(*address);
                link.own_addresses.insert(*address);
            }
            Action::RemoveAddress { name: interface, address } => {
                let link = self.link(name, interface);
                link.addresses.remove(address);
                link.own_addresses.remove(address);
            }
            Action::AddRoute(route) => {
                if let Some(dev) = &route.dev {
                    assert!(self.link(name, dev).up, "a route through {dev}, which is down");
                }
                if route.protocol == ROUTE_PROTOCOL {
                    self.domain(name).routes.insert(route.clone());
                } else if let Some(dev) = &route.dev {
                    self.link(name, dev).routes.insert(route.clone());
                }
            }
            Action::RemoveRoute(route) => drop(self.domain(name).routes.remove(route)),
            Action::StartDaemon { kind, .. } | Action::ReloadDaemon { kind, .. } => {
                let domain = self.domain(name);
                let mut running = match &domain.daemon {
                    ObservedDaemon::Running { programs, .. } => programs.clone(),
                    ObservedDaemon::Stopped => BTreeSet::new(),
                };
                if let Action::StartDaemon { programs, .. } = &step.action {
                    running.extend(programs);
                }
                let read = |program: &Program| {
                    let (text, _) = domain.files.get(&super::tests::layout().daemon_config(name, *program))?;
                    Some((*program, text.clone()))
                };
                let loaded = running.iter().filter_map(read).collect();
                domain.daemon =
                    ObservedDaemon::Running { kind: *kind, pid: 1, programs: running, loaded, leftovers: false };
            }
            Action::StopDaemon { .. } if step.action.stops_core() => self.domain(name).daemon = ObservedDaemon::Stopped,
            Action::StopDaemon { programs: gone, .. } => {
                if let ObservedDaemon::Running { programs, loaded, .. } = &mut self.domain(name).daemon {
                    programs.retain(|program| !gone.contains(program));
                    loaded.retain(|program, _| !gone.contains(program));
                }
            }
        }
    }

    fn domain(&mut self, name: &DomainName) -> &mut ObservedDomain {
        self.domains.entry(name.clone()).or_default()
    }

    fn link(&mut self, domain: &DomainName, name: &InterfaceName) -> &mut ObservedLink {
        let links = &mut self.domain(domain).links;
        links.get_mut(name).unwrap_or_else(|| panic!("{domain} has no interface {name}"))
    }

    fn add_end(&mut self, end: &VethEnd, other: &VethEnd, mtu: Option<u32>) {
        let domain = self.domain(&end.domain);
        assert!(domain.filter.is_some(), "{} was linked before it was filtered", end.domain);
        let link = ObservedLink {
            kind: "veth".to_owned(),
            group: LINK_GROUP,
            mtu: mtu.unwrap_or(1500),
            peer: Some((other.domain.clone(), other.interface.clone())),
            ..ObservedLink::default()
        };
        assert!(domain.links.insert(end.interface.clone(), link).is_none(), "{} exists already", end.interface);
    }
}

fn records_of(interface: &InterfaceName) -> [std::path::PathBuf; 2] {
    super::tests::layout().interface_record(interface)
}
