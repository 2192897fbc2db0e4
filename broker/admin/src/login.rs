//! `/api/v1/login`: logging in through the chain `[admin] chain` or with the token of the first start, who
//! is logged in, and logging out.
//!
//! Knows nothing of how a password is judged, and nothing of what a token permits.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use access::{Login, Password, Refusal, RefusalKind};
use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use limits::Claimant;
use serde::{Deserialize, Serialize};
use telemetry::events;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::{
    administrators::{Administrator, Opening, Permissions},
    call::{Answer, Call, Shared, json},
    cookie,
    guard::{self, Offered, Peer},
    problem::Problem,
};

/// Longest user name and password, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

/// Who wants to log in: user name and password, or the token of the first start for a cookie.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// User name, 1 to 1,024 bytes.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1024)]
    username: Option<String>,
    /// Password, 1 to 1,024 bytes.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1024)]
    password: Option<String>,
    /// In the place of both: what is in DATA_DIR/admin.token. Only with `cookie`.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1024)]
    token: Option<String>,
    /// Whether the token of the login comes as a cookie and not in the answer.
    #[serde(default)]
    cookie: bool,
}

/// Who is logged in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhoAmI {
    /// The user; null for whoever holds the token of the first start.
    user: Option<String>,
    /// Roles.
    roles: Vec<String>,
    /// What they permit together.
    permissions: Vec<&'static str>,
    /// When the login ends, seconds since 1970; null = never.
    expires_at: Option<u64>,
    /// Of a login with a cookie: for the header `X-CSRF-Token` of every request but GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf: Option<String>,
}

/// A login.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedIn {
    /// For the header `Authorization: Bearer TOKEN`; not with `cookie`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(flatten)]
    who: WhoAmI,
}

impl From<&Administrator> for WhoAmI {
    fn from(who: &Administrator) -> Self {
        Self {
            user: who.user.clone(),
            roles: who.roles.clone(),
            permissions: who.permissions.names().collect(),
            expires_at: who.ends_unix,
            csrf: who.csrf.clone(),
        }
    }
}

/// `POST /api/v1/login`
pub(crate) async fn log_in(call: Call) -> Answer {
    let peer = call.parts.extensions.get::<Peer>().map(|Peer(address)| *address);
    let headers = call.parts.headers.clone();
    let (shared, credentials) = call.json::<Credentials>().await?;
    let remote = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let cookie = credentials.cookie;
    let claim = Claim::of(credentials, remote)?;
    let result = judge(&shared, &claim, cookie).await;
    events::AdminLogin {
        user: claim.user(),
        remote: peer,
        refused: result.as_ref().err().map(|(cause, _)| cause.as_str()),
    }
    .emit(&shared.state.metrics);
    let (token, who) = result.map_err(|(_, problem)| problem)?;
    let in_body = (!cookie).then(|| token.as_str().to_owned());
    let mut response =
        json(StatusCode::OK, &LoggedIn { token: in_body, who: WhoAmI::from(&*who) })?;
    if cookie {
        let lasts = who.ends_unix.map_or(0, |ends| ends.saturating_sub(unix_now()));
        give_cookie(&mut response, &headers, &token, lasts)?;
    }
    Ok(response)
}

fn give_cookie(
    response: &mut Response,
    headers: &HeaderMap,
    token: &str,
    seconds: u64,
) -> Result<(), Problem> {
    let value = cookie::set(headers, token, seconds);
    let value = value.ok_or_else(|| Problem::internal("the cookie could not be written"))?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(())
}

/// What somebody says to be let in.
enum Claim {
    /// Name and password.
    Password(Login),
    /// The token of the first start, from here.
    Token(Zeroizing<String>, IpAddr),
}

impl Claim {
    fn of(credentials: Credentials, remote: IpAddr) -> Result<Self, Problem> {
        let Credentials { username, password, token, cookie } = credentials;
        match (username, password, token) {
            (Some(username), Some(password), None) => {
                let password = Password::new(password.into_bytes());
                check("username", username.len())?;
                check("password", password.expose().len())?;
                Ok(Self::Password(Login { username, password, remote }))
            }
            (None, None, Some(token)) if cookie => {
                let token = Zeroizing::new(token);
                check("token", token.len())?;
                Ok(Self::Token(token, remote))
            }
            (None, None, Some(_)) => {
                Err(Problem::invalid("a token needs no login but for a cookie")
                    .about("cookie")
                    .allowed("true"))
            }
            _ => Err(Problem::invalid("the body says not who logs in")
                .allowed("username and password, or token and cookie = true")),
        }
    }

    fn user(&self) -> &str {
        match self {
            Self::Password(login) => &login.username,
            Self::Token(..) => TOKEN_FILE,
        }
    }

    /// Whose failures count together. The token is nobody's name.
    fn claimant(&self) -> (IpAddr, Claimant<'_>) {
        match self {
            Self::Password(login) => (login.remote, Claimant::User(&login.username)),
            Self::Token(_, remote) => (*remote, Claimant::Client(TOKEN_FILE)),
        }
    }
}

