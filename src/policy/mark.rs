//! Connection tracking marks: by what a flow entered or left a domain.
//!
//! ```text
//!  bit 31      left to others
//!  bit 30      set: the flow began here or inside, and left by that link; clear: it entered by it
//!  bits 29..0  number of the link or interface; 0 for a flow that nobody judges again
//! ```
//! The number tells errors about a flow of one link from those about a flow of another, and by it replies find the
//! policy that their flow came in under, as it is now.

use std::collections::BTreeSet;

use super::link::LinkPolicy;
use crate::model::{Domain, InterfaceName, Link, Network};

/// The bits of the mark that are rdsup's.
pub const MARK_MASK: u32 = 0x7fff_ffff;

/// The bits that number a link or an interface.
pub const NUMBER_MASK: u32 = 0x3fff_ffff;

/// The bit that says that the flow left by the link, instead of entering by it.
pub const LEFT: u32 = 0x4000_0000;

impl LinkPolicy {
    /// The mark of flows that entered by `link`.
    pub fn mark(link: &Link) -> u32 {
        link.mark & NUMBER_MASK
    }
}

/// The mark of flows that entered by each interface claimed from the host, in the order of their names: FNV-1a of its name,
/// and where that is taken in this domain the next free number, so that no two are ever taken for each other.
pub fn interface_marks(network: &Network, domain: &Domain) -> Vec<(InterfaceName, u32)> {
    let mut taken: BTreeSet<u32> = network.links_of(&domain.name).map(|(link, _, _)| LinkPolicy::mark(link)).collect();
    taken.insert(0);
    let mut marks = Vec::new();
    for interface in &domain.interfaces {
        let mut mark = hash(interface.name.as_str());
        while !taken.insert(mark) {
            mark = (mark + 1) & NUMBER_MASK;
        }
        marks.push((interface.name.clone(), mark));
    }
    marks
}

fn hash(name: &str) -> u32 {
    let hash = name.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash & NUMBER_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_the_bit_that_says_left_nor_that_of_others() {
        for name in ["eth0", "wan0", "a", "enp0s31f6", "eth0.100"] {
            assert_eq!(hash(name) & !NUMBER_MASK, 0, "{name}");
        }
        assert_eq!(NUMBER_MASK | LEFT, MARK_MASK);
        assert_eq!(NUMBER_MASK & LEFT, 0);
    }
}
