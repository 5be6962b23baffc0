//! FRR: zebra, which writes routes to the kernel, bgpd, and bfdd where BFD watches a neighbor. How they are started, checked,
//! changed and asked.
//!
//! A domain's daemons have a socket each in one directory (`RUN/DOMAIN/frr`), where `vtysh --vty_socket` finds them too. All of
//! them together are meant by bgpd's.

mod change;
mod check;
mod idle;
mod installation;
mod programs;
mod reload;
mod show;
mod table;
mod told;
mod typed;
pub mod vty;

use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{sleep, timeout};

pub use self::change::{Change, Judged, Step};
pub(super) use self::idle::is_idle;
pub use self::installation::{GROUPS, Installation, USER, Unusable, dialect, find, identity, vtysh};
use self::programs::Sockets;
use self::show::Neighbors;
use self::vty::Client;
use super::connect::connect;
use super::{Access, Answer, Command, DaemonError, Peers, Place, Query, Route, RoutingDaemon, Session, Target};
use crate::model::{DaemonKind, Family, Program};
use crate::supervise::StopSignal;
use crate::sys::clock::second_in_progress;
use crate::sys::process::MountPlan;

/// How long a daemon may take for a piece of an answer. It answers nobody while it reads its configuration or walks a table.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// From the first session on, bgpd waits 5 s for the others: those that are there come within three, and nobody who is away must
/// hold up what is new for longer. For what those send that came it waits until they say that this was all; of one that says
/// nothing of the kind the next keepalive counts, which may take 30 s, so it waits for 20 s at most.
const AWAIT_NEIGHBORS: &str = "bgp update-delay 20 5";
/// What the routes of bgpd have in the kernel (`RTPROT_BGP`).
const BGP_ROUTES: u8 = 186;
/// How long mgmtd may take to tell zebra its part, and how often zebra is asked meanwhile.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
const ASK_WHETHER_TOLD: Duration = Duration::from_millis(20);
/// How long bfdd waits for the sessions that it is to watch, and how often it looks: those that are there come within a second or two,
/// and a neighbor that is not must not keep others from being watched.
const SESSIONS_FIRST: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// In a table with more routes than that nobody counts what is refused: status is asked often, and bgpd does nothing else meanwhile.
const LARGEST_COUNTED: u64 = 100_000;
/// Where FRR's daemons put what they say before they die, each in a directory that one which is killed leaves behind. The same
/// goes to their log, so each has a place of its own that goes with it.
const SCRATCH: &str = "/var/tmp";

/// FRR.
#[derive(Clone, Copy, Debug)]
pub struct Frr;

impl RoutingDaemon for Frr {
    fn kind(&self) -> DaemonKind {
        DaemonKind::Frr
    }

    fn command(&self, program: Program, place: &Place, recovering: bool) -> Result<Command, DaemonError> {
        let modules: &[&str] = if program == Program::Bgpd { programs::modules(place) } else { &[] };
        programs::command(&installation::home()?, program, place, recovering, modules, installation::dialect())
    }

    fn decided_by(&self, _: Program) -> Program {
        Program::Bgpd
    }

    fn accepts_the_same(&self, old: &str, new: &str) -> bool {
        change::accepts_the_same(old, new)
    }

    /// A zebra without `-K` means to remove all that it finds at once, and from 10.0 on does that before it has looked at what it
    /// found (`rib_sweep_route()`, `process_subq_early_route()`), with 8.4 it may where that is much. Then it keeps it for ever.
    fn leaves(&self, program: Program) -> Option<u8> {
        (program == Program::Zebra).then_some(BGP_ROUTES)
    }

    /// It has forgotten their gateways ([`Dialect::loses_gateways`](crate::render::frr::Dialect)), and writes them again 10 ms after it has
    /// found them. That it is not to do so mgmtd tells it some 50 ms later.
    fn damages(&self, program: Program) -> Option<u8> {
        (program == Program::Zebra && installation::dialect().loses_gateways).then_some(BGP_ROUTES)
    }

