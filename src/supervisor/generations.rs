//! Which generation is in force: decided at start, changed by every apply, noted before anything is done.
//!
//! The note in the run directory is the moment of decision. A supervisor that is killed before it has changed nothing; one
//! that is killed after it is succeeded by one that finishes the change. Everything else can be made again from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::prepare::Prepared;
use crate::history::{Fallback, Generation, Ledger, Moment, Pending, Snapshot, Standing};
use crate::plan::Layout;
use crate::sys::generations::{Damage, Store};
use crate::sys::{SysError, clock, process};

/// The generations of one supervisor.
pub struct Generations {
    store: Store,
    ledger: Ledger,
    boot_id: String,
    /// The supervisor's configuration file.
    config: PathBuf,
    /// What is in force, with its texts: they are needed when the state directory is lost.
    standing: Option<Standing>,
    /// Why what was not confirmed in time is still in force.
    overdue: Option<String>,
}

/// What a start begins with.
pub enum Opening {
    /// The network stands: it keeps the generation that it was made from, whatever the file says by now.
    Standing(Generation),
    /// Nothing stands: the file.
    File,
    /// Nothing stands, and the file is what came back out the last time.
    Instead {
        /// What was in force then.
        generation: Generation,
        /// Which one came out, and why.
        why: String,
    },
}

/// What was read of a file.
pub struct Read<'a> {
    /// Its texts.
    pub snapshot: Snapshot,
    /// The file.
    pub file: &'a Path,
    /// How it came to be read: `start`, `SIGHUP`, `apply by root`.
    pub by: &'a str,
}

/// Where a change leads.
#[derive(Clone, Copy, Debug)]
pub enum Turn<'a> {
    /// To another file, which was written under this number if it is new.
    Forth(Option<u64>),
    /// To a generation that was in force before; the one that is now comes out for this reason.
    Back(&'a str),
}

/// Notes to go back to if nothing comes of an apply.
pub struct Begun {
    ledger: Ledger,
    standing: Option<Standing>,
    /// A generation that was written for it.
    written: Option<u64>,
    /// The generation that is in force now.
    pub number: u64,
}

impl Generations {
    /// Reads what is noted. What is damaged is said in words, and goes on without.
    pub fn open(layout: &Layout, config: &Path) -> Result<(Self, Vec<String>), SysError> {
        let boot_id = boot_id()?;
        let store = Store::new(layout);
        let mut words = Vec::new();
        // A state directory that cannot be read must not keep the network down.
        let (ledger, damaged) = store.ledger().unwrap_or_else(|error| {
            words.push(error.to_string());
            (Ledger::default(), None)
        });
        let (standing, lost) = store.standing(&boot_id).unwrap_or_else(|error| {
            words.push(error.to_string());
            (None, None)
        });
        words.extend([damaged, lost].into_iter().flatten().map(Damage::put_aside));
        let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
        Ok((Self { store, ledger, boot_id, config, standing, overdue: None }, words))
    }

    /// The file that generated files name: that of the supervisor whose network stands.
    pub fn config(&self) -> &Path {
        self.standing.as_ref().map_or(&self.config, |standing| &standing.config)
    }

    /// The generation in force.
    pub fn in_force(&self) -> Option<&Generation> {
        self.standing.as_ref().map(|standing| &standing.generation)
    }

    /// What waits to be confirmed.
    pub fn pending(&self) -> Option<&Pending> {
        Some(&self.standing.as_ref()?.fallback.as_ref()?.pending)
    }

    /// Notes that what was not confirmed in time is still in force, and why; `None` when it is not any more.
    pub fn set_overdue(&mut self, why: Option<String>) {
        self.overdue = why;
    }

    /// Why what was not confirmed in time is still in force.
    pub fn overdue(&self) -> Option<&str> {
        self.overdue.as_deref()
    }

    /// How much time is left to confirm, where something waits for that.
    pub fn time_left(&self) -> Option<Duration> {
        let pending = self.pending()?;
        // Without a clock nobody can say; then it is over.
        Some(self.now().map_or(Duration::ZERO, |now| pending.left(&now)))
    }

