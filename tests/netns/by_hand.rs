//! What somebody did to a running FRR by a command.

use crate::machine::{Machine, SOON, eventually};

const EDGE: &str = r#"
[domain.edge]
daemon   = "frr"
asn      = 65001
loopback = ["10.0.0.1/32"]
networks = ["10.0.0.0/24"]

[domain.inner]
asn      = 65002
loopback = ["10.1.0.1/32"]
networks = ["10.1.0.0/24"]

[[link]]
between = ["edge", "inner"]
[link.into.edge]
routes = ["10.1.0.0/24"]
[link.into.inner]
routes = ["10.0.0.0/24"]
"#;

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_session_that_was_removed_is_missing_and_an_apply_brings_it_back_as_it_was() {
    let machine = Machine::running(EDGE);
    let running = || {
        let text = machine.vtysh("edge", "bgpd", "show running-config");
        text.lines()
            .filter(|line| line.starts_with(' ') || line.starts_with("router"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = running();
    let neighbor =
        before.iter().find_map(|line| line.trim().strip_prefix("neighbor ")?.split(' ').next()).expect("it has one");
    for change in [format!("router bgp 65001\nno neighbor {neighbor}"), "no router bgp 65001".to_owned()] {
        types(&machine, &change);
        let status = machine.rdsup("status edge");
        assert_eq!(status.code(), Some(3), "{status}");
        let row = status.stdout.lines().find(|line| line.starts_with("rd-inner")).unwrap_or_else(|| panic!("{status}"));
        assert!(row.contains("inner  65002  Missing"), "{row}");
        assert!(status.stdout.contains("  edge: session rd-inner is missing: "), "{status}");
        // Whoever removed it may be at work: looking, and what is repaired meanwhile, leaves it so.
        let plan = machine.rdsup("plan").ok();
        assert!(plan.contains("# 1 step in 1 domain: edge"), "{plan}");
        assert_ne!(running(), before);
        machine.rdsup("apply").ok();
        assert_eq!(running(), before);
        eventually(SOON, "all is well", || machine.rdsup("status").status.success());
        assert!(machine.rdsup("plan").ok().contains("nothing to do"));
        let neighbor = machine.rdsup("ctl inner show bgp neighbor edge").ok();
        assert!(neighbor.contains("Established") && !neighbor.contains("last error"), "{neighbor}");
    }
}

fn types(machine: &Machine, lines: &str) {
    machine.write("/srv/machine/change", &format!("configure terminal\n{lines}\nend\n"));
    machine.sh("/srv/machine/rdsup -c /srv/machine/rdsup.toml ctl edge </srv/machine/change");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn what_is_typed_into_frr_is_told_until_it_is_taken_back_or_bgpd_begins_again() {
    let machine = Machine::running(EDGE);
    let told = || {
        let status = machine.rdsup("status edge").stdout;
        status.lines().find(|line| line.contains("somebody told bgpd")).map(str::to_owned)
    };
    assert_eq!(told(), None);
    let running = machine.vtysh("edge", "bgpd", "show running-config");
    let filter =
        running.lines().find(|line| line.ends_with(" in") && line.contains(" route-map ")).expect("it has one").trim();
    let part = "router bgp 65001\naddress-family ipv4 unicast";
    types(&machine, &format!("route-map mine permit 10\nexit\n{part}\nno {filter}"));
    let whole =
        format!("\"route-map mine permit 10\", \"no {filter}\" in router bgp 65001, address-family ipv4 unicast;");
    let words = told().expect("it is told");
    assert!(words.contains(&whole), "{words}");
    let plan = machine.rdsup("plan").ok();
    assert!(plan.contains("nothing to do"), "{plan}");
    assert!(machine.rdsup("plan").stderr.contains(&whole), "{plan}");
    // The next supervisor knows it, and so does the one that has told bgpd something else meanwhile.
    machine.signal_supervisor("KILL");
    machine.rdsup("start --detach").ok();
    eventually(SOON, "the next one knows it", || told().is_some_and(|words| words.contains(&whole)));
    machine.write(
        "/srv/machine/rdsup.toml",
        &EDGE.replace("10.1.0.0/24\"]\n[link.into.inner]", "10.1.0.0/24 le 25\"]\n[link.into.inner]"),
    );
    machine.rdsup("apply").ok();
    let words = told().expect("it is told");
    assert!(words.contains("\"route-map mine permit 10\";"), "the filter is there again: {words}");
    types(&machine, "no route-map mine");
    assert_eq!(told(), None);
    types(&machine, "route-map mine permit 10");
    assert!(told().is_some());
    let bgpd = machine.program("edge", "bgpd").expect("it runs");
    machine.line(&format!("kill -9 {bgpd}"));
    eventually(SOON, "the next one was told nothing", || {
        machine.rdsup("status").status.success() && machine.program("edge", "bgpd") != Some(bgpd.clone())
    });
    assert_eq!(told(), None);
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_filter_that_extra_replaced_is_there_again_when_extra_says_nothing_more() {
    let machine = Machine::running(EDGE);
    let filters = || {
        let running = machine.vtysh("edge", "bgpd", "show running-config");
        let judges = |line: &&str| line.contains(" route-map ") || line.contains(" maximum-prefix ");
        let is_filter = |line: &&str| line.trim().starts_with("neighbor ") && judges(line);
        running.lines().filter(is_filter).map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    let before = filters();
    let neighbor = before[0].split(' ').nth(1).expect("it is of a neighbor").to_owned();
    for [part, address_family, set] in [
        [" ", "", "neighbor"],
        [" ", " address-family ipv4\n", "neighbor"],
        [" ", " addr ipv4 uni\n", "neigh"],
        ["", "address-family ipv4 unicast\n", "neighbor"],
    ] {
        let lines = ["route-map mine in", "route-map mine out", "maximum-prefix 7"];
        let lines = lines.map(|line| format!("{part}{set} {neighbor} {line}\n")).concat();
        let extra = format!("route-map mine permit 10\nrouter bgp 65001\n{address_family}{lines}");
        machine.configure(
            &EDGE.replace("[domain.inner]", &format!("[domain.edge.extra]\nfrr = '''\n{extra}'''\n[domain.inner]")),
        );
        machine.rdsup("apply").ok();
        assert_eq!(filters().iter().filter(|line| line.contains(" mine ")).count(), 2, "{extra}");
        machine.configure(EDGE);
        machine.rdsup("apply").ok();
        assert_eq!(filters(), before, "{extra}");
        assert!(machine.rdsup("status").status.success());
    }
}
