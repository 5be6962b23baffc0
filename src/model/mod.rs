//! What a configuration file means: plain, resolved values.
//!
//! Everything here has been checked by `config`: names are legal, references point at something, defaults are filled
//! in. Later layers read these values and never the file again. The module has no behaviour beyond lookups.

mod domain;
mod link;
mod names;
mod packets;
mod prefix;
mod rpki;
mod service;
mod translation;

pub use domain::{
    DaemonKind, DaemonName, Domain, ExtraText, Families, Family, Interface, Neighbor, PasswordFile, Program, Role,
    Route, RouteKind,
};
pub use link::{Accept, AcceptLines, Link, LinkEnd, Routing};
pub use names::{Asn, CacheName, DomainName, InterfaceName, InvalidName, NeighborName, ServiceName};
pub use packets::{PacketMatch, Packets, PortProtocol, PortRange};
pub use prefix::PrefixPattern;
pub use rpki::RpkiCache;
pub use service::{Endpoint, Exposure, Service};
pub use translation::{Alias, Nat};

use std::path::PathBuf;

/// Everything that one file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The `[rdsup]` table.
    pub settings: Settings,
    /// Every domain, in the order of the file.
    pub domains: Vec<Domain>,
    /// Every link, in the order of its ends.
    pub links: Vec<Link>,
    /// Every service, by name.
    pub services: Vec<Service>,
    /// Every RPKI cache, by domain and name.
    pub rpki: Vec<RpkiCache>,
}

/// Link group of every interface that rdsup makes: the letters `rd` as a number. It is set atomically at creation, before any
/// alias can be, and so filters know by it what else they know by name.
pub const LINK_GROUP: u32 = 0x7264;

impl Network {
    /// The domain of that name.
    pub fn domain(&self, name: &DomainName) -> Option<&Domain> {
        self.domains.iter().find(|domain| &domain.name == name)
    }

    /// The links that end in `domain`, each with the end there and the end at the other side.
    pub fn links_of<'a>(
        &'a self,
        domain: &'a DomainName,
    ) -> impl Iterator<Item = (&'a Link, &'a LinkEnd, &'a LinkEnd)> + 'a {
        self.links.iter().filter_map(move |link| {
            let [first, second] = &link.ends;
            if &first.domain == domain {
                Some((link, first, second))
            } else if &second.domain == domain {
                Some((link, second, first))
            } else {
                None
            }
        })
    }
}

/// The `[rdsup]` table with its defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file that was read, as it was named; errors and generated files point at it.
    pub source: PathBuf,
    /// Sockets, rendered files and process records; lost at reboot. Default `/run/rdsup`.
    pub run_dir: PathBuf,
    /// What must outlive a reboot, such as the addresses that a claimed interface had. Default `/var/lib/rdsup`.
    pub state_dir: PathBuf,
    /// A directory whose files replace built-in templates of the same path.
    pub templates: Option<PathBuf>,
}

/// Where in the configuration file an object was asked for, so that an error found later can point there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// The line of the file, counted from 1; 0 where nothing in the file asked for the object.
    pub line: u32,
}
