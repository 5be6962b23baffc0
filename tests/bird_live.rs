//! A real BIRD in a namespace of its own, asked through its control socket.
#![expect(clippy::disallowed_methods, reason = "the tests start a daemon and write its configuration")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdsup::daemons::bird::Bird;
use rdsup::daemons::bird::protocol::Client;
use rdsup::daemons::{Access, Answer, DaemonError, Peers, Place, Query, RoutingDaemon};
use rdsup::model::{DaemonKind, Program};
use tokio::time::{Instant, interval};

const CONFIG: &str = r#"
router id 10.255.0.1;
timeformat protocol "%Y-%m-%dT%H:%M:%S%z";
timeformat route "%s";
protocol device {}
protocol static originated4 { ipv4; route 10.1.0.0/16 unreachable; route 10.2.0.0/16 blackhole; }
protocol static originated6 { ipv6; route 2001:db8::/32 unreachable; }
protocol static elsewhere { ipv4; route 10.8.0.0/16 unreachable; }
protocol bgp ext_isp { local 192.0.2.1 as 65001; neighbor 192.0.2.2 as 65002; ipv4 { import all; export none; }; }
"#;

/// One BIRD, killed when the test ends.
struct Running {
    child: Child,
    place: Place,
    directory: tempfile::TempDir,
}

impl Running {
    async fn start(config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        // BIRD reads its configuration as the user that it becomes.
        std::fs::set_permissions(directory.path(), open).expect("it is ours");
        let place = Place::in_directory(DaemonKind::Bird, directory.path());
        std::fs::write(place.config(Program::Bird), config).expect("the directory is ours");
        let command = Bird.command(Program::Bird, &place, false).expect("bird2 is installed");
        let namespace = if nix::unistd::geteuid().is_root() { "-n" } else { "-rn" };
        let child = Command::new("unshare")
            .arg(namespace)
            .arg(command.program)
            .args(command.args)
            .stderr(Stdio::inherit())
            .spawn()
            .expect("unshare is there");
        let running = Self { child, place, directory };
        running.until_ready().await;
        running
    }

