//! What every verb prints with: tables, times, counts, colours.
//!
//! Colours reach a terminal only: `anstream` takes them away from everything else, and where `NO_COLOR` is set.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table as Layout};

use super::{Exit, Failure, Global};
pub use crate::supervisor::count;

use crate::control::{CallError, ClientError, ErrorKind};
use crate::daemons::Session;
pub use crate::daemons::harmless;
use crate::sys::clock;

/// How a row is, so that one sees at a glance what is not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Good,
    /// Not yet, or not quite.
    Doubtful,
    /// Not as it should be.
    Bad,
}

impl Health {
    /// The colour of its text; what is good has none, so that the rest stands out.
    pub fn style(self) -> Style {
        match self {
            Self::Good => Style::new(),
            Self::Doubtful => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
        }
    }
}

/// Headings and titles.
pub const HEADING: Style = Style::new().bold();

/// Text in a style.
pub fn styled(style: Style, text: &str) -> String {
    if style == Style::new() { text.to_owned() } else { format!("{style}{text}{style:#}") }
}

/// A dense table: aligned columns, two spaces between them, no lines.
#[derive(Debug)]
pub struct Table {
    layout: Layout,
    health: Vec<Health>,
}

impl Table {
    /// A table with these headings. One that starts with `>` is for numbers: it and its column stand on the right.
    pub fn new(headings: &[&str]) -> Self {
        let mut layout = Layout::new();
        layout.load_style(comfy_table::presets::NOTHING);
        layout.set_header(headings.iter().map(|heading| heading.trim_start_matches('>')));
        for (index, heading) in headings.iter().enumerate() {
            if let Some(column) = layout.column_mut(index) {
                column.set_padding((0, if index + 1 == headings.len() { 0 } else { 2 }));
                if heading.starts_with('>') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        Self { layout, health: Vec::new() }
    }

    /// Adds a row with as many cells as there are headings. A cell is one line; an empty one is printed as `-`.
    pub fn row(&mut self, health: Health, cells: impl IntoIterator<Item = String>) {
        self.layout
            .add_row(cells.into_iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { one_line(&cell) }));
        self.health.push(health);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.health.is_empty()
    }

    /// The table as text, with a final newline.
    pub fn text(&self) -> String {
        let styles = std::iter::once(HEADING).chain(self.health.iter().map(|health| health.style()));
        self.layout.lines().zip(styles).map(|(line, style)| styled(style, line.trim_end()) + "\n").collect()
    }
}

/// The sessions of one or more domains; the domain's column only where there may be several.
pub fn sessions_table<'a>(sessions: impl IntoIterator<Item = (Option<&'a str>, &'a Session)>) -> Table {
    let sessions: Vec<_> = sessions.into_iter().collect();
    let with_domain = sessions.iter().any(|(domain, _)| domain.is_some());
    let mut headings = vec!["DOMAIN"];
    headings.retain(|_| with_domain);
    headings.extend(["SESSION", "PEER", ">AS", "STATE", ">FOR", ">IN", ">FILTERED", ">OUT", "LAST ERROR"]);
    let now = jiff::Timestamp::now();
    let mut table = Table::new(&headings);
    for (domain, session) in sessions {
        let health = if session.is_established() {
            Health::Good
        } else if session.last_error.is_some() {
            Health::Bad
        } else {
            Health::Doubtful
        };
        let mut cells = Vec::new();
        if with_domain {
            cells.push(domain.unwrap_or_default().to_owned());
        }
        cells.extend([
            session.name.clone(),
            session.peer.clone(),
            session.remote_asn.map(|asn| asn.to_string()).unwrap_or_default(),
            session.state.clone(),
            session.since.map(|since| since_then(since, now)).unwrap_or_default(),
            session.imported.to_string(),
            session.filtered.map(|filtered| filtered.to_string()).unwrap_or_default(),
            session.exported.to_string(),
            // What a session that is up once suffered is history.
            session.last_error.clone().filter(|_| !session.is_established()).unwrap_or_default(),
        ]);
        table.row(health, cells);
    }
    table
}

/// How long ago that was.
pub fn since_then(then: jiff::Timestamp, now: jiff::Timestamp) -> String {
    duration(u64::try_from(now.duration_since(then).as_secs()).unwrap_or_default())
}

/// A duration of whole seconds in its two largest units: `45s`, `2m 10s`, `3h 5m`, `12d 4h`.
pub fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if days > 0 {
        format!("{days}d {}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h {}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m {}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// A number of bytes: `512 B`, `1.5 kB`.
pub fn bytes(number: u64) -> String {
    let mut unit = 1;
    for (next, name) in [(1_000_000, "kB"), (1_000_000_000, "MB"), (u64::MAX, "GB")] {
        if number < 1000 {
            return format!("{number} B");
        }
        unit *= 1000;
        if number < next {
            return format!("{}.{} {name}", number / unit, number % unit * 10 / unit);
        }
    }
    format!("{number} B")
}

/// The words of somebody else, as a part of a line.
pub fn one_line(text: &str) -> String {
    harmless(text).replace(['\n', '\t'], " ")
}

/// Prints text. The answer is whether anyone still reads: `rdsup log | head` is no error.
pub fn print(text: &str) -> Result<bool, Failure> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(format!("cannot print: {error}"))),
    }
}

/// Prints a line that is beside the result. Nobody may be reading any more, which stops nothing that is under way.
pub fn say(line: impl std::fmt::Display) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// Says a line on standard error. Nobody may be listening any more (`2>&1 | head`), which is no reason to fail.
pub fn tell(line: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Prints a value for programs.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::new)?;
    print(&(text + "\n")).map(drop)
}

/// A runtime for a client: one thread, made in microseconds.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the event loop: {error}")))
}

/// What takes longest of what is done before anything is touched.
pub const PARSERS_READ: &str = "the daemons' own parsers read what was made of the file";

/// Waits for something, and says what for if that takes longer than anybody likes to look at nothing.
pub async fn patiently<T>(global: &Global, words: &str, work: impl Future<Output = T>) -> T {
    clock::patiently(Box::pin(work), || super::note(global, words)).await
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let failure = Failure::new(&error);
        match error {
            ClientError::NotRunning(_) => failure.hint("rdsup start"),
            ClientError::Call(error) => error.into(),
            ClientError::Unreachable { .. } | ClientError::BrokenOff { .. } => failure,
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let exit = if error.kind == ErrorKind::Invalid { Exit::Usage } else { Exit::Failed };
        let failure = Self::new(error.message).exit(exit);
        match error.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_their_two_largest_units() {
        for (seconds, text) in [(0, "0s"), (45, "45s"), (130, "2m 10s"), (11_100, "3h 5m"), (1_051_200, "12d 4h")] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn bytes_have_three_or_four_digits() {
        for (number, text) in
            [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (7_100_000_000, "7.1 GB")]
        {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn a_table_is_aligned_and_has_no_lines_and_no_trailing_space() {
        let mut table = Table::new(&["NAME", ">COUNT", "WORDS"]);
        table.row(Health::Good, ["a".to_owned(), "1".to_owned(), String::new()]);
        table.row(Health::Bad, ["longer".to_owned(), "1000".to_owned(), "two\nlines".to_owned()]);
        let plain = anstream::adapter::strip_str(&table.text()).to_string();
        assert_eq!(plain, "NAME    COUNT  WORDS\na           1  -\nlonger   1000  two lines\n");
        assert!(table.text().contains("\u{1b}["), "what is bad is coloured");
    }
}
