//! The file as it is written: every table and key, before anything is checked against anything else.
//!
//! The doc comments here are what `rdsup schema` and `docs/configuration.md` say about a key. Values that need more than
//! a type (prefixes, names, packets) are text at this stage; `resolve` reads them and points at the one that is wrong.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

use super::at::{At, ListOrTable, Named, Tables};

/// A list of texts, each with its place.
pub type Texts = Vec<At<String>>;

/// The configuration of rdsup.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(title = "rdsup.toml")]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What concerns rdsup itself, and defaults for all domains.
    #[serde(default)]
    pub rdsup: Rdsup,
    /// Named lists of prefix patterns, used as `"@name"` wherever patterns stand. A list is written here, and may then use
    /// other lists, or kept in a file of its own, as in `{ file = "/etc/rdsup/irr.txt" }`, with one pattern to a line.
    #[serde(default)]
    pub prefixes: Named<PrefixList>,
    /// The routing domains by name: `a` to `z`, `0` to `9` and `-`, at most 11 characters. `host` is the machine's own
    /// namespace, which is linked but never created, deleted or taken over.
    #[serde(default)]
    pub domain: Named<At<Domain>>,
    /// Links between two domains.
    #[serde(default)]
    pub link: Vec<At<Link>>,
    /// Single ports of a domain, opened to other domains.
    #[serde(default)]
    pub service: Vec<At<Service>>,
    /// Caches of validated route origins (RFC 8210), against which routes of external neighbors are checked.
    #[serde(default)]
    pub rpki: Vec<At<Rpki>>,
}

/// A named list of prefix patterns.
#[derive(Debug)]
pub enum PrefixList {
    /// Written out.
    Written(Texts),
    /// Kept in a file of its own.
    Kept(PrefixFile),
}

/// A file of prefix patterns, one to a line. Empty lines mean nothing, and neither does what follows a `#`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefixFile {
    /// The absolute path of the file.
    pub file: At<String>,
}

impl<'de> Deserialize<'de> for PrefixList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match ListOrTable::deserialize(deserializer)? {
            ListOrTable::List(texts) => Self::Written(texts),
            ListOrTable::Table(file) => Self::Kept(file),
        })
    }
}

impl JsonSchema for PrefixList {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PrefixList".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        ListOrTable::<String, PrefixFile>::json_schema(generator)
    }
}

/// What concerns rdsup itself, and defaults for all domains.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rdsup {
    /// Directory of sockets, rendered files and process records; lost at reboot.
    #[schemars(extend("default" = "/run/rdsup"))]
    pub run_dir: Option<At<String>>,
    /// Directory of what must outlive a reboot, such as the addresses that a claimed interface had.
    #[schemars(extend("default" = "/var/lib/rdsup"))]
    pub state_dir: Option<At<String>>,
    /// Directory whose files replace built-in templates of the same path.
    pub templates: Option<At<String>>,
    /// The routing daemon of domains that name none.
    #[schemars(extend("default" = "bird"))]
    pub daemon: Option<At<Daemon>>,
    /// The address families of domains that name none.
    #[schemars(extend("default" = ["ipv4", "ipv6"]))]
    pub families: Option<At<Vec<At<Family>>>>,
}

/// A routing daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Daemon {
    /// BIRD 2.
    Bird,
    /// FRR: zebra and bgpd.
    Frr,
    /// No daemon: static routes only.
    None,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    Ipv4,
    Ipv6,
}

/// A routing domain: a network namespace with its own interfaces, routes, packet filter and routing daemon.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Free text for people.
    pub description: Option<At<String>>,
    /// The AS number, unique in the file. Required when the domain speaks BGP.
    #[schemars(extend("minimum" = 1, "maximum" = 4_294_967_294_u32))]
    pub asn: Option<At<u32>>,
    /// The BGP identifier, written like an IPv4 address. Without it the first IPv4 loopback; required if there is none.
    pub router_id: Option<At<String>>,
    /// Addresses on `lo`, each /32 or /128. The first of a family is the source of what the domain itself sends.
    #[serde(default)]
    pub loopback: Texts,
    /// Prefixes that originate in this domain.
    #[serde(default)]
    pub networks: Texts,
    /// What routes here. Without it `[rdsup].daemon`; for `host`, `none`.
    pub daemon: Option<At<Daemon>>,
    /// Which address families are routed. Without it `[rdsup].families`.
    pub families: Option<At<Vec<At<Family>>>>,
    /// Name servers of everything that is run inside. Without any, `/etc/resolv.conf` stays as it is.
    #[serde(default)]
    pub dns: Texts,
    /// Raw configuration text for the daemon.
    pub extra: Option<Extra>,
    /// The group whose members may use this domain's `ctl`.
    pub operators: Option<At<String>>,
    /// The group whose members may only look.
    pub viewers: Option<At<String>>,
    /// Only for `host`: whether packets may be forwarded between the machine's interfaces and the links.
    #[schemars(extend("default" = false))]
    pub forwarding: Option<At<bool>>,
    /// Interfaces claimed from the machine.
    #[serde(default)]
    pub interface: Vec<At<Interface>>,
    /// Static routes.
    #[serde(default)]
    pub route: Vec<At<Route>>,
    /// External BGP neighbors.
    #[serde(default)]
    pub neighbor: Vec<At<Neighbor>>,
}

