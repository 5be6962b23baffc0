//! What FRR's programs say that tells nobody anything.
//!
//! Each start makes some fifteen such lines. Twenty lines of a program are logged in ten seconds, so sessions that come up would be left out for
//! them. What tells of something that happened is never among them.

/// The name that FRR gives to a message (`lib/xref.c`: a hash of its place and format, the same in all versions that have it), and
/// what the message says where it says more than this one thing.
const IDLE: [(&str, &str); 9] = [
    // The directory is for sockets that are elsewhere here.
    ("[QYS7B-8K2EV]", "failed to mkdir \"/var/run/frr\""),
    ("[NNACN-54BDA]", "Disabling MPLS support"),
    // Who looks whether zebra listens goes without a word, which is an error to zebra.
    ("[VXKFG-8SJRV]", "Client 'system'"),
    ("[JPSA8-5KYEA]", "disconnected 0 system routes"),
    ("[S929C-NZR3N]", "disconnected 0 system nhgs"),
    ("[YDZ55-W3VM6]", "Released 0 table chunks"),
    ("[V98V0-MTWPF]", "says hello"),
    // The packet filter refuses router advertisements, which bgpd has zebra send.
    ("[QGWPP-XPTHX]", "error 1 (Operation not permitted)"),
    // It repeats a line of the configuration.
    ("[HCFG3-NBPVB]", "set gtsm_hops"),
];

/// bgpd says so of each configuration with graceful restart that it reads, before there are any sessions.
const READ: &str = "Graceful restart configuration changed, reset all peers to take effect";

/// Whether a line tells nobody anything. A neighbor's words may be anywhere in a line but at its beginning, so they cannot hide it.
pub(in crate::daemons) fn is_idle(line: &str) -> bool {
    if line == READ {
        return true;
    }
    // Day, time, program, name, message.
    let mut words = line.splitn(4, ' ');
    let is_dated = words.next().is_some_and(|day| day.split('/').count() == 3);
    let Some(rest) = words.nth(2).filter(|_| is_dated) else { return false };
    IDLE.iter().any(|(name, message)| rest.strip_prefix(name).is_some_and(|said| said.contains(message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_start_says_is_idle() {
        for line in [
            READ,
            "2026/11/26 21:00:02 ZEBRA: [QYS7B-8K2EV][EC 100663303] failed to mkdir \"/var/run/frr\": Read-only file system",
            "2026/11/26 21:00:02.306 ZEBRA: [VXKFG-8SJRV][EC 4043309121] Client 'system' encountered an error and is shutting down.",
            "2026/11/26 21:00:02.310 ZEBRA: [JPSA8-5KYEA] client 4 disconnected 0 system routes removed from the rib",
        ] {
            assert!(is_idle(line), "{line}");
        }
    }

    #[test]
    fn what_happened_is_told_and_nobody_can_hide_it() {
        for line in [
            "2026/11/26 21:00:02.306 ZEBRA: [VXKFG-8SJRV][EC 4043309121] Client 'bgp' encountered an error and is shutting down.",
            "2026/11/26 21:00:02.310 ZEBRA: [JPSA8-5KYEA] client 4 disconnected 9 bgp routes removed from the rib",
            "2026/11/26 21:00:48.025 BGP: [N9HHH-F8H1M] %ADJCHANGE: neighbor 192.0.2.1([V98V0-MTWPF] says hello) in vrf default Up",
            "[V98V0-MTWPF] says hello",
            "a b c [V98V0-MTWPF] says hello",
            "",
        ] {
            assert!(!is_idle(line), "{line}");
        }
    }
}
