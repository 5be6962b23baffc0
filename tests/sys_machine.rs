//! The effects layer against the real kernel, each test in a host of its own.

mod sys_world;

use std::collections::BTreeMap;

use ipnet::IpNet;
use rdsup::model::{InterfaceName, Origin};
use rdsup::plan::{
    Action, Desired, DesiredDomain, DesiredFilter, LINK_GROUP, NamespaceState, ROUTE_PROTOCOL, RouteSpec, Sysctl,
    VethEnd,
};
use rdsup::sys::netns::Namespace;
use sys_world::{domain, filter, in_own_host, machine, make_domain, output, run, try_run};

fn interface(name: &str) -> InterfaceName {
    InterfaceName::new(name).unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn wanted(names: &[&str]) -> Desired {
    let domain_of = |name: &&str| {
        let desired = DesiredDomain {
            sysctls: BTreeMap::from([("net/ipv4/ip_forward".to_owned(), "1".to_owned())]),
            filter: DesiredFilter { path: format!("/run/rdsup/{name}/rdsup.nft").into(), text: filter(name) },
            files: Vec::new(),
            interfaces: BTreeMap::new(),
            routes: [].into(),
            route_origins: BTreeMap::new(),
            daemon: None,
            origin: Origin::default(),
        };
        (domain(name), desired)
    };
    Desired { domains: names.iter().map(domain_of).collect(), veths: Vec::new() }
}

fn ends(first: (&str, &str), second: (&str, &str)) -> [VethEnd; 2] {
    [first, second].map(|(name, link)| VethEnd { domain: domain(name), interface: interface(link) })
}

#[test]
fn a_namespace_without_a_name_vanishes_with_the_machine() {
    in_own_host("a_namespace_without_a_name_vanishes_with_the_machine", || async {
        let machine = machine();
        run(&machine, "a", Action::CreateNamespace).await;
        assert_eq!(output("ip", &["netns", "list"]), "");
        let observed = machine.observe(&wanted(&["a"])).await.unwrap();
        assert_eq!(observed.domains[&domain("a")].namespace, NamespaceState::Absent);
        drop(machine);
        let error = try_run(&sys_world::machine(), "a", Action::SetUp { name: interface("lo") }).await.unwrap_err();
        assert_eq!(error.to_string(), "a: the namespace a does not exist");
    });
}

#[test]
fn a_published_namespace_is_seen_by_ip_netns_and_is_ours() {
    in_own_host("a_published_namespace_is_seen_by_ip_netns_and_is_ours", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        assert!(output("ip", &["netns", "list"]).starts_with('a'));
        output("ip", &["netns", "exec", "a", "true"]);
        let observed = machine.observe(&wanted(&["a"])).await.unwrap();
        let found = &observed.domains[&domain("a")];
        assert_eq!(found.namespace, NamespaceState::Ours);
        assert_eq!(found.filter.as_ref().unwrap().text.as_deref(), Some(&*filter("a")));
        // Found without being asked for, too.
        assert!(machine.observe(&Desired::default()).await.unwrap().domains.contains_key(&domain("a")));
        run(&machine, "a", Action::RemoveNamespace).await;
        run(&machine, "a", Action::RemoveNamespace).await;
        assert_eq!(output("ip", &["netns", "list"]), "");
        // By its directory, even an empty one, a domain is found whose removal was cut short.
        let left = machine.observe(&Desired::default()).await.unwrap();
        assert_eq!(left.domains[&domain("a")].namespace, NamespaceState::Absent);
        run(&machine, "a", Action::RemovePath { path: machine.domain_dir(&domain("a")) }).await;
        assert!(!machine.observe(&Desired::default()).await.unwrap().domains.contains_key(&domain("a")));
    });
}

