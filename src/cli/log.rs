//! `rdsup log`: what the supervisor did and what daemons said, in the order of time.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstyle::AnsiColor;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::output::{self, Health, styled};
use super::place::layout_of;
use super::{Exit, Failure, Global};
use crate::model::DomainName;

/// How often files are looked at for more.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How many lines of the past `-f` starts with.
const PAST_LINES: usize = 20;
/// How much of the end of a file is read at a time. Logs are put away at half of that. What is before it is not shown: a
/// directory that belongs to a daemon may hold a file of any size, which need not even take room on the disk.
const MOST_BYTES: u64 = 8 << 20;
/// How many lines of one file are shown at a time.
const MOST_LINES: usize = 100_000;
/// Where longer lines are cut.
const LONGEST_LINE: usize = 64 << 10;

/// Show what daemons said and what rdsup did to them
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup log -n 20         the last of it
  rdsup log -f private    one domain, as it happens")]
pub struct Args {
    /// Only this domain
    pub domain: Option<DomainName>,

    /// Go on as more is written
    #[arg(short, long)]
    pub follow: bool,

    /// Only the last N lines of the past (20 with --follow, else all)
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let run_dir = layout_of(global).run_dir;
    let mut sources = Sources { run_dir, only: args.domain.clone(), open: Vec::new(), denied: None };
    let mut entries = sources.read()?;
    if sources.open.is_empty() {
        if let Some(path) = &sources.denied {
            let words = format!("cannot read {}: permission denied", path.display());
            return Err(Failure::new(words).hint("logs are for root: sudo rdsup log"));
        }
        if !args.follow {
            let words = format!("there is no log under {}", sources.run_dir.display());
            return Err(Failure::new(words).hint("rdsup start"));
        }
    }
    if let Some(only) = &args.domain
        && entries.is_empty()
    {
        let there = sources.domains();
        if !there.is_empty() && !there.iter().any(|name| name == only.as_str()) {
            let failure = Failure::new(format!("there is no domain {only}")).exit(Exit::Usage);
            return Err(failure.hint(format!("there are: {}", there.join(", "))));
        }
    }
    let past = args.lines.or(args.follow.then_some(PAST_LINES)).unwrap_or(usize::MAX);
    entries.drain(..entries.len().saturating_sub(past));
    let show = |entries: &[Entry]| -> Result<bool, Failure> {
        let lines: String = entries.iter().map(|entry| entry.line(global.json)).collect();
        output::print(&lines)
    };
    let mut someone_reads = show(&entries)?;
    if args.follow {
        let runtime = output::runtime()?;
        while someone_reads {
            runtime.block_on(async { tokio::time::sleep(LOOK_EVERY).await });
            let entries = sources.read()?;
            someone_reads = entries.is_empty() || show(&entries)?;
        }
    }
    Ok(Exit::Done)
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    time: Option<Timestamp>,
    domain: Option<String>,
    level: String,
    text: String,
    raw: Option<Value>,
}

impl Entry {
    fn line(&self, json: bool) -> String {
        if json {
            let built =
                || json!({"timestamp": self.time, "domain": self.domain, "level": self.level, "message": self.text});
            return format!("{}\n", self.raw.clone().unwrap_or_else(built));
        }
        let style = match self.level.as_str() {
            "ERROR" | "ERR" | "FATAL" | "BUG" => Health::Bad.style(),
            "WARN" | "WARNING" | "AUTH" => Health::Doubtful.style(),
            _ => anstyle::Style::new(),
        };
        let zone = jiff::tz::TimeZone::system();
        let time = self.time.map(|time| time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string());
        let time = styled(AnsiColor::BrightBlack.on_default(), &time.unwrap_or_default());
        let domain = self.domain.as_deref().unwrap_or("rdsup");
        format!("{time} {domain:11} {}\n", styled(style, &output::harmless(&self.text)))
    }
}

/// Where lines come from: the supervisor's log and one for each domain; those that appear later are found too.
struct Sources {
    run_dir: PathBuf,
    only: Option<DomainName>,
    open: Vec<Source>,
    /// A log that this user may not read.
    denied: Option<PathBuf>,
}

