//! `rdsup ps`: who runs where.

use crate::machine::{Machine, SOON, eventually, words};

#[test]
fn ps_lists_what_runs_in_each_domain_and_nothing_else() {
    let machine = Machine::demo();
    let inside = machine.spawn(&words("ip netns exec private sleep 71"));
    let _outside = machine.spawn(&words("sleep 72"));
    // ip(8) has these words in its own command line.
    eventually(SOON, "the one inside runs", || machine.run(&["pgrep", "-fx", "sleep.71"]).status.success());
    let text = machine.rdsup("ps").ok();
    assert!(text.starts_with("DOMAIN"), "{text}");
    for domain in ["hostile", "internet", "private"] {
        let bird = machine.bird(domain).expect("it has a daemon");
        let line = text.lines().find(|line| words(line)[1] == bird).expect("its daemon is listed");
        assert!(line.starts_with(domain) && line.contains("bird"), "{line}");
    }
    assert!(!text.contains("sleep 72") && !text.contains("rdsup.toml"), "{text}");
    let one = machine.rdsup("ps private --json").ok();
    let json: serde_json::Value = serde_json::from_str(&one).expect("ps prints JSON");
    let listed = json.as_array().expect("a list");
    assert_eq!(listed.len(), 2, "{one}");
    assert!(listed.iter().all(|process| process["domain"] == "private"), "{one}");
    let sleeper = listed.iter().find(|process| process["command"] == "sleep 71").expect("it is one of them");
    assert_eq!((&sleeper["user"], &sleeper["uid"]), (&"root".into(), &0.into()), "{one}");
    assert!(machine.rdsup("ps nowhere").refused(2).contains("there are: hostile, internet, private"));
    assert!(machine.rdsup("ps host").refused(2).contains("ps -e"));
    drop(inside);
    machine.stop();
    assert_eq!(machine.rdsup("ps").ok().lines().count(), 1);
}
