//! A client for dialogues: sends packets or raw bytes and says what must come back.
//!
//! It does nothing by itself: no acknowledgement, no ping. Each wait is bounded by [`WAIT`] and
//! fails at the line of the test that waited.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    panic::Location,
    time::Duration,
};

use codec::{ConnAck, Decoded, PACKET_BYTES_MAX, Packet, ProtocolVersion, QoS, ReasonCode, decode};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::packets;

/// Longest wait for anything.
pub const WAIT: Duration = Duration::from_secs(5);

/// What carries bytes in both directions.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<W: AsyncRead + AsyncWrite + Unpin + Send> Wire for W {}

/// One network connection.
pub struct Client {
    /// Who speaks, in messages of failed tests.
    pub name: String,
    version: ProtocolVersion,
    stream: Box<dyn Wire>,
    /// What came; the first `taken` bytes were looked at.
    buffer: Vec<u8>,
    taken: usize,
}

/// A PUBLISH that came, with all that tests look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Topic Name; empty when only an alias was sent.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// DUP flag.
    pub dup: bool,
    /// Packet Identifier; 0 with QoS 0.
    pub packet_id: u16,
    /// Topic Alias.
    pub topic_alias: Option<u16>,
    /// Message Expiry Interval in seconds.
    pub message_expiry_interval: Option<u32>,
    /// Subscription Identifiers, sorted.
    pub subscription_identifiers: Vec<u32>,
    /// User Properties.
    pub user_properties: Vec<(String, String)>,
    /// Payload Format Indicator.
    pub payload_format_indicator: Option<bool>,
    /// Content Type.
    pub content_type: Option<String>,
    /// Response Topic.
    pub response_topic: Option<String>,
    /// Correlation Data.
    pub correlation_data: Option<Vec<u8>>,
}

impl Message {
    /// Topic and payload as text.
    pub fn text(&self) -> (&str, &str) {
        (&self.topic, std::str::from_utf8(&self.payload).expect("a text payload"))
    }
}

fn message(packet: &Packet<'_>) -> Option<Message> {
    let Packet::Publish(publish) = packet else {
        return None;
    };
    let mut subscription_identifiers = publish.subscription_identifiers.clone();
    subscription_identifiers.sort_unstable();
    Some(Message {
        topic: publish.topic.to_owned(),
        payload: publish.payload.to_owned(),
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        packet_id: publish.packet_id.map_or(0, codec::PacketId::get),
        topic_alias: publish.topic_alias,
        message_expiry_interval: publish.message_expiry_interval,
        subscription_identifiers,
        user_properties: publish.user_properties.to_buf(),
        payload_format_indicator: publish.payload_format_indicator,
        content_type: publish.content_type.map(str::to_owned),
        response_topic: publish.response_topic.map(str::to_owned),
        correlation_data: publish.correlation_data.map(<[u8]>::to_owned),
    })
}

impl Client {
    /// Opens a connection.
    pub async fn open(address: SocketAddr, version: ProtocolVersion) -> Self {
        let stream = TcpStream::connect(address).await.expect("the listener accepts");
        Self::on(stream, version)
    }

