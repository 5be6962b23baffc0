//! Only what changed is touched, from the file's text to the steps.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::tests::{carry_out, layout, lines};
use super::{
    Action, Desired, Layout, NamespaceState, Observed, ObservedDaemon, ObservedDomain, ObservedLink, Plan, plan,
};
use crate::config;
use crate::model::{DomainName, InterfaceName, Program};
use crate::render::{Secrets, Templates, render};

/// What a file wants, with the generated text of daemons and filters.
pub(super) fn wanted(toml: &str) -> Desired {
    let mut open = |path: &Path| Err(format!("{} is not to be read", path.display()));
    let loaded = config::read(Path::new("/etc/rdsup/rdsup.toml"), toml, &mut open);
    let network = loaded.unwrap_or_else(|problems| panic!("{problems}")).network;
    let rendered = render(&network, &Templates::built_in(), &Secrets::redacted()).unwrap();
    Desired::of(&network, &rendered, &layout())
}

/// A machine on which a file runs.
pub(super) fn running(toml: &str) -> Observed {
    let desired = wanted(toml);
    let mut observed = Observed::default();
    let mut host = ObservedDomain { namespace: NamespaceState::Ours, ..ObservedDomain::default() };
    for name in ["up0", "eth1"] {
        host.links.insert(InterfaceName::new(name).unwrap(), ObservedLink::default());
    }
    observed.domains.insert(Layout::host(), host);
    // Twice: the pretended machine gives new interfaces no sysctls.
    for _ in 0..2 {
        let next = plan(&desired, &observed, &layout()).unwrap();
        carry_out(&mut observed, &next);
    }
    observed
}

/// What applying `new` does to a machine on which `old` runs.
pub(super) fn change(old: &str, new: &str) -> Plan {
    plan(&wanted(new), &running(old), &layout()).unwrap()
}

