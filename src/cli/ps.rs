//! `rdsup ps`: the processes of each domain.

use std::collections::BTreeMap;

use serde::Serialize;

use super::output::{self, Health, Table};
use super::place::layout_of;
use super::{Exit, Failure, Global};
use crate::model::DomainName;
use crate::sys::Machine;
use crate::sys::netns::Namespace;
use crate::sys::process::in_namespaces;

/// Show which processes run in which domain
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup ps                          of every domain: daemons, and what was started with `rdsup exec`
  rdsup ps private                  of one
  rdsup ps --json | jq '.[].pid'    the same for programs

What runs in no domain is not listed, the machine's own namespace being none. Without root one sees one's own processes.")]
pub struct Args {
    /// Only this domain
    pub domain: Option<DomainName>,
}

/// One process, for programs.
#[derive(Debug, Serialize)]
struct Process<'a> {
    domain: &'a DomainName,
    pid: u32,
    uid: u32,
    user: String,
    running_seconds: u64,
    command: String,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let domains = domains(global, args.domain.as_ref())?;
    let mut users = BTreeMap::new();
    let mut user = |uid: u32| -> String {
        let look_up = || nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.name);
        users.entry(uid).or_insert_with(|| look_up().unwrap_or_else(|| uid.to_string())).clone()
    };
    let found = in_namespaces(|namespace| domains.contains_key(&namespace))
        .map_err(|error| Failure::new(format!("cannot read /proc: {error}")))?;
    let mut processes: Vec<Process> = found
        .into_iter()
        .filter_map(|process| {
            let domain = domains.get(&process.namespace)?;
            let (pid, uid, running_seconds, command) = (process.pid, process.uid, process.seconds, process.command);
            Some(Process { domain, pid, uid, user: user(uid), running_seconds, command })
        })
        .collect();
    processes.sort_by_key(|process| (process.domain, process.pid));
    if !nix::unistd::geteuid().is_root() {
        super::note(global, "without root, only your own processes can be seen");
    }
    if global.json {
        output::print_json(&processes)?;
    } else {
        output::print(&table(&processes).text())?;
    }
    Ok(Exit::Done)
}

/// The domains that have a namespace now, by its inode.
fn domains(global: &Global, only: Option<&DomainName>) -> Result<BTreeMap<u64, DomainName>, Failure> {
    let layout = layout_of(global);
    let mut names = Machine::open(&layout.run_dir, &layout.state_dir)?.domains_left()?;
    names.retain(|name| !name.is_host());
    names.sort();
    if let Some(only) = only {
        if !names.contains(only) {
            let failure = Failure::new(format!("there is no domain {only} under {}", layout.run_dir.display()));
            let names: Vec<&str> = names.iter().map(DomainName::as_str).collect();
            let hint = if only.is_host() {
                "the machine's own processes are no domain's: ps -e".to_owned()
            } else if names.is_empty() {
                "rdsup start".to_owned()
            } else {
                format!("there are: {}", names.join(", "))
            };
            return Err(failure.exit(Exit::Usage).hint(hint));
        }
        names.retain(|name| name == only);
    }
    let mut found = BTreeMap::new();
    for name in names {
        let opened = Namespace::open(name.as_str());
        let opened = opened.map_err(|error| Failure::new(format!("cannot open the namespace {name}: {error}")))?;
        found.extend(opened.map(|namespace| (namespace.inode(), name)));
    }
    Ok(found)
}

fn table(processes: &[Process]) -> Table {
    let mut table = Table::new(&["DOMAIN", ">PID", "USER", ">FOR", "COMMAND"]);
    for process in processes {
        let cells = [
            process.domain.to_string(),
            process.pid.to_string(),
            process.user.clone(),
            output::duration(process.running_seconds),
            process.command.clone(),
        ];
        table.row(Health::Good, cells);
    }
    table
}
