//! `/api/v1/login`: logging in, who is logged in, and logging out.
//!
//! Knows nothing of how somebody proves who it is: `proof` does. Every refusal passes here, where it
//! is counted and logged.

mod backoff;
mod proof;

pub(crate) use self::backoff::Backoff;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, PoisonError},
    time::Instant,
};

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use telemetry::events;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use self::proof::{Claim, Proved, Refused};
use crate::{
    administrators::Administrator,
    audit::{Action, Record},
    call::{Answer, Call, Shared, json, unix_now},
    cookie,
    guard::{self, Offered, Peer},
    problem::Problem,
};

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
    /// One-time code, of a user who has them.
    #[serde(default)]
    #[schema(min_length = 6, max_length = 6)]
    code: Option<String>,
    /// In the place of these: what is in DATA_DIR/admin.token. Only with `cookie`.
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
    let record = Record::new(Action::Login).from(peer);
    let (token, who) = match result {
        Ok(opened) => opened,
        Err((cause, problem)) => {
            let record = record.claims(claim.user()).status(problem.status.as_u16());
            shared.audit.record_refusal(record.cause(Some(&cause))).await;
            return Err(problem);
        }
    };
    if let Err(problem) = shared.audit.record(record.who(&who).status(200)).await {
        shared.administrators.close(Offered::Bearer(token.as_bytes()));
        return Err(problem);
    }
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
        Claim::Password(login, code) => {
            proof::by_password(shared, login, code.as_ref(), cookie).await
        }
        Claim::Token(token, _) => proof::by_token(shared, token)
            .ok_or_else(|| proof::refused("this is not the token of the first start")),
    };
    let Proved { opening, user } = match proved {
        Ok(proved) => proved,
        Err((decided, refused)) => {
            match decided {
                true => backoff().failed(remote, claimant, Instant::now()),
                false => backoff().undecided(remote, claimant),
            }
            return Err(refused);
        }
    };
    backoff().succeeded(remote, claimant);
    match shared.administrators.open(opening, (Instant::now(), unix_now())) {
        Ok(Some((token, who))) => {
            // Whoever changed the user meanwhile has ended the logins that were open then.
            if user.is_some_and(|user| !user.is_the_same(&shared.directory, &who)) {
                shared.administrators.close(Offered::Bearer(token.as_bytes()));
                let cause = "the user was changed meanwhile";
                return Err((cause.to_owned(), Problem::unauthorized("the login is refused")));
            }
            Ok((token, who))
        }
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

/// `GET /api/v1/login`
pub(crate) async fn show(call: Call) -> Answer {
    call.json_answer(&WhoAmI::from(&*call.who()?))
}

/// `DELETE /api/v1/login`
pub(crate) async fn log_out(call: Call) -> Answer {
    let who = call.who()?;
    if who.token_id.is_some() {
        return Err(Problem::forbidden("an API token ends when it is revoked"));
    }
    if who.ends_unix.is_none() {
        let what = "the token of the first start does not end: it is in DATA_DIR/admin.token";
        return Err(Problem::forbidden(what));
    }
    let offered = guard::offered(&call.parts.headers)?;
    let peer = call.parts.extensions.get::<Peer>().map(|Peer(peer)| *peer);
    let record = Record::new(Action::Logout).who(&who).from(peer);
    // Who wants to go is let go; the log has said what is wrong with the line.
    let _ = call.shared.audit.record(record).await;
    call.shared.administrators.close(offered);
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Offered::Cookie(_) = offered {
        give_cookie(&mut response, &call.parts.headers, "", 0)?;
    }
    Ok(response)
}
