//! All or nothing: a change that fails is taken back by a plan towards what was before.

use std::collections::BTreeSet;
use std::fmt;

use super::apply::FailedStep;
use super::keeper::{Applied, KeepError, Keeper};
use super::prepare::Prepared;

/// Why the machine is not as the new file wants it.
#[derive(Debug)]
pub enum ChangeError {
    /// Nothing was done.
    Refused(KeepError),
    /// Something failed on the way, and what was done was taken back.
    Undone {
        /// The steps that failed.
        failed: Vec<FailedStep>,
        /// What came of taking it back.
        back: Result<Box<Applied>, KeepError>,
    },
}

/// A list of steps that failed, each with the line of the file that asked for it.
struct Failures<'a>(&'a [FailedStep]);

impl fmt::Display for Failures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, failed) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            match failed.step.origin.line {
                0 => write!(f, "{separator}{failed}")?,
                line => write!(f, "{separator}{failed} (asked for in line {line})")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Undone { failed, back } => {
                writeln!(f, "{}", Failures(failed))?;
                match back {
                    Ok(back) if back.failed.is_empty() && back.in_the_way.is_empty() => {
                        f.write_str("everything was taken back: the network is as it was before")
                    }
                    Ok(back) => {
                        f.write_str("not all of it could be taken back:")?;
                        if !back.failed.is_empty() {
                            write!(f, "\n{}", Failures(&back.failed))?;
                        }
                        back.in_the_way.iter().try_for_each(|conflict| write!(f, "\n{conflict}"))
                    }
                    Err(error) => write!(f, "it could not be taken back: {error}"),
                }
            }
        }
    }
}

impl std::error::Error for ChangeError {}

impl Keeper {
    /// Brings the machine to `to`, or back to `from` if a step fails.
    ///
    /// What could not be done before the change either, such as a daemon that never comes up, is no reason to go back: that
    /// would keep everybody from mending it.
    pub async fn change(&mut self, to: &Prepared, from: &Prepared) -> Result<Applied, ChangeError> {
        // Where even that is in somebody's way, the change may be what gets it out of there.
        let before = self.plan(&from.desired).await.unwrap_or_default();
        let known: BTreeSet<String> = before.steps().map(ToString::to_string).collect();
        let applied = self.apply(to).await.map_err(ChangeError::Refused)?;
        let (old, new): (Vec<_>, Vec<_>) =
            applied.failed.iter().cloned().partition(|failed| known.contains(&failed.step.to_string()));
        if new.is_empty() {
            return Ok(Applied { failed: old, ..applied });
        }
        tracing::error!("the change failed and is taken back: {}", Failures(&new));
        // What failed may be in the way of that, too.
        let back = self.bring_around(from).await;
        Err(ChangeError::Undone { failed: new, back: back.map(Box::new) })
    }
}
