//! Times as people write them.

use std::time::Duration;

/// The longest time that anybody waits for something. What is longer is a slip, and far enough from where sums end.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// A time such as `30s`, `2m` or `1m 30s`; a number alone is seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let time = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let time: jiff::SignedDuration = text.parse().map_err(|_| "not a time; try 30s or 2m".to_owned())?;
        time.try_into().map_err(|_| "a time to wait is not negative".to_owned())?
    };
    if time > LONGEST {
        return Err("a time to wait is 168h, seven days, at most".to_owned());
    }
    Ok(time)
}

/// The same for a time to confirm, which the supervisor counts in whole seconds.
pub fn parse_confirm(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time < Duration::from_secs(1) {
        return Err("nobody can confirm in less than a second".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_wait_is_written_as_people_write_it() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(parse_duration("private").is_err_and(|error| error.ends_with("try 30s or 2m")));
        assert_eq!(parse_duration("5"), Ok(Duration::from_secs(5)));
        assert!(parse_duration("-5s").is_err());
    }

    #[test]
    fn nobody_waits_for_more_than_a_week() {
        assert_eq!(parse_duration("168h"), Ok(LONGEST));
        for text in ["168h 1ns", "604801", "9223372036854775807s", "18446744073709551615", "106751991167d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_confirm("9223372036854775807s").is_err_and(|error| error.contains("168h")));
        for text in ["0", "0s", "999ms"] {
            assert!(parse_confirm(text).is_err(), "{text}");
        }
        assert_eq!(parse_confirm("1s"), Ok(Duration::from_secs(1)));
    }
}
