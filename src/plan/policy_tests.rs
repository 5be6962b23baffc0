//! Filters of several domains that change, carried out on a machine that exists only as a value.
//!
//! Each filter is stood in for by the name of the policy that it belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::tests::{carry_out, layout, lines, name, three_domains};
use super::{Action, Desired, Observed, Stage, plan};

const DOMAINS: [&str; 3] = ["internet", "private", "hostile"];

/// The network under another policy, in those domains that it concerns.
fn under(policy: &str, domains: &[&str]) -> Desired {
    let mut desired = three_domains();
    for label in domains {
        let filter = &mut desired.domains.get_mut(&name(label)).unwrap().filter;
        filter.text = Arc::from(format!("table inet rdsup {{ # {label} {policy}\n"));
    }
    desired
}

fn running(policy: &str) -> Observed {
    let mut observed = Observed::default();
    let up = plan(&under(policy, &DOMAINS), &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    observed
}

/// The policies that a domain enforces, all at the same time: that of its filter, and those that are stacked on it.
#[derive(Clone, Debug)]
struct InForce {
    filter: String,
    stacked: BTreeMap<String, String>,
}

impl InForce {
    fn carry_out(&mut self, action: &Action) {
        let policy = |text: &str| text.split_whitespace().last().unwrap_or_default().to_owned();
        match action {
            Action::StackFilter { table, text, .. } => drop(self.stacked.insert(table.clone(), policy(text))),
            Action::LoadFilter { text, stacked, .. } => {
                self.filter = policy(text);
                self.stacked.retain(|table, _| !stacked.contains(table));
            }
            Action::UnstackFilters { tables } => self.stacked.retain(|table, _| !tables.contains(table)),
            _ => {}
        }
    }

    fn policies(&self) -> BTreeSet<&str> {
        self.stacked.values().chain([&self.filter]).map(String::as_str).collect()
    }
}

fn have_one_in_common(domains: &BTreeMap<&str, InForce>) -> bool {
    let mut all = domains.values().map(InForce::policies);
    let first = all.next().unwrap_or_default();
    !all.fold(first, |common, these| &common & &these).is_empty()
}

#[test]
fn filters_of_several_domains_are_stacked_before_anything_else_is_done() {
    let observed = running("old");
    let change = plan(&under("new", &DOMAINS), &observed, &layout()).unwrap();
    let stages: Vec<Stage> = change.stages().into_keys().collect();
    assert_eq!(stages, [Stage::Tighten, Stage::Namespaces]);
    let lines = lines(&change);
    assert_eq!(lines[0], "ip netns exec hostile nft -f /run/rdsup/hostile/rdsup-next.nft");
    assert_eq!(
        lines[3],
        "ip netns exec hostile nft 'include \"/run/rdsup/hostile/rdsup.nft\"; delete table inet rdsup-next'"
    );
    assert_eq!(lines.len(), 6);
}

#[test]
fn the_filter_of_one_domain_alone_is_replaced_at_once() {
    let mut desired = under("old", &DOMAINS);
    desired.domains.get_mut(&name("private")).unwrap().filter.text = Arc::from("new");
    let change = plan(&desired, &running("old"), &layout()).unwrap();
    assert_eq!(lines(&change), ["ip netns exec private nft -f /run/rdsup/private/rdsup.nft"]);
}

#[test]
fn tables_that_were_lost_or_altered_are_loaded_at_once() {
    let mut observed = running("old");
    observed.domains.get_mut(&name("private")).unwrap().filter = None;
    observed.domains.get_mut(&name("hostile")).unwrap().filter.as_mut().unwrap().text = None;
    let repair = plan(&under("old", &DOMAINS), &observed, &layout()).unwrap();
    let stages: Vec<Stage> = repair.stages().into_keys().collect();
    assert_eq!((stages, repair.steps.len()), (vec![Stage::Namespaces], 2));
}

#[test]
fn a_table_of_which_nothing_is_known_is_stacked_on_when_policy_changes_too() {
    let mut observed = running("old");
    observed.domains.get_mut(&name("hostile")).unwrap().filter.as_mut().unwrap().text = None;
    let change = plan(&under("new", &DOMAINS), &observed, &layout()).unwrap();
    assert_eq!(change.stages()[&Stage::Tighten].len(), 3);
}

#[test]
fn tables_of_which_a_load_was_cut_short_are_stacked_on_even_if_the_last_one_known_is_wanted() {
    let mut observed = running("old");
    for label in ["private", "hostile"] {
        let domain = observed.domains.get_mut(&name(label)).unwrap();
        domain.filter.as_mut().unwrap().text = None;
        domain.files.insert(layout().filter_on_its_way(&name(label)), ("new".to_owned(), 0o644));
    }
    let repair = plan(&under("old", &DOMAINS), &observed, &layout()).unwrap();
    assert_eq!(repair.stages()[&Stage::Tighten].len(), 2);
}

#[test]
fn stop_takes_a_stacked_table_away_from_the_host() {
    let mut observed = running("old");
    let host = observed.domains.entry(super::Layout::host()).or_default();
    host.namespace = super::NamespaceState::Ours;
    host.stacked.insert("rdsup-next".to_owned());
    let down = plan(&Desired::default(), &observed, &layout()).unwrap();
    assert!(lines(&down).contains(&"nft 'delete table inet rdsup-next'".to_owned()), "{:?}", lines(&down));
}

proptest! {
    /// A path may lead through any domains. As long as all of them enforce one policy together, whatever they enforce
    /// beside it, no packet gets through that this policy forbids.
    #[test]
    fn all_domains_have_a_policy_in_common_however_often_a_change_is_cut_short(
        changes in prop::collection::vec((0..4usize, 0..12usize), 1..6),
        order in any::<bool>(),
    ) {
        let mut observed = running("p0");
        let start = InForce { filter: "p0".to_owned(), stacked: BTreeMap::new() };
        let mut in_force = BTreeMap::from(DOMAINS.map(|domain| (domain, start.clone())));
        for (policy, cut) in &changes {
            let change = plan(&under(&format!("p{policy}"), &DOMAINS), &observed, &layout()).unwrap();
            for domains in change.stages().into_values() {
                // Those of a stage are done at the same time, in any order.
                let mut steps: Vec<_> = domains.into_values().flatten().collect();
                if order {
                    steps.reverse();
                }
                for step in steps.iter().take(*cut) {
                    observed.carry_out(step);
                    if let Some(domain) = in_force.get_mut(step.domain.as_str()) {
                        domain.carry_out(&step.action);
                    }
                    prop_assert!(have_one_in_common(&in_force), "{in_force:?} after {step}");
                }
                if *cut < steps.len() {
                    break;
                }
            }
        }
        let last = changes.last().map_or(0, |(policy, _)| *policy);
        let desired = under(&format!("p{last}"), &DOMAINS);
        let rest = plan(&desired, &observed, &layout()).unwrap();
        carry_out(&mut observed, &rest);
        prop_assert!(observed.domains.values().all(|domain| domain.stacked.is_empty()));
        prop_assert_eq!(lines(&plan(&desired, &observed, &layout()).unwrap()), Vec::<String>::new());
    }
}
