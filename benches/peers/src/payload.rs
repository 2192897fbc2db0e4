//! What a message of the generator carries: when it was due, of which stream it is, its number there,
//! and a check over all that. Whatever a broker changes on the way is noticed.
//!
//! Every byte lies between 0x20 and 0x5f: the payload is text, and a plugin that puts text into
//! capitals changes nothing of it.

/// Bytes of a payload before the filler; no payload is shorter.
pub(crate) const STAMP_BYTES: usize = 24;

/// What stands in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When it was due, in nanoseconds on the generator's clock; 48 bits.
    pub(crate) at: u64,
    /// Its number within its stream, from 1.
    pub(crate) sequence: u32,
    /// Which stream: a topic and its only publisher; 24 bits.
    pub(crate) stream: u32,
}

/// Writes and reads payloads of one size.
#[derive(Debug)]
pub(crate) struct Payloads {
    size: usize,
    /// Longer than a payload by [`SHIFTS`]: each number begins at another place of it.
    filler: Vec<u8>,
}

/// Filler of one message differs from that of its neighbours.
const SHIFTS: usize = 61;

impl Payloads {
    /// Payloads of `size` bytes, at least [`STAMP_BYTES`].
    pub(crate) fn new(size: usize) -> Self {
        let size = size.max(STAMP_BYTES);
        let letter = |n: usize| 0x20 + (mix(n as u64) & 0x3f) as u8;
        Self { size, filler: (0..size - STAMP_BYTES + SHIFTS).map(letter).collect() }
    }

    /// How long each is.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    fn filler(&self, sequence: u32) -> &[u8] {
        let from = sequence as usize % SHIFTS;
        &self.filler[from..from + self.size - STAMP_BYTES]
    }

    /// Appends a payload.
    pub(crate) fn write(&self, stamp: Stamp, out: &mut Vec<u8>) {
        let mut head = [0; STAMP_BYTES];
        head[..8].copy_from_slice(&letters::<8>(stamp.at));
        head[8..14].copy_from_slice(&letters::<6>(u64::from(stamp.sequence)));
        head[14..18].copy_from_slice(&letters::<4>(u64::from(stamp.stream)));
        head[18..].copy_from_slice(&letters::<6>(self.check(stamp)));
        out.extend_from_slice(&head);
        out.extend_from_slice(self.filler(stamp.sequence));
    }

    /// What stands in a payload; `None` if anything of it is not as it was written.
    pub(crate) fn read(&self, payload: &[u8]) -> Option<Stamp> {
        if payload.len() != self.size {
            return None;
        }
        let (head, filler) = payload.split_at(STAMP_BYTES);
        let stamp = Stamp {
            at: number::<8>(&head[..8])?,
            sequence: u32::try_from(number::<6>(&head[8..14])?).ok()?,
            stream: u32::try_from(number::<4>(&head[14..18])?).ok()?,
        };
        let good = number::<6>(&head[18..])? == self.check(stamp);
        (good && filler == self.filler(stamp.sequence)).then_some(stamp)
    }

    /// 36 bits over everything.
    fn check(&self, stamp: Stamp) -> u64 {
        let names = u64::from(stamp.stream) << 32 | u64::from(stamp.sequence);
        mix(mix(stamp.at ^ (self.size as u64) << 48) ^ names) >> 28
    }
}

/// Six bits a letter, the lowest first. Of a length that is known: no loop is left of it.
fn letters<const COUNT: usize>(number: u64) -> [u8; COUNT] {
    std::array::from_fn(|place| 0x20 + (number >> (6 * place) & 0x3f) as u8)
}

fn number<const COUNT: usize>(letters: &[u8]) -> Option<u64> {
    let letters: &[u8; COUNT] = letters.try_into().ok()?;
    let (mut number, mut wrong) = (0, 0);
    for (place, letter) in letters.iter().enumerate() {
        let bits = letter.wrapping_sub(0x20);
        wrong |= bits;
        number |= u64::from(bits & 0x3f) << (6 * place);
    }
    (wrong < 0x40).then_some(number)
}

/// Spreads the bits of a number (the finalizer of `SplitMix64`).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { at: 123_456_789_012_345, sequence: 4_000_000_000, stream: 9_999 };

    fn written(size: usize, stamp: Stamp) -> Vec<u8> {
        let mut out = Vec::new();
        Payloads::new(size).write(stamp, &mut out);
        out
    }

    #[test]
    fn what_was_written_is_read() {
        for size in [24, 25, 64, 1_024, 70_000] {
            let payload = written(size, STAMP);
            assert_eq!(payload.len(), size);
            assert_eq!(Payloads::new(size).read(&payload), Some(STAMP), "{size}");
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let payload = written(100, STAMP);
        for bit in 0..payload.len() * 8 {
            let mut damaged = payload.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Payloads::new(100).read(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn a_shorter_or_longer_payload_is_noticed() {
        let payload = written(64, STAMP);
        let payloads = Payloads::new(64);
        assert_eq!(payloads.read(&payload[..63]), None);
        assert_eq!(payloads.read(&[&payload[..], b" "].concat()), None);
        assert_eq!(payloads.read(b""), None);
        assert_eq!(Payloads::new(65).read(&[&payload[..], b" "].concat()), None);
    }

    #[test]
    fn the_filler_of_another_message_is_noticed() {
        let one = written(64, STAMP);
        let other = written(64, Stamp { sequence: STAMP.sequence + 1, ..STAMP });
        let mixed = [&one[..STAMP_BYTES], &other[STAMP_BYTES..]].concat();
        assert_eq!(Payloads::new(64).read(&mixed), None);
    }

    #[test]
    fn capitals_change_nothing() {
        let payload = written(1_024, STAMP);
        assert_eq!(payload.to_ascii_uppercase(), payload);
    }
}
