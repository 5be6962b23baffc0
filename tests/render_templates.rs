//! Templates, what they see, and what users may put into them.

mod render_fixture;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rdsup::model::{Network, Origin, PasswordFile};
use rdsup::policy::{OTHER_INTERFACE, parse_counter};
use rdsup::render::*;
use render_fixture::*;
use serde_json::Value;

fn key() -> PasswordFile {
    PasswordFile(PathBuf::from("/etc/rdsup/keys/transit"))
}

fn with_password(network: &Network, password: &str) -> Result<Rendered, Vec<RenderError>> {
    render(network, &Templates::built_in(), &Secrets::from_iter([(key(), Secret::new(password))]))
}

fn bird(rendered: &Rendered, domain: &str) -> String {
    rendered.domains[domain].speaker().unwrap().to_owned()
}

#[test]
fn a_missing_field_is_an_error_with_template_line_and_column() {
    let mut templates = Templates::built_in();
    templates.overlay("bird/link.hbs", "# fine\nprotocol {{nonsense}};\n".to_owned()).unwrap();
    let errors = render(&three_domains(), &templates, &Secrets::redacted()).unwrap_err();
    assert_eq!(errors.len(), 3, "every domain is told: {errors:?}");
    let message = errors[0].to_string();
    assert!(message.starts_with("domain internet: template bird/link.hbs:2:10: "), "{message}");
    assert!(message.contains("nonsense"), "{message}");
    assert!(errors[0].hint().is_some());
}

#[test]
fn a_template_that_would_hide_a_mistake_is_refused_with_its_place() {
    let overlay = |text: &str| Templates::built_in().overlay("bird/link.hbs", text.to_owned()).unwrap_err().to_string();
    assert!(overlay("a\n  {{{peer}}}").starts_with("bird/link.hbs:2:3: "), "{}", overlay("a\n  {{{peer}}}"));
    assert!(overlay("{{&peer}}").contains("{{x}}"));
    assert!(overlay("{{#each channels}}\n{{> bird/channel name=missing}}{{/each}}").starts_with("bird/link.hbs:2:1: "));
    assert!(overlay("{{#each channels}}{{> bird/channel this}}{{/each}}").contains("no arguments"));
    assert!(overlay("ok\n{{#each}").starts_with("bird/link.hbs:"));
}

#[test]
fn a_file_that_replaces_nothing_is_an_error_that_lists_what_there_is() {
    let error = Templates::built_in().overlay("bird/links.hbs", String::new()).unwrap_err().to_string();
    assert!(error.contains("bird/links.hbs") && error.contains("bird/link.hbs, "), "{error}");
}

#[test]
fn an_overlay_replaces_the_built_in_of_the_same_path_only() {
    let mut templates = Templates::built_in();
    templates.overlay("bird/family.hbs", "# {{name}} is mine\n".to_owned()).unwrap();
    let rendered = render(&three_domains(), &templates, &Secrets::redacted()).unwrap();
    let text = bird(&rendered, "internet");
    assert!(text.contains("# ipv4 is mine\n") && !text.contains("protocol kernel"));
    assert!(text.contains("protocol bgp rd_private"));
}

#[test]
fn descriptions_cannot_become_configuration() {
    let mut network = edge();
    let nasty = r#"x"; } protocol bgp evil { # \ {{secret}} $y"#;
    network.domains[0].description = Some(nasty.to_owned());
    network.domains[0].neighbors[0].description = Some(nasty.to_owned());
    let rendered = with_password(&network, "secret").unwrap();
    let text = bird(&rendered, "edge");
    let line = format!("\tdescription \"{}\";", nasty.replace('"', "'"));
    assert!(text.lines().any(|it| it == line), "{text}");
    // Everything else with these words is a comment.
    for text in [&text, &rendered.domains["edge"].filter] {
        for found in text.lines().filter(|it| it.contains("evil")) {
            assert!(found.starts_with('#') || found == line, "{found}");
        }
    }
    for control in ["a\nb", "a\rb", "a\u{0}b", "a\u{2028}b", "a\u{85}b"] {
        network.domains[0].description = Some(control.to_owned());
        assert!(with_password(&network, "secret").is_err(), "{control:?}");
    }
}

#[test]
fn a_run_dir_that_cannot_be_quoted_is_an_error_of_each_domain() {
    let mut network = host();
    network.settings.run_dir = PathBuf::from("/run/\"; include \"/etc/shadow");
    let errors = with_password(&network, "x").unwrap_err();
    assert!(errors.iter().all(|error| error.to_string().contains("run_dir holds a double quote")), "{errors:?}");
    network.settings.run_dir = PathBuf::from(format!("/run/{}", "x".repeat(120)));
    assert!(with_password(&network, "x").unwrap_err()[0].to_string().contains("longer than 127 bytes"));
}

