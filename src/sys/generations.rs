//! Generations on disk.
//!
//! ```text
//! STATE_DIR/generations/7.json        one file that was applied; never changed after it was written
//! STATE_DIR/generations/ledger.json   which is in force, which waits, which came back out
//! RUN_DIR/generation.json             what the network that stands was made from; gone with the network
//! ```
//!
//! Every file is replaced by a rename. What is damaged is put aside under another name and reported, never fatal: the run
//! directory has what is needed to go on, and the state directory is filled again from it.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{SysError, files};
use crate::history::{Generation, Ledger, Standing};
use crate::plan::Layout;

/// How many generations are kept.
const MOST: usize = 50;
/// How many bytes they may take together; the one in force and the one before it are kept in any case.
const MOST_BYTES: u64 = 64 << 20;

/// No generation has a higher number: whatever says so is damaged. It is what JSON holds without loss.
const LAST_NUMBER: u64 = (1 << 53) - 1;

const LEDGER: &str = "ledger.json";

/// The generations of one state directory. One process writes at a time: the holder of the run directory's lock.
#[derive(Clone, Debug)]
pub struct Store {
    layout: Layout,
}

/// What is kept of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub number: u64,
    /// Its size in bytes.
    pub size: u64,
}

impl Store {
    /// The generations of this layout.
    pub fn new(layout: &Layout) -> Self {
        Self { layout: layout.clone() }
    }

    /// The state directory.
    pub fn state_dir(&self) -> &Path {
        &self.layout.state_dir
    }

    /// The ledger; a new one where there is none, or where it is damaged, which the second value says.
    pub fn ledger(&self) -> Result<(Ledger, Option<Damage>), SysError> {
        let path = self.layout.generations().join(LEDGER);
        Ok(match read_json(&path)? {
            Read::Whole(Ledger { in_force: Some(number @ LAST_NUMBER..), .. }) => {
                (Ledger::default(), Some(Damage { path, words: no_number(number) }))
            }
            Read::Whole(ledger) => (ledger, None),
            Read::Absent => (Ledger::default(), None),
            Read::Damaged(words) => (Ledger::default(), Some(Damage { path, words })),
        })
    }

    /// Whether there is a ledger; one that cannot be looked at is there.
    pub fn has_ledger(&self) -> bool {
        self.layout.generations().join(LEDGER).try_exists().unwrap_or(true)
    }

    /// Replaces the ledger.
    pub fn write_ledger(&self, ledger: &Ledger) -> Result<(), SysError> {
        write_json(&self.layout.generations().join(LEDGER), ledger)
    }

    /// The numbers that are kept, in order.
    pub fn kept(&self) -> Result<Vec<Kept>, SysError> {
        let directory = self.layout.generations();
        let paths = files::list(&directory).map_err(|error| SysError::path("read", &directory, error))?;
        let kept = paths.iter().filter_map(|path| {
            let number = path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok()?;
            (number < LAST_NUMBER).then_some(())?;
            Some(Kept { number, size: std::fs::metadata(path).map_or(0, |data| data.len()) })
        });
        let mut kept: Vec<Kept> = kept.collect();
        kept.sort_by_key(|kept| kept.number);
        Ok(kept)
    }

    /// A generation; `None` if it is not kept. An error if it is damaged.
    pub fn read(&self, number: u64) -> Result<Option<Generation>, SysError> {
        let path = self.path(number);
        match read_json(&path)? {
            Read::Whole(generation) => Ok(Some(generation)),
            Read::Absent => Ok(None),
            Read::Damaged(words) => Err(SysError::path("read", &path, io::Error::other(words))),
        }
    }

    /// Keeps a generation.
    pub fn write(&self, generation: &Generation) -> Result<(), SysError> {
        write_json(&self.path(generation.number), generation)
    }

    /// Forgets a generation that came to nothing.
    pub fn remove(&self, number: u64) -> Result<(), SysError> {
        let path = self.path(number);
        files::remove(&path).map_err(|error| SysError::path("remove", &path, error))
    }

    /// Forgets the oldest generations where there are too many, never those that `needed` names.
    pub fn prune(&self, needed: &[u64]) -> Result<(), SysError> {
        let kept = self.kept()?;
        let (mut count, mut bytes) = (kept.len(), kept.iter().map(|kept| kept.size).sum::<u64>());
        for old in kept.iter().filter(|old| !needed.contains(&old.number)) {
            if count <= MOST && bytes <= MOST_BYTES {
                break;
            }
            self.remove(old.number)?;
            count -= 1;
            bytes -= old.size;
        }
        Ok(())
    }

    /// What the network that stands was made from, if that was noted in this boot, or how the note is damaged.
    pub fn standing(&self, boot_id: &str) -> Result<(Option<Standing>, Option<Damage>), SysError> {
        let path = self.layout.standing();
        Ok(match read_json::<Standing>(&path)? {
            Read::Whole(Standing { generation: Generation { number: number @ LAST_NUMBER.., .. }, .. }) => {
                (None, Some(Damage { path, words: no_number(number) }))
            }
            Read::Whole(standing) => (Some(standing).filter(|standing| standing.boot_id == boot_id), None),
            Read::Absent => (None, None),
            Read::Damaged(words) => (None, Some(Damage { path, words })),
        })
    }

