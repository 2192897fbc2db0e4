//! `/api/v1/users`: who may log in with a password that the broker keeps, and with which roles.
//!
//! Knows nothing of files and logins. Who changes a user needs every right that the user has, before
//! and after: else whoever may set a password would soon be everybody.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::Bound,
    sync::{Arc, PoisonError},
    time::Instant,
};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use limits::Claimant;
use qrcode::{Color, EcLevel, QrCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

use crate::{
    administrators::Administrator,
    call::{Answer, Call, Shared, blocking, json, unix_now},
    directory::{Directory, Kept, Owner, Totp, USERS_MAX, User, check_name},
    guard::Peer,
    problem::Problem,
};

/// Which entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Start behind this one: the `next` of the page before.
    pub(crate) after: Option<String>,
    /// At most so many.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: usize,
}

fn default_limit() -> usize {
    100
}

impl ListQuery {
    pub(crate) fn of(call: &Call) -> Result<Self, Problem> {
        let query: Self = call.query()?;
        if (1..=1_000).contains(&query.limit) {
            return Ok(query);
        }
        let what = format!("limit = {} is out of range", query.limit);
        Err(Problem::invalid(what).about("limit").allowed("1 to 1000"))
    }

    /// Where a page begins.
    pub(crate) fn begin(&self) -> (Bound<&str>, Bound<&str>) {
        let begin = self.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        (begin, Bound::Unbounded)
    }
}

/// One page of users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserList {
    /// By name.
    users: Vec<UserEntry>,
    /// Give this as `after` for the next page; null = this is the last.
    next: Option<String>,
}

/// A user.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct UserEntry {
    /// Name.
    name: String,
    /// Roles.
    roles: Vec<String>,
    /// Whether it is kept out.
    disabled: bool,
    /// Whether logins need a one-time code.
    totp: bool,
    /// When it was made, seconds since 1970.
    created_unix: u64,
}

impl UserEntry {
    fn of(name: &str, user: &User) -> Self {
        Self {
            name: name.to_owned(),
            roles: user.roles.clone(),
            disabled: user.disabled,
            totp: user.totp.as_ref().is_some_and(|totp| totp.confirmed),
            created_unix: user.created_unix,
        }
    }
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// 1 to 64 letters, digits, `.`, `_`, `-` and `@`.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// 12 to 1,024 bytes.
    #[schema(min_length = 12, max_length = 1024)]
    password: String,
    /// Names of roles, at most 16; without any it may log in and do nothing.
    #[serde(default)]
    #[schema(max_items = 16)]
    roles: Vec<String>,
    /// Whether it is kept out.
    #[serde(default)]
    disabled: bool,
}

/// What can be changed of a user. What is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    /// Names of all its roles, at most 16.
    #[schema(max_items = 16)]
    roles: Option<Vec<String>>,
    /// Whether it is kept out.
    disabled: Option<bool>,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    /// 12 to 1,024 bytes.
    #[schema(min_length = 12, max_length = 1024)]
    password: String,
    /// The one until now; needed of whoever changes his own.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1024)]
    current: Option<String>,
}

/// Who wants one-time codes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTotp {
    /// The password; needed of whoever sets up his own.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1024)]
    current: Option<String>,
}

/// What an authenticator app needs. It is shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct Enrolment {
    /// For the app.
    uri: String,
    /// The same as a QR code: rows of `1` (dark) and `0` (light), without the margin around it.
    qr_code: Vec<String>,
    /// The same for typing: base32.
    secret: String,
}

/// A one-time code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    /// Six digits.
    #[schema(min_length = 6, max_length = 6)]
    code: String,
}

/// `GET /api/v1/users`
pub(crate) async fn list(call: Call) -> Answer {
    let query = ListQuery::of(&call)?;
    let kept = call.shared.directory.kept();
    let mut users = kept.users.range::<str, _>(query.begin());
    let page: Vec<_> =
        users.by_ref().take(query.limit).map(|(name, user)| UserEntry::of(name, user)).collect();
    let next = page.last().filter(|_| users.next().is_some()).map(|last| last.name.clone());
    call.json_answer(&UserList { users: page, next })
}

/// `GET /api/v1/users/{user}`
pub(crate) async fn show(call: Call) -> Answer {
    let name = call.path("user")?;
    let kept = call.shared.directory.kept();
    call.json_answer(&UserEntry::of(&name, find(&kept, &name)?))
}

