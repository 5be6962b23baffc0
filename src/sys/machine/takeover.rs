//! Taking over what the service manager kept for this supervisor.

use std::collections::BTreeMap;

use super::Machine;
use super::records::{self, NamespaceRecord};
use crate::model::{DaemonName, DomainName};
use crate::sys::SysError;
use crate::sys::netns::Namespace;
use crate::sys::process::{Process, ProcessRecord};

impl Machine {
    /// Uses what was kept: a namespace whose name was lost gets it again, if it is the one that had it last; a daemon that
    /// is over is remembered until [`Machine::adopt_daemon`] asks for it.
    pub async fn take_over(&self, namespaces: BTreeMap<DomainName, Namespace>, daemons: BTreeMap<DaemonName, Process>) {
        for (domain, namespace) in namespaces {
            if let Err(error) = self.name_again(&domain, &namespace).await {
                tracing::warn!(%domain, "cannot use the namespace that was kept: {error}");
            }
        }
        let ended = daemons.into_iter().filter(|(_, process)| !process.is_running());
        self.held().ended.extend(ended);
    }

    async fn name_again(&self, domain: &DomainName, namespace: &Namespace) -> Result<(), SysError> {
        if self.named(domain)?.is_some() {
            return Ok(());
        }
        let probe = self.probe(domain, namespace).await?;
        let published: Option<NamespaceRecord> = records::read(&self.domain_dir(domain).join(records::NAMESPACE));
        if published != Some(self.namespace_record(probe)) {
            return Ok(());
        }
        let (named, name) = (namespace.clone(), domain.as_str().to_owned());
        super::blocking(move || named.publish(&name))
            .await
            .map_err(|error| SysError::io(format!("name the namespace {domain}"), error))?;
        tracing::warn!(%domain, "its namespace had lost its name and has it again");
        Ok(())
    }

    /// Whether the end of the domain's daemon is known.
    pub fn has_ended_daemon(&self, domain: &DomainName) -> bool {
        let held = self.held();
        DaemonName::all_of(domain).iter().any(|name| held.ended.contains_key(name))
    }

    /// The daemon of this record, if it is known to be over. It is told of once.
    pub(super) fn ended_daemon(&self, name: &DaemonName, record: &ProcessRecord) -> Option<Process> {
        let process = self.held().ended.remove(name)?;
        let is_it = (process.pid(), process.start_time()) == (record.pid, record.start_time);
        (is_it && record.boot_id == self.boot_id).then_some(process)
    }
}
