//! Why a packet is dropped, and how the counter of that reason is named.

use std::fmt::{self, Write as _};

use crate::model::InterfaceName;

/// Why a packet is dropped. Every drop of a generated filter counts under one of these, for each interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The source is not what the receiver accepts from there.
    Spoofed,
    /// A source or destination that is never legal on a wire.
    Martian,
    /// The destination is not what the sender may reach.
    Destination,
    /// No `packets` entry allows the flow.
    Packets,
    /// Connection tracking calls the packet invalid.
    Invalid,
    /// Link-local traffic other than BGP and neighbor discovery of the peer.
    LinkLocal,
    /// Multicast or broadcast.
    Multicast,
    /// IPv4 source route options or an IPv6 routing header.
    SourceRoute,
    /// BGP that came from further away than a direct neighbor.
    Ttl,
    /// From one link to another, from outside to outside, or back out by the link it came in by.
    Transit,
    /// Towards a link whose other end does not own the destination.
    Egress,
    /// To the domain itself, which does not answer that.
    Input,
    /// To an address of the domain that the interface does not own.
    WeakHost,
    /// The way back to the source is not through the interface (strict reverse path).
    SourceCheck,
    /// By an interface that the file does not name.
    Interface,
    /// With an address that a translation should have replaced.
    Untranslated,
}

impl Reason {
    /// All, in the order in which people look for them.
    pub const ALL: [Self; 16] = [
        Self::Spoofed,
        Self::Martian,
        Self::Destination,
        Self::Packets,
        Self::Invalid,
        Self::LinkLocal,
        Self::Multicast,
        Self::SourceRoute,
        Self::Ttl,
        Self::Transit,
        Self::Egress,
        Self::Input,
        Self::WeakHost,
        Self::SourceCheck,
        Self::Interface,
        Self::Untranslated,
    ];

    /// The word in the counter's name and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spoofed => "spoofed",
            Self::Martian => "martian",
            Self::Destination => "destination",
            Self::Packets => "packets",
            Self::Invalid => "invalid",
            Self::LinkLocal => "link_local",
            Self::Multicast => "multicast",
            Self::SourceRoute => "source_route",
            Self::Ttl => "ttl",
            Self::Transit => "transit",
            Self::Egress => "egress",
            Self::Input => "input",
            Self::WeakHost => "weak_host",
            Self::SourceCheck => "source_check",
            Self::Interface => "interface",
            Self::Untranslated => "untranslated",
        }
    }

    /// What happened, for people.
    pub fn description(self) -> &'static str {
        match self {
            Self::Spoofed => "source not accepted from there",
            Self::Martian => "address that is never legal on a wire",
            Self::Destination => "destination that the sender may not reach",
            Self::Packets => "flow that `packets` does not allow",
            Self::Invalid => "not part of any known flow",
            Self::LinkLocal => "link-local, and neither BGP nor neighbor discovery of the peer",
            Self::Multicast => "multicast or broadcast",
            Self::SourceRoute => "source route or routing header",
            Self::Ttl => "BGP from further away than the next hop",
            Self::Transit => "from link to link, from outside to outside, or back where it came from",
            Self::Egress => "destination that the other end of the link does not own",
            Self::Input => "to the domain itself, which does not answer that",
            Self::WeakHost => "to an address of the domain on another interface",
            Self::SourceCheck => "the way back to the source is another interface",
            Self::Interface => "by an interface that the configuration does not name",
            Self::Untranslated => "an address that a translation should have replaced",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What stands for the interface in the counter of drops by interfaces that the file does not name. No legal
/// interface name, so that it cannot be taken for one.
pub const OTHER_INTERFACE: &str = "*";

const PREFIX: &str = "drop.";
const OTHER: &str = "/other";

/// The name of the nftables counter of drops at `interface` for `reason`: `drop.rd-private.spoofed`.
pub fn counter_name(interface: &InterfaceName, reason: Reason) -> String {
    format!("{PREFIX}{}.{reason}", identifier(interface))
}

/// The name of the counter of drops at interfaces that the file does not name.
pub fn other_counter_name(reason: Reason) -> String {
    format!("{PREFIX}{OTHER}.{reason}")
}

/// The interface and the reason that a counter stands for; `None` for a counter that is not one of ours. The
/// interface is [`OTHER_INTERFACE`] for those that the file does not name.
pub fn parse_counter(name: &str) -> Option<(String, Reason)> {
    let (interface, reason) = name.strip_prefix(PREFIX)?.rsplit_once('.')?;
    let reason = Reason::ALL.into_iter().find(|known| known.as_str() == reason)?;
    if interface == OTHER {
        return Some((OTHER_INTERFACE.to_owned(), reason));
    }
    let mut parts = interface.split('/');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let code = u8::from_str_radix(part.get(..2)?, 16).ok()?;
        text.push(char::from(code));
        text.push_str(&part[2..]);
    }
    InterfaceName::new(text).ok().map(|interface| (interface.into(), reason))
}

/// An interface name as part of an nftables identifier, whose scanner takes letters, digits and `/ - _ .` only. Other
/// characters become `/` and two hexadecimal digits; a slash never stands in an interface name.
pub fn identifier(interface: &InterfaceName) -> String {
    let mut text = String::new();
    for c in interface.as_str().chars() {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            text.push(c);
        } else {
            let _ = write!(text, "/{:02x}", u32::from(c));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_name_reads_back_as_interface_and_reason() {
        for name in ["rd-private", "eth0.100", "wan@x", "a+b=c", "0"] {
            let interface = InterfaceName::new(name).unwrap();
            for reason in Reason::ALL {
                assert_eq!(parse_counter(&counter_name(&interface, reason)), Some((name.to_owned(), reason)));
            }
        }
        assert_eq!(
            parse_counter(&other_counter_name(Reason::Interface)),
            Some((OTHER_INTERFACE.to_owned(), Reason::Interface))
        );
    }

    #[test]
    fn a_foreign_counter_is_not_taken_for_ours() {
        for name in ["", "drop.", "drop.eth0", "drop.eth0.nonsense", "accept.eth0.spoofed", "drop.a/4.spoofed"] {
            assert_eq!(parse_counter(name), None, "{name}");
        }
    }
}
