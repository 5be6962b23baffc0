//! Asking: status, ctl, exec, render, log.

use crate::machine::{CONFIG, DEMO, Machine, RDSUP, SOON, eventually};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

#[test]
fn ctl_shows_bgp_in_both_families_and_as_json() {
    let machine = Machine::demo();
    let table = machine.rdsup("ctl private show bgp").ok();
    assert!(table.contains("198.51.100.0/24") && table.contains("2001:db8:1::/48"), "{table}");
    let one = machine.rdsup("ctl private show bgp 198.51.100.0/24").ok();
    assert!(one.contains("198.51.100.0/24") && !one.contains("2001:db8:1::/48"), "{one}");
    let summary = machine.rdsup("ctl internet show bgp summary").ok();
    assert!(summary.contains("65002") && summary.contains("65003") && summary.contains("Established"), "{summary}");
    let neighbor = machine.rdsup("ctl internet show bgp neighbor rd-private").ok();
    assert!(neighbor.contains("65002"), "{neighbor}");
    let text = machine.rdsup("ctl private show bgp --json").ok();
    json(&text);
    assert!(text.contains("198.51.100.0/24"), "{text}");
    json(&machine.rdsup("ctl internet show bgp summary --json").ok());
    json(&machine.rdsup("ctl internet show route --json").ok());
}

#[test]
fn ctl_passes_everything_else_to_the_daemon_as_it_is() {
    let machine = Machine::demo();
    let status = machine.rdsup("ctl private show status").ok();
    assert!(status.contains("BIRD 2."), "{status}");
    let all = machine.rdsup("ctl private show protocols all rd_internet").ok();
    assert!(all.contains("BGP state:") && all.contains("Established"), "{all}");
    let wrong = machine.rdsup("ctl private no such command");
    assert_eq!(wrong.code(), Some(1), "{wrong}");
    let nobody = machine.rdsup("ctl nowhere show status");
    assert!(!nobody.status.success() && nobody.stderr.contains("nowhere"), "{nobody}");
}

#[test]
fn ctl_helps_and_explains_what_a_daemon_does_not_understand() {
    let machine = Machine::demo();
    for word in ["help", "?"] {
        let help = machine.rdsup(&format!("ctl private {word}")).ok();
        assert!(help.contains("show bgp summary"), "{help}");
    }
    assert!(machine.rdsup("ctl private show bgp neighbor").refused(1).contains("show bgp neighbor NAME"));
    assert!(machine.rdsup("ctl private show nonsense").refused(1).contains("ctl --help"));
}

#[test]
fn several_lines_that_come_by_standard_input_end_with_the_first_that_fails() {
    let machine = Machine::demo();
    let asked = |lines: &str| {
        machine.write("/srv/machine/lines", lines);
        let script = "exec /srv/machine/rdsup -c /srv/machine/rdsup.toml ctl private </srv/machine/lines";
        machine.run(&["sh", "-c", script])
    };
    let well = asked("show status\n# a comment\n\nshow protocols\n").ok();
    assert!(well.contains("Daemon is up") && well.contains("rd_internet"), "{well}");
    let failed = asked("show status\nshow nonsense\nshow protocols\n");
    assert!(failed.stdout.contains("Daemon is up") && !failed.stdout.contains("rd_internet"), "{failed}");
    assert!(failed.refused(1).contains("line 2, \"show nonsense\": syntax error"));
    // One line is a command as any other.
    assert!(asked("show bgp summary\n").ok().contains("65001"));
}

#[test]
fn every_verb_that_takes_a_domain_names_those_that_there_are() {
    let machine = Machine::demo();
    for verb in ["status nowhere", "log nowhere", "log -f nowhere", "exec nowhere true", "ctl nowhere show bgp"] {
        let error = machine.rdsup(verb).refused(2);
        assert!(error.contains("nowhere") && error.contains("private"), "`{verb}`: {error}");
    }
}

#[test]
fn ctl_asks_all_domains_at_once_and_keys_the_answers_by_domain() {
    let machine = Machine::demo();
    let all = machine.rdsup("ctl * show bgp summary --json").ok();
    let all = json(&all);
    for domain in ["internet", "private", "hostile"] {
        assert!(all.get(domain).is_some(), "{domain} is missing: {all}");
    }
    let text = machine.rdsup("ctl * show status").ok();
    assert_eq!(text.matches("BIRD 2.").count(), 3, "{text}");
}

#[test]
fn status_names_domains_daemons_sessions_and_is_ready() {
    let machine = Machine::demo();
    let text = machine.rdsup("status").ok();
    for word in ["internet", "private", "hostile", "Established"] {
        assert!(text.to_lowercase().contains(&word.to_lowercase()), "{word} is missing:\n{text}");
    }
    let text = machine.rdsup("status --json").ok();
    json(&text);
    assert!(text.contains("rd_private") || text.contains("rd-private"), "{text}");
    machine.rdsup("status --wait 5s").ok();
}

#[test]
fn status_of_a_network_with_a_session_down_is_degraded() {
    let machine = Machine::demo();
    machine.birdc("hostile", "disable rd_internet");
    eventually(SOON, "status ends with 3", || machine.rdsup("status").code() == Some(3));
    assert_eq!(machine.rdsup("status --wait 1s").code(), Some(3));
    machine.birdc("hostile", "enable rd_internet");
    machine.rdsup("status --wait 30s").ok();
}

