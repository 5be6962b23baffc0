//! What is kept of generations, for people and to be read again.

use std::path::{Path, PathBuf};

use super::generations::{boot_id, now};
use super::prepare::{PrepareError, Prepared, Reading, prepare_from};
use super::sources::Sources;
use crate::control::GenerationReport;
use crate::history::Generation;
use crate::plan::Layout;
use crate::sys::generations::{Kept, Store};
use crate::sys::{Machine, SysError};

/// Everything that is kept, for people. Whoever may read the state directory may ask, whether a supervisor runs or not.
pub fn history(layout: &Layout) -> Result<Vec<GenerationReport>, SysError> {
    let boot_id = boot_id()?;
    let store = Store::new(layout);
    let (ledger, _) = store.ledger()?;
    let (standing, _) = store.standing(&boot_id)?;
    let (in_force, pending) = match &standing {
        Some(standing) => (Some(standing.generation.number), standing.fallback.as_ref().map(|it| &it.pending)),
        None => (ledger.in_force, None),
    };
    let report = |kept: Kept| {
        let read = store.read(kept.number);
        let unreadable = read.as_ref().err().map(ToString::to_string);
        let generation = read.ok().flatten();
        let waits = pending.filter(|pending| pending.number == kept.number);
        GenerationReport {
            number: kept.number,
            at: generation.as_ref().map(|generation| generation.at),
            file: generation.as_ref().map(|generation| generation.file.clone()).unwrap_or_default(),
            by: generation.map(|generation| generation.by).unwrap_or_default(),
            in_force: in_force == Some(kept.number),
            confirm_within: waits.and_then(|pending| Some(pending.left(&now(&boot_id).ok()?).as_secs())),
            remark: unreadable.or_else(|| ledger.reverted.get(&kept.number).cloned()),
        }
    };
    Ok(store.kept()?.into_iter().map(report).collect())
}

/// Reads a generation as if its files were there.
pub fn prepare_generation(
    generation: &Generation,
    named: &Path,
    state_dir: Option<&Path>,
) -> Result<Prepared, PrepareError> {
    let file = PathBuf::from(format!("{} (generation {})", generation.file.display(), generation.number));
    let sources = Sources::kept(generation.snapshot.clone());
    prepare_from(Reading { named, sources, state_dir, ..Reading::of(&file) })
}

/// Whether a network of this run directory stands, whatever is noted about it.
pub fn stands(machine: &Machine) -> bool {
    machine.domains_left().unwrap_or_default().iter().any(|domain| machine.is_published(domain).unwrap_or(false))
}
