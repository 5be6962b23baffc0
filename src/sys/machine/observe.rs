//! Reading the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::host::BIRDS;
use super::{Machine, records};
use crate::model::{DaemonKind, DaemonName, DomainName, InterfaceName, Program};
use crate::plan::{
    Desired, DesiredDomain, InterfaceKind, InterfaceRecord, LINK_GROUP, Layout, NamespaceState, Observed,
    ObservedDaemon, ObservedDomain, ObservedLink, ROUTE_PROTOCOL, RouteSpec,
};
use crate::sys::netlink::link::Link;
use crate::sys::netlink::{NetlinkError, address, link, route, unkept};
use crate::sys::netns::Namespace;
use crate::sys::nft;
use crate::sys::{SysError, files, sysctl};

/// Domains observed at once: most of the time goes into waiting for the kernel.
const AT_ONCE: usize = 8;

/// One domain and what is needed to find out which veth ends belong together.
pub(super) struct Found {
    pub(super) domain: DomainName,
    pub(super) observed: ObservedDomain,
    pub(super) namespace: Option<Namespace>,
    pub(super) links: Vec<Link>,
}

impl Machine {
    /// Reads the domains of `desired`, `host`, and whatever other domains this run directory knows.
    pub async fn observe(&self, desired: &Desired) -> Result<Observed, SysError> {
        let mut names: BTreeSet<DomainName> = desired.domains.keys().cloned().collect();
        names.extend(DomainName::new(DomainName::HOST));
        names.extend(self.domains_left()?);
        let (records, records_lost) = self.interface_records()?;
        // An interface that was given back may still have to get its addresses again.
        let mut physical: BTreeSet<InterfaceName> = records.keys().cloned().collect();
        physical.extend(desired.domains.values().flat_map(physical_of));
        let found: Vec<Found> = stream::iter(names)
            .map(|name| {
                let wanted = desired.domains.get(&name);
                self.observe_domain(name, wanted, &physical)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let peers = self.match_peers(&found).await?;
        let mut domains: BTreeMap<_, _> = found.into_iter().map(|found| (found.domain, found.observed)).collect();
        for ((domain, interface), peer) in peers {
            if let Some(link) = domains.get_mut(&domain).and_then(|domain| domain.links.get_mut(&interface)) {
                link.peer = Some(peer);
            }
        }
        let host = self.observe_host(desired, &domains).await?;
        Ok(Observed { domains, records, records_lost, host })
    }

    /// Domains that have a directory of ours in the run directory.
    pub fn domains_left(&self) -> Result<Vec<DomainName>, SysError> {
        let entries = match std::fs::read_dir(&self.layout.run_dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|error| SysError::path("read", &self.layout.run_dir, error))?,
        };
        let names = entries.filter_map(|entry| {
            let entry = entry.ok().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))?;
            DomainName::new(entry.file_name().into_string().ok()?).ok()
        });
        let is_domain = |name: &DomainName| {
            let directory = self.domain_dir(name);
            // One that holds nothing was made a moment before its maker died.
            records::is_of_domain(&directory)
                || (self.layout.log().parent() != Some(&directory)
                    && std::fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_none()))
        };
        Ok(names.filter(is_domain).collect())
    }

    async fn observe_domain(
        &self,
        domain: DomainName,
        wanted: Option<&DesiredDomain>,
        physical: &BTreeSet<InterfaceName>,
    ) -> Result<Found, SysError> {
        let directory = self.domain_dir(&domain).is_dir();
        let files = self.files_of(&domain, wanted)?;
        let mut observed = ObservedDomain { directory, files, ..ObservedDomain::default() };
        let named = self.named(&domain)?;
        let unnamed = named.is_none();
        let found = match named {
            Some(namespace) => Some(namespace),
            None => self.lost(&domain).await,
        };
        let Some(namespace) = found else {
            observed.daemon = self.daemon_of(&domain, None);
            return Ok(Found { domain, observed, namespace: None, links: Vec::new() });
        };
        let keys = wanted.map(sysctl_keys).unwrap_or_default();
        let (probe, tables, values) = namespace
            .run_async(move || (nft::probe_here(), nft::tables_here(), sysctl::read_here(keys)))
            .await
            .map_err(|error| SysError::io(format!("enter the namespace {domain}"), error))?;
        let probe = probe.map_err(|error| SysError::io(format!("look into the namespace {domain}"), error))?;
        let tables = tables.map_err(|error| SysError::io(format!("read the tables of {domain}"), error))?;
        if let Some(run_dir) = self.other_in_host(&tables).filter(|_| domain.is_host()) {
            // Another's network, and yet where interfaces are claimed from and go back to.
            observed.namespace = NamespaceState::Foreign(run_dir.display().to_string());
            observed.stacked = self.stacked_in(&domain, tables);
            let links = self.read_tables(&domain, &namespace, wanted, physical, &mut observed).await?;
            observed.daemon = self.daemon_of(&domain, Some(&namespace));
            return Ok(Found { domain, observed, namespace: Some(namespace), links });
        }
        let filter = self.filter_of(&domain, &namespace, probe, &tables).await?;
        observed.namespace = match self.whose(&domain, probe, &filter) {
            NamespaceState::Ours if unnamed => NamespaceState::Unnamed,
            state => state,
        };
        if matches!(observed.namespace, NamespaceState::Foreign(_)) {
            return Ok(Found { domain, observed, namespace: None, links: Vec::new() });
        }
        self.hold(&domain, &namespace);
        observed.filter = filter.observed();
        observed.stacked = self.stacked_in(&domain, tables);
        let links = self.read_tables(&domain, &namespace, wanted, physical, &mut observed).await?;
        distribute(values, wanted, &mut observed);
        observed.daemon = self.daemon_of(&domain, Some(&namespace));
        Ok(Found { domain, observed, namespace: Some(namespace), links })
    }

    /// Links, addresses and routes.
    async fn read_tables(
        &self,
        domain: &DomainName,
        namespace: &Namespace,
        wanted: Option<&DesiredDomain>,
        physical: &BTreeSet<InterfaceName>,
        observed: &mut ObservedDomain,
    ) -> Result<Vec<Link>, SysError> {
        let failed = |what: &str, error: NetlinkError| SysError::netlink(format!("read the {what} of {domain}"), error);
        let connection = self.connection_to(domain, namespace).await?;
        let mut links = link::dump(&connection).await.map_err(|error| failed("interfaces", error))?;
        let names: BTreeMap<u32, InterfaceName> =
            links.iter().filter_map(|link| Some((link.index, link.name.clone()?))).collect();
        if domain.is_host() {
            let asked = |name: &InterfaceName| {
                physical.contains(name) || wanted.is_some_and(|wanted| wanted.interfaces.contains_key(name))
            };
            links.retain(|link| link.group == LINK_GROUP || link.name.as_ref().is_some_and(asked));
        }
        let addresses = address::dump(&connection).await.map_err(|error| failed("addresses", error))?;
        for link in &links {
            let Some(name) = &link.name else { continue };
            let of_link = || addresses.iter().filter(|address| address.index == link.index && !address.automatic);
            observed.links.insert(
                name.clone(),
                ObservedLink {
                    kind: link.kind.clone(),
                    group: link.group,
                    alias: link.alias.clone(),
                    up: link.up,
                    mtu: link.mtu,
                    hardware: link.hardware.clone(),
                    addresses: of_link().map(|address| address.address).collect(),
                    unkept: link.odd_qdisc().into_iter().collect(),
                    own_addresses: of_link().filter(|address| address.own).map(|address| address.address).collect(),
                    ..ObservedLink::default()
                },
            );
        }
        let claimed_here = domain.is_host() && observed.links.keys().any(|name| physical.contains(name));
        let protocol = if claimed_here { None } else { Some(ROUTE_PROTOCOL) };
        let routes = route::dump(&connection, protocol, &names).await.map_err(|error| failed("routes", error))?;
        for route in routes {
            if route.protocol == ROUTE_PROTOCOL {
                observed.routes.insert(route);
            } else if let Some(link) = through_physical(&route, physical, &mut observed.links) {
                link.routes.insert(route);
            }
        }
        if claimed_here {
            let asked = links.iter().filter_map(|link| Some((link.index, link.name.clone()?)));
            let asked = asked.filter(|(_, name)| physical.contains(name)).collect();
            let unkept = unkept::dump(&connection, &asked).await.map_err(|error| failed("interfaces", error))?;
            for (name, words) in unkept {
                if let Some(link) = observed.links.get_mut(&name) {
                    link.unkept.extend(words);
                }
            }
        }
        // BIRD leaves its routes to the next one, and where no daemon is asked for there will be none.
        if !domain.is_host() && wanted.is_some_and(|wanted| wanted.daemon.is_none()) {
            let left = route::dump(&connection, Some(BIRDS), &names).await.map_err(|error| failed("routes", error))?;
            observed.routes.extend(left);
        }
        Ok(links)
    }

    /// The files asked for, and every regular file in the domain's directory: notes too, so that none is left behind.
    fn files_of(
        &self,
        domain: &DomainName,
        wanted: Option<&DesiredDomain>,
    ) -> Result<BTreeMap<PathBuf, (String, u32)>, SysError> {
        let directory = self.domain_dir(domain);
        let mut paths: BTreeSet<PathBuf> =
            wanted.into_iter().flat_map(|wanted| &wanted.files).map(|file| file.path.clone()).collect();
        let listed = files::list(&directory).map_err(|error| SysError::path("read", &directory, error))?;
        paths.extend(listed);
        let mut found = BTreeMap::new();
        for path in paths {
            if let Some(content) = files::read(&path).map_err(|error| SysError::path("read", &path, error))? {
                found.insert(path, content);
            }
        }
        Ok(found)
    }

    /// The daemon whose core runs whole, with whatever else of it runs.
    fn daemon_of(&self, domain: &DomainName, namespace: Option<&Namespace>) -> ObservedDaemon {
        let pid_of = |program: Program| {
            let name = DaemonName::new(domain, program);
            let record = self.recorded_daemon(&name)?;
            let inside = namespace.is_none_or(|namespace| namespace.inode() == record.netns_inode);
            self.running_daemon(&name, &record).ok().flatten().filter(|_| inside).map(|process| process.pid())
        };
        DaemonKind::ALL
            .into_iter()
            .find_map(|kind| {
                let pids: BTreeMap<Program, u32> =
                    kind.programs().filter_map(|program| Some((program, pid_of(program)?))).collect();
                let is_whole = kind.core().iter().all(|program| pids.contains_key(program));
                let pid = *pids.get(&kind.speaker()?).filter(|_| is_whole)?;
                let programs: BTreeSet<Program> = pids.into_keys().collect();
                let leftovers = self.keeps_leftovers(&DaemonName::new(domain, kind.speaker()?));
                let read =
                    |program: &Program| Some((*program, self.loaded_config(&DaemonName::new(domain, *program))?));
                let loaded = programs.iter().filter_map(read).collect();
                Some(ObservedDaemon::Running { kind, pid, programs, loaded, leftovers })
            })
            .unwrap_or_default()
    }

    /// What is remembered of claimed interfaces, and which files should say so and do not.
    pub(super) fn interface_records(
        &self,
    ) -> Result<(BTreeMap<InterfaceName, InterfaceRecord>, BTreeSet<PathBuf>), SysError> {
        let mut names = BTreeSet::new();
        for directory in [self.layout.interface_records(), self.layout.run_dir.clone()] {
            let paths = files::list(&directory).map_err(|error| SysError::path("read", &directory, error))?;
            names.extend(paths.iter().filter_map(|path| Layout::interface_of_record(path)));
        }
        let (mut records, mut lost) = (BTreeMap::new(), BTreeSet::new());
        for name in names {
            let found = self.layout.interface_record(&name).map(|path| (records::read::<InterfaceRecord>(&path), path));
            let Some(record) = found.iter().find_map(|(record, _)| record.clone()) else { continue };
            lost.extend(found.into_iter().filter(|(it, _)| it.as_ref() != Some(&record)).map(|(_, path)| path));
            records.insert(name, record);
        }
        Ok((records, lost))
    }
}

