//! What is heard of namespaces, against the real kernel.

mod sys_world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rdsup::model::InterfaceName;
use rdsup::plan::Action;
use rdsup::sys::watch::Watch;
use sys_world::{domain, in_own_host, machine, make_domain, output, run};

/// Whether something was heard within a time that is long for the kernel and short for a test.
async fn hears(watch: &Watch) -> bool {
    let heard = tokio::time::timeout(Duration::from_millis(500), watch.changes().heard()).await.is_ok();
    watch.changes().take();
    heard
}

#[test]
fn what_happens_to_links_own_addresses_filters_and_names_is_heard_and_what_others_do_is_not() {
    in_own_host("what_happens_to_links_own_addresses_filters_and_names_is_heard_and_what_others_do_is_not", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        let mut watch = Watch::new();
        watch.follow(&machine.namespaces(), BTreeSet::new()).await;
        assert!(hears(&watch).await, "new namespaces are to be looked at");
        assert!(!hears(&watch).await);
        output("ip", &["-n", "a", "link", "set", "lo", "up"]);
        assert!(hears(&watch).await, "a link that goes up");
        output("ip", &["-n", "a", "address", "add", "10.0.0.1/32", "dev", "lo"]);
        output("ip", &["-n", "a", "route", "add", "blackhole", "10.1.0.0/16", "proto", "12"]);
        output("ip", &["link", "add", "other", "type", "bridge"]);
        output("ip", &["netns", "add", "other"]);
        assert!(!hears(&watch).await, "what others do");
        let (name, address) = (InterfaceName::loopback(), "10.0.0.2/32".parse().unwrap());
        run(&machine, "a", Action::AddAddress { name, address }).await;
        assert!(hears(&watch).await, "an address of rdsup's");
        output("ip", &["-n", "a", "address", "delete", "10.0.0.2/32", "dev", "lo"]);
        assert!(hears(&watch).await, "an address of rdsup's that goes");
        output("ip", &["-n", "a", "route", "add", "blackhole", "10.2.0.0/16", "proto", "114"]);
        assert!(hears(&watch).await, "a route of rdsup's protocol");
        output("umount", &["/run/netns/a"]);
        assert!(hears(&watch).await, "a name that is gone");
        let inside = machine.namespaces().remove(&domain("a")).unwrap();
        let flush = move || drop(output("nft", &["flush", "ruleset"]));
        inside.run_async(flush).await.unwrap();
        let filters = tokio::time::timeout(Duration::from_secs(5), watch.changes().filters()).await.unwrap();
        assert_eq!(filters.into_keys().collect::<Vec<_>>(), [domain("a")]);
    });
}

#[test]
fn without_file_descriptors_nothing_fails_and_listening_begins_when_there_are_some() {
    in_own_host("without_file_descriptors_nothing_fails_and_listening_begins_when_there_are_some", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        let namespaces = machine.namespaces();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let mut watch = Watch::new();
        setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
        watch.follow(&namespaces, BTreeSet::new()).await;
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        assert!(!hears(&watch).await);
        watch.follow(&namespaces, BTreeSet::new()).await;
        assert!(hears(&watch).await, "namespaces that are listened in only now are to be looked at");
        output("ip", &["-n", "a", "link", "set", "lo", "up"]);
        assert!(hears(&watch).await);
    });
}

#[test]
fn a_namespace_that_is_let_go_is_not_kept_alive() {
    in_own_host("a_namespace_that_is_let_go_is_not_kept_alive", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        // A link to it dies with it.
        output("ip", &["link", "add", "here", "type", "veth", "peer", "name", "there", "netns", "a"]);
        let mut watch = Watch::new();
        watch.follow(&machine.namespaces(), BTreeSet::new()).await;
        run(&machine, "a", Action::RemoveNamespace).await;
        assert!(output("ip", &["-o", "link"]).contains("here"), "its sockets keep it alive");
        watch.follow(&machine.namespaces(), BTreeSet::new()).await;
        let gone = async {
            while output("ip", &["-o", "link"]).contains("here") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("it goes with its last socket");
        watch.follow(&BTreeMap::new(), BTreeSet::new()).await;
    });
}