    fn now(&self) -> Result<Moment, SysError> {
        now(&self.boot_id)
    }

    /// Decides what to begin with. `stands`: domains of ours are there, whatever is noted.
    pub async fn opening(&mut self, stands: bool, read_file: impl AsyncFnOnce() -> Option<Snapshot>) -> Opening {
        if let Some(standing) = &self.standing {
            self.ledger.agree_with(standing.generation.number);
            return Opening::Standing(standing.generation.clone());
        }
        if stands && let Some(generation) = self.last() {
            tracing::warn!("the note of what is in force was lost: going on with generation {}", generation.number);
            return Opening::Standing(generation);
        }
        if let Some(pending) = self.ledger.pending.clone() {
            self.ledger.revert(pending.previous, "not confirmed before the network went down");
        }
        if self.ledger.reverted.is_empty() {
            return Opening::File;
        }
        let Some(file) = read_file().await else { return Opening::File };
        let is_file = |number: &u64| self.store.read(*number).ok().flatten().is_some_and(|it| it.snapshot == file);
        let out = self.ledger.reverted.iter().find(|(number, _)| is_file(number));
        match (out, self.last()) {
            (Some((number, why)), Some(generation)) => {
                Opening::Instead { generation, why: format!("generation {number}, {why}") }
            }
            _ => Opening::File,
        }
    }

    /// What is to be said when the file is started and something else was in force last, which came from elsewhere.
    pub fn passed_over(&self, prepared: &Prepared) -> Option<String> {
        let last = self.last().filter(|last| last.snapshot != prepared.snapshot && last.file != self.config)?;
        let (number, file) = (last.number, last.file.display());
        Some(format!(
            "generation {number}, which was in force last, came from {file}: rdsup rollback {number} brings it back"
        ))
    }

    /// The generation that was in force last, if it can be read.
    pub fn last(&self) -> Option<Generation> {
        let number = self.ledger.in_force?;
        self.store.read(number).unwrap_or_else(|error| {
            tracing::warn!("generation {number}: {error}");
            None
        })
    }

    /// Makes what was read the generation in force. What is the same as the one in force gets no number of its own.
    pub fn begin(&mut self, read: Read<'_>, confirm: Option<Duration>) -> Result<Begun, SysError> {
        let (generation, written) = self.generation_of(read)?;
        if written.is_some() {
            self.store.write(&generation)?;
        }
        let begun = self.enter(generation, confirm, Turn::Forth(written))?;
        self.clear_name();
        Ok(begun)
    }

    /// What came out earlier and is the same as what somebody has now asked for is no longer held against the file: the
    /// newest verdict counts.
    fn clear_name(&mut self) {
        let Some(snapshot) = self.in_force().map(|generation| generation.snapshot.clone()) else { return };
        let is_same = |number: &u64| self.store.read(*number).ok().flatten().is_some_and(|it| it.snapshot == snapshot);
        let same: Vec<u64> = self.ledger.reverted.keys().copied().filter(is_same).collect();
        if same.is_empty() {
            return;
        }
        for number in same {
            self.ledger.reverted.remove(&number);
        }
        if let Err(error) = self.store.write_ledger(&self.ledger) {
            tracing::warn!("it is not noted that the file is trusted again: {error}");
        }
    }

    /// Fills a state directory that was lost under a running supervisor. Costs a look at one file.
    pub fn refill(&mut self) {
        if self.standing.is_none() || self.store.has_ledger() {
            return;
        }
        tracing::warn!("what was applied is no longer in the state directory: writing it again");
        if let Err(error) = self.store.write_ledger(&self.ledger) {
            tracing::warn!("generations are not kept: {error}");
        }
        self.tidy();
    }

