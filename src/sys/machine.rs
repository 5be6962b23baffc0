//! The machine as the plan sees it: observe all of it, execute one step.

mod daemon;
mod execute;
mod filter;
mod groups;
mod held;
mod host;
mod mend;
mod observe;
mod ownership;
mod peers;
mod records;
mod rehearsal;
mod takeover;

pub use mend::Mended;
pub use records::digest;

use std::collections::HashMap;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::SysError;
use super::cgroup::Delegated;
use super::files::Owners;
use super::netlink::{Connection, route};
use super::netns::Namespace;
use super::process::{Process, boot_id};
use crate::model::{DaemonName, DomainName};
use crate::plan::{COVER_PROTOCOL, Layout};

/// One machine, seen from one run directory. Steps of several domains may be executed at once.
#[derive(Debug)]
pub struct Machine {
    layout: Layout,
    host: Namespace,
    owners: Owners,
    boot_id: String,
    /// The cgroup below which each daemon gets one of its own; none where nothing was delegated.
    cgroup: OnceLock<Delegated>,
    held: Mutex<Held>,
}

/// What is kept open between steps.
#[derive(Debug, Default)]
struct Held {
    /// Namespaces that have no name yet: this is all that keeps them alive.
    unnamed: HashMap<DomainName, Namespace>,
    /// Namespaces that have, or had, their name: they outlive `umount` and `ip netns delete`.
    published: HashMap<DomainName, Namespace>,
    /// Held while a domain's filter is changed, so that a table is never put back while another is loaded.
    filters: HashMap<DomainName, Arc<tokio::sync::Mutex<()>>>,
    /// Namespaces in which a filter was rehearsed, with its text: those that will be the domains'.
    rehearsed: HashMap<DomainName, (Namespace, String)>,
    /// The filters that namespaces without a name have already.
    loaded: HashMap<DomainName, String>,
    /// Daemons that ended while no supervisor ran and whose pidfd the service manager kept.
    ended: HashMap<DaemonName, Process>,
    /// One connection for each namespace that was asked before.
    connections: HashMap<DomainName, Arc<Connection>>,
}

impl Machine {
    /// The machine whose host is the network namespace that this process is in.
    pub fn open(run_dir: &Path, state_dir: &Path) -> Result<Self, SysError> {
        let host =
            Namespace::current().map_err(|error| SysError::io("open this process's network namespace", error))?;
        let boot_id = boot_id().map_err(|error| SysError::io("read /proc/sys/kernel/random/boot_id", error))?;
        Ok(Self {
            layout: Layout::new(run_dir, state_dir),
            host,
            owners: Owners::of_machine(),
            boot_id,
            cgroup: OnceLock::new(),
            held: Mutex::default(),
        })
    }

    /// The run directory.
    pub fn run_dir(&self) -> &Path {
        &self.layout.run_dir
    }

    /// The state directory.
    pub fn state_dir(&self) -> &Path {
        &self.layout.state_dir
    }

    /// `RUN_DIR/DOMAIN`.
    pub fn domain_dir(&self, domain: &DomainName) -> PathBuf {
        self.layout.domain_dir(domain)
    }

    /// User and group of the routing daemon, if it has its own.
    pub fn owners(&self) -> Owners {
        self.owners
    }

    /// The domain's namespace: the host's, one that is held, or that of the name. Whose the last is is not asked.
    pub fn namespace(&self, domain: &DomainName) -> Result<Namespace, SysError> {
        if domain.is_host() {
            return Ok(self.host.clone());
        }
        {
            let held = self.held();
            if let Some(namespace) = held.unnamed.get(domain).or_else(|| held.published.get(domain)) {
                return Ok(namespace.clone());
            }
        }
        self.named(domain)?.ok_or_else(|| SysError::NoNamespace { domain: domain.clone() })
    }

    fn named(&self, domain: &DomainName) -> Result<Option<Namespace>, SysError> {
        if domain.is_host() {
            return Ok(Some(self.host.clone()));
        }
        Namespace::open(domain.as_str()).map_err(|error| SysError::io(format!("open the namespace {domain}"), error))
    }

    /// The connection to a domain's namespace, opened when it is first wanted.
    async fn connection(&self, domain: &DomainName) -> Result<Arc<Connection>, SysError> {
        let namespace = self.namespace(domain)?;
        self.connection_to(domain, &namespace).await
    }

    async fn connection_to(&self, domain: &DomainName, namespace: &Namespace) -> Result<Arc<Connection>, SysError> {
        // A connection keeps its namespace alive, so an equal inode is the same namespace.
        let known = self.held().connections.get(domain).cloned();
        if let Some(known) = known.filter(|known| known.namespace().inode() == namespace.inode() && !known.is_closed())
        {
            return Ok(known);
        }
        let opened = Connection::open(namespace)
            .await
            .map_err(|error| SysError::netlink(format!("open a netlink socket in {domain}"), error))?;
        let opened = Arc::new(opened);
        self.held().connections.insert(domain.clone(), Arc::clone(&opened));
        Ok(opened)
    }

    /// Removes what a routing daemon that is no more has written to the kernel in a domain, by the protocol of its routes.
    pub async fn clear_routes(&self, domain: &DomainName, protocol: u8) -> Result<(), SysError> {
        let connection = self.connection(domain).await?;
        let cleared = route::clear(&connection, protocol).await;
        cleared.map_err(|error| SysError::netlink(format!("remove old routes from {domain}"), error))
    }

    /// Covers what a routing daemon that is no more has written to the kernel in a domain, by the protocol of its routes, from the next
    /// one; see [`route::cover`].
    pub async fn cover_routes(&self, domain: &DomainName, protocol: u8) -> Result<(), SysError> {
        let connection = self.connection(domain).await?;
        let covered = route::cover(&connection, protocol).await;
        covered.map_err(|error| SysError::netlink(format!("cover the routes of {domain}"), error))
    }

    /// Takes the cover away.
    pub async fn uncover_routes(&self, domain: &DomainName) -> Result<(), SysError> {
        self.clear_routes(domain, COVER_PROTOCOL).await
    }

    /// Gives back the memory that observing and executing took: connections (64 KiB each) are closed, and what was freed
    /// goes back to the kernel. For after a large plan; nothing is lost but the time to open connections again.
    pub fn rest(&self) {
        self.held().connections.clear();
        #[cfg(target_env = "gnu")]
        // SAFETY: the call has no precondition.
        unsafe {
            libc::malloc_trim(0);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing can be half done while it is locked.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs what may block outside the runtime's workers.
async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(f).await.unwrap_or_else(|failed| panic::resume_unwind(failed.into_panic()))
}
