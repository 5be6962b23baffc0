//! BIRD's own answers, recorded, against what is read from them.

mod recorded;

use rdsup::daemons::Peers;
use rdsup::daemons::bird::{parse_routes, parse_sessions};

use crate::recorded::Recorded;

const RECORDED: Recorded = Recorded("bird");

#[test]
fn show_protocols_all_is_read_as_sessions() {
    let peers = Peers::from([("rd-b".to_owned(), "beta".to_owned())]);
    let sessions = parse_sessions(&RECORDED.text("show_protocols_all"), &peers).expect("it is the protocol");
    assert_eq!(
        sessions.iter().map(|session| session.name.as_str()).collect::<Vec<_>>(),
        ["rd-b", "rd-dead", "isp", "wrong"]
    );
    assert!(sessions[0].is_established());
    for name in ["rd-b", "beta", "rd_b", "fe80::2"] {
        assert!(sessions[0].is_called(name), "{name}");
    }
    assert_eq!(sessions[3].last_error.as_deref(), Some("BGP Error: Bad peer AS"));
    RECORDED.assert_golden("show_protocols_all", &sessions);
}

#[test]
fn times_in_birds_own_form_are_read_too() {
    let text = "1002-rd_b        BGP        ---        up     2026-11-21 21:29:03  Established   \n\
                1006-  BGP state:          Established\n0000 \n";
    let sessions = parse_sessions(text, &Peers::new()).expect("it is the protocol");
    let expected = "2026-11-21T21:29:03".parse::<jiff::civil::DateTime>().expect("a time");
    let expected = expected.to_zoned(jiff::tz::TimeZone::system()).expect("it exists").timestamp();
    assert_eq!(sessions[0].since, Some(expected));
}

#[test]
fn a_time_with_its_zone_and_seconds_since_1970_are_the_same_time() {
    for since in ["2026-11-21T21:29:03+0000", "2026-11-21T22:29:03+0100", "1795296543"] {
        let text = format!("1002-rd_b        BGP        ---        up     {since}  Established   \n0000 \n");
        let sessions = parse_sessions(&text, &Peers::new()).expect("it is the protocol");
        assert_eq!(sessions[0].since.map(|time| time.to_string()).as_deref(), Some("2026-11-21T21:29:03Z"), "{since}");
        assert_eq!(sessions[0].state, "up");
    }
}

#[test]
fn announcements_that_a_filter_refused_are_counted_although_bird_keeps_none() {
    let text = "1002-isp        BGP        ---        up     2026-11-21 21:29:03  Established   \n\
                1006-  BGP state:          Established\n\
                \x20  Channel ipv4\n\
                \x20    Routes:         4 imported, 1 exported, 4 preferred\n\
                \x20    Route change stats:     received   rejected   filtered    ignored   accepted\n\
                \x20      Import updates:              7          0          3          0          4\n\
                \x20      Export updates:              6          4          1        ---          1\n0000 \n";
    let sessions = parse_sessions(text, &Peers::new()).expect("it is the protocol");
    assert_eq!((sessions[0].imported, sessions[0].filtered, sessions[0].exported), (4, Some(3), 1));
}

#[test]
fn show_route_all_is_read_as_routes() {
    let routes = parse_routes(&RECORDED.text("show_route_all")).expect("it is the protocol");
    assert_eq!(routes.len(), 7);
    RECORDED.assert_golden("show_route_all", &routes);
}

#[test]
fn a_single_route_has_all_its_attributes() {
    let routes = parse_routes(&RECORDED.text("show_route_for")).expect("it is the protocol");
    let bgp = routes[0].bgp.as_ref().expect("it came by BGP");
    assert_eq!(bgp.as_path, "65002");
    assert_eq!(bgp.communities, ["(65002,7)", "(65002,1,2)"]);
    assert_eq!(routes[0].from, "rd-b");
}

#[test]
fn further_routes_of_one_destination_keep_its_prefix_and_multipath_all_next_hops() {
    let text = "1007-Table master4:\n 10.2.0.0/16          unicast [rd_b 1795296544] * (100) [AS65002i]\n \tvia fe80::2 on rd-b\n\
                1007-                     unicast [ext_isp 1795296544] (100/20) [AS65003i]\n \tvia 192.0.2.1 on eth0 weight 1\n \tvia 192.0.2.2 on eth0 weight 1\n\
                1007-10.3.0.0/16          prohibited [s 1795296544] (200)\n0000 \n";
    let routes = parse_routes(text).expect("it is the protocol");
    assert_eq!(
        routes.iter().map(|route| route.prefix.to_string()).collect::<Vec<_>>(),
        ["10.2.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]
    );
    assert_eq!(routes.iter().map(|route| route.best).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(routes[1].next_hops.len(), 2);
    assert_eq!((routes[1].preference, routes[2].kind.as_str()), (Some(100), "prohibit"));
}

proptest::proptest! {
    #[test]
    fn no_answer_makes_the_readers_panic(
        lines in proptest::collection::vec((0usize..5, "[ \t]{0,3}(BGP[.a-z_]*:|Routes:|Channel ipv6|Neighbor address:|x)?[ -~é]{0,40}"), 0..20)
    ) {
        let codes = ["1002-", "1006-", "1007-", " ", "1012-"];
        let text = lines.iter().fold(String::new(), |all, (code, text)| all + codes[*code] + text + "\n");
        let _ = parse_sessions(&(text.clone() + "0000 \n"), &Peers::new());
        let _ = parse_routes(&(text + "0000 \n"));
    }
}
