//! Prefix patterns and the named lists of `[prefixes]`.

use std::collections::{HashMap, HashSet};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::values;
use crate::config::at::{At, Named, Span};
use crate::config::problem::Report;
use crate::config::raw::Texts;
use crate::config::shape::nearest;
use crate::model::{Families, Family, PrefixPattern};

/// What one text of a list says.
#[derive(Clone, Debug)]
pub struct Item {
    pub pattern: PrefixPattern,
    /// Where it is written in the list being read; for what a named list says, the place of `@name`.
    pub span: Span,
    /// Whether the pattern was written here itself, so that a family which cannot be used is a mistake: `any` and lists
    /// are used for domains of one family and of both.
    pub literal: bool,
    /// Whether it stands for `any`.
    pub any: bool,
}

/// The named lists, expanded.
#[derive(Debug, Default)]
pub struct Lists<'f> {
    lists: HashMap<&'f str, Option<Vec<Item>>>,
}

impl<'f> Lists<'f> {
    /// Reads all lists; each mistake in them is reported once, where it is written.
    pub fn read(raw: &'f Named<Texts>, report: &mut Report<'_>) -> Self {
        let mut lists = Self::default();
        let texts: HashMap<&str, &'f Texts> = raw.0.iter().map(|(name, texts)| (name.as_str(), texts)).collect();
        for (name, _) in &raw.0 {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
                report
                    .error(&name.span, format!("{:?} is not a legal name of a prefix list", name.value))
                    .hint("use letters, digits, - and _");
            }
            lists.expand(name, &texts, &mut Vec::new(), report);
        }
        lists
    }

    /// Expands one list, those that it uses first. `trail` holds the lists that are being expanded, so that a circle is
    /// found; its depth is the number of lists at most.
    fn expand(
        &mut self,
        name: &'f str,
        texts: &HashMap<&'f str, &'f Texts>,
        trail: &mut Vec<&'f str>,
        report: &mut Report<'_>,
    ) {
        let Some(entries) = texts.get(name).filter(|_| !self.lists.contains_key(name)) else { return };
        trail.push(name);
        for text in *entries {
            let Some(used) = text.strip_prefix('@') else { continue };
            if let Some(start) = trail.iter().position(|other| *other == used) {
                let circle: Vec<String> = trail[start..].iter().chain([&used]).map(|name| format!("@{name}")).collect();
                report
                    .error(&text.span, format!("prefix lists use each other in a circle: {}", circle.join(" uses ")))
                    .hint("break the circle by writing out one of them");
                // Marks the list as known, so that its users do not report it again.
                self.lists.insert(trail[start], None);
            } else if trail.len() < MAX_NESTING {
                self.expand(used, texts, trail, report);
            } else {
                report
                    .error(&text.span, format!("prefix lists are nested more than {MAX_NESTING} deep"))
                    .hint("use the inner lists directly");
                self.lists.insert(used, None);
            }
        }
        trail.pop();
        let mut items = self.items(entries, report);
        // Lists that use a list twice would otherwise double at each level.
        let mut seen = HashSet::new();
        items.retain(|item| seen.insert(item.pattern));
        self.lists.entry(name).or_insert(Some(items));
    }

    /// Reads a list of patterns. Mistakes are reported, and left out.
    pub fn items(&self, texts: &[At<String>], report: &mut Report<'_>) -> Vec<Item> {
        let mut items = Vec::new();
        for text in texts {
            if let Some(name) = text.strip_prefix('@') {
                match self.lists.get(name) {
                    Some(Some(list)) => items.extend(list.iter().map(|item| Item {
                        span: text.span.clone(),
                        literal: false,
                        ..item.clone()
                    })),
                    Some(None) => {}
                    None => self.unknown(name, text, report),
                }
            } else if text.trim() == "any" {
                let both: [IpNet; 2] = [Ipv4Net::default().into(), Ipv6Net::default().into()];
                items.extend(both.map(|prefix| Item {
                    pattern: PrefixPattern { prefix, ge: 0, le: prefix.max_prefix_len() },
                    span: text.span.clone(),
                    literal: false,
                    any: true,
                }));
            } else if let Some(pattern) = pattern(text, report) {
                items.push(Item { pattern, span: text.span.clone(), literal: true, any: false });
            }
        }
        items
    }

    fn unknown(&self, name: &str, text: &At<String>, report: &mut Report<'_>) {
        let mut names: Vec<&str> = self.lists.keys().copied().collect();
        names.sort_unstable();
        let problem = report.error(&text.span, format!("there is no prefix list {name:?}")).absent();
        match nearest(name, &names) {
            Some(near) => problem.hint(format!("did you mean \"@{near}\"?")),
            None => problem.hint(format!("define it in [prefixes]: {name} = [ … ]")),
        };
    }
}

/// How deep lists may use lists: far more than anyone can follow, and far less than the stack holds.
const MAX_NESTING: usize = 64;

/// Reads `PREFIX [ge N] [le N]`.
fn pattern(text: &At<String>, report: &mut Report<'_>) -> Option<PrefixPattern> {
    let mut words = text.split_ascii_whitespace();
    let prefix = values::prefix("a prefix pattern", words.next().unwrap_or_default(), &text.span, report)?;
    let (length, most) = (prefix.prefix_len(), prefix.max_prefix_len());
    let (mut ge, mut le) = (None, None);
    while let Some(word) = words.next() {
        let bound = match word {
            "ge" if ge.is_none() && le.is_none() => &mut ge,
            "le" if le.is_none() => &mut le,
            _ => {
                report
                    .error(
                        &text.span,
                        format!("{:?} is not a prefix pattern: {word:?} is not expected there", text.value),
                    )
                    .hint(format!("write \"{prefix}\", \"{prefix} le {most}\" or \"{prefix} ge {length} le {most}\""));
                return None;
            }
        };
        let Some(number) = words.next() else {
            report
                .error(&text.span, format!("`{word}` of {prefix} has no length"))
                .hint(format!("give a length from {length} to {most}"));
            return None;
        };
        let Some(number) = number.parse::<u8>().ok().filter(|number| (length..=most).contains(number)) else {
            report
                .error(&text.span, format!("`{word} {number}` is out of range for {prefix}"))
                .hint(format!("give a length from {length} to {most}"));
            return None;
        };
        *bound = Some(number);
    }
    let (ge, le) = match (ge, le) {
        (None, None) => (length, length),
        (None, Some(le)) => (length, le),
        (Some(ge), None) => (ge, most),
        (Some(ge), Some(le)) => (ge, le),
    };
    if ge > le {
        report
            .error(&text.span, format!("`ge {ge} le {le}` matches nothing"))
            .hint(format!("turn them around: \"{prefix} ge {le} le {ge}\""));
        return None;
    }
    Some(PrefixPattern { prefix, ge, le })
}

/// What may be used where `families` are routed: literal patterns of another family are reported, those of lists and of
/// `any` left out. `who` says whose families they are.
pub fn of_families(items: Vec<Item>, families: Families, who: &str, report: &mut Report<'_>) -> Vec<Item> {
    let mut kept: Vec<Item> = Vec::new();
    let mut seen = HashSet::new();
    for item in items {
        let family = Family::of_net(&item.pattern.prefix);
        if families.contains(family) {
            if seen.insert(item.pattern) {
                kept.push(item);
            }
        } else if item.literal {
            report
                .error(&item.span, format!("{} is {}, which {who}", item.pattern, family.as_str()))
                .hint(format!("remove it, or add {:?} to `families` there", family.as_str()));
        }
    }
    kept
}
