//! Two FRRs in two namespaces with a link between them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Group, Pid, User};
use rdsup::daemons::frr::Frr;
use rdsup::daemons::frr::vty::Client;
use rdsup::daemons::{Access, Answer, DaemonError, Peers, Place, Query, Route, RoutingDaemon, Session};
use rdsup::model::{DaemonKind, Program};
use tokio::time::{Instant, interval};

/// The one that is changed.
pub const A: usize = 0;
/// Its neighbor.
pub const B: usize = 1;
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `probe` says yes.
pub async fn eventually(what: &str, mut probe: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut ticks = interval(Duration::from_millis(10));
    while !probe().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        ticks.tick().await;
    }
}

/// The configuration of one end, which lets `accepted` in. `extra` stands in `router bgp`.
pub fn config(end: usize, accepted: &[&str], extra: &str) -> String {
    let (own, other) = (end + 1, 2 - end);
    let peer = ["rd-b", "rd-a"][end];
    // Names follow from the content, as those of our templates do.
    let hash = accepted.join(" ").bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let mut list = String::new();
    for (at, prefix) in accepted.iter().enumerate() {
        let number = 5 * (at + 1);
        writeln!(list, "ip prefix-list {peer}-in-{hash:x} seq {number} permit {prefix}").expect("a String takes all");
    }
    // FRR 8.4 never connects to a link-local address that is configured (`Waiting for NHT`), only to one that it learned.
    // Without `ebgp-requires-policy`, and with all that the neighbor sent at hand, no filter at all lets everything in at once.
    format!(
        "bgp route-map delay-timer 1
{list}route-map {peer}-in-{hash:x} permit 10
 match ip address prefix-list {peer}-in-{hash:x}
route-map {peer}-in-{hash:x} permit 20
 match ipv6 address prefix-list rd-any6
ipv6 prefix-list rd-any6 seq 5 permit 2001:db8::/32 le 48
route-map rd-out-1 permit 10
router bgp 6500{own}
 bgp router-id 10.255.0.{own}
 no bgp default ipv4-unicast
 no bgp ebgp-requires-policy
 no bgp network import-check
 bgp fast-convergence
 coalesce-time 0
{extra} neighbor {peer} interface remote-as 6500{other}
 neighbor {peer} description {peer}
 neighbor {peer} timers 30 90
 neighbor {peer} ttl-security hops 1
 neighbor {peer} timers connect 1
 address-family ipv4 unicast
  network 10.{own}.0.0/16
  neighbor {peer} activate
  neighbor {peer} soft-reconfiguration inbound
  neighbor {peer} maximum-prefix 100 restart 1
  neighbor {peer} route-map {peer}-in-{hash:x} in
  neighbor {peer} route-map rd-out-1 out
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:{own}::/48
  neighbor {peer} activate
  neighbor {peer} route-map {peer}-in-{hash:x} in
  neighbor {peer} route-map rd-out-1 out
 exit-address-family
"
    )
}

/// What BGP gives to the kernel has an address of ours as its source.
fn zebra(end: usize) -> String {
    format!("route-map rd-source permit 10\n set src 10.255.0.{}\nip protocol bgp route-map rd-source\n", end + 1)
}

