//! A network in which cases send packets: a throwaway machine, what runs in it, and the worker.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::Duration;

use crate::machine::{Machine, SOON, eventually};
use crate::packet::Packet;
use crate::wire::{Answer, Batch, Frame, Interface, Kind, Place, Request, Seen, hex};

/// Why a case failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Something that policy allows does not work: the case proves nothing.
    Dead(String),
    /// Something that policy forbids got through, or was stopped by another protection than the one in question.
    Leak(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dead(what) => write!(f, "allowed, but does not work: {what}"),
            Self::Leak(what) => write!(f, "LEAK: {what}"),
        }
    }
}

/// How a case ends.
pub type Outcome = Result<(), Failure>;

/// A change to a built-in template: a protection that is switched off.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    /// The template, such as `nft/link.hbs`.
    pub file: &'static str,
    /// Text that must stand in it.
    pub from: &'static str,
    /// What stands there instead.
    pub to: &'static str,
}

/// A network to start.
#[derive(Clone, Copy, Debug)]
pub struct World {
    pub name: &'static str,
    /// The configuration file, for BIRD; see [`World::file`].
    pub toml: &'static str,
    /// The domains that FRR routes instead.
    pub frr: &'static [&'static str],
    /// What is another text in templates here.
    pub edits: &'static [Edit],
    /// A shell script before the start: interfaces, namespaces of hosts.
    pub before: &'static str,
    /// A shell script after the start, when the supervisor is gone.
    pub after: &'static str,
    /// The namespaces with sockets.
    pub namespaces: &'static [&'static str],
    /// Whether every session comes up.
    pub waits: bool,
    /// Routes that must have been learned: domain and prefix.
    pub learned: &'static [(&'static str, &'static str)],
}

impl World {
    /// The same network with FRR in these domains.
    pub const fn with_frr(self, name: &'static str, domains: &'static [&'static str]) -> Self {
        Self { name, frr: domains, ..self }
    }

    /// The configuration file.
    pub fn file(&self) -> String {
        self.frr.iter().fold(self.toml.to_owned(), |text, domain| {
            let head = format!("[domain.{domain}]\n");
            assert!(text.contains(&head), "{} has no domain {domain}", self.name);
            text.replace(&head, &format!("{head}daemon = \"frr\"\n"))
        })
    }
}

/// A way into a namespace: from an interface of the sender to one of the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub from: String,
    pub by: String,
    pub into: String,
    pub at: String,
}

impl Way {
    /// By the link between two domains.
    pub fn link(from: &str, into: &str) -> Self {
        Self { from: from.into(), by: format!("rd-{into}"), into: into.into(), at: format!("rd-{from}") }
    }

    /// By a veth with these ends.
    pub fn veth(from: &str, by: &str, into: &str, at: &str) -> Self {
        Self { from: from.into(), by: by.into(), into: into.into(), at: at.into() }
    }

    /// Whether a packet has come past the receiver's filter: a socket there has it, or it leaves by another interface.
    pub fn passed(&self, seen: &Seen) -> bool {
        let out = match &seen.place {
            Place::Socket => true,
            Place::In(_) => false,
            // Back where it came from goes the packet itself, or an answer to it.
            Place::Out(interface) => *interface != self.at || seen.kind == Kind::Packet,
        };
        out && seen.namespace == self.into
    }

    /// The name of a drop counter for what comes by it.
    pub fn counter(&self, reason: &str) -> String {
        format!("drop.{}.{reason}", self.at)
    }
}

/// What one case has sent, and what of that came out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub forbidden: usize,
    pub leaked: usize,
    pub allowed: usize,
    pub arrived: usize,
    pub ipv4: bool,
    pub ipv6: bool,
}

/// A network that runs.
pub struct Setup {
    pub machine: Machine,
    pub world: Option<World>,
    worker: RefCell<Worker>,
    pub tally: RefCell<Tally>,
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    interfaces: HashMap<(String, String), Interface>,
    /// Nonces begin at a random number, so that no packet of an earlier run is taken for one of this.
    next: u64,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The machine for a network, with the changed templates in place.
pub fn machine(world: &World, edits: &[Edit]) -> Machine {
    let edits = [world.edits, edits].concat();
    if edits.is_empty() {
        return Machine::new(&world.file());
    }
    let machine = Machine::new(&format!("[rdsup]\ntemplates = \"/srv/machine/templates\"\n{}", world.file()));
    let mut changed: HashMap<&str, String> = HashMap::new();
    for edit in edits {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates").join(edit.file);
        let text = changed.entry(edit.file).or_insert_with(|| {
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        });
        assert!(text.contains(edit.from), "the template {} has changed: this is not in it:\n{}", edit.file, edit.from);
        *text = text.replace(edit.from, edit.to);
    }
    for (file, text) in changed {
        machine.write(&format!("/srv/machine/templates/{file}"), &text);
    }
    machine
}

impl Setup {
    /// Starts a network, and leaves it without a supervisor, so that nothing repairs what cases change by hand.
    pub fn start(world: &World, edits: &[Edit]) -> Self {
        let machine = machine(world, edits);
        machine.sh(world.before);
        if world.waits {
            machine.start();
        } else {
            machine.rdsup("start --detach").ok();
        }
        for (domain, prefix) in world.learned {
            eventually(SOON, &format!("{domain} learns {prefix}"), || {
                machine.routes_to(domain, prefix).contains(" dev ")
            });
        }
        machine.unattended();
        machine.sh(world.after);
        Self { world: Some(*world), ..Self::of(machine, world.namespaces) }
    }

