//! What whoever has taken a daemon of FRR over puts in its directory, which is that user's: it reaches no other domain, and keeps
//! nobody from being looked after.

use crate::machine::{Machine, SOON, eventually};

const TWO: &str = r#"
[domain.a]
daemon   = "frr"
asn      = 65001
loopback = ["10.1.0.1/32"]
networks = ["10.1.0.0/16"]
[domain.b]
daemon   = "frr"
asn      = 65002
loopback = ["10.2.0.1/32"]
networks = ["10.2.0.0/16"]
[[link]]
between = ["a", "b"]
[link.into.a]
routes  = ["10.2.0.0/16"]
[link.into.b]
routes  = ["10.1.0.0/16"]
"#;

/// Says what is asked every few seconds, and else begins an answer that never ends.
const WITHOUT_END: &str = r#"
use Socket;
$SIG{CHLD} = "IGNORE";
unlink $ARGV[0];
my $l;
socket($l, PF_UNIX, SOCK_STREAM, 0) and bind($l, pack_sockaddr_un($ARGV[0])) and listen($l, 8) or die "$!";
chmod 0777, $ARGV[0];
alarm 120;
while (accept(my $c, $l)) {
    next if fork;
    while (sysread($c, my $said, 4096)) {
        if ($said =~ /^echo/) { syswrite($c, "ready\n\0\0\0\0") }
        elsif ($said =~ /^enable/) { syswrite($c, "\0\0\0\0") }
        else { while (syswrite($c, "x")) { select(undef, undef, undef, 0.5) } }
    }
    exit;
}
"#;

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_link_in_place_of_a_socket_leads_to_no_other_domain() {
    let machine = Machine::new(TWO);
    machine.start();
    assert!(machine.rdsup("ctl a show version").ok().contains("(a)"));
    machine.sh(
        "mv /run/rdsup/a/frr/bgpd.vty /run/rdsup/a/frr/away; ln -s /run/rdsup/b/frr/bgpd.vty /run/rdsup/a/frr/bgpd.vty",
    );
    let said = machine.rdsup("ctl a show version");
    assert!(!said.status.success() && !said.stdout.contains("(b)"), "{said}");
    assert!(said.stderr.contains("/run/rdsup/a/frr/bgpd.vty") && said.stderr.contains("it is a link"), "{said}");
    // At a terminal it is vtysh that connects.
    let shell = format!("{} -c {} ctl a", crate::machine::RDSUP, crate::machine::CONFIG);
    let typed = machine.sh(&format!("printf 'show version\\nexit\\n' | script -qec '{shell}' /dev/null || true"));
    assert!(typed.contains("is a link") && !typed.contains("(b)"), "{typed}");
    // What it does not answer by itself is not held against the other one.
    eventually(2 * SOON, "it is replaced", || machine.rdsup("ctl a show version").stdout.contains("(a)"));
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn an_answer_without_end_keeps_nobody_from_being_looked_after() {
    let machine = Machine::new(TWO);
    machine.start();
    machine.write("/srv/machine/without-end.pl", WITHOUT_END);
    // From FRR 10.0 on zebra is told its part by mgmtd.
    let path =
        machine.sh("ls /run/rdsup/a/frr/mgmtd.vty 2>/dev/null || echo /run/rdsup/a/frr/zebra.vty").trim().to_owned();
    let socket = || machine.sh(&format!("stat -c %i:%a {path} 2>/dev/null || true")).trim().to_owned();
    let before = socket();
    let _lies = machine.spawn(&["perl", "/srv/machine/without-end.pl", &path]);
    eventually(SOON, "it listens in its place", || socket() != before && socket().ends_with(":777"));
    // The repair has zebra write its routes again, which is where it is asked.
    machine.line("ip -n a address delete 10.1.0.1/32 dev lo");
    machine.line("ip -n b link set rd-a down");
    let up = || machine.line("ip -n b -o link show dev rd-a").contains("state UP");
    eventually(2 * SOON, "another domain is looked after", up);
    eventually(2 * SOON, "what has no end is ended", || {
        machine.sh("cat /run/rdsup/log/rdsup.log").contains("it comes to no end with what it was asked")
    });
    eventually(2 * SOON, "the session is back", || {
        machine.rdsup("ctl a show bgp summary").stdout.contains(" Established ")
    });
}
