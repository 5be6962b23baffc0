//! A peer that says what no implementation of BGP would: its messages are made octet by octet.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::machine::{Background, Machine};

/// Capabilities (RFC 5492): IPv4 and IPv6 unicast (RFC 4760), route refresh (RFC 2918), IPv4 with IPv6 next hops (RFC 8950), and
/// a restart of 120 s during which IPv4 is kept, and which has not just happened (RFC 4724).
pub const IPV4: [u8; 6] = [1, 4, 0, 1, 0, 1];
pub const IPV6: [u8; 6] = [1, 4, 0, 2, 0, 1];
pub const ROUTE_REFRESH: [u8; 2] = [2, 0];
pub const IPV4_OVER_IPV6: [u8; 8] = [5, 6, 0, 1, 0, 1, 0, 2];
pub const GRACEFUL_RESTART: [u8; 8] = [64, 6, 0, 120, 0, 1, 1, 128];

/// A message with its header (RFC 4271, section 4.1).
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap();
    [&[0xff; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

/// A path attribute (RFC 4271, section 4.3).
fn attribute(flags: u8, kind: u8, value: &[u8]) -> Vec<u8> {
    [&[flags, kind, u8::try_from(value.len()).unwrap()], value].concat()
}

fn octets(address: &str) -> Vec<u8> {
    match address.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A prefix as BGP writes it.
fn prefix(text: &str) -> Vec<u8> {
    let (address, length) = text.split_once('/').unwrap();
    let length: u8 = length.parse().unwrap();
    [&[length], &octets(address)[..usize::from(length.div_ceil(8))]].concat()
}

/// Tells `plain` with `NEXT_HOP`, and `multi` of family `afi` with `MP_REACH_NLRI` (RFC 4760) and these next hops.
pub fn update(asn: u32, plain: &[&str], next_hop: Option<&str>, multi: Option<(u16, &[&str], &[&str])>) -> Vec<u8> {
    let mut attributes = attribute(0x40, 1, &[0]);
    attributes.extend(attribute(0x40, 2, &[&[2, 1][..], &asn.to_be_bytes()].concat()));
    attributes.extend(next_hop.map(|at| attribute(0x40, 3, &octets(at))).into_iter().flatten());
    if let Some((afi, hops, prefixes)) = multi {
        let hops: Vec<u8> = hops.iter().flat_map(|hop| octets(hop)).collect();
        let told: Vec<u8> = prefixes.iter().flat_map(|it| prefix(it)).collect();
        let head = [&afi.to_be_bytes()[..], &[1, u8::try_from(hops.len()).unwrap()]].concat();
        attributes.extend(attribute(0x80, 14, &[&head[..], &hops, &[0], &told].concat()));
    }
    let length = u16::try_from(attributes.len()).unwrap();
    let plain: Vec<u8> = plain.iter().flat_map(|it| prefix(it)).collect();
    message(2, &[&[0, 0][..], &length.to_be_bytes(), &attributes, &plain].concat())
}

/// OPEN with these capabilities, and numbers of four octets.
fn open(asn: u32, able: &[&[u8]]) -> Vec<u8> {
    let able = [&able.concat()[..], &[65, 4], &asn.to_be_bytes()].concat();
    let option = [&[2, u8::try_from(able.len()).unwrap()][..], &able].concat();
    let two_octets = u16::try_from(asn).unwrap().to_be_bytes();
    let head = [&[4][..], &two_octets, &[0, 90, 9, 9, 9, two_octets[1], u8::try_from(option.len()).unwrap()]].concat();
    message(1, &[head, option].concat())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a peer opens its session or lets the other do so.
pub const CONNECTS: &str = "connects";
pub const WAITS: &str = "waits";

impl Machine {
    /// Runs a peer at an interface of a namespace, that tells this as soon as it may and then only that it is there. It tries until
    /// it is let in.
    pub fn tells(
        &self,
        at: (&str, &str),
        asn: u32,
        way: (&str, &str),
        able: &[&[u8]],
        updates: &[Vec<u8>],
    ) -> Background {
        self.speaks(CONNECTS, at, asn, way, able, updates)
    }

    /// The same peer, which connects or waits until somebody connects to it.
    pub fn speaks(
        &self,
        how: &str,
        (namespace, interface): (&str, &str),
        asn: u32,
        (from, to): (&str, &str),
        able: &[&[u8]],
        updates: &[Vec<u8>],
    ) -> Background {
        const SPEAKER: &str = r#"
            use Socket qw(:all);
            my ($how, $interface, $from, $to, $open, $updates) = @ARGV;
            my $six = $from =~ /:/;
            my $family = $six ? AF_INET6 : AF_INET;
            my $at = sub {
                my ($port, $address) = @_;
                return pack_sockaddr_in($port, inet_aton($address)) if not $six;
                my $index = do { local (@ARGV, $/) = "/sys/class/net/$interface/ifindex"; <> + 0 };
                return pack_sockaddr_in6($port, inet_pton(AF_INET6, $address), $address =~ /^fe80/ ? $index : 0);
            };
            my $keepalive = (chr(255) x 16) . pack("nC", 19, 4);
            my $socket = sub {
                socket(my $s, $family, SOCK_STREAM, 0) or die "socket: $!";
                setsockopt($s, $six ? 41 : 0, $six ? 16 : 2, 255) or die "hop limit: $!";
                setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1) or die "address: $!";
                bind($s, $at->($_[0], $from)) or die "bind: $!";
                return $s;
            };
            my $speak = sub {
                my ($s) = @_;
                syswrite($s, pack("H*", $open));
                my ($all, $told, $got) = ("", 0);
                while (sysread($s, $got, 4096)) {
                    $all .= $got;
                    syswrite($s, $keepalive);
                    # The other has taken the OPEN.
                    if (not $told and index($all, $keepalive) >= 0) {
                        syswrite($s, pack("H*", $updates));
                        $told = 1;
                    }
                }
            };
            if ($how eq "waits") {
                my $door = $socket->(179);
                listen($door, 5) or die "listen: $!";
                while (accept(my $s, $door)) { $speak->($s); }
            }
            while (1) {
                my $s = $socket->(0);
                $speak->($s) if connect($s, $at->(179, $to));
                select(undef, undef, undef, 0.2);
            }"#;
        let (open, updates) = (hex(&open(asn, able)), hex(&updates.concat()));
        self.spawn(&[
            "ip", "netns", "exec", namespace, "perl", "-we", SPEAKER, how, interface, from, to, &open, &updates,
        ])
    }
}
