//! What is asked of the supervisor: what only looks is answered at once, what changes something goes to the event loop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use super::keeper::{Applied, Keeper};
use super::outlook::outlook_of;
use super::prepare::Prepared;
use super::processes::ProcessReport;
use super::report;
use crate::control::access::{AccessRules, ctl_access};
use crate::control::{Asked, CallError, Caller, CtlTarget, Handler, Progress, Reply, Request, ctl};
use crate::daemons::Peers;
use crate::model::{DomainName, Network};
use crate::plan::Layout;
use crate::sys::Machine;

/// What changes something, with a place for the answer.
pub enum Order {
    /// Read the file again and apply it.
    Apply(oneshot::Sender<Result<Applied, CallError>>),
    /// Leave.
    Stop {
        /// Whether the network stays.
        keep: bool,
        /// Told when it is done.
        reply: oneshot::Sender<Result<Applied, CallError>>,
    },
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
}

impl View {
    /// The view of the event loop.
    pub fn of(prepared: &Prepared, rules: &Arc<AccessRules>, keeper: &Keeper, applied: &Applied) -> Self {
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

/// Answers requests.
pub struct Requests {
    orders: mpsc::Sender<Order>,
    view: watch::Receiver<Arc<View>>,
    machine: Arc<Machine>,
}

impl Requests {
    /// A handler that looks through `view` and gives `orders`.
    pub fn new(orders: mpsc::Sender<Order>, view: watch::Receiver<Arc<View>>, machine: Arc<Machine>) -> Self {
        Self { orders, view, machine }
    }

    fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    async fn order(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<Applied, CallError>>) -> Order,
    ) -> Result<Applied, CallError> {
        let (reply, answer) = oneshot::channel();
        let leaving = || CallError::failed("the supervisor is leaving");
        self.orders.send(order(reply)).await.map_err(|_| leaving())?;
        answer.await.map_err(|_| leaving())?
    }

    async fn ctl(&self, asked: &Asked, command: &str, raw: bool, caller: &Caller) -> Result<Reply, CallError> {
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
        let plan = outlook_of(&path, &self.machine).await.map_err(CallError::failed)?;
        Ok(Reply::Lines(plan.steps().map(ToString::to_string).collect()))
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
                Request::Status { counters } => {
                    Ok(Reply::Status(Box::new(report::status(&self.view(), &self.machine, counters).await)))
                }
                Request::Ctl { domains, command, raw } => self.ctl(&domains, &command, raw, &caller).await,
                Request::Plan { file } => self.plan(file).await,
                Request::Apply {} => {
                    progress.line("reading the file and validating what is made of it");
                    let applied = self.order(Order::Apply).await?;
                    for line in report::lines(&applied) {
                        progress.line(line);
                    }
                    Ok(Reply::Done)
                }
                Request::Stop { keep } => {
                    if !keep {
                        progress.line("stopping the daemons, then taking down links and namespaces");
                    }
                    self.order(|reply| Order::Stop { keep, reply }).await?;
                    Ok(Reply::Done)
                }
            }
        })
    }
}
