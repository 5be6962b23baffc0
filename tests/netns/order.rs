//! While policy changes, nothing passes that neither the old policy nor the new one lets through.

use crate::machine::{CONFIG, DEMO, Machine, RDSUP, SOON, eventually};

/// Where a packet goes through two filters: from `s` over a link to `r`, and out by an interface to `t`, which claims the
/// other end of the cable. UDP to port 6000 may always pass; 5000 passes `r` or `t`, as the two lists say.
fn chain(at_r: &str, at_t: &str) -> String {
    format!(
        r#"
[domain.s]
families = ["ipv4"]
daemon   = "none"
loopback = ["10.1.0.1/32"]
networks = ["10.1.0.0/16"]
[domain.r]
families = ["ipv4"]
daemon   = "none"
loopback = ["10.2.0.1/32"]
[[domain.r.interface]]
name    = "cable-r"
address = ["203.0.113.1/30"]
[[domain.r.route]]
to  = "10.3.0.0/16"
via = "203.0.113.2"
[domain.t]
families = ["ipv4"]
daemon   = "none"
loopback = ["10.3.0.1/32"]
networks = ["10.3.0.0/16"]
[[domain.t.interface]]
name    = "cable-t"
address = ["203.0.113.2/30"]
outside = true
packets = {at_t}
[[link]]
between = ["s", "r"]
routing = "static"
[link.into.s]
routes  = ["10.3.0.0/16"]
[link.into.r]
routes  = ["10.1.0.0/16"]
packets = {at_r}
"#
    )
}

/// The same over two links, with `r` between them.
fn transit(at_r: &str, at_t: &str) -> String {
    format!(
        r#"
[domain.s]
families = ["ipv4"]
daemon   = "none"
loopback = ["10.1.0.1/32"]
networks = ["10.1.0.0/16"]
[domain.r]
families = ["ipv4"]
daemon   = "none"
loopback = ["10.2.0.1/32"]
[domain.t]
families = ["ipv4"]
daemon   = "none"
loopback = ["10.3.0.1/32"]
networks = ["10.3.0.0/16"]
[[link]]
between = ["s", "r"]
routing = "static"
[link.into.s]
routes  = ["10.3.0.0/16"]
transit = ["t"]
[link.into.r]
routes  = ["10.1.0.0/16"]
packets = {at_r}
[[link]]
between = ["r", "t"]
routing = "static"
[link.into.r]
routes  = ["10.3.0.0/16"]
[link.into.t]
routes  = ["10.1.0.0/16"]
packets = {at_t}
"#
    )
}

const OPEN: &str = r#"["udp/5000", "udp/6000"]"#;
const CLOSED: &str = r#"["udp/6000"]"#;

/// Sends a datagram to each port a thousand times a second until the file is there, and says how many to each.
const STREAM: &str = r#"
    use Socket qw(:all); use Time::HiRes qw(sleep);
    socket(my $s, AF_INET, SOCK_DGRAM, 0) or die; bind($s, pack_sockaddr_in(4000, inet_aton("10.1.0.1"))) or die "$!";
    my @to = map { pack_sockaddr_in($_, inet_aton("10.3.0.9")) } 5000, 6000;
    my $n = 0;
    until (-e "/run/stop") { send($s, "x", 0, $_) for @to; $n++; sleep 0.0005; }
    print $n;
"#;

/// A machine where such a network runs, with a counter in `t` behind its filter.
fn running(network: fn(&str, &str) -> String) -> Machine {
    let machine = Machine::new(&network(CLOSED, OPEN));
    machine.line("ip link add cable-r type veth peer name cable-t");
    machine.start();
    let watch = "udp dport 5000 counter name seen; udp dport 6000 counter name allowed";
    machine.sh(&format!(
        "ip netns exec t nft 'table inet probe {{ counter seen {{ }}; counter allowed {{ }}
             chain c {{ type filter hook prerouting priority 200; {watch}; }}; }}'"
    ));
    machine
}

fn arrived(machine: &Machine, counter: &str) -> u64 {
    let text = machine.within("t", &format!("nft list counter inet probe {counter}")).ok();
    let packets = text.split("packets ").nth(1).and_then(|rest| rest.split_whitespace().next());
    packets.and_then(|number| number.parse().ok()).expect("a counter has packets")
}

