//! What contradicts what among translations, and between them and the rest of the file.

use std::collections::HashMap;

use ipnet::IpNet;

use super::super::{Domains, Known, KnownLink, meets};
use super::{Kind, Translation, hidden};
use crate::config::at::Span;
use crate::config::problem::Report;
use crate::model::{Family, Routing};

/// What a receiver sees of one sender.
struct View<'v, 'f> {
    receiver: &'v Known<'f>,
    sender: &'v Known<'f>,
    link: &'v KnownLink<'f>,
    /// The receiver's end of the link.
    index: usize,
}

impl View<'_, '_> {
    fn translations(&self) -> &[Translation] {
        &self.link.accept[self.index].translations
    }
}

impl Translation {
    /// The word that the configuration has for it.
    fn word(&self) -> &'static str {
        match self.kind {
            Kind::Nat => "nat",
            Kind::Alias => "alias",
        }
    }

    /// What is shown, as one writes it for this kind.
    fn shown_as_written(&self) -> String {
        match self.kind {
            Kind::Nat => self.shown.addr().to_string(),
            Kind::Alias => self.shown.to_string(),
        }
    }
}

/// Reports all contradictions.
pub fn check(domains: &Domains<'_>, links: &[KnownLink<'_>], report: &mut Report<'_>) {
    let mut views: Vec<View<'_, '_>> = Vec::new();
    for link in links {
        for index in [0, 1] {
            let [receiver, sender] = [index, 1 - index].map(|end| domains.get(link.link.ends[end].domain.as_str()));
            if let (Some(receiver), Some(sender)) = (receiver, sender) {
                views.push(View { receiver, sender, link, index });
            }
        }
    }
    for view in &views {
        for translation in view.translations() {
            accepted(view, translation, report);
            of_the_sender(view, translation, links, report);
            not_the_receivers(view, translation, report);
        }
        hidden_once(view, report);
        no_hidden_routes(view, report);
    }
    shown_once(&views, report);
    shown_one_way(&views, report);
}

/// What is shown must be accepted as it is announced, or the receiver has no way to answer.
fn accepted(view: &View<'_, '_>, translation: &Translation, report: &mut Report<'_>) {
    let routes = &view.link.accept[view.index].routes;
    let covering = routes.iter().find(|(pattern, _)| pattern.prefix.contains(&translation.shown));
    let (receiver, shown) = (view.receiver.name.as_str(), translation.shown);
    let Some((pattern, span)) = covering else {
        report
            .error(
                &translation.shown_at,
                format!(
                    "{receiver:?} does not accept {}, as which this {} shows addresses of {:?}",
                    translation.shown_as_written(),
                    translation.word(),
                    view.sender.name.value
                ),
            )
            .hint(format!("add \"{shown}\" to `into.{receiver}.routes`"));
        return;
    };
    // A static route or a default route leads there as well as one of its own.
    let leads = routes.iter().any(|(pattern, _)| pattern.matches(&shown) || pattern.prefix.prefix_len() == 0);
    if view.link.link.routing == Routing::Bgp && !leads {
        report
            .warning(
                &translation.shown_at,
                format!("{receiver:?} accepts {pattern}, and {shown} is announced to it by itself"),
            )
            .see(span, "accepted here")
            .hint(format!("add \"{shown}\" to `into.{receiver}.routes`"));
    }
}

