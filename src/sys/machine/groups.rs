//! The daemons' cgroups, where they were delegated.

use std::fs::File;

use super::Machine;
use crate::model::DomainName;
use crate::sys::cgroup::Found;
use crate::sys::process::Process;

impl Machine {
    /// From now on each daemon is started in a cgroup of its own, if the service manager delegated one to this process.
    /// Where it did not, or something is in the way, everything else works the same.
    pub fn use_cgroups(&self) {
        let delegated = match Found::look(None) {
            Ok(Found::Delegated(delegated)) => delegated,
            Ok(Found::NotDelegated(_) | Found::None) => return,
            Err(error) => return tracing::warn!("cannot look for cgroups: {error}"),
        };
        let group = delegated.directory().display().to_string();
        match delegated.settle() {
            Ok(()) => {
                tracing::debug!(group, "each daemon gets a cgroup of its own");
                let _ = self.cgroup.set(delegated);
            }
            Err(error) => tracing::warn!(group, "cannot use the cgroup that was delegated: {error}"),
        }
    }

    /// What a daemon of the domain writes to, to be in its cgroup; none where there is no such thing.
    pub fn cgroup(&self, domain: &DomainName) -> Option<File> {
        let joined = self.cgroup.get()?.join(domain);
        joined.inspect_err(|error| tracing::warn!(%domain, "no cgroup of its own: {error}")).ok()
    }

    /// Moves a daemon that was started by an earlier supervisor, which may not have had cgroups.
    pub(super) fn place_in_cgroup(&self, domain: &DomainName, process: &Process) {
        // A number that is free again cannot be another's before the process was reaped, which ends its pidfd.
        if let Some(delegated) = self.cgroup.get().filter(|_| process.is_running())
            && let Err(error) = delegated.place(domain, process.pid())
        {
            tracing::warn!(%domain, pid = process.pid(), "cannot move the daemon into its cgroup: {error}");
        }
    }

    /// Removes the empty cgroups of domains that are no longer wanted.
    pub fn tidy_cgroups(&self, wanted: impl Fn(&str) -> bool) {
        if let Some(delegated) = self.cgroup.get()
            && let Err(error) = delegated.tidy(wanted)
        {
            tracing::warn!("cannot remove an empty cgroup: {error}");
        }
    }
}
