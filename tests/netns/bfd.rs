//! BFD with an external neighbor: a way that is cut without a word ends the session in about a second.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::announced::Announced;
use crate::machine::{Machine, SOON, eventually, frr_version, throughout, words};

/// A domain with an upstream on `up0`, over both families.
const EDGE: &str = r#"
[domain.edge]
daemon   = "bird"
asn      = 65001
loopback = ["198.51.100.1/32", "2001:db8:1::1/128"]
networks = ["198.51.100.0/24", "2001:db8:1::/48"]

[[domain.edge.interface]]
name    = "up0"
address = ["203.0.113.2/29", "2001:db8:ffff::2/64"]
input   = ["icmp"]

[[domain.edge.neighbor]]
name     = "transit"
address  = "203.0.113.1"
asn      = 64510
routes   = ["9.0.0.0/8 le 24"]
announce = ["198.51.100.0/24"]
bfd      = true

[[domain.edge.neighbor]]
name     = "transit6"
address  = "2001:db8:ffff::1"
asn      = 64510
routes   = ["2a00::/16 le 48"]
announce = ["2001:db8:1::/48"]
bfd      = true
"#;

/// The neighbor, which wants BFD whatever the domain does.
const ISP: &str = r#"
router id 203.0.113.1;
log "/srv/machine/isp.log" all;
debug protocols { states };
protocol device { }
protocol bfd watch { interface "customer" { interval 300 ms; multiplier 3; }; }
protocol static { ipv4; route 9.1.0.0/16 unreachable; }
protocol static { ipv6; route 2a00:1450::/32 unreachable; }
template bgp any { direct; ttl security on; bfd on; connect delay time 1; connect retry time 1; error wait time 1, 1; hold time 90; }
protocol bgp four from any { local 203.0.113.1 as 64510; neighbor 203.0.113.2 as 65001; ipv4 { import all; export where source = RTS_STATIC; }; }
protocol bgp six from any { local 2001:db8:ffff::1 as 64510; neighbor 2001:db8:ffff::2 as 65001; ipv6 { import all; export where source = RTS_STATIC; }; }
"#;

fn of(daemon: &str) -> String {
    EDGE.replace("daemon   = \"bird\"", &format!("daemon   = {daemon:?}"))
}

/// The same file with BFD for nobody.
fn without(file: &str) -> String {
    file.replace("bfd      = true\n", "")
}

/// The same file or neighbor with both in one AS.
fn within_one_as(text: &str) -> String {
    text.replace("asn      = 64510", "asn      = 65001\nibgp     = true").replace("as 64510;", "as 65001;")
}

