//! BIRD 2: its command line, its checks, its control socket.

pub mod protocol;
mod show;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use self::protocol::{Client, Collector, Reply};
use super::script::Typing;
use super::show::called;
use super::{
    Access, Answer, CheckError, Command, DaemonError, Peers, Place, Query, Route, RoutingDaemon, Session, Target,
};
use crate::model::{DaemonKind, Program};
use crate::plan::judged_anew_by_bird;
use crate::sys::process::{self, Spawn};

/// How long BIRD may take for a line of an answer. It is single-threaded: while it loads a configuration or walks a large
/// table it answers nobody.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long `bird -p` may take; a million prefixes take 0.7 s.
const CHECK_WITHIN: Duration = Duration::from_mins(1);
/// How long a new configuration may take until it is in force: every protocol that changes goes down first.
const RELOAD_WITHIN: Duration = Duration::from_secs(50);
const PROGRAM: &str = "bird";
/// Debian's user and group for BIRD, to which it drops its privileges.
const USER: &str = "bird";

mod code {
    pub const RECONFIGURED: u16 = 3;
    pub const IN_PROGRESS: u16 = 4;
    pub const QUEUED: u16 = 5;
    pub const NO_SUCH_NETWORK: u16 = 8001;
    pub const BAD_CONFIGURATION: u16 = 8002;
}

/// BIRD 2.
#[derive(Clone, Copy, Debug)]
pub struct Bird;

impl RoutingDaemon for Bird {
    fn kind(&self) -> DaemonKind {
        DaemonKind::Bird
    }

    fn command(&self, _: Program, place: &Place, recovering: bool) -> Result<Command, DaemonError> {
        let mut args: Vec<OsString> = vec!["-f".into()];
        for (flag, path) in [("-c", &place.config(Program::Bird)), ("-s", &place.socket)] {
            args.extend([flag.into(), path.into()]);
        }
        // BIRD binds its socket before it drops root and reads its configuration after. A machine or user namespace
        // without that user runs it as what we are.
        if can_become_bird() {
            args.extend(["-u", USER, "-g", USER].map(OsString::from));
        }
        if recovering {
            args.push("-R".into());
        }
        Ok(Command { program: program()?, args })
    }

    fn accepts_the_same(&self, old: &str, new: &str) -> bool {
        old == new || judged_anew_by_bird(Some(old), new).is_some_and(|judged| judged.is_empty())
    }

    fn version(&self) -> BoxFuture<'_, Result<String, DaemonError>> {
        async {
            let (_, said) = run(&["--version"], String::new()).await?;
            // BIRD prints `BIRD version 2.0.12` on stderr.
            Ok(said.split_whitespace().last().unwrap_or_default().to_owned())
        }
        .boxed()
    }

    fn check<'a>(&'a self, _: Program, text: &'a str) -> BoxFuture<'a, Result<(), DaemonError>> {
        async move {
            let (success, said) = run(&["-p", "-c", "/dev/stdin"], text.to_owned()).await?;
            if success { Ok(()) } else { Err(check_error(&said).into()) }
        }
        .boxed()
    }

    fn ready<'a>(&'a self, _: Program, place: &'a Place) -> BoxFuture<'a, Result<(), DaemonError>> {
        async move { Client::connect(&place.socket, PATIENCE).await.map(drop) }.boxed()
    }

    fn reload<'a>(
        &'a self,
        _: Program,
        place: &'a Place,
        before: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), DaemonError>> {
        async move {
            let after = std::fs::read_to_string(place.config(Program::Bird)).unwrap_or_default();
            let mut client = reload(&place.socket).await?;
            judge_anew(&mut client, before, &after).await
        }
        .boxed()
    }

    fn resync<'a>(&'a self, socket: &'a Path) -> BoxFuture<'a, Result<(), DaemonError>> {
        async move {
            let reply = Client::connect(socket, PATIENCE).await?.ask("reload out \"kernel*\"").await?;
            if reply.is_error() { Err(DaemonError::Refused(reply.message().to_owned())) } else { Ok(()) }
        }
        .boxed()
    }

    fn sessions<'a>(&'a self, socket: &'a Path, peers: &'a Peers) -> BoxFuture<'a, Result<Vec<Session>, DaemonError>> {
        async move { sessions(&mut Client::connect(socket, PATIENCE).await?, peers).await }.boxed()
    }

    fn ask<'a>(
        &'a self,
        socket: &'a Path,
        query: &'a Query,
        access: Access,
        peers: &'a Peers,
    ) -> BoxFuture<'a, Result<Answer, DaemonError>> {
        async move {
            let mut client = Client::connect(socket, PATIENCE).await?.for_a_reader();
            if access == Access::Look {
                client.restrict().await?;
            }
            ask(&mut client, query, peers).await
        }
        .boxed()
    }
}

