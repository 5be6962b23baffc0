//! What a sound file means: defaults, derived values and the order of things.

use std::path::{Path, PathBuf};

use rdsup::config::{self, Loaded};
use rdsup::model::{DaemonKind, Domain, Link, Network, PacketMatch, PortProtocol, PortRange, Role, RouteKind, Routing};

/// No file is there.
fn no_files(_: &Path) -> Result<String, String> {
    Err("there is no such file".to_owned())
}

fn load(text: &str) -> Loaded {
    config::read(Path::new("test.toml"), text, &mut no_files)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

fn network(text: &str) -> Network {
    load(text).network
}

fn domain<'n>(network: &'n Network, name: &str) -> &'n Domain {
    network.domains.iter().find(|domain| domain.name.as_str() == name).expect("the domain")
}

/// Two domains and a link, with `more` after it.
fn two_domains(in_alpha: &str, in_link: &str, more: &str) -> String {
    format!(
        r#"[domain.zeta]
asn = 65001
loopback = ["10.1.0.1/32", "fd01::1/128"]
networks = ["10.1.0.0/16", "fd01::/48"]
{in_alpha}

[domain.alpha]
asn = 65002
loopback = ["10.2.0.1/32", "fd02::1/128"]
networks = ["10.2.0.0/16", "fd02::/48"]

[[link]]
between = ["zeta", "alpha"]
{in_link}
[link.into.zeta]
routes = ["10.2.0.0/16 le 24", "fd02::/48"]
[link.into.alpha]
routes = ["any"]
packets = ["tcp/80,443", "udp/8000-8080", "tcp", "icmp", "gre", "47", "any"]
{more}"#
    )
}

fn only_link(network: &Network) -> &Link {
    let [link] = network.links.as_slice() else { panic!("one link") };
    link
}

#[test]
fn domains_stay_in_the_order_of_the_file() {
    let network = network(&two_domains("", "", ""));
    let names: Vec<&str> = network.domains.iter().map(|domain| domain.name.as_str()).collect();
    assert_eq!(names, ["zeta", "alpha"]);
    assert_eq!(network.domains[0].origin.line, 1);
    assert_eq!(network.domains[1].origin.line, 7);
    assert_eq!(only_link(&network).origin.line, 13);
}

#[test]
fn what_the_file_leaves_out_has_the_documented_defaults() {
    let network = network(&two_domains("", "", ""));
    assert_eq!(network.settings.run_dir, PathBuf::from("/run/rdsup"));
    assert_eq!(network.settings.state_dir, PathBuf::from("/var/lib/rdsup"));
    assert_eq!(network.settings.templates, None);
    let zeta = domain(&network, "zeta");
    assert_eq!(zeta.daemon, DaemonKind::Bird);
    assert!(zeta.families.ipv4 && zeta.families.ipv6);
    assert_eq!(zeta.router_id, Some([10, 1, 0, 1].into()));
    let link = only_link(&network);
    assert_eq!((link.routing, link.max_path, link.mtu), (Routing::Bgp, 64, None));
    for end in &link.ends {
        assert_eq!(end.accept.max_prefixes, 10_000);
        assert_eq!(end.accept.preference, None);
    }
}

#[test]
fn the_ends_of_a_link_are_named_after_the_peer_and_have_fixed_link_local_addresses() {
    let network = network(&two_domains("", "", ""));
    let [first, second] = &only_link(&network).ends;
    assert_eq!((first.domain.as_str(), first.interface.as_str()), ("zeta", "rd-alpha"));
    assert_eq!((second.domain.as_str(), second.interface.as_str()), ("alpha", "rd-zeta"));
    assert_eq!(first.link_local.to_string(), "fe80::1");
    assert_eq!(second.link_local.to_string(), "fe80::2");
}

