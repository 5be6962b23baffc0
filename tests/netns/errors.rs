//! Bad input and bad circumstances: a clear error, its exit code, and nothing changed.

use crate::machine::{CONFIG, DEMO, Machine, RDSUP};

/// The verbs that read the file and may not get past an unsound one.
const READERS: [&str; 4] = ["check", "plan", "render", "start --detach"];

#[track_caller]
fn assert_refused_everywhere(toml: &str, words: &[&str]) {
    let machine = Machine::new(toml);
    let clean = machine.traces();
    for verb in READERS {
        let error = machine.rdsup(verb).refused(2);
        for word in words {
            assert!(error.contains(word), "`{verb}`: {word:?} is not in\n{error}");
        }
    }
    machine.assert_left_as(&clean);
}

#[test]
fn an_unsound_file_is_refused_with_file_line_and_column() {
    assert_refused_everywhere(
        &DEMO.replace("loopback = [\"198.51.100.1/32\"", "loopbacks = [\"198.51.100.1/32\""),
        &["rdsup.toml:", "loopbacks"],
    );
}

#[test]
fn every_problem_of_a_file_is_reported_at_once() {
    let toml = DEMO
        .replace("asn      = 65002", "")
        .replace("198.51.100.0/24", "198.51.100.1/24")
        .replace("\"hostile\", ", "\"nobody\", ");
    assert_refused_everywhere(&toml, &["private", "198.51.100.0/24", "nobody"]);
}

#[test]
fn what_check_finds_is_a_list_for_programs() {
    let toml = DEMO.replace("asn      = 65002", "").replace("198.51.100.0/24", "198.51.100.1/24");
    let machine = Machine::new(&toml);
    let said = machine.rdsup("check --json");
    assert_eq!(said.code(), Some(2), "{said}");
    let json: serde_json::Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said}"));
    let errors = json["errors"].as_array().expect("a list");
    assert!(errors.len() >= 2, "{said}");
    for error in errors {
        assert!(error["line"].is_u64() && error["column"].is_u64() && error["hint"].is_string(), "{said}");
        assert_eq!((&error["file"], &error["severity"]), (&CONFIG.into(), &"error".into()), "{said}");
        assert!(error["message"].as_str().is_some_and(|message| !message.contains('\n')), "{said}");
    }
    // What is found later, by the daemon's parser.
    machine.configure(&DEMO.replace("asn      = 65002", "asn      = 65002\nextra    = { bird = \"nonsense\" }"));
    let said = machine.rdsup("check --json");
    let json: serde_json::Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!((said.code(), json["errors"].as_array().map(Vec::len)), (Some(2), Some(1)), "{said}");
    assert!(json["errors"][0]["line"].is_u64(), "{said}");
    // Whoever asked for something else is told why there is none.
    let said = machine.rdsup("plan --json");
    let json: serde_json::Value = serde_json::from_str(&said.stderr).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!(json["errors"].as_array().map(Vec::len), Some(1), "{said}");
    machine.configure(DEMO);
    let said = machine.rdsup("check --json").ok();
    let json: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(json["errors"], serde_json::json!([]), "{said}");
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let machine = Machine::new("");
    let error = machine.run(&[RDSUP, "-c", "/srv/machine/none.toml", "check"]).refused(2);
    assert!(error.contains("/srv/machine/none.toml") && error.contains("hint"), "{error}");
}

#[test]
fn an_error_in_a_users_template_names_the_template_the_line_and_the_column() {
    let machine = Machine::new(&format!("[rdsup]\ntemplates = \"/srv/machine/templates\"\n{DEMO}"));
    let clean = machine.traces();
    // Whatever the built-in is called: the rendered files show which templates there are.
    machine.write("/srv/machine/templates/bird/bird.conf.hbs", "router id 192.0.2.1;\n  {{no_such_field}}\n");
    for verb in ["check", "start --detach"] {
        let error = machine.rdsup(verb).refused(2);
        assert!(error.contains("bird/bird.conf") && error.contains("no_such_field") && error.contains('2'), "{error}");
    }
    machine.assert_left_as(&clean);
}

#[test]
fn a_template_whose_result_the_daemon_does_not_parse_is_refused_before_anything_is_touched() {
    let machine = Machine::new(
        &DEMO.replace("asn      = 65002", "asn      = 65002\nextra    = { bird = \"protocol nonsense { }\" }"),
    );
    let clean = machine.traces();
    for verb in ["check", "start --detach"] {
        let error = machine.rdsup(verb).refused(2);
        assert!(error.contains("private"), "{error}");
    }
    machine.assert_left_as(&clean);
}

