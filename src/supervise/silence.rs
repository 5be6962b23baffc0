//! What tells a process that hangs from one that works: the rules about answers, carried out.

use std::time::Duration;

use super::machine::{Action, Machine, StopSignal};
use super::report::Report;
use super::table::{Rule, State};
use super::{ASKED_AT_LEAST, ASKED_WITHIN, BUSY_FOR, SILENT_FOR, STOP_WITHIN};

impl Machine {
    pub(super) fn on_answers(&mut self, rule: Rule, now: Duration) -> Vec<Action> {
        match rule {
            Rule::Doubt => {
                let since = self.unanswered_since.unwrap_or(now);
                if self.state != State::Silent {
                    self.enter(State::Silent, Some((now + SILENT_FOR).min(since + BUSY_FOR)));
                }
                self.note_unanswered(now, Report::Silent)
            }
            Rule::Bear => {
                let since = self.unanswered_since.unwrap_or(now);
                self.enter(State::Busy, Some(since + BUSY_FOR));
                self.note_unanswered(now, Report::Busy)
            }
            Rule::Judge if self.unanswered < ASKED_AT_LEAST => {
                self.deadline = Some(now + ASKED_WITHIN);
                Vec::new()
            }
            Rule::Judge => {
                let after = now.saturating_sub(self.unanswered_since.unwrap_or(now));
                self.enter(State::Hung, Some(now + STOP_WITHIN));
                vec![Action::Report(Report::Hung { after }), Action::Signal(StopSignal::Kill)]
            }
            Rule::Trust => {
                self.enter(State::Running, None);
                vec![Action::Report(Report::AnswersAgain)]
            }
            _ => Vec::new(),
        }
    }

    /// It was asked in vain. Only the first time is told: whether it works may change from one time to the next.
    fn note_unanswered(&mut self, now: Duration, report: Report) -> Vec<Action> {
        self.unanswered = self.unanswered.saturating_add(1);
        if self.unanswered_since.is_some() {
            return Vec::new();
        }
        self.unanswered_since = Some(now);
        vec![Action::Report(report)]
    }
}
