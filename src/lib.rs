//! rdsup turns one Linux machine into several routers that cannot leak into each other, from one file.
//!
//! # A guided tour, by data flow
//!
//! ```text
//!  rdsup.toml ─ config ─▶ model ─ policy ─▶ render ─▶ text: bird.conf, nft rules
//!               (text→       │  (who may      (templates)        │
//!               checked)     │  send what)                       │
//!                            ▼                                   ▼
//!    kernel ─ observe ─▶ plan: desired × observed → ordered steps ─▶ apply (sys, daemons) ─▶ verify
//!               ▲                                                        │
//!               └───────────── supervisor: events, timers, requests ◀────┘
//! ```
//!
//! * **Pure core**: [`model`], and what is built on it; [`history`], what was applied. No file, no clock, no process, no socket, no `async`.
//! * **Effects**: `sys` (the machine), `daemons` (what BIRD wants), `control` (our socket).
//! * **Drivers**: `supervisor` (the event loop) and `cli`.
//!
//! A module uses only what stands before it in that list; `tests/layers.rs` fails on a `use` that goes the other way.

pub mod cli;
pub mod config;
pub mod control;
pub mod daemons;
pub mod history;
pub mod model;
pub mod plan;
pub mod policy;
pub mod render;
pub mod supervise;
pub mod supervisor;
pub mod sys;
