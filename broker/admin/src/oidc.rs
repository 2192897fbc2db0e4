//! Logging in at an identity provider, OpenID Connect: authorization code flow with PKCE.
//!
//! Owns what is under way between a browser that leaves for the provider and the one that comes
//! back: only the one that left may, once, within ten minutes. `provider` asks the provider,
//! `id_token` judges what it says. Knows nothing of what roles permit.

mod config;
mod id_token;
mod provider;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use telemetry::events;
use utoipa::IntoParams;
use zeroize::Zeroizing;

use crate::{
    administrators::{Opening, Source, random_text},
    audit::{Action, Record},
    call::{Answer, Call, Shared, unix_now},
    cookie,
    guard::{self, Offered, Peer},
    problem::Problem,
    token::TokenHash,
};

pub use config::{OidcConfig, OidcConfigError};
use provider::Provider;

/// Logins under way at once; the one that ends first gives way.
const UNDER_WAY_MAX: usize = 4_096;
const UNDER_WAY: Duration = Duration::from_secs(600);
/// Where the cookie of a login under way is sent: to the way back alone.
const PATH: &str = "/api/v1/login/oidc";
const COOKIE: &str = "portcullis_oidc";

/// The identity provider, and the logins under way.
pub(crate) struct Oidc {
    provider: Provider,
    under_way: Mutex<HashMap<TokenHash, UnderWay>>,
}

/// A login whose browser is at the provider.
struct UnderWay {
    state: Zeroizing<String>,
    nonce: Zeroizing<String>,
    verifier: Zeroizing<String>,
    next: String,
    ends: Instant,
}

/// Where to go after the login.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginQuery {
    /// A path of this host; `/` if nothing is said.
    next: Option<String>,
}

/// What the provider says on the way back. It may say more, which means nothing here.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct CallbackQuery {
    /// For a token.
    code: Option<String>,
    /// As it was sent.
    state: Option<String>,
    /// Which provider it is.
    iss: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

impl Oidc {
    /// Asks nobody before the first login.
    pub(crate) fn new(config: OidcConfig) -> Result<Self, OidcConfigError> {
        Ok(Self { provider: Provider::new(config)?, under_way: Mutex::default() })
    }

    /// Remembers a login under way, by the cookie that its browser gets.
    fn remember(&self, cookie: &str, login: UnderWay, now: Instant) {
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, login| login.ends > now);
        if all.len() >= UNDER_WAY_MAX {
            let first = all.iter().min_by_key(|(_, login)| login.ends).map(|(hash, _)| *hash);
            first.and_then(|hash| all.remove(&hash));
        }
        all.insert(TokenHash::of(cookie.as_bytes()), login);
    }

    /// The login that belongs to what came back. Whatever comes of it, it does not come again.
    fn take(&self, cookie: &[u8], state: &str, now: Instant) -> Option<UnderWay> {
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let login = all.remove(&TokenHash::of(cookie)).filter(|login| login.ends > now)?;
        bool::from(login.state.as_bytes().ct_eq(state.as_bytes())).then_some(login)
    }
}

fn configured(shared: &Shared) -> Result<&Oidc, Problem> {
    let what = "no identity provider is configured: [admin.oidc]";
    shared.oidc.as_ref().ok_or_else(|| Problem::not_found(what))
}

