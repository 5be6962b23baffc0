//! Kernel features, tried in the throwaway namespace that this process is in.

use std::path::Path;

use super::{Check, packet_filter};
use crate::model::InterfaceName;
use crate::plan::RouteSpec;
use crate::sys::SysError;
use crate::sys::netlink::{Connection, NetlinkError, address, link, route};
use crate::sys::netns::Namespace;

/// Tries everything.
pub(super) async fn checks() -> Vec<Check> {
    let mut checks = vec![if Path::new("/proc/sys/net/ipv6").is_dir() {
        Check::ok("IPv6", "there")
    } else {
        Check::missing("IPv6", "the kernel has none, or ipv6.disable=1", "boot without ipv6.disable=1; CONFIG_IPV6")
    }];
    match Connection::open(&here()).await {
        Ok(connection) => {
            let veth = link::add_pair(&connection, "veth0", "veth1").await;
            checks.push(verdict("veth", veth, "a kernel with CONFIG_VETH (modprobe veth)"));
            let hop = next_hop(&connection).await;
            checks.push(verdict("IPv4 routes via IPv6", hop, "Linux 5.2 or newer"));
        }
        Err(error) => checks.push(verdict("rtnetlink", Err(error), "a kernel with CONFIG_NET")),
    }
    checks.extend(packet_filter().await);
    checks
}

/// The namespace of this process.
pub(super) fn here() -> Namespace {
    // It can only fail without /proc, and then nothing of rdsup works.
    Namespace::current().unwrap_or_else(|error| panic!("cannot open /proc/thread-self/ns/net: {error}"))
}

/// An IPv4 route whose gateway is an IPv6 link-local address, as links have them.
async fn next_hop(connection: &Connection) -> Result<(), NetlinkError> {
    let name = InterfaceName::new("veth0").map_err(|_| NetlinkError::Unexpected)?;
    let other = InterfaceName::new("veth1").map_err(|_| NetlinkError::Unexpected)?;
    for end in [&name, &other] {
        link::set_up(connection, end, true).await?;
    }
    let index = link::get(connection, &name).await?.index;
    let own = "fe80::1/64".parse().map_err(|_| NetlinkError::Unexpected)?;
    address::add(connection, index, own).await?;
    let mut wanted = RouteSpec::own("192.0.2.0/24".parse().map_err(|_| NetlinkError::Unexpected)?, "unicast");
    wanted.via = "fe80::2".parse().ok();
    route::add(connection, &wanted, Some(index)).await
}

fn verdict(name: &str, tried: Result<(), NetlinkError>, remedy: &str) -> Check {
    match tried {
        Ok(()) => Check::ok(name, "works"),
        Err(source) => {
            let error = SysError::Netlink { what: format!("use {name}"), source };
            Check::missing(name, error.to_string(), remedy)
        }
    }
}
