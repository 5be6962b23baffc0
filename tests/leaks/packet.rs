//! Packets as they are on the wire, each with a nonce by which it is recognized wherever it comes out.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a nonce begins with. It is also a well-formed option of neighbor discovery (type 253, 16 octets with the nonce),
/// so that a router advertisement with a nonce is a legal one.
pub const MAGIC: [u8; 8] = [253, 2, b'r', b'd', b'l', b'e', b'a', b'k'];

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carries {
    /// A TCP segment with these flags.
    Tcp { from: u16, to: u16, flags: u8 },
    /// A UDP datagram.
    Udp { from: u16, to: u16 },
    /// An echo request of the packet's family.
    Echo,
    /// Another message of ICMP, or `ICMPv6` where the packet is IPv6: type, code, and what follows the checksum.
    Icmp { kind: u8, code: u8, body: Vec<u8> },
    /// Another protocol.
    Other(u8),
}

/// The flag of a TCP segment that begins a connection.
pub const SYN: u8 = 0x02;
/// The flag of a TCP segment that ends one.
pub const RST: u8 = 0x04;
/// The flag of a TCP segment that answers one.
pub const ACK: u8 = 0x10;
/// The flag of a TCP segment that hands on what has come.
pub const PSH: u8 = 0x08;

/// A packet to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub hops: u8,
    pub carries: Carries,
    /// Options of an IPv4 header; a multiple of four octets.
    pub options: Vec<u8>,
    /// An extension header of IPv6 with its number, whose first octet will be the next header.
    pub extension: Option<(u8, Vec<u8>)>,
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {} hops {} {:?}", self.source, self.destination, self.hops, self.carries)?;
        if !self.options.is_empty() {
            write!(f, " options {:02x?}", self.options)?;
        }
        if let Some((number, header)) = &self.extension {
            write!(f, " extension header {number} {header:02x?}")?;
        }
        Ok(())
    }
}

/// An address written as text.
pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is no address"))
}

impl Packet {
    pub fn new(source: &str, destination: &str, carries: Carries) -> Self {
        Self::between(address(source), address(destination), carries)
    }

    pub fn between(source: IpAddr, destination: IpAddr, carries: Carries) -> Self {
        Self { source, destination, hops: 64, carries, options: Vec::new(), extension: None }
    }

    pub fn echo(source: &str, destination: &str) -> Self {
        Self::new(source, destination, Carries::Echo)
    }

    pub fn tcp(source: &str, destination: &str, to: u16) -> Self {
        Self::new(source, destination, Carries::Tcp { from: 40_000, to, flags: SYN })
    }

    pub fn udp(source: &str, destination: &str, to: u16) -> Self {
        Self::new(source, destination, Carries::Udp { from: 40_000, to })
    }

    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    pub fn flags(mut self, new: u8) -> Self {
        if let Carries::Tcp { flags, .. } = &mut self.carries {
            *flags = new;
        }
        self
    }

    pub fn with_port(mut self, port: u16) -> Self {
        if let Carries::Tcp { from, .. } | Carries::Udp { from, .. } = &mut self.carries {
            *from = port;
        }
        self
    }

    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    pub fn extension(mut self, number: u8, header: &[u8]) -> Self {
        self.extension = Some((number, header.to_vec()));
        self
    }

    pub fn is_ipv6(&self) -> bool {
        self.destination.is_ipv6()
    }

