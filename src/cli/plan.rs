//! `rdsup plan`: what would be done, as the lines that an admin would type.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::output;
use super::{Exit, Failure, Global};
use crate::control::ResetReport;
use crate::plan::{Plan, Stage};
use crate::supervisor::{self, Outlook};

/// Show what start or apply would do, without doing it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup plan                 what is still to do for the configuration file; nothing once it runs
  rdsup plan new.toml        what applying another file would do
  rdsup plan --json          the same for programs

On a running network the last lines say which sessions would be reset, and why.")]
pub struct Args {
    /// Another file than --config
    pub file: Option<PathBuf>,
}

/// How many domains are named in the summary.
const NAMED: usize = 10;

/// The plan, for programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    steps: Vec<StepReport<'a>>,
    resets: Vec<ResetReport>,
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
    let outlook = output::patiently(global, output::PARSERS_READ, supervisor::outlook(file));
    let outlook = super::runtime()?.block_on(outlook)?;
    let plan = &outlook.plan;
    if !global.quiet {
        outlook.warnings.iter().for_each(output::tell);
    }
    for missing in &plan.missing {
        super::note(
            global,
            &format!("interface {} of domain {} is not in the host yet", missing.interface, missing.domain),
        );
    }
    for words in plan.warnings() {
        super::note(global, &format!("{words}; rdsup apply --confirm 5m comes back by itself"));
    }
    for words in plan.not_given_back() {
        super::note(global, &words);
    }
    for words in &outlook.limits {
        super::note(global, words);
    }
    if global.json {
        print_json(&outlook)?;
    } else if plan.is_empty() {
        output::print(&format!("nothing to do: the machine is as {} wants it\n", file.display()))?;
    } else {
        output::print(&text(&outlook))?;
    }
    Ok(Exit::Done)
}

fn print_json(outlook: &Outlook) -> Result<(), Failure> {
    let steps: Vec<StepReport> = outlook
        .plan
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
    let resets = outlook.resets.iter().flatten().map(ResetReport::from).collect();
    output::print_json(&Report { steps, resets })
}

/// The steps under a heading for each stage, in the order in which they are done, those of a domain together; then which domains
/// that concerns, and what it does to sessions.
fn text(outlook: &Outlook) -> String {
    let plan = &outlook.plan;
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
    let _ = writeln!(text, "# {}", summary(plan));
    for line in outlook.reset_lines() {
        let _ = writeln!(text, "# {line}");
    }
    text
}

/// `4 steps in 2 domains: internet, private`
fn summary(plan: &Plan) -> String {
    let domains: BTreeSet<&str> = plan.steps().map(|step| step.domain.as_str()).collect();
    let named: Vec<&str> = domains.iter().copied().take(NAMED).collect();
    let more = match domains.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (steps, count) = (output::count(plan.steps.len(), "step"), output::count(domains.len(), "domain"));
    format!("{steps} in {count}: {}{more}", named.join(", "))
}
