//! A cgroup for each domain's daemon, where one was delegated.
//!
//! The machine sees the cgroups of the real one, so each test makes a group with a name of its own there, marks it as a
//! service manager would, and removes it at the end, however that comes.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::{DEMO, Machine, SOON, eventually};
use crate::manager::Manager;

/// A cgroup that was made by hand.
struct Group(PathBuf);

impl Group {
    /// With the mark of what was delegated, or without.
    fn new(delegated: bool) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("it is readable");
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).expect("cgroup v2 is mounted");
        let point = mount.split(' ').nth(4).expect("a mount point");
        let name = tempfile::Builder::new().prefix("rdsup-test-").tempdir().expect("a name that nobody has");
        let group = Path::new(point).join(name.path().file_name().expect("a name"));
        fs::create_dir(&group).expect("root may make cgroups");
        let group = Self(group);
        if delegated {
            let path = CString::new(group.0.to_str().expect("a plain name")).expect("no NUL");
            // SAFETY: both names and the value are valid for the call, which only reads them.
            let marked =
                unsafe { libc::setxattr(path.as_ptr(), c"user.delegate".as_ptr(), c"1".as_ptr().cast(), 1, 0) };
            assert_eq!(marked, 0, "{}", std::io::Error::last_os_error());
        }
        group
    }

    /// Starts the service in it.
    fn start(&self, machine: &Machine, manager: &Manager, below: &str) -> crate::machine::Background {
        let group = self.0.join(below);
        fs::create_dir_all(&group).expect("root may make cgroups");
        manager.start_after(machine, &format!("echo 0 >{}/cgroup.procs", group.display()), "")
    }

    /// The groups in it that have processes or could, by name.
    fn groups(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it is there").flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn processes(&self, below: &str) -> usize {
        fs::read_to_string(self.0.join(below).join("cgroup.procs")).map_or(0, |text| text.lines().count())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What is in it dies with the test's machine at the latest; a group goes when its last process has.
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        let end = std::time::Instant::now() + SOON;
        while self.0.exists() && std::time::Instant::now() < end {
            for name in self.groups() {
                let _ = fs::remove_dir(self.0.join(name));
            }
            let _ = fs::remove_dir(&self.0);
        }
    }
}

const DOMAINS: [&str; 3] = ["domain-hostile", "domain-internet", "domain-private"];

#[test]
#[ignore = "needs root: cgroups are the real machine's"]
fn each_daemon_has_a_cgroup_of_its_own_where_one_was_delegated() {
    for below in ["", "supervisor"] {
        let group = Group::new(true);
        let machine = Machine::new(DEMO);
        let mut manager = Manager::new();
        let service = group.start(&machine, &manager, below);
        manager.hear("READY=1");
        let wanted = [&DOMAINS[..], &["supervisor"]].concat();
        assert_eq!(group.groups(), wanted, "started in {below:?}");
        // What the supervisor asks for something (`nft`) is beside it for a moment.
        eventually(SOON, &format!("one process is in each, started in {below:?}"), || {
            wanted.iter().all(|name| group.processes(name) == 1)
        });
        assert_eq!(group.processes(""), 0, "nothing but groups, started in {below:?}");
        let bird = machine.bird("private").expect("private has a daemon");
        assert!(machine.sh(&format!("cat /proc/{bird}/cgroup")).contains("domain-private"), "the right daemon");
        let said = machine.rdsup("doctor").stdout;
        assert!(said.contains("was delegated to the supervisor"), "{said}");

        machine.line(&format!("kill -9 {bird}"));
        eventually(SOON, "its successor is in the same cgroup", || {
            machine.bird("private").is_some_and(|next| {
                next != bird && machine.sh(&format!("cat /proc/{next}/cgroup")).contains("domain-private")
            })
        });
        machine.configure(&DEMO.replace("hostile", "guests"));
        machine.rdsup("apply").ok();
        let renamed = ["domain-guests", "domain-internet", "domain-private", "supervisor"];
        eventually(SOON, "the cgroup goes with its domain", || group.groups() == renamed);

        machine.rdsup("stop").ok();
        service.finish(SOON).ok();
        eventually(SOON, "the cgroups of domains are gone", || group.groups() == ["supervisor"]);
    }
}

#[test]
#[ignore = "needs root: cgroups are the real machine's"]
fn daemons_of_a_supervisor_without_cgroups_are_moved_when_they_are_taken_over() {
    let machine = Machine::running(DEMO);
    machine.signal_supervisor("TERM");
    let before = machine.bird("private");
    let group = Group::new(true);
    let mut manager = Manager::new();
    let _service = group.start(&machine, &manager, "supervisor");
    manager.hear("READY=1");
    eventually(SOON, "each daemon is in its group", || DOMAINS.iter().all(|name| group.processes(name) == 1));
    assert_eq!(machine.bird("private"), before);
}

#[test]
#[ignore = "needs root: cgroups are the real machine's"]
fn where_nothing_was_delegated_nothing_is_made_and_doctor_says_so() {
    let group = Group::new(false);
    let machine = Machine::new(DEMO);
    let mut manager = Manager::new();
    let service = group.start(&machine, &manager, "");
    manager.hear("READY=1");
    assert_eq!(group.groups(), [""; 0]);
    eventually(SOON, "the supervisor and three daemons are there, and no other", || group.processes("") == 4);
    let said = machine.rdsup("doctor").stdout;
    let line = said.lines().find(|line| line.contains("cgroups")).unwrap_or_default();
    assert!(line.contains("is not delegated to the supervisor"), "{said}");
    machine.rdsup("stop").ok();
    service.finish(SOON).ok();
}