/// A domain translates its own addresses; with `nat` also those that reach it.
fn of_the_sender(view: &View<'_, '_>, translation: &Translation, links: &[KnownLink<'_>], report: &mut Report<'_>) {
    let sender = view.sender;
    // The machine's own addresses are not in the file.
    if sender.domain.name.is_host() {
        return;
    }
    let own: Vec<IpNet> = sender
        .owned()
        .map(|(net, _)| net)
        .chain(sender.near())
        .chain(sender.domain.routes.iter().map(|route| route.to))
        .collect();
    let own = IpNet::aggregate(&own);
    for (net, span) in &translation.hidden {
        let is_own = match translation.kind {
            Kind::Alias => own.iter().any(|own| own.contains(net)),
            Kind::Nat => own.iter().any(|own| meets(own, net)) || reaches(sender, net, links),
        };
        if is_own {
            continue;
        }
        let owner = sender.name.as_str();
        let problem = match translation.kind {
            Kind::Alias => report.error(span, format!("{net} is not among the addresses of {owner:?}")),
            Kind::Nat => report.error(span, format!("{owner:?} has nothing in {net}, so nothing would be translated")),
        };
        problem.hint(format!("name what `networks`, `loopback`, an interface or a route of {owner:?} has"));
    }
}

/// Whether the domain accepts packets from `net` over a link or from a neighbor.
fn reaches(known: &Known<'_>, net: &IpNet, links: &[KnownLink<'_>]) -> bool {
    let over_links = links.iter().flat_map(|link| link.link.ends.iter().zip(&link.accept));
    let mut over_links = over_links.filter(|(end, _)| end.domain == known.domain.name);
    over_links.any(|(_, accept)| accept.routes.iter().any(|(pattern, _)| meets(&pattern.prefix, net)))
        || known.domain.neighbors.iter().any(|it| it.routes.iter().any(|pattern| meets(&pattern.prefix, net)))
}

/// What the receiver has itself it never looks for at the other end of a link.
fn not_the_receivers(view: &View<'_, '_>, translation: &Translation, report: &mut Report<'_>) {
    let (receiver, shown) = (view.receiver, translation.shown);
    // One address out of the receiver's networks may be lent to the sender; its own addresses and whole prefixes may not.
    let networks = receiver.networks.iter().filter(|_| translation.kind == Kind::Alias);
    let own = networks.chain(&receiver.loopback).chain(&receiver.addresses);
    let Some((net, span)) = own.into_iter().find(|(net, _)| meets(&net.trunc(), &shown)) else { return };
    report
        .error(
            &translation.shown_at,
            format!(
                "{} overlaps {} of {:?} itself, which is to see it as {:?}",
                translation.shown_as_written(),
                net.trunc(),
                receiver.name.value,
                view.sender.name.value
            ),
        )
        .see(span, "its own")
        .hint("choose addresses that the receiver does not have, such as a part of 198.18.0.0/15 or fd00::/8");
}

/// One address cannot be shown as two.
fn hidden_once(view: &View<'_, '_>, report: &mut Report<'_>) {
    let mut before: Vec<(Kind, IpNet, &Span)> = Vec::new();
    for translation in view.translations() {
        for (net, span) in &translation.hidden {
            // An alias goes before a nat, so that of a prefix behind one address a part may have addresses of its own.
            let other = before.iter().find(|(kind, other, _)| *kind == translation.kind && meets(other, net));
            if let Some((_, other, first)) = other {
                let twice =
                    if other == net { format!("{net} is") } else { format!("{net} and {other} overlap, and are") };
                report
                    .error(span, format!("{twice} translated twice for {:?}", view.receiver.name.value))
                    .see(first, "first here")
                    .hint("remove one, or make them distinct");
            } else {
                before.push((translation.kind, *net, span));
            }
        }
    }
}

/// What is hidden is never announced, so nobody can accept it.
fn no_hidden_routes(view: &View<'_, '_>, report: &mut Report<'_>) {
    let translations = view.translations();
    let hidden = hidden(translations);
    if hidden.is_empty() {
        return;
    }
    for run in view.link.accept[view.index].routes.runs() {
        let vain = run.patterns.iter().find(|pattern| {
            hidden.iter().any(|hidden| hidden.contains(&pattern.prefix))
                && !translations.iter().any(|it| meets(&it.shown, &pattern.prefix))
        });
        let Some(pattern) = vain else { continue };
        let by = translations.iter().find(|it| it.hidden.iter().any(|(net, _)| meets(net, &pattern.prefix)));
        let shown = by.map_or_else(String::new, |it| it.shown.to_string());
        let problem = report.error(
            &run.span,
            format!(
                "{:?} accepts {pattern}, which {:?} hides from it",
                view.receiver.name.value, view.sender.name.value
            ),
        );
        if let Some(translation) = by {
            problem.see(&translation.span, "by this translation");
        }
        problem.hint(format!("accept what is shown instead: \"{shown}\""));
    }
}

