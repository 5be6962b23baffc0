//! From a file's path to something that can be applied: read, checked, rendered, and checked again by the daemons.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::config::{self, Problem, Problems};
use crate::daemons::{DaemonError, of_kind};
use crate::model::{DomainName, Network, Origin, PasswordFile};
use crate::plan::{Desired, Layout};
use crate::render::{self, RenderError, Rendered, Secret, Secrets, Templates, UNPRIVILEGED_CHECK};
use crate::sys::{self, Machine};

/// How many daemons' parsers run at the same time.
const CHECKS_AT_ONCE: usize = 2;

/// How many pieces the packet filters are checked in, when there are many.
const FILTER_PIECES: usize = 3;

/// A file that was read and rendered.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What it means.
    pub network: Arc<Network>,
    /// What in it probably does not mean what was wanted.
    pub warnings: Vec<Problem>,
    /// The generated text.
    pub rendered: Rendered,
    /// What should be on the machine.
    pub desired: Desired,
    /// Where things lie.
    pub layout: Layout,
}

/// How secrets get into the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// Read from their files.
    Real,
    /// Not read; a placeholder stands for each.
    Redacted,
}

/// Why a file cannot be applied. Nothing was changed.
#[derive(Debug)]
pub enum PrepareError {
    /// The file itself cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
    /// What it says is not sound.
    Invalid(Problems),
    /// What it refers to, or what was generated from it, is not.
    Faults(Vec<Fault>),
}

/// Something wrong beyond the file's own text: a template, a password file, what a daemon's parser said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The configuration file, and the line that asked for it; 0 where no line did.
    pub source: PathBuf,
    /// That line.
    pub origin: Origin,
    /// What is wrong, in the words of whoever found it.
    pub message: String,
    /// One thing to try.
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin.line {
            0 => write!(f, "{}: {}", self.source.display(), self.message),
            line => write!(f, "{}:{line}: {}", self.source.display(), self.message),
        }
    }
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::Invalid(problems) => problems.fmt(f),
            Self::Faults(faults) => {
                let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for PrepareError {}

/// Reads the file and renders everything. Touches nothing but files that it reads.
pub fn prepare(path: &Path, disclosure: Disclosure, state_dir: Option<&Path>) -> Result<Prepared, PrepareError> {
    let text = read(path).map_err(|source| PrepareError::Unreadable { path: path.to_owned(), source })?;
    let mut open = |path: &Path| read_regular(path).map_err(|error| error.to_string());
    let loaded = config::read(path, &text, &mut open).map_err(PrepareError::Invalid)?;
    let mut network = loaded.network;
    // Generated files name it, and must not change with the directory that a command is typed in.
    if let Ok(source) = std::path::absolute(path) {
        network.settings.source = source;
    }
    if let Some(state_dir) = state_dir {
        state_dir.clone_into(&mut network.settings.state_dir);
    }
    let mut faults = Vec::new();
    let templates = templates(&network, &mut faults);
    let secrets = match disclosure {
        Disclosure::Real => secrets(&network, &mut faults),
        Disclosure::Redacted => Secrets::redacted(),
    };
    if !faults.is_empty() {
        return Err(PrepareError::Faults(faults));
    }
    let rendered = render_in_halves(&network, &templates, &secrets).map_err(|errors| {
        PrepareError::Faults(
            errors.iter().map(|error| fault(&network, error.origin, error, error.hint().map(str::to_owned))).collect(),
        )
    })?;
    let layout = Layout::new(&network.settings.run_dir, &network.settings.state_dir);
    let desired = Desired::of(&network, &rendered, &layout);
    Ok(Prepared { network: Arc::new(network), warnings: loaded.warnings, rendered, desired, layout })
}

/// With many domains the templates are most of what `start` computes, so two threads share them.
fn render_in_halves(network: &Network, templates: &Templates, secrets: &Secrets) -> Result<Rendered, Vec<RenderError>> {
    let (first, second) = network.domains.split_at(network.domains.len() / 2);
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| render::render_part(network, first, templates, secrets));
        let second = render::render_part(network, second, templates, secrets);
        (first.join().unwrap_or_else(|failed| std::panic::resume_unwind(failed)), second)
    });
    match (first, second) {
        (Ok(mut rendered), Ok(more)) => {
            rendered.domains.extend(more.domains);
            Ok(rendered)
        }
        (first, second) => Err([first.err(), second.err()].into_iter().flatten().flatten().collect()),
    }
}

/// No configuration is larger than this; what goes on longer is a device or a mistake.
const LARGEST_FILE: u64 = 64 << 20;

fn read(path: &Path) -> io::Result<String> {
    read_all(File::open(path)?)
}

/// Reads a file that the configuration names. Whoever opens a pipe or a device may wait for ever, and so would everybody
/// who asks the supervisor for something.
fn read_regular(path: &Path) -> io::Result<String> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    if !kind.is_file() {
        return Err(io::Error::other("it is a pipe or a device, and not a file"));
    }
    read_all(file)
}