/// `GET /api/v1/login/oidc`
pub(crate) async fn begin(call: Call) -> Answer {
    let oidc = configured(&call.shared)?;
    let BeginQuery { next } = call.query()?;
    let next = next.unwrap_or_else(|| "/".to_owned());
    if !guard::is_own_path(&next) {
        return Err(Problem::invalid("next is no path of this host").about("next"));
    }
    let random =
        || random_text().map_err(|error| Problem::internal(format!("no random numbers: {error}")));
    let (cookie, state, nonce, verifier) = (random()?, random()?, random()?, random()?);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let address = oidc
        .provider
        .authorization(&state, &nonce, &challenge)
        .await
        .map_err(|error| unreachable(&error))?;
    let now = Instant::now();
    let ends = now + UNDER_WAY;
    oidc.remember(&cookie, UnderWay { state, nonce, verifier, next, ends }, now);
    let location = HeaderValue::from_str(&address)
        .map_err(|_| Problem::internal("the address of the provider is none"))?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    // Lax: the way back begins on the provider's page.
    let secure = if oidc.provider.is_behind_https() { "; Secure" } else { "" };
    let age = UNDER_WAY.as_secs();
    let cookie = &*cookie;
    let text =
        format!("{COOKIE}={cookie}; Path={PATH}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
    set_cookie(&mut response, &text)?;
    Ok(response)
}

/// `GET /api/v1/login/oidc/callback`
pub(crate) async fn callback(call: Call) -> Answer {
    let oidc = configured(&call.shared)?;
    let peer = call.parts.extensions.get::<Peer>().map(|Peer(peer)| *peer);
    let query: CallbackQuery = call.query()?;
    let result = judge(&call.shared, oidc, &query, &call.parts.headers).await;
    let user = result.as_ref().map_or("-", |(opening, _)| opening.user.as_deref().unwrap_or("-"));
    events::AdminLogin {
        user,
        remote: peer,
        refused: result.as_ref().err().map(|(cause, _)| &**cause),
    }
    .emit(&call.shared.state.metrics);
    let record = Record::new(Action::Login).from(peer);
    let (opening, next) = match result {
        Ok(judged) => judged,
        Err((cause, problem)) => {
            let record = record.claims("-").status(problem.status.as_u16()).cause(Some(&cause));
            call.shared.audit.record_refusal(record).await;
            return Err(problem);
        }
    };
    let user = opening.user.clone().unwrap_or_default();
    let opened = call.shared.administrators.open(opening, (Instant::now(), unix_now()));
    let opened =
        opened.map_err(|error| Problem::internal(format!("no random numbers: {error}")))?;
    let Some((token, who)) = opened else {
        let cause = "no claim of the user is a role that permits anything";
        let record = record.claims(&user).status(403).cause(Some(cause));
        call.shared.audit.record_refusal(record).await;
        return Err(Problem::forbidden(cause));
    };
    if let Err(problem) = call.shared.audit.record(record.who(&who).status(200)).await {
        call.shared.administrators.close(Offered::Cookie(token.as_bytes()));
        return Err(problem);
    }
    let lasts = who.ends_unix.map_or(0, |ends| ends.saturating_sub(unix_now()));
    let mut response = page_to(&next);
    let cookie = cookie::set_with(oidc.provider.is_behind_https(), &token, lasts);
    let cookie = cookie.ok_or_else(|| Problem::internal("the cookie could not be written"))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    set_cookie(
        &mut response,
        &format!("{COOKIE}=; Path={PATH}; Max-Age=0; HttpOnly; SameSite=Lax"),
    )?;
    Ok(response)
}

/// Why a login is refused: for the log, and for who asked.
type Refused = (String, Problem);

/// Who came back, and where to.
async fn judge(
    shared: &Shared,
    oidc: &Oidc,
    query: &CallbackQuery,
    headers: &HeaderMap,
) -> Result<(Opening, String), Refused> {
    let refused = |cause: String| (cause, Problem::unauthorized("the login is refused"));
    let cookie = cookie::named(headers, COOKIE).next().unwrap_or_default();
    let state = query.state.as_deref().unwrap_or_default();
    let login = oidc.take(cookie, state, Instant::now()).ok_or_else(|| {
        refused("no login of this browser is under way, or its time is over".to_owned())
    })?;
    if query.iss.as_deref().is_some_and(|issuer| issuer != oidc.provider.issuer()) {
        return Err(refused("the answer is one of another provider".to_owned()));
    }
    let code = match (&query.code, &query.error) {
        (Some(code), None) => code,
        (_, Some(error)) => return Err(refused(format!("the provider refused: {error}"))),
        (None, None) => return Err(refused("the provider sent no code".to_owned())),
    };
    let said = oidc.provider.redeem(code, &login.verifier, &login.nonce).await;
    let identity = said.map_err(|error| match error.is_verdict() {
        true => refused(error.to_string()),
        false => (error.to_string(), unreachable(&error)),
    })?;
    if shared.directory.kept().users.contains_key(&identity.user) {
        return Err(refused(format!(
            "the provider vouches for {:?}, a user of the directory",
            identity.user
        )));
    }
    let (roles, permissions) = shared.directory.permitted(&identity.roles);
    let opening = Opening {
        user: Some(identity.user),
        roles,
        permissions,
        expires_at_unix: None,
        cookie: true,
        source: Source::Oidc,
    };
    Ok((opening, login.next))
}

fn unreachable(error: &provider::Fault) -> Problem {
    tracing::warn!(%error, "the identity provider could not be asked");
    Problem::busy("the identity provider could not be asked: the log says why")
}

fn set_cookie(response: &mut Response, text: &str) -> Result<(), Problem> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Problem::internal("the cookie could not be written"))?;
    value.set_sensitive(true);
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

/// A page that goes on by itself. A redirect would still count as one from the provider's site, and
/// the browser would not send the cookie of the login along.
fn page_to(next: &str) -> Response {
    let next = next.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Logged in</title>\
         <meta http-equiv=\"refresh\" content=\"0;url={next}\">\
         <a href=\"{next}\">Go on</a></html>\n"
    );
    let mut response = Response::new(Body::from(page));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

#[cfg(test)]
mod tests;
