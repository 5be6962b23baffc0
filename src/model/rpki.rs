//! Caches of validated route origins.

use std::net::IpAddr;

use super::{CacheName, DomainName, Origin};

/// `[[rpki]]`: a cache that a domain's daemon asks by the RPKI-to-Router protocol (RFC 8210), over TCP, from inside the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpkiCache {
    /// Its name, unique in the domain.
    pub name: CacheName,
    /// The domain whose external neighbors are checked.
    pub domain: DomainName,
    /// The address of the cache.
    pub address: IpAddr,
    /// Its port; 323 unless the file says otherwise.
    pub port: u16,
    /// Where it was declared.
    pub origin: Origin,
}
