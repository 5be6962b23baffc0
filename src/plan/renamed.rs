//! Links of ours that somebody gave another name get their own again.
//!
//! A link that is made anew has another number. zebra, which has seen one that was up being renamed, takes that for the old link
//! and learns none of its addresses.

use std::borrow::Cow;

use super::desired::{Desired, DesiredVeth, VethEnd};
use super::observed::{NamespaceState, Observed, ObservedLink};
use super::planner::Planner;
use super::stages::Stage;
use super::step::Action;
use super::{LINK_GROUP, ROUTE_PROTOCOL};
use crate::model::{InterfaceName, Origin};

/// An end that has another name than it should.
pub(super) struct Renamed {
    end: VethEnd,
    from: InterfaceName,
    /// What it was like.
    link: ObservedLink,
    origin: Origin,
}

/// The machine as it will be when every link that can get its name again has it, and which ones these are.
pub(super) fn righted<'a>(desired: &Desired, observed: &'a Observed) -> (Cow<'a, Observed>, Vec<Renamed>) {
    let mut righted = Cow::Borrowed(observed);
    let mut all = Vec::new();
    for veth in &desired.veths {
        let renamed = renamed_ends(desired, observed, veth);
        for renamed in &renamed {
            put_right(righted.to_mut(), renamed);
        }
        all.extend(renamed);
    }
    (righted, all)
}

/// The ends of a link that have other names, if that is all that is wrong with it.
fn renamed_ends(desired: &Desired, observed: &Observed, veth: &DesiredVeth) -> Vec<Renamed> {
    let [first, second] = &veth.ends;
    let Some((first_name, first_link)) = candidate(desired, observed, first, second) else { return Vec::new() };
    let Some((second_name, second_link)) = candidate(desired, observed, second, first) else { return Vec::new() };
    let leads_to = |link: &ObservedLink, end: &VethEnd, name: &InterfaceName| {
        link.peer.as_ref().is_some_and(|(domain, peer)| domain == &end.domain && peer == name)
    };
    if !leads_to(first_link, second, second_name) || !leads_to(second_link, first, first_name) {
        return Vec::new();
    }
    [(first, first_name, first_link), (second, second_name, second_link)]
        .into_iter()
        .filter(|(end, name, _)| *name != &end.interface)
        .map(|(end, from, link)| Renamed {
            end: end.clone(),
            from: from.clone(),
            link: link.clone(),
            origin: veth.origin,
        })
        .collect()
}

/// What has the name of an end, or else the one interface that is marked as this end and has a name that nothing should have.
fn candidate<'a>(
    desired: &Desired,
    observed: &'a Observed,
    end: &VethEnd,
    other: &VethEnd,
) -> Option<(&'a InterfaceName, &'a ObservedLink)> {
    let seen = observed.domains.get(&end.domain)?;
    if matches!(seen.namespace, NamespaceState::Foreign(_)) {
        return None;
    }
    let wanted = desired.domains.get(&end.domain)?;
    let alias = wanted.interfaces.get(&end.interface)?.alias.as_ref()?;
    let is_it = |link: &ObservedLink| {
        link.group == LINK_GROUP
            && link.kind == "veth"
            && link.alias.as_ref() == Some(alias)
            && link.peer.as_ref().is_some_and(|(domain, _)| domain == &other.domain)
    };
    if let Some((name, link)) = seen.links.get_key_value(&end.interface) {
        return is_it(link).then_some((name, link));
    }
    let mut marked = seen.links.iter().filter(|(name, link)| !wanted.interfaces.contains_key(*name) && is_it(link));
    let found = marked.next()?;
    marked.next().is_none().then_some(found)
}

/// Down it has neither routes nor addresses of IPv6, and those of IPv4 that are rdsup's are taken from it.
fn put_right(observed: &mut Observed, renamed: &Renamed) {
    let Renamed { end, from, .. } = renamed;
    let Some(domain) = observed.domains.get_mut(&end.domain) else { return };
    let Some(mut link) = domain.links.remove(from) else { return };
    domain.routes.retain(|route| route.protocol != ROUTE_PROTOCOL || route.dev.as_ref() != Some(from));
    let own = std::mem::take(&mut link.own_addresses);
    link.addresses.retain(|address| address.addr().is_ipv4() && !own.contains(address));
    link.sysctls.clear();
    link.up = false;
    let peer = link.peer.clone();
    domain.links.insert(end.interface.clone(), link);
    let other = peer.and_then(|(domain, name)| observed.domains.get_mut(&domain)?.links.get_mut(&name));
    if let Some(other) = other {
        other.peer = Some((end.domain.clone(), end.interface.clone()));
    }
}

impl Planner<'_> {
    /// Down first, whatever it is: while it is up the kernel tells nobody that it went away under its old name. It is up again
    /// after the filter for its name is loaded.
    pub(super) fn give_names(&mut self, renamed: &[Renamed]) {
        for Renamed { end, from, link, origin } in renamed {
            let cause = "it was renamed";
            if link.up {
                let action = Action::SetDown { name: from.clone() };
                self.push_because(Stage::Unlink, &end.domain, *origin, action, cause);
            }
            let action = Action::RenameLink { from: from.clone(), to: end.interface.clone() };
            self.push_because(Stage::Links, &end.domain, *origin, action, cause);
            // The kernel does not tell of these again when the interface goes up, and a daemon may have lost them.
            for address in link.own_addresses.iter().filter(|address| address.addr().is_ipv4()) {
                let action = Action::RemoveAddress { name: end.interface.clone(), address: *address };
                self.push_because(Stage::Links, &end.domain, *origin, action, cause);
            }
        }
    }
}
