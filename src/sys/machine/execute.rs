//! Doing one step.
//!
//! A step that finds its work done already has succeeded: what a crash left half-built is no error.

use std::path::PathBuf;

use super::records;
use super::{Machine, blocking};
use crate::model::{DomainName, InterfaceName};
use crate::plan::{Action, FileOwner, LINK_GROUP, RouteSpec, Step, Sysctl, VethEnd};
use crate::sys::netlink::link::End;
use crate::sys::netlink::{NetlinkError, address, link, route};
use crate::sys::netns::{self, Namespace};
use crate::sys::{StepError, SysError, fault, files, nft, sysctl};

/// Where interface numbers of rdsup's own choice begin, far above those that the kernel gives out one after the other.
const OWN_NUMBERS: u32 = 100_000;

impl Machine {
    /// Executes one step of a plan. Starting, reloading and stopping a daemon is the supervisor's.
    pub async fn execute(&self, step: &Step) -> Result<(), StepError> {
        self.act(&step.domain, &step.action).await.map_err(|source| StepError {
            domain: step.domain.clone(),
            step: step.to_string(),
            origin: step.origin,
            source,
        })
    }

    async fn act(&self, domain: &DomainName, action: &Action) -> Result<(), SysError> {
        match action {
            Action::MakeDirectory { path, mode, owner } => self.make_directory(path.clone(), *mode, *owner).await,
            Action::WriteFile { path, text, mode, owner } => {
                let (path, text, mode, ids) = (path.clone(), text.clone(), *mode, self.owners.ids(*owner));
                blocking(move || {
                    files::make_parents(&path)
                        .and_then(|()| files::write(&path, text.as_bytes(), mode, Some(ids)))
                        .map_err(|error| SysError::path("write", &path, error))
                })
                .await
            }
            Action::RemovePath { path } => remove_path(path.clone()).await,
            Action::CreateNamespace => {
                // One that was rehearsed has its filter already.
                let made = match self.take_rehearsed(domain).filter(|_| !fault::is_off("order")) {
                    Some(rehearsed) => rehearsed,
                    None => blocking(Namespace::create)
                        .await
                        .map_err(|error| SysError::io("make a network namespace", error))?,
                };
                self.let_users_ping(&made).await;
                self.held().unnamed.insert(domain.clone(), made);
                Ok(())
            }
            Action::PublishNamespace => self.publish(domain).await,
            Action::RemoveNamespace => self.remove_namespace(domain).await,
            Action::SetSysctls { values, .. } => sysctl::write(&self.namespace(domain)?, values.clone()).await,
            Action::LoadFilter { path, text, stacked } => self.load_filter(domain, path, text, stacked).await,
            Action::StackFilter { path, text, .. } => self.stack_filter(domain, path, text).await,
            Action::UnstackFilters { tables } => self.unstack_filters(domain, tables).await,
            Action::RemoveFilter => self.remove_filter(domain).await,
            Action::AddVeth { ends, mtu } => self.add_veth(ends, *mtu).await,
            Action::ClaimInterface { name } => self.move_interface(name, &host(), domain).await,
            Action::ReturnInterface { name } => self.move_interface(name, domain, &host()).await,
            Action::RemoveLink { name } => {
                let gone = &[libc::ENODEV];
                let connection = self.connection(domain).await?;
                fine(link::delete(&connection, name).await, gone, || format!("delete the interface {name}"))
            }
            Action::SetAlias { name, alias } => {
                let connection = self.connection(domain).await?;
                let set = link::set_alias(&connection, name, alias).await;
                fine(set, &[], || format!("set the alias of {name}"))
            }
            Action::SetMtu { name, mtu } => {
                let connection = self.connection(domain).await?;
                fine(link::set_mtu(&connection, name, *mtu).await, &[], || format!("set the MTU of {name} to {mtu}"))
            }
            Action::SetUp { name } => {
                let connection = self.connection(domain).await?;
                fine(link::set_up(&connection, name, true).await, &[], || format!("take {name} up"))
            }
            Action::SetDown { name } => {
                let connection = self.connection(domain).await?;
                fine(link::set_up(&connection, name, false).await, &[libc::ENODEV], || format!("take {name} down"))
            }
            Action::RenameLink { from, to } => {
                let connection = self.connection(domain).await?;
                fine(link::rename(&connection, from, to).await, &[], || format!("rename {from} to {to}"))
            }
            Action::AddAddress { name, address } => {
                let what = || format!("add {address} to {name}");
                let connection = self.connection(domain).await?;
                let index = link::get(&connection, name).await.map_err(|error| SysError::netlink(what(), error))?.index;
                fine(address::add(&connection, index, *address).await, &[libc::EEXIST], what)
            }
            Action::RemoveAddress { name, address } => {
                let gone = &[libc::EADDRNOTAVAIL, libc::ENODEV];
                let what = || format!("remove {address} from {name}");
                let connection = self.connection(domain).await?;
                match link::get(&connection, name).await {
                    Ok(link) => fine(address::delete(&connection, link.index, *address).await, gone, what),
                    Err(error) => fine(Err(error), gone, what),
                }
            }
            Action::AddRoute(spec) => self.change_route(domain, spec, true).await,
            Action::RemoveRoute(spec) => self.change_route(domain, spec, false).await,
            Action::StartDaemon { .. } => Err(SysError::NotHere("starting a daemon")),
            Action::ResyncDaemon { .. } => Err(SysError::NotHere("having a daemon write its routes again")),
            Action::ReloadDaemon { .. } => Err(SysError::NotHere("reloading a daemon")),
            Action::StopDaemon { .. } => Err(SysError::NotHere("stopping a daemon")),
        }
    }

