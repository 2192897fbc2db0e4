//! The fields of a packet, one after the other. Whatever a server sends, nothing is read beyond it.

use super::Failed;

/// What is left of a packet.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(packet: &'a [u8]) -> Self {
        Self(packet)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Failed> {
        let (field, rest) = self.0.split_at_checked(count).ok_or_else(cut)?;
        self.0 = rest;
        Ok(field)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Failed> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or_else(cut)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Failed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Failed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Failed> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number that says with its first byte how long it is.
    pub(super) fn number(&mut self) -> Result<u64, Failed> {
        match self.u8()? {
            byte @ 0..=0xfa => Ok(byte.into()),
            0xfc => Ok(self.u16()?.into()),
            0xfd => self.array::<3>().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]).into()),
            0xfe => self.array().map(u64::from_le_bytes),
            _ => Err(Failed::Broken("a number has a form that is not known here".to_owned())),
        }
    }

    /// How many columns follow. The first byte is 0xfb where a server wants a file of ours.
    pub(super) fn count(&mut self) -> Result<usize, Failed> {
        if self.0.first() == Some(&0xfb) {
            return Err(Failed::Broken("it asks for a file of this machine".to_owned()));
        }
        usize::try_from(self.number()?).map_err(|_| cut())
    }

    /// Bytes behind their number.
    pub(super) fn counted(&mut self) -> Result<&'a [u8], Failed> {
        let count = usize::try_from(self.number()?).map_err(|_| cut())?;
        self.bytes(count)
    }

    pub(super) fn until_nul(&mut self) -> Result<&'a [u8], Failed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(cut)?;
        let field = self.bytes(end)?;
        self.u8()?;
        Ok(field)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}

fn cut() -> Failed {
    Failed::Broken("a packet is shorter than it says".to_owned())
}

/// Appends bytes behind their number.
pub(super) fn put_counted(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes.len() {
        count @ 0..=0xfa => out.push(count as u8),
        count @ ..=0xffff => {
            out.push(0xfc);
            out.extend_from_slice(&(count as u16).to_le_bytes());
        }
        count => {
            out.push(0xfe);
            out.extend_from_slice(&(count as u64).to_le_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_there_and_back_and_no_cut() {
        for count in [0, 1, 250, 251, 65_535, 65_536, 70_000] {
            let bytes = vec![7; count];
            let mut out = Vec::new();
            put_counted(&bytes, &mut out);
            let mut fields = Fields::new(&out);
            assert_eq!(fields.counted().unwrap(), bytes);
            assert!(fields.rest().is_empty());
            for cut in 0..out.len().min(300) {
                assert!(Fields::new(&out[..cut]).counted().is_err());
            }
        }
        let claims_all = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert!(Fields::new(&claims_all).counted().is_err());
        assert!(Fields::new(&[0xfb]).count().is_err());
        assert!(Fields::new(b"no end").until_nul().is_err());
        assert!(Fields::new(&[0xff, 0]).number().is_err());
        assert_eq!(Fields::new(&[0xfd, 1, 0, 1]).number().unwrap(), 65_537);
    }
}