#[test]
fn a_foreign_namespace_is_not_ours_and_a_plain_file_is_none() {
    in_own_host("a_foreign_namespace_is_not_ours_and_a_plain_file_is_none", || async {
        let machine = machine();
        output("ip", &["netns", "add", "a"]);
        output("ip", &["netns", "add", "b"]);
        output("ip", &["netns", "exec", "b", "nft", "add table inet rdsup { comment \"rdsup /other b\"; }"]);
        output("touch", &["/run/netns/c"]);
        let observed = machine.observe(&wanted(&["a", "b", "c"])).await.unwrap();
        let state = |name| observed.domains[&domain(name)].namespace.clone();
        assert_eq!(state("a"), NamespaceState::Foreign("it has no table inet rdsup".to_owned()));
        assert_eq!(state("b"), NamespaceState::Foreign("its table inet rdsup is marked \"rdsup /other b\"".to_owned()));
        assert_eq!(state("c"), NamespaceState::Absent);
        make_domain(&machine, "c").await;
        assert_eq!(machine.namespace_state(&domain("c")).await.unwrap(), NamespaceState::Ours);
        run(&machine, "a", Action::CreateNamespace).await;
        let taken = try_run(&machine, "a", Action::PublishNamespace).await.unwrap_err().to_string();
        assert!(taken.contains("File exists"), "{taken}");
    });
}

#[test]
fn a_namespace_that_took_the_place_of_ours_is_foreign_even_with_the_same_inode() {
    in_own_host("a_namespace_that_took_the_place_of_ours_is_foreign_even_with_the_same_inode", || async {
        make_domain(&machine(), "a").await;
        output("ip", &["netns", "delete", "a"]);
        output("ip", &["netns", "add", "a"]);
        let state = machine().namespace_state(&domain("a")).await.unwrap();
        assert_eq!(state, NamespaceState::Foreign("it has no table inet rdsup".to_owned()));
    });
}

#[test]
fn a_flushed_table_leaves_the_namespace_ours_and_asks_for_its_filter_again() {
    in_own_host("a_flushed_table_leaves_the_namespace_ours_and_asks_for_its_filter_again", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        output("ip", &["netns", "exec", "a", "nft", "flush ruleset"]);
        let observed = machine.observe(&wanted(&["a"])).await.unwrap();
        let found = &observed.domains[&domain("a")];
        assert_eq!(found.namespace, NamespaceState::Ours);
        assert_eq!(found.filter, None);
    });
}

#[test]
fn a_table_changed_by_others_is_noticed_and_a_foreign_table_is_not() {
    in_own_host("a_table_changed_by_others_is_noticed_and_a_foreign_table_is_not", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        let text = || async {
            let observed = machine.observe(&wanted(&["a"])).await.unwrap();
            observed.domains[&domain("a")].filter.clone().unwrap().text
        };
        machine.note_listings().await.unwrap();
        output("ip", &["netns", "exec", "a", "nft", "add table inet other"]);
        assert_eq!(text().await.as_deref(), Some(&*filter("a")));
        output("ip", &["netns", "exec", "a", "nft", "add rule inet rdsup c_input accept"]);
        assert_eq!(text().await, None);
    });
}

/// Before the listing is noted nobody can tell whose change it was, so the table counts as altered and is loaded again.
#[test]
fn a_change_before_the_listing_was_noted_counts_as_one_of_our_table() {
    in_own_host("a_change_before_the_listing_was_noted_counts_as_one_of_our_table", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        output("ip", &["netns", "exec", "a", "nft", "add table inet other"]);
        machine.note_listings().await.unwrap();
        let observed = machine.observe(&wanted(&["a"])).await.unwrap();
        assert_eq!(observed.domains[&domain("a")].filter.clone().unwrap().text, None);
    });
}

#[test]
fn a_veth_pair_lies_across_two_namespaces_with_its_marks_and_knows_its_peer() {
    in_own_host("a_veth_pair_lies_across_two_namespaces_with_its_marks_and_knows_its_peer", || async {
        let machine = machine();
        for name in ["a", "b", "c", "d"] {
            make_domain(&machine, name).await;
        }
        // Equal interface numbers on all ends: only the namespaces tell the pairs apart.
        let pairs = [
            ends(("a", "rd-b"), ("b", "rd-a")),
            ends(("c", "rd-d"), ("d", "rd-c")),
            ends(("host", "rd-a"), ("a", "rd-host")),
        ];
        for ends in &pairs {
            let first = ends[0].domain.to_string();
            run(&machine, &first, Action::AddVeth { ends: ends.clone(), mtu: Some(1400) }).await;
            run(&machine, &first, Action::AddVeth { ends: ends.clone(), mtu: Some(1400) }).await;
        }
        run(&machine, "a", Action::SetAlias { name: interface("rd-b"), alias: "rdsup: link to b".to_owned() }).await;
        run(&machine, "a", Action::SetUp { name: interface("rd-b") }).await;
        let observed = machine.observe(&wanted(&["a", "b", "c", "d"])).await.unwrap();
        for [first, second] in &pairs {
            for (end, other) in [(first, second), (second, first)] {
                let link = &observed.domains[&end.domain].links[&end.interface];
                assert_eq!(link.peer, Some((other.domain.clone(), other.interface.clone())), "{end:?}");
                assert_eq!((link.kind.as_str(), link.group, link.mtu), ("veth", LINK_GROUP, 1400));
            }
        }
        let link = &observed.domains[&domain("a")].links[&interface("rd-b")];
        assert!(link.up);
        assert_eq!(link.alias.as_deref(), Some("rdsup: link to b"));
        run(&machine, "a", Action::RemoveLink { name: interface("rd-b") }).await;
        run(&machine, "b", Action::RemoveLink { name: interface("rd-a") }).await;
        let observed = machine.observe(&wanted(&["a", "b"])).await.unwrap();
        assert!(!observed.domains[&domain("b")].links.contains_key(&interface("rd-a")));
    });
}

