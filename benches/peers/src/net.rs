//! The event loop of the generator: many nonblocking sockets, one thread, one epoll.
//!
//! Reads and writes are as large as what there is; a packet is looked at where it was read, and
//! nothing is allocated for it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags, Timespec, epoll, poll},
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send},
    net::{socket_with, sockopt::set_tcp_nodelay},
};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};

use crate::{
    target::Target,
    wire::{self, Packet},
};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// Events that are taken from the kernel at once.
const EVENTS: usize = 512;
/// Shorter waits are too short for the milliseconds of `epoll_wait`.
const COARSE: Duration = Duration::from_millis(3);

/// What is done with what arrives.
pub(crate) trait Handler {
    /// Something was read; packets of it follow. The place to look at a clock.
    fn arrived(&mut self, _now: u64) {}

    /// A packet came on a link; what is appended to `out` is sent there.
    fn packet(&mut self, link: usize, packet: Packet<'_>, out: &mut Vec<u8>) -> Then;

    /// The broker closed a link, or broke it.
    fn closed(&mut self, link: usize);
}

/// What becomes of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Stay,
    /// DISCONNECT, and close.
    Leave,
}

/// A connection.
struct Link {
    /// `None` once it is closed.
    socket: Option<OwnedFd>,
    tls: Option<Box<ClientConnection>>,
    /// What waits to be sent, before encryption.
    out: Vec<u8>,
    /// With TLS: what waits to be sent, encrypted.
    sealed: Vec<u8>,
    /// How much of `out`, or of `sealed`, is sent.
    sent: usize,
    /// The beginning of a packet whose rest has not come.
    partial: Vec<u8>,
    /// epoll tells when it can be written.
    waits_to_write: bool,
    /// Stands in [`Net::to_flush`].
    noted: bool,
}

/// All connections of the generator.
pub(crate) struct Net {
    target: Target,
    tls: Option<Arc<ClientConfig>>,
    v5: bool,
    epoll: OwnedFd,
    links: Vec<Link>,
    to_flush: Vec<usize>,
    buffer: Vec<u8>,
    events: Vec<epoll::Event>,
    began: Instant,
    /// Why links ended, the first few.
    complaints: Vec<String>,
}

impl Net {
    /// No connection yet.
    pub(crate) fn new(target: Target, tls: Option<Arc<ClientConfig>>, v5: bool) -> Result<Self> {
        Ok(Self {
            target,
            tls,
            v5,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll")?,
            links: Vec::new(),
            to_flush: Vec::new(),
            buffer: vec![0; 2 * READ_BYTES],
            events: Vec::with_capacity(EVENTS),
            began: Instant::now(),
            complaints: Vec::new(),
        })
    }

