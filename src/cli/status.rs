//! `rdsup status`: how everything is.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::output::{self, HEADING, Health, Table, styled};
use super::place::layout_of;
use super::{Exit, Failure, Global};
use crate::control::{
    Client, ClientError, DaemonStatus, DomainState, DomainStatus, GenerationStatus, Reply, Request, StatusReport,
};
use crate::model::{DaemonKind, DomainName, Routing};
use crate::plan::Layout;
use crate::policy::Reason;
use crate::supervise::{SILENT_FOR, State};
use crate::supervisor::{Standing, standing};

/// How often a status that is waited for is asked for again.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Show domains, daemons, sessions, links, and what is not well
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup status                   everything; exit 3 if something is not well
  rdsup status private           one domain, with all its links and what they dropped
  rdsup status --wait            return when every session is Established, after 30 s at most
  rdsup status --wait=2m --json  the same with more patience, for programs")]
pub struct Args {
    /// Only this domain
    pub domain: Option<DomainName>,

    /// Wait until every session is Established, at most this long (30s if no time is given)
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "30s", value_parser = super::time::parse_duration)]
    pub wait: Option<Duration>,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let layout = layout_of(global);
    let socket = layout.control_socket();
    let asked = wait(&socket, args.domain.as_ref(), args.wait);
    let words = match args.wait {
        Some(time) => format!("waiting until every session is Established, for {:.0} s at most", time.as_secs_f64()),
        None => "waiting for a daemon that does not answer".to_owned(),
    };
    let asked = output::runtime()?.block_on(output::patiently(global, &words, asked));
    let mut report = match asked {
        Ok(report) => report,
        Err(ClientError::NotRunning(socket)) => return Err(not_running(socket, &layout)),
        Err(error) => return Err(error.into()),
    };
    if let Some(name) = &args.domain {
        let names: Vec<String> = report.domains.iter().map(|domain| domain.name.to_string()).collect();
        report.domains.retain(|domain| &domain.name == name);
        report.repairs.retain(|repair| &repair.domain == name);
        if report.domains.is_empty() {
            let failure = Failure::new(format!("there is no domain {name}")).exit(Exit::Usage);
            return Err(failure.hint(format!("there are: {}", names.join(", "))));
        }
    }
    let ready = is_ready(&report, args.domain.as_ref());
    if global.json {
        output::print_json(&report)?;
    } else {
        output::print(&for_people(&report, args.domain.is_some()))?;
    }
    Ok(if ready { Exit::Done } else { Exit::NotReady })
}

/// Asks until all is well or the time is over. A supervisor that is not there yet is waited for too.
async fn wait(
    socket: &Path,
    domain: Option<&DomainName>,
    patience: Option<Duration>,
) -> Result<StatusReport, ClientError> {
    let deadline = Instant::now() + patience.unwrap_or_default();
    let mut interval = tokio::time::interval(ASK_EVERY);
    loop {
        interval.tick().await;
        let over = Instant::now() >= deadline;
        match ask(socket).await {
            Ok(report) if over || is_ready(&report, domain) => return Ok(report),
            Ok(_) => {}
            Err(ClientError::NotRunning(_) | ClientError::BrokenOff { .. }) if !over => {}
            Err(error) => return Err(error),
        }
    }
}

/// Nobody is there to ask; what there is to know can be seen all the same.
fn not_running(socket: PathBuf, layout: &Layout) -> Failure {
    match standing(layout) {
        Some(standing) => standing_alone(&standing),
        None => Failure::from(ClientError::NotRunning(socket)),
    }
    .exit(Exit::NotReady)
}

fn standing_alone(standing: &Standing) -> Failure {
    let network = match standing.generation {
        Some(number) => format!("generation {number} stands"),
        None => "a network stands".to_owned(),
    };
    let domains = output::count(standing.domains.len(), "domain");
    let daemons = match standing.daemons {
        0 => "no daemon".to_owned(),
        some => output::count(some, "daemon"),
    };
    Failure::new(format!("the supervisor is not running; {network}: {domains}, {daemons}"))
        .hint("rdsup start takes it over; rdsup stop takes it down")
        .detail("standing", standing)
}

