//! One connected client: the loop between its socket and its session.
//!
//! Each turn has a fixed order, as in quinn: refreshed permissions, input, timers, session, output. Input is read in
//! large chunks into a buffer of the thread, so that an idle connection owns none; every packet of a chunk is handled
//! where it lies; subscribers are woken once after the chunk; everything queued leaves with one write.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use access::{Authenticated, Event, EventKinds, Who};
use codec::{
    Acknowledgement, Decoded, Packet, PacketType, ProtocolVersion, ReasonCode, decode,
    encode_acknowledgement,
};
use parking_lot::MutexGuard;
use session::{Frames, InboundAliases, KeepAlive};
use store::{Origin, Store, Ticket};
use telemetry::{ListenerMetrics, events::Client};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use crate::{
    broker::Core,
    claimed::{Asking, Rulings},
    close::Close,
    counts::Counts,
    disconnect,
    exchange::Again,
    held::Held,
    load::Loading,
    memo::Memo,
    outbound::Working,
    pace::{Costs, Pace},
    publish::Denials,
    refresh::Refresh,
    retained,
    sessions::{SessionHandle, State},
    shown::shown,
    stream::Stream,
    sys::Present,
    traced::Watched,
    user_properties,
};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Bytes read of a client that is not served at present.
const AHEAD_BYTES: usize = 4 * 1024;
/// Chunks read in one turn before others get theirs.
const READS_PER_TURN: usize = 4;

