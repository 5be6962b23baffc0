//! The networks that suffer, and what must be true of them afterwards.

use std::cell::Cell;

use crate::looking::assert_becomes;
use crate::machine::{CONFIG, Machine, RDSUP, SOON, eventually, words};
use crate::run::Run;
use crate::said::Said;

/// `a` and `b` suffer: a link with a session, and a route of rdsup's own. `c` and `d` look on.
pub const PAIRS: &str = r#"
[domain.a]
asn = 65001
loopback = ["198.51.100.1/32", "2001:db8:1::1/128"]
networks = ["198.51.100.0/24", "2001:db8:1::/48"]
[domain.b]
asn = 65002
loopback = ["192.168.0.1/32", "2001:db8:2::1/128"]
networks = ["192.168.0.0/16", "2001:db8:2::/48"]
[[domain.b.route]]
to = "192.168.66.0/24"
kind = "blackhole"
[[link]]
between = ["a", "b"]
[link.into.a]
routes = ["192.168.0.0/16 le 24", "2001:db8:2::/48 le 64"]
[link.into.b]
routes = ["198.51.100.0/24", "2001:db8:1::/48"]
packets = ["icmp", "tcp/80"]
"#;

/// What `a` claims of the host.
pub const CLAIM: &str = r#"
[[domain.a.interface]]
name = "lan0"
address = ["198.51.100.129/25"]
"#;

pub const BYSTANDERS: &str = r#"
[domain.c]
asn = 65003
loopback = ["10.3.0.1/32"]
networks = ["10.3.0.0/16"]
[domain.d]
asn = 65004
loopback = ["10.4.0.1/32"]
networks = ["10.4.0.0/16"]
[[link]]
between = ["c", "d"]
[link.into.c]
routes = ["10.4.0.0/16"]
[link.into.d]
routes = ["10.3.0.0/16"]
packets = ["icmp"]
"#;

/// Which domains run FRR; the others run BIRD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemons {
    /// None.
    Bird,
    /// All.
    Frr,
    /// Those to which something is done: `a`, and the spokes of a wheel.
    FrrSuffers,
    /// Their neighbors.
    FrrBeside,
}

impl Daemons {
    /// What is added to the name of a case.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Bird => "",
            Self::Frr => " (frr)",
            Self::FrrSuffers => " (frr beside bird)",
            Self::FrrBeside => " (bird beside frr)",
        }
    }

    /// Of things that are done at each of many points, how many make one: the suite is to end.
    pub fn stride(self) -> usize {
        if self == Self::Bird { 1 } else { 6 }
    }

    fn is_frr(self, domain: &str) -> bool {
        match self {
            Self::Bird => false,
            Self::Frr => true,
            Self::FrrSuffers => domain == "a" || domain.starts_with('s'),
            Self::FrrBeside => ["b", "hub"].contains(&domain),
        }
    }

    /// The programs of a domain's daemon, in the order in which they start.
    pub fn programs(self, domain: &str) -> &'static [&'static str] {
        if self.is_frr(domain) { &["zebra", "bgpd"] } else { &["bird"] }
    }

    /// A configuration with these daemons in it.
    fn put_into(self, toml: &str) -> String {
        let toml = if self.is_frr("a") { toml.replace(EXTRA, EXTRA_OF_FRR) } else { toml.to_owned() };
        if self == Self::Frr {
            return format!("[rdsup]\ndaemon = \"frr\"\n{toml}");
        }
        let mut text = String::new();
        for line in toml.lines() {
            text.extend([line, "\n"]);
            let domain = line.strip_prefix("[domain.").and_then(|rest| rest.strip_suffix(']'));
            if domain.is_some_and(|name| !name.contains('.') && self.is_frr(name)) {
                text += "daemon = \"frr\"\n";
            }
        }
        text
    }
}

/// Something that the daemon of a domain reads and that changes nothing, and the same for FRR.
pub const EXTRA: &str = "bird = \"filter unused { reject; }\"\n";
const EXTRA_OF_FRR: &str = "frr = \"ip prefix-list unused seq 5 deny any\"\n";

/// What the host had given the interface that is claimed.
const INTERFACE: &str =
    "ip link add lan0 address 02:00:00:00:00:01 type veth peer name lan1 address 02:00:00:00:00:02; ip link set lan1 up
    ip address add 203.0.113.9/24 dev lan0; ip link set lan0 up
    ip route add 192.0.2.0/24 via 203.0.113.1";

/// Where the false time is read from.
const TIME: &str = "/srv/machine/time";