    /// Nanoseconds on the generator's clock, at least 1.
    pub(crate) fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64 + 1
    }

    /// How many links there have been.
    pub(crate) fn links(&self) -> usize {
        self.links.len()
    }

    /// Whether packets are those of MQTT 5.0.
    pub(crate) fn v5(&self) -> bool {
        self.v5
    }

    /// Why links ended, the first few.
    pub(crate) fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Begins to connect; what is written to the link goes out as soon as that has happened.
    pub(crate) fn open(&mut self) -> Result<usize> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
            .context("no socket: is `ulimit -n` high enough?")?;
        set_tcp_nodelay(&socket, true)?;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.target.port());
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error).context("connecting to the broker"),
        }
        let link = self.links.len();
        let name = ServerName::try_from("localhost").context("a name")?;
        let tls = self.tls.clone().map(|config| ClientConnection::new(config, name)).transpose()?;
        let mut tls = tls.map(Box::new);
        if let Some(tls) = &mut tls {
            tls.set_buffer_limit(None);
        }
        let event = epoll::EventData::new_u64(link as u64);
        epoll::add(&self.epoll, &socket, event, epoll::EventFlags::IN)?;
        self.links.push(Link {
            socket: Some(socket),
            tls,
            out: Vec::new(),
            sealed: Vec::new(),
            sent: 0,
            partial: Vec::new(),
            waits_to_write: false,
            noted: false,
        });
        Ok(link)
    }

    /// What is appended here is sent to the broker at the next turn.
    pub(crate) fn out(&mut self, link: usize) -> &mut Vec<u8> {
        self.note(link);
        &mut self.links[link].out
    }

    /// Bytes of a link that the kernel has not taken.
    pub(crate) fn backlog(&self, link: usize) -> usize {
        let link = &self.links[link];
        link.out.len() + link.sealed.len() - link.sent
    }

    fn note(&mut self, link: usize) {
        let noted = &mut self.links[link].noted;
        if !*noted {
            *noted = true;
            self.to_flush.push(link);
        }
    }

    /// DISCONNECT, and close.
    pub(crate) fn leave(&mut self, link: usize) -> Result<()> {
        self.links[link].out.extend_from_slice(&wire::DISCONNECT);
        self.flush(link)?;
        self.close(link);
        Ok(())
    }

    fn close(&mut self, link: usize) {
        let link = &mut self.links[link];
        // Closing takes it out of epoll, too.
        link.socket = None;
        link.tls = None;
        link.out = Vec::new();
        link.sealed = Vec::new();
        link.sent = 0;
        link.partial = Vec::new();
    }

    /// Sends what waits, waits at most this long for something to come, and handles it.
    pub(crate) fn turn(&mut self, wait: Duration, handler: &mut impl Handler) -> Result<()> {
        self.flush_all()?;
        let mut events = std::mem::take(&mut self.events);
        self.wait(wait, &mut events)?;
        for event in &events {
            let (link, flags) = (event.data.u64() as usize, event.flags);
            if flags.contains(epoll::EventFlags::OUT) {
                self.flush(link)?;
            }
            if flags.intersects(!epoll::EventFlags::OUT) {
                self.read(link, handler)?;
            }
        }
        events.clear();
        self.events = events;
        self.flush_all()
    }

    fn wait(&self, wait: Duration, events: &mut Vec<epoll::Event>) -> Result<()> {
        let mut wait = wait;
        if !wait.is_zero() && wait < COARSE {
            let mut readable = [PollFd::new(&self.epoll, PollFlags::IN)];
            let _interrupted = poll(&mut readable, Some(&timespec(wait)));
            wait = Duration::ZERO;
        }
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&timespec(wait))) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("epoll"),
        }
    }

    fn flush_all(&mut self) -> Result<()> {
        let mut noted = std::mem::take(&mut self.to_flush);
        for link in noted.drain(..) {
            self.links[link].noted = false;
            self.flush(link)?;
        }
        self.to_flush = noted;
        Ok(())
    }

    fn flush(&mut self, index: usize) -> Result<()> {
        let link = &mut self.links[index];
        let Some(socket) = &link.socket else { return Ok(()) };
        let waiting = match &mut link.tls {
            None => &mut link.out,
            Some(tls) => {
                // A part of the handshake's own may be all that there is.
                tls.writer().write_all(&link.out)?;
                link.out.clear();
                while tls.wants_write() {
                    tls.write_tls(&mut link.sealed)?;
                }
                &mut link.sealed
            }
        };
        while link.sent < waiting.len() {
            match send(socket, &waiting[link.sent..], SendFlags::NOSIGNAL) {
                Ok(sent) => link.sent += sent,
                // An end is seen when it is read.
                Err(_) => break,
            }
        }
        let all = link.sent == waiting.len();
        if all {
            waiting.clear();
            link.sent = 0;
        }
        if link.waits_to_write == all {
            link.waits_to_write = !all;
            let write = if all { epoll::EventFlags::empty() } else { epoll::EventFlags::OUT };
            let event = epoll::EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, socket, event, epoll::EventFlags::IN | write)?;
        }
        Ok(())
    }

    fn read(&mut self, index: usize, handler: &mut impl Handler) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let link = &mut self.links[index];
        let Some(socket) = &link.socket else {
            self.buffer = buffer;
            return Ok(());
        };
        let kept = link.partial.len();
        if buffer.len() < kept + READ_BYTES {
            buffer.resize(kept + 2 * READ_BYTES, 0);
        }
        buffer[..kept].copy_from_slice(&link.partial);
        link.partial.clear();
        let mut ended = false;
        let mut end = kept;
        match recv(socket, &mut buffer[kept..kept + READ_BYTES], RecvFlags::empty()) {
            Ok((0, _)) => ended = true,
            Ok((read, _)) => end += read,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => {
                self.complaints.push(format!("link {index}: {error}"));
                ended = true;
            }
        }
        if let Some(tls) = &mut link.tls {
            match open_records(tls, &mut buffer, kept, end) {
                Ok(decrypted) => end = decrypted,
                Err(error) => {
                    self.complaints.push(format!("link {index}: {error:#}"));
                    (ended, end) = (true, kept);
                }
            }
            if self.links[index].tls.as_ref().is_some_and(|tls| tls.wants_write()) {
                self.note(index);
            }
        }
        let done = self.handle(index, &buffer[..end], handler)?;
        if self.links[index].socket.is_some() {
            self.links[index].partial.extend_from_slice(&buffer[done..end]);
        }
        self.buffer = buffer;
        if ended && self.links[index].socket.is_some() {
            self.close(index);
            handler.closed(index);
        }
        Ok(())
    }

    /// Handles each whole packet; how far that went.
    fn handle(&mut self, index: usize, bytes: &[u8], handler: &mut impl Handler) -> Result<usize> {
        handler.arrived(self.now());
        let mut out = std::mem::take(&mut self.links[index].out);
        let before = out.len();
        let mut then = Then::Stay;
        let mut done = 0;
        while then == Then::Stay {
            let Some((packet, length)) = wire::decode(&bytes[done..], self.v5)
                .map_err(|error| anyhow::anyhow!("what the broker sent: {error}"))?
            else {
                break;
            };
            if packet == Packet::Other(0xe0) {
                let reason = bytes.get(done + 2).copied().unwrap_or_default();
                self.complaints.push(format!("link {index}: DISCONNECT {reason:#04x}"));
            }
            then = handler.packet(index, packet, &mut out);
            done += length;
        }
        if out.len() > before {
            self.note(index);
        }
        self.links[index].out = out;
        if then == Then::Leave {
            self.leave(index)?;
        }
        ensure!(self.complaints.len() < 1_000, "too many links end: {:?}", self.complaints.last());
        Ok(done)
    }
}

/// Replaces the records in `buffer[from..end]` by what they hold; where that ends.
fn open_records(
    tls: &mut ClientConnection,
    buffer: &mut Vec<u8>,
    from: usize,
    end: usize,
) -> Result<usize> {
    let records = buffer[from..end].to_vec();
    let mut records = &records[..];
    let mut end = from;
    while !records.is_empty() {
        tls.read_tls(&mut records)?;
        let waiting = tls.process_new_packets()?.plaintext_bytes_to_read();
        if buffer.len() < end + waiting {
            buffer.resize(end + waiting + READ_BYTES, 0);
        }
        tls.reader().read_exact(&mut buffer[end..end + waiting])?;
        end += waiting;
    }
    Ok(end)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}
