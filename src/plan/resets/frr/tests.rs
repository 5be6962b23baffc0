//! Which sessions a change of bgpd's configuration resets.

use std::collections::BTreeMap;

use super::{changes, sessions};
use crate::model::Family;
use crate::plan::resets::Negotiated;

const TEXT: &str = "\
route-map in-1 permit 10
router bgp 65001
 bgp router-id 10.255.0.1
 neighbor fe80::2 remote-as 65002
 neighbor fe80::2 interface rd-b
 neighbor fe80::2 description rd-b the lan
 neighbor fe80::2 update-source fe80::1
 neighbor fe80::2 timers 30 90
 neighbor 192.0.2.1 remote-as 65003
 neighbor 192.0.2.1 description isp
 neighbor 192.0.2.1 password hunter2
 address-family ipv4 unicast
  neighbor fe80::2 activate
  neighbor fe80::2 route-map in-1 in
  neighbor 192.0.2.1 activate
  neighbor 192.0.2.1 maximum-prefix 100 restart 1
  neighbor 192.0.2.1 route-map in-1 in
 exit-address-family
";

fn known(route_refresh: bool) -> Negotiated {
    Negotiated { source: None, route_refresh, imported: BTreeMap::from([(Family::Ipv4, 60)]), stale: false }
}

fn after(from: &str, to: &str) -> Vec<String> {
    assert!(TEXT.contains(from), "{from}");
    told(&TEXT.replace(from, to), true)
}

fn told(new: &str, route_refresh: bool) -> Vec<String> {
    let known = known(route_refresh);
    let found = changes(TEXT, new, |_| Some(&known), |_| false);
    let words = |certain: bool| if certain { "" } else { "? " };
    found
        .into_iter()
        .flat_map(|(session, reasons)| {
            reasons
                .into_iter()
                .map(move |reason| format!("{}{}: {}", words(reason.certain), session.name, reason.words))
        })
        .collect()
}

#[test]
fn a_session_is_called_as_its_description_begins() {
    let found = sessions(TEXT);
    let all: Vec<_> =
        found.iter().map(|it| (it.name.as_str(), it.protocol.as_str(), it.interface.as_deref())).collect();
    assert_eq!(all, [("isp", "192.0.2.1", None), ("rd-b", "fe80::2", Some("rd-b"))]);
    assert_eq!(found[1].local, "fe80::1".parse().ok());
}

#[test]
fn what_frr_closes_a_session_for_is_told_with_its_values() {
    for (from, to, wanted) in [
        ("as 65002", "as 65009", &["rd-b: AS number of the neighbor changes from 65002 to 65009"][..]),
        ("password hunter2", "password hunter3", &["isp: password changes"]),
        ("  neighbor fe80::2 activate\n", "", &["rd-b: ipv4 is taken from the session"]),
        (
            " neighbor fe80::2 timers 30 90\n",
            " neighbor fe80::2 timers 30 90\n neighbor fe80::2 disable-connected-check\n",
            &["rd-b: disable connected check is added"],
        ),
        ("source fe80::1", "source fe80::3", &["rd-b: own address changes from fe80::1 to fe80::3"]),
        (" neighbor 192.0.2.1 remote-as 65003\n", "", &["isp: it is no longer configured"]),
        ("prefix 100", "prefix 50", &["isp: the limit of ipv4 becomes 50, and there are 60 routes"]),
        (
            "router-id 10.255.0.1",
            "router-id 10.255.0.2",
            &[
                "isp: router id changes from 10.255.0.1 to 10.255.0.2",
                "rd-b: router id changes from 10.255.0.1 to 10.255.0.2",
            ],
        ),
        (
            "bgp 65001",
            "bgp 65009",
            &["isp: AS number changes from 65001 to 65009", "rd-b: AS number changes from 65001 to 65009"],
        ),
    ] {
        assert_eq!(after(from, to), wanted, "{to}");
    }
}