    /// Opens a connection from another address of this machine.
    pub async fn open_from(
        source: Ipv4Addr,
        address: SocketAddr,
        version: ProtocolVersion,
    ) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("every address of 127.0.0.0/8 is there");
        Self::on(socket.connect(address).await.expect("the listener accepts"), version)
    }

    /// Opens a connection whose receive buffer is as small as the system allows.
    pub async fn open_narrow(address: SocketAddr, version: ProtocolVersion) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        Self::on(socket.connect(address).await.expect("the listener accepts"), version)
    }

    fn on(stream: TcpStream, version: ProtocolVersion) -> Self {
        stream.set_nodelay(true).expect("no delay");
        Self::over(stream, version)
    }

    /// A client on a connection that is there.
    pub fn over(stream: impl Wire + 'static, version: ProtocolVersion) -> Self {
        let (name, stream) = ("a client".to_owned(), Box::new(stream));
        Self { name, version, stream, buffer: Vec::new(), taken: 0 }
    }

    /// Protocol level.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Sends one packet.
    pub async fn send(&mut self, packet: Packet<'_>) {
        self.send_all([packet]).await;
    }

    /// Sends packets with one write.
    pub async fn send_all<'a>(&mut self, packets: impl IntoIterator<Item = Packet<'a>>) {
        let mut bytes = Vec::new();
        for packet in packets {
            packet.encode(self.version, &mut bytes);
        }
        self.send_bytes(&bytes).await;
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let sent = tokio::time::timeout(2 * WAIT, self.stream.write_all(bytes)).await;
        let sent = sent.unwrap_or_else(|_| panic!("{}: the broker does not read", self.name));
        sent.unwrap_or_else(|error| panic!("{}: sending failed: {error}", self.name));
    }

    /// Sends bytes to a broker that may close meanwhile; whether all were taken.
    pub async fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        matches!(tokio::time::timeout(WAIT, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Sends bytes again and again until the connection ends, however long the broker lets it wait.
    pub async fn send_without_end(&mut self, bytes: &[u8]) {
        while self.stream.write_all(bytes).await.is_ok() {}
    }

    /// Sends bytes again and again, at most `most`, until the broker takes none for a while.
    /// Returns how many it took.
    pub async fn flood(&mut self, bytes: &[u8], most: usize) -> usize {
        let mut sent = 0;
        while sent < most {
            let next = &bytes[sent % bytes.len()..];
            match tokio::time::timeout(Duration::from_millis(500), self.stream.write(next)).await {
                Ok(count) => sent += count.expect("the connection stays"),
                Err(_) => break,
            }
        }
        sent
    }

    /// Closes the connection without a word.
    pub fn vanish(self) {
        drop(self);
    }

    /// The next packet, however long it takes; `None` when the broker closed the connection. May be
    /// cancelled: nothing is lost.
    pub async fn next<T>(&mut self, take: impl FnOnce(&Packet<'_>) -> T) -> Option<T> {
        loop {
            match decode(&self.buffer[self.taken..], self.version, PACKET_BYTES_MAX) {
                Ok(Decoded::Packet(packet, length)) => {
                    self.taken += length;
                    return Some(take(&packet));
                }
                Ok(Decoded::Incomplete { .. }) => {}
                Err(error) => panic!("{}: the broker sent {error}: {:?}", self.name, self.buffer),
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(1..) => {}
                Ok(0) if !self.buffer.is_empty() => {
                    panic!("{}: closed within a packet: {:?}", self.name, self.buffer)
                }
                // A reset is an end too: the broker closed with bytes of ours unread.
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// Waits for a packet within [`WAIT`] and takes `take` of it.
    #[track_caller]
    fn wait<'s, T: 's>(
        &'s mut self,
        wanted: String,
        take: impl FnOnce(&Packet<'_>) -> T + 's,
    ) -> impl Future<Output = T> + 's {
        let at = Location::caller();
        async move {
            let name = self.name.clone();
            match tokio::time::timeout(WAIT, self.next(take)).await {
                Ok(Some(taken)) => taken,
                Ok(None) => panic!("{name} at {at}: closed instead of {wanted}"),
                Err(_) => panic!("{name} at {at}: nothing came instead of {wanted}"),
            }
        }
    }

    /// The next packet is this one.
    #[track_caller]
    pub fn expect<'s>(&'s mut self, wanted: Packet<'s>) -> impl Future<Output = ()> + 's {
        let (at, name) = (Location::caller(), self.name.clone());
        self.wait(format!("{wanted:?}"), move |packet| {
            assert_eq!(packet, &wanted, "{name} at {at}: came (left) instead of expected (right)");
        })
    }

    /// The next packet is a CONNACK.
    #[track_caller]
    pub fn connack(&mut self) -> impl Future<Output = ConnAck> {
        let (at, name) = (Location::caller(), self.name.clone());
        self.wait("a CONNACK".to_owned(), move |packet| match packet {
            Packet::ConnAck(connack) => (**connack).clone(),
            other => panic!("{name} at {at}: {other:?} instead of a CONNACK"),
        })
    }

    /// The next packet is a PUBLISH.
    #[track_caller]
    pub fn message(&mut self) -> impl Future<Output = Message> {
        let (at, name) = (Location::caller(), self.name.clone());
        self.wait("a PUBLISH".to_owned(), move |packet| {
            let message = message(packet);
            message.unwrap_or_else(|| panic!("{name} at {at}: {packet:?} instead of a PUBLISH"))
        })
    }

    /// The next packet is a PUBLISH with this topic and payload; it is acknowledged up to the end
    /// of its QoS.
    #[track_caller]
    pub fn take<'s>(
        &'s mut self,
        topic: &'s str,
        payload: &'s str,
    ) -> impl Future<Output = Message> + 's {
        let (at, name) = (Location::caller(), self.name.clone());
        async move {
            let message = self.message().await;
            assert_eq!(message.text(), (topic, payload), "{name} at {at}");
            self.acknowledge(&message).await;
            message
        }
    }

    /// Acknowledges a message up to the end of its QoS.
    pub async fn acknowledge(&mut self, message: &Message) {
        match message.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => {
                self.send(packets::puback(message.packet_id, ReasonCode::Success)).await;
            }
            QoS::ExactlyOnce => {
                self.send(packets::pubrec(message.packet_id, ReasonCode::Success)).await;
                self.expect(packets::pubrel(message.packet_id, ReasonCode::Success)).await;
                self.send(packets::pubcomp(message.packet_id, ReasonCode::Success)).await;
            }
        }
    }

    /// The broker answers PINGREQ, and nothing else comes before the answer: all that was sent
    /// before is handled, all that was to be delivered here has come.
    #[track_caller]
    pub fn quiet(&mut self) -> impl Future<Output = ()> {
        let (at, name) = (Location::caller(), self.name.clone());
        async move {
            let messages = self.drain().await;
            assert_eq!(messages, [], "{name} at {at}: came instead of silence");
        }
    }

    /// All messages that come before the answer to PINGREQ. Twice, because an answer may overtake
    /// what is delivered in the same turn of the broker, but not what was in an earlier turn.
    pub async fn drain(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        for _ in 0..2 {
            self.send(Packet::PingReq).await;
            loop {
                let next = self.wait("a PINGRESP".to_owned(), |packet| match packet {
                    Packet::PingResp => None,
                    other => Some(message(other).unwrap_or_else(|| panic!("{other:?} came"))),
                });
                let Some(message) = next.await else { break };
                messages.push(message);
            }
        }
        messages
    }

    /// The broker closes the connection, and a 5.0 client is told why with DISCONNECT.
    #[track_caller]
    pub fn expect_disconnect(&mut self, code: ReasonCode) -> impl Future<Output = ()> {
        let (at, name) = (Location::caller(), self.name.clone());
        async move {
            if self.version == ProtocolVersion::V5 {
                let check = |packet: &Packet<'_>| {
                    let wanted = packets::disconnect(code);
                    assert_eq!(packet, &wanted, "{name} at {at}: came instead of DISCONNECT");
                };
                self.wait(format!("DISCONNECT {code:?}"), check).await;
            }
            self.end(at).await;
        }
    }

    /// The broker closes the connection without a further packet.
    #[track_caller]
    pub fn expect_closed(&mut self) -> impl Future<Output = ()> {
        self.end(Location::caller())
    }

    async fn end(&mut self, at: &'static Location<'static>) {
        let name = self.name.clone();
        let end = self.next(|packet| format!("{packet:?}"));
        match tokio::time::timeout(WAIT, end).await {
            Ok(None) => {}
            Ok(Some(packet)) => panic!("{name} at {at}: {packet} instead of the end"),
            Err(_) => panic!("{name} at {at}: still open"),
        }
    }

    /// What the broker says until it closes the connection: the code of its DISCONNECT or CONNACK,
    /// if one was sent.
    pub async fn last_words(&mut self) -> Option<ReasonCode> {
        let listening = async {
            let mut code = None;
            while let Some(word) = self
                .next(|packet| match packet {
                    Packet::Disconnect(disconnect) => Some(disconnect.reason_code),
                    Packet::ConnAck(connack) => Some(connack.reason_code),
                    _ => None,
                })
                .await
            {
                code = word.or(code);
            }
            code
        };
        let heard = tokio::time::timeout(WAIT, listening).await;
        heard.unwrap_or_else(|_| panic!("{}: still open", self.name))
    }

    /// Subscribes to one filter and waits for its SUBACK.
    #[track_caller]
    pub fn subscribe<'s>(&'s mut self, filter: &'s str, qos: QoS) -> impl Future<Output = ()> + 's {
        let at = Location::caller();
        async move {
            self.send(packets::subscribe(SUBSCRIBE_ID, &[(filter, qos)])).await;
            let check = move |packet: &Packet<'_>| {
                let granted = packets::suback(SUBSCRIBE_ID, &[packets::granted(qos)]);
                assert_eq!(packet, &granted, "at {at}: {filter} not granted");
            };
            self.wait("a SUBACK".to_owned(), check).await;
        }
    }

    /// Publishes with QoS 1 and waits for PUBACK, whatever its code: the message is then with
    /// everybody to whom it is owed. Returns the code.
    #[track_caller]
    pub fn publish<'s>(
        &'s mut self,
        topic: &'s str,
        payload: &'s str,
    ) -> impl Future<Output = ReasonCode> + 's {
        let at = Location::caller();
        async move {
            self.send(packets::qos1(PUBLISH_ID, topic, payload)).await;
            self.puback_at(PUBLISH_ID, at).await
        }
    }

    /// The next packet is the PUBACK of this identifier; returns its code.
    #[track_caller]
    pub fn puback(&mut self, packet_id: u16) -> impl Future<Output = ReasonCode> {
        self.puback_at(packet_id, Location::caller())
    }

    async fn puback_at(&mut self, packet_id: u16, at: &'static Location<'static>) -> ReasonCode {
        let name = self.name.clone();
        let wanted = format!("PUBACK {packet_id} at {at}");
        self.wait(wanted.clone(), move |packet| match packet {
            Packet::PubAck(ack) if ack.packet_id.get() == packet_id => ack.reason_code,
            other => panic!("{name}: {other:?} instead of {wanted}"),
        })
        .await
    }

    /// The next packet is the PUBREC of this identifier; returns its code.
    #[track_caller]
    pub fn pubrec(&mut self, packet_id: u16) -> impl Future<Output = ReasonCode> {
        let (at, name) = (Location::caller(), self.name.clone());
        let wanted = format!("PUBREC {packet_id}");
        self.wait(wanted.clone(), move |packet| match packet {
            Packet::PubRec(ack) if ack.packet_id.get() == packet_id => ack.reason_code,
            other => panic!("{name} at {at}: {other:?} instead of {wanted}"),
        })
    }

    /// Ends the connection in order.
    pub async fn leave(mut self) {
        self.send(packets::disconnect(ReasonCode::Success)).await;
        self.end(Location::caller()).await;
    }
}

/// Packet Identifiers of [`Client::subscribe`] and [`Client::publish`], out of the way of tests.
const SUBSCRIBE_ID: u16 = 60_001;
const PUBLISH_ID: u16 = 60_002;