thread_local! {
    static CHUNK: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// A connected client. Only [`crate::connect`] makes one, from an [`Authenticated`].
pub(crate) struct Connection {
    pub(crate) core: Arc<Core>,
    pub(crate) stream: Stream,
    pub(crate) connection_id: u64,
    pub(crate) version: ProtocolVersion,
    /// MQTT 3.1, whose SUBACK has no failure.
    pub(crate) mqtt_3_1: bool,
    /// Maximum Packet Size of the client.
    pub(crate) answer_bytes_max: usize,
    pub(crate) handle: Arc<SessionHandle>,
    pub(crate) authenticated: Arc<Authenticated>,
    pub(crate) refresh: Refresh,
    remote: SocketAddr,
    pub(crate) begun: Instant,
    /// Start of a packet whose rest has not come yet.
    pub(crate) partial: Vec<u8>,
    /// Length from which on `partial` is worth decoding.
    needed: usize,
    /// Encoded packets being written; the first `written` bytes are gone.
    pub(crate) output: Vec<u8>,
    written: usize,
    /// The packets in the first `counted` bytes of `output` are counted.
    counted: usize,
    /// Answers that wait for the store.
    pub(crate) held: Held,
    /// CONNACK waits among them, and everything else behind it.
    pub(crate) is_greeting: bool,
    /// Up to where the store was last asked to wake us.
    awaited: Option<Ticket>,
    /// Messages that are being read for the session.
    pub(crate) loading: Option<Loading>,
    /// The next of them are there with this.
    pub(crate) load_after: Option<Ticket>,
    blocked_since: Option<Instant>,
    pub(crate) aliases: InboundAliases,
    pub(crate) memo: Memo,
    pub(crate) frames: Frames,
    pub(crate) forwarded: Vec<u8>,
    pub(crate) wakes: Vec<Waker>,
    pub(crate) counts: Counts,
    pub(crate) keep_alive: KeepAlive,
    packet_bytes_max: usize,
    /// Plugins that are asked about the next packet.
    pub(crate) asking: Option<Box<Asking>>,
    /// Plugins that work on what is sent to it.
    pub(crate) working: Option<Box<Working>>,
    /// What operation authorizers said on PUBLISH.
    pub(crate) rulings: Rulings,
    /// Operations that were refused lately.
    pub(crate) denials: Option<Box<Denials>>,
    /// The packet at hand waits for the permissions that are being asked for.
    pub(crate) is_delayed: bool,
    /// Of the task, while plugins have a say about what the client sends.
    pub(crate) waker: Option<Waker>,
    /// To authenticate again, if it came with a method.
    pub(crate) again: Option<Box<Again>>,
    /// What holds its reading back.
    pub(crate) pace: Pace,
    /// The packet at hand was counted.
    is_seen: bool,
    /// The traces that are about it.
    pub(crate) watched: Watched,
    timer: Pin<Box<Sleep>>,
    timer_at: Option<Instant>,
    /// Counted as connected.
    _present: Present,
}

/// What [`crate::connect`] hands over.
pub(crate) struct Begin {
    pub(crate) core: Arc<Core>,
    pub(crate) stream: Stream,
    pub(crate) connection_id: u64,
    pub(crate) version: ProtocolVersion,
    /// MQTT 3.1.
    pub(crate) mqtt_3_1: bool,
    /// Maximum Packet Size of the client.
    pub(crate) answer_bytes_max: usize,
    pub(crate) handle: Arc<SessionHandle>,
    pub(crate) authenticated: Arc<Authenticated>,
    pub(crate) remote: SocketAddr,
    pub(crate) timer: Pin<Box<Sleep>>,
    pub(crate) keep_alive_seconds: u16,
    /// What its listener counts.
    pub(crate) counted: Arc<ListenerMetrics>,
    /// Bytes that came behind CONNECT.
    pub(crate) rest: Vec<u8>,
    /// CONNACK.
    pub(crate) connack: Vec<u8>,
    /// To authenticate again.
    pub(crate) again: Option<Box<Again>>,
    /// What it says of the session is durable with this.
    pub(crate) ticket: Option<Ticket>,
}

impl Connection {
    pub(crate) fn new(mut begin: Begin, now: Instant) -> Self {
        let live = begin.core.live.load();
        let sizes = &live.limits.sizes;
        let granted = &begin.authenticated.identity().limits;
        let (packet_bytes_max, aliases) = (live.packet_bytes(granted), sizes.topic_alias_maximum);
        let identity = begin.authenticated.identity();
        let pace = Pace::new(&live, identity, begin.keep_alive_seconds, now);
        let idle_timeout = sizes.idle_timeout;
        begin.stream.set_message_bytes_max(packet_bytes_max);
        let mut refresh = Refresh::new(&begin.authenticated, now);
        if let Some(ends_at) = begin.authenticated.identity().expires_at_unix {
            refresh.set_end(ends_at, begin.core.now_unix(), now);
        }
        let connack = begin.connack;
        let mut connection = Self {
            _present: begin.core.sys.presence.enter(),
            counts: Counts::new(&begin.core.metrics, Some(begin.counted)),
            refresh,
            core: begin.core,
            stream: begin.stream,
            connection_id: begin.connection_id,
            version: begin.version,
            mqtt_3_1: begin.mqtt_3_1,
            answer_bytes_max: begin.answer_bytes_max,
            handle: begin.handle,
            authenticated: begin.authenticated,
            remote: begin.remote,
            begun: now,
            partial: begin.rest,
            needed: 0,
            output: Vec::new(),
            written: 0,
            counted: 0,
            held: Held::default(),
            is_greeting: true,
            awaited: None,
            loading: None,
            load_after: None,
            blocked_since: None,
            aliases: InboundAliases::new(aliases),
            memo: Memo::default(),
            frames: Frames::default(),
            forwarded: Vec::new(),
            wakes: Vec::new(),
            keep_alive: KeepAlive::new(begin.keep_alive_seconds, now),
            packet_bytes_max,
            pace,
            is_seen: false,
            watched: Watched::default(),
            again: begin.again,
            asking: None,
            working: None,
            rulings: Rulings::default(),
            denials: None,
            is_delayed: false,
            waker: None,
            // It runs on as it is; `arm_timer` sets it when something is due before.
            timer_at: idle_timeout.is_none().then(|| begin.timer.deadline().into()),
            timer: begin.timer,
        };
        connection.judge_retained();
        connection.answer(begin.ticket, |out| match out.is_empty() {
            true => *out = connack,
            false => out.extend_from_slice(&connack),
        });
        connection.is_greeting = connection.held.next().is_some();
        let event = || Event::Connected(connection.who());
        connection.core.gate.tell(EventKinds::CONNECTED, event);
        connection
    }

    /// Who it is, for plugins that are told what happens.
    pub(crate) fn who(&self) -> Who {
        Who {
            connection_id: self.connection_id,
            client_id: Arc::clone(&self.handle.client_id),
            principal: Arc::clone(&self.authenticated.identity().principal),
            listener: Arc::clone(&self.authenticated.subject().listener),
            remote: self.remote.ip(),
            protocol: self.version,
        }
    }

    /// Who it is, for events.
    pub(crate) fn shown(&self) -> Client<'_> {
        Client { remote: Some(self.remote), ..shown(&self.authenticated) }
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// What is encoded and not yet written.
    pub(crate) fn unwritten(&mut self) -> Vec<u8> {
        self.count_output();
        let mut output = std::mem::take(&mut self.output);
        output.drain(..self.written);
        self.counted = 0;
        self.written = 0;
        output
    }

    /// Serves the client until its connection ends. Boxed, and the farewell too: the task of an idle client is little
    /// more than a pointer.
    pub(crate) async fn run(mut self: Box<Self>) {
        let close = poll_fn(|cx| self.poll_turn(cx)).await;
        Box::pin(disconnect::finish(self, close)).await;
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        let now = Instant::now();
        self.review_traces();
        let result = self.turn(cx, now);
        self.flush_wakes();
        self.counts.flush();
        self.give_back_memory();
        match result {
            Ok(()) => Poll::Pending,
            Err(close) => Poll::Ready(close),
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Close> {
        // Whoever was taken over says nothing more.
        drop(self.own()?);
        self.poll_refresh(cx, now)?;
        if let Some(durable) = self.core.store().map(Store::durable) {
            self.release_held(durable);
        }
        if !self.authenticated.hooks().is_empty() {
            let known = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            self.waker = if known { self.waker.take() } else { Some(cx.waker().clone()) };
            self.poll_asking(cx);
        }
        let clogged = self.is_clogged();
        self.review_pace(now);
        if self.is_reading(now) {
            self.poll_input(cx, now)?;
            self.end_trickle();
            self.flush_wakes();
            if self.resumes(now).is_some() {
                // From now on it is read ahead, of which nobody else would remind us.
                cx.waker().wake_by_ref();
            }
        } else if self.is_greeting
            || self.held.is_full()
            || self.is_asking()
            || self.resumes(now).is_some()
        {
            self.poll_ahead(cx)?;
            self.answer_ping_ahead(now);
        }
        self.poll_again(cx, now)?;
        self.poll_timers(cx, now)?;
        if self.handle.key.is_some() && self.is_usable(now) {
            self.poll_load(cx)?;
        }
        if self.authenticated.hooks().has_outbound() && self.is_usable(now) {
            self.poll_outbound(cx, now)?;
        }
        self.sync(cx, now)?;
        self.poll_output(cx, now)?;
        if clogged && !self.is_clogged() {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// The state of the session, as long as it is ours.
    pub(crate) fn own(&self) -> Result<MutexGuard<'_, State>, Close> {
        let state = self.handle.own(self.connection_id);
        state.ok_or(Close::ByServer(ReasonCode::SessionTakenOver))
    }

    fn is_reading(&self, now: Instant) -> bool {
        self.may_read(now)
            && !self.is_clogged()
            && !self.held.is_full()
            && !self.is_greeting
            && self.resumes(now).is_none()
            && !self.is_asking()
    }

    /// Whether the packet at hand has to be handled again, when plugins have answered.
    fn is_waiting(&self) -> bool {
        self.is_asking() || self.is_delayed
    }

    /// The client takes nothing of what it is answered: it is not read until it does, so that its own packets cannot
    /// fill our memory with acknowledgements.
    pub(crate) fn is_clogged(&self) -> bool {
        self.blocked_since.is_some() && self.output.len() - self.written > CLOGGED_BYTES
    }

    /// Wakes the subscribers that this turn's messages reached.
    fn flush_wakes(&mut self) {
        for waker in self.wakes.drain(..) {
            waker.wake();
        }
        self.wakes.shrink_to(WAKES_KEPT);
    }

    /// A large message must not cost an idle connection its size for good.
    fn give_back_memory(&mut self) {
        self.frames.shrink_to(FRAME_KEPT);
        self.forwarded.clear();
        self.forwarded.shrink_to(FRAME_KEPT);
    }

    fn poll_input(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Close> {
        self.is_delayed = false;
        if self.needed == 0 && !self.partial.is_empty() {
            self.handle_partial(now)?;
        }
        CHUNK.with_borrow_mut(|chunk| {
            let most = self.bytes_at_once(READ_BYTES);
            let chunk = chunk.get_mut(..most).unwrap_or_default();
            let reads = if self.is_trickling() { 1 } else { READS_PER_TURN };
            for _ in 0..reads {
                if self.resumes(now).is_some() || self.is_waiting() {
                    return Ok(());
                }
                match self.poll_read(cx, chunk) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(read) => self.handle_chunk(read?, now)?,
                }
            }
            // There may be more: come back, but let others go first.
            cx.waker().wake_by_ref();
            Ok(())
        })
    }

    /// The client waits for the disk, for a plugin or for its rate, which may take long: a little is read, so that a client that goes is seen to.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Result<(), Close> {
        CHUNK.with_borrow_mut(|chunk| {
            while let Some(room) = AHEAD_BYTES.checked_sub(self.partial.len()).filter(|n| *n > 0) {
                let room = chunk.get_mut(..room).unwrap_or_default();
                let Poll::Ready(read) = self.poll_read(cx, room) else { return Ok(()) };
                self.partial.extend_from_slice(read?);
                // It is looked at when it is handled.
                self.needed = 0;
            }
            Ok(())
        })
    }

    /// The bytes that came; their end is the end of the connection.
    fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &'b mut [u8],
    ) -> Poll<Result<&'b [u8], Close>> {
        let mut buffer = ReadBuf::new(chunk);
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
        let length = buffer.filled().len();
        self.counts.bytes_received += length as u64;
        Poll::Ready(match read {
            Err(error) => Err(Close::by_read_error(&error)),
            Ok(()) if length == 0 => Err(Close::Network(io::ErrorKind::UnexpectedEof)),
            Ok(()) => Ok(chunk.get(..length).unwrap_or_default()),
        })
    }

    fn handle_chunk(&mut self, chunk: &[u8], now: Instant) -> Result<(), Close> {
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(chunk);
            return self.handle_partial(now);
        }
        let taken = self.handle_packets(chunk, now)?;
        let rest = chunk.get(taken..).unwrap_or_default();
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Handles what is complete of `partial`; gives its memory back when nothing is left.
    fn handle_partial(&mut self, now: Instant) -> Result<(), Close> {
        if self.partial.len() < self.needed {
            return Ok(());
        }
        let partial = std::mem::take(&mut self.partial);
        let taken = self.handle_packets(&partial, now)?;
        if taken < partial.len() {
            // Not what was long once, only what is left of it.
            self.partial = partial.get(taken..).unwrap_or_default().to_vec();
        }
        Ok(())
    }

    /// Handles every whole packet of `bytes`; returns how many bytes they took.
    fn handle_packets(&mut self, bytes: &[u8], now: Instant) -> Result<usize, Close> {
        let mut taken = 0;
        self.needed = 0;
        while let Some(input) = bytes.get(taken..).filter(|input| !input.is_empty())
            && self.resumes(now).is_none()
        {
            if input.first().is_some_and(|first| first >> 4 == PacketType::Connect as u8) {
                // Whatever it says: a second one is not read.
                return Err(Close::Protocol(
                    ReasonCode::ProtocolError,
                    "second CONNECT on one connection [MQTT-3.1.0-2]",
                ));
            }
            match decode(input, self.version, self.packet_bytes_max).map_err(Close::Malformed)? {
                Decoded::Packet(packet, length) => {
                    let costs = Costs::of(&packet);
                    if !std::mem::replace(&mut self.is_seen, true) {
                        // Not again when it is handled again, once plugins have answered.
                        self.counts.came(&packet, length);
                        self.trace_received(&packet, length);
                    }
                    self.handle_packet(packet, now)?;
                    if self.is_waiting() {
                        break;
                    }
                    self.is_seen = false;
                    taken += length;
                    if costs == Costs::Message {
                        self.counts.publish_bytes(length);
                    }
                    self.count_packet(costs, length, now);
                }
                Decoded::Incomplete { total } => {
                    self.needed = total.unwrap_or(1);
                    break;
                }
            }
        }
        if taken > 0 {
            self.pay(now);
            // Only whole packets keep a client alive: a byte now and then does not.
            self.keep_alive.packet_received(now);
        }
        Ok(taken)
    }

    /// The table of contents of a connection: each packet that a client may send, and the room it is handled in.
    fn handle_packet(&mut self, packet: Packet<'_>, now: Instant) -> Result<(), Close> {
        user_properties::check(&packet, &self.core)?;
        match packet {
            Packet::Publish(publish) => self.handle_publish(&publish, now),
            Packet::PubAck(ack) => {
                self.counts.packet(PacketType::PubAck);
                self.own()?.session.handle_puback(ack.packet_id, now);
                Ok(())
            }
            Packet::PubRec(ack) => self.handle_pubrec(&ack, now),
            Packet::PubRel(ack) => self.handle_pubrel(&ack),
            Packet::PubComp(ack) => {
                self.counts.packet(PacketType::PubComp);
                self.own()?.session.handle_pubcomp(ack.packet_id, now);
                Ok(())
            }
            Packet::Subscribe(subscribe) => self.handle_subscribe(subscribe),
            Packet::Unsubscribe(unsubscribe) => self.handle_unsubscribe(&unsubscribe),
            Packet::PingReq => {
                self.counts.packet(PacketType::PingReq);
                Packet::PingResp.encode(self.version, &mut self.output);
                Ok(())
            }
            Packet::Disconnect(disconnect) => self.handle_disconnect(&disconnect),
            Packet::Auth(auth) => self.handle_auth(auth, now),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => {
                Err(Close::Protocol(ReasonCode::ProtocolError, "a packet that only a server sends"))
            }
        }
    }

    /// Whether the client accepts a SUBACK or UNSUBACK with so many Reason Codes [MQTT-3.1.2-24].
    /// Asked before anything is done. A 3.1.1 client has no maximum.
    pub(crate) fn check_answer(&self, reason_codes: usize) -> Result<(), Close> {
        // Packet Identifier, Property Length 0, and the codes; before them the fixed header.
        let remaining = 3 + reason_codes;
        let header = match remaining {
            0..=127 => 2,
            128..=16_383 => 3,
            16_384..=2_097_151 => 4,
            _ => 5,
        };
        if header + remaining <= self.answer_bytes_max {
            return Ok(());
        }
        Err(Close::Protocol(
            ReasonCode::PacketTooLarge,
            "the answer would be longer than the client's Maximum Packet Size",
        ))
    }

    fn handle_pubrec(&mut self, ack: &Acknowledgement, now: Instant) -> Result<(), Close> {
        self.counts.packet(PacketType::PubRec);
        let mut state = self.own()?;
        let answer = state.session.handle_pubrec(ack.packet_id, ack.reason_code, now);
        let Some((code, claim)) = answer else { return Ok(()) };
        // PUBLISH must never be sent again once the client has seen PUBREL.
        let kept = self.handle.key.zip(self.core.store()).zip(claim);
        let ticket = kept.map(|((key, store), claim)| store.receive(key, claim.number.get()));
        drop(state);
        let (kind, version) = (PacketType::PubRel, self.version);
        self.answer(ticket, |out| {
            encode_acknowledgement(kind, ack.packet_id, code, version, out);
        });
        Ok(())
    }

    fn handle_pubrel(&mut self, ack: &Acknowledgement) -> Result<(), Close> {
        self.counts.packet(PacketType::PubRel);
        let mut state = self.own()?;
        let (code, stored) = state.session.handle_pubrel(ack.packet_id);
        // The identifier stands for another message once the client has seen PUBCOMP.
        let kept = self.handle.key.zip(self.core.store()).filter(|_| stored);
        let ticket = kept
            .map(|(session, store)| store.release(Origin { session, packet_id: ack.packet_id }));
        drop(state);
        let (kind, version) = (PacketType::PubComp, self.version);
        self.answer(ticket, |out| {
            encode_acknowledgement(kind, ack.packet_id, code, version, out);
        });
        Ok(())
    }

    /// Meets the session: is it still ours, must we end, is there something to write?
    fn sync(&mut self, cx: &Context<'_>, now: Instant) -> Result<(), Close> {
        // With permissions that are not known to hold, nothing is handed over: it waits.
        let flows = self.is_usable(now) && !self.is_greeting;
        let mut state = self.handle.state.lock();
        let state = &mut *state;
        let Some(slot) =
            state.connection.as_mut().filter(|slot| slot.connection_id == self.connection_id)
        else {
            return Err(Close::ByServer(ReasonCode::SessionTakenOver));
        };
        if let Some(code) = slot.close {
            return Err(Close::ByServer(code));
        }
        slot.wake_pending = false;
        if self.refresh.is_behind(&self.core.gate, self.authenticated.subject()) {
            // A swap during this turn, before there was a waker or while a wake was still pending, woke nobody.
            cx.waker().wake_by_ref();
        }
        if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            slot.waker = Some(cx.waker().clone());
        }
        let kept = self.core.store().filter(|_| self.handle.key.is_some());
        if let Some(store) = kept {
            state.session.durable(store.durable().0);
            if flows {
                state.session.pump(now);
            }
        }
        // A full disk must not be given more: those that are kept get their retained messages later.
        let flows_retained =
            flows && !state.retained.is_empty() && kept.is_none_or(|store| store.check().is_ok());
        let mut pages = 0;
        while flows_retained && !state.retained.is_empty() && state.session.is_caught_up() {
            if pages == retained::PAGES_PER_TURN {
                // Enough for one turn. Once what there is was written, the next one comes by itself.
                if !state.session.has_output() {
                    cx.waker().wake_by_ref();
                }
                break;
            }
            pages += 1;
            let Some(cursor) = state.retained.first_mut() else { break };
            let parts = (&self.handle, &mut state.session, &*state.permissions);
            if retained::deliver_page(&self.core.retained, parts, cursor, now, &mut self.counts) {
                state.retained.finish_first();
            }
        }
        if pages > 0 && state.session.may_have_untransformed() {
            // Those that plugins work on.
            cx.waker().wake_by_ref();
        }
        // While the client takes nothing, output stays in the session, where its limits count.
        if flows && self.blocked_since.is_none() && state.session.has_output() {
            state.session.take_output(&mut self.output, now);
        }
        if let Some(store) = self.core.store() {
            // After everything that may have to wait was given to the session. What became durable since wakes at once.
            state.settle(kept, self.handle.key);
            let of_session = state.session.awaited_ticket().map(Ticket);
            let of_session = of_session.into_iter().chain(state.retained.awaited_ticket());
            let next = self.held.next().into_iter().chain(of_session).min();
            if let Some(next) = next.filter(|next| self.awaited != Some(*next)) {
                self.awaited = Some(next);
                store.wake_when_durable(next, cx.waker());
            }
        }
        Ok(())
    }

    /// Counts the packets that came to the output since the last time.
    fn count_output(&mut self) {
        let new = self.output.get(self.counted..).unwrap_or_default();
        self.counts.sent(new, self.version);
        self.trace_sent(new);
        self.counted = self.output.len();
    }

    fn poll_output(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Close> {
        self.count_output();
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Pending => {
                    if self.blocked_since.is_none() {
                        self.blocked_since = Some(now);
                        self.arm_timer(cx, now);
                    }
                    return Ok(());
                }
                Poll::Ready(Err(error)) => return Err(Close::Network(error.kind())),
                Poll::Ready(Ok(0)) => return Err(Close::Network(io::ErrorKind::WriteZero)),
                Poll::Ready(Ok(count)) => {
                    self.written += count;
                    self.counts.bytes_sent += count as u64;
                    self.blocked_since = None;
                }
            }
        }
        if self.written > 0 {
            // What TLS has taken may still be on its way.
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => {
                    if self.blocked_since.is_none() {
                        self.blocked_since = Some(now);
                        self.arm_timer(cx, now);
                    }
                    return Ok(());
                }
                Poll::Ready(Err(error)) => return Err(Close::Network(error.kind())),
                Poll::Ready(Ok(())) => self.blocked_since = None,
            }
            // An idle connection owns no buffer.
            self.output = Vec::new();
            self.written = 0;
            self.counted = 0;
            let state = self.handle.state.lock();
            let more_retained = !state.retained.is_empty() && state.session.is_caught_up();
            if state.session.has_output() || more_retained {
                cx.waker().wake_by_ref();
            }
        }
        Ok(())
    }

    fn poll_timers(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Close> {
        if self.keep_alive_deadline(now).is_some_and(|at| at <= now) {
            return Err(Close::ByServer(ReasonCode::KeepAliveTimeout));
        }
        if self.idle_deadline(now).is_some_and(|at| at <= now) {
            return Err(Close::ByServer(ReasonCode::KeepAliveTimeout));
        }
        if self.write_deadline().is_some_and(|at| at <= now) {
            return Err(Close::WriteTimeout);
        }
        self.arm_timer(cx, now);
        Ok(())
    }

    /// None while the client is not read: its silence is ours.
    fn keep_alive_deadline(&self, now: Instant) -> Option<Instant> {
        if self.is_reading(now) { self.keep_alive.deadline() } else { None }
    }

    fn idle_deadline(&self, now: Instant) -> Option<Instant> {
        if !self.is_reading(now) {
            return None;
        }
        self.keep_alive.last_packet().checked_add(self.core.live.load().limits.sizes.idle_timeout?)
    }

    fn write_deadline(&self) -> Option<Instant> {
        self.blocked_since?.checked_add(self.core.live.load().limits.sizes.write_timeout)
    }

    /// Sets the timer to the next deadline. A deadline that only moved away is met when the timer fires: nothing is
    /// armed anew per packet.
    fn arm_timer(&mut self, cx: &mut Context<'_>, now: Instant) {
        let refresh = self.refresh.deadline();
        let write = self.write_deadline();
        let again = self.again.as_ref().and_then(|again| again.deadline());
        let deadlines = [self.keep_alive_deadline(now), write, refresh, self.resumes(now), again];
        let mut next = deadlines.into_iter().flatten().min();
        if self.timer_at.is_none_or(|at| at <= now) {
            // Looked up only when the timer has to be set anyway.
            next = next.into_iter().chain(self.idle_deadline(now)).min();
        }
        let Some(next) = next else { return };
        if self.timer_at.is_some_and(|at| at > now && at <= next) {
            return;
        }
        self.timer.as_mut().reset(next.into());
        self.timer_at = Some(next);
        if self.timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

/// Unwritten bytes from which on a client that takes none is not read.
const CLOGGED_BYTES: usize = 256 * 1024;
/// Room for an encoded message that is kept between turns.
const FRAME_KEPT: usize = 4 * 1024;
/// Room for wakers that is kept between turns.
const WAKES_KEPT: usize = 64;
