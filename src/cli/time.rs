//! Times as people write them.

use std::time::Duration;

/// A time such as `30s`, `2m` or `1m 30s`; a number alone is seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let duration: jiff::SignedDuration = text.parse().map_err(|_| "not a time; try 30s or 2m".to_owned())?;
    duration.try_into().map_err(|_| "a time to wait is not negative".to_owned())
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
}