    /// The packet from its IP header on.
    pub fn bytes(&self, nonce: u64) -> Vec<u8> {
        let mut payload = MAGIC.to_vec();
        payload.extend(nonce.to_be_bytes());
        let (protocol, body) = self.transport(&payload, u32::try_from(nonce & 0xffff_ffff).expect("32 bits"));
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => self.ipv4(source, destination, protocol, &body, nonce),
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.ipv6(source, destination, protocol, &body),
            _ => panic!("two families in one packet: {self}"),
        }
    }

    fn transport(&self, payload: &[u8], sequence: u32) -> (u8, Vec<u8>) {
        let v6 = self.is_ipv6();
        let (protocol, mut body, checksum_at) = match &self.carries {
            Carries::Tcp { from, to, flags } => {
                let mut body = [from.to_be_bytes(), to.to_be_bytes()].concat();
                body.extend(sequence.to_be_bytes());
                body.extend(u32::from(flags & ACK != 0).to_be_bytes());
                body.extend([0x50, *flags, 0xff, 0xff, 0, 0, 0, 0]);
                (6, body, Some(16))
            }
            Carries::Udp { from, to } => {
                let length = u16::try_from(8 + payload.len()).expect("a short payload");
                (17, [from.to_be_bytes(), to.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat(), Some(6))
            }
            Carries::Echo => {
                (if v6 { 58 } else { 1 }, vec![if v6 { 128 } else { 8 }, 0, 0, 0, 0x77, 0x77, 0, 1], Some(2))
            }
            Carries::Icmp { kind, code, body } => {
                (if v6 { 58 } else { 1 }, [&[*kind, *code, 0, 0], body.as_slice()].concat(), Some(2))
            }
            Carries::Other(protocol) => (*protocol, vec![0; 8], None),
        };
        body.extend(payload);
        if let Some(at) = checksum_at {
            let pseudo = if protocol == 1 { Vec::new() } else { self.pseudo_header(protocol, body.len()) };
            let sum = checksum(&[pseudo.as_slice(), body.as_slice()].concat());
            body[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        (protocol, body)
    }

    fn pseudo_header(&self, protocol: u8, length: usize) -> Vec<u8> {
        let length = u16::try_from(length).expect("a short packet").to_be_bytes();
        match (self.source, self.destination) {
            (IpAddr::V4(a), IpAddr::V4(b)) => [&a.octets()[..], &b.octets()[..], &[0, protocol], &length[..]].concat(),
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                [&a.octets()[..], &b.octets()[..], &[0, 0], &length[..], &[0, 0, 0, protocol]].concat()
            }
            _ => panic!("two families in one packet: {self}"),
        }
    }

    fn ipv4(&self, source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, body: &[u8], nonce: u64) -> Vec<u8> {
        let words = u8::try_from(5 + self.options.len() / 4).expect("a header has at most 15 words");
        let length = u16::try_from(20 + self.options.len() + body.len()).expect("a short packet");
        let mut header = vec![0x40 | words, 0];
        header.extend(length.to_be_bytes());
        header.extend(&nonce.to_be_bytes()[6..]);
        header.extend([0, 0, self.hops, protocol, 0, 0]);
        header.extend(source.octets());
        header.extend(destination.octets());
        header.extend(&self.options);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header.extend(body);
        header
    }

    fn ipv6(&self, source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
        let mut extension = Vec::new();
        let mut next = protocol;
        if let Some((number, header)) = &self.extension {
            extension.clone_from(header);
            extension[0] = protocol;
            next = *number;
        }
        let length = u16::try_from(extension.len() + body.len()).expect("a short packet");
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([next, self.hops]);
        packet.extend(source.octets());
        packet.extend(destination.octets());
        packet.extend(extension);
        packet.extend(body);
        packet
    }
}

/// The checksum of RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded to 16 bits")
}

/// The nonce in a packet, wherever in it that stands.
pub fn nonce(bytes: &[u8]) -> Option<u64> {
    let at = bytes.windows(MAGIC.len()).position(|window| window == MAGIC)? + MAGIC.len();
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// What a captured packet is to the one whose nonce it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// The packet itself.
    Packet,
    /// An echo reply to it.
    Reply,
    /// An ICMP error or redirect about it.
    Error,
}

/// What an IP packet is, and its addresses.
pub fn look(packet: &[u8]) -> Option<(Kind, IpAddr, IpAddr)> {
    let octets = |at: usize, length: usize| packet.get(at..at + length);
    let (protocol, at, source, destination): (u8, usize, IpAddr, IpAddr) = match packet.first()? >> 4 {
        4 => (
            *packet.get(9)?,
            usize::from(packet[0] & 15) * 4,
            <[u8; 4]>::try_from(octets(12, 4)?).ok()?.into(),
            <[u8; 4]>::try_from(octets(16, 4)?).ok()?.into(),
        ),
        6 => (
            *packet.get(6)?,
            40,
            <[u8; 16]>::try_from(octets(8, 16)?).ok()?.into(),
            <[u8; 16]>::try_from(octets(24, 16)?).ok()?.into(),
        ),
        _ => return None,
    };
    let kind = match (protocol, packet.get(at).copied().unwrap_or(0)) {
        (1, 0) | (58, 129) => Kind::Reply,
        (1, 3 | 5 | 11 | 12) | (58, 1..=4 | 137) => Kind::Error,
        _ => Kind::Packet,
    };
    Some((kind, source, destination))
}

/// The header of a packet and eight octets of what it carries, as an ICMP error quotes it.
pub fn quoted(packet: &Packet) -> Vec<u8> {
    let bytes = packet.bytes(0);
    let header = if packet.is_ipv6() { 40 } else { 20 };
    bytes[..header + 8].to_vec()
}
