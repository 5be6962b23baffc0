//! Interfaces: veth pairs across namespaces, and what can be set on any.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::{Connection, NetlinkError};
use crate::model::InterfaceName;
use crate::plan::LINK_GROUP;
use crate::sys::netns::Namespace;

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name; `None` where that is none rdsup can work with.
    pub name: Option<InterfaceName>,
    /// `IFLA_INFO_KIND`; empty for hardware and `lo`.
    pub kind: String,
    /// The link group.
    pub group: u32,
    /// The alias.
    pub alias: Option<String>,
    /// `IFF_UP`.
    pub up: bool,
    /// Whether its lower layer is up too (`IFF_LOWER_UP`): for a veth, whether its other end is.
    pub carrier: bool,
    /// The MTU.
    pub mtu: u32,
    /// The hardware address that it was made with (`IFLA_PERM_ADDRESS`), or else the one that it has.
    pub hardware: Option<String>,
    /// Its queueing discipline.
    pub qdisc: String,
    /// The interface on the other side (of a veth) or below (of a VLAN).
    pub peer: Option<Peer>,
}

/// What interfaces have for a queueing discipline unless somebody gave them another one (`net.core.default_qdisc`).
const USUAL_QDISCS: [&str; 7] = ["", "noop", "noqueue", "mq", "pfifo_fast", "fq_codel", "fq"];

impl Link {
    /// The queueing discipline in words, where it is one that somebody chose.
    pub fn odd_qdisc(&self) -> Option<String> {
        (!USUAL_QDISCS.contains(&&*self.qdisc)).then(|| format!("queueing discipline {}", self.qdisc))
    }
}

/// Where the other end of a veth is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number in its namespace.
    pub index: u32,
    /// The number by which this namespace knows the other's, `None` if they are the same. See [`namespace_id`].
    pub namespace: Option<i32>,
}

/// One end of a veth pair that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The namespace that it is made in.
    pub namespace: &'a Namespace,
    /// Its name.
    pub name: &'a InterfaceName,
}

/// Every interface of the namespace.
pub async fn dump(connection: &Connection) -> Result<Vec<Link>, NetlinkError> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let answers = connection.dump(RouteNetlinkMessage::GetLink(message)).await?;
    Ok(answers.into_iter().filter_map(from_answer).collect())
}

/// One interface, by name; `ENODEV` if there is none.
pub async fn get(connection: &Connection, name: &InterfaceName) -> Result<Link, NetlinkError> {
    let mut message = named(name).build();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let answer = connection.get(RouteNetlinkMessage::GetLink(message)).await?;
    from_answer(answer).ok_or(NetlinkError::Unexpected)
}

/// Makes a veth pair in one message, each end in its namespace and in [`LINK_GROUP`], both down.
///
/// The alias is not set: the kernel ignores it at creation. Nor is an end brought up: on the peer that is `ENOTCONN`.
///
/// `numbers` are the interface numbers that the ends get; the kernel chooses if there are none.
pub async fn add_veth(
    connection: &Connection,
    ends: [End<'_>; 2],
    mtu: Option<u32>,
    numbers: Option<[u32; 2]>,
) -> Result<(), NetlinkError> {
    let [first, second] = ends;
    let mut peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(second.name.as_str())
        .setns_by_fd(second.namespace.raw_fd())
        .link_group(LINK_GROUP);
    let mut link = LinkMessageBuilder::<LinkVeth>::new(first.name.as_str(), second.name.as_str())
        .setns_by_fd(first.namespace.raw_fd())
        .link_group(LINK_GROUP);
    if let Some(mtu) = mtu {
        peer = peer.mtu(mtu);
        link = link.mtu(mtu);
    }
    if let Some([number, peer_number]) = numbers {
        peer = peer.index(peer_number);
        link = link.index(number);
    }
    let message = link.set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build()))).build();
    connection.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL).await
}

/// Makes a veth pair of nobody's in the connection's own namespace, both ends down.
pub async fn add_pair(connection: &Connection, first: &str, second: &str) -> Result<(), NetlinkError> {
    let message = LinkVeth::new(first, second).build();
    connection.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL).await
}

