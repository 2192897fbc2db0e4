//! The identity provider over HTTP: what it says of itself, its keys, and tokens for codes.
//!
//! Knows nothing of browsers. Every answer has a bound in time and size, no redirect is followed, and
//! nothing goes over a network in clear.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::jwk::JwkSet;
use reqwest::{Client, Url, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{
    config::{OidcConfig, OidcConfigError, check_address},
    id_token::{self, Claims, Expected},
};
use crate::call::unix_now;

const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long what the provider says of itself, and its keys, are good.
const FRESH: Duration = Duration::from_secs(3_600);
/// An unknown key asks for the keys anew, but not more often.
const FETCH_PAUSE: Duration = Duration::from_secs(30);

/// Why the provider could not be asked, or what it said is not good.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Nobody answered, or not as documented.
    #[error("{0}")]
    Unusable(String),
    /// It answered: no.
    #[error("{0}")]
    Refused(String),
}

impl Fault {
    /// Whether it says something about who logs in.
    pub(super) fn is_verdict(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// Who logged in, by what the provider says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) user: String,
    pub(super) roles: Vec<String>,
}

pub(super) struct Provider {
    config: OidcConfig,
    client: Client,
    known: Mutex<Option<Known>>,
}

/// What the provider said of itself.
#[derive(Clone)]
struct Known {
    document: Document,
    keys: JwkSet,
    since: Instant,
}

#[derive(Clone, Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Provider {
    pub(super) fn new(config: OidcConfig) -> Result<Self, OidcConfigError> {
        config.check()?;
        // Where nobody has said so yet: the client has none of its own.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let mut client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(TIMEOUT / 2)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0);
        if let Some(path) = &config.ca {
            let fault = |what: String| OidcConfigError { key: "ca", what };
            let pem = std::fs::read(path)
                .map_err(|error| fault(format!("{} cannot be read: {error}", path.display())))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| fault(format!("{} is no PEM: {error}", path.display())))?;
            client = client.tls_certs_only(authorities);
        }
        let client = client.build().map_err(|error| OidcConfigError {
            key: "issuer",
            what: format!("no client for it: {error}"),
        })?;
        Ok(Self { config, client, known: Mutex::default() })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// Whether browsers reach us over HTTPS.
    pub(super) fn is_behind_https(&self) -> bool {
        self.config.redirect_url.starts_with("https://")
    }

