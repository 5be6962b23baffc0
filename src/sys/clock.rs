//! Time that no change of the clock moves.

use std::io;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// How long the machine has been up, time asleep included (`CLOCK_BOOTTIME`).
pub fn since_boot() -> io::Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?))
}

/// The time, in seconds since 1970, at which the second of the clock that only goes forward (`CLOCK_MONOTONIC`) has begun that is
/// in progress. Whoever tells how many of these seconds ago something was means this by now: from the wall clock, whose seconds
/// begin at other moments, the same thing would be a second earlier or later from one answer to the next.
pub fn second_in_progress() -> i64 {
    const TRIES: usize = 10;
    let mut second = 0;
    for _ in 0..TRIES {
        let (before, wall, after) = (monotonic(), jiff::Timestamp::now().as_millisecond(), monotonic());
        let began = wall - i64::from(before.subsec_millis());
        second = began.div_euclid(1000) + i64::from(began.rem_euclid(1000) >= 500);
        // Otherwise something came in between.
        if after.saturating_sub(before) < Duration::from_millis(1) {
            break;
        }
    }
    second
}

/// Does some work, and calls `say` once that takes longer than anybody likes to look at nothing.
pub async fn patiently<T>(mut work: impl Future<Output = T> + Unpin, say: impl FnOnce()) -> T {
    const NOT_LONG: Duration = Duration::from_secs(1);
    if let Ok(done) = tokio::time::timeout(NOT_LONG, &mut work).await {
        return done;
    }
    say();
    work.await
}

fn monotonic() -> Duration {
    // The kernel has this clock.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_come_while_the_work_lasts_and_never_for_what_is_done_at_once() {
        let done = patiently(std::future::ready(7), || panic!("it was done at once")).await;
        assert_eq!(done, 7);
        // This work lasts until the words are said.
        let (say, said) = tokio::sync::oneshot::channel();
        assert_eq!(patiently(said, || say.send("still at it").expect("somebody waits")).await, Ok("still at it"));
    }
}
