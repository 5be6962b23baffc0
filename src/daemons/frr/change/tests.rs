//! Which commands lead from one configuration to another.

use super::*;

const OLD: &str = "\
hostname a
ip prefix-list rd-b-in-1 seq 5 permit 10.2.0.0/16
bgp as-path access-list mine seq 5 permit ^65002
route-map rd-b-in-1 permit 10
 match ip address prefix-list rd-b-in-1
router bgp 65001
 bgp router-id 10.255.0.1
 no bgp default ipv4-unicast
 neighbor fe80::2 remote-as 65002
 neighbor fe80::2 description rd-b
 neighbor fe80::2 timers 30 90
 neighbor fe80::4 remote-as 65004
 address-family ipv4 unicast
  network 10.1.0.0/16
  neighbor fe80::2 activate
  neighbor fe80::2 route-map rd-b-in-1 in
  neighbor fe80::4 activate
  neighbor fe80::4 route-map rd-b-in-1 in
 exit-address-family
";

fn typed(commands: &[Command]) -> Vec<String> {
    let last = |path: &[String]| {
        path.last().map_or(String::new(), |part| format!("{}: ", part.split(' ').next().unwrap_or("")))
    };
    commands.iter().map(|command| format!("{}{}", last(&command.path), command.text)).collect()
}

fn switched(change: &Change) -> Vec<String> {
    typed(&change.switch.iter().map(|step| step.command.clone()).collect::<Vec<_>>())
}

fn undone(change: &Change) -> Vec<String> {
    typed(&change.switch.iter().rev().flat_map(|step| step.undo.clone()).collect::<Vec<_>>())
}

#[test]
fn the_same_configuration_is_no_change() {
    assert!(Change::between(OLD, OLD).is_empty());
    assert!(Change::between(OLD, &format!("! again\n{OLD}")).is_empty());
}

#[test]
fn a_filter_is_made_then_used_then_the_old_one_removed() {
    let new = OLD.replace("rd-b-in-1", "rd-b-in-2").replace("10.2.0.0/16", "10.3.0.0/16");
    let change = Change::between(OLD, &new);
    assert_eq!(
        change.make,
        [
            "ip prefix-list rd-b-in-2 seq 5 permit 10.3.0.0/16",
            "route-map rd-b-in-2 permit 10",
            "match ip address prefix-list rd-b-in-2"
        ]
    );
    assert_eq!(
        switched(&change),
        [
            "address-family: neighbor fe80::2 route-map rd-b-in-2 in",
            "address-family: neighbor fe80::4 route-map rd-b-in-2 in"
        ]
    );
    assert_eq!(change.sweep, ["no route-map rd-b-in-1", "no ip prefix-list rd-b-in-1"]);
    assert_eq!(change.unmake, ["no route-map rd-b-in-2", "no ip prefix-list rd-b-in-2"]);
    assert_eq!(
        undone(&change),
        [
            "address-family: neighbor fe80::4 route-map rd-b-in-1 in",
            "address-family: neighbor fe80::2 route-map rd-b-in-1 in"
        ]
    );
    let asked = ["fe80::2", "fe80::4"].map(|name| (name.to_owned(), Judged::Asked));
    assert_eq!(change.judged_anew, BTreeMap::from(asked));
}

#[test]
fn what_is_kept_is_judged_by_bgpd_and_who_is_kept_from_now_on_begins_again() {
    const KEPT: &str = "  neighbor fe80::2 soft-reconfiguration inbound\n";
    let line = "  neighbor fe80::2 route-map rd-b-in-1 in\n";
    let (before, other) = (OLD.replace(line, &format!("{KEPT}{line}")), line.replace("in-1", "in-2"));
    assert_ne!(before, OLD);
    let judged = |old: &str, new: &str| Change::between(old, new).judged_anew.get("fe80::2").copied();
    assert_eq!(judged(OLD, &OLD.replace(line, &other)), Some(Judged::Asked));
    assert_eq!(judged(&before, &before.replace(line, &other)), Some(Judged::Kept));
    assert_eq!(judged(OLD, &before), Some(Judged::Again));
    assert_eq!(judged(OLD, &before.replace(line, &other)), Some(Judged::Again));
    assert_eq!(judged(&before, OLD), None);
    let lines: Vec<_> = before.lines().filter(|line| !line.contains("fe80::2")).collect();
    let new = lines.join("\n");
    assert_eq!(judged(&new, &before), None, "it is a new neighbor");
}

