//! Origins of routes, checked with what a real cache says.

use std::time::Duration;

use crate::external::{EDGE, leads_out};
use crate::machine::{Background, Machine, SOON, eventually, throughout, words};
use crate::speaker::Speaker;

/// A cache on the wire to the neighbor; everything from the neighbors is accepted otherwise.
fn edge() -> String {
    let cache = "[[rpki]]\nname = \"validator\"\ndomain = \"edge\"\naddress = \"203.0.113.1\"\nport = 3323\n";
    let toml = EDGE
        .replace(r#""0.0.0.0/0", "8.8.0.0/16 le 32""#, r#""any""#)
        .replace(r#""::/0", "2a00::/16 le 48""#, r#""any""#)
        .replace("password = { file = \"/srv/machine/transit.key\" }", "");
    format!("{toml}{cache}")
}

/// Payloads as `stayrtr` reads them, one in each line: prefix, maximal length, origin.
fn payloads(lines: &[(&str, u8, u32)]) -> String {
    let one = |(prefix, max, asn): &(&str, u8, u32)| {
        format!(r#"{{ "prefix": "{prefix}", "maxLength": {max}, "asn": "AS{asn}", "ta": "test" }}"#)
    };
    format!(r#"{{ "roas": [ {} ] }}"#, lines.iter().map(one).collect::<Vec<_>>().join(",\n"))
}

const FILE: &str = "/srv/machine/payloads.json";

/// A cache in the neighbor's namespace, which reads its file again each second.
fn cache(machine: &Machine, lines: &[(&str, u8, u32)]) -> Background {
    machine.write(FILE, &payloads(lines));
    cache_of(machine, FILE, 3323)
}

fn cache_of(machine: &Machine, file: &str, port: u16) -> Background {
    machine.spawn(&words(&format!(
        "ip netns exec isp stayrtr -cache {file} -checktime=false -bind 203.0.113.1:{port} -metrics.addr= -refresh 1"
    )))
}

/// Three routes of origin 64495 in each family.
fn speakers() -> [Speaker; 2] {
    let origin = "as-path [ 64510 64495 ]";
    [
        Speaker::new(("203.0.113.1", 64510), ("203.0.113.2", 65001))
            .says("9.1.0.0/16", origin)
            .says("9.2.0.0/16", origin)
            .says("9.3.0.0/16", origin),
        Speaker::new(("2001:db8:ffff::1", 64510), ("2001:db8:ffff::2", 65001))
            .says("2a00:1::/32", origin)
            .says("2a00:2::/32", origin),
    ]
}

const VALID: [(&str, u8, u32); 2] = [("9.1.0.0/16", 16, 64495), ("2a00:1::/32", 32, 64495)];

fn learned(machine: &Machine, prefix: &str) -> bool {
    machine.routes_to("edge", prefix).contains("dev up0")
}

#[test]
fn a_route_whose_origin_is_invalid_goes_and_comes_back_with_what_the_cache_says() {
    let machine = leads_out(&edge());
    let mut lines = VALID.to_vec();
    lines.extend([("9.2.0.0/16", 16, 3333), ("2a00:2::/32", 32, 3333)]);
    let _cache = cache(&machine, &lines);
    machine.rdsup("start --detach").ok();
    eventually(SOON, "the cache has been heard", || {
        machine.birdc("edge", "show route table rpki4").contains("9.2.0.0/16")
    });
    let _speaking = machine.speak("isp", &speakers());
    for (prefix, why) in [("9.1.0.0/16", "valid"), ("9.3.0.0/16", "unknown"), ("2a00:1::/32", "valid")] {
        eventually(SOON, &format!("{prefix} is learned, being {why}"), || learned(&machine, prefix));
    }
    throughout(Duration::from_secs(1), "what is invalid is refused", || {
        !learned(&machine, "9.2.0.0/16") && !learned(&machine, "2a00:2::/32")
    });
    let session = || [machine.session("edge", "ext_transit"), machine.session("edge", "ext_transit6")];
    let before = session();
    // The owner says that he announces it himself, and somebody else that 9.3.0.0/16 is his.
    machine.write(FILE, &payloads(&[VALID[0], VALID[1], ("9.3.0.0/16", 16, 3333)]));
    eventually(SOON, "what became invalid goes", || !learned(&machine, "9.3.0.0/16"));
    for prefix in ["9.2.0.0/16", "2a00:2::/32"] {
        eventually(SOON, &format!("{prefix} is no longer invalid"), || learned(&machine, prefix));
    }
    assert_eq!(session(), before, "a session was reset");

    // A neighbor that is not checked, again without a reset.
    machine.configure(&edge().replace("preference = 200", "preference = 200\nrpki = false"));
    machine.rdsup("apply").ok();
    eventually(SOON, "the neighbor is no longer checked", || learned(&machine, "9.3.0.0/16"));
    machine.configure(&edge());
    machine.rdsup("apply").ok();
    eventually(SOON, "it is checked again", || !learned(&machine, "9.3.0.0/16"));
    assert_eq!(session(), before, "a session was reset");
}

#[test]
fn without_a_cache_that_bird_hears_every_origin_is_unknown_and_accepted_until_it_does() {
    without_a_cache(&edge());
}

#[test]
fn without_a_cache_that_frr_hears_every_origin_is_unknown_and_accepted_until_it_does() {
    without_a_cache(&with_frr(&edge()));
}

fn with_frr(toml: &str) -> String {
    toml.replacen("[domain.edge]\n", "[domain.edge]\ndaemon = \"frr\"\n", 1)
}

fn without_a_cache(toml: &str) {
    let machine = leads_out(toml);
    machine.rdsup("start --detach").ok();
    let _speaking = machine.speak("isp", &speakers());
    for prefix in ["9.1.0.0/16", "9.2.0.0/16", "9.3.0.0/16", "2a00:1::/32"] {
        eventually(SOON, &format!("{prefix} is learned"), || learned(&machine, prefix));
    }
    let _cache = cache(&machine, &[("9.2.0.0/16", 16, 3333)]);
    eventually(SOON, "what is invalid goes when a cache says so", || !learned(&machine, "9.2.0.0/16"));
    assert!(learned(&machine, "9.1.0.0/16"));
}

/// bgpd of FRR 8.4 judges by what it has freed once no cache is left.
#[test]
fn frr_survives_the_caches_that_go_are_replaced_and_come_back_and_no_session_resets() {
    let frr = with_frr(&edge());
    let machine = leads_out(&frr);
    let _first = cache(&machine, &[("9.2.0.0/16", 16, 3333)]);
    machine.write("/srv/machine/others.json", &payloads(&[("9.3.0.0/16", 16, 3333)]));
    let _second = cache_of(&machine, "/srv/machine/others.json", 3324);
    machine.rdsup("start --detach").ok();
    let _speaking = machine.speak("isp", &speakers());
    eventually(SOON, "what is not invalid is learned", || {
        learned(&machine, "9.3.0.0/16") && learned(&machine, "9.1.0.0/16")
    });
    eventually(SOON, "what is invalid is refused", || !learned(&machine, "9.2.0.0/16"));
    let before = machine.session("edge", "ext_transit");
    let bgpd = machine.program("edge", "bgpd");

    let other = frr.replace("port = 3323", "port = 3324");
    machine.configure(&other);
    machine.rdsup("apply").ok();
    eventually(SOON, "the other cache is believed", || {
        !learned(&machine, "9.3.0.0/16") && learned(&machine, "9.2.0.0/16")
    });

    let (none, _) = other.split_once("[[rpki]]").expect("a cache");
    machine.configure(none);
    machine.rdsup("apply").ok();
    eventually(SOON, "nobody says that it is invalid", || learned(&machine, "9.3.0.0/16"));
    // It looks for the state of the origin.
    let shown = machine.vtysh("edge", "bgpd", "show bgp ipv4 unicast 9.1.0.0/16");
    assert!(shown.contains("64510 64495"), "{shown}");

    machine.configure(&frr);
    machine.rdsup("apply").ok();
    eventually(SOON, "the first cache is believed again", || {
        !learned(&machine, "9.2.0.0/16") && learned(&machine, "9.3.0.0/16")
    });
    assert_eq!(machine.session("edge", "ext_transit"), before, "a session was reset");
    assert_eq!(machine.program("edge", "bgpd"), bgpd, "another bgpd runs");
}
