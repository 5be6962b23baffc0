//! What the machine drifts to by itself or by others: heard of, compared with what should be there, repaired and told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::guard::{Guard, Mending};
use super::keeper::{Applied, Keeper};
use super::pace::Pace;
use crate::control::{Repair, What};
use crate::model::DomainName;
use crate::sys::watch::Watch;

/// Why the event loop is to look at the machine.
#[derive(Debug)]
pub enum Wake {
    /// It is to be compared with what it should be.
    Due,
    /// A filter was put back, or could not be.
    Mended(Mending),
}

/// See the module.
pub struct Drift {
    watch: Watch,
    guard: Guard,
    pace: Pace,
    /// What no repair could help when the machine was last compared.
    standing: BTreeSet<(DomainName, String)>,
}

impl Drift {
    /// Listens in the namespaces that there are.
    pub async fn new(keeper: &Keeper) -> Self {
        let watch = Watch::new();
        let guard = Guard::new(Arc::clone(keeper.machine()), Arc::clone(watch.changes()));
        let mut drift = Self { watch, guard, pace: Pace::new(Instant::now()), standing: BTreeSet::new() };
        drift.follow(keeper).await;
        drift
    }

    /// Listens in the namespaces that there are now, and lets those go that are not any more.
    async fn follow(&mut self, keeper: &Keeper) {
        self.watch.follow(&keeper.machine().namespaces(), keeper.of_host()).await;
    }

    /// A file was applied. What rdsup does itself is heard too: it costs a comparison that finds nothing. To leave those events
    /// out could leave out someone else's among them.
    pub async fn applied(&mut self, keeper: &Keeper) {
        self.watch.changes().note();
        self.follow(keeper).await;
    }

    /// Listens no more and puts nothing back any more.
    pub async fn stop(&mut self) {
        self.guard.stop();
        self.watch.follow(&BTreeMap::new(), BTreeSet::new()).await;
    }

    /// Waits until something is to be done. What comes in a burst is one thing.
    pub async fn next(&mut self) -> Wake {
        loop {
            tokio::select! {
                Some(mending) = self.guard.next() => return Wake::Mended(mending),
                () = self.watch.changes().heard(), if !self.pace.has_heard() => self.pace.hear(Instant::now()),
                () = sleep_until(self.pace.due()) => return Wake::Due,
            }
        }
    }

    /// Does it. Answers with how things stand after a comparison.
    pub async fn handle(&mut self, wake: Wake, keeper: &mut Keeper) -> Option<Applied> {
        match wake {
            Wake::Mended(mending) => {
                tell_mending(mending, keeper);
                None
            }
            Wake::Due => self.compare(keeper).await,
        }
    }

    async fn compare(&mut self, keeper: &mut Keeper) -> Option<Applied> {
        let started = Instant::now();
        let heard = self.watch.changes().take().unwrap_or(started);
        self.pace.begin();
        let repaired = keeper.repair().await;
        let ended = Instant::now();
        let applied = match repaired {
            Ok(repaired) => {
                let mut failed = false;
                for (domain, found) in &repaired.found {
                    let failures = repaired.failures(domain);
                    if failures.is_empty() {
                        tell_repair(keeper, domain, found.clone(), ended - heard);
                    } else {
                        failed = true;
                        let (found, failures) = (found.join("; "), failures.join("; "));
                        tracing::error!(%domain, "{found}: not repaired yet: {failures}");
                    }
                }
                self.pace.end(ended, ended - started, repaired.applied.done > 0, failed);
                self.tell_standing(repaired.standing);
                Some(repaired.applied)
            }
            Err(error) => {
                tracing::error!("cannot repair: {error}");
                self.pace.end(ended, ended - started, true, true);
                None
            }
        };
        self.follow(keeper).await;
        applied
    }
}

impl Drift {
    /// Says once of what no repair can help that it is so, and that it is no longer.
    fn tell_standing(&mut self, standing: BTreeSet<(DomainName, String)>) {
        for (domain, words) in standing.difference(&self.standing) {
            tracing::warn!(%domain, "{words}");
        }
        for (domain, words) in self.standing.difference(&standing) {
            tracing::info!(%domain, "no longer so: {words}");
        }
        self.standing = standing;
    }
}

fn tell_mending(mending: Mending, keeper: &mut Keeper) {
    let Mending { domain, heard, done, gone } = mending;
    match gone {
        Ok(gone) => {
            let how = if gone { "was gone" } else { "was altered by someone else" };
            tell_repair(keeper, &domain, vec![format!("the packet filter {how}")], done - heard);
        }
        Err(error) => {
            tracing::error!(%domain, "the packet filter was lost and cannot be loaded again, so what leads into the domain is down: {error}");
        }
    }
}

fn tell_repair(keeper: &mut Keeper, domain: &DomainName, found: Vec<String>, took: std::time::Duration) {
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(%domain, milliseconds, "{}: repaired", found.join("; "));
    keeper.processes.events.tell(Some(domain), What::Repaired { found: found.clone(), milliseconds });
    keeper.repairs.note(Repair { at: jiff::Timestamp::now(), domain: domain.clone(), found, milliseconds });
}
