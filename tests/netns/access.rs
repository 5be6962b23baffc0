//! Who may do what.

use std::time::{Duration, Instant};

use crate::machine::{Background, CONFIG, DEMO, Machine, RDSUP, SOON, Said, eventually};

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
    // The session is established a moment before it has brought its routes.
    eventually(SOON, "the viewer sees a route", || {
        becomes(&machine, "viewer", "ctl private show bgp").ok().contains("198.51.100.0/24")
    });
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

/// So many users with so many connections each, on which so many bytes of a question are sent that never ends.
const CROWD: &str = r#"
use Socket;
use POSIX;
$SIG{PIPE} = "IGNORE";
my ($users, $each, $bytes) = @ARGV;
for my $uid (100001 .. 100000 + $users) {
    next if fork;
    POSIX::setgid($uid);
    POSIX::setuid($uid);
    my @held;
    for (1 .. $each) {
        socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
        connect($socket, pack_sockaddr_un("/run/rdsup/rdsup.sock")) or die "connect: $!";
        syswrite($socket, "{\"x\":\"" . "a" x $bytes) if $bytes;
        push @held, $socket;
    }
    print STDERR "there\n";
    sleep 600;
}
sleep 600;
"#;

fn crowd(machine: &Machine, users: usize, each: usize, bytes: usize) -> Background {
    let numbers = [users, each, bytes].map(|number| number.to_string());
    let mut crowd = machine.spawn(&["perl", "-e", CROWD, &numbers[0], &numbers[1], &numbers[2]]);
    eventually(SOON, "all are there", || crowd.complaint().matches("there").count() == users);
    crowd
}

#[test]
#[ignore = "needs root: several user ids"]
fn strangers_who_take_every_place_keep_nobody_out() {
    let machine = machine();
    for _ in 0..4 {
        let begun = Instant::now();
        let _crowd = crowd(&machine, 4, 64, 0);
        let asked = Instant::now();
        machine.rdsup("status").ok();
        assert!(machine.rdsup("confirm").refused(1).contains("nothing waits"));
        for user in ["viewer", "operator", "friend"] {
            becomes(&machine, user, "status").ok();
        }
        println!("256 idle strangers: five requests answered in {:?}", asked.elapsed());
        // Those who ask nothing are gone by themselves after ten seconds.
        if begun.elapsed() < Duration::from_secs(10) {
            return;
        }
    }
    panic!("the test proves nothing: the strangers were gone each time");
}

#[test]
#[ignore = "needs root: several user ids"]
fn what_strangers_send_costs_no_memory() {
    let machine = machine();
    let script = format!("awk '/VmHWM/ {{ print $2 }}' /proc/{}/status", machine.supervisor());
    let peak = || machine.sh(&script).trim().parse::<u64>().expect("a number of KiB");
    let before = peak();
    let _crowd = crowd(&machine, 2, 64, 4_000_000);
    machine.rdsup("status").ok();
    let more = peak() - before;
    println!("128 unfinished questions of 4 MB: {more} KiB");
    assert!(more < 16 << 10, "{more} KiB");
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
