//! What bgpd was told by somebody else: the difference between two of its answers to `show running-config`.
//!
//! Neither is compared with a file, because FRR leaves out what it takes for a default and puts in order what is not.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::frr::{Configuration, Line, negated, neighbor_of, setting};

/// How many characters of a line are repeated.
const LONGEST: usize = 200;

/// What was typed between two answers, as far as it shows, each with the part in which it was.
pub(super) fn told(before: &str, now: &str) -> Vec<String> {
    let (before, now) = (Configuration::read(before), Configuration::read(now));
    let (there, left) = (now.neighbors(), before.neighbors());
    let is_gone =
        |line: &Line| neighbor_of(line).is_some_and(|name| left.contains_key(name) && !there.contains_key(name));
    let (old, new): (BTreeSet<&Line>, BTreeSet<&Line>) = (before.lines.iter().collect(), now.lines.iter().collect());
    let replaced: BTreeSet<(&[String], String)> =
        new.difference(&old).map(|line| (line.path.as_slice(), setting(&line.text))).collect();
    let is_replaced = |line: &Line| replaced.contains(&(line.path.as_slice(), setting(&line.text)));
    // What went with its part went by one command.
    let parts: BTreeSet<&[String]> = now.lines.iter().map(|line| line.path.as_slice()).collect();
    let had_part = |line: &Line| line.path.is_empty() || parts.contains(line.path.as_slice());
    let added = new.difference(&old).map(|line| say(&line.text, &line.path));
    let removed = old.difference(&new).filter(|line| !is_gone(line) && !is_replaced(line) && had_part(line));
    let removed = removed.map(|line| say(&negated(&line.text), &line.path));
    objects(&before.objects, &now.objects).into_iter().chain(added).chain(removed).collect()
}

