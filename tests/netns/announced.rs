//! What `plan` says of sessions, held against what becomes of them: changes of the file, one after the other on a running machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Instant;

use serde_json::Value;

use crate::machine::{Machine, SOON, eventually};

/// One end of a session: domain, and what the session is called there.
type End = (String, String);

/// Since when a session has been Established; none if it is not.
pub type Sessions = BTreeMap<End, Option<String>>;

/// A change of the file: what it is about, and what is put in the place of what.
pub type Change<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// What `plan` announces.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// What is reset.
    pub certain: BTreeSet<End>,
    /// What may be.
    pub possible: BTreeSet<End>,
    /// All reasons.
    pub reasons: Vec<String>,
    /// How many steps the plan has.
    pub steps: usize,
}

impl Machine {
    /// Every session of every domain, when all their daemons have answered: of one that is busy just now nothing is told.
    #[track_caller]
    pub fn sessions(&self) -> Sessions {
        let mut status = Value::Null;
        eventually(SOON, "every daemon answers", || {
            status = serde_json::from_str(&self.rdsup("status --json").stdout).unwrap_or_default();
            let domains = status["domains"].as_array();
            domains.is_some_and(|domains| domains.iter().all(|domain| domain["sessions_unknown"] != true))
        });
        let mut sessions = Sessions::new();
        for domain in status["domains"].as_array().into_iter().flatten() {
            for session in domain["sessions"].as_array().into_iter().flatten() {
                let text = |value: &Value| value.as_str().expect("a name").to_owned();
                let since = session["since"].as_str().filter(|_| session["state"] == "Established");
                sessions.insert((text(&domain["name"]), text(&session["name"])), since.map(str::to_owned));
            }
        }
        sessions
    }

    /// What `plan --json` says.
    #[track_caller]
    pub fn announced(&self) -> Announced {
        let plan: Value = serde_json::from_str(&self.rdsup("plan --json").ok()).expect("JSON");
        let mut announced = Announced { steps: plan["steps"].as_array().expect("steps").len(), ..Announced::default() };
        for reset in plan["resets"].as_array().expect("resets") {
            let text = |key: &str| reset[key].as_str().unwrap_or_default().to_owned();
            let ends = if reset["certain"] == true { &mut announced.certain } else { &mut announced.possible };
            ends.insert((text("domain"), text("session")));
            if reset.get("peer_session").is_some() {
                ends.insert((text("peer"), text("peer_session")));
            }
            let why = reset["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
            announced.reasons.extend(why.map(str::to_owned));
        }
        assert!(announced.reasons.len() >= announced.certain.len() / 2, "a reset without a reason");
        announced
    }
}

impl Announced {
    fn foresees(&self, end: &End) -> bool {
        self.certain.contains(end) || self.possible.contains(end)
    }
}

/// The rows of the table that a test prints.
pub struct Table {
    rows: String,
    wrong: String,
    changes: usize,
    began: Instant,
}

impl Table {
    pub fn new() -> Self {
        let rows = format!("{:<44} {:<44} {:<44} reasons\n", "change", "announced (? may)", "seen");
        Self { rows, wrong: String::new(), changes: 0, began: Instant::now() }
    }

    /// Applies what is in the file, and holds what was announced against what is seen. Answers with the sessions afterwards.
    #[track_caller]
    pub fn apply(&mut self, machine: &Machine, what: &str) -> Announced {
        let before = machine.sessions();
        let announced = machine.announced();
        let said = machine.rdsup("apply").ok();
        let quiet = announced.certain.is_empty() && announced.possible.is_empty();
        assert_eq!(
            said.contains("no session resets"),
            quiet && announced.steps > 0,
            "{what}: apply says otherwise:\n{said}"
        );
        let seen = || changed(&before, &machine.sessions());
        // What was announced and does not come is the row's fault, not the test's.
        let deadline = Instant::now() + SOON;
        while !announced
            .certain
            .iter()
            .filter(|end| before.get(*end).is_some_and(Option::is_some))
            .all(|end| seen().contains(end))
        {
            if Instant::now() > deadline {
                break;
            }
        }
        let seen = seen();
        self.row(what, &before, &announced, &seen);
        announced
    }

