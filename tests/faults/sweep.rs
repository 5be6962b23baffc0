//! `kill -9` of the supervisor at each point that it reaches while it does something.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::machine::Machine;
use crate::run::Run;

/// How many machines work at the same time: most of the time is waiting for sessions.
const MACHINES: usize = 3;

/// FAILPOINTS that note every point, so that they can be counted.
pub const COUNTING: &str = "step=return(note);write=return(note)";

/// FAILPOINTS that kill at the point with this number, counted from 0.
pub fn kill_at(name: &str, number: usize) -> String {
    // `0*off` would be an action that is never over.
    let before = if number == 0 { String::new() } else { format!("{number}*off->") };
    format!("{name}={before}1*return(kill)")
}

/// How many points of a name the supervisor's log tells of since it was last asked.
pub fn counted(machine: &Machine, name: &str) -> usize {
    let log = machine.run(&["grep", "-c", &format!("reached the point {name}"), "/run/rdsup/log/rdsup.log"]);
    log.stdout.trim().parse().unwrap_or(0)
}

/// Does `work` for each number below `count`, or for some with daemons that are not to take so long, by a few workers, each with
/// what `prepare` made for it; the largest first, since what is nearly done is the hardest to complete. What they counted is
/// added to `run`; the first failure is the failure of all.
pub fn each<T>(
    run: &Run,
    count: usize,
    prepare: impl Fn(&Run, usize) -> T + Sync,
    work: impl Fn(&Run, &T, usize) + Sync,
) {
    let next = AtomicUsize::new(0);
    let numbers: Vec<usize> = (0..count).rev().step_by(run.daemons.stride()).collect();
    let parts: Vec<(Run, Option<Box<dyn std::any::Any + Send>>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..MACHINES.min(numbers.len()))
            .map(|worker| {
                let (next, numbers, prepare, work) = (&next, &numbers, &prepare, &work);
                let part = run.part();
                scope.spawn(move || {
                    let panic = catch_unwind(AssertUnwindSafe(|| {
                        let mine = prepare(&part, worker);
                        loop {
                            let done = next.fetch_add(1, Ordering::Relaxed);
                            let Some(number) = numbers.get(done) else { break };
                            work(&part, &mine, *number);
                        }
                    }));
                    if panic.is_err() {
                        next.store(count, Ordering::Relaxed);
                    }
                    (part, panic.err())
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("it catches its panics")).collect()
    });
    let mut failed = None;
    for (part, panic) in parts {
        run.add(&part, panic.is_some() && failed.is_none());
        failed = failed.or(panic);
    }
    if let Some(panic) = failed {
        resume_unwind(panic);
    }
}