#[test]
fn a_password_file_that_cannot_be_read_is_refused() {
    let toml = format!(
        "{DEMO}\n[[domain.internet.interface]]\nname = \"up0\"\naddress = [\"203.0.113.2/30\"]\n\
         [[domain.internet.neighbor]]\nname = \"transit\"\naddress = \"203.0.113.1\"\nasn = 64510\n\
         password = {{ file = \"/srv/machine/none.key\" }}\n"
    );
    let machine = Machine::new(&toml);
    let clean = machine.traces();
    for verb in ["check", "start --detach"] {
        let error = machine.rdsup(verb).refused(2);
        assert!(error.contains("/srv/machine/none.key"), "{error}");
    }
    // It redacts, and so needs no secret.
    machine.rdsup("render").ok();
    machine.assert_left_as(&clean);
}

#[test]
fn without_a_bird_start_says_what_to_install() {
    let machine = Machine::new(DEMO);
    // An empty file in its place is no program; the machine's own copy is not touched.
    machine.sh("touch /srv/machine/empty; chmod 644 /srv/machine/empty; for bird in $(type -ap bird); do mount --bind /srv/machine/empty $bird; done");
    let clean = machine.traces();
    let said = machine.rdsup("start --detach");
    assert!(!said.status.success() && said.stderr.contains("bird"), "{said}");
    machine.assert_left_as(&clean);
    let doctor = machine.rdsup("doctor");
    assert!(doctor.stdout.contains("bird2") || doctor.stderr.contains("bird2"), "{doctor}");
}

#[test]
#[ignore = "needs root: several user ids"]
fn without_privilege_start_says_so() {
    let machine = Machine::new(DEMO);
    let clean = machine.traces();
    let user = ["setpriv", "--reuid=4001", "--regid=4001", "--clear-groups", RDSUP, "-c", CONFIG, "start", "--detach"];
    let error = machine.run(&user).refused(1);
    assert!(error.contains("privilege") && error.contains("hint"), "{error}");
    machine.assert_left_as(&clean);
}

#[test]
fn without_a_supervisor_the_questions_say_so() {
    let machine = Machine::new(DEMO);
    for verb in ["status", "ctl private show bgp", "exec private -- true"] {
        let said = machine.rdsup(verb);
        assert!(!said.status.success(), "{said}");
        assert!(said.stderr.contains("error") && said.stderr.contains("rdsup"), "{said}");
    }
    assert_eq!(machine.rdsup("status").code(), Some(3));
}

#[test]
fn detach_returns_even_when_its_output_is_a_pipe_that_someone_reads_to_the_end() {
    let machine = Machine::new(DEMO);
    // cat ends when the last writer has closed the pipe.
    machine.sh(&format!("/srv/machine/rdsup -c {CONFIG} start --detach 2>&1 | cat"));
    machine.rdsup("status --wait 30s").ok();
}

#[test]
fn what_nobody_reads_any_more_is_no_reason_to_fail() {
    let machine = Machine::running(DEMO);
    for verb in ["check", "apply", "apply --json", "render --out /srv/machine/r", "plan", "status", "history", "log"] {
        // Its output has ended before it begins.
        let script = format!("set -o pipefail; (sleep 0.2; exec {RDSUP} -c {CONFIG} {verb}) | exec <&-");
        let said = machine.run(&["bash", "-euc", &script]);
        assert!(said.status.success() && !said.stderr.contains("panicked"), "{verb}: {said}");
    }
}

#[test]
fn a_pipe_instead_of_a_file_is_refused_and_nobody_waits_for_it() {
    let list = "[prefixes]\npiped = { file = \"/srv/machine/pipe\" }\n";
    let neighbor = "[[domain.internet.neighbor]]\nname = \"up\"\naddress = \"192.0.2.9\"\nasn = 3333\nmultihop = 2\n\
                    password = { file = \"/srv/machine/pipe\" }\n";
    let machine = Machine::new(&format!("{list}{DEMO}"));
    machine.line("mkfifo /srv/machine/pipe");
    machine.line("mkdir -p /srv/machine/templates/bird");
    machine.line("mkfifo /srv/machine/templates/bird/bird.conf.hbs");
    let templates = format!("[rdsup]\ntemplates = \"/srv/machine/templates\"\n{DEMO}");
    for toml in [format!("{list}{DEMO}"), format!("{DEMO}{neighbor}"), templates] {
        machine.configure(&toml);
        let error = machine.run(&["timeout", "20", RDSUP, "-c", CONFIG, "check"]).refused(2);
        assert!(error.contains("a pipe or a device"), "{error}");
    }
}