    /// The same at start, where a state directory that cannot be written must not keep the network down.
    pub fn begin_anyway(&mut self, read: Read<'_>) -> Option<Begun> {
        let begun = (self.ledger.clone(), self.standing.clone());
        let (generation, written) = match self.generation_of(read) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!("generations are not kept: {error}");
                return None;
            }
        };
        if written.is_some()
            && let Err(error) = self.store.write(&generation)
        {
            tracing::warn!("generation {} is not kept: {error}", generation.number);
        }
        let number = generation.number;
        self.stand_on(generation);
        Some(Begun { ledger: begun.0, standing: begun.1, written, number })
    }

    /// The network is made from this generation.
    pub fn stand_on(&mut self, generation: Generation) {
        self.ledger.agree_with(generation.number);
        let noted = self.standing.as_ref().filter(|it| it.generation == generation).and_then(|it| it.fallback.clone());
        // Where the note in the run directory was lost, the ledger still knows what waits.
        let fallback = noted.or_else(|| {
            let pending = self.ledger.pending.clone().filter(|pending| pending.number == generation.number)?;
            Some(Fallback { generation: self.store.read(pending.previous).ok()??, pending })
        });
        let standing = self.standing_on(generation, fallback);
        self.standing = Some(standing.clone());
        let noted = [self.store.stand(&standing), self.store.write_ledger(&self.ledger)];
        for error in noted.into_iter().filter_map(Result::err) {
            tracing::warn!("it is not noted which generation is in force: {error}");
        }
    }

    /// The generation that what was read is, and its number if that is new.
    fn generation_of(&self, read: Read<'_>) -> Result<(Generation, Option<u64>), SysError> {
        let last = self.in_force().cloned().or_else(|| self.last());
        if let Some(last) = last.filter(|last| last.snapshot == read.snapshot) {
            return Ok((last, None));
        }
        let number = self.next_number()?;
        let (file, by) = (read.file.to_owned(), read.by.to_owned());
        Ok((Generation { number, at: Timestamp::now(), file, by, snapshot: read.snapshot }, Some(number)))
    }

    /// Makes a generation the one in force.
    pub fn enter(
        &mut self,
        generation: Generation,
        confirm: Option<Duration>,
        turn: Turn<'_>,
    ) -> Result<Begun, SysError> {
        let number = generation.number;
        let written = if let Turn::Forth(written) = turn { written } else { None };
        let begun = Begun { ledger: self.ledger.clone(), standing: self.standing.clone(), written, number };
        let fallback = match (confirm, &self.standing) {
            (Some(within), Some(before)) if before.generation.number != number => {
                let mut deadline = self.now()?;
                deadline.since_boot = deadline.since_boot.saturating_add(within);
                let pending = Pending { number, previous: before.generation.number, within, deadline };
                Some(Fallback { pending, generation: before.generation.clone() })
            }
            _ => None,
        };
        let pending = fallback.as_ref().map(|fallback| fallback.pending.clone());
        match turn {
            Turn::Forth(_) => self.ledger.enter(number, pending),
            Turn::Back(why) => self.ledger.roll_back(number, why, pending),
        }
        let noted = self.note(self.standing_on(generation, fallback));
        if let Err(error) = noted {
            self.cancel(begun);
            return Err(error);
        }
        Ok(begun)
    }

    /// Nothing came of it: the notes are as before.
    pub fn cancel(&mut self, begun: Begun) {
        self.ledger = begun.ledger;
        self.standing = begun.standing;
        let noted = match &self.standing {
            Some(standing) => self.store.stand(standing),
            None => self.store.fall(),
        };
        let kept = begun.written.map_or(Ok(()), |number| self.store.remove(number));
        for error in [noted, self.store.write_ledger(&self.ledger), kept].into_iter().filter_map(Result::err) {
            tracing::error!("cannot take the note of a generation back: {error}");
        }
    }

    /// The generation that waits stays. Answers with its number.
    pub fn confirm(&mut self) -> Result<Option<u64>, SysError> {
        let Some(standing) = self.standing.clone().filter(|standing| standing.fallback.is_some()) else {
            return Ok(None);
        };
        self.ledger.confirm();
        let number = standing.generation.number;
        self.note(Standing { fallback: None, ..standing })?;
        Ok(Some(number))
    }

    /// The generation in force comes out and `to` goes in, which the network is already made from.
    pub fn revert(&mut self, to: Generation, why: &str) -> Result<(), SysError> {
        let standing = self.standing_on(to, None);
        self.store.stand(&standing)?;
        self.ledger.revert(standing.generation.number, why);
        self.standing = Some(standing);
        // A ledger that still says that something waits comes to the same at the next boot.
        if let Err(error) = self.store.write_ledger(&self.ledger) {
            tracing::error!("it is not noted which generation came out: {error}");
        }
        Ok(())
    }

    /// The note of a network that is made from this generation.
    fn standing_on(&self, generation: Generation, fallback: Option<Fallback>) -> Standing {
        let (boot_id, config) = (self.boot_id.clone(), self.config().to_owned());
        Standing { boot_id, config, state_dir: Some(self.store.state_dir().to_owned()), generation, fallback }
    }

    /// Writes both notes, that in the run directory first: it decides.
    fn note(&mut self, standing: Standing) -> Result<(), SysError> {
        self.store.stand(&standing)?;
        self.standing = Some(standing);
        self.store.write_ledger(&self.ledger)
    }

    /// The generation that comes back: the one before what waits, the one named, or the one before that in force.
    pub fn earlier(&self, number: Option<u64>) -> Result<Option<Generation>, SysError> {
        let fallback = self.standing.as_ref().and_then(|standing| standing.fallback.as_ref());
        if let Some(fallback) = fallback
            && number.is_none_or(|number| number == fallback.generation.number)
        {
            return Ok(Some(fallback.generation.clone()));
        }
        let in_force = self.in_force().map_or(0, |generation| generation.number);
        if let Some(number) = number.or(self.ledger.previous) {
            return self.store.read(number);
        }
        let before = self.store.kept()?.into_iter().map(|kept| kept.number);
        let before = before.filter(|kept| *kept < in_force && !self.ledger.reverted.contains_key(kept)).max();
        before.map_or(Ok(None), |number| self.store.read(number))
    }

    /// The network is gone.
    pub fn fall(&mut self) {
        self.standing = None;
        if let Err(error) = self.store.fall() {
            tracing::warn!("{error}");
        }
    }

    /// Forgets what is too old, and fills a state directory that was lost.
    pub fn tidy(&mut self) {
        let needed: Vec<u64> = [self.ledger.in_force, self.ledger.previous].into_iter().flatten().collect();
        let tidied = || -> Result<Vec<u64>, SysError> {
            let generations = self.standing.iter().flat_map(|standing| {
                [Some(&standing.generation), standing.fallback.as_ref().map(|fallback| &fallback.generation)]
            });
            for generation in generations.flatten() {
                if !matches!(self.store.read(generation.number), Ok(Some(kept)) if &kept == generation) {
                    self.store.write(generation)?;
                }
            }
            self.store.prune(&needed)?;
            Ok(self.store.kept()?.into_iter().map(|kept| kept.number).collect())
        };
        match tidied() {
            Ok(kept) => self.ledger.retain(|number| kept.contains(&number)),
            Err(error) => tracing::warn!("generations are not kept: {error}"),
        }
    }

    fn next_number(&self) -> Result<u64, SysError> {
        let kept = self.store.kept()?.last().map_or(0, |kept| kept.number);
        let known = self.ledger.in_force.unwrap_or(0).max(self.in_force().map_or(0, |generation| generation.number));
        Ok(kept.max(known).saturating_add(1))
    }
}

pub(super) fn boot_id() -> Result<String, SysError> {
    process::boot_id().map_err(|error| SysError::io("read the boot's id", error))
}

pub(super) fn now(boot_id: &str) -> Result<Moment, SysError> {
    let since_boot = clock::since_boot().map_err(|error| SysError::io("read CLOCK_BOOTTIME", error))?;
    Ok(Moment { boot_id: boot_id.to_owned(), since_boot })
}
