//! Logs: our own, which cannot fill the disk (at its limit it becomes `NAME.1`, and a new one begins), and the end of one
//! that a daemon writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::SysError;

/// The size at which a log is put away.
const LIMIT: u64 = 4 << 20;

/// A file that is written to its end and put away when it is full.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
    /// How many lines could not be written since the last that could, and why the last could not.
    lost: u64,
    why: String,
    /// Whether the file ends in the middle of a line, where there was no room for the rest.
    torn: bool,
}

impl RotatingFile {
    /// Opens the log, making its directory if it is not there. It is readable to root and its group.
    pub fn open(path: &Path) -> Result<Self, SysError> {
        Self::with_limit(path, LIMIT).map_err(|error| SysError::path("open the log", path, error))
    }

    fn with_limit(path: &Path, limit: u64) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = append(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, limit, lost: 0, why: String::new(), torn: false })
    }

    fn append_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + line.len() as u64 > self.limit {
            self.put_away()?;
        }
        if self.torn {
            self.write_whole(b"\n")?;
        }
        if self.lost > 0 {
            let note = self.note_of_loss();
            self.write_whole(note.as_bytes())?;
            self.lost = 0;
        }
        self.write_whole(line)
    }

    fn write_whole(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.torn = bytes[written - 1] != b'\n';
                    self.size += written as u64;
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// In the form of the other lines, as `tracing-subscriber` writes them.
    fn note_of_loss(&self) -> String {
        let message = format!("{} lines of this log could not be written: {}", self.lost, self.why);
        let fields = serde_json::json!({ "message": message, "lost": self.lost });
        let time = jiff::Timestamp::now().to_string();
        format!("{}\n", serde_json::json!({ "timestamp": time, "level": "WARN", "fields": fields }))
    }

    fn put_away(&mut self) -> io::Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        std::fs::rename(&self.path, old)?;
        self.file = append(&self.path)?;
        self.size = 0;
        self.torn = false;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(libc::O_NOFOLLOW).open(path)
}

/// A line that cannot be written is lost and counted: whoever logs has better things to do than to care, above all when the
/// disk is full. As soon as there is room again the log says how many are missing.
impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.append_line(line) {
            self.lost += 1;
            self.why = error.to_string();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How much of the end of a log is looked at.
const TAIL: u64 = 16 << 10;

/// A moment in the life of a log that somebody else writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMark {
    inode: u64,
    size: u64,
}

impl LogMark {
    /// Now; none where there is no log yet.
    pub fn of(path: &Path) -> Option<Self> {
        let file = std::fs::symlink_metadata(path).ok()?;
        Some(Self { inode: file.ino(), size: file.len() })
    }
}

/// The last lines, `most` at most, of what was written to a log after `since`, or at any time. The directory may be
/// somebody else's, who may have put anything in its place: a link is not followed and a pipe not waited for.
pub fn tail(path: &Path, since: Option<LogMark>, most: usize) -> io::Result<Vec<Vec<u8>>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("this is no regular file"));
    }
    // Put away meanwhile: all of the new one came after.
    let after = since.filter(|mark| mark.inode == found.ino() && mark.size <= found.len()).map_or(0, |mark| mark.size);
    let begin = after.max(found.len().saturating_sub(TAIL));
    file.seek(SeekFrom::Start(begin))?;
    let mut text = Vec::new();
    file.take(TAIL).read_to_end(&mut text)?;
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if begin > after {
        // It begins in the middle of a line.
        lines.remove(0);
    }
    lines.retain(|line| !line.is_empty());
    Ok(lines[lines.len().saturating_sub(most)..].iter().map(|line| line.to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_is_put_away_and_only_one_old_one_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log/rdsup.log");
        let mut log = RotatingFile::with_limit(&path, 10).unwrap();
        for line in ["first\n", "second\n", "third\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "third\n");
        assert_eq!(std::fs::read_to_string(directory.path().join("log/rdsup.log.1")).unwrap(), "second\n");
        let mut again = RotatingFile::with_limit(&path, 13).unwrap();
        again.write_all(b"fourth\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "third\nfourth\n");
    }

    #[test]
    fn the_tail_of_a_log_is_what_came_after_the_mark_whatever_became_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bird.log");
        let lines = |mark| -> Vec<String> {
            tail(&path, mark, 2).unwrap().into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
        };
        assert_eq!(LogMark::of(&path), None);
        let mut log = append(&path).unwrap();
        log.write_all(b"one\n").unwrap();
        let mark = LogMark::of(&path);
        assert_eq!(lines(mark), [""; 0]);
        log.write_all(b"two\nthree\n\nfour\n").unwrap();
        assert_eq!(lines(mark), ["three", "four"]);
        std::fs::rename(&path, directory.path().join("bird.log.1")).unwrap();
        let mut log = append(&path).unwrap();
        log.write_all(b"five\n").unwrap();
        assert_eq!(lines(mark), ["five"]);
        log.write_all("x".repeat(20_000).as_bytes()).unwrap();
        log.write_all(b"\nsix\n").unwrap();
        assert_eq!(lines(None), ["six"], "half a line is none");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(directory.path().join("bird.log.1"), &path).unwrap();
        assert!(tail(&path, None, 2).is_err());
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_and_never_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rdsup.log");
        let mut log = RotatingFile::with_limit(&path, 1 << 20).unwrap();
        log.write_all(b"{\"first\":1}\n").unwrap();
        // The kernel's own disk that is always full; half a line was written before.
        let file = std::mem::replace(&mut log.file, OpenOptions::new().append(true).open("/dev/full").unwrap());
        for _ in 0..3 {
            log.write_all(b"lost\n").unwrap();
        }
        log.file = file;
        log.file.write_all(b"{\"to").unwrap();
        log.torn = true;
        log.write_all(b"{\"last\":1}\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[1], lines[3]), ("{\"first\":1}", "{\"to", "{\"last\":1}"), "{text}");
        assert!(lines[2].contains("3 lines of this log could not be written: No space left on device"), "{text}");
        assert_eq!(lines.len(), 4, "{text}");
    }
}