async fn ask(client: &mut Client, query: &Query, peers: &Peers) -> Result<Answer, DaemonError> {
    // What BGP speaks of: what was learned, and what our templates make for announcing.
    let bgp_only = "where source = RTS_BGP || proto ~ \"originated*\"";
    Ok(match query {
        Query::Verbatim(command) => {
            let (text, error) = Typing::ask(client, command).await?;
            Answer::Text { text, error }
        }
        Query::Script(script) => Answer::Script(script.run(client).await),
        Query::Bgp(target) => Answer::Bgp(routes(client, *target, bgp_only).await?),
        Query::Route(target) => Answer::Routes(routes(client, *target, "").await?),
        Query::Summary => Answer::Summary(sessions(client, peers).await?),
        Query::Neighbor(name) => {
            let all = sessions(client, peers).await?;
            Answer::Neighbor(called(all, name)?)
        }
    })
}

impl Typing for Client {
    fn ask<'a>(&'a mut self, command: &'a str) -> BoxFuture<'a, Result<(String, bool), DaemonError>> {
        async move {
            let reply = Self::ask(self, command).await?;
            Ok((reply.text(), reply.is_error()))
        }
        .boxed()
    }
}

async fn sessions(client: &mut Client, peers: &Peers) -> Result<Vec<Session>, DaemonError> {
    let reply = succeeded(client.ask("show protocols all").await?)?;
    let mut sessions = show::sessions(&reply, peers);
    for protocol in show::watchers(&reply) {
        // One that `apply` has just taken away tells nothing.
        let reply = client.ask(format!("show bfd sessions {protocol}").as_str()).await?;
        show::watched(&mut sessions, &reply);
    }
    Ok(sessions)
}

async fn routes(client: &mut Client, target: Option<Target>, condition: &str) -> Result<Vec<Route>, DaemonError> {
    let which = match target {
        None => String::new(),
        Some(Target::Prefix(prefix)) => format!("{prefix} "),
        Some(Target::Address(address)) => format!("for {address} "),
    };
    let reply = client.ask(format!("show route {which}{condition} all").as_str()).await?;
    if reply.code() == code::NO_SUCH_NETWORK {
        return Ok(Vec::new());
    }
    Ok(table::routes(&succeeded(reply)?))
}

async fn reload(socket: &Path) -> Result<Client, DaemonError> {
    let mut client = Client::connect(socket, RELOAD_WITHIN).await?;
    let mut reply = client.ask("configure").await?;
    if reply.code() == code::BAD_CONFIGURATION {
        return Err(check_error(reply.message()).into());
    }
    let deadline = tokio::time::Instant::now() + RELOAD_WITHIN;
    let mut interval = tokio::time::interval(Duration::from_millis(20));
    loop {
        // `configure` answers 0003, 0004 or 0005 alone; `configure status` has them among its lines.
        if reply.has(code::IN_PROGRESS) || reply.has(code::QUEUED) {
            if tokio::time::Instant::now() >= deadline {
                return Err(DaemonError::NoAnswer { socket: socket.to_owned(), after: RELOAD_WITHIN });
            }
            interval.tick().await;
            reply = client.ask("configure status").await?;
        } else if reply.has(code::RECONFIGURED) {
            return Ok(client);
        } else {
            return Err(DaemonError::Refused(reply.message().to_owned()));
        }
    }
}