/// With equal numbers the kernel lets a second pass before the first packet (`net/core/link_watch.c`).
#[test]
fn the_ends_of_a_link_have_different_numbers_even_in_two_new_namespaces() {
    in_own_host("the_ends_of_a_link_have_different_numbers_even_in_two_new_namespaces", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        make_domain(&machine, "b").await;
        run(&machine, "a", Action::AddVeth { ends: ends(("a", "rd-b"), ("b", "rd-a")), mtu: None }).await;
        let number = |namespace: &str, link: &str| {
            let shown = output("ip", &["-n", namespace, "-o", "link", "show", link]);
            shown.split(':').next().unwrap().to_owned()
        };
        assert_ne!(number("a", "rd-b"), number("b", "rd-a"));
        let observed = machine.observe(&wanted(&["a", "b"])).await.unwrap();
        let peer = &observed.domains[&domain("a")].links[&interface("rd-b")].peer;
        assert_eq!(peer, &Some((domain("b"), interface("rd-a"))));
    });
}

#[test]
fn addresses_and_routes_are_read_back_as_they_were_written() {
    in_own_host("addresses_and_routes_are_read_back_as_they_were_written", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        make_domain(&machine, "b").await;
        run(&machine, "a", Action::AddVeth { ends: ends(("a", "rd-b"), ("b", "rd-a")), mtu: None }).await;
        let no_link_local = Sysctl { key: "net/ipv6/conf/rd-b/addr_gen_mode".to_owned(), value: "1".to_owned() };
        run(&machine, "a", Action::SetSysctls { values: vec![no_link_local], file: None }).await;
        for (name, link) in [("a", "lo"), ("a", "rd-b"), ("b", "rd-a")] {
            run(&machine, name, Action::SetUp { name: interface(link) }).await;
        }
        let mut added = Vec::new();
        for (link, address) in
            [("rd-b", "fe80::1/64"), ("rd-b", "10.0.0.1/31"), ("lo", "10.1.0.1/32"), ("lo", "2001:db8::1/128")]
        {
            for _ in 0..2 {
                run(&machine, "a", Action::AddAddress { name: interface(link), address: net(address) }).await;
            }
            added.push((interface(link), net(address)));
        }
        let mut via_inet6 = RouteSpec::own(net("10.2.0.0/16"), "unicast");
        via_inet6.via = Some("fe80::2".parse().unwrap());
        via_inet6.dev = Some(interface("rd-b"));
        via_inet6.src = Some("10.1.0.1".parse().unwrap());
        let mut six = RouteSpec::own(net("2001:db8:2::/48"), "unicast");
        six.via = via_inet6.via;
        six.dev = via_inet6.dev.clone();
        let mut onlink = RouteSpec::own(net("10.3.0.0/24"), "unicast");
        onlink.dev = via_inet6.dev.clone();
        onlink.metric = Some(77);
        let routes = [
            via_inet6,
            six,
            onlink,
            RouteSpec::own(net("0.0.0.0/0"), "unreachable"),
            RouteSpec::own(net("::/0"), "blackhole"),
            RouteSpec::own(net("10.9.0.0/16"), "prohibit"),
        ];
        for route in &routes {
            for _ in 0..2 {
                run(&machine, "a", Action::AddRoute(route.clone())).await;
            }
        }
        let seen = output("ip", &["-n", "a", "route", "show", "proto", &ROUTE_PROTOCOL.to_string()]);
        assert!(seen.contains("10.2.0.0/16 via inet6 fe80::2 dev rd-b src 10.1.0.1"), "{seen}");
        let observed = machine.observe(&wanted(&["a"])).await.unwrap();
        let found = &observed.domains[&domain("a")];
        assert_eq!(found.routes, routes.iter().cloned().collect());
        for (link, address) in &added {
            assert!(found.links[link].addresses.contains(address), "{address}");
        }
        assert_eq!(found.links[&interface("lo")].own_addresses.len(), 2, "127.0.0.1 and ::1 are the kernel's own");
        assert_eq!(found.links[&interface("rd-b")].own_addresses.len(), 2);
        for route in &routes {
            for _ in 0..2 {
                run(&machine, "a", Action::RemoveRoute(route.clone())).await;
            }
        }
        for (link, address) in added {
            for _ in 0..2 {
                run(&machine, "a", Action::RemoveAddress { name: link.clone(), address }).await;
            }
        }
        let observed = machine.observe(&wanted(&["a"])).await.unwrap();
        let found = &observed.domains[&domain("a")];
        assert!(found.routes.is_empty());
        assert!(found.links.values().all(|link| link.own_addresses.is_empty()));
    });
}

