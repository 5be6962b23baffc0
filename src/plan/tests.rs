//! The planner against a machine that exists only as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::{
    Action, Conflict, Desired, DesiredDaemon, DesiredDomain, DesiredFile, DesiredFilter, DesiredInterface, DesiredVeth,
    FileOwner, InterfaceKind, Layout, NamespaceState, Observed, ObservedDomain, ObservedLink, Plan, RouteSpec, Stage,
    VethEnd, plan,
};
use crate::model::{DaemonKind, DomainName, InterfaceName, Origin, Program};

pub(super) fn name(name: &str) -> DomainName {
    DomainName::new(name).unwrap()
}

pub(super) fn interface(name: &str) -> InterfaceName {
    InterfaceName::new(name).unwrap()
}

pub(super) fn layout() -> Layout {
    Layout::new("/run/rdsup", "/var/lib/rdsup")
}

fn domain(label: &str) -> DesiredDomain {
    let layout = layout();
    let domain = name(label);
    let config = layout.daemon_config(&domain, Program::Bird);
    let lo = DesiredInterface {
        kind: InterfaceKind::Loopback,
        addresses: BTreeSet::from(["192.0.2.1/32".parse().unwrap()]),
        first: BTreeSet::new(),
        mtu: None,
        sysctls: BTreeMap::new(),
        alias: None,
        origin: Origin::default(),
    };
    DesiredDomain {
        sysctls: BTreeMap::from([("net/ipv4/ip_forward".to_owned(), "1".to_owned())]),
        filter: DesiredFilter { path: layout.filter(&domain), text: Arc::from(format!("# {label}")) },
        files: vec![DesiredFile {
            path: config.clone(),
            text: "router id 192.0.2.1;".into(),
            mode: 0o640,
            owner: FileOwner::DaemonGroup(DaemonKind::Bird),
        }],
        interfaces: BTreeMap::from([(InterfaceName::loopback(), lo)]),
        routes: BTreeSet::from([RouteSpec::own("198.51.100.0/24".parse().unwrap(), "unreachable")]),
        route_origins: BTreeMap::new(),
        daemon: Some(DesiredDaemon { kind: DaemonKind::Bird, programs: [Program::Bird].into(), config }),
        origin: Origin { line: 1 },
    }
}

fn link(desired: &mut Desired, first: &str, second: &str) {
    let ends = [(first, second, "fe80::1/64"), (second, first, "fe80::2/64")];
    for (here, there, address) in ends {
        let end = DesiredInterface {
            kind: InterfaceKind::Link,
            addresses: BTreeSet::from([address.parse().unwrap()]),
            first: BTreeSet::new(),
            mtu: None,
            sysctls: BTreeMap::new(),
            alias: Some(format!("rdsup /run/rdsup link {first}--{second}")),
            origin: Origin { line: 2 },
        };
        let domain = desired.domains.get_mut(&name(here)).unwrap();
        domain.interfaces.insert(interface(&format!("rd-{there}")), end);
        let mut route = RouteSpec::own("203.0.113.0/24".parse().unwrap(), "unicast");
        route.dev = Some(interface(&format!("rd-{there}")));
        route.via = Some("fe80::1".parse().unwrap());
        route.metric = Some(u32::try_from(domain.routes.len()).unwrap());
        domain.routes.insert(route);
    }
    let end = |here: &str, there: &str| VethEnd { domain: name(here), interface: interface(&format!("rd-{there}")) };
    desired.veths.push(DesiredVeth { ends: [end(first, second), end(second, first)], origin: Origin { line: 2 } });
}

pub(super) fn three_domains() -> Desired {
    let mut desired = Desired::default();
    for label in ["internet", "private", "hostile"] {
        desired.domains.insert(name(label), domain(label));
    }
    link(&mut desired, "private", "internet");
    link(&mut desired, "hostile", "internet");
    desired
}

