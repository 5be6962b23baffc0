//! Start, apply, adopt, stop.

use crate::machine::{CONFIG, DEMO, Machine, RDSUP, SOON, eventually};

const DOMAINS: [&str; 3] = ["internet", "private", "hostile"];

/// All that changes when a session is reset or a daemon restarted.
fn identity(machine: &Machine) -> Vec<String> {
    let mut all = DOMAINS.map(|domain| format!("{domain} {:?}", machine.bird(domain))).to_vec();
    for (domain, protocol) in
        [("private", "rd_internet"), ("internet", "rd_private"), ("internet", "rd_hostile"), ("hostile", "rd_internet")]
    {
        let session = machine.session(domain, protocol);
        assert!(session.contains("Established"), "{domain}: {session}");
        all.push(session);
    }
    all
}

#[test]
fn the_plan_before_start_lists_every_step_and_after_start_nothing() {
    let machine = Machine::new(DEMO);
    let clean = machine.traces();
    let plan = machine.plan();
    for line in
        ["ip netns add private", "nft -f /run/rdsup/private/rdsup.nft", "rd-internet", "198.51.100.1/32", "bird -c"]
    {
        assert!(plan.contains(line), "{line:?} is not in the plan:\n{plan}");
    }
    machine.assert_left_as(&clean);
    machine.start();
    machine.assert_converged();
    let before = identity(&machine);
    machine.assert_converged();
    assert_eq!(identity(&machine), before);
}

#[test]
fn in_the_plan_the_filter_comes_before_the_links_and_the_links_before_the_daemon() {
    let plan = Machine::new(DEMO).plan();
    let at = |needle: &str| {
        plan.lines()
            .position(|line| line.contains("private") && line.contains(needle))
            .unwrap_or_else(|| panic!("{needle:?} is not in the plan:\n{plan}"))
    };
    assert!(at("ip netns add private") < at("nft -f"));
    assert!(at("nft -f") < at("rd-internet"));
    assert!(at("link set rd-internet up") < at("bird -c"));
}

#[test]
fn stop_leaves_no_namespace_interface_process_table_or_file() {
    let machine = Machine::new(DEMO);
    let clean = machine.traces();
    machine.start();
    assert_ne!(machine.traces(), clean);
    machine.stop();
    machine.assert_left_as(&clean);
    // And once more, over what the first time may have left.
    machine.start();
    machine.stop();
    machine.assert_left_as(&clean);
}

#[test]
fn after_sigterm_the_network_stands_and_the_next_start_adopts_it_with_every_session_kept() {
    let machine = Machine::demo();
    let before = identity(&machine);
    let ping = machine.spawn(&["ip", "netns", "exec", "private", "ping", "-nqi", "0.01", "-c", "300", "198.51.100.1"]);
    machine.signal_supervisor("TERM");
    assert_eq!(identity(&machine), before, "SIGTERM changed something");
    machine.start();
    assert_eq!(identity(&machine), before, "the start changed something");
    machine.assert_converged();
    let said = ping.finish(SOON).ok();
    assert!(said.contains(" 0% packet loss"), "{said}");
    // What was adopted is supervised: it comes back when it dies.
    let daemon = machine.bird("hostile").expect("a daemon");
    machine.line(&format!("kill -9 {daemon}"));
    eventually(SOON, "the adopted daemon is replaced", || machine.bird("hostile").is_some_and(|new| new != daemon));
    machine.stop();
}

#[test]
fn a_supervisor_killed_with_9_is_succeeded_by_one_that_resets_nothing() {
    let machine = Machine::demo();
    let before = identity(&machine);
    machine.signal_supervisor("KILL");
    machine.start();
    assert_eq!(identity(&machine), before);
}

#[test]
fn stop_with_keep_ends_the_supervisor_only() {
    let machine = Machine::demo();
    let before = identity(&machine);
    machine.rdsup("stop --keep").ok();
    eventually(SOON, "the supervisor ends", || !machine.run(&["pgrep", "-x", "rdsup"]).status.success());
    assert_eq!(identity(&machine), before);
    // Once more, as in the line that upgrades without systemd.
    let said = machine.rdsup("stop --keep");
    assert!(said.status.success() && said.stderr.contains("the network stays"), "{said}");
    machine.start();
    assert_eq!(identity(&machine), before);
}

