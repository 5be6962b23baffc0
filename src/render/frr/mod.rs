//! What FRR reads: `bgpd.conf` and `zebra.conf` of a domain, `mgmtd.conf` where FRR has one (10.0), and `bfdd.conf` where BFD
//! watches a neighbor.
//!
//! The policy is that of BIRD (`bird/filters.hbs`), rule by rule; `tests/frr_policy` compares what both accept.
//!
//! | BIRD | FRR |
//! | --- | --- |
//! | `bgp_path.len > N` | as-path list: more than N numbers |
//! | `bgp_path.last != bgp_path.last_nonaggregated` | as-path list: a brace |
//! | `bgp_path ~ [0, 23456, …]` | as-path list: these numbers (`numbers`) |
//! | `gw != from`, `bgp_next_hop != from` | `match ip next-hop`, `match ipv6 next-hop` |
//! | `net ~ [ … ]` | prefix lists (`lists`), tested one after the other (`steps`) |
//! | bogus prefixes (`rte_validate()`) | a prefix list: `nowhere` |
//! | `roa_check(…) = ROA_INVALID` | `match rpki invalid` |
//! | `bgp_large_community.delete([(N, *, *)])` | `set large-comm-list … delete`, and a test that it did |
//! | `bgp_large_community ~ …` in an export filter | large-community lists |
//! | `(65535, 0) ~ bgp_community` | community list |
//! | `enforce first as`, `ttl security`, `local role`, `import limit` | `enforce-first-as`, `ttl-security`, `local-role`, `maximum-prefix` |

mod dialect;
mod lists;
mod numbers;
mod sessions;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

pub use self::dialect::Dialect;
use self::lists::{Lists, digest};
use super::common::{bad_texts, caches, digit};
use super::context::{Frr, FrrCache, FrrChannel, FrrFamily, FrrMap, FrrNetwork, FrrNote};
use super::error::{Problem, RenderError};
use super::secrets::Secrets;
use super::templates::Templates;
use super::{ExtraLines, append_extra};
use crate::model::{Asn, Domain, Family, Network, PrefixPattern, RpkiCache};
use crate::policy::{self, Label};

/// The most bytes of a line: FRR before 10.6 reads 4096 at once, and the rest of a longer line as a line of its own. On a vty it
/// answers a longer one by nothing at all.
pub const LONGEST_LINE: usize = 4090;

/// A large community that nobody has: its first number is reserved (RFC 8092, section 5).
const MARK: &str = "4294967295:0:0";

/// The list of all IPv4 addresses.
const DIRECT: &str = "rd-direct";

/// What bgpd marks the routes with that it tells zebra. What zebra finds in the kernel has none.
const TAG: u32 = 1;

/// The configuration of a domain's FRR.
#[derive(Clone, PartialEq, Eq)]
pub struct FrrText {
    /// For bgpd. It may hold passwords.
    pub bgpd: String,
    /// For zebra.
    pub zebra: String,
    /// For mgmtd, where zebra is told by it what it is to do.
    pub mgmtd: Option<String>,
    /// For bfdd, if there is one.
    pub bfdd: Option<String>,
    /// Where in `bgpd` the admin's own lines stand.
    pub extra: Option<ExtraLines>,
}

