//! As much of a BIRD configuration as decides what becomes of sessions: the BGP protocols with what they inherit, and what
//! constants, filters, functions and tables stand behind the names in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::iter::Peekable;

use super::lexer::{Lexer, Token};
use super::protocol::Protocol;

/// Longer ones are known by their digest only: a set has up to a million prefixes.
const LONGEST_LITERAL: usize = 16;

/// A whole configuration.
#[derive(Default)]
pub(super) struct Configuration<'a> {
    /// The BGP protocols by name, with all that their templates say.
    pub(super) sessions: BTreeMap<String, Protocol<'a>>,
    /// What `router id` says for the whole daemon.
    pub(super) router_id: Option<Vec<Token<'a>>>,
    /// What concerns every session if it changes: device protocols, and lines that are not understood.
    pub(super) common: BTreeSet<u64>,
    /// The BFD protocols, which concern the sessions that use BFD.
    pub(super) bfd: Bfd,
    /// Whether it takes in other files.
    pub(super) includes: bool,
    names: Names<'a>,
    templates: HashMap<&'a str, Protocol<'a>>,
    /// How many protocols of each type had no name of their own.
    unnamed: HashMap<&'a str, usize>,
}

/// The BFD protocols.
#[derive(Default)]
pub(super) struct Bfd {
    /// What they say of an interface that is named whole, each by its name.
    interfaces: BTreeMap<String, u64>,
    /// Everything else.
    common: BTreeSet<u64>,
}

impl Bfd {
    fn read<'a>(&mut self, body: &[Token<'a>], names: &Names<'a>) {
        // That there is one at all.
        self.common.insert(names.digest([]));
        for statement in statements(body) {
            let digest = names.digest(statement.iter().copied());
            match statement {
                [word, Token::Text(name), Token::Mark('{'), ..] if word.is("interface") && !name.contains('*') => {
                    self.interfaces.insert((*name).to_owned(), digest);
                }
                _ => drop(self.common.insert(digest)),
            }
        }
    }

    /// Whether sessions that are watched before and after notice nothing: interfaces may come and go, with their own sessions.
    pub(super) fn is_kept_by(&self, new: &Self) -> bool {
        let same = |(name, digest): (&String, &u64)| new.interfaces.get(name).is_none_or(|after| after == digest);
        self.common == new.common && self.interfaces.iter().all(same)
    }
}

/// What stands behind names.
#[derive(Default)]
pub(super) struct Names<'a> {
    constants: HashMap<&'a str, Constant<'a>>,
    /// Filters and functions, with all that they use.
    code: HashMap<&'a str, u64>,
    /// Tables, as far as a change of them makes a new table.
    tables: HashMap<&'a str, u64>,
    /// Protocols and templates, which an automatic name must not repeat.
    protocols: BTreeSet<String>,
}

struct Constant<'a> {
    digest: u64,
    /// Its tokens, if they are few.
    literal: Option<Vec<Token<'a>>>,
}

impl<'a> Names<'a> {
    /// A number that stands for what tokens mean. Two texts that mean the same may differ in it, never the other way round.
    pub(super) fn digest(&self, tokens: impl IntoIterator<Item = Token<'a>>) -> u64 {
        let mut hasher = DefaultHasher::new();
        for token in tokens {
            self.feed(&mut hasher, token);
        }
        hasher.finish()
    }

    /// BIRD compares what a constant is, whatever it is called, but filters, functions and tables by name too.
    fn feed(&self, hasher: &mut DefaultHasher, token: Token<'a>) {
        let Some(word) = token.word() else { return token.hash(hasher) };
        if let Some(constant) = self.constants.get(word) {
            constant.digest.hash(hasher);
        } else {
            token.hash(hasher);
            self.code.get(word).hash(hasher);
            self.tables.get(word).hash(hasher);
        }
    }

