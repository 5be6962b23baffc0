//! `rdsup diff`: what differs between what was applied, what is in force and the file.

use std::path::Path;

use super::history::{generation, list};
use super::output;
use super::place::layout_of;
use super::{Exit, Failure, Global};
use crate::history::{Snapshot, difference};
use crate::plan::Layout;
use crate::supervisor::{Disclosure, Sources, prepare};

/// Show what has changed in the configuration, and in the prefix lists and templates that it names
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup diff                     from what is in force to the file: what apply would bring
  rdsup diff 6                   from generation 6 to what is in force
  rdsup diff 6 8                 from one to the other

What that means for the machine is shown by: rdsup plan")]
pub struct Args {
    /// From this generation
    #[arg(value_name = "N", value_parser = super::number::generation)]
    pub from: Option<u64>,

    /// To this one
    #[arg(value_name = "M", value_parser = super::number::generation)]
    pub to: Option<u64>,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let layout = layout_of(global);
    let (old, new) = match (args.from, args.to) {
        (None, _) => {
            let in_force = of_generation(&layout, in_force(&layout)?)?;
            let file = of_file(&global.config, &in_force.1)?;
            (in_force, file)
        }
        (Some(from), None) => (of_generation(&layout, from)?, of_generation(&layout, in_force(&layout)?)?),
        (Some(from), Some(to)) => (of_generation(&layout, from)?, of_generation(&layout, to)?),
    };
    let text = difference((&old.0, &old.1), (&new.0, &new.1));
    if global.json {
        output::print_json(&serde_json::json!({ "from": old.0, "to": new.0, "diff": text }))?;
    } else if text.is_empty() {
        if !global.quiet {
            output::print(&format!("no difference between {} and {}\n", old.0, new.0))?;
        }
    } else {
        output::print(&text)?;
    }
    Ok(Exit::Done)
}

type Named = (String, Snapshot);

fn of_generation(layout: &Layout, number: u64) -> Result<Named, Failure> {
    Ok((format!("generation {number}"), generation(layout, number)?.snapshot))
}

/// The file with what it names; of one that is not sound, its own text is what can be compared.
fn of_file(file: &Path, other: &Snapshot) -> Result<Named, Failure> {
    let snapshot = if let Ok(prepared) = prepare(file, Disclosure::Redacted) {
        prepared.snapshot
    } else {
        let text = Sources::files().configuration(file);
        let text = text.map_err(|error| Failure::new(format!("cannot read {}: {error}", file.display())))?;
        Snapshot { text, files: other.files.clone() }
    };
    Ok((file.display().to_string(), snapshot))
}

fn in_force(layout: &Layout) -> Result<u64, Failure> {
    let in_force = list(layout)?.into_iter().find(|generation| generation.in_force);
    in_force.map(|generation| generation.number).ok_or_else(|| Failure::new("nothing is in force").hint("rdsup start"))
}
