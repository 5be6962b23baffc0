//! The machine, brought into every state by real events.

mod order;
mod rows;
mod times;

use std::time::Duration;

use super::*;

const PID: u32 = 4711;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A machine that has been brought into `state` by real events, and the time there.
fn machine_in(state: State) -> (Machine, Duration) {
    let mut machine = Machine::new(7);
    let now = at(1000);
    let mut feed = |events: &[(Event, u64)]| {
        for (event, second) in events {
            machine.handle(event, at(*second));
        }
    };
    let spawned = Event::Spawned { pid: PID };
    let killed = Event::Exited(ExitReason::Signal(9));
    match state {
        State::Stopped => {}
        State::Launching => feed(&[(Event::Want, 1000)]),
        State::Starting => feed(&[(Event::Want, 1000), (spawned, 1000)]),
        State::Running => feed(&[(Event::Want, 1000), (spawned, 1000), (Event::Ready, 1000)]),
        State::Loading => {
            feed(&[(Event::Want, 1000), (spawned, 1000), (Event::Ready, 1000), (Event::Loading, 1000)]);
        }
        State::Busy => {
            feed(&[(Event::Want, 1000), (spawned, 1000), (Event::Ready, 1000), (Event::Working, 1000)]);
            ask_in_vain(&mut machine, &Event::Working, now);
        }
        State::Silent => {
            feed(&[(Event::Want, 1000), (spawned, 1000), (Event::Ready, 1000), (Event::NotAnswering, 1000)]);
            ask_in_vain(&mut machine, &Event::NotAnswering, now);
        }
        State::Hung => feed(&[
            (Event::Want, 900),
            (spawned, 900),
            (Event::Ready, 900),
            (Event::NotAnswering, 980),
            (Event::NotAnswering, 985),
            (Event::NotAnswering, 990),
            (Event::NotAnswering, 995),
            (Event::NotAnswering, 999),
            (Event::Tick, 1000),
        ]),
        State::Stopping => {
            feed(&[(Event::Want, 1000), (spawned, 1000), (Event::Ready, 1000), (Event::Unwant, 1000)]);
        }
        State::Killing => {
            feed(&[(Event::Want, 990), (spawned, 990), (Event::Ready, 990), (Event::Unwant, 990), (Event::Tick, 1000)]);
        }
        State::Backoff => feed(&[(Event::Want, 1000), (spawned, 1000), (killed, 1000)]),
        State::Failed => {
            machine.handle(&Event::Want, now);
            while machine.state() != State::Failed {
                machine.handle(&Event::SpawnFailed("no memory".to_owned()), now);
                let due = machine.next_deadline().expect("another attempt is planned");
                if machine.state() == State::Backoff {
                    machine.handle(&Event::Tick, due);
                }
            }
        }
    }
    assert_eq!(machine.state(), state, "the events lead there");
    (machine, now)
}

/// As often as it takes before it may count as hung.
fn ask_in_vain(machine: &mut Machine, event: &Event, now: Duration) {
    for _ in 0..ASKED_AT_LEAST {
        machine.handle(event, now);
    }
}

fn signals(actions: &[Action]) -> Vec<StopSignal> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Signal(signal) => Some(*signal),
            _ => None,
        })
        .collect()
}

fn spawns(actions: &[Action]) -> Vec<bool> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Spawn { recovering } => Some(*recovering),
            _ => None,
        })
        .collect()
}

fn events() -> Vec<Event> {
    vec![
        Event::Want,
        Event::Unwant,
        Event::Spawned { pid: PID },
        Event::SpawnFailed("no memory".to_owned()),
        Event::Adopted { pid: PID },
        Event::Loading,
        Event::Ready,
        Event::Exited(ExitReason::Code(1)),
        Event::Tick,
        Event::NotAnswering,
        Event::Working,
        Event::Answering,
        Event::Renew(StopSignal::Kill),
    ]
}