    /// The tokens with constants replaced by what they are, as far as that is short.
    pub(super) fn resolve(&self, tokens: &[Token<'a>]) -> Vec<Token<'a>> {
        let mut resolved = Vec::with_capacity(tokens.len());
        for token in tokens {
            let constant = token.word().and_then(|word| self.constants.get(word));
            match constant.and_then(|constant| constant.literal.as_ref()) {
                Some(literal) => resolved.extend(literal),
                None => resolved.push(*token),
            }
        }
        resolved
    }
}

/// The end of the text inside of something: it is not what it seems, or not BIRD's.
pub(super) struct Unfinished;

type Tokens<'a> = Peekable<Lexer<'a>>;

impl<'a> Configuration<'a> {
    /// Reads `text`.
    pub(super) fn read(text: &'a str) -> Result<Self, Unfinished> {
        let mut read = Self { includes: includes(text), ..Self::default() };
        let mut tokens = Lexer::new(text).peekable();
        while let Some(token) = tokens.next() {
            match token.word() {
                Some("protocol") => read.protocol(&mut tokens, false)?,
                Some("template") => read.protocol(&mut tokens, true)?,
                Some("filter" | "function") => read.code(&mut tokens)?,
                Some("define") => read.constant(&mut tokens)?,
                Some("router") => read.router_id = Some(read.names.resolve(&statement(&mut tokens)?)),
                Some("ipv4" | "ipv6" | "vpn4" | "vpn6" | "roa4" | "roa6" | "flow4" | "flow6" | "mpls") => {
                    read.table(token, &mut tokens);
                }
                // What a daemon writes, and where, and how long it waits when it starts.
                Some("log" | "timeformat" | "hostname" | "graceful" | "mrtdump" | "watchdog" | "eval") => {
                    statement(&mut tokens)?;
                }
                Some("debug") => drop(to_next_item(&mut tokens)),
                Some("include") => drop(statement(&mut tokens)?),
                _ if token == Token::Mark(';') => {}
                _ => {
                    let mut whole = vec![token];
                    whole.extend(statement(&mut tokens)?);
                    read.common.insert(read.names.digest(whole));
                }
            }
        }
        Ok(read)
    }

    fn protocol(&mut self, tokens: &mut Tokens<'a>, template: bool) -> Result<(), Unfinished> {
        let mut header = Vec::new();
        loop {
            match tokens.next().ok_or(Unfinished)? {
                Token::Mark('{') => break,
                token => header.extend(token.word()),
            }
        }
        // `protocol TYPE [NAME] [from TEMPLATE]`
        let (head, parent) = match header.iter().position(|word| *word == "from") {
            Some(at) => (&header[..at], header.get(at + 1).copied()),
            None => (&header[..], None),
        };
        let Some(kind) = head.first().copied() else { return Err(Unfinished) };
        let own_name = head.get(1).copied();
        let name = own_name.map_or_else(|| self.automatic_name(kind), str::to_owned);
        self.names.protocols.insert(name.clone());
        let body = block(tokens)?;
        match kind {
            "bgp" => {
                let inherited =
                    parent.and_then(|parent| self.templates.get(parent).or_else(|| self.sessions.get(parent)));
                let mut protocol = inherited.cloned().unwrap_or_default();
                protocol.read(&body, &self.names);
                match own_name.filter(|_| template) {
                    Some(name) => drop(self.templates.insert(name, protocol)),
                    None if template => {}
                    None => drop(self.sessions.insert(name, protocol)),
                }
            }
            // Its interfaces are down for everybody when it goes. What it scans and how often is changed as it runs.
            "device" => {
                let mut hasher = DefaultHasher::new();
                name.hash(&mut hasher);
                self.common.insert(hasher.finish());
            }
            "bfd" => self.bfd.read(&body, &self.names),
            _ => {}
        }
        Ok(())
    }

    /// `bgp1`, `bgp2` … in the order of the file, without those that are taken.
    fn automatic_name(&mut self, kind: &'a str) -> String {
        let count = self.unnamed.entry(kind).or_default();
        loop {
            *count += 1;
            let name = format!("{kind}{count}");
            if !self.names.protocols.contains(&name) {
                return name;
            }
        }
    }

    /// A filter or a function: it may have declarations before its block.
    fn code(&mut self, tokens: &mut Tokens<'a>) -> Result<(), Unfinished> {
        let Some(name) = tokens.next().and_then(Token::word) else { return Err(Unfinished) };
        let mut hasher = DefaultHasher::new();
        let mut depth = 0_usize;
        loop {
            let token = tokens.next().ok_or(Unfinished)?;
            self.names.feed(&mut hasher, token);
            match token {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') if depth <= 1 => break,
                Token::Mark('}') => depth -= 1,
                _ => {}
            }
        }
        self.names.code.insert(name, hasher.finish());
        Ok(())
    }

    fn constant(&mut self, tokens: &mut Tokens<'a>) -> Result<(), Unfinished> {
        let Some(name) = tokens.next().and_then(Token::word) else { return Err(Unfinished) };
        let mut hasher = DefaultHasher::new();
        let mut literal = Some(Vec::new());
        // The equals sign.
        tokens.next();
        loop {
            let token = tokens.next().ok_or(Unfinished)?;
            if token == Token::Mark(';') {
                break;
            }
            self.names.feed(&mut hasher, token);
            literal = literal.filter(|tokens| tokens.len() < LONGEST_LITERAL);
            if let Some(literal) = &mut literal {
                literal.extend(self.names.resolve(&[token]));
            }
        }
        self.names.constants.insert(name, Constant { digest: hasher.finish(), literal });
        Ok(())
    }

    /// A table is made anew, and what uses it starts again, when it becomes sorted or gets a trie, or ceases to.
    fn table(&mut self, first: Token<'a>, tokens: &mut Tokens<'a>) {
        let whole = to_next_item(tokens);
        let Some(at) = whole.iter().position(|token| token.is("table")) else { return };
        let Some(name) = whole.get(at + 1).copied().and_then(Token::word) else { return };
        let kind = std::iter::once(first).chain(whole[..at].iter().copied());
        let words = ["sorted", "trie"];
        let options = whole[at + 2..].split(|token| matches!(token, Token::Mark(';' | '{' | '}')));
        let shape =
            options.filter(|option| words.iter().any(|word| option.first().is_some_and(|first| first.is(word))));
        let digest = self.names.digest(kind.chain(shape.flatten().copied()));
        self.names.tables.insert(name, digest);
    }
}

/// Whether a line takes in another file: BIRD's lexer sees that at the start of a line only.
fn includes(text: &str) -> bool {
    text.lines().any(|line| {
        let rest = line.trim_start_matches([' ', '\t']).strip_prefix("include");
        rest.is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with('"'))
    })
}

/// The tokens up to the semicolon that ends a statement, which is left out; or to the end of a block that ends it.
fn statement<'a>(tokens: &mut Tokens<'a>) -> Result<Vec<Token<'a>>, Unfinished> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    loop {
        let token = tokens.next().ok_or(Unfinished)?;
        match token {
            Token::Mark(';') if depth == 0 => return Ok(found),
            Token::Mark('{') => depth += 1,
            Token::Mark('}') if depth <= 1 => {
                found.push(token);
                return Ok(found);
            }
            Token::Mark('}') => depth -= 1,
            _ => {}
        }
        found.push(token);
    }
}