    /// The name of its network.
    pub fn name(&self) -> &'static str {
        self.world.map_or("", |world| world.name)
    }

    /// Puts a worker into a machine.
    pub fn of(machine: Machine, namespaces: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = machine.converse(&[&program.to_string_lossy(), "--worker"]);
        let stdin = child.stdin.take().expect("stdin is a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("procfs is mounted");
        let next = u64::from_str_radix(&random[..8], 16).expect("a uuid begins with digits") << 24;
        let worker = Worker { child, stdin, stdout, interfaces: HashMap::new(), next };
        let setup = Self { machine, world: None, worker: RefCell::new(worker), tally: RefCell::default() };
        setup.open(namespaces);
        setup
    }

    /// Opens sockets in these namespaces, again where they are open already.
    pub fn open(&self, namespaces: &[&str]) {
        let names = namespaces.iter().map(|&name| name.to_owned()).collect();
        let Answer::Interfaces(list) = self.ask(&Request::Open(names)) else { panic!("another answer") };
        let entries = list.into_iter().map(|it| ((it.namespace.clone(), it.name.clone()), it));
        self.worker.borrow_mut().interfaces = entries.collect();
    }

    /// Asks the worker.
    pub fn ask(&self, request: &Request) -> Answer {
        let mut worker = self.worker.borrow_mut();
        let text = serde_json::to_string(request).expect("a request is JSON");
        writeln!(worker.stdin, "{text}").expect("the worker reads");
        let mut line = String::new();
        worker.stdout.read_line(&mut line).expect("the worker answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the worker ended: {error}: {line:?}"))
    }

    /// The hardware address of an interface.
    pub fn mac(&self, namespace: &str, interface: &str) -> [u8; 6] {
        let key = (namespace.to_owned(), interface.to_owned());
        self.worker.borrow().interfaces.get(&key).unwrap_or_else(|| panic!("no {interface} in {namespace}")).mac
    }

    /// The link-local addresses of the two ends of a link: of the sender and of the receiver.
    pub fn ends(&self, way: &Way) -> [String; 2] {
        [(&way.from, &way.by), (&way.into, &way.at)].map(|(namespace, interface)| {
            self.address(namespace, interface, "fe80").unwrap_or_else(|| panic!("{interface} has no such address"))
        })
    }

    /// The addresses of the two ends of a link between which BGP is spoken, and as what a packet between them is dropped that is
    /// none of the session: with FRR at an end it is between addresses that are not link-local.
    pub fn session(&self, way: &Way) -> ([String; 2], &'static str) {
        let numbered = [(&way.from, &way.by), (&way.into, &way.at)]
            .map(|(namespace, interface)| self.address(namespace, interface, "fd72:6473:7570:"));
        match numbered {
            [Some(from), Some(into)] => ([from, into], "spoofed"),
            _ => (self.ends(way), "link_local"),
        }
    }

    fn address(&self, namespace: &str, interface: &str, prefix: &str) -> Option<String> {
        let text = self.machine.line(&format!("ip -n {namespace} -o -6 address show dev {interface}"));
        let words = text.split_whitespace().filter_map(|word| word.split_once('/'));
        words.map(|(address, _)| address.to_owned()).find(|address| address.starts_with(prefix))
    }

    /// A packet as a frame on its way.
    pub fn frame(&self, way: &Way, packet: &Packet) -> Frame {
        self.frame_to(way, packet, &self.mac(&way.into, &way.at))
    }

    /// The same, to this hardware address.
    pub fn frame_to(&self, way: &Way, packet: &Packet, to: &[u8]) -> Frame {
        let nonce = {
            let mut worker = self.worker.borrow_mut();
            worker.next += 1;
            worker.next
        };
        let kind: [u8; 2] = if packet.is_ipv6() { [0x86, 0xdd] } else { [0x08, 0x00] };
        let from = self.mac(&way.from, &way.by);
        let bytes = [to, &from, &kind, &packet.bytes(nonce)].concat();
        Frame { namespace: way.from.clone(), interface: way.by.clone(), bytes: hex(&bytes), nonce }
    }

    /// Sends, and looks until what is awaited has come out.
    pub fn batch(&self, batch: Batch) -> Vec<Seen> {
        let Answer::Seen { seen, .. } = self.ask(&Request::Batch(batch)) else { panic!("another answer") };
        seen
    }

