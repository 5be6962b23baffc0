//! What `plan` says of the sessions of FRR, and what becomes of them.

use serde_json::Value;

use crate::announced::{Change, Table, Then, settled, try_all};
use crate::machine::Machine;
use crate::resets::{FILE, HARMLESS, RESETTING};

/// FRR everywhere, or where BIRD is at the other ends of its links.
fn frr(domains: &[&str]) -> String {
    domains.iter().fold(FILE.to_owned(), |file, domain| {
        let head = format!("[domain.{domain}]\n");
        assert!(file.contains(&head), "there is no {domain}");
        file.replace(&head, &format!("{head}daemon = \"frr\"\n"))
    })
}

const EVERYWHERE: [&str; 3] = ["core", "left", "right"];

const LINK: &str = include_str!("../../templates/frr/link.hbs");

/// What is said to any daemon: lines for BIRD are not.
fn common<'a>(changes: &'a [Change<'a>]) -> Vec<Change<'a>> {
    let to_bird = |(_, replacements): &&Change<'_>| replacements.iter().any(|(_, to)| to.contains("bird ="));
    changes.iter().filter(|change| !to_bird(change)).copied().collect()
}

const OWN_HARMLESS: &[Change<'static>] = &[
    ("extra: a remark", &[("asn = 65002", "asn = 65002\nextra = { frr = \"! router bgp 1\" }")]),
    ("extra: debug", &[("asn = 65002", "asn = 65002\nextra = { frr = \"debug bgp keepalives\" }")]),
    (
        "extra: a list",
        &[("asn = 65002", "asn = 65002\nextra = { frr = \"ip prefix-list mine seq 5 permit 10.0.0.0/8\" }")],
    ),
];

const OWN_RESETTING: &[Change<'static>] = &[
    ("another daemon", &[("[domain.left]\ndaemon = \"frr\"", "[domain.left]\ndaemon = \"bird\"")]),
    (
        "a daemon that becomes none",
        &[("[domain.right]\ndaemon = \"frr\"\nasn = 65003", "[domain.right]\ndaemon = \"none\"")],
    ),
];

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn what_plan_says_of_sessions_of_frr_is_what_happens_to_policy() {
    let file = frr(&EVERYWHERE);
    let machine = Machine::running(&file);
    let mut table = Table::new();
    try_all(&machine, &mut table, &file, Then::Next, &[&common(HARMLESS), OWN_HARMLESS].concat());
    table.conclude();
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn what_plan_says_of_sessions_of_frr_is_what_happens_when_they_must_be_reset() {
    let file = frr(&EVERYWHERE);
    let machine = Machine::running(&file);
    let mut table = Table::new();
    // That of a domain which runs FRR is its own.
    let known = |change: &Change<'_>| change.0 != "daemon none";
    let common: Vec<_> = common(RESETTING).into_iter().filter(known).collect();
    assert!(common.len() > 9, "only {common:?}");
    try_all(&machine, &mut table, &file, Then::Back, &[&common, OWN_RESETTING].concat());
    // What no key of the file says.
    machine.write("/srv/machine/templates/frr/link.hbs", &LINK.replace("ttl-security hops 1", "ttl-security hops 2"));
    let none = table.apply(&machine, "templates: link.hbs with another hop limit");
    assert!(none.certain.is_empty() && none.steps > 0, "{none:?}");
    machine.write(
        "/srv/machine/templates/frr/link.hbs",
        &LINK.replace(
            " neighbor {{address}} enforce-first-as\n",
            " neighbor {{address}} enforce-first-as\n neighbor {{address}} disable-connected-check\n",
        ),
    );
    let all = table.apply(&machine, "templates: link.hbs with another check");
    assert_eq!(all.certain.len(), 4, "{all:?}");
    settled(&machine);
    machine.configure(file.split("[[link]]\nbetween = [\"right\"").next().expect("it has that"));
    table.apply(&machine, "links and a domain away");
    table.conclude();
}

/// A role is told in the OPEN, so that one which the other end has not been told is none.
#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_role_that_changes_is_agreed_on_after_one_reset() {
    let file = frr(&EVERYWHERE);
    let machine = Machine::running(&file);
    settled(&machine);
    let seen = || {
        let all: Value = serde_json::from_str(&machine.rdsup("ctl left show bgp neighbors json").ok()).expect("JSON");
        let core = all.as_object().and_then(|all| all.values().next()).expect("it has one neighbor");
        let roles = ["localRole", "remoteRole"].map(|of| core[of].as_str().expect("a role").to_owned());
        let told = core["neighborCapabilities"]["role"] == "advertisedAndReceived";
        (roles.join(" "), told, core["connectionsDropped"].as_u64().expect("a number"))
    };
    let (.., dropped) = seen();
    for (number, provider, roles) in [(1, "core", "customer provider"), (2, "left", "provider customer")] {
        let link = "between = [\"left\", \"core\"]\n";
        machine.configure(&file.replace(link, &format!("{link}provider = {provider:?}\n")));
        machine.rdsup("apply").ok();
        settled(&machine);
        assert_eq!(seen(), (roles.to_owned(), true, dropped + number), "{provider}");
    }
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn what_plan_says_of_sessions_between_frr_and_bird_is_what_happens() {
    for domains in [["core"].as_slice(), &["left", "right"]] {
        let file = frr(domains);
        let machine = Machine::running(&file);
        let mut table = Table::new();
        let shown =
            |change: &Change<'_>| ["routes", "packets", "preference", "networks", "a domain more"].contains(&change.0);
        let harmless: Vec<_> = HARMLESS.iter().filter(|change| shown(change)).copied().collect();
        try_all(&machine, &mut table, &file, Then::Next, &harmless);
        let shown =
            |change: &Change<'_>| ["provider", "asn", "router_id", "the ends of a link swapped"].contains(&change.0);
        let resetting: Vec<_> = RESETTING.iter().filter(|change| shown(change)).copied().collect();
        try_all(&machine, &mut table, &file, Then::Back, &resetting);
        table.conclude();
    }
}
