//! `rdsup history`: what was applied.

use super::output::{self, Health, Table};
use super::place::layout_of;
use super::{Exit, Failure, Global};
use crate::control::{Client, ClientError, GenerationReport, Reply, Request};
use crate::history::Generation;
use crate::plan::Layout;
use crate::supervisor;
use crate::sys::generations::Store;

/// Show what was applied, and which generation is in force
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup history                  every generation that is kept: the last 50, or 64 MiB of them
  rdsup history 6 >old.toml      the file as it was then
  rdsup diff 6                   what has changed since")]
pub struct Args {
    /// Print the configuration of this generation
    #[arg(value_name = "N", value_parser = super::number::generation)]
    pub number: Option<u64>,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let layout = layout_of(global);
    if let Some(number) = args.number {
        let generation = generation(&layout, number)?;
        if global.json {
            output::print_json(&generation)?;
        } else {
            output::print(&generation.snapshot.text)?;
        }
        return Ok(Exit::Done);
    }
    let generations = list(&layout)?;
    if global.json {
        output::print_json(&generations)?;
    } else {
        output::print(&text(&generations))?;
    }
    Ok(Exit::Done)
}

fn text(generations: &[GenerationReport]) -> String {
    let mut table = Table::new(&[">GENERATION", "APPLIED", "HOW", "FILE", "STATE"]);
    for generation in generations {
        let (health, state) = match (generation.confirm_within, generation.in_force, &generation.remark) {
            (Some(seconds), ..) => {
                (Health::Doubtful, format!("in force, {} left to confirm it", output::duration(seconds)))
            }
            (None, true, _) => (Health::Good, "in force".to_owned()),
            (None, false, Some(remark)) => (Health::Bad, remark.clone()),
            (None, false, None) => (Health::Good, String::new()),
        };
        let at =
            generation.at.map(|at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string());
        let file = generation.file.display().to_string();
        table.row(health, [generation.number.to_string(), at.unwrap_or_default(), generation.by.clone(), file, state]);
    }
    if table.is_empty() { "nothing was applied yet\n".to_owned() } else { table.text() }
}

/// What is kept, from the supervisor, or from the state directory where none runs.
pub(super) fn list(layout: &Layout) -> Result<Vec<GenerationReport>, Failure> {
    match ask(layout, &Request::History {}) {
        Ok(Reply::History(generations)) => Ok(generations),
        Ok(_) => Err(Failure::new("the supervisor answers something else")),
        Err(ClientError::NotRunning(_)) => Ok(supervisor::history(layout)?),
        Err(error) => Err(error.into()),
    }
}

/// One generation, from wherever it can be had.
pub(super) fn generation(layout: &Layout, number: u64) -> Result<Generation, Failure> {
    let found = match ask(layout, &Request::Generation { number }) {
        Ok(Reply::Generation(generation)) => Some(*generation),
        Ok(_) => None,
        Err(ClientError::NotRunning(_)) => Store::new(layout).read(number)?,
        Err(error) => return Err(error.into()),
    };
    found.ok_or_else(|| {
        let failure = Failure::new(format!("generation {number} is not kept")).exit(Exit::Usage);
        failure.hint("rdsup history shows what is kept")
    })
}

fn ask(layout: &Layout, request: &Request) -> Result<Reply, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let unreachable = |source| ClientError::Unreachable { socket: layout.control_socket(), source };
    runtime
        .map_err(unreachable)?
        .block_on(async { Client::connect(&layout.control_socket()).await?.call(request).await })
}
