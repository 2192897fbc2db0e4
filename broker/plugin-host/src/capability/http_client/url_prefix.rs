//! What a grant of `http` means: which URLs begin with it. Judges text, resolves nothing.

use std::{fmt, net::IpAddr};

use url::{Host, Url};

/// Scheme, host, port and the begin of the path, up to a `/` or the end of a segment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UrlPrefix(Url);

impl UrlPrefix {
    /// `https://HOST[:PORT]/[PATH]`, or `http:`. The error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err("must begin with https:// or http://".to_owned());
        }
        if has_user(&url) || url.query().is_some() || url.fragment().is_some() {
            return Err("must have no user, no query and no fragment".to_owned());
        }
        Ok(Self(url))
    }

    /// Whether `url` begins with it.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        let place = |url: &Url| (url.scheme() == self.0.scheme(), url.port_or_known_default());
        place(url) == (true, self.0.port_or_known_default())
            && url.host() == self.0.host()
            && !has_user(url)
            && path_begins_with(url.path(), self.0.path())
    }

    /// The address that it names, if it names one and no name.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        literal(&self.0)
    }
}

impl fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// The address that a URL names, if it names one and no name.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

pub(super) fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// `/a/` covers what is below it, `/a` itself as well and not `/ab`. Below the root a path that
/// hides a separator is refused: a server may decode it and leave the granted part.
fn path_begins_with(path: &str, prefix: &str) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else { return false };
    let at_border = prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/');
    let lower = path.to_ascii_lowercase();
    let hides = lower.contains("%2f") || lower.contains("%5c") || lower.contains("%2e");
    at_border && (prefix == "/" || !hides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prefix: &str, url: &str, expected: bool) {
        let allowed = UrlPrefix::parse(prefix).unwrap().allows(&Url::parse(url).unwrap());
        assert_eq!(allowed, expected, "{prefix} {url}");
    }

    #[test]
    fn scheme_host_port_and_path_at_a_border() {
        check("https://idp.example/", "https://idp.example/any/thing?q=1", true);
        check("https://idp.example", "https://idp.example:443/x", true);
        check("https://idp.example/", "http://idp.example/", false);
        check("https://idp.example/", "https://idp.example:8443/", false);
        check("https://idp.example/", "https://idp.example.evil/", false);
        check("https://idp.example/", "https://evil@idp.example/", false);
        check("https://idp.example/", "https://idp.example@evil/", false);
        check("https://idp.example/", "https://IDP.EXAMPLE/", true);
        check("https://idp.example/", "https://idp.example\\@evil/", true);
        check("https://idp.example/a", "https://idp.example/a", true);
        check("https://idp.example/a", "https://idp.example/a/b", true);
        check("https://idp.example/a", "https://idp.example/ab", false);
        check("https://idp.example/a/", "https://idp.example/a", false);
        check("https://idp.example/a/", "https://idp.example/a/../b", false);
        check("https://idp.example/a/", "https://idp.example/a/%2e%2e/b", false);
        check("https://idp.example/a/", "https://idp.example/a/..%2fb", false);
        check("https://idp.example/a/", "https://idp.example/a/..%5Cb", false);
        check("https://idp.example/", "https://idp.example/..%2fb", true);
        check("http://127.0.0.1:80/", "http://0x7f.1/", true);
    }

    #[test]
    fn a_grant_is_the_begin_of_a_url() {
        for (text, what) in [
            ("idp.example", "is no URL"),
            ("ftp://idp.example/", "must begin with"),
            ("https://", "is no URL"),
            ("https://user@idp.example/", "no user"),
            ("https://idp.example/?a", "no query"),
            ("https://idp.example/#a", "no fragment"),
        ] {
            let error = UrlPrefix::parse(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
