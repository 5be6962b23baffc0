//! `rdsup ctl`: ask a domain's routing daemon.

mod answers;
mod interactive;

use std::collections::BTreeMap;

use serde_json::json;

use self::answers::{for_people, for_programs, refusal};
use super::output::{self, HEADING, Health, styled};
use super::place::layout_of;
use super::{Exit, Failure, Global};
use crate::control::{self, Asked, Client, ClientError, CtlAnswer, CtlTarget, Reply, Request};
use crate::daemons::{Access, Answer, LineAnswer, Peers, Query};
use crate::model::DomainName;
use crate::plan::Layout;

const COMMON_COMMANDS: &str = "\
Understood by every daemon, for both address families, with --json too:
  show bgp [PREFIX]         what was learned by BGP, and what is ours to announce
  show bgp summary          every session
  show bgp neighbor NAME    one session: by link, peer domain, neighbor or address
  show route [PREFIX]       the whole table
PREFIX is a prefix, or an address for the route that it takes.

Every other command is the daemon's own, such as `show protocols all` of BIRD or `show running-config` of
FRR. FRR is several programs: bgpd is asked first, and zebra what bgpd does not know; `zebra show version`
names one.

Without COMMAND, at a terminal, a domain with FRR gets vtysh, if this user may reach its sockets; otherwise
commands are read line by line until `quit`.

Several lines, by standard input or as COMMAND, go to the daemon as they are, together on one connection,
until one fails: its number is told, what stood before it stays, and nothing after it is sent. `!` and `#`
begin comments. FRR takes a configuration in this way:
  rdsup ctl edge <<END
  configure terminal
  router bgp 65010
   neighbor 10.0.0.9 shutdown
  end
  END
  rdsup ctl edge <change.txt
What is changed so is in no file: it is gone when the daemon starts again.";

/// Ask a domain's routing daemon
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = COMMON_COMMANDS)]
pub struct Args {
    /// The domain, or '*' for all of them
    #[arg(value_name = "DOMAIN|'*'")]
    pub domain: String,

    /// Send the command to the daemon as it is, whatever it is
    #[arg(long)]
    pub raw: bool,

    /// The command, for which quotes are not needed; or several, a line each, in quotes
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let domains = match args.domain.as_str() {
        "*" => Asked::All,
        name => Asked::Some(vec![DomainName::new(name).map_err(|error| Failure::new(error).exit(Exit::Usage))?]),
    };
    let layout = layout_of(global);
    let runtime = output::runtime()?;
    let one = |command: &str| -> Result<Exit, Failure> {
        // To BIRD's socket `help` is a command without an answer, which would be waited for in vain.
        if !args.raw && matches!(command.trim(), "help" | "?") {
            output::print(&format!("{COMMON_COMMANDS}\n"))?;
            return Ok(Exit::Done);
        }
        // Known to be wrong before anyone is asked.
        Query::parse(command, args.raw).map_err(|error| Failure::new(error).exit(Exit::Usage))?;
        let answers = runtime.block_on(ask(&layout, &domains, command, args.raw))?;
        show(global, &domains, answers).map_err(|failure| explained(failure, command, args.raw))
    };
    if !args.command.is_empty() {
        return one(&args.command.join(" "));
    }
    let domain = match &domains {
        Asked::Some(names) => names.first(),
        Asked::All => None,
    };
    interactive::run(&layout, &args.domain, domain, &one)
}

async fn ask(
    layout: &Layout,
    domains: &Asked,
    command: &str,
    raw: bool,
) -> Result<BTreeMap<DomainName, CtlAnswer>, Failure> {
    let request = Request::Ctl { domains: domains.clone(), command: command.to_owned(), raw };
    match Client::connect(&layout.control_socket()).await {
        Ok(mut client) => match client.call(&request).await? {
            Reply::Ctl(answers) => Ok(answers),
            other => Err(Failure::new(format!("the supervisor answered something else: {other:?}"))),
        },
        // Daemons run on while the supervisor is gone, and root can reach their own sockets.
        Err(ClientError::NotRunning(_)) if nix::unistd::geteuid().is_root() => {
            let targets = targets(layout);
            let there = match domains {
                Asked::All => !targets.is_empty(),
                Asked::Some(names) => names.iter().all(|name| targets.contains_key(name)),
            };
            if !there {
                return Err(ClientError::NotRunning(layout.control_socket()).into());
            }
            Ok(control::ctl(&targets, domains, command, raw, |_| Ok(Access::Full)).await.map_err(Failure::from)?)
        }
        Err(error) => Err(error.into()),
    }
}

