//! What the test and its worker inside the machine say to each other: one JSON object per line.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use crate::packet::Kind;

/// What the worker is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Open sockets in these namespaces; the answer is [`Answer::Interfaces`].
    Open(Vec<String>),
    /// Send and look; the answer is [`Answer::Seen`].
    Batch(Batch),
    /// Send these frames over and over, so many in a second, until the next request of any kind.
    Stream(Vec<Frame>, u32),
    /// Forget every flow: connection tracking is emptied in every namespace. The answer is [`Answer::Streaming`].
    Forget,
    /// End the stream; the answer is [`Answer::Streamed`].
    Finish,
}

/// A frame to send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Frame {
    /// The namespace that it is sent in.
    pub namespace: String,
    /// The interface that it leaves by.
    pub interface: String,
    /// From the Ethernet header on, in hexadecimal.
    pub bytes: String,
    /// The nonce in it.
    pub nonce: u64,
}

/// Frames to be sent, and when to stop looking.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Batch {
    pub frames: Vec<Frame>,
    /// Nonces that are to come out in that namespace: as something that it accepted or sent on.
    pub awaited: Vec<(u64, String)>,
    /// Octets to look for in every captured frame, beside nonces.
    pub needles: Vec<String>,
    /// How long to wait for what is awaited.
    pub deadline_ms: u64,
    /// How long to go on looking after that.
    pub quiet_ms: u64,
}

/// Where a packet was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// By a socket of the namespace: past its input filter.
    Socket,
    /// On its way in by this interface, before any filter.
    In(String),
    /// On its way out by this interface, past every filter.
    Out(String),
}

/// A packet that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub nonce: u64,
    pub namespace: String,
    pub place: Place,
    pub kind: Kind,
    pub source: IpAddr,
    pub destination: IpAddr,
}

/// An interface of a namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Interface {
    pub namespace: String,
    pub name: String,
    pub index: i32,
    pub mac: [u8; 6],
}

/// What the worker answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Interfaces(Vec<Interface>),
    Seen {
        seen: Vec<Seen>,
        /// Needles that were found: which of them, in which namespace, and where.
        found: Vec<(usize, String, Place)>,
    },
    Streaming,
    Streamed {
        sent: u64,
        seen: Vec<Seen>,
    },
}

/// Octets as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("a value below 16");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The opposite of [`hex`].
pub fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).expect("a digit")).expect("a value below 16");
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