/// Sends the stream while the lists change places thirty times.
#[track_caller]
fn assert_closed_through_thirty_applies(network: fn(&str, &str) -> String) {
    let machine = running(network);
    let stream = machine.spawn(&["ip", "netns", "exec", "s", "perl", "-e", STREAM]);
    eventually(SOON, "what is allowed arrives", || arrived(&machine, "allowed") > 0);
    for round in 0..30 {
        let toml = if round % 2 == 0 { network(OPEN, CLOSED) } else { network(CLOSED, OPEN) };
        machine.configure(&toml);
        machine.rdsup("apply").ok();
    }
    // Either list alone has kept it closed: with both open it arrives.
    let forbidden = arrived(&machine, "seen");
    machine.configure(&network(OPEN, OPEN));
    machine.rdsup("apply").ok();
    eventually(SOON, "the path can be opened", || arrived(&machine, "seen") > forbidden);
    machine.write("/run/stop", "");
    let sent: u64 = stream.finish(SOON).ok().trim().parse().expect("a number");
    let allowed = arrived(&machine, "allowed");
    eprintln!("{sent} datagrams to each port: {forbidden} forbidden and {allowed} allowed ones arrived");
    assert_eq!(forbidden, 0, "of {sent} datagrams that both policies forbid");
    assert!(allowed >= sent * 9 / 10, "{allowed} of {sent} allowed datagrams arrived: the network was dead");
    machine.assert_converged();
    for domain in ["s", "r", "t"] {
        let tables = machine.within(domain, "nft list tables").ok();
        assert!(!tables.contains("rdsup-next"), "{domain}: {tables}");
    }
}

#[test]
fn a_path_over_two_links_that_only_a_mixture_of_two_policies_would_open_stays_closed_through_thirty_applies() {
    assert_closed_through_thirty_applies(transit);
}

#[test]
fn a_path_over_a_link_and_a_cable_stays_closed_through_thirty_applies_too() {
    assert_closed_through_thirty_applies(chain);
}

#[test]
fn a_filter_that_cannot_be_stacked_leaves_every_domain_behind_its_old_one() {
    let machine = running(chain);
    let filters = |machine: &Machine| {
        ["s", "r", "t"].map(|domain| machine.within(domain, "nft --stateless list table inet rdsup").ok())
    };
    let before = filters(&machine);
    // Someone else's table has the name.
    machine.line("ip netns exec t nft add table inet rdsup-next");
    machine.configure(&chain(OPEN, CLOSED));
    let error = machine.rdsup("apply").refused(1);
    assert!(error.contains("domain t: ") && error.contains("rdsup-next") && error.contains("File exists"), "{error}");
    assert_eq!(filters(&machine), before);
    assert!(!machine.within("r", "nft list tables").ok().contains("rdsup-next"), "what was stacked is still there");
    assert!(machine.within("t", "nft list tables").ok().contains("rdsup-next"), "someone else's table is gone");
    machine.line("ip netns exec t nft delete table inet rdsup-next");
    machine.rdsup("apply").ok();
    assert_ne!(filters(&machine), before);
    machine.assert_converged();
}

#[test]
fn an_apply_that_was_killed_between_the_filters_is_finished_by_the_next() {
    let machine = running(chain);
    machine.signal_supervisor("KILL");
    // As it stands when all are stacked and none is replaced.
    for domain in ["r", "t"] {
        machine.sh(&format!(
            "sed 's/table inet rdsup/&-next/' \
                 /run/rdsup/{domain}/rdsup.nft >/run/rdsup/{domain}/rdsup-next.nft
             ip netns exec {domain} nft -f /run/rdsup/{domain}/rdsup-next.nft"
        ));
    }
    let plan = machine.plan();
    assert_eq!(plan.matches("delete table inet rdsup-next'").count(), 2, "{plan}");
    machine.configure(&chain(OPEN, CLOSED));
    let plan = machine.plan();
    assert_eq!(plan.matches("rdsup-next2.nft").count(), 2, "{plan}");
    machine.run(&[RDSUP, "-c", CONFIG, "start", "--detach", "--apply"]).ok();
    machine.assert_converged();
    for domain in ["r", "t"] {
        let tables = machine.within(domain, "nft list tables").ok();
        assert!(!tables.contains("rdsup-next"), "{domain}: {tables}");
    }
    assert_eq!(machine.sh("ls /run/rdsup/*/rdsup-next* 2>/dev/null | wc -l"), "0\n");
}

