//! Whether a program of FRR would take a configuration.
//!
//! Of bgpd's `bgpd -C` is asked, not `vtysh -C`: that knows only which words may follow which, and bgpd also finds a bad prefix
//! length, a neighbor that nobody declared, or options that exclude each other. bgpd's exit code says nothing, its words do. `-S`
//! leaves it the user that it is, so that it can read its standard input, and `-p 0` keeps it from listening on port 179 in
//! whatever namespace this is. The others have no such way, so of their configurations `vtysh -C` is asked.
//!
//! A bgpd that only reads makes `/run/frr` all the same, a directory in `/var/tmp`, and the files that the configuration names
//! for logs and dumps. So it sees a machine that it cannot write to, and `/dev/null` in place of those files.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use nix::sched::CloneFlags;

use super::super::{CheckError, DaemonError, LONGEST_COMMAND, Rejected};
use super::SCRATCH;
use super::installation::{Installation, Unusable, lacks_module, vtysh};
use super::programs::{LOAD_RPKI, asks_caches};
use crate::model::Program;
use crate::sys::process::{Captured, ExitStatus, MountPlan, Spawn};
use crate::sys::{SysError, privilege};

/// How long a check may take. Prefix lists take quadratic time in FRR: 1000 entries of one name with `le` take 22 s.
const WITHIN: Duration = Duration::from_mins(2);
/// Has bgpd read the file that comes next, and nothing else.
pub(super) const DRY_RUN: [&str; 7] = ["-C", "-S", "-p", "0", "-P", "0", "-f"];
const OF_VTYSH: [&str; 2] = ["-C", "-f"];

/// Finds the complaints in what a checker says of a text.
type Complaints = fn(&str, &str) -> Vec<CheckError>;

pub(super) async fn check(installation: &Installation, program: Program, text: &str) -> Result<(), DaemonError> {
    if let Some(error) = too_long(text).or_else(|| undefined(text)).or_else(|| sets_defaults(text)) {
        return Err(error.into());
    }
    let checker = Checker::of(installation, program, text)?;
    let read = into_nothing(text);
    let captured = checker.reads(&read).await?;
    if let ExitStatus::Signal(_) = captured.status {
        return Err(checker.dies(&read, text, captured.status).await?);
    }
    let said = format!("{}{}", captured.stderr, captured.stdout);
    if let Some(lacking) = lacks_module(&said) {
        return Err(lacking.into());
    }
    match Rejected::new((checker.complaints)(&said, text)) {
        Some(rejected) => Err(rejected.into()),
        None if captured.success() => Ok(()),
        None => Err(DaemonError::Run { program: checker.program, words: captured.words() }),
    }
}

/// Who reads a configuration without doing what it says.
struct Checker {
    program: PathBuf,
    arguments: &'static [&'static str],
    modules: &'static [&'static str],
    complaints: Complaints,
}

impl Checker {
    fn of(installation: &Installation, program: Program, text: &str) -> Result<Self, DaemonError> {
        if program == Program::Bfdd {
            installation.has_bfdd()?;
        }
        match program {
            Program::Mgmtd if !installation.home.join(program.as_str()).exists() => {
                Err(Unusable::NoMgmtd(installation.home.clone()).into())
            }
            Program::Mgmtd | Program::Zebra | Program::Bfdd => {
                Ok(Self { program: vtysh()?, arguments: &OF_VTYSH, modules: &[], complaints: errors_of_vtysh })
            }
            Program::Bird | Program::Bgpd => Ok(Self {
                program: installation.home.join("bgpd"),
                arguments: &DRY_RUN,
                modules: if asks_caches(text) { &LOAD_RPKI } else { &[] },
                complaints: errors_of_bgpd,
            }),
        }
    }

    async fn reads(&self, text: &str) -> Result<Captured, DaemonError> {
        let reader = || {
            Spawn::new(&self.program).args(self.modules).args(self.arguments).arg("/dev/stdin").stdin(text.as_bytes())
        };
        let failed = |error: SysError| DaemonError::Run { program: self.program.clone(), words: error.to_string() };
        run_dry(reader, WITHIN).await.map_err(failed)
    }

