//! User Names that are tokens: some clients put theirs there, and whoever reads it can use it.

/// A User Name as it may be shown to people: not if it is a JSON Web Token.
pub fn shown_username(name: &str) -> &str {
    let of_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut parts = name.split('.');
    // `{` in base64, then more of it.
    let is_header = parts.next().is_some_and(|header| header.starts_with("ey") && header.len() > 8);
    let is_token =
        is_header && parts.count() == 2 && name.split('.').all(|part| part.bytes().all(of_base64));
    if is_token { "(a token)" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_shown() {
        for token in ["eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "eyJhbGciOiJub25lIn0.e30."] {
            assert_eq!(shown_username(token), "(a token)");
        }
        for name in ["", "alice", "eyes.of.blue", "eyJhbGciOiJSUzI1NiJ9", "a.b.c", "eyJhbGciO.x"] {
            assert_eq!(shown_username(name), name);
        }
    }
}
