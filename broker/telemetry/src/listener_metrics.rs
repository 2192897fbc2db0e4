//! What each listener counts: packets and bytes by type and direction, Reason Codes, handshakes.
//!
//! Counting is an addition to one number in an array: no lock, no allocation. Every combination that
//! the protocol knows is there from the start, at zero. Knows nothing of sockets.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use codec::{PacketType, ReasonCode};
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::MetricType,
};

use crate::{
    ByName, Direction, Seconds,
    label::packet_type_name,
    metrics::{SECONDS_BUCKETS, known},
};

/// Listeners that are told apart; a broker with more counts the rest under `other`.
const LISTENERS_MAX: usize = 64;
const TYPES: usize = 15;
/// Sizes of PUBLISH that are told apart; the last is everything larger.
pub const SIZES: usize = 10;
const DIRECTIONS: [(Direction, &str); 2] =
    [(Direction::Received, "received"), (Direction::Sent, "sent")];

/// From a connection on the same machine to one whose plugins wait for a slow server.
const CONNECT_BUCKETS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
/// From one that flaps to one that stays a month.
const DURATION_BUCKETS: [f64; 11] =
    [1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 28_800.0, 86_400.0, 604_800.0, 2_592_000.0];

/// The numbers of one listener.
pub struct ListenerMetrics {
    packets: [[AtomicU64; TYPES]; 2],
    bytes: [[AtomicU64; TYPES]; 2],
    reasons: Box<[[[AtomicU64; 256]; TYPES]; 2]>,
    publishes: [[AtomicU64; 3]; 2],
    sizes: [[AtomicU64; SIZES]; 2],
    /// Seconds that the chain needed to authenticate one CONNECT.
    pub authentication_seconds: Seconds,
    /// Seconds that it needed for the permissions of one that connects.
    pub permissions_seconds: Seconds,
    /// Connections that ended, by the name of the Reason Code or of the network's end.
    pub closed: ByName,
    /// CONNECTs that were refused, by the name of the Reason Code.
    pub refused: ByName,
    /// Connections that were closed before a byte was read, by limit.
    pub turned_away: ByName,
    /// TLS handshakes by how they ended; not there where nobody speaks TLS.
    handshakes: OnceLock<ByName>,
    /// Seconds from the accepted socket to the CONNACK that let a client in.
    pub accepted_seconds: Seconds,
    /// Seconds from the accepted socket to a refusal.
    pub refused_seconds: Seconds,
    /// Seconds that a client was connected.
    pub connected_seconds: Seconds,
}

impl ListenerMetrics {
    fn new() -> Self {
        let zeros = || std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0)));
        let reasons = std::array::from_fn(|_| {
            std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0)))
        });
        Self {
            packets: zeros(),
            bytes: zeros(),
            reasons: Box::new(reasons),
            publishes: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
            sizes: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
            authentication_seconds: Seconds::new(&SECONDS_BUCKETS),
            permissions_seconds: Seconds::new(&SECONDS_BUCKETS),
            closed: ByName::of(known::CLOSED),
            refused: ByName::of(known::CONNECT_REFUSED),
            turned_away: ByName::of(known::LIMITS),
            handshakes: OnceLock::new(),
            accepted_seconds: Seconds::new(&CONNECT_BUCKETS),
            refused_seconds: Seconds::new(&CONNECT_BUCKETS),
            connected_seconds: Seconds::new(&DURATION_BUCKETS),
        }
    }

    /// Packets of a type, with their bytes.
    pub fn packets(&self, direction: Direction, of: PacketType, count: u64, bytes: u64) {
        let at = |table: &[[AtomicU64; TYPES]; 2], add| {
            let number = table.get(direction as usize).and_then(|types| types.get(index(of)));
            number.map(|number| number.fetch_add(add, Ordering::Relaxed));
        };
        at(&self.packets, count);
        at(&self.bytes, bytes);
    }

    /// PUBLISH packets, by QoS and by [`size_class`].
    pub fn publishes(&self, direction: Direction, by_qos: &[u64; 3], sizes: &[u32; SIZES]) {
        let add = |numbers: &[AtomicU64], at: usize, count: u64| {
            if count > 0
                && let Some(number) = numbers.get(at)
            {
                number.fetch_add(count, Ordering::Relaxed);
            }
        };
        if let Some(numbers) = self.publishes.get(direction as usize) {
            by_qos.iter().enumerate().for_each(|(at, count)| add(numbers, at, *count));
        }
        if let Some(numbers) = self.sizes.get(direction as usize) {
            sizes.iter().enumerate().for_each(|(at, count)| add(numbers, at, (*count).into()));
        }
    }

    /// How TLS handshakes end. Asked once where there will be some: then they are there, at zero.
    pub fn handshakes(&self) -> &ByName {
        self.handshakes.get_or_init(|| ByName::of(known::HANDSHAKES))
    }

    /// A Reason Code of a packet of this type.
    pub fn reason(&self, direction: Direction, of: PacketType, code: ReasonCode) {
        let types = self.reasons.get(direction as usize).and_then(|types| types.get(index(of)));
        let number = types.and_then(|codes| codes.get(usize::from(code.value())));
        number.map(|number| number.fetch_add(1, Ordering::Relaxed));
    }
}

