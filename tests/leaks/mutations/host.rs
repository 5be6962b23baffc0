//! What keeps the machine's own namespace closed to links.

use super::{HOST, Mutation, text};

pub const MUTATIONS: &[Mutation] = &[
    text(
        "host: what arrives by a link without its name",
        "host: arriving by a link that was renamed",
        HOST,
        "iifgroup {{group}} counter name \"{{other}}\" drop",
        "",
    ),
    text(
        "host: what goes on to a link without its name",
        "host: forwarded to a link that was renamed",
        HOST,
        "oifgroup {{group}} counter name \"{{other}}\" drop\n\t}\n{{#if links}}",
        "}\n{{#if links}}",
    ),
    text(
        "host: its own packets to a link without its name",
        "host: its own packets by a link that was renamed",
        HOST,
        "goto own.{{name}},\n{{/each}}\n\t\t}\n{{/if}}\n\t\toifgroup {{group}} counter name \"{{other}}\" drop",
        "goto own.{{name}},\n{{/each}}\n\t\t}\n{{/if}}",
    ),
];
