//! A throwaway machine: what rdsup believes to be the host.
//!
//! ```text
//!  test process ── stdin pipe ──▶ init (bash) in new net, mount and pid namespaces
//!       │                           │  /run, /srv, /var/lib: tmpfs    /etc: a copy    rdsup at /srv/machine/rdsup
//!       └── nsenter for each command ┘
//! ```
//! When the test process ends, however it ends, the pipe closes, init ends, and with it every process and then every
//! namespace of the machine. Init is a shell that waits, because orphaned daemons must be reaped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub use crate::said::{Background, Said, eventually, throughout};

/// The configuration that most tests start from.
pub const DEMO: &str = include_str!("../../conf/demo.toml");

/// Where the machine's configuration file is, inside.
pub const CONFIG: &str = "/srv/machine/rdsup.toml";

/// Where the program under test is, inside.
pub const RDSUP: &str = "/srv/machine/rdsup";

/// How long anything may take that normally takes a second or two.
pub const SOON: Duration = Duration::from_secs(30);

const INIT: &str = r#"
set -eu
exec 3<&0
mount -t tmpfs tmpfs /run
# Not below /run, which is another one in a lab.
mount -t tmpfs tmpfs /srv
mkdir -p /srv/machine/etc /run/netns
# What cannot be read by an ordinary user is not needed by one either.
cp -a /etc/. /srv/machine/etc/ 2>/srv/machine/cp.log || true
mount --bind /srv/machine/etc /etc
mount -t tmpfs tmpfs /var/lib
touch /srv/machine/rdsup
mount --bind "$1" /srv/machine/rdsup
ip link set lo up
echo ready
exec >/dev/null
cat <&3 &
wait $!
"#;

/// See the module.
pub struct Machine {
    init: Child,
}

/// A line as one types it, without quotes in it, as arguments.
pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The first two numbers of the FRR that is installed.
pub fn frr_version() -> [u32; 2] {
    let said = Command::new("/usr/lib/frr/bgpd").arg("--version").output().expect("FRR is installed").stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let (_, version) = said.split_once("version ").expect("it says its version");
    let mut numbers = version.split(|it: char| !it.is_ascii_digit()).map(|number| number.parse().expect("a number"));
    std::array::from_fn(|_| numbers.next().expect("it has two numbers"))
}

