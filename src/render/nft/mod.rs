//! The context of a domain's packet filter.

mod interface;
mod link;
mod matches;

use std::collections::BTreeMap;
use std::path::Path;

use super::context::{Nft, NftInterface, NftLink, NftMap, NftMapEntry, NftPair, NftPlace, NftSet};
use super::error::{Problem, RenderError};
use super::quote::{Quoted, refuse_control};
use crate::model::{Domain, DomainName, Family, InterfaceName, LINK_GROUP, Network};
use crate::policy::{self, MARK_MASK, NUMBER_MASK, Reason};
use matches::{keyword, mark, named, named_if_any};

/// The table of a domain.
pub(super) const TABLE: &str = "rdsup";

/// Those of them that are checked in one chain for all links.
const AT_ALL_LINKS: [Reason; 6] =
    [Reason::LinkLocal, Reason::Multicast, Reason::SourceRoute, Reason::Martian, Reason::Invalid, Reason::Transit];

/// The comment of the `inet rdsup` table of `domain`: the mark by which its namespace is known as this run directory's.
pub fn table_comment(run_dir: &Path, domain: &DomainName) -> String {
    format!("rdsup {} {domain}", run_dir.display())
}

/// The run directory in the comment of the table of `host`, whichever it is; nothing where the comment is none of these.
pub fn run_dir_of_host(comment: &str) -> Option<&str> {
    let (run_dir, rest) = comment.strip_prefix("rdsup ")?.rsplit_once(&format!(" {}", DomainName::HOST))?;
    (run_dir.starts_with('/') && (rest.is_empty() || rest.starts_with(' '))).then_some(run_dir)
}

/// Builds the context of `domain`, or says everything that is in its way.
pub(super) fn context(network: &Network, domain: &Domain) -> Result<Nft, Vec<RenderError>> {
    let mut errors = Vec::new();
    let mut fail = |what, error| {
        let problem = Problem::Text { what, error };
        errors.push(RenderError { domain: domain.name.clone(), origin: domain.origin, problem });
    };
    let source = network.settings.source.display().to_string();
    if let Err(error) = refuse_control(&source) {
        fail("name of the configuration file", error);
    }
    if let Some(Err(error)) = domain.description.as_deref().map(refuse_control) {
        fail("description", error);
    }
    // The mark by which a later run knows the table, and with it the namespace, for its own.
    let owner = table_comment(&network.settings.run_dir, &domain.name);
    let comment = match Quoted::nft_comment(&owner) {
        Ok(comment) => comment,
        Err(error) => {
            fail("run_dir", error);
            return Err(errors);
        }
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut sets = Vec::new();
    for family in Family::ALL {
        named(&mut sets, "martian_source", family, policy::martian_sources(family).to_vec());
        named(&mut sets, "martian_destination", family, policy::martian_destinations(family).to_vec());
    }
    let marks = policy::interface_marks(network, domain);
    let numbered = domain.interfaces.iter().zip(marks).map(|(it, (_, number))| (it, number));
    let outside: Vec<u32> =
        numbered.clone().filter(|(it, _)| it.outside && !it.packets.is_empty()).map(|(_, number)| number).collect();
    let mut links: Vec<NftLink> = network
        .links_of(&domain.name)
        .map(|(link, own, peer)| link::link(network, domain, link, own, peer, &outside, &mut sets))
        .collect();
    let interfaces: Vec<NftInterface> =
        numbered.map(|(it, number)| interface::interface(network, domain, it, number, &mut sets)).collect();
    name_claimed(network, domain, &mut links, &mut sets);
    let host = domain.name.is_host();
    let other = policy::other_counter_name(Reason::Interface);
    let counters = links
        .iter()
        .flat_map(|link| link.drop.values())
        .chain(interfaces.iter().flat_map(|interface| interface.drop.values()))
        .chain([&other])
        .cloned()
        .collect();
    Ok(Nft {
        domain: domain.name.clone(),
        source,
        description: domain.description.clone(),
        table: TABLE.to_owned(),
        comment,
        host,
        forwarding: domain.forwarding,
        group: LINK_GROUP,
        counters,
        other,
        sets,
        mark_bits: mark(MARK_MASK),
        number_bits: mark(NUMBER_MASK),
        left_bit: mark(policy::LEFT),
        other_bits: mark(!MARK_MASK),
        pairs: links
            .iter()
            .flat_map(|link| link.onward.iter().map(|to| NftPair { from: link.interface.clone(), to: to.clone() }))
            .collect(),
        translates_in: links.iter().filter(|it| it.translates_in).map(place).collect(),
        translates_out: (links.iter().filter(|it| it.translates_out).map(place))
            .chain(
                interfaces
                    .iter()
                    .filter(|it| it.masquerades)
                    .map(|it| NftPlace { name: it.name.clone(), interface: it.interface.clone() }),
            )
            .collect(),
        maps: AT_ALL_LINKS.into_iter().map(|reason| map(&links, reason)).collect(),
        links,
        interfaces,
    })
}

fn map(links: &[NftLink], reason: Reason) -> NftMap {
    let entry = |link: &NftLink| {
        let counter = link.drop.get(reason.as_str()).cloned()?;
        Some(NftMapEntry { interface: link.interface.clone(), counter })
    };
    NftMap { name: format!("drop.{reason}"), entries: links.iter().filter_map(entry).collect() }
}

fn place(link: &NftLink) -> NftPlace {
    NftPlace { name: link.name.clone(), interface: link.interface.clone() }
}

/// Declares the sets of addresses that stand for others of the domain, and names them where a link speaks of everything
/// and does not mean them.
fn name_claimed(network: &Network, domain: &Domain, links: &mut [NftLink], sets: &mut Vec<NftSet>) {
    let claimed = policy::claimed(network, domain);
    for family in Family::ALL {
        let all = links.iter_mut().flat_map(|link| &mut link.families);
        let mut wanted = all.filter(|it| it.keyword == keyword(family) && it.to_everything).peekable();
        if wanted.peek().is_none() {
            continue;
        }
        let set = named_if_any(sets, "claimed", family, claimed.get(family));
        wanted.for_each(|it| it.claimed.clone_from(&set));
    }
}

fn counters(interface: &InterfaceName, reasons: &[Reason]) -> BTreeMap<&'static str, String> {
    reasons.iter().map(|reason| (reason.as_str(), policy::counter_name(interface, *reason))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_directory_is_read_from_the_comment_of_the_table_of_host() {
        let host = DomainName::new(DomainName::HOST).unwrap();
        for run_dir in ["/run/rdsup", "/run/a host", "/srv/with space"] {
            assert_eq!(run_dir_of_host(&table_comment(Path::new(run_dir), &host)), Some(run_dir));
        }
        assert_eq!(run_dir_of_host("rdsup /run/rdsup host, altered"), None);
        assert_eq!(run_dir_of_host("rdsup /run/rdsup host altered"), Some("/run/rdsup"));
        for comment in ["", "rdsup", "rdsup /run/rdsup private", "rdsup host", "mine /run/rdsup host"] {
            assert_eq!(run_dir_of_host(comment), None, "{comment}");
        }
    }
}
