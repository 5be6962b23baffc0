//! The worker: this same program, started inside the machine. It opens sockets in every namespace from one process, so
//! that what is sent in one and what comes out in another are seen by the same eyes.
//!
//! Frames are sent whole on packet sockets, past the sender's own filter, routing and choice of source. A packet socket
//! that receives sees packets before every filter on the way in and after every filter on the way out; a raw IP socket
//! sees what is past the input filter. So a packet has *entered* a namespace when one of its raw sockets has it or
//! when it leaves by one of its interfaces.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};

use crate::packet::{look, nonce};
use crate::wire::{Answer, Batch, Frame, Interface, Place, Request, Seen, unhex};

/// Protocols that raw sockets listen to: those that probes use.
const PROTOCOLS4: [i32; 6] = [1, 6, 17, 47, 50, 253];
const PROTOCOLS6: [i32; 6] = [58, 6, 17, 47, 50, 253];

const ETHERTYPE_ALL: u16 = 0x0003;
const PACKET_OUTGOING: u8 = 4;

struct Socket {
    namespace: String,
    fd: OwnedFd,
    /// What packets of a raw socket begin with: IPv6 ones come without their header.
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Ethernet,
    Ipv4,
    Ipv6Payload(u8),
}

#[derive(Default)]
struct Worker {
    sockets: Vec<Socket>,
    interfaces: Vec<Interface>,
    /// The packet socket of each namespace.
    senders: HashMap<String, usize>,
    /// Netlink sockets to connection tracking.
    flushers: Vec<OwnedFd>,
}

/// Answers requests on standard input until it closes.
pub fn main() {
    let mut worker = Worker::default();
    let mut lines = io::stdin().lock().lines();
    let mut stream: Option<Streaming> = None;
    loop {
        if let Some(state) = &mut stream {
            // Standard input is looked at between two frames.
            if !readable(&io::stdin(), 0) {
                state.step(&mut worker);
                continue;
            }
        }
        let Some(line) = lines.next() else { return };
        let request = serde_json::from_str(&line.expect("a line")).expect("a request");
        let answer = match request {
            Request::Open(namespaces) => worker.open(&namespaces),
            Request::Batch(batch) => worker.batch(&batch),
            Request::Stream(frames, rate) => {
                worker.drain(&HashSet::new(), &[], &mut Vec::new(), &mut Vec::new());
                stream = Some(Streaming::new(frames, rate));
                Answer::Streaming
            }
            Request::Forget => {
                worker.forget();
                Answer::Streaming
            }
            Request::Finish => stream.take().expect("a stream").finish(&mut worker),
        };
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, &answer).expect("the test reads");
        stdout.write_all(b"\n").and_then(|()| stdout.flush()).expect("the test reads");
    }
}

/// Frames sent over and over.
struct Streaming {
    frames: Vec<Frame>,
    known: HashSet<u64>,
    pause: Duration,
    next: Instant,
    sent: u64,
    seen: Vec<Seen>,
}

impl Streaming {
    fn new(frames: Vec<Frame>, rate: u32) -> Self {
        let known = frames.iter().map(|frame| frame.nonce).collect();
        let pause = Duration::from_secs(1) / rate;
        Self { frames, known, pause, next: Instant::now(), sent: 0, seen: Vec::new() }
    }

    fn step(&mut self, worker: &mut Worker) {
        let now = Instant::now();
        if now < self.next {
            std::thread::sleep((self.next - now).min(Duration::from_millis(1)));
        } else {
            let at = usize::try_from(self.sent).expect("a small number") % self.frames.len();
            // While the network comes and goes there is a time when the interface is not there.
            self.sent += u64::from(worker.send(&self.frames[at]));
            // What could not be sent in time is not made up for by a burst of more than a tenth of a second.
            self.next = (self.next + self.pause).max(now.checked_sub(Duration::from_millis(100)).unwrap_or(now));
        }
        let mut all = Vec::new();
        worker.drain(&self.known, &[], &mut all, &mut Vec::new());
        self.seen.extend(all.into_iter().filter(|seen| !matches!(seen.place, Place::In(_))));
    }

    fn finish(mut self, worker: &mut Worker) -> Answer {
        let end = Instant::now() + Duration::from_millis(200);
        while Instant::now() < end {
            worker.wait(20);
            let mut all = Vec::new();
            worker.drain(&self.known, &[], &mut all, &mut Vec::new());
            self.seen.extend(all.into_iter().filter(|seen| !matches!(seen.place, Place::In(_))));
        }
        Answer::Streamed { sent: self.sent, seen: self.seen }
    }
}

impl Worker {
    fn open(&mut self, namespaces: &[String]) -> Answer {
        for name in namespaces {
            let old = |socket: &Socket| &socket.namespace == name;
            self.sockets.retain(|socket| !old(socket));
            self.interfaces.retain(|interface| &interface.namespace != name);
            let owned = name.clone();
            // A thread of its own: the namespace ends with it, the sockets stay.
            let (sockets, interfaces, flusher) =
                std::thread::spawn(move || open_in(&owned)).join().expect("the thread does not panic");
            self.sockets.extend(sockets);
            self.flushers.push(flusher);
            self.interfaces.extend(interfaces);
        }
        let senders = self.sockets.iter().enumerate().filter(|(_, socket)| socket.form == Form::Ethernet);
        self.senders = senders.map(|(at, socket)| (socket.namespace.clone(), at)).collect();
        Answer::Interfaces(self.interfaces.clone())
    }