#[test]
fn an_unnumbered_neighbor_is_told_of_in_the_same_words() {
    let old = "router bgp 65001\n neighbor rd-b interface remote-as 65002\n";
    let found = changes(old, &old.replace("65002", "65009"), |_| None, |_| true);
    let words: Vec<_> = found.iter().map(|(it, reasons)| (it.name.as_str(), reasons[0].words.as_str())).collect();
    assert_eq!(words, [("rd-b", "AS number of the neighbor changes from 65002 to 65009")]);
    assert_eq!(found[0].0.interface.as_deref(), Some("rd-b"));
}

#[test]
fn policy_and_what_counts_from_the_next_session_on_reset_nothing() {
    for (from, to) in [
        ("in-1", "in-2"),
        ("timers 30 90", "timers 10 30"),
        ("the lan", "the other lan"),
        ("prefix 100", "prefix 60"),
        (" restart 1", ""),
        ("router-id 10.255.0.1", "router-id 10.255.0.1\n coalesce-time 0\n bgp fast-convergence"),
    ] {
        assert_eq!(after(from, to), [""; 0], "{to}");
    }
}

#[test]
fn who_cannot_be_asked_for_routes_again_is_reset_by_policy() {
    let new = TEXT.replace("192.0.2.1 route-map in-1 in", "192.0.2.1 route-map in-2 in");
    let words = "isp: the neighbor has no route refresh, and routes from it are to be judged anew";
    assert_eq!(told(&new, false), [words]);
}

#[test]
fn what_is_kept_is_judged_anew_without_the_neighbor_once_it_has_begun_again() {
    const LINE: &str = "  neighbor 192.0.2.1 route-map in-1 in\n";
    let kept = TEXT.replace(LINE, &format!("  neighbor 192.0.2.1 soft-reconfiguration inbound\n{LINE}"));
    let known = known(false);
    let words = |old: &str, new: &str| -> Vec<String> {
        let found = changes(old, new, |_| Some(&known), |_| false);
        found.into_iter().flat_map(|(_, reasons)| reasons).map(|reason| reason.words).collect()
    };
    assert_eq!(words(TEXT, &kept), ["ipv4: what it sends is kept from now on"]);
    // Not by the opposite, from there on.
    let not = kept.replace("neighbor 192.0.2.1 soft", "no neighbor 192.0.2.1 soft");
    assert!(!words(TEXT, &not).iter().any(|words| words.contains("kept from now on")), "{:?}", words(TEXT, &not));
    assert_eq!(words(&not, &kept), ["ipv4: what it sends is kept from now on"]);
    assert_eq!(words(&kept, &kept.replace(LINE, &LINE.replace("in-1", "in-2"))), [""; 0]);
    assert_eq!(words(&kept, TEXT), ["the neighbor has no route refresh, and routes from it are to be judged anew"]);
}

#[test]
fn what_was_not_tried_may_reset() {
    let words = "? rd-b: \"strange thing\" changes, of which it is not known what it does";
    assert_eq!(
        after("timers 30 90", "timers 30 90\n neighbor fe80::2 strange thing"),
        [words.replace("strange thing", "strange")]
    );
    assert_eq!(after("bgp router-id", "bgp strange thing\n bgp router-id").len(), 2);
}

#[test]
fn bfd_that_is_switched_off_may_reset_a_session() {
    let line = " neighbor fe80::2 timers 30 90\n";
    let watched = format!("{line} neighbor fe80::2 bfd profile rdsup\n");
    assert_eq!(after(line, &watched), [""; 0]);
    let known = known(true);
    let found = changes(&TEXT.replace(line, &watched), TEXT, |_| Some(&known), |_| false);
    let all: Vec<_> = found.iter().flat_map(|(_, reasons)| reasons).map(|it| (it.certain, it.words.as_str())).collect();
    assert_eq!(all, [(false, crate::plan::resets::reason::UNWATCHED)]);
}
