//! `transit` of `[link.into.*]`: domains that the receiver may reach through the other end.

use std::collections::HashMap;

use ipnet::IpNet;

use super::translation::hidden;
use super::{Domains, KnownLink, meets, origin};
use crate::config::at::At;
use crate::config::problem::Report;
use crate::config::raw;
use crate::model::{Accept, PrefixPattern, Routing};

/// The domains that the receiver may also reach, each with its line. Whether they can be reached is said where links are
/// compared.
pub fn read(table: &raw::Accept, domains: &Domains<'_>, accept: &mut Accept, report: &mut Report<'_>) {
    for text in &table.transit {
        match domains.get(text) {
            Some(known) if accept.transit.contains(&known.domain.name) => {
                report.error(&text.span, format!("`transit` names {:?} twice", text.value)).hint("remove one");
            }
            Some(known) => {
                accept.transit.push(known.domain.name.clone());
                accept.lines.transit.push(origin(&text.span, report));
            }
            None => domains.unknown(text, report),
        }
    }
}

/// One statement of `transit`, with both links of the way.
pub struct Way<'w, 'f> {
    pub text: &'w At<String>,
    /// The link between the receiver and the domain that forwards, and the receiver's end of it.
    pub first: (&'w KnownLink<'f>, usize),
    /// A link between the domain that forwards and the one that is reached, and the end of the one that forwards.
    pub second: (&'w KnownLink<'f>, usize),
}

/// All ways that `transit` opens; a way over several links is there once for each of them.
pub fn ways<'w, 'f>(links: &'w [KnownLink<'f>]) -> Vec<Way<'w, 'f>> {
    let mut by_ends: HashMap<(&str, &str), Vec<(&KnownLink<'f>, usize)>> = HashMap::new();
    for link in links {
        for (own, peer) in [(0, 1), (1, 0)] {
            let [own_name, peer_name] = [own, peer].map(|end| link.link.ends[end].domain.as_str());
            by_ends.entry((own_name, peer_name)).or_default().push((link, own));
        }
    }
    let mut ways = Vec::new();
    for link in links {
        for index in [0, 1] {
            let through = link.link.ends[1 - index].domain.as_str();
            for text in link.accept[index].table.iter().flat_map(|table| &table.transit) {
                let onward = by_ends.get(&(through, text.as_str())).into_iter().flatten();
                ways.extend(onward.map(|second| Way { text, first: (link, index), second: *second }));
            }
        }
    }
    ways
}

/// Reports what `transit` names in vain.
pub fn check(domains: &Domains<'_>, links: &[KnownLink<'_>], report: &mut Report<'_>) {
    let ways = ways(links);
    for link in links {
        for index in [0, 1] {
            let [receiver, through] = [index, 1 - index].map(|end| link.link.ends[end].domain.as_str());
            for text in link.accept[index].table.iter().flat_map(|table| &table.transit) {
                if domains.get(text).is_none() {
                    continue;
                }
                possible(text, receiver, through, &ways, report);
            }
            forwarded(domains, link, index, report);
        }
    }
    // Several links between the same domains are as good as one.
    let mut good: HashMap<usize, [bool; 3]> = HashMap::new();
    for way in &ways {
        let known = good.entry(way.text.span.start).or_default();
        known[0] |= is_wanted(way);
        known[1] |= is_believed(way, domains);
        known[2] |= is_answered(way);
    }
    for way in &ways {
        let Some([wanted, believed, answered]) = good.remove(&way.text.span.start) else { continue };
        let (receiver, through) = (way.receiver(), way.through());
        if !wanted {
            report
                .warning(
                    &way.text.span,
                    format!("`into.{receiver}.routes` has nothing that {through:?} accepts from {:?}", way.text.value),
                )
                .hint(format!("add what {receiver:?} should reach there, or remove it from `transit`"));
        } else if !believed {
            report
                .warning(
                    &way.text.span,
                    format!("{:?} accepts nothing of {receiver:?} from {through:?}", way.text.value),
                )
                .see(&way.second.0.raw.between.span, "this link")
                .hint(format!("add addresses of {receiver:?} to `into.{}.routes` of that link", way.text.value));
        } else if !answered {
            report
                .warning(
                    &way.text.span,
                    format!("{:?} learns no way back to {receiver:?}, so its answers have none", way.text.value),
                )
                .see(&way.second.0.raw.between.span, "on this link")
                .hint(format!("add transit = [{receiver:?}] to [link.into.{}] of that link", way.text.value));
        }
    }
}

