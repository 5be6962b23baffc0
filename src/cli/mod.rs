//! The command line: one file for each verb.
//!
//! A verb is a `clap::Args` struct and a `run` function that returns how the command ended. Errors become
//! `error: …` and `hint: …` on stderr and an exit code in `failure.rs` and nowhere else.

mod apply;
mod check;
mod confirm;
mod ctl;
mod diff;
mod doctor;
mod events;
mod exec;
mod failure;
mod generate;
mod help;
mod history;
mod lab;
mod log;
mod number;
mod output;
mod place;
mod plan;
mod policy;
mod ps;
mod render;
mod rollback;
mod schema;
mod start;
mod status;
mod stop;
mod time;

pub use failure::{Exit, Failure};

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::nearest;
use crate::model::{DomainName, Network};
use crate::supervisor::Prepared;
use output::tell;

/// Several routers in one machine that cannot leak into each other, from one file. Each runs a BIRD or an FRR.
#[derive(Debug, Parser)]
#[command(name = "rdsup", version, propagate_version = true, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = "\
Examples:
  rdsup lab conf/demo.toml              try a file in throwaway namespaces, without root
  rdsup check && rdsup plan             what is wrong with the file; what start would do
  rdsup policy private internet tcp/443 whether that is allowed, and the line that decides
  rdsup start --detach --wait           bring it up and return when every BGP session is Established
  rdsup ctl private show bgp            ask a domain's routing daemon
  rdsup exec private -- ping 10.0.0.1   run something inside a domain
  rdsup stop                            take everything down again

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 not ready or degraded.")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Options that every command takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Configuration file
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/rdsup/rdsup.toml",
        env = "RDSUP_CONFIG"
    )]
    pub config: PathBuf,

    /// Whether that was named, and is not the default
    #[arg(skip)]
    pub config_named: bool,

    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub json: bool,

    /// Print less
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print more; twice for every request to the kernel
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Start(start::Args),
    Stop(stop::Args),
    Apply(apply::Args),
    Confirm(confirm::Args),
    Rollback(rollback::Args),
    History(history::Args),
    Diff(diff::Args),
    Plan(plan::Args),
    Policy(policy::Args),
    Check(check::Args),
    Render(render::Args),
    Status(status::Args),
    Events(events::Args),
    Ctl(ctl::Args),
    Exec(exec::Args),
    Ps(ps::Args),
    Log(log::Args),
    Lab(lab::Args),
    Doctor(doctor::Args),
    Schema(schema::Args),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
    Help(help::Args),
}

/// Reads the arguments, runs the verb, and tells how it ended.
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.global.config_named = named(&matches);
    let global = &cli.global;
    let result = match &cli.verb {
        Verb::Start(args) => start::run(global, args),
        Verb::Stop(args) => stop::run(global, args),
        Verb::Apply(args) => apply::run(global, args),
        Verb::Confirm(args) => confirm::run(global, args),
        Verb::Rollback(args) => rollback::run(global, args),
        Verb::History(args) => history::run(global, args),
        Verb::Diff(args) => diff::run(global, args),
        Verb::Plan(args) => plan::run(global, args),
        Verb::Policy(args) => policy::run(global, args),
        Verb::Check(args) => check::run(global, args),
        Verb::Render(args) => render::run(global, args),
        Verb::Status(args) => status::run(global, args),
        Verb::Events(args) => events::run(global, args),
        Verb::Ctl(args) => ctl::run(global, args),
        Verb::Exec(args) => exec::run(global, args),
        Verb::Ps(args) => ps::run(global, args),
        Verb::Log(args) => log::run(global, args),
        Verb::Lab(args) => lab::run(global, args),
        Verb::Doctor(args) => doctor::run(global, args),
        Verb::Schema(args) => schema::run(args),
        Verb::Completions(args) => generate::completions(args),
        Verb::Man(args) => generate::man(args),
        Verb::Help(args) => help::run(args),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.show(global.json);
            failure.exit.into()
        }
    }
}

/// Whether the configuration file was named; clap notes that where the option stands, before the verb or after it.
fn named(matches: &ArgMatches) -> bool {
    let given = |matches: &ArgMatches| matches.value_source("config").is_some_and(|it| it != ValueSource::DefaultValue);
    given(matches) || matches.subcommand().is_some_and(|(_, verb)| given(verb))
}

/// A runtime for verbs that need one. Verbs that change their own namespaces must not have it.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Most blocking work is a short wait for the kernel; more threads than this would only cost memory.
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))
}

/// Says something beside the result, on standard error.
fn note(global: &Global, words: &str) {
    if !global.quiet {
        tell(format_args!("note: {words}"));
    }
}

fn warnings(global: &Global, prepared: &Prepared) {
    if !global.quiet {
        prepared.warning_lines().for_each(tell);
    }
}

fn known_domain(network: &Network, name: &DomainName) -> Result<(), Failure> {
    if network.domain(name).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = network.domains.iter().map(|domain| domain.name.as_str()).collect();
    let words = format!("there is no domain {name} in {}", network.settings.source.display());
    let hint = match nearest(name.as_str(), &names) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the file has: {}", names.join(", ")),
    };
    Err(Failure::new(words).exit(Exit::Usage).hint(hint))
}

/// Whether standard error is a terminal that may be coloured.
fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
