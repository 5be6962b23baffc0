//! What happens to the supervisor: it dies, at any moment.

use std::sync::OnceLock;

use super::{Case, EACH_WAY, FRR, case};
use crate::machine::{SOON, eventually};
use crate::run::Run;
use crate::said::Said;
use crate::sweep::{COUNTING, counted, each, kill_at};
use crate::world::{BYSTANDERS, CLAIM, EXTRA, PAIRS, World};

pub const CASES: &[Case] = &[
    case(
        "kill -9 of the supervisor, idle",
        "a supervisor killed while idle is succeeded by one that watches what it left",
        idle,
    )
    .also(EACH_WAY),
    case(
        "kill -9 at each step of start",
        "a start killed before and after each step is completed by the next",
        start_steps,
    )
    .also(FRR),
    case(
        "kill -9 at each file that start writes",
        "a start killed at each file that it writes is completed by the next",
        start_writes,
    )
    .also(FRR),
    case(
        "kill -9 at each step of apply",
        "an apply killed before and after each step is completed by the next start",
        apply_steps,
    )
    .also(FRR),
    case(
        "kill -9 at each step of stop",
        "a stop killed before and after each step is completed by the next",
        stop_steps,
    )
    .also(FRR),
    case(
        "a step of apply that fails",
        "an apply of which a step fails is taken back, and done by the next",
        failing_steps,
    ),
    case(
        "a step of stop that fails",
        "a stop of which a step fails says so and is completed by the next",
        failing_stop,
    ),
];

/// How often the idle supervisor is killed.
const IDLE: usize = 10;

