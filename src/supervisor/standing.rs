//! What stands without a supervisor, for whoever asks then.

use serde::Serialize;

use crate::model::{DaemonName, DomainName};
use crate::plan::Layout;
use crate::sys::Machine;
use crate::sys::generations::Store;
use crate::sys::process::boot_id;

/// A network that nobody watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The generation that it was made from; none where that is not noted, or may not be read.
    pub generation: Option<u64>,
    /// Its domains.
    pub domains: Vec<DomainName>,
    /// How many of their routing daemons run.
    pub daemons: usize,
}

/// What stands under this run directory; none if nothing does. An ordinary user learns as much of it as anybody may read.
pub fn standing(layout: &Layout) -> Option<Standing> {
    let machine = Machine::open(&layout.run_dir, &layout.state_dir).ok()?;
    let mut domains = machine.domains_left().ok()?;
    domains.retain(|domain| domain.is_host() || machine.stands(domain));
    domains.sort();
    if domains.iter().all(DomainName::is_host) {
        return None;
    }
    let noted = boot_id().ok().and_then(|boot_id| Store::new(layout).standing(&boot_id).ok()?.0);
    let runs = |domain: &&DomainName| DaemonName::all_of(domain).iter().any(|name| machine.runs_daemon(name));
    let daemons = domains.iter().filter(runs).count();
    Some(Standing { generation: noted.map(|standing| standing.generation.number), domains, daemons })
}
