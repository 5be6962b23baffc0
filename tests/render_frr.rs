//! What FRR gets, file by file, and what FRR itself says about it.

mod render_fixture;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ipnet::{IpNet, Ipv4Net};
use rdsup::model::{Domain, ExtraText, Network, Origin, PasswordFile, PrefixPattern, Program};
use rdsup::plan::frr::Configuration;
use rdsup::render::frr::{self, Dialect, FrrText};
use rdsup::render::{Secret, Secrets, Templates, render};
use render_fixture::{chain, edge, ipv4_only, name, overlap, three_domains, with_frr};

fn secrets() -> Secrets {
    Secrets::from_iter([(PasswordFile(PathBuf::from("/etc/rdsup/keys/transit")), Secret::new("s3cret{;}|!#"))])
}

/// The cases, each a folder under `tests/cases/render`.
fn cases() -> BTreeMap<&'static str, Network> {
    let cases = [
        ("three-domains", three_domains()),
        ("edge", edge()),
        ("ipv4-only", ipv4_only()),
        ("overlap", overlap()),
        ("chain", chain()),
    ];
    cases.map(|(case, network)| (case, with_frr(network))).into()
}

fn text(network: &Network, domain: &str) -> FrrText {
    frr::text(network, network.domain(&name(domain)).unwrap(), &Templates::built_in(), &secrets()).unwrap()
}

/// Every FRR of every case.
fn all() -> Vec<(String, FrrText)> {
    let mut texts = Vec::new();
    for (case, network) in cases() {
        for domain in network.domains.iter().filter(|domain| domain.daemon.as_str() == "frr") {
            texts.push((format!("{case}/{}", domain.name), text(&network, domain.name.as_str())));
        }
    }
    texts
}

/// What FRR 10.3 gets in some of them, beside the others.
fn newer() -> Vec<(String, FrrText)> {
    let templates = Templates::built_in().for_frr(Dialect::of([10, 3, 0]));
    let mut texts = Vec::new();
    for (case, network) in cases().into_iter().filter(|(case, _)| ["three-domains", "edge"].contains(case)) {
        for domain in network.domains.iter().filter(|domain| domain.daemon.as_str() == "frr") {
            let text = frr::text(&network, domain, &templates, &secrets()).unwrap();
            texts.push((format!("{case}/frr-10.3/{}", domain.name), text));
        }
    }
    texts
}

#[test]
fn rendered_files_equal_the_golden_ones() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/render");
    let mut wrong = Vec::new();
    for (place, made) in all().into_iter().chain(newer()) {
        let texts = [
            ("bgpd.conf", Some(&made.bgpd)),
            ("zebra.conf", Some(&made.zebra)),
            ("mgmtd.conf", made.mgmtd.as_ref()),
            ("bfdd.conf", made.bfdd.as_ref()),
        ];
        for (suffix, text) in texts.into_iter().filter_map(|(suffix, text)| Some((suffix, text?))) {
            let path = folder.join(format!("{place}.{suffix}"));
            if update {
                write(&path, text);
            } else if std::fs::read_to_string(&path).ok().as_ref() != Some(text) {
                wrong.push(path);
            }
        }
    }
    assert!(wrong.is_empty(), "differ (look, then UPDATE_GOLDEN=1): {wrong:#?}");
}

#[test]
fn only_who_needs_them_gets_the_entries_with_nothing_to_say_and_a_mgmtd() {
    let (network, secrets) = (three_domains(), secrets());
    let network = with_frr(network);
    let domain = network.domains.iter().find(|domain| domain.daemon.as_str() == "frr").unwrap();
    let of = |version| {
        let text = frr::text(&network, domain, &Templates::built_in().for_frr(Dialect::of(version)), &secrets).unwrap();
        (text.bgpd.contains("4294967295:0:0"), text.mgmtd.is_some(), text.zebra.contains("ip nht"))
    };
    assert_eq!(of([8, 4, 4]), (false, false, true));
    assert_eq!(of([8, 5, 7]), (false, false, true));
    assert_eq!(of([9, 0, 0]), (true, false, true));
    assert_eq!(of([10, 0, 0]), (true, true, false));
    assert_eq!(of([10, 3, 0]), (true, true, false));
}

