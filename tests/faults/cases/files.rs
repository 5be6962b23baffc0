//! Disks that are full and files that are not what they were.

use super::supervisors::{after, before};
use super::{Case, FRR, case};
use crate::machine::eventually;
use crate::run::Run;
use crate::sweep::each;
use crate::world::{CLAIM, PAIRS, World};

pub const CASES: &[Case] = &[
    case("ENOSPC in the run directory", "an apply on a full disk fails, says so and loses nothing", full_run),
    case("ENOSPC in the state directory", "an interface whose state cannot be noted is not claimed", full_state),
    case("a truncated or damaged file", "every file of the run directory may be truncated", truncated).also(FRR),
    case("state directory corrupt or gone", "a state directory that is damaged or gone is rebuilt", state_directory)
        .also(FRR),
];

/// Leaves no free block in a file system of the machine. One of no size at all would be without a limit.
fn fill(world: &World, mount: &str) {
    world.machine.sh(&format!(
        "mount -o remount,size=$(($(df -B1K {mount} | awk 'END {{print $3}}') + 16))k {mount}
         head -c 1000000 /dev/zero >{mount}/ballast 2>/dev/null || true"
    ));
}

fn make_room(world: &World, mount: &str) {
    world.machine.sh(&format!("mount -o remount,size=1g {mount}; rm {mount}/ballast"));
}

fn full_run(run: &Run) {
    let world = World::running(run, &before());
    let machine = &world.machine;
    let (others, sufferers) = (world.bystanders(), world.sufferers());
    let untouched = || {
        assert_eq!(world.sufferers(), sufferers, "a session was reset");
        world.assert_untouched(&others);
        assert!(world.passes(), "what may pass does not");
        world.assert_closed();
    };
    world.configure(&after());
    run.survives(
        "an apply without room",
        || {
            fill(&world, "/run");
            let said = machine.rdsup("apply");
            assert!(!said.status.success() && said.to_string().contains("No space left"), "it does not say so: {said}");
            untouched();
            make_room(&world, "/run");
            machine.rdsup("apply").ok();
        },
        || world.is_whole() && machine.established("f", "rd_b"),
        untouched,
    );
    run.survives(
        "a supervisor that starts without room",
        || {
            world.kill_supervisor();
            fill(&world, "/run");
            let said = world.start_with("");
            assert!(
                said.status.success() || said.to_string().contains("No space left"),
                "it does not say what is wrong: {said}"
            );
            make_room(&world, "/run");
            if !said.status.success() {
                world.start();
            }
        },
        || world.is_whole(),
        untouched,
    );
}

fn full_state(run: &Run) {
    let world = World::new(run, &format!("{PAIRS}{CLAIM}"));
    let machine = &world.machine;
    let clean = world.traces();
    run.survives(
        "a claim that cannot be noted",
        || {
            fill(&world, "/var/lib");
            let said = world.start_with("");
            assert!(said.to_string().contains("No space left"), "it does not say what is wrong: {said}");
            assert!(machine.line("ip address show dev lan0").contains("203.0.113.9"), "it was claimed all the same");
            make_room(&world, "/var/lib");
            if !world.is_supervised() {
                world.start();
            }
        },
        || world.is_whole(),
        || {
            machine.stop();
            world.assert_left_as(&clean);
        },
    );
}

/// What can happen to a file, as a shell function of its path.
const DAMAGE: &[(&str, &str)] = &[
    ("empty", ": >$1"),
    ("half", "truncate -s $(( $(stat -c %s $1) / 2 )) $1"),
    ("garbage", "head -c $(stat -c %s $1) /dev/urandom >$1.new; cat $1.new >$1; rm $1.new"),
];

fn truncated(run: &Run) {
    let files =
        World::pairs(&run.undisturbed()).machine.sh("find /run/rdsup -type f | grep -vE '/run/rdsup/[bcd]/' | sort");
    assert!(files.lines().count() > 6, "few files: {files}");
    let damages: Vec<(&str, &str, &str)> =
        files.lines().flat_map(|file| DAMAGE.iter().map(move |(what, script)| (file, *what, *script))).collect();
    let prepare = |part: &Run, _| {
        let world = World::pairs(part);
        let (others, undisturbed) = (world.bystanders(), world.state());
        (world, others, undisturbed)
    };
    each(run, damages.len(), prepare, |part, (world, others, undisturbed), number| {
        let (file, what, script) = damages[number];
        part.survives(
            &format!("{file}: {what}"),
            || {
                world.kill_supervisor();
                world.machine.run(&["bash", "-euc", script, "damage", file]).ok();
                world.start();
            },
            || world.is_whole(),
            || {
                world.assert_state(undisturbed);
                world.assert_closed();
                world.assert_untouched(others);
            },
        );
    });
}

/// What can happen to the state directory, a shell script.
const STATES: &[(&str, &str)] = &[
    ("gone", "rm -r /var/lib/rdsup"),
    ("empty files", "find /var/lib/rdsup -type f -exec truncate -s 0 {} +"),
    ("garbage", "find /var/lib/rdsup -type f | while read f; do head -c 300 /dev/urandom >$f; done"),
    ("a file in its place", "rm -r /var/lib/rdsup; echo text >/var/lib/rdsup"),
];

fn state_directory(run: &Run) {
    for (what, script) in STATES {
        let world = World::pairs(run);
        let machine = &world.machine;
        let (others, sufferers) = (world.bystanders(), world.sufferers());
        let is_in_the_way = what.contains("in its place");
        run.survives(
            &format!("state directory: {what}"),
            || {
                world.kill_supervisor();
                machine.sh(script);
                // Where nothing can be kept it runs all the same, and says that not all is well.
                let said = world.start_with("");
                let degraded = is_in_the_way && said.code() == Some(3) && said.stderr.contains("Not a directory");
                assert!(said.status.success() || degraded, "{said}");
            },
            || if is_in_the_way { world.session_is_up() } else { world.is_whole() },
            || {
                assert_eq!(world.sufferers(), sufferers, "a session was reset");
                world.assert_untouched(&others);
                let said = machine.rdsup("stop");
                let there = || machine.run(&["ip", "link", "show", "dev", "lan0"]).status.success();
                eventually(run.patience, "the interface is back in the host", there);
                let restored = machine.line("ip address show dev lan0").contains("203.0.113.9");
                assert!(
                    restored || said.to_string().contains("lan0"),
                    "it does not say what it could not restore: {said}"
                );
            },
        );
    }
}
