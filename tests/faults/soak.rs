//! Faults at random for a given time, then everything is counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use libtest_mimic::Trial;

use crate::cases::{Case, drift};
use crate::machine::{CONFIG, Machine, RDSUP, SOON, eventually};
use crate::report;
use crate::run::{Run, verdict};
use crate::world::{BYSTANDERS, Daemons, PAIRS, World};

/// How long the soak of the suite takes.
const SHORT: Duration = Duration::from_secs(30);

/// What is done, and how often compared with the others.
struct Fault {
    what: &'static str,
    weight: usize,
    strike: Strike,
}

#[derive(Clone, Copy)]
enum Strike {
    Call(fn(&World)),
    Script(&'static str),
}

const fn fault(what: &'static str, weight: usize, strike: fn(&World)) -> Fault {
    Fault { what, weight, strike: Strike::Call(strike) }
}

const FAULTS: &[Fault] = &[
    fault("kill -9 of a daemon", 2, |world| kill_daemon(world, "KILL")),
    fault("SIGSEGV of a daemon", 1, |world| kill_daemon(world, "SEGV")),
    fault("a moment of SIGSTOP", 1, pause_daemon),
    fault("apply of another policy", 3, |world| apply(world, &other_policy())),
    fault("apply of the first policy", 3, |world| apply(world, &policy())),
    fault("a client that dies", 2, kill_client),
    fault("ten requests at once", 2, many_requests),
    fault("a file that cannot be applied", 1, bad_file),
];

/// As long as the supervisor may die too: its successor is the one that is measured.
const SUPERVISOR: Fault = fault("kill -9 of the supervisor", 2, |world| {
    world.kill_supervisor();
    world.start();
});

impl Strike {
    fn done_to(self, world: &World) {
        match self {
            Self::Call(strike) => strike(world),
            Self::Script(script) => drop(world.machine.sh(script)),
        }
    }
}

fn policy() -> String {
    format!("{PAIRS}{BYSTANDERS}")
}

fn other_policy() -> String {
    let another_route = "kind = \"blackhole\"\n[[domain.b.route]]\nto = \"192.168.77.0/24\"\nkind = \"blackhole\"\n";
    // The first route stays: a fault removes it.
    policy().replace("tcp/80", "tcp/443").replace("kind = \"blackhole\"\n", another_route)
}

fn kill_daemon(world: &World, signal: &str) {
    let (daemon, victims) = (world.daemon("a"), world.victims("a"));
    if !victims.is_empty() {
        world.machine.run(&["sh", "-c", &format!("kill -{signal} {}", victims.join(" "))]);
        eventually(SOON, "another daemon runs", || world.is_replaced("a", &daemon));
    }
}

fn pause_daemon(world: &World) {
    let victims = world.victims("a").join(" ");
    if !victims.is_empty() {
        world.machine.sh(&format!("kill -STOP {victims}; sleep 1; kill -CONT {victims}"));
    }
}

fn apply(world: &World, toml: &str) {
    world.configure(toml);
    world.machine.rdsup("apply").ok();
}

fn kill_client(world: &World) {
    world.machine.run(&["timeout", "-s", "KILL", "0.03", RDSUP, "-c", CONFIG, "apply"]);
    world.machine.run(&["timeout", "-s", "KILL", "0.02", RDSUP, "-c", CONFIG, "status"]);
}

fn many_requests(world: &World) {
    let asked: Vec<_> = (0..10).map(|_| world.machine.spawn(&[RDSUP, "-c", CONFIG, "status"])).collect();
    for asked in asked {
        // It may find something that is not well just now; what counts is that it answers.
        let said = asked.finish(SOON);
        assert!(said.code().is_some() && said.stdout.contains("rd"), "no answer: {said}");
    }
}

fn bad_file(world: &World) {
    world.configure("[domain.a]\nasn = \"many\"\n");
    assert!(!world.machine.rdsup("apply").status.success(), "a file that is not sound was applied");
    world.configure(&policy());
    world.machine.rdsup("apply").ok();
}

/// Numbers that look random and are the same for the same seed (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("less than a usize")
    }
}

/// How many descriptors of each kind the supervisor has.
fn kinds(machine: &Machine) -> String {
    machine.sh(&format!(
        r"for fd in /proc/{}/fd/*; do readlink $fd || true; done | sed 's/:\[[0-9]*\]//; s/^/    /' | sort | uniq -c",
        machine.supervisor()
    ))
}

/// How many domains the world has.
const DOMAINS: u64 = 4;

