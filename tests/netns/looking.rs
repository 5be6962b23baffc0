//! Looking at a machine from outside of rdsup: with `birdc`, `vtysh`, `ip` and `nft`, with pings and connections.

use std::collections::BTreeMap;

use crate::machine::{Background, Machine, SOON, eventually, words};

impl Machine {
    /// The process id of a domain's BIRD, inside: the one that runs in its namespace.
    pub fn bird(&self, domain: &str) -> Option<String> {
        self.program(domain, "bird")
    }

    /// The process id of a program of a domain's daemon, inside: the one that runs in its namespace.
    pub fn program(&self, domain: &str, program: &str) -> Option<String> {
        let inside = self.run(&["ip", "netns", "pids", domain]).stdout;
        let all = self.run(&["pgrep", "-x", program]).stdout;
        all.lines().find(|id| inside.lines().any(|other| other.trim() == *id)).map(str::to_owned)
    }

    /// What a domain's BIRD answers to `command`.
    pub fn birdc(&self, domain: &str, command: &str) -> String {
        let socket = format!("/run/rdsup/{domain}/bird.ctl");
        let mut argv = vec!["birdc", "-s", &socket];
        argv.extend(words(command));
        self.run(&argv).stdout
    }

    /// What a program of a domain's FRR answers to a command.
    pub fn vtysh(&self, domain: &str, program: &str, command: &str) -> String {
        let (sockets, configs) = (format!("/run/rdsup/{domain}/frr"), format!("/run/rdsup/{domain}"));
        self.run(&["vtysh", "--vty_socket", &sockets, "--config_dir", &configs, "-d", program, "-c", command]).stdout
    }

    /// A line for each protocol of a domain's BIRD, which holds the time of the last change of state; or for each session of its
    /// FRR, with how often it was established. The latter have the names that BIRD would give them.
    pub fn sessions_of(&self, domain: &str) -> BTreeMap<String, String> {
        let bird = self.birdc(domain, "show protocols");
        if !bird.is_empty() {
            let named = |line: &str| Some((line.split_whitespace().next()?.to_owned(), line.to_owned()));
            return bird.lines().filter_map(named).collect();
        }
        let frr = self.vtysh(domain, "bgpd", "show bgp neighbors json");
        let Ok(serde_json::Value::Object(sessions)) = serde_json::from_str(&frr) else { return BTreeMap::new() };
        let named = |session: serde_json::Value| {
            let name = session["nbrDesc"].as_str()?.replace('-', "_");
            let times = &session["connectionsEstablished"];
            let line = format!("{name} {} {times} times", session["bgpState"].as_str()?);
            Some((name, line))
        };
        sessions.into_iter().filter_map(|(_, session)| named(session)).collect()
    }

    /// The line of [`Machine::sessions_of`] for one protocol.
    pub fn session(&self, domain: &str, protocol: &str) -> String {
        self.sessions_of(domain).remove(protocol).unwrap_or_default()
    }

    /// Whether a session is established.
    pub fn established(&self, domain: &str, protocol: &str) -> bool {
        self.session(domain, protocol).contains("Established")
    }

    /// The routes of a domain's kernel to a prefix, both families.
    pub fn routes_to(&self, domain: &str, prefix: &str) -> String {
        let family = if prefix.contains(':') { "-6" } else { "-4" };
        self.within(domain, &format!("ip {family} route show {prefix}")).stdout
    }

    /// Whether an echo request from `domain` is answered; one second is enough for a veth.
    pub fn pings(&self, domain: &str, address: &str) -> bool {
        self.within(domain, &format!("ping -n -c 1 -W 1 {address}")).status.success()
    }

