//! What applying a file would do, found out by looking only.

use std::path::Path;

use super::prepare::{Prepared, Reading, prepare_from};
use super::run::RunError;
use super::sources::Sources;
use super::validate::validate;
use crate::config;
use crate::plan::{Layout, Observed, Plan, plan};
use crate::sys::generations::Store;
use crate::sys::process::boot_id;
use crate::sys::{Machine, privilege};

/// A plan that nobody carries out.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// What would be done.
    pub plan: Plan,
    /// Why the plan may not be the whole truth.
    pub limits: Vec<String>,
}

/// Plans for the machine that this runs on. Without privileges the machine cannot be looked at, and the plan is that of
/// an empty one.
pub async fn outlook(path: &Path) -> Result<Outlook, RunError> {
    let prepared = prepare_as_running(path)?;
    let mut limits = validate(&prepared).await?;
    let layout = &prepared.layout;
    let plan = if privilege::require().is_ok() {
        seen_by(&Machine::open(&layout.run_dir, &layout.state_dir)?, &prepared).await?
    } else {
        let words = "without root the machine cannot be looked at: this is the plan for one where nothing runs yet";
        limits.push(words.to_owned());
        plan(&prepared.desired, &Observed::default(), layout).map_err(RunError::Conflicts)?
    };
    Ok(Outlook { plan, limits })
}

/// The same through a machine that is open already.
pub async fn outlook_of(path: &Path, machine: &Machine) -> Result<Plan, RunError> {
    let prepared = prepare_as_running(path)?;
    validate(&prepared).await?;
    seen_by(machine, &prepared).await
}

async fn seen_by(machine: &Machine, prepared: &Prepared) -> Result<Plan, RunError> {
    let observed = machine.observe(&prepared.desired).await?;
    plan(&prepared.desired, &observed, &prepared.layout).map_err(RunError::Conflicts)
}

/// As the supervisor whose network stands would read it: generated files name its file, whichever one is looked at.
fn prepare_as_running(path: &Path) -> Result<Prepared, RunError> {
    let text = Sources::files().configuration(path).unwrap_or_default();
    let layout = Layout::new(config::run_dir(&text), config::state_dir(&text));
    let standing = boot_id().ok().and_then(|boot_id| Store::new(&layout).standing(&boot_id).ok()?.0);
    let named = standing.as_ref().map_or(path, |standing| standing.config.as_path());
    Ok(prepare_from(Reading { named, ..Reading::of(path) })?)
}