    async fn until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut ticks = interval(Duration::from_millis(5));
        while let Err(error) = Bird.ready(Program::Bird, &self.place).await {
            assert!(Instant::now() < deadline, "not ready: {error}");
            ticks.tick().await;
        }
    }

    fn socket(&self) -> &Path {
        &self.place.socket
    }

    async fn ask(&self, command: &str, access: Access) -> Result<Answer, DaemonError> {
        let query = Query::parse(command, false).expect("it is a command");
        Bird.ask(self.socket(), &query, access, &Peers::new()).await
    }

    async fn prefixes(&self, command: &str) -> Vec<String> {
        match self.ask(command, Access::Full).await.expect("it answers") {
            Answer::Routes(routes) | Answer::Bgp(routes) => {
                routes.iter().map(|route| format!("{} {}", route.prefix, route.kind)).collect()
            }
            other => panic!("not routes: {other:?}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn routes_are_asked_for_by_prefix_and_by_address() {
    let bird = Running::start(CONFIG).await;
    let mut all = bird.prefixes("show route").await;
    all.sort();
    let ours = ["10.1.0.0/16 unreachable", "10.2.0.0/16 blackhole", "2001:db8::/32 unreachable"];
    assert_eq!(all, [ours[0], ours[1], "10.8.0.0/16 unreachable", ours[2]]);
    assert_eq!(bird.prefixes("show route 10.1.0.0/16").await, ["10.1.0.0/16 unreachable"]);
    assert_eq!(bird.prefixes("show route 10.2.3.4").await, ["10.2.0.0/16 blackhole"]);
    assert_eq!(bird.prefixes("show route 2001:db8::1").await, ["2001:db8::/32 unreachable"]);
    assert_eq!(bird.prefixes("show route 10.9.0.0/16").await, [""; 0]);
    let mut announced = bird.prefixes("show bgp").await;
    announced.sort();
    assert_eq!(announced, ours, "BGP speaks of what it learned and of what is ours to announce");
    assert_eq!(bird.prefixes("show bgp 10.2.3.4").await, ["10.2.0.0/16 blackhole"]);
    assert_eq!(bird.prefixes("show bgp 10.8.0.0/16").await, [""; 0]);
}

#[tokio::test]
async fn a_neighbor_is_found_by_each_of_its_names_and_by_no_other() {
    let bird = Running::start(CONFIG).await;
    for name in ["isp", "ext_isp", "192.0.2.2"] {
        let answer = bird.ask(&format!("show bgp neighbor {name}"), Access::Full).await.expect("it is there");
        assert!(matches!(&answer, Answer::Neighbor(found) if found[0].name == "isp"), "{name}: {answer:?}");
    }
    let error = bird.ask("show bgp neighbor nobody", Access::Full).await.expect_err("there is none");
    assert_eq!(error.to_string(), "no session is called \"nobody\"; there are: isp");
}

#[tokio::test]
async fn commands_of_birds_own_go_through_and_viewers_are_restricted_by_bird_itself() {
    let bird = Running::start(CONFIG).await;
    let answer = bird.ask("show status", Access::Look).await.expect("it answers");
    assert!(matches!(&answer, Answer::Text { text, error: false } if text.contains("Router ID is 10.255.0.1")));
    let denied = Answer::Text { text: "Access denied".to_owned(), error: true };
    assert_eq!(bird.ask("disable ext_isp", Access::Look).await.expect("it answers"), denied);
    let done = bird.ask("disable ext_isp", Access::Full).await.expect("it answers");
    assert_eq!(done, Answer::Text { text: "ext_isp: disabled".to_owned(), error: false });
    let sessions = Bird.sessions(bird.socket(), &Peers::new()).await.expect("it answers");
    assert_eq!(sessions[0].state, "Down");
}

#[tokio::test]
async fn a_new_configuration_is_in_force_when_reload_returns_and_a_bad_one_changes_nothing() {
    let bird = Running::start(CONFIG).await;
    let changed = CONFIG.replace("10.2.0.0/16 blackhole", "10.3.0.0/16 blackhole");
    std::fs::write(bird.place.config(Program::Bird), changed).expect("the file is ours");
    Bird.reload(Program::Bird, &bird.place, None).await.expect("it is a configuration");
    assert_eq!(bird.prefixes("show route 10.3.0.1").await, ["10.3.0.0/16 blackhole"]);
    std::fs::write(bird.place.config(Program::Bird), "router id 10.255.0.1;\nprotocol nonsense {}\n")
        .expect("the file is ours");
    let error = Bird.reload(Program::Bird, &bird.place, None).await.expect_err("it is none");
    assert!(matches!(&error, DaemonError::Config(error) if error.errors()[0].line == 2), "{error:?}");
    assert_eq!(bird.prefixes("show route 10.3.0.1").await, ["10.3.0.0/16 blackhole"]);
}

#[tokio::test]
async fn a_daemon_that_left_cannot_be_reached() {
    let mut bird = Running::start(CONFIG).await;
    let mut client = Client::connect(bird.socket(), Duration::from_secs(5)).await.expect("it answers");
    // It may be gone before its answer is read.
    let _ = client.ask("down").await;
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut ticks = interval(Duration::from_millis(5));
    let status = loop {
        if let Some(status) = bird.child.try_wait().expect("it is our child") {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not leave");
        ticks.tick().await;
    };
    assert!(status.success());
    let error = Bird.ready(Program::Bird, &bird.place).await.expect_err("nobody is there");
    assert!(matches!(error, DaemonError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_stopped_process_is_no_answer() {
    let bird = Running::start(CONFIG).await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(bird.child.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).expect("it is our child");
    let error = Client::connect(bird.socket(), Duration::from_millis(100)).await.expect_err("it is stopped");
    assert!(matches!(error, DaemonError::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn a_configuration_is_checked_without_a_running_daemon() {
    Bird.check(Program::Bird, CONFIG).await.expect("it is a configuration");
    // Checked before anything is made, so the directory of its log is not there yet.
    let logging = format!("log \"/nonexistent/log/bird.log\" 4194304 \"/nonexistent/log/bird.log.1\" all;\n{CONFIG}");
    Bird.check(Program::Bird, &logging).await.expect("checking opens no log");
    let error = Bird.check(Program::Bird, "router id 10.255.0.1;\nprotocol device {}\nprotocol nonsense {}\n").await;
    let error = error.expect_err("it is none");
    assert!(
        matches!(&error, DaemonError::Config(error) if error.errors()[0].line == 3 && error.errors()[0].column > 0),
        "{error:?}"
    );
    assert!(Bird.version().await.expect("bird2 is installed").starts_with('2'));
}

#[tokio::test]
async fn the_socket_that_is_left_behind_by_a_killed_daemon_does_not_keep_the_next_from_starting() {
    let mut bird = Running::start(CONFIG).await;
    bird.child.kill().expect("it is our child");
    bird.child.wait().expect("it is our child");
    assert!(bird.socket().exists(), "a killed process cleans up nothing in {}", bird.directory.path().display());
    let command = Bird.command(Program::Bird, &bird.place, true).expect("bird2 is installed");
    assert_eq!(command.args.last().and_then(|arg| arg.to_str()), Some("-R"));
    let namespace = if nix::unistd::geteuid().is_root() { "-n" } else { "-rn" };
    let next = Command::new("unshare").arg(namespace).arg(command.program).args(command.args).spawn();
    bird.child = next.expect("unshare is there");
    bird.until_ready().await;
}
