//! `rdsup events`: what changes, as it happens.

use std::io::IsTerminal;
use std::time::Duration;

use anstyle::AnsiColor;

use super::output::{self, Health, styled};
use super::place::layout_of;
use super::time::parse_duration;
use super::{Exit, Failure, Global};
use crate::control::{Client, DomainState, Event, What};
use crate::model::DomainName;

/// Show what changes as it happens: sessions, daemons, links, domains, repairs, generations
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup events                             for people, until Ctrl-C or the supervisor leaves
  rdsup events private | jq -r .event      JSON lines: with --json, and where no terminal reads
  rdsup events --for 30s --json            what happens within half a minute
  rdsup events --count 1 private           wait for the next change of one domain

The first line is a snapshot: how everything is, as `rdsup status --json` has it. An event has `time`, `event` and, where
it is about one, `domain`; more keys depend on the kind, and new kinds may come.")]
pub struct Args {
    /// Only this domain, and what is about all
    pub domain: Option<DomainName>,

    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub time: Option<Duration>,

    /// End after N events, the snapshot not counted
    #[arg(long, value_name = "N", value_parser = super::number::count)]
    pub count: Option<usize>,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let socket = layout_of(global).control_socket();
    let json = global.json || !std::io::stdout().is_terminal();
    let wanted = args.count.map(|count| count.saturating_add(1));
    let listen = async {
        let mut seen = 0;
        let mut failed = Ok(());
        let mut client = Client::connect(&socket).await?;
        client
            .listen(args.domain.clone(), |event| {
                seen += 1;
                let reads = output::print(&line(event, json)).unwrap_or_else(|failure| {
                    failed = Err(failure);
                    false
                });
                reads && wanted.is_none_or(|wanted| seen < wanted)
            })
            .await?;
        failed
    };
    output::runtime()?.block_on(async {
        match args.time {
            // A time that is over is what was asked for.
            Some(time) => tokio::time::timeout(time, listen).await.unwrap_or(Ok(())),
            None => listen.await,
        }
    })?;
    Ok(Exit::Done)
}

fn line(event: &Event, json: bool) -> String {
    if json {
        return serde_json::to_string(event).unwrap_or_else(|error| error.to_string()) + "\n";
    }
    let health = match &event.what {
        What::SessionDown { .. } | What::LinkDown { .. } | What::DaemonLost { .. } | What::DaemonFailed { .. } => {
            Health::Bad
        }
        What::DomainState { state, .. } if *state == DomainState::Failed => Health::Bad,
        What::DomainState { state, .. } if *state != DomainState::Up => Health::Doubtful,
        What::Problem { .. } | What::Repaired { .. } | What::Daemon { .. } | What::Missed { .. } => Health::Doubtful,
        _ => Health::Good,
    };
    let time = event.time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
    let time = styled(AnsiColor::BrightBlack.on_default(), &time);
    let domain = event.domain.as_ref().map_or("rdsup", DomainName::as_str);
    let words = output::one_line(&event.what.to_string());
    format!("{time} {domain:11} {}\n", styled(health.style(), &words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_a_line_and_a_program_an_object() {
        let what = What::SessionDown {
            session: "rd-internet".to_owned(),
            peer: "internet".to_owned(),
            state: "Idle".to_owned(),
            last_error: Some("Received: \u{1b}[2J\nx".to_owned()),
        };
        let domain = DomainName::new("private").ok();
        let event = Event { time: jiff::Timestamp::UNIX_EPOCH, domain, what };
        let text = anstream::adapter::strip_str(&line(&event, false)).to_string();
        let words = "private     session rd-internet to internet is down (Idle): Received: \\u{1b}[2J x\n";
        assert!(text.ends_with(words), "{text}");
        let json = line(&event, true);
        assert_eq!(json.lines().count(), 1, "{json}");
        assert_eq!(serde_json::from_str::<Event>(&json).ok(), Some(event));
    }
}
