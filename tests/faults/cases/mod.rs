//! The cases, each named by the sentence that it proves.

mod confirm;
mod daemons;
pub mod drift;
mod files;
mod limits;
mod machines;
mod requests;
mod supervisors;

use libtest_mimic::Trial;

use crate::report;
use crate::run::{Run, verdict};
use crate::world::Daemons;

/// What is done, and that it is survived.
pub struct Case {
    /// The words of the table.
    pub fault: &'static str,
    /// The sentence.
    pub name: &'static str,
    pub run: fn(&Run),
    /// The daemons with which it is done besides BIRD alone.
    daemons: &'static [Daemons],
}

impl Case {
    pub const fn new(fault: &'static str, name: &'static str, run: fn(&Run)) -> Self {
        Self { fault, name, run, daemons: &[] }
    }

    /// With these, too.
    const fn also(self, daemons: &'static [Daemons]) -> Self {
        Self { daemons, ..self }
    }
}

/// For what concerns a daemon alone.
const FRR: &[Daemons] = &[Daemons::Frr];
/// For what its neighbors see, too.
const EACH_WAY: &[Daemons] = &[Daemons::Frr, Daemons::FrrSuffers, Daemons::FrrBeside];

const fn case(fault: &'static str, name: &'static str, run: fn(&Run)) -> Case {
    Case::new(fault, name, run)
}

/// Every case.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        daemons::CASES,
        supervisors::CASES,
        drift::CASES,
        files::CASES,
        limits::CASES,
        requests::CASES,
        confirm::CASES,
        machines::CASES,
    ]
    .into_iter()
    .flatten()
}

/// One test for each, with each of its daemons.
pub fn trials() -> Vec<Trial> {
    all()
        .flat_map(|case| std::iter::once(&Daemons::Bird).chain(case.daemons).map(move |daemons| (case, *daemons)))
        .map(|(case, daemons)| {
            let name = format!("survives::{}{}", case.name, daemons.suffix());
            Trial::test(name.clone(), move || {
                let line = Run::plain(daemons).finish(case).line;
                report::write(&name, &line);
                verdict(&line)
            })
        })
        .collect()
}
