//! Who may do what.

use crate::machine::{CONFIG, DEMO, Machine, RDSUP, Said};

/// A machine with one operator and one viewer of `private`, a member of group rdsup, and someone else.
fn machine() -> Machine {
    let machine =
        Machine::new(&DEMO.replace("asn      = 65002", "asn      = 65002\noperators = \"netops\"\nviewers = \"noc\""));
    machine.sh("for user in operator:4001 viewer:4002 friend:4003 stranger:4004; do
             echo \"${user%%:*}:x:${user##*:}:${user##*:}::/:/bin/sh\" >>/etc/passwd
             echo \"${user%%:*}:x:${user##*:}:\" >>/etc/group
         done
         sed -i '/^rdsup:/d' /etc/group
         printf 'netops:x:4101:operator\\nnoc:x:4102:viewer\\nrdsup:x:4103:friend\\n' >>/etc/group
         chmod 644 /etc/passwd /etc/group; chmod 755 /srv/machine; chmod 644 /srv/machine/rdsup.toml");
    machine.start();
    machine
}

fn becomes(machine: &Machine, user: &str, line: &str) -> Said {
    let mut argv = vec!["setpriv", "--reuid", user, "--regid", user, "--init-groups", RDSUP, "-c", CONFIG];
    argv.extend(line.split_whitespace());
    machine.run(&argv)
}

#[test]
#[ignore = "needs root: several user ids"]
fn a_stranger_may_ask_nothing() {
    let machine = machine();
    for line in ["ctl private show bgp", "ctl private show status", "ctl private disable rd_internet", "stop"] {
        let said = becomes(&machine, "stranger", line);
        assert!(!said.status.success(), "{said}");
        assert!(said.stderr.contains("error"), "{said}");
    }
    assert!(machine.established("private", "rd_internet"));
}

#[test]
#[ignore = "needs root: several user ids"]
fn a_viewer_looks_at_its_domain_and_changes_nothing() {
    let machine = machine();
    assert!(becomes(&machine, "viewer", "ctl private show bgp").ok().contains("198.51.100.0/24"));
    becomes(&machine, "viewer", "ctl private show status").ok();
    for line in
        ["ctl private disable rd_internet", "ctl private down", "ctl private configure", "ctl internet show status"]
    {
        let said = becomes(&machine, "viewer", line);
        assert!(!said.status.success(), "{said}");
    }
    assert!(machine.established("private", "rd_internet"));
}

#[test]
#[ignore = "needs root: several user ids"]
fn an_operator_controls_its_domain_and_no_other() {
    let machine = machine();
    becomes(&machine, "operator", "ctl private disable rd_internet").ok();
    assert!(!machine.established("private", "rd_internet"));
    becomes(&machine, "operator", "ctl private enable rd_internet").ok();
    for line in ["ctl internet show status", "ctl hostile disable rd_internet", "stop"] {
        let said = becomes(&machine, "operator", line);
        assert!(!said.status.success(), "{said}");
    }
}

#[test]
#[ignore = "needs root: several user ids"]
fn a_member_of_group_rdsup_may_do_everything() {
    let machine = machine();
    becomes(&machine, "friend", "ctl * show status").ok();
    becomes(&machine, "friend", "status").ok();
    becomes(&machine, "friend", "stop").ok();
    assert!(!machine.line("ip netns list").contains("private"));
}

#[test]
#[ignore = "needs root: several user ids"]
fn exec_through_sudo_becomes_the_calling_user_without_capabilities() {
    let machine = machine();
    let said = machine.run(&[
        "env",
        "SUDO_UID=4004",
        "SUDO_GID=4004",
        "SUDO_USER=stranger",
        RDSUP,
        "-c",
        CONFIG,
        "exec",
        "private",
        "--",
        "sh",
        "-c",
        "id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status",
    ]);
    let text = said.ok();
    assert!(text.starts_with("4004\n"), "{text}");
    assert!(text.contains("CapEff:\t0000000000000000") && text.contains("NoNewPrivs:\t1"), "{text}");
    let said = machine.run(&[
        "env",
        "SUDO_UID=4004",
        "SUDO_GID=4004",
        "SUDO_USER=stranger",
        RDSUP,
        "-c",
        CONFIG,
        "exec",
        "private",
        "--root",
        "--",
        "id",
        "-u",
    ]);
    assert_eq!(said.ok(), "0\n");
    let said = machine.rdsup("exec private --user operator -- id -u");
    assert_eq!(said.ok(), "4001\n");
}
