//! A single port of a domain, opened to other domains.

use std::fmt;
use std::net::IpAddr;

use super::{DomainName, Origin, PortProtocol, ServiceName};

/// `[[service]]`: one port of one host, opened to the domains named and to nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name, unique in the file.
    pub name: ServiceName,
    /// The domain that it is in: the owner.
    pub domain: DomainName,
    /// Where it answers; the address lies in the owner's networks, loopbacks or interface prefixes.
    pub at: Endpoint,
    /// TCP or UDP.
    pub protocol: PortProtocol,
    /// Who may use it.
    pub expose: Vec<Exposure>,
    /// Where it was declared.
    pub origin: Origin,
}

/// One consumer of a service. It is linked to the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The consumer.
    pub to: DomainName,
    /// Where the consumer finds the service, if not at its own address: `as`, translated by the owner; of the same family.
    pub published: Option<Endpoint>,
    /// Where it was declared.
    pub origin: Origin,
}

impl Exposure {
    /// Where the consumer finds `service`.
    pub fn seen(&self, service: &Service) -> Endpoint {
        self.published.unwrap_or(service.at)
    }
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port, never 0.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.address, self.port).fmt(f)
    }
}