impl Machine {
    /// A machine with nothing but `lo` and this configuration file.
    pub fn new(toml: &str) -> Self {
        let mut unshare = Command::new("unshare");
        if !nix::unistd::geteuid().is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        unshare
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["bash", "-c", INIT, "init", env!("CARGO_BIN_EXE_rdsup")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut init = unshare.spawn().expect("unshare(1) of util-linux starts");
        let mut line = String::new();
        let stdout = init.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("init says something");
        assert_eq!(line, "ready\n", "the throwaway machine did not start: are user namespaces allowed here?");
        let machine = Self { init };
        machine.configure(toml);
        machine
    }

    /// A machine on which this configuration runs, with every session established.
    pub fn running(toml: &str) -> Self {
        let machine = Self::new(toml);
        machine.start();
        machine
    }

    /// A machine on which the demonstration's file runs, with every route learned: a session is established a moment
    /// before its routes are in the kernel.
    pub fn demo() -> Self {
        const ROUTES: [(&str, &str); 8] = [
            ("private", "198.51.100.0/24"),
            ("private", "2001:db8:1::/48"),
            ("hostile", "198.51.100.0/24"),
            ("hostile", "2001:db8:1::/48"),
            ("internet", "192.168.0.0/16"),
            ("internet", "2001:db8:2::/48"),
            ("internet", "10.66.0.0/16"),
            ("internet", "2001:db8:66::/48"),
        ];
        let machine = Self::running(DEMO);
        for (domain, prefix) in ROUTES {
            eventually(SOON, &format!("{domain} learns {prefix}"), || {
                machine.routes_to(domain, prefix).contains(" dev ")
            });
        }
        machine
    }

    /// Replaces the configuration file.
    pub fn configure(&self, toml: &str) {
        self.write(CONFIG, toml);
    }

    /// Writes a file inside.
    pub fn write(&self, path: &str, text: &str) {
        let mut child = self
            .enter(&["sh", "-c", r#"mkdir -p "$(dirname "$1")" && cat >"$1""#, "write", path])
            .stdin(Stdio::piped())
            .spawn()
            .expect("nsenter(1) of util-linux starts");
        child.stdin.take().expect("stdin is a pipe").write_all(text.as_bytes()).expect("the shell reads all");
        assert!(child.wait().expect("it ends").success(), "{path} was not written");
    }

    fn enter(&self, argv: &[&str]) -> Command {
        let at = |namespace: &str| format!("/proc/{}/ns/{namespace}", self.init.id());
        let mut command = Command::new("nsenter");
        if !nix::unistd::geteuid().is_root() {
            command.arg(format!("--user={}", at("user"))).arg("--preserve-credentials");
        }
        command
            .arg(format!("--net={}", at("net")))
            .arg(format!("--mount={}", at("mnt")))
            .arg(format!("--pid={}", at("pid_for_children")))
            .args(["--wd=/", "--"])
            .args(argv)
            .env_remove("RDSUP_CONFIG")
            .env_remove("SUDO_UID")
            .env_remove("SUDO_GID")
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null());
        command
    }

    /// Starts a command that reads what the test writes to it and answers.
    #[allow(dead_code, reason = "the leak suite has a use for it")]
    pub fn converse(&self, argv: &[&str]) -> Child {
        self.enter(argv).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("nsenter(1) of util-linux starts")
    }

    /// Starts a command and goes on.
    pub fn spawn(&self, argv: &[&str]) -> Background {
        // Files and not pipes: a daemon that keeps a pipe open must not keep the test waiting.
        let [stdout, stderr] = [(); 2].map(|()| tempfile::tempfile().expect("a temporary file"));
        let child = self
            .enter(argv)
            .stdout(stdout.try_clone().expect("a second descriptor"))
            .stderr(stderr.try_clone().expect("a second descriptor"))
            .spawn()
            .expect("nsenter(1) of util-linux starts");
        Background::new(argv.join(" "), child, stdout, stderr)
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn run(&self, argv: &[&str]) -> Said {
        self.spawn(argv).finish(Duration::from_secs(90))
    }

    /// Runs a line without quotes in it, and returns what it printed; it must succeed.
    #[track_caller]
    pub fn line(&self, line: &str) -> String {
        self.run(&words(line)).ok()
    }

    /// Runs a shell script, and returns what it printed; it must succeed.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.run(&["bash", "-euc", script]).ok()
    }

    /// Runs `rdsup -c FILE LINE`, split at white space.
    #[track_caller]
    pub fn rdsup(&self, line: &str) -> Said {
        let mut argv = vec![RDSUP, "-c", CONFIG];
        argv.extend(words(line));
        self.run(&argv)
    }

    /// Runs a line without quotes in the namespace of a domain, as an admin does.
    #[track_caller]
    pub fn within(&self, domain: &str, line: &str) -> Said {
        let mut argv = vec!["ip", "netns", "exec", domain];
        argv.extend(words(line));
        self.run(&argv)
    }

    /// Starts the network and waits for every session.
    #[track_caller]
    pub fn start(&self) {
        self.rdsup("start --detach --wait").ok();
    }

    /// Takes the network down.
    #[track_caller]
    pub fn stop(&self) {
        self.rdsup("stop").ok();
    }

    /// Takes a file or a directory away, in one step: whoever fills it just now must not be in the way of `rm`.
    #[track_caller]
    pub fn lose(&self, path: &str) {
        self.sh(&format!("mv {path} {path}.lost; rm -rf {path}.lost"));
    }

    /// Ends the supervisor and leaves the network, so that nothing repairs what the test changes by hand.
    #[track_caller]
    pub fn unattended(&self) {
        self.signal_supervisor("TERM");
    }

    /// The process id of the supervisor, inside.
    #[track_caller]
    pub fn supervisor(&self) -> String {
        let mut ids = String::new();
        // What it starts has its name until that has become the other program.
        eventually(SOON, "there is one supervisor", || {
            self.run(&["pgrep", "-x", "rdsup"]).stdout.trim().clone_into(&mut ids);
            !ids.is_empty() && !ids.contains('\n')
        });
        ids
    }

    /// Sends the supervisor a signal, and waits for its end unless it is to stay.
    #[track_caller]
    pub fn signal_supervisor(&self, signal: &str) {
        self.line(&format!("kill -{signal} {}", self.supervisor()));
        if signal != "HUP" {
            eventually(SOON, "the supervisor ends", || !self.run(&["pgrep", "-x", "rdsup"]).status.success());
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What the daemons and the supervisor said is what one needs to know about a failure.
            let script = "tail -n 25 /run/rdsup/log/*.log /run/rdsup/*/log/* 2>/dev/null";
            // Nothing may panic here: this is a panic already.
            if let Ok(said) = self.enter(&["bash", "-c", script]).output() {
                eprintln!("{}", String::from_utf8_lossy(&said.stdout));
            }
        }
        // Closing its standard input ends init, and init's end ends all.
        drop(self.init.stdin.take());
        let _ = self.init.wait();
    }
}
