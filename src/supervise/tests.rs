use std::time::Duration;

use proptest::prelude::*;

use super::table::{Input, Rule, rule};
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
    ]
}

/// Every event in `state`, each on a fresh machine, as `event → state`, with ticks at the deadline.
fn row(state: State) -> Vec<State> {
    events()
        .iter()
        .map(|event| {
            let (mut machine, now) = machine_in(state);
            let now = if *event == Event::Tick { machine.next_deadline().unwrap_or(now) } else { now };
            machine.handle(event, now);
            machine.state()
        })
        .collect()
}

use State::{
    Backoff as B, Busy, Failed, Hung, Killing, Launching, Loading, Running, Silent, Starting, Stopped, Stopping,
};

#[test]
fn stopped_starts_only_when_wanted_or_found_running() {
    let s = Stopped;
    assert_eq!(row(s), [Launching, s, s, s, Starting, s, s, s, s, s, s, s]);
}

#[test]
fn launching_waits_for_the_process_and_nothing_else() {
    let s = Launching;
    assert_eq!(row(s), [s, s, Starting, B, s, s, s, B, s, s, s, s]);
}

#[test]
fn starting_ends_in_running_or_is_replaced_after_its_deadline() {
    let s = Starting;
    assert_eq!(row(s), [s, Stopping, s, s, s, s, Running, B, Hung, s, s, s]);
}

#[test]
fn running_reacts_to_loss_silence_and_a_new_configuration() {
    let s = Running;
    assert_eq!(row(s), [s, Stopping, s, s, s, Loading, s, B, s, Silent, Busy, s]);
}

#[test]
fn loading_may_be_silent_but_not_for_ever() {
    let s = Loading;
    assert_eq!(row(s), [s, Stopping, s, s, s, s, Running, B, Hung, s, s, s]);
}

#[test]
fn busy_becomes_running_by_an_answer_silent_without_work_and_hung_by_its_deadline() {
    let s = Busy;
    assert_eq!(row(s), [s, Stopping, s, s, s, Loading, Running, B, Hung, Silent, s, Running]);
}

#[test]
fn silent_becomes_running_by_an_answer_and_hung_without() {
    let s = Silent;
    assert_eq!(row(s), [s, Stopping, s, s, s, Loading, Running, B, Hung, s, Busy, Running]);
}

#[test]
fn hung_waits_for_the_end_of_what_it_killed() {
    let s = Hung;
    assert_eq!(row(s), [s, s, s, s, s, s, s, B, s, s, s, s]);
}

#[test]
fn stopping_ends_in_stopped_and_escalates_after_its_deadline() {
    let s = Stopping;
    assert_eq!(row(s), [s, s, s, s, s, s, s, Stopped, Killing, s, s, s]);
}

#[test]
fn killing_ends_in_stopped_however_long_it_takes() {
    let s = Killing;
    assert_eq!(row(s), [s, s, s, s, s, s, s, Stopped, s, s, s, s]);
}

#[test]
fn backoff_launches_at_its_deadline_and_rests_when_unwanted() {
    let s = B;
    assert_eq!(row(s), [s, Stopped, s, s, Starting, s, s, s, Launching, s, s, s]);
}

#[test]
fn failed_still_tries_at_its_deadline_and_at_once_when_asked() {
    let s = Failed;
    assert_eq!(row(s), [Launching, Stopped, s, s, Starting, s, s, s, Launching, s, s, s]);
}

#[test]
fn every_state_decides_every_event_and_every_rule_is_used() {
    let inputs = [
        Input::Want,
        Input::Unwant,
        Input::Spawned,
        Input::NoSpawn,
        Input::Adopted,
        Input::Loading,
        Input::Ready,
        Input::Exited,
        Input::Due,
        Input::NoAnswer,
        Input::Working,
        Input::Answer,
    ];
    let mut used: Vec<Rule> = Vec::new();
    for (number, state) in State::ALL.into_iter().enumerate() {
        assert_eq!(state as usize, number, "the rows stand in the order of the states");
        used.extend(inputs.iter().map(|input| rule(state, *input)));
    }
    for rule in [
        Rule::Stay,
        Rule::Launch,
        Rule::Note,
        Rule::Rest,
        Rule::Begin,
        Rule::Adopt,
        Rule::Lost,
        Rule::Left,
        Rule::Up,
        Rule::Load,
        Rule::Loaded,
        Rule::Doubt,
        Rule::Bear,
        Rule::Judge,
        Rule::Trust,
        Rule::Term,
        Rule::Kill,
        Rule::Replace,
        Rule::Insist,
        Rule::Settle,
    ] {
        assert!(used.contains(&rule), "{rule:?} stands in no row");
    }
}

