//! Distinguished names as text (RFC 4514): what certificates and directories call people, devices and
//! groups. Knows nothing of which names are believed.

/// A name, read part by part; the part that names the thing itself comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinguishedName {
    parts: Vec<Vec<NamePart>>,
}

/// One `type=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePart {
    /// The attribute type in lower case: `cn`, `ou`; `email` for all of its spellings, and the short
    /// name where the text has the number of a common one.
    pub kind: String,
    /// The value without its escapes; none where the text has the encoding instead (`#04024869`).
    pub value: Option<String>,
}

/// Longer ones are nobody's name.
const BYTES_MAX: usize = 8 << 10;

impl DistinguishedName {
    /// Reads a name. An empty text is the empty name.
    ///
    /// # Errors
    /// A sentence that fits behind "the name ".
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > BYTES_MAX {
            return Err("is longer than 8192 bytes");
        }
        let mut parts = Vec::new();
        if text.is_empty() {
            return Ok(Self { parts });
        }
        let mut rest = text;
        loop {
            let mut part = Vec::new();
            let end = loop {
                let (name, end, behind) = read_part(rest)?;
                part.push(name);
                rest = behind;
                if end != Some('+') {
                    break end;
                }
            };
            parts.push(part);
            if end.is_none() {
                return Ok(Self { parts });
            }
        }
    }

    /// A kind as it is called here (see [`NamePart`]), of any of its spellings and of its number.
    ///
    /// # Errors
    /// A sentence that fits behind "the name ".
    pub fn kind(text: &str) -> Result<String, &'static str> {
        canonical(text)
    }

    /// The values of one kind (`cn`), in the order of the text; none for one that is no text.
    pub fn values(&self, kind: &str) -> impl Iterator<Item = Option<&str>> {
        let parts = self.parts.iter().flatten();
        parts.filter(move |part| part.kind == kind).map(|part| part.value.as_deref())
    }

    /// The value that names the thing itself, where there is exactly one.
    pub fn own_value(&self) -> Option<&str> {
        match self.parts.first().map(Vec::as_slice) {
            Some([part]) => part.value.as_deref(),
            _ => None,
        }
    }

    /// Whether it lies below `base`, or is the same; as directories compare, by words in any case.
    pub fn is_within(&self, base: &Self) -> bool {
        let (here, base) = (self.folded(), base.folded());
        here.ends_with(&base)
    }

    fn folded(&self) -> Vec<Vec<(&str, Option<String>)>> {
        self.parts.iter().map(|part| folded(part)).collect()
    }
}

fn folded(part: &[NamePart]) -> Vec<(&str, Option<String>)> {
    let folded = part.iter().map(|it| (it.kind.as_str(), it.value.as_deref().map(caseless)));
    let mut folded: Vec<_> = folded.collect();
    // Of several in one part none comes first.
    folded.sort_unstable();
    folded
}

/// A text as directories compare most of theirs: without regard to case and to how many spaces.
#[must_use]
pub fn caseless(text: &str) -> String {
    let words: Vec<_> = text.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}

/// Reads up to the next separator: the part, the separator, and what is behind it.
fn read_part(text: &str) -> Result<(NamePart, Option<char>, &str), &'static str> {
    let (kind, value) = text.split_once('=').ok_or("has a part without =")?;
    let kind = canonical(kind.trim_matches(' '))?;
    let value = value.trim_start_matches(' ');
    if let Some(encoded) = value.strip_prefix('#') {
        let end = encoded.find([',', ';', '+']);
        let (hex, end, behind) = cut(encoded, end);
        let hex = hex.trim_end_matches(' ');
        if hex.is_empty() || hex.len() % 2 != 0 || !hex.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err("has a # that is followed by no hexadecimal encoding");
        }
        return Ok((NamePart { kind, value: None }, end, behind));
    }
    let (value, end, behind) = read_value(value)?;
    Ok((NamePart { kind, value: Some(value) }, end, behind))
}

fn cut(text: &str, at: Option<usize>) -> (&str, Option<char>, &str) {
    let (before, from) = text.split_at(at.unwrap_or(text.len()));
    let mut behind = from.chars();
    let end = behind.next();
    (before, end, behind.as_str())
}

fn read_value(text: &str) -> Result<(String, Option<char>, &str), &'static str> {
    let mut bytes = Vec::new();
    // Spaces at the end count only if they are escaped.
    let mut kept = 0;
    let mut rest = text.chars();
    let end = loop {
        let Some(c) = rest.next() else { break None };
        match c {
            ',' | ';' | '+' => break Some(c),
            '\\' => {
                let (byte, behind) = read_escape(rest.as_str())?;
                bytes.push(byte);
                rest = behind.chars();
                kept = bytes.len();
            }
            '"' | '<' | '>' | '\0' => return Err("has a character that must be escaped"),
            c => {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                if c != ' ' {
                    kept = bytes.len();
                }
            }
        }
    };
    bytes.truncate(kept);
    let value = String::from_utf8(bytes).map_err(|_| "has a value that is not UTF-8")?;
    Ok((value, end, rest.as_str()))
}

/// What follows a backslash: two hexadecimal digits, or one of the characters that need it.
fn read_escape(text: &str) -> Result<(u8, &str), &'static str> {
    if let Some((hex, behind)) = text.split_at_checked(2)
        && hex.bytes().all(|c| c.is_ascii_hexdigit())
        && let Ok(byte) = u8::from_str_radix(hex, 16)
    {
        return Ok((byte, behind));
    }
    let mut rest = text.chars();
    match rest.next() {
        Some(c) if c.is_ascii() && " \"#+,;<=>\\".contains(c) => Ok((c as u8, rest.as_str())),
        _ => Err("has a \\ before something that needs none"),
    }
}

fn canonical(kind: &str) -> Result<String, &'static str> {
    let kind = kind.to_ascii_lowercase();
    let kind = kind.strip_prefix("oid.").unwrap_or(&kind);
    let is_kind = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if kind.is_empty() || !kind.chars().all(is_kind) {
        return Err("has a part whose type is no name and no number");
    }
    let known = COMMON.iter().find(|names| names.contains(&kind)).and_then(|names| names.first());
    Ok((*known.unwrap_or(&kind)).to_owned())
}

/// The name by which a kind is known here, and its others.
const COMMON: [&[&str]; 14] = [
    &["cn", "commonname", "2.5.4.3"],
    &["sn", "surname", "2.5.4.4"],
    &["serialnumber", "2.5.4.5"],
    &["c", "countryname", "2.5.4.6"],
    &["l", "localityname", "2.5.4.7"],
    &["st", "s", "stateorprovincename", "2.5.4.8"],
    &["street", "streetaddress", "2.5.4.9"],
    &["o", "organizationname", "2.5.4.10"],
    &["ou", "organizationalunitname", "2.5.4.11"],
    &["title", "2.5.4.12"],
    &["gn", "givenname", "2.5.4.42"],
    &["uid", "userid", "0.9.2342.19200300.100.1.1"],
    &["dc", "domaincomponent", "0.9.2342.19200300.100.1.25"],
    &["email", "e", "emailaddress", "1.2.840.113549.1.9.1"],
];

#[cfg(test)]
mod tests;