fn idle(run: &Run) {
    let world = World::pairs(run);
    let machine = &world.machine;
    let (others, sufferers) = (world.bystanders(), world.sufferers());
    for _ in 0..IDLE.div_ceil(run.daemons.stride()) {
        run.survives(
            "kill -9 of the supervisor",
            || {
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
    let environment = machine.sh("cat /proc/$(pgrep -x 'bird|bgpd' | head -1)/environ | tr '\\0' ' '");
    assert!(environment.contains("PATH=") && !environment.contains("FAILPOINTS"), "{environment}");
    // What was adopted is watched: it comes back when it dies.
    let daemon = world.daemon("a");
    world.kill("a");
    eventually(run.patience, "the adopted daemon is replaced", || {
        world.is_replaced("a", &daemon) && world.session_is_up()
    });
    world.assert_untouched(&others);
}

fn pair() -> String {
    format!("{PAIRS}{CLAIM}")
}

/// What one undisturbed run told: how many points there are, and how it all looks before, during and after.
struct Undisturbed {
    points: usize,
    clean: String,
    state: String,
}

/// The points of a start, and how the network of `PAIRS` looks.
fn undisturbed(run: &Run, name: &str) -> Undisturbed {
    let world = World::new(run, &pair());
    let clean = world.traces();
    world.start_with(COUNTING).ok();
    let points = counted(&world.machine, name);
    assert!(points > 10, "only {points} points");
    eventually(SOON, "the session is established", || world.is_whole());
    Undisturbed { points, clean, state: world.state() }
}

fn start_steps(run: &Run) {
    start(run, "step");
}

fn start_writes(run: &Run) {
    start(run, "write");
}

fn start(run: &Run, name: &str) {
    let expected = undisturbed(&run.undisturbed(), name);
    let prepare = |part: &Run, _| World::new(part, &pair());
    each(run, expected.points, prepare, |part, world, number| {
        part.survives(
            &format!("kill -9 at {name} {number} of a start"),
            || {
                let said = world.start_with(&kill_at(name, number));
                // What is written after it was ready may be written a moment later.
                assert!(!said.status.success() || name == "write", "it was not killed: {said}");
                world.kill_supervisor();
                world.assert_fenced();
                world.start();
            },
            || world.session_is_up(),
            || {
                world.assert_state(&expected.state);
                assert!(world.is_whole(), "not as it should be");
                world.assert_closed();
                world.machine.stop();
                world.assert_left_as(&expected.clean);
            },
        );
    });
}

/// `e` comes and `f` goes; between `a` and `b` the filter changes, a route, and what `a`'s daemon reads.
pub fn before() -> String {
    format!("{PAIRS}{CLAIM}{BYSTANDERS}{}", guest("e", 65005, "10.5"))
}

/// The other way round.
pub fn after() -> String {
    let pair = PAIRS.replace("tcp/80", "tcp/80,443").replace("192.168.66.0/24", "192.168.77.0/24");
    let daemon = format!("[domain.a.extra]\n{EXTRA}");
    format!("{pair}{CLAIM}{daemon}{BYSTANDERS}{}", guest("f", 65006, "10.6"))
}

fn guest(name: &str, asn: u32, network: &str) -> String {
    format!(
        "[domain.{name}]\nasn = {asn}\nloopback = [\"{network}.0.1/32\"]\nnetworks = [\"{network}.0.0/16\"]
         [[link]]\nbetween = [\"{name}\", \"b\"]\ninto.{name} = {{ routes = [\"192.168.0.0/16\"] }}
         into.b = {{ routes = [\"{network}.0.0/16\"], packets = [\"icmp\"] }}\n"
    )
}

/// Whether the guest of this version of the file has its session.
fn guest_is_up(world: &World, forth: bool) -> bool {
    let guest = if forth { "f" } else { "e" };
    world.session_is_up() && world.machine.established(guest, "rd_b")
}

/// A machine on which `before` runs, what must not change there, and the state in both versions.
struct Changing {
    world: World,
    others: String,
    sufferers: String,
    states: [OnceLock<String>; 2],
}

impl Changing {
    fn new(run: &Run) -> Self {
        let world = World::running(run, &before());
        let (others, sufferers) = (world.bystanders(), world.sufferers());
        let changing = Self { world, others, sufferers, states: [OnceLock::new(), OnceLock::new()] };
        // An undisturbed run each way.
        for forth in [false, true, false] {
            changing.write(forth);
            changing.world.machine.rdsup("apply").ok();
            eventually(SOON, "the guest's session is established", || guest_is_up(&changing.world, forth));
            changing.assert_state(forth);
        }
        changing
    }

    fn write(&self, forth: bool) {
        self.world.configure(&if forth { after() } else { before() });
    }

    /// The same state each time, the first time being the undisturbed one.
    fn assert_state(&self, forth: bool) {
        let state = self.states[usize::from(forth)].get_or_init(|| self.world.state());
        self.world.assert_state(state);
    }

    fn assert_kept(&self) {
        self.world.assert_untouched(&self.others);
        assert_eq!(self.world.sufferers(), self.sufferers, "a session was reset that only got another policy");
        self.world.assert_closed();
    }

    /// A new supervisor with failpoints takes the network over without a step.
    fn supervise_with(&self, failpoints: &str) {
        self.world.machine.rdsup("stop --keep").ok();
        eventually(SOON, "the supervisor is gone", || !self.world.is_supervised());
        self.world.start_with(failpoints).ok();
    }

    /// How many points an apply has, forth and back.
    fn points(&self) -> [usize; 2] {
        let mut points = [0, 0];
        for forth in [true, false] {
            self.supervise_with(COUNTING);
            let before = counted(&self.world.machine, "step");
            self.write(forth);
            self.world.machine.rdsup("apply").ok();
            points[usize::from(forth)] = counted(&self.world.machine, "step") - before;
        }
        points
    }
}

/// Forth it dies before each step, and back after each; where the supervisor stands in between is the same.
fn apply_steps(run: &Run) {
    changed_at_each(run, "kill", 1, |changing, said, _| {
        assert!(!said.status.success(), "it was not killed: {said}");
        eventually(SOON, "the supervisor is gone", || !changing.world.is_supervised());
        changing.world.assert_fenced();
        changing.world.start();
    });
}

/// What fails is told and taken back, and done by the next apply.
fn failing_steps(run: &Run) {
    changed_at_each(run, "error", 2, |changing, said, way| {
        changing.world.assert_fenced();
        // A daemon that could not be started is started again by itself, and one that did not leave is only told of.
        if !said.status.success() {
            assert!(said.to_string().contains("failpoint"), "it does not say what failed: {said}");
            eventually(SOON, "the old guest's session is back", || guest_is_up(&changing.world, !way));
            changing.assert_state(!way);
            changing.assert_kept();
        }
        changing.world.machine.rdsup("apply").ok();
    });
}

/// At each point, or at each second or third.
fn changed_at_each(run: &Run, what: &str, stride: usize, mend: impl Fn(&Changing, Said, bool) + Sync) {
    let [back, forth] = Changing::new(&run.undisturbed()).points();
    assert!(back.min(forth) > 40, "only {back} and {forth} points");
    let prepare = |part: &Run, _| Changing::new(part);
    each(run, forth.max(back).div_ceil(2 * stride), prepare, |part, changing, number| {
        let world = &changing.world;
        let point = 2 * stride * number;
        for (way, point, points) in [(true, point, forth), (false, point + 1, back)] {
            let failpoints = if point < points { kill_at("step", point).replace("kill", what) } else { String::new() };
            changing.supervise_with(&failpoints);
            changing.write(way);
            if failpoints.is_empty() {
                world.machine.rdsup("apply").ok();
                eventually(SOON, "the guest's session is established", || guest_is_up(world, way));
                continue;
            }
            part.survives(
                &format!("{what} at step {point} of an apply, {}", if way { "forth" } else { "back" }),
                || mend(changing, world.machine.rdsup("apply"), way),
                || guest_is_up(world, way),
                || {
                    changing.assert_state(way);
                    changing.assert_kept();
                    world.machine.assert_converged();
                },
            );
        }
    });
}

fn stop_steps(run: &Run) {
    stopped_at_each(run, "kill", |world, said| {
        assert!(!said.status.success(), "it was not killed: {said}");
        eventually(SOON, "the supervisor is gone", || !world.is_supervised());
    });
}

fn failing_stop(run: &Run) {
    stopped_at_each(run, "error", |world, said| {
        let told = ["failpoint", "does not leave"].iter().any(|words| said.to_string().contains(words));
        // A daemon that is gone is gone, whatever is said then.
        assert!(told || said.status.success(), "it does not say what failed: {said}");
        world.kill_supervisor();
    });
}

fn stopped_at_each(run: &Run, what: &str, mend: impl Fn(&World, Said) + Sync) {
    let expected = undisturbed(&run.undisturbed(), "step");
    let counting = World::new(&run.undisturbed(), &pair());
    counting.start();
    counting.kill_supervisor();
    counting.verb_with(COUNTING, "stop").ok();
    let points = counted(&counting.machine, "step");
    assert!(points > 10, "only {points} points");
    let prepare = |part: &Run, _| World::new(part, &pair());
    each(run, points, prepare, |part, world, number| {
        world.start();
        eventually(SOON, "the session is established", || world.session_is_up());
        part.survives(
            &format!("{what} at step {number} of a stop"),
            || {
                // A supervisor that takes over what stands, or the verb itself where there is none.
                let failpoints = kill_at("step", number).replace("kill", what);
                world.kill_supervisor();
                let said = if number % 2 == 0 {
                    world.verb_with(&failpoints, "stop")
                } else {
                    world.start_with(&failpoints).ok();
                    world.machine.rdsup("stop")
                };
                mend(world, said);
                world.assert_fenced();
                world.machine.stop();
            },
            || true,
            || world.assert_left_as(&expected.clean),
        );
    });
}
