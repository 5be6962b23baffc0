//! Process ids that come to mean another process, and the machine that starts again.

use super::{Case, FRR, case};
use crate::machine::{Machine, SOON, eventually};
use crate::run::Run;
use crate::world::{BYSTANDERS, CLAIM, PAIRS, World};

pub const CASES: &[Case] = &[
    case("a recorded pid reused by a stranger", "a stranger with a recorded pid is never signalled", stranger),
    case("reboot", "after a reboot stale files mean nothing", reboot).also(FRR),
];

/// A stranger that writes down every signal that it gets.
const LISTENER: &str = r#"for my $name (keys %SIG) { $SIG{$name} = sub { open my $f, ">>", "/srv/machine/signals"; print $f "$name\n" } }
    sleep 1 while 1"#;

/// Another BIRD in the same namespace: it differs from the recorded one in nothing but when it started.
const OTHER_BIRD: &str =
    "exec ip netns exec a bird -f -c /srv/machine/other.conf -s /srv/machine/other.ctl -P /srv/machine/other.pid";

/// And one with the very same command line, whose `/run/rdsup` is another, as in a container.
const DOUBLE: &str = r"exec ip netns exec a bash -c 'mount -t tmpfs tmpfs /run/rdsup; mkdir /run/rdsup/a
    cp /srv/machine/other.conf /run/rdsup/a/bird.conf
    exec bird -f -c /run/rdsup/a/bird.conf -s /run/rdsup/a/bird.ctl -u bird -g bird'";

/// Starts a program with a process id that is free.
fn start_as(machine: &Machine, pid: &str, program: &[&str]) {
    // The kernel counts on from the last one; another process may have been faster.
    let script = r#"pid=$1; shift
        for try in $(seq 100); do
            echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid
            "$@" </dev/null >/dev/null 2>&1 &
            # What is run next must not take the numbers that are wanted next.
            [ $! != $pid ] || { echo 20000 >/proc/sys/kernel/ns_last_pid; exit 0; }
            kill -9 $!
        done; exit 1"#;
    let mut argv = vec!["bash", "-c", script, "start", pid];
    argv.extend(program);
    machine.run(&argv).ok();
}

fn is_alive(machine: &Machine, pid: &str) -> bool {
    machine.run(&["kill", "-0", pid]).status.success()
}

fn stranger(run: &Run) {
    let strangers: [&[&str]; 3] = [&["perl", "-e", LISTENER], &["bash", "-c", OTHER_BIRD], &["bash", "-c", DOUBLE]];
    for program in strangers {
        let world = World::pairs(run);
        let machine = &world.machine;
        let others = world.bystanders();
        machine.write("/srv/machine/other.conf", "router id 192.0.2.1;\nprotocol device { }\n");
        world.kill_supervisor();
        let recorded = machine.bird("a").expect("a has a daemon");
        run.survives(
            &format!("{recorded} is now {program:?}"),
            || {
                machine.line(&format!("kill -9 {recorded}"));
                eventually(SOON, "it is gone", || !is_alive(machine, &recorded));
                start_as(machine, &recorded, program);
                world.start();
            },
            || world.is_whole(),
            || {
                world.assert_untouched(&others);
                machine.stop();
                assert!(is_alive(machine, &recorded), "the stranger was killed");
                let signals = machine.sh("cat /srv/machine/signals 2>/dev/null || true");
                assert!(signals.is_empty(), "the stranger got signals: {signals}");
            },
        );
    }
}

fn reboot(run: &Run) {
    let old = World::new(run, &format!("{PAIRS}{CLAIM}{BYSTANDERS}"));
    // Numbers that are free in the other machine.
    old.machine.sh("echo 5000 >/proc/sys/kernel/ns_last_pid");
    old.start();
    old.settled();
    let files = old.machine.sh("cd /; tar -cf - run/rdsup var/lib/rdsup 2>/dev/null | base64");
    let pids: Vec<String> = ["a", "b", "c", "d"].iter().flat_map(|domain| old.daemon(domain)).flatten().collect();
    let undisturbed = old.state();
    drop(old);
    let world = World::new(run, &format!("{PAIRS}{CLAIM}{BYSTANDERS}"));
    let machine = &world.machine;
    // The interface has another address by now.
    machine.sh("ip address delete 203.0.113.9/24 dev lan0; ip address add 203.0.113.10/24 dev lan0
        ip route add 192.0.2.0/24 via 203.0.113.1
        cat /proc/sys/kernel/random/uuid >/srv/machine/boot_id; mount --bind /srv/machine/boot_id /proc/sys/kernel/random/boot_id");
    let clean = world.traces();
    run.survives(
        "a reboot",
        || {
            machine.write("/srv/machine/stale", &files);
            machine.sh("base64 -d /srv/machine/stale | tar -C / -xf -");
            for pid in &pids {
                start_as(machine, pid, &["perl", "-e", LISTENER]);
            }
            world.start();
        },
        || world.is_whole(),
        || {
            world.settled();
            world.assert_state(&undisturbed);
            machine.stop();
            world.assert_left_as(&clean);
            for pid in &pids {
                assert!(is_alive(machine, pid), "a stranger was killed");
            }
            let signals = machine.sh("cat /srv/machine/signals 2>/dev/null || true");
            assert!(signals.is_empty(), "a stranger got signals: {signals}");
        },
    );
}