const TOKEN_FILE: &str = "admin.token";

fn check(what: &str, bytes: usize) -> Result<(), Problem> {
    if (1..=TEXT_BYTES_MAX).contains(&bytes) {
        return Ok(());
    }
    Err(Problem::invalid(format!("the {what} has {bytes} bytes"))
        .about(what)
        .allowed(format!("1 to {TEXT_BYTES_MAX} bytes")))
}

/// Why a login is refused: for the log, and for who asked.
type Refused = (String, Problem);

/// The login, or why not.
async fn judge(
    shared: &Shared,
    claim: &Claim,
    cookie: bool,
) -> Result<(Zeroizing<String>, Arc<Administrator>), Refused> {
    let (remote, claimant) = claim.claimant();
    let now = Instant::now();
    let backoff = || shared.backoff.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(wait) = backoff().attempt(remote, claimant, now) {
        let seconds = wait.until.saturating_duration_since(now).as_secs() + 1;
        let detail = format!("too many logins failed: try again in {seconds} s");
        return Err((wait.to_string(), Problem::too_many(detail)));
    }
    let proved = match claim {
        Claim::Password(login) => by_chain(shared, login, cookie).await,
        Claim::Token(token, _) => by_token(shared, token),
    };
    let opening = match proved {
        Ok(opening) => opening,
        Err((decided, refused)) => {
            match decided {
                true => drop(backoff().failed(remote, claimant, Instant::now())),
                false => backoff().undecided(remote, claimant),
            }
            return Err(refused);
        }
    };
    backoff().succeeded(remote, claimant);
    match shared.administrators.open(opening, (Instant::now(), unix_now())) {
        Ok(Some(opened)) => Ok(opened),
        Ok(None) => {
            let cause = "no role that permits anything was granted";
            Err((cause.to_owned(), Problem::forbidden(cause)))
        }
        Err(error) => {
            let cause = format!("no random numbers: {error}");
            Err((cause.clone(), Problem::internal(cause)))
        }
    }
}

/// Whether the refusal says anything about who asked, and why.
type Unproved = (bool, Refused);

/// Asks the chain `[admin] chain`.
async fn by_chain(shared: &Shared, login: &Login, cookie: bool) -> Result<Opening, Unproved> {
    if !shared.state.gate.has_admin_chain() {
        let what = "nobody can log in: [admin] chain names no plugin";
        return Err((false, (what.to_owned(), Problem::forbidden(what))));
    }
    let judged = shared.state.gate.admit_admin(login, unix_now()).await.result;
    let identity = judged
        .map_err(|refusal| (refusal.is_by_verdict(), (refusal.to_string(), problem(&refusal))))?;
    let (roles, permissions) = shared.administrators.permitted(&identity.groups);
    let user = Some((*identity.principal).to_owned());
    let expires_at_unix = identity.expires_at_unix;
    Ok(Opening { user, roles, permissions, expires_at_unix, cookie })
}

/// The token of the first start opens a browser's login, so that the browser never keeps the token.
fn by_token(shared: &Shared, token: &str) -> Result<Opening, Unproved> {
    if !shared.administrators.is_holder(token.as_bytes()) {
        let what = "this is not the token of the first start";
        return Err((true, (what.to_owned(), Problem::unauthorized("the login is refused"))));
    }
    let permissions = Permissions::all();
    Ok(Opening { user: None, roles: Vec::new(), permissions, expires_at_unix: None, cookie: true })
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |past| past.as_secs())
}

/// Who asked is not told which part was wrong, or what is broken.
fn problem(refusal: &Refusal) -> Problem {
    match refusal.kind {
        RefusalKind::PluginFailure | RefusalKind::Busy => {
            Problem::busy("the login could not be judged: the log says why")
        }
        _ => Problem::unauthorized("the login is refused"),
    }
}

/// `GET /api/v1/login`
pub(crate) async fn show(call: Call) -> Answer {
    call.json_answer(&WhoAmI::from(&*call.who()?))
}

/// `DELETE /api/v1/login`
pub(crate) async fn log_out(call: Call) -> Answer {
    if call.who()?.ends_unix.is_none() {
        let what = "the token of the first start does not end: it is in DATA_DIR/admin.token";
        return Err(Problem::forbidden(what));
    }
    let offered = guard::offered(&call.parts.headers)?;
    call.shared.administrators.close(offered);
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Offered::Cookie(_) = offered {
        give_cookie(&mut response, &call.parts.headers, "", 0)?;
    }
    Ok(response)
}

/// Wrong passwords of one address and user are heard ever more slowly.
pub(crate) fn backoff() -> Arc<std::sync::Mutex<limits::LoginBackoff>> {
    let config = limits::LoginBackoffConfig { pairs: 4_096, ..Default::default() };
    Arc::new(std::sync::Mutex::new(limits::LoginBackoff::new(config)))
}