    /// The packets that each named counter of a domain's table has seen.
    pub fn counters(&self, domain: &str) -> Vec<(String, u64)> {
        let text = self.within(domain, "nft -j list counters table inet rdsup").ok();
        let json: serde_json::Value = serde_json::from_str(&text).expect("nft prints JSON");
        let list = json["nftables"].as_array().expect("a list of objects");
        list.iter()
            .filter_map(|object| object.get("counter"))
            .map(|counter| {
                let name = counter["name"].as_str().expect("a counter has a name").to_owned();
                (name, counter["packets"].as_u64().expect("a counter counts"))
            })
            .collect()
    }

    /// The names of the counters that rise while `action` runs.
    pub fn rising(&self, domain: &str, action: impl FnOnce()) -> Vec<String> {
        let before = self.counters(domain);
        action();
        let after = self.counters(domain);
        after.into_iter().filter(|counter| !before.contains(counter)).map(|(name, _)| name).collect()
    }

    /// Listens on a TCP port in a namespace (`None`: the machine's own), answering each connection with a line.
    #[track_caller]
    pub fn listen(&self, domain: Option<&str>, address: &str, port: u16) -> Background {
        const SERVER: &str = r#"
            use IO::Socket::IP;
            my $s = IO::Socket::IP->new(LocalHost => $ARGV[0], LocalPort => $ARGV[1], Listen => 5, ReuseAddr => 1) or die "$@";
            while (my $c = $s->accept) { print $c "hello\n"; close $c; }
        "#;
        let port = port.to_string();
        let mut argv = enter_domain(domain);
        argv.extend(["perl", "-e", SERVER, address, &port]);
        let mut server = self.spawn(&argv);
        eventually(SOON, &format!("a listener on {address} port {port}"), || {
            assert!(server.is_running(), "the listener ended: {}", server.complaint());
            let mut argv = enter_domain(domain);
            argv.extend(["ss", "-Hltn", "sport", "=", &port]);
            self.run(&argv).stdout.contains(address)
        });
        server
    }

