//! Namespaces that are ours and are held open, so that one that loses its name loses nothing else.

use std::collections::BTreeMap;

use super::Machine;
use super::records::{self, NamespaceRecord};
use crate::model::{DaemonName, DomainName};
use crate::plan::Layout;
use crate::sys::netns::Namespace;
use crate::sys::nft;
use crate::sys::process::Process;

impl Machine {
    /// Every namespace that is held under a domain's name, and the host's.
    pub fn namespaces(&self) -> BTreeMap<DomainName, Namespace> {
        let held = self.held();
        let published = held.published.iter().map(|(domain, namespace)| (domain.clone(), namespace.clone()));
        published.chain([(Layout::host(), self.host.clone())]).collect()
    }

    /// Holds a namespace that was found to be ours.
    pub(super) fn hold(&self, domain: &DomainName, namespace: &Namespace) {
        if domain.is_host() {
            return;
        }
        let mut held = self.held();
        let known = held.published.get(domain).is_some_and(|known| known.inode() == namespace.inode());
        // An equal inode is the same namespace as long as the old one is held.
        if !known {
            held.published.insert(domain.clone(), namespace.clone());
        }
    }

    /// The domain's namespace where nothing has its name: one that is held, or that of the daemon which was started in it.
    /// Only the very one that was published under the name counts.
    pub(super) async fn lost(&self, domain: &DomainName) -> Option<Namespace> {
        let held = self.held().published.get(domain).cloned();
        let namespace = held.or_else(|| self.of_daemon(domain))?;
        let probe = namespace.run_async(nft::probe_here).await.ok()?.ok()?;
        let published: Option<NamespaceRecord> = records::read(&self.domain_dir(domain).join(records::NAMESPACE));
        (published == Some(self.namespace_record(probe))).then_some(namespace)
    }

    fn of_daemon(&self, domain: &DomainName) -> Option<Namespace> {
        let mut records = DaemonName::all_of(domain).into_iter().filter_map(|name| self.recorded_daemon(&name));
        let record = records.next()?;
        // While its pidfd is open and says that it lives, the number is that process's.
        let process = Process::adopt(&record).ok()??;
        let namespace = Namespace::of_process(process.pid()).ok()?;
        (process.is_running() && namespace.inode() == record.netns_inode).then_some(namespace)
    }
}
