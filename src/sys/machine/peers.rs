//! Which veth ends belong together.

use std::collections::BTreeMap;

use super::Machine;
use super::observe::Found;
use crate::model::{DomainName, InterfaceName};
use crate::sys::SysError;
use crate::sys::netlink::Connection;
use crate::sys::netlink::link::{self, Link};

type End = (DomainName, InterfaceName);

impl Machine {
    /// For each veth whose other end is in a domain that was read: where that is.
    ///
    /// Interface numbers repeat between namespaces, so they only suggest; the namespace's number decides.
    pub(super) async fn match_peers(&self, found: &[Found]) -> Result<BTreeMap<End, End>, SysError> {
        let mut ends: BTreeMap<(u32, u32), Vec<(&Found, &Link)>> = BTreeMap::new();
        for found in found {
            for link in &found.links {
                if let Some(peer) = link.peer.filter(|_| link.kind == "veth") {
                    ends.entry((link.index, peer.index)).or_default().push((found, link));
                }
            }
        }
        let mut ids: BTreeMap<(&DomainName, &DomainName), Option<i32>> = BTreeMap::new();
        let mut peers = BTreeMap::new();
        for ((index, peer_index), here) in &ends {
            let Some(there) = ends.get(&(*peer_index, *index)) else { continue };
            for (found, link) in here {
                for (other, other_link) in there {
                    let same = found.domain == other.domain;
                    let id = if same {
                        None
                    } else if let Some(id) = ids.get(&(&found.domain, &other.domain)) {
                        *id
                    } else {
                        let id = self.namespace_id(found, other).await?;
                        ids.insert((&found.domain, &other.domain), id);
                        id
                    };
                    let matches = link.peer.is_some_and(|peer| peer.namespace == id && (same || id.is_some()));
                    if let (true, Some(name), Some(other_name)) = (matches, &link.name, &other_link.name) {
                        peers.insert((found.domain.clone(), name.clone()), (other.domain.clone(), other_name.clone()));
                    }
                }
            }
        }
        Ok(peers)
    }

    /// Whether an interface of the host is an end of a link of ours: marked, or not yet and its other end is in a domain.
    pub(super) async fn is_end_in_host(&self, host: &Connection, link: &Link) -> Result<bool, SysError> {
        let (None, Some(id)) = (&link.alias, link.peer.and_then(|peer| peer.namespace)) else {
            return Ok(link.alias.as_ref().is_some_and(|alias| self.layout.is_our_alias(alias)));
        };
        for domain in self.domains_left()?.into_iter().filter(|domain| !domain.is_host()) {
            let Ok(namespace) = self.namespace(&domain) else { continue };
            let known = link::namespace_id(host, &namespace).await;
            let known = known
                .map_err(|error| SysError::netlink(format!("ask how host knows the namespace of {domain}"), error))?;
            if known == Some(id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn namespace_id(&self, found: &Found, other: &Found) -> Result<Option<i32>, SysError> {
        let (Some(namespace), Some(other_namespace)) = (&found.namespace, &other.namespace) else { return Ok(None) };
        let connection = self.connection_to(&found.domain, namespace).await?;
        link::namespace_id(&connection, other_namespace).await.map_err(|error| {
            SysError::netlink(format!("ask how {} knows the namespace of {}", found.domain, other.domain), error)
        })
    }
}