struct Source {
    path: PathBuf,
    /// None for the supervisor's own.
    domain: Option<String>,
    file: File,
    inode: u64,
    /// How much of the file was read.
    read: u64,
    /// What was read of a line whose end is not there yet, up to where it would be cut.
    begun: Vec<u8>,
    /// Whether the rest of a line is passed over, the beginning of which was.
    skips: bool,
    /// The time of the line before, for lines that have none.
    last: Option<Timestamp>,
}

impl Sources {
    /// What is new in all of them, in the order of time.
    fn read(&mut self) -> Result<Vec<Entry>, Failure> {
        self.find();
        let mut entries = Vec::new();
        for source in &mut self.open {
            source
                .read(&mut entries)
                .map_err(|error| Failure::new(format!("cannot read {}: {error}", source.path.display())))?;
        }
        if let Some(only) = &self.only {
            entries.retain(|entry| entry.domain.as_deref() == Some(only.as_str()));
        }
        // Stable: lines of one file keep their order.
        entries.sort_by_key(|entry| entry.time);
        Ok(entries)
    }

    fn find(&mut self) {
        let mut wanted = vec![(self.run_dir.join("log/rdsup.log"), None)];
        for entry in std::fs::read_dir(&self.run_dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.only.as_ref().is_none_or(|only| only.as_str() == name) {
                wanted.push((entry.path().join("log/bird.log"), Some(name)));
            }
        }
        for (path, domain) in wanted {
            if self.open.iter().any(|source| source.path == path) {
                continue;
            }
            match Source::open(&path, domain) {
                Ok(source) => self.open.push(source),
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => self.denied = Some(path),
                // It is not there yet.
                Err(_) => {}
            }
        }
    }

    /// The domains that have a directory, by name.
    fn domains(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.run_dir).into_iter().flatten().flatten();
        // A domain with FRR has no log of its own there.
        let of_domain = |at: &Path| ["log", "rdsup.nft"].iter().any(|name| at.join(name).exists());
        let directories = entries.filter(|entry| of_domain(&entry.path()));
        let mut names: Vec<String> =
            directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Source {
    fn open(path: &Path, domain: Option<String>) -> std::io::Result<Self> {
        // The directory is the daemon's: a link may lead to what only root can read, and a pipe has no end.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(std::io::Error::other("this is no regular file"));
        }
        let inode = metadata.ino();
        let (path, begun) = (path.to_owned(), Vec::new());
        Ok(Self { path, domain, file, inode, read: 0, begun, skips: false, last: None })
    }

    fn read(&mut self, entries: &mut Vec<Entry>) -> std::io::Result<()> {
        self.read_to_end(entries)?;
        self.read_on(entries)
    }

    /// Rotated: another file has the name now. Truncated: it is shorter than what was read.
    fn read_on(&mut self, entries: &mut Vec<Entry>) -> std::io::Result<()> {
        if let Ok(now) = std::fs::metadata(&self.path) {
            if now.ino() != self.inode {
                // It was written to until it was put away, which was after it was read just now.
                self.read_to_end(entries)?;
                if let Ok(next) = Self::open(&self.path, self.domain.clone()) {
                    self.read_skipped(entries, next.inode)?;
                    *self = next;
                    self.read_to_end(entries)?;
                }
            } else if now.len() < self.read {
                (self.read, self.skips) = (0, false);
                self.begun.clear();
                self.read_to_end(entries)?;
            }
        }
        Ok(())
    }