/// Which of the sizes that are told apart a PUBLISH of so many bytes has: up to 64, 256, and so on.
pub fn size_class(bytes: usize) -> usize {
    let bits = usize::BITS - bytes.saturating_sub(1).leading_zeros();
    (bits.saturating_sub(6).div_ceil(2) as usize).min(SIZES - 1)
}

fn index(of: PacketType) -> usize {
    of as usize - 1
}

/// All listeners by name. A clone is the same.
#[derive(Clone, Default)]
pub struct Listeners(Arc<RwLock<BTreeMap<String, Arc<ListenerMetrics>>>>);

impl Listeners {
    /// Those of a listener. Takes a lock: whoever counts keeps it.
    pub fn of(&self, listener: &str) -> Arc<ListenerMetrics> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let room = all.len() < LISTENERS_MAX || all.contains_key(listener);
        let name = if room { listener } else { "other" };
        let new = || Arc::new(ListenerMetrics::new());
        Arc::clone(all.entry(name.to_owned()).or_insert_with(new))
    }

    fn all(&self) -> Vec<(String, Arc<ListenerMetrics>)> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(name, metrics)| (name.clone(), Arc::clone(metrics))).collect()
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listeners").finish()
    }
}

/// One family of them, for the registry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown {
    Packets,
    Bytes,
    Reasons,
    ConnectSeconds,
    ConnectedSeconds,
    Authentication,
    Permissions,
    Publishes,
    Sizes,
    Closed,
    Refused,
    TurnedAway,
    Handshakes,
}

/// A family with where its numbers are.
#[derive(Debug)]
pub(crate) struct ShownListeners(pub(crate) Shown, pub(crate) Listeners);

