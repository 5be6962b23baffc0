//! What may be asked of a routing daemon: four commands with the same meaning everywhere, and the daemon's own.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::script::Script;

/// The longest command that is sent. FRR below 10.6 does not answer one of 4096 bytes or more at all, and takes what is sent after it
/// for its end. BIRD reads no more either, and some versions less, which say so by hanging up.
pub const LONGEST_COMMAND: usize = crate::render::frr::LONGEST_LINE;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// `show bgp [PREFIX]`.
    Bgp(Option<Target>),
    /// `show bgp summary`.
    Summary,
    /// `show bgp neighbor NAME`.
    Neighbor(String),
    /// `show route [PREFIX]`.
    Route(Option<Target>),
    /// The daemon's own command, as it was typed.
    Verbatim(String),
    /// Several of them.
    Script(Script),
}

/// Which routes: typed, so that nothing of what a person wrote reaches a daemon as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Exactly this prefix.
    Prefix(IpNet),
    /// The most specific prefix that holds this address.
    Address(IpAddr),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Why a command is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It has no words.
    #[error("the command is empty")]
    Empty,
    /// It would be two commands, or something worse.
    #[error("the command holds a control character ({0:?}); a command is one line")]
    ControlCharacter(char),
    /// A daemon would not read it to its end.
    #[error("the command has {0} bytes; at most {LONGEST_COMMAND} are possible")]
    TooLong(usize),
    /// One line of several cannot be sent.
    #[error("line {number}: {error}")]
    Line {
        /// The line, counted from 1.
        number: usize,
        /// Why.
        error: Box<QueryError>,
    },
    /// A prefix with bits set beyond its length matches no route.
    #[error("{given} is not a prefix: {meant} is")]
    HostBits {
        /// What was typed.
        given: IpNet,
        /// The prefix that holds it.
        meant: IpNet,
    },
}

impl Query {
    /// Reads a command. Only the exact common commands are ours; anything else, everything when `raw`, and several lines are the
    /// daemon's own.
    pub fn parse(text: &str, raw: bool) -> Result<Self, QueryError> {
        let command = text.trim();
        if command.is_empty() {
            return Err(QueryError::Empty);
        }
        if command.contains('\n') {
            // Not what was trimmed: the numbers of its lines are those of the text.
            return Script::parse(text).map(Self::Script);
        }
        one_line(command)?;
        let verbatim = Self::Verbatim(command.to_owned());
        if raw {
            return Ok(verbatim);
        }
        let words: Vec<&str> = command.split_whitespace().collect();
        Ok(match words.as_slice() {
            ["show", "bgp"] => Self::Bgp(None),
            ["show", "bgp", "summary"] => Self::Summary,
            ["show", "bgp", "neighbor", name] => Self::Neighbor((*name).to_owned()),
            ["show", "route"] => Self::Route(None),
            ["show", "bgp", word] => target(word)?.map_or(verbatim, |target| Self::Bgp(Some(target))),
            ["show", "route", word] => target(word)?.map_or(verbatim, |target| Self::Route(Some(target))),
            _ => verbatim,
        })
    }

    /// Whether it can only look, as far as we know the daemon's own commands: all its `show` commands only look.
    ///
    /// A filter of the asker's own is a program that the daemon runs and waits for. Matching one long string against
    /// `*a*a*a*a*a*b` keeps BIRD busy until every session has timed out, so whoever may only look may not bring any.
    pub fn only_looks(&self) -> bool {
        match self {
            Self::Verbatim(command) => only_looks(command),
            Self::Script(script) => script.lines().iter().all(|line| only_looks(&line.command)),
            Self::Bgp(_) | Self::Summary | Self::Neighbor(_) | Self::Route(_) => true,
        }
    }
}

fn only_looks(command: &str) -> bool {
    // Of FRR one program may be named before what it is asked.
    let named = ["bgpd ", "zebra ", "bfdd "].into_iter().find_map(|program| command.strip_prefix(program));
    let command = named.unwrap_or(command);
    let mut words = command.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    command.split_whitespace().next() == Some("show") && !words.any(|word| matches!(word, "where" | "filter"))
}

