//! From a file's path to something that can be applied: read, checked and rendered.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sources::{Overlay, Sources, read_regular};
use crate::config::{self, Problem, Problems};
use crate::daemons::frr;
use crate::history::Snapshot;
use crate::model::{DaemonKind, Network, Origin, PasswordFile};
use crate::plan::{Desired, Layout};
use crate::render::{self, RenderError, Rendered, Secret, Secrets, Templates};

/// A file that was read and rendered.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What was read, for messages.
    pub file: PathBuf,
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
    /// Every text that was read for it, secrets apart.
    pub snapshot: Snapshot,
}

impl Prepared {
    /// The warnings for people: each with its place, and after it what to try.
    pub fn warning_lines(&self) -> impl Iterator<Item = String> + '_ {
        self.warnings.iter().flat_map(|warning| {
            let file = warning.file.as_ref().unwrap_or(&self.file).display();
            let words = format!("warning: {file}:{}:{}: {}", warning.line, warning.column, warning.message);
            std::iter::once(words).chain(warning.hint.iter().map(|hint| format!("hint: {hint}")))
        })
    }
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

/// What is to be read, and under which names.
#[derive(Debug)]
pub struct Reading<'a> {
    /// What is read, for messages.
    pub file: &'a Path,
    /// The file that generated files name: the supervisor's own, so that they stay the same when the same is read from
    /// elsewhere.
    pub named: &'a Path,
    /// Where the texts come from.
    pub sources: Sources,
    /// How secrets get into the text.
    pub disclosure: Disclosure,
    /// Instead of the file's own; for networks that are thrown away.
    pub state_dir: Option<&'a Path>,
}

impl<'a> Reading<'a> {
    /// A file as it is now, for the command line.
    pub fn of(file: &'a Path) -> Self {
        Self { file, named: file, sources: Sources::files(), disclosure: Disclosure::Real, state_dir: None }
    }
}

/// Reads the file and renders everything. Touches nothing but files that it reads.
pub fn prepare(path: &Path, disclosure: Disclosure) -> Result<Prepared, PrepareError> {
    prepare_from(Reading { disclosure, ..Reading::of(path) })
}

/// The same from wherever the texts come.
pub fn prepare_from(reading: Reading<'_>) -> Result<Prepared, PrepareError> {
    let Reading { file, named, mut sources, disclosure, state_dir } = reading;
    let text =
        sources.configuration(file).map_err(|source| PrepareError::Unreadable { path: file.to_owned(), source })?;
    let loaded = config::read(file, &text, &mut |path: &Path| sources.named(path)).map_err(PrepareError::Invalid)?;
    let mut network = loaded.network;
    // Generated files name it, and must not change with the directory that a command is typed in.
    network.settings.source = std::path::absolute(named).unwrap_or_else(|_| named.to_owned());
    if let Some(state_dir) = state_dir {
        state_dir.clone_into(&mut network.settings.state_dir);
    }
    let mut faults = Vec::new();
    let templates = templates(&network, file, &mut sources, &mut faults);
    let templates = if network.domains.iter().any(|domain| domain.daemon == DaemonKind::Frr) {
        templates.for_frr(frr::dialect())
    } else {
        templates
    };
    let secrets = match disclosure {
        Disclosure::Real => secrets(&network, file, &mut faults),
        Disclosure::Redacted => Secrets::redacted(),
    };
    if !faults.is_empty() {
        return Err(PrepareError::Faults(faults));
    }
    let rendered = render_in_halves(&network, &templates, &secrets).map_err(|errors| {
        PrepareError::Faults(
            errors.iter().map(|error| fault(file, error.origin, error, error.hint().map(str::to_owned))).collect(),
        )
    })?;
    let layout = Layout::new(&network.settings.run_dir, &network.settings.state_dir);
    let desired = Desired::of(&network, &rendered, &layout);
    Ok(Prepared {
        file: file.to_owned(),
        network: Arc::new(network),
        warnings: loaded.warnings,
        rendered,
        desired,
        layout,
        snapshot: sources.taken(),
    })
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

/// A fault in what `file` asks for.
pub(super) fn fault(file: &Path, origin: Origin, message: impl fmt::Display, hint: Option<String>) -> Fault {
    Fault { source: file.to_owned(), origin, message: message.to_string(), hint }
}

/// The built-in templates under those of the user's directory.
fn templates(network: &Network, file: &Path, sources: &mut Sources, faults: &mut Vec<Fault>) -> Templates {
    let mut templates = Templates::built_in();
    let Some(directory) = &network.settings.templates else { return templates };
    let (overlays, unreadable) = sources.templates(directory);
    for (path, error) in unreadable {
        let message = format!("cannot read the template directory {}: {error}", path.display());
        faults.push(fault(file, Origin::default(), message, None));
    }
    for Overlay { name, text } in overlays {
        let result = text.and_then(|text| templates.overlay(&name, text).map_err(|error| error.to_string()));
        if let Err(message) = result {
            let hint = "remove the file to use the built-in template of that name".to_owned();
            faults.push(fault(file, Origin::default(), message, Some(hint)));
        }
    }
    templates
}

fn secrets(network: &Network, source: &Path, faults: &mut Vec<Fault>) -> Secrets {
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
                faults.push(fault(source, origin, message, Some(hint.to_owned())));
            }
        }
    }
    Secrets::new(secrets)
}
