//! Two real FRRs with a link between two namespaces, asked and changed through their vtys.
#![expect(clippy::disallowed_methods, reason = "the tests start daemons and write their configurations")]

mod frr_pair;

use std::collections::BTreeSet;
use std::time::Duration;

use rdsup::daemons::frr::Frr;
use rdsup::daemons::frr::vty::Client;
use rdsup::daemons::{Access, Answer, DaemonError, Peers, RoutingDaemon};
use rdsup::model::{Asn, Family, Program};

use crate::frr_pair::{A, B, Pair, config, eventually};

fn text(answer: Answer) -> (String, bool) {
    match answer {
        Answer::Text { text, error } => (text, error),
        other => panic!("not text: {other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn sessions_and_routes_are_told_in_the_same_words_as_of_bird() {
    let pair = Pair::start().await;
    let peers = Peers::from([("rd-b".to_owned(), "beta".to_owned())]);
    let sessions = Frr.sessions(pair.socket(A), &peers).await.expect("it answers");
    let [session] = sessions.as_slice() else { panic!("not one: {sessions:?}") };
    assert_eq!((session.name.as_str(), session.peer.as_str(), session.protocol.as_str()), ("rd-b", "beta", "rd-b"));
    assert_eq!((session.remote_asn, session.local_asn), (Some(Asn(65002)), Some(Asn(65001))));
    assert_eq!((session.interface.as_deref(), session.source), (Some("rd-b"), "fe80::1".parse().ok()));
    assert_eq!((session.hold_seconds, session.route_refresh, &session.last_error), (Some(90), Some(true), &None));
    assert!(session.is_established() && session.since.is_some());
    let families: Vec<_> = session.families.iter().map(|it| (it.family, it.up, it.imported, it.limit)).collect();
    assert_eq!(families, [(Family::Ipv4, true, 2, Some(100)), (Family::Ipv6, true, 1, None)]);
    // 10.1.0.0/16 and 2001:db8:1::/48 of its own, and what it got is offered back and refused there.
    assert!(session.exported >= 2, "{session:?}");

    let routes = pair.routes(A, "show bgp").await;
    let told = |prefix: &str| {
        let route = routes.iter().find(|route| route.prefix.to_string() == prefix).expect("it is there");
        (route.from.clone(), route.best, route.next_hops.first().map(|hop| (hop.via, hop.interface.clone())))
    };
    let hop = Some(("fe80::2".parse().ok(), Some("rd-b".to_owned())));
    assert_eq!(told("10.1.0.0/16"), ("originated".to_owned(), true, None));
    assert_eq!(told("2001:db8:2::/48"), ("rd-b".to_owned(), true, hop.clone()));
    assert_eq!(told("10.2.0.0/16"), ("rd-b".to_owned(), true, hop.clone()));
    for (command, wanted) in [
        ("show bgp 10.2.0.0/16", &["10.2.0.0/16"][..]),
        ("show bgp 10.2.3.4", &["10.2.0.0/16"]),
        ("show bgp 2001:db8:2::1", &["2001:db8:2::/48"]),
        ("show bgp 10.9.0.0/16", &[]),
        ("show route 10.2.3.4", &["10.2.0.0/16"]),
        ("show route 2001:db8:2::/48", &["2001:db8:2::/48"]),
        ("show route 10.9.0.0/16", &[]),
    ] {
        let found: Vec<String> = pair.routes(A, command).await.iter().map(|route| route.prefix.to_string()).collect();
        assert_eq!(found, wanted, "{command}");
    }
    let routes = pair.routes(A, "show route").await;
    let route = routes.iter().find(|route| route.prefix.to_string() == "10.2.0.0/16").expect("zebra has it");
    assert_eq!((route.from.as_str(), route.source.as_str(), route.best), ("rd-b", "bgp", true));

    for name in ["rd-b", "fe80::2"] {
        let answer = pair.ask(A, &format!("show bgp neighbor {name}"), Access::Look).await.expect("it is there");
        assert!(matches!(&answer, Answer::Neighbor(found) if found.len() == 1), "{name}: {answer:?}");
    }
    let error = pair.ask(A, "show bgp neighbor nobody", Access::Look).await.expect_err("there is none");
    assert_eq!(error.to_string(), "no session is called \"nobody\"; there are: rd-b");
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn what_a_filter_refuses_is_counted_where_it_is_kept_and_not_called_none_elsewhere() {
    let pair = Pair::start().await;
    let filtered = async || {
        let sessions = Frr.sessions(pair.socket(A), &Peers::new()).await.expect("it answers");
        assert_eq!(sessions[0].filtered, None, "of IPv6 nobody knows it");
        [Family::Ipv4, Family::Ipv6].map(|family| {
            let counts = sessions[0].families.iter().find(|counts| counts.family == family).expect("it is carried");
            counts.filtered
        })
    };
    let [Some(before), None] = filtered().await else { panic!("{:?}", filtered().await) };
    assert!(before > 0, "what A announces comes back and is refused, and 10.66.0.0/16 is");
    pair.reload(A, &config(A, &["10.4.0.0/16"], "")).await.expect("it is a configuration");
    eventually("one more is refused", async || filtered().await == [Some(before + 1), None]).await;
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn policy_changes_again_and_again_without_a_reset_and_without_a_moment_in_which_nothing_is_filtered() {
    let pair = Pair::start().await;
    let dropped = pair.dropped(A).await;
    let wide = config(A, &["10.2.0.0/16", "10.4.0.0/16"], "");
    let narrow = config(A, &["10.4.0.0/16"], "");
    // Asked on a connection of its own between any two commands of the change.
    let socket = pair.socket(A).to_owned();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let watch = tokio::spawn(async move {
        let mut client = Client::connect(&socket, Duration::from_secs(5)).await.expect("it answers");
        let (mut asked, mut seen) = (0, BTreeSet::new());
        while stopped.try_recv().is_err() {
            let reply = client.ask("show bgp ipv4 unicast json").await.expect("it answers");
            let all: serde_json::Value = serde_json::from_str(&reply.text).expect("it is JSON");
            let routes = all["routes"].as_object().expect("it is the table");
            seen.extend(routes.keys().cloned());
            asked += 1;
        }
        (asked, seen)
    });
    for round in 0..10 {
        for (text, there, gone) in [(&narrow, "10.4.0.0/16", "10.2.0.0/16"), (&wide, "10.2.0.0/16", "10.9.0.0/16")] {
            pair.reload(A, text).await.expect("it is a configuration");
            eventually(&format!("round {round}: {there} without {gone}"), async || {
                let all = pair.prefixes(A).await;
                all.contains(there) && !all.contains(gone)
            })
            .await;
        }
    }
    stop.send(()).expect("it still looks");
    let (asked, seen) = watch.await.expect("it looks to the end");
    assert!(asked > 100, "it was asked {asked} times only");
    assert!(seen.contains("10.4.0.0/16"), "{seen:?}");
    assert!(!seen.contains("10.66.0.0/16"), "what no filter lets in was there: {seen:?}");
    assert_eq!(pair.dropped(A).await, dropped, "a session was reset");
    let running = pair.running(A).await;
    let maps = running.lines().filter(|line| line.starts_with("route-map rd-b-in")).count();
    assert_eq!(maps, 2, "the old ones are gone: {running}");
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn a_change_that_is_refused_midway_is_taken_back() {
    let pair = Pair::start().await;
    let (dropped, before) = (pair.dropped(A).await, pair.running(A).await);
    let bad = config(A, &["10.4.0.0/16"], "")
        .replace("description rd-b", "description other")
        .replace(" address-family ipv6", " neighbor fe80::9 remote-as 65009\n address-family ipv6")
        .replace("  neighbor rd-b maximum-prefix 100 restart 1", "  neighbor rd-b maximum-prefix 0");
    let error = pair.reload(A, &bad).await.expect_err("it is none");
    assert!(matches!(&error, DaemonError::Refused(words) if words.contains("maximum-prefix 0")), "{error}");
    assert_eq!(pair.running(A).await, before);
    // One that fails in the batch, which FRR ends with success and words.
    let bad = config(A, &["10.4.0.0/16 le 8"], "");
    let error = pair.reload(A, &bad).await.expect_err("it is none");
    assert!(matches!(&error, DaemonError::Refused(words) if words.contains("Configuration failed")), "{error}");
    assert_eq!(pair.running(A).await, before);
    assert_eq!(pair.dropped(A).await, dropped, "a session was reset");
    // And the next one is applied.
    pair.reload(A, &config(A, &["10.4.0.0/16"], "")).await.expect("it is a configuration");
    eventually("the narrow policy", async || !pair.prefixes(A).await.contains("10.2.0.0/16")).await;
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn whatever_changes_bgpd_runs_what_it_would_have_read() {
    let pair = Pair::start().await;
    let plain = config(A, &["10.2.0.0/16", "10.4.0.0/16"], "");
    let more = plain
        .replace(
            " address-family ipv4 unicast\n",
            " neighbor 192.0.2.9 remote-as 65009\n neighbor 192.0.2.9 description isp the other\n neighbor 192.0.2.9 password secret\n \
             neighbor 192.0.2.9 ebgp-multihop 3\n neighbor 192.0.2.9 timers connect 7\n address-family ipv4 unicast\n  \
             network 10.7.0.0/16\n  maximum-paths 4\n  neighbor 192.0.2.9 activate\n  neighbor 192.0.2.9 route-map rd-out-1 out\n  \
             neighbor 192.0.2.9 maximum-prefix 5 warning-only\n",
        )
        .replace("timers 30 90", "timers 5 15")
        .replace("maximum-prefix 100 restart 1", "maximum-prefix 90 restart 2")
        .replace("bgp fast-convergence", "bgp bestpath as-path multipath-relax\n bgp graceful-restart")
        .replace(
            "route-map rd-out-1 permit 10\n",
            "bgp as-path access-list mine seq 5 permit ^65002_\nroute-map rd-out-1 permit 5\n match as-path mine\n \
             set community 65001:7\nroute-map rd-out-1 permit 10\n",
        );
    let other = plain.replace("router bgp 65001", "router bgp 65011");
    let mut before = &plain;
    for (what, text) in [("more", &more), ("less", &plain), ("another own AS number", &other), ("as before", &plain)] {
        pair.reload(A, text).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let changed = pair.running(A).await;
        let started = Pair::read(text).await;
        assert_eq!(sorted(&changed), sorted(&started), "{what}");
        // Whoever did it was killed before it was noted.
        pair.believe(A, before);
        pair.reload(A, text).await.unwrap_or_else(|error| panic!("{what}, once more: {error}"));
        assert_eq!(sorted(&pair.running(A).await), sorted(&started), "{what}, once more");
        before = text;
    }
}

/// Lines without their order, which is that of being typed for some of them.
fn sorted(running: &str) -> BTreeSet<&str> {
    running.lines().filter(|line| !line.starts_with(['!', '#'])).collect()
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn commands_of_frrs_own_go_to_the_daemon_that_knows_them_and_viewers_only_look() {
    let pair = Pair::start().await;
    let ask = async |command: &str, access| text(pair.ask(A, command, access).await.expect("it answers"));
    let (summary, error) = ask("show bgp ipv4 unicast summary", Access::Look).await;
    assert!(summary.contains("rd-b") && !error, "{summary}");
    let (interfaces, error) = ask("show interface brief", Access::Look).await;
    assert!(interfaces.contains("rd-b") && !error, "zebra knows it: {interfaces}");
    let (hostname, _) = ask("zebra show version", Access::Look).await;
    assert!(hostname.starts_with("FRRouting"), "{hostname}");
    for command in ["show route bogus", "zebra show route all"] {
        let (words, error) = ask(command, Access::Full).await;
        assert!(error && words.contains("`show route PREFIX`"), "{command}: {words}");
    }
    let (unknown, error) = ask("show nonsense", Access::Look).await;
    assert!(unknown.contains("Unknown command") && error, "{unknown}");
    let denied = ("Access denied".to_owned(), true);
    for command in
        ["enable", "en", "clear bgp *", "configure terminal", "show bgp ipv4 unicast regexp (.*)*", "zebra enable"]
    {
        assert_eq!(ask(command, Access::Look).await, denied, "{command}");
    }
    let (secrets, error) = ask("show running-config", Access::Look).await;
    assert!(secrets.contains("Unknown command") && error, "bgpd itself refuses it: {secrets}");
    let (running, error) = ask("show running-config", Access::Full).await;
    assert!(running.contains("router bgp 65001") && !error, "{running}");
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn a_command_as_long_as_frr_takes_is_answered_and_a_longer_one_is_not_sent() {
    let pair = Pair::start().await;
    let mut client = Client::connect(pair.socket(A), Duration::from_secs(5)).await.expect("it answers");
    let command = format!("echo {}", "x".repeat(4085));
    assert_eq!(client.ask(&command).await.expect("it is answered").text.trim(), &command[5..]);
    let error = client.ask(&format!("{command}x")).await.expect_err("it is too long");
    assert!(matches!(error, DaemonError::Refused(_)), "{error}");
    assert_eq!(client.ask("echo still here").await.expect("it is answered").text.trim(), "still here");
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn zebra_writes_the_routes_again_that_the_kernel_dropped_with_a_source_address() {
    let pair = Pair::start().await;
    eventually("the route has its source", async || pair.ip(A, "route show 10.2.0.0/16").contains("src 10.255.0.1"))
        .await;
    let dropped = pair.dropped(A).await;
    for round in 0..3 {
        pair.ip(A, "address del 10.255.0.1/32 dev lo");
        // zebra tries at once to write it again, in vain, and not once more when the address is back.
        eventually("zebra has given up", async || {
            let answer = pair.ask(A, "show ip route 10.2.0.0/16 json", Access::Look).await.expect("it answers");
            !text(answer).0.contains("\"installed\":true") && pair.ip(A, "route show 10.2.0.0/16").is_empty()
        })
        .await;
        pair.ip(A, "address add 10.255.0.1/32 dev lo");
        assert_eq!(pair.ip(A, "route show 10.2.0.0/16"), "", "round {round}: nobody wrote it again");
        // zebra hears of the address later than we do.
        eventually("the route is there again", async || {
            Frr.resync(pair.socket(A)).await.expect("it answers");
            pair.ip(A, "route show 10.2.0.0/16").contains("src 10.255.0.1")
        })
        .await;
        assert!(pair.ip(A, "-6 route show 2001:db8:2::/48").contains("fe80::2"));
    }
    assert_eq!(pair.dropped(A).await, dropped);
    assert!(pair.running(B).await.contains("router bgp 65002"), "and the other is left alone");
}

#[tokio::test]
#[ignore = "needs root: FRR becomes the user frr"]
async fn a_stopped_daemon_is_no_answer_even_when_nobody_more_can_wait_for_it() {
    let pair = Pair::start().await;
    pair.signal(A, "bgpd", nix::sys::signal::Signal::SIGSTOP);
    let short = Duration::from_millis(200);
    // Its backlog is 5; who comes then is sent away at once, and tries again.
    let mut waiting = Vec::new();
    for _ in 0..10 {
        match Client::connect(pair.socket(A), short).await {
            Ok(client) => waiting.push(client),
            Err(error) => assert!(matches!(error, DaemonError::NoAnswer { .. }), "{error}"),
        }
    }
    assert!(waiting.len() < 10);
    let error = waiting[0].ask("echo x").await.expect_err("it is stopped");
    assert!(matches!(error, DaemonError::NoAnswer { .. }), "{error}");
    let late = tokio::spawn({
        let socket = pair.socket(A).to_owned();
        async move { Client::connect(&socket, Duration::from_secs(5)).await }
    });
    drop(waiting);
    pair.signal(A, "bgpd", nix::sys::signal::Signal::SIGCONT);
    let mut client = late.await.expect("it ends").expect("there is room again");
    assert_eq!(client.ask("echo x").await.expect("it is answered").text.trim(), "x");
}

#[tokio::test]
async fn a_configuration_is_checked_without_a_running_daemon() {
    let text = config(A, &["10.2.0.0/16"], "");
    Frr.check(Program::Bgpd, &text).await.expect("it is a configuration");
    for (bad, line, words) in [
        (
            "router bgp 65001\n neighbor 10.0.0.1 remote-as 65002\n neighbor 10.0.0.1 unknown\n",
            3,
            "neighbor 10.0.0.1 unknown",
        ),
        ("router bgp 65001\n neighbor 10.0.0.9 description x\n", 2, "Specify remote-as"),
        ("ip prefix-list a seq 5 permit 10.0.0.0/16 le 8\n", 1, "Invalid prefix range"),
        ("router bgp 1\nspanning-tree\n", 2, "not known, or not accepted: spanning-tree"),
    ] {
        let error = Frr.check(Program::Bgpd, bad).await.expect_err("it is none");
        assert!(
            matches!(&error, DaemonError::Config(all) if matches!(all.errors(), [error] if error.line == line && error.message.contains(words))),
            "{error:?}"
        );
    }
    let bad = "hostname x\nspanning-tree\nrouter bgp 1\n timers bgp 1 2 3\n neighbor 10.0.0.9 description x\n";
    let error = Frr.check(Program::Bgpd, bad).await.expect_err("it is none");
    let DaemonError::Config(all) = error else { panic!("{error:?}") };
    assert_eq!(all.errors().iter().map(|error| error.line).collect::<Vec<_>>(), [2, 4, 5], "{all}");
    assert!(Frr.version().await.expect("frr is installed").starts_with(|c: char| c.is_ascii_digit()));
}
