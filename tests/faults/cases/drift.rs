//! What others do to the kernel while the supervisor runs.

use super::{Case, EACH_WAY, FRR, case};
use crate::machine::eventually;
use crate::run::Run;
use crate::world::{BYSTANDERS, PAIRS, World};

pub const CASES: &[Case] = &[
    case("a veth deleted, renamed, downed", "a veth that is deleted, renamed or downed is repaired", veth)
        .also(EACH_WAY),
    case("nft flush ruleset by others", "a flushed ruleset is loaded again", flush).also(FRR),
    case("an address or a route removed", "an address, a route or a rule that is removed comes back", address)
        .also(FRR),
    case("/run/netns entry unmounted", "an entry of /run/netns that is unmounted is made again", unmounted).also(FRR),
    case(
        "/run/netns entry replaced by a file",
        "an entry of /run/netns that became a plain file is made again",
        replaced,
    ),
];

/// Done to `a` while `c` and `d` look on: what is done, a shell script.
#[derive(Clone, Copy)]
pub struct Drift {
    pub what: &'static str,
    pub script: &'static str,
}

const fn drift(what: &'static str, script: &'static str) -> Drift {
    Drift { what, script }
}

pub const VETH: &[Drift] = &[
    drift("veth deleted", "ip -n a link delete rd-b"),
    // Some kernels rename what is down only, and rdsup may be faster than the second step.
    drift("veth renamed", "until ip -n a link set rd-b down && ip -n a link set rd-b name stolen; do :; done"),
    drift("veth renamed while it is up", "ip -n a link set rd-b name stolen 2>/dev/null || true"),
    drift(
        "both ends renamed",
        "ip -n a link set rd-b down; ip -n b link set rd-a name other 2>/dev/null; ip -n a link set rd-b name stolen || true",
    ),
    drift("veth downed", "ip -n a link set rd-b down"),
    drift("the other end downed", "ip -n b link set rd-a down"),
];

pub const FLUSH: &[Drift] = &[
    drift("ruleset flushed", "ip netns exec a nft flush ruleset"),
    drift("table deleted", "ip netns exec a nft delete table inet rdsup"),
    drift("chains flushed", "ip netns exec a nft flush table inet rdsup"),
];

pub const ADDRESS: &[Drift] = &[
    drift("loopback address removed", "ip -n a address delete 198.51.100.1/32 dev lo"),
    drift("link-local addresses flushed", "ip -n a -6 address flush dev rd-b"),
    drift("route removed", "ip -n b route delete blackhole 192.168.66.0/24"),
    drift("forwarding switched off", "ip netns exec a sysctl -qw net.ipv4.ip_forward=0"),
];

// The name may be back before the second step of these: then the file cannot be removed.
pub const UNMOUNTED: &[Drift] = &[
    drift("netns unmounted", "umount -l /run/netns/a"),
    drift("netns unmounted and removed", "umount -l /run/netns/a; rm /run/netns/a 2>/dev/null || true"),
];

pub const REPLACED: &[Drift] = &[drift(
    "netns replaced",
    "umount -l /run/netns/a; { rm /run/netns/a && echo text >/run/netns/a; } 2>/dev/null || true",
)];

fn veth(run: &Run) {
    drifts(&World::pairs(run), run, VETH);
}

fn flush(run: &Run) {
    drifts(&World::pairs(run), run, FLUSH);
}

fn address(run: &Run) {
    drifts(&World::pairs(run), run, ADDRESS);
}

// With a namespace go the interfaces in it. A physical one comes back, into the namespace that the kernel was booted in, which
// is not the one of this machine; any other is gone for good. So none is claimed here.
fn unmounted(run: &Run) {
    drifts(&World::running(run, &format!("{PAIRS}{BYSTANDERS}")), run, UNMOUNTED);
}

fn replaced(run: &Run) {
    drifts(&World::running(run, &format!("{PAIRS}{BYSTANDERS}")), run, REPLACED);
}

fn drifts(world: &World, run: &Run, drifts: &[Drift]) {
    let others = world.bystanders();
    let undisturbed = world.state();
    for drift in drifts {
        run.survives(
            drift.what,
            || drop(world.machine.sh(drift.script)),
            || world.is_converged(),
            || {
                eventually(run.patience, &format!("the session is back after: {}", drift.what), || world.is_whole());
                world.assert_closed();
                world.assert_untouched(&others);
                world.assert_state(&undisturbed);
            },
        );
    }
}
