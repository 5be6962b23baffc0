//! Which of the kernel's messages about links, addresses and routes may concern rdsup.

use std::collections::BTreeSet;

use super::message::{attributes, messages, text};
use crate::model::InterfaceName;
use crate::plan::{LINK_GROUP, ROUTE_PROTOCOL};

/// `RTM_NEWLINK` and `RTM_DELLINK`, `RTM_NEWADDR` and `RTM_DELADDR`.
const LINK: [u16; 2] = [16, 17];
const ADDRESS: [u16; 2] = [20, 21];
/// `struct ifinfomsg` and `struct ifaddrmsg`.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
/// `IFLA_IFNAME`, `IFLA_GROUP`, `IFA_PROTO`.
const NAME: u16 = 3;
const GROUP: u16 = 27;
const PROTOCOL: u16 = 11;

/// Whether one of the messages in a datagram may concern rdsup. Addresses do when rdsup added them. Links do everywhere
/// but in the host, where others make and remove them all day: there only those of ours and those of these names.
pub(super) fn concern_us(datagram: &[u8], of_host: Option<&BTreeSet<InterfaceName>>) -> bool {
    messages(datagram).any(|(kind, body)| {
        if ADDRESS.contains(&kind) {
            let own = |(kind, value): (u16, &[u8])| kind == PROTOCOL && value == [ROUTE_PROTOCOL];
            attributes(body.get(ADDRESS_HEADER..).unwrap_or_default()).any(own)
        } else if LINK.contains(&kind) {
            of_host.is_none_or(|names| {
                attributes(body.get(LINK_HEADER..).unwrap_or_default()).any(|(kind, value)| match kind {
                    NAME => names.iter().any(|name| name.as_str().as_bytes() == text(value)),
                    GROUP => value == LINK_GROUP.to_ne_bytes(),
                    _ => false,
                })
            })
        } else {
            // Of routes only our own came through the socket's filter.
            true
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::{attribute, message};
    use super::*;

    fn link(name: &[u8], group: u32) -> Vec<u8> {
        let attributes = [attribute(NAME, name), attribute(4, &[0; 4]), attribute(GROUP, &group.to_ne_bytes())];
        message(LINK[0], &[vec![0; LINK_HEADER], attributes.concat()].concat())
    }

    fn address(protocol: Option<u8>) -> Vec<u8> {
        let attributes = [attribute(1, &[10, 0, 0, 1]), protocol.map_or(Vec::new(), |it| attribute(PROTOCOL, &[it]))];
        message(ADDRESS[1], &[vec![0; ADDRESS_HEADER], attributes.concat()].concat())
    }

    #[test]
    fn of_the_hosts_links_those_of_ours_and_those_that_are_asked_for_concern_us() {
        let names = BTreeSet::from([InterfaceName::new("eth1").unwrap()]);
        assert!(concern_us(&link(b"eth1\0", 0), Some(&names)));
        assert!(concern_us(&link(b"renamed\0", LINK_GROUP), Some(&names)));
        assert!(!concern_us(&link(b"eth10\0", 0), Some(&names)));
        assert!(!concern_us(&link(b"veth4711\0", 0), Some(&names)));
        let both = [link(b"veth4711\0", 0), link(b"eth1\0", 0)].concat();
        assert!(concern_us(&both, Some(&names)));
        assert!(concern_us(&link(b"veth4711\0", 0), None), "in a domain every link does");
    }

    #[test]
    fn of_addresses_those_that_rdsup_added_do() {
        assert!(concern_us(&address(Some(ROUTE_PROTOCOL)), None));
        assert!(!concern_us(&address(Some(2)), None));
        assert!(!concern_us(&address(None), None));
    }
}
