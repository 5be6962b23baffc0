//! Starting a program of a domain's daemon.

use crate::daemons::{Place, RoutingDaemon};
use crate::model::{DaemonName, Program};
use crate::plan::Layout;
use crate::sys::process::{MountPlan, Output, Process, Spawn};
use crate::sys::{Machine, fault};

/// A program of a daemon that was started, and the configuration that lay there for it before it was: if the file changes
/// while it starts, it may have read either, and then the older one is noted, which costs no more than having it read again.
#[derive(Debug)]
pub struct Launched {
    pub process: Process,
    pub config: Option<String>,
    /// Whether it leaves alone what the one before it left in the kernel.
    pub keeps: bool,
}

/// Starts a program of a domain's daemon in its namespace and with its own view of the file system.
pub(super) fn launch(
    machine: &Machine,
    layout: &Layout,
    name: &DaemonName,
    daemon: &dyn RoutingDaemon,
    place: &Place,
    output: Output,
    keeps: bool,
) -> Result<Launched, String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    let command = daemon.command(name.program, place, keeps).map_err(|error| words(&error))?;
    let namespace = machine.namespace(&name.domain).map_err(|error| words(&error))?;
    let mut mounts = MountPlan::for_domain(&layout.run_dir, &name.domain).map_err(|error| words(&error))?;
    if let Some(scratch) = daemon.scratch() {
        mounts = mounts.and_scratch(scratch).map_err(|error| words(&error))?;
    }
    mounts = daemon.view(name.program, place, mounts).map_err(|error| words(&error))?;
    fault::point("step")?;
    let config = std::fs::read_to_string(place.config(name.program)).ok();
    let process = Spawn::new(&command.program)
        .args(&command.args)
        .clean_env()
        .namespace(&namespace)
        .mounts(mounts)
        .output(output)
        .new_session()
        .confined()
        .cgroup(machine.cgroup(&name.domain))
        .spawn()
        .map_err(|error| words(&error))?;
    // Here it runs and nothing tells of it yet. Nothing can fail any more, but we can die.
    let _ = fault::point("step");
    Ok(Launched { process, config, keeps })
}

/// Whether what the one before left in the kernel may stay until the neighbors have said everything again: not if `decides`, the
/// program whose configuration says so, is about to read a policy that refuses some of what it accepted with `left`. Where nobody
/// knows any more what that was it stays, as with every start that nothing changes for.
pub(super) fn may_keep(daemon: &dyn RoutingDaemon, place: &Place, decides: Program, left: Option<&str>) -> bool {
    let next = std::fs::read_to_string(place.config(decides)).ok();
    left.zip(next.as_deref()).is_none_or(|(left, next)| daemon.accepts_the_same(left, next))
}
