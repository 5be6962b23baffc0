//! Links, addresses and routes over rtnetlink: one [`Connection`] for each namespace, one file for each kind of object.

pub mod address;
mod error;
pub mod link;
pub mod route;
mod socket;
pub mod unkept;

pub use error::NetlinkError;
pub use socket::Connection;