/// A namespace with what runs in it, all of which ends with the test.
struct Domain {
    holder: Child,
    daemons: Vec<(&'static str, Child)>,
    directory: tempfile::TempDir,
    place: Place,
    /// What bgpd has read.
    loaded: Mutex<String>,
}

impl Domain {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let frr = directory.path().join("frr");
        std::fs::create_dir(&frr).expect("the directory is ours");
        for path in [directory.path(), &frr] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("it is ours");
        }
        let user = User::from_name("frr").expect("users can be read").expect("frr is installed");
        let group = Group::from_name("frr").expect("groups can be read").expect("frr is installed");
        nix::unistd::chown(&frr, Some(user.uid), Some(group.gid)).expect("root runs the test");
        let holder = Command::new("unshare").args(["-n", "sleep", "600"]).spawn().expect("unshare is there");
        let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let pid = holder.id().to_string();
        eventually("a namespace", async || {
            let asleep = std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep");
            asleep && namespace(&pid) != namespace("self")
        })
        .await;
        let place = Place::in_directory(DaemonKind::Frr, directory.path());
        let new = Self { holder, daemons: Vec::new(), directory, place, loaded: Mutex::default() };
        new.run(&["ip", "link", "set", "lo", "up"]);
        new
    }

    fn inside(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-n", "-t", &self.holder.id().to_string(), "--"]).arg(program);
        command
    }

    fn run(&self, words: &[&str]) -> String {
        let output = self.inside(Path::new(words[0])).args(&words[1..]).output().expect("nsenter is there");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn start(&mut self, zebra: &str, bgpd: &str) {
        // From 10.0 on mgmtd tells zebra what it is to do with routes.
        let told = rdsup::daemons::frr::dialect().mgmtd;
        let (own, by_mgmtd) = if told { ("", Some(zebra)) } else { (zebra, None) };
        let texts = [(Program::Bgpd, Some(bgpd)), (Program::Zebra, Some(own)), (Program::Mgmtd, by_mgmtd)];
        for (program, text) in texts {
            let Some(text) = text else { continue };
            std::fs::write(self.place.config(program), text).expect("the directory is ours");
        }
        bgpd.clone_into(&mut self.loaded.lock().expect("nobody panicked"));
        for program in told.then_some(&Program::Mgmtd).into_iter().chain(DaemonKind::Frr.core()) {
            let started = Frr.command(*program, &self.place, false).expect("frr is installed");
            let mut command = if told { self.alone(&started.program) } else { self.inside(&started.program) };
            let child = command.args(&started.args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            self.daemons.push((program.as_str(), child.expect("nsenter is there")));
            eventually(program.as_str(), async || Frr.ready(*program, &self.place).await.is_ok()).await;
        }
    }

    /// Of the paths that are built into mgmtd each end has its own, as `Frr::view` gives them to a domain.
    fn alone(&self, program: &Path) -> Command {
        const VIEW: &str = r#"
            mkdir -p /run/frr /etc/frr /var/lib/frr
            mount --bind "$0/frr" /run/frr; mount -t tmpfs tmpfs /var/lib/frr; mount -t tmpfs tmpfs /etc/frr
            cp "$0/mgmtd.conf" /etc/frr; chmod 755 /etc/frr; chown frr:frr /var/lib/frr
            exec "$@""#;
        let mut command = self.inside(Path::new("unshare"));
        command.args(["-m", "sh", "-euc", VIEW]).arg(self.directory.path()).arg(program);
        command
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        for child in self.daemons.iter_mut().rev().map(|(_, child)| child).chain([&mut self.holder]) {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("what was in {} is gone with it", self.directory.path().display());
        }
    }
}

/// Two of them, with a session that is Established.
pub struct Pair {
    domains: [Domain; 2],
}

impl Pair {
    /// Starts both.
    pub async fn start() -> Self {
        let mut pair = Self { domains: [Domain::new().await, Domain::new().await] };
        let pids = pair.domains.each_ref().map(|domain| domain.holder.id().to_string());
        let made = Command::new("ip")
            .args(["link", "add", "rd-b", "netns", &pids[A], "type", "veth", "peer", "name", "rd-a", "netns", &pids[B]])
            .status()
            .expect("ip is there");
        assert!(made.success());
        for (end, interface) in [(A, "rd-b"), (B, "rd-a")] {
            let own = end + 1;
            pair.ip(end, &format!("link set {interface} addrgenmode none"));
            pair.ip(end, &format!("address add fe80::{own}/64 dev {interface} nodad"));
            pair.ip(end, &format!("address add 10.255.0.{own}/32 dev lo"));
            pair.ip(end, &format!("link set {interface} up"));
        }
        let accepted: [&[&str]; 2] = [&["10.2.0.0/16", "10.4.0.0/16"], &["10.1.0.0/16"]];
        for (end, domain) in pair.domains.iter_mut().enumerate() {
            let mut bgpd = config(end, accepted[end], "");
            if end == B {
                // What A's filters tell apart, and what none of them lets in.
                bgpd = bgpd.replace(
                    "  network 10.2.0.0/16\n",
                    "  network 10.2.0.0/16\n  network 10.4.0.0/16\n  network 10.66.0.0/16\n",
                );
            }
            domain.start(&zebra(end), &bgpd).await;
        }
        let deadline = Instant::now() + PATIENCE;
        let mut ticks = interval(Duration::from_millis(10));
        loop {
            let sessions = Frr.sessions(pair.socket(A), &Peers::new()).await.expect("it answers");
            let is_whole = |it: &Session| it.is_established() && it.families.iter().all(|family| family.imported > 0);
            if sessions.iter().all(is_whole) {
                break;
            }
            assert!(Instant::now() < deadline, "no session in time: {sessions:?}");
            ticks.tick().await;
        }
        for prefix in ["10.2.0.0/16", "2001:db8:2::/48"] {
            // Which of them is best is known only after the session is up.
            eventually(prefix, async || {
                let routes = pair.routes(A, &format!("show route {prefix}")).await;
                let all = pair.routes(A, &format!("show bgp {prefix}")).await;
                !routes.is_empty() && all.iter().all(|route| route.best)
            })
            .await;
        }
        pair
    }

    /// The vty of an end's bgpd.
    pub fn socket(&self, end: usize) -> &Path {
        &self.domains[end].place.socket
    }

    /// Runs `ip` in an end.
    pub fn ip(&self, end: usize, words: &str) -> String {
        let words: Vec<&str> = std::iter::once("ip").chain(words.split(' ')).collect();
        self.domains[end].run(&words)
    }

    /// Sends a signal to one of an end's daemons.
    pub fn signal(&self, end: usize, name: &str, signal: Signal) {
        let (_, child) = self.domains[end].daemons.iter().find(|(other, _)| *other == name).expect("it runs");
        kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), signal).expect("it is our child");
    }

    /// Asks an end.
    pub async fn ask(&self, end: usize, command: &str, access: Access) -> Result<Answer, DaemonError> {
        let query = Query::parse(command, false).expect("it is a command");
        Frr.ask(self.socket(end), &query, access, &Peers::new()).await
    }

    /// Asks an end for routes.
    pub async fn routes(&self, end: usize, command: &str) -> Vec<Route> {
        match self.ask(end, command, Access::Look).await.expect("it answers") {
            Answer::Routes(routes) | Answer::Bgp(routes) => routes,
            other => panic!("not routes: {other:?}"),
        }
    }

    /// What an end's BGP has.
    pub async fn prefixes(&self, end: usize) -> BTreeSet<String> {
        self.routes(end, "show bgp").await.iter().map(|route| route.prefix.to_string()).collect()
    }

    /// Gives an end another configuration.
    pub async fn reload(&self, end: usize, text: &str) -> Result<(), DaemonError> {
        let Domain { place, loaded, .. } = &self.domains[end];
        std::fs::write(place.config(Program::Bgpd), text).expect("the file is ours");
        let before = loaded.lock().expect("nobody panicked").clone();
        Frr.reload(Program::Bgpd, place, Some(&before)).await?;
        self.believe(end, text);
        Ok(())
    }

    /// Has the next change begin from this text, whatever bgpd has read.
    pub fn believe(&self, end: usize, text: &str) {
        text.clone_into(&mut self.domains[end].loaded.lock().expect("nobody panicked"));
    }

    /// What bgpd says that it runs.
    pub async fn running(&self, end: usize) -> String {
        running(self.socket(end)).await
    }

    /// How often sessions of an end went down.
    pub async fn dropped(&self, end: usize) -> u64 {
        let mut client = Client::connect(self.socket(end), PATIENCE).await.expect("it answers");
        let reply = client.ask("show bgp neighbors json").await.expect("it answers");
        let all: serde_json::Value = serde_json::from_str(&reply.text).expect("it is JSON");
        let all = all.as_object().expect("it is the answer").values();
        all.filter_map(|it| it["connectionsDropped"].as_u64()).sum()
    }

    /// What a bgpd says that it runs after it has read a text at its start.
    pub async fn read(text: &str) -> String {
        let mut domain = Domain::new().await;
        domain.start("", text).await;
        let socket: PathBuf = domain.place.socket.clone();
        running(&socket).await
    }
}

async fn running(socket: &Path) -> String {
    let mut client = Client::connect(socket, PATIENCE).await.expect("it answers");
    client.enable().await.expect("it lets us");
    client.ask("show running-config").await.expect("it answers").text
}
