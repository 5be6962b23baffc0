//! Deadlines, limits and what is forgotten.

use super::*;
use State::{Backoff as B, Busy, Failed, Launching, Running, Silent, Starting, Stopped, Stopping};

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
fn one_that_begins_again_with_another_recovers_in_step_with_it_and_only_the_other_counts_as_lost() {
    let (mut lost, now) = machine_in(Running);
    let (mut follower, _) = machine_in(Running);
    lost.handle(&Event::Exited(ExitReason::Code(1)), now);
    let actions = follower.handle(&Event::Renew(StopSignal::Kill), now);
    assert_eq!(actions[0], Action::Report(Report::Renewed));
    assert_eq!(signals(&actions), [StopSignal::Kill]);
    assert!(follower.is_renewed());
    follower.handle(&Event::Exited(ExitReason::Signal(9)), now);
    assert_eq!((lost.restarts(), follower.restarts(), follower.last_exit()), (1, 0, None));
    let due = lost.next_deadline().expect("a restart is planned");
    assert_eq!(follower.next_deadline(), Some(due));
    assert_eq!(spawns(&follower.handle(&Event::Tick, due)), [true]);
    follower.handle(&Event::Spawned { pid: PID }, due);
    follower.handle(&Event::Ready, due);
    assert!(!follower.is_renewed());
    follower.handle(&Event::Exited(ExitReason::Signal(9)), due);
    assert_eq!((follower.restarts(), follower.last_exit()), (1, Some("killed (SIGKILL)")));
}

#[test]
fn one_that_is_asked_to_begin_again_is_killed_if_it_does_not() {
    let (mut machine, now) = machine_in(Running);
    assert_eq!(signals(&machine.handle(&Event::Renew(StopSignal::Term), now)), [StopSignal::Term]);
    let due = machine.next_deadline().expect("it is not waited for without end");
    assert_eq!(signals(&machine.handle(&Event::Tick, due)), [StopSignal::Kill]);
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

#[test]
fn what_is_killed_and_still_there_is_killed_again_every_ten_seconds() {
    for state in [State::Hung, State::Killing] {
        let (mut machine, mut now) = machine_in(state);
        for _ in 0..3 {
            assert_eq!(machine.handle(&Event::Tick, now + at(9)), []);
            now += at(10);
            let actions = machine.handle(&Event::Tick, now);
            assert_eq!(actions, [Action::Report(Report::WillNotDie), Action::Signal(StopSignal::Kill)]);
        }
    }
}

#[test]
fn a_second_configuration_has_its_own_time_to_be_loaded() {
    let (mut machine, now) = machine_in(State::Loading);
    machine.handle(&Event::Loading, now + at(50));
    assert_eq!(machine.handle(&Event::Tick, now + at(109)), []);
    assert_eq!(signals(&machine.handle(&Event::Tick, now + at(110))), [StopSignal::Kill]);
}
