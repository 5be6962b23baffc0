//! What happens to routing daemons.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::{Case, EACH_WAY, FRR, case};
use crate::machine::{Machine, SOON, eventually, throughout};
use crate::run::Run;
use crate::world::{BYSTANDERS, CLAIM, Daemons, PAIRS, World};

pub const CASES: &[Case] = &[
    case("kill -9 of a daemon", "a killed daemon comes back, 100 times", killed).also(EACH_WAY),
    case("a daemon that always exits 1", "a daemon that always exits 1 is told of, retried and harms no other", exits)
        .also(FRR),
    case("SIGSTOP of a daemon", "a stopped daemon is replaced within the hold time", stopped).also(FRR),
    case("a filter of 20,000 lines", "a filter of 20,000 lines is loaded and not mistaken for a hang", large_filter),
    case("log flood of a daemon", "a daemon that floods its output is neither blocked nor fills the disk", flood)
        .also(FRR),
];

/// Domains at the same hub, and how often each one's daemon is killed: not so often that it is given up for a while.
const SPOKES: usize = 25;
const FEW_SPOKES: usize = 6;
const ROUNDS: usize = 4;
const FEW_ROUNDS: usize = 3;

/// A hub with its spokes, and one more, which looks on.
fn wheel(spokes: usize) -> String {
    let mut toml =
        String::from("[domain.hub]\nasn = 65000\nloopback = [\"10.0.0.1/32\"]\nnetworks = [\"10.0.0.0/16\"]\n");
    for spoke in 1..=spokes + 1 {
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
    let mut sessions = machine.sessions_of("hub");
    sessions.retain(|name, line| name.starts_with("rd_s") && line.contains("Established"));
    sessions
}

/// Whether the hub still keeps routes of neighbors that have not sent all of theirs again.
fn keeps_stale_routes(machine: &Machine) -> bool {
    machine.birdc("hub", "show protocols all").contains("Neighbor GR:")
        // FRR has a letter for them, in the place of `*`: `S>` is one that is in use.
        || machine
            .vtysh("hub", "bgpd", "show bgp ipv4 unicast")
            .lines()
            .any(|line| line.starts_with("S>") || line.starts_with("S "))
}

/// Kills the daemon of each spoke, a few in a second, without waiting for those before; then waits for all.
fn kill_each(run: &Run, world: &World, spokes: usize) {
    let machine = &world.machine;
    let old = sessions(machine);
    let mut away: BTreeMap<String, Instant> = BTreeMap::new();
    let mut spokes = 1..=spokes;
    let deadline = Instant::now() + run.patience;
    loop {
        let next = spokes.next();
        if let Some(spoke) = next {
            run.strikes();
            world.kill(&format!("s{spoke}"));
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
    let (spokes, rounds) = if run.daemons == Daemons::Bird { (SPOKES, ROUNDS) } else { (FEW_SPOKES, FEW_ROUNDS) };
    let world = World::new(run, &wheel(spokes));
    let machine = &world.machine;
    world.start();
    eventually(SOON, "every session is established", || sessions(machine).len() == spokes + 1);
    let bystander = format!("rd_s{}", spokes + 1);
    let before = sessions(machine)[&bystander].clone();
    for spoke in ["s1", "s2", "s3"] {
        eventually(SOON, "its routes are in the kernel", || machine.pings(spoke, "10.0.0.1"));
    }
    machine.sh("for i in 1 2 3; do ip netns exec s$i ping -nqi 0.02 10.0.0.1 >/srv/machine/ping$i & done");
    for _ in 0..rounds {
        kill_each(run, &world, spokes);
        // Neighbors keep the routes of one that dies, but not of one that dies again before it has sent them all (RFC 4724,
        // section 4.2).
        eventually(run.patience, "the hub has heard all routes again", || !keeps_stale_routes(machine));
    }
    assert_eq!(sessions(machine)[&bystander], before, "the session of one that was left alone was reset");
    machine.sh("pkill -INT -x ping");
    eventually(SOON, "ping ends", || !machine.run(&["pgrep", "-x", "ping"]).status.success());
    let pings = machine.sh("grep -h loss /srv/machine/ping*");
    assert!(pings.lines().count() == 3 && pings.lines().all(|line| line.contains(" 0% packet loss")), "{pings}");
    eventually(run.patience, "nothing is left to do", || world.is_converged());
}

/// Another program in the place of one of `a`'s daemon.
struct Replaced {
    program: &'static str,
    path: &'static str,
}

impl Replaced {
    /// The one that speaks BGP.
    fn of(world: &World) -> Self {
        let program = *world.daemons.programs("a").last().expect("there is one");
        Self { program, path: if program == "bird" { "$(command -v bird)" } else { "/usr/lib/frr/bgpd" } }
    }

    /// Puts it there. Those that run are not touched, and what only reads a configuration or tells a version is passed on.
    /// `$REAL` is the real one.
    fn with(&self, machine: &Machine, script: &str) {
        let Self { program, path } = self;
        let real = format!("/srv/machine/{program}");
        let pass_on = "for word; do case $word in -p | -C | --version) exec $REAL \"$@\" ;; esac; done";
        machine.write(&format!("{real}.sh"), &format!("#!/bin/bash\nREAL={real}\n{pass_on}\n{script}\n"));
        machine
            .sh(&format!("cp {path} {real}; chmod 755 /srv/machine {real} {real}.sh; mount --bind {real}.sh {path}"));
    }

    /// Undoes it. Lazily: rdsup may just be trying the other one.
    fn undo(&self, machine: &Machine) {
        machine.sh(&format!("umount -l {}", self.path));
    }
}

fn exits(run: &Run) {
    let world = World::pairs(run);
    let machine = &world.machine;
    let others = world.bystanders();
    let replaced = Replaced::of(&world);
    replaced.with(machine, "echo 'there is no way that I run'; exit 1");
    let daemon = machine.program("a", replaced.program).expect("a has a daemon");
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
        || replaced.undo(machine),
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
    // Of several, the one that speaks BGP; `frr_survival.rs` stops the other, too.
    let program = world.daemons.programs("a").last().expect("there is one");
    let (daemon, session) = (world.daemon("a"), machine.session("b", "rd_a"));
    let victim = machine.program("a", program).expect("it runs");
    let ping = machine.spawn(&["ip", "netns", "exec", "a", "ping", "-nqi", "0.05", "-w", "40", "192.168.0.1"]);
    run.survives(
        "SIGSTOP",
        || drop(machine.line(&format!("kill -STOP {victim}"))),
        || world.is_replaced("a", &daemon) && world.session_is_up(),
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
    world.configure(&format!("{PAIRS}{CLAIM}{extra}{BYSTANDERS}"));
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
    // 100 MB in a few seconds, by the daemon's own standard output. It can write to its own directory alone.
    let replaced = Replaced::of(&world);
    replaced.with(
        machine,
        "(for i in {1..40}; do head -c 2500000 /dev/zero | tr '\\0' 'x' | fold -w 120; sleep 0.05; done; touch /run/rdsup/a/flooded) &
         exec $REAL \"$@\"",
    );
    let daemon = world.daemon("a");
    run.survives(
        "100 MB of output",
        || drop(machine.line(&format!("kill -9 {}", machine.program("a", replaced.program).expect("it runs")))),
        || world.is_replaced("a", &daemon) && world.session_is_up(),
        || {
            eventually(SOON, "the flood is over", || {
                machine.run(&["test", "-e", "/run/rdsup/a/flooded"]).status.success()
            });
            machine.line("rm /run/rdsup/a/flooded");
            let size = machine.sh("du -sm /run/rdsup | cut -f1");
            let size: u32 = size.trim().parse().expect("a number");
            assert!(size < 40, "{size} MB were kept");
            eventually(run.patience, "all is as it was", || world.is_whole());
            world.assert_untouched(&others);
        },
    );
    replaced.undo(machine);
}
