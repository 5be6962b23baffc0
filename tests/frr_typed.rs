//! What people type to a real FRR: several lines together, and vtysh.
#![expect(clippy::disallowed_methods, reason = "the tests start daemons and the program under test")]

#[allow(dead_code, reason = "another test uses the rest")]
mod frr_pair;

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

use rdsup::daemons::{Access, Answer, LineAnswer};

use crate::frr_pair::{A, Pair};

const CHANGE: &str = "! A neighbor that nobody plays.
configure terminal
router bgp 65001
 neighbor 192.0.2.9 remote-as 65009
 neighbor 192.0.2.9 password hunter2
 neighbor 192.0.2.9 description typed
end
show bgp neighbors 192.0.2.9
";

async fn typed(pair: &Pair, text: &str, access: Access) -> Vec<LineAnswer> {
    match pair.ask(A, text, access).await.expect("it answers") {
        Answer::Script(lines) => lines,
        other => panic!("not a script: {other:?}"),
    }
}

fn told(lines: &[LineAnswer]) -> Vec<(usize, bool)> {
    lines.iter().map(|line| (line.line, line.error)).collect()
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn several_lines_are_one_configuration_and_end_with_the_first_that_is_refused() {
    let pair = Pair::start().await;
    let lines = typed(&pair, CHANGE, Access::Full).await;
    assert_eq!(told(&lines), [2, 3, 4, 5, 6, 7, 8].map(|line| (line, false)));
    assert!(lines[6].text.contains("192.0.2.9") && lines[5].text.is_empty(), "{lines:?}");
    assert!(!format!("{lines:?}").contains("hunter2"), "{lines:?}");
    let running = pair.running(A).await;
    assert!(running.contains("neighbor 192.0.2.9 description typed"), "{running}");
    assert!(running.contains("neighbor 192.0.2.9 password hunter2"), "{running}");

    // Refused with a code, with words alone, and for a bad value in a list.
    for (text, wanted, words) in [
        ("configure terminal\nrouter bgp 65009\nend", 2, "is already running"),
        ("configure terminal\n\nrouter bgp 65001\nneighbor 192.0.2.8 description x\nend", 4, "Specify remote-as"),
        ("conf t\nip prefix-list x seq 5 permit 10.0.0.0/8 le 4\nend", 2, "Invalid prefix range"),
        (
            "configure terminal\nXFRR_start_configuration\nip prefix-list x seq 5 permit 10.0.0.0/8 le 4\nXFRR_end_configuration\nend",
            4,
            "Configuration failed",
        ),
        ("show version\nnonsense\nshow version", 2, "Unknown command"),
    ] {
        let lines = typed(&pair, text, Access::Full).await;
        let last = lines.last().expect("something was sent");
        assert_eq!((last.line, last.error), (wanted, true), "{text}: {lines:?}");
        assert!(last.text.contains(words), "{text}: {lines:?}");
    }
    // What asks says something in a configuration too, and is no refusal.
    let lines =
        typed(&pair, "conf t\nrouter bgp 65001\ndo show version\nend\nzebra conf t\nip forwarding\nend", Access::Full);
    let lines = lines.await;
    assert!(lines.iter().all(|line| !line.error) && lines[2].text.starts_with("FRRouting"), "{lines:?}");
    // Each goes to the daemon that knows it, as long as nothing is configured.
    let lines =
        typed(&pair, "show bgp ipv4 unicast summary\nshow interface brief\nzebra show version", Access::Full).await;
    assert!(lines.iter().all(|line| !line.error) && lines[1].text.contains("rd-b"), "{lines:?}");
    // The connection ends with it.
    let lines = typed(&pair, "exit\nshow version", Access::Full).await;
    assert_eq!(told(&lines), [(1, false), (2, true)]);
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn of_several_lines_viewers_may_have_those_that_show_and_nothing_is_sent_if_one_is_not() {
    let pair = Pair::start().await;
    let before = pair.running(A).await;
    let lines = typed(&pair, "show version\nshow interface brief", Access::Look).await;
    assert!(lines.iter().all(|line| !line.error) && lines.len() == 2, "{lines:?}");
    for (text, line) in [
        ("show version\nenable\nshow running-config", 2),
        (CHANGE, 2),
        ("show version\nshow version\nconf t", 3),
        ("show version\nzebra enable", 2),
        ("show version\nshow bgp ipv4 unicast regexp (.*)*", 2),
    ] {
        let lines = typed(&pair, text, Access::Look).await;
        assert_eq!(told(&lines), [(line, true)], "{text}");
        assert_eq!(lines[0].text, "Access denied", "{text}");
    }
    assert_eq!(pair.running(A).await, before);
}

/// The program with a run directory in which the domain `edge` is one end.
struct Program {
    directory: tempfile::TempDir,
}

impl Program {
    fn of(pair: &Pair) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let domain = pair.socket(A).ancestors().nth(2).expect("a directory");
        symlink(domain, directory.path().join("edge")).expect("the directory is ours");
        let config = format!("[rdsup]\nrun_dir = \"{}\"\n", directory.path().display());
        std::fs::write(directory.path().join("rdsup.toml"), config).expect("the directory is ours");
        Self { directory }
    }

    fn words(&self, args: &[&str]) -> Vec<String> {
        let config = self.directory.path().join("rdsup.toml").display().to_string();
        let all = [env!("CARGO_BIN_EXE_rdsup"), "-c", &config, "ctl"];
        all.iter().chain(args).map(|word| (*word).to_owned()).collect()
    }

    fn run(&self, args: &[&str], input: &str) -> Output {
        Self::start(&self.words(args), input)
    }

    /// The same at a terminal.
    fn at_terminal(&self, args: &[&str], input: &str) -> Output {
        let line = self.words(args).iter().fold(String::new(), |line, word| {
            let mut line = line;
            write!(line, "'{word}' ").expect("a String takes all");
            line
        });
        Self::start(&["script", "-qec", &line, "/dev/null"].map(str::to_owned), input)
    }

    fn start(words: &[String], input: &str) -> Output {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        child.stdin.take().expect("it is a pipe").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    }
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn a_text_goes_to_frr_from_standard_input_or_as_an_argument() {
    let pair = Pair::start().await;
    let program = Program::of(&pair);
    let (code, stdout, stderr) = said(&program.run(&["edge"], CHANGE));
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.contains("192.0.2.9"), "{stdout}");
    assert!(pair.running(A).await.contains("description typed"));

    let change = "configure terminal\nrouter bgp 65001\nneighbor 192.0.2.9 shutdown\nneighbor 192.0.2.9 nonsense\nend";
    let (code, stdout, stderr) = said(&program.run(&["edge", change], ""));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("error: line 4, \"neighbor 192.0.2.9 nonsense\": % "), "{stderr}");
    assert!(stderr.contains("hint: what stands before this line was done"), "{stderr}");
    assert!(pair.running(A).await.contains("neighbor 192.0.2.9 shutdown"), "what stood before stays");

    let (code, stdout, _) = said(&program.run(&["edge", "--json", change], ""));
    let json: serde_json::Value = serde_json::from_str(&stdout).expect("it is JSON");
    let last = json.as_array().and_then(|lines| lines.last()).expect("a list");
    assert_eq!((code, &last["line"], &last["error"]), (Some(1), &4.into(), &true.into()), "{stdout}");

    let long =
        format!("configure terminal\nrouter bgp 65001\nno neighbor 192.0.2.9\n! {0}\necho {0}\nend", "x".repeat(4090));
    let (code, _, stderr) = said(&program.run(&["edge"], &long));
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("error: line 5: the command has 4095 bytes; at most 4090 are possible"), "{stderr}");
    assert!(pair.running(A).await.contains("neighbor 192.0.2.9 shutdown"), "nothing of it was sent");

    assert_eq!(said(&program.run(&["edge"], "\n")).0, Some(0));
    let (code, stdout, _) = said(&program.run(&["edge"], "show bgp summary\n"));
    assert!(code == Some(0) && stdout.contains("SESSION"), "one line is as if it were typed: {stdout}");
    let (code, _, stderr) = said(&program.run(&["edge", "configure", "terminal"], ""));
    assert!(code == Some(1) && stderr.contains("several lines"), "{stderr}");
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn a_domain_alone_at_a_terminal_is_frr_s_shell_which_writes_nothing_of_the_machine_s() {
    let pair = Pair::start().await;
    let program = Program::of(&pair);
    let before = std::fs::read("/etc/frr/frr.conf").ok();
    let (code, stdout, _) = said(&program.at_terminal(&["edge"], "show bgp ipv4 unicast summary\nwrite\nexit\n"));
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("Hello, this is FRRouting") && stdout.contains("rd-b"), "{stdout}");
    assert!(!stdout.contains("vtysh.conf due to"), "{stdout}");
    assert_eq!(std::fs::read("/etc/frr/frr.conf").ok(), before, "{stdout}");
    assert!(stdout.contains("Can't open configuration file"), "what was rendered is not written over: {stdout}");
}
