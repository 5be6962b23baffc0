//! What is told of how things stand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::aside::OnDisk;
use super::by_hand;
use super::keeper::Applied;
use super::processes::ProcessReport;
use super::requests::View;
use crate::control::{DaemonStatus, DomainState, DomainStatus, Drop, GenerationStatus, LinkStatus, StatusReport};
use crate::daemons::{DaemonError, RoutingDaemon, Session, of_kind};
use crate::history::Pending;
use crate::model::{DaemonKind, Domain, DomainName, Routing};
use crate::policy::{self, Reason};
use crate::supervise::State;
use crate::sys::{Machine, SysError, clock, nft, process};

/// How many domains are asked for their counters at the same time; each is a process.
const AT_ONCE: usize = 8;
/// How long a daemon may take in all to tell its sessions. A large table that it has to count takes some seconds.
const SESSIONS_WITHIN: Duration = Duration::from_secs(15);

/// How long a session may be up before BFD watches it: FRR waits three seconds for the others before it begins with that.
const BFD_WITHIN: SignedDuration = SignedDuration::from_secs(10);

/// What it takes to tell how things stand.
#[derive(Clone)]
pub struct Sight {
    /// As far as the event loop knows.
    pub view: watch::Receiver<Arc<View>>,
    /// Where it is looked at.
    pub machine: Arc<Machine>,
    /// The file that may not be what runs.
    pub on_disk: OnDisk,
}

impl Sight {
    /// How things stand, as far as the event loop knows.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// The whole report.
    pub async fn status(&self, counters: bool) -> StatusReport {
        status(&self.view(), &self.machine, &self.on_disk, counters).await
    }
}

/// The whole report. Reading counters takes a few milliseconds for each domain, and what daemons run, too, so it is done only when they are
/// wanted.
async fn status(view: &Arc<View>, machine: &Arc<Machine>, on_disk: &OnDisk, counters: bool) -> StatusReport {
    // Collected before they are joined: a lazy iterator of futures that borrow is too general for the compiler.
    let asked: Vec<_> =
        view.network.domains.iter().map(|domain| domain_status(view, machine, domain, counters)).collect();
    let mut domains: Vec<DomainStatus> = join_all(asked).await;
    if counters {
        let asked: Vec<_> = view.network.domains.iter().map(|domain| drops(machine, &domain.name)).collect();
        let mut drops: BTreeMap<DomainName, Result<Vec<Drop>, SysError>> =
            stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        for domain in &mut domains {
            match drops.remove(&domain.name) {
                Some(Ok(drops)) => domain.drops = drops,
                Some(Err(error)) => domain.problems.push(error.to_string()),
                None => {}
            }
        }
    }
    let mut report = StatusReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: Some(std::process::id()),
        config: view.config.clone(),
        run_dir: view.layout.run_dir.clone(),
        domains,
        generation: generation(view, on_disk).await,
        repairs: view.repairs.clone(),
        problems: view.overdue.iter().cloned().collect(),
        ..StatusReport::default()
    };
    report.conclude();
    report
}

async fn generation(view: &View, on_disk: &OnDisk) -> Option<GenerationStatus> {
    let (number, at) = view.generation?;
    let left = |pending: &Pending| {
        let since_boot = clock::since_boot().unwrap_or_default();
        pending.deadline.since_boot.saturating_sub(since_boot).as_secs()
    };
    let confirm_within = view.pending.as_ref().map(left);
    let file_differs = on_disk.differs_from(view.text, &view.config).await;
    Some(GenerationStatus { number, at, confirm_within, file_differs })
}

/// A domain with a session that is not Established, and how many it has; a daemon that cannot be asked counts with all.
///
/// The domain with the most sessions is asked first and the first one found is enough: while a network comes up its
/// daemons have better things to do than to be asked, all of them a hundred times a second.
pub async fn first_unestablished(view: &View) -> Option<(&DomainName, usize)> {
    let mut domains: Vec<(usize, &Domain)> =
        view.network.domains.iter().map(|domain| (expected_sessions(view, domain), domain)).collect();
    domains.sort_by_key(|(expected, _)| std::cmp::Reverse(*expected));
    for (expected, domain) in domains.into_iter().filter(|(expected, _)| *expected > 0) {
        let established = sessions(view, domain)
            .await
            .map_or(0, |sessions| sessions.iter().filter(|session| session.is_established()).count());
        if established < expected {
            return Some((&domain.name, expected - established));
        }
    }
    None
}

