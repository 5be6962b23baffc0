//! What was found not to be as it should be, in words, told from the steps that mend it.

use std::collections::{BTreeMap, BTreeSet};

use super::observed::{Observed, RouteSpec};
use super::stages::Plan;
use super::step::{Action, Step};
use super::{LINK_GROUP, Layout, VethEnd};
use crate::model::{DomainName, InterfaceName, Program};

/// How many things of one kind are named; of more only the number is told.
const NAMED: usize = 3;

/// What a repair has found, for each domain in the order of its steps. One thing that explains others stands for them: whose
/// namespace was lost also lost its links, and a link that was down lost its addresses and routes.
pub fn found(plan: &Plan, observed: &Observed) -> BTreeMap<DomainName, Vec<String>> {
    let explained = Explained::by(plan);
    let mut findings: BTreeMap<DomainName, Findings> = BTreeMap::new();
    for step in plan.steps() {
        if let Action::AddVeth { ends: [first, second], .. } = &step.action {
            for (end, other) in [(first, second), (second, first)] {
                if !explained.lost.contains(&end.domain) && !explained.lost.contains(&other.domain) {
                    findings.entry(end.domain.clone()).or_default().note(lost_end(end, observed));
                }
            }
        } else if let Some(finding) = explained.finding(step, observed) {
            findings.entry(step.domain.clone()).or_default().note(finding);
        }
    }
    findings.into_iter().map(|(domain, findings)| (domain, findings.words())).collect()
}

/// One thing: what it is, which one, and what was wrong with it.
type Finding = (&'static str, String, &'static str);

fn lost_end(end: &VethEnd, observed: &Observed) -> Finding {
    let there = observed.domains.get(&end.domain).and_then(|domain| domain.links.get(&end.interface));
    let what = if there.is_some() { "the other end of link" } else { "link" };
    (what, end.interface.to_string(), "was gone")
}

/// What stands for more than itself.
#[derive(Default)]
struct Explained {
    /// Domains whose namespace is made again.
    lost: BTreeSet<DomainName>,
    /// Domains whose directory is made again.
    bare: BTreeSet<DomainName>,
    /// Interfaces that are made, claimed or taken up again.
    interfaces: BTreeSet<(DomainName, InterfaceName)>,
    /// Those of them that were not even there.
    made: BTreeSet<(DomainName, InterfaceName)>,
    /// Interfaces that get their name again.
    renamed: BTreeSet<(DomainName, InterfaceName)>,
}

impl Explained {
    fn by(plan: &Plan) -> Self {
        let mut all = Self::default();
        for step in plan.steps() {
            let domain = &step.domain;
            match &step.action {
                Action::CreateNamespace => drop(all.lost.insert(domain.clone())),
                Action::MakeDirectory { .. } => drop(all.bare.insert(domain.clone())),
                Action::AddVeth { ends, .. } => {
                    all.made.extend(ends.iter().map(|end| (end.domain.clone(), end.interface.clone())));
                }
                Action::ClaimInterface { name } => drop(all.made.insert((domain.clone(), name.clone()))),
                Action::RenameLink { to, .. } => drop(all.renamed.insert((domain.clone(), to.clone()))),
                Action::SetUp { name } => drop(all.interfaces.insert((domain.clone(), name.clone()))),
                _ => {}
            }
        }
        all.interfaces.extend(all.made.iter().cloned());
        // Its sysctls could not be read under its other name, nor is it told that it was down.
        all.made.extend(all.renamed.iter().cloned());
        all
    }

    fn has_made(&self, domain: &DomainName, interface: &InterfaceName) -> bool {
        self.made.contains(&(domain.clone(), interface.clone()))
    }

    fn has(&self, domain: &DomainName, interface: &InterfaceName) -> bool {
        self.interfaces.contains(&(domain.clone(), interface.clone()))
    }

