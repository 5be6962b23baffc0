//! What is asked of the supervisor: what only looks is answered at once, what changes something goes to the event loop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::aside::Aside;
use super::commands::Asked;
use super::events::Events;
use super::failure::{RunError, told};
use super::generations::Generations;
use super::keeper::{Applied, Keeper};
use super::kept::history;
use super::outlook::outlook_of;
use super::prepare::Prepared;
use super::processes::ProcessReport;
use super::report::Sight;
use crate::control::access::{AccessRules, ctl_access};
use crate::control::{
    Asked as Domains, CallError, Caller, Change, CtlTarget, Handler, Progress, Repair, Reply, Request, ctl,
};
use crate::daemons::Peers;
use crate::history::Pending;
use crate::model::{DomainName, Network};
use crate::plan::Layout;
use crate::sys::digest;
use crate::sys::generations::Store;

/// What changes something, with a place for the answer.
pub enum Order {
    /// Change what runs.
    Change {
        /// How.
        command: Command,
        /// Where it is told how far it is.
        progress: Progress,
        /// Told when it is done.
        reply: oneshot::Sender<Result<Change, CallError>>,
    },
    /// Leave.
    Stop {
        /// Whether the network stays.
        keep: bool,
        /// Told when it is done.
        reply: oneshot::Sender<Result<Applied, CallError>>,
    },
}

/// A change of what runs.
pub enum Command {
    /// Read a file and apply it.
    Apply(Asked),
    /// What waits to be confirmed stays.
    Confirm {
        /// Who says so.
        by: String,
    },
    /// An earlier generation comes back.
    Rollback {
        /// Which; the one before if none is named.
        to: Option<u64>,
        /// How long it may stay unconfirmed.
        confirm: Option<Duration>,
        /// Who asks.
        by: String,
    },
}

impl Command {
    /// How long what comes of it may stay unconfirmed.
    pub fn confirm(&self) -> Option<Duration> {
        match self {
            Self::Apply(asked) => asked.confirm,
            Self::Rollback { confirm, .. } => *confirm,
            Self::Confirm { .. } => None,
        }
    }
}

/// How things stand, as far as the event loop knows without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The file in force.
    pub config: PathBuf,
    /// What it means.
    pub network: Arc<Network>,
    /// Where things lie.
    pub layout: Layout,
    /// Who may ask what.
    pub rules: Arc<AccessRules>,
    /// Every daemon's process.
    pub processes: BTreeMap<DomainName, ProcessReport>,
    /// What is not as it should be.
    pub problems: BTreeMap<DomainName, Vec<String>>,
    /// The generation in force, and when it came; none where it cannot be noted.
    pub generation: Option<(u64, Timestamp)>,
    /// What waits to be confirmed.
    pub pending: Option<Pending>,
    /// A digest of the text in force.
    pub text: u64,
    /// What was repaired lately.
    pub repairs: Vec<Repair>,
    /// What is wrong and belongs to no domain.
    pub overdue: Option<String>,
}

impl View {
    /// The view of the event loop.
    pub fn of(
        prepared: &Prepared,
        rules: &Arc<AccessRules>,
        keeper: &Keeper,
        applied: &Applied,
        generations: &Generations,
    ) -> Self {
        let processes = prepared.network.domains.iter().filter_map(|domain| {
            let report = keeper.processes.report(&domain.name)?;
            Some((domain.name.clone(), report))
        });
        Self {
            config: prepared.network.settings.source.clone(),
            network: prepared.network.clone(),
            layout: prepared.layout.clone(),
            rules: rules.clone(),
            processes: processes.collect(),
            problems: applied.problems.clone(),
            generation: generations.in_force().map(|generation| (generation.number, generation.at)),
            pending: generations.pending().cloned(),
            text: digest(&prepared.snapshot.text),
            repairs: keeper.repairs.lately(Timestamp::now()),
            overdue: generations.overdue().map(str::to_owned),
        }
    }

    /// What this domain's sessions are called, from their interface or neighbor name to who is at the other end.
    pub fn peers(&self, domain: &DomainName) -> Peers {
        let links = self.network.links_of(domain);
        let mut peers: Peers =
            links.map(|(_, end, peer)| (end.interface.to_string(), peer.domain.to_string())).collect();
        let neighbors = self.network.domain(domain).into_iter().flat_map(|domain| &domain.neighbors);
        peers.extend(neighbors.map(|neighbor| (neighbor.name.to_string(), neighbor.name.to_string())));
        peers
    }
}

/// How many files are read at one time for those who only ask, and how long each is waited for.
const READS_AT_ONCE: usize = 2;
const READ_WITHIN: Duration = Duration::from_secs(30);

/// Answers requests.
pub struct Requests {
    orders: mpsc::Sender<Order>,
    sight: Sight,
    events: Events,
    aside: Aside,
}

