//! What others do to a running network is repaired at once, told, and costs no session that it does not concern.
//!
//! Each kind of damage is done a dozen times under a supervisor. A loop inside the machine looks for the repair and takes the
//! time, from before the damage until all of it is well again. The figures are printed (`--no-capture`); what is asserted
//! is generous, because the machine that runs the tests has other things to do.

use crate::machine::{Machine, SOON, eventually};

/// How often each kind of damage is done.
const ROUNDS: usize = 12;

/// The longest that repairs may take here: half of them, one of many, which may have had no processor for a while, and one alone.
const MEDIAN_MS: f64 = 1000.0;
const WORST_MS: f64 = 9000.0;
const ALONE_MS: f64 = 3000.0;

/// One kind of damage.
pub struct Damage {
    pub name: &'static str,
    /// A script that does it.
    pub script: &'static str,
    /// A script that succeeds when all is well.
    pub well: &'static str,
    /// What the log says of it.
    pub told: &'static str,
}

/// Whether the link between private and internet is there with everything on it.
pub const LINK_IS_WELL: &str = "ip -n private -6 -o address show dev rd-internet up 2>/dev/null | grep -q fe80::1/64 &&
    ip -n internet -6 -o address show dev rd-private up 2>/dev/null | grep -q fe80::2/64";

/// Whether the filter of private is what it was.
const FILTER_IS_WELL: &str = "[ \"$(ip netns exec private nft --stateless list table inet rdsup 2>/dev/null | md5sum)\" = \"$(cat /run/filter)\" ]";

const NAME_IS_WELL: &str = "ip -n private -o link show dev rd-internet 2>/dev/null | grep -q UP";

/// Does one kind of damage and says how many milliseconds each repair took.
#[track_caller]
pub fn inflict(machine: &Machine, damage: &Damage, rounds: usize) -> Vec<f64> {
    let script = format!(
        r#"
        well() {{ {well}; }}
        now() {{ printf %s "${{EPOCHREALTIME/./}}"; }}
        cd /run/rdsup
        for round in $(seq {rounds}); do
            # Soon after the last repair and long after it, by turns.
            sleep 0.$(( 1 + round % 5 ))
            begin=$(now)
            {damage}
            until well; do
                if [ $(( $(now) - begin )) -gt 20000000 ]; then echo "not repaired in 20 s, round $round" >&2; exit 1; fi
            done
            echo $(( $(now) - begin ))
        done
        "#,
        well = damage.well,
        damage = damage.script
    );
    let said = machine.sh(&script);
    let times: Vec<f64> = said.lines().map(|line| line.parse::<f64>().expect("microseconds") / 1000.0).collect();
    assert_eq!(times.len(), rounds, "{}: {said}", damage.name);
    times
}

/// Prints a line of the table and holds the times to the limits.
#[track_caller]
pub fn print(name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("| {name:<44} | {:>5} | {median:>9.0} | {worst:>8.0} |", times.len());
    if times.len() == 1 {
        assert!(worst < ALONE_MS, "{name}: {worst} ms");
    } else {
        assert!(median < MEDIAN_MS && worst < WORST_MS, "{name}: {median} ms half of them, {worst} ms the worst");
    }
}

pub fn print_heading() {
    println!("| {:<44} | {:>5} | {:>9} | {:>8} |", "damage", "times", "median ms", "worst ms");
    println!("|{:-<46}|{:->7}|{:->11}|{:->10}|", "", ":", ":", ":");
}

/// Does all of these, and then everything is as it was, and each was told.
pub fn assert_all_repaired(machine: &Machine, damages: &[Damage]) {
    print_heading();
    for damage in damages {
        let before = said(machine, damage.told);
        print(damage.name, inflict(machine, damage, ROUNDS));
        eventually(SOON, &format!("{}: {ROUNDS} repairs are told", damage.name), || {
            said(machine, damage.told) >= before + ROUNDS
        });
    }
    machine.rdsup("status --wait 30s").ok();
    machine.assert_converged();
}

/// How many lines of the supervisor's log tell of this as repaired.
pub fn said(machine: &Machine, words: &str) -> usize {
    let log = machine.sh("cat /run/rdsup/log/rdsup.log");
    log.lines().filter(|line| line.contains(words) && line.contains("repaired")).count()
}

/// Every daemon's process, and the sessions of these.
pub fn identity(machine: &Machine, sessions: &[(&str, &str)]) -> Vec<String> {
    let daemons = ["internet", "private", "hostile"].map(|domain| format!("{domain} {:?}", machine.bird(domain)));
    let sessions = sessions.iter().map(|(domain, protocol)| {
        let session = machine.session(domain, protocol);
        assert!(session.contains("Established"), "{domain}: {session}");
        session
    });
    daemons.into_iter().chain(sessions).collect()
}

pub const OTHERS: [(&str, &str); 2] = [("internet", "rd_hostile"), ("hostile", "rd_internet")];
pub const ALL: [(&str, &str); 4] =
    [("internet", "rd_hostile"), ("hostile", "rd_internet"), ("internet", "rd_private"), ("private", "rd_internet")];

