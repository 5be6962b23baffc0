//! Protections that are switched off one at a time, each with the case that must then fail.

mod answers;
mod frr;
mod host;
mod interface;
mod kernel;
mod link;
mod routes;
mod translated;

use std::time::Instant;

use libtest_mimic::Trial;

use crate::cases::{self, Case};
use crate::report::{self, Line};
use crate::setup::{Edit, Failure, Setup, Tally};

/// A protection and the case that isolates it.
pub struct Mutation {
    /// What is switched off.
    pub protection: &'static str,
    pub case: &'static str,
    /// Other cases that must fail without it too.
    pub more: &'static [&'static str],
    pub change: Change,
    /// Whether it is tried with FRR in the case's network.
    pub frr: bool,
}

/// How it is switched off.
#[derive(Clone, Copy)]
pub enum Change {
    /// In a template.
    Text(Edit),
    /// By a shell script in the running machine.
    Script(&'static str),
}

const fn text(
    protection: &'static str,
    case: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
) -> Mutation {
    Mutation { protection, case, more: &[], change: Change::Text(Edit { file, from, to }), frr: false }
}

const fn script(protection: &'static str, case: &'static str, script: &'static str) -> Mutation {
    Mutation { protection, case, more: &[], change: Change::Script(script), frr: false }
}

const LINK: &str = "nft/link.hbs";
const LINK_OUT: &str = "nft/link_out.hbs";
const INTERFACE: &str = "nft/interface.hbs";
const TRANSLATE: &str = "nft/translate.hbs";
const WIRE: &str = "nft/wire.hbs";
const FLOWS: &str = "nft/flows.hbs";
const DOMAIN: &str = "nft/domain.hbs";
const HOST: &str = "nft/host.hbs";
const BIRD_LINK: &str = "bird/link.hbs";
const CHANNEL: &str = "bird/channel.hbs";
const FAMILY: &str = "bird/family.hbs";
const NEIGHBOR: &str = "bird/neighbor.hbs";
const FILTERS: &str = "bird/filters.hbs";
const STEPS: &str = "frr/steps.hbs";
const IMPORT: &str = "frr/import.hbs";
const EXPORT: &str = "frr/export.hbs";
const NOTE: &str = "frr/note.hbs";
const BGPD: &str = "frr/bgpd.conf.hbs";
const FRR_CHANNEL: &str = "frr/channel.hbs";
const FRR_LINK: &str = "frr/link.hbs";
const FRR_NEIGHBOR: &str = "frr/neighbor.hbs";

/// Every protection, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Mutation> {
    [
        link::MUTATIONS,
        interface::MUTATIONS,
        host::MUTATIONS,
        answers::MUTATIONS,
        translated::MUTATIONS,
        routes::MUTATIONS,
        frr::MUTATIONS,
        kernel::MUTATIONS,
    ]
    .into_iter()
    .flatten()
}

/// One test for each protection.
pub fn trials() -> Vec<Trial> {
    all()
        .map(|mutation| {
            let name = format!("bites::{}", mutation.protection);
            Trial::test(name.clone(), move || {
                let begin = Instant::now();
                let setup = switched_off(mutation);
                let mut tally = Tally::default();
                let failures: Vec<String> = mutation
                    .cases()
                    .filter_map(|case| {
                        let outcome = cases::run(case, &setup);
                        tally = setup.tally.take();
                        let name = case.name;
                        match outcome {
                            Err(Failure::Leak(_)) => None,
                            Err(dead) => Some(format!("{name}: the network does not work without it: {dead}")),
                            Ok(()) => Some(format!("{name}: nothing came of it, it still succeeds")),
                        }
                    })
                    .collect();
                let failure = (!failures.is_empty()).then(|| failures.join("\n"));
                let mut line =
                    Line::new(setup.name(), mutation.protection, tally, failure, begin.elapsed().as_secs_f64());
                line.caught = Some(line.failure.is_none());
                report::write(&name, std::slice::from_ref(&line));
                cases::verdict(&[line])
            })
        })
        .collect()
}

impl Mutation {
    fn cases(&self) -> impl Iterator<Item = &'static Case> {
        let find =
            |name: &&str| cases::all().find(|case| case.name == *name).unwrap_or_else(|| panic!("no case {name:?}"));
        [self.case].iter().chain(self.more).map(find).collect::<Vec<_>>().into_iter()
    }
}

/// The network of a protection's cases without it.
fn switched_off(mutation: &Mutation) -> Setup {
    let case = mutation.cases().next().expect("there is one");
    let mut edits = case.off.to_vec();
    if let Change::Text(edit) = mutation.change {
        edits.push(edit);
    }
    let world = if mutation.frr { cases::with_frr(case) } else { *case.world };
    let setup = Setup::start(&world, &edits);
    if let Change::Script(script) = mutation.change {
        setup.machine.sh(script);
    }
    setup
}