/// What a neighbor is asked for it need not send, and what BIRD cannot judge by itself would stay as the old filter let it in:
/// those who sent it begin again. `before` is what it has read before, where that is known.
async fn judge_anew(client: &mut Client, before: Option<&str>, after: &str) -> Result<(), DaemonError> {
    let judged = judged_anew_by_bird(before, after).unwrap_or_default();
    if judged.is_empty() {
        return Ok(());
    }
    for session in sessions(client, &Peers::new()).await? {
        let again = match judged.get(&session.protocol) {
            None => false,
            // What is stale was accepted by the old filter, and no import table has it.
            Some(again) => session.stale || *again && session.is_established(),
        };
        if again {
            succeeded(client.ask(&format!("restart {}", session.protocol)).await?)?;
        }
    }
    Ok(())
}

/// Reads the sessions from a recorded answer to `show protocols all`, framing included; `None` if it is none.
pub fn parse_sessions(recorded: &str, peers: &Peers) -> Option<Vec<Session>> {
    whole(recorded).map(|reply| show::sessions(&reply, peers))
}

/// Reads the routes from a recorded answer to `show route … all`, framing included; `None` if it is none.
pub fn parse_routes(recorded: &str) -> Option<Vec<Route>> {
    whole(recorded).map(|reply| table::routes(&reply))
}

fn whole(recorded: &str) -> Option<Reply> {
    let mut collector = Collector::default();
    recorded.lines().find_map(|line| collector.line(line).transpose())?.ok()
}

fn succeeded(reply: Reply) -> Result<Reply, DaemonError> {
    if reply.is_error() { Err(DaemonError::Refused(reply.message().to_owned())) } else { Ok(reply) }
}

/// BIRD says `FILE:LINE:COLUMN words`, and `FILE: words` or just words where it has no place.
fn check_error(said: &str) -> CheckError {
    let said = said.lines().find(|line| !line.is_empty()).unwrap_or("bird refused it and said nothing");
    let said = said.strip_prefix("bird: ").unwrap_or(said);
    let placed = || {
        let (place, message) = said.split_once(' ')?;
        let mut parts = place.rsplitn(3, ':');
        let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(CheckError { line, column, message: message.to_owned() })
    };
    placed().unwrap_or_else(|| CheckError { line: 0, column: 0, message: said.to_owned() })
}

fn program() -> Result<PathBuf, DaemonError> {
    process::find(PROGRAM).ok_or(DaemonError::NotInstalled { program: PROGRAM, package: "bird2" })
}

/// Whether there is a user and group `bird` that this process may become: as root of a user namespace that maps only
/// root it may not.
fn can_become_bird() -> bool {
    let user = nix::unistd::User::from_name(USER).ok().flatten();
    let group = nix::unistd::Group::from_name(USER).ok().flatten();
    let (Some(user), Some(group)) = (user, group) else { return false };
    let mapped = |file: &str, id: u32| {
        std::fs::read_to_string(file).is_ok_and(|map| {
            map.lines().any(|line| {
                let mut numbers = line.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
                let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
                first.zip(count).is_some_and(|(first, count)| (first..first + count).contains(&u64::from(id)))
            })
        })
    };
    nix::unistd::geteuid().is_root()
        && mapped("/proc/self/uid_map", user.uid.as_raw())
        && mapped("/proc/self/gid_map", group.gid.as_raw())
}

/// Runs BIRD to its end: whether it succeeded, and what it said.
async fn run(args: &[&str], input: String) -> Result<(bool, String), DaemonError> {
    let program = program()?;
    let captured = Spawn::new(&program)
        .args(args)
        .stdin(input)
        .run_captured(CHECK_WITHIN)
        .await
        .map_err(|error| DaemonError::Run { program, words: error.to_string() })?;
    Ok((captured.success(), format!("{}{}", captured.stderr, captured.stdout)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_error_has_the_place_and_the_words_apart() {
        for (said, line, column, message) in [
            ("bird: /dev/stdin:3:25 syntax error, unexpected LOCAL\n", 3, 25, "syntax error, unexpected LOCAL"),
            ("/run/a:b.conf:12:1 No such filter", 12, 1, "No such filter"),
            ("/nonexist: No such file or directory", 0, 0, "/nonexist: No such file or directory"),
            ("", 0, 0, "bird refused it and said nothing"),
        ] {
            assert_eq!(check_error(said), CheckError { line, column, message: message.to_owned() });
        }
    }
}
