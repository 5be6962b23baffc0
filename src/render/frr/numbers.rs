//! Ranges of AS numbers as regular expressions, which is all that FRR compares paths with.

use std::ops::RangeInclusive;

/// An expression for each part of `range`; a number is in it if one of them matches all its digits.
pub(super) fn expressions(range: &RangeInclusive<u32>) -> Vec<String> {
    let mut parts = Vec::new();
    let mut first = u64::from(*range.start());
    let last = u64::from(*range.end());
    while first <= last {
        // The largest block of ten, a hundred, a thousand … that begins here and ends in time.
        let mut size = 1;
        while first != 0 && first.is_multiple_of(size * 10) && first + size * 10 - 1 <= last {
            size *= 10;
        }
        // As many such blocks as differ in one digit only.
        let digit = (first / size) % 10;
        let most = (9 - digit).min((last + 1 - first) / size - 1);
        parts.push(expression(first, size, most));
        first += size * (most + 1);
    }
    parts
}

/// The numbers from `first` whose last digits are free, in blocks of `size`, with a digit before that may be `more` larger.
fn expression(first: u64, size: u64, more: u64) -> String {
    let stem = first / size;
    let (before, digit) = (stem / 10, stem % 10);
    let before = if before == 0 { String::new() } else { before.to_string() };
    let digit = if more == 0 { digit.to_string() } else { format!("[{digit}-{}]", digit + more) };
    let free = "[0-9]".repeat(size.ilog10() as usize);
    format!("{before}{digit}{free}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether an expression of digits and classes matches all of `number`.
    fn matches(expression: &str, number: u32) -> bool {
        let number = number.to_string();
        let (mut digits, mut rest) = (number.bytes(), expression.as_bytes());
        while let Some(&byte) = rest.first() {
            let Some(digit) = digits.next() else { return false };
            let (low, high, taken) = if byte == b'[' { (rest[1], rest[3], 5) } else { (byte, byte, 1) };
            if !(low..=high).contains(&digit) {
                return false;
            }
            rest = &rest[taken..];
        }
        digits.next().is_none()
    }

    #[test]
    fn the_expressions_of_a_range_match_its_numbers_and_no_others() {
        for range in [0..=0, 7..=12, 64496..=64511, 65552..=131_071, 4_200_000_000..=u32::MAX, 0..=u32::MAX, 99..=1000]
        {
            let parts = expressions(&range);
            let edges = [*range.start(), *range.end()].map(|edge| {
                [edge.saturating_sub(11), edge.saturating_sub(1), edge, edge.saturating_add(1), edge.saturating_add(90)]
            });
            let middle = range.start() + (range.end() - range.start()) / 2;
            for number in edges.concat().into_iter().chain([0, 1, 9, 10, 99, 100, 65000, 100_000, middle, u32::MAX]) {
                let found = parts.iter().filter(|part| matches(part, number)).count();
                assert_eq!(found, usize::from(range.contains(&number)), "{number} in {range:?}: {parts:?}");
            }
        }
        assert_eq!(expressions(&(64496..=64511)), ["6449[6-9]", "6450[0-9]", "6451[0-1]"]);
    }
}