impl Way<'_, '_> {
    /// The domain that may reach another.
    pub fn receiver(&self) -> &str {
        self.first.0.link.ends[self.first.1].domain.as_str()
    }

    /// The domain in the middle.
    pub fn through(&self) -> &str {
        self.first.0.link.ends[1 - self.first.1].domain.as_str()
    }
}

fn possible(text: &At<String>, receiver: &str, through: &str, ways: &[Way<'_, '_>], report: &mut Report<'_>) {
    if text.value == receiver {
        report
            .error(&text.span, format!("`transit` of {receiver:?} names {receiver:?} itself"))
            .hint("name a domain behind the other end");
    } else if text.value == through {
        report
            .error(&text.span, format!("`transit` names {through:?}, which is the other end of this link"))
            .hint("remove it: what the other end itself has needs no transit");
    } else if !ways.iter().any(|way| std::ptr::eq(way.text, text)) {
        report
            .error(&text.span, format!("{through:?} has no link with {:?}, so nothing passes through it", text.value))
            .hint(format!("add a [[link]] between {through:?} and {:?}, or remove it from `transit`", text.value));
    }
}

/// The machine's own namespace forwards only if the file says so.
fn forwarded(domains: &Domains<'_>, link: &KnownLink<'_>, index: usize, report: &mut Report<'_>) {
    let Some(first) = link.accept[index].table.and_then(|table| table.transit.first()) else { return };
    let Some(through) = domains.get(link.link.ends[1 - index].domain.as_str()) else { return };
    if through.domain.name.is_host() && !through.domain.forwarding {
        report
            .error(&first.span, "`host` forwards nothing, so there is no transit through it")
            .see(&through.name.span, "no `forwarding` here")
            .hint("set forwarding = true in [domain.host], or remove `transit`");
    }
}

/// Whether the receiver accepts anything that the domain in the middle accepts from the one that is reached.
fn is_wanted(way: &Way<'_, '_>) -> bool {
    way.first.0.accept[way.first.1].routes.meets(&way.second.0.accept[way.second.1].routes)
}

/// Whether the domain that is reached believes any address of the receiver, as the one in the middle sees it.
fn is_believed(way: &Way<'_, '_>, domains: &Domains<'_>) -> bool {
    let Some(receiver) = domains.get(way.receiver()) else { return true };
    // The machine's own addresses are not in the file.
    if receiver.domain.name.is_host() {
        return true;
    }
    let middle = &way.first.0.accept[1 - way.first.1].translations;
    let onward = &way.second.0.accept[1 - way.second.1];
    let shown = middle.iter().chain(&onward.translations).map(|translation| translation.shown);
    let hidden = hidden(middle);
    let own = receiver.owned().map(|(net, _)| net).chain(receiver.near());
    let seen: Vec<IpNet> = own.filter(|net| !hidden.iter().any(|hidden| hidden.contains(net))).chain(shown).collect();
    onward.routes.iter().any(|(pattern, _)| seen.iter().any(|net| meets(net, &pattern.prefix)))
}

/// Whether the domain that is reached has a way back: the receiver's routes, what the one in the middle shows instead of
/// them, static routes, or one to everywhere.
fn is_answered(way: &Way<'_, '_>) -> bool {
    let (link, middle) = way.second;
    let onward = &link.accept[1 - middle];
    let told = |table: &raw::Accept| table.transit.iter().any(|text| text.value == way.receiver());
    onward.table.is_some_and(told)
        || !onward.translations.is_empty()
        || link.link.routing == Routing::Static
        || link.link.ends[1 - middle].accept.routes.iter().any(PrefixPattern::is_everything)
}