#[test]
fn a_process_that_does_not_leave_is_killed_after_ten_seconds() {
    let (mut machine, now) = machine_in(Running);
    assert_eq!(signals(&machine.handle(&Event::Unwant, now)), [StopSignal::Term]);
    assert_eq!(machine.handle(&Event::Tick, now + at(9)), []);
    assert_eq!(signals(&machine.handle(&Event::Tick, now + at(10))), [StopSignal::Kill]);
}

#[test]
fn a_silent_process_is_killed_after_twenty_seconds_and_its_successor_recovers() {
    let (mut machine, now) = machine_in(Running);
    for second in 0..10 {
        machine.handle(&Event::NotAnswering, now + at(2 * second));
    }
    assert_eq!(machine.handle(&Event::Tick, now + at(19)), []);
    assert_eq!(signals(&machine.handle(&Event::Tick, now + at(20))), [StopSignal::Kill]);
    machine.handle(&Event::Exited(ExitReason::Signal(9)), now + at(20));
    let due = machine.next_deadline().expect("a restart is planned");
    assert!(due < now + at(21), "replaced inside the hold time");
    assert_eq!(spawns(&machine.handle(&Event::Tick, due)), [true]);
}

#[test]
fn a_process_that_loads_a_configuration_is_not_taken_for_hung() {
    let (mut machine, now) = machine_in(Running);
    machine.handle(&Event::Loading, now);
    for second in 0..59 {
        machine.handle(&Event::NotAnswering, now + at(second));
        assert_eq!(machine.handle(&Event::Tick, now + at(second)), []);
    }
    machine.handle(&Event::Ready, now + at(59));
    assert_eq!(machine.state(), Running);
}

#[test]
fn a_process_that_works_and_does_not_answer_has_sixty_seconds_and_not_more() {
    let (mut machine, now) = machine_in(Running);
    for second in 0..30 {
        assert_eq!(signals(&machine.handle(&Event::Tick, now + at(2 * second))), []);
        machine.handle(&Event::Working, now + at(2 * second));
        assert_eq!(machine.state(), Busy);
    }
    assert_eq!(machine.handle(&Event::Tick, now + at(59)), []);
    let actions = machine.handle(&Event::Tick, now + at(60));
    assert_eq!(actions[0], Action::Report(Report::Hung { after: at(60) }));
    assert_eq!(signals(&actions), [StopSignal::Kill]);
}

#[test]
fn one_that_stops_working_has_twenty_seconds_from_then_but_sixty_in_all() {
    for (worked, hung) in [(30, 50), (50, 60)] {
        let (mut machine, now) = machine_in(Running);
        for second in 0..=worked {
            machine.handle(&Event::Working, now + at(second));
        }
        for second in worked..hung {
            assert_eq!(machine.handle(&Event::Tick, now + at(second)), []);
            machine.handle(&Event::NotAnswering, now + at(second));
            assert_eq!(machine.state(), Silent);
        }
        assert_eq!(signals(&machine.handle(&Event::Tick, now + at(hung))), [StopSignal::Kill]);
    }
}

#[test]
fn a_silent_one_that_is_seen_to_work_is_given_the_time_of_a_busy_one_counted_from_the_first_silence() {
    let (mut machine, now) = machine_in(Silent);
    machine.handle(&Event::Working, now + at(15));
    assert_eq!(machine.next_deadline(), Some(now + at(60)));
    assert_eq!(machine.unanswered_since(), Some(now));
    machine.handle(&Event::Answering, now + at(30));
    assert_eq!((machine.state(), machine.unanswered_since()), (Running, None));
}

#[test]
fn a_process_that_was_hardly_asked_because_everything_stood_still_is_asked_again_first() {
    let (mut machine, now) = machine_in(Running);
    machine.handle(&Event::NotAnswering, now);
    // Nobody ran for ten minutes, and the deadline is seen before an answer can be.
    assert_eq!(machine.handle(&Event::Tick, now + at(600)), []);
    assert_eq!(machine.next_deadline(), Some(now + at(602)));
    machine.handle(&Event::Answering, now + at(601));
    assert_eq!(machine.state(), Running);
    // The count begins again with the next silence.
    machine.handle(&Event::NotAnswering, now + at(700));
    assert_eq!(machine.handle(&Event::Tick, now + at(720)), []);
}

#[test]
fn only_the_first_missing_answer_is_told() {
    let (mut machine, now) = machine_in(Running);
    assert_eq!(machine.handle(&Event::Working, now), [Action::Report(Report::Busy)]);
    for event in [Event::NotAnswering, Event::Working, Event::NotAnswering] {
        assert_eq!(machine.handle(&event, now), []);
    }
    assert_eq!(machine.handle(&Event::Answering, now), [Action::Report(Report::AnswersAgain)]);
}

