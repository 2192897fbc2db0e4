//! The client's two messages (RFC 5802, section 7). What is not understood is refused, as the
//! standard wants it of extensions too.

/// Longer ones are not looked at.
const BYTES_MAX: usize = 4_096;
const NONCE_BYTES: std::ops::RangeInclusive<usize> = 8..=256;
const NAME_BYTES_MAX: usize = 256;

/// The first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFirst<'a> {
    /// `n,,` or `y,,`, perhaps with a name: the second message repeats it.
    pub(crate) header: &'a str,
    /// What is behind it.
    pub(crate) bare: &'a str,
    pub(crate) username: String,
    pub(crate) nonce: &'a str,
}

/// The second.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFinal<'a> {
    /// What the proof is over.
    pub(crate) without_proof: &'a str,
    /// The header of the first message, in base64.
    pub(crate) channel_binding: &'a str,
    pub(crate) nonce: &'a str,
    /// In base64.
    pub(crate) proof: &'a str,
}

impl<'a> ClientFirst<'a> {
    /// # Errors
    /// What is wrong, for the log; nothing of it is shown.
    pub(crate) fn parse(data: &'a [u8]) -> Result<Self, &'static str> {
        let text = text(data)?;
        let (binding, rest) = text.split_once(',').ok_or("has no header")?;
        match binding {
            // `y`: it could bind to the channel, and saw that it is not offered. It was not.
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err("wants channel binding"),
            _ => return Err("has a header of an unknown kind"),
        }
        let (identity, bare) = rest.split_once(',').ok_or("has no header")?;
        let header_bytes = text.len() - bare.len();
        let header = text.get(..header_bytes).ok_or("has no header")?;
        let fields: Vec<&str> = bare.split(',').collect();
        let [name, nonce] = *fields.as_slice() else {
            return Err("is not n=NAME,r=NONCE");
        };
        let username = saslname(name.strip_prefix("n=").ok_or("has no name")?)?;
        let nonce = nonce.strip_prefix("r=").ok_or("has no nonce")?;
        check_nonce(nonce)?;
        // To act for another is nothing that is decided here.
        if !identity.is_empty() {
            let other = identity.strip_prefix("a=").ok_or("has a header of an unknown kind")?;
            if saslname(other)? != username {
                return Err("wants to act for another");
            }
        }
        Ok(Self { header, bare, username, nonce })
    }
}

impl<'a> ClientFinal<'a> {
    /// # Errors
    /// As above.
    pub(crate) fn parse(data: &'a [u8]) -> Result<Self, &'static str> {
        let text = text(data)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or("has no proof")?;
        let fields: Vec<&str> = without_proof.split(',').collect();
        let [channel_binding, nonce] = *fields.as_slice() else {
            return Err("is not c=HEADER,r=NONCE,p=PROOF");
        };
        let channel_binding = channel_binding.strip_prefix("c=").ok_or("has no header")?;
        let nonce = nonce.strip_prefix("r=").ok_or("has no nonce")?;
        Ok(Self { without_proof, channel_binding, nonce, proof })
    }
}

fn text(data: &[u8]) -> Result<&str, &'static str> {
    if data.len() > BYTES_MAX {
        return Err("is longer than 4,096 bytes");
    }
    str::from_utf8(data).map_err(|_| "is not UTF-8")
}

fn check_nonce(nonce: &str) -> Result<(), &'static str> {
    // A comma ended it.
    let is_printable = nonce.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    match is_printable && NONCE_BYTES.contains(&nonce.len()) {
        true => Ok(()),
        false => Err("has a nonce that is not 8 to 256 printable characters"),
    }
}

/// A name with `=2C` for a comma and `=3D` for an equals sign, prepared (RFC 4013): of printable
/// ASCII that is the name itself. Others cannot be prepared here, and could be taken for each other.
fn saslname(text: &str) -> Result<String, &'static str> {
    let mut name = String::with_capacity(text.len());
    let mut parts = text.split('=');
    name.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (sign, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err("has a name with an equals sign that stands for nothing"),
        };
        name.push(sign);
        name.push_str(rest);
    }
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err("has a name that is not 1 to 256 bytes");
    }
    match name.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        true => Ok(name),
        false => Err("has a name that is not printable ASCII"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_messages() {
        let first = ClientFirst::parse(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        assert_eq!((first.header, &*first.username), ("n,,", "user"));
        assert_eq!(
            (first.bare, first.nonce),
            ("n=user,r=rOprNGfwEbeRWgbNEkqO", "rOprNGfwEbeRWgbNEkqO")
        );
        let first = ClientFirst::parse(b"y,a=a=2Cb=3D,n=a=2Cb=3D,r=01234567").unwrap();
        assert_eq!((first.header, &*first.username), ("y,a=a=2Cb=3D,", "a,b="));
        for (odd, what) in [
            (&b""[..], "no header"),
            (b"n", "no header"),
            (b"n,", "no header"),
            (b"n=user,r=01234567", "unknown kind"),
            (b"p=tls-exporter,,n=user,r=01234567", "channel binding"),
            (b"z,,n=user,r=01234567", "unknown kind"),
            (b"n,,m=x,n=user,r=01234567", "is not n="),
            (b"n,,n=user,r=01234567,x=1", "is not n="),
            (b"n,,n=user", "is not n="),
            (b"n,,r=01234567,n=user", "no name"),
            (b"n,,n=,r=01234567", "1 to 256"),
            (b"n,,n=a=2c,r=01234567", "equals sign"),
            (b"n,,n=a=,r=01234567", "equals sign"),
            (b"n,,n=\xc3\xa4,r=01234567", "printable ASCII"),
            (b"n,,n=a\x7f,r=01234567", "printable ASCII"),
            (b"n,,n=\xff,r=01234567", "UTF-8"),
            (b"n,,n=user,r=0123456", "nonce"),
            (b"n,,n=user,r=0123 4567", "nonce"),
            (b"n,a=other,n=user,r=01234567", "act for another"),
            (b"n,b=user,n=user,r=01234567", "unknown kind"),
            (&[b'n'; 5_000], "longer"),
        ] {
            let said = ClientFirst::parse(odd).unwrap_err();
            assert!(said.contains(what), "{odd:?}: {said}");
        }
    }

    #[test]
    fn final_messages() {
        let last = ClientFinal::parse(b"c=biws,r=abc,p=cA==").unwrap();
        assert_eq!((last.without_proof, last.channel_binding), ("c=biws,r=abc", "biws"));
        assert_eq!((last.nonce, last.proof), ("abc", "cA=="));
        for odd in [
            &b""[..],
            b"c=biws,r=abc",
            b"c=biws,p=cA==",
            b"r=abc,c=biws,p=cA==",
            b"c=biws,r=abc,m=x,p=cA==",
            b"c=biws,r=abc,p=cA==,p=x,x",
        ] {
            assert!(ClientFinal::parse(odd).is_err(), "{odd:?}");
        }
    }
}
