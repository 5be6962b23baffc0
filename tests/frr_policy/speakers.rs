//! What the others say.

/// A prefix, and what is done to the route before it leaves.
type Route<'a> = (&'a str, String);

fn plain(prefix: &str) -> Route<'_> {
    (prefix, String::new())
}

/// A BIRD with one session and these routes of its own.
struct Speaker<'a> {
    protocol: &'a str,
    /// The lines of the session, without families.
    session: &'a str,
    v4: Vec<Route<'a>>,
    v6: Vec<Route<'a>>,
    options: &'a str,
}

impl Speaker<'_> {
    fn configuration(&self) -> String {
        let name = self.protocol;
        let mut text = String::new();
        let mut channels = String::new();
        for (family, digit, routes) in [("ipv4", 4, &self.v4), ("ipv6", 6, &self.v6)] {
            if routes.is_empty() {
                continue;
            }
            let listed: String = routes.iter().map(|(prefix, _)| format!("  route {prefix} unreachable;\n")).collect();
            let said: String = routes
                .iter()
                .filter(|(_, what)| !what.is_empty())
                .map(|(prefix, what)| format!("  if net = {prefix} then {{ {what} }}\n"))
                .collect();
            text += &format!(
                "{family} table {name}{digit};
protocol static routes_{name}{digit} {{ {family} {{ table {name}{digit}; }};\n{listed}}}
filter says_{name}{digit} {{ if source != RTS_STATIC then reject;\n{said}  accept; }}\n"
            );
            channels += &format!(
                "  {family} {{ table {name}{digit}; import all; export filter says_{name}{digit}; {} }};\n",
                self.options
            );
        }
        format!(
            "{text}protocol bgp {name} {{\n  {}\n  connect delay time 1; connect retry time 1; error wait time 1, 2;\n{channels}}}\n",
            self.session
        )
    }
}

fn prepend(asn: u32, count: usize) -> String {
    format!("bgp_path.prepend({asn}); ").repeat(count)
}

/// The configuration of the BIRD in a namespace.
pub fn bird(namespace: &str) -> String {
    let speakers = match namespace {
        "left" => vec![left()],
        "right" => vec![right()],
        "two" => vec![two()],
        "far" => vec![far()],
        "inner" => vec![inner()],
        other => panic!("{other}"),
    };
    let router = speakers[0].protocol.bytes().map(u32::from).sum::<u32>() % 200;
    let text: String = speakers.iter().map(Speaker::configuration).collect();
    format!("log stderr all;\nrouter id 9.9.9.{router};\nprotocol device {{ }}\nprotocol direct {{ ipv4; }}\n{text}")
}

fn left() -> Speaker<'static> {
    Speaker {
        protocol: "left",
        session:
            "local fd72:6473:7570::3e9:0:0 as 65051; neighbor fd72:6473:7570::3e9:0:1 as 65050; interface \"wire\"; direct; ttl security on;
  local role customer; require roles on;",
        options: "extended next hop on;",
        v4: [
            plain("10.51.0.0/16"),
            plain("10.51.1.0/24"),
            plain("10.51.1.128/25"),
            ("10.51.2.0/24", prepend(65051, 63)),
            ("10.51.3.0/24", prepend(65051, 64)),
            (
                "10.51.4.0/24",
                "bgp_large_community.add((65050, 1, 65053)); bgp_large_community.add((65050, 2, 1001)); \
                 bgp_large_community.add((65050, 4, 0)); bgp_large_community.add((7, 65050, 7)); \
                 bgp_large_community.add((65051, 1, 1));"
                    .to_owned(),
            ),
            ("10.51.5.0/24", "bgp_community.add((65535, 0));".to_owned()),
            ("10.51.6.0/24", "bgp_community.add((65535, 65281));".to_owned()),
            ("10.51.7.0/24", prepend(65050, 1)),
            ("10.51.8.0/24", "bgp_community.add((65535, 666));".to_owned()),
            ("10.51.9.0/24", "bgp_community.add((3333, 7)); bgp_med = 9;".to_owned()),
            ("10.51.10.0/24", prepend(64512, 2)),
            (
                "10.51.11.0/24",
                "bgp_large_community.add((165050, 1, 7)); bgp_large_community.add((65050, 3, 1002));".to_owned(),
            ),
            plain("10.51.250.0/24"),
            plain("10.99.0.0/16"),
            plain("10.99.1.0/24"),
            plain("10.98.0.0/15"),
            plain("10.52.0.0/16"),
            plain("10.50.7.0/24"),
            plain("0.0.0.0/0"),
        ]
        .into(),
        v6: [
            "2001:db8:51::/48",
            "2001:db8:51:1::/64",
            "2001:db8:51:1:8000::/65",
            "2001:db8:50:7::/64",
            "2001:db8::/32",
            "::/0",
            "2001:db8:51:fa::/64",
        ]
        .map(plain)
        .into(),
    }
}

