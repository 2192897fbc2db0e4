//! A small MQTT 5.0 client over TCP: what the proof needs and nothing more.
//!
//! Knows nothing of the broker's insides: it sees what any client sees. Every wait ends after
//! [`WAIT`].

use std::{collections::VecDeque, io, net::SocketAddr, time::Duration};

use codec::{
    Acknowledgement, ConnAck, Connect, Decoded, Disconnect, Packet, PacketId, ProtocolVersion,
    PublishHead, QoS, ReasonCode, RetainHandling, Subscribe, SubscriptionOptions,
    SubscriptionRequest,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use topic::SubscriptionFilter;

/// Longest wait for one answer.
const WAIT: Duration = Duration::from_secs(5);

/// Largest packet that is read, bytes.
const PACKET_BYTES_MAX: usize = 1 << 20;

const VERSION: ProtocolVersion = ProtocolVersion::V5;

/// A message that the broker delivered.
#[derive(Debug)]
pub(super) struct Message {
    /// Topic Name.
    pub(super) topic: String,
    /// Application Message.
    pub(super) payload: Vec<u8>,
    /// QoS of the delivery.
    pub(super) qos: QoS,
}

/// A connection to the broker.
pub(super) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    messages: VecDeque<Message>,
    last_packet_id: u16,
}

/// What is owned of a packet that came in.
enum Incoming {
    ConnAck(Box<ConnAck>),
    Acknowledged(PacketId, ReasonCode),
    Subscribed(PacketId, Vec<ReasonCode>),
    Message(Message, Option<PacketId>),
    Pong,
    Closed(ReasonCode),
    Other,
}

impl Client {
    /// Connects and gives back the answer of the broker, whatever it is.
    pub(super) async fn connect(
        address: SocketAddr,
        client_id: &str,
        credentials: Option<(&str, &str)>,
    ) -> io::Result<(ConnAck, Self)> {
        let stream = within(TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        let mut client =
            Self { stream, buffer: Vec::new(), messages: VecDeque::new(), last_packet_id: 0 };
        let mut connect = Connect::new(VERSION, client_id);
        if let Some((username, password)) = credentials {
            connect.username = Some(username.to_owned());
            connect.password = Some(password.as_bytes().to_vec());
        }
        client.send(&Packet::Connect(Box::new(connect))).await?;
        match client.receive().await? {
            Incoming::ConnAck(answer) => Ok((*answer, client)),
            _ => Err(unexpected("a packet that is no CONNACK")),
        }
    }

    /// Subscribes with maximum QoS 1 and gives back the Reason Code of SUBACK.
    pub(super) async fn subscribe(&mut self, filter: &str) -> io::Result<ReasonCode> {
        let filter = SubscriptionFilter::parse(filter).map_err(io::Error::other)?;
        let sent = self.next_packet_id();
        let options = SubscriptionOptions {
            maximum_qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
        };
        let subscribe = Subscribe {
            packet_id: sent,
            subscription_identifier: None,
            user_properties: Vec::new(),
            requests: vec![SubscriptionRequest { filter: Ok(filter), options }],
        };
        self.send(&Packet::Subscribe(subscribe)).await?;
        loop {
            match self.receive().await? {
                Incoming::Subscribed(id, codes) if id == sent => {
                    return codes.first().copied().ok_or_else(|| unexpected("an empty SUBACK"));
                }
                other => self.keep(other).await?,
            }
        }
    }

    /// Publishes with QoS 1 and gives back the Reason Code of PUBACK.
    pub(super) async fn publish(&mut self, topic: &str, payload: &[u8]) -> io::Result<ReasonCode> {
        let sent = self.next_packet_id();
        let head = PublishHead {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic,
            packet_id: Some(sent),
            topic_alias: None,
            message_expiry_interval: None,
            subscription_identifiers: &[],
            forwarded: &[],
            payload,
        };
        let mut bytes = Vec::with_capacity(head.encoded_len(VERSION));
        head.encode(VERSION, &mut bytes);
        within(self.stream.write_all(&bytes)).await?;
        loop {
            match self.receive().await? {
                Incoming::Acknowledged(id, code) if id == sent => return Ok(code),
                other => self.keep(other).await?,
            }
        }
    }

    /// The next delivered message, acknowledged.
    pub(super) async fn message(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(message);
            }
            let incoming = self.receive().await?;
            self.keep(incoming).await?;
        }
    }

    /// PINGREQ and its answer: proof that the connection is alive.
    pub(super) async fn ping(&mut self) -> io::Result<()> {
        self.send(&Packet::PingReq).await?;
        loop {
            match self.receive().await? {
                Incoming::Pong => return Ok(()),
                other => self.keep(other).await?,
            }
        }
    }

    /// Ends the connection as MQTT wants it.
    pub(super) async fn disconnect(mut self) -> io::Result<()> {
        let disconnect = Disconnect {
            reason_code: ReasonCode::NORMAL_DISCONNECTION,
            session_expiry_interval: None,
            reason_string: None,
            user_properties: Vec::new(),
            server_reference: None,
        };
        self.send(&Packet::Disconnect(disconnect)).await
    }

    /// Deals with a packet that nobody waits for right now.
    async fn keep(&mut self, incoming: Incoming) -> io::Result<()> {
        match incoming {
            Incoming::Message(message, packet_id) => {
                self.messages.push_back(message);
                let Some(packet_id) = packet_id else {
                    return Ok(());
                };
                let acknowledgement = Acknowledgement {
                    packet_id,
                    reason_code: ReasonCode::Success,
                    reason_string: None,
                    user_properties: Vec::new(),
                };
                self.send(&Packet::PubAck(acknowledgement)).await
            }
            Incoming::Closed(code) => {
                let what = format!("the broker sent DISCONNECT 0x{:02X}", code.value());
                Err(io::Error::new(io::ErrorKind::ConnectionReset, what))
            }
            _ => Ok(()),
        }
    }

    async fn send(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        packet.encode(VERSION, &mut bytes);
        within(self.stream.write_all(&bytes)).await
    }

    async fn receive(&mut self) -> io::Result<Incoming> {
        within(async {
            loop {
                let decoded = codec::decode(&self.buffer, VERSION, PACKET_BYTES_MAX)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                if let Decoded::Packet(packet, length) = decoded {
                    let incoming = owned(packet);
                    self.buffer.drain(..length);
                    return Ok(incoming);
                }
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        })
        .await
    }

    fn next_packet_id(&mut self) -> PacketId {
        self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        PacketId::new(self.last_packet_id).unwrap_or(PacketId(std::num::NonZeroU16::MIN))
    }
}

fn owned(packet: Packet<'_>) -> Incoming {
    match packet {
        Packet::ConnAck(answer) => Incoming::ConnAck(answer),
        Packet::PubAck(answer) => Incoming::Acknowledged(answer.packet_id, answer.reason_code),
        Packet::SubAck(answer) => Incoming::Subscribed(answer.packet_id, answer.reason_codes),
        Packet::PingResp => Incoming::Pong,
        Packet::Disconnect(end) => Incoming::Closed(end.reason_code),
        Packet::Publish(publish) => {
            let message = Message {
                topic: publish.topic.to_owned(),
                payload: publish.payload.to_vec(),
                qos: publish.qos,
            };
            Incoming::Message(message, publish.packet_id)
        }
        _ => Incoming::Other,
    }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(WAIT, work).await.map_err(|_| {
        let what = format!("no answer within {} s", WAIT.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, what)
    })?
}

fn unexpected(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the broker sent {what}"))
}
