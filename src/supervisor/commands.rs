//! What changes the network on request: apply, confirm, roll back, and what happens when nobody confirms.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::aside::Aside;
use super::failure::{RunError, WHAT_IS_KEPT, told};
use super::generations::{Begun, Read, Turn};
use super::keeper::Applied;
use super::outlook::announcement;
use super::prepare::{PrepareError, Prepared};
use super::report;
use super::requests::Command;
use super::run::Loop;
use super::validate::validate_on;
use crate::control::access::AccessRules;
use crate::control::{CallError, Change, Progress, ResetReport, group_id};
use crate::history::Generation;
use crate::sys::{clock, digest};

/// How long after a failed attempt to revert the next one comes.
const REVERT_AGAIN: Duration = Duration::from_secs(5);

/// How long the loop sleeps at most before it looks again how much time is left.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// How long a generation may wait to be confirmed: who takes longer does not wait for anything.
const LONGEST_WAIT: Duration = Duration::from_hours(7 * 24);

/// How long a file that is to be applied is waited for, with everything that it names.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// Told while a change takes longer than a moment.
const STILL: &str = "carrying it out: daemons read what is new, and long lists take FRR some seconds";

/// A file to apply.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Another file than the supervisor's own.
    pub file: Option<PathBuf>,
    /// How long it may stay unconfirmed; for good if none is given.
    pub confirm: Option<Duration>,
    /// Who asks: `apply by root`.
    pub by: String,
}

impl Asked {
    /// What SIGHUP means.
    pub fn signal() -> Self {
        Self { file: None, confirm: None, by: "SIGHUP".to_owned() }
    }
}

/// Who is told what came of it.
pub enum Whom {
    /// The one who asked.
    Request(oneshot::Sender<Result<Change, CallError>>),
    /// The service manager.
    Signal,
}

/// What came of a change, and who is told.
pub type Done = (Result<Change, CallError>, Whom);

/// A file that is to be read, and then applied.
pub struct ToRead {
    asked: Asked,
    file: PathBuf,
    named: PathBuf,
    state_dir: Option<PathBuf>,
    progress: Progress,
    whom: Whom,
}

/// What came of reading it.
pub struct HasRead {
    of: ToRead,
    prepared: Result<Prepared, PrepareError>,
}

/// Reads files beside the event loop, which goes on meanwhile: one after the other, so that the one that was asked for last
/// is applied last.
pub fn reader() -> (mpsc::UnboundedSender<ToRead>, mpsc::Receiver<HasRead>) {
    let (to_read, mut orders) = mpsc::unbounded_channel::<ToRead>();
    let (read, has_read) = mpsc::channel(1);
    tokio::spawn(async move {
        let aside = Aside::new(1, READ_WITHIN);
        while let Some(of) = orders.recv().await {
            let prepared = aside.prepare(&of.file, &of.named, of.state_dir.as_deref()).await;
            if read.send(HasRead { of, prepared }).await.is_err() {
                return;
            }
        }
    });
    (to_read, has_read)
}

impl Loop {
    /// Answers with what came of it, unless a file is to be read first.
    pub(super) async fn carry_out(&mut self, command: Command, progress: Progress, whom: Whom) -> Option<Done> {
        if command.confirm().is_some_and(|time| time > LONGEST_WAIT) {
            return Some((Err(CallError::invalid("nothing waits longer than 7 days to be confirmed")), whom));
        }
        let result = match command {
            Command::Apply(asked) => return self.begin_apply(asked, progress, whom),
            Command::Confirm { by } => self.confirm(&by, &progress),
            Command::Rollback { to, confirm, by } => self.roll_back(to, confirm, &by, &progress).await,
        };
        Some((result, whom))
    }

    /// Has a file read, to bring the machine to it. Where that makes no sense now it is over at once.
    pub(super) fn begin_apply(&mut self, asked: Asked, progress: Progress, whom: Whom) -> Option<Done> {
        let file = asked.file.clone().unwrap_or_else(|| self.options.config.clone());
        if let Err(error) = self.nothing_waits() {
            return Some((Err(not_applied(&asked, &file, error)), whom));
        }
        progress.line("reading the file and validating what is made of it");
        let (named, state_dir) = (self.generations.config().to_owned(), self.options.state_dir.clone());
        // Whoever reads is there as long as the loop is.
        let _ = self.to_read.send(ToRead { asked, file, named, state_dir, progress, whom });
        None
    }

    /// Brings the machine to what was read, all of it or nothing.
    pub(super) async fn apply(&mut self, read: HasRead) -> Done {
        let HasRead { of: ToRead { asked, file, progress, whom, .. }, prepared } = read;
        tracing::info!(by = asked.by, file = %file.display(), "request apply begins");
        let applied = self.apply_file(&file, &asked, prepared, &progress).await;
        (applied.map_err(|error| not_applied(&asked, &file, error)), whom)
    }

