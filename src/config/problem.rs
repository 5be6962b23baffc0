//! What is wrong with a file, and how it is shown.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::at::Span;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but probably does not mean what was wanted.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place of the file that helps to understand a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Related {
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
    /// What is there.
    pub message: String,
    #[serde(skip)]
    span: Span,
}

/// A line of a file that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    path: PathBuf,
    number: u32,
    /// The line, or as much of it as is shown.
    text: String,
    span: Span,
}

impl Excerpt {
    /// Line `number` of `path`, pointing at `part` of it.
    pub(super) fn of_line(path: &Path, number: usize, line: &str, part: &str) -> Self {
        /// How much of a line is shown; what is not text at all may have lines without end.
        const LONGEST: usize = 120;
        let start = line.find(part).unwrap_or(0);
        let text = line[..line.floor_char_boundary(start + LONGEST)].to_owned();
        let span = start..text.len().min(start + part.len());
        Self { path: path.to_owned(), number: u32::try_from(number).unwrap_or(u32::MAX), text, span }
    }

    fn snippet(&self) -> Snippet<'_, Annotation<'_>> {
        Snippet::source(&self.text)
            .line_start(self.number as usize)
            .path(self.path.to_string_lossy())
            .annotation(AnnotationKind::Primary.span(self.span.clone()))
    }

    fn column(&self) -> u32 {
        u32::try_from(self.text[..self.span.start].chars().count() + 1).unwrap_or(u32::MAX)
    }
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, where it is another one that the configuration names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
    /// What is wrong, naming the object.
    pub message: String,
    /// One thing to try.
    pub hint: Option<String>,
    /// Other places that matter, such as where a duplicate was declared first.
    pub related: Vec<Related>,
    #[serde(skip)]
    span: Span,
    /// The line of another file that is wrong; `span` is then what asked for that file.
    #[serde(skip)]
    excerpt: Option<Excerpt>,
    /// Whether it says that something is absent: after a syntax error it may only have been lost in parsing.
    #[serde(skip)]
    absence: bool,
}

impl Problem {
    /// Adds one thing to try.
    pub(super) fn hint(&mut self, hint: impl fmt::Display) -> &mut Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Points at another place that matters; lines are filled in when the problems are collected.
    pub(super) fn see(&mut self, span: &Span, message: impl fmt::Display) -> &mut Self {
        self.related.push(Related { line: 0, column: 0, message: message.to_string(), span: span.clone() });
        self
    }

    /// Marks it as a report of something absent.
    pub(super) fn absent(&mut self) -> &mut Self {
        self.absence = true;
        self
    }

    fn level(&self) -> Level<'static> {
        match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

/// The starts of all lines, so that a place is found without reading the text again.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Line and column of a byte, counted from 1.
    pub(super) fn place(&self, at: usize) -> (u32, u32) {
        let at = self.text.floor_char_boundary(at);
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let column = self.text[self.starts[line - 1]..at].chars().count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// The span on character boundaries, inside the text, and never empty where there is something to point at.
    fn tidy(&self, span: &Span) -> Span {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end.max(start));
        if end > start {
            return start..end;
        }
        let next = self.text[start..].chars().next().filter(|c| *c != '\n' && *c != '\r');
        start..start + next.map_or(0, char::len_utf8)
    }

    fn text(&self) -> &'t str {
        self.text
    }
}

/// Gathers problems while a file is read.
#[derive(Debug)]
pub(super) struct Report<'t> {
    lines: Lines<'t>,
    problems: Vec<Problem>,
    /// Tables, by where they begin, and the keys of them that could not be read.
    lost: HashSet<(usize, String)>,
}

impl<'t> Report<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { lines: Lines::new(text), problems: Vec::new(), lost: HashSet::new() }
    }

    pub(super) fn error(&mut self, span: &Span, message: impl fmt::Display) -> &mut Problem {
        self.add(Severity::Error, span, message.to_string())
    }

    pub(super) fn warning(&mut self, span: &Span, message: impl fmt::Display) -> &mut Problem {
        self.add(Severity::Warning, span, message.to_string())
    }

    fn add(&mut self, severity: Severity, span: &Span, message: String) -> &mut Problem {
        let span = self.lines.tidy(span);
        let (line, column) = self.lines.place(span.start);
        self.problems.push(Problem {
            severity,
            file: None,
            line,
            column,
            message,
            hint: None,
            related: Vec::new(),
            span,
            excerpt: None,
            absence: false,
        });
        self.problems.last_mut().expect("a problem was just pushed")
    }

    /// Reports what is wrong in another file, which `asked` names.
    pub(super) fn error_in(&mut self, excerpt: Excerpt, asked: &Span, message: impl fmt::Display) -> &mut Problem {
        let problem = self.error(asked, message);
        (problem.line, problem.column) = (excerpt.number, excerpt.column());
        problem.file = Some(excerpt.path.clone());
        problem.excerpt = Some(excerpt);
        problem.see(asked, "asked for here")
    }

    /// Remembers that a key of a table could not be read, whole or in part, so that nobody misses it there.
    pub(super) fn lose(&mut self, table: &Span, key: &str) {
        self.lost.insert((table.start, key.to_owned()));
    }

    /// Whether a key of a table is written in the file and could not be read.
    pub(super) fn has_lost(&self, table: &Span, key: &str) -> bool {
        !self.lost.is_empty() && self.lost.contains(&(table.start, key.to_owned()))
    }

    /// The line of a byte, counted from 1.
    pub(super) fn line(&self, at: usize) -> u32 {
        self.lines.place(at).0
    }

    pub(super) fn text(&self) -> &'t str {
        self.lines.text()
    }

    pub(super) fn count(&self) -> usize {
        self.problems.len()
    }

    /// Drops what the first `syntax` problems, those of the parser, may have caused: other problems on the same line, and
    /// reports that something is absent. From the line `lost_from` on, everything was read as part of something else.
    pub(super) fn drop_consequences(&mut self, syntax: usize, lost_from: Option<u32>) {
        if syntax == 0 {
            return;
        }
        let lines: HashSet<u32> = self.problems[..syntax].iter().map(|problem| problem.line).collect();
        let mut index = 0;
        self.problems.retain(|problem| {
            index += 1;
            let is_lost = lines.contains(&problem.line) || lost_from.is_some_and(|lost| problem.line >= lost);
            index <= syntax || !(problem.absence || problem.file.is_none() && is_lost)
        });
    }

    /// Errors and warnings, each in the order of the file.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        let Self { lines, mut problems, .. } = self;
        for related in problems.iter_mut().flat_map(|problem| &mut problem.related) {
            related.span = lines.tidy(&related.span);
            (related.line, related.column) = lines.place(related.span.start);
        }
        problems.sort_by_key(|problem| (problem.span.start, problem.excerpt.as_ref().map_or(u32::MAX, |it| it.number)));
        // Two ways can lead to one mistake, such as a name used by a domain and by each of its links.
        problems.dedup_by(|second, first| {
            (&second.span, &second.excerpt, &second.message) == (&first.span, &first.excerpt, &first.message)
        });
        problems.into_iter().partition(|problem| problem.severity == Severity::Error)
    }
}

