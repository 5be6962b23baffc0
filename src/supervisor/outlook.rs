//! What applying a file would do, found out by looking only.

use std::path::Path;

use super::aside::Aside;
use super::by_hand;
use super::failure::RunError;
use super::prepare::{Prepared, Reading, prepare_from};
use super::resets::{self, foresee};
use super::sources::Sources;
use super::validate::validate;
use crate::config;
use crate::plan::{Layout, Observed, Plan, Reset, Stage, plan};
use crate::sys::generations::Store;
use crate::sys::lock::RunDirLock;
use crate::sys::process::boot_id;
use crate::sys::{Machine, privilege};

/// A plan that nobody carries out.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// What would be done.
    pub plan: Plan,
    /// The sessions that this would reset; `None` where no routing daemon runs.
    pub resets: Option<Vec<Reset>>,
    /// What the file has that is legal and probably not meant, as lines for people.
    pub warnings: Vec<String>,
    /// Why the plan may not be the whole truth.
    pub limits: Vec<String>,
}

impl Outlook {
    /// What is said of sessions before anything is done; nothing where nothing is done or nothing runs.
    pub fn reset_lines(&self) -> Vec<String> {
        let said = self.resets.as_deref().filter(|_| !self.plan.is_empty());
        said.map(resets::lines).unwrap_or_default()
    }
}

/// Plans for the machine that this runs on. Without privileges the machine cannot be looked at, and the plan is that of
/// an empty one.
pub async fn outlook(path: &Path) -> Result<Outlook, RunError> {
    let prepared = prepare_as_running(path, Sources::files)?;
    let limits = validate(&prepared).await?;
    let warnings: Vec<String> = prepared.warning_lines().collect();
    let layout = &prepared.layout;
    if privilege::require().is_ok() {
        let mut seen = seen_by(&Machine::open(&layout.run_dir, &layout.state_dir)?, &prepared).await?;
        // A supervisor that runs sees to its notes by itself, also to those that cannot be written at the moment.
        if RunDirLock::holder(&layout.run_dir).is_some() {
            seen.plan.steps.retain(|(stage, _)| *stage != Stage::Notes);
        }
        let warnings = warnings.into_iter().chain(seen.warnings).collect();
        return Ok(Outlook { warnings, limits, plan: seen.plan, resets: seen.resets });
    }
    let words = "without root the machine cannot be looked at: this is the plan for one where nothing runs yet";
    let limits = limits.into_iter().chain([words.to_owned()]).collect();
    let plan = plan(&prepared.desired, &Observed::default(), layout).map_err(RunError::Conflicts)?;
    Ok(Outlook { plan, resets: None, warnings, limits })
}

/// The same through a machine that is open already, for a supervisor.
pub async fn outlook_of(path: &Path, machine: &Machine, aside: &Aside) -> Result<Outlook, RunError> {
    let file = path.to_owned();
    let prepared = aside.read(path, move || prepare_as_running(&file, Sources::regular_files)).await??;
    validate(&prepared).await?;
    seen_by(machine, &prepared).await
}

/// Which sessions are about to be reset, and what is said of that before something is carried out. What stands in the way of a
/// plan is for those to say who carry it out.
pub async fn announcement(machine: &Machine, prepared: &Prepared) -> (Vec<Reset>, Vec<String>) {
    match seen_by(machine, prepared).await {
        Ok(outlook) => {
            let warnings =
                outlook.plan.warnings().into_iter().chain(outlook.plan.not_given_back()).chain(outlook.plan.later());
            let warnings = warnings.map(|words| format!("warning: {words}"));
            let lines = outlook.warnings.iter().cloned().chain(warnings).chain(outlook.reset_lines()).collect();
            (outlook.resets.unwrap_or_default(), lines)
        }
        Err(RunError::Conflicts(_)) => Default::default(),
        Err(error) => (Vec::new(), vec![format!("which sessions reset cannot be said: {error}")]),
    }
}

async fn seen_by(machine: &Machine, prepared: &Prepared) -> Result<Outlook, RunError> {
    let (desired, layout) = (&prepared.desired, &prepared.layout);
    let mut observed = machine.observe(desired).await?;
    by_hand::correct(&mut observed, desired, layout).await;
    let plan = plan(desired, &observed, layout).map_err(RunError::Conflicts)?;
    let resets = foresee(desired, &observed, &plan, layout).await;
    let warnings = by_hand::all_told(machine, &observed, layout).await;
    Ok(Outlook { plan, resets, warnings, limits: Vec::new() })
}

/// As the supervisor whose network stands would read it: generated files name its file, whichever one is looked at.
fn prepare_as_running(path: &Path, sources: fn() -> Sources) -> Result<Prepared, RunError> {
    let text = sources().configuration(path).unwrap_or_default();
    let layout = Layout::new(config::run_dir(&text), config::state_dir(&text));
    let standing = boot_id().ok().and_then(|boot_id| Store::new(&layout).standing(&boot_id).ok()?.0);
    let named = standing.as_ref().map_or(path, |standing| standing.config.as_path());
    let state_dir = standing.as_ref().and_then(|standing| standing.state_dir.as_deref());
    Ok(prepare_from(Reading { named, sources: sources(), state_dir, ..Reading::of(path) })?)
}
