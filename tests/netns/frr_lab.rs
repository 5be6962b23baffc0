//! FRR in a lab, and what people type to it through the supervisor.

use crate::machine::{CONFIG, DEMO, Machine, RDSUP, SOON, eventually};
use crate::said::Said;

/// The demonstration with FRR in two of its domains.
fn demo() -> String {
    ["65002", "65003"].iter().fold(DEMO.to_owned(), |toml, asn| {
        toml.replace(&format!("asn      = {asn}"), &format!("daemon   = \"frr\"\nasn      = {asn}"))
    })
}

const LOOK: &str = "rdsup status --wait 30s >&2 && rdsup ctl private show bgp && \
                    timeout 30 sh -c 'until ip netns exec private ping -nqc 1 198.51.100.1; do sleep 0.1; done' \
                    && printf 'conf t\\nrouter bgp 65002\\nend\\nshow version\\n' | rdsup ctl private";

#[track_caller]
fn assert_lives(said: Said) {
    let stdout = said.ok();
    for words in ["198.51.100.0/24", " 0% packet loss", "FRRouting"] {
        assert!(stdout.contains(words), "{words:?} is not in\n{stdout}");
    }
}

#[test]
fn lab_runs_frr_and_leaves_nothing() {
    let machine = Machine::new(&demo());
    let clean = machine.traces();
    assert_lives(machine.run(&[RDSUP, "lab", CONFIG, "--", "sh", "-c", LOOK]));
    machine.assert_left_as(&clean);
}

#[test]
#[ignore = "needs root: several user ids"]
fn lab_runs_frr_for_an_ordinary_user() {
    let machine = Machine::new(&demo());
    let clean = machine.traces();
    let before = machine.sh("cat /etc/passwd /etc/group");
    let user =
        ["setpriv", "--reuid=4001", "--regid=4001", "--clear-groups", RDSUP, "lab", CONFIG, "--", "sh", "-c", LOOK];
    assert_lives(machine.run(&user));
    assert_eq!(machine.sh("cat /etc/passwd /etc/group"), before);
    machine.assert_left_as(&clean);
}

#[test]
#[ignore = "needs root: several user ids"]
fn of_frr_viewers_may_have_texts_that_show_and_operators_any() {
    let toml =
        demo().replacen("daemon   = \"frr\"", "daemon   = \"frr\"\noperators = \"operator\"\nviewers = \"viewer\"", 1);
    let machine = Machine::new(&toml);
    machine.sh("for user in operator:4001 viewer:4002; do
             sed -i \"/^${user%%:*}:/d\" /etc/passwd /etc/group
             echo \"${user%%:*}:x:${user##*:}:${user##*:}::/:/bin/sh\" >>/etc/passwd
             echo \"${user%%:*}:x:${user##*:}:\" >>/etc/group
         done");
    machine.start();
    let change =
        "conf t\nrouter bgp 65002\nneighbor 192.0.2.9 remote-as 65009\nneighbor 192.0.2.9 password hunter2\nend";
    let ask = |user: &str, text: &str| {
        machine.run(&[
            "setpriv",
            "--reuid",
            user,
            "--regid",
            user,
            "--init-groups",
            RDSUP,
            "-c",
            CONFIG,
            "ctl",
            "private",
            text,
        ])
    };
    assert!(ask("viewer", "show version\nshow interface brief").ok().contains("rd-internet"));
    for text in [change, "show version\nenable\nshow running-config", "show running-config", "zebra enable"] {
        let said = ask("viewer", text);
        assert!(!said.status.success() && !said.stdout.contains("router bgp"), "{said}");
    }
    ask("operator", change).ok();
    assert!(ask("operator", "show running-config").ok().contains("neighbor 192.0.2.9 password hunter2"));
    let log = machine.sh("cat /run/rdsup/log/rdsup.log");
    assert!(log.contains("neighbor 192.0.2.9 password …") && !log.contains("hunter2"), "{log}");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_restart_takes_what_was_typed_away() {
    let machine = Machine::running(&demo());
    machine
        .run(&[
            RDSUP,
            "-c",
            CONFIG,
            "ctl",
            "private",
            "conf t\nrouter bgp 65002\nneighbor 192.0.2.9 remote-as 65009\nend",
        ])
        .ok();
    assert!(machine.rdsup("ctl private show running-config").ok().contains("192.0.2.9"));
    machine.sh("kill -9 $(cat /run/rdsup/private/frr/bgpd.pid)");
    eventually(SOON, "bgpd is started again without it", || {
        let said = machine.rdsup("ctl private show running-config");
        said.status.success() && !said.stdout.contains("192.0.2.9")
    });
}
