//! What a domain's routing daemon says of its sessions and routes, asked in its own way: BIRD by birdc, FRR by vtysh.
//!
//! The supervisor is gone while cases run, so that it repairs nothing, and with it `rdsup ctl`. Sessions have the names that they have in
//! BIRD: `rd_PEER` and `ext_NEIGHBOR`.

use serde_json::Value;

use crate::setup::Setup;

/// A route that a domain has accepted from a session.
#[derive(Clone, Debug)]
pub struct Learned {
    pub prefix: String,
    pub session: String,
}

const FAMILIES: [&str; 2] = ["ipv4", "ipv6"];

impl Setup {
    /// Whether FRR routes in a domain.
    pub fn is_frr(&self, domain: &str) -> bool {
        self.world.is_some_and(|world| world.frr.contains(&domain))
    }

    /// What a domain's FRR answers to `command`.
    pub fn vtysh(&self, domain: &str, command: &str) -> String {
        let directory = format!("/run/rdsup/{domain}");
        let socket = format!("{directory}/frr");
        self.machine.run(&["vtysh", "--vty_socket", &socket, "--config_dir", &directory, "-c", command]).stdout
    }

    fn vtysh_json(&self, domain: &str, command: &str) -> Value {
        let text = self.vtysh(domain, &format!("{command} json"));
        // Of what there is none it says so in words.
        serde_json::from_str(text.get(text.find('{').unwrap_or(0)..).unwrap_or("")).unwrap_or(Value::Null)
    }

    /// The neighbors of a domain's FRR: address, session and the rest.
    fn neighbors(&self, domain: &str) -> Vec<(String, String, Value)> {
        let Value::Object(all) = self.vtysh_json(domain, "show bgp neighbors") else { return Vec::new() };
        let session = |it: &Value| {
            let name = it["nbrDesc"].as_str().unwrap_or_default().split(' ').next().unwrap_or_default();
            name.strip_prefix("rd-").map_or_else(|| format!("ext_{name}"), |peer| format!("rd_{peer}"))
        };
        all.into_iter().map(|(address, it)| (address, session(&it), it)).collect()
    }

    fn neighbor(&self, domain: &str, session: &str) -> Option<(String, Value)> {
        let all = self.neighbors(domain).into_iter();
        all.filter(|(_, name, _)| name == session).map(|(address, _, it)| (address, it)).next()
    }

    /// Whether a session is established.
    pub fn is_up(&self, domain: &str, session: &str) -> bool {
        if self.is_frr(domain) {
            self.neighbor(domain, session).is_some_and(|(_, it)| it["bgpState"] == "Established")
        } else {
            self.machine.birdc(domain, &format!("show protocols {session}")).contains("Established")
        }
    }

    /// Whether a session was closed, or what it says is cut off, because it says more than it may.
    pub fn is_at_limit(&self, domain: &str, session: &str) -> bool {
        if self.is_frr(domain) {
            self.neighbor(domain, session).is_some_and(|(_, it)| {
                it["prefixesConfigExceedMax"] == true
                    || it.to_string().contains("Maximum Number of Prefixes Reached")
                    || it["peerState"] == "Idle (PfxCt)"
                    || it["lastResetDueTo"] == "BGP Notification send" && it["lastErrorCodeSubcode"] == "0601"
            })
        } else {
            let text = self.machine.birdc(domain, &format!("show protocols all {session}"));
            text.contains("Route limit exceeded") || text.contains("[HIT]")
        }
    }

    /// How many updates FRR has had from a session.
    pub fn updates(&self, domain: &str, session: &str) -> u64 {
        let neighbor = self.neighbor(domain, session);
        neighbor.and_then(|(_, it)| it["messageStats"]["updatesRecv"].as_u64()).unwrap_or(0)
    }

    /// The address that routes of a session of FRR have in the kernel.
    pub fn gateway(&self, domain: &str, session: &str) -> String {
        let found = self.neighbor(domain, session).map(|(address, _)| address);
        let address = found.unwrap_or_else(|| panic!("{domain} has no session {session}"));
        if address.contains(':') { format!("inet6 {address}") } else { address }
    }

