//! Text from the file as a quoted string of BIRD's or nftables' language, or as a bare one of FRR's.
//!
//! Neither language has an escape inside quotes, so a character that would end the string cannot be written: in free text
//! the double quote becomes a single one, anywhere else it is an error. Templates receive the quoted form and cannot
//! forget the quotes.

use std::fmt;

use serde::{Serialize, Serializer};

/// Why a text cannot be quoted, in words for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// A character below space, or delete, or a line separator of Unicode.
    #[error("holds a control character")]
    Control,
    /// A double quote, where the text may not be altered.
    #[error("holds a double quote, which BIRD's and nftables' strings cannot")]
    Quote,
    /// More bytes than the target takes.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// A character outside of printable ASCII, in a password.
    #[error("holds a character that is not printable ASCII")]
    NotAscii,
    /// Nothing at all.
    #[error("is empty")]
    Empty,
    /// White space, where FRR reads a single word.
    #[error("holds a space, which FRR's configuration cannot")]
    Space,
}

/// A string in double quotes, for BIRD or nftables.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(String);

/// The most bytes of a comment in nftables (`NFTNL_UDATA_COMMENT_MAXLEN` counts the final zero).
const NFT_COMMENT: usize = 127;

/// The most bytes of a TCP MD5 password (`TCP_MD5SIG_MAXKEYLEN`).
const MD5_PASSWORD: usize = 80;

impl Quoted {
    /// Free text for people: double quotes become single ones.
    pub fn text(text: &str) -> Result<Self, QuoteError> {
        Self::exact(&text.replace('"', "'"))
    }

    /// Text that means something as it is, such as a path.
    pub fn exact(text: &str) -> Result<Self, QuoteError> {
        refuse_control(text)?;
        if text.contains('"') {
            return Err(QuoteError::Quote);
        }
        Ok(Self(format!("\"{text}\"")))
    }

    /// A comment of an nftables object, unaltered because it is a mark.
    pub fn nft_comment(text: &str) -> Result<Self, QuoteError> {
        if text.len() > NFT_COMMENT { Err(QuoteError::TooLong(NFT_COMMENT)) } else { Self::exact(text) }
    }

    /// A TCP MD5 password.
    pub fn password(text: &str) -> Result<Self, QuoteError> {
        if text.is_empty() {
            return Err(QuoteError::Empty);
        }
        if text.len() > MD5_PASSWORD {
            return Err(QuoteError::TooLong(MD5_PASSWORD));
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(QuoteError::NotAscii);
        }
        Self::exact(text)
    }
}

/// Text at the end of a line of FRR's configuration, which has no quotes.
#[derive(Clone, PartialEq, Eq)]
pub struct Bare(String);

impl Bare {
    /// Free text for people: FRR joins its words with single spaces. A bar becomes a slash, because a bar and a space begin
    /// a filter of the output where the line is typed and not read from a file (`handle_pipe_action()`). None if no word is
    /// left.
    pub fn text(text: &str) -> Result<Option<Self>, QuoteError> {
        refuse_control(text)?;
        let words: Vec<_> = text.split_whitespace().map(|word| word.replace('|', "/")).collect();
        Ok((!words.is_empty()).then(|| Self(words.join(" "))))
    }

    /// A TCP MD5 password: a single word.
    pub fn password(text: &str) -> Result<Self, QuoteError> {
        if text.contains(' ') {
            return Err(QuoteError::Space);
        }
        // The same as BIRD takes, so that a domain may change its daemon.
        Quoted::password(text)?;
        Ok(Self(text.to_owned()))
    }
}

/// The text itself may be a password.
impl fmt::Debug for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bare(..)")
    }
}

impl Serialize for Bare {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Refuses what could end a line, in free text that goes into a comment.
pub fn refuse_control(text: &str) -> Result<(), QuoteError> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.contains(breaks) { Err(QuoteError::Control) } else { Ok(()) }
}

/// The text itself may be a password.
impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Quoted(..)")
    }
}

impl Serialize for Quoted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_could_end_a_string_gets_into_one() {
        assert_eq!(Quoted::text(r#"a "b"; \ { } $x"#).unwrap().0, r#""a 'b'; \ { } $x""#);
        assert_eq!(Quoted::text("a\nb"), Err(QuoteError::Control));
        assert_eq!(Quoted::text("a\u{2028}b"), Err(QuoteError::Control));
        assert_eq!(Quoted::exact("/run/\"x"), Err(QuoteError::Quote));
        assert_eq!(Quoted::nft_comment(&"x".repeat(128)), Err(QuoteError::TooLong(127)));
    }

    #[test]
    fn a_line_of_frr_has_single_spaces_and_no_filter_of_output() {
        assert_eq!(Bare::text(" a | b  \"c\" ").unwrap().unwrap().0, "a / b \"c\"");
        assert!(Bare::text("  ").unwrap().is_none());
        assert!(matches!(Bare::text("a\nneighbor evil"), Err(QuoteError::Control)));
        assert!(matches!(Bare::password("two words"), Err(QuoteError::Space)));
        assert_eq!(Bare::password("{;}|!#").unwrap().0, "{;}|!#");
    }

    #[test]
    fn a_password_is_printable_ascii_of_at_most_80_bytes() {
        assert_eq!(Quoted::password("s3cret {;}").unwrap().0, "\"s3cret {;}\"");
        assert_eq!(Quoted::password(""), Err(QuoteError::Empty));
        assert_eq!(Quoted::password(&"x".repeat(81)), Err(QuoteError::TooLong(80)));
        assert_eq!(Quoted::password("pässword"), Err(QuoteError::NotAscii));
        assert_eq!(Quoted::password("a\tb"), Err(QuoteError::NotAscii));
        assert_eq!(Quoted::password("a\"b"), Err(QuoteError::Quote));
    }
}
