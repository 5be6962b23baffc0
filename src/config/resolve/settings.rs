//! The `[rdsup]` table.

use std::path::{Path, PathBuf};

use super::{Defaults, values};
use crate::config::problem::Report;
use crate::config::{DEFAULT_RUN_DIR, DEFAULT_STATE_DIR, raw};
use crate::model::{Families, Settings};

/// The longest path of a Unix socket: `sun_path` has 108 bytes, the last of them zero (unix(7)).
const SOCKET_PATH: usize = 107;

/// Reads the table, and the defaults that it sets for domains.
pub fn settings(source: &Path, file: &raw::File, report: &mut Report<'_>) -> (Settings, Defaults) {
    let raw = &file.rdsup;
    let mut path = |what, text: &Option<_>| text.as_ref().and_then(|text| values::path(what, text, report));
    let run_dir = path("run_dir", &raw.run_dir);
    let state_dir = path("state_dir", &raw.state_dir);
    let templates = path("templates", &raw.templates);
    if let (Some(dir), Some(text)) = (&run_dir, &raw.run_dir) {
        fits_sockets(dir, &text.span, file, report);
    }
    let families = match &raw.families {
        Some(list) => super::families(list, false, report),
        None => Families { ipv4: true, ipv6: true },
    };
    let defaults = Defaults { daemon: raw.daemon.as_ref().map_or(raw::Daemon::Bird, |daemon| daemon.value), families };
    let settings = Settings {
        source: source.to_owned(),
        run_dir: run_dir.unwrap_or_else(|| PathBuf::from(DEFAULT_RUN_DIR)),
        state_dir: state_dir.unwrap_or_else(|| PathBuf::from(DEFAULT_STATE_DIR)),
        templates,
    };
    (settings, defaults)
}

/// Whether the longest socket below `run_dir`, that of the daemon of the domain with the longest name, has a legal path.
fn fits_sockets(dir: &Path, span: &crate::config::at::Span, file: &raw::File, report: &mut Report<'_>) {
    let domain = file.domain.0.iter().map(|(name, _)| name.as_str()).max_by_key(|name| name.len()).unwrap_or_default();
    // That of FRR is longer, and only a domain with FRR needs it.
    let frr =
        file.domain.0.iter().any(|(_, domain)| domain.daemon.as_ref().is_some_and(|it| it.value == raw::Daemon::Frr));
    let frr = frr || file.rdsup.daemon.as_ref().is_some_and(|daemon| daemon.value == raw::Daemon::Frr);
    let longest = dir.join(domain).join(if frr { "frr/zebra.vty" } else { "bird.ctl" });
    let length = longest.as_os_str().len();
    if length > SOCKET_PATH {
        report
            .error(span, format!("run_dir is too long: the socket {} has {length} bytes", longest.display()))
            .hint(format!("a socket's path has at most {SOCKET_PATH} bytes; shorten it by {}", length - SOCKET_PATH));
    }
}