    /// Notes what the network is made from, before it is.
    pub fn stand(&self, standing: &Standing) -> Result<(), SysError> {
        write_json(&self.layout.standing(), standing)
    }

    /// The network is gone.
    pub fn fall(&self) -> Result<(), SysError> {
        let path = self.layout.standing();
        files::remove(&path).map_err(|error| SysError::path("remove", &path, error))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.layout.generations().join(format!("{number}.json"))
    }
}

fn no_number(number: u64) -> String {
    format!("it is damaged (no generation has the number {number})")
}

enum Read<T> {
    Whole(T),
    Absent,
    Damaged(String),
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Read<T>, SysError> {
    let Some((text, _)) = files::read(path).map_err(|error| SysError::path("read", path, error))? else {
        // A directory or a link in its place is damage too, but nothing is lost by writing over it.
        return Ok(Read::Absent);
    };
    Ok(match serde_json::from_str(&text) {
        Ok(value) => Read::Whole(value),
        Err(error) => Read::Damaged(format!("it is damaged ({error})")),
    })
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), SysError> {
    let failed = |error: io::Error| SysError::path("write", path, error);
    let text = serde_json::to_string_pretty(value).map_err(|error| failed(error.into()))?;
    files::make_parents(path).map_err(failed)?;
    // For root alone: `extra` lines may hold what others should not read.
    files::write(path, text.as_bytes(), 0o600, None).map_err(failed)
}

/// A note that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    path: PathBuf,
    words: String,
}

impl Damage {
    /// Keeps one damaged copy, for whoever wants to know what happened, and says so.
    pub fn put_aside(self) -> String {
        let mut aside = self.path.clone().into_os_string();
        aside.push(".damaged");
        let (path, words) = (self.path.display(), self.words);
        match std::fs::rename(&self.path, &aside) {
            Ok(()) => format!("{path}: {words}; it was put aside as {}", PathBuf::from(aside).display()),
            Err(error) => format!("{path}: {words}; it cannot be put aside: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Snapshot;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().join("run"), directory.path().join("state"));
        (directory, Store::new(&layout))
    }

    fn generation(number: u64, size: usize) -> Generation {
        Generation {
            number,
            at: jiff::Timestamp::UNIX_EPOCH,
            file: "/etc/rdsup/rdsup.toml".into(),
            by: "start".to_owned(),
            snapshot: Snapshot { text: "x".repeat(size), ..Snapshot::default() },
        }
    }

    #[test]
    fn a_generation_is_read_as_it_was_written_and_by_root_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (_directory, store) = store();
        assert_eq!(store.read(7).unwrap(), None);
        store.write(&generation(7, 10)).unwrap();
        assert_eq!(store.read(7).unwrap(), Some(generation(7, 10)));
        assert_eq!(std::fs::metadata(store.path(7)).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn what_is_damaged_is_put_aside_and_said() {
        let (_directory, store) = store();
        store.write_ledger(&Ledger { in_force: Some(3), ..Ledger::default() }).unwrap();
        let path = store.layout.generations().join(LEDGER);
        let text = std::fs::read_to_string(&path).unwrap();
        files::write(&path, &text.as_bytes()[..text.len() / 2], 0o600, None).unwrap();
        let (ledger, damage) = store.ledger().unwrap();
        assert_eq!(ledger, Ledger::default());
        assert!(damage.unwrap().put_aside().contains("ledger.json.damaged"));
        assert_eq!(store.ledger().unwrap().1, None, "it is said once");
        files::write(&store.path(3), b"{", 0o600, None).unwrap();
        assert!(store.read(3).is_err());
        assert_eq!(store.kept().unwrap(), [Kept { number: 3, size: 1 }]);
    }

    #[test]
    fn growth_is_bounded_by_number_and_by_size_and_what_is_needed_stays() {
        let (_directory, store) = store();
        for number in 1..=60 {
            store.write(&generation(number, 1)).unwrap();
        }
        store.prune(&[2]).unwrap();
        let kept = store.kept().unwrap();
        assert_eq!(kept.len(), MOST);
        assert_eq!((kept[0].number, kept[1].number), (2, 12));
        store.write(&generation(61, 65 << 20)).unwrap();
        store.prune(&[61, 60]).unwrap();
        let numbers: Vec<u64> = store.kept().unwrap().iter().map(|kept| kept.number).collect();
        assert_eq!(numbers, [60, 61]);
    }

    #[test]
    fn what_stands_is_of_one_boot() {
        let (_directory, store) = store();
        assert_eq!(store.standing("a").unwrap(), (None, None));
        let standing = Standing {
            boot_id: "a".to_owned(),
            config: "/etc/rdsup/rdsup.toml".into(),
            state_dir: Some(store.state_dir().to_owned()),
            generation: generation(1, 1),
            fallback: None,
        };
        store.stand(&standing).unwrap();
        assert_eq!(store.standing("a").unwrap(), (Some(standing), None));
        assert_eq!(store.standing("b").unwrap(), (None, None));
        store.fall().unwrap();
        assert_eq!(store.standing("a").unwrap(), (None, None));
    }
}
