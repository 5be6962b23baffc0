use super::*;

const BEFORE: &str = "Building configuration...

Current configuration:
!
frr version 8.4.4
!
bgp route-map delay-timer 1
!
router bgp 65001
 neighbor 192.0.2.1 remote-as 65009
 neighbor 192.0.2.1 password old secret
 neighbor 192.0.2.1 enforce-first-as
 !
 address-family ipv4 unicast
  neighbor 192.0.2.1 activate
  neighbor 192.0.2.1 route-map rd-isp-in-1 in
 exit-address-family
exit
!
ip prefix-list rd-isp-in-1 seq 5 permit 10.2.0.0/16
!
route-map rd-isp-in-1 permit 10
 match ip address prefix-list rd-isp-in-1
exit
!
route-map rd-isp-in-1 deny 20
exit
!
rpki
 rpki polling_period 900
 rpki cache 203.0.113.3 323 preference 1
exit
!
end
";
const FAMILY: &str = "in router bgp 65001, address-family ipv4 unicast";
const FILTER: &str = "  neighbor 192.0.2.1 route-map rd-isp-in-1 in\n";

/// The text with something else in place of something.
fn with(old: &str, new: &str) -> String {
    assert!(BEFORE.contains(old), "{old}");
    BEFORE.replace(old, new)
}

fn after(old: &str, new: &str) -> Vec<String> {
    told(BEFORE, &with(old, new))
}

#[test]
fn what_was_typed_is_said_with_its_place_and_without_secrets() {
    assert_eq!(told(BEFORE, BEFORE), [""; 0]);
    assert_eq!(told(BEFORE, &with("\n!\n", "\n!\n!\n")), [""; 0]);
    assert_eq!(after(FILTER, ""), [format!("\"no neighbor 192.0.2.1 route-map rd-isp-in-1 in\" {FAMILY}")]);
    assert_eq!(
        after("route-map rd-isp-in-1 in", "route-map mine in"),
        [format!("\"neighbor 192.0.2.1 route-map mine in\" {FAMILY}")]
    );
    assert_eq!(after("old secret", "new secret"), ["\"neighbor 192.0.2.1 password\" in router bgp 65001"]);
    assert_eq!(after("!\nrouter bgp", "password 8 hidden\nrouter bgp"), ["\"password\""]);
    assert_eq!(after("bgp route-map delay-timer 1\n", ""), ["\"no bgp route-map delay-timer 1\""]);
    assert_eq!(after("frr version", "\u{1b}[2Jfrr version")[0], "\"\\u{1b}[2Jfrr version 8.4.4\"");
}

#[test]
fn what_was_done_to_lists_and_route_maps_is_said_of_each_line_and_entry() {
    let list = "ip prefix-list rd-isp-in-1 seq 5 permit 10.2.0.0/16\n";
    let more =
        "ip prefix-list rd-isp-in-1 description harmless\nip prefix-list rd-isp-in-1 seq 6 permit 0.0.0.0/0 le 32\n";
    assert_eq!(
        after(list, &format!("{list}{more}")),
        more.lines().map(|line| format!("\"{line}\"")).collect::<Vec<_>>()
    );
    assert_eq!(after(list, ""), ["\"no ip prefix-list rd-isp-in-1 seq 5 permit 10.2.0.0/16\""]);
    let entry = "route-map rd-isp-in-1 permit 10\n";
    assert_eq!(
        after(entry, &format!("route-map rd-isp-in-1 permit 5\n match as-path x\nexit\n!\n{entry}")),
        ["\"route-map rd-isp-in-1 permit 5\""]
    );
    // From one entry into another.
    let matched = " match ip address prefix-list rd-isp-in-1\n";
    let moved = with(matched, "").replace("deny 20\n", &format!("deny 20\n{matched}"));
    let words = matched.trim();
    assert_eq!(
        told(BEFORE, &moved),
        [
            format!("\"{words}\" in route-map rd-isp-in-1 deny 20"),
            format!("\"no {words}\" in route-map rd-isp-in-1 permit 10")
        ]
    );
}

