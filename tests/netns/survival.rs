//! What survives when a process ends: forwarding, sessions, and what is known of the one that ended.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::machine::{CONFIG, DEMO, Machine, RDSUP, SOON, eventually, words};

/// Everything that changes when a daemon is restarted or a session reset.
fn identity(machine: &Machine) -> Vec<String> {
    let daemons = ["internet", "private", "hostile"].map(|domain| format!("{:?}", machine.bird(domain)));
    let sessions = [("private", "rd_internet"), ("internet", "rd_private"), ("hostile", "rd_internet")];
    let sessions = sessions.map(|(domain, protocol)| machine.session(domain, protocol));
    assert!(sessions.iter().all(|session| session.contains("Established")), "{sessions:?}");
    daemons.into_iter().chain(sessions).collect()
}

/// A hub and so many domains around it, each with a session to the hub.
fn star(leaves: usize) -> String {
    let domain = |name: &str, number: usize| {
        format!(
            "[domain.{name}]\nasn = {}\nloopback = [\"10.{number}.0.1/32\"]\nnetworks = [\"10.{number}.0.0/16\"]\n",
            65001 + number
        )
    };
    let mut toml = domain("hub", 0);
    for number in 1..=leaves {
        toml += &domain(&format!("leaf{number}"), number);
        let _ = write!(
            toml,
            "[[link]]\nbetween = [\"leaf{number}\", \"hub\"]\n[link.into.leaf{number}]\nroutes = [\"10.0.0.0/16\"]\n\
             [link.into.hub]\nroutes = [\"10.{number}.0.0/16\"]\npackets = [\"icmp\"]\n"
        );
    }
    toml
}

#[test]
fn ten_daemons_killed_with_9_lose_no_packet_and_no_route_and_their_sessions_come_back() {
    const KILLS: usize = 10;
    let machine = Machine::running(&star(KILLS));
    for number in 1..=KILLS {
        eventually(SOON, "the leaf can ping the hub", || machine.pings(&format!("leaf{number}"), "10.0.0.1"));
    }
    let mut times = Vec::new();
    let mut lost = Vec::new();
    for number in 1..=KILLS {
        let leaf = format!("leaf{number}");
        let others = machine.session("hub", &format!("rd_leaf{}", number % KILLS + 1));
        let before = machine.bird(&leaf).expect("a daemon");
        let ping = machine.spawn(&words(&format!("ip netns exec {leaf} ping -n -q -i 0.01 -c 350 -W 1 10.0.0.1")));
        machine.line(&format!("kill -9 {before}"));
        let killed = Instant::now();
        let prefix = format!("10.{number}.0.0/16");
        eventually(SOON, "its session is established again", || {
            assert!(machine.routes_to("hub", &prefix).contains(" dev "), "its neighbor dropped its routes");
            assert!(machine.routes_to(&leaf, "10.0.0.0/16").contains(" dev "), "its kernel lost its routes");
            machine.bird(&leaf).is_some_and(|after| after != before) && machine.established(&leaf, "rd_hub")
        });
        times.push(killed.elapsed());
        let said = ping.finish(SOON).ok();
        if !said.contains(" 0% packet loss") {
            lost.push(said);
        }
        assert_eq!(
            machine.session("hub", &format!("rd_leaf{}", number % KILLS + 1)),
            others,
            "another session was reset"
        );
    }
    times.sort();
    println!("sessions after kill -9: {times:.2?}, median {:.2?}, worst {:.2?}", times[KILLS / 2], times[KILLS - 1]);
    assert!(lost.is_empty(), "{lost:?}");
    // Three seconds on a machine of one's own; this one is shared.
    assert!(times[KILLS / 2] < Duration::from_secs(6), "{times:?}");
}

#[test]
fn an_adopted_daemon_that_ends_is_reported_with_its_real_status() {
    let machine = Machine::demo();
    machine.signal_supervisor("KILL");
    machine.start();
    for (domain, how) in [("hostile", "-SEGV"), ("private", "-9")] {
        machine.line(&format!("kill {how} {}", machine.bird(domain).expect("a daemon")));
    }
    // And one that leaves by itself.
    machine.birdc("internet", "down");
    let kernel: Vec<u32> = machine
        .line("uname -r")
        .split(['.', '-'])
        .take(2)
        .map(|number| number.parse().expect("the kernel has a version"))
        .collect();
    let knows = (kernel[0], kernel[1]) >= (6, 15);
    for (domain, exit) in
        [("hostile", "crashed (SIGSEGV)"), ("private", "killed (SIGKILL)"), ("internet", "exit code 0")]
    {
        let exit = if knows { exit } else { "exit status unknown" };
        eventually(SOON, &format!("{domain} ended: {exit}"), || machine.daemon(domain)["last_exit"] == exit);
        eventually(SOON, &format!("the log tells that {domain} ended"), || {
            machine.logged(domain).contains(&format!("daemon {exit}; again in"))
        });
    }
    eventually(SOON, "all are back", || {
        machine.established("private", "rd_internet") && machine.established("hostile", "rd_internet")
    });
}

