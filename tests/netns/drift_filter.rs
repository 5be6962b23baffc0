//! How long a domain is without its filter when someone takes that away, and what is done where it cannot be put back.

use crate::drift::{ALL, OTHERS, identity};
use crate::machine::{Machine, SOON, eventually};

/// How often the filter is taken away under a stream.
const FLUSHES: usize = 20;

/// A domain with an interface to others, who may send it UDP to port 6000 and nothing else.
const EDGE: &str = r#"
[domain.edge]
families = ["ipv4"]
daemon   = "none"
loopback = ["198.51.100.1/32"]
networks = ["198.51.100.0/24"]
[[domain.edge.interface]]
name    = "up0"
address = ["203.0.113.2/30"]
outside = true
input   = ["udp/6000"]
[[domain.edge.route]]
to  = "0.0.0.0/0"
via = "203.0.113.1"
"#;

/// Sends a datagram to either port a thousand times a second until the file is there, and says how many to each.
const SENDER: &str = r#"
    use Socket qw(:all); use Time::HiRes qw(sleep time);
    socket(my $s, AF_INET, SOCK_DGRAM, 0) or die; bind($s, pack_sockaddr_in(4000, inet_aton("8.8.8.8"))) or die "$!";
    my @to = map { pack_sockaddr_in($_, inet_aton("203.0.113.2")) } 5000, 6000;
    my ($n, $begin) = (0, time);
    until (-e "/run/stop") {
        send($s, "x", 0, $_) for @to; $n++;
        my $early = $begin + $n / 1000 - time; sleep $early if $early > 0;
    }
    print $n;
"#;

/// Prints when each forbidden datagram came, in microseconds, and at the end how many allowed ones did.
const RECEIVER: &str = r#"
    use Socket qw(:all); use Time::HiRes qw(time);
    my ($forbidden, $allowed) = map {
        socket(my $s, AF_INET, SOCK_DGRAM, 0) or die; bind($s, pack_sockaddr_in($_, inet_aton("203.0.113.2"))) or die "$!";
        # SO_RCVBUFFORCE, for what comes while another program has the processor.
        setsockopt($s, SOL_SOCKET, 33, 8 << 20) or setsockopt($s, SOL_SOCKET, SO_RCVBUF, 8 << 20); $s
    } 5000, 6000;
    my $n = 0;
    open(my $ready, ">", "/run/ready") or die; close $ready;
    until (-e "/run/stopped") {
        my $in = ""; vec($in, fileno($_), 1) = 1 for $forbidden, $allowed;
        next unless select($in, undef, undef, 0.1) > 0;
        if (vec($in, fileno($forbidden), 1)) { recv($forbidden, my $x, 9, 0); printf "%d\n", time * 1e6; }
        if (vec($in, fileno($allowed), 1)) { recv($allowed, my $x, 9, 0); $n++; }
    }
    print "allowed $n\n";
"#;

