//! Origins of routes, checked with what a real cache says.

use std::time::Duration;

use crate::external::{EDGE, leads_out};
use crate::machine::{Background, Machine, SOON, eventually, throughout};
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
    let stayrtr = "ip netns exec isp stayrtr -cache /srv/machine/payloads.json -checktime=false -bind 203.0.113.1:3323 \
                   -metrics.addr= -refresh 1";
    machine.spawn(&stayrtr.split_whitespace().collect::<Vec<_>>())
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
fn without_a_cache_that_answers_every_origin_is_unknown_and_accepted_until_one_does() {
    let machine = leads_out(&edge());
    machine.rdsup("start --detach").ok();
    let _speaking = machine.speak("isp", &speakers());
    for prefix in ["9.1.0.0/16", "9.2.0.0/16", "9.3.0.0/16", "2a00:1::/32"] {
        eventually(SOON, &format!("{prefix} is learned"), || learned(&machine, prefix));
    }
    let _cache = cache(&machine, &[("9.2.0.0/16", 16, 3333)]);
    eventually(SOON, "what is invalid goes when a cache says so", || !learned(&machine, "9.2.0.0/16"));
    assert!(learned(&machine, "9.1.0.0/16"));
}