    async fn make_directory(&self, path: PathBuf, mode: u32, owner: FileOwner) -> Result<(), SysError> {
        let ids = self.owners.ids(owner);
        blocking(move || {
            files::make_directory(&path, mode, ids).map_err(|error| SysError::path("make the directory", &path, error))
        })
        .await
    }

    /// A new namespace lets nobody open ICMP sockets without `CAP_NET_RAW`, which who runs `rdsup exec` through sudo has
    /// not: let those do it who may on the host. Where that cannot be, ping needs `--root`, and all else works.
    async fn let_users_ping(&self, namespace: &Namespace) {
        const KEY: &str = "net/ipv4/ping_group_range";
        let Ok(values) = sysctl::read(&self.host, vec![KEY.to_owned()]).await else { return };
        let values = values.into_iter().map(|(key, value)| Sysctl { key, value }).collect();
        if let Err(error) = sysctl::write(namespace, values).await {
            tracing::debug!(%error, "only root may ping");
        }
    }

    async fn publish(&self, domain: &DomainName) -> Result<(), SysError> {
        let unnamed = self.held().unnamed.get(domain).cloned();
        let Some(namespace) = unnamed else {
            return self.publish_again(domain).await;
        };
        let failed = |error| SysError::io(format!("name the namespace {domain}"), error);
        let visited = namespace.clone();
        let probe = blocking(move || visited.run(nft::probe_here)).await.and_then(|probe| probe).map_err(failed)?;
        let directory = self.domain_dir(domain);
        if !directory.is_dir() {
            self.make_directory(directory.clone(), 0o755, FileOwner::Root).await?;
        }
        // The note comes first: without it a namespace whose table is flushed could not be told from a foreign one.
        records::write(&directory.join(records::NAMESPACE), &self.namespace_record(probe))?;
        let name = domain.as_str().to_owned();
        let named = namespace.clone();
        blocking(move || named.publish(&name)).await.map_err(failed)?;
        let mut held = self.held();
        held.unnamed.remove(domain);
        held.published.insert(domain.clone(), namespace);
        Ok(())
    }

    /// Published before: the step is done if the name is there.
    async fn publish_again(&self, domain: &DomainName) -> Result<(), SysError> {
        let namespace = self.namespace(domain)?;
        let name = domain.as_str().to_owned();
        let published = blocking(move || namespace.publish(&name)).await;
        published.map_err(|error| SysError::io(format!("name the namespace {domain}"), error))
    }

    async fn remove_namespace(&self, domain: &DomainName) -> Result<(), SysError> {
        {
            // Each would keep the namespace alive.
            let mut held = self.held();
            held.unnamed.remove(domain);
            held.published.remove(domain);
            held.connections.remove(domain);
        }
        let name = domain.as_str().to_owned();
        blocking(move || netns::remove(&name))
            .await
            .map_err(|error| SysError::io(format!("remove the namespace {domain}"), error))?;
        for name in [records::NAMESPACE, records::FILTER, records::FILTER_LOADED] {
            remove_path(self.domain_dir(domain).join(name)).await?;
        }
        Ok(())
    }

