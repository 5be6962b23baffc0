//! Model and policy become the text that daemons and nftables read.
//!
//! [`render`] builds a documented context for each domain ([`context`]) and runs the templates over it. What a template
//! sees is typed: numbers, addresses, checked names and quoted strings, so that nothing the user typed can become syntax.
//! The one exception, `extra`, is appended after the last template line, and [`ExtraLines`] says where.

mod bird;
mod common;
pub mod context;
mod error;
pub mod frr;
mod nft;
mod quote;
mod secrets;
mod templates;

pub use bird::{is_neighbor_protocol, link_protocol, neighbor_protocol, session_name};
pub use error::{Problem, RenderError};
pub use nft::{run_dir_of_host, table_comment};
pub use quote::{QuoteError, Quoted};
pub use secrets::{REDACTED, Secret, Secrets};
pub use templates::{TemplateError, Templates};

use std::collections::BTreeMap;
use std::fmt;

use crate::model::{DaemonKind, Domain, DomainName, Network, Origin, Program};

/// The generated files of every domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// By domain.
    pub domains: BTreeMap<DomainName, RenderedDomain>,
}

/// The generated files of one domain. Not printed by `Debug`, because the daemon's may hold passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct RenderedDomain {
    /// The packet filter, for `nft -f`.
    pub filter: String,
    /// The configuration of each program of its daemon; none if the domain has no daemon.
    pub daemon: BTreeMap<Program, String>,
    /// Where in that of the program that speaks BGP the admin's own lines stand.
    pub extra: Option<ExtraLines>,
}

impl RenderedDomain {
    /// The configuration of the program that speaks BGP, if the domain has one.
    pub fn speaker(&self) -> Option<&str> {
        self.daemon.last_key_value().map(|(_, text)| text.as_str())
    }

    /// The filter with a table name of its own, so that the filters of many domains fit in one check.
    fn filter_under_own_name(&self, domain: &DomainName) -> String {
        let table = format!("table inet {}", nft::TABLE);
        self.filter.replace(&table, &format!("{table}-{domain}"))
    }
}

impl fmt::Debug for RenderedDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = |text: &str| text.lines().count();
        f.debug_struct("RenderedDomain")
            .field("filter_lines", &lines(&self.filter))
            .field("daemon_lines", &self.speaker().map(lines))
            .field("extra", &self.extra)
            .finish_non_exhaustive()
    }
}

/// The lines of a daemon's configuration that are the admin's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtraLines {
    /// The first of them, counted from 1.
    pub first_line: u32,
    /// How many there are.
    pub line_count: u32,
    /// Where the first of them stands in the file.
    pub origin: Origin,
}

impl ExtraLines {
    /// The line of the configuration file that became `line` of the daemon's, if it is one of the admin's own.
    pub fn locate(&self, line: u32) -> Option<Origin> {
        let offset = line.checked_sub(self.first_line).filter(|offset| *offset < self.line_count)?;
        Some(Origin { line: self.origin.line + offset })
    }
}

/// How much text of [`Rendered::filter_checks`] `nft` takes at once from someone who is not root on the machine.
pub const UNPRIVILEGED_CHECK: usize = 40_000;

/// Every domain's filter as one text, for a single `nft -c -f -`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterCheck {
    /// The text; each domain's table has a name of its own.
    pub text: String,
    /// Which lines belong to which domain, in order.
    pub sections: Vec<FilterSection>,
}

/// The lines of one domain in a [`FilterCheck`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterSection {
    /// The domain.
    pub domain: DomainName,
    /// Its first line, counted from 1.
    pub first_line: u32,
    /// How many lines it has.
    pub line_count: u32,
}

impl FilterCheck {
    fn push(&mut self, domain: &DomainName, text: &str) {
        let first_line = count_lines(&self.text) + 1;
        self.text.push_str(text);
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.sections.push(FilterSection { domain: domain.clone(), first_line, line_count: count_lines(text) });
    }

    /// The domain that `line` belongs to, and the line of its own file.
    pub fn locate(&self, line: u32) -> Option<(&DomainName, u32)> {
        self.sections.iter().find_map(|section| {
            let offset = line.checked_sub(section.first_line)?;
            (offset < section.line_count).then_some((&section.domain, offset + 1))
        })
    }
}

impl Rendered {
    /// Everything that `nft` should check, as one text.
    pub fn filter_check(&self) -> FilterCheck {
        self.filter_checks(usize::MAX, |_| true).pop().unwrap_or_default()
    }

