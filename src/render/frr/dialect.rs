//! What of the text, and of how it is handed over, depends on the version of the FRR that reads it.

/// How an FRR reads what is rendered. The default is that of 8.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a line of its own in the text")]
pub struct Dialect {
    /// A route map without optimization begins with two entries that have nothing to say: the first is passed over
    /// (`route_map_apply_ext()`), and the second gives every route a large community, without which no expanded list matches
    /// it, whatever that says (`lcommunity_regexp_match()`). It is taken away again.
    pub marks: bool,
    /// zebra is told most of its configuration by mgmtd, and knows no commands for that.
    pub mgmtd: bool,
    /// `rpki cache` says by which transport.
    pub cache_transport: bool,
    /// Who is configured by mgmtd has no `hostname` and no `log` of its own.
    pub nameless: bool,
    /// zebra asks the route map of a protocol for the source of IPv4 routes with an IPv6 next hop, too. The next hop keeps the one that
    /// it was made with, so they are left to the kernel as with 8.4.
    pub sources_any_way: bool,
    /// zebra forgets the next hop object of a route that it finds in the kernel (`netlink_route_change_read_unicast_internal()` reads
    /// another number than it has set), and then the gateway of an IPv4 route if that is an IPv6 address. What it writes again so
    /// leads nowhere, until bgpd tells it the route.
    pub loses_gateways: bool,
    /// A route keeps its next hop object, with the source that it was made with, for as long as zebra has the route
    /// (`zebra_nhg_rib_compare_old_nhe()`), even while it is refused.
    pub clings: bool,
    /// bfdd has no socket of its own by which others could control it, and no option that says where that is.
    pub no_bfdctl: bool,
    /// A session that BFD is to watch is opened only while BFD is up (`peer_active()`; from 10.4 on only with `bfd strict`).
    pub bfd_first: bool,
}

impl Dialect {
    /// That of a version, `[8, 4, 4]`.
    pub fn of(version: [u32; 3]) -> Self {
        Self {
            marks: version >= [9, 0, 0],
            mgmtd: version >= [10, 0, 0],
            cache_transport: version >= [10, 1, 0],
            nameless: version >= [10, 5, 0],
            sources_any_way: version >= [8, 5, 0],
            loses_gateways: matches!(version, [10, 3, 0..=3] | [10, 4, 0..=2] | [10, 5, 0..=1]),
            clings: version >= [10, 2, 0],
            no_bfdctl: version >= [10, 2, 0],
            bfd_first: ([10, 2, 0]..[10, 4, 0]).contains(&version),
        }
    }
}
