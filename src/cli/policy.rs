//! `rdsup policy`: who may send what to whom, and why.

mod json;
mod question;
mod text;

use std::net::IpAddr;

use super::output;
use super::{Exit, Failure, Global};
use crate::model::{DomainName, Family, Network};
use crate::policy::{self, NoPacket, Pair, Question};
use crate::supervisor::{Disclosure, prepare};

/// Show what may cross between domains; ask about one packet
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup policy                            everything, for each pair of domains
  rdsup policy private internet           what private may send to internet
  rdsup policy private internet tcp/443   whether that enters, and the line of the file that decides
  rdsup policy private internet icmp from 192.168.5.5 to 198.51.100.1

PACKET is tcp/PORT, udp/PORT, icmp (an echo request), or another protocol's name or number. Without `from` it comes from
the first loopback of SRC, without `to` it goes to the first loopback of DST, or to a service of DST with that port.
`to` is an address as SRC sees it.

Exit code with a PACKET: 0 it arrives, 1 it does not. Reads the file only: needs no privileges and nothing that runs.
What a daemon still holds of another file it does not know: rdsup ctl SRC show route ADDRESS.")]
pub struct Args {
    /// The domain that sends
    #[arg(value_name = "SRC")]
    pub from: Option<DomainName>,

    /// The domain that receives
    #[arg(value_name = "DST")]
    pub to: Option<DomainName>,

    /// A packet: tcp/443, udp/53, icmp, gre, …, then `from ADDRESS` and `to ADDRESS`
    #[arg(value_name = "PACKET", num_args = 0..)]
    pub packet: Vec<String>,
}

/// A file, and its lines as they are written.
struct File {
    name: String,
    lines: Vec<String>,
}

impl File {
    /// `FILE:LINE`, and what is written there; `None` where no line is known.
    fn line(&self, line: u32) -> Option<(String, &str)> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        Some((format!("{}:{line}", self.name), self.lines.get(index)?.trim()))
    }
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let prepared = prepare(&global.config, Disclosure::Redacted)?;
    // Whoever asks one question has asked `check` before.
    if args.packet.is_empty() {
        super::warnings(global, &prepared);
    }
    let network = &prepared.network;
    for name in args.from.iter().chain(&args.to) {
        super::known_domain(network, name)?;
    }
    let lines = std::fs::read_to_string(&global.config).unwrap_or_default();
    let lines = lines.lines().map(str::to_owned).collect();
    let file = File { name: global.config.display().to_string(), lines };
    match (&args.from, &args.to) {
        (Some(from), Some(to)) if from == to => {
            let failure = Failure::new(format!("{from} and {to} are the same domain: nothing crosses a link"));
            Err(failure.exit(Exit::Usage).hint("name two domains; inside of one nothing is filtered between its hosts"))
        }
        (Some(from), Some(to)) if !args.packet.is_empty() => ask(global, network, &file, from, to, &args.packet),
        (from, to) => {
            let all = policy::matrix(network);
            let wanted = |pair: &Pair<'_>| match (from, to) {
                (Some(from), Some(to)) => pair.from == from && pair.to == to,
                (Some(one), None) => pair.from == one || pair.to == one,
                _ => true,
            };
            let pairs: Vec<&Pair<'_>> = all.iter().filter(|pair| wanted(pair)).collect();
            if global.json {
                output::print_json(&json::pairs(&file, &pairs))?;
            } else {
                let grid = from.is_none().then_some(network.as_ref());
                output::print(&text::pairs(&file, grid, &pairs))?;
            }
            Ok(Exit::Done)
        }
    }
}

fn ask(
    global: &Global,
    network: &Network,
    file: &File,
    from: &DomainName,
    to: &DomainName,
    words: &[String],
) -> Result<Exit, Failure> {
    let (transport, source, destination) = question::packet(words)?;
    let question = Question { from: from.clone(), to: to.clone(), source, destination, transport };
    let journey = policy::journey(network, &question).map_err(|error| no_packet(&question, &error))?;
    if global.json {
        output::print_json(&json::answer(file, &question, &journey))?;
    } else {
        output::print(&text::answer(file, &question, &journey))?;
    }
    Ok(if journey.arrives { Exit::Done } else { Exit::Failed })
}

fn no_packet(question: &Question, error: &NoPacket) -> Failure {
    let Question { from, to, .. } = question;
    let lacks = |name: &DomainName, family: &Option<Family>| match family {
        Some(family) => format!("{name} has no {} loopback", family.as_str()),
        None => format!("{name} has no loopback"),
    };
    let flow = text::flow(question.transport);
    let (words, hint) = match error {
        NoPacket::NoSource(family) => {
            (lacks(from, family), format!("name a source: rdsup policy {from} {to} {flow} from ADDRESS"))
        }
        NoPacket::NoDestination(family) => {
            (lacks(to, family), format!("name a destination: rdsup policy {from} {to} {flow} to ADDRESS"))
        }
        NoPacket::Families(source, destination) => {
            let family = |address: &IpAddr| Family::of(*address).as_str();
            let words = format!("{source} is {}, and {destination} is {}", family(source), family(destination));
            (words, "name two addresses of one family".to_owned())
        }
    };
    Failure::new(words).exit(Exit::Usage).hint(hint)
}
