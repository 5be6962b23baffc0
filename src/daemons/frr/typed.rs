//! What people type: commands of FRR's own, each for the daemon that knows it.
//!
//! Outside of a configuration a command goes to the daemon that its first word names (`zebra show ip fib`), or else to bgpd,
//! and to zebra and bfdd where bgpd does not know it. Within one, from `configure` to `end`, all go to the daemon that was
//! asked for it: what one of them takes may mean something else to the other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::PATIENCE;
use super::programs::Sockets;
use super::vty::{Client, Outcome, Reply};
use crate::daemons::script::{LineAnswer, Script, Typing};
use crate::daemons::{Access, Answer, DaemonError};
use crate::model::Program;

/// How long a line of several may take: one may end a batch of thousands.
const LINE_WITHIN: Duration = Duration::from_secs(50);
const DENIED: &str = "Access denied";
const NO_SUCH_ROUTES: &str = "FRR would take this for `show route-map`; understood are `show route` and `show route PREFIX`, and of \
    FRR's own `show ip route`, `show ipv6 route` and `show route-map`";

/// One command.
pub(super) async fn one(sockets: &Sockets, command: &str, access: Access) -> Result<Answer, DaemonError> {
    let error = |text: &str| Ok(Answer::Text { text: text.to_owned(), error: true });
    if access == Access::Look && !only_looks(named(command).1) {
        return error(DENIED);
    }
    if begins_configuring(named(command).1) {
        return error("a configuration is several lines, which go together: rdsup ctl --help has an example");
    }
    let (text, error) = Vtys::new(sockets, access, PATIENCE).ask(command).await?;
    Ok(Answer::Text { text, error })
}

/// Several, on one connection to each daemon, until one fails.
pub(super) async fn several(sockets: &Sockets, script: &Script, access: Access) -> Vec<LineAnswer> {
    let denied = |command: &str| access == Access::Look && !only_looks(named(command).1);
    if let Some(line) = script.lines().iter().find(|line| denied(&line.command)) {
        return vec![line.answered(Ok((DENIED.to_owned(), true)))];
    }
    script.run(&mut Vtys::new(sockets, access, LINE_WITHIN)).await
}

/// The connections of one who types.
struct Vtys<'a> {
    sockets: &'a Sockets,
    access: Access,
    patience: Duration,
    clients: BTreeMap<Program, Client>,
    /// Which one is being configured.
    configured: Option<Program>,
}

impl<'a> Vtys<'a> {
    fn new(sockets: &'a Sockets, access: Access, patience: Duration) -> Self {
        Self { sockets, access, patience, clients: BTreeMap::new(), configured: None }
    }

    async fn send(&mut self, program: Program, command: &str) -> Result<Reply, DaemonError> {
        if program == Program::Bfdd && !self.sockets.bfdd.exists() {
            return Err(DaemonError::Refused(
                "there is no bfdd here, because no neighbor of this domain has `bfd`".to_owned(),
            ));
        }
        let client = match self.clients.entry(program) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let mut new = Client::connect(self.sockets.of(program), self.patience).await?.for_a_reader();
                if self.access == Access::Full {
                    new.enable().await?;
                }
                place.insert(new)
            }
        };
        let reply = client.ask(command).await?;
        if begins_configuring(command) && reply.is_applied() {
            self.configured = Some(program);
        }
        Ok(reply)
    }
}

impl Typing for Vtys<'_> {
    fn ask<'a>(&'a mut self, command: &'a str) -> BoxFuture<'a, Result<(String, bool), DaemonError>> {
        async move {
            let (only, command) = match self.configured {
                // `zebra nexthop …` is a command of a configuration.
                Some(program) => (Some(program), command),
                None => named(command),
            };
            if self.configured.is_none() && means_route_map(command) {
                return Ok((NO_SUCH_ROUTES.to_owned(), true));
            }
            let mut reply = self.send(only.unwrap_or(Program::Bgpd), command).await?;
            let others: &[Program] = if only.is_some() { &[] } else { &[Program::Zebra, Program::Bfdd] };
            for other in others {
                // Nothing was done by a command that a daemon does not know, so that another may be asked. Not each domain has a bfdd.
                let is_absent = *other == Program::Bfdd && !self.sockets.bfdd.exists();
                if reply.outcome != Outcome::Unknown || is_absent {
                    break;
                }
                let said = self.send(*other, command).await?;
                if said.outcome != Outcome::Unknown {
                    reply = said;
                }
            }
            let is_well = match self.configured {
                Some(_) if !asks(command) => reply.is_applied(),
                _ => reply.outcome == Outcome::Success,
            };
            if command == "end" && is_well {
                self.configured = None;
            }
            let text =
                if is_well || !reply.text.trim().is_empty() { reply.text.trim_end().to_owned() } else { reply.words() };
            Ok((text, !is_well))
        }
        .boxed()
    }
}

