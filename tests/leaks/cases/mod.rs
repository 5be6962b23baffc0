//! The cases, and the tests that they are grouped into.

mod answers;
mod fences;
mod host;
mod interface;
mod kernel;
mod link;
mod routes;
mod sessions;
mod translated;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use libtest_mimic::{Failed, Trial};

use crate::report::{self, Line};
use crate::setup::{Edit, Failure, Outcome, Setup, Tally, World};
use crate::worlds::{EDGE_FRR, HUB};

/// What must not arrive, and the network in which it is tried.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub world: &'static World,
    /// Other protections that would also stop it, and are therefore switched off.
    pub off: &'static [Edit],
    pub run: fn(&Setup) -> Outcome,
}

/// Every case.
pub fn all() -> impl Iterator<Item = &'static Case> {
    link::CASES
        .iter()
        .chain(wire::CASES)
        .chain(interface::CASES)
        .chain(routes::CASES)
        .chain(translated::CASES)
        .chain(translated::FIRST_OFF)
        .chain(fences::CASES)
        .chain(answers::CASES)
        .chain(host::CASES)
        .chain(kernel::CASES)
        .chain(sessions::CASES)
}

/// Networks with FRR in the place of BIRD: in which all cases of the network that is named first are tried too. A link between two
/// FRRs has other addresses than one with FRR at one end.
pub const WITH_FRR: [(&str, World); 5] = [
    ("hub", HUB.with_frr("hub (frr)", &["r", "s"])),
    ("hub", HUB.with_frr("hub (bird-frr)", &["r"])),
    ("edge", EDGE_FRR),
    ("speakers", routes::SPEAKERS.with_frr("speakers (frr)", &["r"])),
    ("sessions", sessions::SESSIONS_FRR),
];

/// The network of a case with FRR.
pub fn with_frr(case: &Case) -> World {
    let world = WITH_FRR.iter().find(|(of, world)| [*of, world.name].contains(&case.world.name));
    // What is only one case's, such as what must be learned, is that case's.
    world.map_or(*case.world, |(_, world)| World {
        name: world.name,
        frr: world.frr,
        edits: world.edits,
        ..*case.world
    })
}

/// One test for each network, and one for each case that needs a network of its own.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut worlds: Vec<&'static World> = Vec::new();
    for case in all() {
        if case.off.is_empty() {
            if case.world.frr.is_empty() && !worlds.iter().any(|world| world.name == case.world.name) {
                worlds.push(case.world);
            }
        } else {
            // Who speaks BGP has to refuse it too, whoever that is.
            let speaks = case.name.starts_with("sessions:");
            for world in [Some(*case.world), speaks.then(|| with_frr(case))].into_iter().flatten() {
                let name = format!("cases::{}::{}", world.name, case.name);
                trials.push(Trial::test(name.clone(), move || {
                    let setup = Setup::start(&world, case.off);
                    run_all(&name, &setup, &[case])
                }));
            }
        }
    }
    let worlds = worlds.into_iter().map(|world| (world.name, *world)).chain(WITH_FRR);
    for (of, world) in worlds {
        let name = format!("cases::{}", world.name);
        trials.push(Trial::test(name.clone(), move || {
            // What the kernel refuses by itself it refuses whoever routes.
            let here = all().filter(|it| it.off.is_empty() && [of, world.name].contains(&it.world.name));
            let here: Vec<&Case> = here.filter(|it| world.frr.is_empty() || !it.name.starts_with("kernel:")).collect();
            run_all(&name, &Setup::start(&world, &[]), &here)
        }));
    }
    trials
}

fn run_all(test: &str, setup: &Setup, cases: &[&'static Case]) -> Result<(), Failed> {
    let mut lines = Vec::new();
    for case in cases {
        let begin = Instant::now();
        let failure = run(case, setup).err().map(|failure| failure.to_string());
        let tally = setup.tally.take();
        lines.push(Line::new(setup.name(), case.name, tally, failure, begin.elapsed().as_secs_f64()));
    }
    report::write(test, &lines);
    verdict(&lines)
}

/// Fails with every failure of the lines.
pub fn verdict(lines: &[Line]) -> Result<(), Failed> {
    let failed: Vec<String> =
        lines.iter().filter_map(|line| line.failure.as_ref().map(|it| format!("{}: {it}", line.case))).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n\n").into()) }
}

/// Runs a case. One that panics has found that something does not work.
pub fn run(case: &Case, setup: &Setup) -> Outcome {
    setup.tally.replace(Tally::default());
    catch_unwind(AssertUnwindSafe(|| (case.run)(setup))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(Failure::Dead(text.unwrap_or("a panic").to_owned()))
    })
}