pub(super) async fn ask(socket: &Path) -> Result<StatusReport, ClientError> {
    match Client::connect(socket).await?.call(&Request::Status { counters: true }).await? {
        Reply::Status(report) => Ok(*report),
        other => Err(ClientError::Call(crate::control::CallError::failed(format!("unexpected answer {other:?}")))),
    }
}

fn is_ready(report: &StatusReport, domain: Option<&DomainName>) -> bool {
    match domain {
        Some(name) => report.domains.iter().filter(|status| &status.name == name).all(DomainStatus::is_well),
        None => report.ready && report.domains.iter().all(DomainStatus::is_well),
    }
}

fn for_people(report: &StatusReport, one: bool) -> String {
    let mut text = String::new();
    if !one {
        let health = if report.ready { Health::Good } else { Health::Doubtful };
        let words = styled(health.style(), &report.state_words);
        let generation = report.generation.as_ref();
        let number = generation.map(|generation| format!("  generation {}", generation.number)).unwrap_or_default();
        let pid = report.pid.map(|pid| format!("  pid {pid}")).unwrap_or_default();
        let _ = writeln!(text, "rdsup {}{pid}  {}{number}  {words}", report.version, report.config.display());
        generation.into_iter().flat_map(|generation| remarks(report, generation)).for_each(|remark| {
            let _ = writeln!(text, "{}", styled(Health::Doubtful.style(), &remark));
        });
        text.push('\n');
    }
    let mut tables = vec![domains(report), sessions(report, one)];
    let mut links = Table::new(&["DOMAIN", "LINK", "PEER", "ROUTING", "STATE"]);
    for status in &report.domains {
        let name = status.name.to_string();
        for link in &status.links {
            // A BGP link that is up has its session in the table above; only what tells more is shown.
            if link.up && link.routing == Routing::Bgp && !status.sessions.is_empty() && !one {
                continue;
            }
            let (health, state) = if link.up { (Health::Good, "up") } else { (Health::Bad, "down") };
            let routing = match link.routing {
                Routing::Bgp => "bgp",
                Routing::Static => "static",
            };
            let cells = [&name, &link.interface, link.peer.as_str(), routing, state];
            links.row(health, cells.map(str::to_owned));
        }
    }
    tables.extend([links, drops(report, one), repairs(report, jiff::Timestamp::now())]);
    let tables: Vec<String> = tables.iter().filter(|table| !table.is_empty()).map(Table::text).collect();
    text += &tables.join("\n");
    let problems = report.problems.iter().map(|problem| ("", problem)).chain(
        report.domains.iter().flat_map(|status| status.problems.iter().map(|problem| (status.name.as_str(), problem))),
    );
    let times: Vec<(&str, String)> = report
        .domains
        .iter()
        .flat_map(|status| status.daemon.iter().flat_map(times).map(|words| (status.name.as_str(), words)))
        .collect();
    let problems: Vec<String> = problems
        .chain(times.iter().map(|(domain, words)| (*domain, words)))
        .map(|(domain, problem)| {
            let domain = if domain.is_empty() { String::new() } else { format!("{domain}: ") };
            styled(Health::Bad.style(), &output::harmless(&format!("  {domain}{problem}"))) + "\n"
        })
        .collect();
    if !problems.is_empty() {
        let _ = write!(text, "\n{}\n{}", styled(HEADING, "PROBLEMS"), problems.concat());
    }
    text
}

/// How long it has been so, or will be, with a daemon that is not well. In its problems there is no number that changes.
fn times(daemon: &DaemonStatus) -> Vec<String> {
    let kind = daemon.kind.as_str();
    let replaced = match SILENT_FOR.as_secs() {
        limit if daemon.state == State::Silent.as_str() => format!("; after {limit} s it is replaced"),
        _ => String::new(),
    };
    let silence = daemon.unanswered_seconds.map(|seconds| format!("{kind} has not answered for {seconds} s{replaced}"));
    let next = daemon.next_attempt_seconds.map(|seconds| format!("{kind} is started again in {seconds} s"));
    silence.into_iter().chain(next).collect()
}