/// A receiver that sees two things at one address could reach neither.
fn shown_once(views: &[View<'_, '_>], report: &mut Report<'_>) {
    let mut by_receiver: HashMap<&str, Vec<&View<'_, '_>>> = HashMap::new();
    for view in views {
        by_receiver.entry(&view.receiver.name.value).or_default().push(view);
    }
    for view in views {
        let all = by_receiver.get(view.receiver.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        for (index, translation) in view.translations().iter().enumerate() {
            let mut before = all.iter().flat_map(|other| {
                let same = std::ptr::eq(*other, view);
                other.translations().iter().take(if same { index } else { usize::MAX }).map(|it| (*other, it))
            });
            let clash = before.find(|(other, it)| {
                it.span.start < translation.span.start
                    && meets(&it.shown, &translation.shown)
                    && !is_the_same(view, translation, other, it)
            });
            if let Some((other, it)) = clash {
                let [sender, other] = [view, other].map(|view| view.sender.name.as_str());
                let both = if sender == other {
                    format!("two parts of {sender:?}")
                } else {
                    format!("both {other:?} and {sender:?}")
                };
                report
                    .error(
                        &translation.shown_at,
                        format!(
                            "{:?} would see {both} as {}",
                            view.receiver.name.value,
                            translation.shown_as_written()
                        ),
                    )
                    .see(&it.shown_at, "the other one")
                    .hint("show each as addresses of its own");
            }
            untranslated(view, translation, all, report);
        }
    }
}

/// Between two domains an address stands for something at one side only: what a domain shows is its own there, so a packet to
/// the same address at the other side would never leave.
fn shown_one_way(views: &[View<'_, '_>], report: &mut Report<'_>) {
    for view in views {
        let back = views
            .iter()
            .filter(|other| std::ptr::eq(other.receiver, view.sender) && std::ptr::eq(other.sender, view.receiver));
        let back: Vec<&Translation> = back.flat_map(View::translations).collect();
        for translation in view.translations() {
            let clash =
                back.iter().find(|it| it.span.start < translation.span.start && meets(&it.shown, &translation.shown));
            if let Some(it) = clash {
                let [receiver, sender] = [view.receiver, view.sender].map(|known| known.name.as_str());
                report
                    .error(
                        &translation.shown_at,
                        format!(
                            "{receiver:?} would see {sender:?} as {}, and {sender:?} sees {receiver:?} there",
                            translation.shown_as_written()
                        ),
                    )
                    .see(&it.shown_at, "the other one")
                    .hint("show each as addresses of its own");
            }
        }
    }
}

/// Several sources may share one address, and parallel links show the same; anything else would be ambiguous.
fn is_the_same(view: &View<'_, '_>, one: &Translation, other_view: &View<'_, '_>, other: &Translation) -> bool {
    let same = std::ptr::eq(view.sender, other_view.sender) && one.kind == other.kind && one.shown == other.shown;
    let real = |it: &Translation| it.hidden.first().map(|(net, _)| *net);
    same && (one.kind == Kind::Nat || !std::ptr::eq(view, other_view) && real(one) == real(other))
}

/// What is shown must not be what another sender, or the same one, has and shows as it is.
fn untranslated(view: &View<'_, '_>, translation: &Translation, all: &[&View<'_, '_>], report: &mut Report<'_>) {
    for other in all {
        let itself = std::ptr::eq(other.sender, view.sender);
        if itself && translation.kind == Kind::Nat {
            continue;
        }
        let hidden = hidden(other.translations());
        let visible = |net: &IpNet| {
            let both = if net.contains(&translation.shown) { &translation.shown } else { net };
            meets(net, &translation.shown) && !hidden.iter().any(|hidden| hidden.contains(both))
        };
        let Some((net, span)) = other.sender.owned().find(|(net, _)| visible(net)) else { continue };
        report
            .error(
                &translation.shown_at,
                format!(
                    "{:?} would see {:?} as {}, which overlaps {net} of {:?}",
                    view.receiver.name.value,
                    view.sender.name.value,
                    translation.shown_as_written(),
                    other.sender.name.value
                ),
            )
            .see(span, "these addresses")
            .hint(match Family::of_net(&translation.shown) {
                Family::Ipv4 => "choose addresses that nobody has, such as a part of 198.18.0.0/15",
                Family::Ipv6 => "choose addresses that nobody has, such as a part of fd00::/8",
            });
        return;
    }
}
