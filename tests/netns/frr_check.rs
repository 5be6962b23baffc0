//! What FRR's parsers are asked, and what that leaves behind: nothing.

use crate::machine::{CONFIG, DEMO, Machine};

/// The demonstration with FRR in one of its domains, and these lines of its own for bgpd.
fn with_extra(extra: &str) -> String {
    DEMO.replace("asn      = 65002", &format!("daemon = \"frr\"\nextra.frr = \"\"\"\n{extra}\"\"\"\nasn      = 65002"))
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_check_leaves_no_file_and_no_directory_behind() {
    let machine = Machine::new(&with_extra(
        "log file /srv/machine/made.log debugging\nlog filtered-file made.log\ndump bgp all /srv/machine/made.mrt\n",
    ));
    let there = || machine.sh("cd /; find /run /srv /var/lib /var/log | sort");
    let before = there();
    for verb in ["check", "plan", "doctor"] {
        machine.rdsup(verb).ok();
        assert_eq!(there(), before, "after `{verb}`");
    }
    // A user without privileges has the same parsers, and may write to these places.
    machine.sh("chmod -R a+rwX /srv/machine");
    let ordinary = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let words = [crate::machine::RDSUP, "-c", CONFIG, "check"];
    machine.run(&[&ordinary[..], &words].concat()).ok();
    assert_eq!(there(), before, "after a user's `check`");
    machine.configure(&with_extra("log file /srv/machine/made.log nonsense\n"));
    let error = machine.rdsup("check").refused(2);
    assert!(error.contains("not known, or not accepted: log file /srv/machine/made.log nonsense"), "{error}");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn every_line_of_extra_that_frr_refuses_is_told_with_its_place() {
    let extra = "hostname x\nspanning-tree\nrouter bgp 65002\n timers bgp 1 99999999\n";
    let machine = Machine::new(&with_extra(extra));
    let toml = machine.sh(&format!("cat {CONFIG}"));
    let said = machine.rdsup("check").refused(2);
    for line in ["spanning-tree", "timers bgp 1 99999999"] {
        let number = 1 + toml.lines().position(|it| it.trim() == line).expect("it is in the file");
        assert!(
            said.contains(&format!("{CONFIG}:{number}")) && said.contains(&format!("not accepted: {line}")),
            "{said}"
        );
    }
}

/// bgpd 8.4 dies of an assertion of its own.
#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_line_that_kills_frr_is_found() {
    let machine = Machine::new(&with_extra("hostname x\nno router bgp 65002\nlog timestamp precision 6\n"));
    let toml = machine.sh(&format!("cat {CONFIG}"));
    let number = 1 + toml.lines().position(|it| it.trim() == "no router bgp 65002").expect("it is in the file");
    let said = machine.rdsup("check").refused(2);
    assert!(said.contains(&format!("{CONFIG}:{number}")), "{said}");
    assert!(said.contains("bgpd dies of this line (killed by SIGABRT): no router bgp 65002"), "{said}");
    assert!(said.lines().count() < 15, "{said}");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn at_a_terminal_frrs_shell_says_which_domain_it_types_to_and_there_is_none_for_a_domain_that_is_not_there() {
    let machine = Machine::new(&with_extra("hostname x\n"));
    machine.rdsup("start --detach").ok();
    let typed = |domain: &str| {
        let ctl = format!("{} -c {CONFIG} ctl {domain}", crate::machine::RDSUP);
        machine.sh(&format!("printf 'show version\\nexit\\n' | script -qec '{ctl}' /dev/null || true"))
    };
    let said = typed("private");
    assert!(said.contains("private# show version") && said.contains("FRRouting "), "{said}");
    let said = typed("nowhere");
    assert!(said.contains("there is no domain nowhere; there are: ") && !said.contains("nowhere>"), "{said}");
}
