//! The packet that is asked about, as it is typed.

use std::net::IpAddr;

use crate::cli::{Exit, Failure};
use crate::config;
use crate::policy::Transport;

/// What it carries, its source and its destination.
type Packet = (Transport, Option<IpAddr>, Option<IpAddr>);

/// Reads `tcp/443 from 192.0.2.1 to 198.51.100.1`, in any order.
pub fn packet(words: &[String]) -> Result<Packet, Failure> {
    let (mut flow, mut source, mut destination) = (None, None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "from" => &mut source,
            "to" => &mut destination,
            word => {
                if flow.replace(transport(word)?).is_some() {
                    return Err(wrong(format!("{word:?} is a second packet"), "ask about one packet at a time"));
                }
                continue;
            }
        };
        let Some(text) = words.next() else {
            return Err(wrong(format!("no address after {word:?}"), "name one, such as 192.0.2.1 or 2001:db8::1"));
        };
        let address = text.parse().map_err(|_| {
            wrong(format!("{text:?} is not an address"), "name one address, such as 192.0.2.1 or 2001:db8::1")
        })?;
        if place.replace(address).is_some() {
            return Err(wrong(format!("{word:?} is there twice"), "ask about one packet at a time"));
        }
    }
    let flow = flow.ok_or_else(|| wrong("what the packet carries is missing".to_owned(), FORMS))?;
    Ok((flow, source, destination))
}

const FORMS: &str = "write tcp/443, udp/53, icmp, or another protocol's name or number";

fn transport(word: &str) -> Result<Transport, Failure> {
    let (protocol, port) = match word.split_once('/') {
        Some((protocol, port)) => (protocol, Some(port)),
        None => (word, None),
    };
    let of_port: fn(u16) -> Transport = match protocol {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        _ if port.is_some() => {
            return Err(wrong(format!("{protocol:?} has no ports"), "only tcp and udp have ports"));
        }
        "icmp" | "ping" => return Ok(Transport::EchoRequest),
        name => {
            let number = config::protocol_number(name).or_else(|| name.parse().ok());
            return number.map(of_number).ok_or_else(|| wrong(format!("{name:?} names no protocol"), FORMS));
        }
    };
    let number = port.and_then(|port| port.parse().ok()).filter(|port| *port > 0).map(of_port);
    number
        .ok_or_else(|| wrong(format!("{word:?} does not name one port"), format!("write {protocol}/443, for example")))
}

/// TCP and UDP by number are those of any port that nobody lists.
fn of_number(number: u8) -> Transport {
    Transport::Other(number)
}

fn wrong(words: String, hint: impl std::fmt::Display) -> Failure {
    Failure::new(words).exit(Exit::Usage).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Packet, Failure> {
        packet(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_packet_is_written_as_people_say_it() {
        let (a, b) = ("192.0.2.1".parse().ok(), "2001:db8::1".parse().ok());
        assert_eq!(read("tcp/443"), Ok((Transport::Tcp(443), None, None)));
        assert_eq!(read("udp/53 from 192.0.2.1"), Ok((Transport::Udp(53), a, None)));
        assert_eq!(read("to 2001:db8::1 icmp"), Ok((Transport::EchoRequest, None, b)));
        assert_eq!(read("gre"), Ok((Transport::Other(47), None, None)));
        assert_eq!(read("89"), Ok((Transport::Other(89), None, None)));
    }

    #[test]
    fn what_is_no_packet_is_refused_with_one_thing_to_try() {
        for (text, words) in [
            ("tcp", "\"tcp\" does not name one port"),
            ("tcp/80,443", "\"tcp/80,443\" does not name one port"),
            ("tcp/0", "\"tcp/0\" does not name one port"),
            ("icmp/8", "\"icmp\" has no ports"),
            ("tcpp", "\"tcpp\" names no protocol"),
            ("tcp/80 udp/53", "\"udp/53\" is a second packet"),
            ("tcp/80 from", "no address after \"from\""),
            ("tcp/80 from internet", "\"internet\" is not an address"),
            ("tcp/80 to 192.0.2.1 to 192.0.2.2", "\"to\" is there twice"),
            ("from 192.0.2.1", "what the packet carries is missing"),
        ] {
            let failure = read(text).unwrap_err();
            assert_eq!((failure.message.as_str(), failure.exit), (words, Exit::Usage), "{text}");
            assert!(failure.hint.is_some(), "{text}");
        }
    }
}