    /// FRR has assertions that a configuration can break. The first line is found that kills whoever reads the text up to it.
    async fn dies(&self, read: &str, text: &str, status: ExitStatus) -> Result<DaemonError, DaemonError> {
        let lines: Vec<&str> = read.split_inclusive('\n').collect();
        let (mut harmless, mut deadly) = (0, lines.len());
        while harmless + 1 < deadly {
            let middle = usize::midpoint(harmless, deadly);
            match self.reads(&lines[..middle].concat()).await?.status {
                ExitStatus::Signal(_) => deadly = middle,
                _ => harmless = middle,
            }
        }
        let typed = redacted(text.lines().nth(harmless).unwrap_or_default().trim());
        let message = format!("{} dies of this line ({status}): {typed}", self.program.display());
        Ok(CheckError { line: number(harmless), column: 0, message }.into())
    }
}

/// Runs a program that is to change nothing: whatever it reads, it can write to a directory that goes with it, and to no other.
/// An ordinary user needs a user namespace for that, and where there is none the program is run as it is.
pub(super) async fn run_dry(program: impl Fn() -> Spawn, within: Duration) -> Result<Captured, SysError> {
    let mounts = MountPlan::read_only(SCRATCH).map_err(|error| SysError::io("plan mounts", error))?;
    if privilege::require().is_ok() {
        return program().mounts(mounts).run_captured(within).await;
    }
    let unshared = program().mounts(mounts).unshare(CloneFlags::CLONE_NEWUSER).run_captured(within).await;
    match unshared {
        Err(error) if matches!(error.errno(), Some(libc::EPERM | libc::EACCES | libc::ENOSPC)) => {
            program().run_captured(within).await
        }
        done => done,
    }
}

/// The text with `/dev/null` in place of each file that bgpd would open at once. FRR takes no abbreviation from a file.
fn into_nothing(text: &str) -> Cow<'_, str> {
    /// How many words there are before the name of the file.
    fn before_file(line: &str) -> Option<usize> {
        let mut words = line.split_whitespace();
        match (words.next()?, words.next()?) {
            ("log", "file" | "filtered-file") => Some(2),
            ("dump", "bgp") => Some(3),
            _ => None,
        }
    }
    if !text.lines().any(|line| before_file(line).is_some()) {
        return Cow::Borrowed(text);
    }
    let replaced = |line: &str| match before_file(line) {
        Some(at) => {
            let words = line.split_whitespace().enumerate();
            words.map(|(number, word)| if number == at { "/dev/null" } else { word }).collect::<Vec<_>>().join(" ")
        }
        None => line.to_owned(),
    };
    Cow::Owned(text.lines().map(|line| replaced(line) + "\n").collect())
}

/// A line that no vty takes could be read at a start and never be changed after it.
fn too_long(text: &str) -> Option<CheckError> {
    let (at, line) = text.lines().enumerate().find(|(_, line)| line.len() > LONGEST_COMMAND)?;
    let message = format!("the line has {} bytes; FRR takes at most {LONGEST_COMMAND}", line.len());
    Some(CheckError { line: number(at), column: 0, message })
}

/// bgpd takes a route map that is not there from a file without a word, and then lets nothing pass; what is typed it refuses.
fn undefined(text: &str) -> Option<CheckError> {
    let defined: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("route-map ")?.split(' ').next()).collect();
    let used = |line: &'_ str| -> Option<String> {
        // At the top a route map is made; `no` takes away whatever there was.
        let command = line.strip_prefix(' ')?.trim_start();
        let (before, name) = command.split_once(" route-map ")?;
        if command.starts_with("no ") || command.starts_with('!') || before.contains(" description") {
            return None;
        }
        let name = name.split_whitespace().next()?;
        (!defined.contains(name)).then(|| name.to_owned())
    };
    text.lines().enumerate().find_map(|(at, line)| {
        let message = format!("there is no route map {}: {}", used(line)?, redacted(line.trim()));
        Some(CheckError { line: number(at), column: 0, message })
    })
}

