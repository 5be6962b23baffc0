//! Planning around what stands in the way, for repairs.
//!
//! Who applies a file is told of a conflict before anything is touched. A repair comes unasked, and what someone did to one
//! domain must not keep the others from being mended: so everything is planned that does not concern what stands in the way.

use std::collections::BTreeSet;

use super::desired::{Desired, DesiredVeth, VethEnd};
use super::host::makes_forward;
use super::observed::{NamespaceState, Observed};
use super::planner::Planner;
use super::renamed::righted;
use super::stages::{Conflict, Plan};
use super::step::{Action, Step};
use super::{Layout, Stage};
use crate::model::{DomainName, InterfaceName};

/// Computes what leads from `observed` to `desired` as far as nothing of others stands in the way, and what does.
pub fn plan_around(desired: &Desired, observed: &Observed, layout: &Layout) -> (Plan, Vec<Conflict>) {
    let (observed, renamed) = righted(desired, observed);
    let mut planner = Planner::new(desired, &observed, layout, &renamed);
    let conflicts = std::mem::take(&mut planner.conflicts);
    let host = Layout::host();
    for conflict in &conflicts {
        match conflict {
            Conflict::LosesDefaultRoute { .. } => planner.steps.retain_mut(|(_, step)| {
                let Action::SetSysctls { values, .. } = &mut step.action else { return true };
                if step.domain == host {
                    values.retain(|value| !makes_forward(value));
                }
                !values.is_empty()
            }),
            Conflict::RoutedByOthers { .. } => {
                let starts = |step: &Step| step.domain == host && step.action.starts_core();
                planner.steps.retain(|(stage, step)| *stage != Stage::Daemons || !starts(step));
            }
            // For these nothing was planned.
            Conflict::ForeignNamespace { .. } | Conflict::HostTaken { .. } | Conflict::ForeignInterface { .. } => {}
        }
    }
    (planner.plan(), conflicts)
}

