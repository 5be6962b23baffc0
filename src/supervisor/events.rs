//! The stream of what changes, for whoever listens.
//!
//! What the event loop knows is told at once. The rest is found by comparing reports, every [`LOOK_EVERY`], and only as
//! long as somebody listens: daemons are asked for that. Nobody who reads slowly holds anybody up; a reader that falls
//! behind by more than [`HELD`] events is told how many it has missed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast;

use super::report::Sight;
use crate::control::{CallError, Event, Progress, Reply, StatusReport, What, changes, keep_known};
use crate::model::{DaemonName, DomainName};
use crate::supervise::Report;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many events are held for a slow reader.
const HELD: usize = 1024;

/// Where events are told.
#[derive(Clone)]
pub struct Events {
    sender: broadcast::Sender<Event>,
    /// How things were when they were last looked at; none while nobody listens.
    last: Arc<Mutex<Option<Arc<StatusReport>>>>,
}

impl Events {
    /// Nobody listens yet.
    pub fn new() -> Self {
        Self { sender: broadcast::Sender::new(HELD), last: Arc::default() }
    }

    /// Tells of something now.
    pub fn tell(&self, domain: Option<&DomainName>, what: What) {
        // An error means that nobody listens.
        let _ = self.sender.send(event(domain, what));
    }

    /// Tells of a daemon.
    pub fn tell_of_daemon(&self, name: &DaemonName, report: &Report) {
        let what = match report {
            Report::Started { pid } => What::DaemonStarted { pid: *pid, adopted: false },
            Report::Adopted { pid } => What::DaemonStarted { pid: *pid, adopted: true },
            Report::Ready => What::DaemonReady,
            Report::Lost { why, retry_in } => {
                let retry_in_ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
                What::DaemonLost { why: why.clone(), retry_in_ms }
            }
            Report::Failed { why, .. } => What::DaemonFailed { why: why.clone() },
            Report::Stopped => What::DaemonStopped,
            other => What::Daemon { words: other.to_string() },
        };
        self.tell(Some(&name.domain), what);
    }

    /// Tells a caller how everything is and then of every change, of all domains or of one, until the supervisor leaves or
    /// the caller goes away. A caller that wants no stream hears only the first.
    pub async fn stream(
        &self,
        only: Option<&DomainName>,
        sight: &Sight,
        progress: &Progress,
    ) -> Result<Reply, CallError> {
        let (status, told) = self.listen(sight).await;
        let mut status = StatusReport::clone(&status);
        if let Some(only) = only {
            let names: Vec<String> = status.domains.iter().map(|domain| domain.name.to_string()).collect();
            status.domains.retain(|domain| domain.name == *only);
            if status.domains.is_empty() {
                let hint = format!("there are: {}", names.join(", "));
                return Err(CallError::invalid(format!("there is no domain {only}")).hint(hint));
            }
        }
        let snapshot = event(only, What::Snapshot { status: Box::new(status) });
        if !progress.is_heard() {
            return Ok(Reply::Event(Box::new(snapshot)));
        }
        forward(snapshot, told, only, progress).await;
        Ok(Reply::Done)
    }

    /// How things are, and everything that is told after that.
    async fn listen(&self, sight: &Sight) -> (Arc<StatusReport>, broadcast::Receiver<Event>) {
        loop {
            // Under one lock, so that no change is in neither or in both.
            if let Some(last) = &*self.last() {
                return (last.clone(), self.sender.subscribe());
            }
            let status = Arc::new(sight.status(false).await);
            let mut last = self.last();
            if last.is_none() {
                *last = Some(status);
                tracing::debug!("somebody listens: daemons are asked every {} ms", LOOK_EVERY.as_millis());
                tokio::spawn(self.clone().look(sight.clone()));
            }
        }
    }