/// A machine whose `up0` leads over a bridge to a namespace `isp`, so that the way can be cut far from both ends.
fn wired(file: &str) -> Machine {
    let machine = Machine::new(file);
    machine.sh("ip netns add wire; ip netns add isp
         ip -n wire link add wire type bridge; ip -n wire link set wire up
         ip link add up0 type veth peer name near netns wire
         ip -n isp link add customer type veth peer name far netns wire
         for end in near far; do ip -n wire link set $end master wire up; done
         ip -n isp link set lo up; ip -n isp link set customer up; ip link set up0 up
         ip -n isp address add 203.0.113.1/29 dev customer; ip -n isp address add 203.0.113.3/29 dev customer
         ip -n isp address add 2001:db8:ffff::1/64 dev customer nodad
         ip -n isp address add 2001:db8:ffff::3/64 dev customer nodad");
    machine
}

/// The same with a BIRD of its own at the neighbor's end, when both sessions are up.
fn machine(file: &str, isp: &str) -> Machine {
    let machine = wired(file);
    machine.write("/srv/machine/isp.conf", isp);
    machine.line("ip netns exec isp bird -c /srv/machine/isp.conf -s /srv/machine/isp.ctl -P /srv/machine/isp.pid");
    machine.rdsup("start --detach").ok();
    eventually(SOON, "both sessions are up", || machine.up() == 2);
    machine
}

impl Machine {
    fn isp(&self, command: &str) -> String {
        self.sh(&format!("birdc -s /srv/machine/isp.ctl {command}"))
    }

    /// How many sessions of the domain are up.
    fn up(&self) -> usize {
        self.sessions().values().flatten().count()
    }

    /// How many sessions the neighbor watches that are there.
    fn watched_by_isp(&self) -> usize {
        self.isp("show bfd sessions").lines().filter(|line| line.contains(" Up ")).count()
    }

    /// How often a BGP session came up at the neighbor, which is a BIRD.
    fn came_up(&self) -> usize {
        let log = self.sh("cat /srv/machine/isp.log");
        log.lines()
            .filter(|line| ["four", "six"].iter().any(|name| line.ends_with(&format!("{name}: State changed to up"))))
            .count()
    }

    /// How many sessions the domain watches that are there.
    fn watches(&self, daemon: &str) -> usize {
        let command = if daemon == "bird" { "show bfd sessions" } else { "show bfd peers brief" };
        let said = self.rdsup(&format!("ctl edge {command}")).stdout.to_lowercase();
        said.lines().filter(|line| words(line).contains(&"up")).count()
    }

    /// Whatever in the domain takes BFD, echo packets and that of several hops included.
    fn listeners(&self) -> String {
        let all = self.within("edge", "ss -Hlnu").ok();
        all.lines().filter(|line| [":3784 ", ":3785 ", ":4784 "].iter().any(|port| line.contains(port))).collect()
    }

    /// The process of a program of the domain's daemon.
    fn pid_of(&self, program: &str) -> String {
        self.sh(&format!("sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/' /run/rdsup/edge/{program}.json"))
    }

    /// Sends a packet of BFD's that is told from others by its length.
    fn forges(&self, source: &str, destination: &str, port: u16, hops: u8) {
        const SENDER: &str = r#"
            use Socket qw(:all);
            my ($from, $to, $port, $hops) = @ARGV;
            my $six = $to =~ /:/;
            my $end = sub { $six ? pack_sockaddr_in6($_[1], inet_pton(AF_INET6, $_[0])) : pack_sockaddr_in($_[1], inet_aton($_[0])) };
            socket(my $s, $six ? AF_INET6 : AF_INET, SOCK_DGRAM, 17) or die "socket: $!";
            setsockopt($s, $six ? 41 : 0, $six ? 16 : 2, int($hops)) or die "hop limit: $!";
            bind($s, $end->($from, 0)) or die "bind: $!";
            send($s, pack("CCCC", 0x20, 0x40, 3, 24) . "\0" x 88, 0, $end->($to, $port)) or die "send: $!";
        "#;
        let (port, hops) = (port.to_string(), hops.to_string());
        self.run(&["ip", "netns", "exec", "isp", "perl", "-e", SENDER, source, destination, &port, &hops]).ok();
    }
}

/// The same with FRR at the neighbor's end, whose settings towards the domain are `settings`.
fn machine_with_frr(file: &str, settings: &str) -> Machine {
    let machine = wired(file);
    machine.write(
        "/srv/machine/isp.bgpd.conf",
        &format!(
            "{settings} neighbor 203.0.113.2 timers connect 1\n \
             neighbor 2001:db8:ffff::2 timers connect 1\n bgp router-id 203.0.113.1\n no bgp ebgp-requires-policy\n \
             address-family ipv4 unicast\n  network 9.1.0.0/16\n exit-address-family\n \
             address-family ipv6 unicast\n  network 2a00:1450::/32\n  neighbor 2001:db8:ffff::2 activate\n"
        ),
    );
    machine.sh("mkdir -p /srv/machine/frr /var/tmp/frr; chown frr:frr /srv/machine/frr; mount -t tmpfs -o uid=frr,gid=frr tmpfs /var/tmp/frr
         at=/srv/machine/frr
         begin() { ip netns exec isp /usr/lib/frr/$1 -d -P 0 -z $at/zserv.api --vty_socket $at -i $at/$1.pid -f $2 \
                       --log file:$at/$1.log \"${@:3}\" 2>$at/$1.err; }
         begin zebra /dev/null
         # FRR 10.2 has no such socket any more, and nobody else here makes another.
         if /usr/lib/frr/bfdd --help | grep -q -e --bfdctl; then begin bfdd /dev/null --bfdctl $at/bfdd.sock; else begin bfdd /dev/null; fi
         begin bgpd /srv/machine/isp.bgpd.conf");
    machine.rdsup("start --detach").ok();
    machine
}

fn is_cut_and_noticed(daemon: &str) {
    let machine = machine(&of(daemon), ISP);
    eventually(SOON, "both are watched", || machine.watched_by_isp() == 2);
    machine.assert_converged();
    machine.line("ip -n wire link set far nomaster");
    let begun = Instant::now();
    eventually(SOON, "both sessions are down", || machine.up() == 0);
    let took = begun.elapsed();
    println!("{daemon}: down after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    eventually(SOON, "the route goes", || machine.routes_to("edge", "9.1.0.0/16").is_empty());
    machine.line("ip -n wire link set far master wire");
    eventually(SOON, "all is well again", || machine.up() == 2 && machine.watched_by_isp() == 2);
}

#[test]
fn a_way_that_is_cut_ends_sessions_of_bird_in_about_a_second() {
    is_cut_and_noticed("bird");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_way_that_is_cut_ends_sessions_of_frr_in_about_a_second() {
    is_cut_and_noticed("frr");
}

/// bfdd looks for another zebra after ten seconds only, and then has sessions that nobody wants any more. A neighbor that has to
/// find out by itself that BFD is gone closes a session that was back before it did.
#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn sessions_that_come_back_when_frr_lost_a_program_are_closed_no_second_time() {
    let machine = machine(&of("frr"), ISP);
    eventually(SOON, "both are watched", || machine.watched_by_isp() == 2);
    for program in ["zebra", "bgpd"] {
        let (bgpd, before) = (machine.program("edge", "bgpd"), machine.came_up());
        machine.line(&format!("kill -9 {}", machine.pid_of(program)));
        eventually(SOON, "all is well again", || {
            machine.program("edge", "bgpd").is_some_and(|now| Some(now) != bgpd)
                && machine.up() == 2
                && machine.watched_by_isp() == 2
        });
        throughout(Duration::from_secs(15), "each came back once", || machine.came_up() == before + 2);
    }
}

/// What the documents say that FRR at the neighbor's end needs, for both neighbors.
fn documented() -> String {
    const DOCS: &str = include_str!("../../docs/policy.md");
    let (_, text) = DOCS.split_once("```\nrouter bgp 64510\n").expect("the documents have it");
    let (text, _) = text.split_once("```").expect("it ends");
    let of_one = text.lines().filter(|line| line.starts_with(" neighbor 203.0.113.2 "));
    let of_other = of_one.map(|line| line.replace("203.0.113.", "2001:db8:ffff::") + "\n").collect::<String>();
    assert!(!of_other.is_empty(), "{text}");
    format!("router bgp 64510\n{text}{of_other}")
}

fn is_watched_by_frr(daemon: &str) {
    let machine = machine_with_frr(&of(daemon), &documented());
    eventually(SOON, "both sessions are up", || machine.up() == 2);
    eventually(SOON, "both are watched", || machine.watches(daemon) == 2);
    let shown = machine.rdsup("ctl edge show bgp neighbor transit").stdout;
    assert!(shown.contains("  BFD        up\n"), "{shown}");
    machine.line("ip -n wire link set far nomaster");
    let begun = Instant::now();
    eventually(SOON, "both sessions are down", || machine.up() == 0);
    let took = begun.elapsed();
    println!("{daemon}: down after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    machine.line("ip -n wire link set far master wire");
    eventually(SOON, "all is well again", || machine.up() == 2 && machine.watches(daemon) == 2);
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn frr_with_the_lines_that_the_documents_have_is_watched_by_bird() {
    is_watched_by_frr("bird");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn frr_with_the_lines_that_the_documents_have_is_watched_by_frr() {
    is_watched_by_frr("frr");
}

fn is_told_where_it_does_not_work(daemon: &str) {
    let itself = |settings: &str| ["203.0.113.2", "2001:db8:ffff::2"].map(|us| settings.replace("US", us)).concat();
    // FRR 10.2 and 10.3 open no session while BFD is down, and say so; the other end speaks none there, or it would not open one.
    let first = ([10, 2]..[10, 4]).contains(&frr_version());
    let bfd = if first { "" } else { " neighbor US bfd\n" };
    let settings = itself(&format!(" neighbor US remote-as 65001\n neighbor US ttl-security hops 1\n{bfd}"));
    let machine = machine_with_frr(&of(daemon), &format!("router bgp 64510\n{settings}"));
    let begins = daemon == "bird" || !first;
    if begins {
        eventually(SOON, "both sessions are up", || machine.up() == 2);
    } else {
        // One may have come up before BFD said anything. From then on it does not, until nobody wants BFD any more.
        let begun = |machine: &Machine| machine.within("edge", "ss -Hltn sport = 179").ok().contains(":179");
        eventually(SOON, "bgpd is there", || begun(&machine));
        machine.rdsup("ctl edge clear bgp *").ok();
    }
    let told = |name: &str, status: &str| {
        let words = if begins { "so nothing notices" } else { "and FRR 10.2 and 10.3 open no session without it" };
        status.contains(&format!("edge: BFD with {name} is down, {words}"))
    };
    eventually(SOON, "both are problems", || {
        let status = machine.rdsup("status");
        let both = told("transit", &status.stdout) && told("transit6", &status.stdout);
        both && status.code() == Some(3)
    });
    let shown = machine.rdsup("ctl edge show bgp neighbor transit").stdout;
    assert!(shown.contains("  BFD        down\n"), "{shown}");
    // With `bfd` for nobody nothing is missed.
    machine.configure(&without(&of(daemon)));
    machine.rdsup("apply").ok();
    eventually(SOON, "all is well", || machine.up() == 2 && machine.rdsup("status").code() == Some(0));
    let shown = machine.rdsup("ctl edge show bgp neighbor transit").stdout;
    assert!(!shown.contains("  BFD "), "{shown}");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_neighbor_that_bird_does_not_see_by_bfd_while_its_session_is_up_is_a_problem() {
    is_told_where_it_does_not_work("bird");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_neighbor_that_frr_does_not_see_by_bfd_while_its_session_is_up_is_a_problem() {
    is_told_where_it_does_not_work("frr");
}

fn is_not_there_unasked(daemon: &str) {
    let machine = machine(&without(&of(daemon)), ISP);
    machine.unattended();
    assert_eq!(machine.listeners(), "");
    machine.watch("edge", "input", "udp dport { 3784, 3785, 4784 }");
    let rising = machine.rising("edge", || {
        throughout(Duration::from_secs(3), "nobody is watched", || machine.watched_by_isp() == 0);
    });
    assert!(rising.contains(&"drop.up0.input".to_owned()), "the neighbor says nothing: {rising:?}");
    assert_eq!(machine.watched("edge"), 0, "BFD came in");
    machine.line("ip -n wire link set far nomaster");
    let both = || machine.isp("show protocols").lines().filter(|line| line.contains("Established")).count() == 2;
    throughout(Duration::from_secs(3), "the sessions stay", both);
}

#[test]
fn without_bfd_bird_neither_listens_to_it_nor_gets_it() {
    is_not_there_unasked("bird");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn without_bfd_frr_neither_listens_to_it_nor_gets_it() {
    is_not_there_unasked("frr");
}

fn is_not_forged(daemon: &str) {
    let machine = machine(&of(daemon), ISP);
    machine.unattended();
    eventually(SOON, "both are watched", || machine.watched_by_isp() == 2);
    let ours =
        [("203.0.113.1", "203.0.113.3", "203.0.113.2"), ("2001:db8:ffff::1", "2001:db8:ffff::3", "2001:db8:ffff::2")];
    for (neighbor, other, own) in ours {
        for (source, port, hops, why) in [
            (other, 3784, 255, "drop.up0.input"),
            (neighbor, 3784, 254, "drop.up0.ttl"),
            (neighbor, 3784, 1, "drop.up0.ttl"),
            (neighbor, 3785, 255, "drop.up0.input"),
        ] {
            machine.watch("edge", "input", "udp dport { 3784, 3785 } udp length 100");
            let counted = machine.rising("edge", || {
                machine.forges(source, own, port, hops);
                // What comes behind it has come past the filter too.
                machine.forges(neighbor, own, 3784, 255);
                eventually(SOON, "what may come does", || machine.watched("edge") > 0);
            });
            assert_eq!(machine.watched("edge"), 1, "from {source} to port {port} with {hops}");
            assert!(counted.iter().any(|name| name == why), "{source} {port} {hops}: {counted:?}");
        }
        machine.watch("edge", "input", "udp dport 4784");
        machine.forges(neighbor, own, 4784, 255);
        throughout(Duration::from_millis(300), "BFD over several hops does not come in", || {
            machine.watched("edge") == 0
        });
    }
    assert_eq!(machine.watched_by_isp(), 2, "a forged packet did harm");
}

#[test]
fn bfd_of_somebody_else_or_from_further_away_does_not_reach_bird() {
    is_not_forged("bird");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn bfd_of_somebody_else_or_from_further_away_does_not_reach_frr() {
    is_not_forged("frr");
}

/// Applies a file. Answers with what was announced, and the sessions that were reset.
fn applied(machine: &Machine, file: &str) -> (Announced, BTreeSet<String>) {
    machine.configure(file);
    let (announced, before) = (machine.announced(), machine.sessions());
    machine.rdsup("apply").ok();
    let watched = if file.contains("bfd      = true") { 2 } else { 0 };
    // BFD that goes away is missed after 0.9 s, and the neighbor connects again 1 s later.
    throughout(Duration::from_secs(3), "it is applied", || true);
    eventually(SOON, "the sessions are as they were", || machine.up() == 2 && machine.watched_by_isp() == watched);
    let after = machine.sessions();
    let reset = after.iter().filter(|(end, since)| before.get(*end) != Some(since)).map(|((_, name), _)| name.clone());
    (announced, reset.collect())
}

fn both() -> BTreeSet<String> {
    ["transit", "transit6"].map(str::to_owned).into()
}

fn names(ends: &BTreeSet<(String, String)>) -> BTreeSet<String> {
    ends.iter().map(|(_, session)| session.clone()).collect()
}

#[test]
fn switching_bfd_on_resets_no_session_of_bird_and_switching_it_off_may_do_so() {
    let machine = machine(&without(&of("bird")), ISP);
    let (announced, reset) = applied(&machine, &of("bird"));
    assert!(
        announced.certain.is_empty() && announced.possible.is_empty() && reset.is_empty(),
        "{announced:?} {reset:?}"
    );
    let (announced, reset) = applied(&machine, &without(&of("bird")));
    assert_eq!((names(&announced.possible), reset), (both(), both()), "{announced:?}");
    assert!(announced.certain.is_empty() && machine.listeners().is_empty());
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn switching_bfd_on_and_off_starts_and_stops_bfdd_alone_and_resets_what_was_announced() {
    let machine = machine(&within_one_as(&without(&of("frr"))), &within_one_as(ISP));
    let others = || ["zebra", "bgpd"].map(|program| machine.pid_of(program));
    let before = others();
    let (announced, reset) = applied(&machine, &within_one_as(&of("frr")));
    assert!(
        announced.certain.is_empty() && announced.possible.is_empty() && reset.is_empty(),
        "{announced:?} {reset:?}"
    );
    let bfdd = machine.pid_of("bfdd");
    // It would do whatever anybody asks of it by that socket, and every user may.
    assert_eq!(machine.sh("find /run /var /tmp -name 'bfdd.sock'"), "");
    // The next supervisor finds it, and one that is lost is started again.
    machine.signal_supervisor("KILL");
    machine.rdsup("start --detach").ok();
    assert_eq!((machine.pid_of("bfdd"), others()), (bfdd.clone(), before.clone()));
    machine.assert_converged();
    machine.sh(&format!("kill -9 {bfdd}"));
    eventually(SOON, "bfdd is there again", || {
        let another = machine.program("edge", "bfdd").is_some_and(|now| now != bfdd);
        another && machine.up() == 2 && machine.watched_by_isp() == 2
    });
    let (announced, _) = applied(&machine, &within_one_as(&without(&of("frr"))));
    assert_eq!((names(&announced.possible), announced.certain.len()), (both(), 0), "{announced:?}");
    assert_eq!((others(), machine.listeners().as_str()), (before, ""));
    assert!(!machine.sh("ls /run/rdsup/edge").contains("bfdd"), "something of bfdd is left");
    machine.assert_converged();
    let clean = machine.sh("ls /run/netns");
    machine.stop();
    assert!(clean.contains("edge") && !machine.sh("ls /run/netns").contains("edge"));
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn switching_bfd_on_resets_sessions_of_frr_with_another_as_and_plan_says_so() {
    let machine = machine(&without(&of("frr")), ISP);
    for file in [of("frr"), without(&of("frr"))] {
        let (announced, reset) = applied(&machine, &file);
        assert_eq!((names(&announced.certain), reset), (both(), both()), "{announced:?}");
    }
    assert_eq!(machine.listeners(), "");
}