/// `POST /api/v1/users`
pub(crate) async fn add(call: Call) -> Answer {
    let who = call.who()?;
    let (shared, new) = call.json::<NewUser>().await?;
    check_name("user", &new.name)?;
    let roles = check_roles(&shared.directory, new.roles)?;
    let password = shared.hashing.hash(Zeroizing::new(new.password)).await?;
    let (name, created_unix) = (new.name, unix_now());
    let user = User { password, roles, disabled: new.disabled, totp: None, created_unix };
    let entry = UserEntry::of(&name, &user);
    change(&shared, move |directory, kept| {
        who.check_has(&directory.permitted_in(kept, &user.roles).1)?;
        if kept.users.len() >= USERS_MAX {
            let what = format!("there are {USERS_MAX} users");
            return Err(Problem::conflict(what).allowed(format!("at most {USERS_MAX}")));
        }
        if kept.users.contains_key(&name) {
            return Err(Problem::conflict(format!("there is a user {name:?}")).about("name"));
        }
        kept.users.insert(name, user);
        Ok(())
    })
    .await?;
    let mut answer = json(StatusCode::OK, &entry)?;
    let location = HeaderValue::from_str(&format!("/api/v1/users/{}", entry.name));
    if let Ok(location) = location {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

/// `PUT /api/v1/users/{user}`
pub(crate) async fn update(call: Call) -> Answer {
    let (who, name, expected) = (call.who()?, call.path("user")?, call.expected()?);
    let (shared, wanted) = call.json::<UserChange>().await?;
    let UserChange { roles, disabled } = wanted;
    if roles.is_none() && disabled.is_none() {
        let what = "the body says nothing that shall change";
        return Err(Problem::invalid(what).allowed("roles, disabled or both"));
    }
    let roles = roles.map(|roles| check_roles(&shared.directory, roles)).transpose()?;
    let changed = name.clone();
    let entry = change(&shared, move |directory, kept| {
        let before = kept.clone();
        let user = find(&before, &name)?;
        expected.check(&UserEntry::of(&name, user))?;
        who.check_has(&directory.permitted_in(kept, &user.roles).1)?;
        let roles = roles.unwrap_or_else(|| user.roles.clone());
        who.check_has(&directory.permitted_in(kept, &roles).1)?;
        let disabled = disabled.unwrap_or(user.disabled);
        let user = User { roles, disabled, ..user.clone() };
        let entry = UserEntry::of(&name, &user);
        kept.users.insert(name, user);
        directory.check_last((&before, kept), &who)?;
        Ok(entry)
    })
    .await?;
    shared.administrators.end_user(&changed);
    json(StatusCode::OK, &entry)
}

/// `DELETE /api/v1/users/{user}`
pub(crate) async fn remove(call: Call) -> Answer {
    let (who, name, expected) = (call.who()?, call.path("user")?, call.expected()?);
    let (shared, removed) = (Arc::clone(&call.shared), name.clone());
    change(&shared, move |directory, kept| {
        let before = kept.clone();
        let user = find(&before, &name)?;
        expected.check(&UserEntry::of(&name, user))?;
        who.check_has(&directory.permitted_in(kept, &user.roles).1)?;
        kept.users.remove(&name);
        let owner = Owner::Local { user: name };
        kept.tokens.retain(|_, token| token.owner != owner);
        directory.check_last((&before, kept), &who)
    })
    .await?;
    shared.administrators.end_user(&removed);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `PUT /api/v1/users/{user}/password`
pub(crate) async fn set_password(call: Call) -> Answer {
    let (who, name) = (call.who()?, call.path("user")?);
    let peer = call.parts.extensions.get::<Peer>().copied();
    let (shared, new) = call.json::<NewPassword>().await?;
    let known = find(&shared.directory.kept(), &name)?.password.clone();
    if who.is_user(&name) {
        check_current(&shared, (&name, known.clone()), new.current, peer).await?;
    }
    let password = shared.hashing.hash(Zeroizing::new(new.password)).await?;
    let changed = name.clone();
    change(&shared, move |directory, kept| {
        let roles = find(kept, &name)?.roles.clone();
        who.check_has(&directory.permitted_in(kept, &roles).1)?;
        let user = find_mut(kept, &name)?;
        if user.password != known {
            return Err(Problem::conflict("the password was changed meanwhile"));
        }
        user.password = password;
        Ok(())
    })
    .await?;
    shared.administrators.end_user(&changed);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A wrong one counts as a failed login: somebody may have found an open browser.
async fn check_current(
    shared: &Shared,
    (name, hash): (&str, String),
    current: Option<String>,
    peer: Option<Peer>,
) -> Result<(), Problem> {
    let current = current.map(|text| Zeroizing::new(text.into_bytes()));
    let Some(current) = current.filter(|text| text.len() <= 1_024) else {
        let what = "who changes how he logs in himself says his password";
        return Err(Problem::invalid(what).about("current").allowed("1 to 1024 bytes"));
    };
    let remote = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(peer)| peer.ip());
    let claimant = Claimant::User(name);
    let backoff = || shared.backoff.lock().unwrap_or_else(PoisonError::into_inner);
    if backoff().attempt(remote, claimant, Instant::now()).is_err() {
        return Err(Problem::too_many("too many logins of this user failed: try again later"));
    }
    match shared.hashing.verify(Some(hash), current).await {
        Ok(true) => {
            backoff().succeeded(remote, claimant);
            Ok(())
        }
        Ok(false) => {
            backoff().failed(remote, claimant, Instant::now());
            Err(Problem::forbidden("this is not the password until now").about("current"))
        }
        Err(problem) => {
            backoff().undecided(remote, claimant);
            Err(problem)
        }
    }
}

/// `POST /api/v1/users/{user}/totp`
pub(crate) async fn enrol(call: Call) -> Answer {
    let (who, name) = (call.who()?, call.path("user")?);
    let peer = call.parts.extensions.get::<Peer>().copied();
    let (shared, NewTotp { current }) = call.json::<NewTotp>().await?;
    if who.is_user(&name) {
        // Else whoever finds an open browser could set up codes that only he has.
        let known = find(&shared.directory.kept(), &name)?.password.clone();
        check_current(&shared, (&name, known), current, peer).await?;
    }
    let totp =
        Totp::new().map_err(|error| Problem::internal(format!("no random numbers: {error}")))?;
    let uri = totp.uri(&name);
    let qr_code = qr_code(&uri)?;
    let enrolment = Enrolment { uri, qr_code, secret: totp.secret.clone() };
    change(&shared, move |directory, kept| {
        let user = find_to_change(directory, kept, (&who, &name))?;
        if user.totp.as_ref().is_some_and(|totp| totp.confirmed) {
            let what = "the user has one-time codes: they have to be taken away first";
            return Err(Problem::conflict(what));
        }
        user.totp = Some(totp);
        Ok(())
    })
    .await?;
    json(StatusCode::OK, &enrolment)
}

/// Drawn here and nowhere else: no other site gets to see the secret.
fn qr_code(uri: &str) -> Result<Vec<String>, Problem> {
    let code = QrCode::with_error_correction_level(uri, EcLevel::M)
        .map_err(|error| Problem::internal(format!("no QR code: {error}")))?;
    let digit = |colour: &Color| colour.select('1', '0');
    let colours = code.to_colors();
    Ok(colours.chunks(code.width()).map(|row| row.iter().map(digit).collect()).collect())
}

/// `POST /api/v1/users/{user}/totp/confirm`
pub(crate) async fn confirm(call: Call) -> Answer {
    let (who, name) = (call.who()?, call.path("user")?);
    let (shared, Code { code }) = call.json::<Code>().await?;
    let entry = change(&shared, move |directory, kept| {
        let user = find_to_change(directory, kept, (&who, &name))?;
        let totp = user.totp.as_mut().filter(|totp| !totp.confirmed);
        let Some(totp) = totp else {
            return Err(Problem::conflict("there is no enrolment that waits for its first code"));
        };
        if !totp.take(&code, unix_now()) {
            let what = "this is not the code of this half minute: is the clock right?";
            return Err(Problem::invalid(what).about("code").allowed("six digits of the app"));
        }
        totp.confirmed = true;
        Ok(UserEntry::of(&name, user))
    })
    .await?;
    json(StatusCode::OK, &entry)
}

/// `DELETE /api/v1/users/{user}/totp`
pub(crate) async fn withdraw_totp(call: Call) -> Answer {
    let (who, name) = (call.who()?, call.path("user")?);
    let (shared, changed) = (Arc::clone(&call.shared), name.clone());
    change(&shared, move |directory, kept| {
        find_to_change(directory, kept, (&who, &name))?.totp = None;
        Ok(())
    })
    .await?;
    shared.administrators.end_user(&changed);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Runs a change of the directory where it may take its time.
pub(crate) async fn change<T: Send + 'static>(
    shared: &Arc<Shared>,
    change: impl FnOnce(&Directory, &mut Kept) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let directory = Arc::clone(&shared.directory);
    blocking(move || directory.change(|kept| change(&directory, kept))).await.flatten()
}

fn unknown(name: &str) -> Problem {
    Problem::not_found(format!("there is no user {name:?}"))
}

fn find<'a>(kept: &'a Kept, name: &str) -> Result<&'a User, Problem> {
    kept.users.get(name).ok_or_else(|| unknown(name))
}

fn find_mut<'a>(kept: &'a mut Kept, name: &str) -> Result<&'a mut User, Problem> {
    kept.users.get_mut(name).ok_or_else(|| unknown(name))
}

/// The user, for somebody who has all of its rights.
fn find_to_change<'a>(
    directory: &Directory,
    kept: &'a mut Kept,
    (who, name): (&Administrator, &str),
) -> Result<&'a mut User, Problem> {
    let roles = find(kept, name)?.roles.clone();
    who.check_has(&directory.permitted_in(kept, &roles).1)?;
    find_mut(kept, name)
}

fn check_roles(directory: &Directory, roles: Vec<String>) -> Result<Vec<String>, Problem> {
    let mut known = std::collections::BTreeSet::new();
    if roles.len() > 16 {
        let what = format!("{} roles are too many", roles.len());
        return Err(Problem::invalid(what).about("roles").allowed("at most 16"));
    }
    for role in roles {
        if directory.role(&role).is_none() {
            let names: Vec<_> = directory.roles().into_iter().map(|(name, ..)| name).collect();
            return Err(Problem::invalid(format!("there is no role {role:?}"))
                .about("roles")
                .allowed(names.join(", ")));
        }
        known.insert(role);
    }
    Ok(known.into_iter().collect())
}
