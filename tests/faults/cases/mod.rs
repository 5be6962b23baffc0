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

/// What is done, and that it is survived.
pub struct Case {
    /// The words of the table.
    pub fault: &'static str,
    /// The sentence.
    pub name: &'static str,
    pub run: fn(&Run),
}

const fn case(fault: &'static str, name: &'static str, run: fn(&Run)) -> Case {
    Case { fault, name, run }
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

/// One test for each.
pub fn trials() -> Vec<Trial> {
    all()
        .map(|case| {
            let name = format!("survives::{}", case.name);
            Trial::test(name.clone(), move || {
                let line = Run::plain().finish(case).line;
                report::write(&name, &line);
                verdict(&line)
            })
        })
        .collect()
}
