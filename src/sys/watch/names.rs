//! Names under `/run/netns` that come and go.
//!
//! Every way to take a name from a namespace, or to give it to another, is a change of mounts, which the kernel tells whoever
//! polls the list of them. Watching the directory (inotify) would tell less: `umount` changes nothing in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;

use super::Changes;
use crate::model::DomainName;
use crate::sys::netns::{self, Namespace};

/// The mounts that this process sees.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Which namespace should have which name.
type Expected = Arc<Mutex<BTreeMap<DomainName, u64>>>;

/// Watches the names.
#[derive(Debug)]
pub(super) struct Names {
    expected: Expected,
    task: Option<AbortHandle>,
}

impl Drop for Names {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Names {
    /// Watches them from now on.
    pub(super) fn watch(changes: Arc<Changes>) -> io::Result<Self> {
        // SAFETY: a `File` always returns the same descriptor, which stays open as long as it lives.
        let mounts = unsafe { AsyncFd::register_with_interest(File::open(MOUNTS)?, Interest::PRIORITY) }?;
        let expected = Expected::default();
        let task = tokio::spawn(listen(mounts, Arc::clone(&expected), changes)).abort_handle();
        Ok(Self { expected, task: Some(task) })
    }

    /// Watches nothing.
    pub(super) fn unwatched() -> Self {
        Self { expected: Expected::default(), task: None }
    }

    /// Expects these namespaces to have their names.
    pub(super) fn expect(&self, namespaces: &BTreeMap<DomainName, Namespace>) {
        let named = namespaces.iter().filter(|(domain, _)| !domain.is_host());
        let expected = named.map(|(domain, namespace)| (domain.clone(), namespace.inode())).collect();
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner) = expected;
    }
}

async fn listen(mounts: AsyncFd<File>, expected: Expected, changes: Arc<Changes>) {
    loop {
        let Ok(mut ready) = mounts.ready(Interest::PRIORITY).await else { return };
        ready.clear_ready();
        // Containers mount all day, so only a name that is not what it was is a change.
        let expected = expected.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if expected.iter().any(|(domain, inode)| inode_of(domain) != Some(*inode)) {
            changes.note();
        }
    }
}

/// What has the name now. The numbers of namespaces that live are different, and those expected are held open.
fn inode_of(domain: &DomainName) -> Option<u64> {
    std::fs::metadata(netns::path_of(domain.as_str())).ok().map(|found| found.ino())
}