/// Raw configuration text for the daemon: the one place where text reaches it unread.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extra {
    /// Lines appended to this domain's `bird.conf`, checked by BIRD's own parser.
    pub bird: Option<At<String>>,
    /// Lines appended to this domain's `bgpd.conf`, checked by bgpd's own parser.
    pub frr: Option<At<String>>,
}

/// An interface of the machine, moved into the domain at start and given back with its addresses at stop.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Its name, on the machine and in the domain.
    pub name: At<String>,
    /// What it is.
    #[schemars(extend("default" = "physical"))]
    pub kind: Option<At<Kind>>,
    /// Where it is taken from.
    #[schemars(extend("default" = "host"))]
    pub from: Option<At<From>>,
    /// Addresses with their prefix length, such as `203.0.113.2/30`.
    #[serde(default)]
    pub address: Texts,
    /// The MTU, 1280 to 65535. Without it, it stays as it is.
    #[schemars(extend("minimum" = 1280, "maximum" = 65535))]
    pub mtu: Option<At<u32>>,
    /// Whether it leads out of what the admin controls: then nothing is forwarded from it unless `packets` says so.
    /// Without it, `true` where the interface carries a BGP neighbor or has `masquerade`.
    pub outside: Option<At<bool>>,
    /// New flows accepted from an outside interface towards what the domain announces.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub packets: Texts,
    /// New flows that the domain itself answers on this interface.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub input: Texts,
    /// Whether a source must be routed back through this interface (strict reverse path). Without it, the opposite of
    /// `outside`.
    pub source_check: Option<At<bool>>,
    /// Sources that leave by this interface with its own address (masquerading), such as `192.168.0.0/16`. An interface
    /// that masquerades is an outside interface.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub masquerade: Texts,
}

/// A kind of interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An interface that the machine has.
    Physical,
}

/// Where an interface is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// The machine's own namespace.
    Host,
}

/// A static route.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The destination, such as `0.0.0.0/0`.
    pub to: At<String>,
    /// The gateway, of the destination's family or IPv6.
    pub via: Option<At<String>>,
    /// The interface, needed for a link-local gateway. Without it, the one that leads to `via`.
    pub dev: Option<At<String>>,
    /// The metric. Without it the kernel's default.
    pub metric: Option<At<u32>>,
    /// What happens to packets.
    #[schemars(extend("default" = "unicast"))]
    pub kind: Option<At<RouteKind>>,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RouteKind {
    /// Forward to `via`, `dev` or both.
    Unicast,
    /// Drop silently.
    Blackhole,
    /// Drop and answer "host unreachable".
    Unreachable,
    /// Drop and answer "administratively prohibited".
    Prohibit,
}

impl RouteKind {
    /// The word that the configuration uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
        }
    }
}

/// An external BGP neighbor.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Neighbor {
    /// Its name, unique in the domain: `a` to `z`, `0` to `9` and `-`, at most 30 characters, and not `rd-` at the beginning.
    pub name: At<String>,
    /// Free text for people.
    pub description: Option<At<String>>,
    /// Its address.
    pub address: At<String>,
    /// The interface that leads to it, needed for a link-local address.
    pub interface: Option<At<String>>,
    /// Its AS number.
    #[schemars(extend("minimum" = 1, "maximum" = 4_294_967_294_u32))]
    pub asn: At<u32>,
    /// Set to `true` where the neighbor has the domain's own AS number on purpose.
    #[schemars(extend("default" = false))]
    pub ibgp: Option<At<bool>>,
    /// How many hops away it may be. Without it the neighbor is directly connected, and protected by GTSM (RFC 5082).
    #[schemars(extend("minimum" = 1))]
    pub multihop: Option<At<u8>>,
    /// Whether it is watched by BFD (RFC 5880), so that a way that is cut is noticed within a second. For a neighbor that is
    /// directly connected; it must do the same.
    #[schemars(extend("default" = false))]
    pub bfd: Option<At<bool>>,
    /// What is accepted from it.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub routes: Texts,
    /// What is announced to it.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub announce: Texts,
    /// Local preference of what it announces.
    pub preference: Option<At<u32>>,
    /// The most prefixes that it may announce, for each family.
    #[schemars(extend("default" = 10_000, "minimum" = 1))]
    pub max_prefixes: Option<At<u32>>,
    /// The longest AS path accepted.
    #[schemars(extend("default" = 100, "minimum" = 1, "maximum" = 2000))]
    pub max_path: Option<At<u32>>,
    /// What this domain is to the neighbor (RFC 9234). The neighbor must then claim the matching role.
    pub role: Option<At<Role>>,
    /// Whether its routes are checked against the domain's RPKI caches, where it has any.
    #[schemars(extend("default" = true))]
    pub rpki: Option<At<bool>>,
    /// Whether a range over everything in `routes`, such as `any`, takes in the default route too.
    #[schemars(extend("default" = false))]
    pub accept_default: Option<At<bool>>,
    /// Its TCP MD5 password (RFC 2385).
    pub password: Option<Password>,
}

