//! What daemons say reaches people, cannot fill anything, and stops nobody.

use std::time::{Duration, Instant};

use crate::machine::{CONFIG, DEMO, Machine, RDSUP, SOON, eventually, throughout, words};

/// A machine whose `bird` is a script that does `first` for hostile's daemon and then becomes BIRD.
fn with_bird(first: &str) -> Machine {
    let machine = Machine::new(DEMO);
    let bird = machine.sh("command -v bird");
    let script =
        format!("#!/bin/sh\ncase \"$*\" in *hostile/bird.ctl*) {first} ;; esac\nexec {} \"$@\"\n", bird.trim());
    machine.write("/srv/bin/bird", &script);
    machine.line("chmod 755 /srv /srv/bin /srv/bin/bird");
    machine
}

fn start(machine: &Machine, more: &str) -> crate::machine::Said {
    machine.sh("mkdir -p /srv/bin");
    let line = format!("PATH=/srv/bin:$PATH {RDSUP} -c {CONFIG} start --detach {more}");
    machine.run(&["bash", "-euc", &line])
}

#[test]
fn a_daemon_that_exits_at_once_names_its_last_words_in_status_and_the_next_attempt_and_becomes_failed() {
    let machine =
        with_bird(r"if [ ! -e /srv/good ]; then printf 'first\nno licence: \033[2Jcall 555\n' >&2; exit 3; fi");
    start(&machine, "");
    // Its ends are not established in the same moment.
    eventually(SOON, "private's session is there", || {
        machine.established("private", "rd_internet") && machine.established("internet", "rd_private")
    });
    let other = machine.session("internet", "rd_private");
    eventually(SOON, "its last words are in the report", || {
        let daemon = machine.daemon("hostile");
        daemon["last_words"] == serde_json::json!(["first", "no licence: \\u{1b}[2Jcall 555"])
            && daemon["last_exit"] == "exit code 3"
            && daemon["next_attempt_seconds"].is_u64()
    });
    // Not in the moments in which it is tried again.
    let told = |words: &[&str]| {
        eventually(SOON, &format!("status says {words:?}"), || {
            let said = machine.rdsup("status");
            said.code() == Some(3) && words.iter().all(|words| said.stdout.contains(words))
        });
    };
    told(&["hostile: bird ended: exit code 3", "hostile: bird said: first | no licence: \\u{1b}[2Jcall 555"]);
    let began = Instant::now();
    eventually(Duration::from_mins(2), "it is failed", || machine.daemon("hostile")["state"] == "failed");
    println!("failed after {:.0?}", began.elapsed());
    told(&["hostile: bird failed: exit code 3\n", "hostile: bird is started again in "]);
    eventually(SOON, "the line of hostile says that it failed", || {
        let said = machine.rdsup("status").stdout;
        said.lines().any(|line| line.starts_with("hostile ") && line.contains("failed"))
    });
    let log = machine.logged("hostile");
    assert!(
        log.contains("daemon failed: exit code 3") && log.contains("bird: no licence: \\u{1b}[2Jcall 555"),
        "{log}"
    );
    // It is still tried, and when the cause is gone it comes up by itself.
    machine.write("/srv/good", "");
    eventually(Duration::from_mins(2), "it is established", || machine.established("hostile", "rd_internet"));
    assert_eq!(machine.session("internet", "rd_private"), other, "another domain's session was reset");
}

#[test]
fn a_daemon_that_cannot_open_its_own_log_says_so_in_status() {
    let machine = Machine::demo();
    let id = machine.bird("hostile").expect("a daemon");
    machine.sh("rm /run/rdsup/hostile/log/bird.log; mkdir /run/rdsup/hostile/log/bird.log");
    machine.line(&format!("kill -9 {id}"));
    eventually(SOON, "the reason is in the report", || {
        machine.daemon("hostile")["last_words"].as_array().is_some_and(|words| {
            words.iter().any(|line| line.as_str().is_some_and(|line| line.contains("Is a directory")))
        })
    });
}

#[test]
fn a_daemon_that_was_killed_has_the_end_of_its_own_log_as_its_last_words() {
    let machine = Machine::demo();
    machine.birdc("hostile", "disable rd_internet");
    let id = machine.bird("hostile").expect("a daemon");
    machine.line(&format!("kill -SEGV {id}"));
    eventually(SOON, "it is told of", || machine.daemon("hostile")["last_exit"] == "crashed (SIGSEGV)");
    let words = machine.daemon("hostile")["last_words"].to_string();
    assert!(words.contains("rd_internet"), "{words}");
}