#[test]
fn whose_line_counts_from_the_next_session_on_begins_again_and_whose_neighbor_is_gone_does_not() {
    let line = " neighbor fe80::2 local-role provider strict-mode\n";
    let end = " neighbor fe80::4 remote-as";
    let with = OLD.replacen(end, &format!("{line}{end}"), 1);
    assert_ne!(with, OLD);
    let opened = |old: &str, new: &str| Change::between(old, new).opened_anew.into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(opened(OLD, &with), "fe80::2");
    assert_eq!(opened(&with, OLD), "fe80::2");
    assert_eq!(opened(&with, &with.replace("local-role provider", "local-role customer")), "fe80::2");
    assert_eq!(opened(OLD, &with.replace("local-role provider strict-mode", "local-as 65007")), "fe80::2");
    assert_eq!(opened(&with, &with.replace("65001", "65009")), "");
    assert_eq!(opened(OLD, &OLD.replace("in-1 in", "in-2 in").replace("timers 30 90", "timers 10 30")), "");
    let without: Vec<_> = OLD.lines().filter(|line| !line.contains("fe80::2")).collect();
    assert_eq!(opened(&with, &without.join("\n")), "");
}

#[test]
fn a_new_neighbor_carries_a_family_only_once_it_has_its_filters() {
    let (without, _) = OLD.split_once(" neighbor fe80::4 remote-as").expect("it is there");
    let old = without.to_owned()
        + " address-family ipv4 unicast\n  network 10.1.0.0/16\n  neighbor fe80::2 activate\n  \
           neighbor fe80::2 route-map rd-b-in-1 in\n exit-address-family\n";
    let change = Change::between(&old, OLD);
    assert_eq!(
        switched(&change),
        [
            "router: neighbor fe80::4 remote-as 65004",
            "router: neighbor fe80::4 shutdown",
            "address-family: neighbor fe80::4 route-map rd-b-in-1 in",
            "address-family: neighbor fe80::4 activate",
            "router: no neighbor fe80::4 shutdown"
        ]
    );
    let closed = OLD.replacen(
        " neighbor fe80::4 remote-as 65004\n",
        " neighbor fe80::4 remote-as 65004\n neighbor fe80::4 shutdown\n",
        1,
    );
    assert_ne!(closed, OLD);
    assert!(
        !switched(&Change::between(&old, &closed)).iter().any(|it| it.contains("no neighbor")),
        "it is to stay closed"
    );
    assert_eq!(undone(&change).last().map(String::as_str), Some("router: no neighbor fe80::4"));
    let back = Change::between(OLD, &old);
    assert_eq!(switched(&back), ["router: no neighbor fe80::4"]);
    assert_eq!(
        undone(&back),
        [
            "router: neighbor fe80::4 remote-as 65004",
            "address-family: neighbor fe80::4 activate",
            "address-family: neighbor fe80::4 route-map rd-b-in-1 in"
        ]
    );
}

#[test]
fn a_family_is_taken_before_its_filters_are() {
    let new = OLD.replace("  neighbor fe80::4 activate\n  neighbor fe80::4 route-map rd-b-in-1 in\n", "");
    assert_eq!(
        switched(&Change::between(OLD, &new)),
        ["address-family: no neighbor fe80::4 activate", "address-family: no neighbor fe80::4 route-map rd-b-in-1 in"]
    );
}

