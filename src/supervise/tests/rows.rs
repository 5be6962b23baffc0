//! The table, row by row: in each state every event, in the order of the columns.

use super::super::table::{Input, Rule, rule};
use super::*;
use State::{
    Backoff as B, Busy, Failed, Hung, Killing, Launching, Loading, Running, Silent, Starting, Stopped, Stopping,
};

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

#[test]
fn stopped_starts_only_when_wanted_or_found_running() {
    let s = Stopped;
    assert_eq!(row(s), [Launching, s, s, s, Starting, s, s, s, s, s, s, s, s]);
}

#[test]
fn launching_waits_for_the_process_and_nothing_else() {
    let s = Launching;
    assert_eq!(row(s), [s, s, Starting, B, s, s, s, B, s, s, s, s, s]);
}

#[test]
fn starting_ends_in_running_or_is_replaced_after_its_deadline() {
    let s = Starting;
    assert_eq!(row(s), [s, Stopping, s, s, s, s, Running, B, Hung, s, s, s, Hung]);
}

#[test]
fn running_reacts_to_loss_silence_and_a_new_configuration() {
    let s = Running;
    assert_eq!(row(s), [s, Stopping, s, s, s, Loading, s, B, s, Silent, Busy, s, Hung]);
}

#[test]
fn loading_may_be_silent_but_not_for_ever() {
    let s = Loading;
    assert_eq!(row(s), [s, Stopping, s, s, s, s, Running, B, Hung, s, s, s, Hung]);
}

#[test]
fn busy_becomes_running_by_an_answer_silent_without_work_and_hung_by_its_deadline() {
    let s = Busy;
    assert_eq!(row(s), [s, Stopping, s, s, s, Loading, Running, B, Hung, Silent, s, Running, Hung]);
}

#[test]
fn silent_becomes_running_by_an_answer_and_hung_without() {
    let s = Silent;
    assert_eq!(row(s), [s, Stopping, s, s, s, Loading, Running, B, Hung, s, Busy, Running, Hung]);
}

#[test]
fn hung_waits_for_the_end_of_what_it_killed() {
    let s = Hung;
    assert_eq!(row(s), [s, s, s, s, s, s, s, B, s, s, s, s, s]);
}

#[test]
fn stopping_ends_in_stopped_and_escalates_after_its_deadline() {
    let s = Stopping;
    assert_eq!(row(s), [s, s, s, s, s, s, s, Stopped, Killing, s, s, s, s]);
}

#[test]
fn killing_ends_in_stopped_however_long_it_takes() {
    let s = Killing;
    assert_eq!(row(s), [s, s, s, s, s, s, s, Stopped, s, s, s, s, s]);
}

#[test]
fn backoff_launches_at_its_deadline_and_rests_when_unwanted() {
    let s = B;
    assert_eq!(row(s), [s, Stopped, s, s, Starting, s, s, s, Launching, s, s, s, s]);
}

#[test]
fn failed_still_tries_at_its_deadline_and_at_once_when_asked() {
    let s = Failed;
    assert_eq!(row(s), [Launching, Stopped, s, s, Starting, s, s, s, Launching, s, s, s, s]);
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
        Input::Renew,
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
        Rule::Renew,
        Rule::Insist,
        Rule::Settle,
    ] {
        assert!(used.contains(&rule), "{rule:?} stands in no row");
    }
}
