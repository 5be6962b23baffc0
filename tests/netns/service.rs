//! As a service of systemd: what it is told, what it keeps, and what the next supervisor makes of that.

use std::time::{Duration, Instant};

use crate::machine::{CONFIG, DEMO, Machine, RDSUP, SOON, eventually};
use crate::manager::Manager;

/// A machine with the demonstration's network, started as a service.
fn served() -> (Machine, Manager, crate::machine::Background) {
    let machine = Machine::new(DEMO);
    let mut manager = Manager::new();
    let service = manager.start(&machine, "");
    manager.hear("READY=1");
    eventually(SOON, "the session between private and internet", || machine.established("private", "rd_internet"));
    eventually(SOON, "the session between hostile and internet", || machine.established("internet", "rd_hostile"));
    (machine, manager, service)
}

fn kept(manager: &mut Manager, domains: &[&str]) {
    let complete = |manager: &Manager| {
        let names = manager.names();
        let has = |prefix: String| names.iter().filter(|name| name.starts_with(&prefix)).count() == 1;
        names.len() == 1 + 2 * domains.len()
            && names.iter().any(|name| name == "control")
            && domains.iter().all(|name| has(format!("netns-{name}")) && has(format!("bird-{name}-")))
    };
    eventually(SOON, "the control socket, three namespaces and three daemons are kept", || {
        manager.listen(Duration::from_millis(100));
        complete(manager)
    });
    let mut kept = manager.all.iter().filter(|message| message.contains("FDSTORE=1"));
    assert!(kept.all(|message| message.contains("FDPOLL=0")), "a pidfd that becomes readable would be dropped");
}

#[test]
fn the_manager_hears_of_the_start_a_reload_and_the_end_in_order() {
    let (machine, mut manager, service) = served();
    let ready = manager.all.iter().position(|message| message.starts_with("READY=1")).expect("it was heard");
    let before: String = manager.all[..ready].concat();
    assert!(before.contains("STATUS=checking the configuration"), "{before}");
    assert!(before.contains("EXTEND_TIMEOUT_USEC=30000000"), "{before}");
    let status = manager.hear("STATUS=3 domains up, ");
    assert!(!status.contains("READY"), "{status}");
    machine.line(&format!("kill -HUP {}", machine.supervisor()));
    let message = manager.hear("RELOADING=1");
    let stamp = message.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("the time of the reload");
    assert!(stamp.parse::<u64>().is_ok_and(|stamp| stamp > 0), "{message}");
    assert!(manager.hear("READY=1").contains("rdsup.toml applied"), "what came of it");
    machine.configure("nonsense");
    machine.line(&format!("kill -HUP {}", machine.supervisor()));
    manager.hear("RELOADING=1");
    assert!(manager.hear("READY=1").contains("STATUS=not applied: "), "what came of it");
    machine.signal_supervisor("TERM");
    assert!(manager.hear("STOPPING=1").contains("the network stays"));
    service.finish(SOON).ok();
    assert!(!manager.all.iter().any(|message| message.contains("WATCHDOG")), "nobody asked for a watchdog");
}

#[test]
fn signs_of_life_come_from_the_event_loop_and_end_when_it_is_stuck() {
    let machine = Machine::new(DEMO);
    let mut manager = Manager::new();
    let _service = manager.start(&machine, "WATCHDOG_USEC=1000000");
    manager.hear("READY=1");
    for _ in 0..3 {
        manager.hear("WATCHDOG=1");
    }
    let id = machine.supervisor();
    machine.line(&format!("kill -STOP {id}"));
    manager.listen(Duration::from_millis(500));
    let heard = manager.all.len();
    manager.listen(Duration::from_secs(3));
    assert_eq!(manager.all.len(), heard, "a stopped process gives no signs of life");
    machine.line(&format!("kill -CONT {id}"));
    manager.hear("WATCHDOG=1");
}

#[test]
fn a_supervisor_whose_manager_does_not_listen_works_like_any_other() {
    let machine = Machine::new(DEMO);
    // Nothing of it is ever read: the socket's queue is full after a few messages.
    let manager = Manager::new();
    let service = manager.start(&machine, "WATCHDOG_USEC=100000");
    eventually(SOON, "all is well", || machine.rdsup("status").status.success());
    machine.rdsup("apply").ok();
    let clean = Instant::now();
    machine.signal_supervisor("TERM");
    service.finish(SOON).ok();
    println!("it left {} ms after it was told to", clean.elapsed().as_millis());
    let gone = Manager::new().start(&machine, "");
    eventually(SOON, "all is well without the socket", || machine.rdsup("status").status.success());
    machine.rdsup("stop").ok();
    gone.finish(SOON).ok();
}

#[test]
fn daemons_know_nothing_of_the_service_manager() {
    let (machine, _manager, _service) = served();
    let bird = machine.bird("private").expect("private has a daemon");
    let environment = machine.sh(&format!("tr '\\0' '\\n' </proc/{bird}/environ"));
    for word in ["NOTIFY", "LISTEN", "WATCHDOG", "FDSTORE"] {
        assert!(!environment.contains(word), "{environment}");
    }
    assert!(environment.contains("PATH="), "{environment}");
}

