//! The leak suite: everything that must not arrive is sent, and looked for on the other side.
//!
//! A *case* sends forbidden packets (or routes) together with allowed ones, which must arrive: in a dead network every case
//! fails. Cases that share a network are one test. A *mutation* takes one protection out of the templates and expects the
//! case that isolates it to fail: see `mutations/`.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests are the outside world: they start programs and wait for them with a deadline"
)]

mod cases;
mod daemon;
mod docs;
#[path = "../netns/looking.rs"]
#[allow(dead_code, reason = "the namespace tests use the rest")]
mod looking;
#[path = "../netns/machine.rs"]
#[allow(dead_code, unused_imports, reason = "the namespace tests use the rest")]
mod machine;
mod matrix;
mod mutations;
mod packet;
mod report;
#[path = "../netns/said.rs"]
#[allow(dead_code, reason = "the namespace tests use the rest")]
mod said;
mod setup;
mod stream;
mod topologies;
mod wire;
mod worker;
mod worlds;

use libtest_mimic::{Arguments, Trial};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("--worker") => return worker::main(),
        Some("--forget") => return report::forget(),
        Some("--table") => return report::print(),
        _ => {}
    }
    let mut trials: Vec<Trial> = cases::trials();
    trials.extend(matrix::trials());
    trials.extend(stream::trials());
    trials.extend(docs::trials());
    trials.extend(mutations::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