    async fn apply_file(
        &mut self,
        file: &Path,
        asked: &Asked,
        prepared: Result<Prepared, PrepareError>,
        progress: &Progress,
    ) -> Result<Change, RunError> {
        self.nothing_waits()?;
        let prepared = prepared?;
        for line in prepared.warning_lines() {
            progress.line(line);
        }
        self.same_place(&prepared)?;
        if prepared.network.domains.is_empty() && !self.prepared.network.domains.is_empty() {
            // Usually an editor or a copy that was cut short.
            let words = format!("{} has no domain: that would take the whole network down", file.display());
            return Err(RunError::NotNow { words, hint: "rdsup stop does that where it is meant" });
        }
        validate_on(self.keeper.machine(), &prepared).await?;
        let snapshot = prepared.snapshot.clone();
        let begun = self.generations.begin(Read { snapshot, file, by: &asked.by }, asked.confirm);
        let begun = begun.inspect_err(|_| self.keeper.machine().forget_rehearsal())?;
        self.turn(prepared, begun, progress).await
    }

    /// Goes back to a generation: the one before that in force, if none is named.
    async fn roll_back(
        &mut self,
        to: Option<u64>,
        confirm: Option<Duration>,
        by: &str,
        progress: &Progress,
    ) -> Result<Change, CallError> {
        let result = self.try_roll_back(to, confirm, by, progress).await.map_err(told);
        if let Err(error) = &result {
            tracing::error!(by, "not rolled back: {error}");
        }
        result
    }

    async fn try_roll_back(
        &mut self,
        to: Option<u64>,
        confirm: Option<Duration>,
        by: &str,
        progress: &Progress,
    ) -> Result<Change, RunError> {
        let previous = self.generations.pending().map(|pending| pending.previous);
        // Only the way back from what waits leads out of it: any other would make it the one to come back to, for good.
        if confirm.is_some() || to.is_some() && to != previous {
            self.nothing_waits()?;
        }
        let in_force = self.generations.in_force().map(|generation| generation.number);
        let Some(generation) = self.generations.earlier(to)? else {
            return Err(to.map_or_else(
                || RunError::NotNow { words: "there is no earlier generation".to_owned(), hint: WHAT_IS_KEPT },
                RunError::NotKept,
            ));
        };
        if in_force == Some(generation.number) {
            let words = format!("generation {} is in force already", generation.number);
            return Err(RunError::NotNow { words, hint: WHAT_IS_KEPT });
        }
        progress.line(format!("going back to generation {}", generation.number));
        let prepared = self.prepare_as_before(&generation).await?;
        self.same_place(&prepared)?;
        validate_on(self.keeper.machine(), &prepared).await?;
        let entered = self.generations.enter(generation, confirm, Turn::Back(&format!("rolled back by {by}")));
        let begun = entered.inspect_err(|_| self.keeper.machine().forget_rehearsal())?;
        self.turn(prepared, begun, progress).await
    }

    /// Carries out what is noted as begun, or takes both back.
    async fn turn(&mut self, prepared: Prepared, begun: Begun, progress: &Progress) -> Result<Change, RunError> {
        let number = begun.number;
        let resets = self.announce(&prepared, progress).await;
        let change = Box::pin(self.keeper.change(&prepared, &self.prepared));
        match clock::patiently(change, || progress.line(STILL)).await {
            Ok(applied) => {
                let before = self.now_runs(prepared, applied);
                self.before = self.generations.pending().map(|_| before);
                self.generations.set_overdue(None);
                self.generations.tidy();
                let words = report::lines(&self.applied);
                tracing::info!(generation = number, "generation {number} is in force: {}", words.join("; "));
                progress.line(format!("generation {number}"));
                for line in words {
                    progress.line(line);
                }
                if let Some(words) = self.passing().await {
                    progress.line(words);
                }
                if let Some(pending) = self.generations.pending() {
                    let (within, previous) = (report::time(pending.within), pending.previous);
                    progress.line(format!("generation {previous} comes back in {within}, unless: rdsup confirm"));
                }
                Ok(Change { steps: self.applied.done, resets, ..self.standing(number) })
            }
            Err(error) => {
                self.generations.cancel(begun);
                Err(error.into())
            }
        }
    }

    /// How things stand now.
    fn standing(&self, generation: u64) -> Change {
        Change {
            generation,
            steps: 0,
            resets: Vec::new(),
            problems: self.applied.problems.clone(),
            confirm_within: self.generations.time_left().map(|left| left.as_secs()),
        }
    }

    /// Tells whoever asked, and the log, which sessions will be reset.
    async fn announce(&self, prepared: &Prepared, progress: &Progress) -> Vec<ResetReport> {
        let (resets, lines) = announcement(self.keeper.machine(), prepared).await;
        for line in lines {
            tracing::info!("{}", line.trim_start());
            progress.line(line);
        }
        resets.iter().map(ResetReport::from).collect()
    }