#[test]
fn what_goes_makes_room_for_what_comes_and_a_value_is_replaced_in_one_command() {
    let new = OLD
        .replace("timers 30 90", "ttl-security hops 1")
        .replace("description rd-b", "description rd-c")
        .replace("hostname a", "hostname b")
        .replace("10.255.0.1", "10.255.0.9")
        .replace(" no bgp default", " bgp default");
    assert_eq!(
        switched(&Change::between(OLD, &new)),
        [
            "router: no neighbor fe80::2 timers 30 90",
            "hostname b",
            "router: bgp router-id 10.255.0.9",
            "router: bgp default ipv4-unicast",
            "router: neighbor fe80::2 description rd-c",
            "router: neighbor fe80::2 ttl-security hops 1"
        ]
    );
}

#[test]
fn another_own_as_number_is_another_instance_and_the_way_back_from_it_is_whole() {
    let change = Change::between(OLD, &OLD.replace("router bgp 65001", "router bgp 65009"));
    let steps = switched(&change);
    assert_eq!(steps[..2], ["no router bgp 65001", "router bgp 65009"]);
    assert_eq!(steps.last().map(String::as_str), Some("router: no neighbor fe80::4 shutdown"));
    assert!(change.switch.iter().skip(2).all(|step| step.command.path[0] == "router bgp 65009"));
    let undo = undone(&change);
    let at = undo.iter().position(|text| text == "no router bgp 65009").expect("it goes");
    assert_eq!(undo[at + 1], "router bgp 65001");
    assert!(undo[at..].contains(&"address-family: neighbor fe80::4 route-map rd-b-in-1 in".to_owned()));
}

#[test]
fn an_object_that_keeps_its_name_is_replaced_in_the_batch_or_line_by_line() {
    let new = OLD.replace("10.2.0.0/16", "10.3.0.0/16").replace("seq 5 permit ^65002", "seq 6 permit ^65003");
    let change = Change::between(OLD, &new);
    assert_eq!(
        change.make,
        [
            "no ip prefix-list rd-b-in-1",
            "ip prefix-list rd-b-in-1 seq 5 permit 10.3.0.0/16",
            "bgp as-path access-list mine seq 6 permit ^65003",
            "no bgp as-path access-list mine seq 5 permit ^65002"
        ]
    );
    assert!(change.unmake.contains(&"ip prefix-list rd-b-in-1 seq 5 permit 10.2.0.0/16".to_owned()));
    assert!(change.sweep.is_empty() && change.switch.is_empty());
}

#[test]
fn another_source_has_zebra_write_its_routes_anew() {
    let zebra = "route-map s-1 permit 10\n set src 10.0.0.1\nexit\nip protocol bgp route-map s-1\n";
    let other = zebra.replace("s-1", "s-2").replace("10.0.0.1", "10.0.0.2");
    let of = |old, new| Change::between(old, new).written_anew;
    let policy = "ip protocol bgp".to_owned();
    assert_eq!(of(zebra, &other), [(policy.clone(), Some("ip protocol bgp route-map s-2".to_owned()))]);
    assert_eq!(of(zebra, "hostname a\n"), [(policy, None)]);
    assert_eq!(of("hostname a\n", zebra), []);
    assert_eq!(of(zebra, zebra), []);
}

#[test]
fn of_an_interface_only_what_it_is_told_comes_and_goes() {
    let with = "hostname a\ninterface rd-b\n no ipv6 nd ra-fast-retrans\n ipv6 nd ra-interval 1800\nexit\n";
    assert_eq!(
        switched(&Change::between("hostname a\n", with)),
        ["interface: no ipv6 nd ra-fast-retrans", "interface: ipv6 nd ra-interval 1800"]
    );
    assert_eq!(
        switched(&Change::between(with, "hostname a\n")),
        ["interface: ipv6 nd ra-fast-retrans", "interface: no ipv6 nd ra-interval 1800"]
    );
}