    fn scratch(&self) -> Option<&'static Path> {
        Some(Path::new(SCRATCH))
    }

    fn view(&self, program: Program, place: &Place, mounts: MountPlan) -> io::Result<MountPlan> {
        programs::view(program, place, mounts)
    }

    /// The others try only every 10 s to reach a zebra that is not there yet, and zebra without mgmtd writes a hundred lines a second.
    /// A bfdd that comes after bgpd asks for what it missed.
    fn prerequisites(&self, program: Program, place: &Place) -> &'static [Program] {
        match program {
            Program::Zebra if place.config(Program::Mgmtd).exists() => &[Program::Mgmtd],
            Program::Bird | Program::Mgmtd | Program::Zebra => &[],
            Program::Bfdd if !self.waits_for_bfd() => &[Program::Zebra, Program::Bgpd],
            Program::Bgpd if self.waits_for_bfd() && place.config(Program::Bfdd).exists() => {
                &[Program::Zebra, Program::Bfdd]
            }
            Program::Bfdd | Program::Bgpd => &[Program::Zebra],
        }
    }

    /// bgpd that has begun learns the interface of a neighbor with its first session, and then orders another watch in place of the
    /// one that it had (`bgp_peer_bfd_update_source()`). The neighbor hears that nobody watches any more, and closes the session
    /// that has just come up if the first watch was up before it: BIRD then waits for a minute.
    fn awaits<'a>(&'a self, program: Program, place: &'a Place) -> Option<BoxFuture<'a, ()>> {
        (program == Program::Bfdd && !self.waits_for_bfd()).then(|| {
            let sessions = async {
                while !watched_are_up(&place.socket).await.unwrap_or(false) {
                    sleep(LOOK_EVERY).await;
                }
            };
            timeout(SESSIONS_FIRST, sessions).map(|_| ()).boxed()
        })
    }

    /// They begin again together.
    ///
    /// bgpd that has lost zebra tries only every 10 s to reach the next one, and then does not tell it the routes that it has: zebra
    /// takes them for left over and removes them. zebra that has lost bgpd removes the routes of all neighbors as soon as one of
    /// the next bgpd's neighbors cannot restart gracefully, or has just started itself. A new zebra (`-K`) leaves them all alone.
    ///
    /// A zebra that never comes up harms no bgpd. The other way round it would take the routes away in the end.
    ///
    /// bfdd goes after bgpd. Of zebra it would find the next one after 10 s, with nobody any more who wants its sessions, and so close
    /// them and with them the BGP sessions that came back meanwhile. The others need it for nothing that is lost with it.
    fn falls_with(&self, program: Program, lost: Program, was_ready: bool) -> bool {
        let is_core = |program| self.kind().core().contains(program);
        match (program, lost) {
            (Program::Bfdd, Program::Bgpd) => true,
            _ => is_core(&program) && is_core(&lost) && (lost == Program::Bgpd || was_ready),
        }
    }

    /// bfdd that leaves says so to all who watch. A neighbor that learned it only by time, after about a second, would close a session
    /// that had come back meanwhile.
    fn renewed_by(&self, program: Program) -> StopSignal {
        if program == Program::Bfdd { StopSignal::Term } else { StopSignal::Kill }
    }

    fn version(&self) -> BoxFuture<'_, Result<String, DaemonError>> {
        async { Ok(installation::find().await?.version) }.boxed()
    }

    fn waits_for_bfd(&self) -> bool {
        installation::dialect().bfd_first
    }

    fn remark(&self) -> BoxFuture<'_, Option<String>> {
        async { installation::find().await.ok()?.remark() }.boxed()
    }

    fn check<'a>(&'a self, program: Program, text: &'a str) -> BoxFuture<'a, Result<(), DaemonError>> {
        async move { check::check(&installation::usable().await?, program, text).await }.boxed()
    }

    fn ready<'a>(&'a self, program: Program, place: &'a Place) -> BoxFuture<'a, Result<(), DaemonError>> {
        async move {
            self.answers(program, place).await?;
            if program == Program::Zebra {
                // That the socket exists is not enough: it is there before anybody listens.
                let socket = programs::zserv_beside(&place.socket);
                if place.config(Program::Mgmtd).exists() {
                    return programs::listens(&place.socket, &socket);
                }
                connect(&socket, PATIENCE).await?;
            }
            Ok(())
        }
        .boxed()
    }

    /// Left alone, bgpd tells the neighbor whose session is the first to come back that this was all, and so has it drop what comes
    /// over the others (RFC 4724, section 4.1, wants it to wait for them). In no file, because a first start has nobody to wait for.
    fn recover<'a>(&'a self, program: Program, place: &'a Place) -> BoxFuture<'a, Result<(), DaemonError>> {
        async move {
            if self.damages(program).is_some() {
                return is_told(place).await;
            }
            if program != Program::Bgpd {
                return Ok(());
            }
            let mut bgpd = Client::connect(&place.socket, PATIENCE).await?;
            bgpd.enable().await?;
            for command in ["configure terminal", AWAIT_NEIGHBORS, "end"] {
                bgpd.apply("bgpd", command).await?;
            }
            Ok(())
        }
        .boxed()
    }

    /// zebra makes four lines in its log of every client that comes to its other socket and goes.
    fn answers<'a>(&'a self, program: Program, place: &'a Place) -> BoxFuture<'a, Result<(), DaemonError>> {
        async move {
            let sockets = Sockets::beside(&place.socket);
            // A daemon accepts nobody before it has read its configuration.
            let socket = sockets.of(program);
            let reply = Client::connect(socket, PATIENCE).await?.ask("echo ready").await?;
            let garbled = reply.text.trim() != "ready";
            if garbled { Err(DaemonError::Garbled { socket: socket.to_owned(), found: reply.text }) } else { Ok(()) }
        }
        .boxed()
    }

    /// bgpd believes a cache only some time after it has heard it, up to three seconds (`sync_expired()` in `bgp_rpki.c`), and judges
    /// what came before by nothing: a route whose origin is invalid would stay until the cache says something else of it.
    fn attend<'a>(
        &'a self,
        program: Program,
        place: &'a Place,
        told: &'a mut bool,
    ) -> BoxFuture<'a, Result<(), DaemonError>> {
        async move {
            if program != Program::Bgpd {
                return Ok(());
            }
            let mut bgpd = Client::connect(&place.socket, PATIENCE).await?;
            // Without caches, and without the module for them, the answer is other words.
            let believes = bgpd.ask("show rpki cache-connection").await?.text.starts_with("Connected to group");
            if !believes || *told {
                *told = believes;
                return Ok(());
            }
            *told = true;
            bgpd.enable().await?;
            for family in Family::ALL {
                bgpd.ask(&format!("clear bgp {} unicast * soft in", family.as_str())).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn reads_whole(&self) -> bool {
        false
    }

    fn reload<'a>(
        &'a self,
        program: Program,
        place: &'a Place,
        before: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), DaemonError>> {
        reload::reload(program, place, before).boxed()
    }

    fn resync<'a>(&'a self, socket: &'a Path) -> BoxFuture<'a, Result<(), DaemonError>> {
        async move {
            let sockets = Sockets::beside(socket);
            // Where zebra is told by mgmtd it knows none of these commands.
            let told = Some(&sockets.mgmtd).filter(|mgmtd| mgmtd.exists());
            resync(told.unwrap_or(&sockets.zebra)).await
        }
        .boxed()
    }

    fn sessions<'a>(&'a self, socket: &'a Path, peers: &'a Peers) -> BoxFuture<'a, Result<Vec<Session>, DaemonError>> {
        async move { counted_sessions(&mut Client::connect(socket, PATIENCE).await?, peers).await }.boxed()
    }

    fn absent(&self, read: &str, there: &[Session], peers: &Peers) -> Vec<Session> {
        show::absent(read, there, peers)
    }

    /// bgpd alone: what decides which routes a domain has and tells is said to it.
    fn running<'a>(&'a self, program: Program, place: &'a Place) -> BoxFuture<'a, Result<Option<String>, DaemonError>> {
        async move {
            if program != Program::Bgpd {
                return Ok(None);
            }
            let mut bgpd = Client::connect(&place.socket, PATIENCE).await?;
            bgpd.enable().await?;
            Ok(Some(bgpd.ask("show running-config").await?.text))
        }
        .boxed()
    }

    fn told(&self, before: &str, now: &str) -> Vec<String> {
        told::told(before, now)
    }

    fn untold(&self, before: &str, then: &str, after: &str, wanted: &str) -> String {
        told::untold(before, then, after, wanted)
    }

    fn without(&self, read: &str, absent: &[Session]) -> String {
        crate::plan::frr::without(read, &absent.iter().map(|session| session.protocol.as_str()).collect())
    }

    fn ask<'a>(
        &'a self,
        socket: &'a Path,
        query: &'a Query,
        access: Access,
        peers: &'a Peers,
    ) -> BoxFuture<'a, Result<Answer, DaemonError>> {
        async move {
            let sockets = Sockets::beside(socket);
            match query {
                Query::Verbatim(command) => typed::one(&sockets, command, access).await,
                Query::Script(script) => Ok(Answer::Script(typed::several(&sockets, script, access).await)),
                Query::Bgp(target) => bgp(&sockets, *target, peers).await.map(Answer::Bgp),
                Query::Route(target) => routes(&sockets, *target, peers).await.map(Answer::Routes),
                Query::Summary => self.sessions(socket, peers).await.map(Answer::Summary),
                Query::Neighbor(name) => {
                    let all = self.sessions(socket, peers).await?;
                    super::show::called(all, name).map(Answer::Neighbor)
                }
            }
        }
        .boxed()
    }
}

