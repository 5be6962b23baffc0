//! rdsup on the real kernel, with real BIRD and real packets.
//!
//! Every test has a throwaway machine of its own (see [`machine::Machine`]): namespaces for network, mounts and processes,
//! which an ordinary user gets inside a user namespace. What needs several user ids is ignored with that reason and run
//! by root (`.ci/tests netns`).
#![expect(
    clippy::disallowed_methods,
    reason = "the tests are the outside world: they start programs and wait for them with a deadline"
)]

mod access;
mod announced;
mod ask;
mod attached;
mod bfd;
mod by_hand;
mod cgroups;
mod confined;
mod drift;
mod drift_filter;
mod drift_foreign;
mod errors;
mod events;
mod external;
mod external_attacks;
mod external_sessions;
mod flows;
mod frr_check;
mod frr_lab;
mod frr_missing;
mod frr_resets;
mod frr_survival;
mod frr_waiting;
mod generations;
mod hanging;
mod host;
mod inside;
mod lifecycle;
mod links;
mod logs;
mod looking;
mod machine;
mod manager;
mod next_hop;
mod old_policy;
mod order;
mod output;
mod packets;
mod policy;
mod ps;
mod raw_speaker;
mod reading;
mod readme;
mod recovery;
mod resets;
mod resets_external;
mod reverting;
mod roles;
mod routes;
mod rpki;
mod said;
mod service;
mod services;
mod sessions;
mod shared_host;
mod speaker;
mod survival;
mod taken_over;
mod touched;
mod transit;
mod transit_routes;
mod translation;