    fn batch(&self, batch: &Batch) -> Answer {
        let needles: Vec<Vec<u8>> = batch.needles.iter().map(|needle| unhex(needle)).collect();
        let known: HashSet<u64> = batch.frames.iter().map(|frame| frame.nonce).collect();
        let mut awaited: HashSet<(u64, String)> = batch.awaited.iter().cloned().collect();
        let (mut seen, mut found) = (Vec::new(), Vec::new());
        self.drain(&HashSet::new(), &[], &mut Vec::new(), &mut Vec::new());
        for (sent, frame) in batch.frames.iter().enumerate() {
            assert!(self.send(frame), "{} in {} does not take a frame", frame.interface, frame.namespace);
            // Buffers are finite.
            if sent % 16 == 15 {
                self.drain(&known, &needles, &mut seen, &mut found);
            }
        }
        let deadline = Instant::now() + Duration::from_millis(batch.deadline_ms);
        let mut looked = 0;
        let mut quiet_since = Instant::now();
        loop {
            self.wait(10);
            self.drain(&known, &needles, &mut seen, &mut found);
            if seen.len() > looked {
                quiet_since = Instant::now();
                for seen in &seen[looked..] {
                    if !matches!(seen.place, Place::In(_)) {
                        awaited.remove(&(seen.nonce, seen.namespace.clone()));
                    }
                }
                looked = seen.len();
            }
            let now = Instant::now();
            let quiet = now - quiet_since >= Duration::from_millis(batch.quiet_ms);
            if (awaited.is_empty() && quiet) || now > deadline {
                return Answer::Seen { seen, found };
            }
        }
    }

    fn wait(&self, milliseconds: u8) {
        let mut fds: Vec<PollFd<'_>> = self
            .sockets
            .iter()
            .map(|socket| PollFd::new(std::os::fd::AsFd::as_fd(&socket.fd), PollFlags::POLLIN))
            .collect();
        let _ = poll(&mut fds, PollTimeout::from(milliseconds));
    }

    /// Reads everything that has arrived.
    fn drain(
        &self,
        known: &HashSet<u64>,
        needles: &[Vec<u8>],
        seen: &mut Vec<Seen>,
        found: &mut Vec<(usize, String, Place)>,
    ) {
        let mut buffer = [0_u8; 2048];
        for socket in &self.sockets {
            while let Some((length, index, kind)) = receive(&socket.fd, &mut buffer) {
                let bytes = &buffer[..length];
                let place = || match socket.form {
                    Form::Ethernet if kind == PACKET_OUTGOING => Place::Out(self.name(&socket.namespace, index)),
                    Form::Ethernet => Place::In(self.name(&socket.namespace, index)),
                    Form::Ipv4 | Form::Ipv6Payload(_) => Place::Socket,
                };
                for (at, _) in needles.iter().enumerate().filter(|(_, needle)| contains(bytes, needle)) {
                    found.push((at, socket.namespace.clone(), place()));
                }
                let Some(nonce) = nonce(bytes).filter(|nonce| known.contains(nonce)) else { continue };
                let unspecified = std::net::IpAddr::from([0_u16; 8]);
                let looked = match socket.form {
                    Form::Ethernet => bytes.get(14..).and_then(look),
                    Form::Ipv4 => look(bytes),
                    Form::Ipv6Payload(58) if matches!(bytes.first(), Some(129)) => {
                        Some((crate::packet::Kind::Reply, unspecified, unspecified))
                    }
                    Form::Ipv6Payload(58) if matches!(bytes.first(), Some(1..=4)) => {
                        Some((crate::packet::Kind::Error, unspecified, unspecified))
                    }
                    Form::Ipv6Payload(_) => Some((crate::packet::Kind::Packet, unspecified, unspecified)),
                };
                let Some((kind, source, destination)) = looked else { continue };
                let namespace = socket.namespace.clone();
                seen.push(Seen { nonce, namespace, place: place(), kind, source, destination });
            }
        }
    }

    fn name(&self, namespace: &str, index: i32) -> String {
        let named = self.interfaces.iter().find(|it| it.namespace == namespace && it.index == index);
        named.map_or_else(|| format!("#{index}"), |interface| interface.name.clone())
    }

    /// Empties connection tracking: a request to delete entries (`IPCTNL_MSG_CT_DELETE`) that names none means all.
    fn forget(&self) {
        let mut request = 20_u32.to_ne_bytes().to_vec();
        request.extend(((1_u16 << 8) | 2).to_ne_bytes());
        request.extend(1_u16.to_ne_bytes());
        request.extend([0; 12]);
        for socket in &self.flushers {
            // SAFETY: the pointer is to a live value of the length given, and the kernel only reads it. The kernel has
            // done what it is asked for when the call returns.
            let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
            assert_eq!(sent, 20, "connection tracking takes no request: {}", io::Error::last_os_error());
        }
    }