#[test]
fn a_busy_one_that_is_told_to_load_has_no_more_time_for_it() {
    let (mut machine, now) = machine_in(Busy);
    machine.handle(&Event::Loading, now + at(50));
    assert_eq!(signals(&machine.handle(&Event::Tick, now + at(59))), []);
    assert_eq!(signals(&machine.handle(&Event::Tick, now + at(60))), [StopSignal::Kill]);
}

#[test]
fn one_that_was_taken_over_and_does_not_answer_is_replaced_inside_the_hold_time() {
    let (mut machine, now) = machine_in(Stopped);
    machine.handle(&Event::Adopted { pid: PID }, now);
    assert_eq!(machine.handle(&Event::Tick, now + at(19)), []);
    let actions = machine.handle(&Event::Tick, now + at(20));
    assert_eq!(actions[0], Action::Report(Report::NotReadyInTime { after: at(20) }));
    machine.handle(&Event::Exited(ExitReason::Signal(9)), now + at(20));
    let due = machine.next_attempt().expect("a restart is planned");
    assert_eq!(spawns(&machine.handle(&Event::Tick, due)), [true], "and its successor recovers");
}

#[test]
fn the_next_attempt_is_known_while_it_is_waited_for_and_not_otherwise() {
    for state in State::ALL {
        let (machine, _) = machine_in(state);
        assert_eq!(machine.next_attempt().is_some(), matches!(state, B | Failed), "{state:?}");
    }
}

#[test]
fn a_process_that_was_never_ready_leaves_nothing_to_recover() {
    let (mut machine, now) = machine_in(Starting);
    machine.handle(&Event::Exited(ExitReason::Code(1)), now);
    let due = machine.next_deadline().expect("a restart is planned");
    assert_eq!(spawns(&machine.handle(&Event::Tick, due)), [false]);
}

#[test]
fn a_process_stopped_on_purpose_starts_afresh() {
    let (mut machine, now) = machine_in(Stopping);
    machine.handle(&Event::Want, now);
    assert_eq!(spawns(&machine.handle(&Event::Exited(ExitReason::Code(0)), now)), [false]);
    assert_eq!(machine.restarts(), 0);
}

#[test]
fn a_process_unwanted_while_it_is_launched_is_ended_as_soon_as_it_is_there() {
    let (mut machine, now) = machine_in(Launching);
    machine.handle(&Event::Unwant, now);
    assert_eq!(signals(&machine.handle(&Event::Spawned { pid: PID }, now)), [StopSignal::Term]);
    assert_eq!(machine.state(), Stopping);
}

#[test]
fn the_eleventh_loss_in_five_minutes_is_a_failure_that_still_tries_every_thirty_seconds() {
    let (mut machine, mut now) = machine_in(Running);
    let mut losses = 0;
    while machine.state() != Failed {
        machine.handle(&Event::Exited(ExitReason::Code(1)), now);
        losses += 1;
        if machine.state() == B {
            now = machine.next_deadline().expect("a restart is planned");
            assert_eq!(spawns(&machine.handle(&Event::Tick, now)).len(), 1);
            machine.handle(&Event::Spawned { pid: PID }, now);
        }
    }
    assert_eq!(losses, 11);
    assert_eq!(machine.next_deadline(), Some(now + at(30)));
    for _ in 0..20 {
        now = machine.next_deadline().expect("it goes on trying");
        assert_eq!(spawns(&machine.handle(&Event::Tick, now)).len(), 1);
        machine.handle(&Event::Spawned { pid: PID }, now);
        machine.handle(&Event::Exited(ExitReason::Code(1)), now);
        assert_eq!(machine.state(), Failed, "and stays failed however old the first losses are");
    }
}

#[test]
fn a_minute_of_health_forgets_the_failure() {
    let (mut machine, _) = machine_in(Failed);
    let mut now = machine.next_deadline().expect("it goes on trying");
    machine.handle(&Event::Tick, now);
    machine.handle(&Event::Spawned { pid: PID }, now);
    machine.handle(&Event::Ready, now);
    assert!(machine.failed(), "an attempt is not health");
    now += STABLE_AFTER;
    machine.handle(&Event::Tick, now);
    assert!(!machine.failed());
    machine.handle(&Event::Exited(ExitReason::Code(1)), now);
    assert_eq!(machine.next_deadline(), Some(now + FIRST_DELAY));
}

#[test]
fn delays_grow_to_thirty_seconds_and_differ_between_seeds() {
    let delays = |seed| {
        let mut backoff = Backoff::new(seed);
        (0..12).map(|_| backoff.next_delay()).collect::<Vec<_>>()
    };
    let first = delays(1);
    assert_eq!(first[0], FIRST_DELAY);
    assert!(first.iter().all(|delay| (FIRST_DELAY..=LONGEST_DELAY).contains(delay)));
    assert!(first[10] >= LONGEST_DELAY / 2);
    assert_ne!(first, delays(99));
}

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
