//! `rdsup check`: everything that can be known without touching the machine.

use std::path::PathBuf;

use super::output::count;
use super::{Exit, Failure, Global};
use crate::supervisor::{Disclosure, prepare, validate};

/// Check the configuration file, its templates and what is generated from it, with the daemons' own parsers.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup check                    exit 0 if the file can be applied, 2 if not
  rdsup check new.toml           another file
  rdsup check --no-daemons       only the file itself, where bird and nft are not installed")]
pub struct Args {
    /// Another file than --config
    pub file: Option<PathBuf>,

    /// Leave out `bird -p` and `nft -c`
    #[arg(long)]
    pub no_daemons: bool,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let file = args.file.as_ref().unwrap_or(&global.config);
    let prepared = prepare(file, Disclosure::Real)?;
    if !args.no_daemons {
        for words in super::runtime()?.block_on(validate(&prepared))? {
            super::note(global, &words);
        }
    }
    let (domains, links) = (prepared.network.domains.len(), prepared.network.links.len());
    if global.json {
        super::output::print_json(&serde_json::json!({
            "file": file,
            "domains": domains,
            "links": links,
            "warnings": prepared.warnings,
        }))?;
    } else {
        super::warnings(global, &prepared);
        if !global.quiet {
            let (domains, links) = (count(domains, "domain"), count(links, "link"));
            super::output::say(format_args!("{}: {domains}, {links}, no errors", file.display()));
        }
    }
    Ok(Exit::Done)
}