#[test]
fn a_change_of_policy_tightens_before_daemons_read_it_and_resets_no_session() {
    let machine = Machine::demo();
    let sessions = |machine: &Machine| {
        [("internet", "rd_private"), ("internet", "rd_hostile"), ("private", "rd_internet"), ("hostile", "rd_internet")]
            .map(|(domain, protocol)| machine.session(domain, protocol))
    };
    let before = sessions(&machine);
    // The second is only a route that one of them no longer takes.
    let other = DEMO
        .replace(r#"packets = ["tcp/80,443"]"#, r#"packets = ["tcp/443"]"#)
        .replace(r#"routes  = ["10.66.0.0/16", "2001:db8:66::/48"]"#, r#"routes  = ["10.66.0.0/16"]"#);
    assert_ne!(other, DEMO);
    machine.configure(&other);
    let plan = machine.plan();
    let at = |words: &str| plan.find(words).unwrap_or_else(|| panic!("no `{words}` in the plan:\n{plan}"));
    assert!(at("ip netns exec internet nft -f /run/rdsup/internet/rdsup-next.nft") < at("/rdsup.nft"), "{plan}");
    assert!(plan.rfind("rdsup.nft") < plan.find("birdc -s"), "{plan}");
    machine.rdsup("apply").ok();
    eventually(SOON, "the route is gone", || machine.routes_to("internet", "2001:db8:66::/48").is_empty());
    assert!(machine.routes_to("internet", "10.66.0.0/16").contains(" dev "));
    machine.assert_converged();
    assert_eq!(sessions(&machine), before, "a session was reset");
    machine.rdsup("status --wait 30s").ok();
}

#[test]
fn a_supervisor_killed_anywhere_in_its_applies_lets_nothing_through_that_both_policies_forbid() {
    let machine = running(transit);
    let stream = machine.spawn(&["ip", "netns", "exec", "s", "perl", "-e", STREAM]);
    eventually(SOON, "what is allowed arrives", || arrived(&machine, "allowed") > 0);
    let there = [transit(CLOSED, OPEN), transit(OPEN, CLOSED)];
    let (mut in_force, mut cut_short) = (0, 0);
    // The later ones are for a machine on which a step takes as long as all of them do elsewhere.
    let later = [24, 36, 54, 80, 120].into_iter().cycle().take(20);
    for (round, milliseconds) in [0, 0, 3, 3, 6, 6, 9, 9, 12, 12, 16, 16].into_iter().chain(later).enumerate() {
        if round >= 12 && cut_short > 0 {
            break;
        }
        machine.configure(&there[1 - in_force]);
        let supervisor = machine.supervisor();
        // The file is there a moment before the first table is stacked.
        machine.sh(&format!(
            "kill -HUP {supervisor}; until [ -e /run/rdsup/r/rdsup-next.nft ] || [ $SECONDS -gt 5 ]; do :; done
             sleep 0.{milliseconds:03}; kill -KILL {supervisor}"
        ));
        eventually(SOON, "the supervisor is gone", || !machine.run(&["pgrep", "-x", "rdsup"]).status.success());
        let tables = machine.sh("for d in r t; do ip netns exec $d nft list tables; done");
        cut_short += usize::from(tables.contains("rdsup-next"));
        // Every other time it goes back, or else on.
        in_force = if round % 2 == 0 { in_force } else { 1 - in_force };
        machine.configure(&there[in_force]);
        machine.rdsup("start --detach --apply").ok();
        machine.assert_converged();
    }
    assert_eq!(arrived(&machine, "seen"), 0, "datagrams that both policies forbid");
    assert!(cut_short > 0, "no apply was cut between stacking and replacing");
    machine.write("/run/stop", "");
    let sent: u64 = stream.finish(SOON).ok().trim().parse().expect("a number");
    let allowed = arrived(&machine, "allowed");
    eprintln!("{sent} datagrams to each port, {allowed} allowed ones arrived, {cut_short} applies were cut between");
    assert!(allowed >= sent * 9 / 10, "{allowed} of {sent} allowed datagrams arrived: the network was dead");
}
