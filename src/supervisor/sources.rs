//! Where the texts of a configuration come from: the files themselves, or a generation that was kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::history::Snapshot;

/// No configuration is larger than this; what goes on longer is a device or a mistake.
const LARGEST_FILE: u64 = 64 << 20;

/// Reads texts and notes what it read. What comes from a generation is the same whatever has become of the files.
#[derive(Debug, Default)]
pub struct Sources {
    /// Instead of the files.
    kept: Option<Snapshot>,
    /// Whether the configuration too must be a regular file.
    only_regular: bool,
    taken: Snapshot,
}

/// A template of the user's: its name below the directory, and its text or why there is none.
pub struct Overlay {
    /// Such as `bird/link.hbs`.
    pub name: String,
    /// Its text.
    pub text: Result<String, String>,
}

/// A directory, and why it cannot be read.
pub type Unreadable = (PathBuf, io::Error);

impl Sources {
    /// The files as they are now.
    pub fn files() -> Self {
        Self::default()
    }

    /// The same for a supervisor, which waits for nobody: the configuration is no pipe and no device.
    pub fn regular_files() -> Self {
        Self { only_regular: true, ..Self::default() }
    }

    /// A generation.
    pub fn kept(snapshot: Snapshot) -> Self {
        Self { kept: Some(snapshot), ..Self::default() }
    }

    /// The configuration itself.
    pub fn configuration(&mut self, path: &Path) -> io::Result<String> {
        let text = match &self.kept {
            Some(kept) => kept.text.clone(),
            None if self.only_regular => read_regular(path)?,
            None => read_all(File::open(path)?)?,
        };
        self.taken.text.clone_from(&text);
        Ok(text)
    }

    /// A file that the configuration names.
    pub fn named(&mut self, path: &Path) -> Result<String, String> {
        let text = match &self.kept {
            Some(kept) => kept.files.get(path).cloned().ok_or_else(|| "it was not kept with the generation".to_owned()),
            None => read_regular(path).map_err(|error| error.to_string()),
        }?;
        self.taken.files.insert(path.to_owned(), text.clone());
        Ok(text)
    }

    /// The templates below a directory, by name, and what cannot be read there. A directory that is not there has none.
    pub fn templates(&mut self, directory: &Path) -> (Vec<Overlay>, Vec<Unreadable>) {
        let (paths, unreadable) = match &self.kept {
            Some(kept) => {
                let below = kept.files.keys().filter(|path| path.starts_with(directory) && is_template(path));
                (below.cloned().collect(), Vec::new())
            }
            None => walk(directory),
        };
        let overlays = paths.into_iter().map(|path| {
            let name = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().into_owned();
            let text =
                self.named(&path).map_err(|words| format!("cannot read the template {}: {words}", path.display()));
            Overlay { name, text }
        });
        (overlays.collect(), unreadable)
    }

    /// Everything that was read.
    pub fn taken(self) -> Snapshot {
        self.taken
    }
}

fn is_template(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "hbs")
}

/// Every template below a directory, in the order of their paths, and the directories that cannot be read.
fn walk(directory: &Path) -> (Vec<PathBuf>, Vec<Unreadable>) {
    let (mut templates, mut unreadable) = (Vec::new(), Vec::new());
    let mut pending = vec![directory.to_owned()];
    while let Some(current) = pending.pop() {
        let entries = match std::fs::read_dir(&current) {
            Ok(entries) => entries,
            // A directory that is not there overlays nothing; the path in the reference file is such a one.
            Err(error) if error.kind() == io::ErrorKind::NotFound && current == directory => break,
            Err(error) => {
                unreadable.push((current, error));
                continue;
            }
        };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if path.is_dir() {
                pending.push(path);
            } else if is_template(&path) {
                templates.push(path);
            }
        }
    }
    templates.sort();
    (templates, unreadable)
}

/// Reads a file that the configuration names. Whoever opens a pipe or a device may wait for ever, and so would everybody
/// who asks the supervisor for something.
pub fn read_regular(path: &Path) -> io::Result<String> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    if !kind.is_file() {
        return Err(io::Error::other("it is a pipe or a device, and not a file"));
    }
    read_all(file)
}

fn read_all(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(LARGEST_FILE).read_to_string(&mut text)?;
    if text.len() as u64 == LARGEST_FILE {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::files;

    #[test]
    fn what_was_read_is_read_again_from_the_generation_when_the_files_are_gone() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        let at = |name: &str| root.join(name);
        std::fs::create_dir_all(at("templates/bird")).unwrap();
        for (name, text) in [("rdsup.toml", "x"), ("irr.txt", "192.0.2.0/24"), ("templates/bird/link.hbs", "{{peer}}")]
        {
            files::write(&at(name), text.as_bytes(), 0o600, None).unwrap();
        }
        let read = |sources: &mut Sources| {
            let text = sources.configuration(&at("rdsup.toml")).unwrap();
            let list = sources.named(&at("irr.txt")).unwrap();
            let (overlays, unreadable) = sources.templates(&at("templates"));
            assert!(unreadable.is_empty());
            let overlays = overlays.into_iter().map(|Overlay { name, text }| (name, text.unwrap()));
            (text, list, overlays.collect::<Vec<_>>())
        };
        let mut now = Sources::files();
        let first = read(&mut now);
        assert_eq!(first.2, [("bird/link.hbs".to_owned(), "{{peer}}".to_owned())]);
        let taken = now.taken();
        directory.close().unwrap();
        let mut later = Sources::kept(taken.clone());
        assert_eq!(read(&mut later), first);
        assert_eq!(later.taken(), taken);
        assert!(Sources::kept(taken).named(Path::new("/etc/other")).is_err(), "only what was read then");
    }
}
