//! Where a token stands, and what it looks like. Judges nothing.

/// What a text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Three parts with dots between, the first of which is an object.
    Jwt,
    /// Characters of a bearer token (RFC 6750 section 2.1).
    Opaque,
    /// No token.
    Other,
}

/// What a text looks like.
pub(crate) fn shape(text: &str) -> Shape {
    if text.is_empty() || text.len() > TOKEN_BYTES_MAX {
        return Shape::Other;
    }
    let of_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut parts = text.split('.');
    if let (Some(header), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
        && [header, claims, signature].iter().all(|part| part.bytes().all(of_base64))
        && begins_an_object(header)
    {
        return Shape::Jwt;
    }
    let body = text.trim_end_matches('=').bytes();
    let allowed = |byte| of_base64(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/');
    if text.starts_with('=') || !body.into_iter().all(allowed) {
        return Shape::Other;
    }
    Shape::Opaque
}

/// Whether base64 begins with what `{` begins with: the first six bits, and two of the next.
fn begins_an_object(base64: &str) -> bool {
    let mut bytes = base64.bytes();
    bytes.next() == Some(b'e')
        && matches!(bytes.next(), Some(b'w'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

/// The token in Authentication Data: as it is, or in the message of SASL's `OAUTHBEARER` (RFC 7628
/// section 3.1) where that is the method.
pub(crate) fn of_auth<'a>(method: &str, data: &'a [u8]) -> Option<&'a str> {
    let text = std::str::from_utf8(data).ok()?;
    if method != "OAUTHBEARER" {
        return Some(text);
    }
    let mut fields = text.split('\u{1}');
    // Without channel binding, which is the GS2 header `n`.
    if !fields.next()?.starts_with("n,") {
        return None;
    }
    let mut found = fields.filter_map(|field| field.strip_prefix("auth="));
    let (value, None) = (found.next()?, found.next()) else { return None };
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// What the host judges; the most that is looked at.
const TOKEN_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests;