    /// What a boot would make of it, where that is not what runs now.
    async fn passing(&self) -> Option<String> {
        let generation = self.generations.in_force()?;
        let other = generation.file != self.options.config && generation.by != "start";
        let text = digest(&generation.snapshot.text);
        (other && self.on_disk.differs_from(text, &self.options.config).await).then(|| {
            let (file, config) = (generation.file.display(), self.options.config.display());
            format!("this lasts until the next apply or boot, which take {config}: copy {file} there to keep it")
        })
    }

    fn confirm(&mut self, by: &str, progress: &Progress) -> Result<Change, CallError> {
        match self.generations.confirm() {
            Ok(Some(number)) => {
                self.before = None;
                self.generations.set_overdue(None);
                tracing::info!(by, generation = number, "generation {number} is confirmed");
                progress.line(format!("generation {number} stays"));
                Ok(self.standing(number))
            }
            Ok(None) => {
                Err(CallError::failed("nothing waits to be confirmed").hint("rdsup history shows what is in force"))
            }
            Err(error) => Err(CallError::failed(error)),
        }
    }

    /// When what waits to be confirmed comes out.
    pub(super) fn confirm_until(&self) -> Option<Instant> {
        let left = self.generations.time_left()?;
        let deadline = Instant::now() + left.min(LONGEST_SLEEP);
        Some(self.revert_at.map_or(deadline, |again| again.max(deadline)))
    }

    /// Nobody confirmed in time. What was before comes back, whatever it takes.
    pub(super) async fn expire(&mut self) {
        let Some(pending) = self.generations.pending().cloned() else { return };
        if self.generations.time_left().is_some_and(|left| !left.is_zero()) {
            return;
        }
        tracing::warn!(
            generation = pending.number,
            "generation {} was not confirmed within {}: going back to generation {}",
            pending.number,
            report::time(pending.within),
            pending.previous
        );
        self.revert_at = match self.revert(&format!("not confirmed within {}", report::time(pending.within))).await {
            Ok(()) => {
                self.generations.set_overdue(None);
                None
            }
            Err(error) => {
                let (number, previous) = (pending.number, pending.previous);
                tracing::error!("cannot go back to generation {previous}, trying again: {error}");
                let words = "was not confirmed in time and is still in force: cannot go back to generation";
                self.generations.set_overdue(Some(format!("generation {number} {words} {previous}: {error}")));
                Some(Instant::now() + REVERT_AGAIN)
            }
        };
    }

    async fn revert(&mut self, why: &str) -> Result<(), RunError> {
        let Some(generation) = self.generations.earlier(None)? else { return Ok(()) };
        // It ran before, so no parser is asked: whatever is wrong with it now is better than what nobody confirmed.
        let prepared = self.prepare_as_before(&generation).await?;
        self.announce(&prepared, &Progress::nobody()).await;
        let applied = self.keeper.bring_around(&prepared).await?;
        let number = generation.number;
        // From here on it runs, whether that can be noted or not.
        self.now_runs(prepared, applied);
        self.generations.revert(generation, why)?;
        self.before = None;
        tracing::warn!(
            generation = number,
            "generation {number} is in force again: {}",
            report::lines(&self.applied).join("; ")
        );
        Ok(())
    }

    /// As it was read the last time, where it can be read no more: a password's file may be gone.
    async fn prepare_as_before(&self, generation: &Generation) -> Result<Prepared, RunError> {
        let (named, state_dir) = (self.generations.config(), self.options.state_dir.as_deref());
        let error = match self.aside.prepare_again(generation, named, state_dir).await {
            Ok(prepared) => return Ok(prepared),
            Err(error) => error,
        };
        match &self.before {
            Some(before) if before.snapshot == generation.snapshot => {
                tracing::warn!("generation {} as it was before: {error}", generation.number);
                Ok(before.clone())
            }
            _ => Err(error.into()),
        }
    }

    /// Answers with what ran until now.
    fn now_runs(&mut self, prepared: Prepared, applied: Applied) -> Prepared {
        self.rules = Arc::new(AccessRules::of(&prepared.network, group_id));
        self.applied = applied;
        std::mem::replace(&mut self.prepared, prepared)
    }

    fn same_place(&self, prepared: &Prepared) -> Result<(), RunError> {
        if prepared.layout == self.prepared.layout {
            return Ok(());
        }
        let words = "run_dir and state_dir cannot change while the supervisor runs".to_owned();
        let hint = "put the old ones back into the file; then rdsup stop, change them, rdsup start";
        Err(RunError::NotNow { words, hint })
    }

    fn nothing_waits(&self) -> Result<(), RunError> {
        let Some(pending) = self.generations.pending() else { return Ok(()) };
        let words = format!("generation {} waits to be confirmed", pending.number);
        Err(RunError::NotNow { words, hint: "rdsup confirm keeps it, rdsup rollback takes it back" })
    }
}

fn not_applied(asked: &Asked, file: &Path, error: RunError) -> CallError {
    let error = told(error);
    tracing::error!(by = asked.by, "{} is not applied: {error}", file.display());
    error
}