#[test]
fn only_where_zebra_loses_gateways_bgpd_gives_what_it_tells_a_tag_and_zebra_asks_for_it() {
    let (network, secrets) = (with_frr(three_domains()), secrets());
    let domain = network.domains.iter().find(|domain| domain.daemon.as_str() == "frr").unwrap();
    let of = |version, domain| {
        let text = frr::text(&network, domain, &Templates::built_in().for_frr(Dialect::of(version)), &secrets).unwrap();
        let zebra = text.mgmtd.unwrap_or(text.zebra);
        assert_eq!(text.bgpd.contains("\n  table-map rd-tag\n"), zebra.contains("\n match tag 1\n"), "{zebra}");
        (zebra.contains("\n match tag 1\n"), zebra.contains("\n match ip next-hop prefix-list rd-direct\n"))
    };
    assert_eq!(of([8, 4, 4], domain), (false, false));
    assert_eq!(of([8, 5, 0], domain), (false, true));
    for lost in [[10, 3, 0], [10, 3, 3], [10, 4, 2], [10, 5, 1]] {
        assert_eq!(of(lost, domain), (true, true), "{lost:?}");
    }
    for kept in [[10, 2, 5], [10, 3, 4], [10, 4, 3], [10, 5, 2], [10, 6, 0]] {
        assert_eq!(of(kept, domain), (false, true), "{kept:?}");
    }
    // Who decides himself what zebra is told must not have his routes refused for it.
    let mut own = domain.clone();
    own.extra = Some(ExtraText { text: "router bgp 1\n table-map mine\n".into(), origin: Origin::default() });
    assert!(!frr_text(&network, &own).contains(" match tag "));
}

