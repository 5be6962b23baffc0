//! Whether a process does anything, whatever it says.

use std::io;

use super::record::stat;

/// What the kernel tells of a process at one moment (`proc_pid_stat(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    state: char,
    /// Time on a processor, in clock ticks, in user mode and in the kernel.
    ticks: u64,
}

impl Activity {
    /// What the process does now.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = stat(pid)?;
        // Fields 14 and 15 of the file are the 12th and 13th from the state on.
        let ticks = stat.number(11)?.saturating_add(stat.number(12)?);
        Ok(Self { state: stat.state, ticks })
    }

    /// Whether it worked since `before`. A process that waits for a processor works as far as it is let, and one that waits
    /// in the kernel (`D`) could not be killed before it comes back.
    pub fn is_work_since(self, before: Self) -> bool {
        matches!(self.state, 'R' | 'D') || self.ticks > before.ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_stopped_or_sleeps_does_not_work_and_who_used_the_processor_did() {
        let at = |state, ticks| Activity { state, ticks };
        for (state, ticks, works) in
            [('S', 7, false), ('T', 7, false), ('t', 7, false), ('S', 8, true), ('R', 7, true), ('D', 7, true)]
        {
            assert_eq!(at(state, ticks).is_work_since(at('S', 7)), works, "{state} {ticks}");
        }
    }

    #[test]
    fn this_process_runs_and_has_used_the_processor() {
        let now = Activity::of(std::process::id()).unwrap();
        assert!(now.is_work_since(now) || now.state == 'S', "{now:?}");
    }
}