    /// What a domain has accepted from all sessions.
    pub fn learned(&self, domain: &str) -> Vec<Learned> {
        if self.is_frr(domain) { self.learned_by_frr(domain) } else { self.learned_by_bird(domain) }
    }

    fn learned_by_bird(&self, domain: &str) -> Vec<Learned> {
        let table = self.machine.birdc(domain, "show route");
        let mut prefix = "";
        let mut learned = Vec::new();
        for line in table.lines() {
            if !line.starts_with(char::is_whitespace) {
                prefix = line.split_whitespace().next().unwrap_or_default();
            }
            let session = line.split_once('[').and_then(|(_, rest)| rest.split(' ').next());
            if let Some(session) = session.filter(|it| it.starts_with("rd_") || it.starts_with("ext_")) {
                learned.push(Learned { prefix: prefix.to_owned(), session: session.to_owned() });
            }
        }
        learned
    }

    fn learned_by_frr(&self, domain: &str) -> Vec<Learned> {
        let neighbors = self.neighbors(domain);
        let mut learned = Vec::new();
        for family in FAMILIES {
            let table = self.vtysh_json(domain, &format!("show bgp {family} unicast"));
            let Some(routes) = table["routes"].as_object() else { continue };
            for (prefix, paths) in routes {
                for path in paths.as_array().into_iter().flatten() {
                    let peer = path["peerId"].as_str().unwrap_or_default();
                    if let Some((_, session, _)) = neighbors.iter().find(|(address, ..)| address == peer) {
                        learned.push(Learned { prefix: prefix.clone(), session: session.clone() });
                    }
                }
            }
        }
        learned
    }

    /// The large communities of all routes to a prefix, as `1:2:3`; none if there is no route.
    pub fn labels(&self, domain: &str, prefix: &str) -> Option<Vec<String>> {
        if self.is_frr(domain) {
            let family = FAMILIES[usize::from(prefix.contains(':'))];
            let route = self.vtysh_json(domain, &format!("show bgp {family} unicast {prefix}"));
            let paths = route["paths"].as_array()?;
            let lists = paths.iter().filter_map(|path| path["largeCommunity"]["list"].as_array()).flatten();
            return Some(lists.filter_map(Value::as_str).map(str::to_owned).collect());
        }
        let text = self.machine.birdc(domain, &format!("show route all {prefix}"));
        text.contains(prefix).then(|| {
            let lines = text.lines().filter_map(|line| line.split_once("BGP.large_community:"));
            let labels = lines.flat_map(|(_, list)| list.split(')'));
            labels.map(|it| it.trim_matches([' ', '(']).replace(", ", ":")).filter(|it| !it.is_empty()).collect()
        })
    }

    /// What a domain tells a session, after its filter.
    pub fn told(&self, domain: &str, session: &str) -> Vec<String> {
        if !self.is_frr(domain) {
            let text = self.machine.birdc(domain, &format!("show route export {session}"));
            let words = text.lines().filter_map(|line| line.split_whitespace().next());
            return words.filter(|word| word.contains('/')).map(str::to_owned).collect();
        }
        let Some((address, _)) = self.neighbor(domain, session) else { return Vec::new() };
        let of = |family| {
            let command = format!("show bgp {family} unicast neighbors {address} advertised-routes");
            let Value::Object(routes) = self.vtysh_json(domain, &command)["advertisedRoutes"].take() else {
                return Vec::new();
            };
            routes.into_iter().map(|(prefix, _)| prefix).collect()
        };
        FAMILIES.map(of).concat()
    }

    /// Whether the cache of validated origins has told a domain of a prefix.
    pub fn has_origin(&self, domain: &str, prefix: &str) -> bool {
        if self.is_frr(domain) {
            let address = prefix.split('/').next().unwrap_or_default();
            self.vtysh(domain, "show rpki prefix-table").contains(address)
        } else {
            self.machine.birdc(domain, "show route table rpki4").contains(prefix)
        }
    }
}
