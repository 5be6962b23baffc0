//! Lists as long as those of routing registries.

mod render_fixture;

use ipnet::{IpNet, Ipv4Net};
use rdsup::model::{Network, PrefixPattern};
use rdsup::render::{Secrets, Templates, render};

/// An edge whose first two neighbors both have a list of `count` prefixes.
fn with_lists(count: u32) -> Network {
    let mut network = render_fixture::chain();
    let prefix = |n: u32| IpNet::V4(Ipv4Net::new((0x0b00_0000 + (n << 8)).into(), 24).unwrap());
    let list: Vec<PrefixPattern> = (0..count).map(|n| PrefixPattern::exact(prefix(n))).collect();
    for neighbor in &mut network.domains[1].neighbors {
        neighbor.routes.clone_from(&list);
    }
    network
}

#[test]
fn a_list_that_several_neighbors_share_is_defined_once() {
    let count = 20_000;
    let rendered = render(&with_lists(count), &Templates::built_in(), &Secrets::redacted()).unwrap();
    let text = rendered.domains["middle"].speaker().unwrap();
    let lines = text.lines().filter(|line| line.ends_with(".0/24,")).count();
    assert!((count as usize - 1..count as usize + 10).contains(&lines), "{lines} lines");
    let uses = text.lines().filter(|line| line.contains("net ~ import_named4_ext_one")).count();
    assert_eq!(uses, 2, "both filters use it");
}
