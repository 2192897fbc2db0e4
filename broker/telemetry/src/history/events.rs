//! The latest events of one client in one piece of memory, written one behind the other.
//!
//! Most clients connect and go and nobody asks about them: what is kept of that must cost little
//! more than its bytes. Knows nothing of other clients, of age and of bounds.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use super::Past;
use crate::{Happening, HappeningKind, shown_username};

/// Bytes of one text.
const TEXT_BYTES_MAX: usize = 256;
/// Room for what usually happens to a client: it connects, and goes.
const ROOM: usize = 224;

/// Events of one client, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Each is its length, then what [`Event::write`] makes of it.
    bytes: Vec<u8>,
    count: usize,
    /// Where the last one begins, and what it is.
    last: usize,
    last_kind: Option<HappeningKind>,
}

impl Events {
    /// One more; the same again is counted with the last one. Of more than `most` the first go.
    pub(super) fn push(&mut self, mut event: Event<'_>, most: usize) {
        let may_be_same = self.last_kind.replace(event.kind) == Some(event.kind);
        let last = if may_be_same { self.last() } else { None };
        let same = last.filter(|last| last.is_like(&event));
        match same.map(|last| (last.first_unix_ms, last.times)) {
            Some((first_unix_ms, times)) => {
                (event.first_unix_ms, event.times) = (first_unix_ms, times + 1);
                self.bytes.truncate(self.last);
            }
            None => self.count += 1,
        }
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(ROOM);
        }
        self.last = self.bytes.len();
        self.bytes.extend_from_slice(&[0; size_of::<u16>()]);
        event.write(&mut self.bytes);
        let length = self.bytes.len() - self.last - size_of::<u16>();
        if let Some(place) = self.bytes.get_mut(self.last..self.last + size_of::<u16>()) {
            place.copy_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
        }
        let mut gone = 0;
        while self.count > most.max(1)
            && let Some((_, rest)) = split(self.bytes.get(gone..).unwrap_or_default())
        {
            gone = self.bytes.len() - rest.len();
            self.count -= 1;
        }
        self.bytes.drain(..gone);
        self.last -= gone;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Event<'_>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (event, behind) = split(rest)?;
            rest = behind;
            Event::read(event)
        })
    }

    pub(super) fn last(&self) -> Option<Event<'_>> {
        Event::read(split(self.bytes.get(self.last..)?)?.0)
    }

    /// Bytes in use.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

/// The bytes of one event, and those behind it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u16::from_le_bytes(*length).into())
}

/// Listener, principal, reason, decision, plugin, cause, topic.
const TEXTS: usize = 7;

/// One event, borrowed from where it happened or from where it is kept.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub(super) at_unix_ms: u64,
    first_unix_ms: u64,
    times: u64,
    kind: HappeningKind,
    remote: Option<SocketAddr>,
    traffic: Option<[u64; 3]>,
    texts: [Option<Cow<'a, str>>; TEXTS],
}

impl<'a> Event<'a> {
    pub(super) fn of(happening: &Happening<'a>) -> Self {
        let traffic = happening.bytes_received.map(|received| {
            let (sent, ms) = (happening.bytes_sent, happening.connected_ms);
            [received, sent.unwrap_or_default(), ms.unwrap_or_default()]
        });
        Self {
            at_unix_ms: happening.at_unix_ms,
            first_unix_ms: happening.at_unix_ms,
            times: 1,
            kind: happening.kind,
            remote: happening.remote,
            traffic,
            texts: [
                happening.listener.map(cut),
                happening.principal.map(shown_username).map(cut),
                happening.reason.map(cut),
                happening.decision.map(|decision| cut_owned(decision.to_string())),
                happening.plugin.map(cut),
                happening.cause.map(|cause| cut_owned(cause.to_string())),
                happening.topic.map(cut),
            ],
        }
    }

    /// Whether anybody can cause it under this name. An identity that the chain let in is not yet known
    /// to be the one that the name belongs to.
    pub(super) fn is_claimed(&self) -> bool {
        matches!(self.kind, HappeningKind::ConnectRefused | HappeningKind::Authenticated)
    }

    /// Whether `next` is the same again, as far as anybody wants to know.
    fn is_like(&self, next: &Self) -> bool {
        let repeats = !matches!(next.kind, HappeningKind::Connected | HappeningKind::Disconnected);
        repeats && self.about() == next.about()
    }

    fn about(&self) -> (HappeningKind, Option<IpAddr>, [Option<&str>; 3]) {
        let [_, _, reason, _, _, cause, topic] = &self.texts;
        // How long somebody is to wait is another number each time.
        let cause = cause.as_deref().filter(|_| self.kind != HappeningKind::ConnectRefused);
        let parts = [reason.as_deref(), cause, topic.as_deref()];
        (self.kind, self.remote.map(|remote| remote.ip()), parts)
    }

