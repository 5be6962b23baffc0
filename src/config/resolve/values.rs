//! Single values: text, numbers, addresses and prefixes. Each returns `None` after it has reported what is wrong.

use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::model::{Asn, Families, InvalidName};

/// MTUs that every link must be able to have: IPv6 needs 1280 (RFC 8200, section 5), and the kernel stops at 65535.
const MTU: RangeInclusive<u32> = 1280..=65535;

/// Text for people: anything but control characters, which could end a line or a comment in what is rendered.
pub fn line(what: &str, text: &At<String>, report: &mut Report<'_>) -> Option<String> {
    if let Some(found) = text.chars().find(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        report
            .error(&text.span, format!("{what} contains the control character {found:?}"))
            .hint("write it on one line, without control characters");
        return None;
    }
    Some(text.value.clone())
}

/// The absolute path of a file or directory.
pub fn path(what: &str, text: &At<String>, report: &mut Report<'_>) -> Option<PathBuf> {
    let checked = line(what, text, report)?;
    if !checked.starts_with('/') {
        report.error(&text.span, format!("{what} must be an absolute path, not {checked:?}")).hint("start it with /");
        return None;
    }
    if checked.contains(['"', '\\']) {
        report
            .error(&text.span, format!("{what} contains a quote or a backslash: {checked:?}"))
            .hint("choose a path without them: it stands in quotes in what is rendered");
        return None;
    }
    Some(PathBuf::from(checked))
}

/// The name of a group of users, as `groupadd` accepts it.
pub fn group(what: &str, text: &At<String>, report: &mut Report<'_>) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.is_empty() || text.len() > 32 || text.starts_with('-') || !text.chars().all(legal) {
        report
            .error(&text.span, format!("{what} must name a group, which {:?} cannot be", text.value))
            .hint("a group name has at most 32 letters, digits and _ - .");
        return None;
    }
    Some(text.value.clone())
}

/// A name that a constructor of the model accepts.
pub fn name<T>(
    text: &At<String>,
    new: impl Fn(String) -> Result<T, InvalidName>,
    report: &mut Report<'_>,
) -> Option<T> {
    match new(text.value.clone()) {
        Ok(name) => Some(name),
        Err(invalid) => {
            report.error(&text.span, format!("{:?} is not a legal {}", invalid.name, invalid.what)).hint(invalid.rule);
            None
        }
    }
}

/// A number within limits.
pub fn within(what: &str, number: &At<u32>, limits: RangeInclusive<u32>, report: &mut Report<'_>) -> Option<u32> {
    if limits.contains(&number.value) {
        return Some(number.value);
    }
    report.error(&number.span, format!("{what} cannot be {}", number.value)).hint(format!(
        "give a number from {} to {}",
        limits.start(),
        limits.end()
    ));
    None
}

/// An MTU.
pub fn mtu(number: &At<u32>, report: &mut Report<'_>) -> Option<u32> {
    within("an MTU", number, MTU, report)
}

/// An AS number that a router may have.
pub fn asn(number: &At<u32>, report: &mut Report<'_>) -> Option<Asn> {
    let reserved = match number.value {
        0 => "RFC 7607",
        23456 => "RFC 6793, as AS_TRANS",
        65535 | u32::MAX => "RFC 7300",
        _ => return Some(Asn(number.value)),
    };
    report
        .error(&number.span, format!("AS number {} is reserved ({reserved})", number.value))
        .hint("private use is 64512 to 65534 and 4200000000 to 4294967294 (RFC 6996)");
    None
}

/// An address without prefix length that one host can have.
pub fn address(what: &str, text: &At<String>, report: &mut Report<'_>) -> Option<IpAddr> {
    let Ok(address) = text.parse::<IpAddr>() else {
        let problem = report.error(&text.span, format!("{what} must be an IP address, not {:?}", text.value));
        match text.parse::<IpNet>() {
            Ok(net) => problem.hint(format!("write {:?}, without the prefix length", net.addr().to_string())),
            Err(_) => problem.hint("write it like \"192.0.2.1\" or \"2001:db8::1\""),
        };
        return None;
    };
    is_unicast(what, address, &text.span, report).then_some(address)
}

/// Whether one host can have `address`; reported if not.
fn is_unicast(what: &str, address: IpAddr, span: &Span, report: &mut Report<'_>) -> bool {
    let kind = match address {
        _ if address.is_unspecified() => "the unspecified address",
        _ if address.is_loopback() => "a loopback address of every host",
        _ if address.is_multicast() => "a multicast address",
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        IpAddr::V4(v4) if v4.octets()[0] == 0 => "in 0.0.0.0/8, which no host may use",
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "an IPv4-mapped address",
        _ => return true,
    };
    report.error(span, format!("{what} cannot be {address}: it is {kind}")).hint("give a unicast address");
    false
}

