//! `rdsup events`: what changes is told as it happens, to whoever listens.

use serde_json::Value;

use crate::machine::{Background, CONFIG, DEMO, Machine, RDSUP, SOON, eventually};

/// Starts to listen; returns when the snapshot is there.
fn listen(machine: &Machine, name: &str, options: &str) -> Background {
    let out = format!("/srv/{name}");
    let listening = machine.spawn(&["bash", "-c", &format!("exec {RDSUP} -c {CONFIG} events {options} >{out}")]);
    eventually(SOON, "the snapshot", || heard(machine, name).first().is_some_and(|first| first["event"] == "snapshot"));
    listening
}

fn heard(machine: &Machine, name: &str) -> Vec<Value> {
    let text = machine.sh(&format!("cat /srv/{name} 2>/dev/null || true"));
    // The last line may be half there.
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// What was heard of a domain since the snapshot, by kind.
fn kinds(machine: &Machine, name: &str, domain: Option<&str>) -> Vec<String> {
    heard(machine, name)
        .iter()
        .filter(|event| event["domain"].as_str() == domain && event["event"] != "snapshot")
        .map(|event| event["event"].as_str().expect("every event has a kind").to_owned())
        .collect()
}

fn in_order(kinds: &[String], wanted: &[&str]) -> bool {
    let mut kinds = kinds.iter();
    wanted.iter().all(|wanted| kinds.any(|kind| kind == wanted))
}

#[track_caller]
fn hears(machine: &Machine, name: &str, domain: Option<&str>, wanted: &[&str]) {
    eventually(SOON, &format!("{name} hears of {domain:?}: {wanted:?}"), || {
        in_order(&kinds(machine, name, domain), wanted)
    });
}

#[test]
fn whoever_listens_hears_of_daemons_sessions_links_repairs_generations_and_the_end() {
    let machine = Machine::demo();
    let all = listen(&machine, "all", "");
    let one = listen(&machine, "one", "hostile");
    let snapshot = &heard(&machine, "all")[0];
    assert_eq!(snapshot["status"]["domains"].as_array().map(Vec::len), Some(3), "{snapshot}");
    assert_eq!(snapshot["status"]["ready"], true, "{snapshot}");

    machine.line(&format!("kill -9 {}", machine.bird("private").expect("private has a daemon")));
    hears(&machine, "all", Some("private"), &["daemon-lost", "daemon-started", "daemon-ready"]);
    hears(&machine, "all", Some("private"), &["session-down", "session-up"]);
    let lost = heard(&machine, "all").into_iter().find(|event| event["event"] == "daemon-lost").expect("it was heard");
    assert_eq!(lost["why"], "killed (SIGKILL)", "{lost}");
    assert!(lost["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{lost}");

    machine.line("ip -n private link delete rd-internet");
    hears(&machine, "all", Some("private"), &["repaired"]);
    let all_heard = heard(&machine, "all");
    let is_of_private = |event: &&Value| event["event"] == "repaired" && event["domain"] == "private";
    let repaired = all_heard.iter().find(is_of_private).expect("it was heard");
    assert!(repaired["found"][0].as_str().is_some_and(|words| words.contains("rd-internet was gone")), "{repaired}");

    machine.configure(&format!(
        "{DEMO}\n[domain.guests]\ndaemon = \"none\"\nloopback = [\"10.77.0.1/32\"]\nnetworks = [\"10.77.0.0/16\"]\n"
    ));
    machine.rdsup("apply").ok();
    hears(&machine, "all", None, &["generation"]);
    hears(&machine, "all", Some("guests"), &["domain-added"]);

    // Whoever listens to one domain hears of the network as a whole, too.
    hears(&machine, "one", None, &["generation"]);
    assert!(kinds(&machine, "one", Some("private")).is_empty(), "{:?}", heard(&machine, "one"));

    // Those who listen are processes of that name too.
    machine.sh("kill -TERM $(cat /run/rdsup/rdsup.lock)");
    for (name, listening) in [("all", all), ("one", one)] {
        listening.finish(SOON).ok();
        let end = heard(&machine, name).pop().expect("something was heard");
        assert_eq!((&end["event"], &end["network_stays"]), (&"leaving".into(), &true.into()), "{end}");
    }
}

#[test]
fn a_daemon_that_gives_no_answer_is_one_problem_and_its_sessions_are_not_gone() {
    let machine = Machine::demo();
    let _all = listen(&machine, "all", "");
    let hung = machine.bird("private").expect("private has a daemon");
    machine.line(&format!("kill -STOP {hung}"));
    hears(&machine, "all", Some("private"), &["problem"]);
    eventually(SOON, "some seconds go by", || machine.daemon("private")["unanswered_seconds"].as_u64() >= Some(5));
    let of_private = kinds(&machine, "all", Some("private"));
    let count = |kind: &str| of_private.iter().filter(|it| *it == kind).count();
    assert_eq!((count("problem"), count("session-down")), (1, 0), "{:?}", heard(&machine, "all"));
    machine.line(&format!("kill -CONT {hung}"));
    hears(&machine, "all", Some("private"), &["problem", "problem-solved", "domain-state"]);
    assert!(!kinds(&machine, "all", Some("private")).contains(&"session-down".to_owned()));
}

#[test]
fn daemons_are_asked_only_while_somebody_listens_and_a_listener_may_be_told_to_end() {
    let machine = Machine::demo();
    let log = || machine.sh("cat /run/rdsup/log/rdsup.log");
    assert!(!log().contains("somebody listens"));
    let said = machine.rdsup("events --for 1s").ok();
    assert_eq!(said.lines().count(), 1, "nothing happens: {said}");
    eventually(SOON, "nobody listens any more", || log().contains("nobody listens any more"));
    let counted = listen(&machine, "counted", "--count 2 private");
    machine.line(&format!("kill -9 {}", machine.bird("private").expect("private has a daemon")));
    counted.finish(SOON).ok();
    assert_eq!(heard(&machine, "counted").len(), 3, "the snapshot and two events");
    let words = machine.rdsup("events nowhere").refused(2);
    assert!(words.contains("there is no domain nowhere"), "{words}");
    machine.stop();
    machine.rdsup("events").refused(1);
}