/// The daemon that the first word names, and what is for it.
fn named(command: &str) -> (Option<Program>, &str) {
    match command.split_once(' ') {
        Some(("bgpd", rest)) => (Some(Program::Bgpd), rest.trim_start()),
        Some(("zebra", rest)) => (Some(Program::Zebra), rest.trim_start()),
        Some(("mgmtd", rest)) => (Some(Program::Mgmtd), rest.trim_start()),
        Some(("bfdd", rest)) => (Some(Program::Bfdd), rest.trim_start()),
        _ => (None, command),
    }
}

/// Whether what is left of the common command `show route`, when something follows that is not its own, is another one to FRR.
fn means_route_map(command: &str) -> bool {
    let mut words = command.split_whitespace();
    words.next() == Some("show") && words.next() == Some("route")
}

/// FRR takes every word that is abbreviated, as long as it is clear.
fn begins_configuring(command: &str) -> bool {
    command.split_whitespace().next().is_some_and(|word| word.len() > 2 && "configure".starts_with(word))
}

/// Whether words are what a command of a configuration answers with when all is well.
fn asks(command: &str) -> bool {
    matches!(command.split_whitespace().next(), Some("do" | "show"))
}

/// Whether who may only look may ask this. Without `enable` a daemon lets nothing else pass, but `enable` is a command of those
/// who only look, and so are regular expressions of their own, over which a daemon can be brought to brood while it does nothing
/// else. FRR takes every word that is abbreviated.
fn only_looks(command: &str) -> bool {
    let mut words = command.split_whitespace();
    words.next() == Some("show")
        && !command.contains('|')
        && !words.any(|word| word.len() > 1 && "regexp".starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_only_look_gets_neither_out_of_that_nor_a_regular_expression_in() {
        for (command, looks) in [
            ("show bgp ipv4 unicast", true),
            ("show ip route 10.0.0.0/8 json", true),
            ("show running-config", true),
            ("enable", false),
            ("en", false),
            ("configure terminal", false),
            ("clear bgp *", false),
            ("find .*", false),
            ("show bgp ipv4 unicast regexp (.*)*x", false),
            ("show bgp ipv4 unicast re (.*)*x", false),
            ("show bgp ipv4 unicast | include (.*)*x", false),
            ("show bgp ipv4 unicast|include x", false),
        ] {
            assert_eq!(only_looks(command), looks, "{command}");
        }
    }

    #[test]
    fn the_first_word_may_name_the_daemon() {
        assert_eq!(named("zebra  show ip fib"), (Some(Program::Zebra), "show ip fib"));
        assert_eq!(named("bgpd show version"), (Some(Program::Bgpd), "show version"));
        assert_eq!(named("show zebra"), (None, "show zebra"));
        assert_eq!(named("zebra"), (None, "zebra"));
    }

    #[test]
    fn what_is_no_question_for_routes_is_none_for_route_maps() {
        for (command, means) in [
            ("show route bogus", true),
            ("show  route", true),
            ("show route-map x", false),
            ("show ip route", false),
            ("show bgp route", false),
        ] {
            assert_eq!(means_route_map(command), means, "{command}");
        }
    }

    #[test]
    fn a_configuration_begins_however_that_is_abbreviated() {
        for (command, begins) in
            [("configure terminal", true), ("conf t", true), ("con", true), ("co", false), ("show configure", false)]
        {
            assert_eq!(begins_configuring(command), begins, "{command}");
        }
    }
}
