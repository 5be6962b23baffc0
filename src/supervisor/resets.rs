//! Sessions that a plan would reset, with what the running daemons know of them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::report::count;
use crate::daemons::{Peers, Session, of_kind};
use crate::model::DomainName;
use crate::plan::{
    Desired, Layout, Negotiated, Observed, ObservedDaemon, Plan, Reset, Sessions, asked_for_resets, resets,
};

/// How long daemons are waited for. Of one that does not answer nothing is known, and its sessions may reset.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The sessions that carrying out `plan` would reset; `None` where no routing daemon runs, so that there is nothing to reset.
pub async fn foresee(desired: &Desired, observed: &Observed, plan: &Plan, layout: &Layout) -> Option<Vec<Reset>> {
    let runs = |daemon: &ObservedDaemon| matches!(daemon, ObservedDaemon::Running { .. });
    if !observed.domains.values().any(|domain| runs(&domain.daemon)) {
        return None;
    }
    // Collected before they are joined: a lazy iterator of futures that borrow is too general for the compiler.
    let asked: Vec<_> = asked_for_resets(plan).into_iter().map(|name| sessions_of(name, desired, layout)).collect();
    let sessions: Sessions = join_all(asked).await.into_iter().flatten().collect();
    Some(resets(desired, observed, plan, &sessions))
}

async fn sessions_of(
    name: &DomainName,
    desired: &Desired,
    layout: &Layout,
) -> Option<(DomainName, BTreeMap<String, Negotiated>)> {
    let daemon = of_kind(desired.domains.get(name)?.daemon.as_ref()?.kind)?;
    let (socket, peers) = (layout.socket(name, daemon.kind()), Peers::new());
    let sessions = timeout(ANSWER_WITHIN, daemon.sessions(&socket, &peers)).await.ok()?.ok()?;
    let known = sessions.iter().filter_map(|session| Some((session.protocol.clone(), negotiated(session)?))).collect();
    Some((name.clone(), known))
}

fn negotiated(session: &Session) -> Option<Negotiated> {
    let up = session.families.iter().filter(|family| family.up);
    let imported = up.map(|family| (family.family, family.imported)).collect();
    let route_refresh = match session.route_refresh.filter(|_| session.is_established()) {
        None if !session.stale => return None,
        known => known.unwrap_or(false),
    };
    Some(Negotiated { source: session.source, route_refresh, imported, stale: session.stale })
}

/// The same as lines for people, each complete in itself.
pub fn lines(resets: &[Reset]) -> Vec<String> {
    if resets.is_empty() {
        return vec!["no session resets".to_owned()];
    }
    let (certain, possible): (Vec<_>, Vec<_>) = resets.iter().partition(|reset| reset.is_certain());
    let mut lines = Vec::new();
    for (resets, verb) in [(certain, "will be reset"), (possible, "may be reset")] {
        if !resets.is_empty() {
            lines.push(format!("{} {verb}:", count(resets.len(), "session")));
            lines.extend(resets.iter().map(|reset| format!("  {reset}")));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{About, Reason, SessionEnd};

    fn reset(session: &str, certain: bool) -> Reset {
        let domain = DomainName::new("private").expect("a legal name");
        let reason = Reason { certain, about: About::Domain, words: "it goes".to_owned() };
        let end = SessionEnd { domain, session: session.to_owned() };
        Reset { end, other: None, peer: "internet".to_owned(), reasons: vec![(None, reason)] }
    }

    #[test]
    fn one_session_is_told_as_one_and_several_as_several() {
        let found = lines(&[reset("rd-a", true), reset("rd-b", false), reset("rd-c", false)]);
        let wanted = [
            "1 session will be reset:",
            "  private rd-a: it goes",
            "2 sessions may be reset:",
            "  private rd-b: it goes",
            "  private rd-c: it goes",
        ];
        assert_eq!(found, wanted);
        assert_eq!(lines(&[]), ["no session resets"]);
    }
}