#[test]
fn the_time_without_a_filter_is_measured_with_a_stream_of_what_it_forbids() {
    let machine = Machine::new(EDGE);
    machine.sh("ip netns add isp; ip link add up0 type veth peer name customer netns isp
         ip -n isp link set lo up; ip -n isp link set customer up; ip -n isp address add 203.0.113.1/30 dev customer
         ip -n isp address add 8.8.8.8/32 dev lo; ip -n isp route add 198.51.100.0/24 via 203.0.113.2");
    machine.start();
    let receiver = machine.spawn(&["ip", "netns", "exec", "edge", "perl", "-e", RECEIVER]);
    eventually(SOON, "the receiver listens", || machine.run(&["test", "-e", "/run/ready"]).status.success());
    let sender = machine.spawn(&["ip", "netns", "exec", "isp", "perl", "-e", SENDER]);
    let script = format!(
        "sleep 1; for n in $(seq {FLUSHES}); do
            echo ${{EPOCHREALTIME/./}}; ip netns exec edge nft flush ruleset; sleep 0.4
         done; echo ${{EPOCHREALTIME/./}}; touch /run/stop; sleep 0.3; touch /run/stopped"
    );
    let flushes: Vec<u64> = machine.sh(&script).lines().map(|line| line.parse().expect("microseconds")).collect();
    let sent: usize = sender.finish(SOON).ok().parse().expect("a number");
    let said = receiver.finish(SOON).ok();
    let allowed: usize =
        said.lines().last().and_then(|line| line.strip_prefix("allowed ")?.parse().ok()).expect("a number");
    let came: Vec<u64> = said.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(allowed > sent / 2, "{allowed} of {sent} allowed datagrams came: the network was dead");
    assert!(came.iter().all(|at| *at >= flushes[0]), "forbidden datagrams came before anybody did anything");
    let mut passed = Vec::new();
    let mut gaps = Vec::new();
    for window in flushes.windows(2) {
        let inside: Vec<u64> = came.iter().copied().filter(|at| (window[0]..window[1]).contains(at)).collect();
        passed.push(inside.len());
        gaps.push(inside.last().zip(inside.first()).map_or(0, |(last, first)| (last - first) / 1000));
    }
    passed.sort_unstable();
    gaps.sort_unstable();
    let middle = FLUSHES / 2;
    println!(
        "`nft flush ruleset` {FLUSHES} times under 1000 forbidden packets a second ({sent} sent, {allowed} of as many allowed ones came):
    packets that passed for each flush: median {}, most {}; time without a filter: median {} ms, longest {} ms",
        passed[middle],
        passed[FLUSHES - 1],
        gaps[middle],
        gaps[FLUSHES - 1]
    );
    // Not each time: the sender, too, waits for a processor.
    assert!(passed[FLUSHES - 1] > 0, "a filter that is gone lets through what it forbids: the stream shows nothing");
    assert!(gaps[FLUSHES - 1] < 3000, "a domain was without its filter for {} ms", gaps[FLUSHES - 1]);
    machine.rdsup("status --wait 30s").ok();
    machine.assert_converged();
}

#[test]
fn a_domain_whose_filter_cannot_be_put_back_is_closed_until_it_can() {
    let machine = Machine::demo();
    let before = identity(&machine, &OTHERS);
    let nft = machine.sh("command -v nft").trim().to_owned();
    machine.sh(&format!("cp {nft} /srv/machine/nft; mount --bind /bin/false {nft}"));
    machine.line("ip netns exec private /srv/machine/nft flush ruleset");
    eventually(SOON, "its link goes down", || {
        !machine.line("ip -n private -o link show dev rd-internet").contains(",UP")
    });
    eventually(SOON, "the problem is told", || {
        let status = machine.rdsup("status");
        status.code() == Some(3) && status.stdout.contains("private: ")
    });
    // Others are mended meanwhile.
    machine.line("ip -n hostile address delete 10.66.0.1/32 dev lo");
    eventually(SOON, "another domain's address comes back", || {
        machine.line("ip -n hostile -o address show dev lo").contains("10.66.0.1/32")
    });
    assert!(!machine.line("ip -n private -o link show dev rd-internet").contains(",UP"), "it is open without a filter");
    // Lazily: rdsup may just be trying.
    machine.line(&format!("umount -l {nft}"));
    eventually(SOON, "its link comes back", || machine.established("private", "rd_internet"));
    machine.rdsup("status --wait 30s").ok();
    eventually(SOON, "packets cross again", || machine.pings("private", "198.51.100.1"));
    assert_eq!(identity(&machine, &OTHERS), before);
    machine.assert_converged();
}

#[test]
fn a_filter_is_put_back_while_the_supervisor_waits_for_something_else() {
    let machine = Machine::demo();
    // Its daemon never answers, and an apply that starts it waits half a minute for that.
    machine
        .configure(&format!("{}\n[domain.slow]\nasn = 65009\nloopback = [\"203.0.113.9/32\"]\n", crate::machine::DEMO));
    let bird = machine.sh("command -v bird").trim().to_owned();
    machine.sh(&format!(
        "cp {bird} /srv/machine/bird.real
         printf '#!/bin/sh\\ncase \"$*\" in *slow*-p*|*-p*) exec /srv/machine/bird.real \"$@\";; *) exec sleep 1000;; esac\\n' >/srv/machine/bird
         chmod +x /srv/machine/bird; mount --bind /srv/machine/bird {bird}"
    ));
    let mut apply = machine.spawn(&[crate::machine::RDSUP, "-c", crate::machine::CONFIG, "apply"]);
    eventually(SOON, "the new domain is there", || machine.line("ip netns list").contains("slow"));
    for _ in 0..5 {
        machine.line("ip netns exec private nft flush ruleset");
        eventually(SOON, "the filter is back", || {
            machine.within("private", "nft list table inet rdsup").status.success()
        });
    }
    assert!(apply.is_running(), "the apply did not wait: {}", apply.complaint());
    assert_eq!(identity(&machine, &ALL).len(), 7);
}