    async fn look(self, sight: Sight) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            {
                let mut last = self.last();
                if self.sender.receiver_count() == 0 {
                    *last = None;
                    tracing::debug!("nobody listens any more");
                    return;
                }
            }
            let mut status = sight.status(false).await;
            let mut last = self.last();
            if let Some(before) = &*last {
                keep_known(before, &mut status);
                for (domain, what) in changes(before, &status) {
                    self.tell(domain.as_ref(), what);
                }
            }
            *last = Some(Arc::new(status));
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Arc<StatusReport>>> {
        // Nothing can be half done while it is locked.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn event(domain: Option<&DomainName>, what: What) -> Event {
    Event { time: Timestamp::now(), domain: domain.cloned(), what }
}

/// Sends events, at the pace of the one who reads them, until the supervisor leaves or the reader is gone.
async fn forward(first: Event, mut told: broadcast::Receiver<Event>, only: Option<&DomainName>, progress: &Progress) {
    let mut next = first;
    loop {
        let is_last = matches!(next.what, What::Leaving { .. });
        if progress.send(Reply::Event(Box::new(next))).await.is_err() || is_last {
            return;
        }
        next = loop {
            let heard = tokio::select! {
                heard = told.recv() => heard,
                () = progress.gone() => return,
            };
            match heard {
                // What is about the network as a whole concerns everybody.
                Ok(event) if only.is_none() || event.domain.is_none() || event.domain.as_ref() == only => break event,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(count)) => break event(None, What::Missed { count }),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::control::access::AccessRules;
    use crate::control::{Caller, Client, Handler, Request, Server};

    struct OnlyEvents(Events);

    impl Handler for OnlyEvents {
        fn rules(&self) -> Arc<AccessRules> {
            Arc::new(AccessRules { admins: Some(nix::unistd::getegid().as_raw()), ..AccessRules::default() })
        }

        fn handle(&self, _: Request, _: Caller, progress: Progress) -> BoxFuture<'_, Result<Reply, CallError>> {
            async move {
                let told = self.0.sender.subscribe();
                forward(event(None, What::DaemonReady), told, None, &progress).await;
                Ok(Reply::Done)
            }
            .boxed()
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_slow_reader_holds_nobody_up_and_is_told_how_much_it_missed() {
        const TOLD: u64 = 50_000;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sock");
        let server = Server::bind(&path).expect("the directory is ours");
        let events = Events::new();
        let handler = Arc::new(OnlyEvents(events.clone()));
        let serving = tokio::spawn(async move { server.serve(handler, std::future::pending()).await });
        let mut client = Client::connect(&path).await.expect("it listens");
        let (mut seen, mut missed) = (0, 0);
        let mut last = None;
        let heard = client.listen(None, |event| {
            match &event.what {
                What::DaemonReady => {
                    // It is listened to from here on. The reader is not back before all of it is told.
                    let before = Instant::now();
                    for number in 0..TOLD {
                        events.tell(None, What::Daemon { words: format!("number {number}") });
                    }
                    println!("{TOLD} events told in {:?} to a reader that does not read", before.elapsed());
                    events.tell(None, What::Leaving { network_stays: true });
                }
                What::Missed { count } => missed += count,
                What::Daemon { .. } => seen += 1,
                other => last = Some(other.clone()),
            }
            true
        });
        tokio::time::timeout(Duration::from_mins(1), heard).await.expect("it ends").expect("it ends well");
        assert_eq!(last, Some(What::Leaving { network_stays: true }), "the end came through");
        assert!(missed > 0 && seen > 0, "{seen} seen, {missed} missed");
        assert_eq!(seen + missed, TOLD, "every event was seen or counted as missed");
        serving.abort();
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_ends_its_stream() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sock");
        let server = Server::bind(&path).expect("the directory is ours");
        let events = Events::new();
        let handler = Arc::new(OnlyEvents(events.clone()));
        let serving = tokio::spawn(async move { server.serve(handler, std::future::pending()).await });
        let mut client = Client::connect(&path).await.expect("it listens");
        client.listen(None, |_| false).await.expect("the first event comes");
        assert_eq!(events.sender.receiver_count(), 1);
        drop(client);
        let ended = async {
            while events.sender.receiver_count() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.expect("nobody listens any more");
        serving.abort();
    }
}
