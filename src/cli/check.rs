//! `rdsup check`: everything that can be known without touching the machine.

use std::path::{Path, PathBuf};

use super::output::{self, PARSERS_READ, count};
use super::{Exit, Failure, Global, failure};
use crate::config::Problem;
use crate::supervisor::{Disclosure, PrepareError, prepare, validate};

/// Check the configuration file, its templates and what is generated from it, with the daemons' own parsers.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup check                    exit 0 if the file can be applied, 2 if not
  rdsup check new.toml           another file
  rdsup check --no-daemons       only the file itself, where daemons and nft are not installed
  rdsup check --json             the same for programs: `errors` and `warnings`, each with file, line, message and hint")]
pub struct Args {
    /// Another file than --config
    pub file: Option<PathBuf>,

    /// Leave out `bird -p`, FRR's `bgpd -C` and `vtysh -C`, and `nft -c`
    #[arg(long)]
    pub no_daemons: bool,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let file = args.file.as_ref().unwrap_or(&global.config);
    let prepared = match prepare(file, Disclosure::Real) {
        Ok(prepared) => prepared,
        Err(error) => return refused(global, file, &[], error),
    };
    if !args.no_daemons {
        let validated = output::patiently(global, PARSERS_READ, validate(&prepared));
        match output::runtime()?.block_on(validated) {
            Ok(notes) => notes.iter().for_each(|words| super::note(global, words)),
            Err(error) => return refused(global, file, &prepared.warnings, error),
        }
    }
    let (domains, links) = (prepared.network.domains.len(), prepared.network.links.len());
    if global.json {
        output::print_json(&serde_json::json!({
            "file": file,
            "domains": domains,
            "links": links,
            "errors": [],
            "warnings": placed(&prepared.warnings, file),
        }))?;
    } else {
        super::warnings(global, &prepared);
        if !global.quiet {
            let (domains, links) = (count(domains, "domain"), count(links, "link"));
            output::say(format_args!("{}: {domains}, {links}, no errors", file.display()));
        }
    }
    Ok(Exit::Done)
}

/// For a program what is wrong is the result, and no failure to have one.
fn refused(global: &Global, file: &Path, warnings: &[Problem], error: PrepareError) -> Result<Exit, Failure> {
    if !global.json {
        return Err(error.into());
    }
    let (errors, warnings) = (failure::findings(&error), placed(warnings, file));
    output::print_json(&serde_json::json!({ "file": file, "errors": errors, "warnings": warnings }))?;
    Ok(Exit::Usage)
}

fn placed(problems: &[Problem], file: &Path) -> Vec<serde_json::Value> {
    problems.iter().map(|problem| failure::placed(problem, file)).collect()
}