#[test]
fn links_addresses_and_routes_come_back_and_other_sessions_keep_their_uptime() {
    let machine = Machine::demo();
    let before = identity(&machine, &OTHERS);
    assert_all_repaired(
        &machine,
        &[
            Damage {
                name: "veth deleted",
                script: "ip -n internet link delete rd-private",
                well: LINK_IS_WELL,
                told: "link rd-private was gone",
            },
            Damage {
                name: "link taken down",
                script: "ip -n private link set rd-internet down",
                well: LINK_IS_WELL,
                told: "rd-internet was down",
            },
            Damage {
                name: "end of a veth renamed",
                // Some kernels rename what is down only, and rdsup may be faster than the second step.
                script: "until ip -n private link set rd-internet down && ip -n private link set rd-internet name other; do :; done",
                well: LINK_IS_WELL,
                told: "rd-internet",
            },
            Damage {
                name: "address of lo removed",
                script: "ip -n private address delete 192.168.0.1/32 dev lo",
                well: "ip -n private -o address show dev lo | grep -q 192.168.0.1/32",
                told: "address 192.168.0.1/32 of lo was gone",
            },
            Damage {
                name: "address of a link removed",
                script: "ip -n private -6 address flush dev rd-internet",
                well: LINK_IS_WELL,
                told: "address fe80::1/64 of rd-internet was gone",
            },
            Damage {
                name: "route removed",
                script: "ip -n private route delete unreachable 192.168.0.0/16 proto 114",
                well: "[ -n \"$(ip -n private route show 192.168.0.0/16 proto 114)\" ]",
                told: "route unreachable 192.168.0.0/16 was gone",
            },
        ],
    );
    assert_eq!(identity(&machine, &OTHERS), before);
    eventually(SOON, "the routes are learned again", || machine.pings("private", "198.51.100.1"));
}

#[test]
fn a_lost_or_altered_filter_is_loaded_again_and_no_session_is_reset() {
    let machine = Machine::demo();
    machine.sh("ip netns exec private nft --stateless list table inet rdsup | md5sum >/run/filter");
    let before = identity(&machine, &ALL);
    assert_all_repaired(
        &machine,
        &[
            Damage {
                name: "nft flush ruleset",
                script: "ip netns exec private nft flush ruleset",
                well: FILTER_IS_WELL,
                told: "the packet filter was gone",
            },
            Damage {
                name: "table deleted",
                script: "ip netns exec private nft delete table inet rdsup",
                well: FILTER_IS_WELL,
                told: "the packet filter was gone",
            },
            Damage {
                name: "rule inserted",
                script: "ip netns exec private nft insert rule inet rdsup input accept",
                well: FILTER_IS_WELL,
                told: "the packet filter was altered by someone else",
            },
            Damage {
                name: "rule deleted",
                script: "ip netns exec private nft delete rule inet rdsup input handle $(ip netns exec private \
                         nft -a list chain inet rdsup input | sed -n 's/.*# handle //p' | tail -n 1)",
                well: FILTER_IS_WELL,
                told: "the packet filter was altered by someone else",
            },
            Damage {
                name: "chain flushed",
                script: "ip netns exec private nft flush chain inet rdsup forward",
                well: FILTER_IS_WELL,
                told: "the packet filter was altered by someone else",
            },
            Damage {
                name: "table replaced by another of its name",
                script: "ip netns exec private nft 'delete table inet rdsup; table inet rdsup { chain c { accept; }; }'",
                well: FILTER_IS_WELL,
                told: "the packet filter was altered by someone else",
            },
        ],
    );
    assert_eq!(identity(&machine, &ALL), before);
}

#[test]
fn a_namespace_that_loses_its_name_gets_it_again_with_all_that_is_in_it() {
    let machine = Machine::demo();
    let before = identity(&machine, &ALL);
    assert_all_repaired(
        &machine,
        &[
            Damage {
                name: "name unmounted",
                script: "umount -l /run/netns/private",
                well: NAME_IS_WELL,
                told: "its name under /run/netns was gone",
            },
            Damage {
                name: "ip netns delete",
                // rdsup may be faster than its second step, the removal of the file.
                script: "ip netns delete private 2>/dev/null || true",
                well: NAME_IS_WELL,
                told: "its name under /run/netns was gone",
            },
            Damage {
                name: "a plain file in place of the name",
                script: "umount -l /run/netns/private; (echo text >/run/netns/private) 2>/dev/null || true",
                well: NAME_IS_WELL,
                told: "its name under /run/netns was gone",
            },
        ],
    );
    assert_eq!(identity(&machine, &ALL), before);
    // And where no supervisor held it, the daemon in it did.
    machine.signal_supervisor("KILL");
    machine.line("ip netns delete private");
    machine.start();
    machine.assert_converged();
    assert_eq!(identity(&machine, &ALL), before);
}

#[test]
fn a_namespace_without_a_daemon_is_held_by_the_supervisor() {
    let machine = Machine::running("[domain.still]\ndaemon = \"none\"\nloopback = [\"192.0.2.1/32\"]\n");
    // What is there and nobody would put back tells one namespace from another.
    machine.line("ip -n still address add 172.20.0.1/32 dev lo");
    let damage = Damage {
        name: "ip netns delete, no daemon inside",
        script: "ip netns delete still 2>/dev/null || true",
        well: "ip -n still -o address show dev lo 2>/dev/null | grep -q 172.20.0.1/32",
        told: "its name under /run/netns was gone",
    };
    assert_all_repaired(&machine, &[damage]);
    machine.stop();
    assert_eq!(machine.sh("ls /run/netns | wc -l"), "0\n");
}
