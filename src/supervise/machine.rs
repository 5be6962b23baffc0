//! How the rules of the table are carried out.

use std::collections::VecDeque;
use std::time::Duration;

use super::report::{ExitReason, Report};
use super::table::{Input, Rule, State, rule};
use super::{
    Backoff, LONGEST_DELAY, MOST_RESTARTS, READY_WITHIN, RECOVERABLE_FOR, RESTART_WINDOW, SILENT_FOR, STABLE_AFTER,
    STOP_WITHIN,
};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The process should run. In `Failed` it also means: try now.
    Want,
    /// The process should not run.
    Unwant,
    /// What [`Action::Spawn`] asked for was done.
    Spawned {
        /// Process id.
        pid: u32,
    },
    /// What [`Action::Spawn`] asked for could not be done, in the kernel's words.
    SpawnFailed(String),
    /// A process from before the machine was made was found. It counts as wanted until [`Event::Unwant`].
    Adopted {
        /// Process id.
        pid: u32,
    },
    /// The process was told to load another configuration. [`Event::Ready`] must follow, however it ended.
    Loading,
    /// It has read its configuration and answers.
    Ready,
    /// It is gone.
    Exited(ExitReason),
    /// Time has passed.
    Tick,
    /// It was asked something and gave no answer, nor did it do anything else.
    NotAnswering,
    /// It was asked something and gave no answer, but used the processor meanwhile.
    Working,
    /// It answered.
    Answering,
    /// It is of no use as it is, and must begin again: another program of the same daemon was lost, or what it has read is not
    /// known. The signal is what ends it; SIGKILL follows where that does not.
    Renew(StopSignal),
}

/// What the driver must do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process; answer with [`Event::Spawned`] or [`Event::SpawnFailed`].
    Spawn {
        /// Whether it replaces one that was lost, whose routes neighbors and kernel still hold.
        recovering: bool,
    },
    /// Send a signal, through the pidfd.
    Signal(StopSignal),
    /// Ask the process until it is ready, then say [`Event::Ready`]; give up when the machine leaves `Starting`.
    PollReadiness,
    /// Tell people.
    Report(Report),
}

/// The signals that end a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// One process's life. Times are durations since any fixed moment of a clock that does not jump.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) state: State,
    wanted: bool,
    pid: Option<u32>,
    /// When `Due` comes to a state that has a deadline.
    pub(super) deadline: Option<Duration>,
    /// When a running process will have run long enough; none once it has.
    stable_at: Option<Duration>,
    ready_at: Option<Duration>,
    backoff: Backoff,
    /// When it first gave no answer, while it gives none.
    pub(super) unanswered_since: Option<Duration>,
    /// How often it was asked in vain since then.
    pub(super) unanswered: u32,
    /// When [`State::Starting`] or [`State::Loading`] began.
    entered_at: Duration,
    /// When it was lost, within [`RESTART_WINDOW`].
    losses: VecDeque<Duration>,
    restarts: u32,
    /// Set with the state `Failed` and until the process is stable again, so that attempts do not look like health.
    failed: bool,
    lost_ready_at: Option<Duration>,
    last_exit: Option<String>,
    /// Set when it is killed to begin again, until it is ready again.
    renewed: bool,
}

