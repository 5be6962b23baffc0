//! Pairs of configurations. That BIRD really does what is said here is proved by `tests/netns/resets.rs`.

use std::collections::BTreeMap;

use super::super::{Configured, Negotiated};
use super::{changes, sessions};
use crate::model::Family;

/// The reasons for the session `s`, those that are uncertain with a question mark.
fn reasons(old: &str, new: &str, known: Option<&Negotiated>) -> Vec<String> {
    let changes =
        changes(old, new, |_| known, |session: &Configured| session.interface.is_some()).expect("it is BIRD's text");
    let mut all = Vec::new();
    for (session, reasons) in changes {
        assert_eq!(session.protocol, "s");
        all.extend(reasons.into_iter().map(|it| format!("{}{}", it.words, if it.certain { "" } else { "?" })));
    }
    all
}

/// A configuration with one session.
fn daemon(options: &str, channel: &str) -> String {
    format!(
        "router id 192.0.2.1;\nprotocol device {{ }}\nprotocol bgp s {{ local 192.0.2.1 as 65001; neighbor 192.0.2.2 as 65002;
         {options}\n ipv4 {{ import all; export none; {channel} }}; }}"
    )
}

fn options(old: &str, new: &str) -> Vec<String> {
    reasons(&daemon(old, ""), &daemon(new, ""), None)
}

fn channel(old: &str, new: &str, known: Option<&Negotiated>) -> Vec<String> {
    reasons(&daemon("", old), &daemon("", new), known)
}

fn negotiated(route_refresh: bool, imported: u64) -> Negotiated {
    Negotiated { source: None, route_refresh, imported: BTreeMap::from([(Family::Ipv4, imported)]), stale: false }
}

#[test]
fn what_bird_compares_byte_by_byte_resets() {
    for (old, new, why) in [
        ("hold time 90;", "hold time 30;", "hold time changes from 90 to 30"),
        ("", "hold time 30;", "hold time changes from 240 to 30"),
        ("", "local role customer;", "role changes from none to customer"),
        ("local role customer; require roles on;", "", "role changes from customer to none"),
        ("password \"a\";", "password \"b\";", "password changes"),
        ("", "password \"s3cret\";", "password is added"),
        ("password \"s3cret\";", "", "password is removed"),
        ("ttl security;", "ttl security off;", "ttl security changes from on to off"),
        ("", "multihop 3;", "multihop changes from direct to 3"),
        ("direct;", "multihop;", "multihop changes from direct to 64"),
        ("error wait time 1, 5;", "error wait time 1, 300;", "error wait time changes from 1, 5 to 1, 300"),
        ("graceful restart on;", "graceful restart aware;", "graceful restart changes from on to aware"),
        ("", "passive;", "passive changes from off to on"),
        ("", "capabilities on;", "capabilities changes from the default to on"),
        ("", "disabled;", "disabled changes from off to on"),
        ("", "router id 192.0.2.9;", "router id changes from 192.0.2.1 to 192.0.2.9"),
        ("", "allow local as;", "allow local as changes from 0 to any"),
        ("", "local as 65009;", "AS number changes from 65001 to 65009"),
        ("", "ipv6 { import all; export none; };", "ipv6 is added to the session"),
        ("ipv6 { import all; export none; };", "", "ipv6 is taken from the session"),
        ("hold time 30;", "hold time 3 * 10;", "hold time changes from 30 to 3 * 10?"),
    ] {
        assert_eq!(options(old, new), [why], "{old:?} → {new:?}");
    }
    let renamed = daemon("", "").replace("bgp s", "bgp t");
    assert_eq!(reasons(&daemon("", ""), &renamed, None), ["it is no longer configured"]);
    let retyped = daemon("", "").replace("router id 192.0.2.1", "router id 192.0.2.7");
    assert_eq!(reasons(&daemon("", ""), &retyped, None), ["router id changes from 192.0.2.1 to 192.0.2.7"]);
}

#[test]
fn what_bird_takes_as_it_runs_does_not() {
    for (old, new) in [
        ("", "hold time 240;"),
        ("", "direct;"),
        ("hold time 30;", "hold\ttime /* seconds */ 30; # }"),
        ("ttl security;", "ttl security yes;"),
        ("check link on;", "check link off;"),
        ("", "description \"a } here\";"),
        ("", "debug all;"),
        ("", "connect delay time 5; enable as4; graceful restart aware;"),
        ("", "bfd;"),
        ("", "interpret communities; path metric on;"),
        ("", "local port 179;"),
        ("hold time 30; ttl security;", "ttl security; hold time 30;"),
    ] {
        assert_eq!(options(old, new), [""; 0], "{old:?} → {new:?}");
    }
    let more = daemon("", "").replace(
        "protocol device",
        "log \"/x\" all; timeformat protocol \"%s\"; debug protocols all protocol device d2 { disabled; } ipv4 table t\nprotocol static { ipv4; } protocol device",
    );
    let found = reasons(&daemon("", ""), &more, None);
    assert_eq!(found, ["lines of the configuration change that are not understood here?"], "a second device protocol");
    let more = more.replace("protocol device d2 { disabled; }", "");
    assert_eq!(reasons(&daemon("", ""), &more, None), [""; 0]);
}

