//! Packet filters that change: how those of several domains change as one.
//!
//! A packet that goes through several domains passes a filter in each. If one has changed and another has not yet, it may
//! pass both although neither the old policy nor the new one lets it through: the first opens what the second is about to
//! close. No transaction spans namespaces, so the new filters are first *stacked*: each is loaded as a table of its own
//! beside the old one, in every domain whose filter changes, and nothing else is done before all are there. A packet must
//! pass every table, so a domain with both lets through what both policies allow. Only then does each domain, in one
//! transaction, get the new filter in the place of the old one and lose the stacked table.
//!
//! ```text
//!              first domain   second domain
//! before       old            old             what the old policy allows
//! stacking     old ∩ new      old             less than the old policy allows
//! stacked      old ∩ new      old ∩ new       what both allow
//! replacing    new            old ∩ new       less than the new policy allows
//! after        new            new             what the new policy allows
//! ```
//!
//! Whatever is stacked already, by an apply that was cut short, stays until then, and another table is stacked on top: at
//! every moment all filters on a path have one policy in common, so that none has to be known that nobody wants any more.

use std::collections::BTreeSet;

use super::desired::DesiredDomain;
use super::observed::ObservedDomain;
use super::planner::Planner;
use super::stages::Stage;
use super::step::Action;
use crate::model::DomainName;

/// What the names of stacked tables begin with; a second one, after an apply that was cut short, is `rdsup-next2`.
pub const STACKED: &str = "rdsup-next";

/// How the lines of a filter begin that name its table, where they do not delete it.
const TABLE: &str = "table inet rdsup";

impl Planner<'_> {
    /// Whether filters change in such a way that they must be stacked first: in several domains that are there, and not only
    /// because tables were altered while policy stays, which are replaced at once.
    ///
    /// One alone needs no more than its own transaction: along every path all others are the same before and after. Domains
    /// that are new have no link before all filters are loaded, and domains that go have none left.
    pub(super) fn must_stack(&self) -> bool {
        let changing: Vec<_> =
            self.desired.domains.iter().filter(|(name, wanted)| self.changes(name, wanted)).collect();
        changing.len() > 1 && changing.iter().any(|(name, wanted)| !self.is_only_altered(name, wanted))
    }

    fn changes(&self, name: &DomainName, wanted: &DesiredDomain) -> bool {
        let seen = self.seen(name);
        let stands = name.is_host() || seen.namespace.is_ours();
        let text = seen.filter.as_ref().map(|filter| filter.text.as_deref());
        stands && text.is_some_and(|text| text != Some(&*wanted.filter.text) || !seen.stacked.is_empty())
    }

    /// Whether what was loaded last is what is wanted, and someone else altered it. Not so if a load was cut short: then it is
    /// not known what was loaded last.
    fn is_only_altered(&self, name: &DomainName, wanted: &DesiredDomain) -> bool {
        let seen = self.seen(name);
        let last = seen.files.get(&wanted.filter.path).map(|(text, _)| &**text);
        seen.filter.as_ref().is_some_and(|filter| filter.text.is_none())
            && seen.stacked.is_empty()
            && last == Some(&*wanted.filter.text)
            && !seen.files.contains_key(&self.layout.filter_on_its_way(name))
    }

    /// Brings the tables of a domain to the one that is wanted. `create`: its namespace is made by this plan.
    pub(super) fn filter(&mut self, name: &DomainName, wanted: &DesiredDomain, seen: &ObservedDomain, create: bool) {
        let stage = Stage::Namespaces;
        let (path, text) = (wanted.filter.path.clone(), wanted.filter.text.clone());
        let mut stacked = seen.stacked.clone();
        let Some(loaded) = &seen.filter else {
            let action = Action::LoadFilter { path, text, stacked };
            if create || name.is_host() {
                self.push(stage, name, wanted.origin, action);
            } else {
                self.push_because(stage, name, wanted.origin, action, "the table was gone");
            }
            return;
        };
        match loaded.text.as_deref() {
            Some(same) if same == &*text => {
                if !stacked.is_empty() {
                    let cause = "left by an apply that was cut short";
                    let action = Action::UnstackFilters { tables: stacked };
                    self.push_because(stage, name, wanted.origin, action, cause);
                }
            }
            loaded => {
                // One that is said to be altered may be the old policy's all the same: of a table that nobody has listed yet
                // nothing is known once others change theirs.
                if self.stack {
                    let table = free_name(&stacked);
                    let action = Action::StackFilter {
                        path: self.layout.stacked_filter(name, &table),
                        text: under_name(&text, &table).into(),
                        table: table.clone(),
                    };
                    let cause = "beside the old one: until all are loaded, both decide";
                    self.push_because(Stage::Tighten, name, wanted.origin, action, cause);
                    stacked.insert(table);
                }
                let cause = loaded.is_none().then_some("the table was changed by someone else");
                self.push_if_because(stage, name, wanted.origin, Action::LoadFilter { path, text, stacked }, cause);
            }
        }
    }
}

fn free_name(taken: &BTreeSet<String>) -> String {
    let names = (1_u32..).map(|n| if n == 1 { STACKED.to_owned() } else { format!("{STACKED}{n}") });
    names.into_iter().find(|name| !taken.contains(name)).unwrap_or_default()
}

/// The filter as a table of another name, with the same comment, which says whose it is. It is made and never replaced: what
/// has the name already is someone else's. It is made twice, since only a table that is made as a whole gets its comment.
fn under_name(text: &str, table: &str) -> String {
    let mut renamed = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        if line == TABLE {
            renamed.extend(["create table inet ", table]);
        } else if let Some((before @ ("" | "delete "), after)) = line.split_once(TABLE) {
            renamed.extend([before, "table inet ", table, after]);
        } else {
            renamed.push_str(line);
        }
        renamed.push('\n');
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stacked_filter_is_made_under_its_own_name_and_touches_no_other_table() {
        let text = "# a: table inet rdsup\ntable inet rdsup\ndelete table inet rdsup\ntable inet rdsup {\n\tcomment \"rdsup /run/rdsup a\"\n}\n";
        assert_eq!(
            under_name(text, "rdsup-next"),
            "# a: table inet rdsup\ncreate table inet rdsup-next\ndelete table inet rdsup-next\ntable inet rdsup-next {\n\tcomment \"rdsup /run/rdsup a\"\n}\n"
        );
    }

    #[test]
    fn a_name_that_is_taken_is_not_used_again() {
        let taken = |names: &[&str]| free_name(&names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(taken(&[]), "rdsup-next");
        assert_eq!(taken(&["rdsup-next2"]), "rdsup-next");
        assert_eq!(taken(&["rdsup-next", "rdsup-next2"]), "rdsup-next3");
    }
}
