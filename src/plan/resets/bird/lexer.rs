//! BIRD's text as tokens (`conf/cf-lex.l` of BIRD 2.0.12).

/// One token; comments and white space are none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Token<'a> {
    /// A keyword, a symbol, a number or an address. A symbol in apostrophes is the same as one without.
    Word(&'a str),
    /// A string, without its quotes.
    Text(&'a str),
    /// One character of punctuation.
    Mark(char),
}

impl<'a> Token<'a> {
    /// The word, if it is one.
    pub(super) fn word(self) -> Option<&'a str> {
        match self {
            Token::Word(word) => Some(word),
            Token::Text(_) | Token::Mark(_) => None,
        }
    }

    /// Whether it is this word.
    pub(super) fn is(self, word: &str) -> bool {
        self == Token::Word(word)
    }
}

/// Splits a text into tokens. What BIRD would refuse comes out as some token or other: who reads it compares, and does not judge.
#[derive(Clone)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    /// The tokens of `text`.
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    fn skip_blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            self.rest = if let Some(comment) = self.rest.strip_prefix('#') {
                comment.find('\n').map_or("", |end| &comment[end..])
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                comment.find("*/").map_or("", |end| &comment[end + 2..])
            } else {
                return;
            };
        }
    }

    /// Takes `length` bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// What stands between quotes of this kind; neither kind may hold itself, and a backslash is nothing special.
    fn quoted(&mut self, quote: char) -> &'a str {
        self.take(1);
        let end = self.rest.find([quote, '\n']).unwrap_or(self.rest.len());
        let text = self.take(end);
        self.rest = self.rest.strip_prefix(quote).unwrap_or(self.rest);
        text
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blanks();
        let first = self.rest.chars().next()?;
        Some(match first {
            '"' => Token::Text(self.quoted('"')),
            '\'' => Token::Word(self.quoted('\'')),
            _ => match word(self.rest) {
                0 => {
                    self.take(first.len_utf8());
                    Token::Mark(first)
                }
                length => Token::Word(self.take(length)),
            },
        })
    }
}

/// How long the word is with which `text` starts; 0 if it starts with none.
fn word(text: &str) -> usize {
    let length = |among: fn(u8) -> bool| text.bytes().position(|byte| !among(byte)).unwrap_or(text.len());
    // An address first, because `fe80::1` starts like a symbol. `1:2` is none, and two words with a colon between compare as well.
    let address = length(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.');
    let candidate = &text[..address];
    let is_address = candidate.contains("::") || candidate.matches(':').count() > 2;
    let goes_on = text.as_bytes().get(address).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if is_address && !goes_on {
        return address;
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        // `192.0.2.1` is one word; `1..5` is a range, three tokens.
        let number = length(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        return text[..number].find("..").unwrap_or(number);
    }
    length(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> String {
        let one = |token| match token {
            Token::Word(word) => word.to_owned(),
            Token::Text(text) => format!("\"{text}\""),
            Token::Mark(mark) => mark.to_string(),
        };
        Lexer::new(text).map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_layout_make_no_difference() {
        let one = "local fe80::1 as 65001; # } \" '\n\tneighbor /* ; */ 192.0.2.1 as 65002;";
        assert_eq!(tokens(one), "local fe80::1 as 65001 ; neighbor 192.0.2.1 as 65002 ;");
    }

    #[test]
    fn a_string_holds_what_would_be_syntax_and_an_apostrophed_symbol_is_a_symbol() {
        assert_eq!(tokens(r#"password "a } ; # \";next 'rd_x'"#), "password \"a } ; # \\\" ; next rd_x");
    }

    #[test]
    fn addresses_ranges_and_attributes_are_told_apart() {
        assert_eq!(tokens("fe80::1%'e-0' 1..5 bgp_path.len>=64 [(65001,1,*)]"), {
            "fe80::1 % e-0 1 . . 5 bgp_path . len > = 64 [ ( 65001 , 1 , * ) ]"
        });
        assert_eq!(tokens("case x { 2001:db8:0:1:2:3:4:5: a; }"), "case x { 2001:db8:0:1:2:3:4:5: a ; }");
    }

    #[test]
    fn what_is_cut_off_ends() {
        for text in ["\"open", "'open", "/* open", "# open", "é", "::"] {
            let _ = tokens(text);
        }
    }
}