fn physical_of(domain: &DesiredDomain) -> impl Iterator<Item = InterfaceName> + '_ {
    let physical = domain.interfaces.iter().filter(|(_, interface)| interface.kind == InterfaceKind::Physical);
    physical.map(|(name, _)| name.clone())
}

fn through_physical<'a>(
    route: &RouteSpec,
    physical: &BTreeSet<InterfaceName>,
    links: &'a mut BTreeMap<InterfaceName, ObservedLink>,
) -> Option<&'a mut ObservedLink> {
    let dev = route.dev.as_ref().filter(|dev| physical.contains(*dev))?;
    if route::NOT_CONFIGURED.contains(&route.protocol) { None } else { links.get_mut(dev) }
}

fn sysctl_keys(wanted: &DesiredDomain) -> Vec<String> {
    let of_interfaces = wanted.interfaces.values().flat_map(|interface| interface.sysctls.keys());
    wanted.sysctls.keys().chain(of_interfaces).cloned().collect()
}

/// Puts each sysctl's value where it was asked for.
fn distribute(mut values: BTreeMap<String, String>, wanted: Option<&DesiredDomain>, observed: &mut ObservedDomain) {
    let Some(wanted) = wanted else { return };
    for (name, interface) in &wanted.interfaces {
        if let Some(link) = observed.links.get_mut(name) {
            link.sysctls = interface.sysctls.keys().filter_map(|key| values.remove_entry(key)).collect();
        }
    }
    observed.sysctls = wanted.sysctls.keys().filter_map(|key| values.remove_entry(key)).collect();
}
