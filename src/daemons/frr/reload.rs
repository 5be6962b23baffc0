//! Brings another configuration into force while bgpd runs.
//!
//! zebra and bgpd read their files when they start and at no other time, so what one has to be told is the difference to what it
//! has read. That is remembered by whoever started it, because the answer to `show running-config` is another one: FRR leaves
//! out what it takes for a default and puts in order what is not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::super::{DaemonError, Place};
use super::change::{Change, Command, Judged, repeated};
use super::installation;
use super::note_stale;
use super::programs::Sockets;
use super::show::{self, Neighbors};
use super::told::lacks;
use super::vty::{Client, Reply};
use crate::daemons::Peers;
use crate::model::{Asn, Family, Program};
use crate::plan::frr::{Configuration, Line, is_main_part};
use crate::sys::files;

/// How long one command of a change may take: a batch of thousands of prefixes is one.
const WITHIN: Duration = Duration::from_secs(50);
/// How long zebra keeps a next hop that no route leads to, by our configuration a second, and a little more.
const FORGOTTEN_AFTER: Duration = Duration::from_millis(1200);
/// What opens and closes a batch. While it is open no neighbor that is made in it connects, for 600 s if nobody closes it; so
/// there are only lists and route maps in one.
const OPEN: &str = "XFRR_start_configuration";
const CLOSE: &str = "XFRR_end_configuration";

/// The sessions that are up, with how many there were of that neighbor so far.
type Established = BTreeMap<String, u64>;

pub(super) async fn reload(program: Program, place: &Place, before: Option<&str>) -> Result<(), DaemonError> {
    let path = place.config(program);
    let cannot = |words: String| DaemonError::Refused(format!("cannot read {}: {words}", path.display()));
    let found = files::read(&path).map_err(|error| cannot(error.to_string()))?;
    let (text, _) = found.ok_or_else(|| cannot("there is none".to_owned()))?;
    let name = program.as_str();
    let before = before.ok_or_else(|| {
        DaemonError::Refused(format!("what {name} has read is not known; kill it, and it is started with the new one"))
    })?;
    let change = Change::between(before, &text);
    if change.is_empty() {
        return Ok(());
    }
    let sockets = Sockets::beside(&place.socket);
    let mut daemon = Configuring::begin(&sockets, program).await?;
    let established = if change.opened_anew.is_empty() { Established::new() } else { daemon.established().await? };
    daemon.apply(&change).await?;
    for (policy, line) in &change.written_anew {
        if installation::dialect().clings {
            tell_anew(&sockets.bgpd, policy).await?;
        } else {
            daemon.write_anew(policy, line.as_deref()).await?;
        }
    }
    daemon.keep_filters(&change.filters).await?;
    let mut daemon = daemon.end().await?;
    if program != Program::Bgpd {
        return Ok(());
    }
    open_anew(&mut daemon, &change, &established).await?;
    judge_anew(&mut daemon, &change).await
}

fn established(reply: &Reply) -> Established {
    Neighbors::read(&reply.text).unwrap_or_default().established()
}

/// Ends the sessions that another line counts for only from the next one on, unless bgpd has done so itself.
async fn open_anew(bgpd: &mut Client, change: &Change, before: &Established) -> Result<(), DaemonError> {
    if change.opened_anew.is_empty() {
        return Ok(());
    }
    let reply = bgpd.ask(show::NEIGHBORS).await?;
    for (neighbor, count) in established(&reply) {
        if change.opened_anew.contains(&neighbor) && before.get(&neighbor) == Some(&count) {
            bgpd.ask(&format!("clear bgp {neighbor}")).await?;
        }
    }
    Ok(())
}

/// Whoever cannot be asked to send its routes again (RFC 2918) must begin again, or what the old filter let in would stay. FRR
/// itself only notes that it cannot ask.
async fn judge_anew(bgpd: &mut Client, change: &Change) -> Result<(), DaemonError> {
    if change.judged_anew.is_empty() {
        return Ok(());
    }
    let reply = bgpd.ask(show::NEIGHBORS).await?;
    let answer = Neighbors::read(&reply.text).unwrap_or_default();
    let mut sessions = answer.sessions(&Peers::new(), 0);
    note_stale(bgpd, &mut sessions, &answer).await?;
    let mut stale = Vec::new();
    for session in &sessions {
        if session.stale && change.judged_anew.contains_key(&session.protocol) {
            stale.push((session.protocol.as_str(), session.local_asn));
            continue;
        }
        let again = match change.judged_anew.get(&session.protocol) {
            None | Some(Judged::Kept) => false,
            Some(Judged::Asked) => session.route_refresh == Some(false),
            Some(Judged::Again) => session.is_established(),
        };
        if again {
            bgpd.ask(&format!("clear bgp {}", session.protocol)).await?;
        }
    }
    for (neighbor, asn) in stale {
        drop_stale(bgpd, neighbor, asn).await?;
    }
    Ok(())
}