impl EncodeMetric for ShownListeners {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (name, metrics) in self.1.all() {
            match self.0 {
                Shown::Packets => encode_types(&mut encoder, &name, &metrics.packets)?,
                Shown::Bytes => encode_types(&mut encoder, &name, &metrics.bytes)?,
                Shown::Reasons => encode_reasons(&mut encoder, &name, &metrics.reasons)?,
                Shown::ConnectSeconds => {
                    let accepted = [("listener", name.as_str()), ("outcome", "accepted")];
                    metrics.accepted_seconds.encode(encoder.encode_family(&accepted)?)?;
                    let refused = [("listener", name.as_str()), ("outcome", "refused")];
                    metrics.refused_seconds.encode(encoder.encode_family(&refused)?)?;
                }
                Shown::ConnectedSeconds => {
                    let labels = [("listener", name.as_str())];
                    metrics.connected_seconds.encode(encoder.encode_family(&labels)?)?;
                }
                Shown::Authentication => {
                    let labels = [("listener", name.as_str())];
                    metrics.authentication_seconds.encode(encoder.encode_family(&labels)?)?;
                }
                Shown::Permissions => {
                    let labels = [("listener", name.as_str())];
                    metrics.permissions_seconds.encode(encoder.encode_family(&labels)?)?;
                }
                Shown::Publishes => encode_publishes(&mut encoder, &name, &metrics.publishes)?,
                Shown::Sizes => encode_sizes(&mut encoder, &name, &metrics)?,
                Shown::Closed => encode_names(&mut encoder, (&name, "reason"), &metrics.closed)?,
                Shown::Refused => encode_names(&mut encoder, (&name, "reason"), &metrics.refused)?,
                Shown::TurnedAway => {
                    encode_names(&mut encoder, (&name, "limit"), &metrics.turned_away)?;
                }
                Shown::Handshakes => {
                    if let Some(handshakes) = metrics.handshakes.get() {
                        encode_names(&mut encoder, (&name, "result"), handshakes)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        match self.0 {
            Shown::ConnectSeconds
            | Shown::ConnectedSeconds
            | Shown::Authentication
            | Shown::Permissions
            | Shown::Sizes => MetricType::Histogram,
            Shown::Packets
            | Shown::Bytes
            | Shown::Reasons
            | Shown::Publishes
            | Shown::Closed
            | Shown::Refused
            | Shown::TurnedAway
            | Shown::Handshakes => MetricType::Counter,
        }
    }
}

/// Types that a client sends, or is sent; the others stay out unless a number is there.
fn is_usual(direction: Direction, of: PacketType) -> bool {
    use PacketType::{
        ConnAck, Connect, PingReq, PingResp, SubAck, Subscribe, UnsubAck, Unsubscribe,
    };
    match direction {
        Direction::Received => !matches!(of, ConnAck | SubAck | UnsubAck | PingResp),
        Direction::Sent => !matches!(of, Connect | Subscribe | Unsubscribe | PingReq),
    }
}

fn encode_types(
    encoder: &mut MetricEncoder<'_>,
    listener: &str,
    table: &[[AtomicU64; TYPES]; 2],
) -> fmt::Result {
    for ((direction, word), numbers) in DIRECTIONS.into_iter().zip(table) {
        for (of, number) in ALL_TYPES.into_iter().zip(numbers) {
            let number = number.load(Ordering::Relaxed);
            if number > 0 || is_usual(direction, of) {
                let labels =
                    [("listener", listener), ("direction", word), ("type", packet_type_name(of))];
                encoder
                    .encode_family(&labels)?
                    .encode_counter::<NoLabels, _, u64>(&number, None)?;
            }
        }
    }
    Ok(())
}

fn encode_names(
    encoder: &mut MetricEncoder<'_>,
    (listener, label): (&str, &str),
    counts: &ByName,
) -> fmt::Result {
    for (name, count) in counts.counts() {
        encoder
            .encode_family(&[("listener", listener), (label, name)])?
            .encode_counter::<NoLabels, _, u64>(&count, None)?;
    }
    Ok(())
}

fn encode_publishes(
    encoder: &mut MetricEncoder<'_>,
    listener: &str,
    table: &[[AtomicU64; 3]; 2],
) -> fmt::Result {
    for ((_, direction), numbers) in DIRECTIONS.into_iter().zip(table) {
        for (qos, number) in ["0", "1", "2"].into_iter().zip(numbers) {
            let labels = [("listener", listener), ("direction", direction), ("qos", qos)];
            let number = number.load(Ordering::Relaxed);
            encoder.encode_family(&labels)?.encode_counter::<NoLabels, _, u64>(&number, None)?;
        }
    }
    Ok(())
}

/// The sum is that of the bytes of the packets, which is known already.
fn encode_sizes(
    encoder: &mut MetricEncoder<'_>,
    listener: &str,
    metrics: &ListenerMetrics,
) -> fmt::Result {
    let tables = metrics.sizes.iter().zip(&metrics.bytes);
    for ((_, direction), (numbers, bytes)) in DIRECTIONS.into_iter().zip(tables) {
        let bounds = (0..SIZES).map(|class| match class {
            class if class + 1 < SIZES => (64u64 << (2 * class)) as f64,
            _ => f64::INFINITY,
        });
        let counts = numbers.iter().map(|number| number.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = bytes.get(index(PacketType::Publish)).map(|sum| sum.load(Ordering::Relaxed));
        encoder
            .encode_family(&[("listener", listener), ("direction", direction)])?
            .encode_histogram::<NoLabels>(sum.unwrap_or_default() as f64, count, &buckets, None)?;
    }
    Ok(())
}

fn encode_reasons(
    encoder: &mut MetricEncoder<'_>,
    listener: &str,
    table: &[[[AtomicU64; 256]; TYPES]; 2],
) -> fmt::Result {
    for ((direction, word), types) in DIRECTIONS.into_iter().zip(table) {
        for (of, numbers) in ALL_TYPES.into_iter().zip(types) {
            let usual = codes_of(direction, of);
            for (value, number) in (0..=u8::MAX).zip(numbers) {
                let Some(code) = ReasonCode::from_value(value) else { continue };
                let number = number.load(Ordering::Relaxed);
                if number == 0 && !usual.contains(&value) {
                    continue;
                }
                let labels = [
                    ("listener", listener),
                    ("direction", word),
                    ("type", packet_type_name(of)),
                    ("reason", code.name()),
                ];
                encoder
                    .encode_family(&labels)?
                    .encode_counter::<NoLabels, _, u64>(&number, None)?;
            }
        }
    }
    Ok(())
}

type NoLabels = [(&'static str, &'static str); 0];

/// Reason Codes that the specification gives a packet of this type, and that go this way.
fn codes_of(direction: Direction, of: PacketType) -> &'static [u8] {
    use Direction::{Received, Sent};
    match (of, direction) {
        (PacketType::ConnAck, Sent) => &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90,
            0x95, 0x97, 0x9F,
        ],
        (PacketType::PubAck | PacketType::PubRec, _) => {
            &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
        }
        (PacketType::PubRel | PacketType::PubComp, _) => &[0x00, 0x92],
        (PacketType::SubAck, Sent) => {
            &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]
        }
        (PacketType::UnsubAck, Sent) => &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91],
        (PacketType::Disconnect, Sent) => &[
            0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
            0x96, 0x97, 0x98, 0x99, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
        ],
        (PacketType::Disconnect, Received) => {
            &[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]
        }
        (PacketType::Auth, Sent) => &[0x00, 0x18],
        (PacketType::Auth, Received) => &[0x18, 0x19],
        _ => &[],
    }
}

