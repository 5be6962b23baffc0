//! What a plan is made of: stages, and what stands in the way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Layout;
use super::step::Step;
use crate::model::{DomainName, InterfaceName, Origin};

/// The parts of a plan, in the order in which they are carried out.
///
/// Within a stage the steps of one domain are done in order and those of different domains at the same time; a stage ends
/// before the next begins. The order is the first invariant of the architecture: nothing is linked before it is filtered,
/// and what goes away loses its links first.
///
/// Filters change before interfaces, addresses, routes and daemons do. A route only chooses among the ways that the filters
/// leave open, so neither one that is not gone yet nor one that has not come yet lets anything through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Filters that change in several domains are loaded beside the old ones. If one cannot be, nothing else is done.
    Tighten,
    /// Daemons that should no longer run say good-bye while their links still carry it.
    StopDaemons,
    /// Interfaces that should not be there go down.
    Unlink,
    /// They are deleted, or go back to the host.
    RemoveLinks,
    /// Claimed interfaces get back in the host what they had there.
    Restore,
    /// Namespaces, tables and files that should not be there are removed.
    RemoveDomains,
    /// Directories and files.
    Files,
    /// Namespaces, their sysctls and their packet filters.
    Namespaces,
    /// Interfaces, still down.
    Links,
    /// Addresses, then up.
    Addresses,
    /// Routes, which need their interfaces up.
    Routes,
    /// Daemons start or read their configuration again.
    Daemons,
    /// What is remembered and was lost is written again; nothing builds upon that.
    Notes,
}

impl Stage {
    /// A heading for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tighten => "packet filters, old and new",
            Self::StopDaemons => "stop daemons",
            Self::Unlink => "take down what goes",
            Self::RemoveLinks => "remove links",
            Self::Restore => "give interfaces back",
            Self::RemoveDomains => "remove domains",
            Self::Files => "directories and files",
            Self::Namespaces => "domains and their packet filters",
            Self::Links => "links",
            Self::Addresses => "addresses, then up",
            Self::Routes => "routes",
            Self::Daemons => "routing daemons",
            Self::Notes => "what is remembered",
        }
    }
}

/// What is told where the host has the table `inet rdsup` of another run directory.
pub fn host_taken(run_dir: &Path) -> String {
    let run_dir = run_dir.display();
    format!(
        "the network of run_dir {run_dir} has `[domain.host]` already: the table inet rdsup of this machine is its own"
    )
}

/// One thing to try then.
pub const HOST_TAKEN_HINT: &str = "only one network can have `[domain.host]`: take the other down with its own file (rdsup -c FILE stop), or do without";

/// What is found in a namespace that another run directory made, up to its name.
const OF_ANOTHER: &str = "is marked \"rdsup /";

/// One thing to try where a namespace was found that is not ours.
pub fn foreign_hint(domain: &DomainName, found: &str) -> String {
    if found.contains(OF_ANOTHER) {
        OF_ANOTHER_HINT.to_owned()
    } else {
        format!("rename the domain, or remove the namespace with: ip netns delete {domain}")
    }
}

const OF_ANOTHER_HINT: &str = "it is of a network with another run_dir: rename the domain, or take that network down first (if run_dir was changed \
                               in this file: put the old one back, rdsup stop, change it, rdsup start)";

/// Something that stands in the way and is not rdsup's to remove.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A namespace of a domain's name that is someone else's.
    #[error("domain {domain}: a network namespace of that name exists and rdsup did not make it ({found})")]
    ForeignNamespace {
        /// The domain.
        domain: DomainName,
        /// What was found.
        found: String,
        /// Where the domain was declared.
        origin: Origin,
    },
    /// The host is a domain of another run directory's network.
    #[error("domain host: {}", host_taken(.run_dir))]
    HostTaken {
        /// That run directory.
        run_dir: PathBuf,
        /// Where the domain was declared.
        origin: Origin,
    },
    /// The host is to forward, and an interface would no longer learn its default route.
    #[error(
        "domain host: {interface} has its IPv6 default route from router advertisements and would lose it by `forwarding = true`"
    )]
    LosesDefaultRoute {
        /// The interface.
        interface: String,
        /// Where the domain was declared.
        origin: Origin,
    },
    /// A routing daemon is to run in the host, and another one does.
    #[error("domain host: a routing daemon is asked for, and something else routes there: {found}")]
    RoutedByOthers {
        /// What was found.
        found: String,
        /// Where the domain was declared.
        origin: Origin,
    },
    /// An interface of a link's name that is someone else's.
    #[error("domain {domain}: an interface {interface} exists and rdsup did not make it")]
    ForeignInterface {
        /// The domain.
        domain: DomainName,
        /// The interface.
        interface: InterfaceName,
        /// Where the link was declared.
        origin: Origin,
    },
}

