//! Filters as the steps of a route map.
//!
//! FRR has no negation, and a list that is missing matches nothing. So every test is written as what must match: a *guard*
//! lets a route go on to the next step, an *alternative* accepts it, and what no step lets go on is refused. However much
//! is missing, nothing more is accepted.

use ipnet::IpNet;

use super::Dialect;
use super::lists::Lists;
use crate::model::{Family, PrefixPattern};
use crate::policy::RouteFilter;
use crate::render::context::{FrrMap, FrrStep};
use crate::render::error::Problem;

/// Where accepted routes go on; `frr/import.hbs` and `frr/export.hbs` begin with what is done to them there.
const ACCEPTED: u32 = 65000;

/// How many entries `frr/first.hbs` makes.
const BEFORE: u32 = 2;

/// Where the steps end: 64999 refuses what is left.
const END: u32 = 64999;

/// The steps of a route map as they come to be.
#[derive(Default)]
pub(super) struct Steps {
    steps: Vec<FrrStep>,
    next: u32,
}

impl Steps {
    /// None yet; before them are those of `frr/first.hbs` where there must be some.
    pub(super) fn begin(dialect: Dialect) -> Self {
        Self { steps: Vec::new(), next: if dialect.marks { BEFORE } else { 0 } }
    }

    /// What matches goes on, anything else is refused.
    pub(super) fn guard(&mut self, why: &str, matches: Vec<String>) {
        let number = self.take(2);
        let step = FrrStep { number, why: why.to_owned(), matches, goto: Some(number + 2), refuse: Some(number + 1) };
        self.steps.push(step);
    }

    /// What matches is refused, anything else goes on. For origins only, of which FRR knows nothing until a cache has answered.
    pub(super) fn refuse(&mut self, why: &str, matches: Vec<String>) {
        let number = self.take(1);
        let step = FrrStep { number, why: why.to_owned(), matches, goto: None, refuse: None };
        self.steps.push(step);
    }

    /// What matches is accepted, anything else goes on.
    fn alternative(&mut self, why: &str, matches: Vec<String>) {
        let number = self.take(1);
        self.steps.push(FrrStep { number, why: why.to_owned(), matches, goto: Some(ACCEPTED), refuse: None });
    }

    /// Numbers begin at 1.
    fn take(&mut self, count: u32) -> u32 {
        let number = self.next + 1;
        self.next += count;
        number
    }

    /// The steps of an allow-list, which are the last: with them the map is whole, but for its name.
    pub(super) fn finish(
        mut self,
        lists: &mut Lists,
        family: Family,
        filter: &RouteFilter,
        never: &[PrefixPattern],
    ) -> Result<FrrMap, Problem> {
        let command = command(family);
        let matching = |list: String| vec![format!("{command} address prefix-list {list}")];
        if !filter.is_empty() {
            let never: Vec<_> = filter.never.iter().map(under).chain(never.iter().copied()).collect();
            let unless: Vec<_> = filter.unless.iter().copied().map(PrefixPattern::exact).collect();
            for list in lists.none_of(family, "never", &never, &unless) {
                self.guard("Never, whatever is listed", matching(list));
            }
        }
        if !filter.named.is_empty() {
            for list in lists.any_of(family, "named", &filter.named) {
                self.alternative("Named", matching(list));
            }
        }
        if !filter.ranges.is_empty() {
            let except: Vec<_> = filter.except.iter().map(under).collect();
            for list in lists.none_of(family, "except", &except, &[]) {
                self.guard("Not meant by a range over everything", matching(list));
            }
            for list in lists.any_of(family, "range", &filter.ranges) {
                self.alternative("A range over everything", matching(list));
            }
        }
        if self.next >= END {
            return Err(Problem::TooManyPrefixes(filter.named.len() + filter.except.len() + filter.never.len()));
        }
        Ok(FrrMap { name: String::new(), steps: self.steps })
    }
}

/// A prefix and everything under it.
fn under(prefix: &IpNet) -> PrefixPattern {
    PrefixPattern { prefix: *prefix, ge: prefix.prefix_len(), le: prefix.max_prefix_len() }
}

/// The word in front of commands of a family.
pub(super) fn command(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ip",
        Family::Ipv6 => "ipv6",
    }
}