#[test]
fn a_policy_that_refuses_what_another_accepted_is_told_from_one_that_does_not() {
    let same = |from: &str, to: &str| {
        assert!(OLD.contains(from), "{from}");
        accepts_the_same(OLD, &OLD.replace(from, to))
    };
    for (from, to) in [("hostname a", "hostname b"), ("timers 30 90", "timers 10 30"), ("  network 10.1.0.0/16\n", "")]
    {
        assert!(same(from, to), "{to}");
    }
    for (from, to) in [
        ("rd-b-in-1", "rd-b-in-2"),
        (" neighbor fe80::4 remote-as 65004\n", ""),
        ("remote-as 65004", "remote-as 65005"),
        ("  neighbor fe80::4 activate\n", ""),
        ("mine seq 5 permit ^65002", "mine seq 5 permit ^65003"),
    ] {
        assert!(!same(from, to), "{to}");
    }
}

#[test]
fn there_is_no_moment_without_a_cache_while_origins_are_asked_for() {
    let with = |caches: &[&str]| {
        let lines = caches.join("\n rpki cache ");
        OLD.replace("hostname a\n", &format!("hostname a\nrpki\n rpki polling_period 900\n rpki cache {lines}\nexit\n"))
    };
    let one = with(&["10.0.0.1 3323 preference 1"]);
    let change = Change::between(&one, &with(&["10.0.0.2 3323 preference 1"]));
    assert_eq!(
        switched(&change),
        [
            "rpki: rpki cache 10.0.0.2 3323 preference 255",
            "rpki: no rpki cache 10.0.0.1 3323 preference 1",
            "rpki: rpki cache 10.0.0.2 3323 preference 1",
            "rpki: no rpki cache 10.0.0.2 3323 preference 255",
        ]
    );
    assert_eq!(
        undone(&change),
        [
            "rpki: rpki cache 10.0.0.2 3323 preference 255",
            "rpki: no rpki cache 10.0.0.2 3323 preference 1",
            "rpki: rpki cache 10.0.0.1 3323 preference 1",
            "rpki: no rpki cache 10.0.0.2 3323 preference 255",
        ]
    );
    // One that stays will do.
    let two = with(&["10.0.0.1 3323 preference 1", "10.0.0.3 3323 preference 2"]);
    assert_eq!(switched(&Change::between(&one, &two)), ["rpki: rpki cache 10.0.0.3 3323 preference 2"]);
    // Without any the filters no longer ask, and the caches go after that.
    let none = OLD.replace("rd-b-in-1 in", "rd-b-in-2 in");
    assert_eq!(
        switched(&Change::between(&two, &none)),
        [
            "rpki: no rpki polling_period 900",
            "address-family: neighbor fe80::2 route-map rd-b-in-2 in",
            "address-family: neighbor fe80::4 route-map rd-b-in-2 in",
            "rpki: no rpki cache 10.0.0.1 3323 preference 1",
            "rpki: no rpki cache 10.0.0.3 3323 preference 2",
        ]
    );
}

/// An admin's line comes after ours, so that it counts.
#[test]
fn what_an_admin_overrode_is_as_it_was_when_the_line_goes() {
    let inside = |line: &str| OLD.replace(" address-family", &format!(" {line}\n address-family"));
    for (overridden, there, back) in [
        (
            inside("neighbor fe80::2 remote-as 65099"),
            "router: neighbor fe80::2 remote-as 65099",
            "router: neighbor fe80::2 remote-as 65002",
        ),
        (
            inside("neighbor fe80::2 timers 5 15"),
            "router: neighbor fe80::2 timers 5 15",
            "router: neighbor fe80::2 timers 30 90",
        ),
        (inside("bgp default ipv4-unicast"), "router: bgp default ipv4-unicast", "router: no bgp default ipv4-unicast"),
        (
            OLD.replace(" exit-address", "  no neighbor fe80::2 route-map rd-b-in-1 in\n exit-address"),
            "address-family: no neighbor fe80::2 route-map rd-b-in-1 in",
            "address-family: neighbor fe80::2 route-map rd-b-in-1 in",
        ),
        (format!("{OLD}hostname mine\n"), "hostname mine", "hostname a"),
    ] {
        assert_eq!(switched(&Change::between(OLD, &overridden)), [there]);
        let change = Change::between(&overridden, OLD);
        assert_eq!(switched(&change), [back]);
        assert_eq!(undone(&change), [there]);
    }
}