fn right() -> Speaker<'static> {
    Speaker {
        protocol: "right",
        session: "local 2001:db8:fe::1 as 65053; neighbor 2001:db8:fe::2 as 65050; interface \"wire\"; direct; ttl security on;",
        options: "extended next hop on;",
        v4: [
            "60.0.0.0/8",
            "60.1.0.0/16",
            "60.1.1.1/32",
            "60.250.0.0/16",
            "61.0.0.0/8",
            "0.0.0.0/0",
            "0.0.0.0/1",
            "10.50.0.0/16",
            "10.50.9.0/24",
            "10.51.77.0/24",
            "10.99.0.0/16",
            "10.99.7.0/24",
            "10.98.0.0/15",
            "10.52.0.0/16",
            "30.1.0.0/16",
            "8.8.7.0/24",
            "203.0.113.0/25",
            "192.0.2.0/24",
            "198.18.5.0/24",
            "198.18.9.9/32",
            "198.18.7.7/32",
            "10.50.9.10/32",
            "169.254.0.0/16",
            "240.0.0.0/4",
            "192.0.0.0/2",
            "198.51.100.0/24",
        ]
        .map(plain)
        .into_iter()
        .chain([("62.0.0.0/8", "bgp_next_hop = 2001:db8:fe::3;".to_owned()), ("60.2.0.0/16", prepend(3333, 1))])
        .collect(),
        v6: [
            "2a0a::/32",
            "2a0a:1::1/128",
            "2a0a:fa::/32",
            "::/0",
            "2001:db8:50::/48",
            "2001:db8:50:1::/64",
            "2001:db8:51:2::/64",
            "fe00::/9",
            "2000::/3",
            "2001:db8:fe::/64",
            "fc00::/7",
        ]
        .map(plain)
        .into_iter()
        .chain([("2a0c::/32", "bgp_next_hop = 2001:db8:fe::3;".to_owned())])
        .collect(),
    }
}

fn two() -> Speaker<'static> {
    Speaker {
        protocol: "two",
        session: "local 192.0.2.1 as 64510; neighbor 192.0.2.2 as 65050; direct; ttl security on; strict bind yes;",
        options: "",
        v4: [
            "0.0.0.0/0",
            "8.8.0.0/16",
            "8.8.8.0/24",
            "8.8.8.8/32",
            "8.0.0.0/8",
            "20.0.0.0/8",
            "20.1.0.0/16",
            "20.2.0.0/20",
            "20.3.0.0/21",
            "20.250.0.0/16",
            "21.0.0.0/16",
        ]
        .map(plain)
        .into_iter()
        .chain([
            ("20.4.0.0/16", "bgp_next_hop = 192.0.2.77;".to_owned()),
            ("20.5.0.0/16", prepend(64511, 1)),
            ("20.6.0.0/16", prepend(64510, 99)),
            ("20.7.0.0/16", prepend(64510, 100)),
        ])
        .collect(),
        v6: Vec::new(),
    }
}

fn far() -> Speaker<'static> {
    Speaker {
        protocol: "far",
        session: "local 198.51.100.9 as 65020; neighbor 192.0.2.2 as 65050; multihop 4; strict bind yes;",
        options: "igp table master4;",
        v4: ["30.0.0.0/8", "30.1.0.0/16", "30.1.1.0/25", "30.250.0.0/16", "31.0.0.0/8"]
            .map(plain)
            .into_iter()
            .chain([("30.2.0.0/16", "bgp_next_hop = 192.0.2.1;".to_owned())])
            .collect(),
        v6: Vec::new(),
    }
}

fn inner() -> Speaker<'static> {
    Speaker {
        protocol: "inner",
        session: "local 10.50.3.9 as 65050; neighbor 10.50.3.2 as 65050; direct; ttl security on;",
        options: "",
        v4: [
            "10.50.3.64/26",
            "10.50.3.128/25",
            "10.50.4.0/24",
            "50.0.0.0/8",
            "50.1.1.1/32",
            "0.0.0.0/0",
            "10.7.0.0/16",
            "8.8.9.0/24",
        ]
        .map(plain)
        .into_iter()
        .chain([("50.2.0.0/16", prepend(64512, 1)), ("50.3.0.0/16", "bgp_next_hop = 10.50.3.7;".to_owned())])
        .collect(),
        v6: Vec::new(),
    }
}

