//! Services, translated addresses, transit.

use super::{DOMAIN, LINK, Mutation, TRANSLATE, WIRE, text};

pub const MUTATIONS: &[Mutation] = &[
    text("link: no transit before routing", "transit answered by an ICMP error", LINK, "\t\tjump transit\n", ""),
    text(
        "link: no transit in the forward chain",
        "transit from link to link in the forward chain",
        DOMAIN,
        "iifname @links oifname @links jump onward",
        "",
    ),
    text(
        "masquerade: nothing leaves untranslated",
        "masquerade: packet without a conntrack entry",
        TRANSLATE,
        "{{keyword}} saddr @{{hidden}} counter name \"{{../drop.untranslated}}\" drop\n{{/if}}\n{{/each}}\n\t}\n{{/if}}\n{{/each}}\n{{#if translates_in}}",
        "{{/if}}\n{{/each}}\n\t}\n{{/if}}\n{{/each}}\n{{#if translates_in}}",
    ),
    text(
        "services: one port only",
        "service: another port or address of the host",
        LINK,
        "{{keyword}} daddr {{address}} {{protocol}} dport {{port}} goto",
        "{{keyword}} daddr {{address}} goto",
    ),
    text(
        "services: hosts only answer",
        "service: its host begins a flow",
        LINK,
        "ct state established ct direction reply jump used.{{name}}",
        "jump used.{{name}}",
    ),
    text(
        "overlap: broadcasts",
        "overlap: a broadcast behind an alias",
        TRANSLATE,
        "iifname @links fib daddr type broadcast counter name iifname map @drop.multicast drop",
        "",
    ),
    text(
        "overlap: hidden destinations",
        "overlap: a destination that is hidden",
        LINK,
        "{{keyword}} daddr @{{hidden}} counter name \"{{../drop.untranslated}}\" drop",
        "",
    ),
    text(
        "overlap: hidden sources",
        "overlap: a source that is hidden",
        LINK,
        "{{keyword}} saddr @{{unseen}} counter name \"{{../drop.untranslated}}\" drop",
        "",
    ),
    text(
        "transit: only to those named",
        "transit: to a domain that is not named",
        LINK,
        "fib daddr oifname != { {{#each onward}}\"{{this}}\"{{#unless @last}}, {{/unless}}{{/each}} } jump transit",
        "",
    ),
    text(
        "transit: only to those named, in the forward chain",
        "transit: to a domain that is not named, in the forward chain",
        WIRE,
        "ct direction original iifname . oifname @pairs return",
        "ct direction original return",
    ),
    text(
        "overlap: nothing leaves untranslated",
        "overlap: a packet without a conntrack entry leaves",
        TRANSLATE,
        "{{keyword}} saddr @{{hidden}} counter name \"{{../drop.untranslated}}\" drop\n{{/if}}\n{{/each}}\n\t}\n{{/if}}\n{{/each}}\n{{#each interfaces}}",
        "{{/if}}\n{{/each}}\n\t}\n{{/if}}\n{{/each}}\n{{#each interfaces}}",
    ),
    text(
        "overlap: errors have the address that is seen",
        "overlap: an error about a flow that is not translated",
        TRANSLATE,
        "{{#each nats}}\n\t\tmeta l4proto { icmp, ipv6-icmp } ct state related {{../keyword}} saddr { {{#each from}}{{this}}{{#unless @last}}, {{/unless}}{{/each}} } {{../keyword}} saddr set {{to}}\n{{/each}}",
        "",
    ),
];
