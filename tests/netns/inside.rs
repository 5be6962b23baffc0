//! The throwaway machine itself: what the other tests stand on.

use crate::machine::Machine;

#[test]
fn a_machine_sees_only_its_own_interfaces_processes_and_namespaces() {
    let machine = Machine::new("");
    assert_eq!(machine.sh("ip -o link | wc -l"), "1\n", "lo and nothing else");
    assert_eq!(machine.sh("ls /run/netns | wc -l; ls /var/lib | wc -l"), "0\n0\n");
    machine.line("ip netns add here");
    assert!(!std::path::Path::new("/run/netns/here").exists(), "a namespace of a throwaway machine is seen outside");
    assert_eq!(machine.line("ip netns list"), "here\n");
    assert_eq!(machine.sh("echo $PPID"), "0\n", "a command entered from outside has no parent inside");
}

#[test]
fn listeners_connections_pings_and_probes_work_between_namespaces_made_by_hand() {
    let machine = Machine::new("");
    machine.sh("ip netns add left; ip netns add right
         ip link add vl netns left type veth peer name vr netns right
         ip -n left link set vl up; ip -n right link set vr up; ip -n right link set lo up
         ip -n left addr add 192.0.2.1/24 dev vl; ip -n right addr add 192.0.2.2/24 dev vr");
    machine.watch("right", "input", "ip protocol icmp");
    assert_eq!(machine.watched("right"), 0);
    assert!(machine.pings("left", "192.0.2.2"));
    assert_eq!(machine.watched("right"), 1);
    assert!(!machine.pings("left", "192.0.2.3"));
    assert!(!machine.connects(Some("left"), "192.0.2.2", 80));
    let _server = machine.listen(Some("right"), "192.0.2.2", 80);
    assert!(machine.connects(Some("left"), "192.0.2.2", 80));
    machine.sh("ip netns exec right nft 'table inet rdsup { counter c { packets 3 bytes 9 }; }'");
    assert_eq!(machine.counters("right"), [("c".to_owned(), 3)]);
}