fn frr_text(network: &Network, domain: &Domain) -> String {
    let templates = Templates::built_in().for_frr(Dialect::of([10, 3, 0]));
    frr::text(network, domain, &templates, &secrets()).unwrap().mgmtd.unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test writes its own expectation and what FRR reads")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// What FRR wants to be there, and what is not to be the machine's.
const PLACES: &str =
    "mount -t tmpfs tmpfs /etc/frr; touch /etc/frr/vtysh.conf; mount -t tmpfs tmpfs /var/tmp; mkdir /var/tmp/frr";

/// What a shell script prints on both outputs; `$1` is a directory with `bgpd.conf`, `zebra.conf` and, if there is
/// one, `bfdd.conf`.
#[expect(clippy::disallowed_methods, reason = "the daemons are run by hand here, as an admin would")]
fn shell(script: &str, text: &FrrText) -> String {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("bgpd.conf"), &text.bgpd);
    write(&directory.path().join("zebra.conf"), &text.zebra);
    if let Some(bfdd) = &text.bfdd {
        write(&directory.path().join("bfdd.conf"), bfdd);
    }
    let output = Command::new("unshare")
        .args(["-rnmpf", "--kill-child", "sh", "-c", &format!("exec 2>&1; {PLACES}; {script}"), "sh"])
        .arg(directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn vtysh_parses_every_configuration() {
    for (place, text) in all() {
        let bfdd = text.bfdd.as_ref().map(|_| "bfdd.conf");
        for file in ["bgpd.conf", "zebra.conf"].into_iter().chain(bfdd) {
            let said = shell(&format!("vtysh -C -f $1/{file}; echo $?"), &text);
            assert_eq!(said, "0\n", "{place} {file}\n{}", text.bgpd);
        }
    }
}

/// Of lines that set the same the last one counts, which is how those of the admin override ours; none of ours may be lost in that way.
#[test]
fn no_line_takes_the_place_of_another() {
    for (place, text) in all() {
        for text in [Some(text.bgpd), Some(text.zebra), text.bfdd].into_iter().flatten() {
            let read = Configuration::read(&text);
            let lines = text.lines().map(str::trim);
            let written =
                lines.filter(|line| !line.is_empty() && !line.starts_with(['!', '#']) && !line.starts_with("exit"));
            let counted = read.lines.len() + read.objects.values().map(Vec::len).sum::<usize>();
            assert_eq!(counted, written.count(), "{place}\n{text}");
        }
    }
}

#[test]
fn there_is_a_bfdd_only_where_bfd_watches_a_neighbor() {
    let with: Vec<_> = all().into_iter().filter(|(_, text)| text.bfdd.is_some()).collect();
    assert_eq!(with.iter().map(|(place, _)| place.as_str()).collect::<Vec<_>>(), ["edge/edge"]);
    assert!(with[0].1.bgpd.contains("\n neighbor 203.0.113.1 bfd profile rdsup\n"), "{}", with[0].1.bgpd);
    assert!(!with[0].1.bgpd.contains("neighbor 198.51.100.9 bfd"), "that one is several hops away");
}

/// Loads `bgpd.conf` into a bgpd of its own, and returns what that complains about and what `commands` print.
fn loaded(text: &FrrText, commands: &str) -> String {
    let script = format!(
        "ip link set lo up; mkdir $1/vty; chmod 755 $1
         timeout 60 /usr/lib/frr/bgpd -S -Z -P 0 -p 1790 -M rpki --limit-fds 1024 --vty_socket $1/vty -i $1/pid \
             -f $1/bgpd.conf --log file:$1/log 2>&1 &
         n=0; until vtysh --vty_socket $1/vty -d bgpd -c 'echo read' 2>/dev/null | grep -q read; do
             n=$((n+1)); [ $n -lt 300 ] || break; sleep 0.1; done
         {commands}
         cat $1/log"
    );
    shell(&script, text)
        .lines()
        .filter(|line| {
            !line.starts_with("Graceful restart configuration changed")
                && !line.contains(" starting: ")
                && !line.contains("peer_ttl_security_hops_set")
                // There is no zebra to hand it on.
                && !line.contains("_bfd_sess_send")
                // librtr says what it does; there is no cache.
                && !line.contains("RTR") && !line.contains("TCP Transport(")
        })
        .fold(String::new(), |all, line| all + line + "\n")
}

#[test]
fn bgpd_loads_every_configuration_without_a_word() {
    for (place, text) in all() {
        assert_eq!(loaded(&text, ""), "", "{place}\n{}", text.bgpd);
    }
}

#[test]
fn bgpd_says_so_when_it_does_not_understand_a_line() {
    let (_, mut text) = all().remove(0);
    text.bgpd.push_str("router bgp 65001\n neighbor nonsense\n");
    assert!(loaded(&text, "").contains("No such command"), "the test above proves nothing");
}

#[test]
fn what_bgpd_has_is_what_was_written() {
    // An edge with a bit of everything; lines that say the default are not shown again.
    let text = text(&with_frr(edge()), "edge");
    let shown = loaded(&text, "vtysh --vty_socket $1/vty -d bgpd -c 'show running-config'");
    let shown: BTreeSet<&str> = shown.lines().map(str::trim).collect();
    let silent = ["!", "exit", "hostname", "log timestamp", "bgp ebgp-requires-policy", "bgp fast-external-failover"];
    // An address of IPv4 in one of IPv6 is shown in another form.
    let default = [
        "::ffff:0.0.0.0/96 le 128",
        "restart-time 120",
        "rib-stale-time 500",
        "send-community all",
        "router-id",
        "no bgp reject-as-sets",
    ];
    for line in text.bgpd.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let expected =
            !silent.iter().any(|word| line.starts_with(word)) && !default.iter().any(|word| line.ends_with(word));
        assert!(!expected || shown.contains(line), "{line} is not there: {shown:#?}");
    }
}

#[test]
fn two_neighbors_at_one_address_are_an_error_because_frr_could_not_tell_them_apart() {
    let mut network = with_frr(three_domains());
    for link in &mut network.links {
        link.ends[0].addresses = vec!["fd00::1/127".parse().unwrap()];
    }
    let domain = network.domain(&name("internet")).unwrap();
    let errors = frr::text(&network, domain, &Templates::built_in(), &secrets()).err().unwrap();
    assert!(errors[0].to_string().contains("two neighbors have the address fd00::1"), "{}", errors[0]);
    assert_eq!(errors[0].origin, network.links[1].origin);
}

#[test]
fn a_line_that_frr_would_read_as_two_is_an_error() {
    let mut network = with_frr(edge());
    network.domains[0].description = Some(format!("{} ip route 0.0.0.0/0 192.0.2.1", "x".repeat(4090)));
    let errors = frr::text(&network, &network.domains[0], &Templates::built_in(), &secrets()).err().unwrap();
    assert!(errors[0].to_string().contains("line 1 of bgpd.conf has more than 4090 bytes"), "{}", errors[0]);
}

#[test]
fn a_password_with_a_space_is_an_error_that_does_not_show_it() {
    let network = with_frr(edge());
    let key = PasswordFile(PathBuf::from("/etc/rdsup/keys/transit"));
    let secrets = Secrets::from_iter([(key, Secret::new("two words"))]);
    let errors = frr::text(&network, &network.domains[0], &Templates::built_in(), &secrets).err().unwrap();
    let said = format!("{errors:?} {}", errors[0]);
    assert!(said.contains("holds a space") && !said.contains("two words"), "{said}");
}

#[test]
fn a_line_of_the_admins_own_text_is_found_again() {
    let text = text(&with_frr(three_domains()), "private");
    let extra = text.extra.unwrap();
    let at = text.bgpd.lines().position(|line| line.starts_with("ip prefix-list admins-own")).unwrap();
    let line = u32::try_from(at).unwrap() + 1;
    assert_eq!(extra.locate(line), Some(Origin { line: 31 }));
    assert_eq!(extra.locate(line - 2), None);
    assert_eq!(extra.locate(line + 1), None);
    // vtysh counts lines as we do.
    let mut network = with_frr(three_domains());
    network.domains[1].extra = Some(ExtraText { text: "!\nnonsense".to_owned(), origin: Origin { line: 30 } });
    let said = shell("vtysh -C -f $1/bgpd.conf", &self::text(&network, "private"));
    assert!(said.starts_with(&format!("line {line}: % Unknown command")), "{line}: {said}");
}

/// The names of the lists and route maps of a text.
fn names(text: &FrrText) -> BTreeSet<String> {
    let named = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["ip" | "ipv6", "prefix-list", name, ..]
            | ["route-map", name, ..]
            | ["bgp", "as-path", "access-list", name, ..]
            | ["bgp", "large-community-list" | "community-list", _, name, ..] => Some((*name).to_owned()),
            _ => None,
        }
    };
    text.bgpd.lines().filter_map(named).collect()
}

