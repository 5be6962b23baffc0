//! Descriptors that run out, clocks that jump.

use std::time::Duration;

use super::{Case, case};
use crate::machine::{CONFIG, RDSUP, eventually, throughout};
use crate::run::Run;
use crate::world::World;

pub const CASES: &[Case] = &[
    case(
        "EMFILE at the start",
        "a supervisor that may open few files says so, and the next one completes the work",
        low_limit,
    ),
    case("EMFILE later", "a supervisor that has run out of files recovers when it may open some again", later),
    case("clock jump", "a clock that jumps changes nothing", clock),
];

fn low_limit(run: &Run) {
    let world = World::pairs(run);
    let machine = &world.machine;
    let (others, sufferers) = (world.bystanders(), world.sufferers());
    for limit in [8, 12, 16, 20, 24, 32, 48] {
        run.survives(
            &format!("a limit of {limit} files"),
            || {
                world.kill_supervisor();
                let start = format!("ulimit -n {limit}; exec {RDSUP} -c {CONFIG} start --detach");
                let said = machine.run(&["bash", "-c", &start]);
                assert!(
                    said.status.success() || said.to_string().contains("Too many open files"),
                    "it does not say what is wrong: {said}"
                );
                world.kill_supervisor();
                world.start();
            },
            || world.is_whole(),
            || {
                assert_eq!(world.sufferers(), sufferers, "a session was reset");
                world.assert_untouched(&others);
                world.assert_closed();
            },
        );
    }
}

fn later(run: &Run) {
    let world = World::pairs(run);
    let machine = &world.machine;
    let others = world.bystanders();
    // Those who ask have the same name.
    let supervisor = machine.supervisor();
    let limit = |files: &str| machine.line(&format!("prlimit --pid {supervisor} --nofile={files}:"));
    run.survives(
        "no more files",
        || {
            // As many as it has: it keeps those and gets no other.
            let open = machine.sh(&format!("ls /proc/{supervisor}/fd | wc -l"));
            limit(open.trim());
            world.kill("a");
            for _ in 0..20 {
                machine.spawn(&[RDSUP, "-c", CONFIG, "status"]);
            }
            throughout(Duration::from_secs(4), "forwarding goes on", || world.passes());
            world.assert_untouched(&others);
            limit("1000");
        },
        || world.session_is_up(),
        || {
            eventually(run.patience, "all is as it was", || world.is_whole());
            world.assert_untouched(&others);
            machine.rdsup("status").ok();
        },
    );
}

fn clock(run: &Run) {
    let world = World::pairs(run);
    let machine = &world.machine;
    let (others, sufferers) = (world.bystanders(), world.sufferers());
    world.kill_supervisor();
    world.start_with_false_clock();
    for jump in ["+10y", "-10y", "+1h", "-1h", "+0"] {
        run.survives(
            &format!("the clock jumps to {jump}"),
            || {
                world.set_clock(jump);
                machine.rdsup("apply").ok();
                machine.rdsup("status").ok();
            },
            || world.is_whole(),
            || {
                assert_eq!(world.sufferers(), sufferers, "a session was reset");
                throughout(Duration::from_secs(1), "nothing happens", || world.bystanders() == others);
            },
        );
    }
    // What it watches it still restarts, without waiting for years.
    world.set_clock("-10y");
    let daemon = world.daemon("a");
    run.survives(
        "kill -9 of a daemon after a jump",
        || world.kill("a"),
        || world.is_replaced("a", &daemon) && world.session_is_up(),
        || {
            eventually(run.patience, "all is as it was", || world.is_whole());
            world.assert_untouched(&others);
        },
    );
    // And with the clock of now, another supervisor takes it over.
    let sufferers = world.sufferers();
    world.kill_supervisor();
    world.start();
    eventually(run.patience, "all is as it was", || world.is_whole());
    assert_eq!(world.sufferers(), sufferers, "a session was reset");
}
