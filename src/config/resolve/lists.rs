//! The named lists of `[prefixes]`, written in the file itself or in files of their own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::patterns::{Patterns, Run, parse, pattern};
use super::values;
use crate::config::ReadText;
use crate::config::at::{At, Named, Span};
use crate::config::problem::{Excerpt, Report};
use crate::config::raw::{PrefixList, Texts};
use crate::config::shape::nearest;
use crate::model::PrefixPattern;

/// How deep lists may use lists: far more than anyone can follow, and far less than the stack holds.
const MAX_NESTING: usize = 64;

/// How many bad lines of one file are shown; a file of another format would otherwise have a million.
const BAD_LINES_SHOWN: usize = 20;

/// The named lists, expanded; nothing is known of a list that could not be read.
#[derive(Debug, Default)]
pub struct Lists<'f> {
    lists: HashMap<&'f str, Option<Patterns>>,
}

impl<'f> Lists<'f> {
    /// Reads all lists; each mistake in them is reported once, where it is written.
    pub fn read(raw: &'f Named<PrefixList>, open: &mut ReadText<'_>, report: &mut Report<'_>) -> Self {
        let mut lists = Self::default();
        let mut written: HashMap<&str, &'f Texts> = HashMap::new();
        let mut files = Files { open, read: HashMap::new() };
        for (name, list) in &raw.0 {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
                report
                    .error(&name.span, format!("{:?} is not a legal name of a prefix list", name.value))
                    .hint("use letters, digits, - and _");
            }
            match list {
                PrefixList::Written(texts) => {
                    written.insert(name, texts);
                }
                PrefixList::Kept(kept) => {
                    let list = files.patterns(name, &kept.file, report);
                    lists.lists.insert(name, list);
                }
            }
        }
        for (name, _) in &raw.0 {
            lists.expand(name, &written, &mut Vec::new(), report);
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
        // Lists that use a list twice would otherwise double at each level.
        let patterns = self.patterns(entries, report).without_repeats();
        self.lists.entry(name).or_insert(Some(patterns));
    }

    /// Reads a list of patterns. Mistakes are reported, and left out.
    pub fn patterns(&self, texts: &[At<String>], report: &mut Report<'_>) -> Patterns {
        let mut patterns = Patterns::default();
        for text in texts {
            if let Some(name) = text.strip_prefix('@') {
                match self.lists.get(name) {
                    Some(Some(list)) => patterns.append_list(list, &text.span),
                    Some(None) => {}
                    None => self.unknown(name, text, report),
                }
            } else if text.trim() == "any" {
                let both: [IpNet; 2] = [Ipv4Net::default().into(), Ipv6Net::default().into()];
                for prefix in both {
                    let pattern = PrefixPattern { prefix, ge: 0, le: prefix.max_prefix_len() };
                    patterns.push(Run { literal: false, any: true, ..Run::one(pattern, &text.span) });
                }
            } else if let Some(pattern) = pattern(text, report) {
                patterns.push(Run::one(pattern, &text.span));
            }
        }
        patterns
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

/// Files of prefixes, each read once.
struct Files<'o, 'r> {
    open: &'o mut ReadText<'r>,
    read: HashMap<PathBuf, Option<Arc<[PrefixPattern]>>>,
}

impl Files<'_, '_> {
    fn patterns(&mut self, name: &At<String>, file: &At<String>, report: &mut Report<'_>) -> Option<Patterns> {
        let path = values::path("a file of prefixes", file, report)?;
        if !self.read.contains_key(&path) {
            let found = self.read_file(name, &path, &file.span, report);
            self.read.insert(path.clone(), found);
        }
        let found = self.read.get(&path)?.clone()?;
        let mut patterns = Patterns::default();
        patterns.push(Run { span: file.span.clone(), literal: false, any: false, patterns: found });
        Some(patterns)
    }

    fn read_file(
        &mut self,
        name: &At<String>,
        path: &Path,
        asked: &Span,
        report: &mut Report<'_>,
    ) -> Option<Arc<[PrefixPattern]>> {
        match (self.open)(path) {
            Ok(text) => {
                let found = lines(&text, path, asked, report)?;
                if found.is_empty() {
                    report
                        .warning(asked, format!("the prefix list {:?} is empty: its file has none", name.value))
                        .hint("what uses it accepts nothing; write one prefix to a line");
                }
                Some(found)
            }
            Err(error) => {
                report
                    .error(asked, format!("cannot read the prefixes of {:?}: {error}", name.value))
                    .hint(format!("put a file at {} that the user who runs rdsup can read", path.display()));
                None
            }
        }
    }
}

/// Reads one pattern from each line, in the order of addresses and none twice.
fn lines(text: &str, path: &Path, asked: &Span, report: &mut Report<'_>) -> Option<Arc<[PrefixPattern]>> {
    let mut patterns = Vec::new();
    let mut bad = 0;
    for (index, line) in text.lines().enumerate() {
        let said = line.split_once('#').map_or(line, |(said, _)| said).trim();
        if said.is_empty() {
            continue;
        }
        let mistake = match parse(said) {
            Ok(pattern) => {
                patterns.push(pattern);
                continue;
            }
            Err(mistake) => mistake,
        };
        bad += 1;
        if bad <= BAD_LINES_SHOWN {
            let excerpt = Excerpt::of_line(path, index + 1, line, said);
            report.error_in(excerpt, asked, mistake.message).hint(in_a_file(said).unwrap_or(mistake.hint));
        }
    }
    if bad > BAD_LINES_SHOWN {
        let more = bad - BAD_LINES_SHOWN;
        report
            .error(asked, format!("{more} more lines of {} are no prefix patterns", path.display()))
            .hint("the file has one prefix to a line, such as 192.0.2.0/24 or 192.0.2.0/24 le 28");
    }
    patterns.sort_unstable();
    patterns.dedup();
    (bad == 0).then(|| patterns.into())
}

/// What to do about something that is right in a list of the configuration and wrong in a file.
fn in_a_file(said: &str) -> Option<String> {
    if said == "any" {
        return Some("write 0.0.0.0/0 le 32 or ::/0 le 128".to_owned());
    }
    said.starts_with('@').then(|| "a file cannot use lists; make a list that uses both".to_owned())
}
