//! What somebody did to a running daemon by a command. What a daemon has read is noted, and not what it was told by others since, so
//! it is asked, and whoever wants to know how things stand is told. Sessions that were removed an apply brings back. A repair
//! does nothing of the kind, because whoever typed may be at work.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::daemons::{Peers, Place, Session, of_kind};
use crate::model::{DaemonKind, DaemonName, Domain, DomainName};
use crate::plan::{Desired, Layout, Observed, ObservedDaemon};
use crate::sys::Machine;

/// How long daemons are waited for. Of one that does not answer it is believed that it has what it was given.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How much of what it was told is repeated in a line of a report, and where everything is wanted.
const A_LINE: usize = 3;
const EVERYTHING: usize = 50;

/// The sessions that the daemon of a domain has read and does not have.
pub fn absent(machine: &Machine, domain: &Domain, there: &[Session], peers: &Peers) -> Vec<Session> {
    let Some((daemon, speaker)) = of_kind(domain.daemon).zip(domain.daemon.speaker()) else { return Vec::new() };
    // One that reads all of its configuration again has what stands in it.
    let read = (!daemon.reads_whole()).then(|| machine.loaded_config(&DaemonName::new(&domain.name, speaker)));
    read.flatten().map_or_else(Vec::new, |read| daemon.absent(&read, there, peers))
}

/// What the daemon of a domain ran when it had read its configuration, if it can be told something else. It is another one, or none, once
/// the daemon is being told by us: what was asked in between says nothing.
pub fn noted(machine: &Machine, domain: &DomainName, kind: DaemonKind) -> Option<String> {
    machine.running_config(&DaemonName::new(domain, kind.speaker()?))
}

/// What else the daemon of a domain was told since `before` was noted, in one line; nothing of one that does not say.
pub async fn told(domain: &DomainName, kind: DaemonKind, before: &str, layout: &Layout) -> Option<String> {
    told_at_most(A_LINE, domain, kind, before, layout).await
}

async fn told_at_most(
    most: usize,
    domain: &DomainName,
    kind: DaemonKind,
    before: &str,
    layout: &Layout,
) -> Option<String> {
    let (daemon, speaker) = of_kind(kind).zip(kind.speaker())?;
    let place = Place::in_directory(kind, &layout.domain_dir(domain));
    let now = timeout(ANSWER_WITHIN, daemon.running(speaker, &place)).await.ok()?.ok()??;
    let told = daemon.told(before, &now);
    let first = told.get(..most).unwrap_or(&told).join(", ");
    let more = match told.len().saturating_sub(most) {
        0 => String::new(),
        more if most == A_LINE => format!(", and {more} more (rdsup plan)"),
        more => format!(", and {more} more"),
    };
    let who = speaker.as_str();
    (!told.is_empty()).then(|| {
        format!(
            "somebody told {who} {first}{more}; it stays until the opposite is typed (rdsup ctl {domain}), or {who} begins again"
        )
    })
}

/// The same of every domain that is there, as warnings.
pub async fn all_told(machine: &Machine, observed: &Observed, layout: &Layout) -> Vec<String> {
    let mut asked = Vec::new();
    for (name, domain) in &observed.domains {
        if let ObservedDaemon::Running { kind, .. } = &domain.daemon {
            asked.push(async move {
                let before = noted(machine, name, *kind)?;
                let words = told_at_most(EVERYTHING, name, *kind, &before, layout).await?;
                (noted(machine, name, *kind)? == before).then_some(())?;
                Some(format!("warning: domain {name}: {words}"))
            });
        }
    }
    join_all(asked).await.into_iter().flatten().collect()
}

/// What is said of a session that is absent.
pub fn words(session: &Session) -> String {
    format!("session {} is missing: somebody removed it from the daemon; rdsup apply brings it back", session.name)
}

/// Has an observation say what daemons have of that which they have read. Answers with the texts that this changes.
pub async fn correct(observed: &mut Observed, desired: &Desired, layout: &Layout) -> Vec<(DaemonName, String)> {
    let wanted = |name: &DomainName, kind: DaemonKind| {
        let daemon = desired.domains.get(name).and_then(|domain| domain.daemon.as_ref());
        daemon.is_some_and(|daemon| daemon.kind == kind)
    };
    // Collected before they are joined: a lazy iterator of futures that borrow is too general for the compiler.
    let mut asked = Vec::new();
    for (name, domain) in &observed.domains {
        if let ObservedDaemon::Running { kind, loaded, .. } = &domain.daemon
            && wanted(name, *kind)
            && let Some(speaker) = kind.speaker()
            && let Some(read) = loaded.get(&speaker)
        {
            asked.push(had(DaemonName::new(name, speaker), *kind, read, layout));
        }
    }
    let corrected: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    for (name, text) in &corrected {
        if let Some(domain) = observed.domains.get_mut(&name.domain)
            && let ObservedDaemon::Running { loaded, .. } = &mut domain.daemon
        {
            loaded.insert(name.program, text.clone());
        }
    }
    corrected
}

/// What a daemon has of a text that it has read, if that is not all.
async fn had(name: DaemonName, kind: DaemonKind, read: &str, layout: &Layout) -> Option<(DaemonName, String)> {
    let daemon = of_kind(kind).filter(|daemon| !daemon.reads_whole())?;
    let (socket, peers) = (layout.socket(&name.domain, kind), Peers::new());
    let there = timeout(ANSWER_WITHIN, daemon.sessions(&socket, &peers)).await.ok()?.ok()?;
    let absent = daemon.absent(read, &there, &peers);
    (!absent.is_empty()).then(|| (name, daemon.without(read, &absent)))
}