    /// Where a browser goes to log in.
    pub(super) async fn authorization(
        &self,
        state: &str,
        nonce: &str,
        challenge: &str,
    ) -> Result<String, Fault> {
        let document = self.known(None).await?.document;
        let mut url = address("authorization_endpoint", &document.authorization_endpoint)?;
        let mut scopes = vec!["openid"];
        scopes.extend(self.config.scopes.iter().map(String::as_str).filter(|s| *s != "openid"));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &self.config.redirect_url)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", state)
            .append_pair("nonce", nonce)
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Who logged in.
    pub(super) async fn redeem(
        &self,
        code: &str,
        verifier: &str,
        nonce: &str,
    ) -> Result<Identity, Fault> {
        let document = self.known(None).await?.document;
        let url = address("token_endpoint", &document.token_endpoint)?;
        let (client_id, redirect) = (&*self.config.client_id, &*self.config.redirect_url);
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ];
        let mut request = self.client.post(url);
        match &self.config.client_secret {
            Some(secret) => request = request.header("authorization", basic(client_id, secret)),
            None => form.push(("client_id", client_id)),
        }
        let request =
            request.header("content-type", "application/x-www-form-urlencoded").body(encode(&form));
        let tokens: Tokens = self.ask("token_endpoint", request, true).await?;
        let claims = self.verify(&tokens.id_token, nonce).await?;
        self.identity(&claims)
    }

    async fn verify(&self, token: &str, nonce: &str) -> Result<Claims, Fault> {
        let kid = id_token::key_id(token).map_err(Fault::Refused)?;
        let keys = self.known(kid.as_deref()).await?.keys;
        let expected = Expected {
            issuer: &self.config.issuer,
            client_id: &self.config.client_id,
            nonce,
            now_unix: unix_now(),
        };
        id_token::verify(token, &keys, &expected).map_err(Fault::Refused)
    }

    fn identity(&self, claims: &Claims) -> Result<Identity, Fault> {
        let named = claims.text(&self.config.user_claim);
        let user = named.filter(|user| (1..=256).contains(&user.len())).ok_or_else(|| {
            Fault::Refused(format!("the claim {:?} names no user", self.config.user_claim))
        })?;
        // Where people may say themselves what their address is, anybody could be anybody.
        if self.config.user_claim == "email" && !claims.is_true("email_verified") {
            let what = "the provider does not say that the email is verified";
            return Err(Fault::Refused(what.to_owned()));
        }
        let values = claims.texts(&self.config.roles_claim);
        Ok(Identity { user: user.to_owned(), roles: roles(&self.config.roles, &values) })
    }

    /// What the provider says of itself, not too old; and with this key, if it has it.
    async fn known(&self, kid: Option<&str>) -> Result<Known, Fault> {
        // Held while fetching: who comes meanwhile waits for the same answer.
        let mut known = self.known.lock().await;
        if let Some(known) = &*known {
            let age = known.since.elapsed();
            let has_key = kid.is_none_or(|kid| known.keys.find(kid).is_some());
            if age < FETCH_PAUSE || age < FRESH && has_key {
                return Ok(known.clone());
            }
        }
        let fetched = self.fetch().await?;
        *known = Some(fetched.clone());
        Ok(fetched)
    }

    async fn fetch(&self) -> Result<Known, Fault> {
        let issuer = self.config.issuer.trim_end_matches('/');
        let url = address("issuer", &format!("{issuer}/.well-known/openid-configuration"))?;
        let document: Document = self.ask("issuer", self.client.get(url), false).await?;
        if document.issuer != self.config.issuer {
            let what = format!("it calls itself {:?}, not as [admin.oidc] issuer", document.issuer);
            return Err(Fault::Unusable(what));
        }
        let url = address("jwks_uri", &document.jwks_uri)?;
        let keys = self.ask("jwks_uri", self.client.get(url), false).await?;
        Ok(Known { document, keys, since: Instant::now() })
    }

    /// An answer in JSON. `verdict` = that it is an error says something about who logs in.
    async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        request: reqwest::RequestBuilder,
        verdict: bool,
    ) -> Result<T, Fault> {
        // The address may hold nothing secret, but is no use in a log line either.
        let unusable = |error: reqwest::Error| {
            let error = error.without_url();
            let mut text = format!("{what}: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text.push_str(&format!(": {error}"));
                cause = error.source();
            }
            Fault::Unusable(text)
        };
        let mut response = request.send().await.map_err(unusable)?;
        let status = response.status();
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(unusable)? {
            if chunk.len() > ANSWER_BYTES_MAX - body.len() {
                let what = format!("{what}: the answer has more than {ANSWER_BYTES_MAX} bytes");
                return Err(Fault::Unusable(what));
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            let text = format!("{what}: the provider answered {}", status.as_u16());
            let refused = verdict && status == reqwest::StatusCode::BAD_REQUEST;
            return Err(if refused { Fault::Refused(text) } else { Fault::Unusable(text) });
        }
        // The error of serde could quote what it read.
        serde_json::from_slice(&body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Fault::Unusable(format!("{what}: not as documented, at line {line}, column {column}"))
        })
    }
}

/// Which roles these values of the claim give.
fn roles(mapped: &BTreeMap<String, Vec<String>>, values: &[&str]) -> Vec<String> {
    let mut roles: Vec<String> =
        values.iter().filter_map(|value| mapped.get(*value)).flatten().cloned().collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}

fn address(what: &str, text: &str) -> Result<Url, Fault> {
    check_address(text).map_err(|error| Fault::Unusable(format!("{what} {error}")))
}

/// `client_secret_basic`: both parts are encoded as in a form first.
fn basic(client_id: &str, secret: &str) -> String {
    let text = Zeroizing::new(format!("{}:{}", escape(client_id), escape(secret)));
    format!("Basic {}", STANDARD.encode(text.as_bytes()))
}

fn encode(form: &[(&str, &str)]) -> String {
    let pairs = form.iter().map(|(name, value)| format!("{name}={}", escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
