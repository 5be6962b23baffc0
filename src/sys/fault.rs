//! Places at which the fault suite may strike. Without the feature `failpoints` they are nothing, and cost nothing.
//!
//! The variable FAILPOINTS of the supervisor says what happens, in the words of the crate `fail`:
//!
//! * `step=7*off->1*return(kill)`: at the eighth [`point`] of that name the process dies as if by `kill -9`.
//! * `step=7*off->1*return(error)`: there the step fails.
//! * `step=return(note)`: every point is noted in the log, so that one can count them.
//! * `repair=return`: the protection of that name is off, see [`is_off`].
//!
//! `step` is reached before and after every step that is carried out, `write` where the new
//! content of a file lies beside the old one.

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::Once;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    /// What FAILPOINTS says of a name.
    fn order(name: &str) -> Option<String> {
        static ARMED: Once = Once::new();
        // For as long as the process lives.
        ARMED.call_once(|| std::mem::forget(fail::FailScenario::setup()));
        fail::fail_point!(name, |word| Some(word.unwrap_or_default()));
        None
    }

    pub fn point(name: &str) -> Result<(), String> {
        match order(name).as_deref() {
            None => Ok(()),
            Some("kill") => {
                // Nothing of this process runs on after that.
                let _ = kill(Pid::this(), Signal::SIGKILL);
                loop {
                    std::thread::park();
                }
            }
            Some("note") => {
                tracing::info!("reached the point {name}");
                Ok(())
            }
            Some(_) => Err(format!("failpoint {name}")),
        }
    }

    pub fn is_off(protection: &str) -> bool {
        order(protection).is_some()
    }
}

/// A place of this name is reached.
///
/// # Errors
///
/// When the fault suite has asked for one.
#[cfg(feature = "failpoints")]
pub fn point(name: &str) -> Result<(), String> {
    armed::point(name)
}

/// Whether the fault suite has switched a protection off, to see that its absence is noticed.
#[cfg(feature = "failpoints")]
pub fn is_off(protection: &str) -> bool {
    armed::is_off(protection)
}

/// A place of this name is reached: nothing happens in this build.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn point(_: &str) -> Result<(), String> {
    Ok(())
}

/// Whether a protection is switched off: none can be in this build.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn is_off(_: &str) -> bool {
    false
}