/// A desired state in which `private` claims `eth1`, and a host that has it.
pub(super) fn with_claimed_interface() -> (Desired, Observed) {
    let mut desired = three_domains();
    let eth1 = DesiredInterface {
        kind: InterfaceKind::Physical,
        addresses: BTreeSet::from(["203.0.113.2/30".parse().unwrap()]),
        first: BTreeSet::new(),
        mtu: None,
        sysctls: BTreeMap::new(),
        alias: None,
        origin: Origin { line: 9 },
    };
    desired.domains.get_mut(&name("private")).unwrap().interfaces.insert(interface("eth1"), eth1);
    let mut route = RouteSpec::own("0.0.0.0/0".parse().unwrap(), "unicast");
    route.protocol = 3;
    route.dev = Some(interface("eth1"));
    let link = ObservedLink {
        up: true,
        mtu: 1500,
        hardware: Some("02:00:00:00:00:01".to_owned()),
        addresses: BTreeSet::from(["10.0.0.2/24".parse().unwrap()]),
        routes: BTreeSet::from([route]),
        ..ObservedLink::default()
    };
    let mut observed = Observed::default();
    observed
        .domains
        .insert(Layout::host(), ObservedDomain { namespace: NamespaceState::Ours, ..ObservedDomain::default() });
    observed.domains.get_mut(&Layout::host()).unwrap().links.insert(interface("eth1"), link);
    (desired, observed)
}

pub(super) fn carry_out(observed: &mut Observed, plan: &Plan) {
    for step in plan.steps() {
        observed.carry_out(step);
    }
}

pub(super) fn lines(plan: &Plan) -> Vec<String> {
    plan.steps().map(ToString::to_string).collect()
}

#[test]
fn a_second_plan_is_empty() {
    let desired = three_domains();
    let mut observed = Observed::default();
    let first = plan(&desired, &observed, &layout()).unwrap();
    carry_out(&mut observed, &first);
    assert_eq!(lines(&plan(&desired, &observed, &layout()).unwrap()), Vec::<String>::new());
}

#[test]
fn no_link_is_made_before_both_ends_are_filtered() {
    let first = plan(&three_domains(), &Observed::default(), &layout()).unwrap();
    let last_filter = first.steps().rposition_of(|action| matches!(action, Action::LoadFilter { .. }));
    let first_link = first.steps().position(|step| matches!(step.action, Action::AddVeth { .. })).unwrap();
    let first_up = first.steps().position(|step| matches!(step.action, Action::SetUp { .. })).unwrap();
    assert!(last_filter < first_link && first_link < first_up);
}

trait LastPosition {
    fn rposition_of(self, wanted: impl Fn(&Action) -> bool) -> usize;
}

impl<'a, I: Iterator<Item = &'a super::Step>> LastPosition for I {
    fn rposition_of(self, wanted: impl Fn(&Action) -> bool) -> usize {
        self.enumerate().filter(|(_, step)| wanted(&step.action)).last().unwrap().0
    }
}

#[test]
fn of_a_domain_that_nothing_asks_for_even_an_empty_directory_goes_and_with_it_its_name() {
    let mut observed = Observed::default();
    observed.domains.insert(name("a"), ObservedDomain { directory: true, ..ObservedDomain::default() });
    let steps = plan(&Desired::default(), &observed, &layout()).unwrap();
    let lines: Vec<String> = steps.steps().map(ToString::to_string).collect();
    assert_eq!(lines.first().unwrap(), "ip netns delete a");
    assert_eq!(lines.last().unwrap(), "rm -rf /run/rdsup/a");
    steps.steps().for_each(|step| observed.carry_out(step));
    assert!(plan(&Desired::default(), &observed, &layout()).unwrap().is_empty());
}

