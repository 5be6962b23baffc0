//! What a BGP session between two domains insists on.

use std::time::{Duration, Instant};

use crate::machine::{DEMO, Machine, SOON, eventually, throughout};

#[test]
fn every_session_is_established_when_start_with_wait_returns() {
    let machine = Machine::demo();
    for (domain, protocol) in
        [("private", "rd_internet"), ("internet", "rd_private"), ("internet", "rd_hostile"), ("hostile", "rd_internet")]
    {
        assert!(machine.established(domain, protocol), "{domain} {protocol}: {}", machine.session(domain, protocol));
    }
}

#[test]
fn a_session_whose_packets_have_crossed_a_router_is_refused() {
    let machine = Machine::demo();
    // Every BGP packet of private now looks as if one router had forwarded it.
    machine.sh("ip netns exec private nft 'table inet router { chain c { type filter hook postrouting priority 300;
             tcp dport 179 ip6 hoplimit set 254; tcp sport 179 ip6 hoplimit set 254; }; }'");
    // Both ends, because what private says now does not reach internet: not even that the session is over.
    machine.birdc("private", "restart rd_internet");
    machine.birdc("internet", "restart rd_private");
    eventually(SOON, "the session goes down", || !machine.established("internet", "rd_private"));
    // It is tried again each second.
    throughout(Duration::from_secs(5), "the session is refused", || {
        !machine.established("internet", "rd_private") && !machine.established("private", "rd_internet")
    });
    machine.line("ip netns exec private nft delete table inet router");
    eventually(SOON, "the session comes back with hop limit 255", || machine.established("internet", "rd_private"));
}

#[test]
fn routes_are_back_as_soon_as_a_session_is_without_anybody_asking_the_daemons() {
    let machine = Machine::demo();
    // Whoever asks BIRD wakes it.
    machine.unattended();
    let routes = || {
        let there = |domain, prefix| machine.routes_to(domain, prefix).contains(" dev ");
        (there("private", "198.51.100.0/24"), there("internet", "192.168.0.0/16"))
    };
    let took = [0; 5].map(|_| {
        machine.birdc("private", "restart rd_internet");
        let begun = Instant::now();
        eventually(SOON, "the routes go", || routes() != (true, true));
        eventually(SOON, "the routes come back", || routes() == (true, true));
        begun.elapsed()
    });
    // One second until it connects, and one until BIRD is woken; else up to three, which some other timer may end.
    let fast = took.iter().filter(|took| **took < Duration::from_millis(2500)).count();
    assert!(fast >= 3, "{took:?}");
}

#[test]
fn a_peer_with_the_wrong_as_number_gets_no_session() {
    let machine = Machine::demo();
    machine.unattended();
    machine.sh(
        "cd /run/rdsup/private; sed 's/65002/65009/g' bird.conf >/srv/machine/wrong.conf; chmod 644 /srv/machine/wrong.conf",
    );
    machine.birdc("private", "configure \"/srv/machine/wrong.conf\"");
    eventually(SOON, "the session goes down", || !machine.established("internet", "rd_private"));
    throughout(Duration::from_secs(3), "the session is refused", || !machine.established("internet", "rd_private"));
    assert!(machine.established("internet", "rd_hostile"), "the other session is not touched");
}

#[test]
fn a_start_that_waits_in_vain_for_a_session_names_it_and_does_not_end_with_0() {
    let machine = Machine::new(&format!(
        "{DEMO}\n[[domain.internet.interface]]\nname = \"up0\"\naddress = [\"203.0.113.2/30\"]\n\
         [[domain.internet.neighbor]]\nname = \"transit\"\naddress = \"203.0.113.1\"\nasn = 64510\n"
    ));
    machine.line("ip link add up0 type veth peer name far0");
    machine.line("ip link set far0 up");
    let said = machine.rdsup("start --detach --wait");
    assert_eq!(said.code(), Some(3), "{said}");
    assert!(said.stderr.contains("internet") && said.stderr.contains("1 session not Established after"), "{said}");
    assert!(said.stderr.contains("internet: 1 session not Established yet"), "{said}");
    let status = machine.rdsup("status");
    assert!(!status.stdout.contains("not Established after"), "that is over, and the session's state tells: {status}");
}