#[test]
fn a_link_with_frr_at_an_end_gets_addresses_that_its_session_can_use() {
    let of = |line: &str, link: &str, first: &str, second: &str| {
        let text = two_domains(line, link, "");
        let (head, tail) = text.split_once("[domain.alpha]\n").unwrap();
        let network =
            network(&format!("{}[domain.alpha]\n{second}{tail}", head.replacen("asn", &format!("{first}asn"), 1)));
        only_link(&network).ends.clone().map(|end| end.addresses.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let frr = "daemon = \"frr\"\n";
    for (first, second) in [(frr, ""), ("", frr), (frr, frr)] {
        let [one, other] = of("", "", first, second);
        assert_eq!((one.len(), other.len()), (1, 1), "{first:?} {second:?}");
        assert!(one[0].starts_with("fd72:6473:7570:0:") && one[0].ends_with("/127"), "{one:?}");
        assert_ne!(one, other);
        // What the file gives and a session can use is enough; an IPv4 address alone is not, where IPv6 is routed too.
        assert_eq!(of("", "addresses = [\"fd00::/127\"]", first, second), [["fd00::/127"], ["fd00::1/127"]]);
        assert_eq!(of("", "addresses = [\"10.9.9.0/31\"]", first, second).map(|end| end.len()), [2, 2]);
    }
    assert_eq!(of("", "", "", ""), [[""; 0]; 2]);
}

#[test]
fn a_named_link_names_both_ends() {
    let network = network(&two_domains("", "name = \"abcdefghijkl\"", ""));
    for end in &only_link(&network).ends {
        assert_eq!(end.interface.as_str(), "rd-abcdefghijkl");
    }
}

#[test]
fn numbered_ends_have_the_first_two_usable_addresses() {
    for (prefix, first, second) in [
        ("169.254.0.0/31", "169.254.0.0/31", "169.254.0.1/31"),
        ("169.254.0.4/30", "169.254.0.5/30", "169.254.0.6/30"),
        ("fd00::/127", "fd00::/127", "fd00::1/127"),
        ("fd00::4/126", "fd00::5/126", "fd00::6/126"),
        ("fd00::/64", "fd00::1/64", "fd00::2/64"),
    ] {
        let network = network(&two_domains("", &format!("addresses = [\"{prefix}\"]"), ""));
        let [a, b] = &only_link(&network).ends;
        assert_eq!(a.addresses[0].to_string(), first);
        assert_eq!(b.addresses[0].to_string(), second);
    }
}

#[test]
fn any_means_every_prefix_of_the_families_that_both_ends_route() {
    let both = network(&two_domains("", "", ""));
    let routes: Vec<(String, u8, u8)> =
        only_link(&both).ends[1].accept.routes.iter().map(|p| (p.prefix.to_string(), p.ge, p.le)).collect();
    assert_eq!(routes, [("0.0.0.0/0".to_owned(), 0, 32), ("::/0".to_owned(), 0, 128)]);
    let text = two_domains("", "", "").replace("\"fd01::1/128\"", "").replace(", \"fd01::/48\"", "");
    let text = text
        .replace("asn = 65001", "asn = 65001\nfamilies = [\"ipv4\"]")
        .replace(", \"fd02::/48\"]\n[link", "]\n[link");
    let one = network(&text);
    assert_eq!(only_link(&one).ends[1].accept.routes.len(), 1);
}

#[test]
fn packets_are_read_in_every_form() {
    let network = network(&two_domains("", "", ""));
    let range = |first, last| PortRange { first, last };
    assert_eq!(
        only_link(&network).ends[1].accept.packets,
        [
            PacketMatch::Ports(PortProtocol::Tcp, vec![range(80, 80), range(443, 443)]),
            PacketMatch::Ports(PortProtocol::Udp, vec![range(8000, 8080)]),
            PacketMatch::Ports(PortProtocol::Tcp, vec![]),
            PacketMatch::Icmp,
            PacketMatch::Protocol(47),
            PacketMatch::Any,
        ]
    );
}

#[test]
fn a_link_keeps_its_mark_when_others_come_and_its_ends_are_turned_around() {
    let alone = network(&two_domains("", "", ""));
    let mark = only_link(&alone).mark;
    assert!((1..1 << 30).contains(&mark));
    let turned = network(&two_domains("", "", "").replace("[\"zeta\", \"alpha\"]", "[\"alpha\", \"zeta\"]"));
    assert_eq!(only_link(&turned).mark, mark);
    let more = "[[link]]\nbetween = [\"zeta\", \"alpha\"]\nname = \"b\"\n";
    let two = network(&two_domains("", "", more));
    assert_eq!(two.links[0].mark, mark);
    assert_ne!(two.links[1].mark, mark);
}

const UPLINKS: &str = r#"
[[domain.zeta.interface]]
name = "eth1"
address = ["203.0.113.2/30"]

[[domain.zeta.interface]]
name = "eth2"
address = ["192.0.2.1/24"]

[[domain.zeta.interface]]
name = "eth3"
source_check = true

[[domain.zeta.neighbor]]
name = "by-address"
address = "203.0.113.1"
asn = 64500
routes = ["any"]

[[domain.zeta.neighbor]]
name = "by-interface"
address = "fe80::1"
interface = "eth3"
asn = 64501
"#;

#[test]
fn an_interface_with_a_neighbor_is_outside_and_does_not_check_sources() {
    let network = network(&two_domains(UPLINKS, "", ""));
    let found: Vec<(&str, bool, bool)> = domain(&network, "zeta")
        .interfaces
        .iter()
        .map(|interface| (interface.name.as_str(), interface.outside, interface.source_check))
        .collect();
    assert_eq!(found, [("eth1", true, false), ("eth2", false, true), ("eth3", true, true)]);
}

#[test]
fn a_neighbor_has_the_limits_of_the_outside_and_any_of_its_own_family() {
    let network = network(&two_domains(UPLINKS, "", ""));
    let neighbor = &domain(&network, "zeta").neighbors[0];
    assert_eq!((neighbor.max_prefixes, neighbor.max_path, neighbor.multihop), (10_000, 100, None));
    let routes: Vec<String> = neighbor.routes.iter().map(|pattern| pattern.prefix.to_string()).collect();
    assert_eq!(routes, ["0.0.0.0/0"]);
}

#[test]
fn named_lists_use_other_lists() {
    let text = two_domains(
        "",
        "",
        "[prefixes]\nall = [\"@some\", \"10.2.9.0/24\"]\nsome = [\"10.2.1.0/24\", \"10.2.9.0/24\"]\n",
    );
    let network = network(&text.replace("\"10.2.0.0/16 le 24\"", "\"@all\""));
    let routes: Vec<String> = only_link(&network).ends[0].accept.routes.iter().map(ToString::to_string).collect();
    assert_eq!(routes, ["10.2.1.0/24", "10.2.9.0/24", "fd02::/48"]);
}

#[test]
fn a_link_to_a_domain_without_a_daemon_is_static() {
    let text =
        two_domains("", "", "").replace("asn = 65001", "daemon = \"none\"").replace("[\"any\"]", "[\"10.1.0.0/16\"]");
    let network = network(&text.replace(" le 24", ""));
    assert_eq!(only_link(&network).routing, Routing::Static);
    assert_eq!(domain(&network, "zeta").asn, None);
}

#[test]
fn host_runs_no_daemon_unless_it_says_so_and_needs_no_loopback() {
    let more = "[domain.host]\nforwarding = true\n[[link]]\nbetween = [\"host\", \"zeta\"]\n[link.into.host]\nroutes = [\"10.1.0.0/16\"]\n";
    let network = network(&two_domains("", "", more));
    let host = domain(&network, "host");
    assert!(host.forwarding && host.name.is_host());
    assert_eq!((host.daemon, host.router_id), (DaemonKind::None, None));
    assert_eq!(network.links[0].routing, Routing::Static);
}

#[test]
fn routes_may_use_interfaces_of_links() {
    let routes = r#"
[[domain.zeta.route]]
to = "10.99.0.0/16"
dev = "rd-alpha"
via = "fe80::2"
metric = 7

[[domain.zeta.route]]
to = "10.98.0.0/16"
kind = "prohibit"
"#;
    let network = network(&two_domains(routes, "", ""));
    let zeta = domain(&network, "zeta");
    assert_eq!(zeta.routes[0].metric, Some(7));
    assert!(matches!(&zeta.routes[0].kind, RouteKind::Unicast { via: Some(via), dev: Some(dev) }
        if via.to_string() == "fe80::2" && dev.as_str() == "rd-alpha"));
    assert_eq!(zeta.routes[1].kind, RouteKind::Prohibit);
}

#[test]
fn a_gateway_tells_the_interface_that_leads_to_it() {
    let routes = r#"
[[domain.zeta.interface]]
name = "eth1"
address = ["10.50.0.1/16", "fd50::1/64"]

[[domain.zeta.interface]]
name = "eth2"
address = ["10.50.7.1/24"]

[[domain.zeta.route]]
to = "0.0.0.0/0"
via = "10.50.0.9"

[[domain.zeta.route]]
to = "::/0"
via = "fd50::9"

[[domain.zeta.route]]
to = "10.97.0.0/16"
via = "10.50.7.9"

[[domain.zeta.route]]
to = "10.96.0.0/16"
via = "169.254.7.1"

[[domain.zeta.route]]
to = "10.95.0.1/32"
dev = "eth2"

[[domain.zeta.route]]
to = "10.94.0.0/16"
via = "10.95.0.1"
"#;
    let network = network(&two_domains(routes, "addresses = [\"169.254.7.0/31\"]", ""));
    let leads = |kind: &RouteKind| match kind {
        RouteKind::Unicast { dev, .. } => dev.as_ref().map(ToString::to_string),
        _ => None,
    };
    let devices: Vec<_> = domain(&network, "zeta").routes.iter().filter_map(|route| leads(&route.kind)).collect();
    assert_eq!(devices, ["eth1", "eth1", "eth2", "rd-alpha", "eth2", "eth2"]);
}

#[test]
fn extra_text_knows_the_line_that_it_begins_on() {
    let inline = network(&two_domains("extra = { bird = \"# a\" }", "", ""));
    let extra = domain(&inline, "zeta").extra.as_ref().expect("extra");
    assert_eq!((extra.text.as_str(), extra.origin.line), ("# a", 5));
    let lines = network(&two_domains("extra.bird = '''\n# a\n# b\n'''", "", ""));
    let extra = domain(&lines, "zeta").extra.as_ref().expect("extra");
    assert_eq!((extra.text.as_str(), extra.origin.line), ("# a\n# b", 6));
}

#[test]
fn the_run_dir_of_a_broken_file_is_still_found() {
    assert_eq!(config::run_dir("[rdsup]\nrun_dir = \"/tmp/x\"\n[domain.a\nasn = = 3"), PathBuf::from("/tmp/x"));
    assert_eq!(config::run_dir("[rdsup]\nrun_dir = 5"), PathBuf::from("/run/rdsup"));
    assert_eq!(config::run_dir("]]]"), PathBuf::from("/run/rdsup"));
}

#[test]
fn problems_are_one_line_each_as_text_and_objects_as_json() {
    let text = "[domain.a]\nasn = 0\nnetworks = [\"10.0.0.1/8\"]\nrouter_id = \"1.1.1.1\"\n";
    let problems = config::read(Path::new("x.toml"), text, &mut no_files).expect_err("two mistakes");
    let lines: Vec<String> = problems.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("x.toml:2:7: AS number 0 is reserved"), "{}", lines[0]);
    assert!(lines[1].starts_with("x.toml:3:13: 10.0.0.1/8 has host bits set"), "{}", lines[1]);
    let json = serde_json::to_value(&problems).expect("JSON");
    assert_eq!(json["problems"][0]["line"], 2);
    assert_eq!(json["problems"][0]["severity"], "error");
    assert_eq!(json["problems"][1]["hint"], "the prefix meant is probably 10.0.0.0/8");
}

/// Two domains of which `zeta` sees `alpha` through translations, and three lines of `into.zeta`.
fn translated(translations: &str) -> String {
    let routes = "routes = [\"10.2.0.0/16 le 24\", \"fd02::/48\"]";
    let wider = "routes = [\"10.2.0.0/16 le 24\", \"fd02::/48\", \"192.0.2.1/32\", \"198.18.5.0/24\"]";
    two_domains("", "", "").replace(routes, &format!("{wider}\n{translations}"))
}

#[test]
fn translations_are_one_table_or_a_list() {
    let one = translated(
        "nat = { from = [\"10.2.1.0/24\"], to = \"192.0.2.1\" }\nalias = { real = \"10.2.5.0/24\", seen = \"198.18.5.0/24\" }",
    );
    let list = translated(
        "nat = [{ from = [\"10.2.1.0/24\"], to = \"192.0.2.1\" }]\nalias = [{ real = \"10.2.5.0/24\", seen = \"198.18.5.0/24\" }]",
    );
    for text in [one, list] {
        let network = network(&text);
        let accept = &only_link(&network).ends[0].accept;
        let ([nat], [alias]) = (accept.nat.as_slice(), accept.alias.as_slice()) else { panic!("one of each") };
        assert_eq!((nat.from[0].to_string(), nat.to.to_string()), ("10.2.1.0/24".to_owned(), "192.0.2.1".to_owned()));
        assert_eq!(nat.origin.line, 17);
        assert_eq!((alias.real.to_string(), alias.seen.to_string()), ("10.2.5.0/24".into(), "198.18.5.0/24".into()));
        assert_eq!(alias.origin.line, 18);
    }
}

#[test]
fn every_entry_of_what_is_accepted_knows_its_line() {
    let more = "[prefixes]\nlist = [\n\"10.2.0.0/16\",\n\"10.2.4.0/24\",\n]\n";
    let text = two_domains("", "", more)
        .replace("routes = [\"10.2.0.0/16 le 24\", \"fd02::/48\"]", "routes = [\n\"@list\",\n\"fd02::/48\"]")
        .replace("\"tcp/80,443\", \"udp", "\"tcp/80,443\",\n\"udp");
    let network = network(&text);
    let lines = |lines: &[rdsup::model::Origin]| lines.iter().map(|origin| origin.line).collect::<Vec<_>>();
    let [zeta, alpha] = &only_link(&network).ends;
    assert_eq!(lines(&zeta.accept.lines.routes), [17, 17, 18]);
    assert_eq!(zeta.accept.routes.len(), 3);
    assert_eq!(lines(&alpha.accept.lines.packets), [21, 22, 22, 22, 22, 22]);
    assert_eq!(alpha.accept.packets.len(), 6);
}

const THREE: &str = r#"
[domain.omega]
asn = 65003
loopback = ["10.3.0.1/32", "fd03::1/128"]

[[link]]
between = ["zeta", "omega"]
provider = "omega"
[link.into.zeta]
routes = ["10.3.0.1/32", "fd03::1/128"]
[link.into.omega]
routes = ["10.1.0.0/16", "fd01::/48", "10.2.0.0/16"]
transit = [
  "alpha"]

[[service]]
name = "wiki"
domain = "zeta"
at = "10.1.9.10:443/tcp"
expose = [{ to = "alpha" }, { to = "omega", as = "10.1.0.5:8443" }]

[[service]]
name = "dns"
domain = "zeta"
at = "[fd01::53]:53/udp"
expose = [{ to = "alpha" }]

[[rpki]]
name = "validator"
domain = "zeta"
address = "10.1.0.9"
"#;

#[test]
fn services_transit_and_roles_are_read() {
    let network = network(&two_domains(UPLINKS, "", THREE).replace("name = \"by-address\"", MORE_OF_NEIGHBOR));
    let link = &network.links[1];
    assert_eq!(link.provider.as_ref().map(rdsup::model::DomainName::as_str), Some("omega"));
    let accept = &link.ends[1].accept;
    assert_eq!(accept.transit.iter().map(rdsup::model::DomainName::as_str).collect::<Vec<_>>(), ["alpha"]);
    assert_eq!(accept.lines.transit[0].line, link.origin.line + 7);
    let [dns, wiki] = network.services.as_slice() else { panic!("two services") };
    assert_eq!((wiki.at.to_string(), wiki.protocol), ("10.1.9.10:443".to_owned(), PortProtocol::Tcp));
    assert_eq!(wiki.expose[0].seen(wiki), wiki.at);
    assert_eq!(wiki.expose[1].seen(wiki).to_string(), "10.1.0.5:8443");
    assert_eq!((dns.at.to_string(), dns.protocol), ("[fd01::53]:53".to_owned(), PortProtocol::Udp));
    let [cache] = network.rpki.as_slice() else { panic!("one cache") };
    assert_eq!((cache.name.as_str(), cache.port), ("validator", 323));
    let neighbors = &domain(&network, "zeta").neighbors;
    assert_eq!(
        (neighbors[0].role, neighbors[0].rpki, neighbors[0].accept_default),
        (Some(Role::RsClient), false, true)
    );
    assert_eq!((neighbors[1].role, neighbors[1].rpki, neighbors[1].accept_default), (None, true, false));
}

const MORE_OF_NEIGHBOR: &str = "name = \"by-address\"\nrole = \"rs_client\"\nrpki = false\naccept_default = true";

#[test]
fn an_interface_that_masquerades_is_outside() {
    let text =
        UPLINKS.replace("address = [\"192.0.2.1/24\"]", "address = [\"192.0.2.1/24\"]\nmasquerade = [\"10.1.0.0/16\"]");
    let network = network(&two_domains(&text, "", ""));
    let interface = &domain(&network, "zeta").interfaces[1];
    assert!(interface.outside && !interface.source_check);
    assert_eq!(interface.masquerade[0].to_string(), "10.1.0.0/16");
}

/// Reads the lists of `[prefixes]` in `more` as what `zeta` accepts, with `file` as every file.
fn accepted_of_file(more: &str, file: &str) -> Vec<String> {
    let text = two_domains("", "", more)
        .replace("routes = [\"10.2.0.0/16 le 24\", \"fd02::/48\"]", "routes = [\"10.2.0.0/16\", \"@all\"]");
    let mut asked = Vec::new();
    let mut open = |path: &Path| {
        asked.push(path.to_owned());
        Ok(file.to_owned())
    };
    let network = config::read(Path::new("test.toml"), &text, &mut open).expect("a sound file").network;
    assert_eq!(asked, [PathBuf::from("/lists/irr")]);
    only_link(&network).ends[0].accept.routes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_list_may_be_kept_in_a_file() {
    let file = "# remark\n198.51.100.0/24 ge 25 le 28 # why\n\n  192.0.2.0/24\r\n192.0.2.0/24\n";
    let routes = accepted_of_file("[prefixes]\nall = { file = \"/lists/irr\" }", file);
    assert_eq!(routes, ["10.2.0.0/16", "192.0.2.0/24", "198.51.100.0/24 ge 25 le 28"]);
}

#[test]
fn a_file_is_read_once_and_nothing_in_it_is_accepted_twice() {
    let lists = "[prefixes]\nall = [\"203.0.113.0/24\", \"@irr\", \"@again\", \"192.0.2.0/24\", \"10.2.0.0/16\"]\n\
                 irr = { file = \"/lists/irr\" }\nagain = { file = \"/lists/irr\" }";
    let routes = accepted_of_file(lists, "192.0.2.0/24\n10.2.0.0/16\n192.0.0.0/24\n203.0.113.0/24\n");
    assert_eq!(routes, ["10.2.0.0/16", "203.0.113.0/24", "192.0.0.0/24", "192.0.2.0/24"]);
}