#[test]
fn a_password_that_bird_or_tcp_md5_cannot_take_is_an_error_that_does_not_show_it() {
    for password in ["", "p\"q", "pä", "tab\there", &"x".repeat(81)] {
        let errors = with_password(&edge(), password).unwrap_err();
        let text = format!("{errors:?} {}", errors[0]);
        assert!(text.contains("/etc/rdsup/keys/transit"), "{text}");
        assert!(password.is_empty() || !text.contains(password), "{text}");
        assert_eq!(errors[0].origin, Origin { line: 20 });
    }
    let errors = render(&edge(), &Templates::built_in(), &Secrets::new(BTreeMap::new())).unwrap_err();
    assert!(errors[0].to_string().contains("was not read"), "{}", errors[0]);
}

#[test]
fn a_secret_shows_in_the_daemons_file_and_nowhere_else() {
    let secrets = Secrets::from_iter([(key(), Secret::new("hunter2"))]);
    let rendered = render(&edge(), &Templates::built_in(), &secrets).unwrap();
    assert!(bird(&rendered, "edge").contains("password \"hunter2\";"));
    let context = context_of(&edge(), &edge().domains[0]).unwrap();
    let shown = format!("{secrets:?} {rendered:?} {context} {}", Secret::new("hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
    let redacted = render(&edge(), &Templates::built_in(), &Secrets::redacted()).unwrap();
    assert!(bird(&redacted, "edge").contains("password \"<redacted>\";"));
}

#[test]
fn a_line_of_the_admins_own_text_is_found_again() {
    let rendered = with_password(&three_domains(), "x").unwrap();
    let private = &rendered.domains["private"];
    let extra = private.extra.unwrap();
    let text = private.speaker().unwrap();
    let at = u32::try_from(text.lines().position(|line| line.starts_with("function admins_own")).unwrap()).unwrap() + 1;
    assert_eq!(extra.locate(at), Some(Origin { line: 31 }));
    assert_eq!(extra.locate(at - 1), Some(Origin { line: 30 }));
    assert_eq!(extra.locate(at - 2), None);
    assert_eq!(extra.locate(at + 1), None);
}

#[test]
fn a_line_of_the_combined_check_leads_back_to_its_domain() {
    let rendered = with_password(&three_domains(), "x").unwrap();
    let check = rendered.filter_check();
    for (number, line) in (1..).zip(check.text.lines()) {
        let (domain, own_line) = check.locate(number).unwrap();
        let own = rendered.domains[domain].filter.lines().nth(own_line as usize - 1).unwrap();
        assert_eq!(line.replace(&format!("rdsup-{domain}"), "rdsup"), own);
    }
}

#[test]
fn every_counter_in_a_filter_reads_back_as_one_of_its_interfaces() {
    for network in [three_domains(), edge(), host(), overlap()] {
        for rendered in with_password(&network, "x").unwrap().domains.values() {
            let declared: BTreeSet<&str> = rendered
                .filter
                .lines()
                .filter_map(|it| it.trim().strip_prefix("counter ")?.strip_suffix(" { }"))
                .collect();
            let used: BTreeSet<&str> =
                rendered.filter.split("counter name \"").skip(1).filter_map(|it| it.split('"').next()).collect();
            assert!(used.is_subset(&declared), "{used:?}");
            for counter in declared {
                let (interface, _) = parse_counter(counter).unwrap();
                assert!(interface == OTHER_INTERFACE || rendered.filter.contains(&format!("\"{interface}\"")));
            }
        }
    }
}

#[test]
fn nothing_is_dropped_without_a_counter_unless_a_comment_says_that_it_is_no_fault() {
    for network in [three_domains(), edge(), host(), overlap()] {
        for rendered in with_password(&network, "x").unwrap().domains.values() {
            let mut before = "";
            for line in rendered.filter.lines() {
                if line.ends_with(" drop") && !line.contains(" counter name ") && !line.starts_with("\t\tcounter name ")
                {
                    assert!(before.contains("no fault"), "{before}\n{line}");
                }
                before = line;
            }
        }
    }
}

/// Every key of every object below `value`; reasons of drops are documented elsewhere.
fn keys<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                found.insert(name);
                if name != "drop" {
                    keys(value, found);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[test]
fn the_documentation_names_every_field_that_templates_see_and_no_other() {
    let documentation = include_str!("../docs/templates.md");
    let documented: BTreeSet<&str> = documentation
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| !name.contains('/'))
        .collect();
    let frr = [edge(), chain()].map(with_frr);
    let contexts: Vec<Value> = [edge(), host(), chain(), overlap()]
        .iter()
        .chain(&frr)
        .flat_map(|network| network.domains.iter().map(|domain| context_of(network, domain).unwrap()))
        .collect();
    let mut seen = BTreeSet::new();
    for root in contexts.iter().flat_map(|context| [&context["bird"], &context["frr"], &context["nft"]]) {
        keys(root, &mut seen);
    }
    assert_eq!(documented, seen);
}

#[test]
fn the_documentation_names_every_template() {
    let documentation = include_str!("../docs/templates.md");
    for (path, _) in Templates::built_in().texts() {
        assert!(documentation.contains(&format!("| `{path}` |")), "{path}");
    }
}
