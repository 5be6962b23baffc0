//! One run of a case: what it has done so far, and how long it waits.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::cases::Case;
use crate::report::Line;
use crate::said::eventually;
use crate::world::Daemons;

/// How long a network may take to be as it was. Figures are printed; this only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// The same where the case is expected to fail.
const IMPATIENCE: Duration = Duration::from_secs(8);

/// See the module.
pub struct Run {
    /// What the supervisor's FAILPOINTS say all the time: protections that are off.
    pub failpoints: &'static str,
    /// How long to wait for a recovery.
    pub patience: Duration,
    /// Who runs which daemon.
    pub daemons: Daemons,
    times: Cell<usize>,
    survived: Cell<usize>,
    recovery: RefCell<Vec<u64>>,
    /// What was done last: to be named when it was not survived.
    last: RefCell<String>,
}

/// How a run ended.
pub struct Ended {
    pub line: Line,
    /// Whether the fault was done at all: a case that fails before it says nothing.
    pub struck: bool,
}

impl Run {
    /// Does something to the network, measures how long it takes until `recovered` holds, and then looks at everything else
    /// with `check`, which fails by itself.
    #[track_caller]
    pub fn survives(
        &self,
        what: &str,
        strike: impl FnOnce(),
        mut recovered: impl FnMut() -> bool,
        check: impl FnOnce(),
    ) {
        self.times.set(self.times.get() + 1);
        what.clone_into(&mut self.last.borrow_mut());
        let begin = Instant::now();
        strike();
        eventually(self.patience, &format!("recovered from: {what}"), &mut recovered);
        let took = begin.elapsed();
        check();
        self.survived(took);
    }

    /// Counts a fault that is about to be done; for cases that do several at once.
    pub fn strikes(&self) {
        self.times.set(self.times.get() + 1);
    }

    /// Counts one that was survived.
    pub fn survived(&self, took: Duration) {
        self.survived.set(self.survived.get() + 1);
        self.recovery.borrow_mut().push(u64::try_from(took.as_millis()).expect("less than a few million years"));
    }

    /// Adds what was counted elsewhere: by a worker that has a machine of its own, and that may have failed.
    pub fn add(&self, part: &Self, failed: bool) {
        if failed {
            self.last.replace(part.last.take());
        }
        self.times.set(self.times.get() + part.times.get());
        self.survived.set(self.survived.get() + part.survived.get());
        self.recovery.borrow_mut().extend(part.recovery.borrow().iter());
    }

    /// A run with the program as it is.
    pub fn plain(daemons: Daemons) -> Self {
        Self::with("", PATIENCE, daemons)
    }

    /// One that shows what nobody disturbs.
    pub fn undisturbed(&self) -> Self {
        Self::plain(self.daemons)
    }

    /// One that is counted by itself.
    pub fn part(&self) -> Self {
        Self::with(self.failpoints, self.patience, self.daemons)
    }

    /// A run with a protection switched off.
    pub fn without(failpoints: &'static str) -> Self {
        Self::with(failpoints, IMPATIENCE, Daemons::Bird)
    }

    fn with(failpoints: &'static str, patience: Duration, daemons: Daemons) -> Self {
        Self {
            failpoints,
            patience,
            daemons,
            times: Cell::new(0),
            survived: Cell::new(0),
            recovery: RefCell::default(),
            last: RefCell::default(),
        }
    }

    /// Runs a case to its end, however it ends.
    pub fn finish(self, case: &Case) -> Ended {
        let begin = Instant::now();
        let failure = catch_unwind(AssertUnwindSafe(|| (case.run)(&self))).err();
        let failure = failure.map(|panic| format!("{}: {}", self.last.take(), words(&*panic)));
        let line = Line {
            fault: format!("{}{}", case.fault, self.daemons.suffix()),
            noticed: None,
            times: self.times.get(),
            survived: self.survived.get(),
            recovery: self.recovery.into_inner(),
            failure,
            seconds: begin.elapsed().as_secs_f64(),
        };
        Ended { struck: line.times > 0, line }
    }
}

/// What a panic said.
pub fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic").to_owned()
}

/// The verdict of a test on its line.
pub fn verdict(line: &Line) -> Result<(), Failed> {
    match &line.failure {
        None => Ok(()),
        Some(words) => Err(words.as_str().into()),
    }
}
