//! `rdsup plan`: what would be done, as the lines that an admin would type.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::output;
use super::{Exit, Failure, Global};
use crate::plan::{Plan, Stage};
use crate::supervisor;

/// Show what start or apply would do, without doing it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup plan                 what is still to do for the configuration file; nothing once it runs
  rdsup plan new.toml        what applying another file would do
  rdsup plan --json          the same for programs")]
pub struct Args {
    /// Another file than --config
    pub file: Option<PathBuf>,
}

/// One step, for programs.
#[derive(Debug, Serialize)]
struct StepReport<'a> {
    domain: &'a str,
    stage: String,
    command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let file = args.file.as_ref().unwrap_or(&global.config);
    let outlook = super::runtime()?.block_on(supervisor::outlook(file))?;
    let plan = &outlook.plan;
    for missing in &plan.missing {
        super::note(
            global,
            &format!("interface {} of domain {} is not in the host yet", missing.interface, missing.domain),
        );
    }
    for words in &outlook.limits {
        super::note(global, words);
    }
    if global.json {
        print_json(plan)?;
    } else if plan.is_empty() {
        output::print(&format!("nothing to do: the machine is as {} wants it\n", file.display()))?;
    } else {
        output::print(&text(plan))?;
    }
    Ok(Exit::Done)
}

fn print_json(plan: &Plan) -> Result<(), Failure> {
    let steps: Vec<StepReport> = plan
        .steps
        .iter()
        .map(|(stage, step)| StepReport {
            domain: step.domain.as_str(),
            stage: stage.as_str().to_owned(),
            command: step.to_string(),
            cause: step.cause.as_deref(),
            line: Some(step.origin.line).filter(|line| *line > 0),
        })
        .collect();
    output::print_json(&steps)
}

/// The steps under a heading for each stage, in the order in which they are done, those of a domain together.
fn text(plan: &Plan) -> String {
    let mut text = String::new();
    let stages: BTreeMap<Stage, _> = plan.stages();
    for (stage, domains) in stages {
        let _ = writeln!(text, "# {}", stage.as_str());
        for step in domains.into_values().flatten() {
            let cause = step.cause.as_ref().map(|cause| format!("    # {cause}")).unwrap_or_default();
            let _ = writeln!(text, "{step}{cause}");
        }
        text.push('\n');
    }
    let steps = plan.steps.len();
    let _ = writeln!(text, "# {}", output::count(steps, "step"));
    text
}
