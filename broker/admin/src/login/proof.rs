//! How somebody proves who it is: as a user of the directory, to the chain `[admin] chain`, or with
//! the token of the first start.
//!
//! Knows nothing of HTTP answers beyond the problems. A name belongs to the directory or to the
//! chain, never to both: a wrong password of a user of the directory is not tried on the chain, and
//! the chain cannot vouch for such a name.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError},
    time::Instant,
};

use access::{LinkReport, Login, Password, Refusal, RefusalKind, Verdict};
use limits::Claimant;
use telemetry::{PluginCallRecord, Traced};
use zeroize::Zeroizing;

use super::Credentials;
use crate::{
    administrators::{Administrator, Opening, Permissions, Source},
    call::{Shared, blocking, unix_now},
    decisions::verdict_name,
    directory::{Directory, User},
    problem::Problem,
};

/// Longest user name, password and token, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

/// What somebody says to be let in.
pub(super) enum Claim {
    /// Name and password, and a one-time code.
    Password(Login, Option<Zeroizing<String>>),
    /// The token of the first start, from here.
    Token(Zeroizing<String>, IpAddr),
}

impl Claim {
    pub(super) fn of(credentials: Credentials, remote: IpAddr) -> Result<Self, Problem> {
        let Credentials { username, password, code, token, cookie } = credentials;
        let code = code.map(Zeroizing::new);
        match (username, password, token) {
            (Some(username), Some(password), None) => {
                let password = Password::new(password.into_bytes());
                check("username", username.len())?;
                check("password", password.expose().len())?;
                code.as_ref().map_or(Ok(()), |code| check("code", code.len()))?;
                Ok(Self::Password(Login { username, password, remote }, code))
            }
            (None, None, Some(token)) if cookie && code.is_none() => {
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

    pub(super) fn user(&self) -> &str {
        match self {
            Self::Password(login, _) => &login.username,
            Self::Token(..) => TOKEN_FILE,
        }
    }

    /// Whose failures count together. The token is nobody's name.
    pub(super) fn claimant(&self) -> (IpAddr, Claimant<'_>) {
        match self {
            Self::Password(login, _) => (login.remote, Claimant::User(&login.username)),
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
pub(super) type Refused = (String, Problem);

/// Whether the refusal says anything about who asked, and why.
type Unproved = (bool, Refused);

/// Somebody who proved who it is.
pub(super) struct Proved {
    pub(super) opening: Opening,
    /// The user of the directory, as it was looked at.
    pub(super) user: Option<Seen>,
}

/// A user of the directory as a login saw it.
pub(super) struct Seen {
    name: String,
    user: User,
}

impl Seen {
    /// Whether the directory still says of the user what this login was given.
    pub(super) fn is_the_same(&self, directory: &Directory, given: &Administrator) -> bool {
        let kept = directory.kept();
        kept.users.get(&self.name).is_some_and(|user| {
            let may = || directory.permitted_in(&kept, &user.roles).1;
            !user.disabled && user.password == self.user.password && may() == given.permissions
        })
    }
}

/// Users of the directory first; a name that is none of theirs is asked of the chain.
pub(super) async fn by_password(
    shared: &Shared,
    login: &Login,
    code: Option<&Zeroizing<String>>,
    cookie: bool,
) -> Result<Proved, Unproved> {
    let kept = shared.directory.kept();
    if kept.users.is_empty() {
        return by_chain(shared, login, cookie).await;
    }
    let user = kept.users.get(&login.username).cloned();
    let password = Zeroizing::new(login.password.expose().to_vec());
    let hash = user.as_ref().map(|user| user.password.clone());
    let fits = shared.hashing.verify(hash, password).await;
    let fits = fits.map_err(|problem| (false, (problem.detail.clone(), problem)))?;
    let Some(user) = user else {
        return match shared.state.gate.has_admin_chain() {
            true => by_chain(shared, login, cookie).await,
            false => Err(refused("there is no such user")),
        };
    };
    if !fits {
        return Err(refused("the password is wrong"));
    }
    if user.disabled {
        return Err(refused("the user is disabled"));
    }
    if user.totp.as_ref().is_some_and(|totp| totp.confirmed) {
        take_code(shared, &login.username, code).await?;
    }
    let name = login.username.clone();
    let (roles, permissions) = shared.directory.permitted(&user.roles);
    let (user_name, expires_at_unix, source) = (Some(name.clone()), None, Source::Local);
    let opening = Opening { user: user_name, roles, permissions, expires_at_unix, cookie, source };
    Ok(Proved { opening, user: Some(Seen { name, user }) })
}

/// A code is good once: that it was taken is written down before it counts.
async fn take_code(
    shared: &Shared,
    user: &str,
    code: Option<&Zeroizing<String>>,
) -> Result<(), Unproved> {
    let Some(code) = code.cloned() else {
        let what = "the one-time code of the user is needed as well";
        return Err((false, (what.to_owned(), Problem::code_needed(what))));
    };
    let backoff = || shared.backoff.lock().unwrap_or_else(PoisonError::into_inner);
    backoff().attempt_code(user, Instant::now()).map_err(|wait| {
        let what = "too many one-time codes of this user were wrong: try again later";
        (false, (format!("one-time codes have to wait: {wait}"), Problem::too_many(what)))
    })?;
    let (directory, name) = (Arc::clone(&shared.directory), user.to_owned());
    let taken = blocking(move || {
        directory.change(|kept| {
            let totp = kept.users.get_mut(&name).and_then(|user| user.totp.as_mut());
            match totp.is_some_and(|totp| totp.take(&code, unix_now())) {
                true => Ok(()),
                false => Err(Problem::unauthorized("the login is refused")),
            }
        })
    })
    .await
    .flatten();
    let right = match &taken {
        Ok(()) => Some(true),
        Err(problem) => (problem.status.as_u16() == 401).then_some(false),
    };
    backoff().code_was(user, right, Instant::now());
    taken.map_err(|problem| match problem.status.as_u16() {
        401 => (true, ("the one-time code is wrong or was used".to_owned(), problem)),
        _ => (false, (problem.detail.clone(), problem)),
    })
}

/// Who asked is not told what was wrong.
pub(super) fn refused(cause: &str) -> Unproved {
    (true, (cause.to_owned(), Problem::unauthorized("the login is refused")))
}

/// Asks the chain `[admin] chain`.
async fn by_chain(shared: &Shared, login: &Login, cookie: bool) -> Result<Proved, Unproved> {
    if !shared.state.gate.has_admin_chain() {
        let what = "nobody can log in: there is no user, and [admin] chain names no plugin";
        return Err((false, (what.to_owned(), Problem::forbidden(what))));
    }
    let decision = shared.state.gate.admit_admin(login, unix_now()).await;
    trace(shared, &decision.walk);
    let judged = decision.result;
    let identity = judged
        .map_err(|refusal| (refusal.is_by_verdict(), (refusal.to_string(), problem(&refusal))))?;
    if shared.directory.kept().users.contains_key(&*identity.principal) {
        return Err(refused("the chain vouches for the name of a user of the directory"));
    }
    let (roles, permissions) = shared.directory.permitted(&identity.groups);
    let opening = Opening {
        user: Some((*identity.principal).to_owned()),
        roles,
        permissions,
        expires_at_unix: identity.expires_at_unix,
        cookie,
        source: Source::Chain,
    };
    Ok(Proved { opening, user: None })
}

/// What plugins said is told to traces of these plugins; those of clients are not about who logs in here.
fn trace(shared: &Shared, walk: &[LinkReport]) {
    let traces = &shared.state.metrics.traces;
    if !traces.is_on() {
        return;
    }
    for report in walk.iter().filter(|report| report.verdict != Verdict::Skipped) {
        let call = PluginCallRecord {
            plugin: &report.plugin,
            hook: report.hook.name(),
            verdict: verdict_name(&report.verdict),
            microseconds: u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX),
            cached: report.cached,
            topic: None,
        };
        traces.note_call(&Traced::default(), &call);
    }
}

/// The token of the first start opens a browser's login, so that the browser never keeps the token.
/// `None` = it is another one.
pub(super) fn by_token(shared: &Shared, token: &str) -> Option<Proved> {
    if !shared.administrators.is_holder(token.as_bytes()) {
        return None;
    }
    let opening = Opening {
        user: None,
        roles: Vec::new(),
        permissions: Permissions::all(),
        expires_at_unix: None,
        cookie: true,
        source: Source::TokenFile,
    };
    Some(Proved { opening, user: None })
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
