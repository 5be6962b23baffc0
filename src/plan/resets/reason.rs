//! Why a session is reset.

/// Why a session that BFD no longer watches may be reset. BIRD 2.0.12 falls silent without a word, and FRR 8.4.4 says that the
/// session is down: either way BFD at the other end, if it is not taken away there too, closes it.
pub(super) const UNWATCHED: &str =
    "BFD is switched off here, and a neighbor that goes on with it takes that for a fault";

/// Why a session begins again of which stale routes are kept: no filter is asked about them any more.
pub(super) const STALE: &str =
    "routes from it are to be judged anew, and some are kept from before it was lost (graceful restart)";

/// Why every session of a daemon that has just taken over may be reset.
pub(super) const LEFTOVERS: &str = "the daemon before it died less than 100 s ago, and if routes are to be refused that it left in the kernel the daemon begins again";

/// One reason, as one end of the session has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// Whether it surely resets the session, or only may.
    pub certain: bool,
    /// What it is about.
    pub about: About,
    /// The reason in plain words.
    pub words: String,
}

/// What a reason is about, as far as others make it superfluous; in the order of what people want to hear first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// The whole domain, or its daemon, goes.
    Domain,
    /// What carries the session goes, or is made anew.
    Carrier,
    /// The session is no longer asked for.
    Removed,
    /// The router id.
    RouterId,
    /// The own AS number.
    Asn,
    /// That of the neighbor.
    PeerAsn,
    /// The own address.
    Address,
    /// That of the neighbor.
    PeerAddress,
    /// The role of RFC 9234.
    Role,
    /// The families that the session carries.
    Family,
    /// Routes cannot be asked for again.
    Refresh,
    /// Anything else.
    Other,
}

impl About {
    /// That of an option.
    pub(super) fn of(option: &str) -> Self {
        match option {
            "AS number" => Self::Asn,
            "AS number of the neighbor" => Self::PeerAsn,
            "own address" => Self::Address,
            "address of the neighbor" => Self::PeerAddress,
            "role" => Self::Role,
            _ => Self::Other,
        }
    }

    /// Whether the other end says the same thing from its side when one end says this.
    pub(super) fn is_told_by(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::PeerAsn, Self::Asn) | (Self::PeerAddress, Self::Address) | (Self::Role, Self::Role)
        )
    }
}

impl Reason {
    /// One that surely resets the session.
    pub(super) fn surely(about: About, words: &str) -> Self {
        Self { certain: true, about, words: words.to_owned() }
    }

    /// One that may.
    pub(super) fn maybe(words: &str) -> Self {
        Self { certain: false, about: About::Other, words: words.to_owned() }
    }
}