/// The tokens up to the next top-level item: BIRD wants no semicolon after some of them.
fn to_next_item<'a>(tokens: &mut Tokens<'a>) -> Vec<Token<'a>> {
    const ITEMS: [&str; 8] = ["protocol", "template", "filter", "function", "define", "router", "log", "timeformat"];
    let mut found = Vec::new();
    let mut depth = 0_usize;
    while let Some(token) = tokens.peek().copied() {
        if depth == 0 && token.word().is_some_and(|word| ITEMS.contains(&word)) {
            break;
        }
        tokens.next();
        match token {
            Token::Mark(';') if depth == 0 => break,
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        found.push(token);
        if token == Token::Mark('}') && depth == 0 {
            break;
        }
    }
    found
}

/// The tokens of a block whose opening brace is taken, without its closing one.
fn block<'a>(tokens: &mut Tokens<'a>) -> Result<Vec<Token<'a>>, Unfinished> {
    let mut found = Vec::new();
    let mut depth = 1_usize;
    loop {
        let token = tokens.next().ok_or(Unfinished)?;
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(found);
        }
        found.push(token);
    }
}

/// Splits the inside of a block into its statements.
pub(super) fn statements<'t, 'a>(body: &'t [Token<'a>]) -> impl Iterator<Item = &'t [Token<'a>]> {
    let mut depth = 0_usize;
    body.split(move |token| {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *token == Token::Mark(';')
    })
    .filter(|statement| !statement.is_empty())
}

/// The inside of the block at the end of a statement.
pub(super) fn inside<'t, 'a>(statement: &'t [Token<'a>]) -> &'t [Token<'a>] {
    let start = statement.iter().position(|token| *token == Token::Mark('{')).map_or(statement.len(), |at| at + 1);
    let end = statement.iter().rposition(|token| *token == Token::Mark('}')).unwrap_or(statement.len());
    statement.get(start..end).unwrap_or_default()
}