    fn write(&self, out: &mut Vec<u8>) {
        for number in [self.at_unix_ms, self.first_unix_ms, self.times] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let texts = self.texts.iter().zip(0..).filter(|(text, _)| text.is_some());
        let texts = texts.fold(0, |all, (_, n)| all | 1_u8 << n);
        out.extend_from_slice(&[self.kind as u8, texts, u8::from(self.traffic.is_some())]);
        match self.remote {
            None => out.push(0),
            Some(remote) => {
                match remote.ip() {
                    IpAddr::V4(address) => {
                        out.push(4);
                        out.extend_from_slice(&address.octets());
                    }
                    IpAddr::V6(address) => {
                        out.push(6);
                        out.extend_from_slice(&address.octets());
                    }
                }
                out.extend_from_slice(&remote.port().to_le_bytes());
            }
        }
        for number in self.traffic.into_iter().flatten() {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for text in self.texts.iter().flatten() {
            let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// What [`Self::write`] wrote.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let [at_unix_ms, first_unix_ms, times] = reader.numbers()?;
        let [kind, texts, has_traffic, family] = reader.take()?;
        let address: Option<IpAddr> = match family {
            4 => Some(reader.take::<4>()?.into()),
            6 => Some(reader.take::<16>()?.into()),
            _ => None,
        };
        let remote = match address {
            Some(address) => Some((address, u16::from_le_bytes(reader.take()?)).into()),
            None => None,
        };
        Some(Self {
            at_unix_ms,
            first_unix_ms,
            times,
            kind: *HappeningKind::ALL.get(usize::from(kind))?,
            remote,
            traffic: if has_traffic == 1 { Some(reader.numbers()?) } else { None },
            texts: std::array::from_fn(|n| {
                let is_there = texts >> n & 1 == 1;
                is_there.then(|| reader.text()).flatten().map(Cow::Borrowed)
            }),
        })
    }

    /// For those who keep it longer than it is kept here.
    pub(super) fn into_past(self) -> Past {
        let texts = self.texts.map(|text| text.map(|text| text.into_owned().into_boxed_str()));
        let [listener, principal, reason, decision, plugin, cause, topic] = texts;
        Past {
            at_unix_ms: self.at_unix_ms,
            first_unix_ms: self.first_unix_ms,
            times: self.times,
            kind: self.kind,
            remote: self.remote,
            listener,
            principal,
            reason,
            decision,
            plugin,
            cause,
            topic,
            traffic: self.traffic,
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn numbers(&mut self) -> Option<[u64; 3]> {
        let mut number = || self.take().map(u64::from_le_bytes);
        Some([number()?, number()?, number()?])
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = u16::from_le_bytes(self.take()?);
        let (text, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

/// A text in the length that is kept.
pub(super) fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_BYTES_MAX {
        return text.into();
    }
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    format!("{}…", text.get(..end).unwrap_or_default()).into()
}

fn cut_owned(text: String) -> Cow<'static, str> {
    match cut(&text) {
        Cow::Borrowed(_) => text.into(),
        Cow::Owned(shorter) => shorter.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let long = "é".repeat(200);
        let refused = Happening {
            at_unix_ms: 7,
            remote: Some("[2001:db8::1]:1883".parse().unwrap()),
            listener: Some("mqtt"),
            principal: Some("ann"),
            reason: Some("not_authorized"),
            decision: Some(&"00000000000000a1"),
            plugin: Some("acl-file"),
            cause: Some(&long),
            topic: Some(""),
            ..Happening::of(HappeningKind::PublishDenied)
        };
        let gone = Happening {
            at_unix_ms: 8,
            remote: Some("192.0.2.9:40000".parse().unwrap()),
            bytes_received: Some(1),
            bytes_sent: Some(u64::MAX),
            connected_ms: Some(3),
            ..Happening::of(HappeningKind::Disconnected)
        };
        let mut events = Events::default();
        for happening in [&refused, &gone] {
            events.push(Event::of(happening), 8);
        }
        let [first, second] =
            events.iter().map(Event::into_past).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!((first.at_unix_ms, first.times, first.remote), (7, 1, refused.remote));
        assert_eq!(first.listener.as_deref(), Some("mqtt"));
        assert_eq!(first.principal.as_deref(), Some("ann"));
        assert_eq!(first.reason.as_deref(), Some("not_authorized"));
        assert_eq!(first.decision.as_deref(), Some("00000000000000a1"));
        assert_eq!(first.plugin.as_deref(), Some("acl-file"));
        assert_eq!(first.cause.as_deref(), Some(format!("{}…", "é".repeat(128)).as_str()));
        assert_eq!((first.topic.as_deref(), first.traffic), (Some(""), None));
        assert_eq!((second.kind, second.remote), (HappeningKind::Disconnected, gone.remote));
        assert_eq!((second.traffic, second.listener), (Some([1, u64::MAX, 3]), None));
    }

    #[test]
    fn a_client_that_connects_and_goes_costs_one_allocation() {
        let mut events = Events::default();
        let client = Happening {
            remote: Some("192.0.2.9:40000".parse().unwrap()),
            listener: Some("mqtt"),
            principal: Some("a principal"),
            ..Happening::of(HappeningKind::Connected)
        };
        let reason = Some("normal_disconnection");
        for happening in [
            client,
            Happening { reason, bytes_received: Some(20), ..client },
            Happening { remote: None, listener: None, ..client },
        ] {
            events.push(Event::of(&happening), 64);
        }
        assert_eq!((events.count, events.memory()), (3, ROOM));
    }
}
