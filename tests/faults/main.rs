//! The fault suite: what a router must survive, done to it.
//!
//! A *case* does something bad to a running network, waits until that is as it was, and looks at what must not have been
//! touched meanwhile: the sessions of other domains, what a filter lets through, what `stop` leaves. A *mutation* takes one
//! protection out of the program by its failpoint and expects the case that isolates it to fail. The *soak* does all of that
//! at random and counts afterwards.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests are the outside world: they start programs and wait for them with a deadline"
)]

mod cases;
#[path = "../netns/looking.rs"]
#[allow(dead_code, reason = "the namespace tests use the rest")]
mod looking;
#[path = "../netns/machine.rs"]
#[allow(dead_code, unused_imports, reason = "the namespace tests use the rest")]
mod machine;
mod mutations;
mod report;
mod run;
#[path = "../netns/said.rs"]
#[allow(dead_code, reason = "the namespace tests use the rest")]
mod said;
mod soak;
mod sweep;
mod world;

use libtest_mimic::{Arguments, Trial};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("--forget") => return report::forget(),
        Some("--table") => return report::print(),
        Some("--soak") => return soak::main(),
        _ => {}
    }
    let mut trials: Vec<Trial> = cases::trials();
    trials.extend(mutations::trials());
    trials.extend(soak::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
