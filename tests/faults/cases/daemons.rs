//! What happens to routing daemons.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::{Case, case};
use crate::machine::{Machine, SOON, eventually, throughout};
use crate::run::Run;
use crate::world::{BYSTANDERS, CLAIM, PAIRS, World};

pub const CASES: &[Case] = &[
    case("kill -9 of a daemon", "a killed daemon comes back, 100 times", killed),
    case("a daemon that always exits 1", "a daemon that always exits 1 is told of, retried and harms no other", exits),
    case("SIGSTOP of a daemon", "a stopped daemon is replaced within the hold time", stopped),
    case("a filter of 20,000 lines", "a filter of 20,000 lines is loaded and not mistaken for a hang", large_filter),
    case("log flood of a daemon", "a daemon that floods its output is neither blocked nor fills the disk", flood),
];

/// Domains at the same hub, and how often each one's daemon is killed: not so often that it is given up for a while.
const SPOKES: usize = 25;
const ROUNDS: usize = 4;

/// A hub with its spokes, and one more, which looks on.
fn wheel() -> String {
    let mut toml =
        String::from("[domain.hub]\nasn = 65000\nloopback = [\"10.0.0.1/32\"]\nnetworks = [\"10.0.0.0/16\"]\n");
    for spoke in 1..=SPOKES + 1 {
        write!(
            toml,
            "[domain.s{spoke}]\nasn = {}\nloopback = [\"10.{spoke}.0.1/32\"]\nnetworks = [\"10.{spoke}.0.0/16\"]
             [[link]]\nbetween = [\"s{spoke}\", \"hub\"]\ninto.s{spoke} = {{ routes = [\"10.0.0.0/16\"] }}
             into.hub = {{ routes = [\"10.{spoke}.0.0/16\"], packets = [\"icmp\"] }}\n",
            65000 + spoke
        )
        .expect("a String takes all");
    }
    toml
}

/// The hub's sessions by their name, each with its whole line if it is established.
fn sessions(machine: &Machine) -> BTreeMap<String, String> {
    let all = machine.birdc("hub", "show protocols");
    let sessions = all.lines().filter(|line| line.starts_with("rd_s") && line.contains("Established"));
    sessions.map(|line| (line.split_whitespace().next().unwrap_or_default().to_owned(), line.to_owned())).collect()
}

/// Kills the daemon of each spoke, a few in a second, without waiting for those before; then waits for all.
fn kill_each(run: &Run, machine: &Machine) {
    let old = sessions(machine);
    let mut away: BTreeMap<String, Instant> = BTreeMap::new();
    let mut spokes = 1..=SPOKES;
    let deadline = Instant::now() + run.patience;
    loop {
        let next = spokes.next();
        if let Some(spoke) = next {
            let daemon = machine.bird(&format!("s{spoke}")).expect("a spoke has a daemon");
            run.strikes();
            machine.line(&format!("kill -9 {daemon}"));
            away.insert(format!("rd_s{spoke}"), Instant::now());
        }
        let now = sessions(machine);
        away.retain(|name, struck| {
            let is_back = now.get(name).is_some_and(|line| Some(line) != old.get(name));
            if is_back {
                run.survived(struck.elapsed());
            }
            !is_back
        });
        if next.is_none() && away.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "not back: {:?}", away.keys());
    }
}

fn killed(run: &Run) {
    let world = World::new(run, &wheel());
    let machine = &world.machine;
    world.start();
    eventually(SOON, "every session is established", || sessions(machine).len() == SPOKES + 1);
    let bystander = format!("rd_s{}", SPOKES + 1);
    let before = sessions(machine)[&bystander].clone();
    for spoke in ["s1", "s2", "s3"] {
        eventually(SOON, "its routes are in the kernel", || machine.pings(spoke, "10.0.0.1"));
    }
    machine.sh("for i in 1 2 3; do ip netns exec s$i ping -nqi 0.02 10.0.0.1 >/srv/machine/ping$i & done");
    for _ in 0..ROUNDS {
        kill_each(run, machine);
        // Neighbors keep the routes of one that dies, but not of one that dies again before it has sent them all (RFC 4724,
        // section 4.2).
        eventually(run.patience, "the hub has heard all routes again", || {
            !machine.birdc("hub", "show protocols all").contains("Neighbor GR:")
        });
    }
    assert_eq!(sessions(machine)[&bystander], before, "the session of one that was left alone was reset");
    machine.sh("pkill -INT -x ping");
    eventually(SOON, "ping ends", || !machine.run(&["pgrep", "-x", "ping"]).status.success());
    let pings = machine.sh("grep -h loss /srv/machine/ping*");
    assert!(pings.lines().count() == 3 && pings.lines().all(|line| line.contains(" 0% packet loss")), "{pings}");
    eventually(run.patience, "nothing is left to do", || world.is_converged());
}

/// Puts another program in the place of BIRD. Those that run are not touched, and what only reads a configuration is
/// passed on.
fn replace_bird(machine: &Machine, script: &str) {
    machine.write(
        "/srv/machine/bird.sh",
        &format!("#!/bin/bash\nfor word; do [ \"$word\" != -p ] || exec /srv/machine/bird \"$@\"; done\n{script}\n"),
    );
    machine.sh("cp $(command -v bird) /srv/machine/bird; chmod 755 /srv/machine /srv/machine/bird /srv/machine/bird.sh
        mount --bind /srv/machine/bird.sh $(command -v bird)");
}

/// Undoes [`replace_bird`]. Lazily: rdsup may just be trying the other one.
const REAL: &str = "umount -l $(command -v bird)";

fn exits(run: &Run) {
    let world = World::pairs(run);
    let machine = &world.machine;
    let others = world.bystanders();
    replace_bird(machine, "echo 'there is no way that I run'; exit 1");
    let daemon = machine.bird("a").expect("a has a daemon");
    let status = || machine.rdsup("status").stdout;
    run.survives(
        "exits with code 1 until it is given up",
        || {
            machine.line(&format!("kill -9 {daemon}"));
            // Ten attempts, each after twice the time of the one before, up to half a minute.
            eventually(Duration::from_mins(3), "the daemon is given up", || status().contains("failed"));
        },
        || true,
        || {
            // Not in the moments in which it is tried again.
            eventually(SOON, "the status says how it ended", || status().contains("exit code 1"));
            world.assert_untouched(&others);
            // What is routed already still is.
            assert!(world.passes(), "forwarding stopped with the daemon");
            world.assert_closed();
        },
    );
    run.survives(
        "a daemon that was given up can run again",
        || drop(machine.sh(REAL)),
        || world.session_is_up(),
        || {
            world.assert_untouched(&others);
            eventually(run.patience, "all is as it was", || world.is_whole());
        },
    );
}

fn stopped(run: &Run) {
    let world = World::pairs(run);
    let machine = &world.machine;
    let others = world.bystanders();
    let daemon = machine.bird("a").expect("a has a daemon");
    let session = machine.session("b", "rd_a");
    let ping = machine.spawn(&["ip", "netns", "exec", "a", "ping", "-nqi", "0.05", "-w", "40", "192.168.0.1"]);
    run.survives(
        "SIGSTOP",
        || drop(machine.line(&format!("kill -STOP {daemon}"))),
        || machine.bird("a").is_some_and(|new| new != daemon) && world.session_is_up(),
        || {
            assert_ne!(machine.session("b", "rd_a"), session, "that was the old session");
            world.assert_untouched(&others);
            eventually(run.patience, "all is as it was", || world.is_whole());
        },
    );
    let said = ping.finish(Duration::from_mins(1)).ok();
    assert!(said.contains(" 0% packet loss"), "{said}");
}

fn large_filter(run: &Run) {
    let world = World::pairs(run);
    let machine = &world.machine;
    let (others, sufferers) = (world.bystanders(), world.sufferers());
    let mut lines = String::new();
    for line in 0..20_000_u32 {
        let (high, low) = (line / 250, line % 250);
        writeln!(lines, "if net ~ [ 10.{high}.{low}.0/24 ] then reject;").expect("a String takes all");
    }
    let extra = format!("[domain.a.extra]\nbird = '''\nfilter twenty_thousand {{\n{lines}accept;\n}}\n'''\n");
    machine.configure(&format!("{PAIRS}{CLAIM}{extra}{BYSTANDERS}"));
    run.survives(
        "a reload of 20,000 lines",
        || drop(machine.rdsup("apply").ok()),
        || world.is_whole(),
        || {
            throughout(Duration::from_secs(3), "the daemon and its session stay", || world.sufferers() == sufferers);
            world.assert_untouched(&others);
        },
    );
}

fn flood(run: &Run) {
    let world = World::pairs(run);
    let machine = &world.machine;
    let others = world.bystanders();
    // 100 MB in a few seconds, by the daemon's own standard output.
    replace_bird(
        machine,
        "(for i in {1..40}; do head -c 2500000 /dev/zero | tr '\\0' 'x' | fold -w 120; sleep 0.05; done; touch /srv/machine/flooded) &
         exec /srv/machine/bird \"$@\"",
    );
    let daemon = machine.bird("a").expect("a has a daemon");
    run.survives(
        "100 MB of output",
        || drop(machine.line(&format!("kill -9 {daemon}"))),
        || machine.bird("a").is_some_and(|new| new != daemon) && world.session_is_up(),
        || {
            eventually(SOON, "the flood is over", || {
                machine.run(&["test", "-e", "/srv/machine/flooded"]).status.success()
            });
            let size = machine.sh("du -sm /run/rdsup | cut -f1");
            let size: u32 = size.trim().parse().expect("a number");
            assert!(size < 40, "{size} MB were kept");
            eventually(run.patience, "all is as it was", || world.is_whole());
            world.assert_untouched(&others);
        },
    );
    machine.sh(REAL);
}