/// Everything that says how the network is, in words that are the same in every run: no numbers that the kernel gives out,
/// no counters, no clocks.
const STATE: &str = r"
    for n in $(ls /run/netns); do
        echo == $n
        ip -n $n -d -o link | sed -E 's/^[0-9]+: //; s/@if[0-9]+//; s/link-netns(id)? [^ ]+//; s/(link.ether|promiscuity|numtxqueues|permaddr) .*//; s/ qlen [0-9]+//' | sort
        ip -n $n -o address | awk '{print $2, $3, $4}' | sort
        ip -n $n -4 route show table all | sed -E 's/ onlink//; s/ nhid [0-9]+//' | sort
        ip -n $n -6 route show table all | sed -E 's/ pref .*//; s/ nhid [0-9]+//' | sort
        ip netns exec $n nft -s list ruleset
    done
    echo == host; ip -o link | sed -E 's/^[0-9]+: //; s/ qdisc .*//'; nft -s list ruleset
    echo == files; find /run/rdsup /var/lib -not -path '*/log*' -not -path '*/generations*' -not -name '*.ctl' -not -name '*.damaged' -printf '%p %m %u %y\n' | sort
    sha1sum /run/rdsup/*/{*.conf,rdsup.nft}; for p in bird zebra bgpd; do echo $p $(pgrep -cx $p); done";

/// A machine with one of them.
pub struct World {
    pub machine: Machine,
    pub daemons: Daemons,
    failpoints: &'static str,
    /// How often something was done to one of several programs.
    turn: Cell<usize>,
}

impl World {
    /// A machine on which nothing runs yet.
    pub fn new(run: &Run, toml: &str) -> Self {
        let machine = Machine::new(&run.daemons.put_into(toml));
        machine.sh(INTERFACE);
        Self { machine, daemons: run.daemons, failpoints: run.failpoints, turn: Cell::new(0) }
    }

    /// Replaces the configuration file.
    pub fn configure(&self, toml: &str) {
        self.machine.configure(&self.daemons.put_into(toml));
    }

    /// The process ids of a domain's daemon, by program.
    pub fn daemon(&self, domain: &str) -> Vec<Option<String>> {
        self.daemons.programs(domain).iter().map(|program| self.machine.program(domain, program)).collect()
    }

    /// Whether a domain's daemon runs, and no program of it did before.
    pub fn is_replaced(&self, domain: &str, before: &[Option<String>]) -> bool {
        let now = self.daemon(domain);
        now.iter().all(Option::is_some) && now.iter().all(|id| !before.contains(id))
    }

    /// Whose turn it is to suffer: of several programs each by itself, the last one first, and then all at once.
    pub fn victims(&self, domain: &str) -> Vec<String> {
        let programs = self.daemons.programs(domain);
        let turn = self.turn.replace(self.turn.get() + 1) % (programs.len() + 1);
        let chosen = programs.iter().rev().enumerate().filter(|(at, _)| turn == programs.len() || *at == turn);
        chosen.filter_map(|(_, program)| self.machine.program(domain, program)).collect()
    }

    /// Kills whose turn it is.
    pub fn kill(&self, domain: &str) {
        let victims = self.victims(domain);
        assert!(!victims.is_empty(), "{domain} has a daemon");
        // One of several may have been taken down already, because the first was lost.
        self.machine.run(&["sh", "-c", &format!("kill -9 {}", victims.join(" "))]);
    }

    /// `a` and `b` with `c` and `d` beside them, everything established.
    pub fn pairs(run: &Run) -> Self {
        Self::running(run, &format!("{PAIRS}{CLAIM}{BYSTANDERS}"))
    }

    /// A network with both pairs, everything established.
    pub fn running(run: &Run, toml: &str) -> Self {
        let world = Self::new(run, toml);
        world.start_with("").ok();
        world.settled();
        world
    }

    /// Starts the supervisor, with these failpoints beside those of the whole run.
    pub fn start_with(&self, failpoints: &str) -> Said {
        let points = format!("FAILPOINTS={};{failpoints}", self.failpoints);
        self.machine.run(&["env", &points, RDSUP, "-c", CONFIG, "start", "--detach"])
    }

    /// Starts the supervisor; it must succeed.
    #[track_caller]
    pub fn start(&self) {
        self.start_with("").ok();
    }

    /// Starts the supervisor with a wall clock that [`World::set_clock`] sets. The monotonic one does not jump.
    pub fn start_with_false_clock(&self) {
        self.set_clock("+0");
        let library = self.machine.sh("ls /usr/lib/*/faketime/libfaketime.so.1");
        let preload = format!("LD_PRELOAD={}", library.trim());
        let time = format!("FAKETIME_TIMESTAMP_FILE={TIME}");
        let no_cache = ["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"];
        let mut argv = vec!["env", &preload, &time];
        argv.extend(no_cache);
        argv.extend([RDSUP, "-c", CONFIG, "start", "--detach"]);
        self.machine.run(&argv).ok();
        let seen = self.machine.sh(&format!("grep -c faketime /proc/{}/maps", self.machine.supervisor()));
        assert_ne!(seen.trim(), "0", "the supervisor does not see the false time");
    }

    /// Sets the false clock, such as `-1h` from now.
    pub fn set_clock(&self, offset: &str) {
        self.machine.write(TIME, &format!("{offset}\n"));
    }

    /// Runs a verb by itself, with these failpoints.
    pub fn verb_with(&self, failpoints: &str, line: &str) -> Said {
        let points = format!("FAILPOINTS={};{failpoints}", self.failpoints);
        let mut argv = vec!["env", &points, RDSUP, "-c", CONFIG];
        argv.extend(words(line));
        self.machine.run(&argv)
    }

    /// Whether a supervisor runs.
    pub fn is_supervised(&self) -> bool {
        self.machine.run(&["pgrep", "-x", "rdsup"]).status.success()
    }

    /// Kills the supervisor, if it lives.
    pub fn kill_supervisor(&self) {
        self.machine.run(&["pkill", "-KILL", "-x", "rdsup"]);
        eventually(SOON, "the supervisor is gone", || !self.is_supervised());
    }

    /// Whether both ends of the link between `a` and `b` say that their session is established.
    pub fn session_is_up(&self) -> bool {
        self.machine.established("a", "rd_b") && self.machine.established("b", "rd_a")
    }

    /// Waits until everything is established and the allowed packets pass.
    #[track_caller]
    pub fn settled(&self) {
        eventually(SOON, "everything is established", || {
            self.session_is_up() && self.machine.established("c", "rd_d") && self.machine.established("d", "rd_c")
        });
        eventually(SOON, "the allowed packets pass", || self.passes());
    }

    /// Whether `plan` finds nothing to do.
    pub fn is_converged(&self) -> bool {
        self.machine.rdsup("plan").stdout.to_lowercase().contains("nothing to do")
    }

    /// Whether what may pass between `a` and `b` does.
    pub fn passes(&self) -> bool {
        self.machine.pings("a", "192.168.0.1") && self.machine.pings("a", "2001:db8:2::1")
    }

    /// Whether all is as it was: the session, the plan, and the packets.
    pub fn is_whole(&self) -> bool {
        self.session_is_up() && self.is_converged() && self.passes()
    }

    /// Fails if a packet passes that must not.
    #[track_caller]
    pub fn assert_closed(&self) {
        let said = self.machine.within("b", "ping -n -c 1 -W 0.2 198.51.100.1");
        assert!(!said.status.success(), "what b must not send to a passes");
    }

    /// What shows a session of `c` and `d` that was reset, or a daemon that was replaced.
    pub fn bystanders(&self) -> String {
        let machine = &self.machine;
        format!(
            "{}\n{}\n{:?} {:?}",
            machine.session("c", "rd_d"),
            machine.session("d", "rd_c"),
            self.daemon("c"),
            self.daemon("d")
        )
    }

    /// What shows a session of `a` and `b` that was reset, or a daemon that was replaced.
    pub fn sufferers(&self) -> String {
        let machine = &self.machine;
        format!(
            "{}\n{}\n{:?} {:?}",
            machine.session("a", "rd_b"),
            machine.session("b", "rd_a"),
            self.daemon("a"),
            self.daemon("b")
        )
    }

    /// Fails if `c` or `d` was touched.
    #[track_caller]
    pub fn assert_untouched(&self, before: &str) {
        assert_eq!(self.bystanders(), before, "domains were touched that had no part in it");
    }

    /// The whole state, to be compared with that of another run.
    pub fn state(&self) -> String {
        self.machine.sh(STATE)
    }

    /// Waits until the state is that of an undisturbed run.
    #[track_caller]
    pub fn assert_state(&self, undisturbed: &str) {
        assert_becomes("the state of an undisturbed run", undisturbed, || self.state());
    }

    /// Everything that could be left behind, in an order that does not tell which interface was up first.
    pub fn traces(&self) -> String {
        let traces = self.machine.traces();
        let mut lines: Vec<&str> = traces.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    }

    /// Waits until everything is as [`World::traces`] said before the start.
    #[track_caller]
    pub fn assert_left_as(&self, clean: &str) {
        assert_becomes("as it was before the start", clean, || self.traces());
    }

    /// Fails if a domain can be reached that has no filter: true at every moment, also when the supervisor is dead.
    #[track_caller]
    pub fn assert_fenced(&self) {
        let open = self.machine.sh(
            "for n in $(ls /run/netns); do
                ! ip netns exec $n true 2>/dev/null || ip netns exec $n nft list table inet rdsup >/dev/null 2>&1 || echo $n
            done",
        );
        assert!(open.is_empty(), "without a filter: {open}");
    }
}
