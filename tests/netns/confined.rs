//! What the kernel refuses a daemon, whatever its capabilities are.

use crate::machine::{Machine, SOON, eventually};

/// Both daemons, and of FRR every program that there is.
const BOTH: &str = r#"
[domain.left]
daemon   = "bird"
asn      = 65001
loopback = ["10.1.0.1/32"]
networks = ["10.1.0.0/16"]
[domain.right]
daemon   = "frr"
asn      = 65002
loopback = ["10.2.0.1/32"]
networks = ["10.2.0.0/16"]
[[domain.right.interface]]
name    = "up0"
address = ["203.0.113.2/29"]
[[domain.right.neighbor]]
name    = "transit"
address = "203.0.113.1"
asn     = 64510
routes  = ["9.0.0.0/8 le 24"]
bfd     = true
[[link]]
between = ["left", "right"]
[link.into.left]
routes  = ["10.2.0.0/16"]
[link.into.right]
routes  = ["10.1.0.0/16"]
"#;

#[test]
fn every_program_of_every_daemon_is_confined_and_so_is_the_one_that_replaces_it() {
    let machine = Machine::new(BOTH);
    machine.sh("ip link add up0 type veth peer name up1; ip link set up1 up");
    machine.rdsup("start --detach").ok();
    // The name of each program that runs in a domain, with what the kernel says of it.
    let programs = || {
        machine.sh("for domain in left right; do for pid in $(ip netns pids $domain); do
                        echo $(awk '/^(Name|Uid|NoNewPrivs|Seccomp):/ { print $2 }' /proc/$pid/status)
                    done; done | sort")
    };
    let (bird, frr) = (user(&machine, "bird"), user(&machine, "frr"));
    let confined = format!("bfdd {frr} 1 2\nbgpd {frr} 1 2\nbird {bird} 1 2\nzebra {frr} 1 2");
    assert_eq!(programs().trim(), confined);
    let blind = "for domain in left right; do for pid in $(ip netns pids $domain); do
                     grep ' /proc .*hidepid=invisible' /proc/$pid/mountinfo | tail -1; done; done | wc -l";
    assert_eq!(machine.sh(blind).trim(), "4", "processes of others are seen");
    machine.sh("kill -9 $(ip netns pids left) $(ip netns pids right)");
    eventually(SOON, "all of them are started again", || programs().trim() == confined);
    machine.rdsup("stop").ok();
}

fn user(machine: &Machine, name: &str) -> String {
    machine.sh(&format!("id -u {name}")).trim().to_owned()
}