impl Planner<'_> {
    /// Both ends of each link that has a foreign namespace or interface in its place.
    pub(super) fn blocked_ends(&self) -> BTreeSet<VethEnd> {
        let in_the_way = |end: &VethEnd| {
            let seen = self.seen(&end.domain);
            matches!(seen.namespace, NamespaceState::Foreign(_)) || self.is_foreign(end)
        };
        let blocked = self.desired.veths.iter().filter(|veth| veth.ends.iter().any(in_the_way));
        blocked.flat_map(|veth| veth.ends.iter().cloned()).collect()
    }

    fn is_foreign(&self, end: &VethEnd) -> bool {
        self.seen(&end.domain).links.get(&end.interface).is_some_and(|link| !self.is_ours(&end.domain, link))
    }

    /// Whether an interface is an end of a link that cannot be made.
    pub(super) fn is_blocked(&self, domain: &DomainName, interface: &InterfaceName) -> bool {
        self.blocked.contains(&VethEnd { domain: domain.clone(), interface: interface.clone() })
    }

    /// Whether an interface is such an end and not there, or someone else's: nothing can be put on it.
    pub(super) fn is_out_of_reach(&self, domain: &DomainName, interface: &InterfaceName) -> bool {
        let ours = self.seen(domain).links.get(interface).is_some_and(|link| self.is_ours(domain, link));
        !ours && self.is_blocked(domain, interface)
    }

    /// Whether a link cannot be made, and notes what is in its way.
    pub(super) fn blocks(&mut self, veth: &DesiredVeth) -> bool {
        for end in veth.ends.iter().filter(|end| self.is_foreign(end)).cloned().collect::<Vec<_>>() {
            let VethEnd { domain, interface } = end;
            self.conflicts.push(Conflict::ForeignInterface { domain, interface, origin: veth.origin });
        }
        veth.ends.iter().any(|end| self.blocked.contains(end))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{carry_out, damage, inflict, interface, layout, lines, name, with_claimed_interface};
    use super::super::touched_tests::{running, wanted};
    use super::super::{ObservedDomain, ObservedLink, RouteSpec, plan};
    use super::*;

    /// Puts something of others in the way of one domain: a namespace of its name, seen with or without the links that ours still
    /// has, or an interface of a link's name.
    fn obstruct(observed: &mut Observed, victim: usize, obstacle: usize) {
        let label = name(["internet", "private", "hostile"][victim]);
        if obstacle == 2 {
            let end = interface(if victim == 0 { "rd-private" } else { "rd-internet" });
            inflict_end_gone(observed, &label, &end);
            let bridge = ObservedLink { kind: "bridge".to_owned(), mtu: 9000, ..ObservedLink::default() };
            observed.domains.get_mut(&label).unwrap().links.insert(end, bridge);
            return;
        }
        let namespace = NamespaceState::Foreign("it has no table inet rdsup".to_owned());
        let foreign = ObservedDomain { namespace, ..ObservedDomain::default() };
        let ours = observed.domains.insert(label, foreign).unwrap();
        for (domain, end) in ours.links.into_values().filter_map(|link| link.peer) {
            let Some(domain) = observed.domains.get_mut(&domain) else { continue };
            if obstacle == 0 {
                domain.links.remove(&end);
                domain.routes.retain(|route| route.dev.as_ref() != Some(&end));
            } else if let Some(link) = domain.links.get_mut(&end) {
                link.peer = None;
            }
        }
    }

    fn inflict_end_gone(observed: &mut Observed, label: &DomainName, end: &InterfaceName) {
        let domain = observed.domains.get_mut(label).unwrap();
        domain.routes.retain(|route| route.dev.as_ref() != Some(end));
        let Some((peer, other)) = domain.links.remove(end).and_then(|gone| gone.peer) else { return };
        let peer = observed.domains.get_mut(&peer).unwrap();
        peer.links.remove(&other);
        peer.routes.retain(|route| route.dev.as_ref() != Some(&other));
    }

    /// What is not rdsup's: foreign namespaces with all that is seen in them, and bridges.
    fn foreign_things(observed: &Observed) -> Vec<String> {
        let namespaces =
            observed.domains.iter().filter(|(_, domain)| matches!(domain.namespace, NamespaceState::Foreign(_)));
        let bridges = observed.domains.iter().flat_map(|(name, domain)| {
            domain
                .links
                .iter()
                .filter(|(_, link)| link.kind == "bridge")
                .map(move |(end, link)| format!("{name} {end} {link:?}"))
        });
        namespaces.map(|(name, domain)| format!("{name} {domain:?}")).chain(bridges).collect()
    }

    /// A machine on which this runs, and then another network's table stands in the host.
    fn taken_from(toml: &str) -> Observed {
        let mut observed = running(toml);
        let host = observed.domains.get_mut(&Layout::host()).unwrap();
        host.namespace = NamespaceState::Foreign("/run/other".to_owned());
        host.filter = None;
        host.routes.insert(RouteSpec::own("10.79.0.0/16".parse().unwrap(), "unreachable"));
        observed
    }

    const WITH_HOST: &str = "[domain.host]\nfamilies = [\"ipv4\"]\n[domain.a]\ndaemon = \"none\"\nloopback = [\"10.1.0.1/32\"]\n\
        [[link]]\nbetween = [\"a\", \"host\"]\nrouting = \"static\"\n[link.into.host]\nroutes = [\"10.1.0.1/32\"]\n\
        [link.into.a]\nroutes = [\"192.0.2.1/32\"]\n";

    #[test]
    fn a_host_that_is_another_networks_is_a_conflict_and_nothing_is_planned_there() {
        let (desired, observed) = (wanted(WITH_HOST), taken_from(WITH_HOST));
        let conflicts = plan(&desired, &observed, &layout()).unwrap_err();
        let [conflict @ Conflict::HostTaken { run_dir, .. }] = &conflicts[..] else { panic!("{conflicts:?}") };
        assert_eq!((run_dir.to_str(), conflict.domain()), (Some("/run/other"), Layout::host()));
        let (around, _) = plan_around(&desired, &observed, &layout());
        assert_eq!(lines(&around), Vec::<String>::new());
    }

    #[test]
    fn what_another_network_has_in_the_host_outlives_our_end_and_our_links_do_not() {
        let mut observed = taken_from(WITH_HOST);
        let down = plan(&Desired::default(), &observed, &layout()).unwrap();
        carry_out(&mut observed, &down);
        let host = &observed.domains[&Layout::host()];
        assert!(
            !host.links.contains_key("rd-a") && host.routes.iter().any(|route| route.to.to_string() == "10.79.0.0/16")
        );
        assert!(!lines(&down).iter().any(|line| line.contains("nft delete")), "{:#?}", lines(&down));
    }

    #[test]
    fn routes_in_a_host_that_was_never_ours_are_anothers() {
        let mut observed = Observed::default();
        let route = RouteSpec::own("10.79.0.0/16".parse().unwrap(), "unreachable");
        let host = ObservedDomain {
            namespace: NamespaceState::Ours,
            routes: BTreeSet::from([route]),
            ..ObservedDomain::default()
        };
        observed.domains.insert(Layout::host(), host);
        assert!(plan(&Desired::default(), &observed, &layout()).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn what_others_put_in_the_way_of_one_domain_keeps_no_other_from_being_mended(
            damages in prop::collection::vec(damage(), 0..8),
            victim in 0..3usize,
            obstacle in 0..3usize,
        ) {
            let (desired, mut observed) = with_claimed_interface();
            let up = plan(&desired, &observed, &layout()).unwrap();
            carry_out(&mut observed, &up);
            for (victim, damage) in &damages {
                inflict(&mut observed, *victim, damage);
            }
            obstruct(&mut observed, victim, obstacle);
            prop_assert!(plan(&desired, &observed, &layout()).is_err(), "who applies is told");
            let (repair, conflicts) = plan_around(&desired, &observed, &layout());
            prop_assert!(!conflicts.is_empty());
            let before = foreign_things(&observed);
            carry_out(&mut observed, &repair);
            prop_assert_eq!(foreign_things(&observed), before, "nothing of others was touched");
            let (second, _) = plan_around(&desired, &observed, &layout());
            prop_assert_eq!(lines(&second), Vec::<String>::new());
        }
    }
}