/// What is stale was accepted by the old filter, and is not among what is kept. `clear bgp` leaves it where the session is down
/// (`peer_clear()`); shutting the neighbor down does not (`peer_nsf_stop()`).
async fn drop_stale(bgpd: &mut Client, neighbor: &str, asn: Option<Asn>) -> Result<(), DaemonError> {
    let Some(asn) = asn else { return Ok(()) };
    let down = format!("neighbor {neighbor} shutdown");
    configure(bgpd, &[&format!("router bgp {asn}"), &down, &format!("no {down}")]).await
}

/// Types commands as a configuration of their own.
async fn configure(bgpd: &mut Client, commands: &[&str]) -> Result<(), DaemonError> {
    for command in ["configure terminal"].iter().chain(commands).chain(&["end"]) {
        bgpd.apply("bgpd", command).await?;
    }
    Ok(())
}

/// Has bgpd take its routes away from zebra and tell them again, where zebra keeps the next hop of a route for as long as it has that.
async fn tell_anew(bgpd: &Path, policy: &str) -> Result<(), DaemonError> {
    const NONE: &str = "rd-none";
    let family = if policy.starts_with("ipv6 ") { Family::Ipv6 } else { Family::Ipv4 };
    let part = format!("address-family {} unicast", family.as_str());
    let mut bgpd = Client::connect(bgpd, WITHIN).await?;
    bgpd.enable().await?;
    let running = Configuration::read(&bgpd.ask("show running-config").await?.text);
    let is_own = |line: &&Line| is_main_part(&line.text);
    let Some(own) = running.lines.iter().find(is_own).map(|line| line.text.clone()) else { return Ok(()) };
    let place = [own.clone(), part.clone()];
    let told = running.lines.iter().find(|line| line.path == place && line.text.starts_with("table-map "));
    let told = told.map_or(format!("no table-map {NONE}"), |line| line.text.clone());
    let none = format!("table-map {NONE}");
    let map = format!("route-map {NONE} deny 10");
    let taken = configure(&mut bgpd, &[&map, "exit", &own, &part, &none]).await;
    if taken.is_ok() {
        sleep(FORGOTTEN_AFTER).await;
    }
    // Whatever came of it, the routes must come back.
    let given = configure(&mut bgpd, &[&own, &part, &told]).await;
    let swept = configure(&mut bgpd, &[&format!("no route-map {NONE}")]).await;
    taken.and(given).and(swept)
}

/// A connection in the midst of a configuration.
struct Configuring {
    daemon: Client,
    name: &'static str,
    /// The part that is open.
    path: Vec<String>,
}

impl Configuring {
    async fn begin(sockets: &Sockets, program: Program) -> Result<Self, DaemonError> {
        let mut daemon = Client::connect(sockets.of(program), WITHIN).await?;
        daemon.enable().await?;
        let mut begun = Self { daemon, name: program.as_str(), path: Vec::new() };
        begun.do_("configure terminal").await?;
        Ok(begun)
    }

    /// Has zebra forget the next hops of routes for a moment. It finds one again by where it leads and not by the source that it was
    /// made with (`nexthop_hash()`), and would go on asking the kernel for the old source, which may be gone.
    async fn write_anew(&mut self, policy: &str, line: Option<&str>) -> Result<(), DaemonError> {
        const NONE: &str = "rd-none";
        self.top().await?;
        let none = format!("{policy} route-map {NONE}");
        let forgotten = async {
            self.do_(&format!("route-map {NONE} deny 10")).await?;
            self.do_("exit").await?;
            self.do_(&none).await
        };
        let forgotten = forgotten.await;
        if forgotten.is_ok() {
            sleep(FORGOTTEN_AFTER).await;
        }
        // Whatever came of it, the routes must come back.
        let written = self.do_(line.map_or(format!("no {none}"), str::to_owned).as_str()).await;
        let swept = self.do_(&format!("no route-map {NONE}")).await;
        forgotten.and(written).and(swept)
    }

    async fn end(mut self) -> Result<Client, DaemonError> {
        self.do_("end").await?;
        Ok(self.daemon)
    }