fn read_all(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(LARGEST_FILE).read_to_string(&mut text)?;
    if text.len() as u64 == LARGEST_FILE {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    Ok(text)
}

fn fault(network: &Network, origin: Origin, message: impl fmt::Display, hint: Option<String>) -> Fault {
    Fault { source: network.settings.source.clone(), origin, message: message.to_string(), hint }
}

/// The built-in templates under those of the user's directory.
fn templates(network: &Network, faults: &mut Vec<Fault>) -> Templates {
    let mut templates = Templates::built_in();
    let Some(directory) = &network.settings.templates else { return templates };
    let mut pending = vec![directory.clone()];
    while let Some(current) = pending.pop() {
        let entries = match std::fs::read_dir(&current) {
            Ok(entries) => entries,
            // A directory that is not there overlays nothing; the path in the reference file is such a one.
            Err(error) if error.kind() == io::ErrorKind::NotFound && &current == directory => return templates,
            Err(error) => {
                let message = format!("cannot read the template directory {}: {error}", current.display());
                faults.push(fault(network, Origin::default(), message, None));
                continue;
            }
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "hbs") {
                overlay(network, &mut templates, directory, &path, faults);
            }
        }
    }
    templates
}

fn overlay(network: &Network, templates: &mut Templates, directory: &Path, path: &Path, faults: &mut Vec<Fault>) {
    let name = path.strip_prefix(directory).unwrap_or(path).to_string_lossy().into_owned();
    let result = match read_regular(path) {
        Ok(text) => templates.overlay(&name, text).map_err(|error| error.to_string()),
        Err(error) => Err(format!("cannot read the template {}: {error}", path.display())),
    };
    if let Err(message) = result {
        let hint = "remove the file to use the built-in template of that name".to_owned();
        faults.push(fault(network, Origin::default(), message, Some(hint)));
    }
}

fn secrets(network: &Network, faults: &mut Vec<Fault>) -> Secrets {
    let mut secrets = BTreeMap::new();
    let neighbors = network.domains.iter().flat_map(|domain| &domain.neighbors);
    for (file, origin) in neighbors.filter_map(|neighbor| Some((neighbor.password.as_ref()?, neighbor.origin))) {
        let PasswordFile(path) = file;
        match read_regular(path) {
            Ok(text) => {
                secrets.insert(file.clone(), Secret::new(text.lines().next().unwrap_or_default()));
            }
            Err(error) => {
                let message = format!("cannot read the password file {}: {error}", path.display());
                let hint = "make the file readable to the user who runs rdsup, with the password on its first line";
                faults.push(fault(network, origin, message, Some(hint.to_owned())));
            }
        }
    }
    Secrets::new(secrets)
}

/// Has everything read by the parsers of those who will have to: each daemon's own for its configuration, `nft -c` for the
/// packet filters. Answers with what could not be checked for want of privilege, in words.
pub async fn validate(prepared: &Prepared) -> Result<Vec<String>, PrepareError> {
    let (filters, daemons) = tokio::join!(check_filters(prepared, |_| true), check_daemons(prepared));
    let (mut faults, unchecked) = filters;
    faults.extend(daemons);
    verdict(faults).map(|()| unchecked)
}

/// The same for a machine that will carry it out: the filters of domains that are not there yet are rehearsed on it.
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
            fault(&prepared.network, origin, format!("domain {name}: {error}"), error.hint())
        })
    };
    let there = check_filters(prepared, |name| !is_new(name));
    let (rehearsed, (mut faults, _), daemons) = tokio::join!(rehearsal, there, check_daemons(prepared));
    faults.extend(rehearsed);
    faults.extend(daemons);
    verdict(faults).inspect_err(|_| machine.forget_rehearsal())
}

fn verdict(mut faults: Vec<Fault>) -> Result<(), PrepareError> {
    faults.sort_by(|a, b| (a.origin, &a.message).cmp(&(b.origin, &b.message)));
    faults.dedup();
    if faults.is_empty() { Ok(()) } else { Err(PrepareError::Faults(faults)) }
}

async fn check_daemons(prepared: &Prepared) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut checks = JoinSet::new();
    let gate = Arc::new(Semaphore::new(CHECKS_AT_ONCE));
    for (name, rendered) in &prepared.rendered.domains {
        let Some(domain) = prepared.network.domain(name) else { continue };
        let (Some(text), Some(daemon)) = (rendered.daemon.clone(), of_kind(domain.daemon)) else { continue };
        let name = name.clone();
        let gate = gate.clone();
        checks.spawn(async move {
            let _permit = gate.acquire().await;
            (name, daemon.check(&text).await)
        });
    }
    while let Some(checked) = checks.join_next().await {
        if let Ok((name, Err(error))) = checked {
            faults.push(daemon_fault(prepared, &name, &error));
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
            Err(error) => faults.push(fault(&prepared.network, Origin::default(), &error, error.hint())),
        }
    }
    (faults, unchecked)
}

/// An error inside the raw lines of `extra` points at the line of the file where it was typed.
fn daemon_fault(prepared: &Prepared, name: &DomainName, error: &DaemonError) -> Fault {
    let network = &prepared.network;
    let origin = network.domain(name).map(|domain| domain.origin).unwrap_or_default();
    let DaemonError::Config(rejected) = error else {
        return fault(network, origin, format!("domain {name}: {error}"), None);
    };
    let extra = prepared.rendered.domains.get(name).and_then(|rendered| rendered.extra.as_ref());
    if let Some(origin) = extra.and_then(|extra| extra.locate(rejected.line)) {
        let message = format!("domain {name}: BIRD refuses this line of `extra`: {}", rejected.message);
        return fault(network, origin, message, Some("see the BIRD user's guide for the syntax".to_owned()));
    }
    let message = format!("domain {name}: BIRD refuses the generated bird.conf: {rejected}");
    let hint = format!("see the file with: rdsup render {name}");
    fault(network, origin, message, Some(hint))
}
