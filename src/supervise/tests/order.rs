//! Any order of events.

use proptest::prelude::*;

use super::*;
use State::{Launching, Stopped};

proptest! {
    #[test]
    fn two_spawns_never_come_without_an_end_between_and_unwanted_always_ends_in_stopped(
        steps in proptest::collection::vec((0usize..12, 0u64..40), 0..200)
    ) {
        let mut machine = Machine::new(3);
        let mut now = Duration::ZERO;
        // The driver's view: a process asked for or alive.
        let mut alive = false;
        for (choice, seconds) in steps {
            now += at(seconds);
            let event = events()[choice].clone();
            // A driver only tells what can be true.
            let possible = match &event {
                Event::Spawned { .. } | Event::SpawnFailed(_) => machine.state() == Launching,
                Event::Adopted { .. } => !alive,
                Event::Exited(_) => machine.state().has_process(),
                _ => true,
            };
            if !possible {
                continue;
            }
            let actions = machine.handle(&event, now);
            match event {
                Event::Exited(_) | Event::SpawnFailed(_) => alive = false,
                Event::Adopted { .. } => alive = true,
                _ => {}
            }
            for recovering in spawns(&actions) {
                let _ = recovering;
                prop_assert!(!alive, "a second process was asked for");
                alive = true;
            }
            prop_assert_eq!(machine.pid().is_some(), machine.state().has_process());
        }
        let _ = machine.handle(&Event::Unwant, now);
        if machine.state() == Launching {
            machine.handle(&Event::Spawned { pid: PID }, now);
        }
        // A process that ignores SIGTERM and dies of SIGKILL.
        for _ in 0..3 {
            if let Some(due) = machine.next_deadline() {
                if !signals(&machine.handle(&Event::Tick, due)).is_empty() {
                    machine.handle(&Event::Exited(ExitReason::Signal(9)), due);
                }
            } else if machine.state().has_process() {
                machine.handle(&Event::Exited(ExitReason::Signal(9)), now);
            }
        }
        prop_assert_eq!(machine.state(), Stopped);
    }
}
