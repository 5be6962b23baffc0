//! What happens in the namespaces of domains and in the host, told at once by the kernel.
//!
//! Each namespace has two sockets: one hears of links, addresses and rdsup's own routes, the other of packet filters. A third
//! source is the list of mounts, where the names of namespaces come and go. What was heard is not kept, only that something
//! was: whoever is told looks for himself, so that nothing depends on an event that was lost.

mod filters;
mod message;
mod names;
mod objects;
mod socket;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::netns::Namespace;
use crate::model::{DomainName, InterfaceName};
use socket::{Heard, Sockets};

/// What was heard and nobody has looked at yet.
#[derive(Debug, Default)]
pub struct Changes {
    heard: Mutex<Pending>,
    of_filters: Notify,
    of_anything: Notify,
}

/// Since when.
#[derive(Debug, Default)]
struct Pending {
    filters: BTreeMap<DomainName, Instant>,
    anything: Option<Instant>,
}

impl Changes {
    /// Something may be other than it was.
    pub fn note(&self) {
        self.pending().anything.get_or_insert_with(Instant::now);
        self.of_anything.notify_one();
    }

    /// So may the packet filter of this domain.
    fn note_filter(&self, domain: &DomainName) {
        self.pending().filters.entry(domain.clone()).or_insert_with(Instant::now);
        self.of_filters.notify_one();
    }

    /// Waits until anything was heard that has not been taken.
    pub async fn heard(&self) {
        while self.pending().anything.is_none() {
            self.of_anything.notified().await;
        }
    }

    /// Since when something may be other than it was. Whoever takes it looks afterwards.
    pub fn take(&self) -> Option<Instant> {
        self.pending().anything.take()
    }

    /// Waits until the filters of some domains may have changed, and takes them with the moment when it was heard.
    pub async fn filters(&self) -> BTreeMap<DomainName, Instant> {
        loop {
            let filters = std::mem::take(&mut self.pending().filters);
            if !filters.is_empty() {
                return filters;
            }
            self.of_filters.notified().await;
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Nothing can be half done while it is locked.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens in a changing set of namespaces.
#[derive(Debug)]
pub struct Watch {
    changes: Arc<Changes>,
    places: BTreeMap<DomainName, Place>,
    /// Interfaces that matter in the host.
    of_host: Arc<Mutex<BTreeSet<InterfaceName>>>,
    names: names::Names,
    /// Whether it was said that something cannot be watched.
    complained: bool,
}

/// One namespace that is listened in. Its sockets keep it alive, so it must be let go when its domain goes.
#[derive(Debug)]
struct Place {
    inode: u64,
    task: AbortHandle,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Listens nowhere yet.
    pub fn new() -> Self {
        let changes = Arc::new(Changes::default());
        let (names, error) = match names::Names::watch(Arc::clone(&changes)) {
            Ok(names) => (names, None),
            Err(error) => (names::Names::unwatched(), Some(error)),
        };
        let mut watch = Self { changes, places: BTreeMap::new(), of_host: Arc::default(), names, complained: false };
        if let Some(error) = error {
            watch.complain("the names of namespaces", &error);
        }
        watch
    }

    /// What was heard.
    pub fn changes(&self) -> &Arc<Changes> {
        &self.changes
    }

    /// Listens in these namespaces from now on and in no other; in the host for interfaces of these names. What happened in a
    /// new one before that is not heard, so that it is to be looked at, which is noted.
    pub async fn follow(&mut self, namespaces: &BTreeMap<DomainName, Namespace>, of_host: BTreeSet<InterfaceName>) {
        *self.of_host.lock().unwrap_or_else(PoisonError::into_inner) = of_host;
        self.places.retain(|domain, place| {
            // As long as it is listened in it lives, and no other has its number.
            let same = namespaces.get(domain).is_some_and(|namespace| namespace.inode() == place.inode);
            same && !place.task.is_finished()
        });
        self.names.expect(namespaces);
        for (domain, namespace) in namespaces {
            if self.places.contains_key(domain) {
                continue;
            }
            match namespace.run_async(socket::open).await.and_then(|opened| opened?.register()) {
                Ok(sockets) => {
                    let of_host = domain.is_host().then(|| Arc::clone(&self.of_host));
                    let listening = listen(domain.clone(), sockets, of_host, Arc::clone(&self.changes));
                    let task = tokio::spawn(listening).abort_handle();
                    self.places.insert(domain.clone(), Place { inode: namespace.inode(), task });
                    self.changes.note();
                }
                Err(error) => self.complain(&format!("domain {domain}"), &error),
            }
        }
    }

    /// Without events everything is still compared from time to time, so this is said once and no failure.
    fn complain(&mut self, what: &str, error: &io::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!("cannot watch {what}, so that what changes there is found seconds later: {error}");
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

async fn listen(
    domain: DomainName,
    sockets: Sockets,
    of_host: Option<Arc<Mutex<BTreeSet<InterfaceName>>>>,
    changes: Arc<Changes>,
) {
    let matters = |datagram: &[u8]| {
        let names = of_host.as_ref().map(|names| names.lock().unwrap_or_else(PoisonError::into_inner));
        objects::concern_us(datagram, names.as_deref())
    };
    loop {
        match sockets.next(matters).await {
            Ok(Heard::Anything) => changes.note(),
            Ok(Heard::Filter) => changes.note_filter(&domain),
            Ok(Heard::Nothing) => {}
            Err(error) => {
                // Opened again when the set of namespaces is next looked at.
                tracing::debug!(%domain, "stopped listening: {error}");
                changes.note();
                return;
            }
        }
        // In a storm of events others have their turn.
        tokio::task::yield_now().await;
    }
}