#[test]
fn taking_everything_down_leaves_nothing() {
    let (desired, mut observed) = with_claimed_interface();
    let before = observed.domains[&Layout::host()].links.clone();
    let up = plan(&desired, &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    assert!(observed.records.contains_key(&interface("eth1")));
    let down = plan(&Desired::default(), &observed, &layout()).unwrap();
    carry_out(&mut observed, &down);
    for (domain, left) in &observed.domains {
        assert!(domain.is_host() || left.is_empty(), "{domain} left {left:?}");
    }
    let mut after = observed.domains[&Layout::host()].links.clone();
    after.get_mut("eth1").unwrap().own_addresses.clear();
    assert_eq!(after, before, "the host's interface is as it was");
    assert!(observed.records.is_empty());
}

#[test]
fn an_interface_whose_record_is_lost_goes_back_to_the_host_all_the_same_and_is_named() {
    let (desired, mut observed) = with_claimed_interface();
    let up = plan(&desired, &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    observed.records.clear();
    let down = plan(&Desired::default(), &observed, &layout()).unwrap();
    assert_eq!(down.bare, [interface("eth1")]);
    carry_out(&mut observed, &down);
    assert!(observed.domains[&Layout::host()].links.contains_key("eth1"));
}

#[test]
fn an_interface_that_was_renamed_in_its_domain_gets_back_what_it_had_under_its_new_name() {
    let (desired, mut observed) = with_claimed_interface();
    let before = observed.domains[&Layout::host()].links["eth1"].clone();
    let up = plan(&desired, &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    let private = observed.domains.get_mut(&name("private")).unwrap();
    let renamed = private.links.remove("eth1").unwrap();
    private.links.insert(interface("foo0"), renamed);
    // As long as the file asks for it, it is where it should be.
    let meanwhile = plan(&desired, &observed, &layout()).unwrap();
    assert!(!lines(&meanwhile).iter().any(|line| line.contains("foo0")), "{:#?}", lines(&meanwhile));
    let down = plan(&Desired::default(), &observed, &layout()).unwrap();
    assert!(down.bare.is_empty());
    carry_out(&mut observed, &down);
    let host = &observed.domains[&Layout::host()].links;
    let after = &host["foo0"];
    assert_eq!((host.len(), after.up, &after.addresses), (1, before.up, &before.addresses));
    let devices: Vec<_> = after.routes.iter().map(|route| route.dev.clone()).collect();
    assert_eq!(devices, [Some(interface("foo0"))]);
    assert!(observed.records.is_empty() && super::lost_interfaces(&observed).is_empty());
}

#[test]
fn a_record_is_used_for_no_other_interface_than_that_it_is_about() {
    let (desired, mut observed) = with_claimed_interface();
    let up = plan(&desired, &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    let private = observed.domains.get_mut(&name("private")).unwrap();
    let claimed = private.links.remove("eth1").unwrap();
    let other = ObservedLink { hardware: Some("02:00:00:00:00:02".to_owned()), mtu: 1400, ..claimed.clone() };
    let stopped = |here: Option<&ObservedLink>, there: Option<&ObservedLink>| {
        let mut observed = observed.clone();
        for (domain, link) in [(Layout::host(), here), (name("private"), there)] {
            let links = &mut observed.domains.get_mut(&domain).unwrap().links;
            links.extend(link.map(|link| (interface("eth1"), link.clone())));
        }
        let down = plan(&Desired::default(), &observed, &layout()).unwrap();
        carry_out(&mut observed, &down);
        let is_lost = !super::lost_interfaces(&observed).is_empty();
        (down.steps().any(|step| step.to_string().starts_with("ip address add 10.0.0.2/24")), down.bare.len(), is_lost)
    };
    assert_eq!(stopped(None, Some(&claimed)), (true, 0, false), "in its domain");
    assert_eq!(stopped(Some(&claimed), None), (true, 0, false), "back in the host");
    assert_eq!(stopped(None, Some(&other)), (false, 1, true), "another one in its domain");
    assert_eq!(stopped(Some(&other), None), (false, 0, true), "another one in the host");
    assert_eq!(stopped(None, None), (false, 0, true), "gone");
}

#[test]
fn what_a_claimed_interface_will_not_get_back_is_named_when_it_is_claimed_and_not_again() {
    let (desired, mut observed) = with_claimed_interface();
    let host = observed.domains.get_mut(&Layout::host()).unwrap();
    let many = (1..=10).map(|n| format!("neighbor 10.0.0.{n}")).collect();
    host.links.get_mut("eth1").unwrap().unkept = many;
    let up = plan(&desired, &observed, &layout()).unwrap();
    let told: Vec<String> = up.not_given_back().collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("interface eth1 is not given back at stop with: neighbor 10.0.0.1, "), "{told:?}");
    assert!(told[0].ends_with(" and 2 more"), "{told:?}");
    carry_out(&mut observed, &up);
    assert_eq!(plan(&desired, &observed, &layout()).unwrap().not_given_back().count(), 0);
}

#[test]
fn one_of_the_two_records_of_an_interface_is_enough_and_the_other_is_written_again() {
    let (desired, mut observed) = with_claimed_interface();
    let up = plan(&desired, &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    let paths = layout().interface_record(&interface("eth1"));
    assert!(DomainName::new(paths[1].file_name().unwrap().to_str().unwrap()).is_err(), "a domain has this directory");
    for path in paths {
        assert_eq!(Layout::interface_of_record(&path), Some(interface("eth1")));
        observed.records_lost.insert(path.clone());
        let repair = plan(&desired, &observed, &layout()).unwrap();
        assert_eq!(lines(&repair), [format!("install -m 0600 /dev/stdin {}", path.display())]);
        let found = super::found(&repair, &observed);
        assert_eq!(found[&name("private")], ["what is remembered of interface eth1 was lost"]);
        carry_out(&mut observed, &repair);
    }
    assert!(plan(&desired, &observed, &layout()).unwrap().is_empty());
    assert_eq!(Layout::interface_of_record("/run/rdsup/generation.json".as_ref()), None);
    assert_eq!(Layout::interface_of_record("/run/rdsup/private/bird.json".as_ref()), None);
}

#[test]
fn daemons_stop_before_links_go_down_and_links_before_namespaces() {
    let mut observed = Observed::default();
    let up = plan(&three_domains(), &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    let down = plan(&Desired::default(), &observed, &layout()).unwrap();
    let stages: Vec<Stage> = down.stages().into_keys().collect();
    assert_eq!(stages, [Stage::StopDaemons, Stage::Unlink, Stage::RemoveLinks, Stage::RemoveDomains]);
}

#[test]
fn a_route_of_the_host_through_its_own_interface_converges_and_goes_at_the_end() {
    let mut desired = three_domains();
    let mut host = domain("host");
    host.interfaces.clear();
    host.daemon = None;
    let mut route = RouteSpec::own("10.9.0.0/16".parse().unwrap(), "unicast");
    route.dev = Some(interface("eth0"));
    host.routes = BTreeSet::from([route.clone()]);
    desired.domains.insert(Layout::host(), host);
    let mut observed = Observed::default();
    // The machine's own interfaces are not observed; the route through one of them is, by its protocol.
    observed.domains.entry(Layout::host()).or_default().namespace = NamespaceState::Ours;
    let up = plan(&desired, &observed, &layout()).unwrap();
    assert!(lines(&up).contains(&"ip -4 route replace 10.9.0.0/16 dev eth0 proto 114".to_owned()));
    observed
        .domains
        .get_mut(&Layout::host())
        .unwrap()
        .links
        .insert(interface("eth0"), ObservedLink { up: true, ..ObservedLink::default() });
    carry_out(&mut observed, &up);
    observed.domains.get_mut(&Layout::host()).unwrap().links.clear();
    assert_eq!(lines(&plan(&desired, &observed, &layout()).unwrap()), Vec::<String>::new());
    let down = plan(&Desired::default(), &observed, &layout()).unwrap();
    assert!(lines(&down).contains(&"ip -4 route delete 10.9.0.0/16 dev eth0 proto 114".to_owned()));
}

#[test]
fn a_missing_interface_is_reported_and_everything_else_is_done() {
    let (mut desired, _) = with_claimed_interface();
    let mut by_gateway = RouteSpec::own("0.0.0.0/0".parse().unwrap(), "unicast");
    by_gateway.via = Some("203.0.113.1".parse().unwrap());
    let by_name = RouteSpec { to: "10.77.0.0/16".parse().unwrap(), dev: Some(interface("eth1")), ..by_gateway.clone() };
    desired.domains.get_mut(&name("private")).unwrap().routes.extend([by_gateway, by_name]);
    let first = plan(&desired, &Observed::default(), &layout()).unwrap();
    assert!(!first.steps().any(|step| step.to_string().contains("203.0.113.1")), "routes by it wait for it");
    assert_eq!(first.missing.len(), 1);
    assert_eq!(first.missing[0].interface, interface("eth1"));
    assert!(first.steps().any(|step| matches!(step.action, Action::StartDaemon { .. })));
    assert!(!first.steps().any(|step| step.to_string().contains("eth1")));
}

#[test]
fn a_foreign_namespace_is_a_conflict_and_nothing_is_planned() {
    let mut observed = Observed::default();
    let foreign = NamespaceState::Foreign("no inet rdsup table".to_owned());
    observed.domains.insert(name("private"), ObservedDomain { namespace: foreign, ..ObservedDomain::default() });
    let conflicts = plan(&three_domains(), &observed, &layout()).unwrap_err();
    assert!(matches!(&conflicts[..], [Conflict::ForeignNamespace { domain, .. }] if domain.as_str() == "private"));
}

#[test]
fn a_foreign_interface_of_a_links_name_is_a_conflict() {
    let mut observed = Observed::default();
    let up = plan(&three_domains(), &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    let private = observed.domains.get_mut(&name("private")).unwrap();
    private
        .links
        .insert(interface("rd-internet"), ObservedLink { kind: "bridge".to_owned(), ..ObservedLink::default() });
    let conflicts = plan(&three_domains(), &observed, &layout()).unwrap_err();
    assert!(matches!(&conflicts[..], [Conflict::ForeignInterface { .. }]));
}

#[test]
fn a_changed_filter_alone_is_one_step_and_names_its_cause() {
    let mut observed = Observed::default();
    let desired = three_domains();
    let up = plan(&desired, &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    observed.domains.get_mut(&name("private")).unwrap().filter.as_mut().unwrap().text = None;
    let repair = plan(&desired, &observed, &layout()).unwrap();
    assert_eq!(lines(&repair), ["ip netns exec private nft -f /run/rdsup/private/rdsup.nft"]);
    assert!(repair.steps().next().unwrap().cause.is_some());
}

#[test]
fn a_link_that_is_given_no_mtu_any_more_has_the_usual_one_again() {
    let mut observed = Observed::default();
    let wide = |mtu| {
        let mut desired = three_domains();
        let interfaces = desired.domains.values_mut().flat_map(|domain| domain.interfaces.values_mut());
        interfaces.filter(|it| it.kind == InterfaceKind::Link).for_each(|it| it.mtu = mtu);
        desired
    };
    let up = plan(&wide(Some(9000)), &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    let back = plan(&wide(None), &observed, &layout()).unwrap();
    let ends = lines(&back);
    assert!(ends.len() >= 4 && ends.iter().all(|line| line.ends_with(" mtu 1500")), "{ends:?}");
    carry_out(&mut observed, &back);
    assert!(plan(&wide(None), &observed, &layout()).unwrap().is_empty());
}

#[test]
fn an_interface_that_nobody_marked_is_left_alone() {
    let mut observed = Observed::default();
    let desired = three_domains();
    let up = plan(&desired, &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    let private = observed.domains.get_mut(&name("private")).unwrap();
    private
        .links
        .insert(interface("br0"), ObservedLink { kind: "bridge".to_owned(), up: true, ..ObservedLink::default() });
    assert!(plan(&desired, &observed, &layout()).unwrap().is_empty());
}

#[test]
fn the_group_alone_makes_no_interface_ours_and_a_veth_into_a_domain_without_an_alias_is() {
    let mut observed = Observed::default();
    let desired = three_domains();
    let up = plan(&desired, &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    let in_group = |kind: &str, peer: Option<(DomainName, &str)>| ObservedLink {
        kind: kind.to_owned(),
        group: super::LINK_GROUP,
        up: true,
        peer: peer.map(|(domain, name)| (domain, interface(name))),
        ..ObservedLink::default()
    };
    let host = observed.domains.entry(Layout::host()).or_default();
    host.namespace = NamespaceState::Ours;
    for (name, link) in [
        ("dummy0", in_group("dummy", None)),
        ("foreign", in_group("veth", None)),
        ("one", in_group("veth", Some((Layout::host(), "two")))),
        ("two", in_group("veth", Some((Layout::host(), "one")))),
        ("half", in_group("veth", Some((name("private"), "made")))),
    ] {
        host.links.insert(interface(name), link);
    }
    let private = observed.domains.get_mut(&name("private")).unwrap();
    private.links.insert(interface("made"), in_group("veth", Some((Layout::host(), "half"))));
    private.links.insert(interface("macvlan0"), in_group("macvlan", None));
    let repair = plan(&desired, &observed, &layout()).unwrap();
    assert_eq!(
        lines(&repair),
        ["ip link set half down", "ip -n private link set made down", "ip link delete half"],
        "what was made and not yet marked goes, and nothing else"
    );
    carry_out(&mut observed, &repair);
    let down = plan(&Desired::default(), &observed, &layout()).unwrap();
    carry_out(&mut observed, &down);
    let left: Vec<&str> = observed.domains[&Layout::host()].links.keys().map(InterfaceName::as_str).collect();
    assert_eq!(left, ["dummy0", "foreign", "one", "two"]);
}

/// `rd-internet` of `private` with another name, as somebody left it.
fn renamed(observed: &mut Observed, up: bool) {
    let links = &mut observed.domains.get_mut(&name("private")).unwrap().links;
    let mut end = links.remove("rd-internet").unwrap();
    end.up = up;
    links.insert(interface("stolen"), end);
    let peer = observed.domains.get_mut(&name("internet")).unwrap().links.get_mut("rd-private").unwrap();
    peer.peer = Some((name("private"), interface("stolen")));
    let routes = &mut observed.domains.get_mut(&name("private")).unwrap().routes;
    routes.retain(|route| route.dev.is_none());
}

#[test]
fn a_link_that_was_renamed_gets_its_name_again_and_is_not_made_anew() {
    let desired = three_domains();
    let mut observed = Observed::default();
    let up = plan(&desired, &observed, &layout()).unwrap();
    carry_out(&mut observed, &up);
    for is_up in [true, false] {
        renamed(&mut observed, is_up);
        let repair = plan(&desired, &observed, &layout()).unwrap();
        let expected = [
            "ip -n private link set stolen down",
            "ip -n private link set stolen name rd-internet",
            "ip -n private address add fe80::1/64 dev rd-internet nodad",
            "ip -n private link set rd-internet up",
            "ip -n private -4 route replace 203.0.113.0/24 via inet6 fe80::1 dev rd-internet metric 1 proto 114",
        ];
        assert_eq!(lines(&repair), expected[usize::from(!is_up)..]);
        carry_out(&mut observed, &repair);
        assert!(plan(&desired, &observed, &layout()).unwrap().is_empty());
    }
}

/// Ways in which a running network can be damaged from outside.
#[derive(Clone, Debug)]
pub(super) enum Damage {
    Namespace,
    Name,
    Filter,
    ForgetFilter,
    Stacked,
    LinkDown(usize),
    LinkGone(usize),
    Address(usize),
    Routes,
    Daemon,
    Files,
    ExtraLink,
    Record(usize),
}

pub(super) fn damage() -> impl Strategy<Value = (usize, Damage)> {
    let kinds = prop_oneof![
        Just(Damage::Namespace),
        Just(Damage::Name),
        Just(Damage::Filter),
        Just(Damage::ForgetFilter),
        Just(Damage::Stacked),
        (0..4usize).prop_map(Damage::LinkDown),
        (0..4usize).prop_map(Damage::LinkGone),
        (0..4usize).prop_map(Damage::Address),
        Just(Damage::Routes),
        Just(Damage::Daemon),
        Just(Damage::Files),
        Just(Damage::ExtraLink),
        (0..2usize).prop_map(Damage::Record),
    ];
    (0..3usize, kinds)
}

pub(super) fn inflict(observed: &mut Observed, victim: usize, damage: &Damage) {
    let label = name(["internet", "private", "hostile"][victim]);
    let remove_peers = |observed: &mut Observed, gone: Vec<ObservedLink>| {
        for (domain, other) in gone.into_iter().filter_map(|link| link.peer) {
            if let Some(domain) = observed.domains.get_mut(&domain) {
                domain.links.remove(&other);
                domain.routes.retain(|route| route.dev.as_ref() != Some(&other));
            }
        }
    };
    let domain = observed.domains.get_mut(&label).unwrap();
    let nth = |domain: &ObservedDomain, n: usize| domain.links.keys().cycle().nth(n).cloned();
    match damage {
        Damage::Namespace => {
            let gone = std::mem::take(domain);
            domain.files = gone.files;
            remove_peers(observed, gone.links.into_values().collect());
        }
        Damage::Name if domain.namespace.is_ours() => domain.namespace = NamespaceState::Unnamed,
        Damage::Name => {}
        Damage::Filter => domain.filter = None,
        Damage::ForgetFilter => domain.filter.iter_mut().for_each(|filter| filter.text = None),
        Damage::Stacked => drop(domain.stacked.insert(super::STACKED.to_owned())),
        Damage::LinkDown(n) => {
            let Some(interface) = nth(domain, *n) else { return };
            let link = domain.links.get_mut(&interface).unwrap();
            link.up = false;
            link.addresses.retain(|address| address.addr().is_ipv4());
            link.own_addresses.retain(|address| address.addr().is_ipv4());
            domain.routes.retain(|route| route.dev.as_ref() != Some(&interface));
        }
        Damage::LinkGone(n) => {
            let Some(interface) = nth(domain, *n).filter(|name| name.as_str() != "lo") else { return };
            let gone = domain.links.remove(&interface).unwrap();
            domain.routes.retain(|route| route.dev.as_ref() != Some(&interface));
            remove_peers(observed, vec![gone]);
        }
        Damage::Address(n) => {
            let Some(interface) = nth(domain, *n) else { return };
            let link = domain.links.get_mut(&interface).unwrap();
            link.addresses.clear();
            link.own_addresses.clear();
        }
        Damage::Routes => domain.routes.clear(),
        Damage::Daemon => domain.daemon = super::ObservedDaemon::Stopped,
        Damage::Files => domain.files.clear(),
        Damage::Record(n) => {
            let [first, second] = layout().interface_record(&interface("eth1"));
            let (lost, other) = if *n == 0 { (first, second) } else { (second, first) };
            if observed.records.contains_key("eth1") && !observed.records_lost.contains(&other) {
                observed.records_lost.insert(lost);
            }
        }
        Damage::ExtraLink => {
            let alias = Some("rdsup /run/rdsup link old".to_owned());
            let link = ObservedLink { group: super::LINK_GROUP, alias, up: true, ..ObservedLink::default() };
            domain.links.insert(interface("rd-old"), link);
        }
    }
}

proptest! {
    #[test]
    fn any_damage_is_repaired_by_one_plan(damages in prop::collection::vec(damage(), 1..8), cut in 0..200usize) {
        let (desired, mut observed) = with_claimed_interface();
        let up = plan(&desired, &observed, &layout()).unwrap();
        carry_out(&mut observed, &up);
        for (victim, damage) in &damages {
            inflict(&mut observed, *victim, damage);
        }
        // The repair itself may be cut short anywhere; the next plan takes it from there.
        let repair = plan(&desired, &observed, &layout()).unwrap();
        for step in repair.steps().take(cut) {
            observed.carry_out(step);
        }
        let rest = plan(&desired, &observed, &layout()).unwrap();
        carry_out(&mut observed, &rest);
        let left = plan(&desired, &observed, &layout()).unwrap();
        prop_assert_eq!(lines(&left), Vec::<String>::new());
    }

    #[test]
    fn a_start_cut_short_anywhere_is_finished_by_the_next(cut in 0..200usize) {
        let desired = three_domains();
        let mut observed = Observed::default();
        let up = plan(&desired, &observed, &layout()).unwrap();
        let done: Vec<_> = up.steps().take(cut).cloned().collect();
        for step in &done {
            observed.carry_out(step);
        }
        // A namespace that was not published vanishes with its maker, and takes its filter along.
        let unpublished: Vec<DomainName> = observed
            .domains
            .iter()
            .filter(|(name, domain)| domain.namespace == NamespaceState::Absent && !name.is_host())
            .map(|(name, _)| name.clone())
            .collect();
        for name in unpublished {
            let domain = observed.domains.get_mut(&name).unwrap();
            let files = std::mem::take(&mut domain.files);
            *domain = ObservedDomain { files, ..ObservedDomain::default() };
        }
        let rest = plan(&desired, &observed, &layout()).unwrap();
        carry_out(&mut observed, &rest);
        prop_assert!(plan(&desired, &observed, &layout()).unwrap().is_empty());
    }
}
