//! What others have in the machine's own namespace and must not lose.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;

use super::daemon::{has_hallmark, runs};
use super::{Machine, blocking};
use crate::model::{DaemonKind, DaemonName, DomainName, InterfaceName, Program};
use crate::plan::{Desired, DesiredDomain, IPV6_FORWARDING, Layout, ObservedDaemon, ObservedDomain, ObservedHost};
use crate::sys::netlink::{link, route};
use crate::sys::{SysError, sysctl};

/// `RTPROT_RA`: routes that routers on the wire have advertised.
const ADVERTISED: u8 = 9;

/// `RTPROT_BIRD`: what every BIRD marks its routes with.
pub(super) const BIRDS: u8 = 12;

/// What zebra takes for its own wherever it finds it (`is_selfroute()` in `zebra/rt_netlink.c`), and so writes again, keeps when
/// its owner removes it, and removes at last: Zebra, Babel, BGP, IS-IS, OSPF, RIP, `RIPng`, NHRP, EIGRP, LDP, and FRR's static,
/// SHARP, PBR, `OpenFabric` and SR-TE routes.
const ZEBRAS: [u8; 15] = [11, 42, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 197, 198];

/// BGP, as `/proc/net/tcp` writes it, and the state of a socket that listens.
const PORT: &str = "00B3";
const LISTENS: &str = "0A";

impl Machine {
    pub(super) async fn observe_host(
        &self,
        desired: &Desired,
        domains: &BTreeMap<DomainName, ObservedDomain>,
    ) -> Result<ObservedHost, SysError> {
        let host = Layout::host();
        let Some(wanted) = desired.domains.get(&host) else { return Ok(ObservedHost::default()) };
        let stopped = domains.get(&host).is_some_and(|seen| seen.daemon == ObservedDaemon::Stopped);
        let routed_by = match &wanted.daemon {
            Some(daemon) if stopped => self.routed_by(&host, daemon.kind).await?,
            _ => None,
        };
        Ok(ObservedHost { advertised: self.advertised(&host, wanted).await?, routed_by })
    }

    /// Interfaces with an advertised default route that the kernel forgets when the machine forwards.
    async fn advertised(&self, host: &DomainName, wanted: &DesiredDomain) -> Result<BTreeSet<String>, SysError> {
        if !wanted.sysctls.contains_key(IPV6_FORWARDING) {
            return Ok(BTreeSet::new());
        }
        let failed = |error| SysError::netlink("read the routes of host", error);
        let connection = self.connection(host).await?;
        let links = link::dump(&connection).await.map_err(failed)?;
        let names: BTreeMap<u32, InterfaceName> =
            links.into_iter().filter_map(|link| Some((link.index, link.name?))).collect();
        let routes = route::dump(&connection, Some(ADVERTISED), &names).await.map_err(failed)?;
        let by: BTreeSet<String> = routes
            .into_iter()
            .filter(|route| route.to.prefix_len() == 0)
            .filter_map(|it| it.dev)
            .map(String::from)
            .collect();
        let key = |name: &String| format!("net/ipv6/conf/{name}/accept_ra");
        let values = sysctl::read(&self.host, by.iter().map(key).collect())
            .await
            .map_err(|error| SysError::io("read the sysctls of host", error))?;
        Ok(by.into_iter().filter(|name| values.get(&key(name)).is_none_or(|value| value != "2")).collect())
    }

    /// What routes in the host and was not started from this run directory, and would be disturbed by a daemon of this kind.
    async fn routed_by(&self, host: &DomainName, kind: DaemonKind) -> Result<Option<String>, SysError> {
        let inode = self.host.inode();
        let found =
            blocking(move || daemons_in(inode)).await.map_err(|error| SysError::io("look at the processes", error))?;
        // A stray of ours is replaced, and what it has is ours too.
        let is_ours = |(pid, program): &(u32, Program)| {
            has_hallmark(*pid, *program, &self.layout.hallmark(&DaemonName::new(host, *program)))
        };
        if found.iter().any(is_ours) {
            return Ok(None);
        }
        if let Some((pid, program)) = found.first() {
            return Ok(Some(format!("{}, process {pid}", program.as_str())));
        }
        let listens = self.host.run_async(is_port_taken).await.and_then(|taken| taken);
        if listens.map_err(|error| SysError::io("read /proc/net/tcp", error))? {
            return Ok(Some("a process that listens on TCP port 179".to_owned()));
        }
        // Those of a daemon of ours that died stay until its successor takes them over.
        if !self.has_recorded_daemon(host) {
            let connection = self.connection(host).await?;
            let zebras: &[u8] = if kind == DaemonKind::Frr { &ZEBRAS } else { &[] };
            for protocol in [BIRDS].iter().chain(zebras) {
                let routes = route::dump(&connection, Some(*protocol), &BTreeMap::new()).await;
                let routes = routes.map_err(|error| SysError::netlink("read the routes of host", error))?;
                if let Some(route) = routes.first() {
                    let whose = if *protocol == BIRDS { "a BIRD" } else { "another routing daemon" };
                    return Ok(Some(format!("{} is a route of {whose} (protocol {protocol})", route.to)));
                }
            }
        }
        Ok(None)
    }
}

/// The routing daemons in a network namespace.
fn daemons_in(inode: u64) -> io::Result<Vec<(u32, Program)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let is_inside = || std::fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|it| it.ino() == inode);
        if let Some(program) = Program::ALL.into_iter().find(|program| runs(pid, *program))
            && is_inside()
        {
            found.push((pid, program));
        }
    }
    Ok(found)
}

fn is_port_taken() -> io::Result<bool> {
    for file in ["tcp", "tcp6"] {
        match std::fs::read_to_string(format!("/proc/thread-self/net/{file}")) {
            Ok(text) if text.lines().any(listens_for_bgp) => return Ok(true),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(false)
}

/// A line is `sl local_address rem_address st …`, an address `HEX:PORT`.
fn listens_for_bgp(line: &str) -> bool {
    let mut words = line.split_whitespace().skip(1);
    let local = words.next().and_then(|address| address.rsplit_once(':'));
    local.is_some_and(|(_, port)| port == PORT) && words.nth(1) == Some(LISTENS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_listens_on_the_port_of_bgp_is_known_by_its_line() {
        let line = |port: &str, state: &str| {
            format!(
                "   0: 00000000:{port} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 1 1"
            )
        };
        assert!(listens_for_bgp(&line("00B3", "0A")));
        assert!(!listens_for_bgp(&line("00B3", "01")));
        assert!(!listens_for_bgp(&line("0016", "0A")));
        assert!(!listens_for_bgp("  sl  local_address rem_address   st tx_queue"));
    }
}