/// The daemons whose control sockets are there.
fn targets(layout: &Layout) -> BTreeMap<DomainName, CtlTarget> {
    let domains = std::fs::read_dir(&layout.run_dir).into_iter().flatten().flatten();
    let target = |entry: std::fs::DirEntry| {
        let name = DomainName::new(entry.file_name().to_str()?).ok()?;
        let kind = interactive::there(layout, &name)?;
        let socket = layout.socket(&name, kind);
        Some((name, CtlTarget { kind, socket, peers: Peers::new() }))
    };
    domains.filter_map(target).collect()
}

/// What several commands said, in order; the one that failed is an error of its own.
fn script(mut lines: Vec<LineAnswer>) -> Result<(), Failure> {
    let failed = lines.pop_if(|line| line.error);
    output::print(&for_people(&Answer::Script(lines)))?;
    let Some(failed) = failed else { return Ok(()) };
    let hint = "what stands before this line was done and stays; nothing after it was sent";
    Err(Failure::new(output::harmless(&refusal(&failed))).hint(hint))
}

/// A daemon's parser says what it stumbled over, and not what it would have understood.
fn explained(failure: Failure, command: &str, raw: bool) -> Failure {
    let said = &failure.message;
    if failure.hint.is_some() || !(said.starts_with("syntax error") || said.contains("Unknown command")) {
        return failure;
    }
    let mut words = command.split_whitespace();
    if !raw && words.next() == Some("show") && words.next() == Some("bgp") {
        return failure.hint("write: show bgp [PREFIX], show bgp summary, or show bgp neighbor NAME");
    }
    failure.hint("this is what the daemon itself says; what every daemon understands: rdsup ctl --help")
}

fn show(global: &Global, domains: &Asked, answers: BTreeMap<DomainName, CtlAnswer>) -> Result<Exit, Failure> {
    let failed = |answer: &CtlAnswer| !matches!(answer, CtlAnswer::Answer(answer) if !answer.is_error());
    let exit = if answers.values().any(failed) { Exit::Failed } else { Exit::Done };
    match domains {
        Asked::Some(_) => {
            for answer in answers.into_values() {
                match answer {
                    CtlAnswer::Problem(problem) => return Err(Failure::new(problem)),
                    CtlAnswer::Answer(answer) if global.json => output::print_json(&for_programs(&answer))?,
                    CtlAnswer::Answer(Answer::Text { text, error: true }) => {
                        return Err(Failure::new(output::harmless(&text)));
                    }
                    CtlAnswer::Answer(Answer::Script(lines)) => script(lines)?,
                    CtlAnswer::Answer(answer) => drop(output::print(&for_people(&answer))?),
                }
            }
        }
        Asked::All if global.json => {
            let keyed: BTreeMap<_, _> = answers
                .iter()
                .map(|(name, answer)| match answer {
                    CtlAnswer::Answer(answer) => (name, for_programs(answer)),
                    CtlAnswer::Problem(problem) => (name, json!({ "problem": problem })),
                })
                .collect();
            output::print_json(&keyed)?;
        }
        Asked::All => {
            for (name, answer) in &answers {
                let text = match answer {
                    CtlAnswer::Answer(answer) => for_people(answer),
                    CtlAnswer::Problem(problem) => styled(Health::Bad.style(), &output::harmless(problem)) + "\n",
                };
                output::print(&format!("{}\n{text}\n", styled(HEADING, name.as_str())))?;
            }
        }
    }
    Ok(exit)
}