/// Renders what the FRR of `domain` reads, or says everything that is in its way.
pub fn text(
    network: &Network,
    domain: &Domain,
    templates: &Templates,
    secrets: &Secrets,
) -> Result<FrrText, Vec<RenderError>> {
    let context = context(network, domain, secrets, templates)?;
    let fail = |problem| vec![RenderError { domain: domain.name.clone(), origin: domain.origin, problem }];
    let file = |path| templates.render(path, &context).map_err(|error| fail(Problem::Template(error)));
    let (bgpd, zebra) = (file("frr/bgpd.conf.hbs")?, file("frr/zebra.conf.hbs")?);
    let mgmtd = context.mgmtd.then(|| file("frr/mgmtd.conf.hbs")).transpose()?;
    let bfdd = context.bfd.then(|| file("frr/bfdd.conf.hbs")).transpose()?;
    let files = [
        ("bgpd.conf", Some(&bgpd)),
        ("zebra.conf", Some(&zebra)),
        ("mgmtd.conf", mgmtd.as_ref()),
        ("bfdd.conf", bfdd.as_ref()),
    ];
    for (file, text) in files.into_iter().filter_map(|(file, text)| Some((file, text?))) {
        if let Some(long) = text.lines().position(|line| line.len() > LONGEST_LINE) {
            return Err(fail(Problem::LongLine { file, line: long + 1, most: LONGEST_LINE }));
        }
    }
    let (bgpd, extra) = append_extra(bgpd, domain);
    Ok(FrrText { bgpd, zebra, mgmtd, bfdd, extra })
}

/// Builds the context of `domain`, or says everything that is in its way. The templates are part of what names stand for.
pub(super) fn context(
    network: &Network,
    domain: &Domain,
    secrets: &Secrets,
    templates: &Templates,
) -> Result<Frr, Vec<RenderError>> {
    let mut errors = Vec::new();
    let mut fail = |origin, problem| errors.push(RenderError { domain: domain.name.clone(), origin, problem });
    for problem in bad_texts(network, domain) {
        fail(domain.origin, problem);
    }
    if domain.router_id.is_none() {
        fail(domain.origin, Problem::Missing("router_id"));
    }
    let dialect = templates.frr();
    let mut lists = Lists::new(dialect);
    let sessions = sessions::of(network, domain, secrets, &mut lists, &mut fail);
    let mut notes = BTreeMap::new();
    let families =
        domain.families.iter().map(|family| self::family(network, domain, family, dialect, &mut notes)).collect();
    let (Some(router_id), true) = (domain.router_id, errors.is_empty()) else { return Err(errors) };
    let mut frr = Frr {
        domain: domain.name.clone(),
        source: network.settings.source.display().to_string(),
        description: domain.description.clone(),
        router_id,
        asn: domain.asn,
        caches: caches(network, domain).enumerate().map(|(index, it)| cache(index + 1, it)).collect(),
        batch: lists.need_batch(),
        lists: lists.text(),
        notes: notes.into_values().collect(),
        families,
        links: sessions.links,
        neighbors: sessions.neighbors,
        extended: sessions.extended,
        bfd: domain.neighbors.iter().any(|neighbor| neighbor.bfd),
        mark: dialect.marks.then_some(MARK),
        mgmtd: dialect.mgmtd,
        cache_transport: dialect.cache_transport,
        nameless: dialect.nameless,
    };
    for family in &mut frr.families {
        family.channels = sessions.channels.iter().filter(|it| it.family == family.name).cloned().collect();
    }
    name_maps(&mut frr, domain, templates);
    Ok(frr)
}

/// Gives every route map a name that ends in a digest of all that makes it: the template, what the template sees, and by
/// their own names the lists that it refers to.
fn name_maps(frr: &mut Frr, domain: &Domain, templates: &Templates) {
    let of = |directory: &str| -> String {
        templates.texts().filter(|(path, _)| path.starts_with(directory)).map(|(_, text)| text).collect()
    };
    let templates = of("frr/");
    for (family, digit) in frr.families.iter_mut().zip(domain.families.iter().map(digit)) {
        for channel in &mut family.channels {
            // One direction, and nothing that is said beside the route map: a change there must not swap it.
            let seen = |import: &FrrMap, export: &FrrMap| {
                let (import, export) = (import.clone(), export.clone());
                let only = FrrChannel { import, export, max_prefixes: 0, keep_refused: false, ..channel.clone() };
                serde_json::to_string(&only).unwrap_or_default()
            };
            let none = FrrMap::default();
            let [import, export] =
                [seen(&channel.import, &none), seen(&none, &channel.export)].map(|seen| digest(&[&templates, &seen]));
            channel.import.name = format!("{}-in{digit}-{import}", channel.session);
            channel.export.name = format!("{}-out{digit}-{export}", channel.session);
        }
    }
}