impl Requests {
    /// A handler that looks at things and gives `orders`.
    pub fn new(orders: mpsc::Sender<Order>, sight: Sight, events: Events) -> Self {
        Self { orders, sight, events, aside: Aside::new(READS_AT_ONCE, READ_WITHIN) }
    }

    fn view(&self) -> Arc<View> {
        self.sight.view()
    }

    async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, CallError>>) -> Order,
    ) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        let leaving = || CallError::failed("the supervisor is leaving");
        self.orders.send(order(reply)).await.map_err(|_| leaving())?;
        answer.await.map_err(|_| leaving())?
    }

    async fn change(&self, command: Command, progress: Progress) -> Result<Reply, CallError> {
        Ok(Reply::Changed(self.order(|reply| Order::Change { command, progress, reply }).await?))
    }

    /// Whoever names a configuration file on the command line expects that one to be read.
    async fn is_ours(&self, config: Option<&Path>) -> Result<(), CallError> {
        let ours = self.view().config.clone();
        match config {
            Some(other) if !self.is_same(other, &ours).await => {
                let words = format!("the supervisor runs {}, and not {}", ours.display(), other.display());
                Err(CallError::invalid(words).hint(format!("rdsup apply {}", other.display())))
            }
            _ => Ok(()),
        }
    }

    /// Whether both names lead to one file. One that does not come is another one.
    async fn is_same(&self, one: &Path, other: &Path) -> bool {
        let (first, second) = (one.to_owned(), other.to_owned());
        let same = move || std::fs::canonicalize(first).ok() == std::fs::canonicalize(second).ok();
        one == other || self.aside.read(one, same).await.unwrap_or(false)
    }

    async fn ctl(&self, asked: &Domains, command: &str, raw: bool, caller: &Caller) -> Result<Reply, CallError> {
        let view = self.view();
        let targets = view.network.domains.iter().map(|domain| {
            let socket = view.layout.socket(&domain.name, domain.daemon);
            (domain.name.clone(), CtlTarget { kind: domain.daemon, socket, peers: view.peers(&domain.name) })
        });
        let access = |name: &DomainName| ctl_access(name, command, raw, caller, &view.rules);
        Ok(Reply::Ctl(ctl(&targets.collect(), asked, command, raw, access).await?))
    }

    async fn plan(&self, file: Option<String>) -> Result<Reply, CallError> {
        let path = file.map_or_else(|| self.view().config.clone(), PathBuf::from);
        let outlook = outlook_of(&path, &self.sight.machine, &self.aside).await.map_err(CallError::failed)?;
        let mut lines: Vec<String> = outlook.plan.steps().map(ToString::to_string).collect();
        lines.extend(outlook.reset_lines().iter().map(|line| format!("# {line}")));
        Ok(Reply::Lines(lines))
    }
}

impl Handler for Requests {
    fn rules(&self) -> Arc<AccessRules> {
        self.view().rules.clone()
    }

    fn handle(&self, request: Request, caller: Caller, progress: Progress) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(async move {
            match request {
                Request::Ping {} => Ok(Reply::Version(env!("CARGO_PKG_VERSION").to_owned())),
                Request::Status { counters } => Ok(Reply::Status(Box::new(self.sight.status(counters).await))),
                Request::Events { domain } => self.events.stream(domain.as_ref(), &self.sight, &progress).await,
                Request::Ctl { domains, command, raw } => self.ctl(&domains, &command, raw, &caller).await,
                Request::Plan { file } => self.plan(file).await,
                Request::Apply { file, config, confirm } => {
                    self.is_ours(config.as_deref()).await?;
                    let confirm = confirm.map(Duration::from_secs);
                    let by = format!("apply by {}", caller.name());
                    self.change(Command::Apply(Asked { file, confirm, by }), progress).await
                }
                Request::Confirm {} => self.change(Command::Confirm { by: caller.name() }, progress).await,
                Request::Rollback { to, confirm } => {
                    let confirm = confirm.map(Duration::from_secs);
                    self.change(Command::Rollback { to, confirm, by: caller.name() }, progress).await
                }
                Request::History {} => Ok(Reply::History(history(&self.view().layout).map_err(CallError::failed)?)),
                Request::Generation { number } => {
                    let store = Store::new(&self.view().layout);
                    match store.read(number).map_err(CallError::failed)? {
                        Some(generation) => Ok(Reply::Generation(Box::new(generation))),
                        None => Err(told(RunError::NotKept(number))),
                    }
                }
                Request::Stop { keep } => {
                    if !keep {
                        progress.line("stopping the daemons, then taking down links and namespaces");
                    }
                    let applied = self.order(|reply| Order::Stop { keep, reply }).await?;
                    for words in applied.notes {
                        progress.line(format!("warning: {words}"));
                    }
                    Ok(Reply::Done)
                }
            }
        })
    }
}