#[test]
fn bfd_that_is_switched_off_may_reset_a_session_and_more_of_it_does_not() {
    let bfd = |interfaces: &str| format!("bfd;\n}}\nprotocol bfd {{ accept direct; {interfaces} }}\nprotocol bgp t {{");
    let with = |interfaces: &str| {
        daemon(&bfd(interfaces), "")
            .replace("protocol bgp t {", "protocol static t {")
            .replace("ipv4 { import all; export none;  }; }", "ipv4; }")
    };
    let one = "interface \"a\" { multiplier 3; };";
    let both = format!("{one} interface \"b\" {{ multiplier 3; }};");
    let unwatched = format!("{}?", super::super::reason::UNWATCHED);
    let quiet = with(one).replace("bfd;", "").replace("protocol bfd", "protocol static u");
    assert_eq!(reasons(&quiet, &with(one), None), [""; 0]);
    assert_eq!(reasons(&with(one), &quiet, None), [unwatched]);
    assert_eq!(reasons(&with(one), &with(&both), None), [""; 0]);
    assert_eq!(reasons(&with(&both), &with(one), None), [""; 0]);
    let changes = ["it uses BFD, and that protocol changes?"];
    assert_eq!(reasons(&with(one), &with(&one.replace('3', "5")), None), changes);
    assert_eq!(reasons(&with(one), &with(&one.replace("\"a\"", "\"*\"")), None), changes);
}

#[test]
fn options_of_channels() {
    for (old, new, why) in [
        ("", "import table on;", Some("ipv4: import table changes from off to on")),
        ("", "add paths rx;", Some("ipv4: add paths changes from off to rx")),
        ("", "extended next hop;", Some("ipv4: extended next hop changes from off to on")),
        ("", "table t;", Some("ipv4: table is added")),
        ("", "table master4;", None),
        ("", "next hop self; export limit 5 action warn; receive limit 9 action block; export where false;", None),
        ("import limit 5 action block;", "import limit 4 action block;", None),
        ("import limit 5 action restart;", "import limit 6 action restart;", None),
        ("import limit 5 action restart;", "", None),
        (
            "import limit 5 action restart;",
            "import limit 4;",
            Some("the limit of ipv4 becomes 4, and there may be more routes?"),
        ),
    ] {
        let why: Vec<String> = why.into_iter().map(str::to_owned).collect();
        assert_eq!(channel(old, new, None), why, "{old:?} → {new:?}");
    }
    let limit = |there| {
        channel("import limit 9 action restart;", "import limit 4 action restart;", Some(&negotiated(true, there)))
    };
    assert_eq!(limit(4), [""; 0]);
    assert_eq!(limit(5), ["the limit of ipv4 becomes 4, and there are 5 routes"]);
}

#[test]
fn routes_that_are_judged_anew_reset_a_session_whose_neighbor_cannot_send_them_again() {
    let maybe = "routes are to be judged anew, which resets it if the neighbor has no route refresh?";
    let never = "the neighbor has no route refresh, and routes from it are to be judged anew";
    for changed in ["import none;", "import where net.len < 24;", "preference 99;", "gateway recursive;"] {
        assert_eq!(channel("", changed, None), [maybe], "{changed}");
        assert_eq!(channel("", changed, Some(&negotiated(true, 0))), [""; 0], "{changed}");
        assert_eq!(channel("", changed, Some(&negotiated(false, 0))), [never], "{changed}");
        let kept = format!("import table; {changed}");
        assert_eq!(channel("import table;", &kept, Some(&negotiated(false, 0))), [""; 0], "{changed}");
        let ours = |text: &str| daemon("interface \"rd-x\";", text);
        assert_eq!(reasons(&ours(""), &ours(changed), None), [""; 0], "{changed}");
    }
    assert_eq!(channel("", "export all;", Some(&negotiated(false, 0))), [""; 0]);
}