/// What is to be known of the generation in force beside its number.
fn remarks(report: &StatusReport, generation: &GenerationStatus) -> Vec<String> {
    let waits = generation.confirm_within.map(|seconds| {
        format!(
            "generation {} waits to be confirmed: what was before comes back in {}, unless: rdsup confirm",
            generation.number,
            output::duration(seconds)
        )
    });
    let differs = generation
        .file_differs
        .then(|| format!("{} is not what runs; see: rdsup diff, rdsup plan, rdsup apply", report.config.display()));
    waits.into_iter().chain(differs).collect()
}

/// What was not as it should be, the last first. It is well again, so it is told and is no problem.
fn repairs(report: &StatusReport, now: jiff::Timestamp) -> Table {
    let mut table = Table::new(&["DOMAIN", "FOUND AND REPAIRED", ">AGO", ">TOOK"]);
    for repair in report.repairs.iter().rev() {
        let took = format!("{} ms", repair.milliseconds);
        let found = output::harmless(&repair.found.join("; "));
        table.row(Health::Good, [repair.domain.to_string(), found, output::since_then(repair.at, now), took]);
    }
    table
}

/// What was dropped. Of one domain with the other end of each link, and with what the reason means.
fn drops(report: &StatusReport, one: bool) -> Table {
    let headings = ["DOMAIN", "INTERFACE", "DROPPED BECAUSE", ">PACKETS", ">BYTES"];
    let of_one = ["INTERFACE", "PEER", "DROPPED BECAUSE", ">PACKETS", ">BYTES", "THAT IS"];
    let mut table = if one { Table::new(&of_one) } else { Table::new(&headings) };
    for status in &report.domains {
        for drop in &status.drops {
            let (interface, reason) = (drop.interface.clone(), drop.reason.clone());
            let (packets, bytes) = (drop.packets.to_string(), output::bytes(drop.bytes));
            if !one {
                table.row(Health::Good, [status.name.to_string(), interface, reason, packets, bytes]);
                continue;
            }
            let peer = status.links.iter().find(|link| link.interface == interface).map(|link| link.peer.to_string());
            // A supervisor of another version may count what is not known here.
            let known = Reason::ALL.into_iter().find(|known| known.as_str() == reason);
            let meaning = known.map_or("", Reason::description).to_owned();
            table.row(Health::Good, [interface, peer.unwrap_or_default(), reason, packets, bytes, meaning]);
        }
    }
    table
}

fn domains(report: &StatusReport) -> Table {
    let mut table =
        Table::new(&["DOMAIN", "STATE", "DAEMON", ">PID", ">UPTIME", ">RESTARTS", ">SESSIONS", "DESCRIPTION"]);
    for status in &report.domains {
        let health = match status.state {
            DomainState::Up => Health::Good,
            DomainState::Starting | DomainState::Stopping | DomainState::Degraded => Health::Doubtful,
            DomainState::Failed => Health::Bad,
        };
        let established = status.sessions.iter().filter(|session| session.is_established()).count();
        let sessions = match status.sessions.len() {
            _ if status.sessions_unknown => "?".to_owned(),
            0 => String::new(),
            all => format!("{established}/{all}"),
        };
        let daemon = status.daemon.as_ref();
        table.row(
            health,
            [
                status.name.to_string(),
                status.state.as_str().to_owned(),
                daemon
                    .filter(|daemon| daemon.kind != DaemonKind::None)
                    .map(|daemon| format!("{} {}", daemon.kind.as_str(), daemon.state))
                    .unwrap_or_default(),
                daemon.and_then(|daemon| daemon.pid).map(|pid| pid.to_string()).unwrap_or_default(),
                daemon.and_then(|daemon| daemon.uptime_seconds).map(output::duration).unwrap_or_default(),
                daemon.map(|daemon| daemon.restarts.to_string()).unwrap_or_default(),
                sessions,
                status.description.clone().unwrap_or_default(),
            ],
        );
    }
    table
}