/// The sessions, with how many routes each refuses where bgpd keeps those. To count them it walks its table, once for each
/// family of such a session.
async fn counted_sessions(bgpd: &mut Client, peers: &Peers) -> Result<Vec<Session>, DaemonError> {
    let (mut sessions, answer) = answered_sessions(bgpd, peers).await?;
    if sessions.iter().map(|session| session.imported).sum::<u64>() > LARGEST_COUNTED {
        return Ok(sessions);
    }
    let keeping = answer.keeping_refused();
    if !keeping.is_empty() {
        // It only looks, and yet FRR has it among the commands of those who may do everything.
        bgpd.enable().await?;
    }
    for (key, family) in keeping {
        let reply = prefix_counts(bgpd, &key, family).await?;
        show::note_filtered(&mut sessions, &key, family, show::filtered(&reply));
    }
    Ok(sessions)
}

async fn sessions(bgpd: &mut Client, peers: &Peers) -> Result<Vec<Session>, DaemonError> {
    Ok(answered_sessions(bgpd, peers).await?.0)
}

/// The sessions, and what else bgpd's answer has.
async fn answered_sessions(bgpd: &mut Client, peers: &Peers) -> Result<(Vec<Session>, Neighbors), DaemonError> {
    let mut now = second_in_progress();
    loop {
        let reply = bgpd.ask(show::NEIGHBORS).await?;
        // Whether bgpd answered before or after a second was over cannot be told.
        let asked = std::mem::replace(&mut now, second_in_progress());
        if asked == now {
            let answer = Neighbors::read(&reply.text).ok_or_else(|| DaemonError::Refused(reply.words()))?;
            let mut sessions = answer.sessions(peers, now);
            note_stale(bgpd, &mut sessions, &answer).await?;
            return Ok((sessions, answer));
        }
    }
}

