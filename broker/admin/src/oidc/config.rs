//! What is configured of the identity provider: `[admin.oidc]`.
//!
//! Knows nothing of configuration files; `portcullis` fills it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use reqwest::Url;
use zeroize::Zeroizing;

/// The identity provider, and what its claims mean here.
#[derive(Clone, PartialEq, Eq)]
pub struct OidcConfig {
    /// Its name, an https address (http on loopback) below which
    /// `/.well-known/openid-configuration` is found.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// What we show for it; `None` = a public client, for which PKCE has to do.
    pub client_secret: Option<Zeroizing<String>>,
    /// What is asked for; `openid` is added.
    pub scopes: Vec<String>,
    /// Where browsers come back to, as it is registered there:
    /// `https://HOST/api/v1/login/oidc/callback`.
    pub redirect_url: String,
    /// The claim that names the user, a text.
    pub user_claim: String,
    /// The claim whose values are roles, a text or a list of texts.
    pub roles_claim: String,
    /// Which roles a value of that claim gives. Others give none.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Authorities of its certificate in PEM, in the place of those of the machine.
    pub ca: Option<PathBuf>,
}

impl fmt::Debug for OidcConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { issuer, client_id, redirect_url, .. } = self;
        let mut config = f.debug_struct("OidcConfig");
        config.field("issuer", issuer).field("client_id", client_id);
        config.field("redirect_url", redirect_url).finish_non_exhaustive()
    }
}

/// Why a provider cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("[admin.oidc] {key}: {what}")]
pub struct OidcConfigError {
    /// The key.
    pub key: &'static str,
    /// What is wrong.
    pub what: String,
}

/// Path of the way back.
const CALLBACK: &str = "/api/v1/login/oidc/callback";

impl OidcConfig {
    /// Checks what can be known without asking the provider.
    ///
    /// # Errors
    /// The first key that is not acceptable.
    pub fn check(&self) -> Result<(), OidcConfigError> {
        let fault = |key, what: &str| OidcConfigError { key, what: what.to_owned() };
        check_address(&self.issuer).map_err(|what| fault("issuer", &what))?;
        check_address(&self.redirect_url).map_err(|what| fault("redirect_url", &what))?;
        if !self.redirect_url.ends_with(CALLBACK) {
            let what = format!("does not end with {CALLBACK}");
            return Err(fault("redirect_url", &what));
        }
        for (key, text) in [
            ("client_id", &self.client_id),
            ("user_claim", &self.user_claim),
            ("roles_claim", &self.roles_claim),
        ] {
            if !(1..=256).contains(&text.len()) {
                return Err(fault(key, "allowed: 1 to 256 bytes"));
            }
        }
        if self.roles.is_empty() {
            return Err(fault("map", "is empty: nobody would get a role"));
        }
        Ok(())
    }
}

/// Whether this is an address that may be asked: encrypted, or on this machine.
pub(super) fn check_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is no address: {error}"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" if !host.is_empty() => Ok(url),
        "http" if loopback => Ok(url),
        _ => {
            Err("is not an https address, allowed: https://..., or http:// on loopback".to_owned())
        }
    }
}