fn domain(n: usize) -> String {
    format!(
        "[domain.d{n}]\nasn = {}\nloopback = [\"10.{n}.0.1/32\", \"2001:db8:{n}::1/128\"]
networks = [\"10.{n}.0.0/16\", \"2001:db8:{n}::/48\"]\n",
        64512 + n
    )
}

fn link(one: usize, two: usize) -> String {
    let accepts = |from| format!("routes = [\"10.{from}.0.0/16\", \"2001:db8:{from}::/48\"]\npackets = [\"tcp/80\"]\n");
    format!(
        "[[link]]\nbetween = [\"d{one}\", \"d{two}\"]\n[link.into.d{one}]\n{}[link.into.d{two}]\n{}",
        accepts(two),
        accepts(one)
    )
}

/// Domains in a ring.
fn ring(count: usize) -> String {
    let mut text = String::new();
    for n in 0..count {
        let _ = write!(text, "{}{}", domain(n), link(n, (n + 1) % count));
    }
    text
}

fn domains(plan: &Plan) -> BTreeSet<&str> {
    plan.steps().map(|step| step.domain.as_str()).collect()
}

#[test]
fn a_domain_and_a_link_more_beside_fifty_touch_the_new_one_and_its_peer_alone() {
    let old = ring(50);
    // In front of everything, so that whatever counts lines or objects counts differently.
    let plan = change(&old, &format!("{}{}{old}", domain(77), link(77, 13)));
    assert_eq!(domains(&plan), BTreeSet::from(["d13", "d77"]));
    for step in plan.steps() {
        if let Action::WriteFile { path, .. } | Action::LoadFilter { path, .. } = &step.action {
            assert!(path.starts_with("/run/rdsup/d13") || path.starts_with("/run/rdsup/d77"), "{step}");
        }
    }
    // The peer has a new configuration, a new filter and one interface more, and nothing of what it had is made again.
    let at_peer: Vec<String> =
        plan.steps().filter(|step| step.domain.as_str() == "d13").map(ToString::to_string).collect();
    let starts = [
        "install -m 0640 /dev/stdin /run/rdsup/d13/bird.conf",
        "ip netns exec d13 nft -f /run/rdsup/d13/rdsup.nft",
        "ip -n d13 link set rd-d77 alias",
        "ip -n d13 address add fe80::2/64 dev rd-d77",
        "ip -n d13 link set rd-d77 up",
        "birdc -s /run/rdsup/d13/bird.ctl configure",
    ];
    assert_eq!(at_peer.len(), starts.len(), "{at_peer:#?}");
    assert!(at_peer.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{at_peer:#?}");
}

#[test]
fn the_order_of_the_file_its_comments_and_its_layout_change_nothing() {
    let old = "[prefixes]\na = [\"10.0.0.0/16\", \"10.1.0.0/16\"]\n".to_owned() + &ring(5);
    let blocks = |text: &str| -> Vec<String> {
        let mut blocks: Vec<String> = Vec::new();
        for line in text.lines() {
            if line.starts_with("[domain") || line.starts_with("[[link]]") || line.starts_with("[prefixes]") {
                blocks.push(String::new());
            }
            let block = blocks.last_mut().expect("the text starts with a table");
            block.push_str(line);
            block.push('\n');
        }
        blocks
    };
    let mut backwards = blocks(&old);
    backwards.reverse();
    let mut keys_turned = String::new();
    for block in blocks(&old) {
        let (head, rest) = block.split_once('\n').unwrap();
        let mut lines: Vec<&str> = rest.lines().collect();
        if head.starts_with("[domain") {
            lines.reverse();
        }
        let _ = write!(keys_turned, "{head}\n{}\n", lines.join("\n"));
    }
    let lists_turned = old
        .replace("routes = [\"10.1.0.0/16\", \"2001:db8:1::/48\"]", "routes = [\"2001:db8:1::/48\", \"10.1.0.0/16\"]");
    let commented = old.replace('\n', "  # as it is\n\n");
    for (what, new) in [
        ("tables in another order", backwards.concat()),
        ("keys in another order", keys_turned),
        ("lists in another order", lists_turned),
        ("comments and empty lines", commented),
    ] {
        assert_ne!(new, old, "{what}");
        assert_eq!(lines(&change(&old, &new)), Vec::<String>::new(), "{what}");
    }
}

/// Turns every list round whose order means nothing. What is left: who comes first on a link, which loopback is the source, which
/// name server is asked first.
fn turn_round(value: &mut toml::Value, key: &str) {
    match value {
        toml::Value::Array(entries) => {
            if !["between", "loopback", "dns", "addresses", "address"].contains(&key) {
                entries.reverse();
            }
            for entry in entries {
                turn_round(entry, key);
            }
        }
        toml::Value::Table(table) => {
            for (key, value) in table {
                turn_round(value, key);
            }
        }
        _ => {}
    }
}

#[test]
fn no_list_of_the_reference_file_turned_round_changes_anything() {
    let old = include_str!("../../conf/rdsup.toml");
    let mut value: toml::Value = toml::from_str(old).unwrap();
    turn_round(&mut value, "");
    let new = toml::to_string(&value).unwrap();
    assert!(new.contains("[\"udp/53\", \"tcp/80,443\"") || new.contains("\"icmp\", \"udp/53\""), "{new}");
    assert_eq!(lines(&change(old, &new)), Vec::<String>::new());
}

#[test]
fn routes_through_an_interface_that_gets_another_address_are_added_again() {
    let text = "[domain.edge]\ndaemon = \"none\"\nfamilies = [\"ipv4\"]\nloopback = [\"10.0.0.1/32\"]\n[[domain.edge.interface]]\n\
                name = \"up0\"\naddress = [\"203.0.113.2/29\"]\n[[domain.edge.route]]\nto = \"0.0.0.0/0\"\nvia = \"203.0.113.1\"\n";
    let changed = lines(&change(text, &text.replace("/29", "/28")));
    let route = "ip -n edge -4 route replace 0.0.0.0/0 via 203.0.113.1 dev up0 proto 114";
    assert!(changed.iter().any(|line| line == route), "{changed:#?}");
}

#[test]
fn a_change_of_policy_of_one_link_reconfigures_its_two_ends_alone() {
    let old = ring(6);
    for (what, from, to, at) in [
        ("routes", "routes = [\"10.1.0.0/16\", ", "routes = [\"10.1.0.0/17\", ", ["d0", "d1"]),
        ("preference", "[link.into.d3]\n", "[link.into.d3]\npreference = 50\n", ["d2", "d3"]),
        ("max_prefixes", "[link.into.d3]\n", "[link.into.d3]\nmax_prefixes = 50\n", ["d2", "d3"]),
        ("packets", "[link.into.d3]\nroutes", "[link.into.d3]\npackets = [\"udp\"]\nroutes", ["d2", "d3"]),
    ] {
        // The first that matches; of `packets` there must be one.
        let mut new = old.replacen(from, to, 1);
        if what == "packets" {
            new = new.replacen("packets = [\"udp\"]\n", "", 1).replacen(
                "packets = [\"tcp/80\"]",
                "packets = [\"tcp/81\"]",
                1,
            );
        }
        assert_ne!(new, old, "{what}");
        let plan = change(&old, &new);
        let touched = domains(&plan);
        let allowed = if what == "packets" { BTreeSet::from(["d0", "d1"]) } else { BTreeSet::from(at) };
        assert!(!plan.is_empty() && touched.is_subset(&allowed), "{what}: {:#?}", lines(&plan));
        let links =
            |action: &Action| matches!(action, Action::AddVeth { .. } | Action::SetUp { .. } | Action::SetDown { .. });
        assert!(!plan.steps().any(|step| links(&step.action)), "{what}: {:#?}", lines(&plan));
    }
}

const WATCHED: &str = "[domain.edge]\ndaemon = \"frr\"\nasn = 65001\nfamilies = [\"ipv4\"]\nloopback = [\"10.0.0.1/32\"]\n[[domain.edge.interface]]\n\
    name = \"up0\"\naddress = [\"203.0.113.2/30\"]\n[[domain.edge.neighbor]]\nname = \"up\"\naddress = \"203.0.113.1\"\n\
    asn = 65001\nibgp = true\nbfd = true\n";

#[test]
fn the_first_neighbor_with_bfd_starts_bfdd_alone_and_the_last_one_stops_it_alone() {
    let without = WATCHED.replace("bfd = true\n", "");
    let daemons = |old: &str, new: &str| -> Vec<String> {
        let plan = change(old, new);
        let of_daemons =
            |line: &String| !line.contains("install -m") && !line.contains("nft") && !line.contains("rm -rf");
        lines(&plan).into_iter().filter(of_daemons).collect()
    };
    let reload = "vtysh --vty_socket /run/rdsup/edge/frr --config_dir /run/rdsup/edge -c 'configure terminal' -c …    \
                  # what differs in /run/rdsup/edge/bgpd.conf";
    let start = "ip netns exec edge /usr/lib/frr/bfdd -f /run/rdsup/edge/bfdd.conf --vty_socket /run/rdsup/edge/frr \
                 -z /run/rdsup/edge/frr/zserv.api -i /run/rdsup/edge/frr/bfdd.pid";
    assert_eq!(daemons(&without, WATCHED), [start, reload]);
    assert_eq!(daemons(WATCHED, &without), [reload, "kill $(cat /run/rdsup/edge/frr/bfdd.pid)"]);
    // Nor does a bfdd that was lost, or one that nobody asked for, concern the others.
    let (mut lost, mut more) = (running(WATCHED), running(&without));
    let edge = DomainName::new("edge").unwrap();
    if let ObservedDaemon::Running { programs, .. } = &mut lost.domains.get_mut(&edge).unwrap().daemon {
        programs.remove(&Program::Bfdd);
    }
    if let ObservedDaemon::Running { programs, .. } = &mut more.domains.get_mut(&edge).unwrap().daemon {
        programs.insert(Program::Bfdd);
    }
    assert_eq!(lines(&plan(&wanted(WATCHED), &lost, &layout()).unwrap()), [start]);
    let stop = "kill $(cat /run/rdsup/edge/frr/bfdd.pid)";
    assert_eq!(lines(&plan(&wanted(&without), &more, &layout()).unwrap()), [stop]);
}

#[test]
fn the_first_loopback_of_each_family_comes_to_a_domain_before_the_others() {
    let toml = "[domain.a]\ndaemon = \"none\"\nloopback = [\"10.0.0.9/32\", \"10.0.0.1/32\", \"2001:db8::9/128\", \"2001:db8::1/128\"]\n";
    let plan = plan(&wanted(toml), &Observed::default(), &layout()).unwrap();
    let added = lines(&plan).into_iter().filter_map(|line| {
        let address = line.split_once("address add ")?.1.split(' ').next()?;
        Some(address.to_owned())
    });
    assert_eq!(added.collect::<Vec<_>>(), ["10.0.0.9/32", "2001:db8::9/128", "10.0.0.1/32", "2001:db8::1/128"]);
}
