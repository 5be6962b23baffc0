//! The machine: namespaces, netlink, sysctls, the packet filter, files and processes.
//!
//! [`Machine`] is what the layers above use: it observes what is there and executes one [`crate::plan::Step`]. The other
//! modules each own one kernel interface. Namespaces are entered in [`netns`] and nowhere else, processes are started in
//! [`process`] and nowhere else, and every request to the kernel comes back with the kernel's own words.

pub mod cgroup;
pub mod clock;
mod error;
pub mod fault;
pub mod files;
pub mod generations;
pub mod handover;
pub mod lock;
pub mod logfile;
mod machine;
pub mod netlink;
pub mod netns;
pub mod nft;
pub mod notify;
pub mod privilege;
pub mod process;
pub mod sandbox;
pub mod sysctl;
pub mod watch;

pub use error::{StepError, SysError};
pub use machine::{Machine, Mended, digest};
