//! Numbers as people write them.

/// The number of a generation.
pub fn generation(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a generation is a number such as 6; rdsup history shows them".to_owned())
}

/// How many.
pub fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "not a number; try 10".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_told_in_words_of_the_one_who_typed_it() {
        assert_eq!(generation("6"), Ok(6));
        for text in ["abc", "-1", "", "6.0"] {
            assert!(generation(text).is_err_and(|words| words.contains("rdsup history")), "{text}");
        }
        assert_eq!(count("3"), Ok(3));
        assert!(count("many").is_err());
    }
}
