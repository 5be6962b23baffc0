//! What templates see. Every public field here is documented in `docs/templates.md`; a test compares the two.
//!
//! Only typed values: numbers, addresses, prefixes, checked names, and strings that arrive quoted for their target.

mod bird;
mod frr;
mod nft;

pub use bird::*;
pub use frr::*;
pub use nft::*;