/// Deletes an interface.
pub async fn delete(connection: &Connection, name: &InterfaceName) -> Result<(), NetlinkError> {
    connection.change(RouteNetlinkMessage::DelLink(named(name).build()), 0).await
}

/// Sets the alias.
pub async fn set_alias(connection: &Connection, name: &InterfaceName, alias: &str) -> Result<(), NetlinkError> {
    set(connection, named(name).alias(alias)).await
}

/// Sets the MTU.
pub async fn set_mtu(connection: &Connection, name: &InterfaceName, mtu: u32) -> Result<(), NetlinkError> {
    set(connection, named(name).mtu(mtu)).await
}

/// Takes an interface up or down.
pub async fn set_up(connection: &Connection, name: &InterfaceName, up: bool) -> Result<(), NetlinkError> {
    set(connection, if up { named(name).up() } else { named(name).down() }).await
}

/// Gives an interface another name.
pub async fn rename(connection: &Connection, from: &InterfaceName, to: &InterfaceName) -> Result<(), NetlinkError> {
    // A message that has a number may have a new name, one without is about the interface of that name.
    let index = get(connection, from).await?.index;
    set(connection, LinkUnspec::new_with_index(index).name(to.as_str())).await
}

/// Moves an interface into another namespace, where it arrives down.
pub async fn move_to(connection: &Connection, name: &InterfaceName, to: &Namespace) -> Result<(), NetlinkError> {
    set(connection, named(name).setns_by_fd(to.raw_fd())).await
}

/// The number by which the connection's namespace knows another, as in [`Peer::namespace`]; `None` if it has met none.
pub async fn namespace_id(connection: &Connection, other: &Namespace) -> Result<Option<i32>, NetlinkError> {
    let mut message = NsidMessage::default();
    let fd = u32::try_from(other.raw_fd()).map_err(|_| NetlinkError::Unexpected)?;
    message.attributes.push(NsidAttribute::Fd(fd));
    match connection.get(RouteNetlinkMessage::GetNsId(message)).await? {
        RouteNetlinkMessage::NewNsId(answer) => Ok(answer.attributes.iter().find_map(|attribute| match attribute {
            NsidAttribute::Id(id) if *id >= 0 => Some(*id),
            _ => None,
        })),
        _ => Err(NetlinkError::Unexpected),
    }
}

fn named(name: &InterfaceName) -> LinkMessageBuilder<LinkUnspec> {
    LinkUnspec::new_with_name(name.as_str())
}

async fn set(connection: &Connection, link: LinkMessageBuilder<LinkUnspec>) -> Result<(), NetlinkError> {
    connection.change(RouteNetlinkMessage::SetLink(link.build()), 0).await
}

fn from_answer(answer: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = answer else { return None };
    let mut link = Link {
        index: message.header.index,
        name: None,
        kind: String::new(),
        group: 0,
        alias: None,
        up: message.header.flags.contains(LinkFlags::Up),
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        mtu: 0,
        hardware: None,
        qdisc: String::new(),
        peer: None,
    };
    let mut namespace = None;
    let mut below = None;
    let (mut permanent, mut present) = (None, None);
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = InterfaceName::new(name).ok(),
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::PermAddress(address) => permanent = hexadecimal(&address),
            LinkAttribute::Address(address) => present = hexadecimal(&address),
            LinkAttribute::Qdisc(qdisc) => link.qdisc = qdisc,
            LinkAttribute::Group(group) => link.group = group,
            LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
            LinkAttribute::Link(index) => below = Some(index),
            LinkAttribute::LinkNetNsId(id) => namespace = Some(id),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        link.kind = kind.to_string();
                    }
                }
            }
            _ => {}
        }
    }
    link.hardware = permanent.or(present);
    link.peer = below.filter(|index| *index != 0).map(|index| Peer { index, namespace });
    Some(link)
}

/// `02:00:5e:10:00:01`; nothing for an address of zeros, which is none.
fn hexadecimal(address: &[u8]) -> Option<String> {
    let octets: Vec<String> = address.iter().map(|octet| format!("{octet:02x}")).collect();
    address.iter().any(|octet| *octet != 0).then(|| octets.join(":"))
}
