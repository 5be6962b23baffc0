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
    assert!(error.contains("nonsense"), "{error}");
}