/// What a domain is to a BGP neighbor (RFC 9234).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The neighbor buys transit of this domain.
    Provider,
    /// This domain buys transit of the neighbor.
    Customer,
    /// They are equals.
    Peer,
    /// This domain is a route server, and the neighbor its client.
    RsServer,
    /// The neighbor is a route server, and this domain its client.
    RsClient,
}

/// A password, kept outside of this file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// The file whose first line is the password.
    pub file: At<String>,
}

/// A veth pair between two domains and what may cross it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The two domains. The first end has the link-local address `fe80::1`, the second `fe80::2`, unless one of them runs FRR.
    #[schemars(extend("minItems" = 2, "maxItems" = 2))]
    pub between: At<Texts>,
    /// A name, needed when two domains have several links: at most 12 characters. The ends are then called `rd-NAME`.
    pub name: Option<At<String>>,
    /// How routes cross. Without it `bgp`, or `static` where an end runs no daemon.
    pub routing: Option<At<Routing>>,
    /// Makes the link numbered: at most one prefix for each family, of length /31 or /30, /127, /126 or /64. The first
    /// end has the first usable address, the second the next.
    #[serde(default)]
    pub addresses: Texts,
    /// The MTU of both ends, 1280 to 65535. Without it 1500, as the kernel has it.
    #[schemars(extend("minimum" = 1280, "maximum" = 65535))]
    pub mtu: Option<At<u32>>,
    /// The longest AS path accepted over the link.
    #[schemars(extend("default" = 64, "minimum" = 1, "maximum" = 2000))]
    pub max_path: Option<At<u32>>,
    /// The end that is the other's provider: both ends of the session then claim their roles of RFC 9234.
    pub provider: Option<At<String>>,
    /// What each end accepts from the other, by the receiver's name. An end without a table accepts nothing.
    #[serde(default)]
    pub into: Named<At<Accept>>,
}

/// How routes cross a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    /// An eBGP session that carries both families.
    Bgp,
    /// A static route for each prefix accepted.
    Static,
}

/// What a receiver accepts over a link.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// Destinations that the receiver learns, and so the only sources that it believes.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub routes: Texts,
    /// New flows that may enter, such as `"tcp/80,443"`, `"udp/53"`, `"icmp"`, `"gre"`, `"any"`. Replies always pass.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub packets: Texts,
    /// Local preference of routes learned here.
    pub preference: Option<At<u32>>,
    /// The most prefixes accepted, for each family. BIRD blocks the surplus; FRR closes the session and tries again after a minute.
    #[schemars(extend("default" = 10_000, "minimum" = 1))]
    pub max_prefixes: Option<At<u32>>,
    /// Domains that the receiver may also reach through the other end, as far as `routes` names their addresses.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub transit: Texts,
    /// Addresses of the other end that the receiver sees as one: a table, or a list of tables.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub nat: Tables<Nat>,
    /// Prefixes of the other end that the receiver sees as others: a table, or a list of tables.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub alias: Tables<Alias>,
}

/// Addresses of the other end that the receiver sees as one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nat {
    /// Prefixes of the other end, all of one address family. They can open flows to the receiver, and never the other way.
    pub from: At<Texts>,
    /// The address that the receiver sees, which `routes` must accept.
    pub to: At<String>,
}

/// A prefix of the other end that the receiver sees as another one, address by address and in both directions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// The other end's own prefix.
    pub real: At<String>,
    /// As the receiver sees it: a prefix of the same length, which `routes` must accept.
    pub seen: At<String>,
}

/// One port of one host, opened to the domains named and to nobody else.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name, unique in the file: `a` to `z`, `0` to `9` and `-`, at most 30 characters.
    pub name: At<String>,
    /// The domain that it is in.
    pub domain: At<String>,
    /// Where it answers, such as `"192.168.9.10:443/tcp"` or `"[2001:db8:2::10]:53/udp"`. The address is one of the domain's
    /// `networks`, loopbacks or interfaces.
    pub at: At<String>,
    /// Who may use it.
    pub expose: At<Vec<At<Expose>>>,
}

/// One domain that may use a service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expose {
    /// The domain, which has a link with the service's own.
    pub to: At<String>,
    /// Where that domain finds the service, such as `"198.51.100.5:443"`. Without it, where it answers.
    #[serde(rename = "as")]
    pub published: Option<At<String>>,
}

/// A cache of validated route origins, which the domain's daemon asks over TCP from inside the domain.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rpki {
    /// Its name, unique in the domain: `a` to `z`, `0` to `9` and `-`, at most 30 characters.
    pub name: At<String>,
    /// The domain whose external neighbors are checked.
    pub domain: At<String>,
    /// The address of the cache.
    pub address: At<String>,
    /// Its port.
    #[schemars(extend("default" = 323, "minimum" = 1))]
    pub port: Option<At<u16>>,
}
