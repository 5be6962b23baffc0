//! How many files may be open: the supervisor needs a few for each domain, and daemons must not take over what it has.

use std::io;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Enough for some thousand domains; where more is allowed, more is of no use.
const ENOUGH: rlim_t = 65_536;

/// What this process had when it started.
static INHERITED: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Lets this process have as many open files as it needs: each domain takes a few.
pub fn raise_file_limit() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let _ = INHERITED.set((soft, hard));
    // Beyond the hard limit this takes CAP_SYS_RESOURCE of the first user namespace. Where it cannot be raised, the error
    // comes when a file cannot be opened, and says so.
    if setrlimit(Resource::RLIMIT_NOFILE, ENOUGH.max(soft), ENOUGH.max(hard)).is_err() {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Gives a program that is about to be started what this process had: some size arrays by it. Makes a system call only.
pub(super) fn restore() -> io::Result<()> {
    match INHERITED.get() {
        Some((soft, hard)) => Ok(setrlimit(Resource::RLIMIT_NOFILE, *soft, *hard)?),
        None => Ok(()),
    }
}
