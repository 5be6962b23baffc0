//! What a daemon says is text of others.

/// Text of others without what could drive a terminal: a BGP neighbor may send words that end up in a log.
pub fn harmless(text: &str) -> String {
    let dangerous = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(dangerous) {
        return text.to_owned();
    }
    let escape = |c: char| if dangerous(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// How many lines of the end of its life are told of a daemon, from each place where it speaks.
pub const LAST_LINES: usize = 5;
/// How many characters of a line are kept.
const LONGEST_LINE: usize = 400;

/// One line of a daemon, harmless and not too long; none where nothing is in it.
pub fn line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let mut line: String = harmless(text).replace('\t', " ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST_LINE) {
        line.truncate(end);
        line.push('…');
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_drive_a_terminal_is_escaped() {
        assert_eq!(harmless("a\u{1b}[2Jb\n\tc"), "a\\u{1b}[2Jb\n\tc");
    }

    #[test]
    fn a_line_is_harmless_has_an_end_and_says_something() {
        assert_eq!(line(b"  bird: a\tb\x1b[2J\xff \r\n").as_deref(), Some("bird: a b\\u{1b}[2J\u{fffd}"));
        assert_eq!(line(b" \r\n"), None);
        assert_eq!(line("é".repeat(5000).as_bytes()).map(|line| line.chars().count()), Some(LONGEST_LINE + 1));
    }
}
