//! `nat` and `alias` of `[link.into.*]`: how the receiver sees addresses of the other end.

pub mod check;

use std::net::IpAddr;

use ipnet::IpNet;

use super::{origin, values};
use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::config::raw;
use crate::model::{Alias, Families, Family, Nat};

/// One translation that has been read, with the places that later checks point at.
#[derive(Clone, Debug)]
pub struct Translation {
    /// Its table.
    pub span: Span,
    pub kind: Kind,
    /// The sender's own addresses, of one family.
    pub hidden: Vec<(IpNet, Span)>,
    /// What the receiver sees instead.
    pub shown: IpNet,
    pub shown_at: Span,
}

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nat,
    Alias,
}

/// The addresses that are translated, in as few prefixes as possible.
pub fn hidden(translations: &[Translation]) -> Vec<IpNet> {
    let all: Vec<IpNet> = translations.iter().flat_map(|it| &it.hidden).map(|(net, _)| *net).collect();
    IpNet::aggregate(&all)
}

/// As which address the receiver sees `address`.
pub fn seen_as(translations: &[Translation], address: IpAddr) -> IpAddr {
    let translates = |it: &&Translation| it.hidden.iter().any(|(net, _)| net.contains(&address));
    // An alias is for one address more precisely than a nat, and looked at first.
    let alias = translations.iter().filter(|it| it.kind == Kind::Alias).find(translates);
    match alias.or_else(|| translations.iter().find(translates)) {
        Some(translation) if translation.kind == Kind::Alias => moved(address, &translation.shown),
        Some(translation) => translation.shown.addr(),
        None => address,
    }
}

/// The address at the same place of another prefix.
fn moved(address: IpAddr, to: &IpNet) -> IpAddr {
    match (address, to) {
        (IpAddr::V4(v4), IpNet::V4(to)) => {
            IpAddr::V4((u32::from(to.addr()) | u32::from(v4) & u32::from(to.hostmask())).into())
        }
        (IpAddr::V6(v6), IpNet::V6(to)) => {
            IpAddr::V6((u128::from(to.addr()) | u128::from(v6) & u128::from(to.hostmask())).into())
        }
        (other, _) => other,
    }
}

/// Reads the translations of one receiver; those that cannot be used are reported and left out.
pub fn translations(table: &raw::Accept, families: Families, report: &mut Report<'_>) -> Vec<Translation> {
    let mut found = Vec::new();
    for raw in &table.nat.0 {
        found.extend(nat(raw, families, report));
    }
    for raw in &table.alias.0 {
        found.extend(alias(raw, families, report));
    }
    found
}

fn nat(raw: &At<raw::Nat>, families: Families, report: &mut Report<'_>) -> Option<Translation> {
    let to = values::address("the address of a nat", &raw.to, report)
        .filter(|to| is_shared(&IpNet::from(*to), families, &raw.to.span, report));
    let mut from: Vec<(IpNet, Span)> = Vec::new();
    for text in raw.from.iter() {
        let net = values::prefix("a source of a nat", text, &text.span, report)
            .filter(|net| is_shared(net, families, &text.span, report));
        from.extend(net.map(|net| (net, text.span.clone())));
    }
    if raw.from.is_empty() && !report.has_lost(&raw.span, "from") {
        report
            .error(&raw.from.span, "`from` of a nat is empty")
            .hint("list the prefixes that the receiver sees as one address");
    }
    let to = to?;
    let family = Family::of(to);
    from.retain(|(net, span)| {
        let same = Family::of_net(net) == family;
        if !same {
            report
                .error(span, format!("the source {net} is {}, and {to} is not", Family::of_net(net).as_str()))
                .see(&raw.to.span, "translated to this")
                .hint("write one nat for each address family");
        }
        same
    });
    (!from.is_empty()).then(|| Translation {
        span: raw.span.clone(),
        kind: Kind::Nat,
        hidden: from,
        shown: IpNet::from(to),
        shown_at: raw.to.span.clone(),
    })
}

fn alias(raw: &At<raw::Alias>, families: Families, report: &mut Report<'_>) -> Option<Translation> {
    let mut prefix = |what, text: &At<String>| {
        values::prefix(what, text, &text.span, report).filter(|net| is_shared(net, families, &text.span, report))
    };
    let real = prefix("the real prefix of an alias", &raw.real);
    let seen = prefix("the seen prefix of an alias", &raw.seen);
    let (real, seen) = (real?, seen?);
    if Family::of_net(&real) != Family::of_net(&seen) {
        report
            .error(&raw.seen.span, format!("{real} and {seen} are of different address families"))
            .see(&raw.real.span, "translated from this")
            .hint("give both of one family: an alias keeps the packet's family");
        return None;
    }
    if real.prefix_len() != seen.prefix_len() {
        report
            .error(&raw.seen.span, format!("{real} and {seen} are of different sizes"))
            .see(&raw.real.span, "translated from this")
            .hint(format!("an alias is one to one: give both the length /{}, or use `nat`", real.prefix_len()));
        return None;
    }
    Some(Translation {
        span: raw.span.clone(),
        kind: Kind::Alias,
        hidden: vec![(real, raw.real.span.clone())],
        shown: seen,
        shown_at: raw.seen.span.clone(),
    })
}

/// Whether both ends of the link route the family of `net`; reported if not.
fn is_shared(net: &IpNet, families: Families, span: &Span, report: &mut Report<'_>) -> bool {
    let family = Family::of_net(net);
    if families.contains(family) {
        return true;
    }
    report
        .error(span, format!("{net} is {}, which not both ends of this link route", family.as_str()))
        .hint("remove it, or correct `families` of the ends");
    false
}

/// The translations as the model has them.
pub fn to_model(translations: &[Translation], report: &Report<'_>) -> (Vec<Nat>, Vec<Alias>) {
    let (mut nats, mut aliases) = (Vec::new(), Vec::new());
    for translation in translations {
        let origin = origin(&translation.span, report);
        match (translation.kind, translation.hidden.as_slice()) {
            (Kind::Alias, [(real, _), ..]) => aliases.push(Alias { real: *real, seen: translation.shown, origin }),
            (_, hidden) => nats.push(Nat {
                from: hidden.iter().map(|(net, _)| *net).collect(),
                to: translation.shown.addr(),
                origin,
            }),
        }
    }
    (nats, aliases)
}