#[test]
fn a_restart_with_what_was_kept_loses_no_request_and_no_session() {
    let (machine, mut manager, service) = served();
    kept(&mut manager, &["hostile", "internet", "private"]);
    let sessions = || (machine.session("private", "rd_internet"), machine.session("internet", "rd_hostile"));
    let before = (sessions(), machine.bird("private"));
    let socket = machine.sh("stat -c %i /run/rdsup/rdsup.sock");
    machine.signal_supervisor("TERM");
    service.finish(SOON).ok();
    // Between two supervisors: somebody waits, and is answered.
    let waiting = machine.spawn(&[RDSUP, "-c", CONFIG, "status", "--json"]);
    let next = manager.start(&machine, "");
    let said = waiting.finish(SOON);
    let report: serde_json::Value =
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(report["domains"].as_array().map(Vec::len), Some(3), "{said}");
    manager.hear("READY=1");
    assert_eq!((sessions(), machine.bird("private")), before, "a daemon or a session is another one");
    assert_eq!(machine.sh("stat -c %i /run/rdsup/rdsup.sock"), socket, "the socket is another one");
    kept(&mut manager, &["hostile", "internet", "private"]);
    // The queue of a socket is short, and nobody waits long for who does not listen.
    let stop = machine.spawn(&[RDSUP, "-c", CONFIG, "stop"]);
    eventually(SOON, "nothing is kept of what was taken down", || {
        manager.listen(Duration::from_millis(100));
        manager.names().is_empty()
    });
    stop.finish(SOON).ok();
    next.finish(SOON).ok();
    machine.rdsup("status").refused(3);
}

#[test]
fn a_socket_that_is_kept_while_nobody_listens_is_not_mistaken_for_a_supervisor() {
    let (machine, mut manager, service) = served();
    kept(&mut manager, &["hostile", "internet", "private"]);
    machine.signal_supervisor("TERM");
    service.finish(SOON).ok();
    let words = machine.rdsup("status").refused(3);
    assert!(words.contains("the supervisor is not running"), "{words}");
    // It is not asked of whoever listens next, when the caller no longer waits.
    machine.rdsup("stop").ok();
    assert_eq!(machine.sh("ls /run/netns").trim(), "");
    let next = manager.start(&machine, "");
    manager.hear("READY=1");
    eventually(SOON, "all is well again", || machine.rdsup("status").status.success());
    machine.rdsup("stop").ok();
    next.finish(SOON).ok();
}

#[test]
fn how_a_daemon_ended_while_no_supervisor_ran_is_known() {
    let (machine, mut manager, service) = served();
    kept(&mut manager, &["hostile", "internet", "private"]);
    machine.signal_supervisor("KILL");
    drop(service);
    let before = machine.bird("private").expect("private has a daemon");
    machine.line(&format!("kill -SEGV {before}"));
    eventually(SOON, "the daemon is gone", || machine.bird("private").is_none());
    let mut next = manager.start(&machine, "");
    manager.hear("READY=1");
    eventually(SOON, "another daemon runs", || machine.bird("private").is_some());
    let said = next.complaint();
    // Kernels before 6.15 keep no exit status.
    let known = said.contains("daemon ended while no supervisor ran: killed by SIGSEGV");
    assert!(known || said.contains("daemon ended while no supervisor ran: exit status unknown"), "{said}");
    println!("{}", said.lines().find(|line| line.contains("no supervisor ran")).unwrap_or_default());
    let status = machine.rdsup("status --json").stdout;
    let report: serde_json::Value = serde_json::from_str(&status).expect("status prints JSON");
    let private = report["domains"].as_array().expect("domains").iter().find(|domain| domain["name"] == "private");
    let last_exit = &private.expect("private is one of them")["daemon"]["last_exit"];
    assert!(last_exit == "crashed (SIGSEGV)" || last_exit == "exit status unknown", "{last_exit}");
}

#[test]
fn a_namespace_whose_name_was_lost_has_it_again_with_every_session() {
    let (machine, mut manager, service) = served();
    kept(&mut manager, &["hostile", "internet", "private"]);
    machine.signal_supervisor("KILL");
    drop(service);
    let inode = machine.sh("stat -Lc %i /run/netns/private");
    let before = (machine.session("private", "rd_internet"), machine.bird("private"));
    machine.sh("umount /run/netns/private; rm /run/netns/private");
    let _next = manager.start(&machine, "");
    manager.hear("READY=1");
    assert_eq!(machine.sh("stat -Lc %i /run/netns/private"), inode, "the namespace is another one");
    assert_eq!((machine.session("private", "rd_internet"), machine.bird("private")), before);
    machine.assert_converged();
}

#[test]
fn the_unit_is_sound_and_the_drop_in_adds_what_only_newer_ones_know() {
    let machine = Machine::new(DEMO);
    let unit = include_str!("../../conf/rdsup.service").replace("/usr/sbin/rdsup", RDSUP);
    machine.write("/srv/units/rdsup.service", &unit);
    let verify = || {
        let said = machine.run(&["systemd-analyze", "verify", "--man=no", "/srv/units/rdsup.service"]);
        let text = format!("{}{}", said.stdout, said.stderr);
        assert!(said.status.success(), "{said}");
        text.lines().filter(|line| line.contains("rdsup.service")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(verify(), [""; 0]);
    machine.write("/srv/units/rdsup.service.d/254.conf", include_str!("../../conf/rdsup.service.d/systemd-254.conf"));
    let version = machine.line("systemctl --version");
    let version: u32 = version.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a version");
    let lines = verify();
    if version >= 254 {
        assert_eq!(lines, [""; 0]);
    } else {
        // Older ones say so and go on with the rest; `make install` does not give it to them.
        let allowed = ["notify-reload", "DelegateSubgroup", "FileDescriptorStorePreserve"];
        assert_eq!(lines.len(), allowed.len(), "{lines:#?}");
        assert!(lines.iter().all(|line| allowed.iter().any(|word| line.contains(word))), "{lines:#?}");
    }
    for word in ["PrivateMounts=", "ProtectSystem=", "PrivateTmp=", "ExecStop="] {
        assert!(!unit.lines().any(|line| line.starts_with(word)), "{word}");
    }
}
