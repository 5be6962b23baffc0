//! What applying a file would do, found out by looking only.

use std::path::Path;

use super::prepare::{Disclosure, Prepared, prepare, validate};
use super::run::RunError;
use crate::plan::{Observed, Plan, plan};
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
    let prepared = prepare(path, Disclosure::Real, None)?;
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
    let prepared = prepare(path, Disclosure::Real, None)?;
    validate(&prepared).await?;
    seen_by(machine, &prepared).await
}

async fn seen_by(machine: &Machine, prepared: &Prepared) -> Result<Plan, RunError> {
    let observed = machine.observe(&prepared.desired).await?;
    plan(&prepared.desired, &observed, &prepared.layout).map_err(RunError::Conflicts)
}
