//! What is not concerned by a change of the file is not touched by it.

use std::collections::BTreeMap;

use crate::machine::{Machine, SOON, eventually};

/// Four domains in a row: a, b, c and d.
fn row() -> String {
    let domain = |name: &str, n: u8| {
        format!(
            "[domain.{name}]\nasn = {}\nloopback = [\"10.{n}.0.1/32\", \"2001:db8:{n}::1/128\"]\nnetworks = [\"10.{n}.0.0/16\"]\n",
            65000 + u32::from(n)
        )
    };
    let link = |one: &str, n: u8, other: &str, m: u8| {
        format!(
            "[[link]]\nbetween = [\"{one}\", \"{other}\"]\n[link.into.{one}]\nroutes = [\"10.{m}.0.0/16\"]\n\
             [link.into.{other}]\nroutes = [\"10.{n}.0.0/16\"]\n"
        )
    };
    let domains = domain("a", 1) + &domain("b", 2) + &domain("c", 3) + &domain("d", 4);
    domains + &link("a", 1, "b", 2) + &link("b", 2, "c", 3) + &link("c", 3, "d", 4)
}

/// All that would tell that somebody was here. A table that is loaded again has other handles, whatever is in it.
fn traces(machine: &Machine, domain: &str) -> BTreeMap<&'static str, String> {
    // Notes of what was loaded are completed a while after it was.
    let find = "-path '*/log' -prune -o ! -type d ! -name '*.loaded' -printf '%p %i %T@ %m\\n' | sort";
    let files = machine.sh(&format!("find /run/rdsup/{domain} {find}"));
    let routes = machine.within(domain, "ip route show table all").ok() + &machine.within(domain, "ip -6 route").ok();
    let links = machine.within(domain, "ip -d -o link").ok() + &machine.within(domain, "ip -o address").ok();
    let sessions = machine.birdc(domain, "show protocols");
    let log = machine.sh(&format!("cat /run/rdsup/{domain}/log/bird.log"));
    BTreeMap::from([
        ("files", files),
        ("daemon", machine.bird(domain).expect("its daemon runs")),
        ("sessions", sessions),
        ("what the daemon logged", log),
        ("packet filter", machine.within(domain, "nft -a list table inet rdsup").ok()),
        ("routes", routes),
        ("links", links),
    ])
}

#[track_caller]
fn assert_untouched(before: &BTreeMap<&str, String>, after: &BTreeMap<&str, String>, what: &str) {
    for (trace, was) in before {
        assert_eq!(&after[trace], was, "{what}: the {trace}");
    }
}

#[test]
fn what_is_not_concerned_by_a_change_is_not_touched_by_it() {
    let file = row();
    let machine = Machine::running(&file);
    // A drop that is counted, which a filter that is loaded again would have forgotten.
    eventually(SOON, "d learns a route", || machine.routes_to("d", "10.3.0.0/16").contains("rd-c"));
    let rising = machine.rising("d", || assert!(!machine.pings("c", "10.4.0.1"), "no packet is accepted"));
    assert!(!rising.is_empty(), "nothing was counted");
    // Neighbor discovery and keepalives are over for the moment.
    eventually(SOON, "counters of d rest", || machine.rising("d", || drop(machine.line("sleep 1"))).is_empty());
    let new = format!(
        "{}{file}",
        "[domain.new]\nasn = 65099\nloopback = [\"10.9.0.1/32\", \"2001:db8:9::1/128\"]\nnetworks = [\"10.9.0.0/16\"]\n\
         [[link]]\nbetween = [\"new\", \"a\"]\n[link.into.a]\nroutes = [\"10.9.0.0/16\"]\n[link.into.new]\nroutes = [\"10.1.0.0/16\"]\n"
    );
    let policy = new.replacen(
        "[link.into.b]\nroutes = [\"10.1.0.0/16\"]",
        "[link.into.b]\nroutes = [\"10.1.0.0/17\"]\npackets = [\"icmp\"]",
        1,
    );
    let turned = policy.replace("\nasn", "  # its number follows\n\nasn");
    for (what, text, concerned, same) in [
        ("a domain and a link more", &new, "2 domains: a, new", &["b", "c", "d"][..]),
        ("a change of policy on one link", &policy, "2 domains: a, b", &["c", "d", "new"]),
        ("remarks", &turned, "", &["a", "b", "c", "d", "new"]),
        ("all of it taken back", &file, "3 domains: a, b, new", &["c", "d"]),
    ] {
        machine.configure(text);
        let before: Vec<_> = same.iter().map(|domain| traces(&machine, domain)).collect();
        let plan = machine.plan();
        let says = if concerned.is_empty() { "nothing to do".to_owned() } else { format!("steps in {concerned}\n") };
        assert!(plan.contains(&says), "{what}: {plan}");
        machine.rdsup("apply").ok();
        let learned = |prefix| machine.routes_to("new", prefix).contains("rd-a");
        eventually(SOON, "the new domain has its routes", || !text.contains("domain.new") || learned("10.1.0.0/16"));
        for (domain, before) in same.iter().zip(before) {
            assert_untouched(&before, &traces(&machine, domain), &format!("{what}: {domain}"));
        }
    }
    machine.assert_converged();
}