fn expected_sessions(view: &View, domain: &Domain) -> usize {
    if of_kind(domain.daemon).is_none() {
        return 0;
    }
    let links = view.network.links_of(&domain.name).filter(|(link, ..)| link.routing == Routing::Bgp).count();
    links + domain.neighbors.len()
}

async fn sessions(view: &View, domain: &Domain) -> Result<Vec<Session>, String> {
    let Some(daemon) = of_kind(domain.daemon) else { return Ok(Vec::new()) };
    let who = domain.daemon.as_str();
    // Whoever is known not to answer is not waited for.
    if view.processes.get(&domain.name).is_some_and(is_deaf) {
        return Err(no_answer(who, None));
    }
    let socket = view.layout.socket(&domain.name, daemon.kind());
    // Its patience is for each piece of an answer, of which one that was taken over can make as many as it likes.
    let answer = timeout(SESSIONS_WITHIN, daemon.sessions(&socket, &view.peers(&domain.name))).await;
    answer.map_err(|_| no_answer(who, None))?.map_err(|error| match error {
        DaemonError::NoAnswer { .. }
        | DaemonError::NoEnd { .. }
        | DaemonError::Unreachable { .. }
        | DaemonError::BrokenOff { .. } => no_answer(who, error.why_silent().as_deref()),
        error => error.to_string(),
    })
}

fn no_answer(who: &str, why: Option<&str>) -> String {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("{who} does not answer{why}")
}

/// Whether a daemon is known to give no answer.
fn is_deaf(process: &ProcessReport) -> bool {
    matches!(process.state, State::Busy | State::Silent | State::Hung)
}

async fn domain_status(view: &View, machine: &Machine, domain: &Domain, whole: bool) -> DomainStatus {
    let name = &domain.name;
    let process = view.processes.get(name);
    let mut problems = view.problems.get(name).cloned().unwrap_or_default();
    let is_running = process.is_some_and(|process| matches!(process.state, State::Running | State::Loading));
    let gives_no_answer = process.is_some_and(is_deaf) || is_running;
    let noted = by_hand::noted(machine, name, domain.daemon);
    let (sessions, sessions_unknown) = match sessions(view, domain).await {
        Ok(mut sessions) => {
            // Not one that is being told another configuration.
            if let Some(noted) = noted.filter(|_| process.is_some_and(|process| process.state == State::Running)) {
                let absent = by_hand::absent(machine, domain, &sessions, &view.peers(name));
                // Daemons are not asked for all that they run by whoever asks for the state over and over again.
                let told = if whole { by_hand::told(name, domain.daemon, &noted, &view.layout).await } else { None };
                if by_hand::noted(machine, name, domain.daemon).is_some_and(|now| now == noted) {
                    problems.extend(absent.iter().map(by_hand::words).chain(told));
                    sessions.extend(absent);
                }
            }
            (sessions, false)
        }
        Err(words) => {
            problems.extend(is_running.then_some(words));
            (Vec::new(), gives_no_answer)
        }
    };
    problems.extend(unwatched(domain, &sessions, Timestamp::now()));
    problems.extend(held(domain, &sessions));
    let up = machine.interfaces_up(name).await.unwrap_or_else(|error| {
        problems.push(error.to_string());
        BTreeMap::new()
    });
    let links: Vec<LinkStatus> = view
        .network
        .links_of(name)
        .map(|(link, end, peer)| LinkStatus {
            interface: end.interface.to_string(),
            peer: peer.domain.clone(),
            up: up.get(&end.interface).copied().unwrap_or(false),
            routing: link.routing,
        })
        .collect();
    problems.extend(
        links
            .iter()
            .filter(|link| !link.up)
            .map(|link| format!("link {} is down or gone; it is put back within seconds", link.interface)),
    );
    // One that is not there is a problem of the plan, which waits for it.
    let down = domain.interfaces.iter().filter(|interface| up.get(&interface.name) == Some(&false));
    problems.extend(down.map(|interface| format!("interface {} is down, or has no carrier", interface.name)));
    let daemon = process.map(|process| daemon_status(domain.daemon, process, Instant::now()));
    problems.extend(
        process.zip(daemon.as_ref()).map_or_else(Vec::new, |(process, daemon)| daemon_problems(process, daemon)),
    );
    let state = match process {
        Some(process) if process.failed => DomainState::Failed,
        _ if !problems.is_empty() => DomainState::Degraded,
        Some(process) => match process.state {
            State::Running | State::Loading => DomainState::Up,
            State::Launching | State::Starting => DomainState::Starting,
            State::Stopping | State::Killing => DomainState::Stopping,
            State::Failed => DomainState::Failed,
            State::Stopped | State::Busy | State::Silent | State::Hung | State::Backoff => DomainState::Degraded,
        },
        None if of_kind(domain.daemon).is_some() => DomainState::Starting,
        None => DomainState::Up,
    };
    let description = domain.description.clone();
    DomainStatus {
        name: name.clone(),
        description,
        state,
        daemon,
        sessions,
        sessions_unknown,
        links,
        drops: Vec::new(),
        problems,
    }
}

