//! What is generated, read by the parsers of those who will have to live with it, before anything is touched.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::prepare::{Fault, PrepareError, Prepared, fault};
use crate::daemons::{CheckError, DaemonError, of_kind};
use crate::model::{DaemonKind, DaemonName, DomainName, Origin, Program};
use crate::render::UNPRIVILEGED_CHECK;
use crate::sys::{self, Machine};

/// How many pieces the packet filters are checked in, when there are many.
const FILTER_PIECES: usize = 3;

/// How many daemons' parsers run at the same time.
const CHECKS_AT_ONCE: usize = 2;

/// Has everything read by the parsers of those who will have to: each daemon's own for its configuration, `nft -c` for the
/// packet filters. Answers with what is to be noted, in words: what could not be checked for want of privilege, and that a daemon is
/// of a version that was never tried.
pub async fn validate(prepared: &Prepared) -> Result<Vec<String>, PrepareError> {
    let (filters, daemons) = tokio::join!(check_filters(prepared, |_| true), check_daemons(prepared, |_, _| false));
    let (mut faults, mut notes) = filters;
    faults.extend(daemons);
    verdict(faults)?;
    for daemon in DaemonKind::ALL.into_iter().filter_map(of_kind) {
        if prepared.network.domains.iter().any(|domain| domain.daemon == daemon.kind()) {
            notes.extend(daemon.remark().await);
        }
    }
    Ok(notes)
}

/// The same for a machine that will carry it out: the filters of domains that are not there yet are rehearsed on it, and what a
/// daemon that runs there has read is not read once more.
pub async fn validate_on(machine: &Machine, prepared: &Prepared) -> Result<(), PrepareError> {
    let is_new = |name: &DomainName| !name.is_host() && !sys::netns::path_of(name.as_str()).exists();
    let new: Vec<_> = prepared
        .desired
        .domains
        .iter()
        .filter(|(name, _)| is_new(name))
        .map(|(name, domain)| (name.clone(), domain.filter.text.clone()))
        .collect();
    let rehearsal = async {
        let refused = machine.rehearse(new).await;
        refused.into_iter().map(|(name, error)| {
            let origin = prepared.network.domain(&name).map(|domain| domain.origin).unwrap_or_default();
            fault(&prepared.file, origin, format!("domain {name}: {error}"), error.hint())
        })
    };
    let there = check_filters(prepared, |name| !is_new(name));
    // bgpd takes a tenth of a second for each text, and what has not changed in many domains is many.
    let has_read = |name: &DaemonName, text: &str| machine.loaded_config(name).as_deref() == Some(text);
    let (rehearsed, (mut faults, _), daemons) = tokio::join!(rehearsal, there, check_daemons(prepared, has_read));
    faults.extend(rehearsed);
    faults.extend(daemons);
    verdict(faults).inspect_err(|_| machine.forget_rehearsal())
}

fn verdict(mut faults: Vec<Fault>) -> Result<(), PrepareError> {
    faults.sort_by(|a, b| (a.origin, &a.message).cmp(&(b.origin, &b.message)));
    faults.dedup();
    if faults.is_empty() { Ok(()) } else { Err(PrepareError::Faults(faults)) }
}

async fn check_daemons(prepared: &Prepared, is_known: impl Fn(&DaemonName, &str) -> bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut checks = JoinSet::new();
    let gate = Arc::new(Semaphore::new(CHECKS_AT_ONCE));
    for (name, rendered) in &prepared.rendered.domains {
        let Some(domain) = prepared.network.domain(name) else { continue };
        let Some(daemon) = of_kind(domain.daemon) else { continue };
        for (program, text) in rendered.daemon.clone() {
            let name = DaemonName::new(name, program);
            if is_known(&name, &text) {
                continue;
            }
            let gate = gate.clone();
            checks.spawn(async move {
                let _permit = gate.acquire().await;
                (name, daemon.check(program, &text).await)
            });
        }
    }
    while let Some(checked) = checks.join_next().await {
        if let Ok((name, Err(error))) = checked {
            faults.extend(daemon_faults(prepared, &name, &error));
        }
    }
    faults
}

async fn check_filters(prepared: &Prepared, wanted: impl Fn(&DomainName) -> bool) -> (Vec<Fault>, Vec<String>) {
    // Without root `nft` cannot raise its send buffer, so it gets the text in smaller pieces. With it, pieces for several
    // processors are read at the same time.
    let privileged = sys::privilege::require().is_ok();
    let whole: usize = prepared.rendered.domains.values().map(|domain| domain.filter.len()).sum();
    let most = if privileged { (whole / FILTER_PIECES).max(UNPRIVILEGED_CHECK) } else { UNPRIVILEGED_CHECK };
    let (mut faults, mut unchecked) = (Vec::new(), Vec::new());
    let pieces = prepared.rendered.filter_checks(most, wanted);
    let checks: Vec<_> = pieces.iter().map(|check| sys::nft::check(&check.text)).collect();
    for result in join_all(checks).await {
        match result {
            Ok(()) => {}
            // Where not even a user namespace can be had, the rest is worth knowing all the same.
            Err(error) if !privileged && error.errno() == Some(libc::EPERM) => {
                unchecked = vec![format!("the packet filters were not checked by nft: {error}")];
            }
            Err(error) => faults.push(fault(&prepared.file, Origin::default(), &error, error.hint())),
        }
    }
    (faults, unchecked)
}

/// An error inside the raw lines of `extra` points at the line of the file where it was typed.
fn daemon_faults(prepared: &Prepared, name: &DaemonName, error: &DaemonError) -> Vec<Fault> {
    match error {
        DaemonError::Config(rejected) => rejected.errors().iter().map(|it| rejection(prepared, name, it)).collect(),
        error => {
            let origin = prepared.network.domain(&name.domain).map(|domain| domain.origin).unwrap_or_default();
            vec![fault(&prepared.file, origin, format!("domain {}: {error}", name.domain), error.hint())]
        }
    }
}

fn rejection(prepared: &Prepared, name: &DaemonName, rejected: &CheckError) -> Fault {
    let (network, DaemonName { domain: name, program }) = (&prepared.network, name);
    let origin = network.domain(name).map(|domain| domain.origin).unwrap_or_default();
    let (who, guide) = match program {
        Program::Bird => ("BIRD", "see the BIRD user's guide for the syntax"),
        Program::Mgmtd | Program::Zebra | Program::Bfdd | Program::Bgpd => (
            "FRR",
            "see the FRR manual for the syntax; bgpd reads these lines, so none of zebra's and bfdd's can be among them",
        ),
    };
    let extra = prepared.rendered.domains.get(name).and_then(|rendered| rendered.extra.as_ref());
    let extra = extra.filter(|_| program.kind().speaker() == Some(*program));
    if let Some(origin) = extra.and_then(|extra| extra.locate(rejected.line)) {
        let message = format!("domain {name}: {who} refuses this line of `extra`: {}", rejected.message);
        return fault(&prepared.file, origin, message, Some(guide.to_owned()));
    }
    let file = program.as_str();
    let message = format!("domain {name}: {who} refuses the generated {file}.conf: {rejected}");
    let hint = format!("see the file with: rdsup render {name}");
    fault(&prepared.file, origin, message, Some(hint))
}
