//! The lines that an admin would type about a routing daemon.

use std::collections::BTreeSet;
use std::path::Path;

use super::Word;
use crate::model::{DaemonKind, Program};
use crate::plan::Layout;

fn word(path: &Path) -> String {
    Word(path.to_string_lossy()).to_string()
}

fn directory(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}

/// `inside` leads into the namespace.
pub(super) fn start(
    kind: DaemonKind,
    programs: &BTreeSet<Program>,
    inside: &str,
    config: &Path,
    socket: &Path,
) -> String {
    match kind {
        DaemonKind::Frr => {
            let sockets = word(directory(socket));
            let beside = |name: &str| word(&directory(socket).join(name));
            let line = |program: &Program| {
                let name = program.as_str();
                let config = word(&Layout::config_in(directory(config), *program));
                let (pid, zserv) = (beside(&format!("{name}.pid")), beside("zserv.api"));
                format!("{inside}/usr/lib/frr/{name} -f {config} --vty_socket {sockets} -z {zserv} -i {pid}")
            };
            programs.iter().map(line).collect::<Vec<_>>().join(" & ")
        }
        DaemonKind::Bird | DaemonKind::None => format!("{inside}bird -c {} -s {}", word(config), word(socket)),
    }
}

pub(super) fn reload(kind: DaemonKind, programs: &BTreeSet<Program>, socket: &Path) -> String {
    match kind {
        // No tool of FRR's does it so that a filter is never missing.
        DaemonKind::Frr => {
            let config = |program: &Program| word(&Layout::config_in(directory(directory(socket)), *program));
            let what = format!("what differs in {}", programs.iter().map(config).collect::<Vec<_>>().join(", "));
            format!("{} -c 'configure terminal' -c …    # {what}", vtysh(socket))
        }
        DaemonKind::Bird | DaemonKind::None => format!("birdc -s {} configure", word(socket)),
    }
}

pub(super) fn resync(kind: DaemonKind, socket: &Path) -> String {
    match kind {
        DaemonKind::Frr => {
            format!("{} -c 'configure terminal' -c 'ip protocol bgp route-map …'", vtysh(socket))
        }
        DaemonKind::Bird | DaemonKind::None => format!("birdc -s {} 'reload out \"kernel*\"'", word(socket)),
    }
}

pub(super) fn stop(kind: DaemonKind, programs: &BTreeSet<Program>, socket: &Path) -> String {
    match kind {
        DaemonKind::Frr => {
            // The last one first: it needs those before it.
            let pid = |program: &Program| word(&directory(socket).join(format!("{}.pid", program.as_str())));
            format!("kill $(cat {})", programs.iter().rev().map(pid).collect::<Vec<_>>().join(" "))
        }
        DaemonKind::Bird | DaemonKind::None => format!("birdc -s {} down", word(socket)),
    }
}

/// FRR's shell for a domain. Without the directory it would take that of the machine's own FRR, and `write` there.
fn vtysh(socket: &Path) -> String {
    let sockets = directory(socket);
    format!("vtysh --vty_socket {} --config_dir {}", word(sockets), word(directory(sockets)))
}
