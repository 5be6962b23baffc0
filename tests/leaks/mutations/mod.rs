//! Protections that are switched off one at a time, each with the case that must then fail.

mod answers;
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
use crate::setup::{Edit, Failure, Setup};

/// A protection and the case that isolates it.
pub struct Mutation {
    /// What is switched off.
    pub protection: &'static str,
    pub case: &'static str,
    pub change: Change,
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
    Mutation { protection, case, change: Change::Text(Edit { file, from, to }) }
}

const fn script(protection: &'static str, case: &'static str, script: &'static str) -> Mutation {
    Mutation { protection, case, change: Change::Script(script) }
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

/// Every protection, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Mutation> {
    [
        link::MUTATIONS,
        interface::MUTATIONS,
        host::MUTATIONS,
        answers::MUTATIONS,
        translated::MUTATIONS,
        routes::MUTATIONS,
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
                let case = cases::all()
                    .find(|case| case.name == mutation.case)
                    .unwrap_or_else(|| panic!("no case {:?}", mutation.case));
                let begin = Instant::now();
                let result = switched_off(mutation, case);
                let (tally, outcome) = result;
                let failure = match outcome {
                    Err(Failure::Leak(_)) => None,
                    Err(dead @ Failure::Dead(_)) => Some(format!("the network does not work without it: {dead}")),
                    Ok(()) => Some(format!("nothing came of it: {:?} still succeeds", case.name)),
                };
                let mut line =
                    Line::new(case.world.name, mutation.protection, tally, failure, begin.elapsed().as_secs_f64());
                line.caught = Some(line.failure.is_none());
                report::write(&name, std::slice::from_ref(&line));
                cases::verdict(&[line])
            })
        })
        .collect()
}

fn switched_off(mutation: &Mutation, case: &'static Case) -> (crate::setup::Tally, crate::setup::Outcome) {
    let mut edits = case.off.to_vec();
    if let Change::Text(edit) = mutation.change {
        edits.push(edit);
    }
    let setup = Setup::start(case.world, &edits);
    if let Change::Script(script) = mutation.change {
        setup.machine.sh(script);
    }
    let outcome = cases::run(case, &setup);
    (setup.tally.take(), outcome)
}