    /// What one step tells; nothing where another explains it.
    fn finding(&self, step: &Step, observed: &Observed) -> Option<Finding> {
        let domain = &step.domain;
        let seen = observed.domains.get(domain);
        if self.lost.contains(domain) {
            let lost = matches!(step.action, Action::CreateNamespace);
            return lost.then(|| ("its namespace", String::new(), "was gone"));
        }
        match &step.action {
            Action::PublishNamespace => Some(("its name under /run/netns", String::new(), "was gone")),
            Action::MakeDirectory { .. } => Some(("its directory", String::new(), "was gone")),
            Action::WriteFile { path, .. } if Layout::interface_of_record(path).is_some() => {
                let name = Layout::interface_of_record(path).filter(|name| !self.has_made(domain, name))?;
                Some(("what is remembered of interface", name.to_string(), "was lost"))
            }
            Action::WriteFile { path, .. } if !self.bare.contains(domain) => {
                let there = seen.is_some_and(|seen| seen.files.contains_key(path));
                Some(("file", path.display().to_string(), if there { "was altered" } else { "was gone" }))
            }
            Action::RemovePath { path } if Layout::interface_of_record(path).is_none() => {
                Some(("file", path.display().to_string(), "was left over"))
            }
            Action::LoadFilter { .. } => {
                let there = seen.is_some_and(|seen| seen.filter.is_some());
                let how = if there { "was altered by someone else" } else { "was gone" };
                Some(("the packet filter", String::new(), how))
            }
            Action::UnstackFilters { .. } => {
                Some(("a packet filter of an apply that was cut short", String::new(), "was left"))
            }
            Action::SetSysctls { values, .. } => {
                // Those of an interface that is made again are new as it is.
                let of_others = values.iter().filter(|value| {
                    let interface = value.key.split('/').nth(3).and_then(|name| InterfaceName::new(name).ok());
                    interface.is_none_or(|name| !self.has_made(domain, &name))
                });
                let more = of_others.clone().count().saturating_sub(1);
                // Whoever writes these makes the kernel write others, such as `accept_redirects`.
                let follows = |key: &str| !(key.ends_with("/ip_forward") || key.ends_with("/forwarding"));
                let first = of_others.min_by_key(|value| follows(&value.key))?;
                let and = if more == 0 { String::new() } else { format!(" (and {more} more)") };
                Some(("sysctl", format!("{}{and}", first.dotted()), "was altered"))
            }
            Action::RemoveNamespace => Some(("a domain that the file does not have", String::new(), "was there")),
            Action::StartDaemon { .. } if step.action.starts_core() => {
                Some(("its routing daemon", String::new(), "did not run"))
            }
            Action::StartDaemon { programs, .. } => Some(("its program", names(programs), "did not run")),
            Action::ReloadDaemon { .. } => Some(("its routing daemon", String::new(), "had another configuration")),
            Action::StopDaemon { .. } if step.action.stops_core() => {
                Some(("a routing daemon", String::new(), "ran unasked"))
            }
            Action::StopDaemon { programs, .. } => Some(("the program", names(programs), "ran unasked")),
            action => self.on_interface(domain, action, seen.map(|seen| &seen.links)),
        }
    }

    /// What a step tells that concerns one interface, or a route.
    fn on_interface(
        &self,
        domain: &DomainName,
        action: &Action,
        links: Option<&BTreeMap<InterfaceName, super::ObservedLink>>,
    ) -> Option<Finding> {
        let explained = |name: &InterfaceName| self.has(domain, name);
        match action {
            Action::ClaimInterface { name } => Some(("interface", name.to_string(), "appeared")),
            Action::RemoveLink { name } if !self.has_made(domain, name) => {
                let ours = links.and_then(|links| links.get(name)).is_some_and(|link| link.group == LINK_GROUP);
                ours.then(|| ("interface", name.to_string(), "was left over or renamed"))
            }
            Action::SetUp { name } if !self.has_made(domain, name) => Some(("", name.to_string(), "was down")),
            Action::SetAlias { name, .. } if !self.has_made(domain, name) => {
                Some(("the alias of", name.to_string(), "was altered"))
            }
            Action::SetMtu { name, .. } if !self.has_made(domain, name) => {
                Some(("the MTU of", name.to_string(), "was altered"))
            }
            Action::AddAddress { name, address } if !explained(name) => {
                Some(("address", format!("{address} of {name}"), "was gone"))
            }
            Action::RenameLink { to, .. } => Some(("link", to.to_string(), "was renamed")),
            Action::RemoveAddress { name, address } if !self.has_made(domain, name) => {
                Some(("address", format!("{address} of {name}"), "was left over"))
            }
            Action::AddRoute(route) if !route.dev.as_ref().is_some_and(explained) => {
                Some(("route", route_words(route), "was gone"))
            }
            Action::RemoveRoute(route) => Some(("route", route_words(route), "was left over")),
            _ => None,
        }
    }
}