#[test]
fn a_neighbor_several_hops_away_begins_again_when_its_routes_are_judged_anew() {
    let with = |name: &str, own: &str, filter: &str| {
        daemon(own, &format!("import {filter};")).replace("bgp s", &format!("bgp {name}"))
    };
    let afar = "routes from it are to be judged anew, and BIRD does not keep those of a neighbor several hops away";
    let negotiated = negotiated(true, 0);
    for (name, own, again) in
        [("ext_far", "multihop 3;", true), ("ext_near", "direct;", false), ("s", "multihop 3;", false)]
    {
        let (old, new) = (with(name, own, "all"), with(name, own, "none"));
        let told = changes(&old, &new, |_| Some(&negotiated), |_| false).expect("it is BIRD's text");
        let told: Vec<_> = told.iter().flat_map(|(_, reasons)| reasons).map(|it| it.words.as_str()).collect();
        assert_eq!(told, vec![afar; usize::from(again)], "{name}");
        let judged = |old: Option<&str>| super::judged_anew(old, &new).expect("it is BIRD's text");
        let all = BTreeMap::from([(name.to_owned(), again)]);
        assert_eq!(judged(Some(&old)), all);
        assert_eq!(judged(None), all, "what was read before is not known");
        assert_eq!(judged(Some(&new)), BTreeMap::new());
        let gone = super::judged_anew(Some(&old), "router id 192.0.2.1; protocol device { }");
        assert_eq!(gone, Some(BTreeMap::from([(name.to_owned(), false)])));
    }
}

#[test]
fn what_stands_behind_names_counts_and_the_names_of_constants_do_not() {
    let with = |before: &str, filter: &str| format!("{before} {}", daemon("", &format!("import filter {filter};")));
    let code = |set: &str, name: &str| {
        format!("define {name} = [ {set} ]; function f() {{ return net ~ {name}; }} filter i {{ if f() then accept; }}")
    };
    let old = with(&code("10.0.0.0/8+", "a"), "i");
    assert_eq!(reasons(&old, &with(&code("10.0.0.0/8+", "b"), "i"), None), [""; 0]);
    assert_eq!(reasons(&old, &with(&code("10.0.0.0/9+", "a"), "i"), None).len(), 1);
    let seconds = |value: &str| format!("define t = {value}; {}", daemon("hold time t;", ""));
    assert_eq!(reasons(&seconds("30"), &daemon("hold time 30;", ""), None), [""; 0]);
    assert_eq!(reasons(&seconds("30"), &seconds("40"), None), ["hold time changes from 30 to 40"]);
    assert_eq!(reasons(&seconds("30"), &seconds("20 + 10"), None), ["hold time changes from 30 to 20 + 10?"]);
}

#[test]
fn a_protocol_has_what_its_template_says() {
    let from = |template: &str, own: &str| {
        let session = daemon(own, "").replace("bgp s", "bgp s from t");
        format!("template bgp t {{ {template} ipv4 {{ import all; export none; }}; }} {session}")
    };
    assert_eq!(reasons(&from("hold time 30;", ""), &daemon("hold time 30;", ""), None), [""; 0]);
    assert_eq!(
        reasons(&from("hold time 30;", ""), &from("hold time 40;", ""), None),
        ["hold time changes from 30 to 40"]
    );
    assert_eq!(reasons(&from("hold time 30;", "hold time 9;"), &from("hold time 40;", "hold time 9;"), None), [""; 0]);
}

#[test]
fn unnamed_protocols_are_counted_in_the_order_of_the_file() {
    let text =
        "protocol bgp bgp2 { } protocol bgp { local as 1; } protocol bgp { local as 2; } protocol bgp { disabled; }";
    let names: Vec<_> = sessions(text).expect("it is BIRD's text").into_iter().map(|it| it.protocol).collect();
    assert_eq!(names, ["bgp1", "bgp2", "bgp3"]);
}

#[test]
fn what_is_not_understood_may_reset() {
    assert_eq!(options("", "hyperspace on;"), ["lines of it change that are not understood here?"]);
    assert_eq!(channel("", "hyperspace on;", None), ["lines of ipv4 change that are not understood here?"]);
    let included = format!("{}\ninclude \"/etc/more.conf\";\n", daemon("", ""));
    assert_eq!(reasons(&included, &included, None), ["the configuration takes in files with `include`?"]);
    let unknown = format!("mpls domain m {{ }} warp 9;\n{}", daemon("", ""));
    assert_eq!(reasons(&daemon("", ""), &unknown, None).len(), 1);
    assert!(changes("protocol bgp s {", "", |_| None, |_| false).is_none());
    assert!(sessions("protocol bgp s { ipv4 { ").is_none());
}
