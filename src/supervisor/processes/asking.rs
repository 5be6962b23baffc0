//! Whether a daemon that runs still answers.
//!
//! Each daemon is asked by a task of its own, so that one that is slow delays no other, and the event loop hears of it only
//! when something changes. The question is the cheapest there is: a connection to the control socket, whose banner the
//! daemon's main loop must write. The kernel alone completes the connection, also for a daemon that was stopped.
//!
//! A missing answer says little by itself: a daemon of one thread answers nobody while it reads a long configuration, also
//! one that somebody has it read by hand, or while it walks a large table for somebody else. What tells it from one that
//! hangs is whether it works meanwhile.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{Happening, What};
use crate::daemons::{DaemonError, Place, RoutingDaemon};
use crate::model::DaemonName;
use crate::sys::process::{Activity, Process};

/// How often a daemon that answers is asked.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long an answer may take before it is missed. A daemon that is late may still give it: the connection is kept.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which daemon is asked.
pub(super) struct Asked {
    pub(super) name: DaemonName,
    pub(super) daemon: &'static dyn RoutingDaemon,
    pub(super) place: Place,
    pub(super) process: Arc<Process>,
    /// Spreads the domains over the time between two questions.
    pub(super) seed: u64,
}

/// Asks until the handle is dropped.
pub(super) fn keep_asking(asked: Asked, sender: UnboundedSender<Happening>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let milliseconds = u64::try_from(ASK_EVERY.as_millis()).unwrap_or(u64::MAX);
        sleep(Duration::from_millis(asked.seed % milliseconds)).await;
        let (mut answers, mut told) = (true, false);
        loop {
            asked.ask(&mut answers, &sender).await;
            if answers {
                asked.attend(&mut told).await;
                sleep(ASK_EVERY).await;
            }
        }
    }))
}

impl Asked {
    /// Whoever has much to do because of it is not waited for: it does so anyway, and must be asked meanwhile.
    async fn attend(&self, told: &mut bool) {
        let attending = self.daemon.attend(self.name.program, &self.place, told);
        if let Ok(Err(error)) = timeout(PATIENCE, attending).await {
            tracing::debug!(domain = %self.name.domain, "cannot tell its daemon what happened: {error}");
        }
    }

    /// Asks once, and tells of the answer if the last one was missing, or each time that patience ends.
    async fn ask(&self, answers: &mut bool, sender: &UnboundedSender<Happening>) {
        let tell = |what| drop(sender.send(Happening { name: self.name.clone(), what }));
        let pid = self.process.pid();
        let mut question = self.daemon.answers(self.name.program, &self.place);
        loop {
            let before = Activity::of(pid);
            let mut failed = None;
            match timeout(PATIENCE, &mut question).await {
                Ok(Ok(())) => {
                    if !std::mem::replace(answers, true) {
                        tell(What::Answered(pid));
                    }
                    return;
                }
                Ok(Err(error)) if error.is_our_own() => {
                    tracing::warn!(domain = %self.name.domain, "cannot ask its daemon: {error}");
                    sleep(PATIENCE).await;
                    return;
                }
                Ok(Err(error)) => {
                    tracing::debug!(domain = %self.name.domain, "no answer: {error}");
                    failed = Some(error);
                    sleep(PATIENCE).await;
                }
                Err(_) => {}
            }
            *answers = false;
            let works = match (before, Activity::of(pid)) {
                // No work explains that nobody listens, or that the socket is gone.
                (Ok(before), Ok(now)) => now.is_work_since(before) && !failed.as_ref().is_some_and(nobody_listens),
                // It is over, which the pidfd tells.
                _ => return sleep(PATIENCE).await,
            };
            tell(What::Unanswered(pid, works, failed.as_ref().and_then(DaemonError::why_silent)));
            if failed.is_some() {
                return;
            }
        }
    }
}

fn nobody_listens(error: &DaemonError) -> bool {
    let gone = [ErrorKind::NotFound, ErrorKind::ConnectionRefused];
    matches!(error, DaemonError::Unreachable { source, .. } if gone.contains(&source.kind()))
}