#[test]
fn exec_runs_in_the_domain_with_its_name_server_and_its_own_files() {
    let machine = Machine::new(&DEMO.replace("asn      = 65002", "asn      = 65002\ndns      = [\"192.168.0.53\"]"));
    machine.write("/etc/netns/private/hosts", "192.168.0.9 printer.test\n");
    machine.start();
    assert!(machine.rdsup("exec private -- ip -o address show dev lo").ok().contains("192.168.0.1"));
    let resolv = machine.rdsup("exec private -- cat /etc/resolv.conf").ok();
    assert!(resolv.contains("nameserver 192.168.0.53"), "{resolv}");
    assert_eq!(machine.rdsup("exec private -- cat /etc/hosts").ok(), "192.168.0.9 printer.test\n");
    assert_ne!(machine.sh("cat /etc/hosts"), "192.168.0.9 printer.test\n", "the machine's own file");
    assert_eq!(machine.run(&[RDSUP, "-c", CONFIG, "exec", "private", "--", "sh", "-c", "exit 7"]).code(), Some(7));
}

#[test]
fn render_shows_every_domain_without_a_supervisor_or_privilege() {
    let machine = Machine::new(DEMO);
    let clean = machine.traces();
    let text = machine.run(&["setpriv", "--bounding-set=-all", "--inh-caps=-all", RDSUP, "-c", CONFIG, "render"]).ok();
    assert!(text.contains("rd_internet") && text.contains("table inet rdsup"), "{text}");
    machine.assert_left_as(&clean);
    machine.rdsup("render --out /srv/machine/out").ok();
    assert_eq!(machine.sh("find /srv/machine/out -type f ! -perm 600 | wc -l"), "0\n");
    assert_ne!(machine.sh("find /srv/machine/out -type f | wc -l"), "0\n");
}

#[test]
fn log_tells_what_was_done_to_a_daemon() {
    let machine = Machine::demo();
    let daemon = machine.bird("hostile").expect("a daemon");
    machine.line(&format!("kill -9 {daemon}"));
    eventually(SOON, "it is back", || machine.established("hostile", "rd_internet"));
    let log = machine.rdsup("log hostile").ok();
    assert!(!log.trim().is_empty(), "the log is empty");
}

#[test]
fn lab_runs_the_file_in_namespaces_of_its_own_and_leaves_nothing() {
    let machine = Machine::new(DEMO);
    let clean = machine.traces();
    let said = machine.run(&[
        RDSUP,
        "lab",
        CONFIG,
        "--",
        "bash",
        "-c",
        // The sessions are established a moment before their routes are in the kernel.
        "rdsup status --wait 30s >&2; ip netns list
         until ip netns exec private ping -nqc 1 -W 1 198.51.100.1 || [ $SECONDS -gt 60 ]; do sleep 0.1; done; exit 5",
    ]);
    assert_eq!(said.code(), Some(5), "{said}");
    assert!(said.stdout.contains("private") && said.stdout.contains(" 0% packet loss"), "{said}");
    machine.assert_left_as(&clean);
}

#[test]
fn lab_does_not_wait_for_neighbors_that_nobody_plays() {
    let machine = Machine::new(&format!(
        "{DEMO}\n[[domain.internet.interface]]\nname = \"up0\"\naddress = [\"203.0.113.2/30\"]\n\
         [[domain.internet.neighbor]]\nname = \"transit\"\naddress = \"203.0.113.1\"\nasn = 64510\n\
         [[domain.internet.route]]\nto = \"192.0.2.0/24\"\nvia = \"203.0.113.1\"\n"
    ));
    let said = machine.run(&[RDSUP, "lab", CONFIG, "--", "rdsup", "plan"]);
    assert!(!said.stderr.contains("not everything is up"), "{said}");
    // The kernel tells the interface of the route, which the file leaves out.
    assert!(said.ok().contains("nothing to do"));
}

#[test]
fn check_of_a_sound_file_succeeds_and_changes_nothing() {
    let machine = Machine::new(DEMO);
    let clean = machine.traces();
    machine.rdsup("check").ok();
    machine.assert_left_as(&clean);
}

#[test]
#[ignore = "needs root: several user ids"]
fn an_ordinary_user_may_check_and_plan() {
    let machine = Machine::new(DEMO);
    let clean = machine.traces();
    for verb in ["check", "plan", "render"] {
        machine.run(&["setpriv", "--reuid=4001", "--regid=4001", "--clear-groups", RDSUP, "-c", CONFIG, verb]).ok();
    }
    machine.assert_left_as(&clean);
}

#[test]
fn every_command_has_a_manual_page_in_section_8() {
    let machine = Machine::new(DEMO);
    machine.rdsup("man --out /srv/machine/man").ok();
    let pages = machine.sh("ls /srv/machine/man");
    assert!(pages.contains("rdsup.8\n") && pages.contains("rdsup-start.8\n"), "{pages}");
    assert!(pages.lines().all(|page| page.ends_with(".8")), "{pages}");
}

#[test]
fn doctor_finds_nothing_missing_on_a_machine_that_runs_these_tests() {
    let machine = Machine::new(DEMO);
    machine.rdsup("doctor").ok();
}