/// Neighbors with a session that BFD is to watch and does not. It takes up to three seconds to begin with it; where it fails
/// later the session ends.
fn unwatched(domain: &Domain, sessions: &[Session], now: Timestamp) -> Vec<String> {
    let wanted = |session: &&Session| is_to_be_watched(domain, session) && session.bfd.as_deref() != Some("up");
    let begun = |session: &&Session| {
        let up_for = session.since.map(|since| now.duration_since(since));
        session.is_established() && up_for.is_none_or(|time| time > BFD_WITHIN)
    };
    let words = |session: &Session| {
        let seen = session.bfd.as_deref().unwrap_or("not there");
        format!("BFD with {} is {seen}, so nothing notices at once when the way to it is cut", session.name)
    };
    sessions.iter().filter(wanted).filter(begun).map(words).collect()
}

fn is_to_be_watched(domain: &Domain, session: &Session) -> bool {
    let neighbor = domain.neighbors.iter().find(|neighbor| neighbor.name.as_str() == session.name);
    neighbor.is_some_and(|neighbor| neighbor.bfd)
}

/// Neighbors with whom FRR begins no session as long as BFD is down, for which it has no word of its own.
fn held(domain: &Domain, sessions: &[Session]) -> Vec<String> {
    let waits = |session: &&Session| {
        !session.is_established()
            && session.bfd.as_deref() == Some("down")
            && is_to_be_watched(domain, session)
            && of_kind(domain.daemon).is_some_and(RoutingDaemon::waits_for_bfd)
    };
    let words = |session: &Session| {
        format!("BFD with {} is down, and FRR 10.2 and 10.3 open no session without it", session.name)
    };
    sessions.iter().filter(waits).map(words).collect()
}

fn daemon_status(kind: DaemonKind, process: &ProcessReport, now: Instant) -> DaemonStatus {
    // Rounded up: what comes in less than a second comes in one.
    let until = |at: Instant| at.saturating_duration_since(now).as_millis().div_ceil(1000);
    DaemonStatus {
        kind,
        state: process.state.as_str().to_owned(),
        pid: process.pid,
        uptime_seconds: process.pid.and_then(|pid| process::uptime(pid).ok()),
        restarts: process.restarts,
        last_exit: process.last_exit.clone(),
        last_words: process.last_words.clone(),
        next_attempt_seconds: process.next_attempt.and_then(|at| u64::try_from(until(at)).ok()),
        unanswered_seconds: process.unanswered_since.map(|since| now.saturating_duration_since(since).as_secs()),
    }
}

/// What is wrong with a daemon, in words, with what it said itself where it ended. They stay the same as long as that is so,
/// because a problem in other words is another problem: what counts has its own place in `daemon`.
fn daemon_problems(process: &ProcessReport, daemon: &DaemonStatus) -> Vec<String> {
    let who = process.program.as_str();
    let ended = daemon.last_exit.as_deref().unwrap_or("it ended");
    let words = match process.state {
        State::Busy => return vec![format!("{who} is busy and does not answer")],
        State::Silent => return vec![no_answer(who, process.unanswered_why.as_deref())],
        State::Hung => return vec![format!("{who} did not answer and is being killed")],
        _ if process.failed => format!("{who} failed: {ended}"),
        State::Backoff => format!("{who} ended: {ended}"),
        // One that did not end by itself begins again with another, which has told why.
        State::Launching | State::Starting if process.last_exit.is_some() => format!("{who} ended: {ended}"),
        _ => return Vec::new(),
    };
    let said = (!process.last_words.is_empty()).then(|| format!("{who} said: {}", process.last_words.join(" | ")));
    std::iter::once(words).chain(said).collect()
}