/// How much there is in a directory, in KiB.
fn size_of(machine: &Machine, directory: &str) -> u64 {
    machine.sh(&format!("du -sk {directory} | cut -f1")).trim().parse().expect("a number")
}

/// The memory of a process, in KiB.
fn memory_of(machine: &Machine, pid: &str) -> u64 {
    machine.sh(&format!("awk '/^VmRSS/ {{ print $2 }}' /proc/{pid}/status")).trim().parse().expect("a number")
}

#[test]
fn a_flood_fills_nothing_and_stops_neither_the_daemon_nor_the_supervisor_not_even_when_nobody_reads() {
    // A child of the daemon writes as fast as it can to what the daemon writes to.
    let machine = with_bird(
        r#"perl -e '$i = 0; while (1) { syswrite(STDERR, "flood " x 20 . $i++ . "\n") or select(undef, undef, undef, 0.001) }' &"#,
    );
    start(&machine, "--wait").ok();
    let supervisor = machine.supervisor();
    let session = machine.session("hostile", "rd_internet");
    eventually(SOON, "what was left out is told", || machine.logged("hostile").contains("left out"));
    let (memory, size) = (memory_of(&machine, &supervisor), size_of(&machine, "/run"));
    let mut slowest = Duration::ZERO;
    throughout(Duration::from_secs(15), "both answer", || {
        let began = Instant::now();
        let both = machine.rdsup("status hostile").status.success()
            && machine.birdc("hostile", "show status").contains("up and running");
        slowest = slowest.max(began.elapsed());
        both
    });
    let (memory_after, size_after) = (memory_of(&machine, &supervisor), size_of(&machine, "/run"));
    println!(
        "flood: memory {memory} → {memory_after} KiB, /run {size} → {size_after} KiB, slowest answers {slowest:.1?}"
    );
    assert!(memory_after < memory + (8 << 10), "the supervisor grows");
    assert!(size_after < size + 512, "files grow");
    let lines = machine.logged("hostile").lines().filter(|line| line.contains("flood")).count();
    assert!(lines < 200, "{lines} lines were logged");
    // Whoever follows sees it.
    let followed = machine.run(&["timeout", "3", RDSUP, "-c", CONFIG, "log", "hostile", "-f", "-n", "5"]);
    assert!(followed.stdout.contains("bird: flood"), "{followed}");
    // And with nobody at the other end.
    machine.signal_supervisor("KILL");
    throughout(Duration::from_secs(3), "the daemon answers", || {
        machine.birdc("hostile", "show status").contains("up and running")
    });
    assert_eq!(machine.session("hostile", "rd_internet"), session, "its session was reset");
    start(&machine, "--wait").ok();
    let before = machine.logged("hostile").lines().filter(|line| line.contains("bird: flood")).count();
    eventually(SOON, "the next supervisor hears it", || {
        machine.logged("hostile").lines().filter(|line| line.contains("bird: flood")).count() > before
    });
    assert_eq!(machine.session("hostile", "rd_internet"), session, "its session was reset");
}

#[test]
fn what_a_daemon_says_itself_outside_its_log_is_heard_and_a_full_pipe_does_not_stop_it() {
    let toml = format!("{DEMO}\n[domain.private.extra]\nbird = '''\nlog stderr all;\n'''\n");
    let machine = Machine::running(&toml);
    machine.birdc("private", "debug all all");
    machine.birdc("private", "reload all");
    // With the time that BIRD gives it, behind the time at which it was heard.
    eventually(SOON, "it is heard", || {
        machine.logged("private").lines().any(|line| line.contains(" bird: 20") && line.contains("<TRACE>"))
    });
    machine.unattended();
    // As much as it takes to fill the pipe.
    let ids = machine.sh("for i in $(seq 300); do birdc -s /run/rdsup/private/bird.ctl reload all; done | wc -l");
    assert!(ids.trim().parse::<u32>().is_ok_and(|lines| lines >= 300), "{ids}");
    eventually(SOON, "the pipe is full", || {
        machine.run(&["timeout", "1", "bash", "-c", "head -c 65536 /dev/zero >/run/rdsup/log/private.bird.pipe"]).code()
            == Some(124)
    });
    machine.birdc("private", "reload all");
    assert!(machine.birdc("private", "show status").contains("up and running"), "it waits for the pipe");
    assert!(machine.established("private", "rd_internet"));
    let ping = machine.spawn(&words("ip netns exec private ping -n -q -i 0.01 -c 100 -W 1 198.51.100.1"));
    assert!(ping.finish(SOON).ok().contains(" 0% packet loss"));
}
