//! What two reports differ in.

use super::*;
use crate::control::protocol::{GenerationStatus, LinkStatus};
use crate::model::Routing;

fn name(name: &str) -> DomainName {
    DomainName::new(name).expect("a legal name")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn session(state: &str, since: i64, error: Option<&str>) -> Session {
    Session {
        name: "rd-internet".to_owned(),
        peer: "internet".to_owned(),
        protocol: "rd_internet".to_owned(),
        remote_asn: None,
        local_asn: None,
        address: None,
        interface: None,
        state: state.to_owned(),
        since: Some(at(since)),
        imported: 0,
        filtered: Some(0),
        exported: 0,
        families: Vec::new(),
        last_error: error.map(str::to_owned),
        neighbor_id: None,
        route_refresh: None,
        bfd: None,
        stale: false,
        source: None,
        hold_seconds: None,
    }
}

fn report(up: bool, sessions: Vec<Session>) -> StatusReport {
    let link = LinkStatus { interface: "rd-internet".to_owned(), peer: name("internet"), up, routing: Routing::Bgp };
    let domain = DomainStatus {
        name: name("private"),
        description: None,
        state: if up { DomainState::Up } else { DomainState::Degraded },
        daemon: None,
        sessions,
        sessions_unknown: false,
        links: vec![link],
        drops: Vec::new(),
        problems: if up { Vec::new() } else { vec!["link rd-internet is down".to_owned()] },
    };
    StatusReport { domains: vec![domain], ..StatusReport::default() }
}

/// The kinds of what happened, as they are on the wire, with the domain.
fn kinds(before: &StatusReport, after: &StatusReport) -> Vec<String> {
    let kind = |(domain, what): (Option<DomainName>, What)| {
        let value = serde_json::to_value(&what).expect("it is serialisable");
        let domain = domain.map(|domain| format!("{domain} ")).unwrap_or_default();
        format!("{domain}{}", value["event"].as_str().expect("every event has a kind"))
    };
    changes(before, after).into_iter().map(kind).collect()
}

#[test]
fn nothing_happened_between_equal_reports_and_counts_are_no_events() {
    let one = report(true, vec![session("Established", 100, None)]);
    let mut other = one.clone();
    assert_eq!(changes(&one, &other), []);
    let session = &mut other.domains[0].sessions[0];
    (session.imported, session.since) = (7, Some(at(101)));
    assert_eq!(changes(&one, &other), []);
}

#[test]
fn a_link_that_goes_takes_its_session_along_and_both_come_back() {
    let well = report(true, vec![session("Established", 100, None)]);
    let ill = report(false, vec![session("Idle", 200, Some("Socket: No route to host"))]);
    let down = ["private link-down", "private session-down", "private problem", "private domain-state"];
    assert_eq!(kinds(&well, &ill), down);
    let words: Vec<String> = changes(&well, &ill).iter().map(|(_, what)| what.to_string()).collect();
    assert_eq!(
        words,
        [
            "link rd-internet to internet is down or gone",
            "session rd-internet to internet is down (Idle): Socket: No route to host",
            "link rd-internet is down",
            "degraded, was up",
        ]
    );
    let up = ["private link-up", "private session-up", "private problem-solved", "private domain-state"];
    assert_eq!(kinds(&ill, &well), up);
}

#[test]
fn a_session_that_was_reset_between_two_looks_went_down_and_came_up() {
    let one = report(true, vec![session("Established", 100, None)]);
    let other = report(true, vec![session("Established", 150, Some("Received: Administrative reset"))]);
    assert_eq!(kinds(&one, &other), ["private session-down", "private session-up"]);
    let gone = report(true, Vec::new());
    assert_eq!(kinds(&one, &gone), ["private session-down"]);
    assert_eq!(kinds(&gone, &one), ["private session-up"]);
}

#[test]
fn a_daemon_that_gives_no_answer_has_the_sessions_that_were_known_last() {
    let before = report(true, vec![session("Established", 100, None)]);
    let mut hung = report(true, Vec::new());
    hung.domains[0].sessions_unknown = true;
    keep_known(&before, &mut hung);
    assert_eq!(kinds(&before, &hung), [""; 0]);
    // It answers, and its session began again meanwhile.
    let after = report(true, vec![session("Established", 150, None)]);
    assert_eq!(kinds(&hung, &after), ["private session-down", "private session-up"]);
    // It does not, and is gone.
    assert_eq!(kinds(&hung, &report(true, Vec::new())), ["private session-down"]);
}

#[test]
fn domains_and_generations_come_and_go() {
    let some = report(true, Vec::new());
    let none = StatusReport::default();
    assert_eq!(kinds(&none, &some), ["private domain-added"]);
    assert_eq!(kinds(&some, &none), ["private domain-removed"]);
    let generation = |number, confirm_within| StatusReport {
        generation: Some(GenerationStatus { number, at: Timestamp::UNIX_EPOCH, confirm_within, file_differs: false }),
        ..StatusReport::default()
    };
    assert_eq!(kinds(&generation(1, None), &generation(2, Some(60))), ["generation"]);
    assert_eq!(kinds(&generation(2, Some(60)), &generation(2, Some(59))), [""; 0]);
    assert_eq!(kinds(&generation(2, Some(59)), &generation(2, None)), ["confirmed"]);
    assert_eq!(kinds(&generation(2, Some(59)), &generation(1, None)), ["generation"]);
}

#[test]
fn an_event_is_one_flat_object_and_comes_back_as_it_was() {
    let what = What::DaemonLost { why: "killed (SIGKILL)".to_owned(), retry_in_ms: 1250 };
    let event = Event { time: Timestamp::UNIX_EPOCH, domain: Some(name("private")), what };
    let text = serde_json::to_string(&event).expect("it is serialisable");
    assert_eq!(
        text,
        r#"{"time":"1970-01-01T00:00:00Z","domain":"private","event":"daemon-lost","why":"killed (SIGKILL)","retry_in_ms":1250}"#
    );
    assert_eq!(serde_json::from_str::<Event>(&text).ok(), Some(event.clone()));
    assert_eq!(event.what.to_string(), "daemon killed (SIGKILL); again in 1.2 s");
    let ready = Event { domain: None, what: What::DaemonReady, ..event };
    assert_eq!(
        serde_json::to_string(&ready).expect("it is"),
        r#"{"time":"1970-01-01T00:00:00Z","event":"daemon-ready"}"#
    );
}
