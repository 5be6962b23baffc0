//! The supervisor's own socket, `RUN_DIR/rdsup.sock`.
//!
//! JSON objects, each ended by a NUL byte, as Varlink frames them (<https://varlink.org/Service>). A call is
//! `{"method":"org.rdsup.Status","parameters":{}}`; with `"more":true` a long one tells of its progress in replies that
//! say `"continues":true`. An error is `{"error":"org.rdsup.Denied","parameters":{"message":…,"hint":…}}`.
//!
//! * `protocol.rs`: what can be asked and answered; `frame.rs`: the bytes.
//! * `event.rs`: the stream of what changes, and what two reports differ in.
//! * `access.rs`: who may ask what, a pure function; `peer.rs`: who asks, from the kernel.
//! * `ctl.rs`: the one request that goes on to the daemons.
//! * `server.rs`, `client.rs`: both ends; `places.rs`: whose connections make room for whose.

pub mod access;
mod client;
mod ctl;
mod event;
mod frame;
mod peer;
mod places;
mod protocol;
mod server;

pub use client::{Client, ClientError};
pub use ctl::{CtlTarget, ctl, no_such_domain};
pub use event::{Event, What, changes, keep_known};
pub use frame::{FrameCodec, LARGEST_FRAME};
pub use peer::{Caller, group_id};
pub use protocol::{
    Asked, CallError, Change, CtlAnswer, DaemonStatus, DomainState, DomainStatus, Drop, ErrorKind, GenerationReport,
    GenerationStatus, LinkStatus, Repair, Reply, Request, ResetReport, StatusReport,
};
pub use server::{Handler, Progress, Server};