/// What must not grow.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    fn of(machine: &Machine) -> Self {
        let supervisor = format!("p={}", machine.supervisor());
        let script = r"
            echo descriptors of the supervisor=$(ls /proc/$p/fd | wc -l)
            echo threads of the supervisor=$(ls /proc/$p/task | wc -l)
            echo kilobytes of the supervisor=$(awk '/VmRSS/ {print $2}' /proc/$p/status)
            echo processes=$(ls -d /proc/[0-9]* | wc -l)
            echo namespaces in use=$(readlink /proc/[0-9]*/ns/net | sort -u | wc -l)
            echo namespaces with a name=$(ls /run/netns | wc -l)
            echo mounts=$(wc -l </proc/self/mounts)
            echo interfaces=$(for n in $(ls /run/netns); do ip -n $n -o link; done | wc -l)
            echo files in the run directory=$(find /run/rdsup -not -path '*/log/*' | wc -l)
            echo kilobytes in the run directory=$(du -sk --exclude log /run/rdsup | cut -f1)
            echo files in the state directory=$(find /var/lib/rdsup 2>/dev/null | wc -l)";
        let text = machine.sh(&format!("{supervisor}\n{script}"));
        let counts = text.lines().filter_map(|line| {
            let (what, count) = line.split_once('=')?;
            Some((what.to_owned(), count.trim().parse().expect("a number")))
        });
        Self(counts.collect())
    }

    /// What has grown more than it may. Threads of the runtime come and go; memory has room for what an allocator keeps; the
    /// state directory keeps a number of generations.
    fn growth(&self, after: &Self) -> Vec<String> {
        let may = |what: &str, before: u64| match what {
            // A connection to each domain is opened when it is needed and let go when there is nothing to do.
            "descriptors of the supervisor" => before + DOMAINS,
            "threads of the supervisor" => before + 20,
            "kilobytes of the supervisor" => before + before / 2 + 8192,
            "kilobytes in the run directory" | "files in the state directory" => before + 64,
            _ => before,
        };
        let grown = |(what, before): (&String, &u64)| {
            let after = after.0.get(what).copied().unwrap_or(0);
            (after > may(what, *before)).then(|| format!("{what}: {before} before, {after} after"))
        };
        self.0.iter().filter_map(grown).collect()
    }
}

/// The soak of the suite.
pub fn trials() -> Vec<Trial> {
    let trial = |daemons: Daemons| {
        let name = format!("soak::random faults leave nothing behind{}", daemons.suffix());
        Trial::test(name.clone(), move || {
            let case = Case::new("random faults for 30 s", "random faults", |run| soak(run, SHORT, seed()));
            let line = Run::plain(daemons).finish(&case).line;
            report::write(&name, &line);
            verdict(&line)
        })
    };
    [Daemons::Bird, Daemons::Frr].map(trial).into()
}

/// `--soak SECONDS [SEED]`.
pub fn main() {
    let number = |at: usize| std::env::args().nth(at).and_then(|word| word.parse::<u64>().ok());
    let seconds = number(2).expect("usage: --soak SECONDS [SEED]");
    // With each kind of daemon half of the time.
    for daemons in [Daemons::Bird, Daemons::Frr] {
        println!("soak{}", daemons.suffix());
        soak(&Run::plain(daemons), Duration::from_secs(seconds) / 2, number(3).unwrap_or_else(seed));
    }
}

fn seed() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |since| since.as_secs()) | 1
}

fn soak(run: &Run, time: Duration, seed: u64) {
    println!("seed {seed}");
    let world = World::running(run, &policy());
    let others = world.bystanders();
    let drifts = [drift::VETH, drift::FLUSH, drift::ADDRESS, drift::UNMOUNTED, drift::REPLACED].concat();
    let scripts = drifts.iter().map(|it| Fault { what: it.what, weight: 1, strike: Strike::Script(it.script) });
    let faults: Vec<Fault> = scripts.collect();
    let mut thrown: Vec<&Fault> =
        faults.iter().chain(FAULTS).chain([&SUPERVISOR]).flat_map(|it| std::iter::repeat_n(it, it.weight)).collect();
    let (begin, mut dice) = (Instant::now(), Dice(seed | 1));
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    let mut before = None;
    while before.is_none() || begin.elapsed() < time {
        // The last supervisor lives through two thirds of it, and is measured when it is settled.
        if before.is_none() && begin.elapsed() > time / 3 {
            (SUPERVISOR.strike).done_to(&world);
            // What it opens when it is first needed and keeps (a socket for each domain that an apply looks into) is no growth.
            apply(&world, &other_policy());
            apply(&world, &policy());
            many_requests(&world);
            settle(run, &world);
            before = Some(Counts::of(&world.machine));
            println!("descriptors of the supervisor:\n{}", kinds(&world.machine));
            thrown.retain(|it| it.what != SUPERVISOR.what);
        }
        let it = thrown[dice.below(thrown.len())];
        *done.entry(it.what).or_default() += 1;
        run.survives(
            it.what,
            || it.strike.done_to(&world),
            || world.is_whole(),
            || {
                world.assert_closed();
                world.assert_untouched(&others);
            },
        );
    }
    apply(&world, &policy());
    settle(run, &world);
    let before = before.expect("it took some time");
    // What is closed by itself, or was started to answer something, goes a moment later.
    let mut after = Counts::of(&world.machine);
    let counting = Instant::now();
    while !before.growth(&after).is_empty() && counting.elapsed() < SOON {
        after = Counts::of(&world.machine);
    }
    // Only counted, they would not tell whose they are.
    println!("descriptors of the supervisor:\n{}", kinds(&world.machine));
    for (what, times) in &done {
        println!("{times:>6} × {what}");
    }
    for (what, count) in &before.0 {
        println!("{what}: {count} before, {} after", after.0.get(what).copied().unwrap_or(0));
    }
    let growth = before.growth(&after);
    assert!(growth.is_empty(), "seed {seed}: it grew: {}", growth.join("; "));
}

/// Waits until all is as it should be, and a moment more for what is closed by itself.
fn settle(run: &Run, world: &World) {
    eventually(run.patience, "all is as it was", || world.is_whole());
    world.machine.rdsup("status").ok();
    world.machine.line("sleep 2");
}