#[test]
fn without_a_supervisor_status_says_what_stands_and_with_one_who_it_is() {
    let machine = Machine::demo();
    let first = machine.rdsup("status").ok();
    assert!(
        first.lines().next().is_some_and(|line| line.contains(&format!("pid {} ", machine.supervisor()))),
        "{first}"
    );
    let second = machine.rdsup("start");
    assert_eq!(second.code(), Some(1), "{second}");
    assert!(second.stderr.contains("rdsup status") && !second.stderr.contains("rdsup stop"), "{second}");
    machine.signal_supervisor("KILL");
    let error = machine.rdsup("status").refused(3);
    assert!(error.contains("generation 1 stands: 3 domains, 3 daemons") && error.contains("rdsup start"), "{error}");
    let said = machine.rdsup("status --json");
    let json: serde_json::Value = serde_json::from_str(&said.stderr).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!((&json["standing"]["generation"], &json["standing"]["daemons"]), (&1.into(), &3.into()), "{said}");
    machine.stop();
    let error = machine.rdsup("status").refused(3);
    assert!(error.contains("nothing listens at"), "{error}");
    let said = machine.rdsup("stop --keep");
    assert!(said.status.success() && said.stderr.contains("nothing of /run/rdsup stands"), "{said}");
}

#[test]
fn whoever_still_runs_in_a_domain_that_goes_is_named() {
    let machine = Machine::demo();
    for stop in ["with its supervisor", "without"] {
        let mut inside = machine.spawn(&[RDSUP, "-c", CONFIG, "exec", "private", "--", "sleep", "71"]);
        // `rdsup exec` has these words in its own command line.
        let running = || machine.run(&["pgrep", "-fx", "sleep.71"]).stdout;
        eventually(SOON, "it runs", || !running().is_empty());
        let pid = running();
        assert!(machine.rdsup("ps private").ok().contains("sleep 71"));
        if stop == "without" {
            machine.signal_supervisor("KILL");
        }
        let said = machine.rdsup("stop");
        let words = format!("process {} (sleep 71)", pid.trim());
        assert!(said.status.success() && said.stderr.contains(&words) && said.stderr.contains("private"), "{said}");
        assert!(inside.is_running());
        machine.line(&format!("kill {}", pid.trim()));
        machine.start();
    }
    // The same for a domain that the file no longer has, and for no other.
    let _inside = machine.spawn(&[RDSUP, "-c", CONFIG, "exec", "hostile", "--", "sleep", "72"]);
    let _other = machine.spawn(&[RDSUP, "-c", CONFIG, "exec", "private", "--", "sleep", "73"]);
    eventually(SOON, "both run", || machine.run(&["pgrep", "-fx", "sleep.7[23]"]).stdout.lines().count() == 2);
    let listed = machine.rdsup("ps").ok();
    assert!(listed.contains("sleep 72") && listed.contains("sleep 73"), "{listed}");
    let (without, _) = DEMO.split_once("[domain.hostile]").expect("it is in the file");
    machine.configure(&format!("{without}{LINK}"));
    let said = machine.rdsup("apply").ok();
    assert!(said.contains("(sleep 72)") && !said.contains("(sleep 73)"), "{said}");
    let warned = said.lines().find(|line| line.starts_with("warning: ") && line.contains("rdsup.toml:"));
    assert!(warned.is_some_and(|line| line.contains("routes")), "a warning of the file is told too: {said}");
}

/// A link that learns and opens nothing, of which the file's reader warns.
const LINK: &str = "[[link]]\nbetween = [\"private\", \"internet\"]\n[link.into.private]\nroutes = []\n\
                    [link.into.internet]\nroutes = []\npackets = [\"icmp\"]\n";

#[test]
fn help_is_had_by_either_way_of_asking() {
    let machine = Machine::new(DEMO);
    for (one, other) in [("help", "--help"), ("help start", "start --help")] {
        assert_eq!(machine.rdsup(one).ok(), machine.rdsup(other).ok());
    }
    assert!(machine.rdsup("help strat").refused(2).contains("start"));
}

