//! What an external neighbor may not announce, said by an implementation other than BIRD. Each test has a route that is
//! accepted, which proves that the session works.

use std::time::Duration;

use crate::external::{EDGE, leads_out};
use crate::machine::{Background, Machine, SOON, eventually, throughout};
use crate::speaker::Speaker;

/// Takes everything that the protections leave.
fn open_edge() -> String {
    EDGE.replace(r#""0.0.0.0/0", "8.8.0.0/16 le 32""#, r#""any""#)
        .replace(r#""::/0", "2a00::/16 le 48""#, r#""any""#)
        .replace("preference = 200", "preference = 200\nmax_path = 20")
}

fn four() -> Speaker {
    Speaker::new(("203.0.113.1", 64510), ("203.0.113.2", 65001))
        .with("md5-password 's3cret words';")
        .says("9.9.9.0/24", "")
}

fn six() -> Speaker {
    Speaker::new(("2001:db8:ffff::1", 64510), ("2001:db8:ffff::2", 65001)).says("2a00:1450::/32", "")
}

/// A machine whose neighbor is an ExaBGP that says this, after the honest routes have been learned.
fn told(toml: &str, speakers: &[Speaker]) -> (Machine, Background) {
    let machine = leads_out(toml);
    machine.rdsup("start --detach").ok();
    let speaking = machine.speak("isp", speakers);
    for prefix in ["9.9.9.0/24", "2a00:1450::/32"] {
        eventually(SOON, &format!("the honest {prefix} is learned"), || machine.learned(prefix));
    }
    (machine, speaking)
}

impl Machine {
    fn learned(&self, prefix: &str) -> bool {
        self.routes_to("edge", prefix).contains("dev up0")
    }

    /// ExaBGP sends routes in the order of its file, so what was not learned a moment after the last one never is.
    #[track_caller]
    fn assert_refused(&self, lies: &[(&str, &str)]) {
        throughout(Duration::from_secs(1), "nothing else is learned", || true);
        for (prefix, why) in lies {
            assert!(!self.learned(prefix), "{prefix} was learned: {why}\n{}", self.birdc("edge", "show route all"));
        }
    }
}

#[test]
fn prefixes_that_no_neighbor_may_announce_are_refused() {
    let lies4 = [
        ("9.9.8.0/25", "too specific"),
        ("9.9.8.1/32", "too specific"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relays"),
        ("127.0.0.0/8", "loopback"),
        ("240.0.0.0/8", "reserved"),
        ("198.51.100.0/24", "the domain's own"),
        ("198.51.100.0/25", "a part of the domain's own"),
        ("default", "a default route that nobody asked for"),
    ];
    let lies6 = [
        ("2a00:1451::/49", "too specific"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("2001:db8::/32", "documentation"),
        ("fc00::/7", "unique local"),
        ("2002::/16", "6to4"),
        ("2001:db8:1:8000::/49", "a part of the domain's own"),
    ];
    let say = |speaker: Speaker, lies: &[(&str, &str)], default: &str| {
        lies.iter().fold(speaker, |it, (prefix, _)| it.says(if *prefix == "default" { default } else { prefix }, ""))
    };
    let speakers =
        [say(four(), &lies4, "0.0.0.0/0").says("9.9.10.0/24", ""), say(six(), &lies6, "::/0").says("::/0", "")];
    let (machine, _speaking) = told(&open_edge(), &speakers);
    eventually(SOON, "what comes last is learned", || machine.learned("9.9.10.0/24"));
    machine.assert_refused(&lies4);
    machine.assert_refused(&lies6);
    assert!(!machine.within("edge", "ip -6 route show default").stdout.contains("up0"));
}

#[test]
fn paths_and_next_hops_that_no_neighbor_may_announce_are_refused() {
    let long = format!("as-path [ {}]", "64510 ".repeat(21));
    let lies = [
        ("9.1.0.0/16", "as-path [ 3333 ]", "another first AS"),
        ("9.2.0.0/16", "as-path [ 64510 65001 ]", "a loop"),
        ("9.3.0.0/16", "as-path [ 64510 0 3333 ]", "AS 0"),
        ("9.4.0.0/16", "as-path [ 64510 23456 ]", "AS_TRANS"),
        ("9.5.0.0/16", "as-path [ 64510 64496 3333 ]", "a number for documentation"),
        ("9.6.0.0/16", "as-path [ 64510 65002 ]", "a private number"),
        ("9.7.0.0/16", "as-path [ 64510 65535 ]", "a reserved number"),
        ("9.8.0.0/16", "as-path [ 64510 70000 ]", "a reserved number"),
        ("9.9.0.0/16", "as-path [ 64510 4200000000 ]", "a private number"),
        ("9.10.0.0/16", "as-path [ 64510 4294967295 ]", "a reserved number"),
        ("9.11.0.0/16", "as-path [ 64510 ( 3333 4444 ) ]", "an AS_SET"),
        ("9.12.0.0/16", &long, "a path that is too long"),
        ("9.13.0.0/16", "next-hop 203.0.113.99", "a foreign next hop"),
        ("9.14.0.0/16", "next-hop 9.9.9.9", "a next hop far away"),
    ];
    let just = format!("as-path [ {}]", "64510 ".repeat(20));
    let speaker = lies.iter().fold(four(), |it, (prefix, rest, _)| it.says(prefix, rest));
    let speaker =
        speaker.says("9.20.0.0/16", "as-path [ 64510 3333 64495 131072 4199999999 ]").says("9.21.0.0/16", &just);
    let bad6 = six()
        .says("2a00:1::/32", "next-hop 2001:db8:ffff::99")
        .says("2a00:2::/32", "as-path [ 3333 ]")
        .says("2a00:3::/32", "as-path [ 64510 64496 ]");
    let (machine, _speaking) = told(&open_edge(), &[speaker, bad6]);
    for prefix in ["9.20.0.0/16", "9.21.0.0/16"] {
        eventually(SOON, &format!("{prefix} is learned"), || machine.learned(prefix));
    }
    machine.assert_refused(&lies.map(|(prefix, _, why)| (prefix, why)));
    machine.assert_refused(&[
        ("2a00:1::/32", "a foreign next hop"),
        ("2a00:2::/32", "another first AS"),
        ("2a00:3::/32", "a number for documentation"),
    ]);
}

#[test]
fn a_path_of_nothing_but_an_as_set_is_refused() {
    let (machine, _speaking) =
        told(&open_edge(), &[four().says("9.1.0.0/16", "as-path [ ( 64510 3333 ) ]").says("9.2.0.0/16", ""), six()]);
    eventually(SOON, "what comes last is learned", || machine.learned("9.2.0.0/16"));
    machine.assert_refused(&[("9.1.0.0/16", "its path is a set")]);
}

#[test]
fn without_the_filters_the_same_lies_are_learned() {
    let overlay = "filter import{{suffix}} { accept; }\nfilter export{{suffix}} { reject; }\n";
    let lies =
        ["9.9.8.0/25", "10.0.0.0/8", "192.0.2.0/24", "192.88.99.0/24", "198.51.100.0/25", "9.3.0.0/16", "9.4.0.0/16"];
    let speaker = lies[..5].iter().fold(four(), |it, prefix| it.says(prefix, ""));
    let speaker =
        speaker.says("9.3.0.0/16", "as-path [ 64510 64496 ]").says("9.4.0.0/16", "as-path [ 64510 ( 3333 4444 ) ]");
    let machine = leads_out(&format!("[rdsup]\ntemplates = \"/srv/machine/templates\"\n{}", open_edge()));
    machine.write("/srv/machine/templates/bird/filters.hbs", overlay);
    machine.rdsup("start --detach").ok();
    let six = six().says("5f00::/16", "").says("2a00:1::/32", "next-hop 2001:db8:ffff::99");
    let _speaking = machine.speak("isp", &[speaker, six]);
    for prefix in lies.iter().chain(&["5f00::/16", "2a00:1::/32"]) {
        eventually(SOON, &format!("{prefix} is learned"), || machine.learned(prefix));
    }
}