fn exabgp_four() -> Vec<(String, String)> {
    let long = "3333 ".repeat(101);
    let just = "3333 ".repeat(100);
    let mut four = Vec::new();
    for prefix in [
        "0.0.0.0/0",
        "0.0.0.0/1",
        "128.0.0.0/1",
        "40.0.0.0/8",
        "40.1.0.0/16",
        "40.2.2.0/24",
        "40.2.2.0/25",
        "40.3.3.3/32",
        "40.250.0.0/16",
        "10.0.0.0/8",
        "10.50.1.0/24",
        "10.51.1.0/24",
        "10.99.0.0/16",
        "100.64.0.0/10",
        "172.16.5.0/24",
        "192.168.0.0/16",
        "192.0.2.0/24",
        "198.18.0.0/15",
        "198.18.9.9/32",
        "203.0.113.0/24",
        "192.88.99.0/24",
        "127.0.0.0/8",
        "127.1.0.0/16",
        "169.254.0.0/16",
        "240.0.0.0/8",
        "0.1.0.0/16",
        "8.8.6.0/24",
        "8.0.0.0/8",
        "30.9.0.0/16",
        "4.0.0.0/7",
        "20.20.0.0/16",
        "60.5.0.0/16",
    ] {
        four.push((prefix.to_owned(), String::new()));
    }
    let mut says = |prefix: &str, rest: &str| four.push((prefix.to_owned(), rest.to_owned()));
    says("41.1.0.0/16", "as-path [ 4444 ]");
    says("41.2.0.0/16", "as-path [ 3333 65050 ]");
    for (index, bogon) in [
        0_u32,
        23456,
        64496,
        64510,
        64511,
        64512,
        65534,
        65535,
        65536,
        65551,
        65552,
        131_071,
        4_200_000_000,
        4_294_967_295,
    ]
    .into_iter()
    .enumerate()
    {
        says(&format!("42.{index}.0.0/16"), &format!("as-path [ 3333 {bogon} ]"));
        says(&format!("43.{index}.0.0/16"), &format!("as-path [ 3333 {bogon} 1299 ]"));
    }
    for (index, good) in [1_u32, 23455, 23457, 64495, 131_072, 165_050, 4_199_999_999].into_iter().enumerate() {
        says(&format!("44.{index}.0.0/16"), &format!("as-path [ 3333 {good} 1299 ]"));
    }
    says("45.1.0.0/16", "as-path [ 3333 ( 1299 1300 ) ]");
    says("45.2.0.0/16", "as-path [ 3333 ( 1299 ) ]");
    says("45.3.0.0/16", &format!("as-path [ {just}]"));
    says("45.4.0.0/16", &format!("as-path [ {long}]"));
    says("46.1.0.0/16", "next-hop 203.0.113.77");
    says("46.2.0.0/16", "next-hop 203.0.113.2");
    says("46.3.0.0/16", "next-hop 40.1.1.1");
    says("47.1.0.0/16", "large-community [ 65050:2:1001 65050:1:65053 3333:1:1 ]");
    says("47.2.0.0/16", "community [ 65535:0 ]");
    says("47.3.0.0/16", "community [ 65535:666 3333:1 ]");
    says("47.4.0.0/16", "community [ no-export ]");
    says("47.5.0.0/16", "community [ no-advertise ]");
    says("47.6.0.0/16", "med 77 origin incomplete");
    four
}

fn exabgp_six() -> Vec<(String, String)> {
    let mut six: Vec<(String, String)> = [
        "::/0",
        "2a00:1::/32",
        "2a00:1:1::/48",
        "2a00:1:1:1::/64",
        "2a00:fa::/32",
        "2000::/3",
        "2001:db8::/32",
        "2001:db8:50:1::/64",
        "fc00::/7",
        "fe80::/10",
        "2002::/16",
        "3fff::/20",
        "::/8",
        "::1/128",
        "::ffff:0:0/96",
        "100::/64",
        "2001:db8:51:9::/64",
        "2a00::/15",
    ]
    .map(|prefix| (prefix.to_owned(), String::new()))
    .into();
    let mut says = |prefix: &str, rest: &str| six.push((prefix.to_owned(), rest.to_owned()));
    says("2a00:2::/32", "next-hop 2001:db8:ff::77");
    says("2a00:3::/32", "as-path [ 3333 64500 ]");
    says("2a00:4::/32", "as-path [ 3333 ( 1299 ) ]");
    says("2a00:5::/32", "as-path [ 1299 ]");
    six
}

/// What the ExaBGP in the namespace `one` reads.
pub fn exabgp() -> String {
    let (four, six) = (exabgp_four(), exabgp_six());
    session(("203.0.113.1", "203.0.113.2", "ipv4"), &four)
        + &session(("2001:db8:ff::1", "2001:db8:ff::2", "ipv6"), &six)
}

fn session((local, peer, family): (&str, &str, &str), routes: &[(String, String)]) -> String {
    let route = |(prefix, rest): &(String, String)| {
        let next_hop = if rest.contains("next-hop") { "" } else { "next-hop self" };
        let path = if rest.contains("as-path") { "" } else { "as-path [ 3333 ]" };
        format!("    route {prefix} {next_hop} {path} {rest};\n")
    };
    let routes: String = routes.iter().map(route).collect();
    format!(
        "neighbor {peer} {{\n  router-id 203.0.113.1;\n  local-address {local};\n  local-as 3333;\n  peer-as 65050;\n  outgoing-ttl 255;\n  \
         hold-time 90;\n  group-updates false;\n  capability {{ asn4 enable; route-refresh enable; }}\n  family {{ {family} unicast; }}\n  \
         static {{\n{routes}  }}\n}}\n"
    )
}
