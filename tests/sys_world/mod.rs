//! A host of its own for a test: throwaway network, mount and (without root) user namespaces, with an empty `/run`.

use std::future::Future;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rdsup::model::{DomainName, Origin};
use rdsup::plan::{Action, Step};
use rdsup::sys::Machine;

const INSIDE: &str = "SYS_TEST_INSIDE";

/// Runs `test` in a copy of this process that has a host of its own. `name` is the path of the test function.
pub fn in_own_host<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(test());
        return;
    }
    let root = nix::unistd::geteuid().is_root();
    let output = command("unshare")
        .args(if root { &["-mn"][..] } else { &["-Urmn"] })
        .args(["sh", "-c", "mount -t tmpfs tmpfs /run && ip link set lo up && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "inside:\n{said}");
    assert!(said.contains("1 passed"), "the test {name} did not run inside:\n{said}");
}

/// What a program prints.
pub fn output(program: &str, args: &[&str]) -> String {
    let output = command(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[expect(clippy::disallowed_methods, reason = "the test itself starts programs")]
pub fn command(program: &str) -> Command {
    Command::new(program)
}

pub fn machine() -> Machine {
    Machine::open("/run/rdsup".as_ref(), "/run/state".as_ref()).unwrap()
}

pub fn domain(name: &str) -> DomainName {
    DomainName::new(name).unwrap()
}

pub async fn run(machine: &Machine, name: &str, action: Action) {
    try_run(machine, name, action).await.unwrap_or_else(|error| panic!("{error}"));
}

pub async fn try_run(machine: &Machine, name: &str, action: Action) -> Result<(), rdsup::sys::StepError> {
    machine.execute(&Step { domain: domain(name), action, cause: None, origin: Origin { line: 7 } }).await
}

/// The smallest table that carries the mark.
pub fn filter(name: &str) -> Arc<str> {
    format!(
        "table inet rdsup\ndelete table inet rdsup\ntable inet rdsup {{\n comment \"rdsup /run/rdsup {name}\"\n \
         counter c_dropped {{ }}\n chain c_input {{ type filter hook input priority 0; policy accept; }}\n}}\n"
    )
    .into()
}

/// A domain as far as its published namespace, with the packet filter in place.
pub async fn make_domain(machine: &Machine, name: &str) {
    run(machine, name, Action::CreateNamespace).await;
    let path = machine.domain_dir(&domain(name));
    let owner = rdsup::plan::FileOwner::Root;
    run(machine, name, Action::MakeDirectory { path: path.clone(), mode: 0o755, owner }).await;
    run(machine, name, Action::LoadFilter { path: path.join("rdsup.nft"), text: filter(name), stacked: [].into() })
        .await;
    run(machine, name, Action::PublishNamespace).await;
}
