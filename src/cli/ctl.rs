//! `rdsup ctl`: ask a domain's routing daemon.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal};

use serde_json::{Value, json};

use super::output::{self, HEADING, Health, Table, styled, tell};
use super::place::layout_of;
use super::{Exit, Failure, Global};
use crate::control::{self, Asked, Client, ClientError, CtlAnswer, CtlTarget, Reply, Request};
use crate::daemons::{self, Access, Answer, Peers, Query, Route, Session};
use crate::model::{DaemonKind, DomainName};
use crate::plan::Layout;

const COMMON_COMMANDS: &str = "\
Understood by every daemon, for both address families, with --json too:
  show bgp [PREFIX]         what was learned by BGP, and what is ours to announce
  show bgp summary          every session
  show bgp neighbor NAME    one session: by link, peer domain, neighbor or address
  show route [PREFIX]       the whole table
PREFIX is a prefix, or an address for the route that it takes.

Every other command is the daemon's own, such as `show protocols all` of BIRD.
Without COMMAND, commands are read line by line until `quit`.";

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

    /// The command; quotes are not needed
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
    if args.command.is_empty() { shell(&args.domain, one) } else { one(&args.command.join(" ")) }
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
        let sockets = DaemonKind::ALL.map(|kind| (kind, layout.socket(&name, kind)));
        let (kind, socket) = sockets.into_iter().find(|(_, socket)| socket.exists())?;
        Some((name, CtlTarget { kind, socket, peers: Peers::new() }))
    };
    domains.filter_map(target).collect()
}

/// Reads commands until the input ends. A command that fails does not end it.
fn shell(name: &str, one: impl Fn(&str) -> Result<Exit, Failure>) -> Result<Exit, Failure> {
    let terminal = std::io::stdin().is_terminal();
    let mut exit = Exit::Done;
    let mut lines = std::io::stdin().lock().lines();
    loop {
        if terminal {
            output::print(&format!("{name}> "))?;
        }
        let Some(line) = lines.next() else { break };
        let line = line.map_err(|error| Failure::new(format!("cannot read: {error}")))?;
        match line.trim() {
            "" => {}
            "quit" | "exit" => return Ok(exit),
            command => match one(command) {
                Ok(code) => exit = code,
                Err(failure) => {
                    exit = failure.exit;
                    let hint = failure.hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
                    tell(format_args!("error: {}{hint}", failure.message));
                }
            },
        }
    }
    if terminal {
        output::print("\n")?;
    }
    Ok(exit)
}

/// A daemon's parser says what it stumbled over, and not what it would have understood.
fn explained(failure: Failure, command: &str, raw: bool) -> Failure {
    if failure.hint.is_some() || !failure.message.starts_with("syntax error") {
        return failure;
    }
    let mut words = command.split_whitespace();
    if !raw && words.next() == Some("show") && words.next() == Some("bgp") {
        return failure.hint("write: show bgp [PREFIX], show bgp summary, or show bgp neighbor NAME");
    }
    failure.hint("this is what the daemon itself says; what every daemon understands: rdsup ctl --help")
}