#[test]
fn a_foreign_route_of_the_same_destination_is_not_replaced() {
    in_own_host("a_foreign_route_of_the_same_destination_is_not_replaced", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        run(&machine, "a", Action::SetUp { name: interface("lo") }).await;
        output("ip", &["-n", "a", "route", "add", "blackhole", "10.0.0.0/8", "proto", "static"]);
        let ours = RouteSpec::own(net("10.0.0.0/8"), "unreachable");
        let error = try_run(&machine, "a", Action::AddRoute(ours)).await.unwrap_err().to_string();
        assert!(error.contains("add the route unreachable 10.0.0.0/8"), "{error}");
        assert!(output("ip", &["-n", "a", "route"]).contains("blackhole 10.0.0.0/8"));
    });
}

#[test]
fn an_error_carries_the_words_of_the_kernel_and_the_line_of_the_file() {
    in_own_host("an_error_carries_the_words_of_the_kernel_and_the_line_of_the_file", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        run(&machine, "a", Action::SetUp { name: interface("lo") }).await;
        let mut route = RouteSpec::own(net("10.2.0.0/16"), "unicast");
        route.via = Some("192.0.2.1".parse().unwrap());
        let error = try_run(&machine, "a", Action::AddRoute(route)).await.unwrap_err();
        assert_eq!(error.origin.line, 7);
        assert!(error.to_string().contains("Nexthop has invalid gateway"), "{error}");
        let bad = Action::LoadFilter {
            path: "/run/rdsup/a/rdsup.nft".into(),
            text: "table inet rdsup { nonsense }".into(),
            stacked: [].into(),
        };
        let error = try_run(&machine, "a", bad).await.unwrap_err();
        assert!(error.to_string().contains("syntax error"), "{error}");
        let found = machine.observe(&wanted(&["a"])).await.unwrap();
        assert!(found.domains[&domain("a")].filter.as_ref().unwrap().text.is_some(), "the old table must stand");
    });
}

#[test]
fn sysctls_are_those_of_the_namespace_and_not_of_the_host() {
    in_own_host("sysctls_are_those_of_the_namespace_and_not_of_the_host", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        for value in ["0", "1"] {
            let forward = Sysctl { key: "net/ipv4/ip_forward".to_owned(), value: value.to_owned() };
            run(&machine, "a", Action::SetSysctls { values: vec![forward], file: None }).await;
            let observed = machine.observe(&wanted(&["a", "host"])).await.unwrap();
            assert_eq!(observed.domains[&domain("a")].sysctls["net/ipv4/ip_forward"], value);
            assert_eq!(observed.domains[&domain("host")].sysctls["net/ipv4/ip_forward"], "0");
        }
        let unknown = Sysctl { key: "net/ipv4/conf/rd-x/rp_filter".to_owned(), value: "0".to_owned() };
        let error = try_run(&machine, "a", Action::SetSysctls { values: vec![unknown], file: None })
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("net.ipv4.conf.rd-x.rp_filter"), "{error}");
    });
}