    /// Reads the file that had the name between the one that was read and the one that has it now, if there was one.
    fn read_skipped(&self, entries: &mut Vec<Entry>, next: u64) -> std::io::Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        match Self::open(Path::new(&old), self.domain.clone()) {
            Ok(mut skipped) if skipped.inode != self.inode && skipped.inode != next => skipped.read_to_end(entries),
            _ => Ok(()),
        }
    }

    /// Reads what is there now. What comes meanwhile is for the next time: it may come faster than it is read.
    fn read_to_end(&mut self, entries: &mut Vec<Entry>) -> std::io::Result<()> {
        let (first, end) = (entries.len(), self.file.metadata()?.len());
        let left_out = end.saturating_sub(self.read).saturating_sub(MOST_BYTES);
        if left_out > 0 {
            self.read += left_out;
            self.begun.clear();
            // It may be in the middle of a line.
            self.skips = true;
            entries.push(self.note(format!("{} of this log before this are not shown", output::bytes(left_out))));
        }
        self.file.seek(SeekFrom::Start(self.read))?;
        let mut piece = vec![0; LONGEST_LINE];
        let mut left = end.saturating_sub(self.read);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            let count = match self.file.read(&mut piece[..most]) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.read += count as u64;
            left -= count as u64;
            self.take(&piece[..count], entries);
            if entries.len() - first > 2 * MOST_LINES {
                entries.drain(first..entries.len() - MOST_LINES);
            }
        }
        Ok(())
    }

    /// Makes lines of what was read. Half a line waits for the rest.
    fn take(&mut self, mut bytes: &[u8], entries: &mut Vec<Entry>) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.begin(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.begun);
            if !std::mem::take(&mut self.skips) {
                entries.push(self.entry(&line));
            }
        }
        self.begin(bytes);
    }

    /// Notes more of a line, as much of it as is shown.
    fn begin(&mut self, bytes: &[u8]) {
        if !self.skips {
            let room = LONGEST_LINE - self.begun.len();
            self.begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn entry(&mut self, line: &[u8]) -> Entry {
        let text = String::from_utf8_lossy(line);
        let mut entry = match &self.domain {
            None => supervisor_line(&text),
            Some(domain) => bird_line(&text, domain),
        };
        if line.len() == LONGEST_LINE {
            entry.text.push_str(" ...");
        }
        entry.time = entry.time.or(self.last);
        self.last = entry.time;
        entry
    }

    /// Something that no line says.
    fn note(&self, text: String) -> Entry {
        Entry { time: self.last, domain: self.domain.clone(), level: "WARN".to_owned(), text, raw: None }
    }
}

/// Fields that tell a person nothing beside the message; `--json` shows them.
const FOR_PROGRAMS: [&str; 15] = [
    "message", "source", "domain", "stage", "line", "took_ms", "steps", "domains", "done", "problems", "report",
    "asked", "request", "conflict", "reason",
];

/// A line of the supervisor's log: JSON as `tracing-subscriber` writes it.
fn supervisor_line(line: &str) -> Entry {
    let plain = || Entry { time: None, domain: None, level: String::new(), text: line.to_owned(), raw: None };
    let Ok(value) = serde_json::from_str::<Value>(line) else { return plain() };
    let Some(fields) = value["fields"].as_object() else { return plain() };
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut text = fields.get("message").map(word).unwrap_or_default();
    // What a daemon said on its standard output or error, and not what rdsup says of it.
    if let Some(source) = fields.get("source").map(word) {
        text = format!("{source}: {text}");
    }
    for (name, field) in fields.iter().filter(|(name, _)| !FOR_PROGRAMS.contains(&name.as_str())) {
        text.extend([" ", name, "=", &word(field)]);
    }
    let spans = value["spans"].as_array().into_iter().flatten().rev();
    let domain = fields.get("domain").or_else(|| spans.chain([&value["span"]]).find_map(|span| span.get("domain")));
    let domain = domain.map(word);
    // For programs, one shape for every line: what a daemon said has the same keys.
    let mut raw = fields.clone();
    raw.insert("timestamp".to_owned(), value["timestamp"].clone());
    raw.insert("level".to_owned(), value["level"].clone());
    raw.insert("domain".to_owned(), json!(domain));
    Entry {
        time: value["timestamp"].as_str().and_then(|time| time.parse().ok()),
        domain,
        level: value["level"].as_str().unwrap_or_default().to_owned(),
        text,
        raw: Some(Value::Object(raw)),
    }
}

/// A line of BIRD's log: `2026-11-21 21:29:03.712 <INFO> words`, in local time.
fn bird_line(line: &str, domain: &str) -> Entry {
    let placed = || {
        let (head, text) = line.split_once('>')?;
        let (time, level) = head.split_once('<')?;
        let civil: jiff::civil::DateTime = time.trim().parse().ok()?;
        let time = civil.to_zoned(jiff::tz::TimeZone::system()).ok()?.timestamp();
        Some((time, level.to_owned(), text.trim_start().to_owned()))
    };
    let (time, level, text) = match placed() {
        Some((time, level, text)) => (Some(time), level, text),
        None => (None, String::new(), line.to_owned()),
    };
    Entry { time, domain: Some(domain.to_owned()), level, text, raw: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_supervisor_has_its_domain_and_its_fields() {
        let entry = supervisor_line(
            r#"{"timestamp":"2026-11-21T21:29:03.712345Z","level":"WARN","fields":{"message":"daemon lost","why":"killed (SIGKILL)","restarts":1},"target":"rdsup","span":{"domain":"private","name":"daemon"}}"#,
        );
        assert_eq!(entry.domain.as_deref(), Some("private"));
        assert_eq!(entry.text, "daemon lost restarts=1 why=killed (SIGKILL)");
        assert_eq!(entry.time, "2026-11-21T21:29:03.712345Z".parse().ok());
        let object: Value = serde_json::from_str(&entry.line(true)).expect("one object on a line");
        assert_eq!(
            object,
            json!({"timestamp": "2026-11-21T21:29:03.712345Z", "level": "WARN", "domain": "private",
                   "message": "daemon lost", "why": "killed (SIGKILL)", "restarts": 1})
        );
    }

    #[test]
    fn a_line_that_a_daemon_said_outside_its_log_says_whose_it_is() {
        let entry = supervisor_line(
            r#"{"timestamp":"2026-11-21T21:29:03.712345Z","level":"INFO","fields":{"message":"out of memory","domain":"private","source":"bird"}}"#,
        );
        assert_eq!((entry.domain.as_deref(), entry.text.as_str()), (Some("private"), "bird: out of memory"));
    }

    #[test]
    fn a_line_of_bird_has_its_time_level_and_words() {
        let entry = bird_line("2026-11-21 21:29:03.712 <ERR> rd_b: Received: <Hold timer expired>", "private");
        assert_eq!((entry.level.as_str(), entry.text.as_str()), ("ERR", "rd_b: Received: <Hold timer expired>"));
        assert!(entry.time.is_some());
    }

    #[test]
    fn what_is_no_log_line_is_shown_as_it_is() {
        assert_eq!(supervisor_line("panicked at 'x'").text, "panicked at 'x'");
        assert_eq!(bird_line("bird: out of memory", "private").text, "bird: out of memory");
    }

    #[test]
    fn half_a_line_waits_and_a_rotated_or_truncated_file_is_read_on() {
        use std::io::Write;

        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("private/log");
        std::fs::create_dir_all(&log).expect("the directory is ours");
        let path = log.join("bird.log");
        let mut sources = Sources { run_dir: directory.path().to_owned(), only: None, open: Vec::new(), denied: None };
        let mut texts =
            || -> Vec<String> { sources.read().expect("it is readable").into_iter().map(|entry| entry.text).collect() };
        assert_eq!(texts(), [""; 0]);
        let mut file = File::create(&path).expect("the directory is ours");
        file.write_all(b"one\ntw").expect("there is room");
        assert_eq!(texts(), ["one"]);
        file.write_all(b"o\n").expect("there is room");
        assert_eq!(texts(), ["two"]);
        std::fs::rename(&path, log.join("bird.log.old")).expect("the directory is ours");
        file.write_all(b"three\n").expect("there is room");
        let mut file = File::create(&path).expect("the directory is ours");
        file.write_all(b"four\n").expect("there is room");
        assert_eq!(texts(), ["three", "four"]);
        let file = File::create(&path).expect("the directory is ours");
        assert_eq!(texts(), [""; 0]);
        (&file).write_all(b"5\n").expect("there is room");
        assert_eq!(texts(), ["5"]);
    }

    #[test]
    fn of_a_file_of_any_size_the_end_is_read_and_of_a_line_of_any_length_the_beginning() {
        use std::io::Write;

        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("bird.log");
        let mut file = OpenOptions::new().append(true).create(true).open(&path).expect("the directory is ours");
        let mut source = Source::open(&path, Some("private".to_owned())).expect("it is there");
        let mut texts = || -> Vec<String> {
            let mut entries = Vec::new();
            source.read(&mut entries).expect("it is readable");
            // What is held of a file is bounded, whatever is in it.
            assert!(source.begun.capacity() <= 2 * LONGEST_LINE);
            entries.into_iter().map(|entry| entry.text).collect()
        };
        let hole = "1.0 GB of this log before this are not shown";
        // A hole of a terabyte takes no room.
        file.set_len(1 << 40).expect("a file may have holes");
        let began = std::time::Instant::now();
        let first = texts();
        assert!(first.len() == 1 && first[0].ends_with("of this log before this are not shown"), "{first:?}");
        file.write_all(b"\none\n").expect("there is room");
        assert_eq!(texts(), ["one"], "the line in the middle of which it began is none");
        file.set_len((1 << 40) + 5 + 1_000_000_000 + MOST_BYTES).expect("a file may have holes");
        let after = texts();
        assert_eq!(after, [hole]);
        file.write_all(b"\n").expect("there is room");
        assert_eq!(texts(), [""; 0]);
        file.write_all(&vec![b'x'; 3 * LONGEST_LINE]).expect("there is room");
        assert_eq!(texts(), [""; 0], "half a line waits");
        file.write_all(b"y\ntwo\n").expect("there is room");
        assert_eq!(texts(), ["x".repeat(LONGEST_LINE) + " ...", "two".to_owned()]);
        file.write_all(&vec![b'\n'; 3 * MOST_LINES]).expect("there is room");
        let lines = texts().len();
        assert!((MOST_LINES..=2 * MOST_LINES).contains(&lines), "{lines}");
        println!("a terabyte and more looked at in {:?}", began.elapsed());
    }

    #[test]
    fn what_is_written_and_put_away_while_a_log_is_read_is_read_too() {
        use std::io::Write;

        let directory = tempfile::tempdir().expect("a directory");
        let (path, old) = (directory.path().join("rdsup.log"), directory.path().join("rdsup.log.1"));
        let line = |file: &mut File, text: &str| {
            writeln!(file, r#"{{"fields":{{"message":"{text}"}}}}"#).expect("there is room");
        };
        let mut file = File::create(&path).expect("the directory is ours");
        line(&mut file, "first");
        let mut source = Source::open(&path, None).expect("it is there");
        let mut entries = Vec::new();
        source.read_to_end(&mut entries).expect("it is readable");
        for text in ["late", "skipped", "last"] {
            line(&mut file, text);
            if text != "last" {
                std::fs::rename(&path, &old).expect("the directory is ours");
                file = File::create(&path).expect("the directory is ours");
            }
        }
        source.read_on(&mut entries).expect("it is readable");
        let texts: Vec<&str> = entries.iter().map(|entry| entry.text.as_str()).collect();
        assert_eq!(texts, ["first", "late", "skipped", "last"]);
    }

    #[test]
    fn no_line_is_lost_or_doubled_while_a_flood_rotates_the_log() {
        use std::io::Write;
        use std::sync::atomic::{AtomicUsize, Ordering};

        const LINES: usize = 60_000;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log/rdsup.log");
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("the directory is ours");
        let mut sources = Sources { run_dir: directory.path().to_owned(), only: None, open: Vec::new(), denied: None };
        let (reads, old) = (AtomicUsize::new(0), directory.path().join("log/rdsup.log.1"));
        let append = || OpenOptions::new().append(true).create(true).open(&path).expect("the directory is ours");
        let mut file = append();
        let mut found = Vec::new();
        // It is open from the first line on: of what was put away before, only one file is kept.
        assert!(sources.read().expect("it is readable").is_empty());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut rotated_at = 0;
                for number in 0..LINES {
                    // A reader that looks once for every two rotations sees everything; one that does not look at all cannot.
                    if number % 100 == 99 && reads.load(Ordering::SeqCst) > rotated_at {
                        for _ in 0..2 {
                            std::fs::rename(&path, &old).expect("the directory is ours");
                            file = append();
                            writeln!(file, r#"{{"fields":{{"message":"rotated"}}}}"#).expect("there is room");
                        }
                        rotated_at = reads.load(Ordering::SeqCst) + 1;
                    }
                    writeln!(file, r#"{{"fields":{{"message":"{number}"}}}}"#).expect("there is room");
                }
            });
            while found.last().is_none_or(|last: &String| *last != (LINES - 1).to_string()) {
                let entries = sources.read().expect("it is readable");
                found.extend(entries.into_iter().map(|entry| entry.text).filter(|text| text != "rotated"));
                reads.fetch_add(1, Ordering::SeqCst);
            }
        });
        let wrong = found.iter().enumerate().find(|(number, text)| **text != number.to_string());
        assert_eq!(wrong, None, "in order, each once");
        assert_eq!(found.len(), LINES);
    }
}