    /// That of the domains `wanted`, in several texts of at most `bytes` each, as far as whole domains fit.
    ///
    /// `nft` sends a file as one netlink message, and without privileges in the initial user namespace it cannot raise
    /// the socket's send buffer (`SO_SNDBUFFORCE`): with 208 KiB, text of more than about [`UNPRIVILEGED_CHECK`] bytes
    /// fails with "Message too long".
    pub fn filter_checks(&self, bytes: usize, wanted: impl Fn(&DomainName) -> bool) -> Vec<FilterCheck> {
        let mut checks: Vec<FilterCheck> = Vec::new();
        for (domain, rendered) in self.domains.iter().filter(|(domain, _)| wanted(domain)) {
            let text = rendered.filter_under_own_name(domain);
            match checks.last_mut() {
                Some(check) if check.text.len() + text.len() <= bytes => check.push(domain, &text),
                _ => {
                    let mut check = FilterCheck::default();
                    check.push(domain, &text);
                    checks.push(check);
                }
            }
        }
        checks
    }
}

/// Renders every domain, or says everything that is in the way.
pub fn render(network: &Network, templates: &Templates, secrets: &Secrets) -> Result<Rendered, Vec<RenderError>> {
    render_part(network, &network.domains, templates, secrets)
}

/// The same for some domains of the network. They do not depend on each other, so parts can be rendered at the same time.
pub fn render_part(
    network: &Network,
    part: &[Domain],
    templates: &Templates,
    secrets: &Secrets,
) -> Result<Rendered, Vec<RenderError>> {
    let mut domains = BTreeMap::new();
    let mut errors = Vec::new();
    for domain in part {
        match render_domain(network, domain, templates, secrets) {
            Ok(rendered) => {
                domains.insert(domain.name.clone(), rendered);
            }
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(Rendered { domains }) } else { Err(errors) }
}

fn render_domain(
    network: &Network,
    domain: &Domain,
    templates: &Templates,
    secrets: &Secrets,
) -> Result<RenderedDomain, Vec<RenderError>> {
    let mut errors = Vec::new();
    let fail = |error| {
        vec![RenderError { domain: domain.name.clone(), origin: domain.origin, problem: Problem::Template(error) }]
    };
    let daemon = match domain.daemon {
        DaemonKind::None => Ok((BTreeMap::new(), None)),
        DaemonKind::Bird => bird::context(network, domain, secrets).and_then(|context| {
            let text = templates.render("bird/bird.conf.hbs", &context).map_err(fail)?;
            let (text, extra) = append_extra(text, domain);
            Ok((BTreeMap::from([(Program::Bird, text)]), extra))
        }),
        DaemonKind::Frr => {
            let text = frr::text(network, domain, templates, secrets);
            text.map(|text| {
                let mut texts = BTreeMap::from([(Program::Zebra, text.zebra), (Program::Bgpd, text.bgpd)]);
                texts.extend(text.mgmtd.map(|text| (Program::Mgmtd, text)));
                texts.extend(text.bfdd.map(|text| (Program::Bfdd, text)));
                (texts, text.extra)
            })
        }
    };
    let daemon = daemon.map_err(|found| errors.extend(found)).ok();
    let nft = nft::context(network, domain).map_err(|found| errors.extend(found)).ok();
    let (Some((daemon, extra)), Some(nft)) = (daemon, nft) else { return Err(errors) };
    let filter = templates.render("nft/table.hbs", &nft).map_err(fail)?;
    Ok(RenderedDomain { filter, daemon, extra })
}

/// What the templates of a domain see, with secrets redacted: `{"bird": …, "frr": …, "nft": …}`. Made when somebody asks, because
/// a network with lists from routing registries has a lot of it.
pub fn context_of(network: &Network, domain: &Domain) -> Result<serde_json::Value, Vec<RenderError>> {
    let secrets = Secrets::redacted();
    let (mut bird, mut frr) = (None, None);
    match domain.daemon {
        DaemonKind::None => {}
        DaemonKind::Bird => bird = Some(bird::context(network, domain, &secrets)?),
        DaemonKind::Frr => frr = Some(frr::context(network, domain, &secrets, &Templates::built_in())?),
    }
    Ok(serde_json::json!({ "bird": bird, "frr": frr, "nft": nft::context(network, domain)? }))
}

fn append_extra(mut text: String, domain: &Domain) -> (String, Option<ExtraLines>) {
    let Some(extra) = &domain.extra else { return (text, None) };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str("\n# The admin's own lines\n");
    let lines = ExtraLines {
        first_line: count_lines(&text) + 1,
        line_count: count_lines(&extra.text).max(1),
        origin: extra.origin,
    };
    text.push_str(&extra.text);
    text.push('\n');
    (text, Some(lines))
}

fn count_lines(text: &str) -> u32 {
    u32::try_from(text.lines().count()).unwrap_or(u32::MAX)
}
