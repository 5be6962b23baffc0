//! Names as types, so that a domain's name cannot be passed where an interface's is wanted.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a string is not a legal name, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a legal {what}: {rule}")]
pub struct InvalidName {
    /// What was to be named, such as `domain name`.
    pub what: &'static str,
    /// The string as it was given.
    pub name: String,
    /// The rule that it breaks, such as `at most 11 characters`.
    pub rule: &'static str,
}

/// `^[a-z][a-z0-9-]{0,max-1}$`, the form of every name that rdsup itself gives meaning to.
fn check_lowercase_name(what: &'static str, name: &str, max: usize, too_long: &'static str) -> Result<(), InvalidName> {
    let rule = if name.is_empty() {
        "it is empty"
    } else if name.len() > max {
        too_long
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        "it must start with a letter a to z"
    } else if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        "only a to z, 0 to 9 and - may stand in it"
    } else {
        return Ok(());
    };
    Err(InvalidName { what, name: name.to_owned(), rule })
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `name` and makes it a value of this type.
            pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
                let name = name.into();
                let check: fn(&'static str, &str) -> Result<(), InvalidName> = $check;
                check($what, &name)?;
                Ok(Self(name))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

name_type!(
    /// The name of a routing domain: `^[a-z][a-z0-9-]{0,10}$`.
    ///
    /// Eleven characters, because `rd-` and the peer's name must fit into the 15 bytes of an interface name.
    DomainName,
    "domain name",
    |what, name| {
        check_lowercase_name(what, name, 11, "at most 11 characters, because an interface is named rd-NAME and has 15 bytes")?;
        // Each domain has a directory of its name beside the one of the supervisor's log.
        let rule = "it is the name of a directory that rdsup has beside those of the domains";
        if name == "log" { Err(InvalidName { what, name: name.to_owned(), rule }) } else { Ok(()) }
    }
);

impl DomainName {
    /// The machine's own namespace.
    pub const HOST: &'static str = "host";

    /// Whether this is the machine's own namespace, which rdsup links but never creates, deletes or takes over.
    pub fn is_host(&self) -> bool {
        self.0 == Self::HOST
    }
}

name_type!(
    /// The name of a network interface as the kernel accepts it: 1 to 15 bytes, no `/`, no white space, not `.` or `..`.
    ///
    /// Narrower than the kernel's `dev_valid_name()`: characters that nftables or BIRD would read as syntax inside a
    /// quoted string (`"`, `\`, `*`) and control characters are refused too.
    InterfaceName,
    "interface name",
    |what, name| {
        let rule = if name.is_empty() {
            "it is empty"
        } else if name.len() > 15 {
            "at most 15 bytes (IFNAMSIZ)"
        } else if name == "." || name == ".." {
            "the kernel refuses . and .."
        } else if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-@+=".contains(&b)) {
            "only letters, digits and . _ - @ + = may stand in it"
        } else {
            return Ok(());
        };
        Err(InvalidName { what, name: name.to_owned(), rule })
    }
);

impl InterfaceName {
    /// The loopback interface, which every namespace has.
    pub fn loopback() -> Self {
        Self("lo".to_owned())
    }
}

name_type!(
    /// The name of an external BGP neighbor: `^[a-z][a-z0-9-]{0,29}$`.
    NeighborName,
    "neighbor name",
    |what, name| check_lowercase_name(what, name, 30, "at most 30 characters")
);

name_type!(
    /// The name of a service: `^[a-z][a-z0-9-]{0,29}$`.
    ServiceName,
    "service name",
    |what, name| check_lowercase_name(what, name, 30, "at most 30 characters")
);

name_type!(
    /// The name of an RPKI cache: `^[a-z][a-z0-9-]{0,29}$`.
    CacheName,
    "cache name",
    |what, name| check_lowercase_name(what, name, 30, "at most 30 characters")
);

/// An autonomous system number (RFC 6793), never 0, 23456 or 4294967295.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Asn(pub u32);

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