fn show(global: &Global, domains: &Asked, answers: BTreeMap<DomainName, CtlAnswer>) -> Result<Exit, Failure> {
    let failed = |answer: &CtlAnswer| !matches!(answer, CtlAnswer::Answer(answer) if !matches!(answer, Answer::Text { error: true, .. }));
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

fn for_programs(answer: &Answer) -> Value {
    match answer {
        Answer::Bgp(routes) | Answer::Routes(routes) => json!(routes),
        Answer::Summary(sessions) | Answer::Neighbor(sessions) => json!(sessions),
        Answer::Text { text, error } => json!({ "text": text, "error": error }),
    }
}

fn for_people(answer: &Answer) -> String {
    match answer {
        Answer::Text { text, .. } if text.is_empty() => String::new(),
        Answer::Text { text, .. } => output::harmless(text) + "\n",
        Answer::Summary(sessions) if sessions.is_empty() => "no sessions\n".to_owned(),
        Answer::Summary(sessions) => output::sessions_table(sessions.iter().map(|session| (None, session))).text(),
        Answer::Neighbor(sessions) => sessions.iter().map(neighbor).collect::<Vec<_>>().join("\n"),
        Answer::Bgp(routes) | Answer::Routes(routes) if routes.is_empty() => "no routes\n".to_owned(),
        Answer::Bgp(routes) => bgp(routes),
        Answer::Routes(routes) => table(routes),
    }
}

/// Best first within a destination, destinations in the order of addresses: IPv4 before IPv6.
fn sorted(routes: &[Route]) -> Vec<&Route> {
    let mut routes: Vec<&Route> = routes.iter().collect();
    routes.sort_by_key(|route| (route.prefix, !route.best));
    routes
}

fn bgp(routes: &[Route]) -> String {
    let mut table =
        Table::new(&["BEST", "PREFIX", "NEXT HOP", "FROM", ">PREF", ">MED", "AS PATH", "ORIGIN", "COMMUNITIES"]);
    for route in sorted(routes) {
        let bgp = route.bgp.clone().unwrap_or_default();
        let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        table.row(
            Health::Good,
            [
                if route.best { "*" } else { " " }.to_owned(),
                route.prefix.to_string(),
                next_hops(route),
                route.from.clone(),
                number(bgp.local_pref),
                number(bgp.med),
                bgp.as_path,
                bgp.origin.unwrap_or_default(),
                bgp.communities.join(" "),
            ],
        );
    }
    table.text()
}

fn table(routes: &[Route]) -> String {
    let mut table = Table::new(&["BEST", "PREFIX", "NEXT HOP", "SOURCE", "FROM", ">PREF", ">FOR"]);
    let now = jiff::Timestamp::now();
    for route in sorted(routes) {
        table.row(
            Health::Good,
            [
                if route.best { "*" } else { " " }.to_owned(),
                route.prefix.to_string(),
                next_hops(route),
                route.source.split_whitespace().next().unwrap_or_default().to_owned(),
                route.from.clone(),
                route.preference.map(|preference| preference.to_string()).unwrap_or_default(),
                route.since.map(|since| output::since_then(since, now)).unwrap_or_default(),
            ],
        );
    }
    table.text()
}

fn next_hops(route: &Route) -> String {
    // Ours are in the daemon only to be announced; where packets go is not its matter.
    if route.from == "originated" {
        return String::new();
    }
    if route.next_hops.is_empty() {
        return route.kind.clone();
    }
    let hop = |hop: &daemons::NextHop| match (hop.via, &hop.interface) {
        (Some(via), Some(interface)) => format!("{via} {interface}"),
        (Some(via), None) => via.to_string(),
        (None, Some(interface)) => interface.clone(),
        (None, None) => String::new(),
    };
    route.next_hops.iter().map(hop).collect::<Vec<_>>().join(", ")
}

fn neighbor(session: &Session) -> String {
    let now = jiff::Timestamp::now();
    let health = if session.is_established() { Health::Good } else { Health::Bad };
    let since = session.since.map(|since| format!(" for {}", output::since_then(since, now)));
    let state = styled(health.style(), &format!("{}{}", session.state, since.unwrap_or_default()));
    let asn = |asn: Option<crate::model::Asn>| asn.map_or_else(|| "-".to_owned(), |asn| asn.to_string());
    let address = session.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let interface = session.interface.as_ref().map(|name| format!(" on {name}")).unwrap_or_default();
    // An external neighbor is its own peer.
    let title = match session.peer.as_str() {
        peer if peer == session.name => session.name.clone(),
        peer => format!("{} ({peer})", session.name),
    };
    let mut lines = vec![
        styled(HEADING, &title),
        format!("  state      {state}"),
        format!("  neighbor   {address}{interface}, AS {}", asn(session.remote_asn)),
        format!("  local      AS {}", asn(session.local_asn)),
        format!("  protocol   {}", session.protocol),
    ];
    if let Some(id) = session.neighbor_id {
        lines.push(format!("  router id  {id}"));
    }
    if let Some(hold) = session.hold_seconds {
        lines.push(format!("  hold time  {hold}s"));
    }
    for family in &session.families {
        let limit = family.limit.map(|limit| format!(" of at most {limit}")).unwrap_or_default();
        let counts = format!("{} in{limit}, {} filtered, {} out", family.imported, family.filtered, family.exported);
        let up = if family.up { counts } else { styled(Health::Doubtful.style(), "down") };
        lines.push(format!("  {:9}  {up}", family.family.as_str()));
    }
    if let Some(error) = &session.last_error {
        lines.push(format!("  last error {}", output::harmless(error)));
    }
    lines.push(String::new());
    lines.join("\n")
}