#[test]
fn what_a_route_map_refers_to_is_part_of_its_name() {
    let network = with_frr(chain());
    let before = names(&text(&network, "middle"));
    // One more prefix in what `middle` accepts from `left`.
    let mut more = network.clone();
    more.links[0].ends[1].accept.routes.push(render_fixture::pattern("10.53.0.0/16"));
    let after = names(&text(&more, "middle"));
    let gone: Vec<_> = before.difference(&after).map(|name| name.rsplit_once('-').unwrap().0).collect();
    // The list, the route map that names it, and what others do not mean by everything any more.
    for name in ["rd-named4", "rd-left-in4"] {
        assert!(gone.contains(&name), "{gone:?}");
    }
    for name in ["rd-left-out4", "rd-left-in6", "rd-own", "rd-paths", "ext-one-out4"] {
        assert!(!gone.contains(&name), "{name} has another name for nothing: {gone:?}");
    }
}

#[test]
fn what_is_said_beside_a_route_map_is_no_part_of_its_name_and_its_template_is() {
    let network = with_frr(chain());
    let before = names(&text(&network, "middle"));
    let mut other = network.clone();
    other.domains[1].neighbors[0].max_prefixes = 7;
    other.links[0].ends[1].accept.max_prefixes = 8;
    assert_eq!(names(&text(&other, "middle")), before);
    let mut templates = Templates::built_in();
    let import = templates.texts().find(|(path, _)| *path == "frr/import.hbs").unwrap().1.to_owned();
    templates.overlay("frr/import.hbs", import + "! mine\n").unwrap();
    let after = names(&frr::text(&network, &network.domains[1], &templates, &secrets()).unwrap());
    assert!(before.iter().filter(|name| name.contains("-in4-")).all(|name| !after.contains(name)));
}