const ALL_TYPES: [PacketType; TYPES] = [
    PacketType::Connect,
    PacketType::ConnAck,
    PacketType::Publish,
    PacketType::PubAck,
    PacketType::PubRec,
    PacketType::PubRel,
    PacketType::PubComp,
    PacketType::Subscribe,
    PacketType::SubAck,
    PacketType::Unsubscribe,
    PacketType::UnsubAck,
    PacketType::PingReq,
    PacketType::PingResp,
    PacketType::Disconnect,
    PacketType::Auth,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn each_listener_counts_for_itself_and_all_is_there_from_the_start() {
        let metrics = Metrics::new();
        let (mqtt, tls) = (metrics.listeners.of("mqtt"), metrics.listeners.of("tls"));
        mqtt.packets(Direction::Received, PacketType::Publish, 3, 90);
        tls.reason(Direction::Sent, PacketType::ConnAck, ReasonCode::NotAuthorized);
        mqtt.accepted_seconds.observe(0.002);
        let text = metrics.encode();
        let packets = "portcullis_listener_packets_total{listener=";
        for line in [
            format!("{packets}\"mqtt\",direction=\"received\",type=\"publish\"}} 3"),
            format!("{packets}\"tls\",direction=\"received\",type=\"publish\"}} 0"),
            format!("{packets}\"tls\",direction=\"sent\",type=\"connack\"}} 0"),
            "portcullis_listener_packet_bytes_total{listener=\"mqtt\",direction=\"received\",\
             type=\"publish\"} 90"
                .to_owned(),
            "portcullis_listener_reason_codes_total{listener=\"tls\",direction=\"sent\",\
             type=\"connack\",reason=\"not_authorized\"} 1"
                .to_owned(),
            "portcullis_listener_reason_codes_total{listener=\"mqtt\",direction=\"sent\",\
             type=\"connack\",reason=\"not_authorized\"} 0"
                .to_owned(),
            "portcullis_connect_seconds_count{listener=\"mqtt\",outcome=\"accepted\"} 1".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "no line {line:?} in\n{text}");
        }
        assert!(!text.contains("direction=\"received\",type=\"connack\""));
    }

    #[test]
    fn sizes_are_in_classes_of_four_times_the_one_before() {
        for (bytes, class) in [
            (0, 0),
            (64, 0),
            (65, 1),
            (256, 1),
            (257, 2),
            (1_024, 2),
            (4 << 20, 8),
            ((4 << 20) + 1, 9),
            (256 << 20, 9),
        ] {
            assert_eq!(size_class(bytes), class, "{bytes}");
        }
        let metrics = Metrics::new();
        let mqtt = metrics.listeners.of("mqtt");
        let mut sizes = [0; SIZES];
        (sizes[0], sizes[9]) = (3, 1);
        mqtt.publishes(Direction::Sent, &[4, 0, 0], &sizes);
        mqtt.closed.inc("network");
        mqtt.closed.inc("no such reason");
        let text = metrics.encode();
        let labels = "{listener=\"mqtt\",direction=\"sent\"";
        for line in [
            format!(
                "portcullis_listener_publish_size_bytes_bucket{{le=\"64.0\",{}}} 3",
                &labels[1..]
            ),
            format!("portcullis_listener_publish_size_bytes_count{labels}}} 4"),
            format!("portcullis_listener_publish_total{labels},qos=\"0\"}} 4"),
            "portcullis_listener_connections_closed_total{listener=\"mqtt\",reason=\"other\"} 1"
                .to_owned(),
        ] {
            assert!(text.contains(&line), "no line {line:?} in\n{text}");
        }
        assert!(!text.contains("portcullis_listener_tls_handshakes_total{"));
        mqtt.handshakes().inc("full");
        assert!(metrics.encode().contains("listener_tls_handshakes_total{"));
    }

    #[test]
    fn listeners_are_bounded() {
        let listeners = Listeners::default();
        for n in 0..1_000 {
            listeners.of(&format!("listener {n}"));
        }
        assert!(listeners.all().len() <= LISTENERS_MAX + 1);
    }

    #[test]
    fn the_codes_are_codes() {
        for (direction, _) in DIRECTIONS {
            for of in ALL_TYPES {
                for value in codes_of(direction, of) {
                    assert!(ReasonCode::from_value(*value).is_some(), "{of:?} {value:#x}");
                }
            }
        }
    }
}