    /// The drop counters of a domain.
    pub fn drops(&self, domain: &str) -> HashMap<String, u64> {
        self.machine.counters(domain).into_iter().collect()
    }

    /// Packets that must not enter, nor be answered; `control` must enter by the same way, after them.
    pub fn refuses(&self, way: &Way, forbidden: &[Packet], control: &[Packet]) -> Outcome {
        self.exchange(way, forbidden, control).map(|_| ())
    }

    /// The same, where the packets have to be counted under `reason`: the protection in question has stopped them.
    pub fn drops_as(&self, way: &Way, reason: &str, forbidden: &[Packet], control: &[Packet]) -> Outcome {
        let counter = way.counter(reason);
        let count = |drops: &HashMap<String, u64>| drops.get(&counter).copied();
        let before = self.drops(&way.into);
        let result = self.exchange(way, forbidden, control);
        let after = self.drops(&way.into);
        result?;
        let (Some(from), Some(to)) = (count(&before), count(&after)) else {
            return Err(Failure::Dead(format!("{} has no counter {counter}", way.into)));
        };
        let rise = to - from;
        if rise < forbidden.len() as u64 {
            let others = after.iter().filter(|(name, value)| before.get(*name) != Some(*value)).map(|(name, _)| name);
            let others: Vec<_> = others.collect();
            let what = format!("{counter} rose by {rise}, not {}, but these did: {others:?}", forbidden.len());
            return Err(Failure::Leak(format!("{what}; first: {}", forbidden[0])));
        }
        Ok(())
    }

    /// Packets that must enter.
    pub fn admits(&self, way: &Way, allowed: &[Packet]) -> Outcome {
        self.exchange(way, &[], allowed).map(|_| ())
    }

    /// Sends both, and returns what was seen.
    pub fn exchange(&self, way: &Way, forbidden: &[Packet], allowed: &[Packet]) -> Result<Vec<Seen>, Failure> {
        let frames: Vec<Frame> = forbidden.iter().chain(allowed).map(|packet| self.frame(way, packet)).collect();
        let (bad, good) = frames.split_at(forbidden.len());
        let seen = self.batch(Batch {
            frames: frames.clone(),
            awaited: good.iter().map(|frame| (frame.nonce, way.into.clone())).collect(),
            needles: Vec::new(),
            deadline_ms: 10_000,
            quiet_ms: 60,
        });
        let entered = |frame: &Frame| {
            seen.iter()
                .find(|it| it.nonce == frame.nonce && it.namespace != way.from && !matches!(it.place, Place::In(_)))
        };
        let leaks: Vec<String> = bad
            .iter()
            .zip(forbidden)
            .filter_map(|(frame, packet)| entered(frame).map(|seen| describe(packet, way, seen)))
            .collect();
        let lost: Vec<String> = good
            .iter()
            .zip(allowed)
            .filter(|(frame, _)| !seen.iter().any(|it| it.nonce == frame.nonce && way.passed(it)))
            .map(|(_, packet)| format!("{packet} from {} by {}", way.from, way.by))
            .collect();
        let mut tally = self.tally.borrow_mut();
        tally.forbidden += bad.len();
        tally.leaked += leaks.len();
        tally.allowed += good.len();
        tally.arrived += good.len() - lost.len();
        tally.ipv4 |= forbidden.iter().chain(allowed).any(|packet| !packet.is_ipv6());
        tally.ipv6 |= forbidden.iter().chain(allowed).any(Packet::is_ipv6);
        drop(tally);
        if !leaks.is_empty() {
            return Err(Failure::Leak(first_of(&leaks)));
        }
        if !lost.is_empty() {
            return Err(Failure::Dead(first_of(&lost)));
        }
        Ok(seen)
    }

    /// Notes something that was asked for in another form than a packet, such as a route.
    pub fn note(&self, forbidden: usize, leaked: usize, allowed: usize) {
        let mut tally = self.tally.borrow_mut();
        tally.forbidden += forbidden;
        tally.leaked += leaked;
        tally.allowed += allowed;
        tally.arrived += allowed;
    }
}

fn describe(packet: &Packet, way: &Way, seen: &Seen) -> String {
    let what = match seen.kind {
        Kind::Packet => "came out",
        Kind::Reply => "was answered",
        Kind::Error => "was answered by an ICMP error",
    };
    format!("{packet} from {} by {}: {what} in {} at {:?}", way.from, way.by, seen.namespace, seen.place)
}

/// The first few, and how many there are.
pub fn first_of(list: &[String]) -> String {
    let shown = list.iter().take(6).map(String::as_str).collect::<Vec<_>>().join("\n  ");
    format!("{} packets:\n  {shown}", list.len())
}

/// Waits until it is true; dead if it does not become so.
pub fn until(deadline: Duration, what: &str, mut probe: impl FnMut() -> bool) -> Outcome {
    let end = std::time::Instant::now() + deadline;
    while !probe() {
        if std::time::Instant::now() > end {
            return Err(Failure::Dead(format!("not within {deadline:?}: {what}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
