//! Prefix patterns.

use std::collections::HashSet;
use std::sync::Arc;

use ipnet::IpNet;

use super::values::{self, Mistake};
use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::model::{Families, Family, PrefixPattern};

/// What one text of a list says: one pattern, or all those of a named list.
///
/// Lists may have a million patterns and many users, so all share one copy.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where it is written in the list being read; for what a named list says, the place of `@name`.
    pub span: Span,
    /// Whether the pattern was written here itself, so that a family which cannot be used is a mistake: `any` and lists
    /// are used for domains of one family and of both.
    pub literal: bool,
    /// Whether it stands for `any`.
    pub any: bool,
    /// None of them twice; sorted where there are several.
    pub patterns: Arc<[PrefixPattern]>,
}

impl Run {
    /// A pattern that was written.
    pub fn one(pattern: PrefixPattern, span: &Span) -> Self {
        Self { span: span.clone(), literal: true, any: false, patterns: Arc::new([pattern]) }
    }

    fn contains(&self, pattern: &PrefixPattern) -> bool {
        match &*self.patterns {
            [only] => only == pattern,
            patterns => patterns.binary_search(pattern).is_ok(),
        }
    }

    /// The same without the patterns that `keep` refuses.
    fn retain(mut self, keep: impl Fn(&PrefixPattern) -> bool) -> Option<Self> {
        if !self.patterns.iter().all(&keep) {
            self.patterns = self.patterns.iter().filter(|pattern| keep(pattern)).copied().collect();
        }
        (!self.patterns.is_empty()).then_some(self)
    }
}

/// A list of patterns with the places that wrote them.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    runs: Vec<Run>,
}

impl Patterns {
    pub fn push(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// Adds what a named list says, used at `span`.
    pub fn append_list(&mut self, list: &Self, span: &Span) {
        let runs = list.runs.iter().map(|run| Run { span: span.clone(), literal: false, ..run.clone() });
        self.runs.extend(runs);
    }

    /// Whether any address is in both.
    pub fn meets(&self, other: &Self) -> bool {
        let mut all: Vec<(IpNet, usize)> = self.iter().map(|(pattern, _)| (pattern.prefix, 0)).collect();
        all.extend(other.iter().map(|(pattern, _)| (pattern.prefix, 1)));
        // A prefix stands right before those in it, so the last wide one of each side is all that is to be remembered.
        all.sort_unstable();
        let mut last: [Option<IpNet>; 2] = [None, None];
        all.into_iter().any(|(prefix, side)| {
            let within = |wide: Option<IpNet>| wide.is_some_and(|wide| wide.contains(&prefix));
            if !within(last[side]) {
                last[side] = Some(prefix);
            }
            within(last[1 - side])
        })
    }

    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// Every pattern with its place.
    pub fn iter(&self) -> impl Iterator<Item = (PrefixPattern, &Span)> {
        self.runs.iter().flat_map(|run| run.patterns.iter().map(|pattern| (*pattern, &run.span)))
    }

    /// The patterns alone.
    pub fn to_model(&self) -> Vec<PrefixPattern> {
        let mut all = Vec::with_capacity(self.runs.iter().map(|run| run.patterns.len()).sum());
        self.runs.iter().for_each(|run| all.extend_from_slice(&run.patterns));
        all
    }

    /// The same with `any` for one family only.
    pub fn any_of(mut self, family: Family) -> Self {
        let is_other = |run: &Run| run.patterns.iter().any(|pattern| Family::of_net(&pattern.prefix) != family);
        self.runs.retain(|run| !(run.any && is_other(run)));
        self
    }

    /// The same with the first of equal patterns only.
    pub fn without_repeats(self) -> Self {
        let mut single: HashSet<PrefixPattern> = HashSet::new();
        let mut kept: Vec<Run> = Vec::new();
        let mut lists: Vec<usize> = Vec::new();
        for run in self.runs {
            let is_new = |pattern: &PrefixPattern| {
                !single.contains(pattern) && !lists.iter().any(|list: &usize| kept[*list].contains(pattern))
            };
            // A long list is looked at as a whole only where something in it can be repeated.
            let run = if run.patterns.len() > 1 && lists.is_empty() && !single.iter().any(|one| run.contains(one)) {
                run
            } else {
                match run.retain(is_new) {
                    Some(run) => run,
                    None => continue,
                }
            };
            match &*run.patterns {
                [only] => {
                    single.insert(*only);
                }
                _ => lists.push(kept.len()),
            }
            kept.push(run);
        }
        Self { runs: kept }
    }

    /// What may be used where `families` are routed: literal patterns of another family are reported, those of lists and of
    /// `any` left out. `who` says whose families they are.
    pub fn of_families(self, families: Families, who: &str, report: &mut Report<'_>) -> Self {
        let mut kept = Self::default();
        for run in self.runs {
            if let [pattern] = &*run.patterns
                && run.literal
                && !families.contains(Family::of_net(&pattern.prefix))
            {
                let family = Family::of_net(&pattern.prefix).as_str();
                report
                    .error(&run.span, format!("{pattern} is {family}, which {who}"))
                    .hint(format!("remove it, or add {family:?} to `families` there"));
                continue;
            }
            kept.runs.extend(run.retain(|pattern| families.contains(Family::of_net(&pattern.prefix))));
        }
        kept.without_repeats()
    }
}

/// Reads a pattern; a mistake is reported.
pub fn pattern(text: &At<String>, report: &mut Report<'_>) -> Option<PrefixPattern> {
    parse(text).map_err(|mistake| mistake.report(&text.span, report)).ok()
}

/// Reads `PREFIX [ge N] [le N]`.
pub fn parse(text: &str) -> Result<PrefixPattern, Mistake> {
    let mut words = text.split_ascii_whitespace();
    let prefix = values::parse_prefix("a prefix pattern", words.next().unwrap_or_default())?;
    let (length, most) = (prefix.prefix_len(), prefix.max_prefix_len());
    let (mut ge, mut le) = (None, None);
    while let Some(word) = words.next() {
        let bound = match word {
            "ge" if ge.is_none() && le.is_none() => &mut ge,
            "le" if le.is_none() => &mut le,
            _ => {
                return Err(Mistake::new(
                    format!("{text:?} is not a prefix pattern: {word:?} is not expected there"),
                    format!("write \"{prefix}\", \"{prefix} le {most}\" or \"{prefix} ge {length} le {most}\""),
                ));
            }
        };
        let lengths = || format!("give a length from {length} to {most}");
        let Some(number) = words.next() else {
            return Err(Mistake::new(format!("`{word}` of {prefix} has no length"), lengths()));
        };
        let Some(number) = number.parse::<u8>().ok().filter(|number| (length..=most).contains(number)) else {
            return Err(Mistake::new(format!("`{word} {number}` is out of range for {prefix}"), lengths()));
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
        return Err(Mistake::new(
            format!("`ge {ge} le {le}` matches nothing"),
            format!("turn them around: \"{prefix} ge {le} le {ge}\""),
        ));
    }
    Ok(PrefixPattern { prefix, ge, le })
}