/// `frr version` and `frr defaults` change what is not written, and bgpd does not take them back.
fn sets_defaults(text: &str) -> Option<CheckError> {
    let (at, line) = text.lines().enumerate().find(|(_, line)| line.trim_start().starts_with("frr "))?;
    let message = format!("{} changes the default of every setting, and cannot be taken back", line.trim());
    Some(CheckError { line: number(at), column: 0, message })
}

fn number(at: usize) -> u32 {
    u32::try_from(at + 1).unwrap_or(u32::MAX)
}

/// The lines that bgpd complains of.
///
/// The log has `… Command returned Warning Config Failed on config line 10:  neighbor 10.0.0.1 x`. Apart from it, and in no order
/// with it, stand reasons such as `% Specify remote-as or peer-group commands first`.
fn errors_of_bgpd(said: &str, text: &str) -> Vec<CheckError> {
    let complaint = |line: &str| {
        let (before, after) = line.split_once(" on config line ")?;
        let number: u32 = after.split_once(':')?.0.trim().parse().ok()?;
        // What stands before is a time, `BGP:` and identifiers in brackets.
        Some((number, before.rsplit(']').next().unwrap_or(before).trim().starts_with("No such command")))
    };
    let complaints: BTreeMap<u32, bool> = said.lines().filter_map(complaint).collect();
    let reasons = said.lines().filter(|line| line.starts_with("% ")).chain(described(said));
    let reasons: Vec<&str> = reasons.map(|line| line.trim_start_matches("% ").trim()).collect();
    if complaints.is_empty() {
        // What is applied and then fails has no line: `set local-preference 99999999999`.
        let message = said.lines().find_map(|line| line.split_once("error processing configuration change: "));
        let message = message.map(|(_, message)| message.rsplit("message: ").next().unwrap_or(message));
        let error = |message: &str| CheckError { line: 0, column: 0, message: message.to_owned() };
        return message.map(|message| error(message.trim_start_matches("% "))).into_iter().collect();
    }
    // Whose they are is known where there is one for each.
    let refused = complaints.values().filter(|is_unknown| !**is_unknown).count();
    let mut reasons: VecDeque<String> = if refused == reasons.len() {
        reasons.into_iter().map(str::to_owned).collect()
    } else {
        Some(reasons.join("; ")).filter(|all| !all.is_empty()).into_iter().collect()
    };
    let error = |(line, is_unknown): (u32, bool)| {
        let typed = usize::try_from(line).ok().and_then(|line| text.lines().nth(line.checked_sub(1)?));
        let typed = redacted(typed.unwrap_or_default().trim());
        // Of a word that is wrong FRR says the same as of a number that is out of range.
        let message = match if is_unknown { None } else { reasons.pop_front() } {
            _ if is_unknown => format!("not known, or not accepted: {typed}"),
            Some(reason) => format!("refused: {typed} ({reason})"),
            None => format!("refused: {typed}"),
        };
        CheckError { line, column: 0, message }
    };
    complaints.into_iter().map(error).collect()
}

/// The lines that vtysh complains of: `line 2: % Unknown command[4]: bogus line`.
fn errors_of_vtysh(said: &str, _: &str) -> Vec<CheckError> {
    let complaint = |line: &str| {
        let (number, words) = line.strip_prefix("line ")?.split_once(": % ")?;
        let message = words.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(CheckError { line: number.parse().ok()?, column: 0, message })
    };
    said.lines().filter_map(complaint).collect()
}

fn described(said: &str) -> impl Iterator<Item = &str> {
    said.lines().filter_map(|line| line.strip_prefix("Error description: "))
}