/// Refuses what would be two commands, or what no daemon reads to its end.
pub(super) fn one_line(command: &str) -> Result<(), QueryError> {
    match command.chars().find(|c| c.is_control() && *c != '\t') {
        Some(c) => Err(QueryError::ControlCharacter(c)),
        None if command.len() > LONGEST_COMMAND => Err(QueryError::TooLong(command.len())),
        None => Ok(()),
    }
}

fn target(word: &str) -> Result<Option<Target>, QueryError> {
    if let Ok(given) = word.parse::<IpNet>() {
        let meant = given.trunc();
        return if given == meant {
            Ok(Some(Target::Prefix(given)))
        } else {
            Err(QueryError::HostBits { given, meant })
        };
    }
    Ok(word.parse().ok().map(Target::Address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_common_commands_are_ours() {
        let net = |text: &str| Some(Target::Prefix(text.parse().expect("a prefix")));
        for (command, query) in [
            ("show bgp", Query::Bgp(None)),
            ("  show   bgp  ", Query::Bgp(None)),
            ("show bgp 10.0.0.0/8", Query::Bgp(net("10.0.0.0/8"))),
            ("show bgp 2001:db8::/32", Query::Bgp(net("2001:db8::/32"))),
            ("show bgp summary", Query::Summary),
            ("show bgp neighbor rd-internet", Query::Neighbor("rd-internet".to_owned())),
            ("show route", Query::Route(None)),
            ("show route 10.1.2.3", Query::Route(Some(Target::Address("10.1.2.3".parse().expect("an address"))))),
            ("show route all", Query::Verbatim("show route all".to_owned())),
            ("show bgp neighbor", Query::Verbatim("show bgp neighbor".to_owned())),
            ("show protocols all", Query::Verbatim("show protocols all".to_owned())),
        ] {
            assert_eq!(Query::parse(command, false), Ok(query), "{command}");
        }
        assert_eq!(Query::parse("show bgp", true), Ok(Query::Verbatim("show bgp".to_owned())));
    }

    #[test]
    fn a_command_is_one_line_that_the_daemon_reads_to_its_end() {
        assert_eq!(Query::parse(" ", false), Err(QueryError::Empty));
        assert_eq!(Query::parse("show\rstatus", false), Err(QueryError::ControlCharacter('\r')));
        assert_eq!(Query::parse("show\0status", true), Err(QueryError::ControlCharacter('\0')));
        assert_eq!(Query::parse(&"x".repeat(5000), true), Err(QueryError::TooLong(5000)));
    }

    #[test]
    fn several_lines_are_a_script_whatever_they_are() {
        let Ok(Query::Script(script)) = Query::parse("\nshow bgp\nshow status\n", false) else { panic!("it is none") };
        assert_eq!(script.lines().iter().map(|line| line.number).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(Query::parse("\nshow bgp\n", false), Ok(Query::Bgp(None)));
    }

    #[test]
    fn a_prefix_with_host_bits_is_answered_with_the_prefix_that_was_meant() {
        let error = Query::parse("show bgp 10.1.2.3/8", false).expect_err("no route is called that");
        assert_eq!(error.to_string(), "10.1.2.3/8 is not a prefix: 10.0.0.0/8 is");
    }

    #[test]
    fn only_show_commands_only_look() {
        for (command, looks) in [
            ("show bgp", true),
            ("show status", true),
            ("show route protocol rd_where", true),
            ("down", false),
            ("showx", false),
            ("show route where true", false),
            ("show route all where(\"aaaa\" ~ \"*a*a*b\")", false),
            ("show route filter { accept; }", false),
            ("zebra show version", true),
            ("zebra clear ip route", false),
            ("bgpd zebra show version", false),
            ("show status\nshow protocols", true),
            ("show status\nenable\nshow protocols", false),
            ("show status\nshow route where true", false),
        ] {
            assert_eq!(Query::parse(command, false).map(|query| query.only_looks()), Ok(looks), "{command}");
        }
    }
}
