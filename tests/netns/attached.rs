//! Hosts on interfaces of domains, and flows that go on for a while.

use crate::machine::{Background, Machine, SOON, eventually};

/// Two ends of a wire: an interface for a domain, and a host beyond it.
pub struct Wire {
    /// The interface, made in the machine for a domain to claim.
    pub interface: &'static str,
    /// The namespace of the host.
    pub host: &'static str,
    /// The domain's IPv4 address on the wire.
    pub router4: &'static str,
    /// The host's IPv4 address with its prefix length.
    pub host4: &'static str,
    /// The domain's IPv6 address on the wire.
    pub router6: &'static str,
    /// The host's IPv6 address with its prefix length.
    pub host6: &'static str,
}

impl Machine {
    /// Makes the wire and the host, whose default routes lead to the domain.
    pub fn attach(&self, wire: &Wire) {
        let Wire { interface, host, router4, host4, router6, host6 } = wire;
        self.sh(&format!(
            "ip netns add {host}
             ip link add {interface} type veth peer name eth0 netns {host}
             ip -n {host} link set lo up; ip -n {host} link set eth0 up; ip link set {interface} up
             ip -n {host} address add {host4} dev eth0; ip -n {host} address add {host6} dev eth0 nodad
             ip -n {host} route add default via {router4}; ip -n {host} -6 route add default via {router6} dev eth0"
        ));
    }

    /// Answers the first datagram to a UDP port in a namespace with one every 10 ms for ever, without hearing more.
    #[track_caller]
    pub fn stream_udp(&self, namespace: &str, address: &str, port: u16) -> Background {
        const SERVER: &str = r#"
            use IO::Socket::IP; use Time::HiRes "sleep";
            my $s = IO::Socket::IP->new(LocalHost => $ARGV[0], LocalPort => $ARGV[1], Proto => "udp") or die "$@";
            my $from = $s->recv(my $data, 100); defined $from or die;
            while (1) { $s->send("more\n", 0, $from); sleep 0.01 }
        "#;
        self.server(namespace, SERVER, address, port, "-Hlun")
    }

    /// Sends a line every 10 ms for ever to who connects to a TCP port in a namespace.
    #[track_caller]
    pub fn stream_tcp(&self, namespace: &str, address: &str, port: u16) -> Background {
        const SERVER: &str = r#"
            use IO::Socket::IP; use Time::HiRes "sleep"; $SIG{PIPE} = "IGNORE";
            my $s = IO::Socket::IP->new(LocalHost => $ARGV[0], LocalPort => $ARGV[1], Listen => 5, ReuseAddr => 1) or die "$@";
            my $c = $s->accept;
            while (1) { syswrite $c, "more\n"; sleep 0.01 }
        "#;
        self.server(namespace, SERVER, address, port, "-Hltn")
    }

    fn server(&self, namespace: &str, program: &str, address: &str, port: u16, kind: &str) -> Background {
        let port = port.to_string();
        let mut server = self.spawn(&["ip", "netns", "exec", namespace, "perl", "-e", program, address, &port]);
        eventually(SOON, &format!("a server on {address} port {port}"), || {
            assert!(server.is_running(), "the server ended: {}", server.complaint());
            self.within(namespace, &format!("ss {kind} sport = {port}")).stdout.contains(address)
        });
        server
    }

    /// Asks a server for its stream and writes what comes to a file; see [`Machine::received`].
    pub fn receive(&self, namespace: &str, protocol: &str, address: &str, port: u16) -> Background {
        const CLIENT: &str = r#"
            use IO::Socket::IP; $| = 1;
            my ($protocol, $host, $port, $file) = @ARGV;
            open my $out, ">", $file or die; $out->autoflush(1);
            my $s = IO::Socket::IP->new(PeerHost => $host, PeerPort => $port, Proto => $protocol, Timeout => 5) or die "$@";
            syswrite $s, "go\n" if $protocol eq "udp";
            while (defined sysread $s, my $data, 100) { print $out $data }
        "#;
        let port_text = port.to_string();
        let file = stream_file(namespace, protocol, address, port);
        self.spawn(&["ip", "netns", "exec", namespace, "perl", "-e", CLIENT, protocol, address, &port_text, &file])
    }

    /// How many bytes a stream has brought.
    pub fn received(&self, namespace: &str, protocol: &str, address: &str, port: u16) -> u64 {
        let file = stream_file(namespace, protocol, address, port);
        self.run(&["stat", "-c", "%s", &file]).stdout.trim().parse().unwrap_or(0)
    }
}

fn stream_file(namespace: &str, protocol: &str, address: &str, port: u16) -> String {
    format!("/srv/machine/{namespace}-{protocol}-{address}-{port}")
}