#[test]
fn a_record_that_names_a_stranger_has_nobody_signalled_and_nobody_adopted() {
    let machine = Machine::demo();
    let (private, internet) = (machine.bird("private"), machine.session("internet", "rd_private"));
    // Not BIRD, in the very namespace, with everything in the record right.
    let sleeper = machine.sh("ip netns exec hostile sleep 600 >/dev/null 2>&1 & echo $!").trim().to_owned();
    eventually(SOON, "it sleeps", || machine.sh(&format!("cat /proc/{sleeper}/comm")).trim() == "sleep");
    let of = |pid: &str| {
        machine.sh(&format!(
            r#"printf '{{"process":{{"pid":%s,"start_time":%s,"boot_id":"%s","exe":"%s","netns_inode":%s}},"keeps":false}}' {pid} \
               "$(sed 's/.*)//' /proc/{pid}/stat | awk '{{ print $20 }}')" "$(cat /proc/sys/kernel/random/boot_id)" \
               "$(readlink /proc/{pid}/exe)" "$(stat -Lc %i /proc/{pid}/ns/net)""#
        ))
    };
    let real: serde_json::Value = serde_json::from_str(&machine.sh("cat /run/rdsup/private/bird.json")).expect("JSON");
    let made: serde_json::Value = serde_json::from_str(&of(private.as_ref().expect("a daemon"))).expect("JSON");
    assert_eq!(made, real, "the test does not write what rdsup writes");
    // The last is the same program in another namespace, as another domain's daemon.
    let earlier = of(&sleeper).replace("sleep\"", "bird\"");
    for record in [of(&sleeper), earlier, of("1"), real.to_string()] {
        machine.signal_supervisor("KILL");
        let hostile = machine.bird("hostile").expect("a daemon");
        machine.write("/run/rdsup/hostile/bird.json", &record);
        machine.start();
        assert!(machine.sh(&format!("cat /proc/{sleeper}/stat")).contains("sleep"), "the sleeper was killed: {record}");
        assert_eq!(machine.bird("private"), private, "{record}");
        assert_eq!(machine.session("internet", "rd_private"), internet, "{record}");
        assert_ne!(machine.bird("hostile"), Some(hostile), "the daemon that no record tells of is replaced");
        machine.assert_converged();
        // What counts as hostile's daemon is hostile's.
        assert_eq!(machine.daemon("hostile")["pid"].to_string(), machine.bird("hostile").expect("a daemon"));
    }
    machine.stop();
    assert!(machine.sh(&format!("cat /proc/{sleeper}/stat")).contains("sleep"), "stop killed the sleeper");
    machine.line(&format!("kill {sleeper}"));
}

#[test]
fn rdsup_and_bird_are_upgraded_while_they_run_and_nothing_happens_to_sessions() {
    let machine = Machine::new(DEMO);
    // Programs of the machine's own, so that their files can be replaced as a package manager does it.
    machine.sh(&format!(
        "mkdir -p /srv/bin; chmod 755 /srv /srv/bin; cp {RDSUP} /srv/bin/rdsup; cp $(command -v bird) /srv/bin/"
    ));
    let start = || machine.sh(&format!("PATH=/srv/bin:$PATH /srv/bin/rdsup -c {CONFIG} start --detach --wait"));
    start();
    let program = || machine.line(&format!("readlink /proc/{}/exe", machine.supervisor())).trim().to_owned();
    assert_eq!(program(), "/srv/bin/rdsup");
    let before = identity(&machine);
    let ping = machine.spawn(&words("ip netns exec private ping -n -q -i 0.01 -c 300 -W 1 198.51.100.1"));
    for program in ["rdsup", "bird"] {
        // Something after the end of a program changes the file and not the program.
        machine.sh(&format!("cd /srv/bin; cp {program} new; echo another build >>new; mv new {program}"));
    }
    assert!(program().contains("(deleted)"), "the file was not replaced");
    assert_eq!(machine.rdsup("status").code(), Some(0), "the old one still answers");
    machine.signal_supervisor("TERM");
    start();
    assert_eq!(program(), "/srv/bin/rdsup", "the old one still runs");
    assert_eq!(identity(&machine), before);
    assert!(machine.logged("private").contains("found running"), "it was not taken over");
    let said = ping.finish(SOON).ok();
    assert!(said.contains(" 0% packet loss"), "{said}");
    machine.assert_converged();
    // The one that is lost is succeeded by the new program.
    let old = machine.bird("private").expect("a daemon");
    machine.line(&format!("kill -9 {old}"));
    eventually(SOON, "its successor is established", || machine.established("private", "rd_internet"));
    let new = machine.bird("private").expect("a daemon");
    assert_eq!(machine.line(&format!("readlink /proc/{new}/exe")).trim(), "/srv/bin/bird");
}