    async fn apply(&mut self, change: &Change) -> Result<(), DaemonError> {
        if let Err(error) = self.batch(&change.make).await {
            self.take_back(&[], &change.unmake).await;
            return Err(error);
        }
        for (at, step) in change.switch.iter().enumerate() {
            if let Err(error) = self.step(&step.command).await {
                let undo: Vec<&Command> = change.switch[..at].iter().rev().flat_map(|step| &step.undo).collect();
                self.take_back(&undo, &change.unmake).await;
                return Err(error);
            }
        }
        if let Err(error) = self.batch(&change.sweep).await {
            tracing::warn!("what is no longer used of the configuration of {} stays: {error}", self.name);
        }
        Ok(())
    }

    /// As far as it goes: what cannot be taken back must not keep the rest from being.
    async fn take_back(&mut self, undo: &[&Command], unmake: &[String]) {
        for command in undo {
            if let Err(error) = self.step(command).await {
                tracing::error!("a change of the configuration of {} cannot be taken back: {error}", self.name);
            }
        }
        if let Err(error) = self.batch(unmake).await {
            tracing::warn!("what was made for a change of the configuration of {} stays: {error}", self.name);
        }
    }

    async fn step(&mut self, command: &Command) -> Result<(), DaemonError> {
        if self.path != command.path {
            self.top().await?;
            for part in &command.path {
                self.do_(part).await?;
            }
            self.path.clone_from(&command.path);
        }
        let done = self.do_(&command.text).await;
        // What opens a part has left the one that was open, and what is refused may have, too.
        if done.is_err() || crate::plan::frr::opens(&command.text) {
            self.path = vec![String::new()];
        }
        match (done, command.text.strip_prefix("no ")) {
            (Err(DaemonError::Refused(words)), Some(removed)) => {
                if self.has(removed).await? {
                    return Err(DaemonError::Refused(format!(
                        "{words}; so the line {removed:?} stays as long as {} runs: rdsup stop, then rdsup start",
                        self.name
                    )));
                }
                Ok(())
            }
            (done, _) => done,
        }
    }

    /// Sees to it that each neighbor has the filters that it should have. What an admin writes is not understood in every way in which
    /// FRR understands it, so that to take it back may take away more; and so may what somebody types.
    async fn keep_filters(&mut self, wanted: &[Line]) -> Result<(), DaemonError> {
        if wanted.is_empty() {
            return Ok(());
        }
        for is_second in [false, true] {
            let running = self.daemon.ask("do show running-config").await?.text;
            let missing = lacks(&running, wanted);
            let Some(first) = missing.first() else { return Ok(()) };
            if is_second {
                let words =
                    format!("bgpd does not take {:?}; kill it, and it begins with what it should have", first.text);
                return Err(DaemonError::Refused(words));
            }
            for line in missing {
                tracing::warn!("bgpd had lost {:?} and gets it again", line.text);
                self.step(&repeated(line)).await?;
            }
        }
        Ok(())
    }

    async fn established(&mut self) -> Result<Established, DaemonError> {
        Ok(established(&self.daemon.ask(&format!("do {}", show::NEIGHBORS)).await?))
    }

    /// Whether the daemon runs a line. What is removed may be gone already, where a change was cut short and is begun again, and FRR
    /// calls that an error in as many words as there are commands.
    async fn has(&mut self, line: &str) -> Result<bool, DaemonError> {
        let running = self.daemon.ask("do show running-config").await?;
        Ok(running.text.lines().any(|there| there.trim_start().starts_with(line)))
    }

    /// Several at once, of which FRR takes all or nothing where it can. mgmtd can only for whom it gave a lock (`CLOSE` is answered with
    /// "Commit requires lock"), and has each command for itself here: nobody uses yet what they make.
    async fn batch(&mut self, commands: &[String]) -> Result<(), DaemonError> {
        if commands.is_empty() {
            return Ok(());
        }
        self.top().await?;
        let whole = self.name != Program::Mgmtd.as_str();
        if whole {
            self.do_(OPEN).await?;
        }
        let mut done = Ok(());
        for command in commands {
            done = self.do_(command).await;
            if done.is_err() {
                break;
            }
        }
        // Whatever came of it, it must not stay open.
        let closed = if whole { self.do_(CLOSE).await } else { Ok(()) };
        self.path = vec![String::new()];
        done.and(closed)
    }

    async fn top(&mut self) -> Result<(), DaemonError> {
        if !self.path.is_empty() {
            self.do_("end").await?;
            self.do_("configure terminal").await?;
            self.path.clear();
        }
        Ok(())
    }

    async fn do_(&mut self, command: &str) -> Result<(), DaemonError> {
        self.daemon.apply(self.name, command).await
    }
}