/// Whether an IPv6 address is link-local (`fe80::/10`).
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if is_link_local_v6(v6))
}

fn is_link_local_v6(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

/// What is wrong with a text, wherever it stands.
#[derive(Clone, Debug)]
pub struct Mistake {
    pub message: String,
    pub hint: String,
}

impl Mistake {
    pub fn new(message: impl Display, hint: impl Display) -> Self {
        Self { message: message.to_string(), hint: hint.to_string() }
    }

    /// Says it of a place in the configuration.
    pub fn report(self, span: &Span, report: &mut Report<'_>) {
        report.error(span, self.message).hint(self.hint);
    }
}

/// A prefix, host bits as they were given.
fn parse_net(what: impl Display, text: &str) -> Result<IpNet, Mistake> {
    text.parse::<IpNet>().map_err(|_| {
        let hint = match text.parse::<IpAddr>() {
            Ok(address) => format!("add the prefix length: {:?}", IpNet::from(address).to_string()),
            Err(_) => net_hint(text),
        };
        Mistake::new(format!("{what} must be a prefix, not {text:?}"), hint)
    })
}

fn net(what: impl Display, text: &str, span: &Span, report: &mut Report<'_>) -> Option<IpNet> {
    parse_net(what, text).map_err(|mistake| mistake.report(span, report)).ok()
}

fn net_hint(text: &str) -> String {
    let Some((address, length)) = text.split_once('/') else {
        return "write it like \"192.0.2.0/24\" or \"2001:db8::/32\"".to_owned();
    };
    match address.parse::<IpAddr>() {
        Ok(address) => {
            let most = if address.is_ipv4() { 32 } else { 128 };
            format!("the prefix length must be a number from 0 to {most}, which {length:?} is not")
        }
        Err(_) => format!("{address:?} is not an IP address"),
    }
}

/// A prefix whose host bits are zero.
pub fn parse_prefix(what: impl Display, text: &str) -> Result<IpNet, Mistake> {
    let net = parse_net(what, text)?;
    if net.trunc() != net {
        return Err(Mistake::new(
            format!("{net} has host bits set"),
            format!("the prefix meant is probably {}", net.trunc()),
        ));
    }
    Ok(net)
}

/// The same; a mistake is reported.
pub fn prefix(what: impl Display, text: &str, span: &Span, report: &mut Report<'_>) -> Option<IpNet> {
    parse_prefix(what, text).map_err(|mistake| mistake.report(span, report)).ok()
}

/// An address on an interface, with its prefix length.
pub fn interface_address(text: &At<String>, report: &mut Report<'_>) -> Option<IpNet> {
    let net = net("an interface address", text, &text.span, report)?;
    if !is_unicast("an interface address", net.addr(), &text.span, report) {
        return None;
    }
    if let IpNet::V4(v4) = net
        && v4.prefix_len() < 31
        && (v4.addr() == v4.network() || v4.addr() == v4.broadcast())
    {
        let kind = if v4.addr() == v4.network() { "network" } else { "broadcast" };
        let example = v4.hosts().next().map_or_else(|| "an address".to_owned(), |host| host.to_string());
        report
            .error(&text.span, format!("{} is the {kind} address of {}", v4.addr(), v4.trunc()))
            .hint(format!("give an address of a host there, such as {example}/{}", v4.prefix_len()));
        return None;
    }
    Some(net)
}

/// An address on `lo`.
pub fn loopback(text: &At<String>, report: &mut Report<'_>) -> Option<IpNet> {
    let net = net("a loopback", text, &text.span, report)?;
    if net.prefix_len() != net.max_prefix_len() {
        report
            .error(&text.span, format!("loopback {net} must have the prefix length /{}", net.max_prefix_len()))
            .hint(format!("write {:?}, and the prefix itself in `networks`", IpNet::from(net.addr()).to_string()));
        return None;
    }
    if is_link_local(net.addr()) {
        report
            .error(&text.span, format!("a loopback cannot be {}: it is link-local", net.addr()))
            .hint("give an address that other domains can reach");
        return None;
    }
    is_unicast("a loopback", net.addr(), &text.span, report).then_some(net)
}

/// Whether `net` is of a family that the domain routes; reported if not.
pub fn has_family(net: &IpNet, families: Families, span: &Span, domain: &str, report: &mut Report<'_>) -> bool {
    let family = crate::model::Family::of_net(net);
    if families.contains(family) {
        return true;
    }
    report
        .error(span, format!("{net} is {}, which {domain:?} does not route", family.as_str()))
        .hint(format!("remove it, or add {:?} to `families`", family.as_str()));
    false
}
