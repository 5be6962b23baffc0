//! Many who ask at once, and some who do not wait for the answer.

use std::time::{Duration, Instant};

use super::supervisors::{after, before};
use super::{Case, case};
use crate::machine::{CONFIG, RDSUP};
use crate::run::Run;
use crate::said::Background;
use crate::world::World;

pub const CASES: &[Case] = &[
    case("50 concurrent requests", "50 concurrent requests end in order", concurrent),
    case("a client that dies", "a client that dies in the middle of its request changes nothing", dying),
];

fn concurrent(run: &Run) {
    let world = World::pairs(run);
    let machine = &world.machine;
    let (others, sufferers) = (world.bystanders(), world.sufferers());
    let ends = || machine.sh("grep -c 'request apply begins' /run/rdsup/log/rdsup.log || true");
    let before: usize = ends().trim().parse().expect("a number");
    let verbs: [&[&str]; 5] = [&["apply"], &["status"], &["plan"], &["ctl", "a", "show", "protocols"], &["apply"]];
    let begin = Instant::now();
    let asked: Vec<(usize, Background)> = (0..50)
        .map(|number| {
            run.strikes();
            let verb = number % verbs.len();
            let mut argv = vec![RDSUP, "-c", CONFIG];
            argv.extend(verbs[verb]);
            (verb, machine.spawn(&argv))
        })
        .collect();
    for (verb, asked) in asked {
        let said = asked.finish(run.patience).ok();
        assert!(verb != 3 || said.contains("rd_b"), "not the answer to `ctl`: {said}");
        run.survived(begin.elapsed());
    }
    let after: usize = ends().trim().parse().expect("a number");
    assert_eq!(after - before, 20, "applies that were carried out, one after the other");
    assert!(world.is_whole(), "not as it was");
    assert_eq!(world.sufferers(), sufferers, "a session was reset");
    world.assert_untouched(&others);
}

fn dying(run: &Run) {
    let world = World::running(run, &before());
    let machine = &world.machine;
    let (others, sufferers) = (world.bystanders(), world.sufferers());
    for (number, milliseconds) in [5, 10, 15, 20, 30, 40, 60, 80, 120, 160].into_iter().enumerate() {
        let forth = number % 2 == 0;
        run.survives(
            &format!("a client that dies after {milliseconds} ms"),
            || {
                world.configure(&if forth { after() } else { before() });
                let limit = format!("{}", Duration::from_millis(milliseconds).as_secs_f64());
                machine.run(&["timeout", "-s", "KILL", &limit, RDSUP, "-c", CONFIG, "apply"]);
                // Whatever became of it, the next is answered after it, and has its own answer.
                machine.rdsup("apply").ok();
            },
            || world.is_whole() && machine.established(if forth { "f" } else { "e" }, "rd_b"),
            || {
                assert_eq!(world.sufferers(), sufferers, "a session was reset");
                world.assert_untouched(&others);
            },
        );
    }
}
