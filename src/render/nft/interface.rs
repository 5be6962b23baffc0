//! An interface claimed from the host in the packet filter.

use super::counters;
use super::matches::{Direction, keyword, mark, matches, named, named_if_any, session};
use crate::model::{DaemonKind, Domain, Family, Interface, Network};
use crate::policy::{self, InterfacePolicy, Reason};
use crate::render::context::{NftInterface, NftInterfaceFamily, NftSession, NftSet};

/// The reasons of drops at an interface claimed from the host.
const AT_INTERFACE: [Reason; 11] = [
    Reason::Spoofed,
    Reason::Martian,
    Reason::Destination,
    Reason::Packets,
    Reason::Invalid,
    Reason::SourceRoute,
    Reason::Ttl,
    Reason::Transit,
    Reason::Input,
    Reason::WeakHost,
    Reason::SourceCheck,
];

/// Builds the context of `interface`, whose flows carry `number`.
pub(super) fn interface(
    network: &Network,
    domain: &Domain,
    interface: &Interface,
    number: u32,
    sets: &mut Vec<NftSet>,
) -> NftInterface {
    let policy = policy::interface_policy(network, domain, interface);
    let name = policy::identifier(&interface.name);
    let InterfacePolicy { refused, announced, packets, input, hidden, sessions } = policy;
    let families: Vec<NftInterfaceFamily> = Family::ALL
        .into_iter()
        .map(|family| {
            let to = announced.get(family);
            let part = |part: &str| format!("{name}.{part}");
            NftInterfaceFamily {
                keyword: keyword(family),
                refused: named(sets, &part("refused"), family, refused.get(family).clone()),
                to_everything: to.everything,
                to: named(sets, &part("to"), family, to.allowed.clone()),
                hidden: named_if_any(sets, &part("hidden"), family, hidden.get(family)),
            }
        })
        .collect();
    let masquerades = families.iter().any(|family| family.hidden.is_some());
    let mut reasons = AT_INTERFACE.to_vec();
    reasons.extend(masquerades.then_some(Reason::Untranslated));
    NftInterface {
        interface: interface.name.clone(),
        outside: interface.outside,
        source_check: interface.source_check,
        zebra: domain.daemon == DaemonKind::Frr,
        not_to: domain
            .interfaces
            .iter()
            .filter(|other| interface.outside && other.outside)
            .map(|other| other.name.clone())
            .collect(),
        sessions: sessions
            .iter()
            .map(|peer| NftSession { bfd: peer.bfd, raised: peer.raised, ..session(None, peer.address, peer.direct) })
            .collect(),
        families,
        masquerades,
        mark: mark(number),
        packets: matches(&packets, Direction::Original),
        replies: matches(&packets, Direction::Reply),
        input: matches(&input, Direction::Original),
        input_replies: matches(&input, Direction::Reply),
        drop: counters(&interface.name, &reasons),
        name,
    }
}
