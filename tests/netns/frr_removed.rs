//! What somebody removed from FRR by a command.

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
        machine.write("/srv/machine/change", &format!("configure terminal\n{change}\nend\n"));
        machine.sh("/srv/machine/rdsup -c /srv/machine/rdsup.toml ctl edge </srv/machine/change");
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
