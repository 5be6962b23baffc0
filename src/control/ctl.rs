//! `ctl`: several domains' daemons asked at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures_util::future::join_all;

use super::access::Denied;
use super::protocol::{Asked, CallError, CtlAnswer};
use crate::daemons::{self, Access, Peers, Query};
use crate::model::{DaemonKind, DomainName};

/// One domain's daemon, as far as it takes to ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CtlTarget {
    /// Which program.
    pub kind: DaemonKind,
    /// Its control socket.
    pub socket: PathBuf,
    /// The domain at the other end of each link interface.
    pub peers: Peers,
}

/// Asks them in parallel. `access` says how the caller may ask each domain; of all domains, those are asked that have a
/// daemon and that the caller may ask.
pub async fn ctl(
    targets: &BTreeMap<DomainName, CtlTarget>,
    asked: &Asked,
    command: &str,
    raw: bool,
    access: impl Fn(&DomainName) -> Result<Access, Denied>,
) -> Result<BTreeMap<DomainName, CtlAnswer>, CallError> {
    let query = Query::parse(command, raw).map_err(CallError::invalid)?;
    let mut calls = Vec::new();
    match asked {
        Asked::Some(names) => {
            // Each once: whoever names one a thousand times has it asked once.
            for name in names.iter().collect::<BTreeSet<_>>() {
                let target = targets.get(name).ok_or_else(|| no_such_domain(name, targets.keys()))?;
                calls.push((name, target, access(name)?));
            }
        }
        Asked::All => {
            let with_daemon = targets.iter().filter(|(_, target)| daemons::of_kind(target.kind).is_some());
            calls.extend(with_daemon.filter_map(|(name, target)| Some((name, target, access(name).ok()?))));
        }
    }
    let query = &query;
    let answers = calls.into_iter().map(|(name, target, access)| async move {
        let answer = match daemons::of_kind(target.kind) {
            None => CtlAnswer::Problem(format!("{name} has no routing daemon; try: ip -n {name} route")),
            Some(daemon) => match daemon.ask(&target.socket, query, access, &target.peers).await {
                Ok(answer) => CtlAnswer::Answer(answer),
                Err(error) => CtlAnswer::Problem(error.to_string()),
            },
        };
        (name.clone(), answer)
    });
    Ok(join_all(answers).await.into_iter().collect())
}

/// What is said of a domain that there is not.
pub fn no_such_domain<'a>(name: &DomainName, known: impl Iterator<Item = &'a DomainName>) -> CallError {
    let known: Vec<&str> = known.map(DomainName::as_str).collect();
    CallError::invalid(format!("there is no domain {name}; there are: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn domain(name: &str) -> DomainName {
        DomainName::new(name).expect("a legal name")
    }

    fn targets() -> BTreeMap<DomainName, CtlTarget> {
        let target = |kind| CtlTarget { kind, socket: "/nonexistent/bird.ctl".into(), peers: Peers::new() };
        BTreeMap::from([(domain("plain"), target(DaemonKind::None)), (domain("private"), target(DaemonKind::Bird))])
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands for a function that can deny")]
    fn full(_: &DomainName) -> Result<Access, Denied> {
        Ok(Access::Full)
    }

    #[test]
    fn a_domain_that_is_not_there_is_named_with_those_that_are() {
        let asked = Asked::Some(vec![domain("nowhere")]);
        let targets = targets();
        let answer = ctl(&targets, &asked, "show bgp", false, full).now_or_never().expect("nothing is waited for");
        let error = answer.expect_err("there is none");
        assert_eq!(error.message, "there is no domain nowhere; there are: plain, private");
    }

    #[tokio::test]
    async fn a_daemon_that_is_not_there_is_a_problem_of_its_domain_alone() {
        let asked = Asked::Some(vec![domain("plain"), domain("private")]);
        let answers = ctl(&targets(), &asked, "show bgp", false, full).await.expect("both are domains");
        let problem = |name: &str| match &answers[&domain(name)] {
            CtlAnswer::Problem(problem) => problem.clone(),
            CtlAnswer::Answer(answer) => panic!("{answer:?}"),
        };
        assert_eq!(problem("plain"), "plain has no routing daemon; try: ip -n plain route");
        assert!(problem("private").starts_with("cannot reach the daemon at /nonexistent/bird.ctl: No such file"));
    }

    #[tokio::test]
    async fn a_domain_that_is_named_a_thousand_times_is_asked_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("bird.ctl");
        let listener = tokio::net::UnixListener::bind(&socket).expect("the directory is ours");
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let answering = async {
            loop {
                // It hangs up at once.
                drop(listener.accept().await);
                asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        };
        let target = CtlTarget { kind: DaemonKind::Bird, socket, peers: Peers::new() };
        let targets = BTreeMap::from([(domain("private"), target)]);
        let names = Asked::Some(vec![domain("private"); 1000]);
        tokio::select! {
            () = answering => {}
            answers = ctl(&targets, &names, "show bgp", false, full) => {
                assert_eq!(answers.expect("it is a domain").len(), 1);
            }
        }
        assert_eq!(asked.into_inner(), 1);
    }

    #[tokio::test]
    async fn of_all_domains_those_are_asked_that_have_a_daemon_and_may_be_asked() {
        let denied =
            |name: &DomainName| Err(Denied { what: format!("ctl {name}"), uid: 1000, why: "it takes root".to_owned() });
        let answers = ctl(&targets(), &Asked::All, "show bgp", false, denied).await.expect("it is a command");
        assert!(answers.is_empty());
        let answers = ctl(&targets(), &Asked::All, "show bgp", false, full).await.expect("it is a command");
        assert_eq!(answers.keys().map(DomainName::as_str).collect::<Vec<_>>(), ["private"]);
    }
}
