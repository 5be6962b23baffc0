//! Runs the network once, and says what has come of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use ipnet::IpNet;
use rdsup::daemons::frr;
use rdsup::model::{DaemonKind, Network, Program};
use rdsup::policy::kernel_routes;
use rdsup::render::{Secrets, Templates, render};

use crate::render_fixture::name;
use crate::world::MIDDLE;
use crate::{speakers, tables};

const SCRIPT: &str = include_str!("run.sh");

/// What `middle` accepts, announces and has in the kernel with this daemon, a line for each route.
pub fn run(network: &Network, daemon: DaemonKind) -> BTreeSet<String> {
    run_altered(network, daemon, &|text| text, None)
}

/// The same with FRR, and all lists of some kinds missing, as it is after a few seconds.
pub fn run_without(network: &Network, kinds: &[&str]) -> BTreeSet<String> {
    let defines = |line: &str, kind: &str| {
        ["-list", "-list expanded"].iter().any(|list| line.contains(&format!("{list} {kind}-")))
            && line.contains(" seq ")
    };
    let alter = |text: String| {
        for kind in kinds {
            assert!(text.lines().any(|line| defines(line, kind)), "there is no {kind}");
        }
        text.lines()
            .filter(|line| !kinds.iter().any(|kind| defines(line, kind)))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    run_altered(network, DaemonKind::Frr, &alter, Some("8"))
}

fn run_altered(
    network: &Network,
    daemon: DaemonKind,
    alter: &dyn Fn(String) -> String,
    seconds: Option<&str>,
) -> BTreeSet<String> {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let mut network = network.clone();
    network.settings.run_dir = at.to_path_buf();
    for domain in &mut network.domains {
        if domain.daemon == DaemonKind::Bird {
            domain.daemon = daemon;
        }
    }
    let templates = Templates::built_in().for_frr(frr::dialect());
    let rendered = render(&network, &templates, &Secrets::redacted()).unwrap();
    let middle = &rendered.domains[MIDDLE];
    let write = |path: &str, text: &str| std::fs::write(at.join(path), text).unwrap();
    write("daemon.conf", &alter(middle.speaker().unwrap().to_owned()));
    write("zebra.conf", middle.daemon.get(&Program::Zebra).map_or("", String::as_str));
    if let Some(text) = middle.daemon.get(&Program::Mgmtd) {
        write("mgmtd.conf", text);
    }
    for speaker in ["left", "right", "two", "far", "inner"] {
        write(&format!("{speaker}.conf"), &speakers::bird(speaker));
    }
    write("one.conf", &speakers::exabgp());
    write("addresses.sh", &addresses(&network));
    std::fs::create_dir_all(at.join(MIDDLE).join("log")).unwrap();
    let raw = shell(at, daemon, seconds);
    tables::read(&raw, daemon)
}

/// The commands that give `middle` what rdsup gives it before a daemon starts.
fn addresses(network: &Network) -> String {
    let domain = network.domain(&name(MIDDLE)).unwrap();
    let add = |net: &IpNet, dev: &str| {
        let nodad = if net.addr().is_ipv6() { " nodad" } else { "" };
        format!("in_middle ip address add {net} dev {dev}{nodad}\n")
    };
    let mut text: String = domain.loopback.iter().map(|net| add(net, "lo")).collect();
    for interface in &domain.interfaces {
        text.extend(interface.addresses.iter().map(|net| add(net, interface.name.as_str())));
    }
    for (_, own, _) in network.links_of(&domain.name) {
        text += &add(&format!("{}/64", own.link_local).parse().unwrap(), own.interface.as_str());
        text.extend(own.addresses.iter().map(|net| add(net, own.interface.as_str())));
    }
    for route in kernel_routes(network, &domain.name) {
        let family = if route.to.addr().is_ipv6() { "-6" } else { "-4" };
        let mut line = format!("in_middle ip {family} route add {} {}", route.kind.as_str(), route.to);
        if let Some(via) = route.via {
            line += &format!(" via {}{via}", if via.is_ipv6() && family == "-4" { "inet6 " } else { "" });
        }
        if let Some(dev) = &route.dev {
            line += &format!(" dev {dev}");
        }
        text += &(line + "\n");
    }
    text
}

fn shell(directory: &Path, daemon: DaemonKind, seconds: Option<&str>) -> String {
    let mut unshare = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let output = unshare
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "timeout", "-k", "1", "120"])
        .args(["bash", "-euc", SCRIPT, "run"])
        .arg(directory)
        .args([daemon.as_str(), seconds.unwrap_or("-")])
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stderr}\n{stdout}", output.status);
    stdout.into_owned()
}
