//! What rdsup says: to a person on standard error, and as JSON lines to its own log.

use std::path::Path;
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::sys::SysError;
use crate::sys::logfile::RotatingFile;

/// How much is said on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// What is done.
    Normal,
    /// Why, and what was found.
    Verbose,
    /// Every request to the kernel.
    Everything,
}

impl Verbosity {
    fn level(self) -> LevelFilter {
        match self {
            Self::Quiet => LevelFilter::WARN,
            Self::Normal => LevelFilter::INFO,
            Self::Verbose => LevelFilter::DEBUG,
            Self::Everything => LevelFilter::TRACE,
        }
    }
}

/// Starts logging; later calls change nothing.
pub fn start(verbosity: Verbosity, file: Option<&Path>) -> Result<(), SysError> {
    let own = |level: LevelFilter| EnvFilter::new(format!("off,rdsup={level}"));
    let people = fmt::layer()
        .with_writer(std::io::stderr)
        .event_format(ForPeople { to_journal: goes_to_journal() })
        // Who reads standard error may be gone, which is no reason to say so there.
        .log_internal_errors(false);
    let journal = match file {
        Some(path) => {
            let file = RotatingFile::open(path)?;
            Some(
                fmt::layer()
                    .json()
                    .with_target(false)
                    .with_writer(Mutex::new(file))
                    .with_filter(own(LevelFilter::DEBUG)),
            )
        }
        None => None,
    };
    let _ = tracing_subscriber::registry().with(people.with_filter(own(verbosity.level()))).with(journal).try_init();
    Ok(())
}

/// One line: what is not well says so first, then the domain that it is about, then what happened.
struct ForPeople {
    /// Whether each line begins with its priority, as `sd-daemon(3)` has it: the journal takes that off again.
    to_journal: bool,
}

/// Whether standard error is the journal's: the service manager names its file in the environment, and what was redirected
/// since is another one.
fn goes_to_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(std::io::stderr()).is_ok_and(|file| named == format!("{}:{}", file.st_dev, file.st_ino))
}

/// The priority of `syslog(3)`.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

impl<S, N> FormatEvent<S, N> for ForPeople
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        let mut line = Line::default();
        event.record(&mut line);
        let level = *event.metadata().level();
        let mut text = String::new();
        match level {
            Level::ERROR => text.push_str("error: "),
            Level::WARN => text.push_str("warning: "),
            _ => {}
        }
        // A step names its domain already.
        if !line.domain.is_empty() && !line.message.contains(&line.domain) {
            text.extend([&line.domain, ": "]);
        }
        // What a daemon said, and not what we say of it.
        if !line.source.is_empty() {
            text.extend([&line.source, ": "]);
        }
        text.push_str(&line.message);
        if !line.cause.is_empty() {
            text.extend([" (", &line.cause, ")"]);
        }
        if self.to_journal {
            // What has several lines is several entries there, each with a priority of its own.
            text.lines().try_for_each(|line| writeln!(writer, "<{}>{line}", priority(level)))
        } else {
            writeln!(writer, "{text}")
        }
    }
}

#[derive(Default)]
struct Line {
    message: String,
    domain: String,
    cause: String,
    source: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let place = match field.name() {
            "message" => &mut self.message,
            "domain" => &mut self.domain,
            "cause" => &mut self.cause,
            "source" => &mut self.source,
            _ => return,
        };
        *place = format!("{value:?}");
    }
}