/// Everything that is wrong with one file, in the order of the file.
#[derive(Clone, Debug, Serialize)]
pub struct Problems {
    source: PathBuf,
    #[serde(skip)]
    text: String,
    #[serde(rename = "problems")]
    list: Vec<Problem>,
}

impl Problems {
    /// Puts problems together with the file that they were found in; `source` is only its name.
    pub fn new(source: &Path, text: &str, problems: Vec<Problem>) -> Self {
        Self { source: source.to_owned(), text: text.to_owned(), list: problems }
    }

    /// The name of the file.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The problems themselves.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each problem with the line that it stands on and a hint, as a compiler shows them.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let path = self.source.to_string_lossy();
        let lines = Lines::new(&self.text);
        let mut out = String::new();
        for problem in &self.list {
            // What is near is shown in one picture with the problem, what is far in one of its own.
            let is_near = |related: &Related| problem.file.is_none() && related.line.abs_diff(problem.line) <= NEAR;
            let (near, far): (Vec<&Related>, Vec<&Related>) =
                problem.related.iter().partition(|related| is_near(related));
            let snippet = if let Some(excerpt) = &problem.excerpt {
                excerpt.snippet()
            } else {
                let window = Window::around(&lines, near.iter().map(|related| &related.span).chain([&problem.span]));
                let primary = AnnotationKind::Primary.span(window.clip(&problem.span, &self.text));
                let near = near.into_iter().map(|related| {
                    AnnotationKind::Context.span(window.clip(&related.span, &self.text)).label(&related.message)
                });
                window.snippet(&self.text, &path).annotation(primary).annotations(near)
            };
            let mut group: Group<'_> = problem.level().primary_title(&problem.message).element(snippet);
            for related in far {
                let window = Window::around(&lines, [&related.span].into_iter());
                let span = window.clip(&related.span, &self.text);
                let label = AnnotationKind::Context.span(span).label(&related.message);
                group = group.element(window.snippet(&self.text, &path).annotation(label));
            }
            let group = match &problem.hint {
                Some(hint) => group.element(Level::HELP.message(hint)),
                None => group,
            };
            out.push_str(&renderer.render(&[group]));
            out.push_str("\n\n");
        }
        out
    }
}

/// How many lines apart two places may be and still be shown together.
const NEAR: u32 = 50;

/// The part of the file that one problem needs, so that showing many problems of a long file stays fast.
struct Window {
    bytes: Span,
    first_line: usize,
}

impl Window {
    fn around<'s>(lines: &Lines<'_>, spans: impl Iterator<Item = &'s Span>) -> Self {
        let starts: Vec<usize> = spans.map(|span| span.start).collect();
        let (first_line, _) = lines.place(starts.iter().copied().min().unwrap_or(0));
        let (last_line, _) = lines.place(starts.iter().copied().max().unwrap_or(0));
        let first_line = first_line as usize;
        let end = lines.starts.get(last_line as usize).copied().unwrap_or(lines.text.len());
        Self { bytes: lines.starts[first_line - 1]..end, first_line }
    }

    fn snippet<'p>(&self, text: &'p str, path: &'p str) -> Snippet<'p, Annotation<'p>> {
        Snippet::source(&text[self.bytes.clone()]).line_start(self.first_line).path(path)
    }

    /// The span inside the window and on one line: a long table is pointed at where it begins.
    fn clip(&self, span: &Span, text: &str) -> Span {
        let end = span.end.min(self.bytes.end);
        let end = text[span.start..end].find(['\r', '\n']).map_or(end, |newline| span.start + newline);
        span.start - self.bytes.start..end - self.bytes.start
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            let file = problem.file.as_ref().unwrap_or(&self.source);
            write!(f, "{newline}{}:{problem}", file.display())?;
        }
        Ok(())
    }
}

impl<'p> IntoIterator for &'p Problems {
    type Item = &'p Problem;
    type IntoIter = std::slice::Iter<'p, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::error::Error for Problems {}
