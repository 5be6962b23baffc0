//! What every routing daemon can say of its sessions and routes, in words that belong to none of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DaemonError, LineAnswer};
use crate::model::{Asn, Family};

/// One BGP session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Our name of it: the link's interface (`rd-internet`) or the neighbor's name.
    pub name: String,
    /// The domain at the other end, or the neighbor's name for an external one.
    pub peer: String,
    /// The daemon's own name of it.
    pub protocol: String,
    /// The neighbor's AS number.
    pub remote_asn: Option<Asn>,
    /// Our AS number towards it.
    pub local_asn: Option<Asn>,
    /// The neighbor's address.
    pub address: Option<IpAddr>,
    /// The interface, for a link-local address.
    pub interface: Option<String>,
    /// The state of RFC 4271, such as `Established`.
    pub state: String,
    /// When it came into this state.
    pub since: Option<Timestamp>,
    /// Routes accepted, of all families.
    pub imported: u64,
    /// What the filter refused, of all families: of BIRD the announcements since the session began, of FRR the routes that are
    /// refused now. None where the daemon cannot tell, as FRR where it does not keep what it refuses.
    pub filtered: Option<u64>,
    /// Routes announced, of all families.
    pub exported: u64,
    /// The same for each family.
    pub families: Vec<FamilyCounts>,
    /// Why it last went down, in the daemon's words.
    pub last_error: Option<String>,
    /// The neighbor's BGP identifier.
    pub neighbor_id: Option<Ipv4Addr>,
    /// The own address of the connection.
    pub source: Option<IpAddr>,
    /// The hold time in use, in seconds.
    pub hold_seconds: Option<u32>,
    /// Whether the neighbor sends its routes again when it is asked (RFC 2918); unknown while there is no session.
    pub route_refresh: Option<bool>,
    /// What BFD sees of the neighbor, in the daemon's word in lower case: `up`, `down`, `init`; none where it does not watch it.
    pub bfd: Option<String>,
    /// Whether routes of the session before this one are kept until the neighbor has said everything again (RFC 4724).
    #[serde(skip)]
    pub stale: bool,
}

impl Session {
    /// Whether routes can flow.
    pub fn is_established(&self) -> bool {
        self.state == "Established"
    }

    /// Whether a person who types `name` means this session: our name of it, its peer, the daemon's name or its address.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name
            || self.peer == name
            || self.protocol == name
            || self.address.is_some_and(|address| name.parse() == Ok(address))
    }
}

/// The sessions of `all` that a person who types `name` means; an error if there are none.
pub(super) fn called(all: Vec<Session>, name: &str) -> Result<Vec<Session>, DaemonError> {
    let (found, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|session| session.is_called(name));
    if found.is_empty() {
        let known: Vec<&str> = others.iter().map(|session| session.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(DaemonError::NoSuchSession { name: name.to_owned(), known });
    }
    Ok(found)
}

/// What a session carries in one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyCounts {
    /// The family.
    pub family: Family,
    /// Whether the session carries it now.
    pub up: bool,
    /// Routes accepted.
    pub imported: u64,
    /// What the filter refused, where the daemon can tell: see [`Session::filtered`].
    pub filtered: Option<u64>,
    /// Routes announced.
    pub exported: u64,
    /// The most routes that are accepted.
    pub limit: Option<u64>,
}

/// One route to a destination; there may be several, of which one is best.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The destination.
    pub prefix: IpNet,
    /// `unicast`, `blackhole`, `unreachable` or `prohibit`.
    pub kind: String,
    /// Where packets go; several for a multipath route, none for other kinds than `unicast`.
    pub next_hops: Vec<NextHop>,
    /// Our name of what it was learned from: a link's interface, a neighbor's name, or the daemon's own name.
    pub from: String,
    /// The daemon's own name of what it was learned from.
    pub protocol: String,
    /// How it came into the table: `bgp`, `static`, `device` …
    pub source: String,
    /// When it came.
    pub since: Option<Timestamp>,
    /// The daemon's preference of the source, higher is better.
    pub preference: Option<u32>,
    /// Whether it is the one in use.
    pub best: bool,
    /// What BGP says of it.
    pub bgp: Option<BgpAttributes>,
}

/// Where a packet goes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// The gateway; none where the destination is on the interface itself.
    pub via: Option<IpAddr>,
    /// The interface.
    pub interface: Option<String>,
}

/// Path attributes (RFC 4271 section 5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BgpAttributes {
    /// `ORIGIN`: `IGP`, `EGP` or `Incomplete`.
    pub origin: Option<String>,
    /// `AS_PATH` as the daemon prints it, nearest first.
    pub as_path: String,
    /// `LOCAL_PREF`.
    pub local_pref: Option<u32>,
    /// `MULTI_EXIT_DISC`.
    pub med: Option<u32>,
    /// Communities of every kind as the daemon prints them.
    pub communities: Vec<String>,
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// `show bgp`: what was learned by BGP, and what is announced as our own (`from` is `originated`).
    Bgp(Vec<Route>),
    /// `show bgp summary`: every session.
    Summary(Vec<Session>),
    /// `show bgp neighbor NAME`: the sessions of that name.
    Neighbor(Vec<Session>),
    /// `show route`: the whole table.
    Routes(Vec<Route>),
    /// What came of several commands of the daemon's own, as far as they were sent.
    Script(Vec<LineAnswer>),
    /// The daemon's own text.
    Text {
        /// Without a final newline.
        text: String,
        /// Whether the daemon calls it an error.
        error: bool,
    },
}

impl Answer {
    /// Whether the daemon refused something.
    pub fn is_error(&self) -> bool {
        match self {
            Self::Text { error, .. } => *error,
            Self::Script(lines) => lines.iter().any(|line| line.error),
            Self::Bgp(_) | Self::Summary(_) | Self::Neighbor(_) | Self::Routes(_) => false,
        }
    }
}

/// The domain at the other end of each link interface of one domain, so that `show` can name it.
pub type Peers = BTreeMap<String, String>;
