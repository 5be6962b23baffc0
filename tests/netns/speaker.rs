//! ExaBGP as a peer: an implementation that shares no code with BIRD and announces whatever it is told, however illegal.

use crate::machine::{Background, Machine};

/// One session of an ExaBGP.
pub struct Speaker {
    local: String,
    peer: String,
    asn: u32,
    peer_asn: u32,
    options: Vec<String>,
    families: &'static str,
    routes: Vec<String>,
}

impl Speaker {
    /// A speaker at `local` with this AS number, for the session with `peer`.
    pub fn new((local, asn): (&str, u32), (peer, peer_asn): (&str, u32)) -> Self {
        let families = if local.contains(':') { "ipv6 unicast;" } else { "ipv4 unicast;" };
        let (local, peer) = (local.to_owned(), peer.to_owned());
        Self { local, peer, asn, peer_asn, options: Vec::new(), families, routes: Vec::new() }
    }

    /// Adds a line among those of the session, such as a password.
    pub fn with(mut self, option: &str) -> Self {
        self.options.push(format!("  {option}\n"));
        self
    }

    /// Announces a prefix. `rest` overrides what an honest speaker says: `next-hop self`, and its own number as path.
    pub fn says(mut self, prefix: &str, rest: &str) -> Self {
        let next_hop = if rest.contains("next-hop") { "" } else { "next-hop self" };
        let path = if rest.contains("as-path") { String::new() } else { format!("as-path [ {} ]", self.asn) };
        self.routes.push(format!("    route {prefix} {next_hop} {path} {rest};\n"));
        self
    }

    fn configuration(&self) -> String {
        let Self { local, peer, asn, peer_asn, options, families, routes } = self;
        let (options, routes) = (options.concat(), routes.concat());
        // 255, or the packet filter does not even let it in.
        format!(
            "neighbor {peer} {{\n  router-id 203.0.113.1;\n  local-address {local};\n  local-as {asn};\n  peer-as {peer_asn};\n  \
             outgoing-ttl 255;\n  hold-time 90;\n  group-updates false;\n{options}  capability {{ asn4 enable; route-refresh enable; }}\n  \
             family {{ {families} }}\n  static {{\n{routes}  }}\n}}\n"
        )
    }
}

impl Machine {
    /// Runs speakers in one process in a namespace. They try until they are let in.
    #[track_caller]
    pub fn speak(&self, namespace: &str, speakers: &[Speaker]) -> Background {
        let text: String = speakers.iter().map(Speaker::configuration).collect();
        let file = format!("/srv/machine/{namespace}.exabgp");
        self.write(&file, &text);
        let mut argv = vec!["ip", "netns", "exec", namespace, "env", "exabgp.daemon.user=root", "exabgp.api.cli=false"];
        argv.extend(["exabgp.log.level=WARNING", "exabgp.daemon.drop=false", "exabgp", &file]);
        self.spawn(&argv)
    }
}