    /// Sends a frame; false if the kernel did not take it.
    fn send(&self, frame: &Frame) -> bool {
        let Some(socket) = self.senders.get(&frame.namespace).map(|at| &self.sockets[*at]) else { return false };
        let named = |it: &&Interface| it.namespace == frame.namespace && it.name == frame.interface;
        let Some(interface) = self.interfaces.iter().find(named) else { return false };
        let bytes = unhex(&frame.bytes);
        let address = link_address(interface.index, 0);
        // SAFETY: the pointers are to live values of the lengths given, and the kernel only reads them.
        let sent = unsafe {
            libc::sendto(
                socket.fd.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                0,
                (&raw const address).cast(),
                length_of::<libc::sockaddr_ll>(),
            )
        };
        usize::try_from(sent).is_ok_and(|sent| sent == bytes.len())
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn readable(file: &impl std::os::fd::AsFd, milliseconds: u8) -> bool {
    let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(milliseconds)).is_ok_and(|ready| ready > 0)
}

fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("a small structure")
}

fn link_address(index: i32, protocol: u16) -> libc::sockaddr_ll {
    // SAFETY: every field is a number, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).expect("a small number");
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index;
    address
}

/// The next packet of a socket without waiting: its length, its interface and its direction.
fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> Option<(usize, i32, u8)> {
    let mut address = link_address(0, 0);
    let mut length = length_of::<libc::sockaddr_ll>();
    // SAFETY: the buffer and the address are as long as the kernel is told; a socket of another family writes an
    // address that is shorter or is cut off at that length.
    let received = unsafe {
        libc::recvfrom(
            fd.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_DONTWAIT,
            (&raw mut address).cast(),
            &raw mut length,
        )
    };
    Some((usize::try_from(received).ok()?, address.sll_ifindex, address.sll_pkttype))
}

fn open_in(namespace: &str) -> (Vec<Socket>, Vec<Interface>, OwnedFd) {
    let path = Path::new("/run/netns").join(namespace);
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    setns(file, CloneFlags::CLONE_NEWNET).expect("the namespace can be entered");
    let raw4 = PROTOCOLS4.map(|protocol| (libc::AF_INET, protocol, Form::Ipv4));
    let raw6 =
        PROTOCOLS6.map(|protocol| (libc::AF_INET6, protocol, Form::Ipv6Payload(u8::try_from(protocol).unwrap_or(0))));
    let packet = (libc::AF_PACKET, i32::from(ETHERTYPE_ALL.to_be()), Form::Ethernet);
    let sockets = [packet].into_iter().chain(raw4).chain(raw6).map(|(family, protocol, form)| {
        // SAFETY: the call takes numbers only.
        let fd = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol) };
        assert!(fd >= 0, "no raw socket in {namespace}: {}", io::Error::last_os_error());
        let size: i32 = 8 << 20;
        // SAFETY: the pointer is to a number of the length given. The kernel may grant less.
        unsafe {
            for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE] {
                libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const size).cast(), length_of::<i32>());
            }
        }
        // SAFETY: the descriptor has just been made and nobody else owns it.
        Socket { namespace: namespace.to_owned(), fd: unsafe { OwnedFd::from_raw_fd(fd) }, form }
    });
    let sockets: Vec<Socket> = sockets.collect();
    let interfaces = interfaces_of(namespace, &sockets[0].fd);
    // SAFETY: the call takes numbers only.
    let flusher =
        unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_NETFILTER) };
    assert!(flusher >= 0, "no netlink socket in {namespace}: {}", io::Error::last_os_error());
    // SAFETY: the descriptor has just been made and nobody else owns it.
    (sockets, interfaces, unsafe { OwnedFd::from_raw_fd(flusher) })
}

/// The interfaces of the namespace that this thread is in.
fn interfaces_of(namespace: &str, socket: &OwnedFd) -> Vec<Interface> {
    let mut interfaces = Vec::new();
    // SAFETY: the list ends with an index of 0, and is freed after its last use.
    unsafe {
        let list = libc::if_nameindex();
        assert!(!list.is_null(), "the interfaces of {namespace} can be listed");
        let mut entry = list;
        while (*entry).if_index != 0 {
            let name = std::ffi::CStr::from_ptr((*entry).if_name);
            let mut request: libc::ifreq = std::mem::zeroed();
            for (to, from) in request.ifr_name.iter_mut().zip(name.to_bytes()) {
                *to = libc::c_char::from_ne_bytes([*from]);
            }
            let mut mac = [0; 6];
            if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR, &raw mut request) == 0 {
                let data = request.ifr_ifru.ifru_hwaddr.sa_data;
                for (to, from) in mac.iter_mut().zip(data) {
                    *to = from.to_ne_bytes()[0];
                }
            }
            interfaces.push(Interface {
                namespace: namespace.to_owned(),
                name: name.to_string_lossy().into_owned(),
                index: i32::try_from((*entry).if_index).expect("an index"),
                mac,
            });
            entry = entry.add(1);
        }
        libc::if_freenameindex(list);
    }
    interfaces
}