/// A line without the password in it.
fn redacted(line: &str) -> &str {
    match line.find(" password ") {
        Some(at) => &line[..at + " password".len()],
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_every_default_is_refused() {
        let found = sets_defaults("hostname x\nfrr defaults datacenter\n").map(|error| error.line);
        assert_eq!((found, sets_defaults("! frr version 8.4\nhostname frr\n")), (Some(2), None));
    }

    #[test]
    fn a_route_map_that_is_not_there_is_found_where_it_is_used() {
        let text = "route-map m permit 10\nrouter bgp 1\n neighbor a route-map m in\n no neighbor a route-map gone out\n \
            neighbor a description route-map x\n network 10.0.0.0/8 route-map none\n";
        let found = undefined(text).map(|error| (error.line, error.message));
        assert_eq!(found, Some((6, "there is no route map none: network 10.0.0.0/8 route-map none".to_owned())));
        assert_eq!(undefined(&text.replace("none", "m")), None);
    }

    #[test]
    fn every_line_that_bgpd_complains_of_is_told_as_it_was_typed_and_with_its_reason() {
        let told = |said: &str, text: &str| -> Vec<(u32, String)> {
            errors_of_bgpd(said, text).into_iter().map(|error| (error.line, error.message)).collect()
        };
        let failed = |line: u32| {
            format!(
                "2026/11/26 01:13:28 BGP: [SHWNK-NWT5S][EC 100663304] Command returned Warning Config Failed on config line {line}: x\n"
            )
        };
        let unknown = |line: u32| {
            format!("2026/11/26 01:13:57 BGP: [SHWNK-NWT5S][EC 100663304] No such command on config line {line}: x\n")
        };
        let text = "a\n  neighbor 10.0.0.9 description x\nlog file /y\n neighbor 10.0.0.1 password hunter2\n";
        let said = format!("% Specify remote-as first\n{}{}", unknown(3), failed(2));
        let first = (2, "refused: neighbor 10.0.0.9 description x (Specify remote-as first)".to_owned());
        assert_eq!(told(&said, text), [first.clone(), (3, "not known, or not accepted: log file /y".to_owned())]);
        let said = format!("% Specify remote-as first\n% Other\n{}{}", failed(2), failed(1));
        assert_eq!(
            told(&said, text),
            [
                (1, "refused: a (Specify remote-as first)".to_owned()),
                (2, first.1.replace("Specify remote-as first", "Other"))
            ]
        );
        let said = format!("% One\n% Two\n{}", failed(1));
        assert_eq!(told(&said, text), [(1, "refused: a (One; Two)".to_owned())]);
        assert_eq!(told(&failed(4), text), [(4, "refused: neighbor 10.0.0.1 password".to_owned())]);
        assert_eq!(told("2026/11/26 01:13:57 BGP: [X] something harmless\n", text), []);
    }

    #[test]
    fn what_fails_without_a_line_is_an_error_too() {
        let said = "2026/11/26 BGP: [V][EC 1] error processing configuration change: error [internal inconsistency] event [apply] \
            xpath [/x] message: % [BGP] Argument form is unsupported or malformed.\n";
        let errors = errors_of_bgpd(said, "");
        let message = "[BGP] Argument form is unsupported or malformed.".to_owned();
        assert_eq!(errors, [CheckError { line: 0, column: 0, message }]);
    }

    #[test]
    fn every_line_that_vtysh_complains_of_is_told() {
        let said = "line 2: % Unknown command[4]: bogus line\nline 4: % Unknown command[59]:  set src 300.0.0.1\n";
        let errors = errors_of_vtysh(said, "");
        let told: Vec<_> = errors.iter().map(|error| (error.line, error.message.as_str())).collect();
        assert_eq!(told, [(2, "Unknown command[4]: bogus line"), (4, "Unknown command[59]: set src 300.0.0.1")]);
        assert_eq!(errors_of_vtysh("", ""), []);
    }

    #[test]
    fn nothing_is_written_to_a_file_that_a_configuration_names() {
        let text = "log file /var/log/x debugging\n dump bgp routes-mrt /srv/%H 5m\nlog filtered-file a\nlog file\n\
            router bgp 1\n  neighbor x description log file y\n";
        let wanted = "log file /dev/null debugging\ndump bgp routes-mrt /dev/null 5m\nlog filtered-file /dev/null\n\
            log file\nrouter bgp 1\n  neighbor x description log file y\n";
        assert_eq!(into_nothing(text), wanted);
        assert!(matches!(into_nothing("router bgp 1"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_line_that_a_vty_would_not_take_is_refused_with_its_number() {
        let text = format!("router bgp 1\n{}\n", "x".repeat(LONGEST_COMMAND + 1));
        assert_eq!(too_long(&text).map(|error| error.line), Some(2));
    }
}