fn names(programs: &BTreeSet<Program>) -> String {
    programs.iter().map(|program| program.as_str()).collect::<Vec<_>>().join(" and ")
}

fn route_words(route: &RouteSpec) -> String {
    let kind = if route.kind == "unicast" { String::new() } else { format!("{} ", route.kind) };
    let dev = route.dev.as_ref().map(|dev| format!(" by {dev}")).unwrap_or_default();
    format!("{kind}{}{dev}", route.to)
}

/// What was found in one domain, things of one kind together.
#[derive(Default)]
struct Findings(Vec<((&'static str, &'static str), Vec<String>)>);

impl Findings {
    fn note(&mut self, (what, which, how): Finding) {
        match self.0.iter_mut().find(|(kind, _)| *kind == (what, how)) {
            Some((_, known)) if known.contains(&which) => {}
            Some((_, known)) => known.push(which),
            None => self.0.push(((what, how), vec![which])),
        }
    }

    fn words(self) -> Vec<String> {
        let mut words = Vec::new();
        for ((what, how), which) in self.0 {
            for name in which.iter().take(NAMED) {
                let parts = [what, name, how].into_iter().filter(|part| !part.is_empty());
                words.push(parts.collect::<Vec<_>>().join(" "));
            }
            if let Some(more) = which.len().checked_sub(NAMED).filter(|more| *more > 0) {
                words.push(format!("and {more} more of this kind"));
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{carry_out, layout, name, three_domains};
    use super::super::{Desired, NamespaceState, ObservedLink, plan};
    use super::*;

    /// What is found of a network of three domains after this was done to it.
    fn after(damage: impl FnOnce(&mut Observed)) -> BTreeMap<DomainName, Vec<String>> {
        let desired: Desired = three_domains();
        let mut observed = Observed::default();
        let up = plan(&desired, &observed, &layout()).unwrap();
        carry_out(&mut observed, &up);
        damage(&mut observed);
        found(&plan(&desired, &observed, &layout()).unwrap(), &observed)
    }

    fn words(domain: &str, found: &BTreeMap<DomainName, Vec<String>>) -> Vec<String> {
        found.get(&name(domain)).cloned().unwrap_or_default()
    }

    fn link<'a>(observed: &'a mut Observed, domain: &str, interface: &str) -> &'a mut ObservedLink {
        observed.domains.get_mut(&name(domain)).unwrap().links.get_mut(interface).unwrap()
    }

    #[test]
    fn a_link_that_is_gone_is_told_at_both_ends_and_nothing_else_is() {
        let found = after(|observed| {
            observed.domains.get_mut(&name("private")).unwrap().links.remove("rd-internet");
            observed.domains.get_mut(&name("internet")).unwrap().links.remove("rd-private");
        });
        assert_eq!(words("private", &found), ["link rd-internet was gone"]);
        assert_eq!(words("internet", &found), ["link rd-private was gone"]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_link_that_is_down_explains_its_addresses_and_routes() {
        let found = after(|observed| {
            let link = link(observed, "private", "rd-internet");
            link.up = false;
            link.addresses.clear();
            observed.domains.get_mut(&name("private")).unwrap().routes.retain(|route| route.dev.is_none());
        });
        assert_eq!(found.len(), 1);
        assert_eq!(words("private", &found), ["rd-internet was down"]);
    }

    #[test]
    fn an_address_a_route_a_sysctl_and_a_file_are_named() {
        let found = after(|observed| {
            link(observed, "private", "lo").addresses.clear();
            let private = observed.domains.get_mut(&name("private")).unwrap();
            private.routes.retain(|route| route.kind != "unreachable");
            private.sysctls.insert("net/ipv4/ip_forward".to_owned(), "0".to_owned());
            private.files.retain(|path, _| !path.ends_with("bird.conf"));
        });
        assert_eq!(
            words("private", &found),
            [
                "file /run/rdsup/private/bird.conf was gone",
                "sysctl net.ipv4.ip_forward was altered",
                "address 192.0.2.1/32 of lo was gone",
                "route unreachable 198.51.100.0/24 was gone",
            ]
        );
    }

    #[test]
    fn of_several_sysctls_the_one_that_changes_the_others_is_named() {
        let keys = ["net/ipv4/conf/all/accept_redirects", "net/ipv4/ip_forward", "net/ipv6/conf/all/accept_ra"];
        let mut desired = three_domains();
        let sysctls = &mut desired.domains.get_mut(&name("private")).unwrap().sysctls;
        sysctls.extend(keys.map(|key| (key.to_owned(), "1".to_owned())));
        let mut observed = Observed::default();
        let up = plan(&desired, &observed, &layout()).unwrap();
        carry_out(&mut observed, &up);
        observed.domains.get_mut(&name("private")).unwrap().sysctls.clear();
        let found = found(&plan(&desired, &observed, &layout()).unwrap(), &observed);
        assert_eq!(words("private", &found), ["sysctl net.ipv4.ip_forward (and 2 more) was altered"]);
    }

    #[test]
    fn a_filter_that_is_gone_is_told_from_one_that_was_altered() {
        let gone = after(|observed| observed.domains.get_mut(&name("private")).unwrap().filter = None);
        assert_eq!(words("private", &gone), ["the packet filter was gone"]);
        let altered = after(|observed| {
            observed.domains.get_mut(&name("private")).unwrap().filter.as_mut().unwrap().text = None;
        });
        assert_eq!(words("private", &altered), ["the packet filter was altered by someone else"]);
    }

    #[test]
    fn a_namespace_that_is_gone_explains_all_that_was_in_it_and_a_lost_name_is_no_lost_namespace() {
        let found = after(|observed| {
            let private = std::mem::take(observed.domains.get_mut(&name("private")).unwrap());
            observed.domains.get_mut(&name("private")).unwrap().files = private.files;
            observed.domains.get_mut(&name("internet")).unwrap().links.remove("rd-private");
        });
        assert_eq!(found.len(), 1);
        assert_eq!(words("private", &found), ["its namespace was gone"]);
        let unnamed = after(|observed| {
            observed.domains.get_mut(&name("private")).unwrap().namespace = NamespaceState::Unnamed;
        });
        assert_eq!(words("private", &unnamed), ["its name under /run/netns was gone"]);
    }

    #[test]
    fn a_renamed_end_is_told_where_it_was_renamed() {
        let found = after(|observed| {
            let links = &mut observed.domains.get_mut(&name("private")).unwrap().links;
            let end = links.remove("rd-internet").unwrap();
            links.insert(InterfaceName::new("other").unwrap(), end);
            let peer = Some((name("private"), InterfaceName::new("other").unwrap()));
            link(observed, "internet", "rd-private").peer = peer;
        });
        assert_eq!(found.len(), 1);
        assert_eq!(words("private", &found), ["link rd-internet was renamed"]);
    }

    #[test]
    fn of_many_things_of_a_kind_a_few_are_named_and_the_rest_counted() {
        let mut findings = Findings::default();
        for number in 0..8 {
            findings.note(("route", format!("10.{number}.0.0/16"), "was gone"));
        }
        findings.note(("route", "10.0.0.0/16".to_owned(), "was gone"));
        let words = findings.words();
        assert_eq!((words.len(), words.last().unwrap().as_str()), (4, "and 5 more of this kind"));
    }
}