#[test]
fn stop_takes_down_a_network_whose_supervisor_died() {
    let machine = Machine::new(DEMO);
    let clean = machine.traces();
    machine.start();
    machine.signal_supervisor("KILL");
    machine.stop();
    machine.assert_left_as(&clean);
}

#[test]
fn sigint_on_a_terminal_takes_the_network_down() {
    let machine = Machine::new(DEMO);
    let clean = machine.traces();
    // script(1) gives it a terminal, as a person has.
    let command = format!("{RDSUP} -c {CONFIG} start");
    let supervisor = machine.spawn(&["script", "-qec", &command, "/dev/null"]);
    eventually(SOON, "it is ready", || machine.rdsup("status --wait 30s").status.success());
    machine.signal_supervisor("INT");
    supervisor.finish(SOON);
    machine.assert_left_as(&clean);
}

#[test]
fn a_second_supervisor_on_the_same_run_dir_is_refused_and_changes_nothing() {
    let machine = Machine::demo();
    let before = identity(&machine);
    let error = machine.rdsup("start --detach").refused(1);
    assert!(error.contains("/run/rdsup"), "{error}");
    assert_eq!(identity(&machine), before);
    machine.supervisor();
}

#[test]
fn sighup_applies_a_changed_policy_and_resets_no_session() {
    let machine = Machine::demo();
    let before = identity(&machine);
    assert!(!machine.pings("hostile", "198.51.100.1"));
    let toml = DEMO.replace(r#"packets = ["tcp/80,443"]"#, r#"packets = ["tcp/80,443", "icmp"]"#);
    machine.configure(&toml);
    machine.signal_supervisor("HUP");
    eventually(SOON, "the ping that is allowed now arrives", || machine.pings("hostile", "198.51.100.1"));
    // And a changed route policy: private does not want internet's IPv6 any more.
    machine.configure(&toml.replacen(
        r#"routes  = ["198.51.100.0/24", "2001:db8:1::/48"]"#,
        r#"routes  = ["198.51.100.0/24"]"#,
        1,
    ));
    assert!(!machine.routes_to("private", "2001:db8:1::/48").is_empty());
    machine.signal_supervisor("HUP");
    eventually(SOON, "the route is withdrawn", || machine.routes_to("private", "2001:db8:1::/48").is_empty());
    assert_eq!(identity(&machine), before);
}

#[test]
fn sighup_with_a_file_that_is_not_sound_changes_nothing() {
    let machine = Machine::demo();
    let before = identity(&machine);
    machine.configure(&DEMO.replace("65001", "\"many\""));
    machine.signal_supervisor("HUP");
    eventually(SOON, "the file was read", || machine.rdsup("log").ok().contains("rdsup.toml is not applied: "));
    machine.configure(DEMO);
    assert_eq!(identity(&machine), before);
    machine.assert_converged();
}

#[test]
fn a_domain_that_left_the_file_leaves_the_machine() {
    let machine = Machine::demo();
    let kept = machine.session("private", "rd_internet");
    let without = DEMO
        .split("\n[[link]]")
        .filter(|part| !part.contains("between = [\"hostile\""))
        .collect::<Vec<_>>()
        .join("\n[[link]]");
    let start = without.find("# Someone else's").expect("the comment");
    let end = without.find("\n[[link]]").expect("a link");
    machine.configure(&format!("{}{}", &without[..start], &without[end..]));
    machine.signal_supervisor("HUP");
    eventually(SOON, "its namespace is gone", || !machine.line("ip netns list").contains("hostile"));
    eventually(SOON, "its link is gone", || !machine.line("ip -n internet -o link").contains("rd-hostile"));
    assert_eq!(machine.session("private", "rd_internet"), kept);
    eventually(SOON, "nothing is left to do", || machine.plan().to_lowercase().contains("nothing to do"));
}

#[test]
fn a_foreign_namespace_of_the_same_name_is_an_error_and_stays_as_it_is() {
    let machine = Machine::new(DEMO);
    machine.sh("ip netns add private; ip -n private link set lo up");
    let before = machine.traces();
    let error = machine.rdsup("start --detach --wait").refused(1);
    assert!(error.contains("private"), "{error}");
    machine.assert_left_as(&before);
}
