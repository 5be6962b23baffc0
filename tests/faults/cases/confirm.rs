//! Configurations that are valid and wrong, which nobody confirms.

use std::time::Duration;

use super::{Case, EACH_WAY, FRR, case};
use crate::machine::{eventually, throughout};
use crate::run::Run;
use crate::world::{BYSTANDERS, CLAIM, PAIRS, World};

pub const CASES: &[Case] = &[
    case(
        "a valid configuration that breaks a session",
        "a valid configuration that breaks a session is taken back by itself",
        reverts,
    )
    .also(EACH_WAY),
    case(
        "kill -9 of the supervisor before a confirmation",
        "the time to confirm goes on while the supervisor is dead",
        dies,
    )
    .also(FRR),
    case("clock jump before a confirmation", "the time to confirm does not jump with the clock", jumps),
];

/// The link between `a` and `b` is gone: whoever was connected over it cannot confirm.
fn broken() -> String {
    let link = PAIRS.find("[[link]]").expect("a link");
    format!("{}{CLAIM}{BYSTANDERS}", &PAIRS[..link])
}

/// So many seconds are time for what is looked at and done before they are over.
const WITHIN: u32 = 6;

/// Applies what is broken, to be confirmed within this time.
fn try_broken(world: &World, seconds: u32) {
    world.configure(&broken());
    world.machine.rdsup(&format!("apply --confirm {seconds}s")).ok();
    assert!(!world.machine.pings("a", "192.168.0.1"), "the link is still there");
}

fn reverts(run: &Run) {
    let world = World::pairs(run);
    let (others, undisturbed) = (world.bystanders(), world.state());
    run.survives(
        "a configuration that nobody confirms",
        || try_broken(&world, WITHIN),
        || world.session_is_up(),
        || {
            eventually(run.patience, "the packets pass again", || world.passes());
            world.assert_closed();
            world.assert_untouched(&others);
            world.assert_state(&undisturbed);
        },
    );
}

fn dies(run: &Run) {
    let world = World::pairs(run);
    let others = world.bystanders();
    for (what, pause) in [("at once", 0), ("when the time is over", WITHIN + 1)] {
        run.survives(
            &format!("a supervisor that is dead, and started again {what}"),
            || {
                try_broken(&world, WITHIN);
                world.kill_supervisor();
                world.machine.line(&format!("sleep {pause}"));
                world.start();
            },
            || world.session_is_up(),
            || {
                eventually(run.patience, "the packets pass again", || world.passes());
                world.assert_closed();
                world.assert_untouched(&others);
            },
        );
    }
}

fn jumps(run: &Run) {
    let world = World::pairs(run);
    let machine = &world.machine;
    let others = world.bystanders();
    world.kill_supervisor();
    world.start_with_false_clock();
    // Back: the time is not prolonged.
    run.survives(
        "a clock that jumps back",
        || {
            try_broken(&world, WITHIN);
            world.set_clock("-1h");
        },
        || world.session_is_up(),
        || world.assert_untouched(&others),
    );
    // Forth: it is not over at once.
    run.survives(
        "a clock that jumps forth",
        || {
            try_broken(&world, 60);
            world.set_clock("+1h");
            throughout(Duration::from_secs(2), "there is still time", || !machine.pings("a", "192.168.0.1"));
            machine.rdsup("confirm").ok();
            world.configure(&format!("{PAIRS}{CLAIM}{BYSTANDERS}"));
            machine.rdsup("apply").ok();
        },
        || world.session_is_up(),
        || world.assert_untouched(&others),
    );
}