impl Conflict {
    /// Where in the file the object was asked for.
    pub fn origin(&self) -> Origin {
        match self {
            Self::ForeignNamespace { origin, .. }
            | Self::ForeignInterface { origin, .. }
            | Self::HostTaken { origin, .. }
            | Self::LosesDefaultRoute { origin, .. }
            | Self::RoutedByOthers { origin, .. } => *origin,
        }
    }

    /// The domain that lacks something because of it.
    pub fn domain(&self) -> DomainName {
        match self {
            Self::ForeignNamespace { domain, .. } | Self::ForeignInterface { domain, .. } => domain.clone(),
            Self::HostTaken { .. } | Self::LosesDefaultRoute { .. } | Self::RoutedByOthers { .. } => Layout::host(),
        }
    }

    /// One thing to try.
    pub fn hint(&self) -> String {
        match self {
            Self::ForeignNamespace { domain, found, .. } => foreign_hint(domain, found),
            Self::HostTaken { .. } => HOST_TAKEN_HINT.to_owned(),
            Self::LosesDefaultRoute { interface, .. } => {
                let key = interface.replace('.', "/");
                format!(
                    "let it learn them all the same with: sysctl -w net.ipv6.conf.{key}.accept_ra=2; or remove `forwarding`"
                )
            }
            Self::RoutedByOthers { .. } => {
                "use `daemon = \"none\"` with `routing = \"static\"` on the links of host, or stop the other daemon"
                    .to_owned()
            }
            Self::ForeignInterface { domain, interface, .. } if domain.is_host() => {
                format!("give the link a `name`, or remove the interface with: ip link delete {interface}")
            }
            Self::ForeignInterface { domain, interface, .. } => {
                format!("give the link a `name`, or remove the interface with: ip -n {domain} link delete {interface}")
            }
        }
    }
}

/// An interface that the file claims and the host does not have (yet).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The domain that claims it.
    pub domain: DomainName,
    /// Its name.
    pub interface: InterfaceName,
    /// Where it was declared.
    pub origin: Origin,
}

/// What to do, computed whole before anything is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, sorted by stage.
    pub steps: Vec<(Stage, Step)>,
    /// What cannot be done because an interface is not there.
    pub missing: Vec<Missing>,
    /// Interfaces that go back to the host and get nothing there, because nobody remembers what they had.
    pub bare: Vec<InterfaceName>,
    /// What claimed interfaces have in the host that they will not get back, in words.
    pub unkept: Vec<(InterfaceName, BTreeSet<String>)>,
}

/// How many things that are not given back are named.
const NAMED: usize = 8;

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What whoever asks for it should know before it is done: interfaces that the host itself is reached by.
    pub fn warnings(&self) -> Vec<String> {
        let claims = self.steps().filter(|step| matches!(step.action, super::Action::ClaimInterface { .. }));
        claims.filter_map(|step| Some(format!("{step}: {}", step.cause.as_ref()?))).collect()
    }

    /// What a daemon that goes on does not do yet of what the file says.
    pub fn later(&self) -> impl Iterator<Item = String> {
        let told = self.steps().filter(|step| matches!(step.action, super::Action::ReloadDaemon { .. }));
        told.filter_map(|step| Some(format!("{}: {}", step.domain, step.cause.as_ref()?)))
    }

    /// What claimed interfaces lose for good, an interface each.
    pub fn not_given_back(&self) -> impl Iterator<Item = String> {
        self.unkept.iter().map(|(name, unkept)| {
            let named: Vec<&str> = unkept.iter().map(String::as_str).take(NAMED).collect();
            let more = match unkept.len() - named.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("interface {name} is not given back at stop with: {}{more}", named.join(", "))
        })
    }

    /// The steps without their stages.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().map(|(_, step)| step)
    }

    /// The stages that have steps, in order, each with its steps grouped by domain.
    pub fn stages(&self) -> BTreeMap<Stage, BTreeMap<DomainName, Vec<Step>>> {
        let mut stages: BTreeMap<Stage, BTreeMap<DomainName, Vec<Step>>> = BTreeMap::new();
        for (stage, step) in &self.steps {
            stages.entry(*stage).or_default().entry(step.domain.clone()).or_default().push(step.clone());
        }
        stages
    }
}
