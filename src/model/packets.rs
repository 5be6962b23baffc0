//! What new flows may enter: `tcp/80,443`, `udp/53`, `icmp`, `gre`, `any`.

use std::fmt;
use std::ops::RangeInclusive;

/// The new flows that a receiver accepts; empty means none.
pub type Packets = Vec<PacketMatch>;

/// One kind of flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketMatch {
    /// Every protocol.
    Any,
    /// Echo request, of ICMP and `ICMPv6`.
    Icmp,
    /// TCP or UDP to the destination ports named; an empty list means all ports.
    Ports(PortProtocol, Vec<PortRange>),
    /// Any other protocol, by its IANA number.
    Protocol(u8),
}

/// An inclusive range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port, not below `first`.
    pub last: u16,
}

impl PortRange {
    /// Whether `port` lies in the range.
    pub fn contains(self, port: u16) -> bool {
        RangeInclusive::new(self.first, self.last).contains(&port)
    }
}

/// A transport protocol that has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortProtocol {
    /// TCP, protocol 6.
    Tcp,
    /// UDP, protocol 17.
    Udp,
}

impl PortProtocol {
    /// The word that the configuration and nftables use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl fmt::Display for PacketMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Icmp => f.write_str("icmp"),
            Self::Protocol(number) => write!(f, "{number}"),
            Self::Ports(protocol, ranges) => {
                f.write_str(protocol.as_str())?;
                for (index, range) in ranges.iter().enumerate() {
                    write!(f, "{}{range}", if index == 0 { '/' } else { ',' })?;
                }
                Ok(())
            }
        }
    }
}