#[test]
fn what_is_taken_out_of_a_part_is_said_also_if_nothing_is_left_in_it() {
    let caches = " rpki polling_period 900\n rpki cache 203.0.113.3 323 preference 1\n";
    assert_eq!(
        after(caches, ""),
        ["\"no rpki polling_period 900\" in rpki", "\"no rpki cache 203.0.113.3 323 preference 1\" in rpki"]
    );
    assert_eq!(after(&format!("rpki\n{caches}exit\n"), ""), ["\"no rpki\""]);
}

#[test]
fn a_session_that_is_gone_is_none_of_it_and_one_without_guards_is() {
    let without = BEFORE.lines().filter(|line| !line.contains("neighbor 192.0.2.1")).collect::<Vec<_>>().join("\n");
    assert_eq!(told(BEFORE, &without), [""; 0]);
    // A member of a group has no line that makes it.
    let member = without.replace("router bgp 65001\n", "router bgp 65001\n neighbor 192.0.2.1 peer-group g\n");
    let said = told(BEFORE, &member);
    assert!(said.contains(&format!("\"no neighbor 192.0.2.1 route-map rd-isp-in-1 in\" {FAMILY}")), "{said:?}");
    assert!(said.iter().any(|words| words.contains("no neighbor 192.0.2.1 enforce-first-as")), "{said:?}");
}

#[test]
fn what_decides_comes_first() {
    let typed = with(FILTER, "")
        .replace("bgp route-map", "bgp community alias 1:1 a\nbgp community alias 1:2 b\nbgp route-map");
    assert_eq!(told(BEFORE, &typed)[0], format!("\"no neighbor 192.0.2.1 route-map rd-isp-in-1 in\" {FAMILY}"));
}

#[test]
fn what_was_typed_before_a_change_is_still_told_after_it() {
    let typed = with(" permit 10\n", " permit 10\n set local-preference 7\n")
        .replace(FILTER, &format!("{FILTER}  neighbor 192.0.2.1 allowas-in\n  network 10.9.0.0/16\n"))
        .replace(" neighbor 192.0.2.1 enforce-first-as\n", "");
    let told_before = told(BEFORE, &typed);
    assert_eq!(told_before.len(), 4, "{told_before:?}");
    // The change is to something else.
    let later = typed.replace("delay-timer 1", "delay-timer 2");
    let noted = untold(BEFORE, &typed, &later, "router bgp 65001\n neighbor 192.0.2.1 enforce-first-as\n");
    assert_eq!(told(&noted, &later), told_before);
    // What was tried by hand is in the file now, and what was taken away is in it no more.
    let noted =
        untold(BEFORE, &typed, &later, "router bgp 65001\n address-family ipv4 unicast\n  network 10.9.0.0/16\n");
    let said = told(&noted, &later);
    assert!(
        said.len() == 2 && !said.iter().any(|words| words.contains("network") || words.contains("first-as")),
        "{said:?}"
    );
    // The change brings back what was taken away.
    let (removed, brought) = (with(FILTER, ""), with("rd-isp-in-1 in", "rd-isp-in-2 in"));
    assert_eq!(told(&untold(BEFORE, &removed, &brought, &brought), &brought), [""; 0]);
    assert_eq!(told(&untold(BEFORE, BEFORE, &brought, &brought), &brought), [""; 0]);
}

#[test]
fn an_answer_of_any_length_and_depth_takes_no_more_than_its_size() {
    let many = (0..200_000).map(|number| format!("ip prefix-list x seq {number} permit any")).collect::<Vec<_>>();
    let deep = (0..5000).map(|depth| format!("{}vrf {depth}", " ".repeat(depth % 1500))).collect::<Vec<_>>();
    let [many, deep] = [many, deep].map(|lines| lines.join("\n"));
    for text in [many, deep] {
        let other = text.replace('x', "y").replace("vrf", "vri");
        assert!(told(&text, &other).len() >= 5000);
        assert!(untold(&text, &other, &text, "").len() <= 3 * text.len());
    }
}

#[test]
fn what_is_lacking_is_found_in_its_part() {
    let wanted = frr::Configuration::read(BEFORE);
    let lines: Vec<_> = wanted.lines.into_iter().filter(|line| line.text.contains("route-map rd")).collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lacks(BEFORE, &lines), [] as [&frr::Line; 0]);
    assert_eq!(lacks(&with(FILTER, ""), &lines).len(), 1);
    assert_eq!(lacks(&with("65001", "65001 view x"), &lines).len(), 1);
}