/// Notes of which sessions bgpd keeps stale routes without a timer. It has to walk its table for that, which it is asked to only
/// where a neighbor is back and has not said yet that it has said everything.
async fn note_stale(bgpd: &mut Client, sessions: &mut [Session], answer: &Neighbors) -> Result<(), DaemonError> {
    let suspects = answer.may_be_stale();
    if !suspects.is_empty() {
        bgpd.enable().await?;
    }
    for (key, family) in suspects {
        let reply = prefix_counts(bgpd, &key, family).await?;
        let stale = show::stale(&reply) > 0;
        for session in sessions.iter_mut().filter(|session| session.protocol == key) {
            session.stale |= stale;
        }
    }
    Ok(())
}

async fn prefix_counts(bgpd: &mut Client, key: &str, family: Family) -> Result<String, DaemonError> {
    let command = format!("show bgp {} unicast neighbors {key} prefix-counts json", family.as_str());
    Ok(bgpd.ask(&command).await?.text)
}

async fn bgp(sockets: &Sockets, target: Option<Target>, peers: &Peers) -> Result<Vec<Route>, DaemonError> {
    let mut bgpd = Client::connect(&sockets.bgpd, PATIENCE).await?.for_a_reader();
    let sessions = sessions(&mut bgpd, peers).await?;
    let mut found = Vec::new();
    for family in families(target) {
        // `show bgp` without a family is IPv6 alone.
        let family = family.as_str();
        let command = match target {
            None => format!("show bgp {family} unicast json detail"),
            Some(target) => format!("show bgp {family} unicast {target} json"),
        };
        let reply = bgpd.ask(&command).await?;
        found.extend(table::bgp(&reply.text, &sessions).ok_or_else(|| DaemonError::Refused(reply.words()))?);
    }
    Ok(found)
}