#[test]
fn an_interface_is_claimed_from_the_host_and_returned() {
    in_own_host("an_interface_is_claimed_from_the_host_and_returned", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        output("ip", &["link", "add", "eth7", "type", "veth", "peer", "name", "far"]);
        let claim = Action::ClaimInterface { name: interface("eth7") };
        run(&machine, "a", claim.clone()).await;
        run(&machine, "a", claim).await;
        let observed = machine.observe(&wanted(&["a"])).await.unwrap();
        assert!(observed.domains[&domain("a")].links.contains_key(&interface("eth7")));
        let back = Action::ReturnInterface { name: interface("eth7") };
        run(&machine, "a", back.clone()).await;
        run(&machine, "a", back).await;
        output("ip", &["link", "show", "eth7"]);
        let missing = Action::ClaimInterface { name: interface("eth8") };
        let error = try_run(&machine, "a", missing).await.unwrap_err().to_string();
        assert!(error.contains("move eth8 from host to a: No such device"), "{error}");
    });
}

#[test]
fn fifty_domains_are_observed_without_running_a_program_for_each() {
    in_own_host("fifty_domains_are_observed_without_running_a_program_for_each", || async {
        let machine = machine();
        let names: Vec<String> = (0..50).map(|number| format!("d{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let before = std::time::Instant::now();
        let observed = machine.observe(&wanted(&names)).await.unwrap();
        println!("50 absent: {:?}", before.elapsed());
        assert!(names.iter().all(|name| observed.domains[&domain(name)].namespace == NamespaceState::Absent));
        let before = std::time::Instant::now();
        for name in &names {
            make_domain(&machine, name).await;
        }
        println!("50 made: {:?}", before.elapsed());
        for _ in 0..2 {
            let before = std::time::Instant::now();
            let observed = machine.observe(&wanted(&names)).await.unwrap();
            println!("50 present: {:?}", before.elapsed());
            assert!(names.iter().all(|name| observed.domains[&domain(name)].filter.as_ref().unwrap().text.is_some()));
        }
    });
}

#[test]
fn a_dump_misses_nothing_while_interfaces_come_and_go() {
    in_own_host("a_dump_misses_nothing_while_interfaces_come_and_go", || async {
        let machine = std::sync::Arc::new(machine());
        make_domain(&machine, "a").await;
        let stable: Vec<String> = (0..40).map(|number| format!("s{number}")).collect();
        for name in &stable {
            let far = format!("{name}x");
            run(&machine, "a", Action::AddVeth { ends: ends(("a", name), ("host", &far)), mtu: None }).await;
        }
        let churning = machine.clone();
        let churn = tokio::spawn(async move {
            for number in 0.. {
                let name = format!("c{}", number % 3);
                let far = format!("{name}x");
                run(&churning, "a", Action::AddVeth { ends: ends(("a", &name), ("host", &far)), mtu: None }).await;
                run(&churning, "a", Action::RemoveLink { name: interface(&name) }).await;
            }
        });
        for _ in 0..20 {
            let observed = machine.observe(&wanted(&["a"])).await.unwrap_or_else(|error| panic!("{error}"));
            let links = &observed.domains[&domain("a")].links;
            let missed: Vec<_> = stable.iter().filter(|name| !links.contains_key(name.as_str())).collect();
            assert!(missed.is_empty(), "{missed:?}");
        }
        assert!(!churn.is_finished(), "nothing changed meanwhile");
        churn.abort();
    });
}

#[test]
fn steps_of_many_domains_can_be_executed_at_once() {
    in_own_host("steps_of_many_domains_can_be_executed_at_once", || async {
        let machine = std::sync::Arc::new(machine());
        let names: Vec<String> = (0..20).map(|number| format!("d{number}")).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for name in names.clone() {
            let machine = machine.clone();
            tasks.spawn(async move { make_domain(&machine, &name).await });
        }
        tasks.join_all().await;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let observed = machine.observe(&wanted(&names)).await.unwrap();
        for name in names {
            assert_eq!(observed.domains[&domain(name)].namespace, NamespaceState::Ours);
            assert_eq!(observed.domains[&domain(name)].filter.as_ref().unwrap().text.as_deref(), Some(&*filter(name)));
        }
    });
}

#[test]
fn names_made_at_once_on_a_new_machine_share_one_mount() {
    in_own_host("names_made_at_once_on_a_new_machine_share_one_mount", || async {
        for round in 0..20 {
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..8 {
                tasks.spawn_blocking(move || Namespace::create().unwrap().publish(&format!("d{number}")).unwrap());
            }
            tasks.join_all().await;
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
            let of_directory = mounts.lines().filter(|line| line.split(' ').nth(4) == Some("/run/netns"));
            assert_eq!(of_directory.count(), 1, "round {round}:\n{mounts}");
            output("sh", &["-c", "umount -l /run/netns && rm -r /run/netns"]);
        }
    });
}

#[test]
fn a_lock_that_somebody_keeps_on_the_directory_of_names_stops_nobody() {
    in_own_host("a_lock_that_somebody_keeps_on_the_directory_of_names_stops_nobody", || async {
        std::fs::create_dir("/run/netns").unwrap();
        let directory = std::fs::File::open("/run/netns").unwrap();
        let _kept = nix::fcntl::Flock::lock(directory, nix::fcntl::FlockArg::LockExclusive).unwrap();
        Namespace::create().unwrap().publish("a").unwrap();
        assert_eq!(output("ip", &["netns", "list"]), "a\n");
    });
}

#[test]
fn an_interface_in_the_host_is_seen_with_the_routes_that_it_must_get_back() {
    in_own_host("an_interface_in_the_host_is_seen_with_the_routes_that_it_must_get_back", || async {
        let machine = machine();
        for words in [
            "link add eth7 type veth peer name far",
            "link add eth8 type veth peer name far8",
            "link set far up",
            "link set eth7 up",
            "address add 192.0.2.1/24 dev eth7",
            "route add default via 192.0.2.254 dev eth7 proto static metric 50",
        ] {
            output("ip", &words.split(' ').collect::<Vec<_>>());
        }
        let mut desired = wanted(&["a"]);
        let physical = rdsup::plan::DesiredInterface {
            kind: rdsup::plan::InterfaceKind::Physical,
            addresses: [].into(),
            first: [].into(),
            mtu: None,
            sysctls: BTreeMap::new(),
            alias: None,
            origin: Origin::default(),
        };
        desired.domains.get_mut(&domain("a")).unwrap().interfaces.insert(interface("eth7"), physical);
        let observed = machine.observe(&desired).await.unwrap();
        let host = &observed.domains[&domain("host")];
        assert_eq!(host.links.keys().collect::<Vec<_>>(), [&interface("eth7")], "nobody asked for the others");
        let link = &host.links[&interface("eth7")];
        assert!(link.addresses.contains(&net("192.0.2.1/24")));
        let mut route = RouteSpec::own(net("0.0.0.0/0"), "unicast");
        (route.via, route.dev) = ("192.0.2.254".parse().ok(), Some(interface("eth7")));
        (route.metric, route.protocol) = (Some(50), 4);
        assert_eq!(link.routes, [route].into(), "the connected route comes by itself");
        assert!(host.routes.is_empty(), "no route of the host is ours");
    });
}

#[test]
fn a_table_that_is_stacked_is_ours_by_its_comment_and_not_by_its_name_alone() {
    in_own_host("a_table_that_is_stacked_is_ours_by_its_comment_and_not_by_its_name_alone", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        let nft = |line: &str| drop(output("ip", &["netns", "exec", "a", "nft", line]));
        nft("add table inet rdsup-next { comment \"rdsup /other a\"; }");
        nft("add table inet rdsup-next2 { comment \"rdsup /run/rdsup a\"; }");
        nft("add table inet rdsup-next3");
        nft("add table ip rdsup-next4 { comment \"rdsup /run/rdsup a\"; }");
        // More than one datagram's worth.
        let others = (0..100).map(|n| format!("add table inet other{n} {{ comment \"{}\"; }}", "x".repeat(100)));
        nft(&others.collect::<Vec<_>>().join("; "));
        let observed = machine.observe(&wanted(&["a"])).await.unwrap();
        let stacked = &observed.domains[&domain("a")].stacked;
        assert_eq!(stacked.iter().collect::<Vec<_>>(), ["rdsup-next2"]);
        let tables = stacked.clone();
        run(&machine, "a", Action::UnstackFilters { tables: tables.clone() }).await;
        run(&machine, "a", Action::UnstackFilters { tables }).await;
        let observed = machine.observe(&wanted(&["a"])).await.unwrap();
        assert!(observed.domains[&domain("a")].stacked.is_empty());
        assert!(output("ip", &["netns", "exec", "a", "nft", "list", "tables"]).contains("rdsup-next3"));
    });
}
