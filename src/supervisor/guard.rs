//! Filters that are lost are put back beside the event loop, so that not even a loop that waits for a daemon delays it.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::model::DomainName;
use crate::sys::watch::Changes;
use crate::sys::{Machine, Mended, fault};

/// How many are looked at at the same time: loading is mostly waiting for the kernel.
const AT_ONCE: usize = 8;

/// How many reports may wait for the event loop; more are of the same kind.
const REPORTS: usize = 64;

/// What was done about a filter.
#[derive(Debug)]
pub struct Mending {
    /// Whose filter.
    pub domain: DomainName,
    /// When the kernel told of it.
    pub heard: Instant,
    /// When it was loaded.
    pub done: Instant,
    /// Whether there was none at all, or why it could not be loaded.
    pub gone: Result<bool, String>,
}

/// Puts filters back until it is dropped.
#[derive(Debug)]
pub struct Guard {
    task: AbortHandle,
    reports: mpsc::Receiver<Mending>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Guard {
    /// Begins.
    pub fn new(machine: Arc<Machine>, changes: Arc<Changes>) -> Self {
        let (sender, reports) = mpsc::channel(REPORTS);
        let task = tokio::spawn(async move {
            loop {
                let filters: Vec<_> = changes.filters().await.into_iter().collect();
                stream::iter(filters)
                    .for_each_concurrent(AT_ONCE, |(domain, heard)| look(&machine, &changes, &sender, domain, heard))
                    .await;
            }
        });
        Self { task: task.abort_handle(), reports }
    }

    /// Puts nothing back any more.
    pub fn stop(&self) {
        self.task.abort();
    }

    /// The next filter that was put back, or could not be.
    pub async fn next(&mut self) -> Option<Mending> {
        self.reports.recv().await
    }
}

async fn look(
    machine: &Machine,
    changes: &Changes,
    reports: &mpsc::Sender<Mending>,
    domain: DomainName,
    heard: Instant,
) {
    if fault::is_off("repair") {
        return;
    }
    let gone = match machine.mend_filter(&domain).await {
        Ok(Mended::Unaltered) => return,
        // The comparison finds out.
        Ok(Mended::Unclear) => return changes.note(),
        Ok(Mended::Loaded { gone }) => Ok(gone),
        Err(error) => {
            if let Err(error) = machine.close(&domain).await {
                tracing::error!(%domain, "{error}");
            }
            changes.note();
            Err(error.to_string())
        }
    };
    // Where the loop does not keep up, it has other reports of this.
    let _ = reports.try_send(Mending { domain, heard, done: Instant::now(), gone });
}