async fn routes(sockets: &Sockets, target: Option<Target>, peers: &Peers) -> Result<Vec<Route>, DaemonError> {
    let sessions = sessions(&mut Client::connect(&sockets.bgpd, PATIENCE).await?, peers).await?;
    let mut zebra = Client::connect(&sockets.zebra, PATIENCE).await?.for_a_reader();
    let mut found = Vec::new();
    for family in families(target) {
        let words = if family == Family::Ipv4 { "show ip route" } else { "show ipv6 route" };
        let command = target.map_or_else(|| format!("{words} json"), |target| format!("{words} {target} json"));
        let reply = zebra.ask(&command).await?;
        found.extend(
            table::zebra(&reply.text, &sessions, second_in_progress())
                .ok_or_else(|| DaemonError::Refused(reply.words()))?,
        );
    }
    Ok(found)
}

fn families(target: Option<Target>) -> Vec<Family> {
    match target {
        None => Family::ALL.to_vec(),
        Some(Target::Prefix(prefix)) => vec![Family::of(prefix.addr())],
        Some(Target::Address(address)) => vec![Family::of(address)],
    }
}

/// Returns when mgmtd has told zebra which routes of BGP it is to write.
async fn is_told(place: &Place) -> Result<(), DaemonError> {
    const POLICY: &str = "ip protocol bgp route-map ";
    let part = std::fs::read_to_string(place.config(Program::Mgmtd)).unwrap_or_default();
    let Some(policy) = part.lines().find_map(|line| line.strip_prefix(POLICY)) else { return Ok(()) };
    let mut zebra = Client::connect(Sockets::beside(&place.socket).of(Program::Zebra), PATIENCE).await?;
    let told = async {
        loop {
            let reply = zebra.ask("show ip protocol").await?;
            let mut lines = reply.text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            if lines.any(|words| words == ["bgp", ":", policy.trim()]) {
                return Ok(());
            }
            sleep(ASK_WHETHER_TOLD).await;
        }
    };
    let late = || DaemonError::Refused("mgmtd does not tell zebra which routes it is to write".to_owned());
    timeout(TOLD_WITHIN, told).await.unwrap_or_else(|_| Err(late()))
}

/// Whether the session is up of each neighbor that BFD is to watch.
async fn watched_are_up(socket: &Path) -> Result<bool, DaemonError> {
    let reply = Client::connect(socket, PATIENCE).await?.ask(show::NEIGHBORS).await?;
    Ok(Neighbors::read(&reply.text).is_some_and(|neighbors| neighbors.watched_are_up()))
}

/// Has zebra write the routes of BGP again.
///
/// There is no command for it. But when the policy between a protocol and the kernel changes zebra judges its routes anew and
/// writes them, which leaves alone the neighbors and what they sent. `clear bgp * soft in` asks them for it, and does not bring
/// back what the kernel lost with a source address: bgpd hears what it knows and tells zebra nothing.
async fn resync(socket: &Path) -> Result<(), DaemonError> {
    const OWN: &str = "rd-resync";
    let mut zebra = Client::connect(socket, PATIENCE).await?;
    zebra.enable().await?;
    let running = zebra.ask("show running-config").await?.text;
    let mut commands = vec!["configure terminal".to_owned()];
    for family in ["ip", "ipv6"] {
        let start = format!("{family} protocol bgp ");
        match running.lines().find(|line| line.starts_with(&start)) {
            Some(line) => commands.extend([format!("no {line}"), line.to_owned()]),
            None => commands.extend([
                format!("route-map {OWN} permit 10"),
                format!("{start}route-map {OWN}"),
                format!("no {start}route-map {OWN}"),
                format!("no route-map {OWN}"),
            ]),
        }
    }
    for command in &commands {
        zebra.apply("zebra", command).await?;
    }
    Ok(())
}

/// Reads the sessions from a recorded answer to `show bgp neighbors json`, given at `now`; `None` if it is none.
pub fn parse_sessions(recorded: &str, peers: &Peers, now: i64) -> Option<Vec<Session>> {
    Some(Neighbors::read(recorded)?.sessions(peers, now))
}

/// Reads the routes from a recorded answer to `show bgp FAMILY unicast … json`; `None` if it is none.
pub fn parse_bgp(recorded: &str, sessions: &[Session]) -> Option<Vec<Route>> {
    table::bgp(recorded, sessions)
}

/// Reads the routes from a recorded answer to `show ip route json`, given at `now`; `None` if it is none.
pub fn parse_routes(recorded: &str, sessions: &[Session], now: i64) -> Option<Vec<Route>> {
    table::zebra(recorded, sessions, now)
}
