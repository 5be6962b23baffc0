//! The routing daemons: whether they are there, for those who need them, and what each cannot do.

use super::{Check, program};
use crate::daemons::DaemonError;
use crate::daemons::frr::{self, Installation};
use crate::model::{DaemonKind, Network};
use crate::sys::files::Owners;
use crate::sys::process;

/// The oldest BIRD whose configuration language has all that is generated.
const BIRD_AT_LEAST: [u32; 3] = [2, 0, 8];

const BIRD_CANNOT: [&str; 1] = ["change a timer or most other options of a session without resetting it"];
const FRR_CANNOT: [&str; 3] = [
    "live with lists of more than about 10,000 prefixes: reading them keeps it from everything else for seconds",
    "refuse what exceeds a prefix limit and go on: it closes the session and tries again after a minute",
    "pass a route with the community BLACKHOLE on as it is: it adds NO_EXPORT",
];
const FRR_CANNOT_BE_TYPED_TO: &str = "be typed to by `rdsup ctl DOMAIN` alone: that takes vtysh";

/// Which daemons the file asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "what is needed is needed or not, each for itself")]
pub(super) struct Needs {
    bird: bool,
    frr: bool,
    /// Whether an FRR is to ask RPKI caches.
    frr_rpki: bool,
    /// Whether an FRR is to watch a neighbor by BFD.
    frr_bfd: bool,
}

impl Needs {
    /// What a file needs. Without one, or with one that cannot be used, BIRD is what most will need.
    pub(super) fn of(network: Option<&Network>) -> Self {
        let runs = |network: &Network, kind| network.domains.iter().any(|domain| domain.daemon == kind);
        let Some(network) = network else { return Self { bird: true, frr: false, frr_rpki: false, frr_bfd: false } };
        let is_frr = |name| network.domain(name).is_some_and(|domain| domain.daemon == DaemonKind::Frr);
        Self {
            bird: runs(network, DaemonKind::Bird) || !runs(network, DaemonKind::Frr),
            frr: runs(network, DaemonKind::Frr),
            frr_rpki: network.rpki.iter().any(|cache| is_frr(&cache.domain)),
            frr_bfd: network
                .domains
                .iter()
                .any(|it| it.daemon == DaemonKind::Frr && it.neighbors.iter().any(|neighbor| neighbor.bfd)),
        }
    }
}

/// Looks at both.
pub(super) async fn checks(needs: Needs) -> Vec<Check> {
    let mut checks = vec![bird(needs).await, bird_user(needs)];
    checks.extend(frr(needs).await);
    checks
}

async fn bird(needs: Needs) -> Check {
    let found = program("bird", "--version", BIRD_AT_LEAST, "apt install bird2").await;
    let is_there = process::find("bird").is_some();
    found.cannot(BIRD_CANNOT.iter().filter(|_| is_there)).unless_needed(needs.bird)
}

fn bird_user(needs: Needs) -> Check {
    match Owners::of_machine().bird {
        Some((uid, gid)) => Check::ok("user bird", format!("uid {uid}, gid {gid}; the daemons drop root")),
        None => Check::optional("user bird", "not there: the daemons stay root", "apt install bird2"),
    }
    .unless_needed(needs.bird)
}

async fn frr(needs: Needs) -> Vec<Check> {
    let installation = match frr::find().await {
        Ok(installation) => installation,
        // Without it the rest would only say the same again.
        Err(error) => return vec![lacking("frr", &error).unless_needed(needs.frr)],
    };
    let vtysh = frr::vtysh();
    let cannot = FRR_CANNOT.iter().chain(vtysh.is_err().then_some(&FRR_CANNOT_BE_TYPED_TO));
    let remark = installation.remark().map(|words| format!("; {words}")).unwrap_or_default();
    let found = format!("FRR {}, {}{remark}", installation.version, installation.home.display());
    vec![
        Check::ok("frr", found).cannot(cannot),
        frr_user().unless_needed(needs.frr),
        frr_rpki(&installation).await.unless_needed(needs.frr_rpki),
        match installation.has_bfdd() {
            Ok(()) => Check::ok("frr: bfd", "bfdd is there"),
            Err(error) => lacking("frr: bfd", &error.into()).unless_needed(needs.frr_bfd),
        },
        match vtysh {
            Ok(path) => Check::ok("frr: vtysh", path.display().to_string()),
            Err(error) => lacking("frr: vtysh", &error.into()).unless_needed(needs.frr),
        },
    ]
}

fn frr_user() -> Check {
    match frr::identity() {
        Ok((uid, gid)) => Check::ok("frr: user frr", format!("uid {uid}, gid {gid}, in group frrvty")),
        Err(error) => lacking("frr: user frr", &error.into()),
    }
}

async fn frr_rpki(installation: &Installation) -> Check {
    match installation.has_rpki().await {
        Ok(()) => Check::ok("frr: rpki", "the module is there"),
        Err(error) => lacking("frr: rpki", &error),
    }
}

fn lacking(name: &str, error: &DaemonError) -> Check {
    let remedy = error.hint().unwrap_or_else(|| "apt install --reinstall frr".to_owned());
    Check::missing(name, error.to_string(), remedy)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn needs(text: &str) -> Needs {
        let loaded = crate::config::read(Path::new("rdsup.toml"), text, &mut |_| Err("there is none".to_owned()));
        Needs::of(Some(&loaded.expect("it is sound").network))
    }

    const BIRD: Needs = Needs { bird: true, frr: false, frr_rpki: false, frr_bfd: false };

    #[test]
    fn without_a_file_or_a_daemon_in_it_bird_is_what_is_missed() {
        assert_eq!(Needs::of(None), BIRD);
        assert_eq!(needs("[domain.a]\ndaemon = \"none\"\n"), BIRD);
        assert_eq!(needs("[domain.a]\nasn = 65001\nloopback = [\"10.0.0.1/32\"]\n"), BIRD);
    }
}
