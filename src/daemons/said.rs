//! What a daemon says is text of others.

use super::frr::is_idle;

/// Text of others without what could drive a terminal: a BGP neighbor may send words that end up in a log.
pub fn harmless(text: &str) -> String {
    let dangerous = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(dangerous) {
        return text.to_owned();
    }
    let escape = |c: char| if dangerous(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// Commands without the passwords in them: of each line nothing is left that follows the word, which FRR takes abbreviated.
pub fn redacted(commands: &str) -> String {
    let is_password = |word: &str| word.len() > 4 && "password".starts_with(word);
    let line = |line: &str| {
        let mut end = 0;
        for word in line.split_inclusive(char::is_whitespace) {
            end += word.len();
            if is_password(word.trim_end()) && end < line.len() {
                return format!("{}…", &line[..end]);
            }
        }
        line.to_owned()
    };
    commands.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// How many lines of the end of its life are told of a daemon, from each place where it speaks.
pub const LAST_LINES: usize = 5;
/// How many characters of a line are kept.
const LONGEST_LINE: usize = 400;

/// One line of a daemon, harmless and not too long; none where it tells nobody anything.
pub fn line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    if text.is_empty() || is_idle(text) {
        return None;
    }
    let mut line: String = harmless(text).replace('\t', " ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST_LINE) {
        line.truncate(end);
        line.push('…');
    }
    Some(line)
}

/// The first word that is a version, such as `2.0.12`, `v1.0.6` or `9.1-dev`, and its numbers.
pub fn version(text: &str) -> Option<(&str, [u32; 3])> {
    text.split_whitespace().find_map(|word| {
        let parts = word.trim_start_matches('v').split(['.', '-', '+', '~', '_']);
        match parts.map_while(|part| part.parse().ok()).collect::<Vec<u32>>()[..] {
            [major, minor] => Some((word, [major, minor, 0])),
            [major, minor, patch, ..] => Some((word, [major, minor, patch])),
            _ => None,
        }
    })
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

    #[test]
    fn what_follows_the_word_password_is_left_out() {
        let text =
            "router bgp 1\n neighbor 10.0.0.1 passw hunter2 x\n neighbor 10.0.0.1 passive\npassword a\nno password";
        let safe = "router bgp 1\n neighbor 10.0.0.1 passw …\n neighbor 10.0.0.1 passive\npassword …\nno password";
        assert_eq!(redacted(text), safe);
    }

    #[test]
    fn versions_are_read_from_what_programs_say() {
        let numbers = |text: &str| version(text).map(|(_, numbers)| numbers);
        assert_eq!(version("BIRD version 2.0.12"), Some(("2.0.12", [2, 0, 12])));
        assert_eq!(numbers("nftables v1.0.6 (Lester Gooch #5)"), Some([1, 0, 6]));
        assert_eq!(numbers("BIRD version 3.1"), Some([3, 1, 0]));
        assert_eq!(version("BIRD version 2.17.1-rc1"), Some(("2.17.1-rc1", [2, 17, 1])));
        assert_eq!(numbers("bgpd version 10.2~rc1"), Some([10, 2, 0]));
        assert_eq!(numbers("nonsense"), None);
    }
}
