//! `rdsup render`: the generated files.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::output;
use super::{Exit, Failure, Global};
use crate::model::DomainName;
use crate::plan::Layout;
use crate::render;
use crate::supervisor::{Disclosure, Prepared, prepare};
use crate::sys::files;

/// Print the generated files, or write them to a directory.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup render private               what private's daemon and packet filter get, secrets redacted
  rdsup render --context private     the values that templates see, as JSON
  rdsup render --out /tmp/r          every file, secrets included, readable to the owner only

Needs no privileges and no daemons.")]
pub struct Args {
    /// Only this domain
    pub domain: Option<DomainName>,

    /// Write the files here, with secrets, mode 0600
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Print what templates see instead of what they make of it
    #[arg(long, conflicts_with = "out")]
    pub context: bool,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let disclosure = if args.out.is_some() { Disclosure::Real } else { Disclosure::Redacted };
    let prepared = prepare(&global.config, disclosure)?;
    super::warnings(global, &prepared);
    if let Some(domain) = &args.domain {
        super::known_domain(&prepared.network, domain)?;
    }
    let files = files_of(&prepared, args.domain.as_ref());
    if args.context {
        let domains = prepared.network.domains.iter();
        let contexts: serde_json::Map<String, serde_json::Value> = domains
            .filter(|it| args.domain.as_ref().is_none_or(|only| *only == it.name))
            .filter_map(|it| Some((it.name.to_string(), render::context_of(&prepared.network, it).ok()?)))
            .collect();
        output::print_json(&contexts)?;
    } else if let Some(directory) = &args.out {
        write(directory, &files)?;
        if !global.quiet {
            output::say(format_args!("{} files written to {}", files.len(), directory.display()));
        }
    } else if global.json {
        let map: serde_json::Map<String, serde_json::Value> =
            files.into_iter().map(|(name, text)| (name.display().to_string(), text.into())).collect();
        output::print_json(&map)?;
    } else {
        for (name, text) in files {
            output::print(&format!("# ==> {} <==\n{}\n\n", name.display(), text.trim_end()))?;
        }
    }
    Ok(Exit::Done)
}

/// Every generated file as `DOMAIN/bird.conf`, `DOMAIN/rdsup.nft`, with its text.
fn files_of(prepared: &Prepared, only: Option<&DomainName>) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for (name, rendered) in &prepared.rendered.domains {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let directory = PathBuf::from(name.as_str());
        for (program, text) in &rendered.daemon {
            files.push((Layout::config_in(&directory, *program), text.clone()));
        }
        files.push((directory.join("rdsup.nft"), rendered.filter.clone()));
    }
    files
}

fn write(directory: &Path, files: &[(PathBuf, String)]) -> Result<(), Failure> {
    for (name, text) in files {
        let path = directory.join(name);
        let failed = |error: io::Error| Failure::new(format!("cannot write {}: {error}", path.display()));
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
        }
        files::write(&path, text.as_bytes(), 0o600, None).map_err(failed)?;
    }
    Ok(())
}