    fn row(&mut self, what: &str, before: &Sessions, announced: &Announced, seen: &BTreeSet<End>) {
        // Of a session that was not up nothing can be seen.
        let up = |end: &&End| before.get(*end).is_some_and(Option::is_some);
        let missing: BTreeSet<_> = announced.certain.iter().filter(up).filter(|end| !seen.contains(*end)).collect();
        let surprising: BTreeSet<_> = seen.iter().filter(|end| !announced.foresees(end)).collect();
        let words = |ends: &BTreeSet<End>, mark: &str| {
            ends.iter()
                .map(|(domain, name)| format!("{mark}{domain}/{}", name.trim_start_matches("rd-")))
                .collect::<Vec<_>>()
        };
        let said = [words(&announced.certain, ""), words(&announced.possible, "?")].concat().join(" ");
        let said = if announced.steps == 0 { "(nothing to do)".to_owned() } else { said };
        let _ = writeln!(
            self.rows,
            "{what:<44} {said:<44} {:<44} {}",
            words(seen, "").join(" "),
            announced.reasons.join("; ")
        );
        if !missing.is_empty() || !surprising.is_empty() {
            let _ = writeln!(
                self.wrong,
                "{what}: announced and not seen: {missing:?}; seen and not announced: {surprising:?}"
            );
        }
        self.changes += 1;
    }

    /// Fails if a row is wrong.
    #[track_caller]
    pub fn conclude(self) {
        assert!(self.wrong.is_empty(), "\n{}", self.wrong);
    }
}

/// However the test ends, the table is what one wants to see.
impl Drop for Table {
    fn drop(&mut self) {
        println!("{}{} changes in {:.0} s", self.rows, self.changes, self.began.elapsed().as_secs_f64());
    }
}

/// Sessions that were up before, and are gone, down, or up since another moment now.
fn changed(before: &Sessions, now: &Sessions) -> BTreeSet<End> {
    let up = before.iter().filter(|(_, since)| since.is_some());
    up.filter(|(end, since)| now.get(*end) != Some(since)).map(|(end, _)| end.clone()).collect()
}

/// Waits until every session is up, and has been for a second: daemons tell the second of it, and one that is reset from now on
/// has another, though two FRRs need less than one to be there again.
#[track_caller]
pub fn settled(machine: &Machine) -> Sessions {
    let mut sessions = Sessions::new();
    let deadline = Instant::now() + 2 * SOON;
    while sessions.is_empty() || !sessions.values().all(Option::is_some) {
        assert!(Instant::now() < deadline, "these do not come up: {:?}", down(&sessions));
        sessions = machine.sessions();
    }
    let last = sessions.values().flatten().filter_map(|since| since.parse::<jiff::Timestamp>().ok()).max();
    eventually(SOON, "the second is over", || {
        last.is_none_or(|last| jiff::Timestamp::now().as_second() > last.as_second())
    });
    sessions
}

fn down(sessions: &Sessions) -> Vec<&End> {
    sessions.iter().filter(|(_, since)| since.is_none()).map(|(end, _)| end).collect()
}

/// What follows a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The next one is made in its place.
    Next,
    /// All sessions come up again, and it is taken back.
    Back,
    /// It is taken back, because a session stays down as long as it stands.
    BackAtOnce,
}

/// Makes each change, on a machine on which `file` runs.
#[track_caller]
pub fn try_all(machine: &Machine, table: &mut Table, file: &str, then: Then, changes: &[Change<'_>]) {
    let mut last = settled(machine);
    for (what, replacements) in changes {
        let mut new = file.to_owned();
        for (from, to) in *replacements {
            assert!(new.contains(from), "{what}: the file has no {from:?}");
            new = new.replacen(from, to, 1);
        }
        machine.configure(&new);
        let mut announced = vec![table.apply(machine, what)];
        if then != Then::Next {
            if then == Then::Back {
                settled(machine);
            }
            machine.configure(file);
            announced.push(table.apply(machine, &format!("{what}, back")));
        }
        // Neither while it was applied nor later happens what was not announced.
        let now = settled(machine);
        for end in changed(&last, &now).into_iter().filter(|end| !announced.iter().any(|plan| plan.foresees(end))) {
            let _ = writeln!(table.wrong, "{what}: {end:?} was reset later");
        }
        last = now;
    }
}
