//! Prefix patterns: `10.0.0.0/8`, `10.0.0.0/8 le 24`, `10.0.0.0/8 ge 16 le 24`.

use std::fmt;

use ipnet::IpNet;

/// A set of prefixes: those under `prefix` whose length lies in `ge..=le`.
///
/// An exact prefix has `ge == le == prefix.prefix_len()`. As a set of *addresses* a pattern means every address
/// under its prefix, whatever `ge` and `le` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixPattern {
    /// The covering prefix; its host bits are zero.
    pub prefix: IpNet,
    /// The shortest length that matches; at least `prefix.prefix_len()`.
    pub ge: u8,
    /// The longest length that matches; at most 32 or 128.
    pub le: u8,
}

impl PrefixPattern {
    /// The pattern that matches `prefix` and nothing else.
    pub fn exact(prefix: IpNet) -> Self {
        let length = prefix.prefix_len();
        Self { prefix, ge: length, le: length }
    }

    /// Whether only `prefix` itself matches.
    pub fn is_exact(&self) -> bool {
        self.ge == self.prefix.prefix_len() && self.le == self.ge
    }

    /// Whether the covering prefix is the default route, so that the pattern says "everything" as an address set.
    pub fn is_everything(&self) -> bool {
        self.prefix.prefix_len() == 0
    }

    /// Whether the pattern is of IPv4.
    pub fn is_ipv4(&self) -> bool {
        matches!(self.prefix, IpNet::V4(_))
    }

    /// Whether `prefix` belongs to the set.
    pub fn matches(&self, prefix: &IpNet) -> bool {
        self.prefix.contains(prefix) && (self.ge..=self.le).contains(&prefix.prefix_len())
    }
}

impl fmt::Display for PrefixPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.prefix.prefix_len();
        write!(f, "{}", self.prefix)?;
        if self.ge > length {
            write!(f, " ge {}", self.ge)?;
        }
        if self.le > self.ge || (self.ge > length && self.le < self.prefix.max_prefix_len()) {
            write!(f, " le {}", self.le)?;
        }
        Ok(())
    }
}
