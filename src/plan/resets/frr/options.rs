//! What FRR 8.4.4 does to a session that is up when a line changes. Each was typed, and taken back, while the other end looked.
//! What 10.3 does not do of that rdsup does, see `daemons::frr`; whether there is a graceful restart at all counts with 8.4 from the
//! next session on, and resets the session with 10.3, so it is left out.

/// What a change of a line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The session is closed with a Cease. With what people call the option.
    Restart(&'static str),
    /// Routes are asked for again (RFC 2918).
    Import,
    /// What is there too many already closes the session.
    Limit,
    /// Whether what the neighbor sends is kept. From when it is, rdsup has it begin again, see `daemons::frr`.
    Keep,
    /// When it goes the other end is not told, and misses it.
    Watch,
    /// Nothing that is seen at the other end, or it counts from the next session on, or routes are sent again.
    Nothing,
    /// It was not tried.
    Unknown,
}

/// An option of a neighbor, as [`crate::plan::frr::setting`] has it without `neighbor X`.
pub(super) fn of_neighbor(option: &str) -> Effect {
    let mut words = option.split(' ');
    match words.next().unwrap_or_default() {
        "remote-as" => Effect::Restart("AS number of the neighbor"),
        "interface" => Effect::Restart("interface"),
        "local-as" => Effect::Restart("AS number"),
        "update-source" => Effect::Restart("own address"),
        "local-role" => Effect::Restart("role"),
        "password" => Effect::Restart("password"),
        "passive" => Effect::Restart("passive"),
        "port" => Effect::Restart("port of the neighbor"),
        "shutdown" => Effect::Restart("shutdown"),
        "ttl-security" => Effect::Restart("ttl security"),
        "ebgp-multihop" => Effect::Restart("multihop"),
        "disable-connected-check" => Effect::Restart("disable connected check"),
        "capability" => Effect::Restart("capability"),
        "peer-group" => Effect::Restart("group"),
        "route-server-client" => Effect::Restart("rs client"),
        "route-reflector-client" => Effect::Restart("rr client"),
        "addpath-tx-all-paths" | "addpath-tx-bestpath-per-AS" => Effect::Restart("sending several paths"),
        "disable-addpath-rx" => Effect::Restart("receiving several paths"),
        "activate" => Effect::Restart("activate"),
        "maximum-prefix" => Effect::Limit,
        "soft-reconfiguration" => Effect::Keep,
        "bfd" => Effect::Watch,
        "enforce-first-as" | "route-map" | "prefix-list" | "filter-list" | "distribute-list" => Effect::Import,
        "description"
        | "timers"
        | "advertisement-interval"
        | "solo"
        | "sender-as-path-loop-detection"
        | "dont-capability-negotiate"
        | "maximum-prefix-out"
        | "next-hop-self"
        | "send-community"
        | "weight"
        | "allowas-in"
        | "as-override"
        | "remove-private-AS"
        | "default-originate"
        | "attribute-unchanged"
        | "unsuppress-map" => Effect::Nothing,
        _ => Effect::Unknown,
    }
}

/// A line of `router bgp` that is of no neighbor, as [`crate::plan::frr::setting`] has it.
pub(super) fn of_router(setting: &str) -> Effect {
    match setting {
        "bgp router-id" => Effect::Restart("router id"),
        "bgp reject-as-sets" => Effect::Restart("reject as sets"),
        "bgp ebgp-requires-policy"
        | "bgp fast-convergence"
        | "bgp log-neighbor-changes"
        | "bgp default ipv4-unicast"
        | "bgp default local-preference"
        | "bgp bestpath as-path multipath-relax"
        | "bgp network import-check"
        | "bgp suppress-duplicates"
        | "bgp minimum-holdtime"
        | "bgp graceful-restart restart-time"
        | "bgp graceful-restart stalepath-time"
        | "bgp graceful-restart preserve-fw-state"
        | "bgp graceful-restart select-defer-time"
        | "timers bgp"
        | "coalesce-time"
        | "maximum-paths"
        | "table-map"
        | "distance bgp" => Effect::Nothing,
        _ if setting.starts_with("address-family ") || setting.starts_with("network ") => Effect::Nothing,
        _ if setting.starts_with("redistribute ") || setting.starts_with("aggregate-address ") => Effect::Nothing,
        _ => Effect::Unknown,
    }
}