fn cache(preference: usize, cache: &RpkiCache) -> FrrCache {
    FrrCache { name: cache.name.clone(), address: cache.address, port: cache.port, preference }
}

fn family(
    network: &Network,
    domain: &Domain,
    family: Family,
    dialect: Dialect,
    notes: &mut BTreeMap<String, FrrNote>,
) -> FrrFamily {
    let mut networks: BTreeMap<IpNet, (BTreeSet<Label>, bool)> = BTreeMap::new();
    for route in policy::linked_routes(network, domain, family) {
        networks.entry(route.to).or_default().0.insert(route.label);
    }
    for route in policy::link_only_routes(network, domain, family) {
        let (labels, host) = networks.entry(route.to).or_default();
        labels.extend(route.labels);
        *host = route.host;
    }
    networks.extend(policy::originated(domain).get(family).iter().map(|to| (*to, Default::default())));
    let networks = networks.into_iter().map(|(to, (labels, host))| {
        let labels: Vec<_> = labels.into_iter().filter_map(|it| domain.asn.map(|own| community(own, it))).collect();
        let note = (!labels.is_empty() || host).then(|| {
            let name = format!("rd-note{}-{}", digit(family), digest(&[&labels.join(" "), &host.to_string()]));
            notes.insert(name.clone(), FrrNote { name: name.clone(), labels, host });
            name
        });
        FrrNetwork { to, note }
    });
    let source = domain.source(family);
    let v4 = family == Family::Ipv4;
    let direct = (v4 && dialect.sources_any_way).then_some(DIRECT);
    // An admin who decides himself what zebra is told has tags of his own, and what is labeled has no such place.
    let told = |words| domain.extra.as_ref().is_some_and(|extra| extra.text.contains(words));
    let tag = (v4 && dialect.loses_gateways && !told("table-map") && !told("labeled-unicast")).then_some(TAG);
    // A map with other entries has another name.
    let entries = [Some(format!("{source:?}")), direct.map(str::to_owned), tag.map(|tag| tag.to_string())];
    let entries = digest(&entries.iter().flatten().map(String::as_str).collect::<Vec<_>>());
    let source_map = (source.is_some() || tag.is_some()).then(|| format!("rd-source{}-{entries}", digit(family)));
    FrrFamily {
        name: family.as_str(),
        command: steps::command(family),
        source,
        source_map,
        direct,
        tag,
        networks: networks.collect(),
        channels: Vec::new(),
    }
}

/// A label as FRR writes a large community.
fn community(own: Asn, label: Label) -> String {
    let (kind, value) = label.parts();
    format!("{own}:{kind}:{value}")
}

/// Prefixes that lead nowhere, whatever the file lists: those that BIRD takes for bogus (`net_classify()`), so that a domain
/// accepts the same with either daemon.
fn nowhere(family: Family) -> Vec<PrefixPattern> {
    let texts: &[(&str, u8)] = match family {
        Family::Ipv4 => &[
            ("0.0.0.0/8", 8),
            ("127.0.0.0/8", 8),
            // Its address is a multicast one.
            ("224.0.0.0/3", 3),
            ("224.0.0.0/4", 4),
            ("255.255.255.255/32", 32),
        ],
        Family::Ipv6 => &[("::/96", 97), ("::ffff:0:0/96", 96), ("fe80::/10", 10), ("ff00::/8", 8)],
    };
    let pattern = |(text, ge): &(&str, u8)| {
        let prefix: IpNet = text.parse().ok()?;
        let le = if *text == "224.0.0.0/3" { 3 } else { prefix.max_prefix_len() };
        Some(PrefixPattern { prefix, ge: *ge, le })
    };
    texts.iter().filter_map(pattern).collect()
}