#[test]
fn nothing_that_is_named_is_missing_and_no_list_is_without_entries() {
    for (place, text) in all() {
        let there = names(&text);
        let mut used = 0;
        for line in text.bgpd.lines().map(str::trim) {
            let words: Vec<_> = line.split(' ').collect();
            let name = match words.as_slice() {
                ["match", .., "prefix-list", name]
                | ["match", "as-path" | "large-community" | "community", name]
                | ["set", "large-comm-list", name, "delete"]
                | ["neighbor", _, "route-map", name, _]
                | ["network", _, "route-map", name] => *name,
                _ => continue,
            };
            used += 1;
            assert!(there.contains(name), "{place}: {name}");
            assert!(name.starts_with("rd-") || name.starts_with("ext-"), "{place}: {name}");
        }
        assert!(used > 0, "{place}");
    }
}

/// An edge with a list of `count` prefixes.
fn with_list(count: u32) -> Network {
    let mut network = with_frr(chain());
    let prefix = |n: u32| IpNet::V4(Ipv4Net::new((0x0b00_0000 + (n << 8)).into(), 24).unwrap());
    network.domains[1].neighbors[0].routes = (0..count).map(|n| PrefixPattern::exact(prefix(n))).collect();
    network
}

#[test]
fn a_prefix_more_in_a_long_list_is_a_new_name_for_one_piece_of_it() {
    let pieces = |count| {
        let text = text(&with_list(count), "middle");
        assert!(text.bgpd.contains("\nXFRR_start_configuration\n"), "it would take minutes");
        names(&text).into_iter().filter(|name| name.starts_with("rd-named4-")).collect::<BTreeSet<_>>()
    };
    let (before, after) = (pieces(5000), pieces(5001));
    assert!(before.len() > 100, "{}", before.len());
    assert_eq!(before.difference(&after).count(), 1);
    assert_eq!(after.difference(&before).count(), 1);
}

#[test]
fn ten_thousand_prefixes_are_read_in_seconds_and_all_of_them() {
    let network = with_list(10_000);
    let started = std::time::SystemTime::now();
    let show = "vtysh --vty_socket $1/vty -d bgpd -c 'show running-config' | grep -c 'prefix-list rd-named4.* permit 1[1-9]\\.'";
    let said = loaded(&text(&network, "middle"), show);
    // It also complains that it was busy.
    assert!(said.starts_with("10000\n") && !said.contains("No such command") && !said.contains("% "), "{said}");
    let took = started.elapsed().unwrap();
    assert!(took.as_secs() < 45, "{took:?}");
}

#[test]
fn a_whole_network_is_rendered_with_both_files_of_frr() {
    let network = with_frr(chain());
    let rendered = render(&network, &Templates::built_in(), &secrets()).unwrap();
    let middle = &rendered.domains["middle"];
    let text = text(&network, "middle");
    assert_eq!(middle.daemon, BTreeMap::from([(Program::Zebra, text.zebra), (Program::Bgpd, text.bgpd)]));
    assert_eq!(rendered.domains["right"].daemon, BTreeMap::new());
}
