//! Roles of RFC 9234, with neighbors and on links.

use std::time::Duration;

use crate::external::{EDGE, isp, machine};
use crate::machine::{DEMO, Machine, SOON, eventually, throughout};
use crate::speaker::Speaker;

/// A BIRD with one session that has this role, or none.
fn upstream(role: &str) -> String {
    format!(
        "router id 203.0.113.1; protocol device {{ }}
         protocol static {{ ipv4; route 9.9.9.0/24 unreachable; route 9.9.8.0/24 unreachable; }}
         filter say {{ if source != RTS_STATIC then reject; if net = 9.9.8.0/24 then bgp_otc = 64499; accept; }}
         protocol bgp four {{ local as 64510; neighbor 203.0.113.2 as 65001; ttl security on; {role}
             connect delay time 1; connect retry time 1; error wait time 1, 1; ipv4 {{ import all; export filter say; }}; }}"
    )
}

/// What this domain is to its IPv4 neighbor.
fn edge(role: &str) -> String {
    EDGE.replace("preference = 200", &format!("preference = 200\n{role}"))
        .replace(r#""0.0.0.0/0", "8.8.0.0/16 le 32""#, r#""any""#)
        .replace("password = { file = \"/srv/machine/transit.key\" }", "")
}

#[test]
fn a_neighbor_that_claims_another_role_or_none_gets_no_session() {
    let machine = machine(&edge("role = \"customer\""), &upstream("local role provider;"));
    machine.rdsup("start --detach").ok();
    let up = || machine.established("edge", "ext_transit");
    eventually(SOON, "the roles match", up);
    for role in ["local role customer;", "local role peer;", "local role rs_server;", ""] {
        machine.write("/srv/machine/isp.conf", &upstream(role));
        isp(&machine, "configure");
        eventually(SOON, &format!("the session with `{role}` goes down"), || !up());
        throughout(Duration::from_secs(3), &format!("the session with `{role}` is refused"), || !up());
    }
    machine.write("/srv/machine/isp.conf", &upstream("local role provider;"));
    isp(&machine, "configure");
    // Three refused sessions have made the next attempt wait for a while.
    eventually(2 * SOON, "the roles match again", up);
}

#[test]
fn a_speaker_that_knows_no_roles_gets_no_session_unless_none_is_asked_for() {
    let machine = crate::external::leads_out(&edge("role = \"customer\""));
    machine.rdsup("start --detach").ok();
    let honest = || Speaker::new(("203.0.113.1", 64510), ("203.0.113.2", 65001)).says("9.9.9.0/24", "");
    let _speaking = machine.speak("isp", &[honest()]);
    eventually(SOON, "the neighbor is refused", || {
        machine.birdc("edge", "show protocols all ext_transit").contains("Role mismatch")
    });
    assert!(machine.routes_to("edge", "9.9.9.0/24").is_empty());
    machine.configure(&edge(""));
    machine.rdsup("apply").ok();
    eventually(2 * SOON, "the route is learned", || machine.routes_to("edge", "9.9.9.0/24").contains("dev up0"));
}

#[test]
fn a_provider_that_sends_back_what_came_from_below_is_a_leak() {
    // To a provider this domain is a customer; a route with the attribute OTC of another may come down, but not up.
    let up = machine(&edge("role = \"customer\""), &upstream("local role provider;"));
    up.rdsup("start --detach").ok();
    eventually(SOON, "a provider may pass on what is only to customers", || {
        up.routes_to("edge", "9.9.8.0/24").contains("dev up0")
    });
    let down = machine(&edge("role = \"provider\""), &upstream("local role customer;"));
    down.rdsup("start --detach").ok();
    eventually(SOON, "an honest route is learned", || down.routes_to("edge", "9.9.9.0/24").contains("dev up0"));
    throughout(Duration::from_millis(500), "a customer leaks", || down.routes_to("edge", "9.9.8.0/24").is_empty());
}

#[test]
fn both_ends_of_a_link_claim_the_roles_that_provider_gives_them() {
    let toml = DEMO.replace(
        "between = [\"private\", \"internet\"]",
        "between = [\"private\", \"internet\"]\nprovider = \"internet\"",
    );
    assert_ne!(toml, DEMO);
    let machine = Machine::running(&toml);
    assert!(machine.established("internet", "rd_private"));
    for (domain, protocol, role) in [("internet", "rd_private", "provider"), ("private", "rd_internet", "customer")] {
        let conf = machine.run(&["cat", &format!("/run/rdsup/{domain}/bird.conf")]).stdout;
        let session = conf.split(&format!("protocol bgp {protocol} ")).nth(1).expect("the session").to_owned();
        let session = session.split("ipv4 {").next().expect("its options");
        assert!(session.contains(&format!("local role {role};\n\trequire roles on;")), "{session}");
    }
    // Whoever loses his role loses the session.
    machine.unattended();
    machine
        .sh("cd /run/rdsup/private; grep -v role bird.conf >/srv/machine/none.conf; chmod 644 /srv/machine/none.conf");
    machine.birdc("private", "configure \"/srv/machine/none.conf\"");
    eventually(SOON, "the session goes down", || !machine.established("internet", "rd_private"));
    throughout(Duration::from_secs(3), "no role, no session", || !machine.established("internet", "rd_private"));
    assert!(machine.established("internet", "rd_hostile"), "the other session is not touched");
}