    async fn add_veth(&self, ends: &[VethEnd; 2], mtu: Option<u32>) -> Result<(), SysError> {
        let [first, second] = ends;
        let what = || format!("make the link {} - {}", at(first), at(second));
        let namespaces = [self.namespace(&first.domain)?, self.namespace(&second.domain)?];
        let connection = self.connection(&first.domain).await?;
        let pair = [
            End { namespace: &namespaces[0], name: &first.interface },
            End { namespace: &namespaces[1], name: &second.interface },
        ];
        match link::add_veth(&connection, pair, mtu, None).await {
            Err(error) if error.errno() == Some(libc::EEXIST) && self.is_our_veth(ends).await? => return Ok(()),
            made => fine(made, &[], what)?,
        }
        // The kernel takes a veth whose ends have the same number, each in its own namespace, for a device without a lower
        // one, and then lets up to a second pass from its carrier to its first packet (`linkwatch_urgent_event()` in
        // net/core/link_watch.c). The first link of two new domains is such a one, so it is made again with other numbers.
        let made = link::get(&connection, &first.interface).await.map_err(|error| SysError::netlink(what(), error))?;
        if made.peer.is_some_and(|peer| peer.index == made.index) {
            fine(link::delete(&connection, &first.interface).await, &[], what)?;
            let numbers = [OWN_NUMBERS + made.index, 2 * OWN_NUMBERS + made.index];
            if link::add_veth(&connection, pair, mtu, Some(numbers)).await.is_err() {
                fine(link::add_veth(&connection, pair, mtu, None).await, &[], what)?;
            }
        }
        Ok(())
    }

    /// Whether both ends are there and are each other's peers.
    async fn is_our_veth(&self, ends: &[VethEnd; 2]) -> Result<bool, SysError> {
        let mut links = Vec::new();
        for end in ends {
            let connection = self.connection(&end.domain).await?;
            match link::get(&connection, &end.interface).await {
                Ok(link) => links.push(link),
                Err(error) if error.errno() == Some(libc::ENODEV) => return Ok(false),
                Err(error) => return Err(SysError::netlink(format!("look at {}", at(end)), error)),
            }
        }
        let points = |from: &link::Link, to: &link::Link| {
            from.kind == "veth" && from.group == LINK_GROUP && from.peer.is_some_and(|peer| peer.index == to.index)
        };
        Ok(points(&links[0], &links[1]) && points(&links[1], &links[0]))
    }

    async fn move_interface(&self, name: &InterfaceName, from: &DomainName, to: &DomainName) -> Result<(), SysError> {
        let what = || format!("move {name} from {from} to {to}");
        let source = self.connection(from).await?;
        match link::move_to(&source, name, &self.namespace(to)?).await {
            Err(error) if error.errno() == Some(libc::ENODEV) => {
                // It may have arrived already.
                let there = link::get(&*self.connection(to).await?, name).await;
                if there.is_ok() { Ok(()) } else { Err(SysError::netlink(what(), error)) }
            }
            moved => fine(moved, &[], what),
        }
    }

    async fn change_route(&self, domain: &DomainName, spec: &RouteSpec, add: bool) -> Result<(), SysError> {
        let what = || format!("{} the route {spec}", if add { "add" } else { "remove" });
        let gone = [libc::ESRCH, libc::ENODEV];
        let done_already: &[i32] = if add { &[] } else { &gone };
        let connection = self.connection(domain).await?;
        let index = match &spec.dev {
            None => None,
            Some(dev) => match link::get(&connection, dev).await {
                Ok(link) => Some(link.index),
                Err(error) => return fine(Err(error), done_already, what),
            },
        };
        let changed = if add {
            route::add(&connection, spec, index).await
        } else {
            route::delete(&connection, spec, index).await
        };
        fine(changed, done_already, what)
    }
}

/// `Ok` also for those errors that say that there was nothing to do.
fn fine(result: Result<(), NetlinkError>, done_already: &[i32], what: impl Fn() -> String) -> Result<(), SysError> {
    match result {
        Err(error) if error.errno().is_some_and(|errno| done_already.contains(&errno)) => Ok(()),
        other => other.map_err(|error| SysError::netlink(what(), error)),
    }
}

pub(super) async fn remove_path(path: PathBuf) -> Result<(), SysError> {
    blocking(move || files::remove(&path).map_err(|error| SysError::path("remove", &path, error))).await
}

fn at(end: &VethEnd) -> String {
    format!("{}/{}", end.domain, end.interface)
}

fn host() -> DomainName {
    // The name is a legal one, which a test of `model` holds.
    DomainName::new(DomainName::HOST).unwrap_or_else(|error| unreachable!("{error}"))
}
