//! `packets` and `input`: `tcp/80,443`, `udp/53`, `icmp`, `gre`, `any`.

use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::config::shape::nearest;
use crate::model::{PacketMatch, Packets, PortProtocol, PortRange};

/// Protocols by name, with the number that IANA gave them. ICMP, TCP and UDP have forms of their own.
const PROTOCOLS: &[(&str, u8)] = &[
    ("igmp", 2),
    ("ipip", 4),
    ("6in4", 41),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("eigrp", 88),
    ("ospf", 89),
    ("etherip", 97),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
];

/// The number of a protocol that has a name here.
pub fn protocol_number(name: &str) -> Option<u8> {
    PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The name of a protocol that has one here.
pub fn protocol_name(number: u8) -> Option<&'static str> {
    PROTOCOLS.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

/// Reads a list, each entry with its place; mistakes are reported, and left out.
pub fn packets(texts: &[At<String>], report: &mut Report<'_>) -> Vec<(PacketMatch, Span)> {
    let mut packets: Vec<(PacketMatch, Span)> = Vec::new();
    for text in texts {
        if let Some(found) = packet(text, report)
            && !packets.iter().any(|(other, _)| *other == found)
        {
            packets.push((found, text.span.clone()));
        }
    }
    packets
}

/// The same where nobody asks for the places.
pub fn without_places(texts: &[At<String>], report: &mut Report<'_>) -> Packets {
    packets(texts, report).into_iter().map(|(packet, _)| packet).collect()
}

fn packet(text: &At<String>, report: &mut Report<'_>) -> Option<PacketMatch> {
    let (protocol, list) = match text.split_once('/') {
        Some((protocol, ports)) => (protocol, Some(ports)),
        None => (text.as_str(), None),
    };
    let found = match protocol {
        "any" => PacketMatch::Any,
        "icmp" => PacketMatch::Icmp,
        "tcp" | "6" => return ports(PortProtocol::Tcp, list, text, report),
        "udp" | "17" => return ports(PortProtocol::Udp, list, text, report),
        name => match PROTOCOLS.iter().find(|(known, _)| *known == name) {
            Some((_, number)) => PacketMatch::Protocol(*number),
            None => PacketMatch::Protocol(number(name, text, report)?),
        },
    };
    if list.is_some() {
        report
            .error(&text.span, format!("{protocol:?} has no ports"))
            .hint(format!("write {protocol:?}; only tcp and udp have ports"));
        return None;
    }
    Some(found)
}

fn number(name: &str, text: &At<String>, report: &mut Report<'_>) -> Option<u8> {
    if name.bytes().all(|b| b.is_ascii_digit())
        && let Ok(number) = name.parse()
    {
        return Some(number);
    }
    let problem = report.error(&text.span, format!("{:?} names no protocol", text.value));
    let names: Vec<&str> =
        ["any", "icmp", "tcp", "udp"].into_iter().chain(PROTOCOLS.iter().map(|known| known.0)).collect();
    match nearest(name, &names) {
        _ if name.contains("icmp") || name == "ping" => {
            problem.hint("\"icmp\" means echo requests of IPv4 and of IPv6")
        }
        Some(near) => problem.hint(format!("did you mean {near:?}?")),
        None => {
            problem.hint("write \"tcp/80,443\", \"udp/53\", \"icmp\", \"any\", or a protocol's name or number to 255")
        }
    };
    None
}

fn ports(
    protocol: PortProtocol,
    list: Option<&str>,
    text: &At<String>,
    report: &mut Report<'_>,
) -> Option<PacketMatch> {
    let mut ranges = Vec::new();
    for part in list.into_iter().flat_map(|list| list.split(',')) {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let number = |word: &str| {
            let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
            word.parse::<u16>().ok().filter(|number| digits && *number > 0)
        };
        let (Some(low), Some(high)) = (number(low.trim()), number(high.trim())) else {
            report
                .error(&text.span, format!("{:?} has a port that cannot be: {:?}", text.value, part.trim()))
                .hint("ports are numbers from 1 to 65535, such as \"tcp/80,443\" or \"udp/8000-8080\"");
            return None;
        };
        if low > high {
            report
                .error(&text.span, format!("the range {low}-{high} of {:?} has no ports", text.value))
                .hint(format!("write {high}-{low}"));
            return None;
        }
        ranges.push(PortRange { first: low, last: high });
    }
    Some(PacketMatch::Ports(protocol, ranges))
}
