//! One BGP protocol as values.

use std::collections::{BTreeMap, BTreeSet};

use super::configuration::{Names, inside, statements};
use super::lexer::Token;
use super::options::{CHANNEL_SPELLINGS, Form, SPELLINGS, Spelling};

/// What a BGP protocol says, with what its template said before.
#[derive(Clone, Default)]
pub(super) struct Protocol<'a> {
    /// By the option's name.
    pub(super) values: BTreeMap<&'static str, Value<'a>>,
    /// By `ipv4`, `ipv6 multicast` …
    pub(super) channels: BTreeMap<String, Channel<'a>>,
    /// Statements that are not understood.
    pub(super) unknown: BTreeSet<u64>,
}

/// What a channel says.
#[derive(Clone, Default)]
pub(super) struct Channel<'a> {
    /// By the option's name.
    pub(super) values: BTreeMap<&'static str, Value<'a>>,
    /// Statements that are not understood.
    pub(super) unknown: BTreeSet<u64>,
}

/// The value of an option.
#[derive(Clone)]
pub(super) struct Value<'a> {
    /// A number for what it means, with everything that stands behind the names in it.
    pub(super) digest: u64,
    /// Its tokens, with constants replaced. A secret has none.
    pub(super) tokens: Vec<Token<'a>>,
}

impl<'a> Value<'a> {
    fn new(names: &Names<'a>, form: Form, tokens: &[Token<'a>]) -> Self {
        let tokens = names.resolve(tokens);
        let tokens = match form {
            Form::Switch => switch(tokens),
            Form::Value(when_empty) if tokens.is_empty() => vec![Token::Word(when_empty)],
            Form::Fixed(word) => vec![Token::Word(word)],
            Form::Value(_) | Form::Secret => tokens,
        };
        let digest = names.digest(tokens.iter().copied());
        Self { digest, tokens: if form == Form::Secret { Vec::new() } else { tokens } }
    }

    /// The value as one types it; none for a secret and for what is longer than a few words.
    pub(super) fn text(&self) -> Option<String> {
        if self.tokens.is_empty() || self.tokens.len() > 8 {
            return None;
        }
        let mut text = String::new();
        for (index, token) in self.tokens.iter().enumerate() {
            let glued = matches!(token, Token::Mark(',' | '%' | '/' | ')'))
                || index > 0 && matches!(self.tokens[index - 1], Token::Mark('%' | '/' | '('));
            if index > 0 && !glued {
                text.push(' ');
            }
            match token {
                Token::Word(word) => text.push_str(word),
                Token::Text(words) => text.push_str(words),
                Token::Mark(mark) => text.push(*mark),
            }
        }
        Some(text)
    }

    /// Whether two that differ surely mean different things: no expression that would have to be computed.
    pub(super) fn is_plain(&self) -> bool {
        let is_plain = |token: &Token| match token {
            Token::Word(word) => !word.starts_with("0x"),
            Token::Text(_) | Token::Mark(',' | '%' | '/') => true,
            Token::Mark(_) => false,
        };
        self.tokens.iter().all(is_plain)
    }
}

/// `on` and `off` have synonyms, and silence means agreement.
fn switch(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    match tokens.as_slice() {
        [] | [Token::Word("on" | "yes" | "true" | "1")] => vec![Token::Word("on")],
        [Token::Word("off" | "no" | "false" | "0")] => vec![Token::Word("off")],
        _ => tokens,
    }
}

impl<'a> Protocol<'a> {
    /// Takes in the statements of its block.
    pub(super) fn read(&mut self, body: &[Token<'a>], names: &Names<'a>) {
        for statement in statements(body) {
            let words = |at: usize| statement.get(at).copied().and_then(Token::word);
            match words(0) {
                Some("local") if words(1) != Some("role") => self.end(statement, &LOCAL, names),
                Some("neighbor") => self.end(statement, &NEIGHBOR, names),
                Some("ipv4" | "ipv6" | "vpn4" | "vpn6" | "flow4" | "flow6") => self.channel(statement, names),
                _ => match spelled(SPELLINGS, statement) {
                    Some((spelling, value)) => {
                        self.values.insert(spelling.sets, Value::new(names, spelling.form, value));
                    }
                    None => drop(self.unknown.insert(names.digest(statement.iter().copied()))),
                },
            }
        }
    }

    /// `local [ADDRESS[%IFACE]] [port N] [as N]`, and the same of `neighbor` with more words.
    fn end(&mut self, statement: &[Token<'a>], end: &End, names: &Names<'a>) {
        let mut rest = &statement[1..];
        let mut set =
            |name, value: &[Token<'a>]| drop(self.values.insert(name, Value::new(names, Form::Value(""), value)));
        let keyword =
            |token: &Token| token.word().is_some_and(|word| ["port", "as", "internal", "external"].contains(&word));
        let address = rest.iter().position(keyword).unwrap_or(rest.len());
        if address > 0 {
            let (mut value, after) = rest.split_at(address);
            rest = after;
            if let Some(at) = value.iter().position(|token| *token == Token::Mark('%')) {
                // As a string, which is how `interface` takes it.
                let interface = value.get(at + 1).copied().and_then(Token::word).unwrap_or_default();
                set("interface", &[Token::Text(interface)]);
                value = &value[..at];
            }
            set(end.address, value);
        }
        while let Some((first, after)) = rest.split_first() {
            let length = after.iter().position(keyword).unwrap_or(after.len());
            let (value, next) = after.split_at(length);
            match first.word() {
                Some("port") => set(end.port, value),
                Some("as") => set(end.asn, value),
                _ => set("kind of the neighbor", &[*first]),
            }
            rest = next;
        }
    }

    fn channel(&mut self, statement: &[Token<'a>], names: &Names<'a>) {
        let words: Vec<&str> = statement.iter().map_while(|token| token.word()).collect();
        let channel = self.channels.entry(words.join(" ")).or_default();
        for statement in statements(inside(statement)) {
            match spelled(CHANNEL_SPELLINGS, statement) {
                Some((spelling, value)) => {
                    channel.values.insert(spelling.sets, Value::new(names, spelling.form, value));
                }
                None => drop(channel.unknown.insert(names.digest(statement.iter().copied()))),
            }
        }
    }

    /// The value of an option as one types it, if something sets it.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.values.get(name)?.text()
    }
}

/// The names of what a statement about one end sets.
struct End {
    address: &'static str,
    port: &'static str,
    asn: &'static str,
}

const LOCAL: End = End { address: "own address", port: "port", asn: "AS number" };
const NEIGHBOR: End =
    End { address: "address of the neighbor", port: "port of the neighbor", asn: "AS number of the neighbor" };

/// The option that a statement is about, and the rest of the statement. The longest spelling counts: `import` and `import table`.
fn spelled<'t, 'a>(
    spellings: &'static [Spelling],
    statement: &'t [Token<'a>],
) -> Option<(&'static Spelling, &'t [Token<'a>])> {
    let fits = |spelling: &&Spelling| {
        statement.len() >= spelling.words.len()
            && spelling.words.iter().zip(statement).all(|(word, token)| token.is(word))
    };
    let spelling = spellings.iter().filter(fits).max_by_key(|spelling| spelling.words.len())?;
    Some((spelling, &statement[spelling.words.len()..]))
}