    /// Whether a TCP connection from a namespace (`None`: the machine's own) is answered with the listener's line.
    pub fn connects(&self, domain: Option<&str>, address: &str, port: u16) -> bool {
        const CLIENT: &str = r#"
            use IO::Socket::IP;
            my $s = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => $ARGV[1], Timeout => 2) or die "$@";
            alarm 2; print scalar <$s>;
        "#;
        let port = port.to_string();
        let mut argv = enter_domain(domain);
        argv.extend(["perl", "-e", CLIENT, address, &port]);
        self.run(&argv).stdout == "hello\n"
    }

    /// Sends a neighbor solicitation with hop limit 255 from `domain` to any address. Its code is 7, which nobody else uses.
    #[track_caller]
    pub fn discovers(&self, domain: &str, source: &str, destination: &str) {
        const SENDER: &str = r#"
            use Socket qw(:all);
            my ($from, $to) = map { pack_sockaddr_in6(0, inet_pton(AF_INET6, $_)) } @ARGV;
            socket(my $s, AF_INET6, SOCK_RAW, 58) or die "socket: $!";
            setsockopt($s, 41, 16, 255) or die "hop limit: $!";
            bind($s, $from) or die "bind: $!";
            send($s, pack("CCnN", 135, 7, 0, 0) . inet_pton(AF_INET6, $ARGV[1]), 0, $to) or die "send: $!";
        "#;
        self.run(&["ip", "netns", "exec", domain, "perl", "-e", SENDER, source, destination]).ok();
        // What has not arrived by now on a veth was dropped.
        self.run(&["sleep", "0.3"]).ok();
    }

    /// Counts what reaches a hook of a domain after rdsup's own chains, in a table of the test's own.
    pub fn watch(&self, domain: &str, hook: &str, matching: &str) {
        let table = format!(
            "table inet probe {{ counter seen {{ }}; chain c {{ type filter hook {hook} priority 200; {matching} counter name seen; }}; }}"
        );
        self.run(&[
            "ip",
            "netns",
            "exec",
            domain,
            "nft",
            &format!("add table inet probe; delete table inet probe; {table}"),
        ])
        .ok();
    }

    /// How many packets [`Machine::watch`] has seen.
    pub fn watched(&self, domain: &str) -> u64 {
        let text = self.within(domain, "nft -j list counter inet probe seen").ok();
        let json: serde_json::Value = serde_json::from_str(&text).expect("nft prints JSON");
        let counters = json["nftables"].as_array().expect("a list of objects");
        counters.iter().find_map(|object| object["counter"]["packets"].as_u64()).expect("the counter of the probe")
    }

    /// Everything that rdsup could leave behind, as text to compare.
    ///
    /// Its own log stays, so that one can read afterwards what happened, and so does the history of what was applied; the
    /// lock's empty file too, because a lock file that is removed while someone else opens it locks nothing.
    pub fn traces(&self) -> String {
        self.sh(r"
            echo == namespaces; ls /run/netns
            echo == interfaces; ip -o link | sed 's/ qdisc .*//'; ip -o addr | sed 's/ tentative//; s/valid_lft.*//'
            echo == routes; ip -4 route; ip -6 route
            echo == filter; nft list ruleset
            echo == processes; pgrep -ax 'rdsup|bird|zebra|bgpd' || true
            echo == files; find /run /var/lib -type f -print -o -type s -print -o -type p -print |
                grep -vxE '/run/rdsup/(log/rdsup.log|rdsup.lock)|/var/lib/rdsup/generations/.*' | sort
            echo == directories; [ ! -d /run/rdsup ] || find /run/rdsup -mindepth 1 -type d ! -name log
            ")
    }

    /// Fails unless everything is, within a moment, as [`Machine::traces`] said before.
    #[track_caller]
    pub fn assert_left_as(&self, clean: &str) {
        // Processes and interfaces go a moment after what held them; after that a difference is one.
        assert_becomes("as it was", clean, || self.traces());
    }

    /// Fails unless a script prints this within a moment: the kernel tells the state of a link after the link has it.
    #[track_caller]
    pub fn assert_prints(&self, wanted: &str, script: &str) {
        assert_becomes("what was printed before", wanted, || self.sh(script));
    }

    /// What `plan` prints; it must succeed.
    #[track_caller]
    pub fn plan(&self) -> String {
        self.rdsup("plan").ok()
    }

    /// Fails unless, within a moment, every domain is up and every session Established.
    #[track_caller]
    pub fn assert_left_sessions_established(&self) {
        self.rdsup("status --wait 30s").ok();
    }

    /// The names of the counters that have risen, by the time that this one has: what is sent arrives a moment later.
    #[track_caller]
    pub fn assert_rises(&self, domain: &str, counter: &str, action: impl FnOnce()) {
        let before = self.counters(domain);
        action();
        let mut rising = Vec::new();
        eventually(SOON, &format!("{counter} of {domain} rises"), || {
            rising = self.counters(domain).into_iter().filter(|counter| !before.contains(counter)).collect();
            rising.iter().any(|(name, _)| name == counter)
        });
    }

    /// Fails unless `plan` finds nothing to do.
    #[track_caller]
    pub fn assert_converged(&self) {
        let plan = self.plan();
        assert!(plan.to_lowercase().contains("nothing to do"), "the plan is not empty:\n{plan}");
    }
}

/// Waits until a text is another, and tells the lines that differ if it does not become that.
#[track_caller]
pub fn assert_becomes(what: &str, wanted: &str, look: impl Fn() -> String) {
    let end = std::time::Instant::now() + SOON;
    let mut now = look();
    while now != wanted && std::time::Instant::now() < end {
        now = look();
    }
    let only = |these: &str, those: &str| {
        these.lines().filter(|line| !those.lines().any(|other| other == *line)).collect::<Vec<_>>().join("\n")
    };
    assert!(now == wanted, "not {what}; more:\n{}\nless:\n{}", only(&now, wanted), only(wanted, &now));
}

fn enter_domain(domain: Option<&str>) -> Vec<&str> {
    domain.map_or_else(Vec::new, |domain| vec!["ip", "netns", "exec", domain])
}
