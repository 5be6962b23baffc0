//! What FRR refuses and keeps to itself: the same protections as BIRD has, where its templates have them.
//!
//! The steps of a route map have one template. One of them is taken out by the reason that it gives, or by its number.

use super::{BGPD, EXPORT, FRR_CHANNEL, FRR_LINK, FRR_NEIGHBOR, IMPORT, INTERFACE, Mutation, NOTE, STEPS, text};

const fn frr(
    protection: &'static str,
    cases: &'static [&'static str],
    file: &'static str,
    from: &'static str,
    to: &'static str,
) -> Mutation {
    let (case, more) = cases.split_first().expect("at least one");
    Mutation { more, frr: true, ..text(protection, case, file, from, to) }
}

const MATCHES: &str = "{{#each matches}}\n match {{this}}\n{{/each}}\n";

/// A step that tests nothing any more, named by a condition.
macro_rules! without {
    ($($condition:literal),+) => {
        concat!("{{#unless ", $($condition,)+ "}}\n{{#each matches}}\n match {{this}}\n{{/each}}\n{{/unless}}\n")
    };
}

/// The same for a step that is one of several alike, by its number, which is another one where every route has a mark.
macro_rules! without_way {
    ($number:literal, marked $marked:literal) => {
        without!(
            r#"(and (eq why "Where it came from and where it may go") (or (and @root.mark (eq number "#,
            $marked,
            ")) (and (not @root.mark) (eq number ",
            $number,
            "))))"
        )
    };
}

/// What is deleted and then looked for.
const CLEAN_IN: &str = " set large-comm-list {{own_labels}} delete
 on-match next
route-map {{import.name}} permit 65010
 match large-community {{no_labels}}
{{#if @root.mark}}
 set large-comm-list rd-mark delete
{{/if}}
 on-match goto 65030
route-map {{import.name}} deny 65020
";
const CLEAN_OUT: &str = " set large-comm-list {{own_labels}} delete
 on-match next
route-map {{export.name}} permit 65010
 match large-community {{no_labels}}
{{#if @root.mark}}
 set large-comm-list rd-mark delete
{{/if}}
route-map {{export.name}} deny 65020
";

pub const MUTATIONS: &[Mutation] = &[
    frr(
        "frr: path",
        &["routes: AS_SET", "routes: a path that is too long", "routes: an AS number that nobody has"],
        STEPS,
        MATCHES,
        without!(r#"(eq why "The path: its length, no AS_SET, no number that nobody has")"#),
    ),
    frr(
        "frr: next hop",
        &["routes: a foreign next hop"],
        STEPS,
        MATCHES,
        without!(r#"(eq why "The next hop is the neighbor")"#),
    ),
    frr(
        "frr: next hop, over a link",
        &["routes: a foreign next hop, over a link"],
        STEPS,
        MATCHES,
        without!(r#"(eq why "The next hop is the neighbor")"#),
    ),
    frr(
        "frr: allow-lists",
        &["routes: what no list names", "routes: unlisted to a neighbor"],
        STEPS,
        MATCHES,
        without!(r#"(eq why "Named")"#),
    ),
    frr(
        "frr: never, whatever is listed",
        &["routes: the domain's own from a neighbor"],
        STEPS,
        MATCHES,
        without!(r#"(eq why "Never, whatever is listed")"#),
    ),
    frr(
        "frr: ranges do not mean everything",
        &["routes: not meant by a range over everything"],
        STEPS,
        MATCHES,
        without!(r#"(eq why "Not meant by a range over everything")"#),
    ),
    frr("frr: labels on the way in", &["routes: foreign labels"], IMPORT, CLEAN_IN, " on-match goto 65030\n"),
    frr("frr: labels on the way out", &["routes: labels told to a neighbor"], EXPORT, CLEAN_OUT, ""),
    frr(
        "frr: no transit of a domain without BGP",
        &["routes: a third domain's over a link"],
        STEPS,
        MATCHES,
        without_way!(1, marked 3),
    ),
    frr(
        "frr: no transit, and nothing from outside to outside",
        &[
            "routes: of a linked domain that `transit` does not name",
            "routes: from outside to outside",
            "routes: shown to a domain, told to a neighbor",
        ],
        STEPS,
        MATCHES,
        without_way!(1, marked 3),
    ),
    frr(
        "frr: what is shown stays on its link",
        &["routes: shown to another domain only"],
        STEPS,
        MATCHES,
        without_way!(3, marked 5),
    ),
    frr(
        "frr: labels of what is learned",
        &["routes: of a linked domain that `transit` does not name", "routes: from outside to outside"],
        IMPORT,
        " set large-community {{label}} additive\n",
        "",
    ),
    frr(
        "frr: labels of what is shown",
        &["routes: shown to another domain only", "routes: shown to a domain, told to a neighbor"],
        NOTE,
        " set large-community{{#each labels}} {{this}}{{/each}}\n",
        "",
    ),
    frr(
        "frr: first AS, links",
        &["routes: another first AS, from a linked domain"],
        FRR_LINK,
        " neighbor {{address}} enforce-first-as\n",
        // FRR 10 does so by itself.
        " no neighbor {{address}} enforce-first-as\n",
    ),
    frr(
        "frr: first AS, neighbors",
        &["routes: another first AS, from a neighbor"],
        FRR_NEIGHBOR,
        " neighbor {{address}} enforce-first-as\n",
        // FRR 10 does so by itself.
        " no neighbor {{address}} enforce-first-as\n",
    ),
    frr(
        "frr: hop limit, neighbors",
        &["sessions: a neighbor further away than the wire"],
        FRR_NEIGHBOR,
        " neighbor {{address}} ttl-security hops 1\n",
        "",
    ),
    frr(
        "frr: hop limit, links",
        &["sessions: a linked domain further away than the wire"],
        FRR_LINK,
        " neighbor {{address}} ttl-security hops 1\n",
        // It goes on to send what the other end asks for.
        " neighbor {{address}} ebgp-multihop 255\n",
    ),
    frr(
        "frr: roles are required of neighbors",
        &["sessions: a neighbor without a role"],
        FRR_NEIGHBOR,
        "local-role {{role}} strict-mode",
        "local-role {{role}}",
    ),
    frr(
        "frr: roles of neighbors",
        &["sessions: a neighbor with another role"],
        FRR_NEIGHBOR,
        " neighbor {{address}} local-role {{role}} strict-mode\n",
        "",
    ),
    frr(
        "frr: roles are required on links",
        &["sessions: a linked domain without a role"],
        FRR_LINK,
        "local-role {{role}} strict-mode",
        "local-role {{role}}",
    ),
    frr(
        "frr: origins",
        &["routes: an invalid origin"],
        STEPS,
        " match {{this}}\n",
        // A tag that no route has.
        " match {{#if (eq this \"rpki invalid\")}}tag 4294967295{{else}}{{this}}{{/if}}\n",
    ),
    frr(
        "frr: number of routes",
        &["routes: more than a neighbor may announce", "routes: more than a linked domain may announce"],
        FRR_CHANNEL,
        "  neighbor {{address}} maximum-prefix {{max_prefixes}} restart 1\n",
        "",
    ),
    frr(
        "frr: no filter is no way",
        &["routes: a session without a filter"],
        BGPD,
        " bgp ebgp-requires-policy\n",
        " no bgp ebgp-requires-policy\n",
    ),
    text(
        "frr: zebra announces no router",
        "router advertisement of zebra",
        INTERFACE,
        "icmpv6 type nd-router-advert @th,48,16 0 drop",
        "",
    ),
];
