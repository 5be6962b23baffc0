//! FRR's own answers, recorded, against what is read from them.

mod recorded;

use rdsup::daemons::frr::{parse_bgp, parse_routes, parse_sessions};
use rdsup::daemons::{Peers, Session};

use crate::recorded::Recorded;

/// The moment of the recordings.
const NOW: i64 = 1_795_657_100;

const RECORDED: Recorded = Recorded("frr");

fn sessions() -> Vec<Session> {
    let peers = Peers::from([("rd-b".to_owned(), "beta".to_owned())]);
    parse_sessions(&RECORDED.text("show_bgp_neighbors"), &peers, NOW).expect("it is the answer")
}

#[test]
fn show_bgp_neighbors_is_read_as_sessions() {
    let sessions = sessions();
    let mut names: Vec<_> = sessions.iter().map(|session| (session.name.as_str(), session.state.as_str())).collect();
    names.sort_unstable();
    assert_eq!(names, [("isp", "Down"), ("rd-b", "Established"), ("rd-dead", "Active"), ("v0", "Idle")]);
    let beta = sessions.iter().find(|session| session.name == "rd-b").expect("it is there");
    for name in ["rd-b", "beta", "10.0.0.2"] {
        assert!(beta.is_called(name), "{name}");
    }
    RECORDED.assert_golden("show_bgp_neighbors", &sessions);
}

#[test]
fn show_bgp_is_read_as_routes_for_the_table_and_for_one_prefix() {
    let sessions = sessions();
    let all = parse_bgp(&RECORDED.text("show_bgp"), &sessions).expect("it is the answer");
    let one = parse_bgp(&RECORDED.text("show_bgp_one"), &sessions).expect("it is the answer");
    assert_eq!(one.len(), 1);
    assert_eq!(one[0], *all.iter().find(|route| route.prefix == one[0].prefix).expect("it is in the table"));
    let bgp = one[0].bgp.as_ref().expect("it came by BGP");
    assert_eq!((one[0].from.as_str(), bgp.as_path.as_str(), bgp.med), ("rd-b", "65002", Some(7)));
    assert_eq!(bgp.communities, ["65002:1", "65002:2", "65002:1:2"]);
    assert!(all.iter().any(|route| route.from == "originated" && route.next_hops.is_empty()));
    RECORDED.assert_golden("show_bgp", &all);
    let ipv6 = parse_bgp(&RECORDED.text("show_bgp_ipv6"), &sessions).expect("it is the answer");
    RECORDED.assert_golden("show_bgp_ipv6", &ipv6);
    assert_eq!(parse_bgp("{\n}\n", &sessions), Some(Vec::new()), "a prefix that there is not");
}

#[test]
fn a_table_as_later_versions_write_it_is_read_too() {
    let text = r#"{"routes": {"10.2.0.0/16": {"prefix":"10.2.0.0/16","paths":[{"aspath":{"string":"65002"},"origin":"incomplete",
        "locPrf":200,"bestpath":{"overall":true},"nexthops":[{"ip":"fe80::2","used":true}],"peer":{"peerId":"10.0.0.2"}}]}}}"#;
    let routes = parse_bgp(text, &sessions()).expect("it is the answer");
    let bgp = routes[0].bgp.as_ref().expect("it came by BGP");
    assert_eq!((bgp.origin.as_deref(), bgp.local_pref), (Some("Incomplete"), Some(200)));
}

#[test]
fn show_ip_route_is_read_as_routes_of_every_kind() {
    let routes = parse_routes(&RECORDED.text("show_ip_route"), &sessions(), NOW).expect("it is the answer");
    let kind = |prefix: &str| {
        let route = routes.iter().find(|route| route.prefix.to_string() == prefix).expect("it is there");
        (route.kind.as_str(), route.from.as_str())
    };
    assert_eq!(kind("10.2.0.0/16"), ("unicast", "rd-b"));
    assert_eq!(kind("10.200.0.0/16"), ("unreachable", "kernel"));
    assert_eq!(kind("10.201.0.0/16"), ("blackhole", "kernel"));
    assert_eq!(kind("10.202.0.0/16"), ("prohibit", "kernel"));
    RECORDED.assert_golden("show_ip_route", &routes);
}

#[test]
fn what_is_no_answer_is_told_apart() {
    for text in ["", "% BGP instance not found", "[]", "{\"routes\": "] {
        assert_eq!(parse_bgp(text, &[]), None, "{text}");
        assert_eq!(parse_sessions(text, &Peers::new(), NOW), None, "{text}");
        assert_eq!(parse_routes(text, &[], NOW), None, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_answer_makes_the_readers_panic(cut in 0usize..12_000, with in "[\"{}\\[\\]:,0-9a-zé%./-]{0,12}", name in 0usize..5) {
        let name = ["show_bgp_neighbors", "show_bgp", "show_bgp_ipv6", "show_bgp_one", "show_ip_route"][name];
        let mut text = RECORDED.text(name);
        let start = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).expect("0 is one");
        let end = (start..=(start + with.len()).min(text.len())).rev().find(|at| text.is_char_boundary(*at)).expect("start is one");
        text.replace_range(start..end, &with);
        let _ = parse_sessions(&text, &Peers::new(), NOW);
        let _ = parse_bgp(&text, &[]);
        let _ = parse_routes(&text, &[], NOW);
    }
}