/// What bgpd would say `after` a change, had nobody typed what was typed between `before` and `then`.
pub(super) fn untold(before: &str, then: &str, after: &str) -> String {
    let [before, then, mut after] = [before, then, after].map(Configuration::read);
    after.lines.retain(|line| before.lines.contains(line) || !then.lines.contains(line));
    for line in before.lines.iter().filter(|line| !then.lines.contains(line)) {
        let sets_the_same = |other: &Line| other.path == line.path && setting(&other.text) == setting(&line.text);
        if !after.lines.iter().any(sets_the_same) {
            after.lines.push(line.clone());
        }
    }
    let names = before.objects.keys().chain(then.objects.keys()).collect::<BTreeSet<_>>();
    for name in names.into_iter().filter(|name| before.objects.get(*name) != then.objects.get(*name)) {
        if after.objects.get(name) == then.objects.get(name) {
            match before.objects.get(name) {
                Some(lines) => drop(after.objects.insert(name.clone(), lines.clone())),
                None => drop(after.objects.remove(name)),
            }
        }
    }
    let objects = after
        .objects
        .iter()
        .flat_map(|(name, lines)| lines.iter().map(move |line| (usize::from(!line.starts_with(name.as_str())), line)));
    // Each with the lines that lead to it.
    let lines = after.lines.iter().flat_map(|line| line.path.iter().chain([&line.text]).enumerate());
    let mut text = String::new();
    for (depth, line) in lines.chain(objects) {
        text.push_str(&" ".repeat(depth));
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Lists and route maps. Of one that is there and other than it was, the lines that it did not have, or else what it lacks.
fn objects(before: &BTreeMap<String, Vec<String>>, now: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut said = Vec::new();
    for (name, lines) in now {
        let had = before.get(name).map_or(&[][..], Vec::as_slice);
        let new: Vec<&String> = lines.iter().filter(|line| !had.contains(line)).collect();
        match new.first() {
            Some(line) if line.starts_with(name) => said.push(say(line, &[])),
            Some(line) => said.push(say(line, std::slice::from_ref(name))),
            None if lines.len() < had.len() => said.push(format!("fewer lines of {}", short(name))),
            None => {}
        }
    }
    said.extend(before.keys().filter(|name| !now.contains_key(*name)).map(|name| say(&format!("no {name}"), &[])));
    said
}

/// A command and where it was typed; no secret, and nothing that a terminal would take for more than text.
fn say(text: &str, path: &[String]) -> String {
    let text = short(text.split(" password ").next().unwrap_or_default());
    let parts: Vec<String> = path.iter().map(|part| short(part)).collect();
    if parts.is_empty() { format!("\"{text}\"") } else { format!("\"{text}\" in {}", parts.join(", ")) }
}

/// As much of a line as is worth repeating: whoever has taken bgpd over says what he likes.
fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::told;

    const BEFORE: &str = "Building configuration...\n\nCurrent configuration:\n!\nfrr version 8.4.4\n!\n\
        bgp route-map delay-timer 1\n!\n\
        router bgp 65001\n neighbor 192.0.2.1 remote-as 65009\n neighbor 192.0.2.1 password old secret\n !\n \
        address-family ipv4 unicast\n  neighbor 192.0.2.1 activate\n  neighbor 192.0.2.1 route-map rd-isp-in-1 in\n exit-address-family\nexit\n!\n\
        ip prefix-list rd-isp-in-1 seq 5 permit 10.2.0.0/16\n!\n\
        route-map rd-isp-in-1 permit 10\n match ip address prefix-list rd-isp-in-1\nexit\n!\nend\n";

    /// What is said after the first of these texts was replaced by the second.
    fn after(old: &str, new: &str) -> Vec<String> {
        assert!(BEFORE.contains(old), "{old}");
        told(BEFORE, &BEFORE.replace(old, new))
    }

    #[test]
    fn what_was_typed_is_said_with_its_place_and_without_secrets() {
        assert_eq!(told(BEFORE, BEFORE), [""; 0]);
        assert_eq!(told(BEFORE, &BEFORE.replace("\n!\n", "\n!\n!\n")), [""; 0]);
        let family = "in router bgp 65001, address-family ipv4 unicast";
        assert_eq!(
            after("  neighbor 192.0.2.1 route-map rd-isp-in-1 in\n", ""),
            [format!("\"no neighbor 192.0.2.1 route-map rd-isp-in-1 in\" {family}")]
        );
        assert_eq!(
            after("route-map rd-isp-in-1 in", "route-map mine in"),
            [format!("\"neighbor 192.0.2.1 route-map mine in\" {family}")]
        );
        assert_eq!(after("old secret", "new secret"), ["\"neighbor 192.0.2.1\" in router bgp 65001"]);
        assert_eq!(after("bgp route-map delay-timer 1\n", ""), ["\"no bgp route-map delay-timer 1\""]);
    }

    #[test]
    fn what_was_done_to_lists_and_route_maps_is_said() {
        let list = "ip prefix-list rd-isp-in-1 seq 5 permit 10.2.0.0/16\n";
        let more = "ip prefix-list rd-isp-in-1 seq 6 permit 0.0.0.0/0 le 32\n";
        assert_eq!(
            after(list, &format!("{list}{more}")),
            ["\"ip prefix-list rd-isp-in-1 seq 6 permit 0.0.0.0/0 le 32\""]
        );
        assert_eq!(after(list, ""), ["\"no ip prefix-list rd-isp-in-1\""]);
        assert_eq!(after(" match ip address prefix-list rd-isp-in-1\n", ""), ["fewer lines of route-map rd-isp-in-1"]);
        assert_eq!(
            after(
                "route-map rd-isp-in-1 permit 10\n",
                "route-map rd-isp-in-1 permit 5\nexit\n!\nroute-map rd-isp-in-1 permit 10\n"
            ),
            ["\"route-map rd-isp-in-1 permit 5\""]
        );
    }

    #[test]
    fn what_was_typed_before_a_change_is_still_told_after_it() {
        let policy = |name: &str| format!("neighbor 192.0.2.1 route-map {name} in\n");
        let typed = BEFORE
            .replace(" permit 10\n", " permit 10\n set local-preference 7\n")
            .replace(&policy("rd-isp-in-1"), &format!("{}  neighbor 192.0.2.1 allowas-in\n", policy("rd-isp-in-1")));
        let told_before = told(BEFORE, &typed);
        assert_eq!(told_before.len(), 2, "{told_before:?}");
        // The change is to something else: both are still there.
        let after = typed.replace("delay-timer 1", "delay-timer 2");
        assert_eq!(told(&super::untold(BEFORE, &typed, &after), &after), told_before);
        // The change removes what was changed by hand, and says anew what was taken away.
        let removed = BEFORE.replace(&policy("rd-isp-in-1"), "activate\n");
        let after = BEFORE.replace(&policy("rd-isp-in-1"), &policy("rd-isp-in-2"));
        assert_eq!(told(&super::untold(BEFORE, &removed, &after), &after), [""; 0]);
        assert_eq!(told(&super::untold(BEFORE, BEFORE, &after), &after), [""; 0]);
    }

    #[test]
    fn a_session_that_is_gone_is_none_of_it() {
        let from = BEFORE.find(" neighbor 192.0.2.1 remote").expect("it is there");
        let without = BEFORE.lines().filter(|line| !line.contains("neighbor 192.0.2.1")).collect::<Vec<_>>().join("\n");
        assert!(from > 0);
        assert_eq!(told(BEFORE, &without), [""; 0]);
    }
}
