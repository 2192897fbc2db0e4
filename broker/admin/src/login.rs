//! `/api/v1/login`: logging in through the chain `[admin] chain`, who is logged in, and logging out.
//!
//! Knows nothing of how a password is judged, and nothing of what a token permits.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use access::{Login, Password, Refusal, RefusalKind};
use axum::http::StatusCode;
use limits::Claimant;
use serde::{Deserialize, Serialize};
use telemetry::events;
use utoipa::ToSchema;

use crate::{
    administrators::Administrator,
    call::{Answer, Call, Shared, json},
    guard::{self, Peer},
    problem::Problem,
};

/// Longest user name and password, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

/// Who wants to log in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// User name, 1 to 1,024 bytes.
    #[schema(min_length = 1, max_length = 1024)]
    username: String,
    /// Password, 1 to 1,024 bytes.
    #[schema(min_length = 1, max_length = 1024)]
    password: String,
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
}

/// A login.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedIn {
    /// For the header `Authorization: Bearer TOKEN`.
    token: String,
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
        }
    }
}

/// `POST /api/v1/login`
pub(crate) async fn log_in(call: Call) -> Answer {
    let peer = call.parts.extensions.get::<Peer>().map(|Peer(address)| *address);
    let (shared, Credentials { username, password }) = call.json::<Credentials>().await?;
    let password = Password::new(password.into_bytes());
    check("username", username.len())?;
    check("password", password.expose().len())?;
    if !shared.state.gate.has_admin_chain() {
        return Err(Problem::forbidden("nobody can log in: [admin] chain names no plugin"));
    }
    let remote = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let login = Login { username, password, remote };
    let result = judge(&shared, &login).await;
    events::AdminLogin {
        user: &login.username,
        remote: peer,
        refused: result.as_ref().err().map(|(cause, _)| cause.as_str()),
    }
    .emit(&shared.state.metrics);
    let logged_in = result.map_err(|(_, problem)| problem)?;
    json(StatusCode::OK, &logged_in)
}

fn check(what: &str, bytes: usize) -> Result<(), Problem> {
    if (1..=TEXT_BYTES_MAX).contains(&bytes) {
        return Ok(());
    }
    Err(Problem::invalid(format!("the {what} has {bytes} bytes"))
        .about(what)
        .allowed(format!("1 to {TEXT_BYTES_MAX} bytes")))
}

/// The login, or why not: for the log, and for who asked.
async fn judge(shared: &Shared, login: &Login) -> Result<LoggedIn, (String, Problem)> {
    let (remote, claimant) = (login.remote, Claimant::User(&login.username));
    let now = Instant::now();
    let backoff = || shared.backoff.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(wait) = backoff().attempt(remote, claimant, now) {
        let seconds = wait.until.saturating_duration_since(now).as_secs() + 1;
        let detail = format!("too many logins failed: try again in {seconds} s");
        return Err((wait.to_string(), Problem::too_many(detail)));
    }
    let now_unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |past| past.as_secs());
    let identity = match shared.state.gate.admit_admin(login, now_unix).await.result {
        Ok(identity) => identity,
        Err(refusal) => {
            match refusal.is_by_verdict() {
                true => drop(backoff().failed(remote, claimant, Instant::now())),
                false => backoff().undecided(remote, claimant),
            }
            return Err((refusal.to_string(), problem(&refusal)));
        }
    };
    backoff().succeeded(remote, claimant);
    let who = (&*identity.principal, identity.groups.as_slice());
    let now = (Instant::now(), now_unix);
    match shared.administrators.open(who, identity.expires_at_unix, now) {
        Ok(Some((token, who))) => {
            Ok(LoggedIn { token: token.as_str().to_owned(), who: WhoAmI::from(&*who) })
        }
        Ok(None) => {
            let cause = "no role of [admin.roles] that permits anything was granted";
            Err((cause.to_owned(), Problem::forbidden(cause)))
        }
        Err(error) => {
            let cause = format!("no random numbers: {error}");
            Err((cause.clone(), Problem::internal(cause)))
        }
    }
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
    if call.who()?.user.is_none() {
        let what = "the token of the first start does not end: it is in DATA_DIR/admin.token";
        return Err(Problem::forbidden(what));
    }
    if let Ok(token) = guard::offered(&call.parts.headers) {
        call.shared.administrators.close(token);
    }
    Ok(axum::response::IntoResponse::into_response(StatusCode::NO_CONTENT))
}

/// Wrong passwords of one address and user are heard ever more slowly.
pub(crate) fn backoff() -> Arc<std::sync::Mutex<limits::LoginBackoff>> {
    let config = limits::LoginBackoffConfig { pairs: 4_096, ..Default::default() };
    Arc::new(std::sync::Mutex::new(limits::LoginBackoff::new(config)))
}