/// What the filter of a domain dropped, for each interface in the order of the reasons.
async fn drops(machine: &Machine, domain: &DomainName) -> (DomainName, Result<Vec<Drop>, SysError>) {
    // A namespace that is not there is a problem that has been told.
    let counters = match machine.namespace(domain) {
        Ok(namespace) => nft::counters(&namespace).await,
        Err(_) => Ok(BTreeMap::new()),
    };
    let drops = counters.map(|counters| {
        let counted = counters.into_iter().filter(|(_, counter)| counter.packets > 0);
        let mut drops: Vec<_> =
            counted.filter_map(|(name, counter)| policy::parse_counter(&name).map(|place| (place, counter))).collect();
        drops.sort_by(|(one, _), (other, _)| one.cmp(other));
        let drop = |((interface, reason), counter): ((String, Reason), nft::Counter)| {
            let reason = reason.as_str().to_owned();
            Drop { interface, reason, packets: counter.packets, bytes: counter.bytes }
        };
        drops.into_iter().map(drop).collect()
    });
    (domain.clone(), drops)
}

/// A number of things, in words.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A time as it is typed: `5m`, `1m 30s`.
pub fn time(time: Duration) -> String {
    format!("{:#}", SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX))
}

/// What was done, as lines for a person.
pub fn lines(applied: &Applied) -> Vec<String> {
    let mut lines = vec![match applied.done {
        0 => "nothing to do".to_owned(),
        steps => format!("{} done", count(steps, "step")),
    }];
    for (domain, problems) in &applied.problems {
        lines.extend(problems.iter().map(|words| format!("{domain}: {words}")));
    }
    lines.extend(applied.notes.iter().map(|words| format!("warning: {words}")));
    lines
}

/// What a teardown left behind, in words; `None` if nothing.
pub fn left_over(applied: &Applied) -> Option<String> {
    let left: Vec<String> = applied
        .problems
        .iter()
        .flat_map(|(domain, words)| words.iter().map(move |words| format!("{domain}: {words}")))
        .collect();
    (!left.is_empty()).then(|| format!("not everything could be taken down:\n{}", left.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Program;

    fn problems(change: impl Fn(&mut ProcessReport), seconds: u64) -> Vec<String> {
        let now = Instant::now();
        let mut process = ProcessReport {
            program: Program::Bird,
            state: State::Silent,
            failed: false,
            pid: None,
            restarts: 0,
            last_exit: None,
            last_words: Vec::new(),
            next_attempt: None,
            unanswered_since: Some(now),
            unanswered_why: None,
        };
        change(&mut process);
        let daemon = daemon_status(DaemonKind::Bird, &process, now + Duration::from_secs(seconds));
        daemon_problems(&process, &daemon)
    }

    #[test]
    fn a_problem_has_the_same_words_as_long_as_it_is_the_same() {
        type Change = fn(&mut ProcessReport);
        let states: [(&str, Change); 5] = [
            ("bird does not answer", |_| ()),
            ("bird is busy and does not answer", |process| process.state = State::Busy),
            ("bird ended: killed (SIGKILL)", |process| {
                (process.state, process.next_attempt) =
                    (State::Backoff, Some(Instant::now() + Duration::from_secs(20)));
                process.last_exit = Some("killed (SIGKILL)".to_owned());
            }),
            ("bird ended: killed (SIGKILL)", |process| {
                (process.state, process.restarts) = (State::Starting, 3);
                process.last_exit = Some("killed (SIGKILL)".to_owned());
            }),
            ("bird failed: exit code 3", |process| {
                (process.state, process.failed) = (State::Backoff, true);
                process.last_exit = Some("exit code 3".to_owned());
            }),
        ];
        for (words, change) in states {
            assert_eq!(problems(change, 1), [words]);
            assert_eq!(problems(change, 5), [words]);
        }
    }

    #[test]
    fn where_it_is_known_why_a_daemon_gives_no_answer_that_is_told() {
        let gone = |process: &mut ProcessReport| {
            process.unanswered_why = Some("its socket /run/rdsup/private/bird.ctl is gone".to_owned());
        };
        let words = "bird does not answer: its socket /run/rdsup/private/bird.ctl is gone";
        assert_eq!(problems(gone, 1), [words]);
    }
}