fn sessions(report: &StatusReport, one: bool) -> Table {
    output::sessions_table(report.domains.iter().flat_map(|status| {
        let domain = (!one).then_some(status.name.as_str());
        status.sessions.iter().map(move |session| (domain, session))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> StatusReport {
        let now = jiff::Timestamp::now();
        let session = |name: &str, state: &str, error: Option<&str>| crate::daemons::Session {
            name: format!("rd-{name}"),
            peer: name.to_owned(),
            protocol: format!("rd_{name}"),
            remote_asn: Some(crate::model::Asn(65001)),
            local_asn: None,
            address: None,
            interface: None,
            state: state.to_owned(),
            since: Some(now - jiff::SignedDuration::from_secs(11_100)),
            imported: 3,
            filtered: Some(1),
            exported: 2,
            families: Vec::new(),
            last_error: error.map(str::to_owned),
            neighbor_id: None,
            source: None,
            hold_seconds: None,
            route_refresh: None,
            bfd: None,
            stale: false,
        };
        let domain = |name: &str| DomainName::new(name).expect("a legal name");
        let mut report = StatusReport {
            version: "0.1.0".to_owned(),
            pid: Some(311),
            config: "/etc/rdsup/rdsup.toml".into(),
            run_dir: "/run/rdsup".into(),
            ready: false,
            state_words: String::new(),
            domains: vec![
                DomainStatus {
                    name: domain("internet"),
                    description: Some("upstream".to_owned()),
                    state: DomainState::Up,
                    daemon: Some(crate::control::DaemonStatus {
                        kind: DaemonKind::Bird,
                        state: "running".to_owned(),
                        pid: Some(4711),
                        uptime_seconds: Some(11_100),
                        restarts: 0,
                        last_exit: None,
                        last_words: Vec::new(),
                        next_attempt_seconds: None,
                        unanswered_seconds: None,
                    }),
                    sessions: vec![session("private", "Established", None)],
                    links: Vec::new(),
                    sessions_unknown: false,
                    drops: vec![crate::control::Drop {
                        interface: "rd-private".to_owned(),
                        reason: "spoofed source".to_owned(),
                        packets: 12,
                        bytes: 1500,
                    }],
                    problems: Vec::new(),
                },
                DomainStatus {
                    name: domain("private"),
                    description: None,
                    state: DomainState::Degraded,
                    daemon: None,
                    sessions: vec![session("internet", "Idle", Some("Socket: No route to host"))],
                    sessions_unknown: false,
                    links: vec![crate::control::LinkStatus {
                        interface: "rd-internet".to_owned(),
                        peer: domain("internet"),
                        up: false,
                        routing: Routing::Bgp,
                    }],
                    drops: Vec::new(),
                    problems: vec!["rd-internet is down".to_owned()],
                },
            ],
            problems: Vec::new(),
            generation: Some(GenerationStatus {
                number: 7,
                at: jiff::Timestamp::UNIX_EPOCH,
                confirm_within: Some(252),
                file_differs: true,
            }),
            repairs: Vec::new(),
        };
        report.conclude();
        report
    }

    #[test]
    fn status_shows_what_is_not_well_at_a_glance() {
        let text = anstream::adapter::strip_str(&for_people(&report(), false)).to_string();
        let wanted = "\
rdsup 0.1.0  pid 311  /etc/rdsup/rdsup.toml  generation 7  1 of 2 domains up, 1 of 2 sessions Established
generation 7 waits to be confirmed: what was before comes back in 4m 12s, unless: rdsup confirm
/etc/rdsup/rdsup.toml is not what runs; see: rdsup diff, rdsup plan, rdsup apply

DOMAIN    STATE     DAEMON         PID  UPTIME  RESTARTS  SESSIONS  DESCRIPTION
internet  up        bird running  4711   3h 5m         0       1/1  upstream
private   degraded  -                -       -         -       0/1  -

DOMAIN    SESSION      PEER         AS  STATE          FOR  IN  FILTERED  OUT  LAST ERROR
internet  rd-private   private   65001  Established  3h 5m   3         1    2  -
private   rd-internet  internet  65001  Idle         3h 5m   3         1    2  Socket: No route to host

DOMAIN   LINK         PEER      ROUTING  STATE
private  rd-internet  internet  bgp      down

DOMAIN    INTERFACE   DROPPED BECAUSE  PACKETS   BYTES
internet  rd-private  spoofed source        12  1.5 kB

PROBLEMS
  private: rd-internet is down
";
        assert_eq!(text, wanted);
    }

    #[test]
    fn what_counts_is_told_beside_a_problem_and_sessions_that_nobody_knows_are_not_none() {
        let mut report = report();
        let status = &mut report.domains[0];
        (status.sessions, status.sessions_unknown) = (Vec::new(), true);
        status.problems.push("bird does not answer".to_owned());
        let daemon = status.daemon.as_mut().expect("it has one");
        (daemon.unanswered_seconds, daemon.state) = (Some(7), "silent".to_owned());
        let text = anstream::adapter::strip_str(&for_people(&report, false)).to_string();
        for words in ["bird has not answered for 7 s; after 20 s it is replaced\n", "internet: bird does not answer\n"]
        {
            assert!(text.contains(words), "{text}");
        }
        let row = text.lines().find(|line| line.starts_with("internet ")).expect("its row");
        assert!(row.contains("0         ?  upstream"), "{row}");
    }

    #[test]
    fn without_a_supervisor_it_is_told_what_stands() {
        let domains = ["internet", "private"].map(|name| DomainName::new(name).expect("a legal name")).to_vec();
        let standing = Standing { generation: Some(5), domains, daemons: 2 };
        let words = "the supervisor is not running; generation 5 stands: 2 domains, 2 daemons";
        assert_eq!(standing_alone(&standing).message, words);
        let standing = Standing { generation: None, daemons: 0, ..standing };
        let words = "the supervisor is not running; a network stands: 2 domains, no daemon";
        assert_eq!(standing_alone(&standing).message, words);
    }

    #[test]
    fn the_status_of_one_domain_says_whose_packets_were_dropped_and_what_the_reason_means() {
        let mut report = report();
        report.domains.truncate(1);
        let status = &mut report.domains[0];
        status.links.push(crate::control::LinkStatus {
            interface: "rd-private".to_owned(),
            peer: DomainName::new("private").expect("a legal name"),
            up: true,
            routing: Routing::Bgp,
        });
        "spoofed".clone_into(&mut status.drops[0].reason);
        let text = anstream::adapter::strip_str(&for_people(&report, true)).to_string();
        let wanted = "\
INTERFACE   PEER     DROPPED BECAUSE  PACKETS   BYTES  THAT IS
rd-private  private  spoofed               12  1.5 kB  source not accepted from there
";
        assert!(text.ends_with(wanted), "{text}");
    }

    #[test]
    fn what_was_repaired_is_told_the_last_first_and_is_no_problem() {
        let mut report = report();
        report.domains.truncate(1);
        let at = |second| jiff::Timestamp::from_second(second).expect("a time");
        let repair = |second: i64, found: &[&str], milliseconds: u64| crate::control::Repair {
            at: at(second),
            domain: report.domains[0].name.clone(),
            found: found.iter().map(|words| (*words).to_owned()).collect(),
            milliseconds,
        };
        report.repairs = vec![
            repair(1_000_000, &["link rd-private was gone"], 31),
            repair(1_000_070, &["rd-private was down", "sysctl net.ipv4.ip_forward was altered"], 17),
        ];
        report.conclude();
        assert!(is_ready(&report, None));
        let wanted = "\
DOMAIN    FOUND AND REPAIRED                                              AGO   TOOK
internet  rd-private was down; sysctl net.ipv4.ip_forward was altered     30s  17 ms
internet  link rd-private was gone                                     1m 40s  31 ms
";
        let text = anstream::adapter::strip_str(&repairs(&report, at(1_000_100)).text()).to_string();
        assert_eq!(text, wanted);
    }

    #[test]
    fn ready_means_every_domain_up_and_every_session_established() {
        let mut report = report();
        assert!(!is_ready(&report, None));
        assert!(is_ready(&report, Some(&report.domains[0].name)));
        report.domains.truncate(1);
        report.conclude();
        assert!(is_ready(&report, None));
        "OpenConfirm".clone_into(&mut report.domains[0].sessions[0].state);
        assert!(!is_ready(&report, None));
    }
}
