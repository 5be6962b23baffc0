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
        ("zebra version 8.5", "bgpd version 8.4.4", "is of two versions: zebra is 8.5, bgpd is 8.4.4"),
        ("zebra version 8.5", "usage: bgpd [-cdnvV]", "bgpd is not FRR's: it says \"usage: bgpd [-cdnvV]\""),
    ] {
        stand_in(&machine, zebra, bgpd);
        let (code, state, found) = doctor(&machine);
        assert_eq!((code, state.as_str()), (Some(0), "optional"), "{found}");
        assert!(found.contains(words) && found.contains("apt install"), "{found}");
    }
    stand_in(&machine, "zebra version 9.1.2", "bgpd version 9.1.2");
    let (_, state, found) = doctor(&machine);
    assert_eq!(state, "ok", "{found}");
    assert!(found.contains("FRR 9.1.2") && found.contains("never with 9.1.2"), "{found}");
    machine.sh("rm /srv/machine/frr/zebra");
    let (code, state, found) = doctor(&machine);
    assert_eq!((code, state.as_str()), (Some(0), "optional"), "{found}");
    assert!(
        found.contains("FRR in /usr/lib/frr lacks zebra") && found.contains("apt install --reinstall frr"),
        "{found}"
    );
}

/// The demonstration with FRR in one of its domains.
fn with_frr() -> String {
    DEMO.replace("asn      = 65002", "daemon   = \"frr\"\nasn      = 65002")
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn what_of_frr_is_missing_is_told_by_every_verb_before_anything_is_touched() {
    let machine = Machine::running(DEMO);
    machine.configure(&with_frr());
    let before = machine.rdsup("status --json").ok();
    let pids = |status: &str| -> Vec<String> {
        let status: serde_json::Value = serde_json::from_str(status).expect("it is JSON");
        let domains = status["domains"].as_array().expect("a list").iter();
        domains.map(|domain| format!("{} {}", domain["name"], domain["daemon"]["pid"])).collect()
    };
    let cases: [(&str, &str, &str); 4] = [
        (
            "mkdir /srv/machine/none; mount --bind /srv/machine/none /usr/lib/frr",
            "FRR is not installed",
            "apt install frr",
        ),
        ("sed -i /^frr:/d /etc/passwd", "there is no user frr", "apt install --reinstall frr"),
        ("sed -i /^frrvty:/d /etc/group", "there is no group frrvty", "apt install --reinstall frr"),
        (
            r"sed -i 's/^\(frrvty:.*:\)[^:]*$/\1/' /etc/group",
            "the user frr is not in the group frrvty",
            "usermod -a -G frrvty frr",
        ),
    ];
    for (damage, words, hint) in cases {
        machine.sh(&format!("cp -a /etc/passwd /etc/group /srv/machine; {damage}"));
        for verb in ["check", "plan", "apply"] {
            let said = machine.rdsup(verb);
            assert!(!said.status.success(), "`{verb}`: {said}");
            let error = said.stderr;
            assert!(
                error.contains("domain private") && error.contains(words) && error.contains(hint),
                "`{verb}`: {error}"
            );
        }
        assert_eq!(machine.rdsup("doctor").code(), Some(1), "{words}");
        assert_eq!(pids(&machine.rdsup("status --json").ok()), pids(&before));
        machine.sh("umount /usr/lib/frr 2>/dev/null || true; cp -a /srv/machine/passwd /srv/machine/group /etc");
    }
    machine.stop();
    let clean = machine.traces();
    stand_in(&machine, "zebra version 8.3.1", "bgpd version 8.3.1");
    let error = machine.rdsup("start --detach").refused(2);
    assert!(error.contains("8.4 is the oldest that can be used"), "{error}");
    machine.assert_left_as(&clean);
}
