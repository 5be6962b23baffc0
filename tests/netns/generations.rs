//! Applying, confirming, going back: which generation is in force, whatever happens to the supervisor and its notes.

use std::time::{Duration, Instant};

use crate::machine::{CONFIG, DEMO, Machine, RDSUP, SOON, eventually, throughout, words};

/// The line of each session of the demonstration, with the time of its last change.
fn sessions(machine: &Machine) -> Vec<String> {
    [("private", "rd_internet"), ("internet", "rd_private"), ("internet", "rd_hostile"), ("hostile", "rd_internet")]
        .map(|(domain, protocol)| machine.session(domain, protocol))
        .to_vec()
}

/// The demonstration with ping allowed for guests: a change of policy, which one sees by a ping.
pub fn with_ping() -> String {
    DEMO.replace(r#"packets = ["tcp/80,443"]"#, r#"packets = ["tcp/80,443", "icmp"]"#)
}

/// A change that every parser takes and that breaks all sessions over links: a template of the user's with a slip in it.
fn breaking(machine: &Machine) -> String {
    let template = include_str!("../../templates/bird/link.hbs");
    machine.write("/srv/machine/templates/bird/link.hbs", &template.replace("as {{peer_asn}}", "as 64999"));
    format!("[rdsup]\ntemplates = \"/srv/machine/templates\"\n{DEMO}")
}

pub fn pings(machine: &Machine) -> bool {
    machine.pings("hostile", "198.51.100.1")
}

pub fn in_force(machine: &Machine) -> u64 {
    let all = all_in_force(machine);
    assert_eq!(all.len(), 1, "not one generation is in force: {all:?}");
    all[0]
}

/// The generations that `history` has as in force: one, unless the state directory has just been lost.
pub fn all_in_force(machine: &Machine) -> Vec<u64> {
    let list: serde_json::Value = serde_json::from_str(&machine.rdsup("history --json").ok()).expect("JSON");
    let all = list.as_array().expect("a list");
    all.iter().filter(|it| it["in_force"] == true).map(|it| it["number"].as_u64().expect("a number")).collect()
}

#[test]
fn every_applied_file_is_a_generation_and_an_earlier_one_comes_back_without_a_reset() {
    let machine = Machine::demo();
    let before = sessions(&machine);
    assert_eq!(in_force(&machine), 1);
    machine.configure(&with_ping());
    let diff = machine.rdsup("diff").ok();
    assert!(diff.contains("--- generation 1\n+++ /srv/machine/rdsup.toml\n"), "{diff}");
    assert!(diff.contains("-packets = [\"tcp/80,443\"]\n+packets = [\"tcp/80,443\", \"icmp\"]\n"), "{diff}");
    assert!(machine.rdsup("status").stdout.contains("is not what runs"));
    let said = machine.rdsup("apply").ok();
    assert!(said.contains("generation 2"), "{said}");
    assert!(pings(&machine));
    let said = machine.rdsup("apply").ok();
    assert!(
        said.contains("generation 2") && said.contains("nothing to do"),
        "the same file is no new generation: {said}"
    );
    machine.rdsup("rollback").ok();
    assert_eq!((in_force(&machine), pings(&machine)), (1, false));
    assert!(machine.rdsup("diff 1 2").ok().contains("+packets = [\"tcp/80,443\", \"icmp\"]"));
    assert!(machine.rdsup("diff 2").ok().contains("-packets = [\"tcp/80,443\", \"icmp\"]"));
    assert_eq!(machine.rdsup("history 2").ok(), with_ping());
    let list = machine.rdsup("history").ok();
    assert!(list.contains("in force") && list.contains("rolled back by root"), "{list}");
    machine.rdsup("rollback 2").ok();
    assert_eq!((in_force(&machine), pings(&machine)), (2, true));
    for line in ["rollback 9", "history 9", "diff 1 9", "rollback abc"] {
        assert!(machine.rdsup(line).refused(2).contains("rdsup history"), "{line}");
    }
    assert!(machine.rdsup("rollback 2").refused(1).contains("in force already"));
    assert_eq!(sessions(&machine), before, "a session was reset");
}

#[test]
fn a_step_that_fails_takes_everything_back_and_names_the_line_and_the_kernels_words() {
    let toml = DEMO.replacen(
        "networks = [\"198.51.100.0/24\", \"2001:db8:1::/48\"]",
        "networks = [\"198.51.100.0/24\", \"2001:db8:1::/48\"]\n\
         [[domain.internet.interface]]\nname = \"eth1\"\naddress = [\"203.0.113.2/30\"]",
        1,
    );
    let machine = Machine::new(&toml);
    machine
        .sh("ip netns add world; ip link add eth1 type veth peer name eth0 netns world; ip -n world link set eth0 up");
    machine.start();
    machine.assert_converged();
    let before = (sessions(&machine), machine.sh("ip -n internet route; nft list ruleset; ls /run/netns /run/rdsup"));
    // A gateway that is on no wire of the interface: only the kernel knows. And much else that is well.
    let broken = with_ping().replacen(
        "networks = [\"198.51.100.0/24\", \"2001:db8:1::/48\"]",
        "networks = [\"198.51.100.0/24\", \"2001:db8:1::/48\"]\n\
         [[domain.internet.interface]]\nname = \"eth1\"\naddress = [\"203.0.113.2/30\", \"203.0.113.9/32\"]\n\
         [[domain.internet.route]]\nto = \"10.9.0.0/16\"\nvia = \"172.16.0.1\"\ndev = \"eth1\"",
        1,
    ) + "\n[domain.more]\nasn = 65009\nloopback = [\"10.99.0.1/32\"]\nnetworks = [\"10.99.0.0/16\"]\nfamilies = [\"ipv4\"]\n\
         [[link]]\nbetween = [\"more\", \"internet\"]\nrouting = \"static\"\n[link.into.more]\nroutes = []\n[link.into.internet]\nroutes = []\n";
    machine.configure(&broken);
    let error = machine.rdsup("apply").refused(1);
    let line = 1 + broken.lines().position(|line| line == "to = \"10.9.0.0/16\"").expect("the route");
    assert!(error.contains("invalid gateway") && error.contains(&format!("line {line}")), "{error}");
    assert!(error.contains("10.9.0.0/16") && error.contains("the network is as it was before"), "{error}");
    let after = (sessions(&machine), machine.sh("ip -n internet route; nft list ruleset; ls /run/netns /run/rdsup"));
    assert_eq!(after, before);
    assert!(!pings(&machine), "the policy that came with it has gone too");
    assert_eq!(in_force(&machine), 1);
    assert!(!machine.rdsup("history").ok().contains("apply"), "what came to nothing is no generation");
    machine.configure(&toml);
    machine.assert_converged();
}

#[test]
fn a_configuration_that_only_the_running_daemon_refuses_is_taken_back() {
    let machine = Machine::demo();
    let before = sessions(&machine);
    // The parser runs as root and may read the file, the daemon may not.
    machine.sh(
        "mkdir -p /srv/private; chmod 700 /srv/private; echo 'protocol static more { ipv4; }' >/srv/private/more.conf",
    );
    let with_include = with_ping().replacen(
        "asn      = 65003",
        "asn      = 65003\nextra = { bird = \"include \\\"/srv/private/more.conf\\\";\" }",
        1,
    );
    machine.configure(&with_include);
    machine.rdsup("check").ok();
    let error = machine.rdsup("apply").refused(1);
    assert!(error.contains("hostile") && error.contains("more.conf") && error.contains("as it was before"), "{error}");
    assert!(!pings(&machine));
    assert_eq!((in_force(&machine), sessions(&machine)), (1, before));
    assert!(machine.birdc("hostile", "configure check").contains("Configuration OK"));
    machine.configure(DEMO);
    machine.assert_converged();
}

#[test]
fn what_nobody_confirms_in_time_comes_out_and_what_is_confirmed_stays() {
    let machine = Machine::demo();
    machine.configure(&with_ping());
    // Time for what is looked at before it is over.
    let said = machine.rdsup("apply --confirm 8s").ok();
    assert!(said.contains("generation 1 comes back in 8s"), "{said}");
    assert!(pings(&machine));
    assert!(machine.rdsup("status").stdout.contains("waits to be confirmed"));
    assert!(machine.rdsup("apply").refused(1).contains("rdsup confirm"), "one waits at a time");
    eventually(SOON, "generation 1 is back", || all_in_force(&machine) == [1]);
    eventually(SOON, "its policy too", || !pings(&machine));
    assert!(machine.rdsup("confirm").refused(1).contains("nothing waits"));
    assert!(machine.rdsup("history").ok().contains("not confirmed within 8s"));
    machine.rdsup("apply --confirm 6s").ok();
    let said = machine.rdsup("confirm").ok();
    assert!(said.contains("stays"), "{said}");
    throughout(Duration::from_secs(7), "the ping is allowed", || pings(&machine));
    machine.configure(DEMO);
    machine.rdsup("apply --confirm 60s").ok();
    machine.rdsup("rollback").ok();
    assert!(pings(&machine), "rollback takes back what waits");
}

#[test]
fn a_program_learns_which_generation_is_in_force_what_resets_and_what_is_not_well() {
    let machine = Machine::demo();
    let change = |line: &str| -> serde_json::Value {
        let said = machine.rdsup(line).ok();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    };
    machine.configure(&with_ping());
    let applied = change("apply --confirm 60s --json");
    assert_eq!((&applied["generation"], &applied["resets"]), (&2.into(), &serde_json::json!([])), "{applied}");
    assert!(applied["steps"].as_u64() > Some(0) && applied["problems"] == serde_json::json!({}), "{applied}");
    assert!(applied["confirm_within"].as_u64().is_some_and(|left| (55..=60).contains(&left)), "{applied}");
    let confirmed = change("confirm --json");
    assert_eq!((&confirmed["generation"], &confirmed["confirm_within"]), (&2.into(), &serde_json::Value::Null));
    machine.configure(&with_ping().replacen("asn      = 65002", "asn      = 65012", 1));
    let applied = change("apply --json");
    let first = &applied["resets"][0];
    assert!(first["certain"] == true && first["domain"].is_string() && first["reasons"][0].is_string(), "{applied}");
    assert_eq!(change("rollback 1 --json")["generation"], 1);
}

#[test]
fn a_sound_file_that_breaks_sessions_reverts_by_itself_and_the_sessions_come_back() {
    let machine = Machine::demo();
    machine.configure(&breaking(&machine));
    machine.rdsup("check").ok();
    machine.rdsup("apply --confirm 8s").ok();
    assert!(!machine.established("private", "rd_internet"), "it breaks nothing");
    eventually(SOON, "generation 1 is back", || all_in_force(&machine) == [1]);
    machine.assert_left_sessions_established();
    // The template is still there and belongs to generation 2, so the way back and forth needs no file.
    machine.line("rm -r /srv/machine/templates");
    machine.rdsup("rollback 2 --confirm 6s").ok();
    assert!(machine.birdc("private", "show protocols all rd_internet").contains("64999"));
    eventually(SOON, "generation 1 is back", || all_in_force(&machine) == [1]);
    machine.assert_left_sessions_established();
}

#[test]
fn the_deadline_outlives_the_supervisor() {
    let machine = Machine::demo();
    machine.configure(&with_ping());
    // Killed and started again before the deadline.
    machine.rdsup("apply --confirm 4s").ok();
    let begin = Instant::now();
    machine.signal_supervisor("KILL");
    machine.start();
    if begin.elapsed() < Duration::from_secs(3) {
        assert!(pings(&machine), "the time was not over");
    }
    eventually(SOON, "generation 1 is back", || all_in_force(&machine) == [1] && !pings(&machine));
    // Dead when the deadline comes.
    machine.rdsup("apply --confirm 4s").ok();
    machine.signal_supervisor("KILL");
    let died = Instant::now();
    eventually(SOON, "the deadline is over", || died.elapsed() > Duration::from_secs(4));
    assert!(pings(&machine), "nobody is there to go back");
    machine.start();
    eventually(SOON, "generation 1 is back", || all_in_force(&machine) == [1] && !pings(&machine));
    machine.assert_left_sessions_established();
}

#[test]
fn a_supervisor_that_is_started_again_keeps_what_runs_and_says_that_the_file_differs() {
    let machine = Machine::demo();
    let before = sessions(&machine);
    for signal in ["KILL", "TERM"] {
        machine.configure("[domain.half edited");
        machine.signal_supervisor(signal);
        let said = machine.rdsup("start --detach --wait");
        assert!(said.status.success() && said.stderr.contains("keeps generation 1"), "{said}");
        assert_eq!(sessions(&machine), before);
        machine.configure(&with_ping());
        assert!(machine.rdsup("status").stdout.contains("is not what runs"));
        assert!(!pings(&machine));
    }
    machine.signal_supervisor("TERM");
    machine.rdsup("start --detach --wait --apply").ok();
    assert!(pings(&machine), "--apply takes the file");
    assert_eq!(in_force(&machine), 2);
    assert_eq!(sessions(&machine), before);
}

#[test]
fn a_file_that_came_out_is_not_started_when_nothing_stands_unless_somebody_asks() {
    let machine = Machine::demo();
    machine.configure(&with_ping());
    machine.rdsup("apply --confirm 60s").ok();
    machine.stop();
    // As after a reboot: whoever had to confirm could not.
    let said = machine.rdsup("start --detach --wait");
    assert!(
        said.stderr.contains("generation 2, not confirmed") && said.stderr.contains("generation 1 instead"),
        "{said}"
    );
    assert!(!pings(&machine));
    machine.rdsup("apply").ok();
    // The sessions are new: they are established a moment before their routes are in the kernel.
    eventually(SOON, "it is applied", || pings(&machine));
    machine.stop();
    machine.start();
    eventually(SOON, "what was applied and stayed is started", || pings(&machine));
}

#[test]
fn a_boot_with_a_broken_file_starts_what_was_in_force_last_where_that_is_asked_for() {
    let machine = Machine::demo();
    machine.stop();
    machine.configure("[domain.half edited");
    let error = machine.rdsup("start --detach").refused(2);
    assert!(error.contains("half edited"), "{error}");
    let said = machine.rdsup("start --detach --wait --or-last");
    assert!(
        said.status.success() && said.stderr.contains("rdsup.toml:1:") && said.stderr.contains("generation 1"),
        "{said}"
    );
    eventually(SOON, "the routes are learned", || machine.pings("private", "198.51.100.1"));
    assert!(machine.rdsup("status").stdout.contains("is not what runs"));
}

#[test]
fn another_file_is_applied_by_its_name_and_never_by_accident() {
    let machine = Machine::demo();
    let before = sessions(&machine);
    machine.write("/srv/machine/new.toml", &with_ping());
    let plan = machine.rdsup("plan /srv/machine/new.toml").ok();
    assert_eq!(plan.matches("nft -f").count(), 1, "only what is different is in the plan:\n{plan}");
    let error = machine.run(&[RDSUP, "-c", "/srv/machine/new.toml", "apply"]).refused(2);
    assert!(
        error.contains("/srv/machine/rdsup.toml") && error.contains("rdsup apply /srv/machine/new.toml"),
        "{error}"
    );
    assert!(!pings(&machine));
    let said = machine.rdsup("apply /srv/machine/new.toml").ok();
    assert!(pings(&machine) && said.contains("copy /srv/machine/new.toml there"), "{said}");
    assert!(machine.rdsup("history").ok().contains("/srv/machine/new.toml"));
    machine.rdsup("apply").ok();
    assert!(!pings(&machine));
    assert_eq!(sessions(&machine), before);
}

#[test]
fn notes_that_are_damaged_or_gone_are_reported_and_made_again() {
    let machine = Machine::demo();
    machine.configure(&with_ping());
    machine.rdsup("apply").ok();
    machine.configure(DEMO);
    let before = sessions(&machine);
    for damage in [
        "rm -rf /var/lib/rdsup",
        "for f in /var/lib/rdsup/generations/*; do echo nonsense >$f; done",
        "for f in /var/lib/rdsup/generations/*; do truncate -s 20 $f; done",
        "echo nonsense >/run/rdsup/generation.json",
        "rm /run/rdsup/generation.json",
        "rm -rf /var/lib/rdsup/generations; echo text >/var/lib/rdsup/generations",
    ] {
        machine.signal_supervisor("KILL");
        machine.sh(damage);
        let said = machine.rdsup("start --detach --wait");
        assert!(said.status.success(), "after `{damage}`: {said}");
        assert!(pings(&machine), "what ran is kept after `{damage}`: {said}");
        assert_eq!(sessions(&machine), before, "after `{damage}`");
        machine.sh("test -d /var/lib/rdsup/generations || rm -rf /var/lib/rdsup/generations");
        machine.rdsup("apply --confirm 60s").ok();
        assert!(!pings(&machine));
        machine.rdsup("rollback").ok();
        assert!(pings(&machine), "there is a way back after `{damage}`");
    }
}

#[test]
fn fifty_requests_at_once_are_carried_out_one_after_the_other() {
    let machine = Machine::demo();
    let before = sessions(&machine);
    let files: Vec<String> = (0..10).map(|number| format!("/srv/machine/{number}.toml")).collect();
    for (number, file) in files.iter().enumerate() {
        machine.write(file, &format!("{DEMO}# {number}\n"));
    }
    let asked: Vec<_> = (0..50)
        .map(|number| match number % 5 {
            0 | 1 => machine.spawn(&words(&format!("{RDSUP} -c {CONFIG} apply {}", files[number % 10]))),
            2 => machine.spawn(&words(&format!("{RDSUP} -c {CONFIG} apply"))),
            3 => machine.spawn(&words(&format!("{RDSUP} -c {CONFIG} status"))),
            _ => machine.spawn(&words(&format!("{RDSUP} -c {CONFIG} ctl internet show bgp summary"))),
        })
        .collect();
    for background in asked {
        let said = background.finish(Duration::from_mins(1));
        assert!(said.status.success(), "{said}");
    }
    // Each change that was asked for ended before the next began: beginnings and ends alternate in the log.
    let log = machine
        .sh("grep -hoE '\"message\":\"(request apply begins|generation [0-9]+ is in force)' /run/rdsup/log/rdsup.log");
    let kinds: Vec<bool> = log.lines().map(|line| line.contains("begins")).collect();
    assert_eq!(kinds.iter().filter(|begins| **begins).count(), 30, "{log}");
    assert!(kinds.chunks(2).all(|pair| pair == [true, false]), "{log}");
    assert_eq!(sessions(&machine), before);
    machine.assert_left_sessions_established();
}

#[test]
fn a_client_that_dies_in_the_middle_of_its_request_changes_nothing() {
    let machine = Machine::demo();
    let before = sessions(&machine);
    machine.configure(&with_ping());
    // Half a request, then gone.
    let half = r#"use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => "/run/rdsup/rdsup.sock") or die;
        syswrite $s, '{"method":"org.rdsup.Apply","para'; kill 9, $$;"#;
    machine.run(&["perl", "-e", half]);
    machine.rdsup("status --wait 5s").ok();
    assert!(!pings(&machine), "half a request was carried out");
    // A whole one, and gone before its answer: it is carried out as if somebody listened.
    let whole = r#"use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => "/run/rdsup/rdsup.sock") or die;
        syswrite $s, qq({"method":"org.rdsup.Apply","parameters":{}}\0); kill 9, $$;"#;
    machine.run(&["perl", "-e", whole]);
    // What is in force is noted before the work.
    eventually(SOON, "it is carried out to its end", || {
        all_in_force(&machine) == [2] && pings(&machine) && machine.plan().to_lowercase().contains("nothing to do")
    });
    assert_eq!(sessions(&machine), before);
}
