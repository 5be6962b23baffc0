//! `rdsup completions` and `rdsup man`: generated from the command line's own definition.

use std::path::PathBuf;

use clap::CommandFactory;

use super::output::print;
use super::{Cli, Exit, Failure};

/// Print a completion script for a shell.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup completions bash > /etc/bash_completion.d/rdsup
  rdsup completions zsh > /usr/local/share/zsh/site-functions/_rdsup")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Print the manual page, or write one for each command.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup man | man -l -
  rdsup man --out /usr/local/share/man/man8")]
pub struct ManArgs {
    /// Write rdsup.8, rdsup-start.8 … here
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Prints the completions.
pub fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "rdsup", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Prints or writes the manual.
pub fn man(args: &ManArgs) -> Result<Exit, Failure> {
    let command = Cli::command();
    let Some(directory) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).section("8").render(&mut page).map_err(Failure::new)?;
        print(&String::from_utf8_lossy(&page))?;
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(directory)
        .map_err(|error| Failure::new(format!("cannot make {}: {error}", directory.display())))?;
    let mut command = command;
    // Fills in the subcommands' full names, such as rdsup-start.
    command.build();
    for page in std::iter::once(&command).chain(command.get_subcommands()) {
        clap_mangen::Man::new(page.clone())
            .section("8")
            .generate_to(directory)
            .map_err(|error| Failure::new(format!("cannot write to {}: {error}", directory.display())))?;
    }
    Ok(Exit::Done)
}
