//! The log: one structured stream, whatever becomes of the disk.

use serde_json::Value;

use crate::machine::{CONFIG, DEMO, Machine, RDSUP, SOON, eventually};

fn entries(machine: &Machine) -> Vec<Value> {
    let text = machine.sh("cat /run/rdsup/log/rdsup.log");
    // The last line may be half there.
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The first entry whose fields have this value.
fn find(entries: &[Value], field: &str, value: impl Into<Value>) -> Value {
    let value = value.into();
    let found = entries.iter().find(|entry| entry["fields"][field] == value);
    found.unwrap_or_else(|| panic!("no entry has {field} = {value}: {entries:#?}"))["fields"].clone()
}

#[test]
fn steps_requests_signals_and_applies_are_logged_with_what_one_needs_to_replay_them() {
    let machine = Machine::running(DEMO);
    machine.configure(&DEMO.replace("packets = [\"tcp/80,443\"]", "packets = [\"tcp/80\"]"));
    machine.rdsup("apply").ok();
    machine.rdsup("ctl private show protocols").ok();
    machine.line(&format!("kill -9 {}", machine.bird("private").expect("private has a daemon")));
    eventually(SOON, "the loss of a daemon is logged", || {
        entries(&machine).iter().any(|entry| entry["fields"]["report"].to_string().contains("Lost"))
    });
    machine.line(&format!("kill -HUP {}", machine.supervisor()));
    eventually(SOON, "the signal is logged", || entries(&machine).iter().any(|entry| entry["fields"]["signal"] == 1));
    // The file is read beside the loop: until it is applied, that would put right what is altered from here on.
    eventually(SOON, "what the signal asked for is done", || {
        entries(&machine).iter().filter(|entry| entry["fields"]["generation"] == 2).count() == 2
    });
    machine.line("ip netns exec private nft delete table inet rdsup");
    let filter = "the packet filter was gone: repaired";
    eventually(SOON, "the repair of the filter is logged", || {
        entries(&machine).iter().any(|entry| entry["fields"]["message"] == filter)
    });
    machine.line("ip -n private link set rd-internet down");
    eventually(SOON, "the repair of the link is logged", || {
        entries(&machine)
            .iter()
            .any(|entry| entry["fields"]["cause"].as_str().is_some_and(|it| it.contains("was down")))
    });
    let entries = entries(&machine);
    assert!(entries.iter().all(|entry| entry["timestamp"].is_string() && entry["level"].is_string()));

    let step = find(&entries, "message", "ip -n private link set rd-internet up");
    assert_eq!((&step["domain"], &step["took_ms"].is_u64()), (&"private".into(), &true), "{step}");
    assert!(step["stage"].is_string() && step["line"].as_u64().is_some_and(|line| line > 0), "{step}");
    assert_eq!(find(&entries, "message", filter)["domain"], "private");
    assert!(find(&entries, "message", filter)["milliseconds"].is_u64());
    assert!(entries.iter().any(|entry| entry["fields"]["reason"] == "Order"), "why there was something to do");

    let request = find(&entries, "request", "apply");
    assert_eq!(request["uid"], 0, "{request}");
    assert!(request["pid"].as_u64().is_some_and(|pid| pid > 0), "{request}");
    assert!(request["asked"].as_str().is_some_and(|asked| asked.contains("org.rdsup.Apply")), "{request}");
    assert!(entries.iter().all(|entry| entry["fields"]["request"] != "ctl"), "what only looks is not logged");
    assert_eq!(find(&entries, "signal", 1)["message"], "received SIGHUP");
    let done = entries.iter().find(|entry| entry["fields"]["done"].is_u64()).expect("an apply has its end");
    let fields = &done["fields"];
    assert!(fields["steps"].is_u64() && fields["took_ms"].is_u64() && fields["problems"] == 0, "{fields}");

    let text = machine.rdsup("log").ok();
    assert!(!text.contains("took_ms"), "people are spared of what programs need: {text}");
    let json = machine.rdsup("log --json private").ok();
    assert!(json.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|line| line["domain"] == "private")));
    assert!(json.contains("took_ms"), "{json}");
}

#[test]
fn lines_to_the_journal_have_their_priority_and_lines_to_people_have_none() {
    let machine = Machine::new(DEMO);
    for (stream, marked) in [("$(stat -c %d:%i /srv/err)", true), ("1:1", false)] {
        let script = format!("exec 2>/srv/err; export JOURNAL_STREAM={stream}; exec {RDSUP} -c {CONFIG} start");
        let started = machine.spawn(&["bash", "-euc", &script]);
        eventually(SOON, "it is ready", || machine.sh("cat /srv/err || true").contains("ready after"));
        machine.rdsup("stop").ok();
        started.finish(SOON).ok();
        let text = machine.sh("cat /srv/err");
        assert!(text.lines().all(|line| line.starts_with("<6>") == marked), "{text}");
        machine.sh("rm /srv/err");
    }
}

#[test]
fn a_full_disk_stops_nothing_and_the_log_says_what_is_missing() {
    let machine = Machine::new(DEMO);
    machine.sh("mkdir -p /run/rdsup/log; mount -t tmpfs -o size=16k,mode=0750 tmpfs /run/rdsup/log");
    machine.start();
    // The start alone has more lines than there is room for.
    machine.sh("head -c 16384 /dev/zero >/run/rdsup/log/filler 2>/dev/null || true");
    machine.line(&format!("kill -9 {}", machine.bird("private").expect("private has a daemon")));
    eventually(SOON, "another daemon runs", || machine.bird("private").is_some());
    eventually(SOON, "all is well", || machine.rdsup("status").status.success());
    // The file's last page has room for a few lines still.
    for _ in 0..20 {
        machine.rdsup("apply").ok();
    }
    machine.sh("rm -f /run/rdsup/log/filler; mount -o remount,size=4m /run/rdsup/log");
    machine.rdsup("apply").ok();
    machine.unattended();
    let text = machine.sh("cat /run/rdsup/log/rdsup.log");
    let told = text.lines().find(|line| line.contains("lines of this log could not be written")).expect("it is told");
    println!("{told}");
    let whole = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    assert!(text.lines().count() - whole <= 1, "one line at most was torn: {text}");
    machine.rdsup("stop").ok();
}
