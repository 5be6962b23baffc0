//! A machine whose FRR is missing, old or in pieces.

use crate::machine::{DEMO, Machine};

/// What stands in for FRR's programs: they only say their version.
fn stand_in(machine: &Machine, zebra: &str, bgpd: &str) {
    machine.sh(&format!(
        "mkdir -p /srv/machine/frr
         say() {{ printf '#!/bin/sh\\necho \"%s\"\\n' \"$2\" >/srv/machine/frr/$1; chmod 755 /srv/machine/frr/$1; }}
         say zebra '{zebra}'; say bgpd '{bgpd}'
         mount --bind /srv/machine/frr /usr/lib/frr"
    ));
}

/// What doctor says of FRR: its state and what was found, as programs read them.
fn doctor(machine: &Machine) -> (Option<i32>, String, String) {
    let said = machine.rdsup("doctor --json");
    let json: serde_json::Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said}"));
    let frr = json.as_array().and_then(|all| all.iter().find(|check| check["name"] == "frr")).expect("it is looked at");
    let text = |key: &str| frr[key].as_str().unwrap_or_default().to_owned();
    (said.code(), text("state"), format!("{} -> {}", text("found"), text("remedy")))
}

#[test]
fn doctor_calls_an_frr_that_nobody_needs_optional_and_says_what_is_wrong_with_it() {
    let machine = Machine::new(DEMO);
    let (code, state, found) = doctor(&machine);
    assert_eq!((code, state.as_str()), (Some(0), "ok"), "{found}");
    for (zebra, bgpd, words) in [
        ("zebra version 8.3.1", "bgpd version 8.3.1", "zebra is FRR 8.3.1, and 8.4 is the oldest that can be used"),
        ("zebra version 9.1", "bgpd version 9.0.2", "is of two versions: zebra is 9.1, bgpd is 9.0.2"),
        ("zebra version 9.1", "usage: bgpd [-cdnvV]", "bgpd is not FRR's: it says \"usage: bgpd [-cdnvV]\""),
    ] {
        stand_in(&machine, zebra, bgpd);
        let (code, state, found) = doctor(&machine);
        assert_eq!((code, state.as_str()), (Some(0), "optional"), "{found}");
        assert!(found.contains(words) && found.contains("apt install"), "{found}");
    }
    machine.sh("rm /srv/machine/frr/zebra");
    let (code, state, found) = doctor(&machine);
    assert_eq!((code, state.as_str()), (Some(0), "optional"), "{found}");
    assert!(found.contains("FRR is not installed") && found.contains("apt install frr"), "{found}");
}
