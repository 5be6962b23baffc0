//! Protections that are switched off one at a time, each with the case that must then fail.

use libtest_mimic::Trial;

use crate::cases;
use crate::report;
use crate::run::{Run, verdict};

/// A protection.
struct Mutation {
    /// What is switched off.
    protection: &'static str,
    /// By these words in FAILPOINTS.
    failpoints: &'static str,
    /// The case that isolates it.
    case: &'static str,
}

const fn off(protection: &'static str, failpoints: &'static str, case: &'static str) -> Mutation {
    Mutation { protection, failpoints, case }
}

const MUTATIONS: &[Mutation] = &[
    off(
        "what is not as it should be is repaired",
        "repair=return",
        "a veth that is deleted, renamed or downed is repaired",
    ),
    off("daemons are adopted", "adoption=return", "a stop killed before and after each step is completed by the next"),
    off("a recorded process is identified", "identity=return", "a stranger with a recorded pid is never signalled"),
    off(
        "filters come before names and links",
        "order=return",
        "a start killed before and after each step is completed by the next",
    ),
    off("a daemon that died is started again", "restart=return", "a killed daemon comes back, 100 times"),
    off("damaged records are ignored", "damaged record=return", "every file of the run directory may be truncated"),
    off(
        "daemons that no record tells of are replaced",
        "strays=return",
        "a start killed before and after each step is completed by the next",
    ),
];

/// One test for each protection.
pub fn trials() -> Vec<Trial> {
    MUTATIONS
        .iter()
        .map(|mutation| {
            let name = format!("bites::{}", mutation.protection);
            Trial::test(name.clone(), move || {
                let case = cases::all()
                    .find(|case| case.name == mutation.case)
                    .unwrap_or_else(|| panic!("no case {:?}", mutation.case));
                let ended = Run::without(mutation.failpoints).finish(case);
                let mut line = ended.line;
                mutation.protection.clone_into(&mut line.fault);
                (line.noticed, line.failure) = match line.failure {
                    Some(words) if ended.struck => (Some(words), None),
                    Some(words) => {
                        (Some(String::new()), Some(format!("the network does not work without it: {words}")))
                    }
                    None => {
                        (Some(String::new()), Some(format!("nothing came of it: {:?} is still survived", case.name)))
                    }
                };
                report::write(&name, &line);
                verdict(&line)
            })
        })
        .collect()
}