impl Machine {
    /// A machine in `Stopped` whose jitter follows from `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self {
            state: State::Stopped,
            wanted: false,
            pid: None,
            deadline: None,
            stable_at: None,
            ready_at: None,
            backoff: Backoff::new(seed),
            unanswered_since: None,
            unanswered: 0,
            entered_at: Duration::ZERO,
            losses: VecDeque::new(),
            restarts: 0,
            failed: false,
            lost_ready_at: None,
            last_exit: None,
            renewed: false,
        }
    }

    /// What the process is doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its id, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// How often it was lost and started again since the machine was made.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Whether it failed and has not been stable since.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// How it last ended unasked, or why it could not start.
    pub fn last_exit(&self) -> Option<&str> {
        self.last_exit.as_deref()
    }

    /// Whether it was killed to begin again, and is not ready again yet.
    pub fn is_renewed(&self) -> bool {
        self.renewed
    }

    /// When it became ready, while there is a process that did.
    pub fn ready_at(&self) -> Option<Duration> {
        self.ready_at
    }

    /// When it first gave no answer, while it gives none.
    pub fn unanswered_since(&self) -> Option<Duration> {
        self.unanswered_since
    }

    /// When it is started again, while it waits for that.
    pub fn next_attempt(&self) -> Option<Duration> {
        self.deadline.filter(|_| matches!(self.state, State::Backoff | State::Failed))
    }

    /// When [`Event::Tick`] will next change something.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.state == State::Running { self.stable_at } else { self.deadline }
    }

    /// Takes one event at the time `now` and says what to do.
    pub fn handle(&mut self, event: &Event, now: Duration) -> Vec<Action> {
        let input = match event {
            Event::Want => Input::Want,
            Event::Unwant => Input::Unwant,
            Event::Spawned { .. } => Input::Spawned,
            Event::SpawnFailed(_) => Input::NoSpawn,
            Event::Adopted { .. } => Input::Adopted,
            Event::Loading => Input::Loading,
            Event::Ready => Input::Ready,
            Event::Exited(_) => Input::Exited,
            Event::Tick if self.next_deadline().is_some_and(|deadline| deadline <= now) => Input::Due,
            Event::Tick => return Vec::new(),
            Event::NotAnswering => Input::NoAnswer,
            Event::Working => Input::Working,
            Event::Answering => Input::Answer,
            Event::Renew(_) => Input::Renew,
        };
        match event {
            Event::Want | Event::Adopted { .. } => self.wanted = true,
            Event::Unwant => self.wanted = false,
            _ => {}
        }
        self.carry_out(rule(self.state, input), event, now)
    }

    fn carry_out(&mut self, rule: Rule, event: &Event, now: Duration) -> Vec<Action> {
        match rule {
            Rule::Stay | Rule::Note => Vec::new(),
            Rule::Launch => self.launch(now),
            Rule::Rest => {
                self.enter(State::Stopped, None);
                self.forget();
                vec![Action::Report(Report::Stopped)]
            }
            Rule::Begin => {
                let Event::Spawned { pid } = *event else { return Vec::new() };
                self.pid = Some(pid);
                let started = Action::Report(Report::Started { pid });
                if self.wanted {
                    self.entered_at = now;
                    self.enter(State::Starting, Some(now + READY_WITHIN));
                    vec![started, Action::PollReadiness]
                } else {
                    self.enter(State::Stopping, Some(now + STOP_WITHIN));
                    vec![started, Action::Signal(StopSignal::Term)]
                }
            }
            Rule::Adopt => {
                let Event::Adopted { pid } = *event else { return Vec::new() };
                self.pid = Some(pid);
                // It has run before, so its routes are out there even if it never answers us.
                self.ready_at = Some(now);
                self.entered_at = now;
                // It was ready once, so it has no more time than one that we have known to be.
                self.enter(State::Starting, Some(now + SILENT_FOR));
                vec![Action::Report(Report::Adopted { pid }), Action::PollReadiness]
            }
            Rule::Lost => self.lost(event, now),
            Rule::Left => {
                self.pid = None;
                self.ready_at = None;
                self.forget();
                if self.wanted {
                    self.launch(now)
                } else {
                    self.enter(State::Stopped, None);
                    vec![Action::Report(Report::Stopped)]
                }
            }
            Rule::Up => {
                self.enter(State::Running, None);
                self.renewed = false;
                self.stable_at = Some(now + STABLE_AFTER);
                self.ready_at = Some(now);
                vec![Action::Report(Report::Ready)]
            }
            Rule::Load => {
                // A process that was busy before has no more time in all.
                let since = self.unanswered_since.unwrap_or(now);
                self.entered_at = since;
                self.enter(State::Loading, Some(since + READY_WITHIN));
                Vec::new()
            }
            Rule::Loaded => {
                self.enter(State::Running, None);
                Vec::new()
            }
            Rule::Doubt | Rule::Bear | Rule::Judge | Rule::Trust => self.on_answers(rule, now),
            Rule::Term => {
                self.enter(State::Stopping, Some(now + STOP_WITHIN));
                vec![Action::Signal(StopSignal::Term)]
            }
            Rule::Kill => {
                self.enter(State::Killing, Some(now + STOP_WITHIN));
                vec![Action::Report(Report::WillNotStop), Action::Signal(StopSignal::Kill)]
            }
            Rule::Replace => {
                let after = now.saturating_sub(self.entered_at);
                self.enter(State::Hung, Some(now + STOP_WITHIN));
                vec![Action::Report(Report::NotReadyInTime { after }), Action::Signal(StopSignal::Kill)]
            }
            Rule::Renew => {
                let Event::Renew(signal) = *event else { return Vec::new() };
                self.renewed = true;
                self.enter(State::Hung, Some(now + STOP_WITHIN));
                vec![Action::Report(Report::Renewed), Action::Signal(signal)]
            }
            Rule::Insist => {
                self.deadline = Some(now + STOP_WITHIN);
                vec![Action::Report(Report::WillNotDie), Action::Signal(StopSignal::Kill)]
            }
            Rule::Settle => {
                self.forget();
                vec![Action::Report(Report::Stable)]
            }
        }
    }

    pub(super) fn enter(&mut self, state: State, deadline: Option<Duration>) {
        self.state = state;
        self.deadline = deadline;
        if !matches!(state, State::Busy | State::Silent | State::Loading) {
            self.unanswered_since = None;
            self.unanswered = 0;
        }
    }

    /// The past no longer counts: it was stopped on purpose or ran long enough.
    fn forget(&mut self) {
        self.stable_at = None;
        self.losses.clear();
        self.backoff.reset();
        self.failed = false;
        self.lost_ready_at = None;
        self.renewed = false;
    }

    fn launch(&mut self, now: Duration) -> Vec<Action> {
        self.enter(State::Launching, None);
        let recovering = self.lost_ready_at.is_some_and(|lost| now.saturating_sub(lost) < RECOVERABLE_FOR);
        vec![Action::Spawn { recovering }]
    }

    fn lost(&mut self, event: &Event, now: Duration) -> Vec<Action> {
        let why = match event {
            Event::Exited(reason) => reason.to_string(),
            Event::SpawnFailed(words) => words.clone(),
            _ => "gone".to_owned(),
        };
        self.pid = None;
        self.stable_at = None;
        // Only a process that was ready has left routes behind that another can recover.
        if self.ready_at.take().is_some() {
            self.lost_ready_at = Some(now);
        }
        // Where another was lost, how that ended is what people ask for, and one loss is one restart.
        if !self.renewed {
            self.last_exit = Some(why.clone());
        }
        if !self.wanted {
            self.enter(State::Stopped, None);
            self.forget();
            return vec![Action::Report(Report::Stopped)];
        }
        self.restarts = self.restarts.saturating_add(u32::from(!self.renewed));
        self.losses.push_back(now);
        while self.losses.front().is_some_and(|first| now.saturating_sub(*first) > RESTART_WINDOW) {
            self.losses.pop_front();
        }
        let restarts = self.losses.len();
        if restarts > MOST_RESTARTS || self.failed {
            self.failed = true;
            self.enter(State::Failed, Some(now + LONGEST_DELAY));
            vec![Action::Report(Report::Failed { why, restarts })]
        } else {
            let retry_in = self.backoff.next_delay();
            self.enter(State::Backoff, Some(now + retry_in));
            vec![Action::Report(Report::Lost { why, retry_in })]
        }
    }
}
